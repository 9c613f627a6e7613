"""The world in memory: what a crash may do, and the faults one can ask for."""

import errno

import pytest

from store.env.memory import MemoryClock, MemoryDisk, NoDeadline, PowerLoss, SeededEntropy
from store.env.world import Clock, Deadline, Disk, Entropy, File
from store.errors import DirectoryError
from store.ids import Position

START = Position(0)
SEEDS = range(200)


def test_each_claims_its_protocol() -> None:
    """The types say so; the contract suites hold them to it."""
    world: tuple[Disk, Clock, Entropy, Deadline] = (MemoryDisk(), MemoryClock(), SeededEntropy(1), NoDeadline())
    file: File = world[0].create("a")
    assert file.size() == 0


def durable(disk: MemoryDisk, name: str, data: bytes) -> File:
    """A file whose content and name survive."""
    file = disk.create(name)
    file.write(START, data)
    file.sync()
    disk.sync_directory(name.rpartition("/")[0])
    return file


def crashes(disk: MemoryDisk) -> list[MemoryDisk]:
    """What two hundred seeds make of a crash."""
    return [disk.crash(SeededEntropy(seed)) for seed in SEEDS]


def test_what_was_synced_survives_every_crash() -> None:
    """Content by the file's sync, name by the folder's."""
    disk = MemoryDisk()
    durable(disk, "log/a", b"hello")
    for after in (disk.crash_keep_all(), disk.crash_drop_all(), *crashes(disk)):
        assert (after.names("log"), after.content("log/a")) == (["a"], b"hello")


def test_a_synced_file_may_lose_its_name() -> None:
    """Until its folder is synced."""
    disk = MemoryDisk()
    disk.create("a").sync()
    assert disk.crash_drop_all().names() == []
    assert disk.crash_keep_all().names() == ["a"]
    assert {tuple(after.names()) for after in crashes(disk)} == {(), ("a",)}


def test_a_folder_may_be_lost_with_all_in_it() -> None:
    """Until it is synced itself."""
    disk = MemoryDisk()
    disk.create("log/a")
    assert disk.crash_drop_all().names("log") == []
    disk.sync_directory("log")
    assert disk.crash_drop_all().names("log") == ["a"]


def test_names_are_lost_from_the_newest_backwards() -> None:
    """A journal keeps an ordered beginning of what was done in a folder."""
    disk = MemoryDisk()
    for name in "abc":
        disk.create(name)
    disk.remove("a")
    disk.rename("b", "d")
    seen = {tuple(after.names()) for after in crashes(disk)}
    assert seen == {(), ("a",), ("a", "b"), ("a", "b", "c"), ("b", "c"), ("c", "d")}


def test_a_rename_happens_or_does_not() -> None:
    """A replaced file is there under the name until the new one is, and never is neither."""
    disk = MemoryDisk()
    durable(disk, "a", b"old")
    durable(disk, "b", b"new")
    disk.rename("b", "a")
    seen = {tuple((name, after.content(name)) for name in after.names()) for after in crashes(disk)}
    assert seen == {(("a", b"old"), ("b", b"new")), (("a", b"new"),)}


def test_unsynced_writes_have_their_own_fates() -> None:
    """A later one may be there without an earlier one."""
    disk = MemoryDisk()
    file = durable(disk, "a", b"..")
    file.write(Position(0), b"1")
    file.write(Position(1), b"2")
    assert disk.crash_keep_all().content("a") == b"12"
    assert disk.crash_drop_all().content("a") == b".."
    assert {after.content("a") for after in crashes(disk)} == {b"..", b"1.", b".2", b"12"}


def test_a_write_may_be_torn_anywhere() -> None:
    """Any beginning of it may be all that is there, and any of its sectors may be missing."""
    disk = MemoryDisk()
    file = durable(disk, "a", b"")
    file.write(START, b"x" * 2000)
    seen = {after.content("a") for after in crashes(disk)}
    assert {b"", b"x" * 2000} < seen
    assert any(0 < len(each) < 2000 and len(each) % 512 and set(each) == {ord("x")} for each in seen)
    assert any(0 in each and each[-1] == ord("x") for each in seen)


