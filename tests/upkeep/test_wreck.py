"""What still holds in a damaged directory, and what does not."""

from store.env.memory import MemoryDisk
from store.ids import Offset
from store.log.format import segment_name
from store.log.reader import LogReader
from store.snapshot.repository import Repository
from store.upkeep.wreck import Extent, Wreck, examine
from tests.engine.past import a_past, everything, segment_firsts
from tests.engine.snapshots import taken


def found(disk: MemoryDisk) -> Wreck:
    """All of it; looking changes nothing."""
    before = everything(disk)
    wreck = examine(disk, lambda *_: None)
    assert everything(disk) == before
    return wreck


def test_a_sound_directory_holds() -> None:
    """One extent of records, every snapshot whole, nothing damaged."""
    past = a_past()
    wreck = found(past.disk)
    assert wreck.extents == [Extent(Offset(1), Offset(past.last), past.times[1], past.times[past.last])]  # type: ignore[arg-type]
    assert [(each.manifest.offset, each.whole) for each in wreck.pictures] == [
        (offset, True) for offset in reversed(past.snapshots)
    ]
    assert (wreck.damage, wreck.passed_over, wreck.highest) == ([], [], past.last)


def test_an_empty_directory_holds_nothing() -> None:
    """And speaks of nothing."""
    wreck = found(MemoryDisk())
    assert (wreck.extents, wreck.pictures, wreck.highest) == ([], [], 0)


def test_records_behind_damage_are_an_extent_of_their_own() -> None:
    """With their times."""
    past = a_past()
    batch = next(each for each in LogReader(past.disk) if each.count and each.first_offset > 10)
    past.disk.flip(batch.segment, 8 * (batch.position + 90))
    before, behind = found(past.disk).extents
    assert (before.first, before.last) == (1, batch.first_offset - 1)
    assert (behind.first, behind.last) == (batch.last_offset + 1, past.last)
    assert (before.last_time, behind.first_time) == (past.times[before.last], past.times[behind.first])


def test_a_damaged_block_is_lost_to_every_snapshot_that_names_it() -> None:
    """And noted once."""
    past = a_past()
    old = Repository(past.disk).manifest(f"{past.snapshots[1]:020d}")
    new = taken(past.disk, next(last for _, last in past.batches if last > past.snapshots[1])).manifest
    shared = {b.file for t in old.tables for b in t.blocks} & {b.file for t in new.tables for b in t.blocks}
    file = min(shared)
    past.disk.flip(f"block/{file}.blk", 8 * 20)
    wreck = found(past.disk)
    assert [[each.file for each in picture.lost] for picture in wreck.pictures] == [[file], [file], []]
    assert [each.file for each in wreck.damage] == [f"block/{file}.blk"]
    assert [picture.rows for picture in wreck.pictures[:2]] == [
        manifest.rows - next(b.rows for t in manifest.tables for b in t.blocks if b.file == file)
        for manifest in (new, old)
    ]


def test_a_missing_block_is_damage() -> None:
    """It is named."""
    past = a_past()
    (system,) = {Repository(past.disk).manifest(f"{past.snapshots[0]:020d}").system.file}
    past.disk.remove(f"block/{system}.blk")
    wreck = found(past.disk)
    assert [each.system is None for each in wreck.pictures] == [False, True]
    assert [system in each.what or system in each.file for each in wreck.damage] == [True]


def test_a_damaged_manifest_is_passed_over() -> None:
    """With the reason, and as damage."""
    past = a_past()
    name = f"{past.snapshots[1]:020d}"
    past.disk.flip(f"snapshot/{name}.json", 8 * 60)
    wreck = found(past.disk)
    assert [each.name for each in wreck.passed_over] == [name]
    assert [each.file for each in wreck.damage] == [f"snapshot/{name}.json"]
    assert [each.manifest.offset for each in wreck.pictures] == [past.snapshots[0]]


def test_the_highest_offset_is_that_of_which_anything_speaks() -> None:
    """A snapshot ahead of what is left of the log; a segment's name whose header is gone."""
    past = a_past()
    firsts = segment_firsts(past.disk)
    last = segment_name(Offset(firsts[-1]))
    past.disk.replace(last, b"")
    assert found(past.disk).highest == firsts[-1] - 1
    for first in firsts[1:]:
        past.disk.remove(segment_name(Offset(first)))
    assert found(past.disk).highest == past.snapshots[1]
