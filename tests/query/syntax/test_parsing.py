"""Statements: what a text says, how tightly its operators bind, what is refused; whatever the text, never a crash."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import MalformedQuery
from store.query.syntax.lexing import QUERY_LENGTH_MAX
from store.query.syntax.parsing import PARSE_CACHE_MAX, SUBQUERY_DEPTH_MAX, _parse, parse
from store.query.syntax.statement import (
    Aggregate,
    Call,
    Column,
    Constant,
    Member,
    Name,
    Order,
    Output,
    Parameter,
    Source,
    Value,
    tables_of,
)
from store.query.syntax.values import NESTING_MAX


def value(expression: str) -> Value:
    """What a text says of one value."""
    made = parse(f"SELECT {expression} FROM t").select.outputs[0].value  # noqa: S608  # The tests' own SQL.
    assert made is not None
    return made


def shape(node: Value) -> str:
    """A value with a parenthesis around everything."""
    if isinstance(node, Call):
        return f"({' '.join([node.name, *map(shape, node.args)])})"
    if isinstance(node, Aggregate):
        return repr(node.argument)
    return node.name if isinstance(node, Column) else repr(getattr(node, "value", node))


@pytest.mark.parametrize(
    ("expression", "read"),
    [
        ("a OR b AND c", "(or a (and b c))"),
        ("NOT a = b", "(not (= a b))"),
        ("NOT a AND b", "(and (not a) b)"),
        ("a + b * c", "(+ a (* b c))"),
        ("a - b - c", "(- (- a b) c)"),
        ("a || b + c", "(|| a (+ b c))"),
        ("- a * b", "(* (negative a) b)"),
        ("- a::int", "(negative (cast int4 a))"),
        ("a < b IS NULL", "(is null (< a b))"),
        ("a -> 'b' ->> 'c' = 'd'", "(= (->> (-> a 'b') 'c') 'd')"),
        ("a NOT LIKE b || c", "(not (like a (|| b c)))"),
        ("a LIKE 'b' ESCAPE '!'", "(like a 'b' '!')"),
        ("a BETWEEN b AND c AND d", "(and (between a b c) d)"),
        ("a NOT IN (b, c)", "(not (in a b c))"),
        ("a IS NOT TRUE", "(not (is true a))"),
        ("a IS NOT UNKNOWN", "(not (is unknown a))"),
        ("a IS NOT DISTINCT FROM b", "(is not distinct a b)"),
        ("a @> b -> c", "(-> (@> a b) c)"),
        ("a ->> 'b' || c LIKE d ->> 'e'", "(like (|| (->> a 'b') c) (->> d 'e'))"),
        ("- a -> b + c", "(-> (negative a) (+ b c))"),
        ("coalesce(a -> b, (c) -> d)", "(coalesce (-> a b) (-> c d))"),
        ("a || count(*)", "(|| a None)"),
        ("mod(a, b) * c", "(* (mod a b) c)"),
        ("substring(a FOR 2)", "(substr a 1 2)"),
        ("trim(LEADING 'x' FROM a)", "(ltrim a 'x')"),
        ("position('x' IN a)", "(strpos a 'x')"),
        ("CASE a WHEN 1 THEN b END", "(case of a 1 b None)"),
    ],
)
def test_operators_bind_as_in_postgresql(expression: str, read: str) -> None:
    """The precedence is that of PostgreSQL's grammar."""
    assert shape(value(expression)) == read


@pytest.mark.parametrize(
    "expression",
    ["a = b = c", "a < b < c", "a = b LIKE c = d", "a = NOT b", "a || NOT b", "a + NOT b"],
)
def test_what_binds_unclearly_wants_parentheses(expression: str) -> None:
    """Where PostgreSQL refuses, or reads otherwise than the parser, nothing is guessed."""
    with pytest.raises(MalformedQuery):
        value(expression)


def test_a_statement_knows_its_places() -> None:
    """Each name, literal and parameter stands where it stands in the text."""
    select = parse("SELECT a AS x, t.* FROM t WHERE b = $1 AND c = 'x'").select
    assert select.outputs == (Output(Column(None, "a", 7), "x", None, 7), Output(None, None, "t", 15))
    assert select.where == Call(
        "and",
        (
            Call("=", (Column(None, "b", 32), Parameter(0, 36)), 32),
            Call("=", (Column(None, "c", 43), Constant("x", 47)), 43),
        ),
        32,
    )


