"""A lease: for as long as a command reads a directory, nothing it may need is pruned there.

Laws: the lease lies there before the first file is looked for, and then holds all; once the command knows what it
reads, it holds that and what came since, so that old log goes while a long restore runs. It is renewed from what the
command tells of its progress. A command that is killed leaves one that runs out by itself. Where none can be left, as
on a disk that is mounted for reading, the command goes on: who may not write there has nothing to do with whoever
prunes there.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from store.cli.output import note
from store.env.posix import PosixDisk
from store.errors import DirectoryError
from store.ids import Offset, Timestamp
from store.snapshot.repository import Pin, Repository

Progress = Callable[[str, int, int], None]


@contextmanager
def leased(disk: PosixDisk, reason: str, told: Progress, *, lease_s: float) -> Iterator["Lease"]:
    """Hold all that is there, and yield the progress callback that keeps holding it."""
    try:
        lease = Lease(Repository(PosixDisk(disk.path)), reason, told, lease_s=lease_s)
        lease.renew()
    except (OSError, DirectoryError) as error:
        note(f"no lease could be left in {disk.path} ({error}): prune nothing there until this is done")
        yield Lease(None, reason, told, lease_s=lease_s)
        return
    try:
        yield lease
    finally:
        with suppress(OSError):  # It runs out by itself.
            lease.end()


class Lease:
    """One lease, renewed when half of it is over; without a repository one that could not be left."""

    def __init__(self, repository: Repository | None, reason: str, told: Progress, *, lease_s: float) -> None:
        self._name: Final = f"lease-{os.getpid()}-{secrets.token_hex(4)}"
        self._repository: Final = repository
        self._reason: Final = reason
        self._told: Final = told
        self._lease_s: Final = lease_s
        self._renew_at = 0.0
        self._from = Offset(0)
        """0: everything that is there."""

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Progress, as it is told; it renews the lease."""
        if time.monotonic() >= self._renew_at:
            self.renew()
        self._told(phase, done, total)

    def hold_from(self, offset: Offset) -> None:
        """Hold no more than the snapshot at or before an offset, and whatever came after it."""
        self._from = offset
        self.renew()

    def renew(self) -> None:
        """Hold it for another while."""
        if self._repository is not None:
            until = Timestamp(time.time_ns() // 1000 + round(self._lease_s * 1e6))
            self._repository.pin(self._name, Pin(offset=self._from, reason=self._reason, until=until, kind="lease"))
        self._renew_at = time.monotonic() + self._lease_s / 2

    def end(self) -> None:
        """Hold nothing any more."""
        if self._repository is not None:
            self._repository.unpin(self._name)
