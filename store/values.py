"""The types a column or an argument may have, and the one form in which each value is kept.

Laws: a value that enters the store is what a replay would read. So `int` is signed 64-bit; a `float` is finite, and
-0.0 is 0.0; a `Decimal` has no trailing zeros; a `datetime` is aware and becomes UTC in microseconds; JSON is
canonical text, decoded on access; a tuple is a tuple, a list a list. A lone surrogate, a NaN or a bool posing as an int
is refused.
"""

import functools
import json
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import msgspec

from store.errors import MalformedCall
from store.ids import INT_MAX, INT_MIN

DECIMAL_DIGITS_MAX: Final = 1_000
"""Digits a Decimal may have, and the bound of its exponent either way."""
JSON_DEPTH_MAX: Final = 64


PLAIN_DEPTH_MAX: Final = 64
"""How deep a value that a reducer returns, or says in a refusal, may be nested."""


class Json:
    """A JSON value as canonical text: keys sorted, no spaces. Compares by text; `value` decodes it anew each time.

    `Json(value)` takes plain Python values; `Json.parse(text)` takes JSON text (RFC 8259). ValueError where a value
    has no JSON form, is nested deeper than 64, or a number is not finite.
    """

    __slots__ = ("text",)

    text: str

    def __init__(self, value: Any) -> None:
        _check_depth(value, JSON_DEPTH_MAX)
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()  # A lone surrogate has no UTF-8 form: UnicodeEncodeError is a ValueError.
        object.__setattr__(self, "text", text)

    @classmethod
    def parse(cls, text: str) -> "Json":
        """Read JSON text and make it canonical."""
        try:
            return cls(json.loads(text))
        except RecursionError:
            raise ValueError(f"JSON is nested deeper than {JSON_DEPTH_MAX}") from None

    @classmethod
    def trusted(cls, text: str) -> "Json":
        """Wrap text that is canonical already, because it was read from the store itself."""
        made = cls.__new__(cls)
        object.__setattr__(made, "text", text)
        return made

    @property
    def value(self) -> Any:
        """The value as plain Python: dict, list, str, int, float, bool or None."""
        return json.loads(self.text)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Json never changes; make a new one")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Json) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Json.parse({self.text!r})"


def _check_depth(value: Any, depth: int) -> None:
    """Keep nesting within JSON_DEPTH_MAX, so that nobody's recursion limit matters."""
    if depth < 0:
        raise ValueError(f"JSON is nested deeper than {JSON_DEPTH_MAX}")
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a JSON object's keys are str, found {type(key).__name__}")
            _check_depth(each, depth - 1)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_depth(each, depth - 1)


SCALARS: Final[dict[str, type]] = {
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "bytes": bytes,
    "timestamp": datetime,
    "decimal": Decimal,
    "uuid": UUID,
    "json": Json,
}
"""Every scalar type by the name it has in a schema record."""

_NAMES: Final = {scalar: name for name, scalar in SCALARS.items()}
_INT64: Final = Annotated[int, msgspec.Meta(ge=INT_MIN, le=INT_MAX)]
UNIONS: Final = (typing.Union, types.UnionType)
"""The origins of a union: as `Union[int, None]` and as `int | None` say it."""
_INT_BOUNDS: Final = ("gt", "ge", "lt", "le", "multiple_of")
_AWARE: Final = Annotated[datetime, msgspec.Meta(tz=True)]


def constrain(annotation: Any) -> Any:  # noqa: PLR0911  # One line a type reads best.
    """The annotation as msgspec shall check it: 64-bit integers and aware datetimes, wherever they stand in it."""
    if annotation is int:
        return _INT64
    if annotation is datetime:
        return _AWARE
    if isinstance(annotation, typing.NewType):
        return constrain(annotation.__supertype__)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _constrain_further(constrain(arguments[0]), annotation.__metadata__)
    if origin in UNIONS:
        return functools.reduce(operator.or_, [constrain(each) for each in arguments])
    if origin is tuple and arguments:
        return tuple[tuple(each if each is ... else constrain(each) for each in arguments)]  # type: ignore[misc]  # Made at run time.
    if origin is list and arguments:
        return list[constrain(arguments[0])]  # type: ignore[misc]  # Made at run time.
    if origin is dict and arguments:
        return dict[str, constrain(arguments[1])]  # type: ignore[misc]  # Made at run time.
    return annotation


