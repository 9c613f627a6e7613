"""The newest records of the log, in RAM, for those who come back.

Laws: they are without a gap up to the last record. They are counted, measured and let go in pieces, not one by one: a
call pays for one append to a list. What is kept is bounded in bytes, and of what fits at most a piece goes too early.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from store.ids import Offset

PIECES: Final = 64
"""How many pieces make up what may be kept: the oldest records go by so much at a time."""


class Newest:
    """The records behind an offset, as many of the newest as have `size_max` bytes together."""

    def __init__(self, *, size_max: int, last_offset: Offset) -> None:
        self._size_max: Final = size_max
        self._piece_size: Final = max(size_max // PIECES, 1)
        self.open: list[bytes] = []
        """The piece that the next record is appended to, by whoever commits."""
        self._pieces: Final[list[list[bytes]]] = [self.open]
        """Oldest first; the open one is the last."""
        self._firsts: Final[list[Offset]] = [Offset(last_offset + 1)]
        """Of each piece, the offset that its first record has, or will have."""
        self._size = self._open_size = self._measured = 0

    def extend(self, records: Iterable[bytes]) -> None:
        """Add many, in order."""
        self.open.extend(records)
        self.settle()

    def settle(self) -> None:
        """Measure what came since the last time, and let the oldest go where it is too much."""
        new = self.open
        size = sum(map(len, islice(new, self._measured, None) if self._measured else new))
        self._measured = len(new)
        self._size += size
        self._open_size += size
        if self._open_size >= self._piece_size:
            self._close()
            if self._size > self._size_max:
                self._let_go()

    def since(self, first: Offset) -> Iterator[bytes] | None:
        """The records from an offset on, or None where they do not reach back to it, or it is to come.

        Take them before another record comes.
        """
        place = bisect_right(self._firsts, first) - 1
        skipped = first - self._firsts[place]
        if place < 0 or skipped > len(self._pieces[place]):
            return None
        return islice(chain.from_iterable(self._pieces[place:]), skipped, None)

    def records(self, first: Offset, *, count_max: int, size_max: int) -> Sequence[bytes] | None:
        """Records from `first` on, in order: as many as both bounds allow, in count and bytes, but one at least.

        () where that offset is to come; None where they do not reach back to it.
        """
        if first < self._firsts[0]:
            return None
        found: list[bytes] = []
        size = 0
        for record in islice(self.since(first) or (), count_max):
            size += len(record)
            if found and size > size_max:
                break
            found.append(record)
        return found

    def _close(self) -> None:
        """Begin another piece; what is far larger than one becomes several."""
        records, first = self._pieces.pop(), self._firsts.pop()
        self.open = []
        large = self._open_size > 2 * self._piece_size
        for piece in (*(_cut(records, self._piece_size) if large else [records]), self.open):
            self._pieces.append(piece)
            self._firsts.append(first)
            first = Offset(first + len(piece))
        self._open_size = self._measured = 0

    def _let_go(self) -> None:
        gone = 0
        while self._size > self._size_max:
            self._size -= sum(map(len, self._pieces[gone]))
            gone += 1
        del self._pieces[:gone], self._firsts[:gone]


def _cut(records: list[bytes], size_max: int) -> list[list[bytes]]:
    """Records in pieces that end where they have so many bytes."""
    pieces: list[list[bytes]] = [[]]
    size = 0
    for record in records:
        if size >= size_max:
            pieces.append([])
            size = 0
        pieces[-1].append(record)
        size += len(record)
    return pieces
