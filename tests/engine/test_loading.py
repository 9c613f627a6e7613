"""Which snapshot a replay begins with, and what is said of those it does not."""

from collections.abc import Callable

import msgspec
import pytest

from store.engine.loading import load, load_oldest, misfit
from store.engine.replay import replay
from store.engine.state import State
from store.env.memory import MemoryDisk
from store.errors import CorruptionError, DirectoryError, NotRestorable
from store.ids import Offset
from store.log.format import segment_name
from store.log.segment import segment_offsets
from store.snapshot.format import content_of, fingerprint_of
from store.snapshot.repository import Repository
from tests.canonical import canonical
from tests.engine.scenes import SMALL_SEGMENTS, committed, memory_disk, open_shop
from tests.engine.snapshots import (
    DAMAGES,
    Archive,
    a_life,
    drop_log,
    files_of,
    make_newer,
    path,
    proven,
    row_types,
    taken,
    transplant,
)


def grown(engine_calls: int = 12) -> tuple[MemoryDisk, list[int]]:
    """A directory with three snapshots, and more log behind the last."""
    engine = a_life(calls=engine_calls)
    offsets = []
    for number in range(3):
        offsets.append(taken(memory_disk(engine)).manifest.offset)
        for owner in ("eve", "zoe", "bob", "ada") * 4:
            committed(engine, "give", number + 1, owner)
        committed(engine, "remove", number + 5)
        proven(engine)
    return memory_disk(engine), offsets


def same_as_from_zero(state: State, disk: MemoryDisk) -> bool:
    """Whether a state is what a replay of the whole log makes."""
    archive = Archive()
    archive.read(disk)
    return canonical(state) == canonical(archive.state(state.last_offset))


def test_without_snapshots_a_replay_begins_at_the_start() -> None:
    """With an empty state, and nothing passed over."""
    loaded = load(memory_disk(a_life()), row_types())
    assert (loaded.manifest, loaded.rows, loaded.state.last_offset, loaded.passed_over) == (None, 0, 0, ())


def test_the_newest_snapshot_is_loaded() -> None:
    """All of the state at its offset, with the authors' classes or without; or the newest up to an offset."""
    disk, (first, second, third) = grown()
    for through, expected in ((None, third), (third, third), (third - 1, second), (second, second), (first, first)):
        for types in (row_types(), {}):
            loaded = load(disk, types, through=None if through is None else Offset(through))
            assert loaded.manifest is not None
            assert (loaded.manifest.offset, loaded.state.last_offset) == (expected, expected)
            assert same_as_from_zero(loaded.state, disk)
            assert loaded.rows == sum(len(table) for table in loaded.state.database.tables.values())
    assert load(disk, {}, through=Offset(first - 1)).manifest is None


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_snapshot_is_passed_over(damage: Callable[[MemoryDisk, str], None]) -> None:
    """Whichever of its files is cut, flipped or lost: the one before is loaded, or none, and the reason is told."""
    engine = a_life()
    older = taken(memory_disk(engine), through=20)
    newer = taken(memory_disk(engine))
    shared = set(files_of(older))
    for name in files_of(newer):
        disk = memory_disk(engine).copy()
        damage(disk, name)
        loaded = load(disk, row_types())
        base = None if name in shared else older.manifest
        assert loaded.manifest == base
        assert same_as_from_zero(replay(disk, row_types()).state, disk)
        if not (damage is MemoryDisk.remove and name.startswith("snapshot/")):  # Then nobody knows of it.
            told = {each.name: each.reason for each in loaded.passed_over}
            assert list(told) == sorted(told, reverse=True)
            assert f"{newer.manifest.offset:020d}" in told
            assert all(told.values())


