"""Retention: what is promised stays, what is not goes after its grace, and no crash on the way breaks a directory."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.env.memory import PowerLoss, SeededEntropy
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, TableId, Timestamp
from store.log.survey import SegmentInfo, proven_end
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Pin, Repository
from store.upkeep import retention
from store.upkeep.holdings import CONDEMNED, Holdings, SnapshotFacts
from store.upkeep.retention import RetentionPlan, carry_out, plan_retention, prune, survey
from store.upkeep.snapshotting import take
from tests.engine.directories import EAGER, EPOCH, OPTIONS, SECOND, Directory, a_directory, moment
from tests.engine.scenes import committed, memory_clock, memory_disk, open_shop, reopen

PinKind = Literal["pin", "lease", "cursor"]
KINDS: tuple[PinKind, ...] = ("pin", "lease", "cursor")


# Plans over holdings that are only told of.


def chain(offset: int) -> bytes:
    """The one chain behind an offset."""
    return offset.to_bytes(32, "big")


def a_segment(first: int, last: int, *, sealed: bool = True) -> SegmentInfo:
    """A segment of records first to last."""
    return SegmentInfo(
        name=f"log/{first:020d}.log",
        first_offset=Offset(first),
        last_offset=Offset(last),
        whole_offset=Offset(last),
        epoch=EPOCH,
        created=moment(first),
        chain_before=chain(first - 1),
        chain_after=chain(last),
        size=100,
        sealed=sealed,
    )


def a_snapshot(offset: int, *, verified: bool = True, fits: bool = True) -> SnapshotFacts:
    """A snapshot at an offset."""
    return SnapshotFacts(f"{offset:020d}", Offset(offset), moment(offset), chain(offset), verified, fits)


def holding(
    *snapshots: SnapshotFacts,
    ends: Sequence[int] = (10, 20, 30, 40),
    first: int = 1,
    pins: dict[str, Pin] | None = None,
    condemned: dict[str, Timestamp] | None = None,
    **more: Any,
) -> Holdings:
    """A log of segments that end at `ends` and an open one, with these snapshots."""
    segments = []
    for end in ends:
        segments.append(a_segment(first, end))
        first = end + 1
    segments.append(a_segment(first, first + 4, sealed=False))
    told = {"damaged": (), "newer": (), **more}
    return Holdings(tuple(snapshots), segments=tuple(segments), pins=pins or {}, condemned=condemned or {}, **told)


def names(*firsts: int) -> tuple[str, ...]:
    """Segments by their first offsets."""
    return tuple(f"log/{first:020d}.log" for first in firsts)


def after(holdings: Holdings, plan: RetentionPlan) -> Holdings:
    """What there is once the plan is carried out."""
    return replace(
        holdings,
        snapshots=tuple(each for each in holdings.snapshots if each.name not in plan.remove_snapshots),
        damaged=tuple(each for each in holdings.damaged if each not in plan.remove_snapshots),
        segments=tuple(each for each in holdings.segments if each.name not in plan.remove_segments),
        condemned=dict(plan.condemned),
    )


def leads_to(holdings: Holdings, offset: int) -> bool:
    """Whether a sound snapshot, or the log's beginning, and unbroken log lead to an offset."""
    firsts = {each.first_offset: each.whole_offset for each in holdings.segments}
    bases = [each.offset for each in holdings.snapshots if each.verified and (each.fits or each.offset == offset)]
    for base in [*bases, *([0] if 1 in firsts else [])]:
        at = base
        while at < offset:
            covering = [last for first, last in firsts.items() if first <= at + 1 <= last]
            if not covering:
                break
            at = covering[0]
        if base <= offset <= at:
            return True
    return False


