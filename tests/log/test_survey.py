"""What headers tell of a log: its segments, where it is proven, the chain at an offset."""

from itertools import pairwise

import pytest

from store.env.memory import MemoryDisk, SeededEntropy
from store.env.world import Disk
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset
from store.log.commitlog import Commitlog
from store.log.format import CHAIN_START, segment_name
from store.log.reader import LogReader
from store.log.survey import SegmentInfo, chain_at, chains_at, holds, proven_end, read_header, runs, segments
from tests.log.scenes import EPOCH, FIRST, NOW, OPTIONS, commit, copy, flush, new_log, read, record, reopen, vouch


def three_segments() -> MemoryDisk:
    """Offsets 1 to 3 in batches of 1 and 2, 4 to 6 in one batch and vouched for, 7 and 8 open, 8 unproven."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    commit(log, 2)
    assert log.seal(NOW)
    commit(log, 3)
    vouch(log)
    assert log.seal(NOW)
    commit(log)
    commit(log)
    log.close()
    return disk


def remove(disk: MemoryDisk, first_offset: int) -> None:
    """Take a whole segment away."""
    disk.remove(segment_name(Offset(first_offset)))


def ends(found: list[SegmentInfo]) -> list[tuple[int, int, int, bool]]:
    """(first, last, whole, sealed) of each segment."""
    return [(each.first_offset, each.last_offset, each.whole_offset, each.sealed) for each in found]


def test_a_log_is_told_by_its_segments() -> None:
    """A sealed one through its end; the open one through what a later batch proves, and through what lies whole."""
    found = segments(three_segments())
    assert ends(found) == [(1, 3, 3, True), (4, 6, 6, True), (7, 7, 8, False)]
    assert [each.epoch for each in found] == [EPOCH] * 3
    assert [each.meets(later) for each, later in pairwise(found)] == [True, True]
    assert found[0].chain_before == CHAIN_START


def test_no_log_has_no_segments() -> None:
    """And no proven end."""
    assert segments(MemoryDisk()) == []
    with pytest.raises(DirectoryError, match="there is no commitlog"):
        proven_end(MemoryDisk())


def test_survey_is_the_same_on_any_disk(any_disk: Disk) -> None:
    """In memory and on a real one; an empty open segment proves all before it."""
    log = new_log(any_disk)
    commit(log, 2)
    assert log.seal(NOW)
    assert ends(segments(any_disk)) == [(1, 2, 2, True), (3, 2, 2, False)]
    assert proven_end(any_disk) == (2, read_header(any_disk, Offset(3)).chain)
    log.close()


def test_the_last_batch_of_a_large_segment_is_found_from_its_end() -> None:
    """However large that batch is."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    for _ in range(4):
        log.append(b"\xc5\xff\xff" + bytes(0xFFFF))
    log.flush()
    log.sync()
    assert log.seal(NOW)
    assert ends(segments(disk))[0] == (1, 5, 5, True)


def test_a_new_log_is_proven_through_nothing() -> None:
    """Its first record is proven by the second batch."""
    disk = MemoryDisk()
    log = new_log(disk)
    assert proven_end(disk) == (0, CHAIN_START)
    commit(log)
    assert proven_end(disk) == (0, CHAIN_START)
    vouch(log)
    assert proven_end(disk) == (1, chains_at(disk, Offset(1))[0])


def test_several_batches_under_one_sync_are_proven_together() -> None:
    """By the first batch that was closed after it."""
    disk = MemoryDisk()
    log = new_log(disk)
    flush(log)
    flush(log, 2)
    log.sync()
    assert proven_end(disk)[0] == 0
    commit(log)
    assert proven_end(disk)[0] == 3


def test_what_is_proven_stays_the_end_of_a_batch() -> None:
    """Whatever is appended, vouched for or sealed later: `holds` goes on saying so."""
    disk = MemoryDisk()
    log = new_log(disk)
    seen: list[tuple[Offset, bytes]] = []
    for step in range(12):
        commit(log, 1 + step % 3)
        if step % 2:
            vouch(log)
        seen.append(proven_end(disk))
        if step % 4 == 3:
            assert log.seal(NOW)
            seen.append(proven_end(disk))
    assert all(holds(disk, offset, chain) for offset, chain in seen)
    assert not any(holds(disk, Offset(offset + 1), chain) for offset, chain in seen)


def test_the_chain_at_an_offset_is_that_of_the_batch_it_ends() -> None:
    """None in the middle of a batch, and behind the log; before the first offset it is the chain's start."""
    disk = three_segments()
    by_reading = {each.last_offset: each.chain for each in LogReader(disk, check_all=True) if each.count}
    assert chain_at(disk, Offset(0)) == CHAIN_START
    for offset in range(1, 10):
        chain = chain_at(disk, Offset(offset))
        assert (chain is None) == (offset not in by_reading)
        assert chain is None or by_reading[Offset(offset)] in chains_at(disk, Offset(offset))


