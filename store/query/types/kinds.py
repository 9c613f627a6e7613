"""The types of values in a query, which column types they stand for, and how each looks as text.

Laws: the names and rules are PostgreSQL's: an integer literal is int4 where it fits, else int8, else numeric; the text
of a value is what PostgreSQL's cast to text says, times in UTC. JSON's null is a value, SQL's NULL is None.
"""

import decimal
import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from store.ids import INT_MAX, INT_MIN
from store.query.problems import Trouble
from store.values import DECIMAL_DIGITS_MAX, Json

EXACT: Final = decimal.Context(
    prec=20_000, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, rounding=decimal.ROUND_HALF_UP
)
"""Enough digits for any operation on numerics as large as they may be: nothing is rounded but where it is said."""
INT4_MIN: Final = -(2**31)
INT4_MAX: Final = 2**31 - 1


class Kind(StrEnum):
    """The type of a value."""

    BOOL = "bool"
    INT4 = "int4"
    INT8 = "int8"
    NUMERIC = "numeric"
    FLOAT8 = "float8"
    TEXT = "text"
    BYTEA = "bytea"
    TIMESTAMPTZ = "timestamptz"
    UUID = "uuid"
    JSONB = "jsonb"
    ARRAY = "array"
    """A column of tuples: it can be read and tested for NULL, no more."""
    UNKNOWN = "unknown"
    """A literal's or parameter's, until its place in the query decides."""


NUMBERS: Final = (Kind.INT4, Kind.INT8, Kind.NUMERIC, Kind.FLOAT8)
"""The types of numbers: of two that meet, the later one decides."""

_OF_COLUMN: Final = {
    "bool": Kind.BOOL,
    "int": Kind.INT8,
    "float": Kind.FLOAT8,
    "str": Kind.TEXT,
    "bytes": Kind.BYTEA,
    "timestamp": Kind.TIMESTAMPTZ,
    "decimal": Kind.NUMERIC,
    "uuid": Kind.UUID,
    "json": Kind.JSONB,
}
COLUMN_TYPES: Final = {**{kind: name for name, kind in _OF_COLUMN.items()}, Kind.INT4: "int"}
"""The column type that a value of a kind is told as."""


def kind_of_column(type_name: str) -> Kind:
    """The kind of a column's values."""
    return _OF_COLUMN.get(type_name, Kind.ARRAY)


def kind_of_value(value: Any) -> Kind:
    """The kind of a parameter whose place does not say."""
    for known, kind in _OF_PYTHON:
        if isinstance(value, known):
            return kind
    return Kind.TEXT


class Document:
    """A JSON value in a query: plain Python with Decimals for numbers, compared as PostgreSQL compares jsonb."""

    __slots__ = ("_form", "value")

    def __init__(self, value: Any) -> None:
        self.value: Final = value
        self._form: Any = None

    @classmethod
    def parse(cls, text: str) -> "Document":
        """Read JSON text. ValueError where it is none."""
        number = _unsigned if "-0" in text else Decimal
        return cls(json.loads(text, parse_int=number, parse_float=number, parse_constant=_no_constant))

    @property
    def form(self) -> Any:
        """What is equal exactly where documents are."""
        if self._form is None:
            self._form = _form(self.value)
        return self._form

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Document) and bool(self.form == other.form)

    def __hash__(self) -> int:
        return hash(self.form)

    def json(self) -> Json:
        """The document as a column would hold it."""
        return Json.parse(document_text(self.value))


def _unsigned(text: str) -> Decimal:
    """A number of which zero has no sign."""
    made = Decimal(text)
    return made or made.copy_abs()


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return ("object", frozenset((name, _form(each)) for name, each in value.items()))
    if isinstance(value, list):
        return ("array", tuple(_form(each) for each in value))
    return (type(value).__name__, value)


