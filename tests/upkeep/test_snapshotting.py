"""Taking snapshots: whatever happened, snapshot and log together are the log from its start, byte for byte."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.engine.engine import Engine
from store.engine.reducer import Domain
from store.engine.replay import replay
from store.env.memory import MemoryDisk, PowerLoss
from store.env.world import World
from store.errors import CorruptionError, DirectoryError, NotRestorable
from store.ids import Offset
from store.log.commitlog import LogOptions
from store.log.segment import segment_offsets
from store.log.survey import proven_end
from store.snapshot.format import snapshot_name
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Repository
from store.upkeep.retention import prune
from tests.canonical import canonical, check_indexes
from tests.engine.directories import EAGER
from tests.engine.scenes import (
    DOMAIN,
    SMALL_SEGMENTS,
    a_caller,
    call,
    committed,
    memory_clock,
    memory_disk,
    open_shop,
)
from tests.engine.snapshots import (
    DAMAGES,
    SNAPSHOT_FOLDERS,
    Archive,
    a_life,
    crashed,
    drop_log,
    files_of,
    flip,
    proven,
    row_types,
    taken,
    transplant,
)
from tests.engine.test_engine import Later, add_later

LOG_OPTIONS = LogOptions(segment_size_max=700)
HOUR = 3_600_000_000
LATER = Domain((*DOMAIN.tables, Later), {**DOMAIN.reducers, "add_later": add_later})

SUBJECTS = st.sampled_from(["ada", "bob", "eve"])
calls = st.one_of(
    st.tuples(st.just("add"), SUBJECTS, st.sampled_from([None, "a", "b", "c"]), st.sampled_from(["", "n" * 90])),
    st.tuples(st.just("give"), st.integers(1, 8), SUBJECTS),
    st.tuples(st.just("remove"), st.integers(1, 12)),
    st.tuples(st.just("put"), SUBJECTS, st.sampled_from([b"", b"x", bytes(1_500)])),
    st.tuples(st.just("make")),
    st.tuples(st.just("fail"), st.sampled_from(["refuse", "violate"])),
)
steps = st.one_of(
    st.tuples(st.just("call"), calls, SUBJECTS, st.sampled_from(["", "client", "key"])),
    st.tuples(st.just("call"), calls, SUBJECTS, st.just("")),
    st.tuples(st.just("commit")),
    st.tuples(st.just("advance"), st.sampled_from([1, HOUR, 25 * HOUR])),
    st.tuples(st.just("reopen"), st.sampled_from(["crash", "copy", "stop", "migrate"])),
    st.tuples(st.just("take"), st.sampled_from([None, 0.3, 0.8])),
    st.tuples(st.just("let go")),
)


class History:
    """A tenant's history, with snapshots taken and old log let go on the way."""

    def __init__(self) -> None:
        self.engine: Engine = open_shop(log_options=LOG_OPTIONS)
        self.archive = Archive()
        self.domain = DOMAIN
        self.sequence = 0
        self.newest = 0

    @property
    def disk(self) -> MemoryDisk:
        """Where it is now."""
        return memory_disk(self.engine)

    def step(self, what: str, *args: Any) -> None:
        """Do one thing."""
        getattr(self, what.replace(" ", "_"))(*args)

    def call(self, call_: tuple[Any, ...], subject: str, how: str) -> None:
        """A call without a key, with a client's sequence, or with a string key."""
        self.sequence += 1
        key: dict[str, Any] = {}
        if how == "client":
            key = {"sequence": self.sequence, "acknowledged": max(self.sequence - 9, 0)}
        elif how == "key":
            key = {"key": f"key {self.sequence}"}
        name, *args = call_
        call(self.engine, name, *args, caller=a_caller(subject, client="c" if how == "client" else ""), **key)
        if self.sequence % 3:
            self.commit()

    def commit(self) -> None:
        """Everything so far is durable, and proven to be."""
        self.engine.group_commit.commit()

    def advance(self, microseconds: int) -> None:
        """Time passes."""
        memory_clock(self.engine).advance(microseconds)
        self.engine.admission.open("clock")
        self.engine.housekeeping.look_at_clock()
        self.engine.housekeeping.confirm_clock()

    def reopen(self, how: str) -> None:
        """Start again: after a crash, in another place, after a stop, with a table more."""
        self.commit()
        self.archive.read(self.disk)
        disk = self.disk.crash_drop_all()
        if how == "copy":
            disk = self.disk.copy()
        elif how != "crash":
            self.engine.close()
            disk = self.disk.crash_keep_all()
        self.domain = LATER if how == "migrate" else self.domain
        before = self.engine.world
        world = World(disk, before.clock, before.entropy, before.deadline)
        self.engine = open_shop(world=world, domain=self.domain, log_options=LOG_OPTIONS)
        assert self.engine.report.snapshot_offset == self.newest
        if self.domain is LATER:
            committed(self.engine, "add_later", self.engine.state.last_offset)

    def take(self, fraction: float | None) -> None:
        """Take a snapshot of what is proven, or of an earlier moment, while the writer goes on."""
        end, _ = proven_end(self.disk)
        through = None if fraction is None else int(end * fraction)
        try:
            taking = taken(self.disk.handle(), through)
        except NotRestorable:
            return
        assert taking.manifest.offset <= (end if through is None else through)
        self.newest = max(self.newest, taking.manifest.offset)
        self.check(through=taking.manifest.offset)

    def let_go(self) -> None:
        """Old log goes, back to the newest snapshot."""
        self.archive.read(self.disk)
        drop_log(self.disk, self.newest)

    def check(self, through: int | None = None) -> None:
        """Snapshot and log make what a replay from zero makes."""
        self.archive.read(self.disk)
        replayed = replay(self.disk, row_types(), through=None if through is None else Offset(through))
        expected = self.archive.state(through or replayed.state.last_offset)
        assert canonical(replayed.state) == canonical(expected)
        assert canonical(replayed.state)["windows"]["order of keys"] == canonical(expected)["windows"]["order of keys"]
        for table in replayed.state.database.tables.values():
            check_indexes(table)
        if replayed.manifest is not None and replayed.manifest.offset == through:
            assert replayed.manifest.fingerprint == expected.database.fingerprint()


