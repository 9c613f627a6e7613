"""A server in a process of its own, over a disk whose syncs or writes fail when told to; prints its port."""

import signal
import sys
import threading
from pathlib import Path

from store.engine.engine import open_engine
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.env.memory import MemoryDisk, NoDeadline
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.world import Disk, World
from store.log.commitlog import LogOptions
from store.server.app import Server
from store.server.auth import AuthOptions
from store.server.options import ServerOptions
from store.tables.database import Database
from tests.server import notes

folder, fault, where = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
memory = MemoryDisk()
disk: Disk = PosixDisk(folder / "data") if fault == "none" else memory
server = Server(ServerOptions(port=0, close_grace_s=0.5), AuthOptions(token_file=folder / "tokens"))
engine = open_engine(
    World(disk, SystemClock(), SystemEntropy(), NoDeadline()),
    Domain.of(notes),
    options=EngineOptions(fsync_inline_max_ms=-1.0 if where == "thread" else 1_000.0, vouch_idle_ms=3_600_000.0),
    log_options=LogOptions(),
)


def break_disk(*_: object) -> None:
    """From now on the disk fails."""
    if fault == "sync":
        memory.fail_sync()
    elif fault == "write":
        memory.fail_write()
    elif fault == "bug":
        Database.apply = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]  # A bug, between log and tables.
    print("broken", flush=True)  # noqa: T201  # The test waits for it.


signal.signal(signal.SIGUSR1, break_disk)
assert threading.current_thread() is threading.main_thread()
server.run(engine, on_ready=lambda _, port: print(port, flush=True))  # noqa: T201  # The test connects there.
