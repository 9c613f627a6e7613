"""Generations: one is always in force; another comes into force at once; the old one waits until it is given up."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from store.engine.directory import CURRENT, FOLDERS, MARKER, PREVIOUS
from store.env.memory import MemoryDisk, PowerLoss, SeededEntropy
from store.errors import DirectoryError, NotRestorable
from store.ids import Offset
from store.upkeep.generations import ROOT, confirm, current, lost_by_confirming, new_name, previous, switch, undo
from tests.engine.past import a_past, everything, restored, start
from tests.engine.scenes import committed, memory_disk

FIRST = new_name(Offset(41), SeededEntropy(1))
SECOND = new_name(Offset(42), SeededEntropy(2))


def a_root() -> MemoryDisk:
    """A root that was restored in place once; the one in force before lies in the root itself."""
    disk = a_past().disk
    switch(disk, FIRST)
    return disk


def crashes(disk: MemoryDisk) -> list[MemoryDisk]:
    """What may be left of it after a power loss."""
    return [disk.crash_keep_all(), disk.crash_drop_all(), *(disk.crash(SeededEntropy(seed)) for seed in range(4))]


def at_every_operation(make: Callable[[], MemoryDisk], act: Callable[[MemoryDisk], object]) -> list[MemoryDisk]:
    """Every disk that a power loss during an act may leave."""
    left: list[MemoryDisk] = []
    for after in range(200):
        disk = make()
        disk.cut_power(after=after)
        try:
            act(disk)
        except PowerLoss:
            left += crashes(disk)
        else:
            return left
    raise AssertionError("it never ends")


def test_a_directory_is_its_own_first_generation() -> None:
    """Until something is restored in place."""
    disk = a_past().disk
    assert (current(disk), previous(disk)) == (ROOT, None)


def test_names_say_the_offset_and_never_come_twice() -> None:
    """So that a generation that was left half made is in nobody's way."""
    assert FIRST.startswith("restored-00000000000000000041-")
    dice = SeededEntropy(3)
    assert new_name(Offset(1), dice) != new_name(Offset(1), dice)


def test_another_generation_comes_into_force() -> None:
    """And the one before is remembered."""
    disk = a_root()
    assert (current(disk), previous(disk)) == (FIRST, ROOT)
    assert disk.content(CURRENT) == f"{FIRST}\n".encode()
    with pytest.raises(DirectoryError, match=f"names {FIRST}"):
        start(disk)


def test_power_fails_while_generations_are_switched() -> None:
    """The old one is in force or the new one, never none; and it can be switched again."""
    left = at_every_operation(lambda: a_past().disk, lambda disk: switch(disk, FIRST))
    assert {current(disk) for disk in left} == {ROOT, FIRST}
    for disk in left:
        assert previous(disk) == (ROOT if current(disk) == FIRST else None)
        if current(disk) == ROOT:
            switch(disk, SECOND)
            assert (current(disk), previous(disk)) == (SECOND, ROOT)


def test_a_failing_disk_leaves_one_in_force() -> None:
    """Whichever write or sync fails."""
    for fail in (MemoryDisk.fail_sync, MemoryDisk.fail_write):
        for after in range(4):
            disk = a_past().disk
            fail(disk, after=after)
            with suppress(OSError):
                switch(disk, FIRST)
            assert current(disk) in {ROOT, FIRST}


def test_the_one_before_comes_back_into_force() -> None:
    """As it was; and nothing waits any more."""
    before = everything(a_past().disk)
    disk = a_root()
    assert undo(disk) == ROOT
    assert (current(disk), previous(disk)) == (ROOT, None)
    assert everything(disk) == before
    assert start(disk).epoch
    with pytest.raises(NotRestorable, match="no previous generation to go back to"):
        undo(disk)


def test_power_fails_while_a_switch_is_undone() -> None:
    """The old one is in force or the new one; undoing again ends it."""
    left = at_every_operation(a_root, undo)
    assert {current(disk) for disk in left} == {ROOT, FIRST}
    for disk in left:
        if current(disk) == FIRST:
            assert undo(disk) == ROOT
        assert previous(disk) is None


