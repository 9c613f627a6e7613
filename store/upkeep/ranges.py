"""Which moments can be restored, and which one a target means.

Laws: a target means one moment or none. A time has a zone, and means the last transaction at or before it; where that
may lie in a gap, or later than this log knows, nobody can say which it is. Whoever misses is told every range that is
restorable, with offsets and times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from store.codec import decode_batch, decode_transaction, split_batch
from store.env.world import Disk
from store.errors import ConfigError, NotRestorable
from store.ids import Epoch, Offset, Timestamp
from store.log.format import Batch
from store.log.reader import LogReader
from store.log.survey import SegmentInfo
from store.snapshot.format import Manifest, snapshot_name
from store.snapshot.repository import Repository
from store.upkeep.history import History, Stretch, look, steadily, timestamp_at

SHOWN_MAX: Final = 12
"""Ranges that an error lists; older ones are only counted."""

_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class AtOffset:
    """The state behind this transaction."""

    offset: Offset
    epoch: Epoch | None = None
    """In which history; None: that of the directory."""


@dataclass(frozen=True)
class AtTime:
    """The state behind the last transaction at or before this moment."""

    timestamp: Timestamp

    @classmethod
    def parse(cls, text: str) -> "AtTime":
        """An RFC 3339 time with its zone. ConfigError: it cannot be read, or could mean two moments."""
        try:
            read = datetime.fromisoformat(text.strip())
        except ValueError:
            raise ConfigError(f"expected a time, found {text!r}", hint=_EXAMPLE) from None
        if read.tzinfo is None:
            raise ConfigError(
                f"the time {text.strip()} has no zone, so it could mean another moment",
                hint=f"Write {read.isoformat()}Z for UTC, or {read.isoformat()}+02:00 for two hours ahead of it",
            )
        try:
            since = read.astimezone(UTC) - _START
        except OverflowError:
            raise ConfigError(f"expected a time of this age, found {text!r}", hint=_EXAMPLE) from None
        return cls(Timestamp(since // timedelta(microseconds=1)))


_EXAMPLE: Final = "Write it as 2026-11-21T14:30:00Z, or with an offset as 2026-11-21T15:30:00+01:00"


@dataclass(frozen=True)
class AtSnapshot:
    """The state that this snapshot is of."""

    name: str


@dataclass(frozen=True)
class Newest:
    """The state behind the last transaction that lies whole in the log, or in a snapshot ahead of it."""


Target = AtOffset | AtTime | AtSnapshot | Newest


@dataclass(frozen=True)
class Range:
    """Every moment from `first` to `last` can be restored; all are of one epoch."""

    first: Offset
    last: Offset
    first_time: Timestamp
    last_time: Timestamp
    bases: tuple[str, ...]
    """The snapshots in it, oldest first."""
    epoch: Epoch

    def __str__(self) -> str:
        offsets = f"offset {self.first}" if self.first == self.last else f"offsets {self.first} to {self.last}"
        times = show(self.first_time) + (f" to {show(self.last_time)}" if self.first != self.last else "")
        return f"{offsets} ({times}) of epoch {self.epoch.hex()[:8]}"


@dataclass(frozen=True)
class Moment:
    """One transaction, behind which the state can be restored."""

    offset: Offset
    timestamp: Timestamp
    epoch: Epoch
    """In force there, as the log's headers tell."""
    base: str | None
    """The snapshot to begin with; None: the log from its start."""
    replay: int
    """Transactions behind the base."""
    bytes: int
    """To be read: of the base and of the segments that hold the replay."""


def restorable(disk: Disk) -> list[Range]:
    """What snapshots and log lead to, oldest first; [] where nothing does. Headers are read, and a batch an end.

    CorruptionError where the batch at a range's end is damaged; DirectoryError for a log of a newer version.
    """
    return steadily(lambda: ranges_of(look(disk)))


def ranges_of(history: History) -> list[Range]:
    """As `restorable`, of what was looked at already."""
    return [each for stretch in history.stretches for each in _split(history, stretch)]


def range_of(history: History, first: Offset, last: Offset) -> Range:
    """A part of one of the ranges."""
    stretch = history.stretch_of(first)
    assert stretch is not None
    return _range(history, stretch, first, last)


def resolve(disk: Disk, target: Target) -> Moment:
    """The moment a target means. NotRestorable: none, with the ranges that are; CorruptionError: of the one named."""
    return steadily(lambda: resolve_in(look(disk), target))


def resolve_in(history: History, target: Target) -> Moment:
    """As `resolve`, in what was looked at already."""
    if history.newest is None:
        raise _refusal(history, "nothing can be restored here: there is no whole snapshot, and no log from offset 1")
    if isinstance(target, AtOffset):
        return _at_offset(history, target)
    if isinstance(target, AtTime):
        return _at_time(history, target.timestamp)
    if isinstance(target, AtSnapshot):
        return _at_snapshot(history, target.name)
    return moment(history, history.newest, history.newest.last)


def moment(history: History, stretch: Stretch, offset: Offset) -> Moment:
    """The moment at an offset of a stretch."""
    base = stretch.base_of(offset)
    behind = Offset(0) if base is None else base.offset
    size = sum(each.size for each in stretch.between(behind, offset))
    return Moment(
        offset=offset,
        timestamp=history.time_of(offset, stretch),
        epoch=stretch.epoch_at(offset),
        base=None if base is None else snapshot_name(base.offset),
        replay=offset - behind,
        bytes=size + (0 if base is None else snapshot_size(base)),
    )


