"""What is said in Python is the query that the language has for it: compiled alike, and of one value for every row."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import MalformedQuery
from store.expression import (
    Selection,
    Term,
    case,
    cast,
    coalesce,
    col,
    concat,
    constant,
    greatest,
    least,
    left,
    length,
    lower,
    ltrim,
    mod,
    nullif,
    octet_length,
    replace,
    reverse,
    right,
    rtrim,
    sign,
    starts_with,
    strpos,
    substr,
    trim,
    upper,
)
from store.query.live import TableScope, compile_live
from store.query.meaning.compiling import Compiler
from store.query.meaning.expressions import Expression
from store.query.meaning.tables import find_sources
from store.query.options import Followed
from store.query.syntax.parsing import parse
from store.query.syntax.words import FUNCTIONS, OPERATORS, SPECIAL_FUNCTIONS
from store.values import Json
from tests.query.examples import ROW
from tests.query.scenes import SCHEMA, Other, Sample, compiled, samples

ID, A, B, F, N, M = (col(each) for each in (Sample.id, Sample.a, Sample.b, Sample.f, Sample.n, Sample.m))
T, U, Y, D, E, W = (col(each) for each in (Sample.t, Sample.u, Sample.y, Sample.d, Sample.e, Sample.w))
K, J, I = col(Sample.k), col(Sample.j), col(Sample.i)  # noqa: E741  # The columns' names.

MOMENT = datetime(2024, 2, 29, 12, tzinfo=UTC)
SAID: list[tuple[Term[Any], str]] = [
    # Three values.
    (E & constant(False), "e AND false"),
    (E | constant(True), "e OR true"),
    (~E, "NOT e"),
    (D & ~E.is_null(), "d AND NOT e IS NULL"),
    (~E.is_true(), "e IS NOT TRUE"),
    (E.is_null(), "e IS UNKNOWN"),
    (~D.is_false(), "d IS NOT FALSE"),
    (A.is_distinct_from(B), "a IS DISTINCT FROM b"),
    ((A > 3) == (B > 3), "(a > 3) = (b > 3)"),
    # Comparisons.
    (constant("a") < "B", "'a' < 'B'"),
    (Y > b"\x61", "y > '\\x61'::bytea"),
    (W == MOMENT, "w = '2024-02-29 13:00:00+01'"),
    (K.in_([UUID("6f1c1d9e-8d57-4b3a-9c56-0d9a3a6b7c11")]), "k = '{6F1C1D9E8D574B3A9C560D9A3A6B7C11}'"),
    (A.in_([B, 7]), "a IN (b, 7)"),
    ((A + 1).between(B, A * 2), "a + 1 BETWEEN b AND a * 2"),
    (J.is_not_distinct_from(Json({"c": 1})), "j = '{\"c\": 1}'"),
    # LIKE.
    (T.like("Str%"), "t LIKE 'Str%'"),
    (T.ilike("stra%E"), "t ILIKE 'stra%E'"),
    (constant("10%").like("10!%", escape="!"), "'10%' LIKE '10!%' ESCAPE '!'"),
    (T.like(lower(T) + "%", escape=""), "t LIKE (lower(t) || '%') ESCAPE ''"),
    # Numbers.
    (A / B, "a / b"),
    (A % B, "a % b"),
    (-A / 2, "-a / 2"),
    (-(-1 * A), "-(-1 * a)"),
    (A - (B - 1), "a - (b - 1)"),
    (A - B - 1, "a - b - 1"),
    (A * (B + 1) % 5, "a * (b + 1) % 5"),
    (100 / A - A % (B * 2), "100 / a - a % (b * 2)"),
    (7 - A, "7 - a"),
    (3 * A + 10 % B, "3 * a + 10 % b"),
    (1 + A, "1 + a"),
    (mod(Sample.a, Sample.b) * 2, "mod(a, b) * 2"),
    (cast(Sample.a, Decimal) + Decimal("0.50"), "a::numeric + 0.50"),
    (N * M, "n * m"),
    (A + N, "a + n"),
    (F + A, "f + a"),
    (round(F), "round(f)"),
    (round(M, -2), "round(m, -2)"),
    (round(N, cast(Sample.a, int)), "round(n, a::int)"),
    (math.trunc(N), "trunc(n)"),
    (math.ceil(F), "ceil(f)"),
    (math.floor(N), "floor(n)"),
    (abs(B), "abs(b)"),
    (sign(Sample.n), "sign(n)"),
    (greatest(cast(Sample.a, Decimal), Sample.n, None), "greatest(a, n, NULL)"),
    (least(Sample.t, "R"), "least(t, 'R')"),
    # Text.
    (lower(Sample.t) + upper("ß"), "lower(t) || upper('ß')"),
    ("x" + T + "y", "'x' || t || 'y'"),
    (T + ("-" + T), "t || ('-' || t)"),
    (Y + b"b", "y || 'b'::bytea"),
    (cast(Sample.a, str) + "-" + cast(Sample.d, str), "a || '-' || d"),
    (length(Sample.t), "length(t)"),
    (length(Sample.y), "length(y)"),
    (octet_length(Sample.t), "octet_length(t)"),
    (trim(constant("  x ")), "trim('  x ')"),
    (trim(Sample.t, "Se"), "trim(BOTH 'Se' FROM t)"),
    (ltrim("aab", "a") + rtrim("b "), "ltrim('aab', 'a') || rtrim('b ')"),
    (substr(Sample.t, 2, 3), "substring(t FROM 2 FOR 3)"),
    (substr(Sample.t, -5), "substr(t, -5)"),
    (substr(Sample.t, B, cast(Sample.a, int)), "substr(t, b::int, a::int)"),
    (strpos(Sample.t, "aß"), "position('aß' IN t)"),
    (replace(Sample.t, "ß", "ss"), "replace(t, 'ß', 'ss')"),
    (concat(A, U, D, N, None, "-"), "concat(a, u, d, n, NULL, '-')"),
    (left(Sample.t, 2) + left(T, -4), "left(t, 2) || left(t, -4)"),
    (right(Sample.t, 2) + right(T, length(Sample.t)), "right(t, 2) || right(t, length(t))"),
    (starts_with(Sample.t, "St"), "starts_with(t, 'St')"),
    (reverse(Sample.t), "reverse(t)"),
    # Choices.
    (coalesce(Sample.u, Sample.t, "x"), "coalesce(u, t, 'x')"),
    (coalesce(None, "x"), "coalesce(NULL, 'x')"),
    (nullif(Sample.a, 7), "nullif(a, 7)"),
    (case((col(Sample.e), 1), (col(Sample.d), 2)), "CASE WHEN e THEN 1::bigint WHEN d THEN 2::bigint END"),
    (case((A == 1, "x"), (A == 7, "y"), default="z"), "CASE a WHEN 1 THEN 'x' WHEN 7 THEN 'y' ELSE 'z' END"),
    (case((D, constant(1)), default=1 / (A - 7)), "CASE WHEN d THEN 1::bigint ELSE 1 / (a - 7) END"),
    # Casts.
    (constant(42) + A, "'42'::bigint + a"),
    (cast(Sample.f, int), "f::bigint"),
    (cast(constant(0.1), Decimal), "0.1::float8::numeric"),
    (cast(Sample.d, str), "d::text"),
    (cast(Sample.w, str), "w::text"),
    (cast(" on ", bool), "' on '::bool"),
    (cast("2024-02-29T12:00:00Z", datetime), "'2024-02-29 12:00Z'::timestamptz"),
    (cast("6f1c1d9e8d574b3a9c560d9a3a6b7c11", UUID), "'6f1c1d9e8d574b3a9c560d9a3a6b7c11'::uuid"),
    (cast("\\x61", bytes), "'a'::bytea"),
    (cast("[1]", Json), "'[1]'::jsonb"),
    (cast(Sample.a, float), "a::float8"),
    # JSON.
    (J["a"], "j -> 'a'"),
    (J["a"]["b"].text(2), "j -> 'a' -> 'b' ->> 2"),
    (J[U], "j -> u"),
    (I[B], "i -> b::int"),
    (J.path("a", "b", -2), "j #> '{a,b,-2}'"),
    (J.path_text("c"), "j #>> '{c}'"),
    (J.path_text('a "quoted", \\ step', ""), 'j #>> \'{"a \\"quoted\\", \\\\ step",""}\''),
    (J.path(), "j #> '{}'"),
    (cast(J.path_text("a", "b", 0), int) + 1, "(j #>> '{a,b,0}')::bigint + 1"),
    (cast(I[0], Decimal), "(i -> 0)::numeric"),
    (J.has_key("c"), "j ? 'c'"),
    (I.contains([[2]]), "i @> '[[2]]'"),
    (J.contains({"a": {"b": [2.50]}}), 'j @> \'{"a": {"b": [2.50]}}\''),
    (J["a"].contained_in(J), "(j -> 'a') <@ j"),
    (~J.contains(Json("x")) & (J["c"] == Json("d")), "NOT j @> '\"x\"' AND (j -> 'c') = '\"d\"'"),
    (J.text("c").in_(["d"]), "(j ->> 'c') IN ('d')"),
    (J.text("c") + "!" == "d!", "(j ->> 'c') || '!' = 'd!'"),
]


def evaluated(said: Term[Any]) -> Expression:
    """A term as the server compiles its text and parameters."""
    selection = Sample.select(said=said)
    return compiled_text(selection.sql, selection.params)


def compiled_text(sql: str, params: tuple[Any, ...]) -> Expression:
    """The first output of a text."""
    select = parse(sql).select
    scope = TableScope(find_sources(select.sources, SCHEMA, operate=False), SCHEMA, params, operate=False)
    value = select.outputs[0].value
    assert value is not None
    return Compiler(scope, params).value(value)


@pytest.mark.parametrize(("said", "sql"), SAID, ids=[sql for _, sql in SAID])
def test_it_is_what_the_language_says(said: Term[Any], sql: str) -> None:
    """Each word here stands for one there: of the sample's row both have one value."""
    made, written = evaluated(said), compiled(sql)
    assert (made.evaluate(ROW), made.kind.replace("int4", "int8")) == (
        written.evaluate(ROW),
        written.kind.replace("int4", "int8"),
    )


