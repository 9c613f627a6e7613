"""A query's rows, live: a mapping by primary key that stays current, its indexes, and what changes in it.

Where the query has ORDER BY and LIMIT, they are in that order. Groups are found by their value: `view["ada"]`, or
`view["ada", 3]` where there are several, `view[()]` where there is none.

    async with db.query(Task.where(Task.status == "open")) as tasks:
        tasks.on_insert(lambda task: print("new:", task.title))
        mine = tasks.index(Task.owner)["ada"]
        async for change in tasks: ...

Laws: between two awaits of its reader a view stands still, and is its query over the tables at `offset`. What it tells
begins with what comes after the rows as they are when it is asked to, and adds up to the rows as they are then. Where
the server sends all rows anew, only what differs is told, and that it is so, with the server's reason.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Self, TypeVar

import msgspec

from store.client.callbacks import Callbacks, Listening
from store.client.index import ViewIndex
from store.client.options import ClientOptions
from store.client.rows import Delete, Insert, LiveRows, Update, ViewDelta
from store.client.streams import ChangeStream, DeltaStream
from store.errors import SchemaMismatch, StoreError
from store.expression import Column
from store.ids import Offset
from store.subscribe.messages import Anew, TableInfo

Row = TypeVar("Row", bound=msgspec.Struct)
Stream = TypeVar("Stream", DeltaStream[Any], ChangeStream[Any])


class View(Mapping[Any, Row]):
    """The rows of a subscription by key, current as of `offset`. As a context manager it closes itself."""

    def __init__(
        self,
        live: LiveRows[Row],
        *,
        sql: str,
        connection_offset: Callable[[], Offset],
        forget: Callable[[], None],
        listening: Listening,
        options: ClientOptions,
    ) -> None:
        self.sql: Final = sql
        self.error: StoreError | None = None
        """What ended this view, or None; its rows then stay as they were."""
        self.anew: Anew | None = None
        """Why the server sent all rows anew, the last time that it did after an absence; None: it never did."""
        self._live: Final = live
        self._reader = live.reader
        self._connection_offset: Final = connection_offset
        self._forget: Final = forget
        self._options: Final = options
        self._streams: Final[list[DeltaStream[Row] | ChangeStream[Row]]] = []
        self._indexes: Final[dict[str, ViewIndex[Row]]] = {}
        self._callbacks: Final[Callbacks[Row]] = Callbacks(listening)
        self._closed = False

    @property
    def offset(self) -> Offset:
        """The rows are the query over the tables at this offset."""
        return self._live.offset if self._closed else max(self._live.offset, self._connection_offset())

    @property
    def table(self) -> TableInfo:
        """What the rows are rows of."""
        return self._live.reader.info

    @property
    def closed(self) -> bool:
        """Whether the rows stand still for good; `error` says whether something went wrong."""
        return self._closed

    # What its reader may ask for.

    def index(self, column: object) -> ViewIndex[Row]:
        """The rows by the values of a column, `Task.owner` or its name; made once, and kept current from there on.

        ValueError: these rows have no such column.
        """
        name = column.name if isinstance(column, Column) else column
        names = [each.name for each in self.table.columns]
        if name not in names or (isinstance(column, Column) and column.table != self.table.name):
            raise ValueError(f"expected a column of {self.table.name} ({', '.join(names)}), found {column!r}")
        assert isinstance(name, str)
        if name not in self._indexes:
            self._indexes[name] = ViewIndex(name, self._live.rows)
        return self._indexes[name]

    def on_insert(self, callback: Callable[[Row], object]) -> Callable[[], None]:
        """Call it with each row that comes into the view, until what is returned is called.

        Callbacks run on the loop: a slow one keeps everybody waiting. What one raises goes to the loop's exception
        handler. TypeError: it is no plain function.
        """
        return self._callbacks.add(Insert, callback)

    def on_update(self, callback: Callable[[Row, Row], object]) -> Callable[[], None]:
        """Call it with each row before and after it changes under the same key; else as `on_insert`."""
        return self._callbacks.add(Update, callback)

    def on_delete(self, callback: Callable[[Row], object]) -> Callable[[], None]:
        """Call it with each row that leaves the view; else as `on_insert`."""
        return self._callbacks.add(Delete, callback)

    def on_anew(self, callback: Callable[[Anew], object]) -> Callable[[], None]:
        """Call it with the reason when the server has sent all rows anew; else as `on_insert`.

        The steps between are not known then: what differs is told behind it, as inserts, updates and deletes.
        """
        return self._callbacks.add(Anew, callback)

    def on_end(self, callback: Callable[[StoreError | None], object]) -> Callable[[], None]:
        """Call it when the view ends: with what ended it, or None where it was closed; else as `on_insert`."""
        return self._callbacks.add(None, callback)

    def deltas(self) -> DeltaStream[Row]:
        """What changes from here on, transaction by transaction.

        Ask for it and copy the rows without an await between, and nothing is missed. Where rows were sent anew, a delta
        has `reset`, and says why in `anew`.
        """
        return self._opened(DeltaStream(self._options.deltas_queued_max, self._forget_stream))

    def changes(self) -> ChangeStream[Row]:
        """What changes from here on, one Insert, Update or Delete after the other; else as `deltas`.

        That rows were sent anew is not among them: `deltas` say it, and `on_anew`. Who no longer reads says so with
        `aclose`; who forgets to costs at most `changes_queued_max` changes.
        """
        return self._opened(ChangeStream(self._options.changes_queued_max, self._forget_stream))

    def __aiter__(self) -> ChangeStream[Row]:
        return self.changes()

    async def close(self) -> None:
        """Follow no longer: the rows stay as they are, streams end."""
        if not self._closed:
            self._forget()
            self.end(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    # What its owner says.

    def push(self, delta: ViewDelta[Row]) -> None:
        """The rows have changed: indexes follow, streams are told. SchemaMismatch: an index has lost its column."""
        self.anew = delta.anew or self.anew
        if self._reader is not self._live.reader:
            self._read_anew()
        for index in self._indexes.values():
            index.take(delta.changes)
        for stream in tuple(self._streams):
            stream.push(delta)

    def tell(self, delta: ViewDelta[Row]) -> None:
        """Call the callbacks."""
        self._callbacks.tell(delta.changes, delta.anew)

    def end(self, error: StoreError | None) -> None:
        """Stand still from here on."""
        self._live.offset = self.offset
        self._closed = True
        self.error = error
        for stream in self._streams:
            stream.end(error)
        self._streams.clear()
        self._callbacks.end(error)

    # The small print.

    def _read_anew(self) -> None:
        """The rows have another form than before: the server's tables have changed."""
        self._reader = self._live.reader
        names = {each.name for each in self.table.columns}
        for name in self._indexes:
            if name not in names:
                raise SchemaMismatch(f"{self.table.name} no longer has the column {name}, by which a view is indexed")

    def _opened(self, stream: Stream) -> Stream:
        if self._closed:
            stream.end(self.error)
        else:
            self._streams.append(stream)
        return stream

    def _forget_stream(self, stream: Any) -> None:
        if stream in self._streams:
            self._streams.remove(stream)

    def __getitem__(self, key: Any) -> Row:
        return self._live.rows[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._live.keys)

    def __len__(self) -> int:
        return len(self._live.rows)

    def __contains__(self, key: object) -> bool:
        return key in self._live.rows

    def __repr__(self) -> str:
        return f"<View of {self.sql!r}: {len(self)} rows at offset {self.offset}>"
