"""The loop's part in group commit: when to begin, where the sync runs, and when the process ends.

Laws: whatever arrived while the last sync ran is the next group; there is no timer in it. One sync at a time: inline on
the loop's thread while the disk is quick, else on the one thread kept for it, where the syncs of large groups also run
while the loop takes in what goes with the next one. What subscriptions begin with is made in slices between the groups,
and the log is read for it on another thread. When durability is lost, or the state in RAM can no longer be
trusted, the process ends at once and nobody is told anything more: the next start recovers.
"""

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from store.engine.engine import Engine
from store.engine.group_commit import Sync
from store.errors import CallError, EngineStopped
from store.ids import ConnectionId, Offset
from store.server.ending import end_process
from store.server.metrics import Metrics
from store.subscribe.deliveries import Deliveries
from store.subscribe.missed import LogRead

TICK_SECONDS: Final = 0.1
"""Between two rounds of housekeeping."""
IDLE_TICKS: Final = 10
"""Rounds without a new transaction after which the garbage is collected, while nobody waits."""
COLLECTION_MAX_MS: Final = 5.0
"""A collection that takes longer has too much to look at: what survived it is not looked at again for a while."""
FREEZES_MAX: Final = 16
"""Times that survivors are set aside, before all are looked at again: some connection may be garbage by then."""

logger: Final = logging.getLogger(__name__)

Part = TypeVar("Part")


class Waiter:
    """A request that waits until what it read or wrote is durable."""

    __slots__ = ("future", "held")

    def __init__(self, future: "asyncio.Future[Any]") -> None:
        self.future: Final = future
        self.held: list[Any] = []

    def prepare(self, parts: list[Any]) -> list[Any]:
        """There is nothing to make."""
        return parts

    def release(self, parts: list[Any]) -> None:
        """Wake the request with its one part."""
        if not self.future.done():
            self.future.set_result(parts[0])


