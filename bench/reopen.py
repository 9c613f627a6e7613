"""Opens a data directory in a fresh process and says what replaying it took; or builds one; or merely decodes it.

python -m bench.reopen build MODULE DIRECTORY CALLS [ACCOUNTS] | open MODULE DIRECTORY | decode DIRECTORY
                       deposit DIRECTORY STEP COUNT

With ACCOUNTS, a snapshot of so many is taken, and the calls come behind it. `deposit` changes COUNT accounts, every
STEP-th one from the first on.
"""

import importlib
import sys
import time
from pathlib import Path
from typing import Final

import msgpack  # type: ignore[import-untyped]  # It brings no types.
import msgspec

from bench.in_process import IDENTITY, open_accounts, opened
from bench.machine import pin
from bench.workload import ACCOUNTS, transfers
from store.engine.engine import Engine
from store.engine.identity import Caller
from store.env.posix import PosixDisk, SystemClock
from store.ids import ConnectionId
from store.log.reader import LogReader
from store.snapshot.options import SnapshotOptions
from store.upkeep.snapshotting import take

GROUP: Final = 2_560
"""Calls a commit while building: 64 connections with 40 in flight."""


class Replayed(msgspec.Struct, frozen=True):
    """What was replayed or decoded, and how long that took."""

    transactions: int
    seconds: float
    rows: int = 0
    """Loaded from a snapshot, in `load_seconds`; these are not among `seconds`."""
    load_seconds: float = 0.0

    @property
    def rows_rate(self) -> float:
        """Rows a second."""
        return self.rows / self.load_seconds

    @property
    def rate(self) -> float:
        """Transactions a second."""
        return self.transactions / self.seconds


def build(module: str, directory: Path, calls: int, accounts: int | None = None) -> Replayed:
    """A log of so many transfers; behind a snapshot, where it is said of how many accounts."""
    began = time.perf_counter()
    domain = importlib.import_module(module)
    if accounts is not None:
        with opened(directory, domain) as engine:
            open_accounts(engine, accounts)
            seal(engine)
        take(PosixDisk(directory), clock=SystemClock(), options=SnapshotOptions())
    with opened(directory, domain) as engine:
        open_accounts(engine, accounts or ACCOUNTS)
        caller = Caller(IDENTITY, ConnectionId(1), "127.0.0.1")
        encode, call = msgspec.msgpack.Encoder().encode, engine.write_path.call
        for number, transfer in enumerate(transfers(calls, "uniform", 1, accounts or ACCOUNTS), 1):
            call(caller, "transfer", encode(transfer), sequence=number)
            if number % GROUP == 0:
                engine.group_commit.commit()
    return Replayed(calls, time.perf_counter() - began)


def reopen(module: str, directory: Path) -> Replayed:
    """What recovery reports of itself."""
    with opened(directory, importlib.import_module(module)) as engine:
        report = engine.report
        replaying = report.seconds - report.load_seconds
        return Replayed(report.replayed, replaying, report.rows_loaded, report.load_seconds)


def deposit(directory: Path, step: int, count: int) -> Replayed:
    """Add 1 to some accounts."""
    began = time.perf_counter()
    with opened(directory) as engine:
        caller = Caller(IDENTITY, ConnectionId(1), "127.0.0.1")
        encode, call = msgspec.msgpack.Encoder().encode, engine.write_path.call
        for number in range(count):
            answer = call(caller, "deposit", encode((1 + number * step, 1)))
            assert not answer.outcome, answer
            if number % GROUP == 0:
                engine.group_commit.commit()
        seal(engine)
    return Replayed(count, time.perf_counter() - began)


def seal(engine: Engine) -> None:
    """Close the open segment, as a server does before it pushes."""
    engine.group_commit.commit()
    sealed = engine.housekeeping.seal()
    assert sealed, "everything was durable"


def decode(directory: Path) -> Replayed:
    """The same records by another MessagePack library, into plain Python, with nothing applied."""
    bodies = [(batch.count, batch.body) for batch in LogReader(PosixDisk(directory, read_only=True))]
    began = time.perf_counter()
    for count, body in bodies:
        assert len(msgpack.unpackb(body, strict_map_key=False)) == count, "a batch's body is an array of its records"
    return Replayed(sum(count for count, _ in bodies), time.perf_counter() - began)


def main() -> None:
    """One act, one line of JSON."""
    pin(0, server=True)
    act, *words = sys.argv[1:]
    if act == "build":
        done = build(words[0], Path(words[1]), int(words[2]), int(words[3]) if len(words) > 3 else None)
    elif act == "deposit":
        done = deposit(Path(words[0]), int(words[1]), int(words[2]))
    elif act == "open":
        done = reopen(words[0], Path(words[1]))
    else:
        done = decode(Path(words[0]))
    print(msgspec.json.encode(done).decode())


if __name__ == "__main__":
    main()
