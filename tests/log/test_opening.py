"""How a log is opened again."""

import pytest

from store.env.memory import MemoryDisk, SeededEntropy
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset
from store.log.opening import Opening
from tests.log.scenes import (
    EPOCH,
    FIRST,
    NOW,
    OPTIONS,
    commit,
    flush,
    new_log,
    read,
    records,
    reopen,
    vouch,
)


def test_a_reopened_log_goes_on_where_it_ended() -> None:
    """Records, offsets, chain, epoch: as if it had never been closed."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 3)
    log.close()
    log, replayed, report = reopen(disk)
    assert replayed == records(3)
    assert (log.last_offset, log.durable_offset, log.epoch) == (3, 3, EPOCH)
    assert (report.cut_bytes, report.cut_reason, report.last_offset) == (0, "", 3)
    commit(log, 2)
    log.close()
    assert reopen(disk)[1] == records(5)


def test_opening_yields_from_the_wanted_offset() -> None:
    """A snapshot's reader gets the batch that holds the next offset and what follows."""
    disk = MemoryDisk()
    log = new_log(disk)
    for _ in range(4):
        commit(log, 2)
    opening = Opening(disk, entropy=SeededEntropy(1), options=OPTIONS, from_offset=Offset(4))
    assert [batch.first_offset for batch in opening] == [3, 5, 7]
    assert opening.finish()[0].last_offset == 8


def test_opening_behind_the_end_still_mends_the_tail() -> None:
    """With a snapshot of everything nothing is replayed, but what nothing vouches for is written again."""
    disk = MemoryDisk()
    commit(new_log(disk), 2)
    opening = Opening(disk, entropy=SeededEntropy(1), options=OPTIONS, from_offset=Offset(3))
    assert list(opening) == []
    assert opening.finish()[1].rewritten_bytes > 0


def test_a_log_is_finished_only_when_it_was_read() -> None:
    """Nothing is believed unread."""
    disk = MemoryDisk()
    commit(new_log(disk))
    with pytest.raises(AssertionError):
        Opening(disk, entropy=SeededEntropy(1), options=OPTIONS).finish()


def test_opening_cuts_a_torn_tail_durably() -> None:
    """The report says where, how much and why."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 2)
    position = log.position
    flush(log)
    disk.replace(FIRST, disk.content(FIRST)[:-3])
    log, replayed, report = reopen(disk)
    assert (replayed, log.position) == (records(2), position)
    assert (report.file, report.position, report.cut_bytes) == (FIRST, position, 84 + 5 + 8 - 3)
    assert "expected a batch of 97 bytes, found 94 for offset 3" in report.cut_reason
    assert len(disk.crash_drop_all().content(FIRST)) == position


def test_opening_writes_again_what_nothing_vouches_for() -> None:
    """After a sync that failed, a batch that reads back well may be on no disk: believed, it must be."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 2)
    flush(log)
    disk.fail_sync()
    with pytest.raises(OSError, match="a sync failed"):
        log.sync()
    restarted = disk.handle()
    log, replayed, report = reopen(restarted)
    assert replayed == records(3)
    assert report.rewritten_bytes == 84 + 5 + 8
    commit(log)
    assert read(restarted.crash_drop_all()) == records(4)


def test_a_vouching_batch_whose_sync_failed_is_written_again() -> None:
    """It proves what is before it, but nothing proves it: lost in front of later batches it would look like damage."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 2)
    log.vouch()
    disk.fail_sync()
    with pytest.raises(OSError, match="a sync failed"):
        log.sync()
    log, _, report = reopen(disk)
    assert report.rewritten_bytes == 84 + 5
    commit(log)
    vouch(log)
    assert read(disk.crash_drop_all()) == records(3)


def test_what_is_proven_is_not_written_again() -> None:
    """Neither by later batches nor by a later segment."""
    disk = MemoryDisk()
    log = new_log(disk)
    for _ in range(5):
        commit(log)
    log.seal(NOW)
    log.close()
    assert reopen(disk)[2].rewritten_bytes == 0


def test_a_reopened_log_says_what_needs_vouching() -> None:
    """What was unvouched before the start still is, until the first batch after it."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    assert reopen(disk)[0].unvouched
    vouch(log)
    assert not reopen(disk)[0].unvouched


def test_what_a_torn_batch_proved_must_be_vouched_for_again() -> None:
    """Its header is cut with it: then nothing on disk says any more that the record before was durable."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    flush(log)
    disk.flip(FIRST, (log.position - 1) * 8)
    log, replayed, _ = reopen(disk)
    assert (replayed, log.unvouched) == (records(1), True)
    vouch(log)
    disk.flip(FIRST, 150 * 8)
    with pytest.raises(CorruptionError):
        reopen(disk)


def test_opening_removes_a_segment_that_was_never_finished() -> None:
    """Its name is free for the next rotation."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    disk.create("log/00000000000000000002.log.new")
    log, *_ = reopen(disk)
    assert disk.names("log") == [FIRST.removeprefix("log/")]
    assert log.seal(NOW)


def test_no_log_is_not_opened() -> None:
    """Nor is one that begins behind what is wanted."""
    with pytest.raises(DirectoryError):
        Opening(MemoryDisk(), entropy=SeededEntropy(1), options=OPTIONS)


def test_corruption_is_met_while_opening_and_changes_nothing() -> None:
    """A refused directory is as it was: nothing is cut, nothing written."""
    disk = MemoryDisk()
    log = new_log(disk)
    for _ in range(3):
        commit(log)
    disk.flip(FIRST, 200 * 8)
    before, operations = disk.content(FIRST), disk.operations
    with pytest.raises(CorruptionError):
        reopen(disk)
    assert (disk.content(FIRST), disk.operations) == (before, operations)