_OF_PYTHON: Final[tuple[tuple[type, Kind], ...]] = (
    (bool, Kind.BOOL),
    (int, Kind.INT8),
    (float, Kind.FLOAT8),
    (Decimal, Kind.NUMERIC),
    (str, Kind.TEXT),
    (bytes, Kind.BYTEA),
    (datetime, Kind.TIMESTAMPTZ),
    (UUID, Kind.UUID),
    (Json, Kind.JSONB),
)


def fit_int(kind: Kind, value: int) -> int:
    """An integer within its type. Trouble where it is out of range."""
    if kind is Kind.INT4:
        if not INT4_MIN <= value <= INT4_MAX:
            raise Trouble("integer out of range")
    elif not INT_MIN <= value <= INT_MAX:
        raise Trouble("bigint out of range")
    return value


def numeric(value: Decimal) -> Decimal:
    """A numeric as PostgreSQL keeps it: with a scale, never a positive exponent. Trouble where it is too large."""
    if abs(value.adjusted()) > 4 * DECIMAL_DIGITS_MAX:
        raise Trouble("value overflows numeric format")
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int), value  # Finite.
    return value if exponent <= 0 else EXACT.quantize(value, Decimal(1))


# Text.


def text_of(kind: Kind, value: Any) -> str:  # noqa: PLR0911  # A line a type reads best.
    """A value as its cast to text says it."""
    if kind is Kind.TEXT:
        return str(value)
    if kind is Kind.BOOL:
        return "true" if value else "false"
    if kind is Kind.FLOAT8:
        return float_text(value)
    if kind is Kind.NUMERIC:
        return f"{numeric(value):f}"
    if kind is Kind.BYTEA:
        return f"\\x{value.hex()}"
    if kind is Kind.TIMESTAMPTZ:
        return timestamp_text(value)
    if kind is Kind.JSONB:
        return document_text(value.value)
    return str(value)


def float_text(value: float) -> str:
    """The shortest digits that read back as this float, as PostgreSQL writes them."""
    sign, digits, exponent = _shortest(value).as_tuple()
    assert isinstance(exponent, int)
    said = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + exponent  # Digits before the decimal point.
    if said == "0":
        return "-0" if sign else "0"
    if not -4 < point <= 15:
        mantissa = said[0] + ("." + said[1:] if len(said) > 1 else "")
        text = f"{mantissa}e{'-' if point < 1 else '+'}{abs(point - 1):02d}"
    elif point <= 0:
        text = "0." + "0" * -point + said
    elif len(said) <= point:
        text = said + "0" * (point - len(said))
    else:
        text = said[:point] + "." + said[point:]
    return "-" + text if sign else text


def _shortest(value: float) -> Decimal:
    """As repr, but never halfway to the next float: there Python rounds to even, PostgreSQL takes another digit."""
    said = Decimal(repr(value))
    if abs(value) < _HALVES_FROM:
        return said
    neighbours = [each for to in (-math.inf, math.inf) if math.isfinite(each := math.nextafter(value, to))]
    for digits in range(len(said.as_tuple().digits), 18):
        if all(2 * int(said) != int(value) + int(each) for each in neighbours):
            break
        said = Decimal(f"{value:.{digits}g}")
    return said


_HALVES_FROM: Final = 2.0**53
"""From here on what lies halfway between two floats has few digits."""


def timestamp_text(value: datetime) -> str:
    """A moment in UTC, as PostgreSQL writes it there."""
    moment = value.astimezone(UTC)
    text = f"{moment.year:04d}-{moment:%m-%d %H:%M:%S}"
    if moment.microsecond:
        text += f".{moment.microsecond:06d}".rstrip("0")
    return text + "+00"


def document_text(value: Any) -> str:
    """A JSON value as jsonb is written: keys by length, then by bytes; numbers with their scale."""
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: (len(pair[0].encode()), pair[0].encode()))
        return "{" + ", ".join(f"{_quote(name)}: {document_text(each)}" for name, each in pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(document_text, value)) + "]"
    if isinstance(value, Decimal):
        return f"{numeric(value):f}"
    return _quote(value)


def _quote(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