def test_one_switch_is_decided_before_the_next() -> None:
    """Two generations of files are kept at most, so that `undo` means one of them."""
    disk = a_root()
    with pytest.raises(DirectoryError, match=r"is still kept.*--confirm.*--undo"):
        switch(disk, SECOND)
    assert (current(disk), previous(disk)) == (FIRST, ROOT)


def test_what_is_given_up_is_gone() -> None:
    """Every file of it but what is no generation's; the one in force stays in force."""
    disk = a_root()
    disk.replace("tokens", b"t")
    freed = confirm(disk, disk)
    assert freed > 10_000
    assert everything(disk) == {CURRENT: f"{FIRST}\n".encode(), "tokens": b"t"}
    assert (current(disk), previous(disk)) == (FIRST, None)
    with pytest.raises(NotRestorable, match="no previous generation to give up"):
        confirm(disk, disk)


def test_a_generation_in_a_folder_is_given_up_as_well() -> None:
    """Its folder is a disk of its own; the root's files are not touched."""
    disk = a_root()
    confirm(disk, disk)
    folder = a_past().disk
    switch(disk, SECOND)
    assert (current(disk), previous(disk)) == (SECOND, FIRST)
    confirm(disk, folder)
    assert everything(folder) == {}
    assert set(everything(disk)) == {CURRENT}


def test_undoing_goes_back_to_a_generation_in_a_folder() -> None:
    """By its name."""
    disk = a_root()
    confirm(disk, disk)
    switch(disk, SECOND)
    assert undo(disk) == FIRST == current(disk)


def test_power_fails_while_a_generation_is_given_up() -> None:
    """It never comes back half; confirming again removes the rest."""
    left = at_every_operation(a_root, lambda disk: confirm(disk, disk))
    whole = everything(a_past().disk)
    for disk in left:
        assert current(disk) == FIRST
        files = {name: data for name, data in everything(disk).items() if name in whole}
        if previous(disk) is None:
            assert files == {}
            continue
        if files != whole:
            with pytest.raises(NotRestorable, match="was given up, and some of its files are gone"):
                undo(disk)
        confirm(disk, disk)
        assert set(everything(disk)) == {CURRENT}


def test_what_confirming_loses_is_said() -> None:
    """Everything before the base, and everything behind the moment that was gone back to."""
    past = a_past()
    new, _ = restored(past.disk, past.snapshots[1] + 3)
    before, behind = lost_by_confirming(past.disk, new)
    assert (before.first, before.last) == (1, past.snapshots[1] - 1)
    assert (behind.first, behind.last, behind.last_time) == (past.snapshots[1] + 4, past.last, past.times[past.last])
    whole, _ = restored(past.disk, past.snapshots[0] - 1)
    assert lost_by_confirming(whole, past.disk) == []
    (all_of_it,) = lost_by_confirming(past.disk, MemoryDisk())
    assert (all_of_it.first, all_of_it.last) == (1, past.last)


def test_another_epoch_at_the_same_offsets_is_no_substitute() -> None:
    """What was written since a restore is not what was there before."""
    past = a_past()
    new, _ = restored(past.disk, past.snapshots[1] + 3)
    engine = start(new)
    for _ in range(past.last):
        committed(engine, "add", "since")
    engine.close()
    behind = lost_by_confirming(past.disk, memory_disk(engine))[-1]
    assert (behind.first, behind.last) == (past.snapshots[1] + 4, past.last)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"generation": "../..", "current": "x"}', b'{"generation": 1}']
)
def test_a_damaged_note_of_the_one_before_is_refused(content: bytes) -> None:
    """With what to do about it; what is in force is known all the same."""
    disk = a_root()
    disk.replace(PREVIOUS, content)
    assert current(disk) == FIRST
    for act in (previous, undo, lambda root: confirm(root, root), lambda root: switch(root, SECOND)):
        with pytest.raises(DirectoryError, match=f"in {PREVIOUS}"):
            act(disk)
    assert all(disk.names(folder) for folder in FOLDERS if folder != "pin")
    assert MARKER in disk.names()


def test_a_note_of_a_switch_that_never_came_says_nothing() -> None:
    """It is of another generation than the one in force."""
    disk = a_root()
    disk.remove(CURRENT)
    assert (current(disk), previous(disk)) == (ROOT, None)
    with pytest.raises(NotRestorable):
        undo(disk)