def test_a_whole_select_is_taken_apart() -> None:
    """Joins, groups, order and bounds."""
    select = parse(
        "SELECT DISTINCT count(*), sum(DISTINCT b) FROM t AS x LEFT JOIN u ON true WHERE a IN (SELECT c FROM v)"
        " GROUP BY a HAVING true ORDER BY 1 DESC, a NULLS FIRST LIMIT 5 OFFSET ?"
    ).select
    assert select.distinct
    assert [type(each.value) for each in select.outputs] == [Aggregate, Aggregate]
    assert select.sources[0] == Source(Name("t", 47), "x", None, outer=False)
    assert (select.sources[1].table.text, select.sources[1].outer) == ("u", True)
    assert isinstance(select.where, Member)
    assert [each._replace(value=Constant(0, 0)) for each in select.order] == [
        Order(Constant(0, 0), descending=True, nulls_first=True),
        Order(Constant(0, 0), descending=False, nulls_first=True),
    ]
    assert (select.limit, select.offset) == (Constant(5, 163), Parameter(0, 172))


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "t",
        "TABLE t",
        "INSERT INTO t VALUES (1)",
        "DELETE FROM t",
        "WITH x AS (SELECT 1) SELECT * FROM t",
        "EXPLAIN DELETE FROM t",
        "EXPLAIN EXPLAIN SELECT * FROM t",
        "SELECT",
        "SELECT *",
        "SELECT 1",
        "SELECT FROM t",
        "SELECT * FROM",
        "SELECT * FROM t t2 t3",
        "SELECT * FROM public.t",
        "SELECT * FROM t, u",
        "SELECT * FROM t JOIN u",
        "SELECT * FROM t CROSS JOIN u",
        "SELECT * FROM t RIGHT JOIN u ON true",
        "SELECT * FROM t FULL JOIN u ON true",
        "SELECT * FROM t NATURAL JOIN u",
        "SELECT * FROM t JOIN u USING (a)",
        "SELECT * FROM (SELECT * FROM t) x",
        "SELECT * FROM t()",
        "SELECT * INTO x FROM t",
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM t TABLESAMPLE SYSTEM (1)",
        "SELECT DISTINCT ON (a) a FROM t",
        "SELECT * FROM t LIMIT ALL",
        "SELECT * FROM t FETCH FIRST 1 ROWS ONLY",
        "SELECT * FROM t GROUP BY ()",
        "SELECT * FROM t GROUP BY ROLLUP (a)",
        "SELECT * FROM t ORDER BY a USING <",
        "SELECT * FROM t WHERE",
        "SELECT * FROM t WHERE a =",
        "SELECT * FROM t WHERE (a, b) = (1, 2)",
        "SELECT * FROM t WHERE a IN ()",
        "SELECT * FROM t WHERE a IN ((SELECT b FROM u))",
        "SELECT * FROM t WHERE EXISTS (SELECT a FROM u)",
        "SELECT * FROM t WHERE a = (SELECT b FROM u)",
        "SELECT * FROM t WHERE a ISNULL",
        "SELECT * FROM t WHERE a BETWEEN SYMMETRIC 1 AND 2",
        "SELECT * FROM t WHERE a COLLATE x = 'b'",
        "SELECT * FROM t WHERE a AT TIME ZONE 'UTC' = b",
        "SELECT sum(a) OVER () FROM t",
        "SELECT sum(a ORDER BY b) FROM t",
        "SELECT count() FROM t",
        "SELECT count(a, b) FROM t",
        "SELECT max(a, b) FROM t",
        "SELECT sum(*) FROM t",
        "SELECT lower(*) FROM t",
        "SELECT lower(DISTINCT a) FROM t",
        "SELECT count(DISTINCT a, b) FROM t",
        "SELECT CASE END FROM t",
        "SELECT a.b.c FROM t",
        "SELECT * AS x FROM t",
        "SELECT -- FROM t",
        "SELECT a 'x' FROM t",
        "SELECT a $1 FROM t",
        'SELECT "lower"(a) FROM t',
        "SELECT AS lower(a) FROM t",
        "SELECT a.::int FROM t",
    ],
)
def test_what_is_outside_the_language_is_refused(sql: str) -> None:
    """Every other text is a MalformedQuery that names a place in it."""
    with pytest.raises(MalformedQuery) as raised:
        parse(sql)
    assert 1 <= raised.value.details["position"] <= len(sql) + 1


