"""The client for scripts: the same acts without await, on an event loop in a thread of its own.

    with connect_sync("ws://127.0.0.1:8400", token) as db:
        db.call("deposit", 1, 100)
        for row in db.query("SELECT * FROM accounts"): ...

Laws: everything happens on the loop's thread; here one only waits for it. Any thread may call. Behind the block the
client is closed for all of them: what still waits fails with OutcomeUnknown, as does all that is asked then; views stay
as they are, and their streams end.
"""

import ssl as tls
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar, overload

import msgspec

from store.client.connection import Callee, Client, connect
from store.client.dial import Token
from store.client.index import ViewIndex
from store.client.loop_thread import LoopThread
from store.client.options import ClientOptions
from store.client.rows import Change, Rows, ViewDelta
from store.client.view import View
from store.errors import StoreError
from store.expression import Selection
from store.ids import Offset
from store.subscribe.messages import Anew, TableInfo

Row = TypeVar("Row", bound=msgspec.Struct)
Returned = TypeVar("Returned")


class BlockingView(Mapping[Any, Row]):
    """A live view as other threads read it: each read is current; what goes over its rows goes over a copy of them.

    Such a copy is made on the client's thread, between two transactions: `keys`, `values`, `items` and a comparison are
    each of all rows at one offset, in the query's order, and `snapshot` says which. A single row is read without
    waiting, so a key may have left the view before it is looked up: take both with `items`, and `dict(view.items())`,
    not `dict(view)`, which looks up key by key.

    As a context manager it closes itself. Callbacks run on the client's thread, so they hand over what takes long, and
    wait for nothing of this client.
    """

    def __init__(self, view: View[Row], thread: LoopThread) -> None:
        self._view: Final = view
        self._thread: Final = thread

    @property
    def offset(self) -> Offset:
        """The rows are the query over the tables at this offset."""
        return self._view.offset

    @property
    def table(self) -> TableInfo:
        """What the rows are rows of."""
        return self._view.table

    @property
    def anew(self) -> Anew | None:
        """Why the server sent all rows anew, the last time that it did after an absence; None: it never did."""
        return self._view.anew

    def snapshot(self) -> tuple[Offset, dict[Any, Row]]:
        """The offset and a copy of the rows at exactly that offset."""
        return self._thread.do(lambda: (self._view.offset, dict(self._view)))

    def index(self, column: object) -> ViewIndex[Row]:
        """The rows by the values of a column, as View.index."""
        return self._thread.do(lambda: self._view.index(column))

    def on_insert(self, callback: Callable[[Row], object]) -> Callable[[], None]:
        """Call it with each row that comes into the view, until what is returned is called."""
        return self._listen(lambda: self._view.on_insert(callback))

    def on_update(self, callback: Callable[[Row, Row], object]) -> Callable[[], None]:
        """Call it with each row before and after it changes, until what is returned is called."""
        return self._listen(lambda: self._view.on_update(callback))

    def on_delete(self, callback: Callable[[Row], object]) -> Callable[[], None]:
        """Call it with each row that leaves the view, until what is returned is called."""
        return self._listen(lambda: self._view.on_delete(callback))

    def on_anew(self, callback: Callable[[Anew], object]) -> Callable[[], None]:
        """Call it with the reason when the server has sent all rows anew, until what is returned is called."""
        return self._listen(lambda: self._view.on_anew(callback))

    def on_end(self, callback: Callable[[StoreError | None], object]) -> Callable[[], None]:
        """Call it when the view ends, with what ended it, or None where it was closed."""
        return self._listen(lambda: self._view.on_end(callback))

    def _listen(self, add: Callable[[], Callable[[], None]]) -> Callable[[], None]:
        remove = self._thread.do(add)
        return lambda: self._thread.do(remove)

    def deltas(self) -> Iterator[ViewDelta[Row]]:
        """What changes from here on; each step waits for the next transaction that changes these rows."""
        return self._steps(self._thread.do(self._view.deltas))

    def changes(self) -> Iterator[Change[Row]]:
        """What changes from here on, one Insert, Update or Delete after the other; each step waits for the next."""
        return self._steps(self._thread.do(self._view.changes))

    def _steps(self, stream: Any) -> Iterator[Any]:
        async def step() -> Any:
            return await anext(stream, None)

        try:
            while (item := self._thread.wait_long(step)) is not None:
                yield item
        finally:
            self._thread.do(stream.close)

    def close(self) -> None:
        """Follow no longer."""
        self._thread.wait_long(self._view.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __getitem__(self, key: Any) -> Row:
        return self._view[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._thread.do(lambda: list(self._view)))

    def keys(self) -> KeysView[Any]:
        """The keys as they are now."""
        return self.snapshot()[1].keys()

    def values(self) -> ValuesView[Row]:
        """The rows as they are now."""
        return self.snapshot()[1].values()

    def items(self) -> ItemsView[Any, Row]:
        """The rows as they are now, each with its key."""
        return self.snapshot()[1].items()

    def __len__(self) -> int:
        return len(self._view)


class BlockingClient:
    """A client of one tenant for code without an event loop."""

    def __init__(self, client: Client, thread: LoopThread) -> None:
        self._client: Final = client
        self._thread: Final = thread

    @property
    def client(self) -> str:
        """The name under which this client's calls are idempotent."""
        return self._client.client

    @property
    def offset(self) -> Offset:
        """All views have seen everything up to here."""
        return self._client.offset

    @overload
    def call(self, reducer: Callee[Returned], /, *args: Any, **named: Any) -> Returned: ...
    @overload
    def call(self, reducer: str, /, *args: Any, returns: type[Returned], **named: Any) -> Returned: ...
    @overload
    def call(self, reducer: str, /, *args: Any, returns: Any = ..., **named: Any) -> Any: ...

    def call(self, reducer: str | Callee[Any], /, *args: Any, returns: Any = Any, **named: Any) -> Any:
        """Call a reducer and wait for what it returns. Raises as Client.call does, and TimeoutError."""
        return self._thread.wait(lambda: self._client.call(reducer, *args, returns=returns, **named))

    @overload
    def query(self, query: Selection[Row], /) -> Rows[Row]: ...
    @overload
    def query(self, query: str | Selection[Any], /, *params: Any, row_type: type[Row]) -> Rows[Row]: ...
    @overload
    def query(self, query: str, /, *params: Any, row_type: None = None) -> Rows[Any]: ...

    def query(self, query: Any, /, *params: Any, row_type: Any = None) -> Rows[Any]:
        """Read once. Raises as Client.query does, and TimeoutError."""
        return self._thread.wait(lambda: self._client.query(query, *params, row_type=row_type))

    @overload
    def subscribe(self, query: Selection[Row], /) -> BlockingView[Row]: ...
    @overload
    def subscribe(self, query: str | Selection[Any], /, *params: Any, row_type: type[Row]) -> BlockingView[Row]: ...
    @overload
    def subscribe(self, query: str, /, *params: Any, row_type: None = None) -> BlockingView[Any]: ...

    def subscribe(self, query: Any, /, *params: Any, row_type: Any = None) -> BlockingView[Any]:
        """Follow a query. Raises as Client.subscribe does, and TimeoutError."""
        view = self._thread.wait(lambda: self._client.subscribe(query, *params, row_type=row_type))
        return BlockingView(view, self._thread)

    def synced(self, offset: Offset | None = None) -> None:
        """Wait until all views have seen everything up to `offset`. Raises as Client.synced does, and TimeoutError."""
        self._thread.wait(lambda: self._client.synced(offset))


@contextmanager
def connect_sync(
    url: str,
    token: Token,
    *,
    client: str = "",
    sequence: int = 0,
    timeout_s: float | None = None,
    options: ClientOptions | None = None,
    ssl: tls.SSLContext | None = None,
) -> Iterator[BlockingClient]:
    """Connect as `connect` does.

    `timeout_s` limits each wait for an answer, by default none; past it TimeoutError is raised, and the outcome of a
    call is unknown.
    """
    thread = LoopThread(timeout_s)
    try:
        holder = connect(url, token, client=client, sequence=sequence, options=options, ssl=ssl)
        made = thread.wait_long(holder.__aenter__)
        try:
            yield BlockingClient(made, thread)
        finally:
            thread.wait_long(lambda: holder.__aexit__(None, None, None))
    finally:
        thread.stop()
