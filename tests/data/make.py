"""python tests/data/make.py FOLDER: write one more data directory to be kept, with what it must hold when it opens.

Run it before a format is released, and never write into a folder that is there: an old directory is a promise.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from store.engine.engine import Engine, open_engine
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.env.memory import MemoryClock, NoDeadline, SeededEntropy
from store.env.posix import PosixDisk
from store.env.world import World
from store.ids import ClientId, ConnectionId, Timestamp
from store.log.commitlog import LogOptions
from store.values import encode
from tests.data import domain

CALLS: Final = 120
SEGMENT_SIZE: Final = 12_000


def write(folder: Path) -> None:
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
    expected = {
        "last_offset": engine.state.last_offset,
        "fingerprint": engine.database.fingerprint(),
        "rows": {each.schema.name: len(each) for each in engine.database.tables.values()},
    }
    engine.close()
    (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


def _call(engine: Engine, caller: Caller, number: int) -> None:
    calls: list[tuple[str, list[Any]]] = [
        ("make", [f"name {number % 7}", number.to_bytes(2, "big") if number % 3 else None]),
        ("unmake", [number // 6]),
        ("put", [(number % 11).to_bytes(1, "big"), b"b" * number]),
    ]
    name, args = calls[number % 3]
    engine.write_path.call(caller, name, encode(args), sequence=number, acknowledged=max(0, number - 20))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