@st.composite
def all_holdings(draw: st.DrawFn) -> Holdings:
    """Any log with any snapshots, pins and notes; perhaps with a gap that ends at a snapshot."""
    first = draw(st.integers(1, 5))
    ends: list[int] = []
    begins: list[int] = []
    at = first
    for _ in range(draw(st.integers(0, 6))):
        begins.append(at)
        ends.append(at + draw(st.integers(0, 9)))
        at = ends[-1] + 1 + draw(st.sampled_from([0, 0, 0, 0, 7]))
    segments = [a_segment(begin, end) for begin, end in zip(begins, ends, strict=True)]
    segments.append(a_segment(at, at + draw(st.integers(0, 9)), sealed=False))
    ends.append(segments[-1].last_offset)
    offsets = draw(st.lists(st.integers(1, ends[-1] + 5), unique=True, max_size=8))
    snapshots = []
    for offset in sorted(offsets):
        within = any(each.first_offset - 1 <= offset <= each.whole_offset for each in segments)
        snapshots.append(a_snapshot(offset, verified=draw(st.integers(0, 3)) > 0, fits=within))
    pins = {
        f"{kind}-{number}": Pin(
            offset=Offset(offset), reason="a test", until=None if until is None else moment(until), kind=kind
        )
        for number, (kind, offset, until) in enumerate(
            draw(
                st.lists(
                    st.tuples(
                        st.sampled_from(KINDS),
                        st.integers(0, ends[-1]),
                        st.one_of(st.none(), st.integers(0, 300)),
                    ),
                    max_size=2,
                )
            )
        )
    }
    files = [each.name for each in segments] + [f"snapshot/{each.name}" for each in snapshots]
    condemned = draw(st.dictionaries(st.sampled_from(files), st.integers(0, 300).map(moment), max_size=4))
    damaged = draw(st.lists(st.integers(0, ends[-1]).map(lambda each: f"{each:020d}"), unique=True, max_size=1))
    damaged = [each for each in damaged if each not in {snapshot.name for snapshot in snapshots}]
    return Holdings(
        tuple(snapshots),
        tuple(damaged),
        (),
        tuple(segments),
        pins,
        {file: Timestamp(at) for file, at in condemned.items()},
    )


