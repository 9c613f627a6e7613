"""The database seen through one unfinished write set.

Laws: nothing below changes until the write set is numbered, appended and applied. What enters is what a replay would
read: a row is encoded here, and what the reducer sees from then on was decoded from those bytes, or is of values that
are read back as they are. Every constraint is checked here, so that applying cannot fail. The write set is net: a row
that is back where it was is no write.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar, cast

from msgspec.structs import replace

from store.errors import ConstraintViolation
from store.ids import Key
from store.schema import Table
from store.tables.database import Database, Move
from store.tables.methods import ABSENT, Held, make_get, make_update
from store.tables.table import HashIndex, StoredTable
from store.transaction import Op, Write

Row = TypeVar("Row", bound=Table)

_INSERT: Final = int(Op.INSERT)
_UPDATE: Final = int(Op.UPDATE)
_DELETE: Final = int(Op.DELETE)


class TableView(Generic[Row]):
    """One table as a reducer sees it: everything committed, and everything it has written itself so far.

    Each is of a class of its own, whose `get` and `update` are written for it (methods.py).
    """

    def __init__(
        self,
        base: StoredTable,
        seen: dict[Key, Any],
        writes: dict[Key, Write],
        touched: "list[TableView[Any]]",
        moving: "list[TableView[Any]]",
    ) -> None:
        codec = base.codec
        self._base: Final = base
        self._id: Final = base.schema.id
        self._rows: Final = base.rows
        self._touched: Final = touched
        self._moving: Final = moving
        self._row_type: Final = codec.row_type
        self._decode: Final = codec.decode
        self._canonical: Final = codec.canonical
        self._key_of: Final = codec.key
        self._names: Final = [each.name for each in base.schema.columns]
        self._key_name: Final = base.schema.key_name
        self._indexed_of: Final[Callable[[Any], Any] | None] = (
            attrgetter(*[each.name for each in base.indexes]) if base.indexes else None
        )
        self.seen: Final = seen
        """The rows looked at or written in this call, decoded, as they are now; None where there is none."""
        self.writes: Final = writes
        """The net writes by key."""
        self._moved: Final[dict[Key, Any]] = {}
        """By key: the committed row that the indexes still hold; None where there was none."""
        self._added: Final[dict[str, dict[Any, dict[Key, None]]]] = {each.name: {} for each in base.indexes}
        """By index and value: the keys of moved rows that have the value now."""
        self.next_key = 0

    def get(self, key: Any) -> Row | None:
        """The row under a primary key, or None."""
        seen = self.seen
        if key in seen:
            return seen[key]  # type: ignore[no-any-return]  # Decoded by this table's codec, like all that follow.
        if not seen:
            self._touched.append(self)
        data = self._rows.get(key)
        decode = self._decode
        row: Row | None = None if data is None else decode(data)
        seen[key] = row
        return row

    def insert(self, row: Row) -> Row:
        """Add a row and return it as stored, with its key where the table counts. ConstraintViolation says why not."""
        read, data = self._canonical(self._checked_type(row))
        key = self._key_of(read)
        if key == 0 and self._base.schema.auto_increment:
            self._look(key)  # From here on the table counts as touched: a call that fails now takes no key.
            key = self._take_key()
            read, data = self._canonical(replace(read, **{self._key_name: key}))
        if self._look(key) is not None:
            self._violate("primary_key", self._key_name, f"a row with key {key!r} exists already")
        self._put(key, data, read)
        return cast("Row", read)

    def update(self, row: Row, **changes: Any) -> Row:
        """Change columns of the row that has this row's primary key, and return it as stored.

        ConstraintViolation where there is no such row, the key itself would change, or a rule is broken.
        """
        return self._update(row, changes)

    def _update_given(self, row: Row, values: tuple[Any, ...]) -> Row:
        """Update a row in those columns for which there is a value: one for each column, ABSENT for none."""
        return self._update(
            row, {name: value for name, value in zip(self._names, values, strict=True) if value is not ABSENT}
        )

    def _update(self, row: Row, changes: dict[str, Any]) -> Row:
        """Update any row in any columns, or say why not."""
        key = self._key_of(self._checked_type(row))
        if self._look(key) is None:
            self._violate("primary_key", self._key_name, f"there is no row with key {key!r} to update")
        if self._key_name in changes and changes[self._key_name] != getattr(row, self._key_name):
            self._violate("primary_key", self._key_name, f"the key {key!r} never changes: delete and insert")
        read, data = self._canonical(replace(row, **changes))
        self._put(key, data, read)
        return cast("Row", read)

    def upsert(self, row: Row) -> Row:
        """Insert the row, or replace the one that has its primary key; return it as stored."""
        read, data = self._canonical(self._checked_type(row))
        key = self._key_of(read)
        if key == 0 and self._base.schema.auto_increment:
            return self.insert(row)
        self._look(key)
        self._put(key, data, read)
        return cast("Row", read)

    def delete(self, key: Any) -> bool:
        """Remove the row under a primary key; False where there was none."""
        row = self._look(key)
        if row is None:
            return False
        self._put(self._key_of(row), None, None)  # As the table keeps it: True and 1.0 find the row with key 1.
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
        return [self._look(key) for key in sorted(self._keys(index, value))]

    def __iter__(self) -> Iterator[Row]:
        """All rows in primary-key order, as they are when each one's turn comes."""
        keys: Any = self._base.ordered_keys()
        fresh = sorted(key for key, (_, op, *_) in self.writes.items() if op == _INSERT)
        for key in heapq.merge(keys, fresh) if fresh else keys:
            row = self._look(key)
            if row is not None:
                yield row

    def __len__(self) -> int:
        """How many rows there are now."""
        return len(self._rows) + sum(_CAME[op] for _, op, *_ in self.writes.values())

    def __contains__(self, key: object) -> bool:
        return self.get(key) is not None

    def moves(self) -> Iterator[Move]:
        """What the write set changes in this table's indexes."""
        for key, was in self._moved.items():
            yield self._base, key, was, self.seen[key]

    def settle(self) -> None:
        """Forget what moved in the indexes."""
        self._moved.clear()
        for values in self._added.values():
            values.clear()

    def _look(self, key: Key) -> Any:
        """The row under a key in its stored form, or None."""
        return TableView.get(self, key)

    def _put(self, key: Key, data: bytes | None, row: Any) -> None:
        """Note a row's new state, after `_look`; indexes follow, and a unique one may object."""
        before = self._rows.get(key)
        if self._indexed_of is not None and not self._stays(self.seen[key], row):
            self._move(key, before, self.seen[key], row)
        self.seen[key] = row
        if before == data:
            self.writes.pop(key, None)
        else:
            op = _INSERT if before is None else _DELETE if data is None else _UPDATE
            self.writes[key] = (self._id, op, key, before, data)

    def _stays(self, old: Any, new: Any) -> bool:
        """Whether a row keeps its place in every index."""
        assert self._indexed_of is not None
        return old is not None and new is not None and bool(self._indexed_of(old) == self._indexed_of(new))

    def _move(self, key: Key, before: bytes | None, old: Any, new: Any) -> None:
        """Follow a row's new values in the indexes as this call sees them. `old` is the row as it is up to now."""
        for index in self._base.indexes:
            value = getattr(new, index.name, None)
            if index.unique and value is not None:
                self._check_unique(index, value, key)
        moved = key in self._moved
        if not self._moved:
            self._moving.append(self)
        if not moved:
            self._moved[key] = old if before is not None else None
        for index in self._base.indexes:
            added = self._added[index.name]
            if moved and old is not None:
                del added[getattr(old, index.name)][key]
            if new is not None:
                added.setdefault(getattr(new, index.name), {})[key] = None

    def _check_unique(self, index: HashIndex, value: Any, key: Key) -> None:
        for other in self._keys(index, value):
            if other != key:
                self._violate("unique", index.name, f"{value!r} is taken by the row with key {other!r}")

    def _keys(self, index: HashIndex, value: Any) -> list[Any]:
        """The keys under a value now: committed ones that were not moved here, and those moved here."""
        committed = [key for key in index.keys(value) if key not in self._moved]
        return committed + list(self._added[index.name].get(value, ()))

    def _take_key(self) -> int:
        self.next_key = max(self.next_key, self._base.next_key)
        while self.next_key in self.writes:
            self.next_key += 1
        key = self.next_key
        self.next_key += 1
        return key

    def _checked_type(self, row: Row) -> Row:
        if type(row) is not self._row_type:
            raise TypeError(f"{self._base.schema.name} holds {self._row_type.__name__} rows, found {row!r:.80}")
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


