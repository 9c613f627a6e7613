"""Cloning: another store that begins as this one was, with a name of its own; the source as it was."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.backup.push import push
from store.engine.directory import MARKER, RESTORING, inspect
from store.engine.state import BEGINS_STORE
from store.env.memory import MemoryClock, MemoryDisk, PowerLoss, SeededEntropy
from store.env.memory_objects import MemoryObjects
from store.env.world import Disk
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.log.survey import read_header
from store.snapshot.repository import Repository
from store.upkeep.cloning import clone
from store.upkeep.making import Restored
from store.upkeep.ranges import AtOffset, AtSnapshot, Newest, resolve, restorable
from tests.engine.past import a_past, everything, restored, start, state_of
from tests.engine.scenes import committed, memory_disk
from tests.engine.snapshots import TINY, taken


def cloned(source: Disk, offset: int, into: MemoryDisk | None = None, *, seed: int = 3) -> tuple[MemoryDisk, Restored]:
    """Another store that begins behind an offset."""
    into = into or MemoryDisk(filesystem=7)
    moment = resolve(source, AtOffset(Offset(offset)))
    return into, clone(source, into, moment, clock=MemoryClock(), entropy=SeededEntropy(seed), options=TINY)


def but_epochs(state: dict[str, Any]) -> dict[str, Any]:
    """All of a state but whose it is."""
    return {name: value for name, value in state.items() if name != "epochs"}


def test_a_clone_has_the_state_of_the_moment() -> None:
    """Rows, order, first answers, identities and time; beside them one epoch more, which names the new store."""
    past = a_past()
    for offset in (1, *past.snapshots, past.snapshots[0] + 1, past.batches[10][0], past.last):
        into, report = cloned(past.disk, offset)
        found, was = state_of(into), past.state(offset)
        assert but_epochs(found) == but_epochs(was)
        assert found["epochs"][:-1] == was["epochs"]
        assert (report.offset, report.fingerprint) == (offset, was["fingerprint"])


def test_a_clone_is_another_store() -> None:
    """Its snapshots have its own name, whose epoch says which one it came from; its first start opens the next."""
    past = a_past()
    into, report = cloned(past.disk, past.last - 5)
    mine = Repository(past.disk).whole()[0][0]
    engine = start(into)
    first, named, opened = engine.state.epochs
    assert (named.epoch, named.parent, named.reason) == (report.store, first.epoch, BEGINS_STORE)
    assert (opened.parent, opened.reason, opened.first_offset) == (report.store, "clone", past.last - 4)
    assert engine.state.store == report.store != mine.store == first.epoch
    committed(engine, "add", "new")
    engine.log.vouch()
    engine.log.sync()
    later = taken(memory_disk(engine)).manifest
    assert {each.store for each in Repository(memory_disk(engine)).whole()[0]} == {report.store}
    assert later.epoch == engine.epoch
    assert cloned(past.disk, past.last - 5, seed=4)[1].store != report.store


def test_the_history_of_a_clone_begins_with_it() -> None:
    """One snapshot, and an empty log behind it: what came before is the other store's, and can be restored there."""
    past = a_past()
    into, report = cloned(past.disk, past.last - 5)
    assert Repository(into).names() == [f"{report.offset:020d}"]
    assert segment_offsets(into) == [report.offset + 1]
    assert read_header(into, Offset(report.offset + 1)).epoch == report.store
    assert [(each.first, each.last) for each in restorable(into)] == [(report.offset, report.offset)]
    wanted = {f"{each}.blk" for each in _blocks(into)}
    assert set(into.names("block")) == wanted
    assert Repository(into).verified(f"{report.offset:020d}") is not None


def _blocks(disk: Disk) -> set[str]:
    manifest = Repository(disk).whole()[0][0]
    return {manifest.system.file, *(block.file for table in manifest.tables for block in table.blocks)}


def test_what_is_restored_of_a_clone_is_the_clone() -> None:
    """At its first moment and later, its restored copies have its name, not that of the store it came from."""
    past = a_past()
    into, report = cloned(past.disk, past.last - 5)
    engine = start(into)
    committed(engine, "add", "new")
    engine.close()
    for target in (AtSnapshot(f"{report.offset:020d}"), Newest()):
        copy, found = restored(memory_disk(engine), target)
        assert found.store == report.store
        again = start(copy)
        assert again.state.epochs[-1].reason == "restore"
        again.log.vouch()
        again.log.sync()
        assert taken(memory_disk(again)).manifest.store == report.store


def test_two_stores_do_not_share_a_backup() -> None:
    """A clone's push to the backup of the store it came from is refused; to a place of its own it goes."""
    past = a_past()
    theirs, mine = MemoryObjects(), MemoryObjects()
    world: dict[str, Any] = {"clock": MemoryClock(), "entropy": SeededEntropy(5)}
    push(past.disk, theirs, **world)
    copy, _ = restored(past.disk, past.last)
    assert push(copy, theirs, **world).objects_sent == 0  # The same store, restored, goes on with its backup.
    into, report = cloned(past.disk, past.last)
    with pytest.raises(DirectoryError, match="another store"):
        push(into, theirs, **world)
    assert push(into, mine, **world).last_offset == report.offset


def test_a_clone_of_a_clone_is_a_third() -> None:
    """Each is named by an epoch whose parent is that of the one before."""
    past = a_past()
    once, first = cloned(past.disk, past.last)
    twice, second = cloned(once, past.last, seed=8)
    names = [each for each in start(twice).state.epochs if each.reason == BEGINS_STORE]
    assert [each.epoch for each in names[1:]] == [first.store, second.store]
    assert names[2].parent == first.store


def test_damage_leaves_the_target_empty() -> None:
    """What cannot be restored cannot be cloned, and the source is as it was."""
    past = a_past().drop_log(a_past().snapshots[0])
    batch = next(each for each in LogReader(past.disk, from_offset=Offset(past.snapshots[1] + 4)) if each.count)
    past.disk.flip(batch.segment, 8 * (batch.position + 100))
    before, into = everything(past.disk), MemoryDisk()
    with pytest.raises(CorruptionError):
        cloned(past.disk, past.last, into)
    assert (everything(into), everything(past.disk)) == ({}, before)


@settings(max_examples=60, deadline=None)
@given(countdown=st.integers(1, 400), keep=st.booleans())
def test_power_may_fail_at_any_moment(countdown: int, keep: bool) -> None:  # noqa: FBT001  # An example of hypothesis.
    """The target is empty, refused as half made, or whole; the same call begins anew."""
    past = a_past()
    into = MemoryDisk(filesystem=7)
    into.cut_power(after=countdown)
    try:
        cloned(past.disk, past.last - 3, into)
    except PowerLoss:
        pass
    else:
        return
    left = into.crash_keep_all() if keep else into.crash_drop_all()
    if MARKER in left.names():
        assert but_epochs(state_of(left)) == but_epochs(past.state(past.last - 3))
        return
    if RESTORING in left.names():
        with pytest.raises(DirectoryError, match="half made"):
            inspect(left)
    assert but_epochs(state_of(cloned(past.disk, past.last - 3, left)[0])) == but_epochs(past.state(past.last - 3))
