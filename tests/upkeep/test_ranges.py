"""Which moments can be restored, and which one a target means."""

import re
from dataclasses import replace
from hashlib import sha256

import pytest

from store.engine.directory import MARKER
from store.env.memory import MemoryDisk
from store.errors import ConfigError, CorruptionError, DirectoryError, NotRestorable
from store.ids import Epoch, Offset, Timestamp
from store.log.format import segment_name
from store.log.reader import LogReader
from store.log.survey import SegmentInfo, segments
from store.snapshot.repository import Repository
from store.upkeep.ranges import (
    AtOffset,
    AtSnapshot,
    AtTime,
    Moment,
    Newest,
    Range,
    Target,
    resolve,
    restorable,
    show,
    snapshot_size,
)
from tests.engine.past import Past, Vanishing, a_past, everything, restored, segment_firsts, start
from tests.engine.scenes import committed, memory_disk, open_shop
from tests.engine.snapshots import taken, transplant

SECOND = 1_000_000


def spans(disk: MemoryDisk) -> list[tuple[int, int]]:
    """(first, last) of each range."""
    return [(each.first, each.last) for each in restorable(disk)]


def at(past: Past, target: Target) -> Moment:
    """What a target means in that past; looking changes nothing."""
    before = past.disk.operations
    found = resolve(past.disk, target)
    assert past.disk.operations == before
    return found


def at_time(past: Past, time: int) -> int:
    """The offset that a time means."""
    return at(past, AtTime(Timestamp(time))).offset


def name(offset: int) -> str:
    """A snapshot's."""
    return f"{offset:020d}"


def branched() -> tuple[Past, MemoryDisk]:
    """A past, and what became of it where it was restored to an earlier moment and lived on."""
    past = a_past()
    into, _ = restored(past.disk, past.snapshots[1] + 2)
    engine = start(into)
    for number in range(4):
        committed(engine, "add", "after", f"after {number}")
    engine.close()
    return past, memory_disk(engine)


def test_a_whole_log_is_one_range() -> None:
    """From the first offset to the last, with times, its snapshots, its epoch."""
    past = a_past()
    (found,) = restorable(past.disk)
    assert (found.first, found.last) == (1, past.last)
    assert (found.first_time, found.last_time) == (past.times[1], past.times[past.last])
    assert found.bases == tuple(name(each) for each in past.snapshots)
    assert found.epoch == past.state(past.last)["epochs"][-1].epoch


def test_nothing_is_restorable_where_nothing_is() -> None:
    """No range, and whoever asks is told what to do."""
    disk = MemoryDisk()
    assert restorable(disk) == []
    with pytest.raises(NotRestorable, match=r"nothing can be restored here.*backup"):
        resolve(disk, Newest())


def test_a_log_without_its_beginning_is_good_from_a_snapshot_on() -> None:
    """Which may stand where the log begins, or behind."""
    first, second = a_past().snapshots
    past = a_past().drop_log(first)
    assert spans(past.disk) == [(first, past.last)]
    Repository(past.disk).remove([name(first)])
    assert spans(past.disk) == [(second, past.last)]
    Repository(past.disk).remove([name(second)])
    assert spans(past.disk) == []


def test_a_snapshot_ahead_of_the_log_stands_for_itself() -> None:
    """And so does one that the log does not reach back to: what is between is in no range."""
    past = a_past()
    first, second = past.snapshots
    for each in segments(past.disk):
        if each.last_offset > first:
            past.disk.remove(each.name)
    assert spans(past.disk) == [(1, first), (second, second)]
    for each in segments(past.disk):
        past.disk.remove(each.name)
    assert spans(past.disk) == [(first, first), (second, second)]
    assert at(past, AtSnapshot(name(first))).replay == 0


def test_a_gap_in_the_log_parts_the_ranges() -> None:
    """Behind it a snapshot is needed again."""
    past = a_past()
    firsts = segment_firsts(past.disk)
    past.disk.remove(segment_name(Offset(firsts[1])))
    assert spans(past.disk) == [(1, firsts[1] - 1), (past.snapshots[0], past.last)]
    lost = AtOffset(Offset(firsts[1]))
    if firsts[1] < past.snapshots[0]:
        with pytest.raises(NotRestorable, match=f"offset {firsts[1]} lies in a gap"):
            resolve(past.disk, lost)


