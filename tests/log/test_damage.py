"""What damage is taken for: cut at every byte, turn over every bit, overwrite, forge."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import split_batch
from store.env.memory import MemoryDisk
from store.errors import CorruptionError
from store.ids import Offset, Position
from store.log.format import SEGMENT_HEADER_SIZE, BatchFormat
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

LAST = "log/00000000000000000004.log"
RECORDS = 10
ENDS = {0, 2, 3, 4, 6, 8, 9, 10}
"""The offsets at which batches end."""


def two_segments(*, vouched: bool) -> MemoryDisk:
    """[1 2] [3] | [4] [5 6][7 8 under the same sync] [9] [10], and perhaps an empty batch that vouches for it."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 2)
    commit(log, 1)
    assert log.seal(NOW)
    commit(log, 1)
    flush(log, 2)
    flush(log, 2)
    log.sync()
    commit(log, 1)
    commit(log, 1)
    if vouched:
        vouch(log)
    log.close()
    return disk


VOUCHED = two_segments(vouched=True)
UNVOUCHED = two_segments(vouched=False)
LOGS = pytest.mark.parametrize("whole", [VOUCHED, UNVOUCHED], ids=["vouched", "unvouched"])


def damaged_at(disk: MemoryDisk, name: str, byte: int) -> tuple[int, int, bool]:
    """The batch that holds a byte: (position, records before it, whether a later batch proves it was durable)."""
    listed = batches(disk)
    position, first = next(
        (at, first) for segment, at, end, first, *_ in listed if segment == name and at <= byte < end
    )
    proven = any(durable >= first for segment, at, *_, durable in listed if segment == name and at > position)
    return position, first - 1, proven


def prefix(disk: MemoryDisk) -> tuple[list[bytes], CorruptionError | None]:
    """What can be read, and how it ended."""
    found: list[bytes] = []
    try:
        for batch in LogReader(disk):
            found += [bytes(raw) for raw in split_batch(batch.body)]
    except CorruptionError as error:
        return found, error
    return found, None


@LOGS
def test_a_log_cut_at_any_byte_of_its_last_segment_opens(whole: MemoryDisk) -> None:
    """All whole batches before the cut are there, nothing else, and the log goes on; a cut header is corruption."""
    content = whole.content(LAST)
    ends = {end: first + count - 1 for segment, _, end, first, count, _ in batches(whole) if segment == LAST}
    ends[SEGMENT_HEADER_SIZE] = 3
    for size in range(len(content) + 1):
        disk = whole.copy()
        disk.replace(LAST, content[:size])
        if size < SEGMENT_HEADER_SIZE:
            with pytest.raises(CorruptionError) as raised:
                reopen(disk)
            assert (raised.value.file, raised.value.position) == (LAST, 0)
            continue
        end = max(end for end in ends if end <= size)
        log, replayed, report = reopen(disk)
        assert replayed == records(ends[end])
        assert (report.file, report.position, report.cut_bytes) == (LAST, end, size - end)
        commit(log)
        assert read(disk.crash_drop_all()) == records(ends[end] + 1)


@LOGS
def test_an_earlier_segment_cut_anywhere_is_corruption(whole: MemoryDisk) -> None:
    """A later segment proves it whole; file and position of what is missing are named."""
    content = whole.content(FIRST)
    starts = [at for segment, at, *_ in batches(whole) if segment == FIRST]
    for size in range(len(content)):
        disk = whole.copy()
        disk.replace(FIRST, content[:size])
        with pytest.raises(CorruptionError) as raised:
            reopen(disk)
        expected = max((at for at in starts if at <= size), default=0) if size >= SEGMENT_HEADER_SIZE else 0
        assert (raised.value.file, raised.value.position) == (FIRST, expected)