SYNONYMS = {"btrim": "trim", "ceiling": "ceil", "char_length": "length", "character_length": "length"}
"""Functions of the language that are others, too."""


def test_all_of_the_language_can_be_said() -> None:
    """Every function and every operator is in some text that is made here."""
    texts = " ".join(Sample.select(said=said).sql for said, _ in SAID).replace("btrim(", "trim(")
    texts += " ".join(Sample.where(A != 1, A <= 1, A >= 1).sql.split())
    aggregates = " ".join(each.meaning for each in (A.count(), A.sum(), A.avg(), A.min(), A.max()))
    called = {*SPECIAL_FUNCTIONS - {"substring", "position"}, *(SYNONYMS.get(each, each) for each in FUNCTIONS)}
    assert [each for each in sorted(called) if f"{each}(" not in (texts + aggregates).lower()] == []
    assert [each for each in sorted(OPERATORS - {"!="} | {"?"}) if f" {each} " not in texts] == []


# Random terms: each beside a text of its own, in which every value is in parentheses.


class Said(NamedTuple):
    """A term, and what writes the text that is meant by it; parameters are appended as they are met."""

    term: Term[Any]
    write: Callable[[list[Any]], str]


def parameter(value: Any, params: list[Any]) -> str:
    """A value in a reference's text."""
    params.append(value)
    return f"${len(params)}"


