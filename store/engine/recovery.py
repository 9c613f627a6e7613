"""From the directory's bytes to the state at the last durable transaction. Read it top to bottom.

Laws: a replay begins with the newest snapshot that holds and fits, and what is passed over is told. A torn tail is cut
and reported; damage to what somebody may have been told is refused, with file and position. Bytes that no sync is known
to have covered are written and synced again before they are believed. A crash in here leaves a directory that opens.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Final

from store.engine.directory import Marker, inspect, is_copy, moved
from store.engine.loading import Loaded, PassedOver, Progress, end_of_log, load
from store.engine.newest import Newest
from store.engine.replay import REPLAYING, Absorbing, records
from store.engine.state import BEGINS_STORE, State
from store.env.world import Disk, World
from store.errors import CorruptionError, DirectoryError
from store.ids import EPOCH_SIZE, Epoch, Offset, Position
from store.log.commitlog import Commitlog, LogOptions
from store.log.format import CHAIN_START, SALT_SIZE, SEGMENT_HEADER_SIZE, SegmentHeader, body_count, segment_name
from store.log.opening import Opening, TailReport
from store.log.reader import LogReader
from store.log.segment import create_segment, cut_blank, segment_offsets
from store.log.survey import read_header
from store.schema import Table
from store.snapshot.format import SNAPSHOT_FOLDER
from store.snapshot.repository import Repository

__all__ = ["ProgressCallback", "Recovered", "RecoveryProgress", "RecoveryReport", "records", "recover"]

ProgressCallback = Callable[["RecoveryProgress"], None]


@dataclass(frozen=True)
class RecoveryProgress:
    """How far recovery has come."""

    bytes_done: int
    bytes_total: int
    """Of this phase."""
    transactions: int
    """The offset that the state is at."""
    phase: str = REPLAYING
    """loading: a snapshot's blocks; replaying: the log."""


@dataclass(frozen=True)
class RecoveryReport:
    """What a start found, in one line."""

    snapshot_offset: Offset
    """Where the replay began; 0: at the log's start, without a snapshot."""
    last_offset: Offset
    replayed: int
    """Transactions."""
    cut_bytes: int
    """The torn tail: bytes of a write that the crash interrupted and that nobody was told of."""
    rewritten_bytes: int
    """Bytes at the end that no later batch vouched for, written and synced again."""
    seconds: float
    rows_loaded: int = 0
    load_seconds: float = 0.0
    """To choose a snapshot, read and check it, and make the indexes."""
    replay_seconds: float = 0.0
    passed_over: tuple[PassedOver, ...] = ()
    """Newer snapshots that could not be used, newest first, with the reasons."""
    epoch: str = ""
    """That opens with this start, in hexadecimal digits; "" where the one before goes on."""
    epoch_reason: str = ""
    """Why it opens, as its record says."""

    @property
    def per_second(self) -> float:
        """Transactions replayed per second."""
        return self.replayed / self.replay_seconds if self.replay_seconds else 0.0

    @property
    def rows_per_second(self) -> float:
        """Rows loaded per second."""
        return self.rows_loaded / self.load_seconds if self.load_seconds else 0.0

    def __str__(self) -> str:
        if not self.last_offset:
            return "a new store: nothing to recover"
        torn = f", cut {self.cut_bytes} torn bytes" if self.cut_bytes else ""
        loaded = (
            f"loaded {self.rows_loaded} rows at offset {self.snapshot_offset}"
            f" in {self.load_seconds:.2f} s ({self.rows_per_second:,.0f}/s), "
            if self.snapshot_offset
            else ""
        )
        passed_over = "".join(f"; passed over snapshot {each.name}: {each.reason}" for each in self.passed_over)
        return (
            f"recovered to offset {self.last_offset}: {loaded}replayed {self.replayed} transactions"
            f" in {self.replay_seconds:.2f} s ({self.per_second:,.0f}/s){torn}{passed_over}{self._opens()}"
        )

    def _opens(self) -> str:
        if self.epoch_reason in {"", "new"}:
            return ""
        why = _WHY.get(self.epoch_reason, self.epoch_reason)
        return f"; {why}, so epoch {self.epoch[:8]} opens: clients take their rows anew"


_WHY: Final = {
    "restore": "this directory was restored",
    "clone": "this directory is a clone",
    "salvage": "this directory was salvaged",
    "copy": "this directory is a copy of another",
    "unmarked": "this directory had no marker",
}
"""Why an epoch opens, in an operator's words."""


