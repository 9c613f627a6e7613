"""What a stretch of the log changes in the tables, and nothing else: how a snapshot continues the one before it.

Laws: rows that do not change are never here, so memory follows the changes, not the tables. Only the net change of a
row is kept. The next key is above every key ever committed, also those of rows that came and went in between.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from store.ids import Key, TableId
from store.schema import Schema, TableSchema
from store.tables.database import Database, Move
from store.transaction import Op, Write


class Changes(Database):
    """A database whose rows are elsewhere: it takes in transactions as any other, and keeps what they change."""

    __slots__ = ("_stored", "net", "next_keys")

    def __init__(self, next_keys: Mapping[TableId, int] | None = None) -> None:
        """Changes since rows that lie elsewhere; `next_keys` of the tables that have them there, by id."""
        super().__init__(_no_codec)
        self._stored: Final = dict(next_keys or {})
        self.net: Final[dict[TableId, dict[Key, bytes | None]]] = {}
        """By table and key: the row now, or None where there is none any more."""
        self.next_keys: Final[dict[TableId, int]] = {}
        """As StoredTable.next_key; only tables that count."""

    def adopt(self, schema: Schema) -> None:
        """Put a schema record in force: a table that it adds has no row anywhere."""
        for each in schema.tables:
            self.net.setdefault(each.id, {})
            if each.auto_increment:
                self.next_keys.setdefault(each.id, self._stored.get(each.id, 1))
        self.schema = schema

    def apply(
        self,
        writes: Sequence[Write],
        moves: Sequence[Move] | None = None,  # noqa: ARG002  # As a Database is called.
    ) -> None:
        """Take note of a committed transaction; indexes are nobody's business here."""
        net, next_keys = self.net, self.next_keys
        for table_id, op, key, _, after in writes:
            if after is not None:
                net[table_id][key] = after
                if op == _INSERT and table_id in next_keys and key >= next_keys[table_id]:
                    next_keys[table_id] = key + 1
            elif table_id in self._stored:
                net[table_id][key] = None
            else:
                del net[table_id][key]

    def next_key(self, table_id: TableId) -> int:
        """The table's next auto-increment key; 1 where it does not count."""
        return self.next_keys.get(table_id, 1)


def _no_codec(table: TableSchema) -> NoReturn:
    raise AssertionError(f"the rows of {table.name} are not here")


_INSERT: Final = int(Op.INSERT)
