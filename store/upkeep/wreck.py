"""What still holds in a damaged directory: every batch of the log, every snapshot's manifest, blocks and system part.

Laws: nothing is changed and everything is read once. What holds is told beside what does not, with file and position. A
snapshot of another tenant or another history is nobody's loss: it is passed over.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from store.codec import decode_transaction, split_batch
from store.engine.loading import PassedOver, read_schema, read_system
from store.engine.state import System
from store.env.world import Disk
from store.errors import CorruptionError, DirectoryError
from store.ids import Epoch, Offset, Position, Timestamp
from store.log.format import CHAIN_START
from store.log.remains import Damage, Remnant, SegmentRemains, remains
from store.snapshot.format import BlockRef, Manifest, snapshot_name
from store.snapshot.repository import Repository

Progress = Callable[[str, int, int], None]

READING_LOG: Final = "reading log"
"""The phase in which every segment is read; its steps are bytes."""
READING_SNAPSHOTS: Final = "reading snapshots"
"""The phase in which every block is read; its steps are bytes."""


@dataclass(frozen=True)
class Extent:
    """Records that hold, without a gap between their offsets."""

    first: Offset
    last: Offset
    first_time: Timestamp
    last_time: Timestamp


@dataclass(frozen=True)
class Picture:
    """One snapshot, as far as it holds."""

    manifest: Manifest
    system: System | None
    """None: it is damaged, and with it first answers and identities."""
    lost: tuple[BlockRef, ...]
    """Blocks that do not hold."""

    @property
    def whole(self) -> bool:
        """Whether nothing of it is lost."""
        return self.system is not None and not self.lost

    @property
    def rows(self) -> int:
        """Rows in blocks that hold."""
        return sum(each.rows for table in self.manifest.tables for each in table.blocks if each not in self.lost)


@dataclass
class Wreck:
    """Everything that was found."""

    pictures: list[Picture] = field(default_factory=list)
    """Newest first."""
    extents: list[Extent] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)
    highest: Offset = field(default=Offset(0))
    """That anything here speaks of."""


def examine(disk: Disk, progress: Progress) -> Wreck:
    """Read all there is. DirectoryError: a segment of a newer version."""
    wreck = Wreck()
    repository = Repository(disk)
    manifests, refused = repository.whole()
    for name, reason in refused:
        wreck.passed_over.append(PassedOver(name, reason))
        wreck.damage.append(Damage(f"snapshot/{name}.json", Position(0), 0, reason))
    chains = _read_log(disk, {each.offset for each in manifests}, wreck, progress)
    store = _store_of(manifests, chains, disk)
    known: dict[str, str] = {}
    for manifest in manifests:
        if reason := _foreign(manifest, store, chains):
            wreck.passed_over.append(PassedOver(snapshot_name(manifest.offset), reason))
            continue
        wreck.highest = max(wreck.highest, manifest.offset)
        wreck.pictures.append(_look_at(repository, manifest, known, wreck, progress))
    return wreck


Chains = dict[Offset, set[bytes]]
"""The log's chains at the offsets of snapshots, as far as they can be read."""


def _read_log(disk: Disk, offsets: set[Offset], wreck: Wreck, progress: Progress) -> Chains:
    chains: Chains = {each: set() for each in offsets}
    segments = remains(disk)
    sizes = [_size(disk, each.name) for each in segments]
    builder = _Extents()
    for index, segment in enumerate(segments):
        progress(READING_LOG, sum(sizes[:index]), sum(sizes))
        wreck.highest = max(wreck.highest, Offset(segment.first_offset - 1))
        for remnant in _told_of(segment, wreck):
            batch = remnant.batch
            if batch.last_offset in chains:
                chains[batch.last_offset].add(batch.chain)
            builder.add(remnant)
        if segment.header is not None and segment.first_offset - 1 in chains:
            chains[Offset(segment.first_offset - 1)].add(segment.header.chain)
    progress(READING_LOG, sum(sizes), sum(sizes))
    wreck.extents = builder.finish()
    wreck.highest = max([wreck.highest, *(each.last for each in wreck.extents)])
    return chains