ALL_OPTIONS = st.builds(
    SnapshotOptions,
    keep_last=st.integers(0, 3),
    keep_daily=st.integers(0, 2),
    keep_for_s=st.integers(0, 60),
    grace_s=st.sampled_from([0, 10, 100]),
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(holdings=all_holdings(), options=ALL_OPTIONS, now=st.integers(0, 120))
def test_what_is_promised_stays_and_what_goes_had_its_grace(
    holdings: Holdings, options: SnapshotOptions, now: int
) -> None:
    """For any holdings: the window, pins, the two newest, and everything that is said to be kept."""
    plan = plan_retention(moment(now), holdings, options)
    left = after(holdings, plan)
    end = holdings.segments[-1].whole_offset
    window = [offset for offset in range(end + 1) if offset >= now - options.keep_for_s]
    live = {name: pin for name, pin in holdings.pins.items() if pin.until is None or pin.until > moment(now)}
    promised = {*window, *(pin.offset for pin in live.values() if pin.kind != "cursor")}
    assert [each for each in promised if leads_to(holdings, each) and not leads_to(left, each)] == []
    bases = [each for each in holdings.snapshots if each.base]
    assert {each.name for each in bases[-2:]} <= {each.name for each in left.snapshots}
    assert holdings.segments[-1] in left.segments
    assert holdings.segments[len(plan.remove_segments) :] == left.segments
    if left.segments[0].first_offset > 1 and plan.remove_segments:
        assert any(each.base and each.offset >= left.segments[0].first_offset - 1 for each in left.snapshots)
    for pin in live.values():
        gone = [each for each in holdings.segments if each.whole_offset > pin.offset and each not in left.segments]
        assert gone == []
    grace = options.grace_s * SECOND
    for file in [*plan.remove_segments, *(f"snapshot/{name}" for name in plan.remove_snapshots)]:
        assert min(holdings.condemned.get(file, moment(now)), moment(now)) + grace <= moment(now)
        assert file not in plan.kept
    again = plan_retention(moment(now), left, options)
    assert (again.remove_snapshots, again.remove_segments, again.condemned) == ((), (), plan.condemned)


def test_the_log_stays_back_to_the_second_newest_verified_snapshot() -> None:
    """The newest may turn out damaged; the one before leads on."""
    plan = plan_retention(moment(1_000), holding(a_snapshot(10), a_snapshot(20), a_snapshot(30)), EAGER)
    assert plan.floor == 20
    assert plan.remove_segments == names(1, 11)
    assert plan.remove_snapshots == ("00000000000000000010",)


@pytest.mark.parametrize("verified", [0, 1])
def test_with_fewer_than_two_verified_snapshots_no_log_goes(verified: int) -> None:
    """However many there are that nobody has read back."""
    found = [a_snapshot(10 * number, verified=number <= verified) for number in range(1, 5)]
    plan = plan_retention(moment(1_000), holding(*found), EAGER)
    assert (plan.floor, plan.remove_segments) == (0, ())


def test_a_snapshot_that_does_not_fit_the_log_is_nothing_to_rest_it_on() -> None:
    """It may be another store's; it stays to be looked at, and no log goes for it."""
    found = holding(a_snapshot(20), a_snapshot(30, fits=False), a_snapshot(99, fits=False))
    plan = plan_retention(moment(1_000), found, EAGER)
    assert plan.remove_segments == ()
    assert "snapshot/00000000000000000099" in plan.kept


def test_any_moment_of_the_window_stays_restorable() -> None:
    """The log stays back to the newest verified snapshot that is as old as the window, and that one stays, too."""
    found = holding(*map(a_snapshot, (10, 20, 30, 40)))
    plan = plan_retention(moment(124), found, replace(OPTIONS, grace_s=0, keep_last=2))
    assert plan.floors["the retention window"] == 20
    assert plan.remove_segments == names(1, 11)
    assert plan.remove_snapshots == ("00000000000000000010",)
    assert "the retention window begins behind it" in plan.kept["snapshot/00000000000000000020"]


def test_before_a_window_has_passed_nothing_goes() -> None:
    """The log's beginning is the only way to its first moments."""
    plan = plan_retention(moment(60), holding(*map(a_snapshot, (10, 20, 30, 40))), replace(OPTIONS, grace_s=0))
    assert plan.remove_segments == ()


@pytest.mark.parametrize(("kind", "floor"), [("pin", 10), ("lease", 10), ("cursor", 15)])
def test_a_pin_holds_what_leads_to_it_and_all_log_behind_it(kind: PinKind, floor: int) -> None:
    """A follower's cursor needs no snapshot, only the log behind it."""
    pins = {f"{kind}-x": Pin(offset=Offset(15), reason="a test", until=moment(2_000), kind=kind)}
    found = holding(*map(a_snapshot, (10, 20, 30, 40)), pins=pins)
    plan = plan_retention(moment(1_000), found, EAGER)
    assert plan.floors[f"{kind} {kind}-x"] == floor
    assert plan.remove_segments == names(1)
    assert ("00000000000000000010" in plan.remove_snapshots) == (kind == "cursor")
    assert ("00000000000000000020" in plan.remove_snapshots) == (kind != "lease")
    assert plan_retention(moment(2_000), found, EAGER).floor == 30


def test_a_lease_that_ran_out_long_ago_is_cleared_away() -> None:
    """Whoever held it died; a pin by hand is an operator's to remove."""
    pins = {
        "lease-a": Pin(offset=Offset(5), reason="", until=moment(100), kind="lease"),
        "lease-b": Pin(offset=Offset(5), reason="", until=moment(995), kind="lease"),
        "mine": Pin(offset=Offset(5), reason="", until=moment(100), kind="pin"),
    }
    assert plan_retention(moment(1_000), holding(pins=pins), OPTIONS).remove_pins == ("lease-a",)


def test_keep_last_and_keep_daily_choose_among_the_verified() -> None:
    """The newest ones, and the newest of each of the newest days that have one."""
    day = 86_400
    found = holding(
        *(a_snapshot(number) for number in (10, 20, day + 10, day + 20, 2 * day + 5, 2 * day + 6, 2 * day + 7)),
        ends=(10, 20, day + 10, day + 20, 2 * day + 4),
    )
    kept = plan_retention(moment(9 * day), found, replace(EAGER, keep_last=3, keep_daily=2)).kept
    assert sorted(int(file.partition("/")[2]) for file in kept if file.startswith("snapshot/")) == [
        *(day + 20, 2 * day + 5, 2 * day + 6, 2 * day + 7)
    ]


def test_grace_is_counted_from_when_something_became_unneeded() -> None:
    """First it is noted; until its grace has passed it stays; a plan says when the next one has."""
    found = holding(*map(a_snapshot, (10, 20, 30, 40)))
    plan = plan_retention(moment(1_000), found, replace(EAGER, grace_s=10))
    assert plan.remove_segments == plan.remove_snapshots == ()
    assert set(plan.condemned) == {*names(1, 11, 21), *(f"snapshot/{number:020d}" for number in (10, 20))}
    assert plan.due == moment(1_010)
    found = replace(found, condemned=plan.condemned)
    plan = plan_retention(moment(1_009), found, replace(EAGER, grace_s=10))
    assert (plan.remove_segments, plan.due) == ((), moment(1_010))
    plan = plan_retention(moment(1_010), found, replace(EAGER, grace_s=10))
    assert plan.remove_segments == names(1, 11, 21)
    assert (plan.condemned, plan.due) == ({}, None)


def test_a_clock_that_was_set_back_makes_no_grace_longer_than_it_is() -> None:
    """A note from the future counts from now."""
    found = holding(*map(a_snapshot, (10, 20, 30)), condemned=dict.fromkeys(names(1), moment(5_000)))
    plan = plan_retention(moment(1_000), found, replace(EAGER, grace_s=10))
    assert plan.due == moment(1_010)


def test_a_lease_holds_what_had_its_grace_and_no_longer() -> None:
    """Readers that follow each other put nothing off: once none is there, what was noted before them goes at once."""
    found = holding(*map(a_snapshot, (10, 20, 30, 40)))
    noted = plan_retention(moment(1_000), found, replace(EAGER, grace_s=10)).condemned
    lease = Pin(offset=Offset(0), reason="", until=moment(1_100), kind="lease")
    held = plan_retention(
        moment(1_050), replace(found, condemned=noted, pins={"lease-a": lease}), replace(EAGER, grace_s=10)
    )
    assert held.remove_segments == held.remove_snapshots == ()
    assert held.condemned == noted
    plan = plan_retention(moment(1_101), replace(found, condemned=held.condemned), replace(EAGER, grace_s=10))
    assert plan.remove_segments == names(1, 11, 21)


def test_what_is_needed_again_loses_its_note() -> None:
    """A pin that comes later holds it, and its grace begins anew when that goes."""
    pins = {"mine": Pin(offset=Offset(5), reason="", until=None, kind="pin")}
    condemned = dict.fromkeys(names(1), moment(1))
    found = holding(*map(a_snapshot, (10, 20, 30)), pins=pins, condemned=condemned)
    assert plan_retention(moment(1_000), found, replace(EAGER, grace_s=10)).condemned == {
        "snapshot/00000000000000000010": moment(1_000)
    }


def test_a_segment_that_alone_joins_snapshot_and_log_stays() -> None:
    """Where it was sealed behind a snapshot, the chain has gone on: nothing else shows that the two are one history."""
    odd = replace(a_snapshot(20), chain=b"before the vouch")
    plan = plan_retention(moment(1_000), holding(a_snapshot(10), odd, a_snapshot(30)), EAGER)
    assert (plan.floor, plan.remove_segments) == (20, names(1))


def test_behind_a_gap_the_first_snapshot_stays() -> None:
    """A directory that was copied while it ran may have one; it is the only way to what lies right behind."""
    found = holding(*map(a_snapshot, (10, 29, 35, 40, 44)))
    gap = replace(found, segments=tuple(each for each in found.segments if each.first_offset != 21))
    gap = replace(gap, snapshots=tuple(replace(each, fits=each.offset != 29) for each in gap.snapshots))
    plan = plan_retention(moment(100), gap, replace(EAGER, keep_for_s=68))
    assert "the log begins behind it" in plan.kept["snapshot/00000000000000000035"]
    assert plan.remove_snapshots == ("00000000000000000029",)


def test_a_damaged_manifest_goes_once_two_newer_snapshots_are_sound() -> None:
    """Until then it may be wanted for salvage, and no block goes that it may refer to."""
    found = holding(*map(a_snapshot, (10, 30, 40)), damaged=("00000000000000000020",))
    plan = plan_retention(moment(1_000), found, EAGER)
    assert "00000000000000000020" in plan.remove_snapshots
    assert plan.collect
    found = holding(*map(a_snapshot, (10, 30)), damaged=("00000000000000000040",))
    plan = plan_retention(moment(1_000), found, EAGER)
    assert "00000000000000000040" not in plan.remove_snapshots
    assert not plan.collect


def test_what_a_newer_version_wrote_stays_with_all_blocks() -> None:
    """It cannot be judged here."""
    found = holding(*map(a_snapshot, (10, 30, 40)), newer=("00000000000000000020",))
    plan = plan_retention(moment(1_000), found, EAGER)
    assert "00000000000000000020" not in plan.remove_snapshots
    assert not plan.collect


# A directory, as it lives: written, sealed, snapshotted, pruned, cut off.


def test_a_dry_run_says_what_is_then_done() -> None:
    """The same snapshots, segments, blocks and bytes; and it changes nothing."""
    made = a_directory()
    before, free = made.disk.operations, made.disk.free_bytes()
    said = made.prune(EAGER, dry_run=True)
    assert made.disk.operations == before
    done = made.prune(EAGER)
    assert replace(said, dry_run=False) == done
    assert (len(done.snapshots), len(done.segments), done.blocks) == (2, 3, 4)
    assert made.disk.free_bytes() - free == done.bytes


def test_a_second_time_there_is_nothing_to_do() -> None:
    """Nor is anything written."""
    made = a_directory()
    made.prune(EAGER)
    before = made.disk.operations
    again = made.prune(EAGER)
    assert (again.snapshots, again.segments, again.blocks, again.bytes) == ((), (), 0, 0)
    assert made.disk.operations == before


def test_blocks_that_another_snapshot_shares_stay() -> None:
    """Only what no manifest refers to goes, leftovers of a take that was cut short among it."""
    made = a_directory()
    Repository(made.disk).put_block([1], [b"an orphan"], TableId(1))
    made.prune(EAGER)
    for name in Repository(made.disk).names():
        Repository(made.disk).check(Repository(made.disk).manifest(name), progress=lambda *_: None)
    assert len(made.disk.names("block")) == 1 + 2 * 2


def test_the_grace_is_kept_across_runs_in_a_note() -> None:
    """What became unneeded is noted with its moment, and goes when a later run finds its grace passed."""
    made = a_directory()
    first = made.prune()
    assert (first.snapshots, first.segments) == ((), ())
    assert first.waiting == len(survey(made.disk).condemned) > 0
    assert first.due == made.now + 10 * SECOND
    made.now = Timestamp(made.now + 11 * SECOND)
    done = made.prune()
    assert done.segments != ()
    assert done.waiting == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"log/x": "y"}', b"\xff"])
