"""Salvaging: whatever is damaged, what comes out once was true, and the report says what did not come out."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.engine.directory import MARKER, RESTORING
from store.engine.replay import replay
from store.env.memory import MemoryClock, MemoryDisk, PowerLoss, SeededEntropy
from store.env.world import Disk
from store.errors import DirectoryError, NotRestorable
from store.ids import Offset
from store.log.format import segment_name
from store.log.reader import LogReader
from store.snapshot.repository import Repository
from store.upkeep.salvage import SalvageReport, salvage
from tests.engine.past import Past, a_past, everything, restored, segment_firsts, start, state_of
from tests.engine.scenes import committed, memory_disk, open_shop
from tests.engine.snapshots import TINY, row_types, taken, transplant

SALVAGED = settings(
    max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def salvaged(source: Disk, into: MemoryDisk | None = None, **more: Any) -> tuple[MemoryDisk, SalvageReport]:
    """A new directory with what can be proven."""
    into = into or MemoryDisk(filesystem=8)
    arguments: dict[str, Any] = {"clock": MemoryClock(), "entropy": SeededEntropy(5), "options": TINY, **more}
    return into, salvage(source, into, **arguments)


def name(offset: int) -> str:
    """A snapshot's."""
    return f"{offset:020d}"


def check(past: Past, into: MemoryDisk, report: SalvageReport) -> None:
    """The new directory is the state at the reported offset, or, where it is partial, some of its rows and no other."""
    truth, found = past.state(report.offset), state_of(into)
    assert report.timestamp == past.times[report.offset]
    assert report.fingerprint == found["fingerprint"]
    assert report.rows == sum(len(each["rows"]) for each in found["tables"].values())
    if not report.partial:
        assert found == truth
        assert report.lost_keys == ()
        return
    for table, rows in ((each, found["tables"][each]["rows"]) for each in truth["tables"]):
        expected = truth["tables"][table]["rows"]
        assert rows.items() <= expected.items()
        for key in expected.keys() - rows.keys():
            assert any(lost.table == table and lost.first <= key <= lost.last for lost in report.lost_keys)


def lose_snapshots(past: Past, *offsets: int) -> None:
    """Whole snapshots are gone, but their blocks."""
    Repository(past.disk).remove([name(each) for each in offsets])


def test_a_sound_directory_is_salvaged_whole() -> None:
    """Nothing is lost, nothing is damaged, and the next start opens a new epoch."""
    past = a_past()
    into, report = salvaged(past.disk)
    check(past, into, report)
    assert (report.offset, report.lost, report.damage, report.unreachable) == (past.last, None, (), ())
    assert (report.base, report.replayed) == (name(past.snapshots[1]), past.last - past.snapshots[1])
    engine = start(into)
    assert [each.reason for each in engine.state.epochs] == ["new", "salvage"]
    assert engine.state.epochs[1].parent == report.parent
    committed(engine, "add", "new")
    engine.close()
    assert start(memory_disk(engine), seed=10).state.epochs == engine.state.epochs


def test_what_follows_damage_is_lost_and_told() -> None:
    """Up to the damage everything is there; behind it, what holds by itself is named with its times."""
    past = a_past()
    lose_snapshots(past, *past.snapshots)
    batch = next(each for each in LogReader(past.disk) if each.count and each.first_offset > 20)
    past.disk.flip(batch.segment, 8 * (batch.position + 100))
    into, report = salvaged(past.disk)
    check(past, into, report)
    assert (report.offset, report.base) == (batch.first_offset - 1, None)
    assert report.lost is not None
    assert (report.lost.first, report.lost.last) == (batch.first_offset, past.last)
    (unreachable,) = report.unreachable
    assert (unreachable.first, unreachable.last) == (batch.last_offset + 1, past.last)
    assert unreachable.first_time == past.times[batch.last_offset + 1]
    assert (report.lost.first_time, report.lost.last_time) == (unreachable.first_time, past.times[past.last])
    assert [(each.file, each.position) for each in report.damage] == [(batch.segment, batch.position)]


