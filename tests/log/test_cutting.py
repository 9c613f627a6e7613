"""A log cut behind any offset: into another directory, with every byte checked, and the same calls in it."""

from contextlib import suppress

import pytest

from store.codec import split_batch
from store.env.memory import MemoryDisk, PowerLoss
from store.env.world import Disk
from store.errors import CorruptionError
from store.ids import Offset
from store.log.cutting import begin, cut
from store.log.format import BATCH_HEADER_SIZE, BODY_HEAD_SIZE, CHAIN_START, Batch, segment_name
from store.log.reader import LogReader
from store.log.survey import chain_at, holds, proven_end, segments
from tests.log.scenes import EPOCH, FIRST, NOW, commit, copy, new_log, read, record, records, reopen, vouch

VOUCH_SIZE = BATCH_HEADER_SIZE + BODY_HEAD_SIZE


def a_log() -> MemoryDisk:
    """Batches of 1, 3, 0 (vouching) and 2 records, sealed, and 2 more in an open segment."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    commit(log, 3)
    vouch(log)
    commit(log, 2)
    assert log.seal(NOW)
    commit(log, 2)
    log.close()
    return disk


def cut_at(through: int, source: MemoryDisk | None = None) -> MemoryDisk:
    """The first segment through an offset, in a directory of its own."""
    target = MemoryDisk()
    cut(source or a_log(), target, Offset(1), Offset(through))
    return target


def batches(disk: Disk) -> list[Batch]:
    """Those with records."""
    return [each for each in LogReader(disk, check_all=True) if each.count]


@pytest.mark.parametrize("through", range(1, 7))
def test_a_log_is_cut_behind_any_offset(through: int) -> None:
    """It holds all records through that one and none behind it, and it goes on from there."""
    disk = cut_at(through)
    assert read(disk) == records(through)
    log, replayed, report = reopen(disk)
    assert (replayed, report.cut_bytes) == (records(through), 0)
    commit(log, 2)
    assert reopen(disk.crash_drop_all())[1] == records(through + 2)


@pytest.mark.parametrize("through", range(1, 7))
def test_the_seeds_and_offsets_of_a_cut_log_are_the_source_s(through: int) -> None:
    """What its calls drew from them they draw again: only the last batch may hold fewer records."""
    before, after = batches(a_log()), batches(cut_at(through))
    for was, now in zip(before, after, strict=False):
        assert (now.seed, now.first_offset, now.durable_offset) == (was.seed, was.first_offset, was.durable_offset)
        assert split_batch(now.body) == split_batch(was.body)[: now.count]


@pytest.mark.parametrize("through", [1, 4, 6])
def test_a_cut_at_a_batch_s_end_keeps_every_byte(through: int) -> None:
    """The cut file is the beginning of the source's, and behind it one batch that vouches."""
    source = a_log()
    disk = cut_at(through, source)
    assert source.content(FIRST).startswith(disk.content(FIRST)[:-VOUCH_SIZE])
    chain = chain_at(disk, Offset(through))
    assert chain is not None
    assert holds(source, Offset(through), chain) or holds(source, Offset(through), batches(disk)[-1].chain)


def test_the_end_of_a_cut_log_is_proven() -> None:
    """So that damage to its last record is corruption, never a torn tail."""
    for through in range(1, 7):
        disk = cut_at(through)
        assert proven_end(disk)[0] == through
        last = batches(disk)[-1]
        disk.flip(FIRST, 8 * (last.end - 1))
        with pytest.raises(CorruptionError, match=f"offset {through} was durable"):
            read(disk)


def test_cutting_returns_the_chain_behind_the_last_record() -> None:
    """Where a batch ends there, the source's own."""
    source, target = a_log(), MemoryDisk()
    chain = cut(source, target, Offset(1), Offset(4))
    assert holds(source, Offset(4), chain)
    assert holds(target, Offset(4), chain)


def test_the_open_segment_is_cut_as_well() -> None:
    """Also at what nothing proves yet: it is checked whole."""
    target = MemoryDisk()
    cut(a_log(), target, Offset(7), Offset(8))
    assert read(target, 7) == [record(7), record(8)]


def test_damage_before_the_cut_is_refused() -> None:
    """And leaves nothing that has a segment's name; damage behind it does no harm."""
    source = a_log()
    third = batches(source)[2]
    source.flip(FIRST, 8 * (third.position + 90))
    assert read(cut_at(4, source)) == records(4)
    for through in (5, 6):
        target = MemoryDisk()
        with pytest.raises(CorruptionError) as error:
            cut(source, target, Offset(1), Offset(through))
        assert (error.value.file, error.value.position) == (FIRST, third.position)
        assert segments(target) == []


def test_a_source_that_ends_earlier_is_refused() -> None:
    """With how far it goes."""
    with pytest.raises(CorruptionError, match="expected offset 9, found the end behind offset 8"):
        cut(a_log(), MemoryDisk(), Offset(7), Offset(9))


def test_power_fails_while_cutting() -> None:
    """The segment is there whole or not at all, and the source is as it was."""
    source = a_log()
    before = copy(source)
    for after in range(10):
        target = MemoryDisk()
        target.cut_power(after=after)
        with suppress(PowerLoss):
            cut(source, target, Offset(1), Offset(3))
        for crashed in (target.crash_drop_all(), target.crash_keep_all()):
            assert not segments(crashed) or read(crashed) == records(3)
    assert segments(crashed)
    assert all(source.content(f"log/{name}") == before.content(f"log/{name}") for name in source.names("log"))


def test_a_log_may_begin_empty_behind_a_snapshot() -> None:
    """Its first segment carries the snapshot's chain, and it opens from there."""
    disk = MemoryDisk()
    begin(disk, first_offset=Offset(8), epoch=EPOCH, created=NOW, chain=b"\x07" * 32, salt=bytes(16))
    (segment,) = segments(disk)
    assert (segment.first_offset, segment.whole_offset, segment.chain_before) == (8, 7, b"\x07" * 32)
    assert segment.chain_before != CHAIN_START
    assert segment.name == segment_name(Offset(8))
    assert read(disk, 8) == []
