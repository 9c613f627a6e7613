"""Restoring: the state behind any transaction, in a new directory, proven; the source as it was."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.engine.directory import MARKER, RESTORING, inspect
from store.engine.engine import Engine
from store.engine.reexecution import reexecute
from store.env.memory import MemoryClock, MemoryDisk, NoDeadline, PowerLoss, SeededEntropy
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.world import World
from store.errors import CorruptionError, DirectoryError, NotRestorable
from store.ids import Offset, Timestamp
from store.log.commitlog import LogOptions
from store.log.reader import LogReader
from store.log.survey import chains_at, proven_end, read_header, segments
from store.snapshot.format import fingerprint_of
from store.snapshot.repository import Repository
from store.upkeep.ranges import AtOffset, AtSnapshot, Newest, resolve, restorable
from store.upkeep.restore import plan, restore
from tests.canonical import canonical
from tests.engine.past import Past, Vanishing, a_past, everything, restored, segment_firsts, start, state_of
from tests.engine.scenes import DOMAIN, call, committed, memory_disk, open_shop, reopen
from tests.engine.snapshots import DAMAGES, Archive, drop_log, taken


def offsets(past: Past) -> list[int]:
    """Every kind of offset: a batch's end and middle, a segment's end and beginning, a snapshot's own, first, last."""
    firsts = segment_firsts(past.disk)
    middles = [first for first, last in past.batches if last > first][:3]
    ends = [each - 1 for each in firsts[1:]]
    return sorted({1, 2, past.last, past.last - 1, *past.snapshots, *(s + 1 for s in past.snapshots), *middles, *ends})


def test_any_moment_is_restored() -> None:
    """What comes out is the state of that moment, all of it: rows, order, answers, identities, epochs, time."""
    past = a_past()
    assert len(past.snapshots) == 2
    assert len(segment_firsts(past.disk)) > 5
    for offset in offsets(past):
        into, report = restored(past.disk, offset)
        assert state_of(into) == past.state(offset)
        assert (report.offset, report.timestamp) == (offset, past.times[offset])
        assert report.fingerprint == past.state(offset)["fingerprint"]


def test_every_single_offset_is_restored() -> None:
    """By fingerprint and time, however batches, segments and snapshots lie."""
    past = a_past()
    for offset in range(1, past.last + 1):
        _, report = restored(past.disk, offset)
        assert (report.offset, report.timestamp) == (offset, past.times[offset])
        assert report.fingerprint == past.state(offset)["fingerprint"]
        assert report.base == max((f"{each:020d}" for each in past.snapshots if each <= offset), default=None)


def test_a_moment_is_restored_from_a_log_that_lost_its_beginning() -> None:
    """From the snapshot on; the new directory's log begins behind it, too."""
    past = a_past().drop_log(a_past().snapshots[0])
    for offset in (past.snapshots[0], past.snapshots[0] + 1, past.snapshots[1], past.last):
        into, _ = restored(past.disk, offset)
        assert state_of(into) == past.state(offset)
        assert segment_firsts(into)[0] > 1


def test_a_segment_that_alone_joins_base_and_log_comes_along() -> None:
    """A vouching batch between the snapshot and the seal gave the next segment another chain than the snapshot's."""
    engine = open_shop()
    disk = memory_disk(engine)
    committed(engine, "add", "ada")
    engine.log.vouch()
    engine.log.sync()
    base = taken(disk).manifest
    chains = chains_at(disk, base.offset)
    joined = next(each for each in chains if each != base.chain)
    engine.log.seal(Timestamp(engine.state.last_timestamp + 1))
    committed(engine, "add", "bob")
    assert read_header(disk, Offset(base.offset + 1)).chain == joined
    into, report = restored(disk, base.offset + 1)
    assert report.base == f"{base.offset:020d}"
    assert state_of(into) == state_of(disk)


def test_a_snapshot_alone_is_restored() -> None:
    """Exactly, also where no log is left beside it."""
    past = a_past()
    for name in past.disk.names("log"):
        past.disk.remove(f"log/{name}")
    into, report = restored(past.disk, AtSnapshot(f"{past.snapshots[1]:020d}"))
    assert state_of(into) == past.state(past.snapshots[1])
    assert (report.replayed, report.base) == (0, f"{past.snapshots[1]:020d}")
    assert start(into).state.epochs[-1].reason == "restore"