def test_a_note_that_does_not_read_begins_every_grace_anew(content: bytes) -> None:
    """It is no reason to stop, and none to remove anything sooner."""
    made = a_directory()
    made.prune()
    made.disk.replace(CONDEMNED, content)
    made.now = Timestamp(made.now + 100 * SECOND)
    assert made.prune().segments == ()
    assert made.prune(replace(OPTIONS, grace_s=0)).segments != ()


def test_while_somebody_takes_a_snapshot_nothing_goes() -> None:
    """They would lose what they build on; a dry run only looks."""
    made = a_directory()
    made.disk.handle().lock("snapshot")
    with pytest.raises(DirectoryError, match="in use"):
        made.prune(EAGER)
    assert made.prune(EAGER, dry_run=True).segments != ()


def test_a_snapshot_that_lost_a_block_is_nothing_to_rest_the_log_on() -> None:
    """It was verified once; now the log behind the one before it stays, and both stay to be looked at."""
    made = a_directory(3)
    repository = Repository(made.disk)
    newest = repository.manifest(repository.names()[-1])
    made.disk.remove(f"block/{newest.tables[0].blocks[1].file}.blk")
    done = made.prune(EAGER)
    assert (done.snapshots, done.floor) == ((), 50)
    assert made.leads_to(51)


