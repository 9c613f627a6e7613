"""Many rows at once into a table: how a snapshot's rows become present.

Laws: what is loaded is what adding row by row would have made, indexes included. Of a row only the indexed columns are
decoded, a block's in one call, and of a table without an index nothing.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from store.codec import array_header
from store.ids import Key
from store.schema import TableSchema
from store.tables.table import HashIndex, StoredTable
from store.values import ColumnType, constrain, dec_hook_trusted


class Loader:
    """Fills one table, which is empty at first, block after block. Every row has a key of its own."""

    def __init__(self, table: StoredTable) -> None:
        assert not table.rows
        self._table: Final = table
        self._indexed: Final = table.indexes
        self._decode: Final = indexed_columns(table.schema) if table.indexes else None

    def add(self, keys: Sequence[Key], rows: Sequence[bytes]) -> None:
        """Take in rows, each under its key. ValueError where their bytes are no rows of this table."""
        self._table.rows.update(zip(keys, rows, strict=True))
        if self._decode is None:
            return
        decoded = self._decode(array_header(len(rows)) + b"".join(rows))
        for index in self._indexed:
            _add_all(index, map(attrgetter(index.name), decoded), keys)

    def finish(self, next_key: int) -> None:
        """All rows are in; say which key comes next."""
        self._table.next_key = next_key


def indexed_columns(schema: TableSchema) -> Callable[[bytes], Any]:
    """A decoder of many rows that makes values of indexed columns alone: others stay raw, or are passed over."""
    wanted = {each.column for each in schema.indexes}
    last = max(place for place, each in enumerate(schema.columns) if each.id in wanted)
    row_type = msgspec.defstruct(
        schema.name,
        [
            (
                each.name,
                constrain(ColumnType(each.type, each.nullable).annotation()) if each.id in wanted else msgspec.Raw,
            )
            for each in schema.columns[: last + 1]
        ],
        frozen=True,
        array_like=True,
        kw_only=True,
        gc=False,
    )
    return msgspec.msgpack.Decoder(list[row_type], dec_hook=dec_hook_trusted).decode  # type: ignore[valid-type]  # Made above.


def _add_all(index: HashIndex, values: Any, keys: Sequence[Key]) -> None:
    """Put keys under their values, as HashIndex.add does one by one: nearly every value is new."""
    put = index._buckets.setdefault  # noqa: SLF001  # A call for each row would double the time of a load.
    for value, key in zip(values, keys, strict=True):
        if put(value, key) is not key:
            index.add(value, key)