@given(st.lists(steps, max_size=25))
@settings(max_examples=120, deadline=None)
def test_snapshots_and_log_are_the_log_from_its_start(script: list[tuple[Any, ...]]) -> None:
    """Calls, retries, failures, identities, new tables, copies, expiry; snapshots upon snapshots; old log gone."""
    history = History()
    for each in script:
        history.step(*each)
    history.commit()
    history.check()
    history.reopen("crash")
    live = canonical(history.engine.state)
    history.archive.read(history.disk)
    assert canonical(history.archive.state(history.engine.state.last_offset)) == live


@given(st.lists(steps, max_size=25), st.lists(st.tuples(st.integers(0), st.integers(0)), min_size=1, max_size=3))
@settings(max_examples=80, deadline=None)
def test_damage_to_snapshots_is_never_read_as_data(script: list[tuple[Any, ...]], bits: list[tuple[int, int]]) -> None:
    """Whichever bits flip: the state is right, from an older snapshot or the log; or it is refused, for want of log."""
    history = History()
    for each in script:
        history.step(*each)
    history.commit()
    history.archive.read(history.disk)
    disk = history.disk.copy()
    files = [f"{folder}/{name}" for folder in SNAPSHOT_FOLDERS for name in disk.names(folder)]
    for file, bit in bits if files else []:
        name = files[file % len(files)]
        disk.flip(name, bit % (8 * len(disk.content(name))))
    try:
        replayed = replay(disk, row_types())
    except CorruptionError:
        assert segment_offsets(disk)[0] > 1
    else:
        assert canonical(replayed.state) == canonical(history.archive.state(replayed.state.last_offset))
        assert replayed.state.last_offset == history.engine.log.last_offset


