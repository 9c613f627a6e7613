"""Arithmetic as PostgreSQL does it: integers overflow, numerics have a scale, floats are finite.

Laws: an operation of values that are not NULL either gives a value of its type or is a Trouble. The scale of a numeric
quotient follows select_div_scale (numeric.c).
"""

import decimal
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from store.query.problems import Trouble
from store.query.types.kinds import EXACT, Kind, fit_int, numeric

_SCALE_MAX: Final = 1_000
_DIGITS_MIN: Final = 16
_GROUP: Final = 4
"""PostgreSQL keeps a numeric in groups of so many digits."""

Operation = Callable[[Any, Any], Any]


def arithmetic(name: str, kind: Kind) -> Operation:
    """The operation of that sign for two values of one kind."""
    if kind is Kind.FLOAT8:
        return _FLOATS[name]
    if kind is Kind.NUMERIC:
        return _NUMERICS[name]
    made = _INTEGERS[name]
    return lambda left, right: fit_int(kind, made(left, right))


def _divide(left: int, right: int) -> int:
    if right == 0:
        raise Trouble("division by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _modulo(left: int, right: int) -> int:
    return left - right * _divide(left, right)


_INTEGERS: Final[dict[str, Callable[[int, int], int]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divide,
    "%": _modulo,
}


def _scale(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def _multiply(left: Decimal, right: Decimal) -> Decimal:
    return _unsigned(numeric(EXACT.multiply(left, right)))


def divide_numerics(left: Decimal, right: Decimal) -> Decimal:
    """A quotient with PostgreSQL's scale, rounded half away from zero. Trouble where the divisor is zero."""
    if right == 0:
        raise Trouble("division by zero")
    (weight, first), (its_weight, its_first) = _first_group(left), _first_group(right)
    weight -= its_weight
    if first <= its_first:
        weight -= 1
    scale = max(_DIGITS_MIN - weight * _GROUP, _scale(left), _scale(right), 0)
    return rounded(EXACT.divide(left, right), min(scale, _SCALE_MAX))


def _first_group(value: Decimal) -> tuple[int, int]:
    """The weight of a numeric's first group of digits that is not zero, and that group."""
    if value == 0:
        return 0, 0
    weight = value.adjusted() // _GROUP
    return weight, int(EXACT.scaleb(abs(value), -weight * _GROUP))


def _modulo_numeric(left: Decimal, right: Decimal) -> Decimal:
    if right == 0:
        raise Trouble("division by zero")
    scale = max(_scale(left), _scale(right))
    return _unsigned(numeric(EXACT.quantize(EXACT.remainder(left, right), Decimal(1).scaleb(-scale))))


_NUMERICS: Final[dict[str, Operation]] = {
    "+": lambda left, right: numeric(EXACT.add(left, right)),
    "-": lambda left, right: numeric(EXACT.subtract(left, right)),
    "*": _multiply,
    "/": divide_numerics,
    "%": _modulo_numeric,
}


def rounded(value: Decimal, digits: int) -> Decimal:
    """A numeric with so many digits behind the point, rounded half away from zero; none are behind it for less."""
    made = EXACT.quantize(value, Decimal(1).scaleb(-digits))
    return _unsigned(made if digits >= 0 else EXACT.quantize(made, Decimal(1)))


def truncated(value: Decimal, digits: int) -> Decimal:
    """As rounded, but towards zero."""
    made = value.quantize(Decimal(1).scaleb(-digits), rounding=decimal.ROUND_DOWN, context=EXACT)
    return _unsigned(made if digits >= 0 else EXACT.quantize(made, Decimal(1)))


def whole(value: Decimal, rounding: str) -> Decimal:
    """A numeric without digits behind the point."""
    return _unsigned(value.quantize(Decimal(1), rounding=rounding, context=EXACT))


def _unsigned(value: Decimal) -> Decimal:
    """A numeric zero has no sign."""
    return abs(value) if value == 0 else value


def negative(kind: Kind, value: Any) -> Any:
    """The value with the other sign."""
    if kind is Kind.NUMERIC:
        return _unsigned(EXACT.minus(value)) if value else value
    return -value if kind is Kind.FLOAT8 else fit_int(kind, -value)


def absolute(kind: Kind, value: Any) -> Any:
    """The value without its sign."""
    if kind is Kind.NUMERIC:
        return value.copy_abs()
    return abs(value) if kind is Kind.FLOAT8 else fit_int(kind, abs(value))


def finite(value: float) -> float:
    """A float within its range."""
    if not math.isfinite(value):
        raise Trouble("value out of range: overflow")
    return value


def _multiply_floats(left: float, right: float) -> float:
    made = finite(left * right)
    if made == 0 and left != 0 and right != 0:
        raise Trouble("value out of range: underflow")
    return made


def _divide_floats(left: float, right: float) -> float:
    if right == 0:
        raise Trouble("division by zero")
    made = finite(left / right)
    if made == 0 and left != 0:
        raise Trouble("value out of range: underflow")
    return made


_FLOATS: Final[dict[str, Operation]] = {
    "+": lambda left, right: finite(left + right),
    "-": lambda left, right: finite(left - right),
    "*": _multiply_floats,
    "/": _divide_floats,
}