def of(template: str, make: Callable[..., Term[Any]], *inner: "st.SearchStrategy[Said]") -> "st.SearchStrategy[Said]":
    """Terms made of others; their texts go into the places {} of a template, in parentheses."""

    def said(*parts: Said) -> Said:
        return Said(
            make(*(each.term for each in parts)),
            lambda params: template.format(*(f"({each.write(params)})" for each in parts)),
        )

    return st.builds(said, *inner)


def beside(
    template: str, make: Callable[[Any, Any], Term[Any]], left: "st.SearchStrategy[Said]", values: Any
) -> "st.SearchStrategy[Said]":
    """As `of`, of a term and a plain value."""

    def said(one: Said, value: Any) -> Said:
        return Said(
            make(one.term, value),
            lambda params: template.format(f"({one.write(params)})", parameter(value, params)),
        )

    return st.builds(said, left, values)


def columns(*said: Any) -> "st.SearchStrategy[Said]":
    """One of these columns."""
    return st.sampled_from([Said(col(each), lambda _, name=each.name: name) for each in said])


ints: "st.SearchStrategy[Said]" = st.deferred(
    lambda: st.one_of(
        columns(Sample.a, Sample.b, Sample.id),
        of("{} + {}", lambda x, y: x + y, ints, ints),
        of("{} - {}", lambda x, y: x - y, ints, ints),
        of("{} * {}", lambda x, y: x * y, ints, ints),
        of("{} / {}", lambda x, y: x / y, ints, ints),
        of("{} % {}", lambda x, y: x % y, ints, ints),
        of("-{}", lambda x: -x, ints),
        of("abs({})", abs, ints),
        beside("{} + {}", lambda x, y: x + y, ints, st.integers(-3, 3)),
        beside("{} * {}", lambda x, y: x * y, ints, st.integers(-3, 3)),
        of("strpos({}, {})", strpos, texts, texts),
        of("CASE WHEN {} THEN {} ELSE {} END", lambda x, y, z: case((x, y), default=z), bools, ints, ints),
        of("coalesce({}, {})", coalesce, ints, ints),
        beside("coalesce({}, {})", coalesce, ints, st.integers(-3, 3)),
    )
)
texts: "st.SearchStrategy[Said]" = st.deferred(
    lambda: st.one_of(
        columns(Sample.t, Sample.u),
        of("{} || {}", lambda x, y: x + y, texts, texts),
        beside("{} || {}", lambda x, y: x + y, texts, st.sampled_from(["", "a", "ä%"])),
        of("lower({})", lower, texts),
        of("CAST({} AS text)", lambda x: cast(x, str), ints),
        beside("left({}, {})", left, texts, st.integers(-2, 3)),
        beside("{} ->> {}", lambda x, y: x.text(y), documents, st.sampled_from(["a", "b"])),
        beside("{} #>> {}", lambda x, _: x.path_text("a", 0), documents, st.just('{"a","0"}')),
        of("nullif({}, {})", nullif, texts, texts),
    )
)
documents: "st.SearchStrategy[Said]" = st.deferred(
    lambda: st.one_of(
        columns(Sample.j, Sample.i),
        beside("{} -> {}", lambda x, y: x[y], documents, st.sampled_from(["a", 0, -1])),
        of("{} -> {}", lambda x, y: x[y], documents, texts),
    )
)
# Comparisons are called by name: of a column to the right of a term Python asks first, and turns the comparison around.
bools: "st.SearchStrategy[Said]" = st.deferred(
    lambda: st.one_of(
        of("{} = true", lambda x: x == True, columns(Sample.d, Sample.e)),  # noqa: E712  # It makes SQL.
        of("{} < {}", Term.__lt__, ints, ints),
        beside("{} >= {}", lambda x, y: x >= y, ints, st.integers(-3, 3)),
        of("{} = {}", Term.__eq__, texts, texts),
        of("{} <> {}", Term.__ne__, documents, documents),
        of("{} IS DISTINCT FROM {}", lambda x, y: x.is_distinct_from(y), ints, ints),
        of("{} BETWEEN {} AND {}", lambda x, y, z: x.between(y, z), ints, ints, ints),
        of("{} IN ({}, {})", lambda x, y, z: x.in_([y, z]), ints, ints, ints),
        of("{} LIKE {}", lambda x, y: x.like(y), texts, texts),
        of("{} IS NULL", lambda x: x.is_null(), st.one_of(ints, bools)),
        of("{} IS TRUE", lambda x: x.is_true(), bools),
        of("{} @> {}", lambda x, y: x.contains(y), documents, documents),
        beside("{} ? {}", lambda x, y: x.has_key(y), documents, st.sampled_from(["a", "b"])),
        of("NOT {}", lambda x: ~x, bools),
        of("{} AND {}", lambda x, y: x & y, bools, bools),
        of("{} OR {}", lambda x, y: x | y, bools, bools),
        of("{} = {}", Term.__eq__, bools, bools),
    )
)