def opens(disk: MemoryDisk) -> Engine:
    """It opens, and holds what a replay from zero makes."""
    archive = Archive()
    archive.read(disk)
    engine = open_shop(disk, log_options=SMALL_SEGMENTS, seed=7)
    archive.read(disk)
    assert canonical(archive.state(engine.state.last_offset)) == canonical(engine.state)
    return engine


def test_a_snapshot_is_of_all_that_is_proven_durable() -> None:
    """Its offset, moment, epoch and chain are those of the log there, its fingerprint that of the tables."""
    engine = a_life()
    manifest = taken(memory_disk(engine)).manifest
    assert (manifest.offset, manifest.chain) == proven_end(memory_disk(engine))
    assert manifest.offset == engine.log.durable_offset
    assert (manifest.timestamp, manifest.epoch) == (engine.state.last_timestamp, engine.epoch)
    assert manifest.store == engine.epoch
    assert manifest.fingerprint == engine.database.fingerprint()
    assert {each.name: each.rows for each in manifest.tables} == {"task": 12, "note": 12, "thing": 12}


def test_what_is_not_proven_durable_is_not_taken() -> None:
    """Neither what was only appended, nor what was synced last, which nothing vouches for yet."""
    engine = a_life()
    end = engine.log.durable_offset
    committed(engine, "add", "bob")
    assert taken(memory_disk(engine).handle()).manifest.offset == end
    call(engine, "add", "bob")
    engine.log.flush()
    assert taken(memory_disk(engine).handle(), through=end + 50).manifest.offset == end + 1
    engine.group_commit.commit()
    assert not taken(memory_disk(engine).handle(), through=end + 1).fresh


def test_a_snapshot_stands_where_a_batch_ends() -> None:
    """A moment inside a batch is taken as the end of the batch before."""
    engine = a_life()
    end = engine.log.durable_offset
    for _ in range(5):
        call(engine, "add", "bob")
    engine.group_commit.commit()
    proven(engine)
    for through in range(end, end + 5):
        assert taken(memory_disk(engine), through=through).manifest.offset == end
    assert taken(memory_disk(engine), through=end + 5).manifest.offset == end + 5


def test_while_the_writer_goes_on_every_moment_can_be_taken() -> None:
    """Whatever the writer does next, a snapshot through a handle of its own is one of the past, whole and right."""
    engine = open_shop(log_options=LOG_OPTIONS)
    taker = memory_disk(engine).handle()
    archive = Archive()
    for number in range(30):
        call(engine, "add", "ada", f"s{number}")
        if number % 3:
            engine.group_commit.commit()
        if number % 4 == 1:
            engine.log.vouch()
        end, _ = proven_end(taker)
        if end:
            manifest = taken(taker).manifest
            archive.read(memory_disk(engine))
            assert manifest.offset == end <= engine.log.durable_offset
            assert manifest.fingerprint == archive.state(end).database.fingerprint()


def test_an_incremental_snapshot_writes_what_changed() -> None:
    """Blocks whose rows did not change are shared with the snapshot before, which stays as it is."""
    engine = a_life(calls=40)
    first = taken(memory_disk(engine), options=SnapshotOptions(block_size=1_000))
    assert (first.base, first.fresh, first.replayed) == (None, True, first.manifest.offset)
    assert first.blocks_reused == 0
    committed(engine, "give", 3, "eve")
    proven(engine)
    second = taken(memory_disk(engine), options=SnapshotOptions(block_size=1_000))
    assert (second.base, second.replayed) == (f"{first.manifest.offset:020d}", 1)
    assert (second.blocks_written, second.blocks_reused) == (1, first.blocks_written - 1)
    assert 0 < second.rows_written < 40
    assert second.manifest.fingerprint == engine.database.fingerprint() != first.manifest.fingerprint


