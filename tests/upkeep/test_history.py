"""What snapshots and log of a directory are good for together."""

from store.env.memory import MemoryDisk
from store.env.world import File
from store.ids import Offset
from store.log.format import segment_name
from store.snapshot.repository import Repository
from store.upkeep.history import History, look, timestamp_at
from tests.engine.past import a_past, everything, segment_firsts


def shape(history: History) -> list[tuple[int, int, int, tuple[int, ...], bool]]:
    """(first, last, segments, bases, from start) of each stretch."""
    return [
        (each.first, each.last, len(each.segments), tuple(base.offset for base in each.bases), each.from_start)
        for each in history.stretches
    ]


def test_an_empty_directory_has_no_history() -> None:
    """No stretch, and none is the newest."""
    history = look(MemoryDisk())
    assert (history.stretches, history.newest, history.gaps, history.refused, history.damage) == ((), None, (), (), ())


def test_a_whole_directory_is_one_stretch() -> None:
    """With every snapshot as a base, the newest first, and the log's start as the last resort."""
    past = a_past()
    first, second = past.snapshots
    history = look(past.disk)
    assert shape(history) == [(1, past.last, len(segment_firsts(past.disk)), (second, first), True)]
    (stretch,) = history.stretches
    assert [each and each.offset for each in stretch.bases_of(Offset(second))] == [second, first, None]
    assert [each and each.offset for each in stretch.bases_of(Offset(first - 1))] == [None]
    assert stretch.base_of(Offset(1)) is None


def test_what_comes_behind_a_base_is_a_few_segments() -> None:
    """From the one that holds the next offset, through the one that holds the moment."""
    past = a_past()
    first, second = past.snapshots
    (stretch,) = look(past.disk).stretches
    behind = stretch.between(Offset(first), Offset(second))
    assert (behind[0].first_offset, behind[-1].last_offset) == (first + 1, second)
    assert stretch.between(Offset(second), Offset(second)) == []


def test_without_the_start_bases_alone_lead_on() -> None:
    """The oldest of them is where the stretch begins."""
    past = a_past().drop_log(a_past().snapshots[0])
    (stretch,) = look(past.disk).stretches
    assert (stretch.first, stretch.from_start) == (past.snapshots[0], False)
    assert [each and each.offset for each in stretch.bases_of(Offset(past.last))] == [*reversed(past.snapshots)]


def test_missing_segments_are_gaps() -> None:
    """Told by their offsets; what a gap leaves without a base is in no stretch."""
    past = a_past()
    firsts = segment_firsts(past.disk)
    for first in firsts[2:4]:
        past.disk.remove(segment_name(Offset(first)))
    Repository(past.disk).remove([f"{each:020d}" for each in past.snapshots])
    history = look(past.disk)
    assert shape(history) == [(1, firsts[2] - 1, 2, (), True)]
    assert history.gaps == ((firsts[2], firsts[4] - 1),)


def test_damage_is_noted_where_it_was_looked() -> None:
    """And the stretch ends before it."""
    past = a_past()
    firsts = segment_firsts(past.disk)
    past.disk.flip(segment_name(Offset(firsts[-1])), 8 * 130)
    history = look(past.disk)
    assert [each.file for each in history.damage]
    assert history.newest is not None
    assert history.newest.last < past.last


def test_the_time_of_any_offset_is_known() -> None:
    """From a snapshot's manifest, or by reading one batch."""
    past = a_past()
    history = look(past.disk)
    assert history.newest is not None
    for offset in range(1, past.last + 1):
        assert history.time_of(Offset(offset), history.newest) == past.times[offset]
        assert timestamp_at(past.disk, Offset(offset)) == past.times[offset]


def test_what_goes_away_while_it_is_looked_is_looked_at_again() -> None:
    """A running store may remove old log at any moment."""
    past = a_past()
    first = segment_name(Offset(1))

    class Pruned(MemoryDisk):
        def open(self, name: str) -> File:
            if name == first and first.removeprefix("log/") in self.names("log"):
                self.remove(first)
            return super().open(name)

    disk = Pruned()
    for name, data in everything(past.disk).items():
        disk.replace(name, data)
    assert [(each.first, each.last) for each in look(disk).stretches] == [(past.snapshots[0], past.last)]
