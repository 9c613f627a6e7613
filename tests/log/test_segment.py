"""One segment: how it comes to be, and reading it back."""

from contextlib import suppress

import pytest

from store.env.memory import MemoryDisk, PowerLoss, SeededEntropy
from store.errors import CorruptionError
from store.ids import Offset, Position
from store.log import segment
from store.log.format import (
    BATCH_HEADER_SIZE,
    CHAIN_START,
    SEGMENT_HEADER_SIZE,
    BatchFormat,
    SegmentHeader,
    decode_segment_header,
)
from store.log.segment import SegmentScan, Window, create_segment, remove_unfinished, segment_offsets
from tests.log.scenes import EPOCH, FIRST, NOW, commit, flush, new_log, read, record, records, vouch

HEADER = SegmentHeader(bytes(range(16)), EPOCH, Offset(1), NOW, CHAIN_START)


def scan(disk: MemoryDisk, *, last: bool = True, skim_to: int = 0) -> SegmentScan:
    """The first segment, read to its end."""
    found = SegmentScan(disk.open(FIRST), Offset(1), last=last, skim_to=Offset(skim_to))
    for _ in found:
        pass
    return found


def test_a_segment_has_its_name_only_with_its_header_on_disk() -> None:
    """Losing all that was not synced, at any operation of making a segment, leaves a whole one or none."""
    for operations in range(6):
        disk = MemoryDisk()
        disk.cut_power(after=operations)
        with suppress(PowerLoss):
            create_segment(disk, HEADER)
        for after in (disk.crash_drop_all(), disk.crash_keep_all(), *(disk.crash(SeededEntropy(n)) for n in range(20))):
            if segment_offsets(after):
                assert decode_segment_header(after.content(FIRST), file=FIRST) == HEADER


def test_unfinished_segments_are_removed_and_nothing_else() -> None:
    """Only what is named as a segment in the making goes."""
    disk = MemoryDisk()
    for name in ("log/00000000000000000001.log.new", "log/notes.new", "log/00000000000000000001.log", "log/1.log"):
        disk.create(name)
    remove_unfinished(disk)
    assert disk.names("log") == ["00000000000000000001.log", "1.log", "notes.new"]
    assert segment_offsets(disk) == [1]


def test_a_whole_segment_ends_without_torn_bytes() -> None:
    """The scan knows the next offset, the position, and what is proven."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 2)
    commit(log, 1)
    found = scan(disk)
    assert (found.torn, found.next_offset, found.durable_offset) == ("", 4, 2)
    assert found.position == found.size == log.position


def test_skimming_passes_bodies_by_but_keeps_the_chain() -> None:
    """Batches before the wanted offset are not read; those after it are checked in the chain."""
    disk = MemoryDisk()
    log = new_log(disk)
    for _ in range(5):
        commit(log)
    reading = SegmentScan(disk.open(FIRST), Offset(1), last=True, skim_to=Offset(4))
    assert [each.first_offset for each in reading] == [4, 5]
    disk.flip(FIRST, (SEGMENT_HEADER_SIZE + BATCH_HEADER_SIZE + 6) * 8)
    assert scan(disk, skim_to=4).next_offset == 6
    with pytest.raises(CorruptionError):
        scan(disk)


def test_batches_under_one_sync_of_which_an_earlier_is_lost_are_a_torn_tail() -> None:
    """A later batch that proves nothing at the damage is no evidence."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    position = log.position
    for _ in range(3):
        flush(log)
    disk.flip(FIRST, position * 8)
    found = scan(disk)
    assert (found.position, found.next_offset) == (position, 2)
    assert "expected a batch header, found damaged bytes for offset 2" in found.torn


def test_damage_before_a_batch_that_proves_it_was_durable_is_corruption() -> None:
    """The refusal names file, position, the proof and how far the log is readable."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    position = log.position
    commit(log)
    commit(log)
    disk.flip(FIRST, (position + 20) * 8)
    with pytest.raises(CorruptionError) as raised:
        scan(disk)
    assert (raised.value.file, raised.value.position) == (FIRST, position)
    assert "says that offset 2 was durable" in str(raised.value)
    assert "readable through offset 1" in str(raised.value)
    assert "store log verify" in str(raised.value)


def test_a_vouching_batch_is_proof_enough() -> None:
    """What was the newest batch is corruption when damaged, once an empty batch follows."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    disk_unvouched = disk.copy()
    vouch(log)
    disk.flip(FIRST, (SEGMENT_HEADER_SIZE + 90) * 8)
    disk_unvouched.flip(FIRST, (SEGMENT_HEADER_SIZE + 90) * 8)
    assert "expected batch checksum" in scan(disk_unvouched).torn
    with pytest.raises(CorruptionError, match="offset 1 was durable"):
        scan(disk)


