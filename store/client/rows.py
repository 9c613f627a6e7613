"""A query's rows as a client holds them, and what changes in them.

Laws: rows at offset N plus the delta of N + 1 are the rows at N + 1. A change knows the row before: it was here.
Folding many deltas changes nothing but the steps between: applied to the first rows it gives the last.
"""

import keyword
import operator
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec

from store.client.order import RowOrder
from store.codec import row_struct
from store.errors import SchemaMismatch
from store.ids import ColumnId, Offset, TableId, Timestamp
from store.schema import ColumnSchema, TableSchema
from store.subscribe.messages import Anew, Part, TableInfo
from store.values import dec_hook_trusted

Row = TypeVar("Row", bound=msgspec.Struct)


class Insert(msgspec.Struct, Generic[Row], frozen=True, gc=False):
    """A row that came into the query."""

    key: Any
    after: Row


class Update(msgspec.Struct, Generic[Row], frozen=True, gc=False):
    """A row of the query that became another one under the same key."""

    key: Any
    before: Row
    after: Row


class Delete(msgspec.Struct, Generic[Row], frozen=True, gc=False):
    """A row that left the query."""

    key: Any
    before: Row


Change = Insert[Row] | Update[Row] | Delete[Row]


class ViewDelta(msgspec.Struct, Generic[Row], frozen=True):
    """What changed in one view: by one transaction, or, with `reset`, by all that happened since the delta before.

    A reset comes where the server sent all rows anew after an absence, or where the reader fell behind. Its timestamp
    is that of the last transaction known, or 0. `anew` says why the server sent them, the last time where it was twice;
    None where it did not.
    """

    offset: Offset
    timestamp: Timestamp
    changes: tuple[Change[Row], ...]
    reset: bool = False
    anew: Anew | None = None


class Rows(list[Row]):
    """The rows of one query in primary-key order, with the offset they were read at and what they are rows of."""

    def __init__(self, rows: Iterable[Row], *, offset: Offset, table: TableInfo) -> None:
        super().__init__(rows)
        self.offset = offset
        self.table = table


class RowReader(Generic[Row]):
    """From the wire's bytes to rows of one type: the author's own, or one made from what the server says."""

    def __init__(self, info: TableInfo, row_type: type[Row] | None) -> None:
        """SchemaMismatch where the author's type is not what the server sends."""
        made: Any = row_type or row_struct(_schema_of(info))
        names = tuple(_field_names(info))
        if tuple(made.__struct_fields__) != names:
            raise SchemaMismatch(
                f"expected rows of {made.__name__} with columns ({', '.join(made.__struct_fields__)}), "
                f"found {info.name} with ({', '.join(names)})",
                hint="Use the row type the server runs with, or none",
            )
        self.info: Final = info
        self.order: Final = RowOrder(info, names)
        self.key_of: Final[Callable[[Row], Any]] = _key_of(info, names)
        self.read_key: Final[Callable[[Any], Any]] = _key_reader(info)
        self._row = msgspec.msgpack.Decoder(made, dec_hook=dec_hook_trusted)
        self._rows = msgspec.msgpack.Decoder(list[made], dec_hook=dec_hook_trusted)

    def row(self, data: msgspec.Raw) -> Row:
        """One row. SchemaMismatch where it is not of this type."""
        return self._read(self._row, data)  # type: ignore[no-any-return]  # The decoder was made for it.

    def rows(self, data: msgspec.Raw) -> list[Row]:
        """An array of rows. SchemaMismatch where one is not of this type."""
        return self._read(self._rows, data)  # type: ignore[no-any-return]  # The decoder was made for it.

    def by_key(self, data: msgspec.Raw) -> dict[Any, Row]:
        """An array of rows, each under its key. SchemaMismatch where one is not of this type."""
        key_of = self.key_of
        return {key_of(row): row for row in self.rows(data)}

    def _read(self, decoder: "msgspec.msgpack.Decoder[Any]", data: msgspec.Raw) -> Any:
        try:
            return decoder.decode(data)
        except Exception as error:  # noqa: BLE001  # Also what the author's own type raises when one of it is made.
            raise SchemaMismatch(
                f"a row of {self.info.name} is not of the type it is read as: {error}",
                hint="Use the row type the server runs with, or none",
            ) from None


def reader_of(info: TableInfo, row_type: type[Any] | None) -> RowReader[Any]:
    """The reader for these rows, made once."""
    return _made_reader(info, row_type)  # type: ignore[arg-type]  # A class is hashable.


@lru_cache(maxsize=1_024)
def _made_reader(info: TableInfo, row_type: Any) -> RowReader[Any]:
    return RowReader(info, row_type)