def test_the_base_that_leads_furthest_is_taken() -> None:
    """A snapshot behind the damage leads past it; one before it does not."""
    past = a_past()
    batch = next(each for each in LogReader(past.disk) if each.count and each.first_offset > past.snapshots[0] + 3)
    past.disk.flip(batch.segment, 8 * (batch.position + 100))
    into, report = salvaged(past.disk)
    check(past, into, report)
    assert (report.offset, report.base, report.lost) == (past.last, name(past.snapshots[1]), None)
    lose_snapshots(past, past.snapshots[1])
    into, report = salvaged(past.disk)
    check(past, into, report)
    assert (report.offset, report.base) == (batch.first_offset - 1, name(past.snapshots[0]))


def test_a_snapshot_ahead_of_what_is_left_of_the_log_wins() -> None:
    """It is a state that once was true, and the latest."""
    past = a_past()
    for first in segment_firsts(past.disk)[1:]:
        past.disk.remove(segment_name(Offset(first)))
    into, report = salvaged(past.disk)
    check(past, into, report)
    assert (report.offset, report.replayed) == (past.snapshots[1], 0)


def test_a_damaged_snapshot_is_passed_by_where_another_way_leads_as_far() -> None:
    """The log from an older one, or from its start."""
    for block in (True, False):
        past = a_past()
        manifest = Repository(past.disk).manifest(name(past.snapshots[1]))
        file = (
            f"block/{manifest.tables[0].blocks[-1].file}.blk" if block else f"snapshot/{name(past.snapshots[1])}.json"
        )
        past.disk.flip(file, 8 * 30)
        into, report = salvaged(past.disk)
        check(past, into, report)
        assert (report.offset, report.partial) == (past.last, False)
        assert file in {each.file for each in report.damage}


