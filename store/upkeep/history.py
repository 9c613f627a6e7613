"""What snapshots and log of one directory are good for together: stretches of history that can be made present again.

Laws: only headers and manifests are read here, so a stretch says where to look; whoever restores checks every byte. A
snapshot is a base only where the log's chain says so; one that no log touches stands for its own offset alone. Nothing
of another tenant, and nothing behind damage, is counted.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeVar

from store.codec import decode_transaction, split_batch
from store.engine.loading import PassedOver
from store.env.world import Disk
from store.errors import CorruptionError
from store.ids import Epoch, Offset, Timestamp
from store.log.reader import LogReader
from store.log.segment import SegmentScan
from store.log.survey import SegmentInfo, holds, runs, segments
from store.snapshot.format import Manifest, snapshot_name
from store.snapshot.repository import Repository

LOOKS_MAX: Final = 4
"""How often it is looked where files go away meanwhile."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Stretch:
    """Every offset from `first` to `last` can be restored: by a base at or before it, and the log behind that."""

    first: Offset
    last: Offset
    segments: tuple[SegmentInfo, ...]
    """One run; () where a snapshot stands alone."""
    bases: tuple[Manifest, ...]
    """Newest first."""
    from_start: bool
    """Whether the log alone suffices: it is there from offset 1."""

    def base_of(self, offset: Offset) -> Manifest | None:
        """The newest base at or before `offset`; None: the log from its start."""
        return next((each for each in self.bases if each.offset <= offset), None)

    def bases_of(self, offset: Offset) -> list[Manifest | None]:
        """Every base that leads there, the newest first; None, for the log from its start, last."""
        found: list[Manifest | None] = [each for each in self.bases if each.offset <= offset]
        return [*found, None] if self.from_start else found

    def between(self, base: Offset, offset: Offset) -> list[SegmentInfo]:
        """The segments that hold what comes behind `base`, through `offset`.

        With them comes the one that ends at the base, where that alone shows that base and log belong together: a
        vouching batch came between them.
        """
        found = [each for each in self.segments if each.whole_offset > base and each.first_offset <= offset]
        chain = next((each.chain for each in self.bases if each.offset == base), None)
        if chain is not None and found and found[0].first_offset > base and found[0].chain_before != chain:
            found[:0] = [each for each in self.segments if each.first_offset <= base == each.whole_offset]
        return found

    def epoch_at(self, offset: Offset) -> Epoch:
        """In force at `offset`, as the segments' headers tell."""
        inside = [each for each in self.segments if each.first_offset <= offset]
        if inside:
            return inside[-1].epoch
        return next(each.epoch for each in self.bases if each.offset == offset)


@dataclass(frozen=True)
class History:
    """All of a directory's stretches, oldest first, and what is not part of any."""

    disk: Disk
    stretches: tuple[Stretch, ...]
    gaps: tuple[tuple[Offset, Offset], ...]
    """Offsets between the segments that no segment holds: (first, last)."""
    refused: tuple[PassedOver, ...]
    """Snapshots that are no base."""
    damage: tuple[CorruptionError, ...] = field(default=())
    """What was found where it was looked; the log is counted up to there."""

    @property
    def newest(self) -> Stretch | None:
        """The one that reaches the highest offset, or None: nothing can be restored."""
        return self.stretches[-1] if self.stretches else None

    def stretch_of(self, offset: Offset) -> Stretch | None:
        """The newest that holds `offset`."""
        return next((each for each in reversed(self.stretches) if each.first <= offset <= each.last), None)

    def time_of(self, offset: Offset, stretch: Stretch) -> Timestamp:
        """When the transaction at `offset` was. CorruptionError: its batch is damaged."""
        for manifest in stretch.bases:
            if manifest.offset == offset:
                return manifest.timestamp
        return timestamp_at(self.disk, offset, stretch.segments)


def look(disk: Disk) -> History:
    """Read headers and manifests; no stretches where there is nothing. DirectoryError: a log of a newer version.

    FileNotFoundError: files went away whenever it was looked.
    """
    return steadily(lambda: _look(disk))


def steadily(act: Callable[[], Result]) -> Result:
    """Look, and look again where a file went away meanwhile: a running store removes old ones."""
    for _ in range(LOOKS_MAX - 1):
        with suppress(FileNotFoundError):
            return act()
    return act()


