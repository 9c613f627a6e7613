"""From one type to another: what is cast, what is converted unasked, and how literals and parameters are read.

Laws: a literal's text is read as PostgreSQL reads it; a moment without a time zone, which would depend on a session's
setting, is refused. A parameter may come in the form of either subprotocol: bytes as base64, moments as RFC 3339,
integers as decimal text.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from store.ids import INT_MAX, INT_MIN
from store.query.problems import Trouble
from store.query.syntax.lexing import INTEGER
from store.query.types.kinds import COLUMN_TYPES, NUMBERS, Document, Kind, fit_int, numeric, text_of
from store.query.types.numbers import rounded
from store.values import DECIMAL_DIGITS_MAX, ColumnType, constrain

Cast = Callable[[Any], Any]


def widening(have: Kind, want: Kind) -> Cast | None:
    """How a number becomes one of a later type, unasked; None where it stays as it is."""
    assert NUMBERS.index(have) <= NUMBERS.index(want)
    if have is want or want is Kind.INT8:
        return None
    return Decimal if want is Kind.NUMERIC else to_float


def to_float(value: Any) -> float:
    """A number as a float. Trouble where it has none."""
    try:
        made = float(value)
    except OverflowError:
        made = float("inf")
    if made in {float("inf"), float("-inf")} or (made == 0 and isinstance(value, Decimal) and value):
        raise Trouble("value out of range for type double precision")
    return made


def cast(have: Kind, want: Kind) -> Cast | None:
    """How `CAST(have AS want)` is done, or None where PostgreSQL has no such cast."""
    if have is want:
        return lambda value: value
    if want is Kind.TEXT and have is not Kind.ARRAY:
        return lambda value: text_of(have, value)
    if have is Kind.TEXT:
        return READERS[want]
    if have in NUMBERS and want in NUMBERS:
        return _between_numbers(have, want)
    return _OTHERS.get((have, want))


def _between_numbers(have: Kind, want: Kind) -> Cast:
    if want is Kind.FLOAT8:
        return to_float
    if want is Kind.NUMERIC:
        return _float_to_numeric if have is Kind.FLOAT8 else Decimal
    if have is Kind.FLOAT8:
        return lambda value: fit_int(want, round(value))
    if have is Kind.NUMERIC:
        return lambda value: fit_int(want, int(rounded(value, 0)))
    return lambda value: fit_int(want, value)


def _float_to_numeric(value: float) -> Decimal:
    """As many digits as a float is sure of: 15."""
    said = Decimal(f"{value:.15g}")
    return Decimal(0) if said == 0 else numeric(said)


def _document_to(kind: Kind) -> Cast:
    """JSON's numbers and booleans as SQL's; other values are a Trouble."""

    def convert(document: Document) -> Any:
        value = document.value
        if kind is Kind.BOOL:
            if isinstance(value, bool):
                return value
        elif isinstance(value, Decimal):
            made = cast(Kind.NUMERIC, kind)
            assert made is not None
            return made(numeric(value))
        raise Trouble(f"a jsonb {_json_type(value)} cannot be cast to {kind}")

    return convert


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", str: "string", dict: "object", list: "array"}
    return names.get(type(value), "numeric")


_OTHERS: Final[dict[tuple[Kind, Kind], Cast]] = {
    (Kind.BOOL, Kind.INT4): int,
    (Kind.INT4, Kind.BOOL): bool,
    **{(Kind.JSONB, kind): _document_to(kind) for kind in (Kind.BOOL, *NUMBERS)},
}


# Reading text.

_SPACE: Final = " \t\n\r\v\f"
_WORDS: Final = {
    **{"true"[:length]: True for length in range(1, 5)},
    **{"yes"[:length]: True for length in range(1, 4)},
    **{"false"[:length]: False for length in range(1, 6)},
    **{"no"[:length]: False for length in range(1, 3)},
    "on": True,
    "1": True,
    "off": False,
    "of": False,
    "0": False,
}


def _read_bool(text: str) -> bool:
    value = _WORDS.get(text.strip(_SPACE).lower())
    if value is None:
        raise Trouble(f"invalid input syntax for type boolean: {text!a:.60}")
    return value


def _read_int(kind: Kind) -> Cast:
    def read(text: str) -> int:
        said = text.strip(_SPACE)
        if not re.fullmatch(r"[+-]?[0-9]+", said):
            raise Trouble(f"invalid input syntax for type {_LONG[kind]}: {text!a:.60}")
        if len(said) > DECIMAL_DIGITS_MAX:
            raise Trouble(f"{_LONG[kind]} out of range")
        return fit_int(kind, int(said))

    return read


_LONG: Final = {Kind.INT4: "integer", Kind.INT8: "bigint"}
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")


def _read_numeric(text: str) -> Decimal:
    said = text.strip(_SPACE)
    if not _NUMBER.fullmatch(said):
        raise Trouble(f"invalid input syntax for type numeric: {text!a:.60}")
    value = Decimal(said)
    if len(value.as_tuple().digits) > DECIMAL_DIGITS_MAX or abs(value.adjusted()) > DECIMAL_DIGITS_MAX:
        raise Trouble(f"a numeric has at most {DECIMAL_DIGITS_MAX} digits and that exponent")
    if value == 0:
        return abs(numeric(value))
    return numeric(value)


def _read_float(text: str) -> float:
    said = text.strip(_SPACE)
    if not _NUMBER.fullmatch(said):
        raise Trouble(f"invalid input syntax for type double precision: {text!a:.60}; it is a finite number")
    made = to_float(said)
    if made == 0 and any(digit in "123456789" for digit in re.split("[eE]", said)[0]):
        raise Trouble("value out of range for type double precision")
    return made


def _read_bytes(text: str) -> bytes:
    """Hex behind a backslash and x, or else text in which a backslash and three octal digits are a byte."""
    if text.startswith("\\x"):
        if not re.fullmatch(r"(\s*[0-9A-Fa-f]{2})*\s*", text[2:]):
            raise Trouble("invalid hexadecimal data for type bytea")
        return bytes.fromhex(text[2:])
    made, place, data = bytearray(), 0, text.encode()
    while place < len(data):
        match = _ESCAPED.match(data, place)
        if match is None:
            raise Trouble("invalid input syntax for type bytea")
        if match[1]:
            made.append(int(match[1], 8))
        else:
            made += b"\\" if match[2] else match[0]
        place = match.end()
    return bytes(made)


_ESCAPED: Final = re.compile(rb"\\([0-3][0-7]{2})|(\\\\)|[^\\]+")
_MOMENT: Final = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:[T ]\s*(\d\d?):(\d\d)(?::(\d\d)(\.\d{1,6})?)?)\s*"
    r"(?:([Zz]|UTC|utc)|([+-])(0\d|1[0-5])(?::?([0-5]\d))?)",
    re.ASCII,
)
"""A time zone is less than 16 hours from UTC, as in PostgreSQL (timestamp.h, MAX_TZDISP_HOUR)."""


def _read_moment(text: str) -> datetime:
    match = _MOMENT.fullmatch(text.strip(_SPACE))
    if match is None:
        raise Trouble(
            f"invalid input syntax for type timestamp with time zone: {text!a:.60}; it is written"
            " 2024-02-29T12:00:00Z, with its time zone"
        )
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = match.groups()
    try:
        shift = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        micro = int((fraction or ".0")[1:].ljust(6, "0"))
        zone = timezone(-shift if sign == "-" else shift)
        day_of = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micro, zone)
        return day_of.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Trouble(f"date/time field value out of range: {text!a:.60}") from None


_UUID: Final = re.compile(r"\{?[0-9A-Fa-f]{4}(-?[0-9A-Fa-f]{4}){7}\}?")


def _read_uuid(text: str) -> UUID:
    if not _UUID.fullmatch(text) or text.startswith("{") != text.endswith("}"):
        raise Trouble(f"invalid input syntax for type uuid: {text!a:.60}")
    return UUID(text)


def _read_document(text: str) -> Document:
    try:
        return Document(_checked(Document.parse(text).value, 0))
    except (ValueError, RecursionError) as error:
        raise Trouble(f"invalid input syntax for type json: {error!s:.60}") from None


def _checked(value: Any, depth: int) -> Any:
    """A parsed value, if it is one that jsonb can hold and nested as little as a Json."""
    if depth > _DOCUMENT_DEPTH_MAX:
        raise ValueError(f"it is nested deeper than {_DOCUMENT_DEPTH_MAX}")
    if isinstance(value, dict):
        for name, each in value.items():
            _checked(name, depth)
            _checked(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            _checked(each, depth + 1)
    elif isinstance(value, str):
        value.encode()
    elif isinstance(value, Decimal):
        numeric(value)
    return value


_DOCUMENT_DEPTH_MAX: Final = 64

READERS: Final[dict[Kind, Cast | None]] = {
    Kind.TEXT: str,
    Kind.BOOL: _read_bool,
    Kind.INT4: _read_int(Kind.INT4),
    Kind.INT8: _read_int(Kind.INT8),
    Kind.NUMERIC: _read_numeric,
    Kind.FLOAT8: _read_float,
    Kind.BYTEA: _read_bytes,
    Kind.TIMESTAMPTZ: _read_moment,
    Kind.UUID: _read_uuid,
    Kind.JSONB: _read_document,
    Kind.ARRAY: None,
}
"""How a literal's text becomes a value of a kind."""


