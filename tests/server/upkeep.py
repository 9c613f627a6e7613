"""A real server over a real data directory, whose children are the store's own, or stand-ins that do as told."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from store.backup.options import BackupOptions
from store.codec import decode_batch
from store.engine.engine import open_engine
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.env.memory import NoDeadline
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.world import World
from store.log.commitlog import LogOptions
from store.log.reader import LogReader
from store.server.app import Server
from store.server.auth import AuthOptions
from store.server.maintenance import Maintenance
from store.server.maintenance_options import MaintenanceOptions
from store.server.options import ServerOptions
from store.snapshot.options import SnapshotOptions
from store.transaction import Kind
from tests.server import notes
from tests.server.scenes import LIMIT_S, Gate, GatedDisk, Tenant

STAND_IN: Final = Path(__file__).with_name("stand_in.py")
QUIET: Final = SnapshotOptions(bytes_between=0, transactions_between=0, interval_s=0, restart_time_max_s=0)
"""Nothing is due by itself."""
TAKEN: Final[dict[str, Any]] = {"event": "taken", "name": "n", "offset": 1, "seconds": 0.5, "bytes_written": 7}
PRUNED: Final[dict[str, Any]] = {
    "event": "pruned",
    "snapshots": [],
    "segments": [],
    "pins": [],
    "blocks": 0,
    "bytes": 0,
    "floor": 3,
    "waiting": 2,
    "due": None,
    "dry_run": False,
}


class RealTenant(Tenant):
    """A server on a thread of its own, over a directory."""

    def __init__(self, folder: Path, snapshots: SnapshotOptions, **options: Any) -> None:
        self.gate = Gate()
        self.folder = folder
        self.data = folder / "data"
        self.tokens = folder / "tokens"
        self.tokens.touch()
        self.token = self.add_token("ada")
        self.server = Server(
            ServerOptions(port=0, stop_grace_s=LIMIT_S),
            AuthOptions(token_file=self.tokens),
            data=self.data,
            snapshots=snapshots,
            maintenance=options.get("maintenance") or MaintenanceOptions(drill_folder=folder / "drills"),
            backup=options.get("backup") or BackupOptions(),
            audit=options.get("audit"),
        )
        disk = PosixDisk(self.data)
        self.engine = open_engine(
            World(GatedDisk(disk, self.gate), SystemClock(), SystemEntropy(), NoDeadline()),
            Domain.of(notes),
            options=options.get("engine") or EngineOptions(free_space_reserve=0),
            log_options=LogOptions(),
        )
        self.host, self.port = self.server.address
        self.tls = None
        self._loop = None

    @property
    def maintenance(self) -> Maintenance:
        """What is tested here."""
        return self.service.maintenance

    def script(self, **acts: list[list[Any]]) -> None:
        """What the stand-ins do from now on, by verb."""
        fresh = self.folder / "script.new"
        fresh.write_text(json.dumps(acts))
        fresh.replace(self.folder / "script")

    def ran(self, what: str = "begin") -> list[dict[str, Any]]:
        """How the stand-ins were asked, so far."""
        file = self.folder / "ran"
        lines = file.read_text().splitlines() if file.exists() else []
        return [each for each in map(json.loads, lines) if each["what"] == what]

    def wait_for(self, holds: Any) -> None:
        """Come back once something holds, looked at from this thread."""
        timer = threading.Event()
        for _ in range(int(LIMIT_S * 100)):
            if holds():
                return
            timer.wait(0.01)
        raise AssertionError("it never came to hold")

    def hanging(self) -> int:
        """Wait until a child hangs; its process id."""
        self.wait_until(lambda: self.maintenance._shop.progress.get("phase") == "hanging")
        pid = self.on_loop(lambda: self.maintenance.child_pid)
        assert pid is not None
        return pid

    def records(self) -> list[tuple[str, Any, Any]]:
        """(name, content, who asked) of everything that maintenance recorded and that is durable."""
        log = LogReader(PosixDisk(self.data, read_only=True))
        found = [each for batch in log for each in decode_batch(batch.body) if each.kind == Kind.ADMIN]
        names = {"snapshot", "retention", "drill", "backup", "confirm"}
        return [(each.reducer, *msgspec.msgpack.decode(each.args)) for each in found if each.reducer in names]

    def metrics(self) -> dict[str, float]:
        """Every sample by its name and labels."""
        text = self.request("GET", "/metrics").body.decode()
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    def ask_aside(self, path: str, **more: Any) -> "Asked":
        """POST on a thread of its own."""
        return Asked(self, path, **more)


class Asked:
    """A request under way."""

    def __init__(self, tenant: Tenant, path: str, **more: Any) -> None:
        self._said: list[Any] = []
        self._thread = threading.Thread(target=lambda: self._said.append(tenant.request("POST", path, **more)))
        self._thread.start()

    @property
    def answer(self) -> Any:
        """What it was answered; waits."""
        self._thread.join(LIMIT_S)
        assert self._said
        return self._said[0]

    @property
    def answered(self) -> bool:
        """Whether it was."""
        return not self._thread.is_alive()


def write(tenant: RealTenant, count: int = 1, first: int = 1) -> None:
    """So many notes."""
    for number in range(first, first + count):
        assert tenant.call("write", number, f"note {number}").status == 200


@contextmanager
def kept(
    folder: Path, snapshots: SnapshotOptions = QUIET, *, real: bool = False, monkeypatch: Any = None, **options: Any
) -> Iterator[RealTenant]:
    """A tenant that is served until the test is done with it; its children are stand-ins unless they are `real`."""
    if not real:
        command = (sys.executable, "-S", "-E", str(STAND_IN), str(folder))
        monkeypatch.setattr("store.server.workshop.COMMAND", command)
        monkeypatch.setattr("store.server.auditing.COMMAND", command)
    tenant = RealTenant(folder, snapshots, **options)
    tenant.script(take=[["say", TAKEN], ["say", PRUNED]], prune=[["say", PRUNED]])
    tenant.ready = threading.Event()
    thread = threading.Thread(target=tenant.run)
    thread.start()
    try:
        assert tenant.ready.wait(LIMIT_S)
        yield tenant
    finally:
        tenant.gate.open()
        tenant.server.stop()
        thread.join(LIMIT_S)
        assert not thread.is_alive()