def test_text_and_depth_are_bounded() -> None:
    """A text that is too long or too deep is refused; a long chain is not deep."""
    with pytest.raises(MalformedQuery, match="characters"):
        parse("SELECT * FROM thing".ljust(QUERY_LENGTH_MAX + 1))
    with pytest.raises(MalformedQuery, match="characters"):
        parse("SELECT * FROM thing", length_max=18)
    with pytest.raises(MalformedQuery, match="deep"):
        value("NOT " * (NESTING_MAX + 1) + "a")
    with pytest.raises(MalformedQuery, match="deep"):
        value(" + ".join("a" * (NESTING_MAX + 2)))
    assert len(getattr(value(" AND ".join(["a"] * 500)), "args", ())) == 500


def test_subqueries_are_bounded() -> None:
    """Some nest in others, up to a named depth."""
    deep = "SELECT a FROM t"
    for _ in range(SUBQUERY_DEPTH_MAX):
        deep = f"SELECT a FROM t WHERE a IN ({deep})"  # noqa: S608  # The tests' own SQL.
    parse(deep)
    with pytest.raises(MalformedQuery, match="deep"):
        parse(f"SELECT a FROM t WHERE a IN ({deep})")  # noqa: S608  # The tests' own SQL.


def test_a_parse_is_remembered_by_its_text() -> None:
    """The same text is parsed once; the memory of it is bounded."""
    _parse.cache_clear()
    assert parse("SELECT * FROM thing") is parse("SELECT * FROM thing")
    assert _parse.cache_info().maxsize == PARSE_CACHE_MAX


_SAID = (
    'SELECT * FROM t "c" "c"( AS lower('
    " WHERE a b = <> < 'x' 1 1.5 - + || -> ->> @> ? $1 ; ( ) , . NULL true AND OR IN LIKE IS NOT :: int"
    " text -- $ ' \" CASE WHEN THEN ELSE END CAST AS lower( count( BETWEEN JOIN ON GROUP BY HAVING ORDER LIMIT OFFSET"
    " DISTINCT EXPLAIN ILIKE ESCAPE trim( BOTH substring( FOR position( nulls first desc asc left( interval date row"
    " values unknown try array any all union with table {{ }} [ ] % # & ^ ~ ! @ \\ \0 ä"
)
WORDS = st.sampled_from(_SAID.split(" "))
_BEGIN = "SELECT a FROM t WHERE "


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.lists(WORDS, max_size=20).map(" ".join),
        st.lists(WORDS, max_size=20).map(lambda words: _BEGIN + " ".join(words)),
        st.lists(WORDS, max_size=14).map("".join),
        st.text(),
    )
)
def test_any_text_is_a_statement_or_malformed(sql: str) -> None:
    """Whatever the text, it is a statement, or refused with a place in it."""
    try:
        statement = parse(sql)
    except MalformedQuery as error:
        assert 1 <= error.details["position"] <= len(sql) + 1  # noqa: PT017  # Both ways are fine.
    else:
        assert statement.select.sources


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 2_000 + "a" + ")" * 2_000,
        "SELECT " + "-" * 1_000,
        "SELECT " + "- " * 2_000 + "a FROM t",
        "SELECT " + "NOT " * 1_000 + "a FROM t",
        "SELECT " + "CASE WHEN a THEN " * 200,
        "SELECT a" + "::int" * 700 + " FROM t",
        "SELECT a" + " -> b" * 800 + " FROM t",
        "SELECT " + "lower(" * 600,
        "SELECT a FROM t WHERE " + "a IN (SELECT a FROM t WHERE " * 100,
        "SELECT a FROM t" + " JOIN t ON a" * 300,
        "SELECT " + "a," * 2_000 + "a FROM t",
        "SELECT a IS NULL" + " IS NULL" * 400 + " FROM t",
        "SELECT a" + " BETWEEN a AND a" * 200 + " FROM t",
        "SELECT a FROM t WHERE a = " + "9" * 4_000,
    ],
)
def test_depth_is_no_trouble(sql: str) -> None:
    """The deepest texts of the allowed length are a statement, or refused; nothing else."""
    try:
        parse(sql)
    except MalformedQuery as error:
        assert 1 <= error.details["position"] <= len(sql) + 1  # noqa: PT017  # Both ways are fine.


def test_the_tables_of_a_statement_are_found_wherever_they_stand() -> None:
    """Behind FROM, in joins, and in subqueries of any depth."""
    sql = "SELECT a FROM x AS y JOIN z ON z.a = y.a WHERE b IN (SELECT c FROM v WHERE c IN (SELECT d FROM w)) OR a = 1"
    assert sorted(tables_of(parse(sql))) == ["v", "w", "x", "z"]