@dataclass(frozen=True)
class Recovered:
    """The directory, opened."""

    state: State
    log: Commitlog
    newest: Newest
    """The newest records, for the feed to start with."""
    new_epoch: Epoch | None
    """The epoch that must open now: the directory is fresh, or a copy of another. Once its record is durable, and not
    before, the directory is marked: a crash in between opens one again."""
    epoch_reason: str
    """Why it opens, as its record says; "" where none does."""
    report: RecoveryReport


def recover(
    world: World,
    row_types: Mapping[str, type[Table]],
    *,
    log_options: LogOptions,
    tail_size_max: int,
    progress: ProgressCallback | None = None,
) -> Recovered:
    """Open the data directory, which is locked already. CorruptionError or DirectoryError where that cannot be."""
    # 1  What is this directory? Fresh, ours, ours in another place, or made out of another one.
    began = world.clock.monotonic()
    disk = world.disk
    marker = inspect(disk)
    reason = _why_an_epoch_opens(disk, marker)
    new_epoch = Epoch(world.entropy.bytes(EPOCH_SIZE)) if reason else None
    copied = is_copy(disk, marker)

    # 2  Begin with the newest snapshot that holds and fits; else the one before, else none.
    loaded = load(disk, row_types, ahead=new_epoch is not None, progress=_tell(progress, lambda: Offset(0)))
    _take_back(disk, loaded.passed_over)
    state = loaded.state
    timer = _Timer(world, began, loaded=world.clock.monotonic())

    # 3  A fresh directory gets its first segment; a copy whose log lags behind its snapshot, one behind that.
    if new_epoch is not None and _lags(disk, state.last_offset, copied=copied):
        cut_bytes = cut_blank(disk, segment_offsets(disk)[-1], copied=True) if copied and Commitlog.exists(disk) else 0
        log = _begin_log(world, loaded, new_epoch, log_options)
        reason = reason if state.epochs else BEGINS_STORE
        newest = Newest(size_max=tail_size_max, last_offset=state.last_offset)
        report = replace(timer.report(loaded, None), cut_bytes=cut_bytes)
        return Recovered(state, log, newest, new_epoch, reason, _opening(report, new_epoch, reason))

    # 4  Scan and replay. Damage that somebody may have been told of raises here; a torn tail ends the scan.
    newest = Newest(size_max=tail_size_max, last_offset=state.last_offset)
    opening = Opening(
        disk,
        entropy=world.entropy,
        options=log_options,
        from_offset=state.next_offset,
        copied=copied,
        progress=partial(_tell(progress, lambda: state.last_offset), REPLAYING),
    )
    absorbing = Absorbing(state)
    for batch in opening:
        absorbing.absorb(batch)
        newest.add(batch.first_offset, batch.body, batch.count)

    # 5  Cut the torn tail; write and sync again what nothing vouches for; only now believe it.
    log, found = opening.finish()
    assert log.last_offset == state.last_offset
    report = timer.report(loaded, found)

    # 6  Another history goes on in its own epoch, and its own segment; a first start that was cut short, in the epoch
    #    its segment names.
    if new_epoch is not None and state.epochs:
        log = _begin_segment(world, log, new_epoch, log_options)
    elif new_epoch is not None:
        reason, new_epoch = BEGINS_STORE, log.epoch
    report = _opening(report, new_epoch, reason)
    newest = _and_before(disk, loaded, newest, tail_size_max)
    return Recovered(state, log, newest, new_epoch, reason, report)


def _take_back(disk: Disk, passed_over: Iterable[PassedOver]) -> None:
    """Nothing may rest any more on a snapshot that was found damaged: log would go for its sake."""
    damaged = [each.name for each in passed_over if each.damaged]
    if not damaged:
        return
    with suppress(DirectoryError, OSError):  # Somebody takes one right now; whoever prunes looks for its blocks.
        disk.lock(SNAPSHOT_FOLDER)
        try:
            for name in damaged:
                Repository(disk).note_damaged(name)
        finally:
            disk.unlock(SNAPSHOT_FOLDER)


def _why_an_epoch_opens(disk: Disk, marker: Marker | None) -> str:
    """As the epoch's record will say; "" where the directory goes on as it is."""
    if marker is None:
        return "unmarked"
    return marker.opens or ("copy" if moved(disk, marker) else "")


