"""What a batch of transactions moves in the indexes, found out at once: how a replay keeps them.

Laws: it is what Database.apply would find out write by write. Of rows only the indexed columns are decoded, all of a
table's in one call; where none of them changed, as in most batches of updates, no row is looked at by itself.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from store.codec import array_header
from store.ids import TableId
from store.tables.database import Move
from store.tables.loading import indexed_columns
from store.tables.table import StoredTable
from store.transaction import Write


class BatchMoves:
    """Finds out what batches move in tables to which they are about to be applied, one after the other."""

    def __init__(self, tables: Mapping[TableId, StoredTable]) -> None:
        self._tables: Final = tables
        self._decoders: Final[dict[TableId, Callable[[bytes], Any]]] = {}

    def of(self, writes: Sequence[Write]) -> list[Move]:
        """What these move, for Database.apply. Every table that they are to is there by now.

        msgspec.DecodeError or ValidationError where a row's bytes are no row of its table.
        """
        moves: list[Move] = []
        if any(table.indexes for table in self._tables.values()):
            for table_id, its in _by_table(writes).items():
                table = self._tables[table_id]
                if table.indexes:
                    moves.extend(self._of_table(table, its))
        return moves

    def _of_table(self, table: StoredTable, writes: Sequence[Write]) -> Iterator[Move]:
        """Nothing where no write changes an indexed value, else one for each, in the order in which they were made."""
        before = self._decode(table, [row for _, _, _, row, _ in writes if row is not None])
        after = self._decode(table, [row for _, _, _, _, row in writes if row is not None])
        if len(before) == len(after) == len(writes) and not _differ(table, before, after):
            return
        was, now = iter(before), iter(after)
        for _, _, key, old, new in writes:
            yield table, key, None if old is None else next(was), None if new is None else next(now)

    def _decode(self, table: StoredTable, rows: Sequence[bytes]) -> list[Any]:
        """Rows' indexed columns."""
        decode = self._decoders.get(table.schema.id)
        if decode is None:
            decode = self._decoders[table.schema.id] = indexed_columns(table.schema)
        decoded: list[Any] = decode(array_header(len(rows)) + b"".join(rows))
        return decoded


def _by_table(writes: Sequence[Write]) -> Mapping[TableId, Sequence[Write]]:
    """Writes by table, in order."""
    tables = {write[0] for write in writes}
    if len(tables) == 1:
        return {tables.pop(): writes}
    found: defaultdict[TableId, list[Write]] = defaultdict(list)
    for write in writes:
        found[write[0]].append(write)
    return found


def _differ(table: StoredTable, before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether any of the rows has another value in any index than it had."""
    return any(
        list(map(value_of, before)) != list(map(value_of, after))
        for value_of in (attrgetter(index.name) for index in table.indexes)
    )