def test_ranges_are_parted_by_epoch() -> None:
    """The offsets go on, the histories do not."""
    past, branch = branched()
    first, second = restorable(branch)
    assert (first.first, first.last) == (past.snapshots[1], past.snapshots[1] + 2)
    assert second.first == first.last + 1
    assert (first.epoch, second.epoch) == tuple(each.epoch for each in start(branch).state.epochs)


def test_an_offset_is_meant_in_the_directory_s_own_history() -> None:
    """Where an epoch is named, it must be that one's there."""
    past, branch = branched()
    old = past.state(past.last)["epochs"][-1].epoch
    new = restorable(branch)[-1].epoch
    offset = Offset(past.snapshots[1] + 4)
    assert resolve(branch, AtOffset(offset)).epoch == new
    assert resolve(branch, AtOffset(offset, new)).offset == offset
    with pytest.raises(NotRestorable, match=f"is of epoch {new.hex()[:8]}, not of {old.hex()[:8]}. Restorable: "):
        resolve(branch, AtOffset(offset, old))
    with pytest.raises(NotRestorable, match="not of 00000000"):
        resolve(past.disk, AtOffset(offset, Epoch(bytes(16))))
    assert resolve(past.disk, AtOffset(offset, old)).offset == offset


def test_an_offset_has_its_newest_base() -> None:
    """And what is behind that is replayed."""
    past = a_past()
    first, second = past.snapshots
    for offset, base in ((1, 0), (first - 1, 0), (first, first), (first + 1, first), (second, second)):
        found = at(past, AtOffset(Offset(offset)))
        assert (found.offset, found.timestamp) == (offset, past.times[offset])
        assert (found.base, found.replay) == (name(base) if base else None, offset - base)
    last = at(past, Newest())
    assert (last.offset, last.base) == (past.last, name(second))


def test_what_a_moment_costs_to_read_is_said() -> None:
    """The base's blocks, each once, and every segment behind it."""
    past = a_past()
    first = past.snapshots[0]
    found = at(past, AtOffset(Offset(first + 1)))
    (segment,) = [each for each in segments(past.disk) if each.first_offset == first + 1]
    assert found.bytes == snapshot_size(Repository(past.disk).manifest(name(first))) + segment.size


@pytest.mark.parametrize("offset", [0, -1])
def test_an_offset_before_the_oldest_is_refused(offset: int) -> None:
    """With what there is, by offsets and times."""
    past = a_past()
    first = show(restorable(past.disk)[0].first_time)
    listed = rf"Restorable: offsets 1 to {past.last} \({first} to "
    with pytest.raises(NotRestorable, match=f"offset {offset} is before the oldest moment.*{listed}"):
        at(past, AtOffset(Offset(offset)))


def test_an_offset_in_the_future_is_refused() -> None:
    """Nobody knows it yet."""
    past = a_past()
    with pytest.raises(NotRestorable, match=f"offset {past.last + 1} is later than the last transaction"):
        at(past, AtOffset(Offset(past.last + 1)))