def test_the_proof_may_have_a_damaged_body() -> None:
    """An undamaged header says what was durable, whatever became of its records."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    commit(log)
    disk.flip(FIRST, (SEGMENT_HEADER_SIZE + 90) * 8)
    disk.flip(FIRST, (log.position - 1) * 8)
    with pytest.raises(CorruptionError):
        scan(disk)


def test_damage_before_a_later_segment_is_corruption() -> None:
    """A segment is made only when all before it is durable, so nothing in front of it may be missing."""
    disk = MemoryDisk()
    commit(new_log(disk))
    disk.flip(FIRST, (SEGMENT_HEADER_SIZE + 90) * 8)
    with pytest.raises(CorruptionError, match="before a later segment"):
        scan(disk, last=False)


def batch(first: int, durable: int, chain: bytes, count: int = 1) -> tuple[bytes, bytes]:
    """An undamaged batch under HEADER's salt, with the chain after it."""
    listed = [record(first + place) for place in range(count)]
    return BatchFormat(HEADER.salt).encode(
        listed, first_offset=Offset(first), durable_offset=Offset(durable), seed=bytes(16), chain=chain
    )


def segment_of(*parts: bytes) -> MemoryDisk:
    """A segment that holds exactly these bytes behind its header."""
    disk = MemoryDisk()
    create_segment(disk, HEADER).write(Position(SEGMENT_HEADER_SIZE), b"".join(parts))
    return disk


def test_an_undamaged_batch_with_the_wrong_offset_is_corruption() -> None:
    """It was moved, or what was before it is gone: that is no torn tail, even at the very end."""
    first, chain = batch(1, 0, CHAIN_START)
    second, _ = batch(3, 0, chain)
    with pytest.raises(CorruptionError, match=r"expected offset 2, found a batch of 3 \(readable through offset 1\)"):
        scan(segment_of(first, second))


def test_an_undamaged_batch_that_breaks_the_chain_is_corruption() -> None:
    """A batch stands only behind the one it was written behind."""
    first, _ = batch(1, 0, CHAIN_START)
    second, _ = batch(2, 1, b"?" * 32)
    with pytest.raises(CorruptionError, match="expected chain"):
        scan(segment_of(first, second))


def test_batches_in_another_order_are_corruption() -> None:
    """Swapping two whole batches is seen, also where nothing vouches for them."""
    first, chain = batch(1, 0, CHAIN_START)
    second, _ = batch(2, 0, chain)
    with pytest.raises(CorruptionError):
        scan(segment_of(second, first))


def test_the_same_batch_twice_is_corruption() -> None:
    """A repeated batch does not begin where the log ends."""
    first, _ = batch(1, 0, CHAIN_START)
    with pytest.raises(CorruptionError):
        scan(segment_of(first, first))


def test_a_durable_offset_that_falls_is_corruption() -> None:
    """What was durable stays so: a header that knows less than an earlier one lies."""
    first, chain = batch(1, 0, CHAIN_START)
    second, chain = batch(2, 1, chain)
    third, _ = batch(3, 0, chain)
    with pytest.raises(CorruptionError, match="expected a durable offset from 1 to 2, found 0"):
        scan(segment_of(first, second, third))


def test_a_body_that_denies_its_count_is_corruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """Header and body say the same number of records."""
    first, _ = batch(1, 0, CHAIN_START, count=2)
    monkeypatch.setattr(segment, "body_count", lambda _: 3)
    with pytest.raises(CorruptionError, match="expected a body of 2 records, found one of 3"):
        scan(segment_of(first))


def test_a_header_in_a_file_of_another_name_is_corruption() -> None:
    """A renamed segment is not read as what its name says."""
    disk = MemoryDisk()
    commit(new_log(disk))
    disk.rename(FIRST, "log/00000000000000000002.log")
    with pytest.raises(CorruptionError, match="expected first offset 2, found 1"):
        SegmentScan(disk.open("log/00000000000000000002.log"), Offset(2), last=True, skim_to=Offset(0))


def test_a_log_that_begins_with_a_chain_is_corruption() -> None:
    """Nothing comes before offset 1."""
    disk = MemoryDisk()
    create_segment(disk, SegmentHeader(bytes(16), EPOCH, Offset(1), NOW, b"?" * 32))
    with pytest.raises(CorruptionError, match="expected the chain to begin with zeros"):
        scan(disk)


def test_proofs_are_found_wherever_the_pieces_of_a_search_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A header that straddles two reads of the search is found like any other."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    commit(log, 3)
    vouch(log)
    disk.flip(FIRST, (SEGMENT_HEADER_SIZE + 50) * 8)
    for size in range(SEGMENT_HEADER_SIZE, 400):
        monkeypatch.setattr(segment, "READ_SIZE", size)
        with pytest.raises(CorruptionError, match="was durable"):
            scan(disk)


def test_reading_in_pieces_of_any_size_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a piece ends is nowhere to be seen."""
    disk = MemoryDisk()
    log = new_log(disk)
    for count in (1, 5, 2):
        commit(log, count)
    for size in range(SEGMENT_HEADER_SIZE, 450, 7):
        monkeypatch.setattr(segment, "READ_SIZE", size)
        assert read(disk) == records(8)


def test_a_window_does_not_see_what_is_appended_later() -> None:
    """A log may be read while it is written: the reader stays within the size it found."""
    disk = MemoryDisk()
    file = disk.create("f")
    file.write(Position(0), b"before")
    window = Window(file, None)
    file.write(Position(6), b"after")
    assert (window.take(2, 100), window.take(6, 1)) == (b"fore", b"")
