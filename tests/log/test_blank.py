"""Blank: zeros that lie ahead of the log. Whatever happens, they are never a record, a tear, or a reason to refuse."""

import errno
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from store.codec import split_batch
from store.env.memory import MemoryDisk, PowerLoss, SeededEntropy
from store.env.world import File
from store.errors import CorruptionError, EngineStopped
from store.ids import Offset, Position
from store.log.commitlog import Commitlog, LogOptions
from store.log.following import Follower
from store.log.format import BATCH_HEADER_SIZE
from store.log.reader import LogReader
from store.log.remains import remains
from store.log.segment import BLANK_SIZE_MIN
from store.log.survey import holds, proven_end, segments
from tests.log.scenes import (
    EPOCH,
    FIRST,
    NOW,
    OPTIONS,
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

BLANK = 3 * BLANK_SIZE_MIN


def blank_log(size: int = BLANK) -> tuple[MemoryDisk, Commitlog]:
    """A log of three records with blank behind them, synced."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 3)
    log.lay_blank(size)
    commit(log)
    return disk, log


def test_what_is_written_over_blank_is_read_as_ever() -> None:
    """The file does not grow, the log does; behind the blank it goes on as a log without."""
    disk, log = blank_log()
    size = len(disk.content(FIRST))
    while log.blank_bytes:
        assert (len(disk.content(FIRST)), read(disk)) == (size, records(log.last_offset))
        commit(log, 5)
    assert len(disk.content(FIRST)) == log.position > size
    commit(log)
    assert read(disk) == records(log.last_offset)


def test_blank_is_laid_up_to_a_size() -> None:
    """Asked for again it is filled up; what is there is enough."""
    disk, log = blank_log()
    left = log.blank_bytes
    assert 0 < left < BLANK
    log.lay_blank(left)
    assert log.blank_bytes == left
    log.lay_blank(BLANK)
    assert (log.blank_bytes, len(disk.content(FIRST)) - log.position) == (BLANK, BLANK)


def test_an_opening_cuts_blank_and_reports_no_tear() -> None:
    """Nothing was lost, so nothing is told; the file ends where the log does."""
    disk, log = blank_log()
    opened, replayed, report = reopen(disk.crash_keep_all())
    assert (replayed, report.cut_bytes, report.cut_reason, report.position) == (records(4), 0, "", log.position)
    assert opened.blank_bytes == 0
    again, replayed, report = reopen(disk.crash_drop_all())
    assert (replayed, report.cut_bytes, again.position) == (records(4), 0, log.position)


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(["commit", "flush", "lay", "vouch", "seal"]), max_size=14))
def test_after_any_crash_it_opens_with_all_that_was_durable(seed: int, acts: list[str]) -> None:
    """Whatever of the zeros, and of what was written over them, had reached the disk."""
    disk, log = blank_log()
    for act in acts:
        if act == "commit":
            commit(log, 2)
        elif act == "flush":
            flush(log)
        elif act == "lay":
            log.lay_blank(BLANK)
        elif act == "vouch":
            vouch(log)
        else:
            log.seal(NOW)
    durable, last = log.durable_offset, log.last_offset
    crashed = disk.crash(SeededEntropy(seed))
    opened, replayed, _ = reopen(crashed)
    assert durable <= len(replayed) <= last
    assert replayed == records(len(replayed))
    assert len(crashed.content(opened.segment)) == opened.position
    commit(opened)
    assert read(crashed) == records(len(replayed) + 1)


def test_a_torn_batch_before_blank_is_cut_at_every_byte() -> None:
    """Of a batch over blank any part may be missing: zeros stand there. What is before it stays."""
    disk, log = blank_log()
    begin = log.position
    flush(log, 2)
    content, end = disk.content(FIRST), log.position
    for written in range(end - begin + 1):
        torn = disk.copy()
        torn.replace(FIRST, content[: begin + written] + bytes(len(content) - begin - written))
        _, replayed, report = reopen(torn)
        whole = replayed == records(6)
        assert whole or replayed == records(4)
        assert whole == (not content[begin + written : end].strip(b"\0"))
        lost = len(content[begin : begin + written].rstrip(b"\0"))
        assert report.cut_bytes == (0 if whole else lost)


def test_every_flipped_bit_of_a_proven_batch_is_refused() -> None:
    """Blank behind the log takes nothing away from what a later batch says."""
    disk, log = blank_log()
    begin = batches(disk)[0][1]
    end = log.position
    commit(log)
    vouch(log)
    for bit in range(begin * 8, end * 8, 7):
        damaged = disk.copy()
        damaged.flip(FIRST, bit)
        with pytest.raises(CorruptionError, match=r"was durable|expected"):
            reopen(damaged)


@settings(max_examples=300)
@given(st.integers(40, 3_000), st.lists(st.integers(1, 12), min_size=1, max_size=60))
def test_a_copy_made_piece_by_piece_opens_with_all_that_was_before_it(piece: int, counts: list[int]) -> None:
    """A copying tool may read blank, and behind it what was written later: the copy ends where the blank began.

    Where a piece ends right behind a batch's first byte, that looks like a byte that was lost: see below.
    """
    disk, log = blank_log()
    before, found = log.durable_offset, b""
    for count in counts:
        assume((log.position + 1) % piece)
        found += disk.content(FIRST)[len(found) :][:piece]
        commit(log, count)
    found += disk.content(FIRST)[len(found) :]
    copied = disk.copy()
    copied.replace(FIRST, found)
    opened, replayed, report = reopen(copied.copy(), copied=True)
    assert before <= len(replayed) <= log.last_offset
    assert replayed == records(len(replayed))
    if "copied" in report.cut_reason:
        assert len(replayed) < log.last_offset
        with pytest.raises(CorruptionError, match="was durable"):
            reopen(copied.copy())
    commit(opened)
    assert opened.last_offset == len(replayed) + 1


def test_a_hole_as_a_copy_has_one() -> None:
    """Where the directory is no copy, or more than blank stands there, it is corruption as ever."""
    disk, log = blank_log()
    begin = log.position
    commit(log, 2)
    end = log.position
    commit(log)
    content = disk.content(FIRST)
    for zeros in (1, 8, BATCH_HEADER_SIZE, end - begin):
        holed = disk.copy()
        holed.replace(FIRST, content[:begin] + bytes(zeros) + content[begin + zeros :])
        with pytest.raises(CorruptionError, match="was durable"):
            reopen(holed.copy())
        if zeros == 1:  # The rest of the header says what stood there: a byte was lost, no piece of a copy.
            with pytest.raises(CorruptionError, match="was durable"):
                reopen(holed, copied=True)
        else:
            _, replayed, report = reopen(holed, copied=True)
            assert (replayed, report.cut_bytes) == (records(4), log.position - begin)
    for bit in range(begin * 8, end * 8, 5):
        damaged = disk.copy()
        damaged.flip(FIRST, bit)
        with pytest.raises(CorruptionError, match=r"was durable|expected"):
            reopen(damaged, copied=True)


def test_a_copy_may_have_half_of_what_was_being_written() -> None:
    """A tool reads while a batch is written: its beginning, then blank, and in the next piece what came later."""
    disk, log = blank_log()
    begin = log.position
    commit(log, 2)
    end = log.position
    commit(log)
    later = log.position
    commit(log)
    commit(log)
    content = disk.content(FIRST)
    for half in range(begin + 1, end):
        for piece_end in (end + 10, later, later + 30):
            torn = disk.copy()
            torn.replace(FIRST, content[:half] + bytes(piece_end - half) + content[piece_end:])
            with pytest.raises(CorruptionError, match="was durable"):
                reopen(torn.copy())
            _, replayed, report = reopen(torn, copied=True)
            whole = not content[half:end].strip(b"\0")
            assert replayed == records(6 if whole else 4)
            assert report.cut_bytes == log.position - (end if whole else begin)


def test_a_flipped_bit_in_blank_is_a_tear() -> None:
    """It is no record, and nothing was lost: it is cut, and told."""
    disk, log = blank_log()
    disk.flip(FIRST, (log.position + 700) * 8)
    _, replayed, report = reopen(disk)
    assert (replayed, report.cut_bytes) == (records(4), 701)


def test_a_sealed_segment_and_a_closed_log_have_none() -> None:
    """Where a segment ends says its file; what follows on it need not ask."""
    disk, log = blank_log()
    end = log.position
    assert log.seal(NOW)
    assert len(disk.content(FIRST)) == end
    first, second = segments(disk)
    assert (first.sealed, first.last_offset, second.first_offset) == (True, 4, 5)
    log.lay_blank(BLANK)
    commit(log)
    log.close()
    assert len(disk.content(log.segment)) == log.position


def test_a_crash_while_a_segment_is_sealed_leaves_a_log_that_opens() -> None:
    """At every operation on the disk, and whatever of it had reached it."""
    for after in range(12):
        for seed in range(5):
            disk, log = blank_log()
            disk.cut_power(after=after)
            with suppress(PowerLoss, EngineStopped):
                log.seal(NOW)
                commit(log)
            _, replayed, report = reopen(disk.crash(SeededEntropy(seed)))
            assert replayed in (records(4), records(5))
            assert report.cut_bytes == 0 or len(replayed) == 4


def test_a_full_disk_has_no_blank_and_no_harm() -> None:
    """There is less of it, or none; what has room is written."""
    disk, log = blank_log(0)
    disk.set_capacity(len(disk.content(FIRST)) + 100)
    log.lay_blank(BLANK)
    assert log.blank_bytes <= 100
    disk.set_capacity(1 << 20)
    commit(log, 40)
    assert read(disk) == records(44)
    assert reopen(disk)[1] == records(44)


def test_another_failure_stops_the_log() -> None:
    """Nothing that the disk refuses is tried again."""
    disk, log = blank_log(0)
    disk.fail_write()
    with pytest.raises(OSError, match=str(errno.EIO)):
        log.lay_blank(BLANK)
    assert log.stopped


def test_a_follower_sees_what_is_written_over_blank() -> None:
    """Though the file does not grow; and an idle one costs a look."""
    disk, log = blank_log()
    follower = Follower(disk, after=Offset(0))

    def told() -> list[bytes]:
        return [bytes(raw) for each in follower.read() for raw in split_batch(each.batch.body)]

    found = told()
    for _ in range(5):
        assert told() == []
        commit(log)
        found += told()
    vouch(log)
    found += told()
    log.lay_blank(2 * BLANK)
    commit(log)
    vouch(log)
    assert found + told() == records(log.last_offset)


def test_whoever_reads_amid_a_write_sees_no_damage() -> None:
    """It had read half a batch ahead; by the time it comes there, the batch is whole, and proven by the next."""
    disk, log = blank_log()
    begin = log.position
    flush(log, 2)
    log.sync()
    commit(log)
    vouch(log)
    content = disk.content(FIRST)
    half = begin + BATCH_HEADER_SIZE + 3
    disk.replace(FIRST, content[:half] + bytes(len(content) - half))
    reader = iter(LogReader(disk, check_all=True))
    found = next(reader).count
    disk.open(FIRST).write(Position(0), content)
    found += sum(each.count for each in reader)
    assert found == log.last_offset


def test_operators_see_where_the_log_ends() -> None:
    """A survey and a salvage take blank for nothing; a tear before it is still one."""
    disk, log = blank_log()
    vouch(log)
    assert proven_end(disk)[0] == 4
    (segment,) = remains(disk)
    assert [each.batch.count for each in segment] == [3, 1, 0]
    assert segment.damage == []
    disk.open(FIRST).write(log.position, b"torn")
    assert len(list(segment)) == 3
    assert [each.position for each in segment.damage] == [log.position]


def test_an_older_log_of_small_batches_reads_as_before() -> None:
    """A few zeros behind a torn batch count as its own."""
    disk = MemoryDisk()
    log = new_log(disk, options=LogOptions())
    commit(log, 2)
    end = log.position
    disk.open(FIRST).write(end, b"torn" + bytes(BLANK_SIZE_MIN - 1))
    _, replayed, report = reopen(disk)
    assert (replayed, report.cut_bytes) == ([record(1), record(2)], 4 + BLANK_SIZE_MIN - 1)


def test_a_header_whose_body_is_blank_is_no_batch() -> None:
    """Also for those who read headers alone: of the last batch the body counts, blank behind it or not."""
    disk, log = blank_log()
    begin = log.position
    flush(log, 5)
    content = disk.content(FIRST)
    disk.replace(FIRST, content[: begin + BATCH_HEADER_SIZE] + bytes(len(content) - begin - BATCH_HEADER_SIZE))
    (segment,) = segments(disk)
    assert (segment.whole_offset, holds(disk, Offset(9), log._chain)) == (4, False)
    _, replayed, report = reopen(disk)
    assert (replayed, report.cut_bytes) == (records(4), BATCH_HEADER_SIZE)


def test_a_log_that_begins_behind_another_cuts_its_blank() -> None:
    """A snapshot may be ahead of a copied log: that ends where it ends, as any sealed segment does."""
    disk, log = blank_log()
    end, chain = log.position, log._chain
    Commitlog.create(
        disk,
        epoch=EPOCH,
        entropy=SeededEntropy(5),
        timestamp=NOW,
        options=OPTIONS,
        first_offset=Offset(9),
        chain=chain,
    )
    assert len(disk.content(FIRST)) == end
    with pytest.raises(CorruptionError, match="expected offset 5 next"):
        read(disk)


def test_blank_that_cannot_be_measured_stops_the_log() -> None:
    """Where the file ends must be known, or a sealed segment could keep zeros."""

    class Sizeless:
        """A file that has no size."""

        def __init__(self, file: File) -> None:
            self._file = file

        def size(self) -> int:
            """None at all."""
            raise OSError(errno.EIO, "no size")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    _, log = blank_log(0)
    log._segment.file = Sizeless(log._segment.file)  # type: ignore[assignment,misc]  # All that is asked of it.
    with pytest.raises(OSError, match="no size"):
        log.lay_blank(BLANK)
    assert log.stopped
