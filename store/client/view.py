"""A query's rows, live: a mapping by primary key that stays current, and the deltas that made it so.

Laws: between two awaits of its reader a view stands still, and is its query over the tables at `offset`. A stream of
deltas begins with what comes after the rows as they are when it is asked for.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, Self, TypeVar

import msgspec

from store.client.rows import LiveRows, ViewDelta, fold
from store.errors import StoreError
from store.ids import Offset
from store.subscribe.messages import TableInfo

Row = TypeVar("Row", bound=msgspec.Struct)


class DeltaStream(Generic[Row]):
    """The deltas of one view for one reader: `async for delta in view.deltas()`.

    It ends when the view is closed, and raises what ended the view where that was an error. At most
    `deltas_queued_max` wait; past it they are folded into one with `reset`.
    """

    def __init__(self, queued_max: int, forget: Callable[["DeltaStream[Row]"], None]) -> None:
        self._queued_max: Final = queued_max
        self._forget: Final = forget
        self._queue: deque[ViewDelta[Row]] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._ended = False
        self._error: StoreError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ViewDelta[Row]:
        while not self._queue:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            assert self._reader is None, "a stream of deltas has one reader; ask the view for another stream"
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._queue.popleft()

    async def aclose(self) -> None:
        """Want no more deltas."""
        self._forget(self)
        self.end(None)

    def push(self, delta: ViewDelta[Row]) -> None:
        """Queue a delta for the reader."""
        self._queue.append(delta)
        if len(self._queue) > self._queued_max:
            self._queue = deque([fold(self._queue)])
        self._wake()

    def end(self, error: StoreError | None) -> None:
        """No more deltas come; what is queued is still read first."""
        self._ended = True
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class View(Mapping[Any, Row]):
    """The rows of a subscription by primary key, current as of `offset`."""

    def __init__(
        self,
        live: LiveRows[Row],
        *,
        sql: str,
        connection_offset: Callable[[], Offset],
        forget: Callable[[], None],
        deltas_queued_max: int,
    ) -> None:
        self.sql: Final = sql
        self.error: StoreError | None = None
        """What ended this view, or None; its rows then stay as they were."""
        self._live: Final = live
        self._connection_offset: Final = connection_offset
        self._forget: Final = forget
        self._deltas_queued_max: Final = deltas_queued_max
        self._streams: Final[list[DeltaStream[Row]]] = []
        self._closed = False

    @property
    def offset(self) -> Offset:
        """The rows are the query over the tables at this offset."""
        return self._live.offset if self._closed else max(self._live.offset, self._connection_offset())

    @property
    def table(self) -> TableInfo:
        """What the rows are rows of."""
        return self._live.reader.info

    def deltas(self) -> DeltaStream[Row]:
        """What changes from here on. Ask for it and copy the rows without an await between, and nothing is missed."""
        stream: DeltaStream[Row] = DeltaStream(self._deltas_queued_max, self._forget_stream)
        if self._closed:
            stream.end(self.error)
        else:
            self._streams.append(stream)
        return stream

    async def close(self) -> None:
        """Follow no longer: the rows stay as they are, streams of deltas end."""
        if not self._closed:
            self._forget()
            self.end(None)

    def push(self, delta: ViewDelta[Row]) -> None:
        """Tell all readers what has changed."""
        for stream in self._streams:
            stream.push(delta)

    def end(self, error: StoreError | None) -> None:
        """Stand still from here on."""
        self._live.offset = self.offset
        self._closed = True
        self.error = error
        for stream in self._streams:
            stream.end(error)
        self._streams.clear()

    def _forget_stream(self, stream: DeltaStream[Row]) -> None:
        if stream in self._streams:
            self._streams.remove(stream)

    def __getitem__(self, key: Any) -> Row:
        return self._live.rows[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._live.rows)

    def __len__(self) -> int:
        return len(self._live.rows)

    def __contains__(self, key: object) -> bool:
        return key in self._live.rows

    def __repr__(self) -> str:
        return f"<View of {self.sql!r}: {len(self)} rows at offset {self.offset}>"
