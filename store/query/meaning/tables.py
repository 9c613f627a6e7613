"""The tables a query reads: who may, what their columns are called, and where each value is found.

Laws: deny by default: a private table wants to be asked for as such, wherever in a query it stands. A name that could
be of two tables is refused.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from store.errors import Denied
from store.query.budget import work
from store.query.meaning.expressions import Evaluate, Expression
from store.query.problems import malformed
from store.query.syntax.statement import Column, Name, Source
from store.query.types.kinds import COLUMN_TYPES, Document, Kind, kind_of_column, numeric
from store.schema import ColumnSchema, Schema, TableSchema


class ResultColumn(NamedTuple):
    """A column of a query's rows: its name, its type's name as a schema has it, whether it may be null."""

    name: str
    type: str
    nullable: bool


class TableSource(NamedTuple):
    """One table of a query, under the name it has there."""

    name: str
    table: TableSchema
    optional: bool
    """Whether its columns may be missing: the right side of a LEFT JOIN."""


def find_table(name: Name, schema: Schema, *, operate: bool) -> TableSchema:
    """The table of that name. MalformedQuery where there is none, Denied where it may not be read."""
    table = schema.table(name.text)
    if table is None:
        known = ", ".join(sorted(each.name for each in schema.tables if each.public or operate))
        malformed(name.position, f"there is no table {name.text!r:.80}", hint=f"There are {known or 'none'}")
    if not (table.public or operate):
        raise Denied(f"the table {table.name} is private", hint="It takes a token with the scope operate")
    return table


def find_sources(sources: Sequence[Source], schema: Schema, *, operate: bool) -> tuple[TableSource, ...]:
    """All tables of a FROM. MalformedQuery where two have one name."""
    found: list[TableSource] = []
    for each in sources:
        table = find_table(each.table, schema, operate=operate)
        name = each.alias or table.name
        if any(name == other.name for other in found):
            malformed(each.table.position, f"two tables are called {name} here", hint="Give one an alias")
        found.append(TableSource(name, table, each.outer))
    return tuple(found)


def find_column(column: Column, sources: Sequence[TableSource]) -> tuple[int, ColumnSchema]:  # noqa: RET503  # It refuses.
    """Which source's column it is. MalformedQuery names what there is."""
    if column.source is not None and all(each.name != column.source for each in sources):
        known = ", ".join(each.name for each in sources)
        malformed(column.position, f"no table is called {column.source!r:.80} here", hint=f"There are {known}")
    matches = [
        (place, found)
        for place, each in enumerate(sources)
        if column.source in {None, each.name} and (found := each.table.column(column.name)) is not None
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        malformed(
            column.position,
            f"the column {column.name} is in several tables",
            hint=f"Say which, as in {sources[0].name}.{column.name}",
        )
    inside = [each for each in sources if column.source in {None, each.name}]
    known = ", ".join(each.name for source in inside for each in source.table.columns)
    where = " and ".join(each.name for each in inside)
    malformed(column.position, f"{where} has no column {column.name!r:.80}", hint=f"It has {known}")


def column_expression(source: int, column: ColumnSchema, position: int, *, joined: bool) -> Expression:
    """A column's value: of a decoded row, or, where tables are joined, of a tuple of rows that may be None."""
    kind = kind_of_column(column.type)
    return Expression(kind, "column", (), (source, column), _read(column.name, source, kind, joined=joined), position)


def raw_column(source: int, column: ColumnSchema, *, joined: bool) -> Evaluate:
    """A column's value as the row has it."""
    get: Evaluate = attrgetter(column.name)
    return _joined(get, source) if joined else get


def _read(name: str, source: int, kind: Kind, *, joined: bool) -> Evaluate:
    get: Evaluate = attrgetter(name)
    if joined:
        get = _joined(get, source)
    if kind is Kind.JSONB:
        return lambda row: None if (said := get(row)) is None else _parsed(said.text)
    if kind is Kind.NUMERIC:
        return lambda row: None if (said := get(row)) is None else numeric(said)
    return get


_PARSE_STEPS: Final = 20
"""What parsing one character of JSON takes (budget.work)."""


def _parsed(text: str) -> Document:
    work(len(text) * _PARSE_STEPS)
    return Document.parse(text)


def _joined(get: Evaluate, source: int) -> Evaluate:
    return lambda rows: None if (row := rows[source]) is None else get(row)


def result_column(name: str, made: Expression, sources: Sequence[TableSource]) -> ResultColumn:
    """How an output is told."""
    if made.op == "column":
        source, column = made.detail
        return ResultColumn(name, column.type, column.nullable or sources[source].optional)
    return ResultColumn(name, COLUMN_TYPES[made.kind], nullable=True)
