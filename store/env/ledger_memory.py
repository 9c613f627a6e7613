"""A ledger in memory, held to the same contract as the one on disk, which a crash leaves as the last commit did."""

from collections.abc import Iterator, Mapping
from typing import Final

from store.env.ledger import LEDGER_KEY_SIZE_MAX, LedgerFull
from store.errors import DirectoryError

SIZE_MAX: Final = 64 << 20
"""Bytes such a ledger holds, unless told otherwise."""


class MemoryLedger:
    """Keys and values in a dict (Ledger)."""

    def __init__(self, *, size_max: int = SIZE_MAX) -> None:
        self.size_max = size_max
        self.commits = 0
        """How many commits there were."""
        self._values: dict[bytes, bytes] = {}
        self._fence = 0
        self._open = False
        self.open()

    def open(self) -> "MemoryLedger":
        """Open it as another process would after this one's end. DirectoryError: it is still open."""
        if self._open:
            raise DirectoryError("the ledger is in use", hint="Close it first.")
        self._open, self._fence = True, self._fence + 1
        return self

    def crash(self) -> "MemoryLedger":
        """The process is gone, and another opens it: every commit that returned is there."""
        self._open = False
        return self.open()

    @property
    def fence(self) -> int:
        """The number of this opening."""
        return self._fence

    def raise_fence(self, fence: int) -> None:
        """Have at least this number."""
        self._fence = max(self._fence, fence)

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._values.get(key)

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All keys that begin with `prefix`, by key."""
        return iter(sorted((key, value) for key, value in self._values.items() if key.startswith(prefix)))

    def commit(self, puts: Mapping[bytes, bytes | None], *, reserve: bool = False) -> None:
        """Set and remove, at once."""
        assert self._open
        values = dict(self._values)
        for key, value in puts.items():
            assert 0 < len(key) <= LEDGER_KEY_SIZE_MAX, key
            if value is None:
                values.pop(key, None)
            else:
                values[key] = bytes(value)
        size = _size(values)
        if size > self.size_max and not reserve and size > self.size():
            raise LedgerFull(f"the ledger is full: {self.size_max} bytes", hint="Is anything shipped?")
        self._values = values
        self.commits += 1

    def size(self) -> int:
        """Bytes of keys and values."""
        return _size(self._values)

    def close(self) -> None:
        """Let another have it."""
        self._open = False


def _size(values: Mapping[bytes, bytes]) -> int:
    return sum(len(key) + len(value) for key, value in values.items())
