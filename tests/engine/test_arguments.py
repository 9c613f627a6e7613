"""A reducer's arguments: one canonical form from every door, errors that name the parameter."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.engine.arguments import Arguments
from store.engine.reducer import Context, reducer
from store.errors import MalformedCall
from store.ids import INT_MAX, INT_MIN
from store.values import Json, encode


@reducer
def act(ctx: Context, count: int, name: str = "x", amounts: list[Decimal] = (), note: str | None = None) -> None:  # type: ignore[assignment]
    """A reducer with defaults."""


@reducer
def every(
    ctx: Context,
    a: bool,  # noqa: FBT001  # A type like the others.
    b: int,
    c: float,
    d: bytes,
    e: datetime,
    f: Decimal,
    g: UUID,
    h: Json,
    i: dict[str, int],
) -> None:
    """A reducer with a parameter of every kind."""


@reducer
def nothing(ctx: Context) -> None:
    """A reducer without parameters."""


ARGUMENTS: Arguments = act.arguments


def test_defaults_are_filled_in_and_names_put_in_order() -> None:
    """Positional, by name, and by JSON: one canonical array of all parameters."""
    expected = encode([5, "x", [], None])
    assert ARGUMENTS.read(encode([5]))[1] == expected
    assert ARGUMENTS.read(encode({"count": 5}))[1] == expected
    assert ARGUMENTS.read_json(b"[5]")[1] == expected
    assert ARGUMENTS.read_json(b'{"note": null, "count": "5", "amounts": []}')[1] == expected


def test_values_are_brought_to_one_form() -> None:
    """A Decimal's zeros go; a list stays a list."""
    values, canonical = ARGUMENTS.read(encode([5, "x", ["1.50"], None]))
    assert values == (5, "x", [Decimal("1.5")], None)
    assert ARGUMENTS.decode_canonical(canonical) == values


@pytest.mark.parametrize("raw", [b"\x90", b"\x80", b"\xdc\x00\x00"])
def test_a_reducer_may_have_no_parameters(raw: bytes) -> None:
    """An empty array and an empty map are both no arguments."""
    assert nothing.arguments.read(raw) == ((), b"\x90")
    assert nothing.arguments.read_json(b"[]") == ((), b"\x90")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "the argument count \\(int\\) is missing"),
        ([1, "x", [], None, 5], "takes 4 arguments \\(count: int, .*\\), found 5"),
        ([True], "the argument count is int: Expected `int`, got `bool`"),
        ([2**63], "the argument count is int"),
        ([1, 5], "the argument name is str"),
        ([1, "x", ["NaN"]], "the argument amounts is .*finite"),
        ({"count": 1, "colour": 2}, "no parameter colour; it takes count: int"),
        ({"name": "x"}, "count \\(int\\) is missing"),
        ("text", "arguments are an array in order or a map by name"),
    ],
)
def test_what_is_wrong_is_named(args: Any, says: str) -> None:
    """A bad argument is a MalformedCall that names reducer, parameter, type and finding; through both doors."""
    with pytest.raises(MalformedCall, match=f"act: .*{says}|act {says}|act has {says}"):
        ARGUMENTS.read(encode(args) if args != [2**63] else msgspec.msgpack.encode(args))
    with pytest.raises(MalformedCall, match=f"act: .*{says}|act {says}|act has {says}"):
        ARGUMENTS.read_json(msgspec.json.encode(args))


@given(st.binary(max_size=40))
def test_any_bytes_end_in_values_or_a_malformed_call(raw: bytes) -> None:
    """No bytes raise anything else, through either door."""
    for read in (ARGUMENTS.read, ARGUMENTS.read_json, every.arguments.read, every.arguments.read_json):
        try:
            values, canonical = read(raw)
        except MalformedCall:
            continue
        assert isinstance(values, tuple)
        assert isinstance(canonical, bytes)


def test_deep_nesting_is_malformed() -> None:
    """Nesting beyond any limit ends in a MalformedCall."""
    with pytest.raises(MalformedCall):
        ARGUMENTS.read(b"\x91" * 100_000)
    with pytest.raises(MalformedCall):
        ARGUMENTS.read_json(b"[" * 100_000)


@given(
    st.tuples(
        st.booleans(),
        st.integers(INT_MIN, INT_MAX),
        st.floats(allow_nan=False, allow_infinity=False),
        st.binary(max_size=20),
        st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # Aware by timezones.
        st.decimals(allow_nan=False, allow_infinity=False, places=3),
        st.uuids(),
        st.integers(0, 5).map(lambda each: Json({"n": each})),
        st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), st.integers(INT_MIN, INT_MAX), max_size=3),
    )
)
def test_both_doors_lead_to_the_same_bytes(values: tuple[Any, ...]) -> None:
    """MessagePack and JSON, with big integers as decimal strings, make the same canonical arguments."""
    from_msgpack = every.arguments.read(encode(values))
    a, b, c, d, e, f, g, h, i = values
    said = [a, str(b), c, d, e, f, g, h.text, {name: str(each) for name, each in i.items()}]
    from_json = every.arguments.read_json(msgspec.json.encode(said))
    assert from_json == from_msgpack
    assert every.arguments.decode_canonical(from_msgpack[1]) == from_msgpack[0]