def test_without_a_whole_base_what_holds_is_salvaged_as_partial() -> None:
    """Rows of blocks that hold, brought up to date by the log; key ranges that may lack rows are named."""
    past = a_past().drop_log(a_past().snapshots[1])
    lose_snapshots(past, past.snapshots[0])
    manifest = Repository(past.disk).manifest(name(past.snapshots[1]))
    for table in manifest.tables:
        lost = table.blocks[len(table.blocks) // 2]
        hurt = past.copy()
        hurt.disk.remove(f"block/{lost.file}.blk")
        into, report = salvaged(hurt.disk)
        check(hurt, into, report)
        assert report.partial
        assert not report.lost_answers
        assert report.offset == past.last
        assert [(each.table, each.first, each.last, each.rows) for each in report.lost_keys] == [
            (table.name, lost.first, lost.last, lost.rows)
        ]
        assert start(into).state.epochs[-1].reason == "salvage"


def test_without_the_system_part_answers_are_lost_and_said_to_be() -> None:
    """Rows are there at the snapshot's offset; what followed names callers that nobody knows any more."""
    past = a_past().drop_log(a_past().snapshots[1])
    lose_snapshots(past, past.snapshots[0])
    manifest = Repository(past.disk).manifest(name(past.snapshots[1]))
    past.disk.flip(f"block/{manifest.system.file}.blk", 8 * 20)
    into, report = salvaged(past.disk)
    check(past, into, report)
    assert (report.partial, report.lost_answers, report.lost_keys) == (True, True, ())
    assert report.offset == past.snapshots[1]
    assert start(into).state.epochs[-1].reason == "salvage"


def test_a_foreign_snapshot_is_never_taken() -> None:
    """However far it leads."""
    engine = open_shop(seed=77)
    for number in range(60):
        committed(engine, "add", f"somebody {number}")
    engine.log.vouch()
    engine.group_commit.commit()
    foreign = taken(memory_disk(engine)).manifest.offset
    for source in (a_past(), a_past().drop_log(a_past().snapshots[0])):
        transplant(memory_disk(engine), source.disk)
        into, report = salvaged(source.disk)
        check(source, into, report)
        assert report.offset == source.last
        assert [(each.name, each.reason) for each in report.passed_over] == [(name(foreign), "it is of another tenant")]


def test_a_snapshot_of_another_history_is_not_taken() -> None:
    """Of the same tenant, taken where it was restored to an earlier moment and lived on."""
    past = a_past()
    branch, _ = restored(past.disk, past.snapshots[1] + 2)
    engine = start(branch)
    engine.log.vouch()
    engine.group_commit.commit()
    other = taken(memory_disk(engine)).manifest.offset
    transplant(memory_disk(engine), past.disk)
    into, report = salvaged(past.disk)
    check(past, into, report)
    assert [(each.name, each.reason) for each in report.passed_over] == [
        (name(other), "the log has another history at its offset")
    ]


def test_progress_is_told_by_phase() -> None:
    """Every phase ends with all of it done."""
    told: dict[str, tuple[int, int]] = {}
    past = a_past()
    salvaged(past.disk, progress=lambda phase, done, total: told.update({phase: (done, total)}))
    assert list(told)[:3] == ["reading log", "reading snapshots", "writing"]
    assert all(done == total for done, total in told.values())


def test_where_nothing_can_be_proven_nothing_is_made() -> None:
    """The target is empty again, and the error says where else to look."""
    past = a_past()
    lose_snapshots(past, *past.snapshots)
    past.disk.flip(segment_name(Offset(1)), 8 * 40)
    for source in (past.disk, MemoryDisk()):
        into = MemoryDisk()
        with pytest.raises(NotRestorable, match=r"nothing can be proven.*backup"):
            salvaged(source, into)
        assert everything(into) == {}


def test_a_target_that_is_not_empty_is_refused() -> None:
    """Before anything is read, and left as it was."""
    into = MemoryDisk()
    into.replace("log/x", b"mine")
    with pytest.raises(DirectoryError, match="expected an empty directory"):
        salvaged(a_past().disk, into)
    assert everything(into) == {"log/x": b"mine"}


def test_power_fails_while_salvaging() -> None:
    """The target is refused as half made, or whole, and salvaging again succeeds; the source is untouched."""
    past = a_past()
    before = everything(past.disk)
    whole = MemoryDisk()
    salvaged(past.disk, whole)
    for after in range(0, whole.operations + 1, 3):
        into = MemoryDisk()
        into.cut_power(after=after)
        with suppress(PowerLoss):
            salvaged(past.disk, into)
        for left in (into.crash_drop_all(), into.crash(SeededEntropy(after))):
            if MARKER not in left.names():
                if RESTORING in left.names():
                    with pytest.raises(DirectoryError, match=r"half made: a .*salvage"):
                        start(left)
                salvaged(past.disk, left)
            assert state_of(left) == past.state(past.last)
    assert everything(past.disk) == before


@SALVAGED
@given(
    flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 1 << 30)), max_size=5),
    cuts=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 3_000)), max_size=2),
    missing=st.lists(st.integers(0, 1 << 20), max_size=5),
    without=st.sampled_from(["nothing", "the log's beginning", "snapshots", "the log"]),
)
def test_whatever_is_damaged_what_comes_out_once_was_true(
    flips: list[tuple[int, int]], cuts: list[tuple[int, int]], missing: list[int], without: str
) -> None:
    """In any files of log, snapshots and blocks; nothing of the source changes, and what comes out opens."""
    past = a_past()
    if without == "the log's beginning":
        past = past.drop_log(past.snapshots[0])
    names = [each for each in sorted(everything(past.disk)) if "/" in each]
    for which, bit in flips:
        chosen = names[which % len(names)]
        past.disk.flip(chosen, bit % (8 * len(past.disk.content(chosen))))
    for which, size in cuts:
        chosen = names[which % len(names)]
        past.disk.replace(chosen, past.disk.content(chosen)[:size])
    gone = {names[which % len(names)] for which in missing}
    gone |= {each for each in names if without == "snapshots" and each.startswith("snapshot/")}
    gone |= {each for each in names if without == "the log" and each.startswith("log/")}
    for each in gone:
        past.disk.remove(each)
    before, operations = everything(past.disk), past.disk.operations
    into = MemoryDisk()
    try:
        _, report = salvaged(past.disk, into)
    except NotRestorable:
        assert everything(into) == {}
    else:
        check(past, into, report)
        engine = start(into)
        assert engine.state.epochs[-1].reason == "salvage"
        assert engine.state.epochs[-1].first_offset == report.offset + 1
    assert (everything(past.disk), past.disk.operations) == (before, operations)


def test_what_was_salvaged_can_be_restored_from() -> None:
    """Its snapshot is a base as any other."""
    past = a_past()
    into, report = salvaged(past.disk)
    engine = start(into)
    committed(engine, "add", "new")
    again, moment = restored(memory_disk(engine), report.offset)
    assert moment.fingerprint == past.state(report.offset)["fingerprint"]
    assert replay(again, row_types()).state.last_offset == past.last