def _opening(report: RecoveryReport, epoch: Epoch | None, reason: str) -> RecoveryReport:
    """The report, with the epoch that opens."""
    return report if epoch is None else replace(report, epoch=epoch.hex(), epoch_reason=reason)


def _lags(disk: Disk, offset: Offset, *, copied: bool) -> bool:
    """Whether the log, if there is one, ends before an offset: a fresh directory's does, and a copied one's may."""
    if not Commitlog.exists(disk):
        return True
    return bool(offset) and end_of_log(disk, copied=copied) < offset


def _begin_log(world: World, loaded: Loaded, epoch: Epoch, options: LogOptions) -> Commitlog:
    """The first segment, or one behind the snapshot, whose chain goes on in it."""
    return Commitlog.create(
        world.disk,
        epoch=epoch,
        entropy=world.entropy,
        timestamp=world.clock.wall(),
        options=options,
        first_offset=loaded.state.next_offset,
        chain=CHAIN_START if loaded.manifest is None else loaded.manifest.chain,
    )


def _begin_segment(world: World, log: Commitlog, epoch: Epoch, options: LogOptions) -> Commitlog:
    """Seal, so that the segments' headers tell the epochs apart. A segment that is still empty is made anew."""
    log.epoch = epoch
    created = world.clock.wall()
    if log.seal(created):
        return log
    last_offset = log.last_offset
    old = read_header(world.disk, Offset(last_offset + 1))
    header = SegmentHeader(world.entropy.bytes(SALT_SIZE), epoch, old.first_offset, created, old.chain)
    log.close()
    return Commitlog(
        world.disk,
        create_segment(world.disk, header),  # Takes the old one's name in the moment in which it is whole.
        header=header,
        entropy=world.entropy,
        options=options,
        position=Position(SEGMENT_HEADER_SIZE),
        last_offset=last_offset,
        vouched_offset=last_offset,
        chain=header.chain,
    )


def _and_before(disk: Disk, loaded: Loaded, behind: Newest, size_max: int) -> Newest:
    """What was replayed, and before it what the snapshot holds already, as far as the log still has it and it fits."""
    base = Offset(0) if loaded.manifest is None else loaded.manifest.offset
    if not base or behind.first_offset != base + 1:  # It lost its oldest: nothing goes before a hole.
        return behind
    joined = Newest(size_max=behind.room, last_offset=base)
    try:
        for batch in LogReader(disk, from_offset=_segment_to_begin(disk, base, behind.room), through=base):
            joined.add(batch.first_offset, batch.body, batch.count)
    except (CorruptionError, OSError):  # History, which nothing rests on: whoever missed it gets all rows instead.
        return behind
    if joined.last_offset != base:
        return behind
    whole = Newest(size_max=size_max, last_offset=base)
    for first, body in chain(joined.bodies(), behind.bodies()):
        whole.add(first, body, body_count(body))
    return whole


def _segment_to_begin(disk: Disk, through: Offset, size: int) -> Offset:
    """Of the segments up to an offset, the first of the last that have so many bytes."""
    first = through
    for first in reversed([each for each in segment_offsets(disk) if each <= through]):
        file = disk.open(segment_name(first))
        size -= file.size()
        file.close()
        if size <= 0:
            break
    return first


def _tell(progress: ProgressCallback | None, at: Callable[[], Offset]) -> Progress:
    if progress is None:
        return lambda *_: None
    return lambda phase, done, total: progress(RecoveryProgress(done, total, at(), phase))


class _Timer:
    """What took how long."""

    def __init__(self, world: World, began: float, loaded: float) -> None:
        self._world: Final = world
        self._began: Final = began
        self._loaded: Final = loaded

    def report(self, loaded: Loaded, tail: TailReport | None) -> RecoveryReport:
        """All is done: say so."""
        now = self._world.clock.monotonic()
        base = Offset(0) if loaded.manifest is None else loaded.manifest.offset
        return RecoveryReport(
            snapshot_offset=base,
            last_offset=loaded.state.last_offset,
            replayed=loaded.state.last_offset - base,
            cut_bytes=0 if tail is None else tail.cut_bytes,
            rewritten_bytes=0 if tail is None else tail.rewritten_bytes,
            seconds=now - self._began,
            rows_loaded=loaded.rows,
            load_seconds=self._loaded - self._began,
            replay_seconds=now - self._loaded,
            passed_over=loaded.passed_over,
        )
