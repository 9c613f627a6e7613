"""What a batch of transactions moves in the indexes, found out at once: how a replay keeps them.

Laws: it is what Database.apply would find out transaction by transaction. Of rows only the indexed columns are decoded,
all of a table's in one call; where none of them changed, as in most batches of updates, no row is looked at by itself.
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
from store.transaction import Transaction, Write

Moves = Mapping[int, Sequence[Move]]
"""By a transaction's place in its batch, for Database.apply; a transaction that is not here moves nothing."""


class BatchMoves:
    """Finds out what batches move in tables to which they are about to be applied, one after the other."""

    def __init__(self, tables: Mapping[TableId, StoredTable]) -> None:
        self._tables: Final = tables
        self._decoders: Final[dict[TableId, Callable[[bytes], Any]]] = {}

    def of(self, transactions: Sequence[Transaction]) -> Moves:
        """What these move. Every table that they write to is there by now.

        msgspec.DecodeError or ValidationError where a row's bytes are no row of its table.
        """
        moves: dict[int, list[Move]] = {}
        if any(table.indexes for table in self._tables.values()):
            for table_id, (places, writes) in _by_table(transactions).items():
                table = self._tables[table_id]
                if table.indexes:
                    for place, move in self._of_table(table, places, writes):
                        moves.setdefault(place, []).append(move)
        return moves

    def _of_table(
        self, table: StoredTable, places: Sequence[int], writes: Sequence[Write]
    ) -> Iterator[tuple[int, Move]]:
        """(place, move) of every write that changes an indexed value, in the order in which they were made."""
        before = self._decode(table, [row for _, _, _, row, _ in writes if row is not None])
        after = self._decode(table, [row for _, _, _, _, row in writes if row is not None])
        if len(before) == len(after) == len(writes) and not _differ(table, before, after):
            return
        was, now = iter(before), iter(after)
        for place, (_, _, key, old, new) in zip(places, writes, strict=True):
            yield place, (table, key, None if old is None else next(was), None if new is None else next(now))

    def _decode(self, table: StoredTable, rows: Sequence[bytes]) -> list[Any]:
        """Rows' indexed columns."""
        decode = self._decoders.get(table.schema.id)
        if decode is None:
            decode = self._decoders[table.schema.id] = indexed_columns(table.schema)
        decoded: list[Any] = decode(array_header(len(rows)) + b"".join(rows))
        return decoded


def _by_table(transactions: Sequence[Transaction]) -> dict[TableId, tuple[list[int], list[Write]]]:
    """(places of their transactions, writes) by table, in order."""
    found: defaultdict[TableId, tuple[list[int], list[Write]]] = defaultdict(lambda: ([], []))
    for place, transaction in enumerate(transactions):
        for write in transaction.writes:
            places, writes = found[write[0]]
            places.append(place)
            writes.append(write)
    return found


def _differ(table: StoredTable, before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Whether any of the rows has another value in any index than it had."""
    return any(
        list(map(value_of, before)) != list(map(value_of, after))
        for value_of in (attrgetter(index.name) for index in table.indexes)
    )
