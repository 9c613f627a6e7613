"""Directories a process may not open: each is refused with the reason, and left as it was."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from store.engine.options import EngineOptions
from store.env.posix import PosixDisk
from store.errors import CorruptionError, DirectoryError, Overloaded
from store.values import encode
from tests.crash.test_kill import ROOT, WORKER, lines, start
from tests.crash.worker import EXIT_REFUSED, NOBODY, Work, a_caller, open_tenant


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A data directory with 20 transfers in it, closed."""
    directory = tmp_path / "data"
    with start(Work(str(directory), calls=5, answered=(0, 0, 0, 0))) as process:
        assert len(list(lines(process))) == 1 + 20
    return directory


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder whose whole path anybody may walk, which the test's own folder is not."""
    folder = Path(tempfile.mkdtemp(prefix="store-test-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


def run_as_nobody(directory: Path) -> tuple[int, str]:
    """A worker's exit status and complaint, where permissions count for it."""
    work = Work(str(directory), calls=1, answered=(0,), as_nobody=os.geteuid() == 0)
    command = [sys.executable, str(WORKER), msgspec.json.encode(work).decode()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, check=False, env=environment)
    return done.returncode, done.stderr.decode()


def contents(directory: Path) -> dict[str, bytes]:
    """Every file with its bytes, but the lock, which says only who came last."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def refusal(directory: Path) -> str:
    """Why the directory is not opened; nothing in it may have changed."""
    before = contents(directory)
    with pytest.raises((DirectoryError, CorruptionError)) as refused:
        open_tenant(str(directory), segment_size_max=8_192)
    assert contents(directory) == before
    return str(refused.value)


def test_second_process_is_refused(tmp_path: Path) -> None:
    """While one process has the directory, another is refused and told which; afterwards it may."""
    with start(Work(str(tmp_path / "data"), calls=10_000_000, answered=(0,))) as process:
        assert next(lines(process)) == b"ready"
        with pytest.raises(DirectoryError, match=f"in use by process {process.pid}"):
            open_tenant(str(tmp_path / "data"), segment_size_max=8_192)
        process.kill()
    open_tenant(str(tmp_path / "data"), segment_size_max=8_192).close()


def test_first_process_does_not_notice(tmp_path: Path) -> None:
    """A refused second process leaves the first one working."""
    first = open_tenant(str(tmp_path / "data"), segment_size_max=8_192)
    with start(Work(str(tmp_path / "data"), calls=1, answered=(0,))) as second:
        assert list(lines(second)) == []
    assert second.returncode == EXIT_REFUSED
    assert first.write_path.call(a_caller(0), "open_accounts", encode([0, 2, 5])).outcome == ""
    first.group_commit.commit()
    first.close()


def test_foreign_directory_is_refused(tmp_path: Path) -> None:
    """A directory with other people's files is refused by name, and nothing is put into it."""
    (tmp_path / "thesis.txt").write_text("precious")
    assert "thesis.txt" in refusal(tmp_path)


def test_foreign_directory_gets_no_file(tmp_path: Path) -> None:
    """Not even a lock is left in a directory that is not ours."""
    (tmp_path / "thesis.txt").write_text("precious")
    refusal(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    """A path that is a file is refused."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DirectoryError, match="data"):
        open_tenant(str(tmp_path / "data"), segment_size_max=8_192)


def test_newer_format_is_refused(directory: Path) -> None:
    """A directory that a newer version wrote is refused with both numbers."""
    marker = directory / "store.json"
    marker.write_bytes(marker.read_bytes().replace(b'"format":1', b'"format":2'))
    assert "format 2" in refusal(directory)


def test_foreign_marker_is_refused(directory: Path) -> None:
    """A marker that is none of ours is refused."""
    (directory / "store.json").write_text("{}")
    assert "store.json" in refusal(directory)


def test_lost_log_is_refused(directory: Path) -> None:
    """A marker without a log is a loss, never a fresh store."""
    shutil.rmtree(directory / "log")
    assert "segment" in refusal(directory)


def test_lost_segment_is_refused(directory: Path) -> None:
    """A segment missing from the log's beginning is refused as corruption."""
    grow(directory)
    min((directory / "log").iterdir()).unlink()
    assert "log" in refusal(directory)


def test_flipped_byte_is_refused(directory: Path) -> None:
    """Damage within a sealed segment is refused with file and position."""
    grow(directory)
    segment = min((directory / "log").iterdir())
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0x10
    segment.write_bytes(data)
    complaint = refusal(directory)
    assert segment.name in complaint
    assert "at byte" in complaint


def grow(directory: Path) -> None:
    """Let the log have several segments."""
    with start(Work(str(directory), calls=400, answered=(5, 5, 5, 5), segment_size_max=4_096)) as process:
        assert len(list(lines(process))) > 1_000
    assert len(list((directory / "log").iterdir())) > 2


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_directory_without_permission_is_refused(public_folder: Path, mode: int) -> None:
    """A directory this process may not write, or not read, is refused with the system's reason."""
    directory = public_folder / "data"
    directory.mkdir(mode=0o755)
    directory.chmod(mode)
    status, complaint = run_as_nobody(directory)
    assert status == EXIT_REFUSED
    assert "DirectoryError" in complaint
    assert "Permission denied" in complaint
    assert "Traceback" not in complaint
    directory.chmod(0o755)
    assert list(directory.iterdir()) == []


def test_log_that_may_not_be_written_is_refused(public_folder: Path) -> None:
    """Where the directory may be written and the log in it may not, the start says so and changes nothing."""
    directory = public_folder / "data"
    with start(Work(str(directory), calls=5, answered=(0,))) as process:
        assert len(list(lines(process))) == 6
    before = contents(directory)
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    for path in directory.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    status, complaint = run_as_nobody(directory)
    assert status == EXIT_REFUSED
    assert "Traceback" not in complaint
    assert contents(directory) == before


def test_full_disk_opens_and_refuses(directory: Path) -> None:
    """With less disk free than the reserve a store opens, refuses calls before anything fails, and stays as it is."""
    options = EngineOptions(free_space_reserve=1 << 62)
    engine = open_tenant(str(directory), segment_size_max=8_192, options=options)
    offset = engine.write_path.last_offset
    with pytest.raises(Overloaded, match="disk"):
        engine.write_path.call(a_caller(0), "transfer", encode([0, 1, 1]))
    assert engine.write_path.last_offset == offset
    engine.close()


def test_space_that_is_back_is_used(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that refused for want of space takes calls again once there is enough."""
    engine = open_tenant(str(directory), segment_size_max=8_192, options=EngineOptions(free_space_reserve=1_000))
    monkeypatch.setattr(PosixDisk, "free_bytes", lambda _disk: 999)
    engine.housekeeping.tick()
    with pytest.raises(Overloaded, match="disk"):
        engine.write_path.call(a_caller(0), "transfer", encode([0, 1, 1]))
    monkeypatch.setattr(PosixDisk, "free_bytes", lambda _disk: 1_000)
    engine.housekeeping.tick()
    assert engine.write_path.call(a_caller(0), "transfer", encode([0, 1, 1])).outcome == ""
    engine.group_commit.commit()
    engine.close()
