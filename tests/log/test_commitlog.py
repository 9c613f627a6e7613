"""The log as its one writer holds it."""

import errno
from threading import Thread

import pytest

from store.env.memory import MemoryDisk
from store.env.world import Disk
from store.errors import EngineStopped
from store.ids import Epoch
from store.log.commitlog import AT_ONCE_SIZE_MAX, Commitlog, LogOptions
from store.log.reader import LogReader
from tests.log.scenes import (
    FIRST,
    NOW,
    batches,
    commit,
    flush,
    new_log,
    read,
    record,
    records,
    reopen,
    vouch,
)


def test_a_new_log_is_empty_and_durable() -> None:
    """It exists from then on, begins before offset 1, and nothing needs vouching."""
    disk = MemoryDisk()
    assert not Commitlog.exists(disk)
    log = new_log(disk)
    assert Commitlog.exists(disk.crash_drop_all())
    assert (log.last_offset, log.durable_offset, log.unvouched, log.unsynced) == (0, 0, False, False)


def test_offsets_count_from_one_without_gaps() -> None:
    """An appended record is the next offset, flushed or not."""
    log = new_log(MemoryDisk())
    for offset in range(1, 6):
        log.append(record(offset))
        assert log.last_offset == offset
        if offset % 2:
            log.flush()


def test_appended_flushed_and_durable_are_three_numbers() -> None:
    """An append is in memory, a flush at the system, and only a sync makes durable."""
    disk = MemoryDisk()
    log = new_log(disk)
    log.append(record(1))
    assert (log.last_offset, log.durable_offset) == (1, 0)
    assert read(disk) == []
    log.flush()
    assert (log.durable_offset, log.unsynced) == (0, True)
    assert read(disk) == records(1)
    assert read(disk.crash_drop_all()) == []
    log.sync()
    assert (log.durable_offset, log.unsynced) == (1, False)
    assert read(disk.crash_drop_all()) == records(1)


def test_the_next_record_may_be_written_at_once() -> None:
    """It is a batch that the disk has begun with behind its append, durable with the next sync; what follows waits."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    log.write_next_at_once()
    before = disk.operations
    log.append(record(2))
    assert (disk.operations, read(disk), log.unflushed_bytes) == (before + 1, records(2), 0)
    assert (log.last_offset, log.durable_offset, log.unsynced) == (2, 1, True)
    assert read(disk.crash_drop_all()) == records(1)
    log.append(record(3))
    assert read(disk) == records(2)
    log.flush()
    assert (log.sync(), log.durable_offset) == (True, 3)
    assert [count for *_, count, _ in batches(disk)] == [1, 1, 1]
    commit(log, 2)
    assert [count for *_, count, _ in batches(disk)] == [1, 1, 1, 2]


def test_a_record_written_at_once_needs_no_other_write() -> None:
    """The flush behind it has nothing to do, and the seed of the next record is a new one."""
    disk = MemoryDisk()
    log = new_log(disk)
    seed = log.seed
    log.write_next_at_once()
    log.append(record(1))
    assert log.seed != seed
    before = disk.operations
    log.flush(True)
    assert disk.operations == before
    assert log.sync()
    assert read(disk.crash_drop_all()) == records(1)


def test_nothing_is_written_at_once_behind_what_waits() -> None:
    """A record that waits for the flush stays in one batch with those after it."""
    disk = MemoryDisk()
    log = new_log(disk)
    log.append(record(1))
    log.write_next_at_once()
    log.append(record(2))
    assert read(disk) == []
    log.flush()
    assert [count for *_, count, _ in batches(disk)] == [2]


def test_a_large_record_is_not_written_at_once() -> None:
    """It waits for the flush, behind which its sync may have a thread; so does what comes after it."""
    for size, at_once in ((AT_ONCE_SIZE_MAX, True), (AT_ONCE_SIZE_MAX + 1, False)):
        disk = MemoryDisk()
        log = new_log(disk)
        log.write_next_at_once()
        log.append(bytes(size))
        log.append(record(2))
        assert log.unflushed_bytes == len(record(2)) + (0 if at_once else size)
        log.flush()
        assert [count for *_, count, _ in batches(disk)] == ([1, 1] if at_once else [2])


def test_a_record_that_fills_a_batch_closes_it_though_it_was_to_be_written_at_once() -> None:
    """A batch passes its bound by one record at most."""
    disk = MemoryDisk()
    log = new_log(disk, options=LogOptions(batch_size_max=AT_ONCE_SIZE_MAX + 1))
    log.write_next_at_once()
    log.append(bytes(AT_ONCE_SIZE_MAX + 1))
    log.append(record(2))
    assert read(disk) == []
    log.flush()
    assert [count for *_, count, _ in batches(disk)] == [1, 1]


def test_what_was_appended_counts_in_a_log_that_has_stopped() -> None:
    """Also where the thread of a sync stops it amid the writer's appends."""
    log = new_log(MemoryDisk())
    flush(log, 2)
    log.append(record(3))
    log.stop()
    assert (log.last_offset, list(log.get_open_records())) == (3, [record(3)])
    log.stop()
    assert log.last_offset == 3