def _size(disk: Disk, name: str) -> int:
    """Bytes of a file; 0 where it cannot be opened, which is told when it is read."""
    try:
        file = disk.open(name)
    except OSError:
        return 0
    try:
        return file.size()
    finally:
        file.close()


def _told_of(segment: SegmentRemains, wreck: Wreck) -> Iterator[Remnant]:
    yield from segment
    wreck.damage += segment.damage


class _Extents:
    """Batches in the order of their offsets, joined where they meet."""

    def __init__(self) -> None:
        self._done: list[Extent] = []
        self._first: Remnant | None = None
        self._last: Remnant | None = None

    def add(self, remnant: Remnant) -> None:
        if not remnant.batch.count:
            return
        if self._last is not None and remnant.batch.first_offset != self._last.batch.last_offset + 1:
            self._close()
        self._first = self._first or remnant
        self._last = remnant

    def finish(self) -> list[Extent]:
        self._close()
        return self._done

    def _close(self) -> None:
        if self._first is None or self._last is None:
            return
        first, last = self._first.batch, self._last.batch
        self._done.append(
            Extent(
                first.first_offset,
                last.last_offset,
                decode_transaction(split_batch(first.body)[0]).timestamp,
                decode_transaction(split_batch(last.body)[-1]).timestamp,
            )
        )
        self._first = self._last = None


def _foreign(manifest: Manifest, store: Epoch | None, chains: Chains) -> str:
    """Why a snapshot is not of the log's own history, as far as the log can still tell; "": it may be."""
    if manifest.store != store:
        return "it is of another tenant"
    if chains[manifest.offset] and manifest.chain not in chains[manifest.offset]:
        return "the log has another history at its offset"
    return ""


def _store_of(manifests: list[Manifest], chains: Chains, disk: Disk) -> Epoch | None:
    """The tenant's first epoch: as the first segment says, else a snapshot that the log knows, else the newest."""
    first = next((each for each in remains(disk) if each.first_offset == 1), None)
    if first is not None:
        next(iter(first), None)
        if first.header is not None and first.header.chain == CHAIN_START:
            return first.header.epoch
    known = [each for each in manifests if each.chain in chains[each.offset]]
    return next((each.store for each in [*known, *manifests]), None)


def _look_at(
    repository: Repository, manifest: Manifest, known: dict[str, str], wreck: Wreck, progress: Progress
) -> Picture:
    """Read every block that no other snapshot had read, and the system part."""
    blocks = [block for table in manifest.tables for block in table.blocks]
    total, done = sum(each.size for each in blocks), 0
    lost = []
    for block in blocks:
        progress(READING_SNAPSHOTS, done, total)
        if block.file not in known:
            known[block.file] = _trouble(partial(repository.block, block), wreck)
        if known[block.file]:
            lost.append(block)
        done += block.size
    progress(READING_SNAPSHOTS, total, total)
    if _trouble(partial(read_schema, manifest), wreck):
        lost = blocks
    systems: list[System] = []
    _trouble(lambda: systems.append(read_system(repository, manifest)), wreck)
    return Picture(manifest, systems[0] if systems else None, tuple(lost))


def _trouble(act: Callable[[], object], wreck: Wreck) -> str:
    """What is wrong, which is noted, or ""."""
    try:
        act()
    except CorruptionError as error:
        wreck.damage.append(Damage(error.file, Position(error.position), 0, error.message))
        return error.message
    except (OSError, DirectoryError) as error:
        name = getattr(error, "filename", None) or "snapshot/"
        wreck.damage.append(Damage(str(name), Position(0), 0, f"cannot be read: {error}"))
        return str(error)
    return ""
