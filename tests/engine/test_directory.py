"""The data directory's marker: fresh, ours, foreign, newer, damaged, copied."""

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from store.engine.directory import (
    CURRENT,
    DIRECTORY_FORMAT,
    FOLDERS,
    MARKER,
    RESTORING,
    Marker,
    Restoring,
    abandon,
    begin_making,
    inspect,
    mark,
    moved,
    read_current,
)
from store.engine.state import EpochRecord
from store.env.memory import MemoryClock, MemoryDisk, NoDeadline, PowerLoss, SeededEntropy
from store.env.posix import PosixDisk
from store.env.world import INODE_BITS, World
from store.errors import CorruptionError, DirectoryError
from store.transaction import Kind
from tests.engine import shop
from tests.engine.scenes import committed, logged, memory_disk, open_shop, reopen, rows


def a_stopped_store() -> MemoryDisk:
    """A directory with one task in it."""
    engine = open_shop()
    committed(engine, "add", "ada")
    engine.close()
    return memory_disk(engine)


def test_an_empty_directory_is_fresh() -> None:
    """It gets a log, an epoch and a marker that says where it is."""
    disk = MemoryDisk()
    assert inspect(disk) is None
    engine = open_shop(disk)
    marker = inspect(disk)
    assert marker is not None
    assert (marker.format, (marker.filesystem, marker.inode)) == (DIRECTORY_FORMAT, disk.place(MARKER))
    assert not moved(disk, marker)
    (epoch,) = engine.state.epochs
    assert epoch == EpochRecord(engine.epoch, epoch.parent, epoch.first_offset, "new")
    assert (epoch.parent, epoch.first_offset, len(epoch.epoch)) == (b"", 1, 16)


def test_a_directory_that_stays_keeps_its_epoch() -> None:
    """However often it is opened."""
    disk = a_stopped_store()
    engine = open_shop(disk)
    again = reopen(engine)
    assert again.state.epochs == engine.state.epochs
    assert len(again.state.epochs) == 1


def test_a_copied_directory_opens_an_epoch_of_its_own() -> None:
    """Once: with the original's as its parent; the original goes on in its own."""
    disk = a_stopped_store()
    original = open_shop(disk)
    copied = open_shop(disk.copy(), seed=2)
    first, second = copied.state.epochs
    assert first.epoch == original.epoch
    assert (second.parent, second.reason) == (first.epoch, "copy")
    assert second.epoch == copied.epoch == copied.log.epoch != original.epoch
    assert logged(memory_disk(copied))[second.first_offset - 1].kind == Kind.EPOCH
    assert reopen(copied).state.epochs == [first, second]
    assert reopen(original).state.epochs == [first]
    assert rows(copied, shop.Task) == rows(original, shop.Task)


def test_a_copied_directory_is_found_out_on_a_real_disk(tmp_path: Path) -> None:
    """By filesystem id and inode of its marker."""
    first = tmp_path / "first"
    world = World(PosixDisk(first), MemoryClock(), SeededEntropy(1), NoDeadline())
    open_shop(world=world).close()
    second = tmp_path / "second"
    (second / "log").mkdir(parents=True)
    for name in (MARKER, *(f"log/{each.name}" for each in (first / "log").iterdir())):
        (second / name).write_bytes((first / name).read_bytes())
    copied = open_shop(world=World(PosixDisk(second), MemoryClock(), SeededEntropy(2), NoDeadline()))
    assert [each.reason for each in copied.state.epochs] == ["new", "copy"]
    copied.close()


@pytest.mark.parametrize("names", [["notes.txt"], ["notes.txt", "a", "b", "c", "d"], ["store.json.bak"]])
def test_a_directory_with_other_files_is_refused(names: list[str]) -> None:
    """It is not ours: the error names what is there, and nothing is written."""
    disk = MemoryDisk()
    for name in names:
        disk.replace(name, b"mine")
    before = disk.operations
    with pytest.raises(DirectoryError, match=f"found other files: {min(names)}.*--data"):
        open_shop(disk)
    assert (disk.operations, disk.names()) == (before, sorted(names))


@pytest.mark.parametrize("names", [["lost+found"], ["tokens", "store.toml"], ["store.json.new"]])
def test_what_may_stand_in_a_fresh_directory_does_not_disturb(names: list[str]) -> None:
    """A filesystem's own, a token file, a configuration, and what an interrupted first start left."""
    disk = MemoryDisk()
    for name in names:
        disk.replace(name, b"")
    assert open_shop(disk).epoch