def test_vouching_uses_up_what_was_to_be_written_at_once() -> None:
    """An empty batch is written as ever, and the next record waits for its flush."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    log.write_next_at_once()
    vouch(log)
    log.append(record(2))
    assert (read(disk), log.unvouched) == (records(1), False)


@pytest.mark.parametrize("asked", ["flush", "begin_sync", "complete_sync", "sync", "vouch", "seal", "lay_blank"])
def test_a_write_at_once_that_fails_is_told_by_whatever_comes_next(asked: str) -> None:
    """Behind an append nothing may fail; so the log takes what comes until it can say so, and writes none of it."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    log.write_next_at_once()
    disk.fail_write()
    log.append(record(2))
    log.append(record(3))
    assert (log.last_offset, log.durable_offset, log.unsynced, log.stopped) == (3, 1, True, True)
    before = disk.operations
    with pytest.raises(OSError, match="a write failed"):
        getattr(log, asked)(*{"seal": (NOW,), "complete_sync": (None,), "lay_blank": (100,)}.get(asked, ()))
    assert log.last_offset == 3
    assert_stopped(log)
    assert disk.operations == before
    _, replayed, report = reopen(disk.crash_keep_all())
    assert (replayed, report.cut_bytes > 0) == (records(1), True)


def test_what_is_flushed_while_a_sync_runs_is_not_made_durable_by_it() -> None:
    """A sync covers what was flushed before it began."""
    log = new_log(MemoryDisk())
    flush(log)
    ticket = log.begin_sync()
    flush(log)
    ticket.run()
    log.complete_sync(ticket)
    assert (log.durable_offset, log.last_offset, log.unsynced) == (1, 2, True)


def test_a_ticket_runs_on_another_thread() -> None:
    """Only the wait for the disk leaves the writer's thread."""
    log = new_log(MemoryDisk())
    flush(log, 3)
    ticket = log.begin_sync()
    thread = Thread(target=ticket.run)
    thread.start()
    thread.join()
    log.complete_sync(ticket)
    assert log.durable_offset == 3


def test_there_is_one_sync_at_a_time() -> None:
    """A second ticket before the first is complete is a bug of the caller."""
    log = new_log(MemoryDisk())
    flush(log)
    log.begin_sync()
    for again in (log.begin_sync, log.sync):
        with pytest.raises(AssertionError):
            again()


def test_what_is_durable_wants_no_sync() -> None:
    """There is no ticket for it, and the disk is left alone."""
    disk = MemoryDisk()
    log = new_log(disk)
    flush(log)
    assert log.sync()
    before = disk.operations
    assert log.begin_sync() is None
    assert not log.sync()
    assert disk.operations == before


def test_a_ticket_that_did_not_run_makes_nothing_durable() -> None:
    """Completing it is a bug of the caller."""
    log = new_log(MemoryDisk())
    flush(log)
    with pytest.raises(AssertionError):
        log.complete_sync(log.begin_sync())
    assert log.durable_offset == 0


def test_flushing_nothing_writes_nothing() -> None:
    """An idle log does not grow."""
    disk = MemoryDisk()
    log = new_log(disk)
    before = disk.operations
    log.flush()
    assert disk.operations == before


def test_a_batch_is_one_write() -> None:
    """However many records: one write, one sync."""
    disk = MemoryDisk()
    log = new_log(disk)
    before = disk.operations
    commit(log, 100)
    assert disk.operations == before + 2