def test_a_restored_directory_opens_a_new_epoch() -> None:
    """Once, for its reason, with the epoch of the moment as its parent; then it goes on as any other."""
    past = a_past()
    into, report = restored(past.disk, past.last - 5)
    engine = start(into)
    first, second = engine.state.epochs
    assert (second.reason, second.parent, second.first_offset) == ("restore", first.epoch, past.last - 4)
    assert report.parent == first.epoch != engine.epoch
    committed(engine, "add", "new")
    engine.close()
    again = start(memory_disk(engine).crash_drop_all(), seed=10)
    assert [each.epoch for each in again.state.epochs] == [first.epoch, second.epoch]
    assert segments(memory_disk(again))[-1].epoch == second.epoch


def test_a_restored_store_restores_again() -> None:
    """A snapshot of it, its log, and a moment of its new epoch."""
    past = a_past()
    middle = past.batches[len(past.batches) // 2][0]
    into, _ = restored(past.disk, middle)
    engine = start(into)
    committed(engine, "add", "new", "slug")
    committed(engine, "add", "newer", "sluggish")
    target = engine.state.last_offset - 1
    engine.close()
    second, report = restored(memory_disk(engine), target)
    assert report.offset == target
    assert [each.reason for each in start(second).state.epochs] == ["new", "restore", "restore"]


def test_a_retry_of_a_call_before_the_moment_gets_its_first_answer() -> None:
    """And one of a call behind it runs, since it never happened there."""
    past = a_past()
    told = committed(start(past.disk), "put", "k1", bytes(30), key="key 1")
    assert told.offset < past.last
    engine = start(restored(a_past().disk, told.offset)[0])
    last = engine.state.last_offset
    assert last > told.offset  # The epoch's record, and the start's.
    again = committed(engine, "put", "k1", bytes(30), key="key 1")
    assert (again.offset, again.value, engine.state.last_offset) == (told.offset, told.value, last)
    later = committed(start(restored(a_past().disk, told.offset - 1)[0]), "put", "k1", bytes(30), key="key 1")
    assert later.offset > told.offset


def test_a_log_that_was_cut_runs_again_as_it_did() -> None:
    """Every call of it, also those of the batch that was cut in its middle, in which dice were thrown."""
    past = a_past()
    for name in (*past.disk.names("snapshot"), *past.disk.names("block")):
        with suppress(FileNotFoundError):
            past.disk.remove(f"snapshot/{name}")
        with suppress(FileNotFoundError):
            past.disk.remove(f"block/{name}")
    for first, last in past.batches:
        if last > first:
            into, _ = restored(past.disk, first)
            report = reexecute(LogReader(into), DOMAIN, NoDeadline())
            assert (report.differences, report.transactions) == ([], first)
            assert report.fingerprint == past.state(first)["fingerprint"]


def test_a_plan_says_what_would_be_read() -> None:
    """Files with their bytes, transactions, gaps; nothing is written."""
    past = a_past()
    before = everything(past.disk)
    offset = past.snapshots[0] + 3
    made = plan(past.disk, AtOffset(Offset(offset)))
    assert (made.moment.base, made.moment.replay, made.gaps) == (f"{past.snapshots[0]:020d}", 3, ())
    assert made.bytes == sum(each.size for each in made.files)
    assert all(len(past.disk.content(each.name)) == each.size for each in made.files)
    into, report = restored(past.disk, offset)
    assert {each.name for each in made.files} <= set(everything(into))
    assert report.bytes == made.bytes
    assert everything(past.disk) == before
    assert plan(past.disk, made.moment) == made


def test_a_plan_names_gaps() -> None:
    """Offsets that no segment holds any more, though a snapshot behind them is good."""
    past = a_past()
    firsts = segment_firsts(past.disk)
    past.disk.remove(f"log/{firsts[1]:020d}.log")
    made = plan(past.disk, Newest())
    assert made.gaps == ((firsts[1], firsts[2] - 1),)
    assert made.moment.offset == past.last


def test_progress_is_told_by_phase() -> None:
    """Every phase ends with all of it done, and none goes backwards."""
    told: dict[str, list[tuple[int, int]]] = {}
    past = a_past()
    restored(past.disk, past.last, progress=lambda phase, done, total: told.setdefault(phase, []).append((done, total)))
    assert list(told)[:2] == ["checking log", "copying"]
    for steps in told.values():
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize("name", ["notes.txt", "log/00000000000000000001.log", "block/x", MARKER])
def test_a_target_that_is_not_empty_is_refused(name: str) -> None:
    """And is as it was."""
    into = MemoryDisk()
    into.replace(name, b"mine")
    with pytest.raises(DirectoryError, match="expected an empty directory"):
        restored(a_past().disk, 5, into)
    assert everything(into) == {name: b"mine"}


def test_a_target_without_room_is_refused() -> None:
    """Before anything is copied, with both numbers; it is empty afterwards."""
    past = a_past()
    into = MemoryDisk(capacity=1 << 20)
    with pytest.raises(DirectoryError, match=r"expected room for .* bytes, found .* free"):
        restored(past.disk, past.last, into)
    assert everything(into) == {}


def test_a_target_that_fails_is_left_empty_or_half_made() -> None:
    """Whichever write or sync it was; the same restore succeeds once the disk does."""
    past = a_past()
    before = everything(past.disk)
    for fail in (MemoryDisk.fail_write, MemoryDisk.fail_sync):
        for after in range(0, 60, 4):
            into = MemoryDisk()
            fail(into, after=after)
            with suppress(OSError):
                restored(past.disk, past.snapshots[0] + 2, into)
            _is_refused_empty_or_whole(into, past)
    assert everything(past.disk) == before


def _is_refused_empty_or_whole(into: MemoryDisk, past: Past) -> None:
    """Never anything between, and never believed before it is proven."""
    offset = past.snapshots[0] + 2
    if MARKER in into.names():
        assert inspect(into) is not None
        assert state_of(into) == past.state(offset)
        return
    if RESTORING in into.names():
        with pytest.raises(DirectoryError, match="half made"):
            start(into)
    else:
        assert everything(into) == {}
    again, _ = restored(past.disk, offset, into)
    assert state_of(again) == past.state(offset)


MODES: dict[str, Callable[[MemoryDisk], MemoryDisk]] = {
    "keep all": lambda disk: disk.crash_keep_all(),
    "drop all": lambda disk: disk.crash_drop_all(),
    "seed": lambda disk: disk.crash(SeededEntropy(disk.operations)),
}


@pytest.mark.parametrize("mode", MODES)
def test_power_fails_at_any_operation(mode: str) -> None:
    """Afterwards the target is refused as half made, or whole; restoring again succeeds; the source is untouched."""
    past = a_past()
    before = everything(past.disk)
    whole = MemoryDisk()
    restored(past.disk, past.snapshots[0] + 2, whole)
    for after in range(whole.operations + 1):
        into = MemoryDisk()
        into.cut_power(after=after)
        with suppress(PowerLoss):
            restored(past.disk, past.snapshots[0] + 2, into)
        _is_refused_empty_or_whole(MODES[mode](into), past)
    assert everything(past.disk) == before


def test_a_restore_that_is_cancelled_is_half_made() -> None:
    """Wherever somebody interrupts it."""
    past = a_past()
    for at in ("copying", "loading", "replaying"):
        into = MemoryDisk()
        with pytest.raises(Cancelled):
            restored(past.disk, past.snapshots[0] + 2, into, progress=cancel_in(at))
        assert RESTORING in into.names()
        _is_refused_empty_or_whole(into, past)


class Cancelled(BaseException):
    """As by Ctrl-C."""


def cancel_in(wanted: str) -> Callable[[str, int, int], None]:
    """Progress that interrupts once something of the phase is done."""

    def cancel(phase: str, done: int, _total: int) -> None:
        if phase == wanted and done:
            raise Cancelled

    return cancel


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_base_is_passed_over(damage: str) -> None:
    """The one before it leads to the same state, and the report says why it was taken."""
    past = a_past()
    manifest = Repository(past.disk).manifest(f"{past.snapshots[1]:020d}")
    older = {b.file for t in Repository(past.disk).manifest(f"{past.snapshots[0]:020d}").tables for b in t.blocks}
    for name in [b.file for t in manifest.tables for b in t.blocks if b.file not in older] + [manifest.system.file]:
        hurt = past.copy()
        DAMAGES[damage](hurt.disk, f"block/{name}.blk")
        into, report = restored(hurt.disk, past.last)
        assert state_of(into) == past.state(past.last)
        assert [each.name for each in report.passed_over] == [f"{past.snapshots[1]:020d}"]
        assert name in report.passed_over[0].reason
        assert report.base == f"{past.snapshots[0]:020d}"


def test_a_base_that_says_what_is_not_so_is_passed_over() -> None:
    """Its files are whole, but its rows do not add up to what it says: the proof does not come out."""
    past = a_past()
    repository, name = Repository(past.disk), f"{past.snapshots[1]:020d}"
    manifest = repository.manifest(name)
    first, *others = manifest.tables[0].blocks
    lying = msgspec.structs.replace(first, sum=f"{int(first.sum, 16) ^ 1:064x}")
    table = msgspec.structs.replace(manifest.tables[0], blocks=(lying, *others))
    tables = (table, *manifest.tables[1:])
    past.disk.remove(f"snapshot/{name}.json")
    repository.put_manifest(msgspec.structs.replace(manifest, tables=tables, fingerprint=fingerprint_of(tables)))
    into, report = restored(past.disk, past.last)
    assert state_of(into) == past.state(past.last)
    assert [each.name for each in report.passed_over] == [name]
    assert "expected offset" in report.passed_over[0].reason
    assert report.base == f"{past.snapshots[0]:020d}"


def test_whatever_goes_away_meanwhile_the_restore_is_right_or_refused() -> None:
    """It takes another way, or leaves the target empty and says so; never anything between."""
    past = a_past()
    offset, outcomes = past.snapshots[1] + 12, set()
    moment = resolve(past.disk, AtOffset(Offset(offset)))
    for countdown in range(1, 200):
        source, into = Vanishing(), MemoryDisk()
        for name, data in everything(past.disk).items():
            source.replace(name, data)
        source.countdown = countdown
        try:
            restore(source, into, moment, clock=MemoryClock(), entropy=SeededEntropy(1))
        except (NotRestorable, CorruptionError) as error:
            outcomes.add(type(error).__name__)
            assert everything(into) == {}
        else:
            assert state_of(into) == past.state(offset)
        if source.countdown > 0:
            break
    assert source.countdown > 0
    assert outcomes == {"NotRestorable"}


def test_without_any_base_that_holds_the_restore_is_refused() -> None:
    """As corruption, with the file; the target is empty, the source as it was."""
    past = a_past().drop_log(a_past().snapshots[1])
    for name in past.disk.names("block"):
        DAMAGES["flip"](past.disk, f"block/{name}")
    before, into = everything(past.disk), MemoryDisk()
    with pytest.raises(CorruptionError, match=r"no snapshot leads to offset .* is not what its name says"):
        restored(past.disk, past.last, into)
    assert (everything(into), everything(past.disk)) == ({}, before)


def test_damage_in_the_log_is_refused_with_a_way_out() -> None:
    """The error says how far the log leads; that far it restores."""
    past = a_past()
    batch = next(each for each in LogReader(past.disk) if each.count and each.first_offset > past.snapshots[1] + 4)
    past.disk.flip(batch.segment, 8 * (batch.position + 100))
    into, good = MemoryDisk(), batch.first_offset - 1
    with pytest.raises(CorruptionError, match=f"--to-offset {good}") as error:
        restored(past.disk, past.last, into)
    assert (error.value.file, error.value.position) == (batch.segment, batch.position)
    assert everything(into) == {}
    assert state_of(restored(past.disk, good)[0]) == past.state(good)


def test_what_went_away_since_it_was_chosen_is_refused() -> None:
    """As not restorable, before anything is written."""
    past = a_past()
    moment = resolve(past.disk, AtOffset(Offset(5)))
    gone = past.drop_log(past.snapshots[0])
    with pytest.raises(NotRestorable, match=r"nothing leads to offset 5 any more.*pin"):
        restore(gone.disk, MemoryDisk(), moment, clock=MemoryClock(), entropy=SeededEntropy(1))


def test_a_running_store_is_restored_from() -> None:
    """Beside its writer, who notices nothing; what is not whole yet is left aside."""
    engine = start(a_past().disk)
    committed(engine, "add", "running")
    disk = memory_disk(engine)
    before, operations = everything(disk), disk.operations
    into, report = restored(disk.handle(), Newest())
    assert (disk.operations, everything(disk)) == (operations, before)
    assert report.offset == engine.state.last_offset
    assert state_of(into) == canonical(engine.state)
    committed(engine, "add", "still running")


def test_every_file_of_a_restored_directory_is_durable() -> None:
    """Power that fails right after it changes nothing."""
    past = a_past()
    into, _ = restored(past.disk, past.last - 3)
    assert everything(into.crash_drop_all()) == everything(into)


def test_a_restored_directory_is_at_home_where_it_was_made(tmp_path: Path) -> None:
    """On a real disk, in a folder of the root: it is no copy, and opens by its own reason alone."""
    past = a_past()
    root = tmp_path / "root"
    disk = PosixDisk(root / "restored-00000000000000000020-00000000", root=root)
    restore(past.disk, disk, resolve(past.disk, AtOffset(Offset(20))), clock=SystemClock(),
            entropy=SystemEntropy())  # fmt: skip
    assert state_of(disk) == past.state(20)
    world = World(PosixDisk(disk.path, root=root), MemoryClock(1_800_000_000_000_000), SystemEntropy(), NoDeadline())
    engine = open_shop(world=world)
    assert [each.reason for each in engine.state.epochs] == ["new", "restore"]
    with pytest.raises(DirectoryError, match="is in use by process"):
        PosixDisk(root).lock()
    engine.close()
    assert not (disk.path / RESTORING).exists()


def test_a_real_directory_is_restored_from_without_being_written(tmp_path: Path) -> None:
    """Opened for reading only, its bytes and times stay."""
    past = a_past()
    for name, data in everything(past.disk).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    into, _ = restored(PosixDisk(tmp_path, read_only=True), 30)
    assert state_of(into) == past.state(30)
    found = {each.relative_to(tmp_path).as_posix(): each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    assert found == everything(past.disk)


TIGHT = LogOptions(segment_size_max=1_200)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("calls"), st.integers(1, 4)),
        st.tuples(st.just("calls"), st.integers(1, 4)),
        st.tuples(st.just("seal"), st.just(0)),
        st.tuples(st.just("take"), st.integers(0, 9)),
        st.tuples(st.just("let go"), st.just(0)),
        st.tuples(st.just("start again"), st.sampled_from([0, 1, 2])),
    ),
    min_size=3,
    max_size=25,
)