def test_a_time_means_the_last_transaction_at_or_before_it() -> None:
    """Its own, or that before the next one, however close."""
    past = a_past()
    for offset in range(1, past.last + 1):
        assert at_time(past, past.times[offset]) == offset
        if offset < past.last:
            assert at_time(past, past.times[offset + 1] - 1) == offset
            assert at_time(past, (past.times[offset] + past.times[offset + 1]) // 2) == offset


def test_a_time_is_found_where_the_open_segment_is_empty() -> None:
    """As right after a seal: the end is that of the segment before."""
    past = a_past()
    engine = open_shop(past.copy().disk, seed=5)
    engine.group_commit.commit()
    last = engine.state.last_timestamp
    assert engine.log.seal(Timestamp(last + 1))
    for time in (last, past.times[past.last]):
        moment = resolve(memory_disk(engine), AtTime(Timestamp(time)))
        assert moment.timestamp == time


def test_a_time_is_found_in_a_log_without_its_beginning() -> None:
    """From the first snapshot's own on."""
    first = a_past().snapshots[0]
    past = a_past().drop_log(first)
    for offset in range(first, past.last):
        assert at_time(past, past.times[offset + 1] - 1) == offset
    with pytest.raises(NotRestorable, match="is before the oldest moment"):
        at_time(past, past.times[first] - 1)


def test_a_time_before_the_first_or_behind_the_last_is_refused() -> None:
    """What comes behind the last transaction that is known here, this log cannot say."""
    past = a_past()
    with pytest.raises(NotRestorable, match=r"2023-.*Z is before the oldest moment"):
        at_time(past, past.times[1] - 1)
    with pytest.raises(NotRestorable, match=f"is later than the last transaction.*to {past.last} "):
        at_time(past, past.times[past.last] + 1)


def test_a_time_in_a_gap_is_refused() -> None:
    """The last transaction before it may be one that is gone."""
    past = a_past()
    first, second = past.snapshots
    for each in segments(past.disk):
        if each.last_offset > first:
            past.disk.remove(each.name)
    for time in (past.times[first] + 1, past.times[second] - 1):
        with pytest.raises(NotRestorable, match="lies in a gap"):
            at_time(past, time)
    assert at_time(past, past.times[first]) == first
    assert at_time(past, past.times[second]) == second


def test_a_time_crosses_epochs() -> None:
    """One restored directory is one line of time."""
    past, branch = branched()
    first, second = restorable(branch)
    for each in (first, second):
        assert resolve(branch, AtTime(each.last_time)).offset == each.last
    assert resolve(branch, AtTime(Timestamp(second.first_time - 1))).offset == first.last
    assert past.times[past.last] < second.first_time


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00.000000Z"),  # Before the clocks go back,
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00.000000Z"),  # and an hour later, by the same clock face.
        ("2026-11-21T14:30:00Z", "2026-11-21T14:30:00.000000Z"),
        ("2026-11-21 14:30:00.000001+00:00", "2026-11-21T14:30:00.000001Z"),
        (" 20261121T143000-0530\n", "2026-11-21T20:00:00.000000Z"),
        ("1970-01-01T01:00+01:00", "1970-01-01T00:00:00.000000Z"),
    ],
)
def test_a_time_with_its_zone_is_read(text: str, expected: str) -> None:
    """In any notation of RFC 3339 and ISO 8601."""
    assert show(AtTime.parse(text).timestamp) == expected


@pytest.mark.parametrize("text", ["2026-10-25T02:30:00", "2026-11-21", "2026-11-21 14:30"])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    """It could mean another moment; the error shows how to write either."""
    with pytest.raises(ConfigError, match=r"has no zone.*Write 2026-.*Z for UTC, or 2026-.*\+02:00"):
        AtTime.parse(text)