def test_a_batch_is_closed_once_it_holds_its_bound() -> None:
    """Several batches then lie under one sync; each says the same durable offset."""
    disk = MemoryDisk()
    log = new_log(disk, options=LogOptions(batch_size_max=20))
    commit(log, 7)
    assert [(first, count, durable) for *_, first, count, durable in batches(disk)] == [(1, 3, 0), (4, 3, 0), (7, 1, 0)]
    assert read(disk) == records(7)


def test_the_seed_seen_before_an_append_is_that_of_the_records_batch() -> None:
    """However batches are closed, a record's random numbers can be derived from its own batch."""
    disk = MemoryDisk()
    log = new_log(disk, options=LogOptions(batch_size_max=20))
    seen = {}
    for offset in range(1, 15):
        seen[offset] = log.seed
        log.append(record(offset))
        if offset in {5, 9}:
            log.flush()
            log.sync()
            log.vouch()
    log.flush()
    found = {
        offset: batch.seed
        for batch in LogReader(disk)
        for offset in range(batch.first_offset, batch.first_offset + batch.count)
    }
    assert found == seen
    assert len({batch.seed for batch in LogReader(disk)}) == len(batches(disk))


def test_a_batch_with_records_vouches_for_what_was_durable() -> None:
    """So a busy log never needs an empty batch for long."""
    log = new_log(MemoryDisk())
    commit(log)
    assert log.unvouched
    flush(log)
    assert not log.unvouched
    log.sync()
    assert log.unvouched


def test_vouching_adds_an_empty_batch_only_where_it_is_needed() -> None:
    """Once is enough; it takes no offset."""
    disk = MemoryDisk()
    log = new_log(disk)
    vouch(log)
    assert batches(disk) == []
    commit(log)
    vouch(log)
    vouch(log)
    assert [(first, count, durable) for *_, first, count, durable in batches(disk)] == [(1, 1, 0), (2, 0, 1)]
    assert (log.last_offset, log.unvouched) == (1, False)


def test_vouching_with_records_waiting_flushes_those_instead() -> None:
    """Their batch says as much as an empty one would."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    log.append(record(2))
    log.vouch()
    assert [(first, count, durable) for *_, first, count, durable in batches(disk)] == [(1, 1, 0), (2, 1, 1)]


def test_a_full_segment_is_sealed_and_the_next_begun() -> None:
    """By name, header and chain it goes on where the last ended; the log counts on."""
    disk = MemoryDisk()
    log = new_log(disk, options=LogOptions(segment_size_max=250))
    commit(log)
    assert not log.rotate_if_due(NOW)
    commit(log)
    assert log.rotate_if_due(NOW)
    assert (log.segment, log.last_offset, log.unvouched) == ("log/00000000000000000003.log", 2, False)
    commit(log, 2)
    assert read(disk.crash_drop_all()) == records(4)


def test_a_segment_is_not_left_before_it_is_durable() -> None:
    """The next segment's existence proves all before it, so it waits for the sync."""
    log = new_log(MemoryDisk(), options=LogOptions(segment_size_max=110))
    flush(log)
    assert not log.rotate_if_due(NOW)
    ticket = log.begin_sync()
    ticket.run()
    assert not log.rotate_if_due(NOW)
    log.complete_sync(ticket)
    assert log.rotate_if_due(NOW)


def test_an_empty_segment_is_not_sealed() -> None:
    """Two segments never have one name."""
    log = new_log(MemoryDisk())
    assert not log.seal(NOW)
    commit(log)
    assert log.seal(NOW)
    assert not log.seal(NOW)


def test_records_appended_before_sealing_go_into_the_next_segment() -> None:
    """With the seed their reducers saw."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    seed = log.seed
    log.append(record(2))
    assert log.seal(NOW)
    commit(log)
    found = list(LogReader(disk))
    assert [(each.segment[-6:], each.first_offset, each.count) for each in found] == [
        ("01.log", 1, 1),
        ("02.log", 2, 2),
    ]
    assert found[1].seed == seed


def test_a_closed_batch_is_not_carried_over_a_seal() -> None:
    """It is salted for its own segment already."""
    log = new_log(MemoryDisk(), options=LogOptions(batch_size_max=8))
    commit(log)
    log.append(record(2))
    assert not log.seal(NOW)
    log.flush()
    log.sync()
    assert log.seal(NOW)


def test_later_segments_carry_the_epoch_of_their_making() -> None:
    """A new epoch is in the header of every segment made after it opened."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    log.epoch = Epoch(bytes(16))
    log.seal(NOW)
    commit(log)
    log.close()
    assert reopen(disk)[0].epoch == bytes(16)


