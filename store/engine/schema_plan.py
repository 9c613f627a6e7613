"""How the declared tables continue the logged ones.

Laws: ids are given once and never reused. Nothing is dropped or re-typed without being asked; what is not planned for
here is refused with the reason: each difference by its column, as it was and as it is.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from store.errors import SchemaMismatch
from store.ids import SchemaVersion, TableId
from store.schema import ColumnSchema, Schema, Table, TableSchema
from store.values import ColumnType

DIFFERENCES_SHOWN: Final = 10
"""Differences of one table that its refusal names; the others are counted."""
DEFAULT_SHOWN: Final = 60
"""Characters of a default that a refusal shows."""


def plan_schema(logged: Schema, declared: Sequence[type[Table]]) -> Schema:
    """The schema that serves the declared tables: `logged` itself where nothing changes, else its next version.

    SchemaMismatch where a logged table is not declared any more, or is declared otherwise.
    """
    names = {each.__table__.name for each in declared}
    missing = [each.name for each in logged.tables if each.name not in names]
    if missing:
        raise SchemaMismatch(
            f"the data directory has tables that no loaded domain declares: {', '.join(missing)}",
            hint="Load their domains too (--domain)",
        )
    tables = list(logged.tables)
    for each in declared:
        known = logged.table(each.__table__.name)
        if known is None:
            tables.append(msgspec.structs.replace(each.__table__, id=TableId(_next_id(tables))))
        else:
            _check_same(known, each.__table__)
    if len(tables) == len(logged.tables):
        return logged
    return Schema(version=SchemaVersion(logged.version + 1), tables=tuple(tables))


def _next_id(tables: Sequence[TableSchema]) -> int:
    return max((each.id for each in tables), default=0) + 1


def _check_same(known: TableSchema, declared: TableSchema) -> None:
    if msgspec.structs.replace(declared, id=known.id) == known:
        return
    found = list(_differences(known, declared))
    assert found, (known, declared)
    more = f"; and {len(found) - DIFFERENCES_SHOWN} more" if len(found) > DIFFERENCES_SHOWN else ""
    raise SchemaMismatch(
        f"table {known.name} is declared otherwise than it is logged: {'; '.join(found[:DIFFERENCES_SHOWN])}{more}",
        hint="Declare it as it was; tables cannot change their shape yet",
    )


def _differences(known: TableSchema, declared: TableSchema) -> Iterator[str]:
    """What differs, in words: the table's own attributes first, then column by column."""
    if known.public != declared.public:
        yield f"it was {_reach(known)}, is {_reach(declared)}"
    if known.key_name != declared.key_name:
        yield f"its primary key was {known.key_name}, is {declared.key_name}"
    if known.auto_increment != declared.auto_increment:
        yield f"its primary key was {_counted(known)}, is {_counted(declared)}"
    for was in known.columns:
        column = declared.column(was.name)
        if column is None:
            yield f"column {was.name} was {_type(was)}, is not declared any more"
        else:
            yield from _column_differences(known, was, declared, column)
    for column in declared.columns:
        if known.column(column.name) is None:
            yield f"column {column.name} was not there, is {_type(column)}"
    names = [each.name for each in known.columns]
    order = [each.name for each in declared.columns]
    if names != order and sorted(names) == sorted(order):
        yield f"its columns were in the order {', '.join(names)}, are in the order {', '.join(order)}"


def _column_differences(
    known: TableSchema, was: ColumnSchema, declared: TableSchema, column: ColumnSchema
) -> list[str]:
    """How one column was, and how it is: its type, its default, its index."""
    said = [("", _type(was), _type(column)), ("index ", _index(known, was), _index(declared, column))]
    if was.default != column.default:  # The same bytes may read otherwise where the type does.
        said.insert(1, ("default ", _default(was), _default(column)))
    return [f"column {was.name}: {what}was {before}, is {after}" for what, before, after in said if before != after]


def _reach(table: TableSchema) -> str:
    return "public" if table.public else "private"


def _counted(table: TableSchema) -> str:
    return "counted up by the table (AUTO_INCREMENT)" if table.auto_increment else "given by the caller"


def _type(column: ColumnSchema) -> str:
    return str(ColumnType(column.type, column.nullable))


def _default(column: ColumnSchema) -> str:
    if column.default is None:
        return "none"
    text = repr(ColumnType(column.type, column.nullable).decode(column.default))
    return text if len(text) <= DEFAULT_SHOWN else f"{text[: DEFAULT_SHOWN - 1]}…"


def _index(table: TableSchema, column: ColumnSchema) -> str:
    found = next((each for each in table.indexes if each.column == column.id), None)
    return "none" if found is None else "unique" if found.unique else "plain"
