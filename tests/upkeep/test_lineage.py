"""Whose history a directory holds, and where a trail of it begins or goes on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.engine.state import EpochRecord
from store.env.memory import MemoryDisk
from store.errors import CorruptionError, DirectoryError
from store.ids import Epoch, Offset
from store.upkeep.lineage import beginning, go_on, lineage, trail_epoch
from tests.engine.past import a_past, restored, start
from tests.engine.scenes import memory_disk, open_shop
from tests.engine.snapshots import a_life, drop_log, taken
from tests.upkeep.test_cloning import cloned


def epoch(number: int, first: int, reason: str = "restore") -> EpochRecord:
    """An epoch that opens at an offset."""
    return EpochRecord(Epoch(bytes([number]) * 16), Epoch(b""), Offset(first), reason)


NEW = epoch(1, 1, "new")


def test_a_fresh_store_has_one_epoch_that_names_its_trail() -> None:
    """Its own first one, and its trail begins with the first record."""
    engine = open_shop()
    disk = memory_disk(engine)
    assert lineage(disk) == tuple(engine.state.epochs)
    assert trail_epoch(lineage(disk)) == engine.epoch
    assert beginning(disk).after == 0


def test_a_restored_store_goes_on_with_its_trail_in_another_epoch() -> None:
    """The branch that was given up is told as far as it was told; the new one from where it left."""
    source = a_past().disk
    old = lineage(source)
    target, _ = restored(source, 50)
    engine = start(target)
    now = lineage(target)
    assert now == tuple(engine.state.epochs)
    assert [each.reason for each in now] == ["new", "restore"]
    assert trail_epoch(now) == trail_epoch(old)
    assert go_on(now, {old[-1].epoch: Offset(80)}) == 50
    assert go_on(now, {old[-1].epoch: Offset(30)}) == 30


@pytest.mark.parametrize("reason", ["clone", "copy"])
def test_a_clone_and_a_copy_begin_trails_of_their_own(reason: str) -> None:
    """What they were made from may live on, and two would write one trail."""
    source = a_past().disk
    target = source.copy() if reason == "copy" else cloned(source, 50)[0]
    engine = start(target)
    assert engine.state.epochs[-1].reason == reason
    assert trail_epoch(lineage(target)) == engine.epoch
    assert beginning(target).after < engine.state.epochs[-1].first_offset


def test_what_the_log_let_go_is_known_from_snapshots() -> None:
    """Epochs, identities and the schema; the trail can begin behind the oldest snapshot that the log continues."""
    engine = a_life()
    disk = memory_disk(engine)
    base = taken(disk).manifest
    drop_log(disk, base.offset)
    assert lineage(disk) == tuple(engine.state.epochs)
    found = beginning(disk)
    assert found.after == base.offset
    assert found.system is not None
    assert dict(found.system.identities)
    assert found.schema == engine.database.schema


def test_a_log_without_beginning_or_snapshot_lets_no_trail_begin() -> None:
    """Nothing says who its callers are."""
    engine = a_life()
    disk = memory_disk(engine)
    drop_log(disk, engine.log.durable_offset)
    with pytest.raises(CorruptionError, match="no snapshot says what came before"):
        beginning(disk)


def test_an_empty_directory_has_no_trail_yet() -> None:
    """The store must be started once."""
    assert lineage(MemoryDisk()) == ()
    with pytest.raises(DirectoryError, match="has not begun"):
        trail_epoch(())


def test_a_trail_of_another_store_goes_on_nowhere() -> None:
    """It told none of these epochs."""
    assert go_on((NEW, epoch(2, 10)), {Epoch(b"x" * 16): Offset(5)}) is None


def test_going_back_twice_goes_on_from_the_last_common_epoch() -> None:
    """The epoch of the first way back is no part of the history any more; what it told stays told."""
    told = {NEW.epoch: Offset(120), epoch(2, 101).epoch: Offset(200)}
    assert go_on((NEW, epoch(3, 51)), told) == 50


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 7), st.integers(0, 300))
def test_no_record_of_the_history_in_force_is_left_out_or_told_twice(
    lengths: list[int], place: int, extra: int
) -> None:
    """A trail that told the history up to some record goes on right behind it, whatever branches it told besides."""
    firsts = [1 + sum(lengths[:index]) for index in range(len(lengths))]
    epochs = [epoch(index + 1, first) for index, first in enumerate(firsts)]
    place %= len(epochs)
    told = {epochs[index].epoch: Offset(firsts[index + 1] - 1) for index in range(place)}
    last = firsts[place] + extra
    told[epochs[place].epoch] = Offset(last)
    end = firsts[place + 1] - 1 if place + 1 < len(epochs) else last
    assert go_on(epochs, told) == min(last, end)
