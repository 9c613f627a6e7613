"""Opens a data directory in a fresh process and says what replaying it took; or builds one; or merely decodes it.

python -m bench.reopen build MODULE DIRECTORY CALLS | open MODULE DIRECTORY | decode DIRECTORY
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
from bench.workload import transfers
from store.engine.identity import Caller
from store.env.posix import PosixDisk
from store.ids import ConnectionId
from store.log.reader import LogReader

GROUP: Final = 2_560
"""Calls a commit while building: 64 connections with 40 in flight."""


class Replayed(msgspec.Struct, frozen=True):
    """What was replayed or decoded, and how long that took."""

    transactions: int
    seconds: float

    @property
    def rate(self) -> float:
        """Transactions a second."""
        return self.transactions / self.seconds


def build(module: str, directory: Path, calls: int) -> Replayed:
    """A log of so many transfers."""
    began = time.perf_counter()
    with opened(directory, importlib.import_module(module)) as engine:
        open_accounts(engine)
        caller = Caller(IDENTITY, ConnectionId(1), "127.0.0.1")
        encode, call = msgspec.msgpack.Encoder().encode, engine.write_path.call
        for number, transfer in enumerate(transfers(calls, "uniform", seed=1), 1):
            call(caller, "transfer", encode(transfer), sequence=number)
            if number % GROUP == 0:
                engine.group_commit.commit()
    return Replayed(calls, time.perf_counter() - began)


def reopen(module: str, directory: Path) -> Replayed:
    """What recovery reports of itself."""
    with opened(directory, importlib.import_module(module)) as engine:
        return Replayed(engine.report.replayed, engine.report.seconds)


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
        done = build(words[0], Path(words[1]), int(words[2]))
    elif act == "open":
        done = reopen(words[0], Path(words[1]))
    else:
        done = decode(Path(words[0]))
    print(msgspec.json.encode(done).decode())


if __name__ == "__main__":
    main()
