"""Queries asked once: their rows, how they come by them, their bounds."""

import math
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import Denied, MalformedQuery, Overloaded
from store.query.asking import Question, compile_question
from store.query.budget import ROWS_A_LOOK, Budget
from store.query.meaning.tables import ResultColumn
from store.query.options import Options
from store.tables.database import Database
from store.values import Json
from tests.query.questions import OTHERS, REFUSED, SAMPLES
from tests.query.scenes import SCHEMA, Hidden, Sample, database

ROWS = [*SAMPLES, *OTHERS, Hidden(id=1, a=2)]


def question(sql: str, *params: Any, operate: bool = False) -> Question:
    """The query as a reader's token gets it."""
    return compile_question(sql, params, SCHEMA, operate=operate)


def budget(clock: Any = None, **options: int) -> Budget:
    """Bounds, on a clock that stands still unless told."""
    return Budget(Options(**options), clock or (lambda: 0.0))


def answer(sql: str, *params: Any, of: Database | None = None) -> list[Any]:
    """A query's rows."""
    rows = question(sql, *params).answer(of or database(*ROWS), budget())
    return [msgspec.msgpack.decode(each) for each in rows]


def plan(sql: str) -> list[str]:
    """What EXPLAIN says."""
    return [line for (line,) in answer(f"EXPLAIN {sql}")]


def test_all_columns_are_the_tables_own_bytes() -> None:
    """Nothing is encoded again."""
    made = database(*ROWS)
    table = made.table("sample")
    assert table is not None
    rows = question("SELECT * FROM sample WHERE id > 3").answer(made, budget())
    assert [id(each) for each in rows] == [id(table.rows[key]) for key in (4, 5)]


def test_without_order_rows_come_by_the_first_tables_key() -> None:
    """Whatever way they are found."""
    made = database(*reversed(SAMPLES))
    assert answer("SELECT id FROM sample", of=made) == [[1], [2], [3], [4], [5]]
    assert answer("SELECT id FROM sample WHERE id IN (5, 2, 4)", of=made) == [[2], [4], [5]]
    assert answer("SELECT id FROM sample WHERE u IN ('x', 'Y')", of=made) == [[1], [3], [5]]


def test_values_are_in_the_form_of_columns() -> None:
    """Numerics without trailing zeros, JSON as canonical text, arrays in order of the outputs."""
    assert answer("SELECT n * 2.00, j, j -> 'k', avg(n) FROM sample WHERE id = 1 GROUP BY n, j, j -> 'k'") == [
        ["3", '{"k":1}', "1", "1.5"]
    ]


def test_columns_say_their_types() -> None:
    """Names as PostgreSQL gives them; what a LEFT JOIN may miss is nullable."""
    made = question(
        "SELECT s.id, o.key, count(*), s.id + 1, s.f::text x FROM sample s LEFT JOIN other o ON true GROUP BY 1,2,s.f"
    )
    assert made.columns == (
        ResultColumn("id", "int", nullable=True),
        ResultColumn("key", "int", nullable=True),
        ResultColumn("count", "int", nullable=True),
        ResultColumn("?column?", "int", nullable=True),
        ResultColumn("x", "str", nullable=True),
    )
    assert question("SELECT s.id, o.key FROM sample s LEFT JOIN other o ON true").columns == (
        ResultColumn("id", "int", nullable=False),
        ResultColumn("key", "int", nullable=True),
    )


def test_a_question_knows_its_key() -> None:
    """Where rows are one table's and hold its primary key; else -1."""
    assert question("SELECT * FROM sample").key == 0
    assert question("SELECT a, id FROM sample").key == 1
    assert question("SELECT a FROM sample").key == -1
    assert question("SELECT count(*) FROM sample").key == -1
    assert question("SELECT s.id FROM sample s JOIN other o ON true").key == -1


