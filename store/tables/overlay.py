"""The database seen through one unfinished write set.

Laws: nothing below changes until the write set is numbered, appended and applied. What enters is what a replay would
read: a row is encoded here, and what the reducer sees from then on was decoded from those bytes. Every constraint is
checked here, so that applying cannot fail.
"""

import heapq
from collections.abc import Iterator
from typing import Any, Final, Generic, NoReturn, TypeVar, cast

import msgspec

from store.codec import RowCodec
from store.errors import ConstraintViolation
from store.ids import Key
from store.schema import Table
from store.tables.database import Database
from store.tables.table import HashIndex, StoredTable
from store.transaction import Op, Write

Row = TypeVar("Row", bound=Table)

_INSERT: Final = int(Op.INSERT)
_UPDATE: Final = int(Op.UPDATE)
_DELETE: Final = int(Op.DELETE)

Pending = tuple[bytes | None, bytes | None, Any]
"""(row before the transaction, row now, row now decoded); None where there is none."""


class TableView(Generic[Row]):
    """One table as a reducer sees it: everything committed, and everything it has written itself so far."""

    __slots__ = ("_added", "_base", "_codec", "_next_key", "_overlay", "_rows", "_writes")

    def __init__(self, base: StoredTable, overlay: "Overlay") -> None:
        self._base: Final = base
        self._rows: Final = base.rows
        self._codec: Final[RowCodec[Any]] = base.codec
        self._overlay: Final = overlay
        self._writes: Final[dict[Key, Pending]] = {}
        self._added: Final[dict[str, dict[Any, dict[Key, None]]]] = {each.name: {} for each in base.indexes}
        """By index: the values that rows written here have now."""
        self._next_key = 0

    def get(self, key: Any) -> Row | None:
        """The row under a primary key, or None."""
        key = self._codec.key_form(key)
        pending = self._writes.get(key)
        if pending is not None:
            return pending[2]  # type: ignore[no-any-return]  # Decoded by this table's codec.
        data = self._rows.get(key)
        return None if data is None else self._codec.decode(data)

    def insert(self, row: Row) -> Row:
        """Add a row and return it as stored, with its key where the table counts. ConstraintViolation says why not."""
        read, data = self._codec.canonical(self._checked_type(row))
        key = self._codec.key(read)
        if key == 0 and self._base.schema.auto_increment:
            key = self._take_key()
            read, data = self._codec.canonical(msgspec.structs.replace(read, **{self._base.schema.key_name: key}))
        pending = self._writes.get(key)
        if pending[1] is not None if pending is not None else key in self._rows:
            self._violate("primary_key", self._base.schema.key_name, f"a row with key {key!r} exists already")
        self._put(key, data, read)
        return cast("Row", read)

    def update(self, row: Row, **changes: Any) -> Row:
        """Change columns of the row that has this row's primary key, and return it as stored.

        ConstraintViolation where there is no such row, the key itself would change, or a rule is broken.
        """
        codec = self._codec
        key = codec.key(self._checked_type(row))
        try:
            changed = msgspec.structs.replace(row, **changes) if changes else row
        except TypeError:
            self._unknown_column(changes)
        read, data = codec.canonical(changed)
        pending = self._writes.get(key)
        if pending[1] is None if pending is not None else key not in self._rows:
            self._violate("primary_key", self._base.schema.key_name, f"there is no row with key {key!r} to update")
        if changes and codec.key(read) != key:
            self._violate(
                "primary_key", self._base.schema.key_name, f"the key {key!r} of a row never changes: delete and insert"
            )
        self._put(key, data, read)
        return cast("Row", read)

    def upsert(self, row: Row) -> Row:
        """Insert the row, or replace the one that has its primary key; return it as stored."""
        read, data = self._codec.canonical(self._checked_type(row))
        key = self._codec.key(read)
        if key == 0 and self._base.schema.auto_increment:
            return self.insert(row)
        self._put(key, data, read)
        return cast("Row", read)

    def delete(self, key: Any) -> bool:
        """Remove the row under a primary key; False where there was none."""
        key = self._codec.key_form(key)
        pending = self._writes.get(key)
        if pending[1] is None if pending is not None else key not in self._rows:
            return False
        self._put(key, None, None)
        return True

    def find(self, **column: Any) -> list[Row]:
        """The rows whose one named, indexed column equals a value, in key order: `tasks.find(owner="ada")`."""
        if len(column) != 1:
            raise TypeError(f"find() takes one column=value, found {len(column)}")
        ((name, value),) = column.items()
        schema = self._base.schema.column(name)
        if schema is None:
            self._unknown_column(column)
        if schema.id == self._base.schema.primary_key:
            row = self.get(value)
            return [] if row is None else [row]
        index = self._base.index(schema.id)
        if index is None:
            raise TypeError(f"{self._base.schema.name}.{name} has no index: declare column(index=True), or iterate")
        return [row for key in sorted(self._keys(index, value)) if (row := self.get(key)) is not None]

    def __iter__(self) -> Iterator[Row]:
        """All rows in primary-key order, as they are when each one's turn comes."""
        keys: Any = self._base.ordered_keys()
        if self._writes:
            fresh = sorted(key for key in self._writes if key not in self._rows)
            keys = heapq.merge(keys, fresh)
        for key in keys:
            row = self.get(key)
            if row is not None:
                yield row

    def __len__(self) -> int:
        """How many rows there are now."""
        came = sum((now is not None) - (before is not None) for before, now, _ in self._writes.values())
        return len(self._rows) + came

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None

    def write_set(self) -> list[Write]:
        """The net writes, one per key in the order of first touch; a row that is back where it was is none."""
        table = self._base.schema.id
        return [
            (table, _UPDATE if before and now else _INSERT if now else _DELETE, key, before, now)
            for key, (before, now, _) in self._writes.items()
            if before != now
        ]

    def clear(self) -> None:
        """Forget the write set."""
        self._writes.clear()
        self._next_key = 0
        for values in self._added.values():
            values.clear()

    def _put(self, key: Key, data: bytes | None, row: Any) -> None:
        """Note a row's new state; indexes follow, and a unique one may object."""
        writes = self._writes
        pending = writes.get(key)
        before = self._rows.get(key) if pending is None else pending[0]
        if self._added:
            self._reindex(key, pending, row)
        if not writes:
            self._overlay.touched.append(self)
        writes[key] = (before, data, row)

    def _reindex(self, key: Key, pending: Pending | None, row: Any) -> None:
        for index in self._base.indexes:
            now = getattr(row, index.name, None)
            if index.unique and now is not None:
                for other in self._keys(index, now):
                    if other != key:
                        self._violate("unique", index.name, f"{now!r} is taken by the row with key {other!r}")
        for index in self._base.indexes:
            added = self._added[index.name]
            if pending is not None and pending[2] is not None:
                added[getattr(pending[2], index.name)].pop(key)
            if row is not None:
                added.setdefault(getattr(row, index.name), {})[key] = None

    def _keys(self, index: HashIndex, value: Any) -> list[Any]:
        """The keys under a value now: committed ones not written here, and those written here."""
        committed = [key for key in index.keys(value) if key not in self._writes]
        return committed + list(self._added[index.name].get(value, ()))

    def _take_key(self) -> int:
        self._next_key = max(self._next_key, self._base.next_key)
        while self._next_key in self._writes:
            self._next_key += 1
        key = self._next_key
        self._next_key += 1
        return key

    def _checked_type(self, row: Row) -> Row:
        if type(row) is not self._codec.row_type:
            raise TypeError(f"{self._base.schema.name} holds {self._codec.row_type.__name__} rows, found {row!r:.80}")
        return row

    def _unknown_column(self, names: dict[str, Any]) -> NoReturn:
        known = [each.name for each in self._base.schema.columns]
        unknown = [name for name in names if name not in known]
        raise TypeError(f"{self._base.schema.name} has no column {', '.join(unknown)}: it has {', '.join(known)}")

    def _violate(self, rule: str, column: str, message: str) -> NoReturn:
        table = self._base.schema.name
        raise ConstraintViolation(
            f"{table}.{column}: {message}", details={"table": table, "column": column, "rule": rule}
        )


class Overlay:
    """The one unfinished write set of the one writer."""

    __slots__ = ("_database", "_views", "touched")

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._views: Final[dict[type[Table], TableView[Any]]] = {}
        self.touched: Final[list[TableView[Any]]] = []
        """The tables written so far, in the order of the first write."""

    def view(self, row_type: type[Row]) -> TableView[Row]:
        """The table that holds rows of this type. TypeError where it is not of a loaded domain."""
        view = self._views.get(row_type)
        if view is None:
            view = self._views[row_type] = self._make_view(row_type)
        return view

    def write_set(self) -> tuple[Write, ...]:
        """The net writes of all tables, tables in the order in which they were first written."""
        if len(self.touched) == 1:
            return tuple(self.touched[0].write_set())
        return tuple([write for view in self.touched for write in view.write_set()])

    def clear(self) -> None:
        """Forget the write set: it was applied, or the call failed."""
        for view in self.touched:
            view.clear()
        self.touched.clear()

    def _make_view(self, row_type: type[Row]) -> TableView[Row]:
        table = self._database.table(row_type.__table__.name)
        if table is None or table.codec.row_type is not row_type:
            raise TypeError(f"{row_type.__name__} is not a table of a loaded domain")
        return TableView(table, self)