def test_a_file_may_grow_without_its_content() -> None:
    """With zeros, or with what those sectors held before."""
    disk = MemoryDisk()
    file = durable(disk, "a", b"")
    file.write(START, b"x" * 600)
    seen = {after.content("a") for after in crashes(disk)}
    assert bytes(600) in seen
    assert any(len(each) == 600 and set(each) - {0, ord("x")} for each in seen)


def test_what_was_there_is_never_replaced_by_anything_but_what_was_written() -> None:
    """Each byte of an overwritten file is the old one or the new one."""
    disk = MemoryDisk()
    file = durable(disk, "a", b"o" * 2000)
    file.write(Position(100), b"n" * 1500)
    for after in crashes(disk):
        data = after.content("a")
        assert set(data) <= set(b"on")
        assert data[:100] + data[1600:] == b"o" * 500


def test_a_cut_may_be_lost() -> None:
    """Until it is synced."""
    disk = MemoryDisk()
    file = durable(disk, "a", b"hello")
    file.truncate(1)
    assert {after.content("a") for after in crashes(disk)} == {b"h", b"hello"}
    file.sync()
    assert {after.content("a") for after in crashes(disk)} == {b"h"}


def test_a_failed_sync_leaves_its_writes_in_doubt_for_good() -> None:
    """They read back well, a later sync succeeds, and a crash may still take them: Linux holds the pages as clean."""
    disk = MemoryDisk()
    file = durable(disk, "a", b"..")
    file.write(START, b"1")
    disk.fail_sync()
    with pytest.raises(OSError, match="a sync failed") as raised:
        file.sync()
    assert raised.value.errno == errno.EIO
    file.write(Position(1), b"2")
    file.sync()
    assert disk.content("a") == b"12"
    assert {after.content("a") for after in crashes(disk)} == {b".2", b"12"}


def test_what_is_written_again_after_a_failed_sync_is_saved_by_the_next() -> None:
    """The same bytes in the same place make the page dirty again."""
    disk = MemoryDisk()
    file = durable(disk, "a", b"..")
    file.write(START, b"1")
    disk.fail_sync()
    with pytest.raises(OSError, match="a sync failed"):
        file.sync()
    file.write(START, b"1")
    file.sync()
    assert {after.content("a") for after in crashes(disk)} == {b"1."}


def test_a_failed_sync_leaves_a_cut_to_the_next() -> None:
    """It is in the file system's journal, not in the page cache."""
    disk = MemoryDisk()
    file = durable(disk, "a", b"hello")
    file.truncate(1)
    disk.fail_sync()
    with pytest.raises(OSError, match="a sync failed"):
        file.sync()
    file.sync()
    assert disk.crash_drop_all().content("a") == b"h"


def test_a_failed_sync_of_a_folder_leaves_its_names_to_the_next() -> None:
    """A journal tries again."""
    disk = MemoryDisk()
    disk.create("a")
    disk.fail_sync(after=0)
    with pytest.raises(OSError, match="directory sync failed"):
        disk.sync_directory()
    disk.sync_directory()
    assert disk.crash_drop_all().names() == ["a"]


def test_faults_come_after_as_many_as_was_asked_and_once() -> None:
    """Then the disk works again."""
    disk = MemoryDisk()
    file = disk.create("a")
    disk.fail_write(after=2)
    file.write(START, b"1")
    file.write(START, b"2")
    with pytest.raises(OSError, match="a write failed"):
        file.write(START, b"3456")
    assert disk.content("a") == b"34"
    file.write(START, b"5")


