"""A tenant's engine in a process of its own, for tests that kill it: transfers on a real disk, each told when durable.

    python worker.py '{"directory": ..., ...}'      (Work, as JSON)

On stdout: the line "ready" once the directory is open, then a line "client sequence offset" for each answer, written
only after its commit. On stderr and by the exit status: why it stopped.
"""

import os
import resource
import sys
from pathlib import Path

import msgspec

from reducers import accounts
from store.cli.directories import generation_of
from store.engine.engine import Engine, open_engine
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.env.memory import NoDeadline
from store.env.posix import PosixDisk, SignalDeadline, SystemClock, SystemEntropy
from store.env.world import Deadline, World
from store.errors import EngineStopped, StoreError
from store.ids import ClientId, ConnectionId
from store.log.commitlog import LogOptions
from store.values import encode

OPENING_BALANCE = 1_000_000
EXIT_REFUSED = 3
"""The directory was not opened."""
EXIT_STOPPED = 4
"""Durability was lost."""
NOBODY = 65_534


class Work(msgspec.Struct, frozen=True):
    """What a worker shall do."""

    directory: str
    calls: int = 0
    """Transfers of each client, in all."""
    answered: tuple[int, ...] = ()
    """For each client, how many of them were answered before."""
    segment_size_max: int = 8_192
    pairs: int = 1
    """Pairs of accounts that each client moves money in, one after the other: more rows for snapshots to hold."""
    file_size_max: int | None = None
    """Bytes after which the kernel lets no file grow (RLIMIT_FSIZE)."""
    as_nobody: bool = False
    """Give up root first, which may write anywhere."""


def main(said: str) -> int:
    """Do the work; the exit status says how it ended."""
    work = msgspec.json.decode(said, type=Work)
    if work.file_size_max is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (work.file_size_max, work.file_size_max))
    if work.as_nobody:
        os.setuid(NOBODY)
    deadline = SignalDeadline(5.0)
    try:
        engine = open_tenant(work.directory, segment_size_max=work.segment_size_max, deadline=deadline)
        os.write(1, b"ready\n")
        transfer(engine, work)
        engine.close()
    except EngineStopped as error:
        os.write(2, f"{error}\n".encode())
        return EXIT_STOPPED
    except (StoreError, OSError) as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        return EXIT_REFUSED
    finally:
        deadline.close()  # A timer that outlives its handler would end the process.
    return 0


def open_tenant(
    directory: str, *, segment_size_max: int, options: EngineOptions | None = None, deadline: Deadline | None = None
) -> Engine:
    """The engine on the generation in force; without a deadline its reducers run as long as they like."""
    root = Path(directory)
    disk = PosixDisk(generation_of(root) if root.is_dir() else root, root=root)
    world = World(disk, SystemClock(), SystemEntropy(), deadline or NoDeadline())
    return open_engine(
        world,
        Domain.of(accounts),
        options=options or EngineOptions(free_space_reserve=0),
        log_options=LogOptions(segment_size_max=segment_size_max),
    )


def transfer(engine: Engine, work: Work) -> None:
    """Each client moves 1 at a time between accounts of its own, with the same sequence on every try."""
    callers = [a_caller(client) for client in range(len(work.answered))]
    accounts_count = 2 * work.pairs * len(callers)
    engine.write_path.call(callers[0], "open_accounts", encode([0, accounts_count, OPENING_BALANCE]))
    for sequence in range(min(work.answered) + 1, work.calls + 1):
        told = []
        for client, caller in enumerate(callers):
            if sequence > work.answered[client]:
                source = 2 * pair_of(client, sequence, work.pairs)
                answer = engine.write_path.call(
                    caller,
                    "transfer",
                    encode([source, source + 1, 1]),
                    sequence=sequence,
                    acknowledged=sequence - 1,
                )
                assert not answer.outcome
                told.append(f"{client} {sequence} {answer.offset}\n")
        engine.group_commit.commit()
        os.write(1, "".join(told).encode())


def pair_of(client: int, sequence: int, pairs: int) -> int:
    """The pair of accounts that a client's call moves money in."""
    return client * pairs + sequence % pairs


def a_caller(client: int) -> Caller:
    """A client by its number, the same after every restart."""
    caller = Caller(Identity("tests", "worker", SCOPES), ConnectionId(client + 1), "worker")
    caller.client = ClientId(f"client {client}")
    return caller


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