def _look(disk: Disk) -> History:
    damage: list[CorruptionError] = []
    parts = runs(segments(disk, damage))
    manifests, unreadable = Repository(disk).whole()
    refused = [PassedOver(*each) for each in unreadable]
    mine = _of_this_tenant(disk, parts, list(manifests), refused)
    stretches = [found for run in parts if (found := _stretch(disk, run, mine, damage))]
    used = {each.offset for stretch in stretches for each in stretch.bases}
    for manifest in mine:
        if manifest.offset in used:
            continue
        if _inside(manifest, parts):
            refused.append(PassedOver(snapshot_name(manifest.offset), "the log has another history at its offset"))
        else:
            stretches.append(Stretch(manifest.offset, manifest.offset, (), (manifest,), from_start=False))
    stretches.sort(key=lambda each: each.last)
    gaps = [
        (Offset(before[-1].whole_offset + 1), Offset(after[0].first_offset - 1)) for before, after in pairwise(parts)
    ]
    return History(disk, tuple(stretches), tuple(gaps), tuple(refused), tuple(damage))


def timestamp_at(disk: Disk, offset: Offset, known: tuple[SegmentInfo, ...] = ()) -> Timestamp:
    """The timestamp of the record at `offset`, from `known` segments or by reading its batch."""
    for each in known:
        if each.first_offset == offset and each.first_timestamp is not None:
            return each.first_timestamp
        if each.whole_offset == offset and each.last_timestamp is not None:
            return each.last_timestamp
    for batch in LogReader(disk, from_offset=offset, through=offset):
        if batch.count and batch.last_offset >= offset:
            return decode_transaction(split_batch(batch.body)[offset - batch.first_offset]).timestamp
    raise CorruptionError(f"expected offset {offset}, found the log's end before it", file="log/", position=0)


def _of_this_tenant(
    disk: Disk, parts: list[list[SegmentInfo]], manifests: list[Manifest], refused: list[PassedOver]
) -> list[Manifest]:
    """Those of the lineage that the log belongs to, or where it does not say, that its bases do."""
    lineage = _lineage(disk, parts, manifests)
    mine = [each for each in manifests if each.store == lineage]
    refused += [
        PassedOver(snapshot_name(each.offset), "it is of another tenant") for each in manifests if each.store != lineage
    ]
    return mine


def _lineage(disk: Disk, parts: list[list[SegmentInfo]], manifests: list[Manifest]) -> Epoch | None:
    if parts and parts[0][0].first_offset == 1:
        return parts[0][0].epoch
    based = [each for each in manifests for run in parts if _fits(disk, run, each)]
    return next((each.store for each in [*based, *manifests]), None)


def _stretch(
    disk: Disk, run: list[SegmentInfo], manifests: list[Manifest], damage: list[CorruptionError]
) -> Stretch | None:
    bases = tuple(each for each in manifests if _fits(disk, run, each))
    last = _sound_end(disk, run, damage)
    if run[0].first_offset == 1 and last and _is_readable(disk, Offset(1), run, damage):
        return Stretch(Offset(1), last, tuple(run), bases, from_start=True)
    bases = tuple(each for each in bases if each.offset <= max(last, run[0].first_offset - 1))
    if not bases:
        return None
    return Stretch(bases[-1].offset, max(last, bases[0].offset), tuple(run), bases, from_start=False)


def _sound_end(disk: Disk, run: list[SegmentInfo], damage: list[CorruptionError]) -> Offset:
    """The run's last offset, or where the segment that should hold it is damaged, the last before that."""
    last = run[-1].whole_offset
    holder = next((each for each in reversed(run) if each.first_offset <= last), None)
    if holder is None or _is_readable(disk, last, run, damage):
        return last
    file = disk.open(holder.name)
    try:
        scan = SegmentScan(file, holder.first_offset, last=True, skim_to=Offset(0))
        with suppress(CorruptionError):
            deque(scan, maxlen=0)
        return Offset(scan.next_offset - 1)
    finally:
        file.close()


def _is_readable(disk: Disk, offset: Offset, run: list[SegmentInfo], damage: list[CorruptionError]) -> bool:
    try:
        timestamp_at(disk, offset, tuple(run))
    except CorruptionError as error:
        damage.append(error)
        return False
    return True


def _fits(disk: Disk, run: list[SegmentInfo], manifest: Manifest) -> bool:
    """Whether the snapshot is of this run's history; headers that are known already are asked first."""
    offset, chain = manifest.offset, manifest.chain
    if not run[0].first_offset - 1 <= offset <= run[-1].whole_offset:
        return False
    if any(each.first_offset == offset + 1 and each.chain_before == chain for each in run):
        return True
    if any(each.whole_offset == offset and each.chain_after == chain for each in run):
        return True
    try:
        return holds(disk, offset, chain)
    except CorruptionError:
        return False


def _inside(manifest: Manifest, parts: list[list[SegmentInfo]]) -> bool:
    """Whether a run holds its offset, so that the log must know it."""
    return any(run[0].first_offset <= manifest.offset <= run[-1].whole_offset for run in parts)