def test_a_flipped_bit_anywhere_is_never_read_as_data() -> None:
    """What is loaded is right, whichever bit of whichever file decays."""
    disk, _ = grown(3)
    expected = canonical(replay(disk, row_types()).state)
    for folder in ("snapshot", "block"):
        for name in disk.names(folder):
            file = f"{folder}/{name}"
            for bit in range(0, len(disk.content(file)) * 8, 131):
                disk.flip(file, bit)
                assert canonical(replay(disk, row_types()).state) == expected
                disk.flip(file, bit)


def test_a_log_without_its_beginning_needs_a_snapshot() -> None:
    """Where the only one is damaged or lost it is corruption, which names the ways out; never an empty store."""
    engine = a_life()
    only = taken(memory_disk(engine))
    drop_log(memory_disk(engine), only.manifest.offset)
    assert load(memory_disk(engine), {}).state.last_offset == only.manifest.offset
    for name in files_of(only):
        for damage in DAMAGES.values():
            disk = memory_disk(engine).copy()
            damage(disk, name)
            with pytest.raises(
                CorruptionError, match=r"the log begins at offset \d+.*store restore --from.*store salvage"
            ):
                load(disk, {})


def test_a_snapshot_behind_which_log_is_missing_is_passed_over() -> None:
    """An older one, from which the log does not go on any more, is of no use."""
    disk, (first, second, third) = grown(30)
    drop_log(disk, third)
    begins = segment_offsets(disk)[0]
    assert first + 1 < begins
    disk.remove(path(third))
    disk.remove(path(second))
    with pytest.raises(CorruptionError, match="what came between is gone"):
        load(disk, {})


def test_a_moment_before_everything_that_is_there_is_not_damage() -> None:
    """The log begins later, and so do the snapshots: NotRestorable names where they do."""
    disk, (first, second, _) = grown()
    drop_log(disk, second)
    begins = segment_offsets(disk)[0]
    assert first + 1 < begins <= second + 1
    with pytest.raises(NotRestorable, match=rf"begins at offset {begins}.* at offset {second}"):
        load(disk, {}, through=Offset(second - 1))


def test_another_stores_snapshot_is_passed_over() -> None:
    """It is told apart by the store it names, or, where the log's start is gone, by the log's chain."""
    ours, theirs = a_life(), a_life(seed=5, calls=11)
    foreign = taken(memory_disk(theirs)).manifest
    transplant(memory_disk(theirs), memory_disk(ours))
    disk = memory_disk(ours)
    assert misfit(disk, foreign).startswith("it is of another store")
    loaded = load(disk, {})
    assert (loaded.manifest, [each.name for each in loaded.passed_over]) == (None, [f"{foreign.offset:020d}"])
    taken(disk)
    drop_log(disk, segment_offsets(disk)[1])
    assert segment_offsets(disk)[0] > 1
    assert misfit(disk, foreign).startswith("it is of another history")


def test_another_stores_snapshot_is_passed_over_also_where_it_is_ahead() -> None:
    """It says nothing of this log's end, in place or in a copy."""
    ours, theirs = a_life(calls=4), a_life(seed=5)
    foreign = taken(memory_disk(theirs)).manifest
    transplant(memory_disk(theirs), memory_disk(ours))
    for ahead in (False, True):
        loaded = load(memory_disk(ours), {}, ahead=ahead)
        assert (loaded.manifest, [each.name for each in loaded.passed_over]) == (None, [f"{foreign.offset:020d}"])


@pytest.mark.parametrize("calls", [1, 9])
def test_a_snapshot_of_another_branch_is_passed_over(calls: int) -> None:
    """A copy that went on by itself is another history: before the log's end by its chain, behind it by its epoch."""
    engine = a_life()
    copied = memory_disk(engine).copy()
    for _ in range(calls):
        committed(engine, "add", "bob")
    proven(engine)
    theirs = taken(memory_disk(engine)).manifest
    clone = open_shop(copied, log_options=SMALL_SEGMENTS, seed=3)
    committed(clone, "add", "eve")
    proven(clone)
    transplant(memory_disk(engine), copied)
    assert (clone.log.last_offset >= theirs.offset) == (calls == 1)
    for ahead in (False, True):
        reason = misfit(copied, theirs, ahead=ahead)
        assert "another history" in reason or "another branch" in reason
        assert same_as_from_zero(replay(copied, row_types(), ahead=ahead).state, copied)