class Callback:
    """Something to be done once all before it was told."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: list[Callable[[], None]] = []

    def prepare(self, parts: list[Callable[[], None]]) -> list[Callable[[], None]]:
        """There is nothing to make."""
        return parts

    def release(self, parts: list[Callable[[], None]]) -> None:
        """Do it."""
        for act in parts:
            act()


class Runner:
    """Drives one engine on one event loop. Everything but the sync itself happens on the loop's thread."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self.engine: Final = engine
        self.metrics: Final = metrics
        self._group_commit: Final = engine.group_commit
        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._executor: Final = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._scheduled = False
        self._running: asyncio.Future[None] | None = None
        self._stopping = False
        self._first_arrival = 0.0
        self._connections = 0
        self._idle_ticks = 0
        self._freezes = 0
        self._seen_offset = Offset(0)
        self._ticker: asyncio.TimerHandle | None = None
        self._on_tick: Final[list[Callable[[], None]]] = []
        self._deliveries: Deliveries | None = None
        self._delivering: asyncio.Handle | None = None
        self._delivers_soon = False
        self._reader: Final = ThreadPoolExecutor(1, thread_name_prefix="log")

    def start(self) -> None:
        """Begin housekeeping. What recovery left in RAM stays: the collector need not look at it again."""
        gc.collect()
        gc.freeze()
        self._ticker = self._loop.call_later(TICK_SECONDS, self._tick)

    async def finish(self) -> None:
        """Wait for the sync that runs, then stop the engine in order. EngineStopped ends the process as ever."""
        self._stopping = True
        if self._ticker is not None:
            self._ticker.cancel()
        if self._delivering is not None:
            self._delivering.cancel()
        self._reader.shutdown()
        if self._running is not None:
            await asyncio.wait({self._running})  # Its callback runs first: it was added first.
        assert self._running is None
        self._executor.shutdown()
        try:
            self.engine.close()
        except BaseException as error:  # noqa: BLE001  # Whatever it is, it ends the process.
            end_process(error)

    def next_connection(self) -> ConnectionId:
        """A number no other connection of this server's life has."""
        self._connections += 1
        return ConnectionId(self._connections)

    def every_tick(self, act: Callable[[], None]) -> None:
        """Do this at every round of housekeeping, too."""
        self._on_tick.append(act)

    def deliver(self, deliveries: Deliveries) -> None:
        """From now on drive these, too."""
        self._deliveries = deliveries
        deliveries.wake = self._deliver_soon

    def wake(self) -> None:
        """Something may be due: commit once this round of the loop has taken in all that has arrived, or enough."""
        if not self._first_arrival:
            self._first_arrival = time.monotonic()
        if self._running is not None or self._stopping:
            return
        if self._group_commit.large:
            self._commit()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._commit)

    def wake_now(self) -> None:
        """As `wake`, for the only connection there is: nothing else can arrive in this round, so nothing is awaited."""
        if not self._first_arrival:
            self._first_arrival = time.monotonic()
        if self._running is None and not self._scheduled and not self._stopping:
            self._commit()

    async def durable(self, part: Part) -> Part:
        """Return `part` once everything it may rest on is durable."""
        waiter = Waiter(self._loop.create_future())
        self.engine.feed.hold(waiter, part)
        self.wake()
        try:
            await waiter.future
        finally:
            self.engine.feed.forget(waiter)
        return part

    def after_all(self, act: Callable[[], None]) -> None:
        """Do this once everybody has been told what is held for them by now."""
        self.engine.feed.hold(Callback(), act)
        self.wake()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Around whatever may append: a CallError passes, anything else is looked at by `check_whole`."""
        before = self.engine.write_path.last_offset
        try:
            yield
        except CallError:
            raise
        except BaseException as error:
            self.check_whole(error, before)
            raise

    def check_whole(self, error: BaseException, offset_before: Offset) -> None:
        """After an unexpected error under a call: end the process unless it is certain that nothing was changed."""
        offset = self.engine.write_path.last_offset
        if isinstance(error, EngineStopped) or offset != offset_before or offset != self.engine.log.last_offset:
            end_process(error)

    def _deliver_soon(self) -> None:
        """There is something to deliver: after what is ready to be read now, and the group that comes of it."""
        if self._delivers_soon or self._stopping:
            return
        self._delivers_soon = True
        if self._delivering is not None:
            self._delivering.cancel()
        self._delivering = self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        """One slice. What it made leaves with the next group; the next slice comes behind what arrives meanwhile."""
        deliveries = self._deliveries
        assert deliveries is not None
        self._delivers_soon = True  # There is no need to be woken by what is done here.
        try:
            wait = deliveries.step()
            read = deliveries.take_request()
        except BaseException as error:  # noqa: BLE001  # Whatever it is, it ends the process.
            end_process(error)
        self._delivers_soon = wait == 0
        self._delivering = None if wait is None else self._loop.call_later(wait, self._deliver)
        if read is not None:
            running = self._loop.run_in_executor(self._reader, read.run)
            running.add_done_callback(lambda _: self._complete_read(deliveries, read))
        self.wake()

    def _complete_read(self, deliveries: Deliveries, read: LogRead) -> None:
        if self._stopping:
            return
        if read.error is not None:
            logger.warning("rows are told anew, the log does not go back to offset %d: %s", read.first, read.error)
        deliveries.complete(read)

    def _commit(self) -> None:
        self._scheduled = False
        if self._stopping or self._running is not None:  # What is left is committed by the engine's close, or next.
            return
        group_commit = self._group_commit
        try:
            if not group_commit.is_due():
                self._first_arrival = 0.0
                return
            began, self._first_arrival = self._first_arrival, 0.0
            if group_commit.is_short():
                self._note(*group_commit.commit(), began)
                return
            sync = group_commit.begin()
        except BaseException as error:  # noqa: BLE001  # Whatever it is, it ends the process.
            end_process(error)
        self._running = self._loop.run_in_executor(self._executor, sync.run)
        self._running.add_done_callback(lambda running: self._complete_threaded(running, sync, began))

    def _complete_threaded(self, running: "asyncio.Future[None]", sync: Sync, began: float) -> None:
        self._running = None
        try:
            running.result()
            self._group_commit.complete(sync)
            self._note(sync.records, sync.seconds, began)
        except BaseException as error:  # noqa: BLE001  # Whatever it is, it ends the process.
            end_process(error)

    def _note(self, records: int, seconds: float, began: float) -> None:
        """A group of so many transactions is done, and the disk took so long; it `began` when the first came, or 0."""
        if records:
            metrics = self.metrics
            metrics.call_latency.observe(time.monotonic() - began if began else seconds, records)
            metrics.fsync_latency.observe(seconds)
            metrics.batch_records.observe(records)
        if self._group_commit.is_due():
            self.wake()
        else:  # What arrived meanwhile waits for no disk: the next group does not begin with it.
            self._first_arrival = 0.0

    def _tick(self) -> None:
        try:
            self.engine.housekeeping.tick()
        except BaseException as error:  # noqa: BLE001  # A disk that cannot be looked at cannot be written either.
            end_process(error)
        for act in self._on_tick:
            try:
                act()
            except Exception:
                logger.exception("a round of housekeeping failed")
        if self._group_commit.is_due():
            self.wake()
        self._collect_when_idle()
        self._ticker = self._loop.call_later(TICK_SECONDS, self._tick)

    def _collect_when_idle(self) -> None:
        """Collect the garbage while nobody waits; a full collection under load would stop everybody."""
        offset = self.engine.write_path.last_offset
        if offset != self._seen_offset:
            self._seen_offset = offset
            self._idle_ticks = 0
            return
        self._idle_ticks += 1
        if self._idle_ticks != IDLE_TICKS:
            return
        began = time.monotonic()
        gc.collect()
        if (time.monotonic() - began) * 1000 > COLLECTION_MAX_MS:
            self._freezes += 1
            if self._freezes % FREEZES_MAX == 0:
                gc.unfreeze()
                gc.collect()
            gc.freeze()