def snapshot_size(manifest: Manifest) -> int:
    """Bytes of its blocks, each counted once, without the manifest's own."""
    sizes = {each.file: each.size for table in manifest.tables for each in table.blocks}
    return sum({**sizes, manifest.system.file: manifest.system.size}.values())


def show(at: Timestamp) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return (_START + timedelta(microseconds=at)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _at_offset(history: History, target: AtOffset) -> Moment:
    offset = target.offset
    stretch = history.stretch_of(offset)
    if stretch is None:
        raise _refusal(
            history, f"offset {offset} {_where([(each.first, each.last) for each in history.stretches], offset)}"
        )
    if target.epoch is not None and stretch.epoch_at(offset) != target.epoch:
        raise _refusal(
            history,
            f"offset {offset} of this directory is of epoch {stretch.epoch_at(offset).hex()[:8]}, "
            f"not of {target.epoch.hex()[:8]}",
        )
    return moment(history, stretch, offset)


def _at_snapshot(history: History, name: str) -> Moment:
    repository = Repository(history.disk)
    if name not in repository.names():
        known = ", ".join(reversed(repository.names()[-SHOWN_MAX:])) or "none"
        raise _refusal(history, f"there is no snapshot {name} (there is {known})")
    offset = repository.manifest(name).offset
    for stretch in history.stretches:
        if any(each.offset == offset for each in stretch.bases):
            return moment(history, stretch, offset)
    why = next((each.reason for each in history.refused if each.name == name), "its name is not that of its offset")
    raise _refusal(history, f"snapshot {name} cannot be used: {why}")


def _at_time(history: History, at: Timestamp) -> Moment:
    times = [(history.time_of(each.first, each), history.time_of(each.last, each)) for each in history.stretches]
    for stretch, (first, last) in zip(reversed(history.stretches), reversed(times), strict=True):
        if first <= at <= last:
            return moment(history, stretch, _last_at_or_before(history, stretch, at))
    raise _refusal(history, f"{show(at)} {_where(times, at)}")


def _where(spans: Sequence[tuple[int, int]], wanted: int) -> str:
    """Why none of the spans holds what is wanted: it is before all, behind all, or between."""
    if wanted < min(first for first, _ in spans):
        return "is before the oldest moment that can be restored"
    if wanted > max(last for _, last in spans):
        return "is later than the last transaction that is known here"
    return "lies in a gap: the log that led there is not here any more"


def _last_at_or_before(history: History, stretch: Stretch, at: Timestamp) -> Offset:
    """The last transaction of the stretch with a timestamp of at most `at`, which is not before its first."""
    begin = max((each for each in stretch.bases if each.timestamp <= at), key=lambda each: each.offset, default=None)
    found = stretch.first if begin is None else begin.offset
    # The open segment may hold nothing yet.
    holding = [each for each in stretch.segments if each.whole_offset >= each.first_offset]
    segment = _segment_at(history, [each for each in holding if each.whole_offset > found], at)
    if segment is None:
        return found
    for batch in LogReader(history.disk, from_offset=segment.first_offset, through=segment.whole_offset):
        last = _last_in(batch, at)
        found = max(found, last)
        if batch.count and last < batch.last_offset:
            break
    return found


def _segment_at(history: History, segments: list[SegmentInfo], at: Timestamp) -> SegmentInfo | None:
    """The last whose first record is not after `at`, by halving; None: all begin after it."""
    low, high = 0, len(segments)
    while low < high:
        middle = (low + high) // 2
        if timestamp_at(history.disk, segments[middle].first_offset, (segments[middle],)) <= at:
            low = middle + 1
        else:
            high = middle
    return segments[low - 1] if low else None


def _last_in(batch: Batch, at: Timestamp) -> Offset:
    """The last record of a batch that is not after `at`; the offset before the batch where all are."""
    if batch.count and decode_transaction(split_batch(batch.body)[-1]).timestamp <= at:
        return batch.last_offset
    before = sum(each.timestamp <= at for each in decode_batch(batch.body))
    return Offset(batch.first_offset + before - 1)


def _split(history: History, stretch: Stretch) -> list[Range]:
    """A stretch by epochs."""
    begins = sorted({stretch.first, *(each.first_offset for each in stretch.segments if each.whole_offset > 0)})
    inside = [each for each in begins if stretch.first <= each <= stretch.last]
    firsts = [each for each, before in zip(inside, [None, *inside[:-1]], strict=True)
              if before is None or stretch.epoch_at(each) != stretch.epoch_at(before)]  # fmt: skip
    parts = [*firsts, Offset(stretch.last + 1)]
    return [_range(history, stretch, first, Offset(after - 1)) for first, after in pairwise(parts)]


def _range(history: History, stretch: Stretch, first: Offset, last: Offset) -> Range:
    return Range(
        first=first,
        last=last,
        first_time=history.time_of(first, stretch),
        last_time=history.time_of(last, stretch),
        bases=tuple(snapshot_name(each.offset) for each in reversed(stretch.bases) if first <= each.offset <= last),
        epoch=stretch.epoch_at(first),
    )


def _refusal(history: History, message: str) -> NotRestorable:
    found = ranges_of(history)
    if not found:
        return NotRestorable(message, hint="Restore from a backup, or see what `store salvage` can still prove")
    shown = "; ".join(str(each) for each in reversed(found[-SHOWN_MAX:]))
    older = f"; and {len(found) - SHOWN_MAX} older" if len(found) > SHOWN_MAX else ""
    return NotRestorable(f"{message}. Restorable: {shown}{older}", hint="Ask for a moment in one of these ranges")