def test_a_pin_that_came_since_the_plan_makes_it_void() -> None:
    """It may need what was to go; whoever prunes plans again, and finds it."""
    made = a_directory()
    plan = plan_retention(made.now, survey(made.disk), EAGER)
    Repository(made.disk).pin("mine", Pin(offset=Offset(60), reason="a test", until=None, kind="pin"))
    with pytest.raises(DirectoryError, match="Plan again"):
        carry_out(made.disk, plan)
    made.prune(EAGER)
    assert made.leads_to(60)


def test_a_full_disk_does_not_keep_old_log_from_going() -> None:
    """Removing needs no space, and the note that does has it then."""
    made = a_directory()
    made.prune(replace(EAGER, grace_s=10))
    made.now = Timestamp(made.now + 20 * SECOND)
    made.write(60)
    made.snapshot()
    made.disk.set_capacity(made.disk._storage.used())
    assert made.disk.free_bytes() == 0
    done = made.prune(replace(EAGER, grace_s=10))
    assert len(done.segments) == 3
    assert done.waiting > 0
    assert survey(made.disk).condemned


def test_a_full_disk_shortens_the_grace_and_nothing_else() -> None:
    """What waits goes as far as room is wanted; what a promise, a pin or a reader needs stays."""
    patient = replace(EAGER, grace_s=1_000)
    made = a_directory()
    assert made.prune(patient, free_min=1).segments == ()  # There is room.
    waiting = made.prune(patient).waiting
    assert waiting > 0
    plain = made.prune(EAGER, dry_run=True)
    kept = Repository(made.disk)
    kept.pin("reader", Pin(Offset(0), "a test", Timestamp(made.now + 10 * SECOND), "lease"))
    made.disk.set_capacity(made.disk._storage.used() + 4_096)
    assert made.prune(patient, free_min=1 << 20).segments == ()
    kept.unpin("reader")
    done = made.prune(patient, free_min=1 << 20)
    assert (done.segments, done.snapshots) == (plain.segments, plain.snapshots)


