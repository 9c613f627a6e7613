"""COUNT, SUM, MIN, MAX and AVG: what a group's rows come to.

Laws: NULL does not count. Types are PostgreSQL's: the sum of int4 is int8, of int8 numeric; an average of integers is
numeric. Of no rows the count is 0 and all else NULL. What values come to does not depend on their order: sums of floats
are exact, and rounded once (PostgreSQL rounds at each addition). So counts, sums and averages can also let a value go.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, Self

from store.query.problems import Trouble
from store.query.types.kinds import EXACT, Kind, fit_int, numeric
from store.query.types.numbers import divide_numerics


class Accumulator(Protocol):
    """One aggregate of one group."""

    def add(self, value: Any) -> None:
        """Take in a value that is not NULL."""
        ...

    def result(self) -> Any:
        """What the values come to. Trouble where that is no value of its type."""
        ...


class Retractable(Accumulator, Protocol):
    """An accumulator that a value can leave again."""

    def remove(self, value: Any) -> None:
        """Let a value go that was taken in."""
        ...

    def copy(self) -> Self:
        """Another one of the same values, which goes its own way. What it holds is not counted."""
        ...


class _Count:
    """How many."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def add(self, _value: Any) -> None:
        self._count += 1

    def remove(self, _value: Any) -> None:
        self._count -= 1

    def copy(self) -> "_Count":
        made = _Count()
        made._count = self._count
        return made

    def result(self) -> int:
        return self._count


class _Integers:
    """The sum of integers, whose type has a form for it."""

    __slots__ = ("_form", "_sum", "count")

    def __init__(self, form: Callable[[int], Any]) -> None:
        self._form = form
        self._sum = 0
        self.count = 0

    def add(self, value: int) -> None:
        self.count += 1
        self._sum += value

    def remove(self, value: int) -> None:
        self.count -= 1
        self._sum -= value

    def copy(self) -> "_Integers":
        made = _Integers(self._form)
        made._sum, made.count = self._sum, self.count
        return made

    def result(self) -> Any:
        return self._form(self._sum) if self.count else None


class _Numerics:
    """The sum of numerics, with as many digits behind the point as the one that has most."""

    __slots__ = ("_exponents", "_sum", "count")

    def __init__(self) -> None:
        self._sum = Decimal(0)
        self._exponents: dict[Any, int] = {}
        self.count = 0

    def add(self, value: Decimal) -> None:
        self.count += 1
        self._sum = EXACT.add(self._sum, value)
        exponent = value.as_tuple().exponent
        self._exponents[exponent] = self._exponents.get(exponent, 0) + 1

    def remove(self, value: Decimal) -> None:
        self.count -= 1
        self._sum = EXACT.subtract(self._sum, value)
        exponent = value.as_tuple().exponent
        left = self._exponents[exponent] = self._exponents[exponent] - 1
        if not left:
            del self._exponents[exponent]

    def copy(self) -> "_Numerics":
        made = _Numerics()
        made._sum, made.count, made._exponents = self._sum, self.count, dict(self._exponents)
        return made

    def result(self) -> Decimal | None:
        if not self.count:
            return None
        return numeric(EXACT.quantize(self._sum, Decimal(1).scaleb(min(self._exponents), EXACT)))


_FLOAT_SCALE: Final = 1074
"""Every finite float is a whole number of 2**-1074 (IEEE 754, binary64)."""
_MANTISSA_BITS: Final = 53


class _Floats:
    """The sum of floats: exact, and rounded once."""

    __slots__ = ("_sum", "count")

    def __init__(self) -> None:
        self._sum = 0
        self.count = 0

    def add(self, value: float) -> None:
        self.count += 1
        self._sum += _whole(value)

    def remove(self, value: float) -> None:
        self.count -= 1
        self._sum -= _whole(value)

    def copy(self) -> "_Floats":
        made = _Floats()
        made._sum, made.count = self._sum, self.count
        return made

    def result(self) -> float | None:
        if not self.count:
            return None
        try:
            return self._sum / (1 << _FLOAT_SCALE)
        except OverflowError:
            raise Trouble("value out of range: overflow") from None


def _whole(value: float) -> int:
    """A float in units of 2**-1074."""
    mantissa, exponent = math.frexp(value)
    shift = exponent - _MANTISSA_BITS + _FLOAT_SCALE
    digits = int(math.ldexp(mantissa, _MANTISSA_BITS))
    return digits << shift if shift >= 0 else digits >> -shift  # What is shifted out of a subnormal is zero.


class _Average:
    """A sum by its count."""

    __slots__ = ("_sum", "add", "remove")

    def __init__(self, of: Any) -> None:
        self._sum = of
        self.add = of.add
        self.remove = of.remove

    def copy(self) -> "_Average":
        return _Average(self._sum.copy())

    def result(self) -> Any:
        total, count = self._sum.result(), self._sum.count
        if total is None:
            return None
        return total / count if isinstance(total, float) else divide_numerics(total, Decimal(count))


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


def rank(value: Any) -> Any:
    """What of two values of one kind says which is less, also of numerics that are equal: that with more digits is."""
    return (value, value.as_tuple().exponent) if isinstance(value, Decimal) else value