ALL = "all rows of sample in the order of id"
BY_KEY = "rows of sample by the primary key id"
ONLY_WHERE = "only where the condition is true"
MANY_JOINS = (
    "SELECT DISTINCT o.u FROM sample s JOIN other o ON o.key = s.a LEFT JOIN other p ON p.a = s.b"
    " JOIN other q ON q.b = s.b JOIN other r ON r.b > s.b ORDER BY 1"
)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM sample", ["all rows of sample in the order of id"]),
        ("SELECT * FROM sample WHERE id = 1", [BY_KEY, ONLY_WHERE]),
        (
            "SELECT * FROM sample WHERE b = 1 AND u = 'x' AND id IN (1, 2)",
            [BY_KEY, ONLY_WHERE],
        ),
        ("SELECT * FROM sample WHERE u = 'x' AND a = 1", ["rows of sample by the index u", ONLY_WHERE]),
        ("SELECT * FROM sample WHERE (u = 'x' OR id IN (SELECT b FROM other WHERE a = 1) OR b = 2) AND a = 1",
         ["subquery at first: rows of other by the index a",
          "rows of sample by the index u, or by the primary key id, or by the index b", ONLY_WHERE]),
        ("SELECT * FROM sample WHERE u = 'x' OR a = 1", ["all rows of sample in the order of id", ONLY_WHERE]),
        ("SELECT * FROM sample WHERE (u = 'x' OR b = 1) AND id = 3", [BY_KEY, ONLY_WHERE]),
        ("SELECT * FROM sample WHERE u = 'x' OR u IN ('y', 'z') AND a = 1",
         ["rows of sample by the index u", ONLY_WHERE]),
        (
            "SELECT * FROM sample WHERE a = 1",
            ["all rows of sample in the order of id", "only where the condition is true"],
        ),
        ("SELECT * FROM sample ORDER BY id DESC LIMIT 2", [
            "all rows of sample in the order of id, backwards", "at most 2 rows behind the first 0"]),
        ("SELECT * FROM sample WHERE a = NULL", [
            "no row: the condition is never true", "only where the condition is true"]),
        (
            "SELECT * FROM sample WHERE id IN (SELECT b FROM other WHERE a = 1)",
            ["subquery at first: rows of other by the index a", "rows of sample by the primary key id",
             "only where the condition is true"],
        ),
        (
            MANY_JOINS,
            ["all rows of sample in the order of id", "JOIN rows of other by the primary key key",
             "LEFT JOIN rows of other by the index a", "JOIN all rows of other, once, found again by b",
             "JOIN all rows of other, for each row so far", "each different row once", "sorted by 1 keys"],
        ),
        ("SELECT count(*) FROM sample GROUP BY a", [ALL, "grouped by 1 keys, 1 aggregates"]),
    ],
)  # fmt: skip
def test_explain_says_how(sql: str, said: list[str]) -> None:
    """Which key or index is used, and what is done with the rows."""
    assert plan(sql) == said


@pytest.mark.parametrize(
    ("sql", "examined"),
    [
        ("SELECT * FROM sample WHERE id = 1", 1),
        ("SELECT * FROM sample WHERE id IN (1, 2, 9)", 2),
        ("SELECT * FROM sample WHERE u = 'x'", 2),
        ("SELECT * FROM sample WHERE a = 2", 5),
        ("SELECT * FROM sample LIMIT 2", 2),
        ("SELECT * FROM sample ORDER BY id DESC LIMIT 1", 1),
        ("SELECT * FROM sample ORDER BY a LIMIT 1", 5),
        ("SELECT * FROM sample WHERE NULL", 0),
        ("SELECT s.id FROM sample s JOIN other o ON o.key = s.id WHERE s.id = 1", 2),
        ("SELECT * FROM sample WHERE id IN (SELECT b FROM other WHERE key = 1)", 2),
    ],
)
def test_no_more_rows_are_looked_at_than_it_takes(sql: str, examined: int) -> None:
    """Keys, indexes and LIMIT spare the others."""
    spent = budget()
    question(sql).answer(database(*ROWS), spent)
    assert spent.examined == examined


def test_rows_looked_at_are_bounded() -> None:
    """Joined and grouped ones count; the error names the limit."""
    for sql in (
        "SELECT * FROM sample",
        "SELECT * FROM sample WHERE id IN (SELECT b FROM other)",
        "SELECT count(*) FROM sample a JOIN sample b ON true",
    ):
        with pytest.raises(Overloaded, match="more than 4 rows") as raised:
            question(sql).answer(database(*ROWS), budget(rows_examined_max=4))
        assert raised.value.details == {"limit": "query_rows_examined_max"}


def test_rows_returned_are_bounded() -> None:
    """As many as the bound are fine."""
    made = database(*ROWS)
    assert len(question("SELECT * FROM sample").answer(made, budget(rows_returned_max=5))) == 5
    with pytest.raises(Overloaded, match="returns more than 4 rows"):
        question("SELECT * FROM sample").answer(made, budget(rows_returned_max=4))