def test_a_snapshot_ahead_of_the_log_is_a_loss() -> None:
    """In place, the log must have been there: it is refused, and says what to do. In a copy it may come later."""
    engine = a_life()
    taken(memory_disk(engine), through=9)
    newest = taken(memory_disk(engine)).manifest
    disk = memory_disk(engine).copy()
    for first in segment_offsets(disk)[2:]:
        disk.remove(segment_name(first))
    with pytest.raises(CorruptionError, match=rf"through offset {newest.offset}.*store salvage"):
        load(disk, {})
    loaded = load(disk, row_types(), ahead=True)
    assert (loaded.manifest, loaded.passed_over) == (newest, ())
    assert canonical(loaded.state) == canonical(replay(disk, row_types(), ahead=True).state)


def test_a_snapshot_of_a_newer_format_is_refused() -> None:
    """DirectoryError: use the newer store."""
    disk, (*_, third) = grown(3)
    make_newer(disk, path(third))
    with pytest.raises(DirectoryError, match="newer"):
        load(disk, {})


def test_files_that_hold_but_contradict_each_other_are_refused() -> None:
    """A whole manifest whose system part, schema, tables or counts are not those of its offset is damage."""
    disk, (*_, third) = grown(3)
    repository = Repository(disk)
    manifest = repository.manifest(f"{third:020d}")
    table = manifest.tables[0]
    other = repository.put_system(b"\xc1")
    earlier = repository.manifest(repository.names()[0])
    replace = msgspec.structs.replace
    repeated = repository.put_block([1, 1], [b"\x94", b"\x94"], table.table)
    for contradiction in (
        replace(manifest, system=other),
        replace(manifest, system=earlier.system),
        replace(manifest, schema=b"\xc1"),
        replace(manifest, schema=manifest.schema.replace(b"\xa3int", b"\xa3unt")),
        replace(manifest, tables=(replace(table, table=99), *manifest.tables[1:])),
        replace(manifest, tables=(replace(manifest.tables[1], table=table.table), replace(table, table=2))),
        replace(manifest, tables=(replace(table, blocks=(repeated,), rows=2), *manifest.tables[1:])),
    ):
        disk.remove(path(third))
        sums = {"fingerprint": fingerprint_of(contradiction.tables)}
        sums["content"] = content_of(contradiction.tables, contradiction.system)
        repository.put_manifest(replace(contradiction, **sums))
        loaded = load(disk, row_types())
        assert loaded.manifest != contradiction
        assert [each.name for each in loaded.passed_over] == [f"{third:020d}"]


def test_the_oldest_start_is_where_the_last_unbroken_log_begins() -> None:
    """The log's own start, or the oldest snapshot from which it goes on without a gap."""
    disk, (_, second, third) = grown(30)
    assert load_oldest(disk, {}).manifest is None
    drop_log(disk, third)
    first = segment_offsets(disk)[0]
    oldest = load_oldest(disk, row_types())
    assert oldest.manifest is not None
    assert oldest.manifest.offset == min(each for each in (second, third) if each >= first - 1)
    disk.flip(path(oldest.manifest.offset), 8 * 50)
    disk.remove(path(third)) if oldest.manifest.offset == second else None
    with pytest.raises(CorruptionError, match="the log begins at offset"):
        load_oldest(disk, {})


def test_progress_is_told_in_bytes() -> None:
    """Up to the end."""
    disk, _ = grown()
    told: list[tuple[str, int, int]] = []
    load(disk, {}, progress=lambda *each: told.append(each))
    assert {phase for phase, _, _ in told} == {"loading"}
    assert told[-1][1] == told[-1][2] > 0
