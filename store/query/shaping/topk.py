"""The first rows of an order, kept current: ORDER BY … LIMIT k OFFSET m.

Laws: the window holds every row that comes before its bound, so as long as it reaches to m + k rows the result is
known. Beyond them it holds some to spare, for those that leave; what comes behind its bound costs a comparison. Where
too many left, the window is filled anew.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

from store.ids import Key
from store.query.shaping.ordering import Rank
from store.query.shaping.results import NOTHING, Forgotten, Move, ResultChange, Share, Source

SPARE_ROWS: Final = 1_024
"""Rows held behind the last that is shown when a window was filled, and up to twice as many: so many may leave it
before it is filled anew, which takes about a microsecond for each row of the table."""

LOW_ROWS: Final = SPARE_ROWS // 4
"""Rows to spare below which another window is made, a little at a time."""


class _Window:
    """The rows before a bound, in order."""

    __slots__ = ("_keep", "bound", "held", "ranks", "share")

    def __init__(self, wanted: int, share: Share) -> None:
        self._keep: Final = wanted + SPARE_ROWS
        self.share: Final = share
        self.ranks: Final[list[Rank]] = []
        self.held: Final[dict[Key, tuple[Rank, bytes]]] = {}
        self.bound: Rank | None = None
        """The first rank that is not held; None where all are."""

    def is_before_bound(self, rank: Rank) -> bool:
        """Whether a row of that rank is held."""
        return self.bound is None or rank < self.bound

    def put(self, rank: Rank, key: Key, data: bytes) -> None:
        """Hold a row that is new, before the bound."""
        self.share.spend(1)
        insort(self.ranks, rank)
        self.held[key] = rank, data
        if len(self.ranks) > self._keep + SPARE_ROWS:
            gone = self.ranks[self._keep :]
            del self.ranks[self._keep :]
            self.bound = gone[0]
            for each in gone:
                del self.held[each[-1]]
            self.share.spend(-len(gone))

    def drop(self, key: Key) -> bool:
        """Let a row go; whether it was held."""
        found = self.held.pop(key, None)
        if found is None:
            return False
        del self.ranks[bisect_left(self.ranks, found[0])]
        self.share.spend(-1)
        return True

    def part(self, first: int, last: int) -> dict[Key, bytes]:
        """The rows at some places, in order."""
        held = self.held
        return {rank[-1]: held[rank[-1]][1] for rank in self.ranks[max(first, 0) : max(last, 0)]}


class TopK:
    """Some rows behind the first, of all that are below (Result)."""

    def __init__(
        self,
        rank: Callable[[Any, Key], Rank],
        project: Callable[[Any, bytes], bytes],
        share: Share,
        *,
        limit: int,
        offset: int,
    ) -> None:
        """`project` makes what is told of a row and its bytes."""
        self._rank: Final = rank
        self._project: Final = project
        self._share: Final = share
        self._first: Final = offset
        self._last: Final = offset + limit
        self._window = _Window(self._last, share)
        self._shown: dict[Key, bytes] | None = None
        """What was told; None before that."""

    @property
    def is_low(self) -> bool:
        """Whether most of what is to spare has left (Result)."""
        window = self._window
        return window.bound is not None and len(window.ranks) < self._last + LOW_ROWS

    def image(self, row: Any, data: bytes) -> tuple[Any, bytes]:
        """The row itself (Result): only of what is near is anything computed."""
        return row, data

    def take(self, images: Iterable[tuple[Key, Any]]) -> None:
        """Take in rows at the beginning (Result)."""
        for key, (row, data) in images:
            self._put(key, row, data)

    def prepare(self, _count: int) -> bool:
        """Nothing (Result): rows are made as they are taken in."""
        return False

    def rows(self, source: Source) -> list[bytes]:
        """The rows in order (Result)."""
        if self._shown is None:
            if self._is_short:
                self._fill(source)
            self._shown = self._window.part(self._first, self._last)
        return list(self._window.part(self._first, self._last).values())

    @property
    def _is_short(self) -> bool:
        return self._window.bound is not None and len(self._window.ranks) < self._last

    def apply(self, moves: Sequence[Move], source: Source) -> ResultChange:
        """Take in what changed below (Result)."""
        touched = [each[0] for each in moves if self._move(*each)]
        shown, first, last, count = self._shown, self._first, self._last, len(touched)
        if shown is None or not count:
            return NOTHING
        if self._is_short:
            self._fill(source)
            count = last
        window = self._window
        if count <= SPARE_ROWS and 4 * count < last - first:  # So what they pushed out is held behind the last.
            outside = [*window.part(first - count, first), *window.part(last, last + count)]
            return self._tell(shown, self._near(touched), [*touched, *outside])
        return self._tell(shown, self._window.part(first, last), list(shown))

    def missed(self, moves: Sequence[Move]) -> ResultChange:
        """What is shown now beside the first of the rows as they were (Result).

        Those are the rows of the window without the keys that moved, and what these were. Forgotten: more came before
        the bound meanwhile than there was to spare, so rows behind it were shown.
        """
        window, moved = self._window, {key for key, _, _ in moves}
        images = {key: before for key, before, _ in moves if before is not None}
        ranks = [rank for key, (row, _) in images.items() if window.is_before_bound(rank := self._rank(row, key))]
        ranks += islice((each for each in window.ranks if each[-1] not in moved), self._last)
        if window.bound is not None and len(ranks) < self._last:
            raise Forgotten(
                f"more rows came to the top meanwhile than the {len(window.ranks) - self._last} that are held to spare"
            )
        ranks.sort()
        shown = {
            rank[-1]: self._project(*images[rank[-1]]) if rank[-1] in images else window.held[rank[-1]][1]
            for rank in ranks[self._first : self._last]
        }
        return self._tell(shown, window.part(self._first, self._last), list(shown))

    def close(self) -> None:
        """Give back the room (Result)."""
        self._share.close()

    def _move(self, key: Key, before: Any, after: tuple[Any, bytes] | None) -> bool:
        """Take in one change; whether the window knows of it."""
        was_held = before is not None and self._window.drop(key)
        return (after is not None and self._put(key, *after)) or was_held

    def _put(self, key: Key, row: Any, data: bytes) -> bool:
        rank = self._rank(row, key)
        if not self._window.is_before_bound(rank):
            return False
        self._window.put(rank, key, self._project(row, data))
        return True

    def _fill(self, source: Source) -> None:
        """Begin anew with all rows that there are."""
        self._share.spend(-len(self._window.ranks))
        self._window = _Window(self._last, self._share)
        self.take(source())

    def _near(self, touched: Sequence[Key]) -> dict[Key, bytes]:
        """The rows shown now that may not have been: those touched, and as many at both ends."""
        window, first, last, count = self._window, self._first, self._last, len(touched)
        found = window.part(first, min(first + count, last))
        found.update(window.part(max(last - count, first), last))
        for key in touched:
            held = window.held.get(key)
            if held is not None and first <= bisect_left(window.ranks, held[0]) < last:
                found[key] = held[1]
        return found

    @staticmethod
    def _tell(shown: dict[Key, bytes], found: dict[Key, bytes], others: Iterable[Key]) -> ResultChange:
        """Compare what was shown with what is: `found` holds all that may be new, `others` what may have left."""
        keys = [key for key in dict.fromkeys(others) if key in shown and key not in found]
        rows = [(key, data) for key, data in found.items() if shown.get(key) != data]
        for key in keys:
            del shown[key]
        shown.update(rows)
        return ResultChange([data for _, data in rows], keys) if rows or keys else NOTHING
