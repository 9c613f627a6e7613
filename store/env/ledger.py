"""A small durable map of bytes to bytes, as a Protocol: where an audit trail's batches wait until they are shipped.

Laws: a commit is whole or not there, and on disk when it returns. One process has it at a time; each opening counts a
fence number up, so that what a process wrote tells which one it was. What is read is what was written, or an error.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from store.errors import StoreError

LEDGER_KEY_SIZE_MAX: Final = 256
"""Bytes of one key, at most; at least one."""


class LedgerFull(StoreError):
    """The ledger is at its bound: nothing of the commit was written."""


class LedgerDamaged(StoreError):
    """What is read is not what was written."""


class Ledger(Protocol):
    """Keys and values, ordered by key. OSError: the disk fails; nothing is known of that commit then."""

    @property
    def fence(self) -> int:
        """The number of this opening: higher than that of each before, of this ledger."""
        ...

    def raise_fence(self, fence: int) -> None:
        """Have at least this number, durably: a ledger that was lost begins above what it had written."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of all keys that begin with `prefix`, by key, as of now: later commits do not show."""
        ...

    def commit(self, puts: Mapping[bytes, bytes | None], *, reserve: bool = False) -> None:
        """Set these keys, remove those that are None; all of it durable on return, or nothing.

        LedgerFull: it would be past its bound. With `reserve` it may go past, into room kept for that: the steps that
        free the ledger need a little room themselves. What makes the ledger smaller always may.
        """
        ...

    def size(self) -> int:
        """Bytes in use, about."""
        ...

    @property
    def size_max(self) -> int:
        """The bound, in bytes."""
        ...

    def close(self) -> None:
        """Let another process have it."""
        ...
