"""A whole backup in each kind of place: pushed through a bad network or a killed process, checked, and restored."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from store.backup.checking import check
from store.backup.keys import OperatorKey
from store.backup.push import push
from store.backup.view import BackupDisk
from store.env.folder import FolderObjects
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.s3 import S3Objects
from store.snapshot.repository import Repository
from tests.backup.scenes import KEY, Shop, pushed, restored, sealed_through, state_at
from tests.env.s3_server import BUCKET, BUSY, DROP, HALF, LOST, SECRET_KEY, Proxy, s3_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(name="key", params=["plain", "encrypted"])
def _key(request: pytest.FixtureRequest) -> OperatorKey | None:
    """Without encryption and with."""
    return KEY if request.param == "encrypted" else None


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[str]:
    """An S3 server for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as url:
        yield url


@pytest.fixture(name="proxy")
def _proxy(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A network in front of it, and nobody who waits between attempts."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    made = Proxy(server)
    yield made
    made.close()


def test_a_bad_network_does_no_harm(
    proxy: Proxy, key: OperatorKey | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pushed, checked and restored through broken connections, 503s, lost answers and half bodies."""
    objects = S3Objects(BUCKET, tmp_path.name, endpoint=proxy.url)
    shop = Shop(objects, key=key).work(8).seal().snapshot().work(3).seal()
    proxy.plans = [None, DROP, None, BUSY, None, LOST, None, HALF, None, LOST, BUSY] * 60
    done = shop.push()
    assert done.last_offset == sealed_through(shop.disk)
    assert proxy.plans
    assert check(objects, key=key) == []
    assert shop.push().objects_sent == 0
    found, _ = restored(BackupDisk(objects, key=key))
    assert state_at(found) == state_at(shop.disk, done.last_offset)
    assert SECRET_KEY not in caplog.text
    objects.close()


def test_a_push_that_is_cut_off_goes_on(proxy: Proxy, key: OperatorKey | None, tmp_path: Path) -> None:
    """When the network is back, nothing whole is sent again."""
    objects = S3Objects(BUCKET, tmp_path.name, endpoint=proxy.url)
    shop = Shop(objects, key=key).work(8).seal().snapshot().work(3).seal()
    proxy.plans = [*[None] * 20, *[DROP] * 10]
    with pytest.raises(ConnectionError, match="cannot be reached"):
        shop.push()
    assert Repository(shop.disk).pins() == {}
    proxy.plans = []
    there = set(objects.names())
    done = shop.push()
    assert there
    assert done.objects_known == len([name for name in there if name.startswith(("block/", "log/", "snapshot/"))])
    assert check(objects, key=key) == []
    objects.close()


def test_a_killed_process_does_no_harm(key: OperatorKey | None, tmp_path: Path) -> None:
    """SIGKILL in the middle of an object, at one after the other, until none is left: then the backup is whole.

    The lease that a killed one leaves behind runs out by itself.
    """
    shop = Shop(FolderObjects(tmp_path / "unused")).work(8).seal().snapshot().work(3).seal()
    directory, place = tmp_path / "data", tmp_path / "backup"
    disk = PosixDisk(directory)
    for folder in ("log", "snapshot", "block"):
        for name in shop.disk.names(folder):
            (directory / folder).mkdir(exist_ok=True)
            (directory / folder / name).write_bytes(shop.disk.content(f"{folder}/{name}"))
    kills = 0
    while _push_in_a_process(directory, place, key) == -signal.SIGKILL:
        kills += 1
        assert kills < 20
    assert kills > 2
    objects = FolderObjects(place)
    assert check(objects, key=key) == []
    assert pushed(disk, objects, key=key).objects_sent == 0
    found, done = restored(BackupDisk(objects, key=key))
    assert state_at(found) == state_at(shop.disk, done.offset)
    assert done.offset == sealed_through(shop.disk)
    pins = Repository(disk).pins().values()
    assert all(pin.kind == "lease" and pin.until is not None for pin in pins)
    assert len(pins) >= kills


def _push_in_a_process(directory: Path, place: Path, key: OperatorKey | None) -> int:
    """Push, and be killed while the third object is written; how the process ended."""
    command = [sys.executable, __file__, str(directory), str(place), key.text if key else ""]
    return subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False).returncode


def _be_pushed(directory: str, place: str, key: str) -> None:
    """What runs in that process."""
    import os  # noqa: PLC0415  # Only here is a process ended.

    left = [3]
    sync = os.fsync

    def dying(descriptor: Any) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(".unfinished-"):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        sync(descriptor)

    os.fsync = dying  # type: ignore[assignment]  # It takes what it is given here.
    push(
        PosixDisk(directory),
        FolderObjects(Path(place)),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        key=OperatorKey.read(key.encode()) if key else None,
    )


if __name__ == "__main__":
    _be_pushed(*sys.argv[1:])
