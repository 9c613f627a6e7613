"""A view's rows by the values of one of its columns.

Laws: whenever its reader runs, an index holds exactly the view's rows. What it gives is a copy, so any thread may ask.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from store.client.rows import Change, Delete, Insert

Row = TypeVar("Row", bound=msgspec.Struct)


class ViewIndex(Generic[Row]):
    """`view.index(Task.owner)["ada"]`: the rows with that value, in no order; none where there are none."""

    def __init__(self, column: str, rows: Mapping[Any, Row]) -> None:
        self.column: Final = column
        self._value_of: Final[Callable[[Row], Any]] = operator.attrgetter(column)
        self._buckets: Final[dict[Any, Row | dict[Any, Row]]] = {}
        """By value: the row that is alone with it, or all that have it by primary key."""
        self._keys: Final[dict[Any, Any]] = {}
        """By value: the primary key of the row that is alone with it."""
        for key, row in rows.items():
            self._add(self._value_of(row), key, row)

    def __getitem__(self, value: Any) -> tuple[Row, ...]:
        bucket = self._buckets.get(value)
        if bucket is None:
            return ()
        return tuple(bucket.values()) if isinstance(bucket, dict) else (bucket,)

    def __contains__(self, value: object) -> bool:
        return value in self._buckets

    def __iter__(self) -> Iterator[Any]:
        """The values there are."""
        return iter(tuple(self._buckets))

    def __len__(self) -> int:
        """How many values there are."""
        return len(self._buckets)

    def take(self, changes: Sequence[Change[Row]]) -> None:
        """Follow what has changed in the view."""
        value_of = self._value_of
        for change in changes:
            if not isinstance(change, Insert):
                self._remove(value_of(change.before), change.key)
            if not isinstance(change, Delete):
                self._add(value_of(change.after), change.key, change.after)

    def _add(self, value: Any, key: Any, row: Row) -> None:
        bucket = self._buckets.get(value)
        if bucket is None:
            self._buckets[value] = row
            self._keys[value] = key
        elif isinstance(bucket, dict):
            bucket[key] = row
        else:
            self._buckets[value] = {self._keys.pop(value): bucket, key: row}

    def _remove(self, value: Any, key: Any) -> None:
        bucket = self._buckets[value]
        if isinstance(bucket, dict):
            del bucket[key]
            if len(bucket) > 1:
                return
            ((self._keys[value], self._buckets[value]),) = bucket.items()
        else:
            assert self._keys[value] == key
            del self._keys[value], self._buckets[value]