def test_every_segment_has_a_salt_of_its_own() -> None:
    """What is written in one segment is no batch in another."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    log.seal(NOW)
    name = log.segment
    commit(log)
    one, other = disk.content(FIRST), disk.content(name)
    assert one[16:32] != other[16:32]
    assert one[100:104] != other[100:104]


def test_after_a_failed_write_nothing_more_is_taken() -> None:
    """The first error is the system's; from then on the log refuses, and what was durable stays."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    log.append(record(2))
    disk.fail_write()
    with pytest.raises(OSError, match="a write failed"):
        log.flush()
    assert_stopped(log)
    assert read(disk.crash_drop_all()) == records(1)


def test_after_a_failed_sync_nothing_more_is_taken() -> None:
    """It is never tried again."""
    disk = MemoryDisk()
    log = new_log(disk)
    flush(log)
    disk.fail_sync()
    with pytest.raises(OSError, match="a sync failed"):
        log.sync()
    assert log.durable_offset == 0
    assert_stopped(log)


def test_after_a_sync_that_failed_on_a_thread_nothing_more_is_taken() -> None:
    """The ticket stops the log by itself, before anybody can complete it."""
    disk = MemoryDisk()
    log = new_log(disk)
    flush(log)
    ticket = log.begin_sync()
    disk.fail_sync()
    with pytest.raises(OSError, match="a sync failed"):
        ticket.run()
    with pytest.raises(EngineStopped):
        log.complete_sync(ticket)
    assert_stopped(log)


def test_a_full_disk_stops_the_log() -> None:
    """ENOSPC is a failed write like any other; the next start cuts what was half written."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    disk.set_capacity(log.position + 50)
    with pytest.raises(OSError, match="no space") as raised:
        flush(log)
    assert raised.value.errno == errno.ENOSPC
    assert_stopped(log)
    again, replayed, report = reopen(disk.crash_keep_all())
    assert (replayed, report.cut_bytes, again.last_offset) == (records(1), 50, 1)


@pytest.mark.parametrize("operation", range(3))
def test_a_rotation_that_fails_stops_the_log(operation: int) -> None:
    """Whether writing the header, syncing it or syncing the folder fails: the next start goes on."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    if operation == 0:
        disk.fail_write()
    else:
        disk.fail_sync(after=operation - 1)
    with pytest.raises(OSError, match="failed"):
        log.seal(NOW)
    assert_stopped(log)
    crashed = disk.crash_keep_all()
    again, replayed, _ = reopen(crashed)
    assert replayed == records(1)
    commit(again)
    assert read(crashed) == records(2)


def assert_stopped(log: Commitlog) -> None:
    """Every act but close is refused."""
    assert log.stopped
    for act in (lambda: log.append(b"\x01"), log.flush, log.begin_sync, log.sync, log.vouch, lambda: log.seal(NOW)):
        with pytest.raises(EngineStopped):
            act()
    log.close()


def test_a_record_past_its_bound_is_a_bug_of_the_caller() -> None:
    """The bound is checked where a call can still be refused; here it is asserted."""
    log = new_log(MemoryDisk(), options=LogOptions(record_size_max=8))
    log.append(record(1))
    with pytest.raises(AssertionError):
        log.append(b"\xc4\x07" + bytes(7))


def test_creating_removes_a_segment_that_was_never_finished() -> None:
    """A crash during the very first creation leaves a directory in which it works."""
    disk = MemoryDisk()
    disk.create(f"{FIRST}.new")
    new_log(disk)
    assert disk.names("log") == [FIRST.removeprefix("log/")]


def test_a_log_is_not_created_over_another() -> None:
    """That is a bug of the caller."""
    disk = MemoryDisk()
    new_log(disk)
    with pytest.raises(AssertionError):
        new_log(disk)


def test_a_log_behaves_the_same_on_a_real_disk(any_disk: Disk) -> None:
    """Commit, rotate, vouch, close, reopen."""
    log = new_log(any_disk, options=LogOptions(segment_size_max=250))
    for _ in range(5):
        commit(log, 2)
        log.rotate_if_due(NOW)
    vouch(log)
    log.close()
    log, replayed, report = reopen(any_disk)
    assert (replayed, report.cut_bytes, log.last_offset) == (records(10), 0, 10)
    commit(log)
    log.close()
    assert read(any_disk) == records(11)
