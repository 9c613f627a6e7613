"""When to write and sync: group commit without a timer.

Laws: whatever arrived while the last sync ran is the next group, and a large one need not wait for more. One sync at a
time. What a group's clients are told is sealed when its sync begins and released when it is done. After a failed write
or sync nothing is tried again: RAM may be ahead of disk, so the process stops.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from store.engine.feed import Feed, Sealed
from store.env.world import Clock
from store.errors import EngineStopped
from store.log.commitlog import Commitlog, SyncTicket

LARGE_GROUP_SIZE: Final = 128 << 10
"""Bytes of records that a disk takes so long for that the writer had better go on meanwhile: such a sync is due at once
and has a thread. Measured at saturation: a twentieth more calls a second than with syncs inline alone."""
LATENCY_SMOOTHING: Final = 0.05
"""The weight of the newest sync in the average that decides where syncs run."""
LATENCY_CLAMP: Final = 4
"""A sync counts for at most so many times the bound (or milliseconds): one that hangs says nothing of the next."""


class Sync(msgspec.Struct):
    """One group on its way to the disk. `run` alone blocks, and may run on another thread."""

    ticket: SyncTicket | None
    sealed: Sealed
    records: int
    """Transactions this sync makes durable."""
    _monotonic: Callable[[], float]
    seconds: float = 0.0
    """How long the disk took; 0 where nothing was to be synced."""
    error: OSError | None = None

    def run(self) -> None:
        """Sync what was flushed. Never raises: an error is looked at in `complete`, on the writer's thread."""
        if self.ticket is None:
            return
        began = self._monotonic()
        try:
            self.ticket.run()
        except OSError as error:
            self.error = error
        self.seconds = self._monotonic() - began


class GroupCommit:
    """The policy: what is due, and where the sync runs. `inline_max_ms` is EngineOptions.fsync_inline_max_ms."""

    def __init__(self, log: Commitlog, feed: Feed, clock: Clock, *, inline_max_ms: float) -> None:
        self._log: Final = log
        self._feed: Final = feed
        self._clock: Final = clock
        self._monotonic: Final = clock.monotonic
        self._inline_max_ms: Final = inline_max_ms
        self._running: Sync | None = None
        self._latency_ms = 0.0
        self._stopped: EngineStopped | None = None
        self.inline = True
        """Whether the disk is so quick that syncs run on the writer's own thread, but for large groups."""

    def is_due(self) -> bool:
        """Whether something waits to be synced or told, and no sync is running."""
        return self._running is None and (bool(self._feed.receivers) or self._log.unsynced)

    @property
    def large(self) -> bool:
        """So much waits to be synced that the sync should begin now, and on a thread."""
        return self._log.unflushed_bytes >= LARGE_GROUP_SIZE

    def is_short(self) -> bool:
        """Whether what waits is best synced on the writer's own thread: by `commit`, without a Sync."""
        return self.inline and self._log.unflushed_bytes < LARGE_GROUP_SIZE

    @property
    def latency_ms(self) -> float:
        """The moving average of what a sync takes, in milliseconds."""
        return self._latency_ms

    def begin(self) -> Sync:
        """Write what was appended and seal what is held: they go together. EngineStopped where the write fails."""
        if self._stopped is not None:
            raise self._stopped
        assert self._running is None, "one sync at a time"
        log = self._log
        try:
            log.flush()
        except OSError as error:
            raise self._stop("write", error) from error
        records = log.last_offset - log.durable_offset
        self._running = Sync(log.begin_sync(), self._feed.seal(), records, self._monotonic)
        return self._running

    def complete(self, sync: Sync) -> None:
        """Everything of this sync is durable now: tell. EngineStopped, and nobody is told, where anything failed."""
        assert sync is self._running
        if sync.error is not None:
            raise self._stop("sync", sync.error) from sync.error
        self._running = None
        try:
            self._log.complete_sync(sync.ticket)
        except OSError as error:
            raise self._stop("write", error) from error
        self._feed.publish(self._feed.prepare(sync.sealed))
        if sync.ticket is not None:
            self._follow(sync.seconds)

    def commit(self) -> tuple[int, float]:
        """Write, sync and tell in one go: as begin, run and complete, with nothing made for another thread.

        What is told is made ready between the write and the sync, while the disk has begun.
        Returns how many transactions are durable by it, and the seconds the disk took. EngineStopped as they.
        """
        if self._stopped is not None:
            raise self._stopped
        assert self._running is None, "one sync at a time"
        log, feed, monotonic = self._log, self._feed, self._monotonic
        act = "write"
        try:
            log.flush(True)  # By position, for each group waits for it.
            records = log.last_offset - log.durable_offset
            prepared = feed.prepare(feed.seal())
            act, began = "sync", monotonic()
            synced = log.sync()
            seconds = monotonic() - began
        except OSError as error:
            raise self._stop(act, error) from error
        feed.publish(prepared)
        if not synced:
            return 0, 0.0
        self._follow(seconds)
        if records == 1:  # Of a caller who is alone, and will be again: what is written early waits the less.
            log.write_next_at_once()
        return records, seconds

    def _follow(self, seconds: float) -> None:
        """What follows on a sync once all are told: somebody waits for that, and for nothing of this."""
        try:
            self._log.rotate_if_due(self._clock.wall())
        except OSError as error:
            raise self._stop("rotate", error) from error
        self._note_latency(seconds * 1000)

    def _note_latency(self, latency_ms: float) -> None:
        """Follow the disk's latency; back to inline only well below the bound, so as not to flutter."""
        bound = self._inline_max_ms if self.inline else self._inline_max_ms / 2
        surprise = min(latency_ms, LATENCY_CLAMP * max(bound, 1.0)) - self._latency_ms
        self._latency_ms += LATENCY_SMOOTHING * surprise
        self.inline = self._latency_ms <= bound

    def _stop(self, act: str, error: OSError) -> EngineStopped:
        self._stopped = EngineStopped(
            f"the commitlog failed to {act} at offset {self._log.last_offset},"
            f" durable up to {self._log.durable_offset}: {error}",
            hint="Nothing after that offset was told to anyone. Mend the disk and start again: the start recovers",
        )
        return self._stopped