class _UuidView(TableView[Row]):
    """A table whose key is a UUID: its stored form is the UUID's text."""

    def delete(self, key: Any) -> bool:
        return super().delete(str(key))


_CAME: Final = {_INSERT: 1, _UPDATE: 0, _DELETE: -1}


class _Views(dict[type[Table], TableView[Any]]):
    """Views by row type, made at first sight."""

    def __init__(self, database: Database, touched: list[TableView[Any]], moving: list[TableView[Any]]) -> None:
        super().__init__()
        self._database: Final = database
        self._touched: Final = touched
        self._moving: Final = moving

    def __missing__(self, row_type: type[Table]) -> TableView[Any]:
        table = self._database.table(row_type.__table__.name)
        if table is None or table.codec.row_type is not row_type:
            raise TypeError(f"{row_type.__name__} is not a table of a loaded domain")
        kind: type[TableView[Any]] = TableView if table.codec.plain_key else _UuidView
        held = Held({}, {}, table.rows, self._touched.append)
        methods = {"get": make_get(table.codec, held), "update": make_update(table.codec, held)}
        own: type[TableView[Any]] = type(f"{row_type.__name__}View", (kind,), methods)
        view = self[row_type] = own(table, held.seen, held.writes, self._touched, self._moving)
        return view


class ViewOf(Protocol):
    """`view(Account)` is the table of Account rows, typed as such. TypeError where no loaded domain has it."""

    def __call__(self, row_type: type[Row], /) -> TableView[Row]:
        """The table that holds rows of this type."""
        ...


class Overlay:
    """The one unfinished write set of the one writer."""

    def __init__(self, database: Database) -> None:
        self.touched: Final[list[TableView[Any]]] = []
        """The tables looked at so far, in the order of the first look."""
        self.moving: Final[list[TableView[Any]]] = []
        """Those of them with rows whose indexed values changed."""
        self.view: Final[ViewOf] = _Views(database, self.touched, self.moving).__getitem__

    def write_set(self) -> tuple[Write, ...]:
        """The net writes of all tables, tables in the order in which they were first looked at."""
        return tuple([write for view in self.touched for write in view.writes.values()])

    def moves(self) -> Sequence[Move]:
        """What the write set changes in indexes."""
        return [move for view in self.moving for move in view.moves()]

    def clear(self) -> None:
        """Forget the write set: it was applied, or the call failed."""
        for view in self.touched:
            view.seen.clear()
            view.writes.clear()
            view.next_key = 0
        self.touched.clear()
        if self.moving:
            for view in self.moving:
                view.settle()
            self.moving.clear()
