"""MIN and MAX of values that come and go: the best of them are held in order, the others are counted.

Laws: what is held is every value up to a bound, so the best is known as long as one is held. Where the last held value
went and others are there, they are to be counted again: Exhausted. So memory does not follow the number of values.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any, Final

from store.query.shaping.aggregates import boundless, rank

HELD_MAX: Final = 64
"""Different values held before the worse half is let go: so many bests may go before all are counted again."""

LOW_VALUES: Final = HELD_MAX // 4
"""Values held below which another result is made, a little at a time."""


class Exhausted(Exception):  # It is no error: whoever keeps the values counts them again.
    """Which value is the best is not known any more."""


class Ranked:
    """The least or the greatest of one group's values (Retractable)."""

    __slots__ = ("_bound", "_count", "_counts", "_greatest", "_held", "_spend")

    def __init__(self, spend: Callable[[int], None], *, greatest: bool) -> None:
        """`spend` is told how many values more are held, and may refuse."""
        self._greatest: Final = greatest
        self._spend: Final = spend
        self._held: list[Any] = []
        """Ranks of the values held, rising."""
        self._counts: Final[dict[Any, int]] = {}
        """How often each of them is there."""
        self._bound: Any = None
        """The best rank that is not held; None where all are."""
        self._count = 0

    @property
    def is_low(self) -> bool:
        """Whether most of what was held is gone, and others are there: it is time to count again."""
        return self._bound is not None and len(self._held) < LOW_VALUES

    def add(self, value: Any) -> None:
        """Take in a value that is not NULL."""
        self._count += 1
        place = rank(value)
        if not self._is_held(place):
            return
        known = self._counts.get(place, 0)
        self._counts[place] = known + 1
        if known:
            return
        self._spend(1)
        insort(self._held, place)
        if len(self._held) > HELD_MAX:
            self._trim()

    def remove(self, value: Any) -> None:
        """Let a value go that was taken in."""
        self._count -= 1
        place = rank(value)
        if not self._is_held(place):
            return
        left = self._counts[place] = self._counts[place] - 1
        if not left:
            del self._counts[place]
            del self._held[bisect_left(self._held, place)]
            self._spend(-1)

    def copy(self) -> "Ranked":
        """Another one of the same values, which goes its own way (Retractable)."""
        made = Ranked(boundless, greatest=self._greatest)
        made._held, made._bound, made._count = list(self._held), self._bound, self._count
        made._counts.update(self._counts)
        return made

    def result(self) -> Any:
        """The best value, None where there is none. Exhausted where it is not known."""
        if self._held:
            place = self._held[-1 if self._greatest else 0]
            return place[0] if isinstance(place, tuple) else place
        if self._count:
            raise Exhausted
        return None

    def _is_held(self, place: Any) -> bool:
        """Whether a value of that rank is held where it is there."""
        if self._bound is None:
            return True
        return bool(place > self._bound if self._greatest else place < self._bound)

    def _trim(self) -> None:
        """Let the worse half go."""
        half = len(self._held) // 2
        if self._greatest:
            gone, self._held = self._held[:half], self._held[half:]
            self._bound = gone[-1]
        else:
            self._held, gone = self._held[:half], self._held[half:]
            self._bound = gone[0]
        for place in gone:
            del self._counts[place]
        self._spend(-len(gone))