def test_time_is_bounded() -> None:
    """The clock is looked at every so many rows, and before a sort."""
    moments = iter([0.0, 0.5, 1.5, 2.5])
    many = database(*(Sample(id=number) for number in range(3_000)))
    with pytest.raises(Overloaded, match=f"over 1000 ms, for {2 * ROWS_A_LOOK} rows") as raised:
        question("SELECT * FROM sample WHERE a = 1").answer(many, budget(lambda: next(moments), time_max_ms=1_000))
    assert raised.value.details == {"limit": "query_time_max_ms"}
    late = iter([0.0, 5.0])
    with pytest.raises(Overloaded, match="ms"):
        question("SELECT * FROM sample ORDER BY a").answer(database(*ROWS), budget(lambda: next(late)))


@pytest.mark.parametrize(
    "condition",
    [
        "t LIKE '%" + "_a" * 20 + "b%'",
        "upper(lower(lower(t))) = 'b'",
        "concat(t, t, t) = 'b'",
        "replace(t, 'b', 'a') = 'b'",
        "j ->> 0 = 'b'",
        "j <@ i",
    ],
)
def test_time_is_bounded_within_a_row(condition: str) -> None:
    """A value that takes long looks at the clock itself: few rows may take minutes, and calls wait for them."""
    long, numbers = "a" * 1_000_000, Json([[number] for number in range(500)])
    words = Json([long]) if "->>" in condition else numbers
    text = None if "j" in condition else long
    made = database(Sample(id=1, t=text, j=words, i=Json([[number] for number in range(499, -1, -1)])))
    late = iter([0.0, 0.5, *[1.5] * 1_000])
    with pytest.raises(Overloaded, match="for 1 rows"):
        question(f"SELECT id FROM sample WHERE {' OR '.join([condition] * 5)}").answer(  # noqa: S608  # The tests' own.
            made, budget(lambda: next(late), time_max_ms=1_000)
        )


@pytest.mark.parametrize("sql", REFUSED)
def test_what_cannot_be_answered_is_refused(sql: str) -> None:
    """With a place in the text, when it is read or when it is run."""
    with pytest.raises(MalformedQuery) as raised:
        question(sql).answer(database(*ROWS), budget())
    assert 1 <= raised.value.details["position"] <= len(sql) + 1


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM hidden",
        "SELECT s.id FROM sample s JOIN hidden h ON h.id = s.id",
        "SELECT id FROM sample WHERE id IN (SELECT id FROM hidden)",
        "EXPLAIN SELECT * FROM hidden",
    ],
)
def test_every_private_table_wants_an_operator(sql: str) -> None:
    """Joined, in a subquery, only explained."""
    with pytest.raises(Denied):
        question(sql)
    question(sql, operate=True).answer(database(*ROWS), budget())


def test_parameters_bound_and_compare() -> None:
    """Wherever a value may stand."""
    assert answer("SELECT id FROM sample WHERE b = $1 ORDER BY id LIMIT $2 OFFSET $3", 20, 1, 1) == [[5]]
    assert answer("SELECT $1, count(*) FROM sample WHERE u = $1", "x") == [["x", 2]]


def test_an_answer_is_new_each_time() -> None:
    """A question may be asked again, also after its subquery's rows changed."""
    asked = question("SELECT id FROM sample WHERE id IN (SELECT b FROM other)")
    assert len(asked.answer(database(*ROWS), budget())) == 3
    assert asked.answer(database(*SAMPLES), budget()) == []


def test_a_value_that_no_column_could_keep_is_refused() -> None:
    """Not returned in another form, and no crash."""
    with pytest.raises(MalformedQuery, match="cannot be returned") as raised:
        answer("SELECT n * n * 1e999 FROM sample WHERE id = 4")
    assert raised.value.details["position"] == 8


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20), st.randoms())
def test_a_sum_of_floats_is_rounded_once(values: list[float], order: Random) -> None:
    """It is the float nearest to the exact sum, whatever the order of rows."""
    order.shuffle(values)
    rows = [Sample(id=number, f=value) for number, value in enumerate(values)]
    ((total, average),) = answer("SELECT sum(f), avg(f) FROM sample", of=database(*rows))
    assert total == math.fsum(values)
    assert average == math.fsum(values) / len(values)


def test_of_groups_that_tie_those_with_the_lowest_keys_are_the_first() -> None:
    """LIMIT takes them by the bytes of their keys, in whatever order their rows came."""
    rows = [Sample(id=number, b=10 - number) for number in range(8)]
    assert answer("SELECT b, count(*) FROM sample GROUP BY b ORDER BY 2 LIMIT 2", of=database(*rows)) == [
        [3, 1],
        [4, 1],
    ]
