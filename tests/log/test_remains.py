"""What is left of a damaged log: all that holds by itself, and what of it can be linked from a known offset."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import split_batch
from store.env.memory import MemoryDisk
from store.ids import Offset, Position
from store.log.format import CHAIN_START, segment_name
from store.log.reader import LogReader
from store.log.remains import VOUCH_SIZE, Damage, SegmentRemains, follow, remains
from store.log.survey import chains_at
from tests.log.scenes import FIRST, NOW, commit, new_log, record, records, vouch


def a_log() -> MemoryDisk:
    """Offsets 1, 2 to 3, a vouching batch, 4; sealed; 5 to 6, a vouching batch; sealed; 7, 8."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    commit(log, 2)
    vouch(log)
    commit(log)
    assert log.seal(NOW)
    commit(log, 2)
    vouch(log)
    assert log.seal(NOW)
    commit(log)
    commit(log)
    log.close()
    return disk


def followed(disk: MemoryDisk, offset: int = 0, chain: bytes = CHAIN_START) -> list[bytes]:
    """The records that are linked behind an offset."""
    return [bytes(raw) for batch in follow(disk, Offset(offset), chain) for raw in split_batch(batch.body)]


def positions(disk: MemoryDisk, name: str = FIRST) -> list[tuple[int, int, int]]:
    """(position, end, count) of each batch of a segment."""
    return [(each.position, each.end, each.count) for each in LogReader(disk, check_all=True) if each.segment == name]


def damage_of(disk: MemoryDisk) -> list[Damage]:
    """All of it."""
    found = []
    for segment in remains(disk):
        list(segment)
        found += segment.damage
    return found


def test_a_whole_log_has_no_damage_and_is_linked_from_its_start() -> None:
    """Through all segments and vouching batches."""
    assert damage_of(a_log()) == []
    assert followed(a_log()) == records(8)


@pytest.mark.parametrize("offset", [1, 3, 4, 6, 7, 8])
def test_it_is_linked_from_any_batch_s_end(offset: int) -> None:
    """With any of the chains that stand there, before or behind a vouching batch."""
    disk = a_log()
    for chain in chains_at(disk, Offset(offset)):
        assert followed(disk, offset, chain) == [record(each) for each in range(offset + 1, 9)]


def test_another_chain_is_not_followed() -> None:
    """Whatever the offsets say."""
    for offset in range(9):
        assert followed(a_log(), offset, b"\x01" * 32) == []


def test_damage_costs_the_batch_it_hit() -> None:
    """What lies behind it still holds by itself, and is told; linked is only what comes before it."""
    disk = a_log()
    position, end, _ = positions(disk)[1]
    disk.flip(FIRST, 8 * (position + 90))
    segment = SegmentRemains(disk, Offset(1))
    assert [each.batch.first_offset for each in segment] == [1, 4, 4]
    what = f"{end - position} bytes that are no whole batch"
    assert segment.damage == [Damage(FIRST, Position(position), end - position, what)]
    assert followed(disk) == records(1)


def test_damage_before_the_offset_does_no_harm() -> None:
    """A snapshot behind it has all that the damaged records said."""
    disk = a_log()
    (chain,) = chains_at(disk, Offset(4))[:1]
    inner = next(each for each in LogReader(disk) if each.last_offset == 3 and each.count).chain
    for bit in range(8 * 100, 8 * positions(disk)[1][0], 31):
        damaged = disk.copy()
        damaged.flip(FIRST, bit)
        assert followed(damaged, 4, chain) == [record(each) for each in range(5, 9)]
        assert followed(damaged, 3, inner) == [record(each) for each in range(4, 9)]


def test_a_damaged_vouching_batch_is_passed() -> None:
    """It held no record: in the middle of a segment, and at its end."""
    disk = a_log()
    for name in (FIRST, segment_name(Offset(5))):
        (position,) = [begin for begin, _, count in positions(disk, name) if not count]
        for at in range(VOUCH_SIZE):
            damaged = disk.copy()
            damaged.flip(name, 8 * (position + at))
            assert followed(damaged) == records(8)


def test_a_damaged_segment_header_costs_its_segment() -> None:
    """Without its salt nothing in it can be told from noise."""
    disk = a_log()
    chain = chains_at(disk, Offset(6))[0]
    disk.flip(segment_name(Offset(5)), 8 * 40)
    segment = SegmentRemains(disk, Offset(5))
    assert list(segment) == []
    assert segment.header is None
    assert "checksum" in segment.damage[0].what
    assert followed(disk) == records(4)
    assert followed(disk, 6, chain) == [record(7), record(8)]


def test_a_missing_segment_is_a_gap() -> None:
    """Nothing behind it is linked to what is before it."""
    disk = a_log()
    disk.remove(segment_name(Offset(5)))
    assert followed(disk) == records(4)


def test_a_copy_of_an_older_batch_is_not_taken_for_one() -> None:
    """Not even where the batch that held it, as an argument, is damaged."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log)
    older = disk.content(FIRST)[100:]
    for payload in (older, bytes(40)):
        log.append(b"\xc4" + bytes((len(payload),)) + payload)
        log.flush()
        log.sync()
    position = positions(disk)[1][0]
    disk.flip(FIRST, 8 * position)
    assert [each.batch.first_offset for each in SegmentRemains(disk, Offset(1))] == [1, 3]
    assert followed(disk) == records(1)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10_000)), max_size=4),
    cut=st.none() | st.tuples(st.integers(0, 2), st.integers(0, 600)),
    missing=st.none() | st.integers(0, 2),
)
def test_whatever_is_damaged_what_is_linked_is_a_prefix(
    flips: list[tuple[int, int]], cut: tuple[int, int] | None, missing: int | None
) -> None:
    """Of the records that were written, in order, from the first."""
    disk = a_log()
    names = [segment_name(Offset(first)) for first in (1, 5, 7)]
    for which, bit in flips:
        disk.flip(names[which], bit % (8 * len(disk.content(names[which]))))
    if cut is not None:
        disk.replace(names[cut[0]], disk.content(names[cut[0]])[: cut[1]])
    if missing is not None:
        disk.remove(names[missing])
    found = followed(disk)
    assert found == records(len(found))