def read_parameter(kind: Kind, value: Any) -> Any:
    """A parameter as a value of the kind that its place wants. ValueError, TypeError or Trouble where it is none."""
    if value is None:
        return None
    if kind is Kind.JSONB:
        return _read_document(value if isinstance(value, str) else value.text)
    column = ColumnType(COLUMN_TYPES[kind], nullable=False)
    annotation = column.annotation()
    said = value
    if annotation is int and isinstance(value, str) and INTEGER.fullmatch(value):
        said = int(value)
    elif annotation is float and isinstance(value, int | Decimal) and not isinstance(value, bool):
        said = to_float(value)
    made = column.decode(column.encode(msgspec.convert(said, constrain(annotation))))
    return numeric(made) if kind is Kind.NUMERIC else made


def literal_kind(value: Any) -> Kind:
    """The kind of a literal as it stands: text and NULL are unknown until their place decides."""
    if value is None or isinstance(value, str):
        return Kind.UNKNOWN
    if isinstance(value, bool):
        return Kind.BOOL
    if isinstance(value, int) and INT_MIN <= value <= INT_MAX:
        return Kind.INT4 if -(2**31) <= value < 2**31 else Kind.INT8
    return Kind.NUMERIC


def literal_value(value: Any) -> Any:
    """A literal's value as its kind keeps it."""
    if literal_kind(value) is Kind.NUMERIC:
        return numeric(Decimal(value))
    return value
