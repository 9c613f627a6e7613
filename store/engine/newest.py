"""The newest records of the log, in RAM, for those who come back.

Laws: they are without a gap up to the last record. They are kept as the log made them, a batch's body at a time: what a
call appends is freed with its group, so that its memory is used again while it is warm, and nothing is counted record
by record. What is kept is bounded in bytes; the oldest go by whole batches.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from store.codec import split_batch
from store.ids import Offset

BODY_OVERHEAD: Final = 64
"""Bytes that a kept body takes beside its own, as the bound counts them."""
_GONE_MAX: Final = 1_024
"""Places of bodies that were let go, before the others move up; more where more are kept."""


class Newest:
    """As many of the newest records as have `size_max` bytes, and those of the log's open batch."""

    def __init__(self, *, size_max: int, last_offset: Offset) -> None:
        self.open_records: Callable[[], Sequence[bytes]] = list
        """The records of the batch that is not closed yet: the log's, once there is one."""
        self._size_max: Final = size_max
        self._bodies: Final[list[bytes]] = []
        """Of closed batches, oldest first; empty where one was let go."""
        self._firsts: Final = array("Q")
        """Of each, the offset of its first record."""
        self._gone = 0
        self._next = last_offset + 1
        self._size = 0

    @property
    def first_offset(self) -> Offset:
        """Of the oldest record that is kept, or of the next one."""
        return Offset(self._firsts[self._gone] if self._gone < len(self._firsts) else self._next)

    @property
    def last_offset(self) -> Offset:
        """Of the newest record in a closed batch."""
        return Offset(self._next - 1)

    @property
    def room(self) -> int:
        """Bytes that may come before anything goes."""
        return max(self._size_max - self._size, 0)

    def add(self, first: Offset, body: bytes, count: int) -> None:
        """Keep a batch's body: it follows on what is kept, or nothing is. One without records is passed over."""
        if not count:
            return
        assert first == self._next or self._gone == len(self._bodies)
        self._firsts.append(first)
        self._bodies.append(body)
        self._next = first + count
        self._size = size = self._size + len(body) + BODY_OVERHEAD
        if size > self._size_max:
            self._let_go()

    def bodies(self) -> Iterator[tuple[Offset, bytes]]:
        """Each closed batch that is kept: its first offset and its body."""
        return ((Offset(self._firsts[place]), self._bodies[place]) for place in range(self._gone, len(self._bodies)))

    def since(self, first: Offset) -> Iterator[bytes] | None:
        """The records from an offset on, or None where they do not reach back to it, or it is past the next one.

        Take them before another record comes.
        """
        records = self.open_records()
        if first >= self._next:
            skipped = first - self._next
            return islice(iter(records), skipped, None) if skipped <= len(records) else None
        place = bisect_right(self._firsts, first, lo=self._gone) - 1
        if place < self._gone:
            return None
        bodies = islice(self._bodies, place, None)
        closed = chain.from_iterable(map(bytes, split_batch(body)) for body in bodies)
        return islice(chain(closed, records), first - self._firsts[place], None)

    def records(self, first: Offset, *, count_max: int, size_max: int) -> Sequence[bytes] | None:
        """Records from `first` on, in order: as many as both bounds allow, in count and bytes, but one at least.

        () where that offset is to come; None where they do not reach back to it.
        """
        if first < self.first_offset:
            return None
        found: list[bytes] = []
        size = 0
        for record in islice(self.since(first) or (), count_max):
            size += len(record)
            if found and size > size_max:
                break
            found.append(record)
        return found

    def _let_go(self) -> None:
        """Let the oldest go; their places are given up many at a time."""
        bodies, gone = self._bodies, self._gone
        while self._size > self._size_max:
            self._size -= len(bodies[gone]) + BODY_OVERHEAD
            bodies[gone] = b""
            gone += 1
        if gone > max(_GONE_MAX, len(bodies) // 2):
            del bodies[:gone], self._firsts[:gone]
            gone = 0
        self._gone = gone