@pytest.mark.parametrize("text", ["", "yesterday", "1732199400", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With an example of one."""
    with pytest.raises(ConfigError, match="Write it as 2026-11-21T14:30:00Z"):
        AtTime.parse(text)


def test_a_snapshot_is_meant_by_its_name() -> None:
    """Which stands for its offset."""
    past = a_past()
    found = at(past, AtSnapshot(name(past.snapshots[0])))
    assert (found.offset, found.base, found.replay) == (past.snapshots[0], name(past.snapshots[0]), 0)


@pytest.mark.parametrize("wrong", ["", "7", name(7), "../store", "newest"])
def test_a_snapshot_that_is_not_there_is_refused(wrong: str) -> None:
    """With the names of those that are."""
    past = a_past()
    with pytest.raises(NotRestorable, match=f"there is {name(past.snapshots[1])}, {name(past.snapshots[0])}"):
        at(past, AtSnapshot(wrong))


def test_a_snapshot_that_is_damaged_is_refused() -> None:
    """By name as corruption; as a base it is passed over."""
    past = a_past()
    file = f"snapshot/{name(past.snapshots[1])}.json"
    past.disk.flip(file, 8 * 50)
    with pytest.raises(CorruptionError, match=file):
        at(past, AtSnapshot(name(past.snapshots[1])))
    assert at(past, Newest()).base == name(past.snapshots[0])


def test_a_snapshot_of_a_newer_version_is_refused() -> None:
    """By name, as such; as a base it is passed over."""
    past = a_past()
    file = f"snapshot/{name(past.snapshots[1])}.json"
    *lines, trailer, _ = past.disk.content(file).split(b"\n")
    said = b"".join(each + b"\n" for each in lines).replace(b'"snapshot":1', b'"snapshot":2', 1)
    sealed = re.sub(rb"[0-9a-f]{64}", sha256(said).hexdigest().encode(), trailer)
    past.disk.replace(file, said + sealed + b"\n")
    with pytest.raises(DirectoryError, match="version 2"):
        at(past, AtSnapshot(name(past.snapshots[1])))
    assert at(past, Newest()).base == name(past.snapshots[0])


def test_a_snapshot_of_another_tenant_is_no_base() -> None:
    """Wherever its offset lies: by name it is refused with the reason."""
    for calls in (2, 60):
        past, engine = a_past(), open_shop(seed=77)
        for number in range(calls):
            committed(engine, "add", f"somebody {number}")
        engine.log.vouch()
        engine.group_commit.commit()
        foreign = taken(memory_disk(engine)).manifest.offset
        transplant(memory_disk(engine), past.disk)
        assert spans(past.disk) == [(1, past.last)]
        with pytest.raises(NotRestorable, match="cannot be used: it is of another tenant"):
            at(past, AtSnapshot(name(foreign)))


def test_a_snapshot_of_another_history_is_no_base() -> None:
    """Not even of the same tenant: the log's chain tells them apart."""
    past, branch = branched()
    engine = start(branch, seed=10)
    engine.log.vouch()
    engine.group_commit.commit()
    offset = taken(memory_disk(engine)).manifest.offset
    assert past.snapshots[1] < offset <= past.last
    engine.close()
    transplant(memory_disk(engine), past.disk)
    assert spans(past.disk) == [(1, past.last)]
    with pytest.raises(NotRestorable, match="the log has another history at its offset"):
        at(past, AtSnapshot(name(offset)))


def test_damage_in_the_log_ends_a_range_where_it_is_seen() -> None:
    """A segment header: what is before it is restorable, and what a snapshot behind it leads to."""
    past = a_past()
    firsts = segment_firsts(past.disk)
    past.disk.flip(segment_name(Offset(firsts[1])), 8 * 30)
    assert spans(past.disk) == [(1, firsts[1] - 1), (past.snapshots[0], past.last)]


def test_damage_to_the_first_batch_leaves_the_snapshots() -> None:
    """The log's own beginning is not offered any more."""
    past = a_past()
    past.disk.flip(segment_name(Offset(1)), 8 * 190)
    assert spans(past.disk) == [(past.snapshots[0], past.last)]
    assert at_time(past, past.times[past.last]) == past.last


def test_damage_to_the_last_batch_ends_before_it() -> None:
    """What is offered can be read."""
    past = a_past()
    last = [each for each in LogReader(past.disk) if each.count][-1]
    past.disk.flip(last.segment, 8 * (last.position + 90))
    assert spans(past.disk) == [(1, last.first_offset - 1)]
    assert at(past, Newest()).offset == last.first_offset - 1


def test_long_lists_of_ranges_are_cut_short() -> None:
    """An error shows the newest, and counts the rest."""
    past = a_past()
    for _, last in past.batches[:20]:
        taken(past.disk, last)
    for each in segments(past.disk):
        past.disk.remove(each.name)
    with pytest.raises(NotRestorable, match=r"; and [0-9]+ older"):
        at(past, AtOffset(Offset(past.last + 1)))


def test_a_directory_that_knows_its_segments_is_asked_nothing_else() -> None:
    """Times that stand in an index are not read from the log."""
    past = a_past()
    times = {offset: Timestamp(time) for offset, time in past.times.items()}
    known = [
        replace(each, first_timestamp=times[each.first_offset], last_timestamp=times[each.last_offset])
        for each in segments(past.disk)
    ]

    class Far(MemoryDisk):
        def segments(self) -> list[SegmentInfo]:
            return known

    far = Far()
    (found,) = restorable(far)
    assert found == Range(Offset(1), Offset(past.last), times[1], times[past.last], (), known[0].epoch)


def test_looking_writes_nothing() -> None:
    """On any directory, also while it is served."""
    engine = start(a_past().disk)
    before = everything(memory_disk(engine))
    restorable(memory_disk(engine).handle())
    resolve(memory_disk(engine).handle(), Newest())
    assert everything(memory_disk(engine)) == before
    assert MARKER in before


def test_what_goes_away_while_it_is_looked_is_looked_at_again() -> None:
    """Whichever file it is: what comes out is what is still there, and the moment asked for where it is."""
    past = a_past()
    at_end = AtTime(Timestamp(past.times[past.last]))
    for countdown in range(1, 80):
        for target in (Newest(), at_end):
            disk = Vanishing()
            for name, data in everything(past.disk).items():
                disk.replace(name, data)
            disk.countdown = countdown
            try:
                assert resolve(disk, target).offset <= past.last
            except NotRestorable:
                assert not restorable(disk) or restorable(disk)[-1].last < past.last
