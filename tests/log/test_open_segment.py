"""The segment that is written: its places, and what lies behind its end."""

import pytest

from store.env.memory import MemoryDisk
from store.ids import Offset, Position
from store.log.format import SEGMENT_HEADER_SIZE, SegmentHeader
from store.log.open_segment import OpenSegment
from store.log.segment import create_segment
from tests.log.scenes import EPOCH, FIRST, NOW

BEGIN = SEGMENT_HEADER_SIZE


def new_segment(disk: MemoryDisk) -> OpenSegment:
    """A segment with nothing but its header."""
    header = SegmentHeader(bytes(16), EPOCH, Offset(1), NOW, bytes(32))
    return OpenSegment(create_segment(disk, header), header, Position(BEGIN))


def behind_header(disk: MemoryDisk) -> bytes:
    """What the file holds behind its header."""
    return disk.content(FIRST)[BEGIN:]


def test_batches_lie_one_behind_the_other() -> None:
    """Each write goes on where the last one ended, and nothing is synced by it."""
    disk = MemoryDisk()
    segment = new_segment(disk)
    assert (segment.name, segment.empty, segment.synced) == (FIRST, True, True)
    segment.write([b"one", b"two"], True)
    segment.write([b"three"], False)
    assert behind_header(disk) == b"onetwothree"
    assert (segment.position, segment.synced_position, segment.empty, segment.synced) == (
        BEGIN + 11,
        BEGIN,
        False,
        False,
    )


def test_a_sync_covers_what_was_written_when_it_began() -> None:
    """What came meanwhile wants another."""
    segment = new_segment(MemoryDisk())
    segment.write([b"one"], False)
    end = segment.position
    segment.write([b"two"], False)
    segment.note_synced(end)
    assert (segment.synced_position, segment.synced) == (end, False)
    segment.note_synced(segment.position)
    assert segment.synced


def test_zeros_lie_ahead_and_are_written_over() -> None:
    """They want a sync, the file does not grow while there are some, and enough is enough."""
    disk = MemoryDisk()
    segment = new_segment(disk)
    segment.lay_blank(8)
    assert (behind_header(disk), segment.blank_bytes, segment.synced) == (bytes(8), 8, False)
    segment.note_synced(segment.position)
    assert segment.synced
    segment.write([b"three"], False)
    assert (behind_header(disk), segment.blank_bytes) == (b"three" + bytes(3), 3)
    before = disk.operations
    segment.lay_blank(3)
    assert disk.operations == before
    segment.write([b"longer"], False)
    assert (behind_header(disk), segment.blank_bytes) == (b"threelonger", 0)


def test_a_full_disk_has_fewer_zeros() -> None:
    """As many as there was room for, counted by what the file holds; any other error is told."""
    disk = MemoryDisk()
    segment = new_segment(disk)
    segment.write([b"one"], False)
    disk.set_capacity(segment.position + 5)
    segment.lay_blank(100)
    assert (behind_header(disk), segment.blank_bytes) == (b"one" + bytes(5), 5)
    disk.fail_write()
    with pytest.raises(OSError, match="a write failed"):
        segment.lay_blank(100)


def test_what_is_sealed_or_closed_ends_with_its_last_batch() -> None:
    """Sealing cuts the zeros durably, closing where it may; a file that may not be touched keeps them."""
    for end in ("seal", "close", "leave"):
        disk = MemoryDisk()
        segment = new_segment(disk)
        segment.write([b"one"], False)
        segment.lay_blank(8)
        segment.file.sync()
        if end == "seal":
            segment.cut_blank()
            disk = disk.crash_drop_all()
        else:
            segment.close(cut_blank=end == "close")
        assert behind_header(disk) == b"one" + (bytes(8) if end == "leave" else b"")


def test_closing_fails_for_no_zeros() -> None:
    """The next start cuts what could not be cut."""
    disk = MemoryDisk()
    segment = new_segment(disk)
    segment.lay_blank(8)
    segment.file.truncate = _fail  # type: ignore[method-assign]  # A disk that refuses.
    segment.close(cut_blank=True)


def _fail(_size: int) -> None:
    raise OSError("no")
