"""The text of queries: what is taken apart, what is refused and where."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import MalformedQuery
from store.tables.sql import (
    PARAMETERS_MAX,
    PARSE_CACHE_MAX,
    QUERY_DEPTH_MAX,
    QUERY_LENGTH_MAX,
    Name,
    Statement,
    Value,
    _parse,
    parse,
)


@pytest.mark.parametrize(
    ("sql", "statement"),
    [
        ("SELECT * FROM thing", Statement(Name("thing", 14), None, 0)),
        ("select*from\n Thing;", Statement(Name("thing", 13), None, 0)),
        (
            "SELECT * FROM t WHERE a = 'it''s'",
            Statement(Name("t", 14), (Name("a", 22), Value(None, "it's", 26)), 0),
        ),
        ("SELECT * FROM t WHERE a = $1", Statement(Name("t", 14), (Name("a", 22), Value(0, None, 26)), 1)),
        ("SELECT * FROM t WHERE a=?;", Statement(Name("t", 14), (Name("a", 22), Value(0, None, 24)), 1)),
        ('SELECT * FROM "T t" WHERE "A" = -1', Statement(Name("T t", 14), (Name("A", 26), Value(None, -1, 32)), 0)),
        ("SELECT * FROM t WHERE a = -.5e1", Statement(Name("t", 14), (Name("a", 22), Value(None, Decimal(-5), 26)), 0)),
        ("SELECT * FROM t WHERE a = true", Statement(Name("t", 14), (Name("a", 22), Value(None, True, 26)), 0)),
        ("SELECT * FROM t WHERE a = NULL", Statement(Name("t", 14), (Name("a", 22), Value(None, None, 26)), 0)),
    ],
)
def test_a_text_is_taken_apart(sql: str, statement: Statement) -> None:
    """A statement holds the table, the column and the value, and where each of them stands."""
    assert parse(sql) == statement


@pytest.mark.parametrize(
    ("sql", "at"),
    [
        ("", ""),
        ("thing", "thing"),
        ("TABLE thing", "TABLE"),
        ("FROM thing", "FROM"),
        ("INSERT INTO thing VALUES (1)", "INSERT"),
        ("WITH x AS (SELECT 1) SELECT * FROM thing", "WITH"),
        ("EXPLAIN SELECT * FROM thing", "EXPLAIN"),
        ("SELECT", "SELECT"),
        ("SELECT *", "SELECT"),
        ("SELECT 1", "SELECT"),
        ("SELECT id FROM thing", "SELECT"),
        ("SELECT *, id FROM thing", "SELECT"),
        ("SELECT thing.* FROM thing", "*"),
        ("SELECT DISTINCT * FROM thing", None),
        ("SELECT * FROM thing t", None),
        ("SELECT * FROM ONLY thing", None),
        ("SELECT * FROM public.thing", None),
        ("SELECT * FROM thing, select", None),
        ("SELECT * FROM thing JOIN thing ON TRUE", None),
        ("SELECT * FROM (SELECT * FROM thing) x", None),
        ("SELECT * FROM thing()", None),
        ("SELECT * INTO x FROM thing", None),
        ("SELECT * FROM thing FOR UPDATE", None),
        ("SELECT * FROM thing LIMIT 1", None),
        ("SELECT * FROM thing ORDER BY id", None),
        ("SELECT * FROM thing GROUP BY id", None),
        ("SELECT * FROM thing TABLESAMPLE SYSTEM (1)", None),
        ("SELECT * FROM thing UNION SELECT * FROM thing", None),
        ("SELECT * FROM thing; SELECT * FROM thing", None),
        ("SELECT * FROM thing WHERE id > 1", None),
        ("SELECT * FROM thing WHERE id == 1", "=="),
        ("SELECT * FROM thing WHERE (id = 1)", None),
        ("SELECT * FROM thing WHERE id = 1 AND id = 1", None),
        ("SELECT * FROM thing WHERE NOT id = 1", None),
        ("SELECT * FROM thing WHERE id IN (1)", None),
        ("SELECT * FROM thing WHERE id IS NULL", None),
        ("SELECT * FROM thing WHERE 1 = id", None),
        ("SELECT * FROM thing WHERE id = id", None),
        ("SELECT * FROM thing WHERE thing.id = 1", None),
        ("SELECT * FROM thing WHERE id = 1 + 1", None),
        ("SELECT * FROM thing WHERE id = - - 1", None),
        ("SELECT * FROM thing WHERE owner = -'x'", None),
        ("SELECT * FROM thing WHERE owner = 'x' 'y'", None),
        ("SELECT * FROM thing WHERE owner = lower('X')", None),
        ("SELECT * FROM thing WHERE owner = 'x'::text", ":"),
        ("SELECT * FROM thing WHERE owner = E'x'", "'x'"),
        ("SELECT * FROM thing WHERE owner = U&'x'", "&"),
        ("SELECT * FROM thing WHERE owner = $$x$$", "$$"),
        ("SELECT * FROM thing WHERE owner = 'x", "'x"),
        ('SELECT * FROM "thing', '"thing'),
        ("SELECT * FROM thing -- comment", "--"),
        ("SELECT /* comment */ * FROM thing", "/*"),
        ("SELECT * FROM thing WHERE owner = :p1", ":"),
        ("SELECT * FROM thing WHERE owner = @x", "@"),
        ("SELECT * FROM {{ thing }}", "{"),
        ("SELECT * FROM thing\0", "\0"),
        ("SELECT * FROM thing WHERE ", None),
        ("SELECT * FROM thing WHERE owner = ", None),
        ("SELECT * FROM thing WHERE owner = $0", "$0"),
        ("SELECT * FROM thing WHERE id = 0x10", None),
        ("SELECT * FROM thing WHERE id = 1__0", None),
        ("SELECT * FROM $1", None),
        ("SELECT $1 FROM thing", None),
        ("SELECT * FROM thing WHERE $1 = id", None),
    ],
)
def test_what_is_outside_the_subset_is_refused(sql: str, at: str | None) -> None:
    """Every other text is a MalformedQuery that names a place in it."""
    with pytest.raises(MalformedQuery) as error:
        parse(sql)
    position = error.value.details["position"]
    assert 1 <= position <= len(sql) + 1
    if at is not None:
        assert position == sql.index(at) + 1


@pytest.mark.parametrize("number", [0, 2, PARAMETERS_MAX + 1, 999, 1_000])
def test_parameters_are_numbered_from_1_without_gaps(number: int) -> None:
    """The first parameter is $1, and none is left out."""
    with pytest.raises(MalformedQuery) as error:
        parse(f"SELECT * FROM thing WHERE id = ${number}")  # noqa: S608  # The test itself writes the SQL.
    assert error.value.details["position"] == 32


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t WHERE a = 1e99999999999999999999",
        "SELECT * FROM t WHERE a = -1e99999999999999999999",
        "SELECT * FROM t WHERE a = 1e-99999999999999999999",
    ],
)
def test_a_number_beyond_every_type_is_malformed(sql: str) -> None:
    """At its own place."""
    with pytest.raises(MalformedQuery, match="beyond every type") as raised:
        parse(sql)
    assert raised.value.details["position"] == 27


@pytest.mark.parametrize("sql", ["select * from items ? at case", "select * from items where a = ? at case"])
def test_what_the_parser_stumbles_over_is_malformed(sql: str) -> None:
    """Whatever it raises."""
    with pytest.raises(MalformedQuery) as raised:
        parse(sql)
    assert raised.value.details["position"]


def test_two_ways_of_parameters_do_not_mix() -> None:
    """A text has either $1 or ?."""
    with pytest.raises(MalformedQuery, match="found both"):
        parse("SELECT ? FROM thing WHERE id = $1")


def test_text_and_depth_are_bounded() -> None:
    """A text that is too long or too deep is refused before it is parsed."""
    with pytest.raises(MalformedQuery, match="characters"):
        parse("SELECT * FROM thing".ljust(QUERY_LENGTH_MAX + 1))
    with pytest.raises(MalformedQuery, match="characters"):
        parse("SELECT * FROM thing", length_max=18)
    with pytest.raises(MalformedQuery, match="deeper"):
        parse("SELECT " + "(" * (QUERY_DEPTH_MAX + 1))


def test_a_parse_is_remembered_by_its_text() -> None:
    """The same text is parsed once; the memory of it is bounded."""
    _parse.cache_clear()
    assert parse("SELECT * FROM thing") is parse("SELECT * FROM thing")
    assert _parse.cache_info().maxsize == PARSE_CACHE_MAX


words = st.sampled_from(
    [
        "select",
        "SELECT",
        "*",
        "from",
        "thing",
        '"thing"',
        "where",
        "owner",
        "id",
        "=",
        "'x'",
        "1",
        "-",
        "$1",
        "?",
        ";",
        "(",
        ")",
        ",",
        "null",
        "true",
        ".",
        "and",
        "or",
        "in",
        "like",
        "is",
        "not",
        "$",
        "::",
        "--",
        "\n",
        "'",
        '"',
        "1e9",
        "hidden",
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.one_of(st.lists(words, max_size=14).map(" ".join), st.lists(words, max_size=14).map("".join), st.text()))
def test_any_text_is_taken_apart_or_malformed(sql: str) -> None:
    """Whatever the text, it is a statement, or refused with a place in it."""
    try:
        statement: Any = parse(sql)
    except MalformedQuery as error:
        assert 1 <= error.details["position"] <= len(sql) + 1  # noqa: PT017  # Both ways are fine.
    else:
        assert sql.lower().lstrip().startswith("select")
        assert statement.table.text in sql.lower().replace('""', '"')
