"""The client for scripts: the same acts without await, on an event loop in a thread of its own.

    with connect_sync("ws://127.0.0.1:8400", token) as db:
        db.call("deposit", 1, 100)
        for row in db.query("SELECT * FROM accounts"): ...

Laws: everything happens on the loop's thread; here one only waits for it. Any thread may call.
"""

import asyncio
import ssl as tls
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self, TypeVar, overload

import msgspec

from store.client.connection import Callee, Client, connect
from store.client.dial import Token
from store.client.index import ViewIndex
from store.client.options import ClientOptions
from store.client.rows import Change, Rows, ViewDelta
from store.client.view import View
from store.errors import StoreError
from store.expression import Selection
from store.ids import Offset
from store.subscribe.messages import Anew, TableInfo

Row = TypeVar("Row", bound=msgspec.Struct)
Returned = TypeVar("Returned")


class _LoopThread:
    """An event loop that runs in a thread of its own."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s: Final = timeout_s
        self.loop: Final = asyncio.new_event_loop()
        self._thread: Final = threading.Thread(target=self.loop.run_forever, name="store-client", daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        """Run it there and wait for it here. TimeoutError past the limit that was asked for; else as `wait_long`."""
        self._check(work)

        async def limited() -> Returned:
            async with asyncio.timeout(self._timeout_s):
                return await work

        return self.wait_long(limited())

    def wait_long(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        """As `wait`, without a limit. RuntimeError: called by a callback, on the very thread that would do it."""
        if self.here:
            work.close()
            raise RuntimeError(
                "a callback runs on the client's own thread, where nothing can be waited for: use a queue"
            )
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # A key press ends the wait there as well.
            raise

    def _check(self, work: Coroutine[Any, Any, Any]) -> None:
        if self.here:
            work.close()
            raise RuntimeError(
                "a callback runs on the client's own thread, where nothing can be waited for: use a queue"
            )

    @property
    def here(self) -> bool:
        """Whether this is that thread."""
        return threading.get_ident() == self._thread.ident

    def stop(self) -> None:
        """End the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class BlockingView(Mapping[Any, Row]):
    """A live view as other threads read it: each read is current; `snapshot` is all rows at one offset.

    As a context manager it closes itself. Callbacks run on the client's thread, so they hand over what takes long, and
    wait for nothing of this client.
    """

    def __init__(self, view: View[Row], thread: _LoopThread) -> None:
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

        async def copy() -> tuple[Offset, dict[Any, Row]]:
            return self._view.offset, dict(self._view)

        return self._thread.wait_long(copy())

    def index(self, column: object) -> ViewIndex[Row]:
        """The rows by the values of a column, as View.index."""
        return self._there(lambda: self._view.index(column))

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
        remove = self._there(add)
        return lambda: self._there(remove)

    def _there(self, act: Callable[[], Returned]) -> Returned:
        """Do it on the loop's thread, which may be this one."""

        async def acting() -> Returned:
            return act()

        return act() if self._thread.here else self._thread.wait_long(acting())

    def deltas(self) -> Iterator[ViewDelta[Row]]:
        """What changes from here on; each step waits for the next transaction that changes these rows."""
        return self._steps(self._there(self._view.deltas))

    def changes(self) -> Iterator[Change[Row]]:
        """What changes from here on, one Insert, Update or Delete after the other; each step waits for the next."""
        return self._steps(self._there(self._view.changes))

    def _steps(self, stream: Any) -> Iterator[Any]:
        async def step() -> Any:
            return await anext(stream, None)

        try:
            while (item := self._thread.wait_long(step())) is not None:
                yield item
        finally:
            if self._thread.loop.is_running():
                self._thread.wait_long(stream.aclose())

    def close(self) -> None:
        """Follow no longer."""
        self._thread.wait_long(self._view.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __getitem__(self, key: Any) -> Row:
        return self._view[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._view))  # A copy: the loop's thread may change the rows meanwhile.

    def __len__(self) -> int:
        return len(self._view)


class BlockingClient:
    """A client of one tenant for code without an event loop."""

    def __init__(self, client: Client, thread: _LoopThread) -> None:
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
        return self._thread.wait(_later(lambda: self._client.call(reducer, *args, returns=returns, **named)))

    @overload
    def query(self, query: Selection[Row], /) -> Rows[Row]: ...
    @overload
    def query(self, query: str | Selection[Any], /, *params: Any, row_type: type[Row]) -> Rows[Row]: ...
    @overload
    def query(self, query: str, /, *params: Any, row_type: None = None) -> Rows[Any]: ...

    def query(self, query: Any, /, *params: Any, row_type: Any = None) -> Rows[Any]:
        """Read once. Raises as Client.query does, and TimeoutError."""
        return self._thread.wait(_later(lambda: self._client.query(query, *params, row_type=row_type)))

    @overload
    def subscribe(self, query: Selection[Row], /) -> BlockingView[Row]: ...
    @overload
    def subscribe(self, query: str | Selection[Any], /, *params: Any, row_type: type[Row]) -> BlockingView[Row]: ...
    @overload
    def subscribe(self, query: str, /, *params: Any, row_type: None = None) -> BlockingView[Any]: ...

    def subscribe(self, query: Any, /, *params: Any, row_type: Any = None) -> BlockingView[Any]:
        """Follow a query. Raises as Client.subscribe does, and TimeoutError."""
        return BlockingView(self._thread.wait(self._client.subscribe(query, *params, row_type=row_type)), self._thread)

    def synced(self, offset: Offset | None = None) -> None:
        """Wait until all views have seen everything up to `offset`. Raises as Client.synced does, and TimeoutError."""
        self._thread.wait(self._client.synced(offset))


async def _later(ask: Callable[[], Awaitable[Returned]]) -> Returned:
    """Ask on the loop's thread, where futures are made."""
    return await ask()


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
    thread = _LoopThread(timeout_s)
    try:
        holder = connect(url, token, client=client, sequence=sequence, options=options, ssl=ssl)
        made = thread.wait_long(holder.__aenter__())
        try:
            yield BlockingClient(made, thread)
        finally:
            thread.wait_long(holder.__aexit__(None, None, None))
    finally:
        thread.stop()
