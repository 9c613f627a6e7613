"""Compiled values: what they are of, what they say of a row, what is refused and where."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from store.errors import MalformedQuery
from store.query.types.kinds import Kind, text_of
from store.values import Json
from tests.query.examples import EXAMPLES, REFUSED, REFUSED_HERE, ROW
from tests.query.scenes import compiled


@pytest.mark.parametrize(("expression", "kind", "text"), EXAMPLES, ids=str)
def test_an_expression_has_a_type_and_a_value(expression: str, kind: str, text: str | None) -> None:
    """Of one row each example has PostgreSQL's type and value."""
    made = compiled(expression)
    value = made.evaluate(ROW)
    assert (made.kind, None if value is None else text_of(made.kind, value)) == (kind, text)


@pytest.mark.parametrize(("expression", "reason"), [*REFUSED, *REFUSED_HERE], ids=str)
def test_what_has_no_value_is_refused(expression: str, reason: str) -> None:
    """An error names its place in the text and its reason, at compile time or when the row is looked at."""
    with pytest.raises(MalformedQuery, match=r"^at character \d+: ") as raised:
        compiled(expression).evaluate(ROW)
    assert reason in str(raised.value)
    assert 8 <= raised.value.details["position"] <= len(expression) + 8


def test_an_error_stands_where_its_operation_begins() -> None:
    """The position counts characters of the text from 1."""
    with pytest.raises(MalformedQuery) as raised:
        compiled("a = 1 OR b / (a - 7) > 2").evaluate(ROW)
    assert raised.value.details["position"] == len("SELECT a = 1 OR b")


@pytest.mark.parametrize(
    ("expression", "param", "value"),
    [
        ("a = $1", 7, True),
        ("a = $1", "7", True),
        ("a + $1", 5_000_000_000, 5_000_000_007),
        ("length(t) = $1", 5_000_000_000, False),
        ("f = $1", 2.5, True),
        ("f > $1", 2, True),
        ("n = $1", "1.50", True),
        ("n = $1", Decimal("1.5"), True),
        ("y = $1", "Yf8=", True),
        ("y = $1", b"a\xff", True),
        ("w = $1", "2024-02-29T13:00:00+01:00", True),
        ("w = $1", datetime(2024, 2, 29, 12, tzinfo=UTC), True),
        ("k = $1", str(ROW.k), True),
        ("k = $1", ROW.k, True),
        ("j -> 'c' = $1", '"d"', True),
        ("j @> $1", Json({"c": "d"}), True),
        ("i ->> $1", 0, "1"),
        ("j ->> $1", "c", "d"),
        ("j #>> $1", ["a", "b", "0"], "1"),
        ("j #>> $1", "{a,b,0}", "1"),
        ("t LIKE $1", "Str%", True),
        ("a IN ($1, 8)", 7, True),
        ("coalesce(u, $1)", "x", "x"),
        ("$1", 5, 5),
        ("$1", "x", "x"),
        ("$1 || 'y'", "x", "xy"),
        ("$1::int", "5", 5),
        ("$1 IS NULL", None, True),
        ("a = $1", None, None),
        ("$1 = 'a'", "a", True),
    ],
)
def test_a_parameter_is_read_as_its_place_wants(expression: str, param: Any, value: Any) -> None:
    """In either subprotocol's form; where its place wants no type, as what it came as."""
    assert compiled(expression, param).evaluate(ROW) == value


@pytest.mark.parametrize(
    ("expression", "param"),
    [
        ("a = $1", "x"),
        ("a = $1", 1.5),
        ("a = $1", True),
        ("a = $1", 2**63),
        ("d = $1", "true"),
        ("f = $1", float("nan")),
        ("n = $1", "NaN"),
        ("t = $1", 5),
        ("t = $1", "\ud800"),
        ("t = $1", {"a": 1}),
        ("w = $1", "2024-02-29T12:00:00"),
        ("k = $1", "x"),
        ("y = $1", "not base64!"),
        ("j = $1", "{"),
        ("j = $1", object()),
        ("j #> $1", 5),
        ("t LIKE $1", []),
    ],
)
def test_a_parameter_of_another_type_is_refused(expression: str, param: Any) -> None:
    """With the place of the parameter."""
    with pytest.raises(MalformedQuery) as raised:
        compiled(expression, param)
    assert raised.value.details["position"] == expression.index("$") + 8


def test_parameters_are_never_read_as_sql() -> None:
    """Whatever a parameter holds is its value, and nothing else."""
    for text in ("' OR 1=1 --", "$1", "?", "'; DROP TABLE sample", "%", "\\", "\0", '"a"', "/*"):
        made = compiled("t = $1", text)
        assert [made.op, made.args[0].op, made.args[1].detail] == ["=", "column", text]