def test_a_snapshot_that_is_there_already_is_not_taken_again() -> None:
    """It is checked, and nothing is written."""
    engine = a_life()
    first = taken(memory_disk(engine))
    before = memory_disk(engine).operations
    second = taken(memory_disk(engine))
    assert (second.fresh, second.manifest, second.rows_written) == (False, first.manifest, 0)
    assert memory_disk(engine).operations == before


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_snapshot_is_taken_again(damage: Callable[[MemoryDisk, str], None]) -> None:
    """Whichever of its files is damaged: it is made anew under the same name, from what is sound."""
    engine = a_life()
    first = taken(memory_disk(engine))
    for name in files_of(first):
        disk = memory_disk(engine).copy()
        damage(disk, name)
        again = taken(disk)
        assert (again.fresh, again.manifest.fingerprint) == (True, first.manifest.fingerprint)
        assert again.manifest.offset == first.manifest.offset
        assert not taken(disk).fresh
        state = replay(disk, row_types())
        assert (state.passed_over, state.replayed) == ((), 0)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_base_is_passed_over(damage: Callable[[MemoryDisk, str], None]) -> None:
    """The next continues the one before it, or the log alone, and says why; it counts as verified no longer."""
    engine = a_life()
    earlier = taken(memory_disk(engine), through=30)
    base = taken(memory_disk(engine))
    committed(engine, "give", 3, "eve")
    proven(engine)
    shared = set(files_of(earlier))
    for name in files_of(base):
        disk = memory_disk(engine).copy()
        damage(disk, name)
        taking = taken(disk)
        assert taking.base == (None if name in shared else f"{earlier.manifest.offset:020d}")
        names = [each.name for each in taking.passed_over]
        assert f"{base.manifest.offset:020d}" in names or (damage is MemoryDisk.remove and name.startswith("snapshot"))
        assert not name.startswith("block") or not any(Repository(disk).verified(each) for each in names)
        assert taking.manifest.fingerprint == engine.database.fingerprint()
        state = replay(disk, row_types())
        assert (state.manifest, state.passed_over) == (taking.manifest, ())


def test_no_log_goes_for_the_sake_of_a_damaged_base() -> None:
    """Once a take has passed it over, the log stays back to one that holds: the newest may be damaged one day, too."""
    engine = a_life()
    disk = memory_disk(engine)
    earlier = taken(disk, through=30)
    base = taken(disk)
    committed(engine, "give", 3, "eve")
    proven(engine)
    flip(disk, f"block/{base.manifest.system.file}.blk")  # One that the next take does not write anew.
    newest = taken(disk)
    assert newest.base == snapshot_name(earlier.manifest.offset)
    engine.log.seal(memory_clock(engine).wall())
    prune(disk, now=newest.manifest.timestamp, options=EAGER)
    flip(disk, files_of(newest)[0])
    state = replay(disk, row_types())
    assert state.manifest == earlier.manifest
    assert state.state.database.fingerprint() == engine.database.fingerprint()


def test_a_snapshot_can_be_taken_when_the_log_begins_at_its_base() -> None:
    """Old log is not asked for; without the base there is no way, and the error says what to do."""
    engine = a_life()
    base = taken(memory_disk(engine))
    committed(engine, "give", 3, "eve")
    proven(engine)
    drop_log(memory_disk(engine), base.manifest.offset)
    disk = memory_disk(engine).copy()
    assert taken(memory_disk(engine)).manifest.fingerprint == engine.database.fingerprint()
    with pytest.raises(NotRestorable, match="the log begins at offset"):
        taken(memory_disk(engine), through=3)
    for name in files_of(base):
        disk.flip(name, 100)
    with pytest.raises(CorruptionError, match="store salvage"):
        taken(disk)