def _constrain_further(checked: Any, metadata: tuple[Any, ...]) -> Any:
    """Add an author's bounds to the store's own; msgspec takes each bound once, so an int's are put together."""
    bounds = [each for each in metadata if isinstance(each, msgspec.Meta) and not (checked is _AWARE and each.tz)]
    if not bounds:
        return checked
    if checked is not _INT64:
        return Annotated[checked, *bounds]
    said = {name: at for each in bounds for name in _INT_BOUNDS if (at := getattr(each, name)) is not None}
    lowest = {} if "gt" in said else {"ge": INT_MIN}
    highest = {} if "lt" in said else {"le": INT_MAX}
    return Annotated[int, msgspec.Meta(**lowest | highest | said)]


def enc_hook(value: Any) -> Any:
    """Give the one type msgspec does not know its wire form."""
    if isinstance(value, Json):
        return value.text
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def dec_hook_trusted(kind: type, value: Any) -> Any:
    """Read a Json that the store itself wrote."""
    if kind is Json and isinstance(value, str):
        return Json.trusted(value)
    raise TypeError(f"a Json is said as JSON text in a str, found a {type(value).__name__}")


def dec_hook(kind: type, value: Any) -> Any:
    """Read a Json that somebody else wrote: parse it and make it canonical."""
    if kind is Json and isinstance(value, str):
        return Json.parse(value)
    raise TypeError(f"a Json is said as JSON text in a str, found a {type(value).__name__}")


ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=enc_hook, decimal_format="string", order="deterministic")
"""The one encoder of rows, arguments and return values: the same value, the same bytes."""

encode: Final = ENCODER.encode


def check_plain(value: Any, depth: int = PLAIN_DEPTH_MAX) -> None:
    """Let only values pass that every subprotocol can say. ValueError or TypeError says what is in the way."""
    if value is None or isinstance(value, bool | str | bytes | Json | UUID):
        return
    if isinstance(value, int | float | Decimal | datetime):
        _check_number(value)
        return
    if depth == 0:
        raise ValueError(f"it is nested deeper than {PLAIN_DEPTH_MAX}")
    for each in _inside(value):
        check_plain(each, depth - 1)


def unsayable(called: str, arguments: Iterable[tuple[object, Any]], error: Exception) -> MalformedCall:
    """Why a call's named arguments could not be encoded: the first that has no form on any wire, else `error`."""
    for name, value in arguments:
        try:
            check_plain(value)
        except (TypeError, ValueError, RecursionError) as why:
            return MalformedCall(
                f"{called}: the argument {name} cannot be said: {why}", details={"reducer": called, "field": str(name)}
            )
    return MalformedCall(f"{called}: the arguments cannot be said: {error}", details={"reducer": called})


def _check_number(value: float | Decimal | datetime) -> None:
    if isinstance(value, int):
        if not INT_MIN <= value <= INT_MAX:
            raise ValueError(f"an int has 64 bits, found {value.bit_length()} of them")
    elif isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a datetime must have a time zone")
    elif not math.isfinite(value):
        raise ValueError(f"a number must be finite, found {value}")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise TypeError(f"a map's keys are str, found {type(name).__name__}")
        return value.values()
    if isinstance(value, msgspec.Struct):
        return [getattr(value, name) for name in value.__struct_fields__]
    raise TypeError(f"a {type(value).__name__} is no plain value")


Normaliser = Callable[[Any], Any]


def normaliser(annotation: Any) -> Normaliser | None:  # noqa: PLR0911  # One line a type reads best.
    """What brings a decoded value of this type to its one form, or None where decoding already does."""
    if annotation is float:
        return _one_float
    if annotation is Decimal:
        return _one_decimal
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return normaliser(arguments[0])
    if origin in UNIONS:
        return _one_of(arguments)
    if origin is tuple and arguments[1:] != (...,):
        return _for_each_place([normaliser(each) for each in arguments])
    if origin in {tuple, list} and (item := normaliser(arguments[0])):
        return _for_each(item, origin)
    if origin is dict and (item := normaliser(arguments[1])):
        return _for_each_value(item)
    return None


def _for_each(item: Normaliser, made: type) -> Normaliser:
    if made is list:
        return lambda values: [item(value) for value in values]
    return lambda values: tuple([item(value) for value in values])


def _for_each_place(places: list[Normaliser | None]) -> Normaliser | None:
    if not any(places):
        return None
    return lambda values: tuple([at(value) if at else value for at, value in zip(places, values, strict=True)])


def _for_each_value(item: Normaliser) -> Normaliser:
    return lambda values: {key: item(value) for key, value in values.items()}


