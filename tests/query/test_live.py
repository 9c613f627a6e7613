"""Followed queries: which rows they hold, what is sent of them, where they are found, what they may not be."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from store.errors import Denied, MalformedQuery
from store.query.live import LiveQuery, compile_live
from store.query.meaning.tables import ResultColumn
from store.values import Json
from tests.query.scenes import SCHEMA, Other, Sample

ROWS = [
    Sample(id=1, a=1, b=10, u="x", n=Decimal("1.50"), j=Json({"k": [1]})),
    Sample(id=2, a=2, b=20, u="y"),
    Sample(id=3, a=None, b=30, u=None),
]


def live(sql: str, *params: Any) -> LiveQuery:
    """The query as a reader's token gets it."""
    return compile_live(sql, params, SCHEMA)


def where(condition: str, *params: Any) -> LiveQuery:
    """All samples of which a condition is true."""
    return live(f"SELECT * FROM sample WHERE {condition}", *params)  # noqa: S608  # The tests' own SQL.


def keys(query: LiveQuery) -> list[int]:
    """Which of the rows are in it."""
    return [row.id for row in ROWS if query.matches(row)]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("true", [1, 2, 3]),
        ("a = 1", [1]),
        ("a <> 1", [2]),
        ("NOT a = 1", [2]),
        ("a = 1 OR a IS NULL", [1, 3]),
        ("a > 0 AND u LIKE 'y%'", [2]),
        ("a NOT IN (1, NULL)", []),
        ("j -> 'k' @> '1'", [1]),
        ("NULL", []),
        ("a = NULL", []),
    ],
)
def test_a_row_is_in_it_where_the_condition_is_true(condition: str, found: list[int]) -> None:
    """False and NULL are not enough."""
    assert keys(where(condition)) == found


def test_rows_go_as_they_are_or_projected() -> None:
    """All columns are the row's own bytes; named ones are an array of them, computed ones in their one form."""
    assert live("SELECT * FROM sample").project(ROWS[0], b"as it is") == b"as it is"
    query = live("SELECT n * 2 AS double, id, j -> 'k', j, upper(u) FROM sample")
    assert msgspec.msgpack.decode(query.project(ROWS[0], b"")) == ["3", 1, "[1]", '{"k":[1]}', "X"]
    assert query.key == 1
    assert query.columns == (
        ResultColumn("double", "decimal", nullable=True),
        ResultColumn("id", "int", nullable=False),
        ResultColumn("?column?", "json", nullable=True),
        ResultColumn("j", "json", nullable=True),
        ResultColumn("upper", "str", nullable=True),
    )


@pytest.mark.parametrize(
    ("condition", "equalities", "ranges"),
    [
        ("a = 1", [("a", (1,))], []),
        ("1 = a AND b IN (2, 3) AND u LIKE 'x'", [("a", (1,)), ("b", (2, 3))], []),
        ("u = $1", [("u", ("x",))], []),
        ("u IN ('x', NULL)", [("u", ("x",))], []),
        ("f = 1.5::float8", [("f", (1.5,))], []),
        ("n = 1", [("n", (1,))], []),
        ("d = true", [("d", (True,))], []),
        ("a = 1 OR b = 1", [], []),
        ("a = 1 OR a IN (2, 1, NULL) OR 3 = a AND b = 1", [("a", (1, 2, 3))], []),
        ("a = 1 AND b = 2 OR b IN (3, 4) AND a = 5", [("a", (1, 5)), ("b", (2, 3, 4))], []),
        ("(a = 1 OR a = 2 OR a = NULL) AND u = 'x'", [("a", (1, 2)), ("u", ("x",))], []),
        ("a = 1 OR a > 5", [], []),
        ("NOT (a = 1 OR a = 2)", [], []),
        ("NOT a = 1", [], []),
        ("a = b", [], []),
        ("a + 1 = 2", [], []),
        ("a = 1.5::float8", [], []),
        ("j = '1'", [], []),
        ("a > 1", [], [("a", 1, False, None, False)]),
        ("a >= 1 AND a < 5 AND 3 >= a", [], [("a", 1, True, 3, True)]),
        ("w BETWEEN '2024-01-01T00:00:00Z' AND '2024-01-01T00:00:00Z' AND u > 'a'", [], ["w", "u"]),
        ("a > NULL", [], []),
    ],
)
def test_a_query_says_where_it_is_found(condition: str, equalities: list[Any], ranges: list[Any]) -> None:
    """By each column that must equal constants or lie between them: alone, under AND, or, to equal, in all of an OR."""
    query = where(condition, *(["x"] if "$" in condition else []))
    assert [(each.column.name, each.values) for each in query.equalities] == equalities
    found = [(each.column.name, *each[2:]) for each in query.ranges]
    assert (found if ranges and isinstance(ranges[0], tuple) else [each[0] for each in found]) == ranges


def test_a_condition_that_is_never_true_is_known() -> None:
    """So that nobody looks for its rows."""
    assert where("a = NULL").never
    assert where("1 = 2 AND a = 1").never
    assert not where("a = 1").never
    assert not where("true").never


