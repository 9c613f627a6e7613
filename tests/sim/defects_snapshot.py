"""Defects around snapshots, pruning and restores: what a directory could hold wrongly, lose, or pass off as another."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

import msgspec

from store.engine.directory import mark
from store.engine.remembered import Remembered, dump_windows
from store.env.memory import MemoryDisk
from store.env.world import Disk
from store.errors import NotRestorable
from store.ids import Key, Offset, TableId
from store.log.cutting import cut
from store.log.reader import LogReader
from store.log.survey import SegmentInfo, runs, segments
from store.snapshot.format import BlockRef
from store.snapshot.merge import merge
from store.snapshot.repository import Repository
from store.tables.changes import Changes
from store.upkeep import ranges, retention
from store.upkeep.history import History
from store.upkeep.making import Restored
from store.upkeep.ranges import AtOffset, Moment
from tests.sim.planted import Planted, Restoring


class ForgettingDisk:
    """A disk that does not sync names in a folder."""

    def __init__(self, disk: MemoryDisk, folder: str) -> None:
        self._disk = disk
        self._folder = folder

    def sync_directory(self, folder: str = "") -> None:
        """Sync the names of every other folder."""
        if folder != self._folder or folder not in self._disk._storage.durable_folders:
            self._disk.sync_directory(folder)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)


def forgets_segments(disk: MemoryDisk) -> Disk:
    """New segments are not names on disk."""
    return ForgettingDisk(disk, "log")


def forgets_snapshots(disk: MemoryDisk) -> Disk:
    """Removed manifests and new ones are not names on disk, when the blocks of the old ones go."""
    return ForgettingDisk(disk, "snapshot")


def one_segment_more() -> AbstractContextManager[object]:
    """Pruning takes one segment more than is unneeded."""
    unneeded = retention._unneeded_segments

    def one_more(found: Sequence[SegmentInfo], *rest: Any) -> Sequence[SegmentInfo]:
        return found[: min(len(unneeded(found, *rest)) + 1, len(found) - 1)]

    return patch.object(retention, "_unneeded_segments", one_more)


def no_pins() -> AbstractContextManager[object]:
    """Pruning does not look at pins."""
    plan = retention.plan_retention

    def blind(now: Any, holdings: Any, options: Any) -> Any:
        return replace(plan(now, replace(holdings, pins={}), options), pins=holdings.pins)

    return patch.object(retention, "plan_retention", blind)


def no_second_newest() -> AbstractContextManager[object]:
    """Pruning keeps the newest snapshot alone, and the log behind it."""

    def newest(now: Any, bases: Sequence[Any], pins: Any, options: Any) -> dict[str, Offset]:
        return {"the newest": bases[-1].offset if bases else Offset(0)}

    return patch.object(retention, "_floors", newest)


def beyond_proof() -> AbstractContextManager[object]:
    """A snapshot is taken of all that is written, whether it is durable or not."""

    def end(disk: Disk) -> tuple[Offset, bytes]:
        reader = LogReader(disk, from_offset=runs(segments(disk))[-1][0].first_offset)
        for _ in reader:
            pass
        assert reader.tail is not None
        return reader.tail.last_offset, reader.tail.chain

    return patch("store.upkeep.snapshotting.proven_end", end)


def stale_window() -> AbstractContextManager[object]:
    """The newest answer of every client, and the newest string key, are left out of the snapshot."""

    def dump(windows: Any) -> Remembered:
        whole = dump_windows(windows)
        clients = tuple(msgspec.structs.replace(each, answers=each.answers[:-1]) for each in whole.clients)
        return msgspec.structs.replace(whole, clients=clients, keys=whole.keys[:-1])

    return patch("store.engine.state.dump_windows", dump)


def lost_key() -> AbstractContextManager[object]:
    """The next auto-increment key is one that was given out already."""
    next_key = Changes.next_key

    def one_before(self: Changes, table_id: TableId) -> int:
        return max(next_key(self, table_id) - 1, 1)

    return patch.object(Changes, "next_key", one_before)


def block_reused() -> AbstractContextManager[object]:
    """Rows that changed under the keys of a block that is there do not become a block of their own."""

    def lazy(
        repository: Repository, base: Sequence[BlockRef], changes: Mapping[Key, bytes | None], *rest: Any
    ) -> tuple[BlockRef, ...]:
        known = {key for each in base for key in repository.block(each)[0]}
        return merge(repository, base, {key: row for key, row in changes.items() if key not in known}, *rest)

    return patch("store.upkeep.snapshotting.merge", lazy)


def too_far() -> AbstractContextManager[object]:
    """One transaction more than was asked for is restored, where there is one."""
    at_offset = ranges._at_offset

    def one_more(history: History, target: AtOffset) -> Moment:
        try:
            return at_offset(history, replace(target, offset=Offset(target.offset + 1)))
        except NotRestorable:
            return at_offset(history, target)

    return patch.object(ranges, "_at_offset", one_more)


def cut_too_late() -> AbstractContextManager[object]:
    """The last segment of a restore is cut one transaction too late, where it can be."""

    def cut_behind(source: Disk, target: Disk, first_offset: Offset, through: Offset) -> bytes:
        last = next(each.whole_offset for each in segments(source) if each.first_offset == first_offset)
        return cut(source, target, first_offset, Offset(min(through + 1, last)))

    return patch("store.upkeep.making.cut", cut_behind)


def same_epoch(restore: Restoring, into: MemoryDisk, moment: Moment) -> Restored:
    """What was restored does not say that it was."""
    restored = restore(into, moment)
    mark(into)
    return restored


def namesake() -> AbstractContextManager[object]:
    """A clone goes by the name of the store that it was made of, and has its history."""
    return patch("store.upkeep.cloning._Clone.begin_anew", lambda _, restored: restored)


def fingerprint_of_now() -> AbstractContextManager[object]:
    """Rows written while the fingerprint is taken count as they are, not as they were."""
    return patch("store.engine.live_fingerprint._Pass.evaluate", lambda *_: None)


SNAPSHOT_DEFECTS: Final = {
    "segment's name not synced": Planted(disk=forgets_segments),
    "off by one in truncation": Planted(beside=one_segment_more),
    "pins not looked at": Planted(beside=no_pins),
    "one snapshot alone kept": Planted(beside=no_second_newest),
    "snapshot of what is not durable": Planted(beside=beyond_proof),
    "stale idempotency window in a snapshot": Planted(beside=stale_window),
    "auto-increment key lost by a snapshot": Planted(beside=lost_key),
    "block reused though changed": Planted(beside=block_reused),
    "restored one offset too far": Planted(beside=too_far),
    "restored log cut too late": Planted(beside=cut_too_late),
    "old epoch kept after a restore": Planted(restore=same_epoch),
    "clone under its source's name": Planted(beside=namesake),
    "fingerprint of the wrong moment": Planted(beside=fingerprint_of_now),
}
"""What goes wrong, and the plant that makes it so."""
