"""What changes in a view, one reader at a time: by transactions, or change by change.

Laws: a stream begins with what comes after the rows as they are when it is asked for, and has one reader. It ends when
the view is closed, and raises what ended the view where that was an error. What waits for a reader is bounded: deltas
are folded into one, changes end the stream with FellBehind.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, Self, TypeVar

import msgspec

from store.client.errors import FellBehind
from store.client.rows import Change, ViewDelta, fold
from store.errors import StoreError

Row = TypeVar("Row", bound=msgspec.Struct)
Item = TypeVar("Item")


class _Stream(Generic[Item]):
    """A queue with one reader that waits."""

    def __init__(self, queued_max: int, forget: Callable[[Any], None]) -> None:
        self._queued_max: Final = queued_max
        self._forget: Final = forget
        self._queue: deque[Item] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._ended = False
        self._error: StoreError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._queue:
            if self._error is not None:
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            assert self._reader is None, "a stream has one reader; ask the view for another stream"
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._queue.popleft()

    async def aclose(self) -> None:
        """Want nothing more."""
        self.close()

    def close(self) -> None:
        """As `aclose`, for who cannot await."""
        self._forget(self)
        self.end(None)

    def end(self, error: StoreError | None) -> None:
        """Nothing more comes; what is queued is still read first."""
        self._ended = True
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class DeltaStream(_Stream[ViewDelta[Row]]):
    """The deltas of one view: `async for delta in view.deltas()`, one for each transaction that changed it.

    At most `deltas_queued_max` wait; past it they are folded into one with `reset`.
    """

    def push(self, delta: ViewDelta[Row]) -> None:
        """Queue a delta for the reader."""
        self._queue.append(delta)
        if len(self._queue) > self._queued_max:
            self._queue = deque([fold(self._queue)])
        self._wake()


class ChangeStream(_Stream[Change[Row]]):
    """The changes of one view: `async for change in view`, each an Insert, an Update or a Delete.

    At most `changes_queued_max` wait, or one delta's, however large. A reader that lets more come is told so by
    FellBehind, once it reads again, and what waited is dropped.
    """

    def push(self, delta: ViewDelta[Row]) -> None:
        """Queue a delta's changes for the reader."""
        waiting = len(self._queue)
        if waiting and waiting + len(delta.changes) > self._queued_max:
            self._queue.clear()
            self._forget(self)
            self.end(
                FellBehind(
                    f"{waiting + len(delta.changes)} changes of a view waited for a reader that did not come, at most "
                    f"{self._queued_max} are kept (changes_queued_max)",
                    details={"limit": "changes_queued_max"},
                    hint="Read more often; or begin again with the view's rows; or follow deltas(), which are folded",
                )
            )
            return
        self._queue.extend(delta.changes)
        self._wake()
