"""The whole log, read in order."""

import pytest

from store.codec import split_batch
from store.env.memory import MemoryDisk
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset
from store.log.commitlog import LogOptions
from store.log.reader import LogReader
from tests.log.scenes import FIRST, NOW, commit, flush, new_log, read, records, vouch

SMALL = LogOptions(segment_size_max=300)


def segments() -> MemoryDisk:
    """Nine records in several segments, the last batch of which nothing vouches for."""
    disk = MemoryDisk()
    log = new_log(disk, options=SMALL)
    for _ in range(9):
        commit(log)
        log.rotate_if_due(NOW)
    assert len(disk.names("log")) > 3
    log.close()
    return disk


def test_segments_are_read_as_one_sequence() -> None:
    """Every record once, in order, whatever file it lies in."""
    assert read(segments()) == records(9)


@pytest.mark.parametrize("first", range(1, 10))
def test_reading_begins_with_the_batch_that_holds_the_offset(first: int) -> None:
    """Segments and batches before it are passed by."""
    assert read(segments(), first) == records(9)[first - 1 :]


def test_reading_from_behind_the_end_finds_nothing() -> None:
    """An offset that does not exist yet is no error."""
    assert read(segments(), 10) == []


def test_reading_through_an_offset_ends_behind_its_batch() -> None:
    """A follower reads up to what is durable and no further; how the log ends is not known then."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 2)
    commit(log, 2)
    flush(log, 2)
    reader = LogReader(disk, through=Offset(3))
    assert [batch.first_offset for batch in reader] == [1, 3]
    assert reader.tail is None


def test_check_all_yields_every_batch_of_the_first_segment_read() -> None:
    """Who wants to know that all of it is whole gets all of it."""
    disk = MemoryDisk()
    log = new_log(disk)
    for _ in range(4):
        commit(log)
    reader = LogReader(disk, from_offset=Offset(3), check_all=True)
    assert [batch.first_offset for batch in reader] == [1, 2, 3, 4]


def test_vouching_batches_are_read_too() -> None:
    """An empty batch has the offset that comes next and no records."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 2)
    vouch(log)
    assert [(each.first_offset, each.count, each.durable_offset) for each in LogReader(disk)] == [(1, 2, 0), (3, 0, 2)]


def test_a_torn_tail_ends_the_reading_and_is_reported() -> None:
    """Reading raises nothing and changes nothing."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 2)
    whole = log.position
    flush(log)
    torn = disk.content(FIRST)[:-1]
    disk.replace(FIRST, torn)
    reader = LogReader(disk)
    assert [batch.count for batch in reader] == [2]
    assert reader.tail is not None
    assert (reader.tail.segment, reader.tail.position) == (FIRST, whole)
    assert (reader.tail.torn_bytes, reader.tail.last_offset) == (len(torn) - whole, 2)
    assert "expected a batch of" in reader.tail.torn
    assert disk.content(FIRST) == torn


def test_a_missing_segment_is_corruption() -> None:
    """The gap is named: what was expected, what was found, and where."""
    disk = segments()
    names = disk.names("log")
    disk.remove(f"log/{names[1]}")
    with pytest.raises(CorruptionError, match=rf"expected offset \d+ next .*found log/{names[2]}") as raised:
        read(disk)
    assert raised.value.file == FIRST


def test_segments_of_another_log_are_corruption() -> None:
    """A segment continues the chain of the one before it."""
    disk, other = segments(), MemoryDisk()
    log = new_log(other, seed=9, options=SMALL)
    for _ in range(9):
        commit(log)
        log.rotate_if_due(NOW)
    name = f"log/{disk.names('log')[1]}"
    disk.replace(name, other.content(name))
    with pytest.raises(CorruptionError, match="expected chain") as raised:
        read(disk)
    assert (raised.value.file, raised.value.position) == (name, 0)


def test_a_log_that_begins_too_late_is_corruption() -> None:
    """Without what came before, the rest is no log; with a snapshot of it, it is."""
    disk = segments()
    disk.remove(FIRST)
    first = int(disk.names("log")[0][:20])
    with pytest.raises(CorruptionError, match=f"holds offset 1, found the log beginning at offset {first}"):
        LogReader(disk)
    assert read(disk, first) == records(9)[first - 1 :]


def test_no_log_is_an_error_that_says_so() -> None:
    """An empty directory is not an empty log."""
    with pytest.raises(DirectoryError, match="no segment in log/"):
        LogReader(MemoryDisk())


def test_progress_rises_to_the_total() -> None:
    """(bytes done, bytes in all), at last equal."""
    told: list[tuple[int, int]] = []
    disk = segments()
    reader = LogReader(disk, progress=lambda done, total: told.append((done, total)))
    for _ in reader:
        pass
    assert told == sorted(told)
    assert told[-1] == (reader.bytes_total, reader.bytes_total)
    names = [f"log/{name}" for name in disk.names("log")]
    assert reader.bytes_total == sum(len(disk.content(name)) for name in names)


def test_what_is_appended_while_reading_is_not_seen() -> None:
    """A reader sees the log as it was when its segment was opened, never half a batch."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 2)
    reader = LogReader(disk)
    seen = []
    for batch in reader:
        seen += [bytes(raw) for raw in split_batch(batch.body)]
        commit(log)
    assert seen == records(2)