def test_before_anything_is_proven_there_is_nothing_to_take() -> None:
    """A store that was just made says so, and what to do."""
    disk = MemoryDisk()
    open_shop(disk)
    with pytest.raises(NotRestorable, match="Seal"):
        taken(disk)


def test_one_takes_at_a_time() -> None:
    """Whoever holds the lock is named by the error; it is free again after every take, also one that failed."""
    engine = a_life()
    other = memory_disk(engine).handle()
    other.lock("snapshot")
    with pytest.raises(DirectoryError, match="in use"):
        taken(memory_disk(engine))
    other.unlock("snapshot")
    disk = memory_disk(engine)
    disk.fail_sync()
    with pytest.raises(OSError, match="failed"):
        taken(disk)
    assert taken(disk).fresh
    other.lock("snapshot")


def test_progress_is_told_by_phase() -> None:
    """Reading the log, writing, checking: each up to its end."""
    told: list[tuple[str, int, int]] = []
    taken(memory_disk(a_life()), progress=lambda *each: told.append(each))
    ends = {phase: (done, total) for phase, done, total in told}
    assert list(ends) == ["replaying", "writing", "checking"]
    assert all(done == total > 0 for phase, (done, total) in ends.items() if phase != "replaying")


def operations_of_taking(engine: Engine) -> int:
    """How many operations on the disk a take takes."""
    disk = memory_disk(engine).copy()
    taken(disk)
    return disk.operations


@pytest.fixture(scope="module")
def before_taking() -> Engine:
    """A life with one snapshot, and more to take."""
    engine = a_life(calls=5)
    taken(memory_disk(engine), through=12)
    return engine


@pytest.mark.parametrize("mode", ["keep all", "drop all", "seed 1", "seed 2"])
def test_power_may_fail_before_any_operation_of_a_take(mode: str, before_taking: Engine) -> None:
    """The store opens as if nobody had tried, and the next take is whole and leaves nothing half-made."""
    engine = before_taking
    for operation in range(operations_of_taking(engine) + 1):
        disk = memory_disk(engine).copy()
        disk.cut_power(after=operation)
        with suppress(PowerLoss):
            taken(disk)
        disk = crashed(disk, mode)
        opens(crashed(disk, "keep all"))
        again = taken(disk)
        assert again.manifest.fingerprint == engine.database.fingerprint()
        left = [name for folder in SNAPSHOT_FOLDERS for name in disk.names(folder) if name.endswith(".new")]
        assert left == []
        opens(disk)


def test_a_failing_or_full_disk_costs_the_snapshot_alone(before_taking: Engine) -> None:
    """OSError from whichever write or sync fails; the store opens, and the next take succeeds."""
    for failing in range(operations_of_taking(before_taking)):
        for fail in ("fail_sync", "fail_write"):
            disk = memory_disk(before_taking).copy()
            getattr(disk, fail)(after=failing)
            with suppress(OSError):
                taken(disk)
            getattr(disk, fail)(after=10_000)
            opens(disk.crash_drop_all())
            assert taken(disk).manifest.fingerprint == before_taking.database.fingerprint()
    used = (1 << 40) - memory_disk(before_taking).free_bytes()
    for room in range(0, 2_000, 150):
        disk = memory_disk(before_taking).copy()
        disk.set_capacity(used + room)
        with suppress(OSError):
            taken(disk)
        disk.set_capacity(1 << 40)
        opens(disk.crash_drop_all())


def test_a_snapshot_of_another_history_is_not_written_over() -> None:
    """Where its name is taken by one that does not fit, the error says so and both stay as they are."""
    engine, other = a_life(), a_life(seed=5)
    ours, foreign = memory_disk(engine), memory_disk(other).copy()
    taken(foreign, through=engine.log.durable_offset)
    transplant(foreign, ours)
    with pytest.raises(DirectoryError, match="another history"):
        taken(ours)
