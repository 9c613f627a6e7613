"""A query: compiled once against the schema, its rows read from the tables.

    query = compile_query("SELECT * FROM account WHERE owner = $1", ("ada",), database.schema)
    rows = select(query, database)

Laws: the same table, column and value have the same id, however they were written. A comparison with NULL matches
nothing (SQL's three-valued logic). Text compares as PostgreSQL's COLLATE "C". Deny by default: a private table wants to
be asked for as such.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from store.codec import RowCodec
from store.errors import Denied
from store.ids import QueryId
from store.schema import ColumnSchema, Schema, TableSchema
from store.tables.database import Database
from store.tables.sql import INTEGER, QUERY_LENGTH_MAX, Name, malformed, parse
from store.values import ColumnType, constrain, encode


@dataclass(frozen=True)
class Query:
    """All rows of one table, or those whose `column` equals `value`. Equal ids mean equal queries."""

    id: QueryId
    table: TableSchema
    column: ColumnSchema | None
    value: Any
    """As rows hold it; None matches nothing."""

    @property
    def never(self) -> bool:
        """Whether it compares with NULL, and so never has a row."""
        return self.column is not None and self.value is None

    def matches(self, row: msgspec.Struct) -> bool:
        """Whether a decoded row of the table is in the query."""
        if self.column is None:
            return True
        return not self.never and bool(getattr(row, self.column.name) == self.value)


def compile_query(
    sql: str, params: Sequence[Any], schema: Schema, *, operate: bool = False, length_max: int = QUERY_LENGTH_MAX
) -> Query:
    """Read a query's text and its parameters, in order ($1 or ?), against a schema.

    A private table wants `operate`: Denied. MalformedQuery names the place in the text, what was expected and found.
    """
    parsed = parse(sql, length_max=length_max)
    table = _find_table(parsed.table, schema, operate=operate)
    if len(params) != parsed.parameters:
        malformed(len(sql), f"the text has {parsed.parameters} parameters, found {len(params)} values")
    if parsed.where is None:
        return Query(_query_id(table, None, None), table, None, None)
    name, said = parsed.where
    column = _find_column(name, table)
    value = said.value if said.parameter is None else params[said.parameter]
    value = _convert(value, table, column, said.position)
    return Query(_query_id(table, column, value), table, column, value)


def select(query: Query, database: Database) -> list[bytes]:
    """The query's rows as the tables hold them, in primary-key order."""
    table = database.tables[query.table.id]
    rows = table.rows
    if query.column is None:
        return [rows[key] for key in table.ordered_keys()]
    if query.never:
        return []
    try:
        keys = table.lookup(query.column.id, query.value)
    except KeyError:
        keys = _scan(query, rows, table.codec)
    return [rows[key] for key in keys]


def _scan(query: Query, rows: Mapping[Any, bytes], codec: RowCodec[Any]) -> list[Any]:
    """The matching keys where no index knows them."""
    assert query.column is not None
    name, value, decode = query.column.name, query.value, codec.decode
    return sorted(key for key, row in rows.items() if getattr(decode(row), name) == value)


def _query_id(table: TableSchema, column: ColumnSchema | None, value: Any) -> QueryId:
    """120 bits of a hash over what the query means: nobody finds two that collide."""
    canonical = encode([table.id] if column is None else [table.id, column.id, value])
    return QueryId(base64.urlsafe_b64encode(hashlib.blake2b(canonical, digest_size=15).digest()).decode())


def _find_table(name: Name, schema: Schema, *, operate: bool) -> TableSchema:
    table = schema.table(name.text)
    if table is None:
        known = ", ".join(sorted(each.name for each in schema.tables if each.public or operate))
        malformed(name.position, f"there is no table {name.text!r:.80}", hint=f"There are {known or 'none'}")
    if not (table.public or operate):
        raise Denied(f"the table {table.name} is private", hint="It takes a token with the scope operate")
    return table


def _find_column(name: Name, table: TableSchema) -> ColumnSchema:
    column = table.column(name.text)
    if column is None:
        known = ", ".join(each.name for each in table.columns)
        malformed(name.position, f"{table.name} has no column {name.text!r:.80}", hint=f"It has {known}")
    if column.type == "json" or column.type.endswith("[]"):
        malformed(name.position, f"{table.name}.{column.name} is {column.type}, which has no equality")
    return column


def _convert(value: Any, table: TableSchema, column: ColumnSchema, position: int) -> Any:
    """A literal or parameter as the column's type; decimal strings are integers, base64 is bytes, where wanted."""
    if value is None:
        return None
    kind = ColumnType(column.type, nullable=False)
    annotation = kind.annotation()
    said = value
    if annotation is int and isinstance(value, str) and INTEGER.fullmatch(value):
        said = int(value)
    try:
        if annotation is float and isinstance(value, int | Decimal) and not isinstance(value, bool):
            said = float(value)
        return kind.decode(kind.encode(msgspec.convert(said, constrain(annotation))))
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        malformed(
            position,
            f"{table.name}.{column.name} is {column.type}, found {_show(value)} ({error})",
            column=column.name,
        )


def _show(value: Any) -> str:
    """A value short enough for an error; of what no column holds, the type alone."""
    name = type(value).__name__
    if isinstance(value, str | bytes):
        return f"{name} {value[:40]!a}"
    return f"{name} {value!a:.60}" if isinstance(value, bool | int | float | Decimal) else name