def take_step(engine: Engine, step: str, number: int, archive: Archive) -> Engine:
    """One step of a life, of which the archive sees everything."""
    disk = memory_disk(engine)
    if step == "calls":
        for each in range(number):
            call(engine, "add", "ada", None, "n" * 30 * each, key=f"{engine.state.last_offset}")
        engine.group_commit.commit()
    elif step == "seal":
        engine.log.vouch()
        engine.group_commit.commit()
        engine.log.seal(engine.world.clock.wall())
    elif step == "take":
        with suppress(NotRestorable):  # Nothing is proven yet, or not so early.
            taken(disk, number * proven_end(disk)[0] // 9 if segment_firsts(disk)[0] == 1 else None)
    elif step == "let go":
        archive.read(disk)
        drop_log(disk, max((each.offset for each in Repository(disk).whole()[0]), default=0))
    elif step == "start again":
        archive.read(disk)
        left = (disk.crash_drop_all(), disk.crash_keep_all(), disk.copy())[number]
        return reopen(engine, left, log_options=TIGHT)
    archive.read(disk)
    return engine


@settings(max_examples=40, derandomize=True, deadline=None)
@given(steps=STEPS, picks=st.lists(st.integers(0, 1 << 16), min_size=3, max_size=3))
def test_whatever_happened_every_moment_in_a_range_is_restored(steps: list[tuple[str, int]], picks: list[int]) -> None:
    """With snapshots anywhere, log let go, crashes and copies in between; and none outside of a range is."""
    engine, archive = open_shop(log_options=TIGHT), Archive()
    for step, number in steps:
        engine = take_step(engine, step, number, archive)
    disk = memory_disk(engine)
    archive.read(disk)
    ranges = restorable(disk)
    assert ranges[-1].last == engine.state.last_offset
    for pick in picks:
        span = ranges[pick % len(ranges)]
        offset = span.first + pick % (span.last - span.first + 1)
        into, report = restored(disk, offset)
        assert state_of(into) == canonical(archive.state(offset))
        assert report.timestamp == archive.state(offset).last_timestamp
        assert [each.reason for each in start(into).state.epochs][-1] == "restore"
    inside = {offset for each in ranges for offset in range(each.first, each.last + 1)}
    for offset in {1, ranges[-1].last // 2, ranges[-1].last + 1} - inside:
        with pytest.raises(NotRestorable):
            restored(disk, offset)


def test_what_a_restore_needs_begins_with_a_base_to_spare() -> None:
    """A reader holds that, and no more: the base it begins with and the one before, or the log from its start."""
    past = a_past()
    first, second = past.snapshots
    needs = {offset: plan(past.disk, AtOffset(Offset(offset))).needs_from for offset in (1, first, second, past.last)}
    assert needs == {1: 0, first: 0, second: first, past.last: first}
    assert plan(past.drop_log(first).disk, AtOffset(Offset(first))).needs_from == first
