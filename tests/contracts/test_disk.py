"""What every Disk guarantees, run over all that claim to be one."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from store.env.memory import MemoryDisk
from store.env.posix import PosixDisk
from store.env.world import Disk
from store.errors import DirectoryError
from store.ids import Position

Handles = Callable[[], Disk]

START = Position(0)


@pytest.fixture(name="handles", params=["memory", "posix"])
def _handles(request: pytest.FixtureRequest, tmp_path: Path) -> Handles:
    """Opens the same directory once more each time, as another process would."""
    if request.param == "posix":
        return lambda: PosixDisk(tmp_path / "data")
    memory = MemoryDisk()
    return memory.handle


@pytest.fixture(name="disk")
def _disk(handles: Handles) -> Disk:
    """One handle on an empty directory."""
    return handles()


def put(disk: Disk, name: str, data: bytes = b"") -> None:
    """Make a file with this content."""
    file = disk.create(name)
    file.write(START, data)
    file.close()


def content(disk: Disk, name: str) -> bytes:
    """All bytes of a file."""
    file = disk.open(name)
    try:
        return file.read(START, file.size())
    finally:
        file.close()


def test_a_written_file_is_read_back(disk: Disk) -> None:
    """At once, by another opener too, and with its size."""
    file = disk.create("a")
    file.write(START, b"hello")
    assert (file.size(), file.read(START, 5)) == (5, b"hello")
    assert content(disk, "a") == b"hello"
    file.close()


def test_reading_stops_at_the_end(disk: Disk) -> None:
    """Fewer bytes come only there; behind it none."""
    put(disk, "a", b"hello")
    file = disk.open("a")
    assert file.read(Position(3), 100) == b"lo"
    assert file.read(Position(5), 1) == b""
    assert file.read(Position(50), 1) == b""
    assert file.read(START, 0) == b""
    file.close()


def test_writing_replaces_and_grows(disk: Disk) -> None:
    """At any position: over what is there, across the end, and beyond it with zeros between."""
    put(disk, "a", b"hello")
    file = disk.open("a")
    file.write(Position(1), b"i")
    file.write(Position(4), b"ow")
    file.write(Position(8), b"!")
    file.write(Position(2), b"")
    assert file.read(START, 100) == b"hillow\0\0!"
    file.close()


def test_truncating_cuts_and_lengthens(disk: Disk) -> None:
    """What is cut is gone; what is added is zeros."""
    put(disk, "a", b"hello")
    file = disk.open("a")
    file.truncate(2)
    file.truncate(4)
    assert file.read(START, 100) == b"he\0\0"
    file.close()


def test_a_synced_file_reads_as_before(disk: Disk) -> None:
    """Sync changes nothing that can be read."""
    file = disk.create("log/a")
    file.write(START, b"hello")
    file.sync()
    disk.sync_directory("log")
    disk.sync_directory()
    assert content(disk, "log/a") == b"hello"
    file.close()


def test_writing_out_changes_nothing(disk: Disk) -> None:
    """Wherever it is asked for, also of a file that is closed: the content and the next sync are as ever."""
    file = disk.create("a")
    file.write(START, b"hello" * 2_000)
    for position, length in ((0, 10_000), (5_000, 1), (9_999, 70_000), (1 << 40, 1), (0, 0)):
        file.write_out(Position(position), length)
        assert file.read(START, 20_000) == b"hello" * 2_000
    file.sync()
    file.close()
    file.write_out(START, 1)
    assert content(disk, "a") == b"hello" * 2_000


def test_a_large_write_is_whole(disk: Disk) -> None:
    """However the system takes it."""
    data = bytes(range(256)) * 20_000
    put(disk, "a", data)
    assert content(disk, "a") == data


def test_names_are_sorted_and_without_their_folder(disk: Disk) -> None:
    """Files only, of that folder only."""
    for name in ("b", "a", "log/2", "log/10"):
        put(disk, name)
    assert disk.names() == ["a", "b"]
    assert disk.names("log") == ["10", "2"]


def test_a_missing_folder_has_no_names(disk: Disk) -> None:
    """It is no error."""
    assert disk.names("log") == []


def test_a_taken_name_is_not_created_again(disk: Disk) -> None:
    """What is there stays as it is."""
    put(disk, "log/a", b"hello")
    with pytest.raises(FileExistsError):
        disk.create("log/a")
    assert content(disk, "log/a") == b"hello"


@pytest.mark.parametrize("name", ["a", "log/a"])
def test_a_missing_file_is_file_not_found(disk: Disk, name: str) -> None:
    """To open, to remove, to rename and to place."""
    for act in (disk.open, disk.remove, disk.place, lambda name: disk.rename(name, "b")):
        with pytest.raises(FileNotFoundError):
            act(name)


def test_a_missing_folder_cannot_be_synced_or_renamed_into(disk: Disk) -> None:
    """Only create makes a folder."""
    put(disk, "a")
    with pytest.raises(FileNotFoundError):
        disk.sync_directory("log")
    with pytest.raises(FileNotFoundError):
        disk.rename("a", "log/a")
    assert disk.names() == ["a"]


def test_renaming_replaces_what_had_the_name(disk: Disk) -> None:
    """The old name is gone, the content is the renamed file's."""
    put(disk, "a", b"new")
    put(disk, "b", b"old")
    disk.rename("a", "b")
    assert disk.names() == ["b"]
    assert content(disk, "b") == b"new"