def _one_of(annotations: tuple[Any, ...]) -> Normaliser | None:
    """Of a union each value is brought to the form of its own type: an int beside a float stays an int."""
    normals = {_type_of(each): normal for each in annotations if (normal := normaliser(each))}
    if len(annotations) - (type(None) in annotations) == 1:
        for inner in normals.values():
            return _unless_none(inner)
    if not normals:
        return None
    return lambda value: value if (normal := normals.get(type(value))) is None else normal(value)


def _type_of(annotation: Any) -> Any:
    """The class of an annotation's values."""
    origin = typing.get_origin(annotation)
    return _type_of(typing.get_args(annotation)[0]) if origin is Annotated else origin or annotation


def _unless_none(inner: Normaliser) -> Normaliser:
    return lambda value: None if value is None else inner(value)


def _one_float(value: float) -> float:
    """A finite float; -0.0 becomes 0.0."""
    if not math.isfinite(value):
        raise ValueError(f"a float must be finite, found {value}")
    return value + 0.0


def _one_decimal(value: Decimal) -> Decimal:
    """A finite Decimal without trailing zeros; zero has no sign and no exponent."""
    if not value.is_finite():
        raise ValueError(f"a Decimal must be finite, found {value}")
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    end = len(digits)
    while end > 1 and digits[end - 1] == 0:
        end -= 1
    exponent += len(digits) - end
    if end > DECIMAL_DIGITS_MAX or abs(exponent) > DECIMAL_DIGITS_MAX:
        raise ValueError(f"a Decimal has at most {DECIMAL_DIGITS_MAX} digits and that exponent, found {value!r:.60}")
    if digits[:end] == (0,):
        return Decimal(0)
    return Decimal((sign, digits[:end], exponent))


class ColumnType(NamedTuple):
    """A column's type: its name in a schema record, and whether NULL is a value of it."""

    name: str
    nullable: bool

    def __str__(self) -> str:
        return f"{self.name} | None" if self.nullable else self.name

    def annotation(self) -> Any:
        """The Python annotation it came from."""
        scalar = SCALARS[self.name.removesuffix("[]")]
        made: Any = tuple[scalar, ...] if self.name.endswith("[]") else scalar  # type: ignore[valid-type]  # Made at run time.
        return made | None if self.nullable else made

    def encode(self, value: Any) -> bytes:
        """`value` as MessagePack in its one form. ValueError or TypeError where it is none of this type."""
        annotation = self.annotation()
        read = msgspec.msgpack.decode(encode(value), type=constrain(annotation), dec_hook=dec_hook)
        normal = normaliser(annotation)
        return encode(normal(read) if normal else read)

    def decode(self, data: bytes) -> Any:
        """The value that `encode` wrote."""
        return msgspec.msgpack.decode(data, type=constrain(self.annotation()), dec_hook=dec_hook_trusted)


def column_type(annotation: Any, *, where: str) -> ColumnType:
    """The column type of an annotation. TypeError, naming `where`, if a column cannot have it."""
    annotation = _unbounded(annotation, where)
    nullable = False
    if typing.get_origin(annotation) in UNIONS:
        inner = [each for each in typing.get_args(annotation) if each is not type(None)]
        nullable = len(inner) < len(typing.get_args(annotation))
        annotation = inner[0] if len(inner) == 1 else annotation
    name = _NAMES.get(annotation) if isinstance(annotation, type) else None
    if name is None and typing.get_origin(annotation) is tuple:
        items = typing.get_args(annotation)
        if items[1:] == (...,) and items[0] in _NAMES:
            name = f"{_NAMES[items[0]]}[]"
    if name is None:
        known = ", ".join(scalar.__name__ for scalar in _NAMES)
        raise TypeError(
            f"{where}: a column is one of {known}, a tuple[…, ...] of one, or that | None; found {annotation}"
        )
    return ColumnType(name, nullable)


def _unbounded(annotation: Any, where: str) -> Any:
    """The annotation without what Annotated says. A bound would be no part of the schema: TypeError."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        if any(isinstance(each, msgspec.Meta) for each in annotation.__metadata__):
            raise TypeError(f"{where}: a column has no bounds, reducers hold them; found {annotation}")
        return _unbounded(arguments[0], where)
    if origin in UNIONS:
        return functools.reduce(operator.or_, [_unbounded(each, where) for each in arguments])
    if origin is tuple:
        return tuple[tuple(each if each is ... else _unbounded(each, where) for each in arguments)]  # type: ignore[misc]  # Made at run time.
    return annotation