class LiveRows(Generic[Row]):
    """The rows of one query at `offset`: by primary key; groups by their value, or by a tuple of several or none."""

    __slots__ = ("_keys", "offset", "reader", "rows")

    def __init__(self, reader: RowReader[Row]) -> None:
        self.reader = reader
        self.rows: dict[Any, Row] = {}
        self.offset = Offset(0)
        self._keys: list[Any] | None = None

    @property
    def keys(self) -> Iterable[Any]:
        """The keys, in the order of the query where it has one."""
        if not self.reader.order:
            return self.rows
        if self._keys is None:
            self._keys = self.reader.order.keys(self.rows)
        return self._keys

    def apply(self, part: Part, offset: Offset) -> tuple[Change[Row], ...]:
        """Go on to `offset` by what one transaction changed."""
        assert offset > self.offset
        rows, reader = self.rows, self.reader
        changes: list[Change[Row]] = []
        for after in [reader.row(data) for data in part.rows]:  # All are read before the first is applied.
            key = reader.key_of(after)
            before = rows.get(key)
            changes.append(Insert(key, after) if before is None else Update(key, before, after))
            rows[key] = after
        for wire_key in part.keys:
            key = reader.read_key(wire_key)
            gone = rows.pop(key, None)
            if gone is not None:
                changes.append(Delete(key, gone))
        self.offset = offset
        self._keys = None
        return tuple(changes)

    def replace(self, rows: dict[Any, Row], reader: RowReader[Row], offset: Offset) -> tuple[Change[Row], ...]:
        """Become other rows, all at once; whoever iterates over the rows from before goes on over those."""
        before, self.reader = self.rows, reader
        self.rows = rows
        self.offset = offset
        self._keys = None
        changes = [_change(key, before.get(key), row) for key, row in self.rows.items()]
        changes += [Delete(key, row) for key, row in before.items() if key not in self.rows]
        return tuple(each for each in changes if each is not None)


def fold(deltas: Sequence[ViewDelta[Row]]) -> ViewDelta[Row]:
    """Several deltas in order as one that stands for all: one change per key, none where nothing is left of it."""
    net: dict[Any, tuple[Row | None, Row | None]] = {}
    for delta in deltas:
        for change in delta.changes:
            before = None if isinstance(change, Insert) else change.before
            after = None if isinstance(change, Delete) else change.after
            net[change.key] = (net[change.key][0] if change.key in net else before, after)
    changes = [_change(key, before, after) for key, (before, after) in net.items()]
    left = tuple(each for each in changes if each is not None)
    anew = next((each.anew for each in reversed(deltas) if each.anew is not None), None)
    return ViewDelta(deltas[-1].offset, deltas[-1].timestamp, left, reset=True, anew=anew)


def _change(key: Any, before: Row | None, after: Row | None) -> Change[Row] | None:
    if before == after:
        return None
    if before is None:
        assert after is not None
        return Insert(key, after)
    return Delete(key, before) if after is None else Update(key, before, after)


def _key_of(info: TableInfo, names: Sequence[str]) -> Callable[[Any], Any]:
    """What tells a row apart. Rows without a key are only read, never told apart."""
    if info.key >= 0:
        return operator.attrgetter(names[info.key])
    return operator.attrgetter(*(names[place] for place in info.group)) if info.group else _only


def _key_reader(info: TableInfo) -> Callable[[Any], Any]:
    """From a key as the wire says it to what tells a row apart."""
    if info.key >= 0:
        return UUID if info.columns[info.key].type == "uuid" else _same
    columns = tuple(info.columns[place] for place in info.group)
    made = row_struct(_schema_of(TableInfo(info.name, -1, columns)))

    def read(said: Any) -> Any:
        try:
            key = msgspec.structs.astuple(msgspec.convert(said, made, dec_hook=dec_hook_trusted))
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise SchemaMismatch(f"a key of groups of {info.name} is not of their columns: {error}") from None
        return key[0] if len(key) == 1 else key

    return read


def _only(_row: Any) -> tuple[()]:
    return ()


def _same(key: Any) -> Any:
    return key


def _field_names(info: TableInfo) -> list[str]:
    """The attributes of a row: columns by their names; one whose name is none, or is taken, by its number from 1."""
    names: list[str] = []
    for number, each in enumerate(info.columns, start=1):
        usable = each.name.isidentifier() and not keyword.iskeyword(each.name) and not each.name.startswith("_")
        names.append(each.name if usable and each.name not in names else f"column_{number}")
    return names


def _schema_of(info: TableInfo) -> TableSchema:
    """What the server says of a query's rows, in the words of a schema; the ids are places."""
    columns = tuple(
        ColumnSchema(id=ColumnId(place), name=name, type=each.type, nullable=each.nullable, default=None)
        for place, (name, each) in enumerate(zip(_field_names(info), info.columns, strict=True))
    )
    return TableSchema(
        id=TableId(0),
        name=info.name,
        public=True,
        columns=columns,
        primary_key=ColumnId(info.key),
        auto_increment=False,
        indexes=(),
    )
