"""How the declared tables continue the logged ones.

Laws: ids are given once and never reused. Nothing is dropped or re-typed without being asked; what is not planned for
here is refused with the reason.
"""

from collections.abc import Sequence

import msgspec

from store.errors import SchemaMismatch
from store.ids import SchemaVersion, TableId
from store.schema import Schema, Table, TableSchema


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
    for field in ("public", "columns", "primary_key", "auto_increment", "indexes"):
        expected, found = getattr(known, field), getattr(declared, field)
        if expected != found:
            raise SchemaMismatch(
                f"table {known.name} is declared otherwise than it is logged: {field} was {expected}, is {found}",
                hint="Declare it as it was; tables cannot change their shape yet",
            )