def test_a_literal_holds_whatever_it_quotes() -> None:
    """Quotes are doubled inside; nothing else in it means anything."""
    assert compiled("'a''; -- $1 ? /* \\'").evaluate(ROW) == "a'; -- $1 ? /* \\"


@pytest.mark.parametrize("pattern", ["%" * 2_000, "%a" * 1_000, "%_" * 1_000, "_%" * 1_000])
def test_no_pattern_takes_long(pattern: str) -> None:
    """LIKE looks for each piece once: a thousand of them in a long text are no trouble."""
    made: Callable[[Any], Any] = compiled("$1 LIKE $2", "ab" * 2_000, pattern).evaluate
    assert made(ROW) in {True, False}


NUMBERS = "[" + "1," * 30_000 + "2]"
DEEP = "[" + "[1]," * 30_000 + "[2]]"


@pytest.mark.parametrize(
    ("expression", "params"),
    [
        ("$1 LIKE $2", ("a" * 1_000_000, "%a" + "_" * 500_000 + "b%")),
        ("$1 ILIKE $2", ("a" * 1_000_000, "%" + "_" * 500_000 + "b%")),
        ("btrim($1, $2)", ("a" * 1_000_000, "".join(map(chr, range(200, 50_000))) + "a")),
        ("$1::jsonb @> $2::jsonb", (DEEP, DEEP.replace("1", "2"))),
        ("$1::jsonb <@ $2::jsonb", ("[" + DEEP + "]", "[" + DEEP + "]")),
    ],
)
def test_what_would_take_as_long_as_two_sizes_multiplied_is_refused(expression: str, params: tuple[str, ...]) -> None:
    """Nobody can interrupt it, and everybody would wait: it has no value, and says why."""
    with pytest.raises(MalformedQuery, match=r"characters|steps"):
        compiled(expression, *params)


@pytest.mark.parametrize(
    ("expression", "params", "value"),
    [
        ("$1::jsonb @> $2::jsonb", (NUMBERS, NUMBERS.replace("1", "2")), True),
        ("$1::jsonb @> $2::jsonb", (NUMBERS, NUMBERS.replace("1", "3")), False),
        ("btrim($1, $2)", ("a" * 1_000_000, "bc" * 500_000 + "a"), ""),
        ("$1 LIKE $2", ("a" * 1_000_000, "%a_a%"), True),
    ],
)
def test_large_values_are_looked_at_once(expression: str, params: tuple[str, ...], value: Any) -> None:
    """Values of long arrays are found by their hashes; a character to trim is looked for once, however often said."""
    assert compiled(expression, *params).evaluate(ROW) == value


def test_a_text_does_not_grow_beyond_its_bound() -> None:
    """What would be larger than any text may be is refused before it is made."""
    with pytest.raises(MalformedQuery, match="characters"):
        compiled("replace($1, 'a', $1)", "a" * 20_000).evaluate(ROW)


def test_only_what_is_chosen_is_computed() -> None:
    """CASE, COALESCE, AND and OR look no further than they must."""
    assert compiled("CASE WHEN a = 7 THEN 1 ELSE 1 / (a - 7) END").evaluate(ROW) == 1
    assert compiled("coalesce(a, 1 / (a - 7))").evaluate(ROW) == 7
    assert compiled("b > 0 AND 1 / (a - 7) > 0").evaluate(ROW) is False
    assert compiled("b < 0 OR 1 / (a - 7) > 0").evaluate(ROW) is True


def test_the_same_value_written_otherwise_is_the_same() -> None:
    """Parentheses, sides, literal or parameter, order in a list: what means the same has the same canonical form."""
    same = [
        [
            compiled("a = 7"),
            compiled("7 = a"),
            compiled("((a)) = $1", 7),
            compiled("a = 3 + 4"),
            compiled("a IN ($1)", 7),
        ],
        [compiled("a IN (1, 2)"), compiled("a IN (2, 1, 2)"), compiled("a IN ($1, 1)", 2)],
        [compiled("d AND (e AND a > 1)"), compiled("d AND e AND 1 < a"), compiled("d AND true AND e AND a > $1", 1)],
        [compiled('j = \'{"a": 1, "b": 2}\''), compiled('j = \'{"b":2,"a":1}\'')],
    ]
    for group in same:
        assert len({repr(each.canonical()) for each in group}) == 1
    assert len({repr(group[0].canonical()) for group in same}) == len(same)


def test_constants_are_computed_once() -> None:
    """What no row bears on is a constant."""
    assert compiled("lower('A') || 'b'").detail == "ab"
    assert compiled("a = 1 AND false").detail is False
    assert compiled("NULL + 1").kind is Kind.INT4


def test_uuids_compare_as_values() -> None:
    """Not as text."""
    assert compiled("k < $1", UUID(int=2**128 - 1)).evaluate(ROW) is True
