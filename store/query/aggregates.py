"""COUNT, SUM, MIN, MAX and AVG: what a group's rows come to.

Laws: NULL does not count. Types are PostgreSQL's: the sum of int4 is int8, of int8 numeric; an average of integers is
numeric. Of no rows the count is 0 and all else NULL.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from store.query.kinds import EXACT, Kind, fit_int, numeric
from store.query.numbers import divide_numerics, finite


class Accumulator(Protocol):
    """One aggregate of one group."""

    def add(self, value: Any) -> None:
        """Take in a value that is not NULL. Trouble where the sum has none."""
        ...

    def result(self) -> Any:
        """What the values came to."""
        ...


class _Count:
    """How many."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def add(self, _value: Any) -> None:
        self._count += 1

    def result(self) -> int:
        return self._count


class _Sum:
    """The sum, by an addition of its own."""

    __slots__ = ("_plus", "_sum")

    def __init__(self, plus: Callable[[Any, Any], Any]) -> None:
        self._plus = plus
        self._sum: Any = None

    def add(self, value: Any) -> None:
        self._sum = value if self._sum is None else self._plus(self._sum, value)

    def result(self) -> Any:
        return self._sum


class _Average:
    """The sum by the count, as numeric or as float."""

    __slots__ = ("_count", "_is_float", "_sum")

    def __init__(self, *, is_float: bool) -> None:
        self._is_float = is_float
        self._sum: Any = 0.0 if is_float else Decimal(0)
        self._count = 0

    def add(self, value: Any) -> None:
        self._count += 1
        self._sum = finite(self._sum + value) if self._is_float else EXACT.add(self._sum, value)

    def result(self) -> Any:
        if not self._count:
            return None
        return self._sum / self._count if self._is_float else divide_numerics(self._sum, Decimal(self._count))


class _Best:
    """The least or the greatest."""

    __slots__ = ("_best", "_choose")

    def __init__(self, choose: Callable[[Any, Any], Any]) -> None:
        self._choose = choose
        self._best: Any = None

    def add(self, value: Any) -> None:
        self._best = value if self._best is None else self._choose(self._best, value)

    def result(self) -> Any:
        return self._best


class Distinct:
    """Another accumulator, given each value once."""

    __slots__ = ("_inner", "_seen")

    def __init__(self, inner: Accumulator) -> None:
        self._inner = inner
        self._seen: set[Any] = set()

    def add(self, value: Any) -> None:
        """Take in a value, if it is new."""
        if value not in self._seen:
            self._seen.add(value)
            self._inner.add(value)

    def result(self) -> Any:
        """What the different values came to."""
        return self._inner.result()


class Made(NamedTuple):
    """An aggregate for values of one kind: what it gives, and how one group's is begun."""

    gives: Kind
    begin: Callable[[], Accumulator]


def _add_numeric(left: Any, right: Any) -> Decimal:
    return numeric(EXACT.add(left, right))


_ORDERED: Final = (Kind.INT4, Kind.INT8, Kind.NUMERIC, Kind.FLOAT8, Kind.TEXT, Kind.TIMESTAMPTZ)

_MADE: Final[dict[tuple[str, Kind], Made]] = {
    ("sum", Kind.INT4): Made(Kind.INT8, lambda: _Sum(lambda left, right: fit_int(Kind.INT8, left + right))),
    ("sum", Kind.INT8): Made(Kind.NUMERIC, lambda: _Sum(_add_numeric)),
    ("sum", Kind.NUMERIC): Made(Kind.NUMERIC, lambda: _Sum(_add_numeric)),
    ("sum", Kind.FLOAT8): Made(Kind.FLOAT8, lambda: _Sum(lambda left, right: finite(left + right))),
    **{("avg", kind): Made(Kind.NUMERIC, lambda: _Average(is_float=False)) for kind in _ORDERED[:3]},
    ("avg", Kind.FLOAT8): Made(Kind.FLOAT8, lambda: _Average(is_float=True)),
    **{("min", kind): Made(kind, lambda: _Best(min)) for kind in _ORDERED},
    **{("max", kind): Made(kind, lambda: _Best(max)) for kind in _ORDERED},
}


def aggregate(name: str, kind: Kind) -> Made | None:
    """The aggregate of that name for values of a kind, or None where PostgreSQL has none."""
    if name == "count":
        return Made(Kind.INT8, _Count)
    return _MADE.get((name, kind))


def as_summed(name: str, kind: Kind) -> Callable[[Any], Any] | None:
    """What brings a value to the type in which it is summed: integers become numerics."""
    return Decimal if (name in {"sum", "avg"} and kind is Kind.INT8) or (name, kind) == ("avg", Kind.INT4) else None