class Distinct:
    """Another accumulator, given each value once; of equal numerics the one with most digits."""

    __slots__ = ("_count_forms", "_counts", "_inner", "_spend")

    def __init__(
        self, inner: Retractable, spend: Callable[[int], None], counts: "dict[Any, Any] | None" = None
    ) -> None:
        """`spend` is told how many values more are remembered, and may refuse. `counts` are of those it begins with."""
        self._inner: Final = inner
        self._counts: Final[dict[Any, Any]] = {} if counts is None else counts
        """How often each value came; of numerics, by exponent."""
        self._spend: Final = spend

    def add(self, value: Any) -> None:
        """Take in a value, if it is new."""
        if isinstance(value, Decimal):
            self._change_numeric(value, 1)
            return
        count = self._counts.get(value, 0)
        if not count:
            self._spend(1)
            self._inner.add(value)
        self._counts[value] = count + 1

    def remove(self, value: Any) -> None:
        """Let a value go, if it was the last of its kind."""
        if isinstance(value, Decimal):
            self._change_numeric(value, -1)
            return
        left = self._counts[value] = self._counts[value] - 1
        if not left:
            del self._counts[value]
            self._spend(-1)
            self._inner.remove(value)

    def copy(self) -> "Distinct":
        """Another one of the same values, which may be many: only those that change are written anew (Retractable)."""
        return Distinct(self._inner.copy(), boundless, _Layer(self._counts))

    def _change_numeric(self, value: Decimal, more: int) -> None:
        forms = self._counts.get(value)
        if forms is None:
            self._spend(1)
            forms = self._counts[value] = {}
        before = min(forms, default=None)
        exponent = value.as_tuple().exponent
        forms[exponent] = forms.get(exponent, 0) + more
        if not forms[exponent]:
            del forms[exponent]
        after = min(forms, default=None)
        if before == after:
            return
        if before is not None:
            self._inner.remove(EXACT.quantize(value, Decimal(1).scaleb(before, EXACT)))
        if after is not None:
            self._inner.add(EXACT.quantize(value, Decimal(1).scaleb(after, EXACT)))
        else:
            del self._counts[value]
            self._spend(-1)

    def result(self) -> Any:
        """What the different values come to."""
        return self._inner.result()


class _Layer(dict[Any, Any]):
    """Counts written above others, which stay as they are; None stands for one that went."""

    def __init__(self, below: dict[Any, Any]) -> None:
        self._below: Final = below

    def __missing__(self, value: Any) -> Any:
        found = self._below.get(value)
        made = self[value] = dict(found) if isinstance(found, dict) else found
        return made

    def get(self, value: Any, default: Any = None) -> Any:
        """As a dict's, through to those below."""
        found = self[value]
        return default if found is None else found

    def __delitem__(self, value: Any) -> None:
        self[value] = None


def boundless(_more: int) -> None:
    """For what is held a moment, or bounded otherwise."""


class Made(NamedTuple):
    """An aggregate for values of one kind: what it gives, and how one group's is begun."""

    gives: Kind
    begin: Callable[[], Accumulator]


_ORDERED: Final = (Kind.INT4, Kind.INT8, Kind.NUMERIC, Kind.FLOAT8, Kind.TEXT, Kind.TIMESTAMPTZ)


def _least(one: Any, other: Any) -> Any:
    return min(one, other, key=rank)


def _greatest(one: Any, other: Any) -> Any:
    return max(one, other, key=rank)


_MADE: Final[dict[tuple[str, Kind], Made]] = {
    ("sum", Kind.INT4): Made(Kind.INT8, lambda: _Integers(partial(fit_int, Kind.INT8))),
    ("sum", Kind.INT8): Made(Kind.NUMERIC, lambda: _Integers(Decimal)),
    ("sum", Kind.NUMERIC): Made(Kind.NUMERIC, _Numerics),
    ("sum", Kind.FLOAT8): Made(Kind.FLOAT8, _Floats),
    ("avg", Kind.INT4): Made(Kind.NUMERIC, lambda: _Average(_Integers(Decimal))),
    ("avg", Kind.INT8): Made(Kind.NUMERIC, lambda: _Average(_Integers(Decimal))),
    ("avg", Kind.NUMERIC): Made(Kind.NUMERIC, lambda: _Average(_Numerics())),
    ("avg", Kind.FLOAT8): Made(Kind.FLOAT8, lambda: _Average(_Floats())),
    **{("min", kind): Made(kind, lambda: _Best(min)) for kind in _ORDERED if kind is not Kind.NUMERIC},
    **{("max", kind): Made(kind, lambda: _Best(max)) for kind in _ORDERED if kind is not Kind.NUMERIC},
    ("min", Kind.NUMERIC): Made(Kind.NUMERIC, lambda: _Best(_least)),
    ("max", Kind.NUMERIC): Made(Kind.NUMERIC, lambda: _Best(_greatest)),
}


def aggregate(name: str, kind: Kind) -> Made | None:
    """The aggregate of that name for values of a kind, or None where PostgreSQL has none."""
    if name == "count":
        return Made(Kind.INT8, _Count)
    return _MADE.get((name, kind))
