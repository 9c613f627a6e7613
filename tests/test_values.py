"""Values: what enters is what a replay reads, for every type a column may have."""

import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.codec import RowCodec
from store.errors import ConstraintViolation
from store.ids import INT_MAX, INT_MIN
from store.schema import Table, column
from store.values import SCALARS, ColumnType, Json, normaliser, unsayable


class Everything(Table):
    """One column of every type, of a tuple of it, and nullable."""

    id: int = column(primary_key=True)
    a_bool: bool = False
    a_int: int = 0
    a_float: float = 0.0
    a_str: str = ""
    a_bytes: bytes = b""
    a_timestamp: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    a_decimal: Decimal = Decimal(0)
    a_uuid: UUID = UUID(int=0)
    a_json: Json = Json(None)
    ints: tuple[int, ...] = ()
    floats: tuple[float, ...] = ()
    texts: tuple[str, ...] = ()
    decimals: tuple[Decimal, ...] = ()
    maybe_float: float | None = None
    maybe_decimal: Decimal | None = None
    maybe_json: Json | None = None
    maybe_text: str | None = None


CODEC: RowCodec[Any] = RowCodec(Everything.__table__, Everything)

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
texts = st.text(st.characters(codec="utf-8"))
integers = st.integers(INT_MIN, INT_MAX)
floats = st.floats(allow_nan=False, allow_infinity=False)
decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
timestamps = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=offsets)  # noqa: DTZ001  # Aware by timezones.
jsons = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
).map(Json)

rows = st.builds(
    Everything,
    id=integers,
    a_bool=st.booleans(),
    a_int=integers,
    a_float=floats | st.integers(-(2**53), 2**53),
    a_str=texts,
    a_bytes=st.binary(),
    a_timestamp=timestamps,
    a_decimal=decimals,
    a_uuid=st.uuids(),
    a_json=jsons,
    ints=st.lists(integers, max_size=4).map(tuple),
    floats=st.lists(floats, max_size=4),
    texts=st.lists(texts, max_size=4).map(tuple),
    decimals=st.lists(decimals, max_size=3).map(tuple),
    maybe_float=st.none() | floats,
    maybe_decimal=st.none() | decimals,
    maybe_json=st.none() | jsons,
    maybe_text=st.none() | texts,
)


@given(rows)
def test_what_enters_is_what_a_replay_reads(row: Everything) -> None:
    """A row as the reducer sees it after writing equals the row decoded from its bytes, and encodes to those bytes."""
    read, data = CODEC.canonical(row)
    assert CODEC.decode(data) == read
    assert CODEC.canonical(CODEC.decode(data)) == (read, data)


@given(rows)
def test_equal_rows_have_equal_bytes(row: Everything) -> None:
    """The bytes depend on the values alone: a Decimal's zeros, a float's sign of zero and a time zone do not show."""
    read, data = CODEC.canonical(row)
    zone = timezone(timedelta(hours=5))
    other = Everything(
        **{name: getattr(read, name) for name in Everything.__struct_fields__}
        | {
            "a_timestamp": read.a_timestamp.astimezone(zone),
            "a_decimal": read.a_decimal * Decimal("1.00")
            if len(read.a_decimal.as_tuple().digits) < 20
            else read.a_decimal,
            "a_float": -read.a_float if read.a_float == 0 else read.a_float,
        }
    )
    assert CODEC.canonical(other)[1] == data


