"""The functions and operators by their types: which there are, what they take, what they give.

Laws: a name and its argument types find one signature, as in PostgreSQL; a number may be taken for one of a later type,
nothing else is converted unasked.
"""

import decimal
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, NamedTuple

from store.query.types import documents, numbers, texts
from store.query.types.kinds import NUMBERS, Kind, fit_int, text_of

_T, _B, _I, _J = Kind.TEXT, Kind.BYTEA, Kind.INT4, Kind.JSONB


class Signature(NamedTuple):
    """One function: its arguments' kinds, its result's, and what computes it."""

    takes: tuple[Kind, ...]
    gives: Kind
    function: Callable[..., Any]


def _numeric_signatures(function: Callable[[Kind, Any], Any], kinds: Sequence[Kind]) -> list[Signature]:
    return [Signature((kind,), kind, partial(function, kind)) for kind in kinds]


def _round_float(value: float) -> float:
    return math.copysign(round(value), value)  # Half to even, as rint.


def _to_whole(rounding: str) -> Callable[[Decimal], Decimal]:
    return lambda value: numbers.whole(value, rounding)


def _floored(rounding: str) -> Callable[[float], float]:
    """A float's whole part, one way or the other; large floats have no other."""
    return lambda value: float(Decimal(value).to_integral_value(rounding))


def _sign(value: Any) -> Any:
    return type(value)((value > 0) - (value < 0))


def _modulo(kind: Kind) -> Signature:
    return Signature((kind, kind), kind, numbers.arithmetic("%", kind))


def _trims(*, start: bool = False, end: bool = False) -> list[Signature]:
    function = partial(texts.trim, start=start, end=end)
    return [Signature((_T,), _T, function), Signature((_T, _T), _T, function)]


_F, _N = Kind.FLOAT8, Kind.NUMERIC

SIGNATURES: Final[dict[str, list[Signature]]] = {
    "lower": [Signature((_T,), _T, texts.lower)],
    "upper": [Signature((_T,), _T, texts.upper)],
    "length": [Signature((_T,), _I, len), Signature((_B,), _I, len)],
    "char_length": [Signature((_T,), _I, len)],
    "character_length": [Signature((_T,), _I, len)],
    "octet_length": [Signature((_T,), _I, lambda text: len(text.encode())), Signature((_B,), _I, len)],
    "btrim": _trims(start=True, end=True),
    "ltrim": _trims(start=True),
    "rtrim": _trims(end=True),
    "substr": [Signature((_T, _I), _T, texts.substring), Signature((_T, _I, _I), _T, texts.substring)],
    "strpos": [Signature((_T, _T), _I, lambda text, part: text.find(part) + 1)],
    "replace": [Signature((_T, _T, _T), _T, texts.replace)],
    "left": [Signature((_T, _I), _T, texts.left)],
    "right": [Signature((_T, _I), _T, texts.right)],
    "reverse": [Signature((_T,), _T, lambda text: text[::-1])],
    "starts_with": [Signature((_T, _T), Kind.BOOL, str.startswith)],
    "abs": _numeric_signatures(numbers.absolute, NUMBERS),
    "negative": _numeric_signatures(numbers.negative, NUMBERS),
    "mod": [_modulo(kind) for kind in NUMBERS[:3]],
    "round": [
        Signature((_F,), _F, _round_float),
        Signature((_N,), _N, lambda value: numbers.rounded(value, 0)),
        Signature((_N, _I), _N, lambda value, digits: numbers.rounded(value, _digits(digits))),
    ],
    "trunc": [
        Signature((_F,), _F, _floored(decimal.ROUND_DOWN)),
        Signature((_N,), _N, lambda value: numbers.truncated(value, 0)),
        Signature((_N, _I), _N, lambda value, digits: numbers.truncated(value, _digits(digits))),
    ],
    "ceil": [
        Signature((_F,), _F, _floored(decimal.ROUND_CEILING)),
        Signature((_N,), _N, _to_whole(decimal.ROUND_CEILING)),
    ],
    "floor": [
        Signature((_F,), _F, _floored(decimal.ROUND_FLOOR)),
        Signature((_N,), _N, _to_whole(decimal.ROUND_FLOOR)),
    ],
    "sign": [Signature((_F,), _F, _sign), Signature((_N,), _N, _sign)],
    "->": [Signature((_J, _T), _J, documents.get), Signature((_J, _I), _J, documents.get)],
    "->>": [Signature((_J, _T), _T, documents.get_text), Signature((_J, _I), _T, documents.get_text)],
    "@>": [Signature((_J, _J), Kind.BOOL, documents.contains)],
    "<@": [Signature((_J, _J), Kind.BOOL, lambda part, whole: documents.contains(whole, part))],
    "?": [Signature((_J, _T), Kind.BOOL, documents.has_key)],
}
"""By name; where several fit, the first that needs no conversion, else the first whose numbers are of a later type."""
SIGNATURES["ceiling"] = SIGNATURES["ceil"]


def _digits(count: int) -> int:
    """A scale that has any effect."""
    return min(max(fit_int(Kind.INT8, count), -2_000), 2_000)


def find(name: str, kinds: Sequence[Kind]) -> Signature | None:
    """The signature for arguments of these kinds; what is unknown fits anywhere, text best."""
    fitting = [
        each for each in SIGNATURES[name] if len(each.takes) == len(kinds) and all(map(_fits, kinds, each.takes))
    ]
    return max(fitting, key=lambda each: _closeness(kinds, each.takes), default=None)


def _fits(have: Kind, want: Kind) -> bool:
    if have is want or have is Kind.UNKNOWN:
        return True
    return have in NUMBERS and want in NUMBERS and NUMBERS.index(have) <= NUMBERS.index(want)


def _closeness(kinds: Sequence[Kind], takes: Sequence[Kind]) -> tuple[int, int]:
    exact = sum(have is want for have, want in zip(kinds, takes, strict=True))
    preferred = sum(want in {Kind.TEXT, Kind.FLOAT8} for want in takes)
    return exact, preferred


def said_in_concat(kind: Kind, value: Any) -> str:
    """A value as CONCAT shows it: a boolean by its letter."""
    return ("t" if value else "f") if kind is Kind.BOOL else text_of(kind, value)
