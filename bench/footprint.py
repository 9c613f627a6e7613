"""What a million small rows hold in RAM, part by part, and what the answers kept for retries hold.

Laws: an engine without clients or a tail, in a process of its own, so that what the process has grown by is the rows.

    python -m bench.footprint DIRECTORY ROWS
"""

import gc
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from bench.in_process import IDENTITY, open_accounts, opened
from bench.machine import resident_bytes
from store.engine.engine import Engine
from store.engine.idempotency import UNACKNOWLEDGED_CALLS_MAX
from store.engine.identity import Caller
from store.engine.options import EngineOptions
from store.errors import Overloaded
from store.ids import ClientId, ConnectionId

CLIENTS: Final = 32
"""Clients that acknowledge nothing."""


class Footprint(msgspec.Struct, frozen=True):
    """Bytes."""

    rows: int
    resident: int
    """What the process has grown by."""
    row_bytes: int
    """The encoded rows as objects."""
    keys: int
    table: int
    """The dictionary from keys to rows."""
    index: int
    """The index's dictionary with its values."""
    answers: int
    """Answers kept for clients that acknowledge nothing: a count."""
    answers_resident: int
    overloaded: bool
    """Whether the next call of such a client was refused."""


def measure(directory: Path, rows: int) -> Footprint:
    """Open the accounts, look, then let clients call without acknowledging."""
    with opened(directory, options=EngineOptions(tail_size_max=1)) as engine:
        open_accounts(engine, 1)
        before = _resident()
        open_accounts(engine, rows)
        resident = _resident() - before
        table = engine.database.table("accounts")
        assert table is not None
        assert len(table) == rows
        index = table.indexes[0]
        buckets = index._buckets  # noqa: SLF001  # What it holds is what is measured.
        parts = {
            "row_bytes": sum(map(sys.getsizeof, table.rows.values())),
            "keys": sum(map(sys.getsizeof, table.rows)),
            "table": sys.getsizeof(table.rows),
            "index": sys.getsizeof(buckets) + sum(map(sys.getsizeof, buckets)),
        }
        before = _resident()
        overloaded = _fill_windows(engine)
        answers = CLIENTS * UNACKNOWLEDGED_CALLS_MAX
        return Footprint(
            rows=rows,
            resident=resident,
            answers=answers,
            answers_resident=_resident() - before,
            overloaded=overloaded,
            **parts,
        )


def _fill_windows(engine: Engine) -> bool:
    """As many unacknowledged calls as there may be; whether each client's next one was refused."""
    refused = 0
    args = msgspec.msgpack.encode([1, 2, 1])
    for number in range(1, CLIENTS + 1):
        caller = Caller(IDENTITY, ConnectionId(number), "127.0.0.1")
        caller.client = ClientId(f"bench-{number}")
        for sequence in range(1, UNACKNOWLEDGED_CALLS_MAX + 1):
            engine.write_path.call(caller, "transfer", args, sequence=sequence)
        engine.group_commit.commit()
        try:
            engine.write_path.call(caller, "transfer", args, sequence=UNACKNOWLEDGED_CALLS_MAX + 1)
        except Overloaded:
            refused += 1
    return refused == CLIENTS


def _resident() -> int:
    gc.collect()
    return resident_bytes(os.getpid())


def main() -> None:
    """One line of JSON."""
    print(msgspec.json.encode(measure(Path(sys.argv[1]), int(sys.argv[2]))).decode())


if __name__ == "__main__":
    main()