def test_the_same_query_has_the_same_id() -> None:
    """However it is written; another parameter, column, projection or table makes another."""
    written = 'select * from "sample" where a=1 AND b>2;'
    same = [where("a = 1 AND b > 2"), where("1 = a and ( $1 < b )", 2), live(written)]
    assert len({each.id for each in same}) == 1
    others = [
        *same[:1],
        where("a = 1 AND b > 3"),
        where("b = 1 AND a > 2"),
        where("a = 1 OR b > 2"),
        where("a = 1"),
        where("a = 2"),
        where("u = '1'"),
        where("a IN (SELECT a FROM other)"),
        where("a IN (SELECT a FROM other WHERE b = 1)"),
        live("SELECT * FROM sample"),
        live("SELECT id FROM sample"),
        live("SELECT id, a FROM sample"),
        live("SELECT id, a AS b FROM sample"),
        live("SELECT * FROM other"),
    ]
    assert len({each.id for each in others}) == len(others)


def test_an_id_is_the_same_forever() -> None:
    """It rests on what the query means alone, so that clients can resume after a restart."""
    assert live("SELECT * FROM sample").id == "24rOHBP85Hd7yPaaOEmV"
    assert where("a = 1").id == where("a = $1", 1).id == "YDrPV_r8N_rV-3uyw1Fh"
    assert where("a = 1 AND u LIKE 'x%'").id == "REc30Ez_DwJ-HYr-uo5z"


@pytest.mark.parametrize(
    ("sql", "at", "reason"),
    [
        ("EXPLAIN SELECT * FROM sample", "EXPLAIN", "no EXPLAIN"),
        ("SELECT * FROM sample JOIN other ON true", "other", "no JOIN"),
        ("SELECT DISTINCT * FROM sample", "SELECT", "no DISTINCT"),
        ("SELECT id FROM sample GROUP BY id", "id FROM", "no GROUP BY"),
        ("SELECT id FROM sample HAVING true", "true", "no HAVING"),
        ("SELECT * FROM sample ORDER BY a", "a", "no ORDER BY"),
        ("SELECT * FROM sample LIMIT 5", "5", "no LIMIT"),
        ("SELECT * FROM sample OFFSET 5", "5", "no OFFSET"),
        ("SELECT a FROM sample", "SELECT", "primary key"),
        ("SELECT id + 0 AS id FROM sample", "SELECT", "primary key"),
        ("SELECT id, count(*) FROM sample", "count", "may not stand here"),
        ("SELECT * FROM sample WHERE sum(a) > 1", "a) > 1", "may not stand here"),
        ("SELECT * FROM sample WHERE a", "a", "takes a boolean"),
        ("SELECT * FROM nosuch", "nosuch", "no table 'nosuch'"),
        ("SELECT * FROM sample WHERE x = 1", "x", "no column 'x'"),
        ("SELECT * FROM sample s WHERE sample.a = 1", "sample.a", "no table is called"),
        ("SELECT x.* FROM sample", "x.*", "no table is called"),
        ("SELECT * FROM sample WHERE a IN (SELECT * FROM other)", "a IN", "SELECT column FROM table"),
        ("SELECT * FROM sample WHERE a IN (SELECT a FROM other LIMIT 1)", "a IN", "SELECT column FROM table"),
        ("SELECT * FROM sample WHERE a IN (SELECT u FROM other)", "a IN", "no operator"),
        ("SELECT * FROM sample WHERE a IN (SELECT sample.b FROM other)", "sample.b", "no table is called"),
    ],
)
def test_what_cannot_be_followed_is_refused(sql: str, at: str, reason: str) -> None:
    """With its place and the reason."""
    with pytest.raises(MalformedQuery) as raised:
        live(sql)
    assert reason in str(raised.value)
    begin = raised.value.details["position"] - 1
    assert sql[begin:].startswith(at.split(" ", maxsplit=1)[0])


def test_names_are_told_where_one_is_unknown() -> None:
    """Tables that may be read, columns that there are; private tables are not told to readers."""
    with pytest.raises(MalformedQuery, match=r"at character 15: there is no table 'x'. There are other, sample$"):
        live("SELECT * FROM x")
    with pytest.raises(MalformedQuery, match=r"There are hidden, other, sample$"):
        compile_live("SELECT * FROM x", (), SCHEMA, operate=True)
    with pytest.raises(MalformedQuery, match=r"It has id, a, b, f, g"):
        where("nosuch = 1")


@pytest.mark.parametrize("sql", ["SELECT * FROM hidden", "SELECT * FROM sample WHERE a IN (SELECT a FROM hidden)"])
def test_a_private_table_wants_an_operator(sql: str) -> None:
    """Wherever in the query it stands."""
    with pytest.raises(Denied):
        live(sql)
    assert compile_live(sql, (), SCHEMA, operate=True).id


@pytest.mark.parametrize(("sql", "params"), [("a = 1", (1,)), ("a = ?", ()), ("a = $1", (1, 2))])
def test_there_are_as_many_values_as_parameters(sql: str, params: tuple[Any, ...]) -> None:
    """No more and no fewer."""
    with pytest.raises(MalformedQuery, match="parameters"):
        where(sql, *params)


def test_a_row_without_a_value_is_an_error() -> None:
    """Where the condition cannot be computed, it is neither true nor false."""
    with pytest.raises(MalformedQuery, match="division by zero"):
        where("10 / (a - 1) > 0").matches(ROWS[0])


def test_membership_asks_its_subquery() -> None:
    """The condition follows the values that its membership holds."""
    query = where("a IN (SELECT b FROM other WHERE u = 'x')")
    (members,) = query.members
    assert members.matches(Other(key=1, u="x"))
    assert not members.matches(Other(key=1, u="y"))
    assert keys(query) == []
    members.add(members.value(Other(key=1, b=2, u="x")))
    assert keys(query) == [2]