@LOGS
@pytest.mark.parametrize("name", [FIRST, LAST])
def test_every_bit_turned_over_is_seen(whole: MemoryDisk, name: str) -> None:
    """It is refused with file and position, or, in the last batches that nothing vouches for, cut; never read."""
    disk = whole.copy()
    for bit in range(len(disk.content(name)) * 8):
        disk.flip(name, bit)
        position, before, proven = (
            (0, 0 if name == FIRST else 3, True)
            if bit // 8 < SEGMENT_HEADER_SIZE
            else damaged_at(whole, name, bit // 8)
        )
        found, error = prefix(disk)
        assert found == records(before)
        if name == FIRST or proven:
            assert error is not None
            assert (error.file, error.position) == (name, position)
        else:
            assert error is None
        disk.flip(name, bit)
    assert read(disk) == records(RECORDS)


def misjudged(whole: MemoryDisk) -> set[int]:
    """The bytes of the last segment whose damage is taken for a torn tail."""
    found = set()
    disk = whole.copy()
    for byte in range(len(disk.content(LAST))):
        disk.flip(LAST, byte * 8)
        if prefix(disk)[1] is None:
            found.add(byte)
        disk.flip(LAST, byte * 8)
    return found


def test_only_the_last_batch_can_be_misjudged_while_nothing_vouches_for_it() -> None:
    """Exactly the bytes of the batch of record 10: it was acknowledged, but no byte on disk says so yet."""
    *_, (segment, position, end, first, *_) = batches(UNVOUCHED)
    assert (segment, first) == (LAST, 10)
    assert misjudged(UNVOUCHED) == set(range(position, end))


def test_once_vouched_for_no_record_can_be_misjudged() -> None:
    """Only the empty batch itself can be cut, and with it no record is lost."""
    *_, (_, position, end, first, count, _) = batches(VOUCHED)
    assert (first, count) == (11, 0)
    assert misjudged(VOUCHED) == set(range(position, end))
    for byte in range(position, end):
        disk = VOUCHED.copy()
        disk.flip(LAST, byte * 8)
        assert reopen(disk)[1] == records(RECORDS)


def test_a_torn_byte_anywhere_in_the_unvouched_batch_opens_and_goes_on() -> None:
    """What is cut there is cut for good: new records take the offsets."""
    *_, (_, position, end, *_) = batches(UNVOUCHED)
    for byte in range(position, end):
        disk = UNVOUCHED.copy()
        disk.flip(LAST, byte * 8 + byte % 8)
        log, replayed, report = reopen(disk)
        assert (replayed, report.cut_bytes) == (records(9), end - position)
        commit(log)
        assert read(disk.crash_drop_all()) == records(10)


def test_two_batches_under_one_sync_in_any_state_are_a_torn_tail() -> None:
    """Nobody was told of either, so any part of each may be there, the later without the earlier too."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    start = log.position
    flush(log, 2)
    middle = log.position
    flush(log, 2)
    whole = disk.content(FIRST)
    for hole in range(start, len(whole), 3):
        for length in (1, 40, 150, 400):
            torn = disk.copy()
            damaged = bytes(byte ^ 0xFF for byte in whole[hole : hole + length])
            torn.replace(FIRST, whole[:hole] + damaged + whole[hole + length :])
            _, replayed, report = reopen(torn)
            assert replayed == (records(1) if hole < middle else records(3))
            assert report.cut_bytes == len(whole) - (start if hole < middle else middle)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.data())
def test_overwritten_bytes_are_never_read_as_records(data: st.DataObject) -> None:
    """Whatever is written over whatever place, what is read is a beginning of what was written."""
    vouched = data.draw(st.booleans())
    whole = VOUCHED if vouched else UNVOUCHED
    name = data.draw(st.sampled_from([FIRST, LAST]))
    content = whole.content(name)
    position = data.draw(st.integers(0, len(content) - 1))
    source = whole.content(data.draw(st.sampled_from([FIRST, LAST])))
    start = data.draw(st.integers(0, len(source) - 1))
    length = data.draw(st.integers(1, len(content)))
    patch = data.draw(st.sampled_from([bytes(length), b"\xff" * length, source[start : start + length]]))
    disk = whole.copy()
    damaged = content[:position] + patch + content[position + len(patch) :]
    disk.replace(name, damaged)
    found, error = prefix(disk)
    assert found == records(len(found))
    assert len(found) in ENDS
    if damaged == content:
        assert (len(found), error) == (RECORDS, None)
    elif name == FIRST or position < SEGMENT_HEADER_SIZE:
        assert error is not None or damaged[: len(content)] == content
    elif error is None:
        untouched = [(first, durable) for seg, at, _, first, _, durable in batches(whole)
                     if seg == LAST and at >= position + len(patch) and at < len(damaged)]  # fmt: skip
        assert all(durable <= len(found) for _, durable in untouched)


def sealed_elsewhere(first: int, durable: int) -> bytes:
    """A whole batch that checks, under the salt of a segment that is not this one."""
    return BatchFormat(bytes(16)).encode(
        [record(first)], first_offset=Offset(first), durable_offset=Offset(durable), seed=bytes(16), chain=bytes(32)
    )[0]


@pytest.mark.parametrize("own_marker", [False, True])
def test_an_argument_that_looks_like_a_batch_is_not_one(own_marker: bool) -> None:  # noqa: FBT001  # Two cases.
    """A caller cannot make a torn tail look like corruption, nor put records into the log, for it lacks the salt."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    position = log.position
    forged = sealed_elsewhere(1001, 1000)
    if own_marker:
        forged = disk.content(FIRST)[SEGMENT_HEADER_SIZE : SEGMENT_HEADER_SIZE + 4] + forged[4:]
    log.append(b"\xc4" + bytes((len(forged),)) + forged)
    flush(log)
    assert reopen(disk.copy())[0].last_offset == 3
    disk.flip(FIRST, position * 8)
    _, replayed, report = reopen(disk)
    assert (replayed, report.position) == (records(1), position)


def test_an_earlier_batch_of_this_very_segment_in_an_argument_proves_nothing() -> None:
    """Its durable offset is before the offset at which the damage lies."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    commit(log)
    position = log.position
    _, start, end, *_ = batches(disk)[1]
    log.append(b"\xc4" + bytes((end - start,)) + disk.content(FIRST)[start:end])
    commit(log)
    assert reopen(disk.copy())[0].last_offset == 4
    disk.flip(FIRST, (position + 10) * 8)
    assert reopen(disk)[1] == records(2)


def test_who_knows_the_salt_can_at_most_have_the_store_refuse() -> None:
    """A header forged with the salt, in the body of a damaged batch, counts as proof; it is never read as data."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    position = log.position
    forged, _ = BatchFormat(disk.content(FIRST)[16:32]).encode(
        [], first_offset=Offset(9), durable_offset=Offset(8), seed=bytes(16), chain=bytes(32)
    )
    log.append(b"\xc4" + bytes((len(forged),)) + forged)
    log.flush()
    log.sync()
    assert reopen(disk.copy())[0].last_offset == 2
    disk.flip(FIRST, position * 8)
    with pytest.raises(CorruptionError):
        reopen(disk)


@pytest.mark.parametrize("gap", [0, 1, 84, 512])
def test_a_recycled_sector_of_an_older_segment_is_not_read(gap: int) -> None:
    """Blocks that once held another segment's batches, at the tail, are cut."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 3)
    old = disk.content(FIRST)[SEGMENT_HEADER_SIZE:]
    log.seal(NOW)
    commit(log)
    name, end = log.segment, log.position
    disk.replace(name, disk.content(name) + bytes(gap) + old)
    _, replayed, report = reopen(disk)
    assert (replayed, report.position, report.cut_bytes) == (records(4), end, gap + len(old))


def test_a_tail_of_zeros_is_cut_and_is_no_tear() -> None:
    """A file may have grown before its content came, or for what would come."""
    disk = UNVOUCHED.copy()
    end = len(disk.content(LAST))
    disk.open(LAST).write(Position(end), bytes(5000))
    _, replayed, report = reopen(disk)
    assert (replayed, report.cut_bytes, len(disk.content(LAST))) == (records(RECORDS), 0, end)
