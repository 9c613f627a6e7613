"""Histories in one backup are told apart by their chains, joined over gaps by their epochs, and never guessed."""

import pytest

from store.backup.branches import Branch, branches, choose
from store.backup.facts import SegmentFacts, SnapshotFacts
from store.backup.index import Entry
from store.backup.layout import segment_object, snapshot_object
from store.errors import NotRestorable
from store.ids import Offset, Timestamp

ONE, TWO, THREE = ("1" * 32, "2" * 32, "3" * 32)


def chain(name: str) -> str:
    """A chain value by a name such as "a10": history a, offset 10."""
    return name.encode().hex().ljust(64, "0")


def segment(first: int, last: int, before: str, after: str, *, epoch: str = ONE, time: int | None = None) -> Entry:
    """A segment whose transactions came one a second."""
    facts = SegmentFacts(
        Offset(first),
        Offset(last),
        epoch,
        Timestamp(first),
        chain(before) if before else "0" * 64,
        chain(after),
        Timestamp(first if time is None else time),
        Timestamp(last if time is None else time + last - first),
    )
    return Entry(
        segment_object(Offset(first), Offset(last), bytes.fromhex(facts.chain_after)), 1, "cd" * 32, 1, segment=facts
    )


def snapshot(offset: int, at: str, *, epoch: str = ONE, time: int | None = None) -> Entry:
    """A snapshot."""
    moment = Timestamp(offset if time is None else time)
    facts = SnapshotFacts(Offset(offset), epoch, chain(at), moment, moment, ONE, 1, 1)
    return Entry(snapshot_object(Offset(offset), bytes.fromhex(facts.chain)), 1, "cd" * 32, 1, snapshot=facts)


def firsts(branch: Branch) -> list[int]:
    """Where its segments begin."""
    return [each.segment.first for each in branch.segments if each.segment]


def offsets(branch: Branch) -> list[int]:
    """Where its snapshots stand."""
    return [each.snapshot.offset for each in branch.snapshots if each.snapshot]


def spans(branch: Branch) -> list[tuple[int, int]]:
    """What can be restored of it."""
    return [(each.first, each.last) for each in branch.stretches()]


MAIN = [segment(1, 10, "", "a10"), segment(11, 20, "a10", "a20"), segment(21, 30, "a20", "a30")]
FORK = [
    segment(11, 15, "a10", "b15", time=11),
    segment(16, 40, "b15", "b40", epoch=TWO, time=100),
]


def test_a_log_without_gaps_is_one_branch() -> None:
    """All of it can be restored."""
    (found,) = branches([*MAIN, snapshot(15, "a15"), snapshot(30, "a30")])
    assert (firsts(found), offsets(found)) == ([1, 11, 21], [15, 30])
    assert spans(found) == [(1, 30)]
    assert (found.epoch, found.offset, found.time) == (ONE, 30, 30)


def test_histories_part_ways_where_their_chains_do() -> None:
    """The newest by its clock comes first, though the other reaches a higher offset or as high a one."""
    found = branches([*MAIN, segment(31, 90, "a30", "a90"), *FORK])
    assert [firsts(each) for each in found] == [[1, 11, 16], [1, 11, 21, 31]]
    assert [each.segments[1].object for each in found] == [FORK[0].object, MAIN[1].object]
    assert [(each.epoch, each.offset) for each in found] == [(TWO, 40), (ONE, 90)]


def test_a_snapshot_is_of_the_history_of_its_epoch() -> None:
    """At the same offset there may be one of each."""
    old, new, shared = snapshot(30, "a30"), snapshot(30, "b30", epoch=TWO, time=115), snapshot(10, "a10")
    later, earlier = branches([*MAIN, *FORK, old, new, shared])
    assert later.snapshots == (shared, new)
    assert earlier.snapshots == (shared, old)


def test_a_chosen_epoch_ends_where_the_next_begins() -> None:
    """Though others go on from it; a beginning of its digits suffices."""
    everything = [*MAIN, *FORK, segment(31, 35, "a30", "a35", epoch=THREE, time=500)]
    assert firsts(choose(everything, url="here")) == [1, 11, 21, 31]
    assert firsts(choose(everything, "11", url="here")) == [1, 11, 21]
    assert firsts(choose(everything, TWO, url="here")) == [1, 11, 16]


