"""One table's rows in RAM, as the bytes the log holds, with its hash indexes.

Laws: `add`, `drop` and `move` cannot fail; every constraint was checked in the overlay. Rows are bytes: the collector
never visits them, and log, deltas and snapshots share them. What can be iterated is ordered by primary key.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from store.codec import RowCodec
from store.ids import ColumnId, Key
from store.schema import TableSchema


class HashIndex:
    """The keys of rows by one column's value. A bucket is a bare key until the second: most stay so."""

    __slots__ = ("_buckets", "column", "name", "unique")

    def __init__(self, column: ColumnId, name: str, *, unique: bool) -> None:
        self.column: Final = column
        self.name: Final = name
        self.unique: Final = unique
        self._buckets: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def add(self, value: Any, key: Key) -> None:
        """Put a row's key under its value."""
        bucket = self._buckets.setdefault(value, key)
        if isinstance(bucket, dict):
            bucket[key] = None
        elif bucket != key:
            self._buckets[value] = {bucket: None, key: None}

    def remove(self, value: Any, key: Key) -> None:
        """Take a row's key from under its value."""
        bucket = self._buckets[value]
        if not isinstance(bucket, dict):
            assert bucket == key
            del self._buckets[value]
            return
        del bucket[key]
        if len(bucket) == 1:
            self._buckets[value] = next(iter(bucket))

    def keys(self, value: Any) -> Iterable[Key]:
        """The keys under a value, in no order."""
        bucket = self._buckets.get(value)
        if bucket is None:
            return ()
        return bucket if isinstance(bucket, dict) else (bucket,)


class StoredTable:
    """All rows of one table: `rows` maps a primary key to the row's bytes and is changed by Database.apply alone."""

    __slots__ = ("_ordered", "codec", "indexes", "next_key", "rows", "schema")

    def __init__(self, schema: TableSchema, codec: RowCodec[Any]) -> None:
        self.schema: Final = schema
        self.codec: Final = codec
        self.rows: Final[dict[Key, bytes]] = {}
        self.indexes: Final = tuple(
            HashIndex(each.column, schema.column_by_id(each.column).name, unique=each.unique) for each in schema.indexes
        )
        self.next_key = 1
        """The next auto-increment key: above every key ever committed."""
        self._ordered: list[Key] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, key: Key) -> bytes | None:
        """The row under a key, or None."""
        return self.rows.get(key)

    def index(self, column: ColumnId) -> HashIndex | None:
        """The hash index over a column, or None."""
        return next((each for each in self.indexes if each.column == column), None)

    def lookup(self, column: ColumnId, value: Any) -> Sequence[Key]:
        """The keys of rows whose column equals `value`, in key order. KeyError without an index over it."""
        if column == self.schema.primary_key:
            key = self.codec.key_form(value)
            return [key] if key in self.rows else []
        index = self.index(column)
        if index is None:
            raise KeyError(column)
        return sorted(index.keys(value))

    def ordered_keys(self) -> Sequence[Key]:
        """All keys in primary-key order; sorted once, and again only after keys came or went out of order."""
        if self._ordered is None:
            self._ordered = sorted(self.rows)
        return self._ordered

    def add(self, key: Key, row: bytes) -> None:
        """Take in a row under a key that is new."""
        self.rows[key] = row
        if self.schema.auto_increment and key >= self.next_key:  # type: ignore[operator]  # Such a key is an int.
            self.next_key = key + 1  # type: ignore[operator]  # Such a key is an int.
        if self._ordered is not None:
            if not self._ordered or self._ordered[-1] < key:  # type: ignore[operator]  # One table, one key type.
                self._ordered.append(key)
            else:
                self._ordered = None

    def drop(self, key: Key) -> None:
        """Let a row go."""
        del self.rows[key]
        self._ordered = None

    def move(self, key: Key, was: Any, now: Any) -> None:
        """Bring the indexes from a row's former values to its present ones; None where there is no row."""
        for index in self.indexes:
            old, new = getattr(was, index.name, None), getattr(now, index.name, None)
            if old == new and was is not None and now is not None:
                continue
            if was is not None:
                index.remove(old, key)
            if now is not None:
                index.add(new, key)

    def decoded(self, row: bytes | None) -> Any:
        """A row's struct, or None where there is no row."""
        return None if row is None else self.codec.decode(row)
