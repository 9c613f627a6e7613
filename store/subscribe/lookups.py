"""From a value to the rows that have it: what a subquery's change bears on.

Laws: a key or an index is used where there is one; else the values of all rows are kept here, once for all who ask for
the same, filled in pieces and followed from the first piece on. A row whose value cannot be computed has none.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from store.errors import CallError
from store.ids import Key
from store.query.meaning.expressions import Expression
from store.query.routing import same_form
from store.tables.table import HashIndex, StoredTable


class Lookup:
    """Where rows of one table are found by the value of one expression."""

    def __init__(self, table: StoredTable, operand: Expression) -> None:
        self.table: Final = table
        self.holders = 0
        """Who needs it."""
        self._operand: Final = operand
        column = operand.detail[1] if operand.op == "column" and same_form(operand.kind, operand) else None
        self._by_key: Final = column is not None and column.id == table.schema.primary_key
        self._index: Final[HashIndex | None] = None if column is None else table.index(column.id)
        self.kept: Final = not (operand.is_value or self._by_key or self._index is not None)
        """Whether values are kept here."""
        self._buckets: Final[dict[Any, dict[Key, None]]] = {}
        self._pending: Iterator[Key] | None = None
        self.ready = not self.kept

    def keys(self, value: Any) -> Iterable[Key]:
        """The keys of rows with a value that is not NULL; all of the table's where the value is of no column."""
        if self.kept:
            return self._buckets.get(value, ())
        if self._index is not None:
            return self._index.keys(value)
        if self._by_key:
            key = self.table.codec.key_form(value)
            return (key,) if key in self.table.rows else ()
        return self.table.rows if self._operand.detail == value else ()

    def fill(self, count_max: int) -> int:
        """Take in so many rows at most; returns how many. `ready` says when all are there."""
        if self.ready:
            return 0
        rows, decode = self.table.rows, self.table.codec.decode
        if self._pending is None:
            self._pending = iter(list(rows))
        some = list(islice(self._pending, count_max))
        for key in some:
            data = rows.get(key)
            if data is not None:
                self._add(key, decode(data))
        self.ready = len(some) < count_max
        return len(some)

    def take(self, key: Key, before: bytes | None, after: bytes | None) -> None:
        """A row changed."""
        decode = self.table.codec.decode
        if before is not None:
            self._remove(key, decode(before))
        if after is not None:
            self._add(key, decode(after))

    def _add(self, key: Key, row: Any) -> None:
        value = self._value(row)
        if value is not None:
            self._buckets.setdefault(value, {})[key] = None

    def _remove(self, key: Key, row: Any) -> None:
        value = self._value(row)
        bucket = self._buckets.get(value)
        if bucket is not None:
            bucket.pop(key, None)  # It may not have come to it yet.
            if not bucket:
                del self._buckets[value]

    def _value(self, row: Any) -> Any:
        try:
            return self._operand.evaluate(row)
        except CallError:
            return None