def test_an_epoch_that_is_not_there_is_told() -> None:
    """With those that are."""
    with pytest.raises(NotRestorable, match=f"no epoch that begins with ff.*{ONE}, {TWO}"):
        choose([*MAIN, *FORK], "ff", url="here")


def test_digits_that_begin_several_epochs_are_refused() -> None:
    """With those they begin."""
    other = "1" * 31 + "2"
    with pytest.raises(NotRestorable, match="begins 2 epochs"):
        choose([*MAIN, segment(16, 40, "b15", "b40", epoch=other)], "1", url="here")


def test_an_empty_backup_is_told() -> None:
    """Nothing is there to choose."""
    with pytest.raises(NotRestorable, match="no snapshot and no segment yet"):
        choose([], url="here")
    assert branches([]) == []


def test_over_a_gap_the_epoch_joins() -> None:
    """Each run can be restored from its first snapshot on."""
    far = [segment(50, 60, "a49", "a60"), segment(61, 70, "a60", "a70")]
    (found,) = branches([*MAIN, *far, snapshot(49, "a49"), snapshot(65, "a65")])
    assert firsts(found) == [1, 11, 21, 50, 61]
    assert spans(found) == [(1, 30), (49, 70)]


def test_over_a_gap_another_epoch_does_not_join() -> None:
    """It may have gone on from anywhere."""
    far = segment(50, 60, "b49", "b60", epoch=TWO, time=100)
    newer, older = branches([*MAIN, far, snapshot(49, "b49", epoch=TWO)])
    assert (firsts(newer), spans(newer)) == ([50], [(49, 60)])
    assert firsts(older) == [1, 11, 21]


def test_over_a_gap_two_of_one_epoch_are_not_chosen_between() -> None:
    """A directory that was rolled back under its store: nothing says which of the two went on."""
    twins = [segment(11, 20, "a10", "a20"), segment(11, 20, "a10", "x20")]
    found = branches([MAIN[0], *twins, segment(50, 60, "a49", "a60")])
    assert [50] in [firsts(each) for each in found]


def test_a_log_that_begins_late_needs_a_snapshot() -> None:
    """What is before the first one cannot be restored."""
    (found,) = branches([MAIN[1], MAIN[2], snapshot(25, "a25")])
    assert spans(found) == [(25, 30)]
    (nothing,) = branches([MAIN[1], MAIN[2]])
    assert spans(nothing) == []
    (edge,) = branches([MAIN[1], MAIN[2], snapshot(10, "a10")])
    assert spans(edge) == [(10, 30)]


def test_a_snapshot_ahead_of_the_segments_is_of_the_branch() -> None:
    """It stands alone, and is where the branch ends."""
    (found,) = branches([*MAIN, snapshot(44, "a44")])
    assert spans(found) == [(1, 30), (44, 44)]
    assert (found.offset, found.time) == (44, 44)


def test_snapshots_without_segments_are_a_branch_of_their_epoch() -> None:
    """Each by itself."""
    found = branches([snapshot(5, "a5"), snapshot(9, "a9"), snapshot(7, "b7", epoch=TWO)])
    assert [(each.epoch, spans(each)) for each in found] == [(ONE, [(5, 5), (9, 9)]), (TWO, [(7, 7)])]
    assert offsets(choose([snapshot(5, "a5"), snapshot(7, "b7", epoch=TWO)], "1", url="here")) == [5]


def test_a_long_history_is_put_together_quickly() -> None:
    """Each segment is found by its chain, not by looking at all."""
    count = 3_000
    many = [segment(1, 1, "", "a1")]
    many += [segment(each, each, f"a{each - 1}", f"a{each}") for each in range(2, count + 1)]
    (found,) = branches([*many, *(snapshot(each, f"a{each}") for each in range(10, count, 10))])
    assert (found.offset, len(found.segments), len(found.snapshots)) == (count, count, count // 10 - 1)