def test_a_newer_format_is_refused() -> None:
    """The error says both versions, and nothing is written."""
    disk = a_stopped_store()
    disk.replace(MARKER, msgspec.json.encode(Marker(DIRECTORY_FORMAT + 1, 1, 1)))
    before = disk.operations
    with pytest.raises(DirectoryError, match=f"of format {DIRECTORY_FORMAT + 1}, this store reads up to"):
        open_shop(disk)
    assert disk.operations == before


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00" * 40, b"[1, 2, 3]", b'{"format": "1"}', b"{" * 10_000])
def test_a_damaged_marker_is_refused(content: bytes) -> None:
    """The error says that the marker is not one, and nothing is written."""
    disk = a_stopped_store()
    disk.replace(MARKER, content)
    before = disk.operations
    with pytest.raises(DirectoryError, match=f"expected a store's marker in {MARKER}"):
        open_shop(disk)
    assert disk.operations == before


def test_a_marker_without_a_log_is_corruption() -> None:
    """A log that is gone is a loss, never an empty store."""
    disk = a_stopped_store()
    for name in disk.names("log"):
        disk.remove(f"log/{name}")
    with pytest.raises(CorruptionError, match="expected the commitlog, found no segment"):
        open_shop(disk)


def test_a_log_without_a_marker_opens_and_is_marked_again() -> None:
    """What is lost with a marker is where the directory was: it could be a copy, so a new epoch opens."""
    disk = a_stopped_store()
    disk.remove(MARKER)
    engine = open_shop(disk, seed=2)
    assert [each.reason for each in engine.state.epochs] == ["new", "unmarked"]
    assert inspect(disk) is not None


def test_a_refused_directory_is_free_for_another() -> None:
    """The lock is given back."""
    disk = MemoryDisk()
    disk.replace("notes.txt", b"mine")
    with pytest.raises(DirectoryError):
        open_shop(disk)
    disk.remove("notes.txt")
    open_shop(disk.handle())


def test_a_directory_has_one_opener() -> None:
    """A second one is refused and changes nothing."""
    engine = open_shop()
    before = memory_disk(engine).operations
    with pytest.raises(DirectoryError, match="in use"):
        open_shop(memory_disk(engine).handle())
    assert memory_disk(engine).operations == before
    engine.close()
    open_shop(memory_disk(engine).handle())


def test_a_marker_is_replaced_whole_or_not_at_all() -> None:
    """Wherever the power fails while it is written, the old one is there or the new one."""
    for cut in range(6):
        disk = MemoryDisk()
        mark(disk)
        disk = disk.copy()
        disk.cut_power(after=cut)
        with suppress(PowerLoss):
            mark(disk)
        for crash in (disk.crash_keep_all(), disk.crash_drop_all(), *(disk.crash(SeededEntropy(n)) for n in range(8))):
            assert MARKER in crash.names()
            crash.replace("log/00000000000000000001.log", b"")
            assert inspect(crash) is not None


def everything(disk: MemoryDisk) -> dict[str, bytes]:
    """Every file's bytes."""
    names = [*disk.names(), *(f"{folder}/{name}" for folder in FOLDERS for name in disk.names(folder))]
    return {name: disk.content(name) for name in names}


def test_a_marker_says_why_the_next_start_opens_an_epoch() -> None:
    """Until that start marks the directory anew, which then says nothing of the kind."""
    disk = MemoryDisk()
    mark(disk, opens="clone")
    disk.replace("log/00000000000000000001.log", b"")
    marker = inspect(disk)
    assert marker is not None
    assert (marker.opens, moved(disk, marker)) == ("clone", False)
    mark(disk)
    again = inspect(disk)
    assert again is not None
    assert again.opens == ""


def test_a_marker_of_before_there_were_reasons_is_read() -> None:
    """It gives none."""
    disk = a_stopped_store()
    filesystem, inode = disk.place(MARKER)
    disk.replace(MARKER, b'{"format":1,"filesystem":%d,"inode":%d}\n' % (filesystem, inode))
    assert inspect(disk) == Marker(1, filesystem, inode, "")


class Reusing(MemoryDisk):
    """A disk that gives one inode number to every file, and says by dice which is which."""

    generation = 7

    def place(self, name: str) -> tuple[int, int]:
        """The same number, whatever the file."""
        return super().place(name)[0], 5 | self.generation << INODE_BITS


def test_a_copy_that_got_the_deleted_directory_s_inode_opens_an_epoch() -> None:
    """Its number is the one noted; the generation is not."""
    disk = Reusing()
    mark(disk)
    disk.replace("log/00000000000000000001.log", b"")
    marker = inspect(disk)
    assert marker is not None
    assert (marker.inode, marker.generation, moved(disk, marker)) == (5, 7, False)
    disk.generation = 8
    assert moved(disk, marker)


def test_a_marker_of_before_there_were_generations_goes_by_its_inode() -> None:
    """An upgrade opens no epoch."""
    disk = Reusing()
    disk.create(MARKER).close()
    filesystem, _ = disk.place(MARKER)
    assert not moved(disk, Marker(DIRECTORY_FORMAT, filesystem, 5))
    assert moved(disk, Marker(DIRECTORY_FORMAT, filesystem, 6))


def test_a_half_made_directory_is_refused() -> None:
    """It says what was being made, and what to do; nothing is written."""
    disk = MemoryDisk()
    begin_making(disk, Restoring("restore", 41))
    disk.replace("log/00000000000000000001.log", b"")
    before = everything(disk)
    with pytest.raises(DirectoryError, match=r"half made: a restore to offset 41 into it did not finish.*begins anew"):
        open_shop(disk)
    assert everything(disk) == before


@pytest.mark.parametrize("content", [b"", b"{", b'{"reason": 1}', b"\xff" * 9])
def test_a_half_made_directory_is_refused_whatever_its_note_says(content: bytes) -> None:
    """That the note is there is enough."""
    disk = MemoryDisk()
    disk.replace(RESTORING, content)
    with pytest.raises(DirectoryError, match="half made: a restore or a salvage into it"):
        inspect(disk)


def test_what_was_half_made_is_discarded_when_it_is_made_again() -> None:
    """All of it, durably, with the note in place throughout."""
    for cut in range(40):
        disk = MemoryDisk()
        begin_making(disk, Restoring("restore", 41))
        for folder in FOLDERS:
            disk.replace(f"{folder}/left", b"over")
        disk.cut_power(after=cut)
        done = True
        try:
            begin_making(disk, Restoring("salvage", 0))
        except PowerLoss:
            done = False
        for crashed in (disk.crash_drop_all(), disk.crash_keep_all()):
            assert RESTORING in crashed.names()
            assert not done or list(everything(crashed)) == [RESTORING]
    assert done
    with pytest.raises(DirectoryError, match="a salvage into it"):
        inspect(crashed)


def test_a_directory_says_that_it_is_made_before_anything_else_is_in_it() -> None:
    """Wherever the power fails."""
    for cut in range(8):
        disk = MemoryDisk()
        disk.cut_power(after=cut)
        with suppress(PowerLoss):
            begin_making(disk, Restoring("restore", 41))
            disk.create("log/x")
            disk.sync_directory("log")
        for crashed in (
            disk.crash_drop_all(),
            disk.crash_keep_all(),
            *(disk.crash(SeededEntropy(n)) for n in range(4)),
        ):
            assert crashed.names() == [RESTORING] or everything(crashed) == {}


def test_nothing_is_made_over_a_store() -> None:
    """Nor discarded: it is as it was."""
    disk = a_stopped_store()
    before = everything(disk)
    with pytest.raises(DirectoryError, match="expected an empty directory to write into"):
        begin_making(disk, Restoring("restore", 1))
    abandon(disk)
    assert everything(disk) == before


@pytest.mark.parametrize("name", ["notes.txt", "log/x", "snapshot/x", "block/x", "pin/x"])
def test_a_directory_that_holds_anything_is_not_empty(name: str) -> None:
    """The refusal names it, and it stays."""
    disk = MemoryDisk()
    disk.replace(name, b"mine")
    with pytest.raises(DirectoryError, match=f"found {name}.*nothing is ever overwritten"):
        begin_making(disk, Restoring("restore", 1))
    assert everything(disk) == {name: b"mine"}


def test_a_token_file_and_a_configuration_may_wait_in_a_new_directory() -> None:
    """They are not the store's content."""
    disk = MemoryDisk()
    disk.replace("tokens", b"t")
    disk.replace("store.toml", b"s")
    begin_making(disk, Restoring("restore", 1))
    abandon(disk)
    assert everything(disk) == {"tokens": b"t", "store.toml": b"s"}


def test_a_whole_directory_is_never_half_made() -> None:
    """Where the power failed between marking it and taking the note away, it opens, and the note goes."""
    disk = a_stopped_store()
    disk.replace(RESTORING, b"{}")
    before = everything(disk)
    abandon(disk)
    assert everything(disk) == before
    with pytest.raises(DirectoryError, match=r"found store.json"):
        begin_making(disk, Restoring("restore", 1))
    assert inspect(disk) is not None
    mark(disk)
    assert RESTORING not in disk.names()


def test_only_the_generation_in_force_opens() -> None:
    """What lies in the root is refused while another is in force; the error names that one."""
    disk = a_stopped_store()
    disk.replace(CURRENT, b"restored-00000000000000000041-0011aabb\n")
    assert read_current(disk) == "restored-00000000000000000041-0011aabb"
    with pytest.raises(DirectoryError, match=r"names restored-00000000000000000041-0011aabb.*--undo"):
        open_shop(disk)
    disk.remove(CURRENT)
    open_shop(disk)


@pytest.mark.parametrize("content", [b"", b"..\n", b"/etc\n", b"restored-41\n", b"a/b\n", b"\xff\x00", b"x" * 5000])
def test_a_name_that_is_no_generation_s_is_refused(content: bytes) -> None:
    """It leads nowhere outside."""
    disk = a_stopped_store()
    disk.replace(CURRENT, content)
    with pytest.raises(DirectoryError, match=f"expected the name of a generation in {CURRENT}"):
        read_current(disk)
