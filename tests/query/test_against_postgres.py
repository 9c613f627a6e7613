"""The evaluator against a real PostgreSQL: the same value of the same type, or both refuse."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.errors import MalformedQuery
from store.query.asking import compile_question
from store.query.budget import Budget
from store.query.options import Options
from store.query.types.kinds import text_of
from tests.query.examples import EXAMPLES, REFUSED, ROW
from tests.query.grammar import expressions
from tests.query.postgres import Postgres, PostgresError
from tests.query.questions import OTHERS, QUESTIONS, SAMPLES
from tests.query.questions import REFUSED as REFUSED_QUESTIONS
from tests.query.scenes import SCHEMA, Sample, compiled, create_tables, database, insert, samples

_TYPE_NAMES = {
    "bool": "boolean",
    "int4": "integer",
    "int8": "bigint",
    "float8": "double precision",
    "timestamptz": "timestamp with time zone",
}


@pytest.fixture(scope="module")
def table(postgres: Postgres) -> Postgres:
    """PostgreSQL with the tests' tables."""
    postgres.run(create_tables())
    return postgres


def theirs(postgres: Postgres, expression: str) -> tuple[str, str | None]:
    """Type and text of a value, as PostgreSQL says it. PostgresError where it refuses."""
    query = (
        "SELECT pg_typeof(value)::text || '|' || coalesce('=' || value::text, '')"  # noqa: S608  # The tests' own SQL.
        f" FROM (SELECT {expression} AS value FROM sample OFFSET 0) AS one"
    )
    said = postgres.value(query)
    assert said is not None
    kind, _, text = said.partition("|")
    return kind, text[1:] if text else None


def ours(row: Sample, expression: str) -> tuple[str, str | None]:
    """Type and text of a value, as it is evaluated here. MalformedQuery where it is refused."""
    made = compiled(expression)
    value: Any = made.evaluate(row)
    return _TYPE_NAMES.get(made.kind, str(made.kind)), None if value is None else text_of(made.kind, value)


def agree(postgres: Postgres, row: Sample, expression: str) -> None:
    """Both say the same of a row, or both refuse; what is unclear without parentheses may be refused here alone."""
    try:
        here: Any = ours(row, expression)
    except MalformedQuery as error:
        here = error
        if "unclear" in str(error) or "'high' missing" in str(error):
            return
    try:
        there: Any = theirs(postgres, expression)
    except PostgresError as error:
        there = error
    if isinstance(here, MalformedQuery) and isinstance(there, PostgresError):
        return
    if isinstance(there, PostgresError) and "DISTINCT" in expression and str(there).startswith("42601"):
        return  # Its grammar wants parentheses where there is but one way to read it.
    assert here == there, f"{expression} of {row}: {here!r} here, {there!r} there"


@pytest.mark.parametrize(("expression", "kind", "text"), EXAMPLES, ids=str)
def test_the_examples_are_postgresqls(table: Postgres, expression: str, kind: str, text: str | None) -> None:
    """What the evaluator's own tests say of an expression, PostgreSQL says, too."""
    table.run(f"TRUNCATE sample; {insert(ROW)}")
    assert theirs(table, expression) == (_TYPE_NAMES.get(kind, kind), text)


@pytest.mark.parametrize(("expression", "reason"), REFUSED, ids=str)
def test_what_is_refused_postgresql_refuses(table: Postgres, expression: str, reason: str) -> None:
    """The evaluator's own tests name no error that PostgreSQL has not."""
    table.run(f"TRUNCATE sample; {insert(ROW)}")
    with pytest.raises(PostgresError):
        theirs(table, expression)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(row=samples(1), said=st.lists(expressions(), min_size=1, max_size=8))
def test_random_expressions_say_what_postgresql_says(table: Postgres, row: Sample, said: list[str]) -> None:
    """Of random rows, with NULLs, random expressions have PostgreSQL's type and value, or neither has one."""
    table.run(f"TRUNCATE sample; {insert(row)}")
    for expression in said:
        agree(table, row, expression)


def rows_of(sql: str) -> list[list[Any]]:
    """A query's rows here, as JSON has them."""
    made = compile_question(sql, (), SCHEMA)
    rows = made.answer(database(*SAMPLES, *OTHERS), Budget(Options(), lambda: 0.0))
    shown = []
    for each in rows:
        values = msgspec.msgpack.decode(each)
        pairs = zip(values, made.columns, strict=True)
        shown.append([_as_json(value, column.type) for value, column in pairs])
    return shown


def _as_json(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "json":
        return json.loads(value)
    return Decimal(value) if kind in {"decimal", "int", "float"} else value


@pytest.fixture(scope="module")
def tables(table: Postgres) -> Postgres:
    """PostgreSQL with the rows of the questions."""
    table.run("TRUNCATE sample; TRUNCATE other;" + ";".join(map(insert, [*SAMPLES, *OTHERS])))
    return table


@pytest.mark.parametrize("sql", QUESTIONS)
def test_a_question_has_postgresqls_rows(tables: Postgres, sql: str) -> None:
    """The same rows in the same order."""
    query = (
        "SELECT coalesce(json_agg(row), '[]') FROM (SELECT (SELECT json_agg(each.value ORDER BY each.ordinality)"  # noqa: S608  # The tests' own SQL.
        f" FROM json_each(row_to_json(asked)) WITH ORDINALITY AS each) AS row FROM ({sql}) AS asked) AS all_rows"
    )
    said = tables.value(query)
    assert said is not None
    assert rows_of(sql) == json.loads(said, parse_int=Decimal, parse_float=Decimal)


@pytest.mark.parametrize("sql", REFUSED_QUESTIONS)
def test_a_question_that_is_refused_postgresql_refuses(tables: Postgres, sql: str) -> None:
    """Nothing is refused in the questions' own tests that it would answer."""
    with pytest.raises(PostgresError):
        tables.value(f"SELECT json_agg(asked)::text FROM ({sql}) AS asked")  # noqa: S608  # The tests' own SQL.