def test_a_full_disk_takes_what_there_is_room_for() -> None:
    """A beginning of the write, then ENOSPC; overwriting and other acts go on."""
    disk = MemoryDisk(capacity=10)
    file = disk.create("a")
    file.write(START, b"123456")
    assert disk.free_bytes() == 4
    with pytest.raises(OSError, match="no space") as raised:
        disk.create("b").write(START, b"abcdef")
    assert raised.value.errno == errno.ENOSPC
    assert (disk.content("b"), disk.free_bytes()) == (b"abcd", 0)
    file.write(START, b"654321")
    disk.remove("b")
    assert disk.free_bytes() == 4
    disk.set_capacity(3)
    assert disk.free_bytes() == 0
    with pytest.raises(OSError, match="no space"):
        file.write(Position(6), b"7")


def test_a_turned_bit_stays_turned() -> None:
    """It is on the disk; turned again it is as it was."""
    disk = MemoryDisk()
    durable(disk, "a", b"\x00\x00")
    disk.flip("a", 9)
    assert disk.content("a") == disk.crash_drop_all().content("a") == b"\x00\x02"
    disk.flip("a", 9)
    assert disk.content("a") == bytes(2)


def test_power_can_be_cut_before_any_operation() -> None:
    """From then on nothing that changes the disk happens; reading still does."""
    disk = MemoryDisk()
    file = durable(disk, "a", b"hello")
    disk.cut_power(after=1)
    file.write(START, b"j")
    before = disk.operations
    for act in (
        file.sync,
        lambda: file.write(START, b"x"),
        lambda: file.truncate(0),
        lambda: disk.create("b"),
        lambda: disk.rename("a", "b"),
        lambda: disk.remove("a"),
        disk.sync_directory,
    ):
        with pytest.raises(PowerLoss):
            act()
    assert (disk.operations, disk.content("a")) == (before, b"jello")
    assert disk.crash_drop_all().content("a") == b"hello"


def test_the_same_seed_is_the_same_crash() -> None:
    """Otherwise a failure could not be seen again."""
    disk = MemoryDisk()
    file = durable(disk, "a", b"")
    for number in range(20):
        file.write(Position(number * 300), bytes((number,)) * 400)
    for seed in range(20):
        assert disk.crash(SeededEntropy(seed)).content("a") == disk.crash(SeededEntropy(seed)).content("a")


def test_a_crashed_disk_is_unlocked_and_in_the_same_place() -> None:
    """The process that held it is gone; the directory is still where it was."""
    disk = MemoryDisk()
    durable(disk, "a", b"")
    disk.lock()
    after = disk.crash_drop_all()
    after.lock()
    assert after.place("a") == disk.place("a")
    with pytest.raises(DirectoryError):
        disk.handle().lock()


def test_a_copied_directory_is_in_another_place() -> None:
    """Same names, same bytes, durable, other places."""
    disk = MemoryDisk()
    durable(disk, "log/a", b"hello")
    other = disk.copy()
    assert other.crash_drop_all().content("log/a") == b"hello"
    assert other.place("log/a") != disk.place("log/a")


def test_a_replaced_file_is_durable_at_once() -> None:
    """An operator's tool, not the store's."""
    disk = MemoryDisk()
    disk.replace("log/a", b"hello")
    disk.replace("log/a", b"hi")
    assert disk.crash_drop_all().content("log/a") == b"hi"


def test_a_memory_clock_moves_only_when_told() -> None:
    """Both clocks advance together; the wall clock alone jumps."""
    clock = MemoryClock(wall=1_000_000)
    clock.advance(500_000)
    assert (clock.wall(), clock.monotonic()) == (1_500_000, 0.5)
    clock.jump(-1_000_000)
    assert (clock.wall(), clock.monotonic()) == (500_000, 0.5)


def test_seeded_entropy_repeats_by_its_seed() -> None:
    """The same seed is the same sequence; another seed is another."""
    assert SeededEntropy(7).bytes(50) == SeededEntropy(7).bytes(50) != SeededEntropy(8).bytes(50)