def value(made: Expression, row: Sample) -> Any:
    """Of a row, or that there is none."""
    try:
        return made.evaluate(row)
    except MalformedQuery:
        return MalformedQuery


@settings(derandomize=True, max_examples=400, deadline=None)
@given(st.one_of(ints, texts, documents, bools), samples(1))
def test_what_is_said_is_what_is_compiled(said: Said, row: Sample) -> None:
    """Whatever binds first, the text that is made here is compiled as one with every value in parentheses."""
    params: list[Any] = []
    sql = f"SELECT {said.write(params)} FROM sample"  # noqa: S608  # The test's own SQL.
    written, made = compiled_text(sql, tuple(params)), evaluated(said.term)
    assert made.canonical() == written.canonical()
    assert value(made, row) == value(written, row)


# Whole queries.

WHOLE: list[tuple[Selection[Any], str, tuple[Any, ...]]] = [
    (
        Sample.where(left(Sample.t, 1) == "a").select(Sample.id, double=A * 2, place=J.text("c")),
        "SELECT id, a * 2 AS double, j ->> 'c' AS place FROM sample WHERE left(t, $1) = 'a'",
        (1,),
    ),
    (
        Sample.where(A > 0)
        .group_by(Sample.b, initial=left(Sample.t, 1), many=A.count(), span=A.max() - A.min())
        .having(A.count() > 1, left(Sample.t, 1) != "x")
        .order_by((A.max() - A.min()).descending().nulls_last(), left(Sample.t, 1))
        .limit(3)
        .offset(1),
        """SELECT b, left(t, $1) AS initial, count(a) AS many, max(a) - min(a) AS span FROM sample WHERE a > 0
        GROUP BY b, left(t, $1) HAVING count(a) > 1 AND left(t, $1) <> 'x'
        ORDER BY max(a) - min(a) DESC NULLS LAST, left(t, $1) LIMIT 3 OFFSET 1""",
        (1,),
    ),
    (
        Sample.where()
        .select(Sample.id, a=-A, plain=A)
        .order_by(Sample.a, col(Sample.id).ascending().nulls_first())
        .limit(5),
        "SELECT id, -a AS a, a AS plain FROM sample ORDER BY sample.a, id NULLS FIRST LIMIT 5",
        (),
    ),
    (
        Sample.where((A + B).in_(Other.where(lower(Other.u) == "x").select(Other.b))),
        "SELECT * FROM sample WHERE a + b IN (SELECT b FROM other WHERE lower(u) = 'x')",
        (),
    ),
]


def test_a_column_to_the_right_comes_first() -> None:
    """Python turns a comparison around where a column stands to the right of a term: it means the same."""
    assert Sample.where(A + 1 < B).sql == 'SELECT * FROM "sample" WHERE "b" > "a" + $1'


@pytest.mark.parametrize(("selection", "sql", "params"), WHOLE, ids=[sql for _, sql, _ in WHOLE])
def test_a_selection_is_a_followed_query(selection: Selection[Any], sql: str, params: tuple[Any, ...]) -> None:
    """The same as its text makes, to all who follow it."""
    bounds = Followed()
    made = compile_live(selection.sql, selection.params, SCHEMA, options=bounds)
    assert made.id == compile_live(sql, params, SCHEMA, options=bounds).id