def test_the_grace_is_shortened_by_no_more_than_is_needed() -> None:
    """What was unneeded for longer goes first; while that is enough, what has just become so waits on."""
    made = a_directory()
    made.prune(replace(EAGER, grace_s=100))
    made.write(60)
    made.snapshot()
    made.disk.set_capacity(made.disk._storage.used() + 4_096)
    done = made.prune(replace(EAGER, grace_s=100), free_min=4_097)
    assert done.segments
    assert done.waiting > 0


def test_a_disk_too_full_for_the_note_says_so() -> None:
    """Where nothing has served its grace there is nothing to win; the error is the disk's."""
    made = a_directory()
    made.disk.set_capacity(made.disk._storage.used())
    with pytest.raises(OSError, match="no space"):
        made.prune()
    assert not [name for name in made.disk.names("snapshot") if name == "condemned.json"]
    made.disk.set_capacity(1 << 30)
    assert made.prune().waiting > 0


def test_a_crash_at_any_point_leaves_what_leads_everywhere_promised() -> None:
    """Whatever of the last steps reached the disk; and the next run ends it."""
    options = replace(EAGER, keep_for_s=60)
    reference = a_directory(5)
    before = reference.disk.operations
    expected = reference.prune(options)
    steps = reference.disk.operations - before
    assert steps > 10
    for after_steps in range(steps):
        made = a_directory(5)
        made.disk.cut_power(after=after_steps)
        with pytest.raises(PowerLoss):
            made.prune(options)
        crashed = made.disk
        for disk in (crashed.crash_drop_all(), crashed.crash_keep_all(), crashed.crash(SeededEntropy(after_steps))):
            made.crash(disk)
            assert [each for each in made.promised(options) if not made.leads_to(each)] == []
            made.prune(options)
            assert Repository(disk).names() == Repository(reference.disk).names()
            assert disk.names("log") == reference.disk.names("log")
            assert disk.names("block") == reference.disk.names("block")
    assert expected.segments


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 8)),
        st.tuples(st.just("snapshot"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from([1, 5, 30])),
        st.tuples(st.just("pin"), st.integers(0, 100)),
        st.tuples(st.just("unpin"), st.just(0)),
        st.tuples(st.just("prune"), st.integers(0, 12)),
    ),
    min_size=5,
    max_size=25,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(acts=ACTS, grace=st.sampled_from([0, 7]), window=st.sampled_from([0, 15]), seed=st.integers(0, 1_000))
def test_every_promise_holds_after_any_life(acts: list[tuple[str, int]], grace: int, window: int, seed: int) -> None:
    """Writes, snapshots, waits, pins and prunes in any order, the last prune cut off in the middle."""
    options = SnapshotOptions(keep_last=2, keep_daily=0, keep_for_s=window, grace_s=grace)
    made = Directory()
    made.write()
    lasting: set[int] = set()
    for act, number in acts:
        if act == "write":
            made.write(number)
        elif act == "snapshot":
            made.snapshot(verified=number > 0)
            made.now = Timestamp(made.now + 1)
        elif act == "wait":
            made.now = Timestamp(made.now + number * SECOND)
        elif act == "pin":
            last = proven_end(made.disk)[0]
            if made.leads_to(min(number, last)) and "mine" not in Repository(made.disk).pins():
                pin = Pin(offset=Offset(min(number, last)), reason="a test", until=None, kind="pin")
                Repository(made.disk).pin("mine", pin)
        elif act == "unpin":
            if "mine" in Repository(made.disk).pins():
                Repository(made.disk).unpin("mine")
        else:
            lasting = {each for each in made.promised(options) if made.leads_to(each)}
            made.prune(options)
            assert [each for each in lasting if not made.leads_to(each)] == []
    lasting = {each for each in made.promised(options) if made.leads_to(each)}
    made.disk.cut_power(after=seed % 12)
    try:
        made.prune(options)
    except PowerLoss:
        made.crash(made.disk.crash(SeededEntropy(seed)))
    assert [each for each in lasting if not made.leads_to(each)] == []


