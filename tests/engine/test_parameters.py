"""Parameters: what is declared is what is enforced, and what a reducer gets is what a replay would give it."""

import base64
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta

from store.engine.arguments import Arguments
from store.engine.parameters import type_name
from store.engine.reducer import Context, Reducer, reducer
from store.errors import MalformedCall
from store.ids import INT_MAX, INT_MIN
from store.schema import Table, column
from store.values import Json, enc_hook, encode

as_sent = msgspec.msgpack.Encoder(enc_hook=enc_hook, decimal_format="string").encode
"""MessagePack as a client may say it: a dict in the order it has."""


class Color(enum.Enum):
    """A choice of texts."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """A choice of integers."""

    LOW = 1
    HIGH = INT_MAX


class Rights(enum.Flag):
    """What may be put together is no choice."""

    READ = 1


class Mixed(enum.Enum):
    """Values of two types."""

    ONE = True
    HALF = 0.5


class Shape(msgspec.Struct):
    """Fields that no bound of the store reaches."""

    size: int


class Named(NamedTuple):
    """A tuple with names."""

    size: int


class Typed(TypedDict):
    """A dict with names."""

    size: float


@dataclass
class Plain:
    """A dataclass."""

    size: int


class Thing(Table, name="things"):
    """A row."""

    id: int = column(primary_key=True)


OrderId = NewType("OrderId", int)
Small = NewType("Small", Annotated[int, Meta(ge=0)])
Slug = NewType("Slug", str)


def taking(annotation: Any, *default: Any) -> Reducer[Any, Any]:
    """A reducer whose parameter `x` is of this type."""

    def act(ctx: Context, x: Any) -> None:
        """Do nothing."""

    act.__annotations__["x"] = annotation
    act.__defaults__ = default
    return reducer(act)


def arguments(annotation: Any) -> Arguments:
    """The arguments of a reducer whose one parameter is of this type."""
    return taking(annotation).arguments


Pairs = st.SearchStrategy[tuple[Any, Any]]
"""A value as MessagePack's sender has it, and as JSON's says it."""

Kind = tuple[Any, Pairs]
"""A type, and the pairs of its values."""


def same(values: st.SearchStrategy[Any], said: Callable[[Any], Any] = lambda value: value) -> Pairs:
    """Values, and what JSON says for each."""
    return values.map(lambda value: (value, said(value)))


texts = st.text(st.characters(codec="utf-8"), max_size=4)
integers = st.integers(INT_MIN, INT_MAX)
floats = st.floats(allow_nan=False, allow_infinity=False)
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
NUMBER: Kind = (int, same(integers))
SCALARS: list[Kind] = [
    (bool, same(st.booleans())),
    (int, same(integers) | same(integers, str)),
    (OrderId, same(integers, str)),
    (Annotated[int, Meta(ge=-5, lt=5), "A few."], same(st.integers(-5, 4), str)),
    (float, same(floats | st.integers(-(2**53), 2**53) | st.just(-0.0))),
    (str, same(texts)),
    (Slug, same(texts)),
    (bytes, same(st.binary(max_size=5), lambda value: base64.b64encode(value).decode())),
    (
        datetime,
        same(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=offsets), datetime.isoformat),  # noqa: DTZ001  # Aware by timezones.
    ),
    (Decimal, same(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30), str)),
    (UUID, same(st.uuids(), str)),
    (Json, same((texts | integers | floats | st.lists(integers, max_size=2)).map(Json), lambda value: value.text)),
    (Color, same(st.sampled_from(Color), lambda value: value.value)),
    (Level, same(st.sampled_from(Level), lambda value: str(value.value))),
    (Literal["a", "12"], same(st.sampled_from(["a", "12"]))),
    (Literal[7, 8], same(st.sampled_from([7, 8]), str)),
]
"""Every type that holds no other, and the pairs of its values."""


@st.composite
def kinds(draw: st.DrawFn, depth: int = 2) -> Kind:
    """Any type that a parameter may have, with the pairs of its values."""
    made: Sequence[Callable[[], Kind]] = [
        lambda: listed(*draw(kinds(depth - 1))),
        lambda: repeated(*draw(kinds(depth - 1))),
        lambda: placed(draw(st.lists(kinds(depth - 1), max_size=3))),
        lambda: keyed(*draw(kinds(depth - 1))),
        lambda: optional(*draw(kinds(depth - 1))),
        lambda: draw(st.sampled_from(UNIONS)),
    ]
    drawn: Kind = draw(st.sampled_from(made))() if depth and draw(st.booleans()) else draw(st.sampled_from(SCALARS))
    return drawn


def listed(inner: Any, pairs: Pairs) -> Kind:
    """`list[T]`."""
    return list[inner], st.lists(pairs, max_size=3).map(lambda each: ([a for a, _ in each], [b for _, b in each]))


def repeated(inner: Any, pairs: Pairs) -> Kind:
    """`tuple[T, ...]`."""
    return tuple[inner, ...], st.lists(pairs, max_size=3).map(
        lambda each: (tuple(a for a, _ in each), [b for _, b in each])
    )


def placed(members: Sequence[Kind]) -> Kind:
    """`tuple[T, U]`, also of none."""
    return tuple[tuple(inner for inner, _ in members)], st.tuples(*[pairs for _, pairs in members]).map(  # type: ignore[misc]  # Made at run time.
        lambda each: (tuple(a for a, _ in each), [b for _, b in each])
    )


def keyed(inner: Any, pairs: Pairs) -> Kind:
    """`dict[str, T]`, in any order."""
    return dict[str, inner], st.dictionaries(texts, pairs, max_size=4).map(
        lambda each: ({key: a for key, (a, _) in each.items()}, {key: b for key, (_, b) in each.items()})
    )


def optional(inner: Any, pairs: Pairs) -> Kind:
    """`T | None`."""
    return Optional[inner], pairs | st.just((None, None))  # noqa: UP045  # A NewType has no |.


def union(*members: Kind) -> Kind:
    """A union of these."""
    made, pairs = members[0]
    for inner, others in members[1:]:
        made, pairs = made | inner, pairs | others
    return made, pairs


def of(annotation: Any) -> Kind:
    """A type as SCALARS has it."""
    return next(each for each in SCALARS if each[0] is annotation)


UNIONS: list[Kind] = [
    union(NUMBER, (float, same(floats)), of(bool)),
    union(of(int), of(datetime)),
    union(of(UUID), of(int), (list[int], listed(*of(int))[1])),
    union(NUMBER, of(str), (type(None), st.just((None, None)))),
    union(of(float), of(Decimal)),
    union(of(str), listed(*of(float)), keyed(*of(datetime))),
    union(of(bytes), placed([of(int), of(float)])),
    union(of(int), of(Color)),
]
"""Unions whose members are told apart."""


@settings(suppress_health_check=[HealthCheck.too_slow])  # The first text of all takes two seconds.
@given(st.data())
def test_what_a_reducer_gets_is_what_a_replay_gives(data: st.DataObject) -> None:
    """Of every type: both doors lead to the same values and bytes, and the bytes lead back to just these values."""
    annotation, pairs = data.draw(kinds())
    value, said = data.draw(pairs)
    taken = arguments(annotation)
    values, canonical = taken.read(as_sent([value]))
    assert repr(taken.decode_canonical(canonical)) == repr(values)  # Types, zones, signs and order, too.
    by_json = taken.read_json(msgspec.json.encode([said]))
    assert (repr(by_json[0]), by_json[1]) == (repr(values), canonical)
    assert taken.read(canonical)[1] == canonical


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        (object, "is one of bool, int, "),
        (complex, "is one of"),
        (Callable, "is one of"),
        (list, "say of what it is"),
        (dict, "say of what it is"),
        (tuple, "say of what it is"),
        (set[int], "is one of"),
        (frozenset[str], "is one of"),
        (Sequence[int], "is one of"),
        (bytearray, "is one of"),
        (date, "is one of"),
        (timedelta, "is one of"),
        (Shape, "is one of"),
        (list[Shape], "is one of"),
        (Named, "is one of"),
        (Typed, "is one of"),
        (Plain, "is one of"),
        (Thing, "is one of"),
        (list[Any], "anything at all is a Json"),
        (dict[int, int], "a dict's keys are str, in JSON there are no others, found int"),
        (dict[Annotated[str, Meta(max_length=2)], int], "keys are str"),
        (tuple[int, ..., str], "is one of"),  # type: ignore[misc]  # On purpose.
        (Rights, "a Literal or an Enum is of str or of int"),
        (Mixed, "a Literal or an Enum is of str or of int"),
        (Literal[True], "a Literal or an Enum is of str or of int"),
        (Literal[2**63], "with 64 bits"),
        (int | bytes, "beside an integer stands no Decimal and no bytes"),
        (Level | Decimal, "beside an integer"),
        (str | bytes, "two of a union are a text"),
        (Color | datetime, "two of a union are a text"),
        (list[int] | tuple[str, ...], "two of a union are an array"),
        (Json | int, "a Json stands in a union with None alone"),
        (Annotated[int, range(5)], "msgspec.Meta, which is enforced, or a text"),
        (Annotated[Decimal, Meta(ge=0)], "Can only set `ge`"),
        (Annotated[int, Meta(le=2**64)], "int64"),
    ],
)
def test_what_cannot_be_enforced_is_refused_where_it_is_declared(annotation: Any, says: str) -> None:
    """A TypeError names the reducer, the parameter, what is taken, and what was found."""
    with pytest.raises(TypeError, match=f"reducer act, parameter x: .*{says}.*; found ") as caught:
        taking(annotation)
    assert str(caught.value).endswith(f"; found {type_name(annotation)}")


@pytest.mark.parametrize(
    ("annotation", "wrong"),
    [
        (tuple[int, str], [1, 2, 3]),
        (tuple[int, str], [1]),
        (tuple[()], [1]),
        (OrderId, 2**63),
        (list[OrderId], [2**63]),
        (Annotated[int, Meta(ge=0)], -1),
        (Annotated[int, Meta(ge=0)], 2**63),
        (Annotated[int, Meta(gt=0)] | None, 0),
        (Annotated[OrderId, Meta(lt=9)], 9),
        (Small, -1),
        (list[Small], [1, -1]),
        (Annotated[str, Meta(max_length=2)], "abc"),
        (Annotated[list[float], Meta(min_length=1)], []),
        (Literal["a", "b"], "c"),
        (Color, "green"),
    ],
)
def test_what_is_declared_is_enforced(annotation: Any, wrong: Any) -> None:
    """Places, bounds, choices and 64 bits hold through both doors."""
    taken = arguments(annotation)
    with pytest.raises(MalformedCall, match="act: the argument x is "):
        taken.read(as_sent([wrong]))
    with pytest.raises(MalformedCall, match="act: the argument x is "):
        taken.read_json(msgspec.json.encode([wrong]))


@pytest.mark.parametrize(
    ("annotation", "logged"),
    [
        (tuple[int, str], (1, 2, 3)),
        (dict[str, tuple[Decimal, UUID] | None], {"a": (Decimal(1), Decimal(2), Decimal(3)), "b": None}),
        (OrderId, 2**63),
        (list[OrderId], [2**63]),
        (Annotated[int, Meta(ge=0)], -1),
        (Small, -1),
    ],
)
def test_what_was_logged_is_read_without_bounds(annotation: Any, logged: Any) -> None:
    """Arguments that no caller could say today are read from a log that holds them."""
    assert arguments(annotation).decode_canonical(encode([logged])) == (logged,)


def test_a_list_is_a_list_of_its_own() -> None:
    """A reducer may change a list that it gets; the default of the next call is not touched."""
    taken = taking(list[int], [1]).arguments
    (first,), canonical = taken.read(encode([]))
    first.append(2)
    assert taken.read(encode([])) == (([1],), canonical)


@pytest.mark.parametrize(("annotation", "default"), [(int, "a"), (int, None), (float, float("nan")), (Small, -1)])
def test_a_default_is_a_value_of_its_type(annotation: Any, default: Any) -> None:
    """A default that no caller could say is refused where it is declared."""
    with pytest.raises(TypeError, match=f"reducer act, parameter x: the default {default!r} is no "):
        taking(annotation, default)


def test_a_zone_and_an_order_are_what_the_log_keeps() -> None:
    """A moment comes in UTC, a dict in the order of its keys, as a replay would have them."""
    taken = arguments(dict[str, datetime])
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    (got,), _ = taken.read(as_sent([{"b": noon, "a": noon.isoformat()}]))
    assert list(got.items()) == [("a", noon), ("b", noon)]
    assert [each.tzinfo for each in got.values()] == [UTC, UTC]


@pytest.mark.parametrize(
    ("annotation", "said", "value"),
    [
        (list[int] | None, ["9007199254740993"], [9007199254740993]),
        (dict[str, int] | None, {"a": "9007199254740993"}, {"a": 9007199254740993}),
        (list[int | None], ["5", None], [5, None]),
        (list[int] | dict[str, tuple[int, str]] | str, {"a": ["5", "5"]}, {"a": (5, "5")}),
        (list[int] | dict[str, int] | str, ["5"], [5]),
        (str | int | None, "5", "5"),
        (str | list[int], "5", "5"),
        (Literal["5"] | int, "5", "5"),
        (Literal["5"] | int, "6", 6),
        (tuple[str, int], ["5", "5"], ("5", 5)),
    ],
)
def test_digits_are_an_integer_wherever_one_is_wanted(annotation: Any, said: Any, value: Any) -> None:
    """In JSON a text of digits is an integer within any member of a union; beside str it stays a text (§8.2)."""
    assert arguments(annotation).read_json(msgspec.json.encode([said]))[0] == (value,)


@pytest.mark.parametrize(("annotation", "found"), [(Json, "Json is said as JSON text in a str, found a dict")])
def test_a_map_with_other_keys_is_refused_by_name(annotation: Any, found: str) -> None:
    """Where JSON is wanted, a map of integers is told to be no JSON text."""
    with pytest.raises(MalformedCall, match=f"act: the argument x is Json: a {found}"):
        arguments(annotation).read(as_sent([{1: 2}]))
