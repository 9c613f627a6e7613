"""python tests/data/make.py FOLDER [--snapshots | --backup | --sealed]: write one more directory to be kept.

Beside it lies what it must hold. With --snapshots it holds two of them, a pin, and no log from before the first. With
--backup it is a backup of such a store, all its log included; with --sealed one that only KEY opens. Run it before a
format is released, and never write into a folder that is there: what is old is a promise.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from store.backup.keys import OperatorKey
from store.backup.push import push
from store.engine.engine import Engine, open_engine
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.engine.replay import replay
from store.env.folder import FolderObjects
from store.env.memory import MemoryClock, NoDeadline, SeededEntropy
from store.env.posix import PosixDisk
from store.env.world import World
from store.ids import ClientId, ConnectionId, Offset, Timestamp
from store.log.commitlog import LogOptions
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Pin, Repository
from store.upkeep.retention import prune
from store.upkeep.snapshotting import take
from store.values import encode
from tests.data import domain

CALLS: Final = 120
SNAPSHOTS_AFTER: Final = (70, 100)
"""Calls after which one is taken."""
NOTHING_KEPT: Final = SnapshotOptions(block_size=1_500, keep_daily=0, keep_for_s=0, grace_s=0)
SEGMENT_SIZE: Final = 12_000
KEY: Final = bytes(range(32)).hex()
"""Of the sealed backup: an operator's key that keeps no secret."""


def write(folder: Path, *, snapshots: bool, prune_too: bool = True) -> None:
    """Make the directory, and `expected.json` beside its log."""
    clock = MemoryClock()
    world = World(PosixDisk(folder), clock, SeededEntropy(1), NoDeadline())
    options = LogOptions(segment_size_max=SEGMENT_SIZE)
    engine = open_engine(world, Domain.of(domain), options=EngineOptions(), log_options=options)
    caller = Caller(Identity("tests", "ada", SCOPES), ConnectionId(1), "127.0.0.1:4000")
    caller.client = ClientId("agent")
    for number in range(1, CALLS + 1):
        clock.advance(10_000)
        _call(engine, caller, number)
        engine.group_commit.commit()
        engine.log.rotate_if_due(Timestamp(clock.wall()))
        if snapshots and number in SNAPSHOTS_AFTER:
            engine.log.seal(Timestamp(clock.wall()))
            take(world.disk, clock=clock, options=NOTHING_KEPT)
    expected = {
        "last_offset": engine.state.last_offset,
        "fingerprint": engine.database.fingerprint(),
        "rows": {each.schema.name: len(each) for each in engine.database.tables.values()},
    }
    engine.close()
    if snapshots and prune_too:
        _let_go(world)
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


def _let_go(world: World) -> None:
    """Drop all log that the snapshots make superfluous: once to note it, and once its grace is over."""
    repository = Repository(world.disk)
    newest = repository.manifest(repository.names()[-1])
    repository.pin("kept", Pin(newest.offset, "it is kept for ever", None, "pin"))
    for second in (1, 2):
        prune(world.disk, now=Timestamp(world.clock.wall() + second * 1_000_000), options=NOTHING_KEPT)


def _call(engine: Engine, caller: Caller, number: int) -> None:
    calls: list[tuple[str, list[Any]]] = [
        ("make", [f"name {number % 7}", number.to_bytes(2, "big") if number % 3 else None]),
        ("unmake", [number // 6]),
        ("put", [(number % 11).to_bytes(1, "big"), b"b" * number]),
    ]
    name, args = calls[number % 3]
    engine.write_path.call(caller, name, encode(args), sequence=number, acknowledged=max(0, number - 20))


def write_backup(folder: Path, *, key: OperatorKey | None) -> None:
    """Make the backup, and FOLDER.json beside it: in a backup it would be foreign."""
    clock = MemoryClock()
    with tempfile.TemporaryDirectory() as made:
        write(Path(made) / "data", snapshots=True, prune_too=False)
        disk = PosixDisk(Path(made) / "data")
        pushed = push(disk, FolderObjects(folder), clock=clock, entropy=SeededEntropy(4), key=key)
        assert not pushed.refused
        moments = {}
        for offset in (pushed.last_offset // 2, pushed.last_offset):
            moments[offset] = replay(disk, through=Offset(offset)).state.database.fingerprint()
    expected = {"key": KEY if key else "", "moments": moments}
    folder.with_name(f"{folder.name}.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    if {"--backup", "--sealed"} & set(sys.argv):
        write_backup(Path(sys.argv[1]), key=OperatorKey(bytes.fromhex(KEY)) if "--sealed" in sys.argv else None)
    else:
        write(Path(sys.argv[1]), snapshots="--snapshots" in sys.argv)