def test_disk_use_stays_bounded_over_a_long_life() -> None:
    """By the window, the grace and what is kept, however long the store runs: no more after a thousand rounds."""
    options = SnapshotOptions(keep_last=3, keep_daily=0, keep_for_s=40, grace_s=20)
    made = Directory()
    used = []
    for _ in range(300):
        made.write(10)
        made.snapshot()
        made.prune(options)
        used.append((len(made.disk.names("log")), len(made.disk.names("snapshot")), len(made.disk.names("block"))))
    # One segment and snapshot each 10 s: the window's 4 to 5, 2 in their grace, the open one, the two newest.
    assert max(log for log, _, _ in used) <= 9
    assert max(snapshots for _, snapshots, _ in used) <= 2 * 7 + 1
    assert max(blocks for _, _, blocks in used) <= 2 * 7 + 1
    assert used[100] == used[200] == used[299]


def test_a_long_window_keeps_few_snapshots_and_its_log_moves_on() -> None:
    """One for each of its parts, however many were taken; the log is at most two parts longer than the window."""
    options = SnapshotOptions(keep_last=2, keep_daily=0, keep_for_s=400, grace_s=0)
    made = Directory()
    held, kept = [], []
    for _ in range(150):
        made.write(10)
        made.snapshot()
        made.prune(options)
        held.append(10 * len(made.disk.names("log")))
        kept.append(len(Repository(made.disk).names()))
    assert max(kept) <= retention.WINDOW_PARTS + 1 + 1 + 2
    assert max(held) <= 400 * (1 + 2 / retention.WINDOW_PARTS) + 2 * 10
    assert [each for each in made.promised(options)[::20] if not made.leads_to(each)] == []


def test_a_real_store_stays_bounded_and_opens_from_what_is_left() -> None:
    """Calls, snapshots and retention over many rounds, by simulated time: the disk holds no more than its window."""
    options = SnapshotOptions(keep_last=2, keep_daily=0, keep_for_s=120, grace_s=60)
    engine = open_shop()
    disk, clock = memory_disk(engine), memory_clock(engine)
    used = []
    for number in range(60):
        for place in range(20):
            committed(engine, "put", f"key {place}", b"%d" % number)
        assert engine.housekeeping.seal()
        taken = take(disk.handle(), clock=clock, options=options)
        assert taken.manifest.fingerprint == engine.database.fingerprint()
        prune(disk.handle(), now=clock.wall(), options=options)
        clock.advance(30 * SECOND)
        used.append(disk._storage.used())
    assert max(used[10:]) < 1.2 * used[10]
    assert len(disk.names("log")) <= 9
    engine.close()
    again = reopen(engine, disk.crash_drop_all())
    assert again.report.snapshot_offset == taken.manifest.offset
    assert again.database.fingerprint() == engine.database.fingerprint()


def test_a_run_tells_how_far_it_is() -> None:
    """By phase."""
    made = a_directory()
    told: list[tuple[str, int, int]] = []
    made.prune(EAGER, progress=lambda *said: told.append(said))
    assert told == [("removing log", number, 3) for number in (1, 2, 3)]


def test_a_directory_without_anything_is_left_alone() -> None:
    """No log, no snapshot: nothing goes, and no note is written."""
    empty = Directory()
    assert empty.prune().waiting == 0
    assert empty.disk.names("snapshot") == []


def test_a_damaged_log_header_stops_it() -> None:
    """What cannot be read is not thrown away."""
    made = a_directory()
    made.disk.flip(f"log/{made.disk.names('log')[1]}", 100)
    with pytest.raises(CorruptionError):
        made.prune(EAGER)