def test_a_vouching_batch_gives_its_offset_a_second_chain() -> None:
    """Both are this history's; the one that the next segment begins with outlives the other, so it comes first."""
    disk = three_segments()
    chains = chains_at(disk, Offset(6))
    assert len(chains) == 2
    assert chain_at(disk, Offset(6)) == chains[0] == read_header(disk, Offset(7)).chain
    remove(disk, 1)
    remove(disk, 4)
    assert chains_at(disk, Offset(6)) == chains[:1]
    assert chain_at(disk, Offset(5)) is None


def test_another_history_does_not_hold() -> None:
    """The same records in another log have another chain."""
    disk, other = MemoryDisk(), MemoryDisk()
    for each, seed in ((disk, 1), (other, 2)):
        commit(new_log(each, seed=seed), 2)
    chain = chain_at(disk, Offset(2))
    assert chain is not None
    assert holds(disk, Offset(2), chain)
    assert not holds(other, Offset(2), chain)


def test_a_missing_segment_parts_the_log_in_runs() -> None:
    """And a reader that begins behind the gap does not miss it; one before it does."""
    disk = three_segments()
    remove(disk, 4)
    assert [[each.first_offset for each in run] for run in runs(segments(disk))] == [[1], [7]]
    assert read(disk, 7) == [record(7), record(8)]
    for offset in (1, 4, 6):
        with pytest.raises(CorruptionError, match="expected offset 4 next"):
            read(disk, offset)


def test_a_log_that_begins_later_is_read_from_there() -> None:
    """Earlier offsets are refused."""
    disk = three_segments()
    remove(disk, 1)
    assert read(disk, 4) == [record(number) for number in range(4, 9)]
    with pytest.raises(CorruptionError, match="found the log beginning at offset 4"):
        read(disk, 3)


def test_a_segment_of_another_history_parts_the_log() -> None:
    """Offsets that fit are not enough: the chains must meet."""
    disk, other = three_segments(), MemoryDisk()
    log = new_log(other, seed=9)
    commit(log, 6)
    assert log.seal(NOW)
    disk.replace(segment_name(Offset(7)), other.content(segment_name(Offset(7))))
    assert [len(run) for run in runs(segments(disk))] == [2, 1]


def test_a_log_may_begin_beside_older_segments() -> None:
    """Where a snapshot is ahead of them: at the snapshot's end, with its chain, and it opens from there."""
    disk = three_segments()
    chain = bytes(range(32))
    log = Commitlog.create(
        disk,
        epoch=EPOCH,
        entropy=SeededEntropy(5),
        timestamp=NOW,
        options=OPTIONS,
        first_offset=Offset(21),
        chain=chain,
    )
    commit(log, 2)
    assert (chain_at(disk, Offset(20)), read(disk, 21)) == (chain, [record(21), record(22)])
    assert [[each.first_offset for each in run] for run in runs(segments(disk))] == [[1, 4, 7], [21]]
    with pytest.raises(CorruptionError, match="expected offset 9 next"):
        reopen(disk)


def test_damage_at_the_end_of_a_sealed_segment_is_seen() -> None:
    """It ends before the damage, so the next one does not meet it."""
    disk = three_segments()
    disk.flip(FIRST, 8 * (len(disk.content(FIRST)) - 1))
    found = segments(disk)
    assert ends(found)[0] == (1, 1, 1, True)
    assert [len(run) for run in runs(found)] == [1, 2]


def test_damaged_headers_are_raised_or_noted() -> None:
    """With a list for them, the other segments are told, and what lies before damage in the open one."""
    disk = three_segments()
    disk.flip(segment_name(Offset(4)), 8 * 20)
    open_one = segment_name(Offset(7))
    disk.flip(open_one, 8 * 110)
    with pytest.raises(CorruptionError, match="segment header checksum"):
        segments(disk)
    noted: list[CorruptionError] = []
    assert ends(segments(disk, noted)) == [(1, 3, 3, True), (7, 6, 6, False)]
    assert [each.file for each in noted] == [segment_name(Offset(4)), open_one]


@pytest.mark.parametrize("at", [0, 50, 99])
def test_a_damaged_header_is_refused(at: int) -> None:
    """Nothing in its segment can be believed."""
    disk = three_segments()
    disk.flip(FIRST, 8 * at)
    with pytest.raises(CorruptionError):
        chain_at(disk, Offset(2))


def test_a_segment_cut_anywhere_is_told_or_refused() -> None:
    """Never with an offset it does not hold, nor a chain that is not there."""
    whole = three_segments()
    name = segment_name(Offset(4))
    true = {each.last_offset: each.chain for each in LogReader(whole, check_all=True)}
    for size in range(len(whole.content(name))):
        disk = copy(whole)
        disk.replace(name, whole.content(name)[:size])
        noted: list[CorruptionError] = []
        found = {each.first_offset: each for each in segments(disk, noted)}
        each = found.get(Offset(4))
        assert (each is None) == (size < 100) == bool(noted)
        assert (
            each is None
            or each.whole_offset == 3
            or true[each.whole_offset] in {each.chain_after, found[Offset(7)].chain_before}
        )


def test_a_disk_that_knows_its_segments_is_believed() -> None:
    """A backup far away has them in its index: nothing is opened."""
    known = segments(three_segments())

    class Far(MemoryDisk):
        def segments(self) -> list[SegmentInfo]:
            return known

    assert segments(Far()) is known