def test_renaming_to_the_same_name_changes_nothing(disk: Disk) -> None:
    """The file is still there."""
    put(disk, "log/a", b"hello")
    disk.rename("log/a", "log/a")
    assert content(disk, "log/a") == b"hello"


def test_renaming_moves_between_folders(disk: Disk) -> None:
    """A name is a name."""
    put(disk, "a", b"hello")
    put(disk, "log/b")
    disk.rename("a", "log/a")
    assert (disk.names(), disk.names("log")) == ([], ["a", "b"])


def test_an_open_file_outlives_its_name(disk: Disk) -> None:
    """Renamed, replaced or removed: what is open is still the same file."""
    file = disk.create("a")
    disk.rename("a", "b")
    file.write(START, b"hello")
    assert content(disk, "b") == b"hello"
    disk.remove("b")
    assert file.read(START, 5) == b"hello"
    assert disk.names() == []
    file.close()


def test_a_closed_file_does_nothing_more(disk: Disk) -> None:
    """Every act is an OSError, and closing again is not."""
    file = disk.create("a")
    file.close()
    file.close()
    for act in (
        file.size,
        file.sync,
        lambda: file.read(START, 1),
        lambda: file.write(START, b"x"),
        lambda: file.truncate(0),
    ):
        with pytest.raises(OSError, match=r".") as raised:
            act()
        assert raised.value.errno == errno.EBADF


def test_two_openers_see_each_others_writes(disk: Disk) -> None:
    """A follower reads what the writer has flushed."""
    writer = disk.create("a")
    reader = disk.open("a")
    writer.write(START, b"hello")
    assert (reader.size(), reader.read(START, 5)) == (5, b"hello")
    writer.close()
    reader.close()


def test_free_bytes_are_positive_on_a_disk_that_is_not_full(disk: Disk) -> None:
    """It is what may still be written."""
    assert disk.free_bytes() > 0


def test_a_locked_directory_is_refused_to_others(handles: Handles) -> None:
    """Until it is unlocked; the error says that it is in use and what to do."""
    first, second = handles(), handles()
    first.lock()
    with pytest.raises(DirectoryError, match="in use by") as raised:
        second.lock()
    assert "first" in raised.value.hint
    first.unlock()
    first.unlock()
    second.lock()
    second.unlock()


def test_a_locked_folder_is_refused_to_others_and_leaves_the_directory_free(handles: Handles) -> None:
    """Who works in a folder need not have the directory, and the other way round."""
    first, second = handles(), handles()
    first.lock("snapshot")
    first.lock()
    with pytest.raises(DirectoryError, match="in use by"):
        second.lock("snapshot")
    second.lock("pin")
    first.unlock("snapshot")
    first.unlock("snapshot")
    second.lock("snapshot")
    with pytest.raises(DirectoryError, match="in use by"):
        second.lock()
    first.unlock()


def test_a_lock_is_no_name(disk: Disk) -> None:
    """An empty directory is empty, locked or not."""
    disk.lock()
    assert disk.names() == []
    disk.unlock()
    assert disk.names() == []


def test_a_place_is_the_same_for_the_same_file(handles: Handles) -> None:
    """Also after it was renamed, and for every opener."""
    disk = handles()
    put(disk, "a")
    put(disk, "b")
    place = disk.place("a")
    disk.rename("a", "c")
    assert handles().place("c") == place
    assert disk.place("b") != place
