"""All tables at one offset.

Laws: `apply` is the only way a row changes, live and in replay. The fingerprint depends on rows alone, not on the
order in which they came.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from store.codec import RowCodec
from store.fingerprint import show_sum, sum_rows
from store.ids import Key, TableId
from store.schema import EMPTY_SCHEMA, Schema, TableSchema
from store.tables.table import StoredTable
from store.transaction import Op, Write

CodecOf = Callable[[TableSchema], RowCodec[Any]]
"""How a table's rows become typed: by its author's class, or by a struct made from the schema alone."""


Move = tuple[StoredTable, Key, Any, Any]
"""A row whose indexed values change: (table, key, row before or None, row now or None), decoded."""


class Database:
    """Every table by id, under the schema that is in force."""

    __slots__ = ("_codec_of", "schema", "tables")

    def __init__(self, codec_of: CodecOf) -> None:
        self._codec_of: Final = codec_of
        self.schema: Schema = EMPTY_SCHEMA
        self.tables: Final[dict[TableId, StoredTable]] = {}

    def table(self, name: str) -> StoredTable | None:
        """The table of that name, or None."""
        schema = self.schema.table(name)
        return None if schema is None else self.tables[schema.id]

    def adopt(self, schema: Schema) -> None:
        """Put a schema record in force: tables it adds start empty, tables it keeps stay as they are."""
        for each in schema.tables:
            known = self.tables.get(each.id)
            if known is None:
                self.tables[each.id] = StoredTable(each, self._codec_of(each))
            else:
                assert known.schema == each, f"table {each.name} changed in place, from {known.schema} to {each}"
        self.schema = schema

    def apply(self, writes: Sequence[Write], moves: Sequence[Move] | None = None) -> None:
        """Make a committed transaction present. `moves` where it is known already what changes in the indexes."""
        tables = self.tables
        for table_id, op, key, _, after in writes:
            if op == _UPDATE:
                tables[table_id].rows[key] = after  # type: ignore[assignment]  # An update has a row after.
            elif after is not None:
                tables[table_id].add(key, after)
            else:
                tables[table_id].drop(key)
        for table, key, was, now in self._moves(writes) if moves is None else moves:
            table.move(key, was, now)

    def _moves(self, writes: Sequence[Write]) -> Iterator[Move]:
        """What writes may change in indexes, found out by decoding their rows."""
        for table_id, _, key, before, after in writes:
            table = self.tables[table_id]
            if table.indexes:
                yield table, key, table.decoded(before), table.decoded(after)

    def fingerprint(self) -> str:
        """The sum modulo 2^256 of SHA-256(table id, row) over all rows, as 64 hexadecimal digits."""
        return show_sum(sum(sum_rows(table_id, table.rows.values()) for table_id, table in self.tables.items()))


_UPDATE: Final = int(Op.UPDATE)