@given(rows)
def test_another_library_reads_a_row(row: Everything) -> None:
    """A row is plain MessagePack: the msgpack library reads an array with one item for each column."""
    read, data = CODEC.canonical(row)
    plain = msgpack.unpackb(data, timestamp=3)
    assert len(plain) == len(Everything.__struct_fields__)
    assert plain[2] == read.a_int
    assert plain[4] == read.a_str
    assert plain[5] == read.a_bytes
    assert plain[6] == read.a_timestamp


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a_bool", 1),
        ("a_int", True),
        ("a_int", 1.0),
        ("a_int", 2**63),
        ("a_int", -(2**63) - 1),
        ("a_int", 2**80),
        ("a_float", math.nan),
        ("a_float", math.inf),
        ("a_float", "1"),
        ("a_str", "\ud800"),
        ("a_str", b"bytes"),
        ("a_str", None),
        ("a_bytes", "text"),
        ("a_timestamp", datetime(2026, 1, 1)),  # noqa: DTZ001  # Naive on purpose.
        ("a_decimal", Decimal("NaN")),
        ("a_decimal", Decimal(1).scaleb(5000)),
        ("a_uuid", "not a uuid"),
        ("a_json", {"plain": "dict"}),
        ("ints", (1, True)),
        ("floats", (1.0, math.nan)),
        ("texts", "a string"),
        ("maybe_text", 5),
        ("a_int", object()),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: Any) -> None:
    """A value of another type is a ConstraintViolation that names table and column, whatever struct carries it."""
    with pytest.raises(ConstraintViolation, match=f"everything.{name}: expected") as caught:
        CODEC.canonical(Everything(id=1, **{name: value}))
    assert caught.value.details["column"] == name


@pytest.mark.parametrize("bad", [math.nan, {1: "a"}, {"a": object()}, "\ud800", [[[]] * 3] * 2 + [math.inf]])
def test_a_json_value_must_have_a_json_form(bad: Any) -> None:
    """Json refuses what RFC 8259 cannot say."""
    with pytest.raises((ValueError, TypeError)):
        Json(bad)


def test_json_nesting_has_a_limit() -> None:
    """Json nested too deep is a ValueError, never a RecursionError."""
    with pytest.raises(ValueError, match="deeper"):
        Json.parse("[" * 100_000 + "]" * 100_000)


def test_json_is_canonical_and_never_changes() -> None:
    """Two texts of one JSON value are one Json."""
    made = Json.parse('{ "b" : 1.50, "a": [true, null] }')
    assert made.text == '{"a":[true,null],"b":1.5}'
    assert made == Json({"b": 1.5, "a": [True, None]})
    assert hash(made) == hash(Json({"b": 1.5, "a": [True, None]}))
    with pytest.raises(AttributeError):
        made.text = "2"


@pytest.mark.parametrize("name", sorted(SCALARS))
@pytest.mark.parametrize("suffix", ["", "[]"])
@pytest.mark.parametrize("nullable", [False, True])
def test_every_type_has_a_name_that_leads_back(name: str, suffix: str, nullable: bool) -> None:  # noqa: FBT001  # A parameter of the test.
    """A column type's name and nullability make the annotation it came from."""
    from store.values import column_type  # noqa: PLC0415  # Used here only.

    kind = ColumnType(name + suffix, nullable)
    assert column_type(kind.annotation(), where="here") == kind


@pytest.mark.parametrize(
    ("annotation", "value", "form"),
    [
        (int | float, INT_MAX, INT_MAX),
        (int | float, -0.0, 0.0),
        (str | float | None, "x", "x"),
        (str | float | None, None, None),
        (list[str | Annotated[float, ""]], ["x", -0.0], ["x", 0.0]),
        (str | list[float], [-0.0], [0.0]),
        (tuple[float, ...], [-0.0], (0.0,)),
        (tuple[str, float], ("x", -0.0), ("x", 0.0)),
        (tuple[str, int], ("x", 1), ("x", 1)),
        (tuple[()], (), ()),
        (str | dict[str, float], "x", "x"),
        (float | None, -0.0, 0.0),
        (int | str, "x", "x"),
    ],
)
def test_a_value_of_a_union_has_the_form_of_its_own_type(annotation: Any, value: Any, form: Any) -> None:
    """An int beside a float stays an int, however large, and a text is no float."""
    normal = normaliser(annotation)
    said = value if normal is None else normal(value)
    assert (type(said), repr(said)) == (type(form), repr(form))


def test_what_cannot_be_said_is_named() -> None:
    """The first argument without a form on any wire; where each has one, what encoding them met."""
    found = unsayable("f", [("a", 1), (2, {1: 2}), ("c", object())], ValueError("no"))
    assert str(found) == "f: the argument 2 cannot be said: a map's keys are str, found int"
    assert found.details == {"reducer": "f", "field": "2"}
    assert str(unsayable("f", [("a", 1)], ValueError("no"))) == "f: the arguments cannot be said: no"
