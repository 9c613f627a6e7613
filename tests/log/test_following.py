"""The log as a follower reads it while it grows: whole batches, in order, once they are proven durable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.codec import split_batch
from store.env.memory import MemoryDisk, SeededEntropy
from store.errors import CorruptionError, DirectoryError
from store.ids import Epoch, Offset
from store.log.commitlog import Commitlog, LogOptions
from store.log.following import Follower
from tests.log.scenes import EPOCH, FIRST, NOW, OPTIONS, commit, flush, new_log, record, records, reopen, vouch

SMALL = LogOptions(segment_size_max=300)


def told(follower: Follower, size_max: int = 1 << 20) -> list[bytes]:
    """The records of one read."""
    return [bytes(raw) for each in follower.read(size_max) for raw in split_batch(each.batch.body)]


def following(options: LogOptions = OPTIONS, after: int = 0) -> tuple[MemoryDisk, Commitlog, Follower]:
    """A fresh log and somebody who follows it."""
    disk = MemoryDisk()
    return disk, new_log(disk, options=options), Follower(disk, after=Offset(after))


def test_a_batch_is_told_when_a_later_one_proves_it() -> None:
    """Flushed, and even synced, is not enough: only the log itself may say that it is durable."""
    _, log, follower = following()
    flush(log, 2)
    assert told(follower) == []
    log.sync()
    assert told(follower) == []
    commit(log)
    assert told(follower) == records(2)
    assert follower.offset == 2


def test_an_empty_batch_proves_the_last_one() -> None:
    """After a short idle a follower has everything."""
    _, log, follower = following()
    commit(log, 3)
    vouch(log)
    assert told(follower) == records(3)
    assert told(follower) == []


def test_a_later_segment_proves_the_ones_before() -> None:
    """A segment is made only when all before it is durable."""
    _, log, follower = following()
    commit(log, 3)
    log.seal(NOW)
    assert told(follower) == records(3)


def test_several_segments_are_followed_as_one_sequence() -> None:
    """Every record once and in order, whatever file it lies in."""
    disk, log, follower = following(SMALL)
    found: list[bytes] = []
    for _ in range(20):
        commit(log)
        log.rotate_if_due(NOW)
        found += told(follower)
    vouch(log)
    found += told(follower)
    assert found == records(20)
    assert len(disk.names("log")) > 3


@given(st.lists(st.sampled_from(["commit", "flush", "vouch", "seal", "read", "again"]), max_size=40), st.integers(0, 6))
def test_whatever_happens_in_between_each_record_is_told_once(acts: list[str], after: int) -> None:
    """Also where somebody new goes on behind what the one before was told."""
    disk, log, follower = following(after=after)
    found: list[bytes] = []
    for act in acts:
        if act == "commit":
            commit(log, 2)
        elif act == "flush":
            flush(log)
        elif act == "vouch":
            log.vouch()
            log.sync()
        elif act == "seal":
            log.sync()
            log.seal(NOW)
        elif act == "read":
            found += told(follower, 1)
        else:
            follower = Follower(disk, after=follower.offset)
        assert follower.offset <= max(log.durable_offset, after)
    log.sync()
    commit(log)
    vouch(log)
    while more := told(follower, 1):
        found += more
    first = found.index(record(after + 1)) if record(after + 1) in found else 0
    assert found[first:] == records(log.last_offset)[after:]
    assert first < 2, "a batch may begin before the record that was asked for, and no more than it"


def test_following_begins_with_the_batch_that_holds_the_next_record() -> None:
    """What lies before it in its batch comes along: a batch is checked as one."""
    disk, log, _ = following()
    commit(log, 2)
    commit(log, 2)
    vouch(log)
    assert told(Follower(disk, after=Offset(2))) == records(4)[2:]
    assert told(Follower(disk, after=Offset(3))) == records(4)[2:]
    assert told(Follower(disk, after=Offset(4))) == []


def test_a_read_is_bounded_but_gives_at_least_one_batch() -> None:
    """Whoever is far behind catches up piece by piece."""
    _, log, follower = following()
    for _ in range(4):
        commit(log)
    vouch(log)
    assert [told(follower, 1) for _ in range(5)] == [[each] for each in records(4)] + [[]]


def test_of_a_log_that_nobody_writes_any_more_the_end_is_told_too() -> None:
    """What lies whole in it may have been answered; a torn tail was not."""
    disk, log, follower = following()
    commit(log, 2)
    log.close()
    disk.open(FIRST).write(log.position, b"torn")
    assert told(follower) == []
    assert told(Follower(disk, after=Offset(1), ended=True)) == records(2)


def test_a_torn_tail_is_waited_for() -> None:
    """Half a batch at the end is one that is being written."""
    disk, log, follower = following()
    commit(log)
    end = log.position
    flush(log, 2)
    log.sync()
    whole = disk.open(FIRST).read(end, log.position - end)
    disk.open(FIRST).truncate(end + 50)
    assert told(follower) == []
    disk.open(FIRST).write(end, whole)
    vouch(log)
    assert told(follower) == records(3)


def test_a_follower_outlives_the_writer() -> None:
    """What recovery cuts was never told; what it writes again is told once."""
    disk, log, follower = following()
    commit(log, 2)
    commit(log)
    assert told(follower) == records(2)
    log.close()
    disk.open(FIRST).write(log.position, b"torn")
    again, _, report = reopen(disk)
    assert report.cut_bytes == 4
    commit(again)
    vouch(again)
    assert told(follower) == records(4)[2:]


def test_an_epoch_is_said_with_each_batch() -> None:
    """A new epoch has a segment of its own, so its records are told apart from those before."""
    _, log, follower = following()
    commit(log)
    log.epoch = Epoch(b"e" * 16)
    log.seal(NOW)
    commit(log)
    vouch(log)
    assert [each.epoch for each in follower.read()] == [EPOCH, b"e" * 16]


def test_an_empty_segment_may_be_made_anew() -> None:
    """As recovery does where another epoch opens in a segment that holds nothing yet."""
    disk, log, follower = following()
    commit(log)
    log.seal(NOW)
    assert told(follower) == records(1)
    second = log.segment
    log.close()
    disk.remove(second)
    epoch = Epoch(b"n" * 16)
    fresh = Commitlog.create(
        disk,
        epoch=epoch,
        entropy=SeededEntropy(9),
        timestamp=NOW,
        options=OPTIONS,
        first_offset=Offset(2),
        chain=log._chain,
    )
    commit(fresh)
    vouch(fresh)
    (only,) = follower.read()
    assert (only.epoch, only.batch.first_offset) == (epoch, 2)


def test_no_log_is_an_error() -> None:
    """There is nothing to follow where no store was."""
    with pytest.raises(DirectoryError, match="no commitlog"):
        Follower(MemoryDisk(), after=Offset(0)).read()


def test_a_log_that_begins_too_late_is_refused() -> None:
    """What was to be followed and is gone is said, never passed over."""
    disk, log, _ = following()
    commit(log, 3)
    log.seal(NOW)
    commit(log)
    late = Follower(disk, after=Offset(0))
    disk.remove(FIRST)
    for _ in range(2):  # However often it is asked.
        with pytest.raises(CorruptionError, match="behind offset 0, found it beginning at offset 4"):
            late.read()


def test_a_segment_that_goes_while_it_is_followed_is_refused() -> None:
    """Nobody may let go what a follower still needs."""
    disk, log, follower = following()
    commit(log, 3)
    commit(log)
    follower.read()
    log.seal(NOW)
    commit(log)
    disk.remove(FIRST)
    with pytest.raises(CorruptionError, match="behind offset 3"):
        follower.read()


def test_a_missing_segment_in_between_is_refused() -> None:
    """Offsets have no gaps."""
    disk, log, follower = following()
    for _ in range(3):
        commit(log, 2)
        log.seal(NOW)
    disk.remove("log/00000000000000000003.log")
    with pytest.raises(CorruptionError, match=r"expected offset 3 next, found \[5\]"):
        follower.read()


def test_a_log_that_lost_what_it_had_proven_is_refused() -> None:
    """A file that is shorter than what was told from it is another history."""
    disk, log, follower = following()
    commit(log, 3)
    vouch(log)
    commit(log)
    follower.read()
    disk.open(FIRST).truncate(120)
    with pytest.raises(CorruptionError, match="proven durable"):
        follower.read()


def test_a_segment_of_another_history_is_refused() -> None:
    """The chain leads from segment to segment."""
    disk, log, follower = following()
    commit(log, 3)
    log.seal(NOW)
    log.close()
    second = log.segment
    disk.remove(second)
    Commitlog.create(
        disk,
        epoch=EPOCH,
        entropy=SeededEntropy(9),
        timestamp=NOW,
        options=OPTIONS,
        first_offset=Offset(4),
        chain=b"x" * 32,
    )
    with pytest.raises(CorruptionError, match="expected chain"):
        follower.read()


def test_every_flipped_bit_ends_in_a_refusal_or_in_what_was_written() -> None:
    """Damaged bytes are never read as data, and nothing behind them is."""
    disk, log, _ = following()
    commit(log, 2)
    commit(log)
    vouch(log)
    data = disk.open(FIRST).read(0, log.position)
    for place in range(len(data)):
        disk.open(FIRST).write(place, bytes((data[place] ^ 4,)))
        try:
            found = told(Follower(disk, after=Offset(0)))
        except (CorruptionError, DirectoryError):
            found = []
        assert found == records(3)[: len(found)]
        disk.open(FIRST).write(place, data[place : place + 1])
