"""Recovery from snapshots: they stand for the log before them, and never for anything else."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from store.engine.directory import mark
from store.engine.engine import Engine
from store.engine.recovery import RecoveryProgress
from store.env.memory import MemoryDisk, PowerLoss
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset
from store.log.commitlog import LogOptions
from store.log.format import segment_name
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.log.survey import read_header
from tests.canonical import canonical
from tests.engine import shop, snapshots
from tests.engine.scenes import OPTIONS, committed, logged, memory_disk, open_shop, reopen, rows
from tests.engine.snapshots import DAMAGES, Archive, a_life, drop_log, files_of, path, proven, taken

LOG_OPTIONS = LogOptions(segment_size_max=900)
"""So small that a life of a dozen calls fills several segments."""


def grown() -> tuple[MemoryDisk, list[int]]:
    """A directory with two snapshots and log behind each, from its start; and their offsets."""
    engine = a_life(log_options=LOG_OPTIONS)
    offsets = []
    for number in (1, 2):
        offsets.append(taken(memory_disk(engine)).manifest.offset)
        for owner in ("eve", "zoe", "bob") * 3:
            committed(engine, "give", number, owner)
        committed(engine, "remove", number + 3)
        proven(engine)
    return memory_disk(engine).crash_keep_all(), offsets


def check_same(engine: Engine, *logs: MemoryDisk) -> None:
    """The state is what a replay from zero makes; `logs` hold what is gone from its own."""
    archive = Archive()
    for each in (*logs, memory_disk(engine)):
        archive.read(each)
    assert canonical(engine.state) == canonical(archive.state(engine.state.last_offset))


def test_a_start_begins_with_the_newest_snapshot() -> None:
    """What it holds is not replayed; the report says where it began, in one line."""
    disk, (_, newest) = grown()
    engine = open_shop(disk, log_options=LOG_OPTIONS, seed=2)
    report = engine.report
    assert (report.snapshot_offset, report.last_offset, report.replayed) == (newest, newest + 10, 10)
    assert (report.rows_loaded, report.passed_over) == (35, ())
    assert f"recovered to offset {newest + 10}: loaded 35 rows at offset {newest}" in str(report)
    assert "replayed 10 transactions" in str(report)
    check_same(engine)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_start_falls_back_to_the_snapshot_before(damage: Callable[[MemoryDisk, str], None]) -> None:
    """Whichever file of the newest is damaged; the report names it, and old log is not missed."""
    engine = a_life(log_options=LOG_OPTIONS)
    older = taken(memory_disk(engine))
    for number in range(1, 13):
        committed(engine, "give", number, "eve")
        committed(engine, "put", f"k{number - 1}", b"changed")
        committed(engine, "add", "zoe")
    proven(engine)
    newer = taken(memory_disk(engine))
    whole = memory_disk(engine).crash_keep_all()
    shared = set(files_of(older))
    for name in files_of(newer):
        disk = memory_disk(engine).crash_keep_all()
        drop_log(disk, older.manifest.offset)
        damage(disk, name)
        if name in shared:
            with pytest.raises(CorruptionError, match="the log begins at offset"):
                open_shop(disk, log_options=LOG_OPTIONS)
            continue
        again = open_shop(disk, log_options=LOG_OPTIONS, seed=2)
        assert again.report.snapshot_offset == older.manifest.offset
        if name in disk.names():
            assert f"passed over snapshot {newer.manifest.offset:020d}: " in str(again.report)
        check_same(again, whole)


def test_a_start_without_any_way_is_refused() -> None:
    """Old log gone and every snapshot damaged: CorruptionError, which says what can be done; never an empty store."""
    disk, (older, newest) = grown()
    drop_log(disk, older)
    for offset in (older, newest):
        disk.flip(path(offset), 8 * 99)
    with pytest.raises(CorruptionError, match=rf"{newest:020d}: .*store restore --from .*store salvage"):
        open_shop(disk, log_options=LOG_OPTIONS)
    with pytest.raises(CorruptionError):
        open_shop(disk, log_options=LOG_OPTIONS)


def test_a_snapshot_of_a_newer_format_is_refused() -> None:
    """A newer store has been here: DirectoryError."""
    disk, (_, newest) = grown()
    snapshots.make_newer(disk, path(newest))
    with pytest.raises(DirectoryError, match="newer"):
        open_shop(disk)


def test_log_that_was_lost_is_noticed() -> None:
    """The log ends before a snapshot of its own: somebody was told of what came between."""
    disk, (_, newest) = grown()
    for first in segment_offsets(disk):
        if first > newest - 5:
            disk.remove(segment_name(first))
    with pytest.raises(CorruptionError, match=f"expected the log through offset {newest}"):
        open_shop(disk, log_options=LOG_OPTIONS)


def a_copy_that_lags() -> tuple[MemoryDisk, int]:
    """A directory copied while it ran: its log first, then the snapshot that was taken meanwhile."""
    engine = a_life(log_options=LOG_OPTIONS, calls=4)
    copied = memory_disk(engine).copy()
    for number in range(1, 5):
        committed(engine, "give", number, "eve")
    proven(engine)
    newest = taken(memory_disk(engine)).manifest.offset
    snapshots.transplant(memory_disk(engine), copied)
    return copied, newest


def test_a_copy_whose_log_lags_goes_on_behind_its_snapshot() -> None:
    """In an epoch of its own, in a segment that begins there; later starts find it as any other."""
    disk, newest = a_copy_that_lags()
    engine = open_shop(disk, log_options=LOG_OPTIONS, seed=3)
    assert engine.state.epochs[-1].reason == "copy"
    assert engine.state.epochs[-1].first_offset == newest + 1 == segment_offsets(disk)[-1]
    assert [task.owner for task in rows(engine, shop.Task)] == ["eve"] * 4
    committed(engine, "add", "bob")
    live = canonical(engine.state)["tables"]
    engine.close()
    engine = open_shop(disk, log_options=LOG_OPTIONS, seed=4)
    assert canonical(engine.state)["tables"] == live
    assert len(engine.state.epochs) == 2
    drop_log(disk, newest)
    assert reopen(engine, log_options=LOG_OPTIONS).epoch == engine.epoch


@pytest.mark.parametrize("back", range(2, 9))
def test_a_copy_with_a_hole_goes_on_behind_its_snapshot(back: int) -> None:
    """Its log was copied while it was written, with blank in place of a batch before the snapshot or behind it."""
    engine = a_life(log_options=LogOptions(), calls=2)
    newest = taken(memory_disk(engine)).manifest.offset
    for _ in range(4):
        committed(engine, "add", "eve")
    proven(engine)
    copied = memory_disk(engine).copy()
    before, hole = list(LogReader(copied))[-back - 1 : -back + 1]
    content = copied.content(hole.segment)
    copied.replace(hole.segment, content[: hole.position] + bytes(hole.end - hole.position) + content[hole.end :])
    clone = open_shop(copied, log_options=LogOptions(), seed=3)
    assert clone.state.epochs[-1].reason == "copy"
    assert clone.state.epochs[-1].first_offset == max(newest, before.last_offset) + 1
    assert len(copied.content(hole.segment)) == before.end
    assert clone.report.cut_bytes == len(content) - before.end
    committed(clone, "add", "bob")
    live = canonical(clone.state)["tables"]
    clone.close()
    clone = open_shop(copied, log_options=LogOptions(), seed=4)
    assert (canonical(clone.state)["tables"], len(clone.state.epochs)) == (live, 2)


def test_a_copy_without_log_goes_on_behind_its_snapshot() -> None:
    """Of a directory whose log was not copied at all, and that nothing marks."""
    engine = a_life()
    newest = taken(memory_disk(engine)).manifest
    bare = MemoryDisk(filesystem=7)
    snapshots.transplant(memory_disk(engine), bare)
    clone = open_shop(bare, seed=3)
    assert [each.reason for each in clone.state.epochs] == ["new", "unmarked"]
    assert clone.state.epochs[-1].parent == engine.epoch
    assert clone.database.fingerprint() == newest.fingerprint
    assert segment_offsets(bare) == [newest.offset + 1]


def test_snapshots_without_log_in_place_are_a_loss() -> None:
    """The marker says that there was a log."""
    disk, _ = grown()
    for name in disk.names("log"):
        disk.remove(f"log/{name}")
    with pytest.raises(CorruptionError, match="expected the commitlog"):
        open_shop(disk)


@pytest.mark.parametrize("mode", ["keep all", "drop all", "seed 1"])
def test_power_may_fail_before_any_operation_of_a_start_from_a_snapshot(mode: str) -> None:
    """In place, in a copy, and in a copy that lags: the next start has everything."""
    in_place, _ = grown()
    lagging, _ = a_copy_that_lags()
    for make in (in_place.crash_keep_all, in_place.copy, lagging.crash_keep_all):
        expected = canonical(open_shop(make(), log_options=LOG_OPTIONS, seed=2).state)
        for cut in range(40):
            disk = make()
            disk.cut_power(after=cut)
            try:
                open_shop(disk, log_options=LOG_OPTIONS, seed=3)
            except PowerLoss:
                disk = snapshots.crashed(disk, mode)
                again = open_shop(disk, log_options=LOG_OPTIONS, seed=4)
                assert canonical(again.state)["tables"] == expected["tables"]
                assert canonical(again.state)["windows"] == expected["windows"]
                assert len({each.epoch for each in again.state.epochs}) == len(again.state.epochs)
                assert read_header(disk, segment_offsets(disk)[-1]).epoch == again.epoch
                committed(again, "add", "bob")
                assert open_shop(snapshots.crashed(disk, mode), log_options=LOG_OPTIONS).epoch == again.epoch
            else:
                break
        else:
            raise AssertionError("a start takes fewer operations")


def test_an_epoch_begins_with_a_segment() -> None:
    """A copy seals first, so that the segments' headers tell the epochs apart; the sealed one stays as it was."""
    engine = a_life(log_options=LogOptions())
    copied = memory_disk(engine).copy()
    before = copied.content(segment_name(Offset(1)))
    clone = open_shop(copied, seed=3)
    assert segment_offsets(copied) == [1, clone.state.epochs[-1].first_offset]
    assert [read_header(copied, first).epoch for first in segment_offsets(copied)] == [engine.epoch, clone.epoch]
    assert copied.content(segment_name(Offset(1))) == before


def test_an_epoch_makes_an_empty_segment_its_own() -> None:
    """Where the log ends in a segment without records, that one names the new epoch; also after a cut-short start."""
    engine = a_life(log_options=LogOptions())
    engine.log.seal(engine.world.clock.wall())
    copied = memory_disk(engine).copy()
    names = copied.names("log")
    for cut in range(20):
        disk = copied.crash_keep_all()
        disk.cut_power(after=cut)
        with suppress(PowerLoss):
            open_shop(disk, seed=3)
        disk = disk.crash_keep_all()
        clone = open_shop(disk, seed=4)
        assert disk.names("log")[: len(names)] == names
        for first in segment_offsets(disk):
            in_force = [each.epoch for each in clone.state.epochs if each.first_offset <= first]
            assert read_header(disk, first).epoch == in_force[-1]


@pytest.mark.parametrize("reason", ["restore", "clone", "salvage"])
def test_a_directory_that_was_made_says_why_an_epoch_opens(reason: str) -> None:
    """Its marker says it once, and so does that start's report; the epoch's record says it for good."""
    engine = a_life()
    disk = memory_disk(engine).crash_keep_all()
    mark(disk, reason)
    for _ in range(2):
        again = open_shop(disk.crash_keep_all(), seed=3)
        assert (again.state.epochs[-1].reason, again.state.epochs[-1].parent) == (reason, engine.epoch)
        assert (again.report.epoch, again.report.epoch_reason) == (again.epoch.hex(), reason)
        assert f"so epoch {again.epoch.hex()[:8]} opens" in str(again.report)
    later = reopen(again)
    assert later.epoch == again.epoch
    assert (later.report.epoch, "opens" in str(later.report)) == ("", False)


def test_the_tail_in_ram_is_filled_from_before_the_snapshot() -> None:
    """A restart right behind a snapshot costs nobody who comes back all rows; log that is gone is left out."""
    disk, (_, newest) = grown()
    engine = open_shop(disk, log_options=LOG_OPTIONS, seed=2)
    assert engine.report.snapshot_offset == newest
    assert engine.feed.tail(Offset(0)) == logged(disk)
    drop_log(disk, 30)
    first = segment_offsets(disk)[0]
    assert 1 < first < newest
    engine = reopen(engine, disk.crash_keep_all(), log_options=LOG_OPTIONS)
    assert engine.feed.tail(Offset(first - 2)) is None
    tail = engine.feed.tail(Offset(first - 1))
    assert tail is not None
    assert [each.offset for each in tail] == list(range(first, engine.log.last_offset + 1))


@pytest.mark.parametrize("size", range(0, 9_000, 250))
def test_the_tail_in_ram_has_no_hole(size: int) -> None:
    """However little of it fits, and though a large record fell out of it: it is the newest transactions, or none."""
    engine = a_life(log_options=LOG_OPTIONS)
    offset = taken(memory_disk(engine)).manifest.offset
    for note in ("", "n" * 8_000, "", ""):
        committed(engine, "add", "ada", None, note)
    engine = reopen(engine, log_options=LOG_OPTIONS, options=replace(OPTIONS, tail_size_max=size))
    assert engine.report.snapshot_offset == offset
    last = engine.log.last_offset
    for after in range(last + 1):
        tail = engine.feed.tail(Offset(after))
        assert tail is None or [each.offset for each in tail] == list(range(after + 1, last + 1))


def test_damage_before_the_snapshot_costs_the_tail_alone() -> None:
    """Nothing rests on what a snapshot holds already: the tail begins behind it, or behind the damage."""
    disk, (_, newest) = grown()
    disk.flip(segment_name(segment_offsets(disk)[2]), 8 * 200)
    engine = open_shop(disk, log_options=LOG_OPTIONS, seed=2)
    assert engine.report.snapshot_offset == newest
    assert engine.feed.tail(Offset(newest)) is not None
    assert engine.feed.tail(Offset(0)) is None


def test_progress_names_its_phases() -> None:
    """First loading, then replaying, each up to its end."""
    disk, (_, newest) = grown()
    told: list[RecoveryProgress] = []
    open_shop(disk, log_options=LOG_OPTIONS, progress=told.append)
    last = {each.phase: each for each in told}
    assert list(last) == ["loading", "replaying"]
    assert all(each.bytes_done == each.bytes_total > 0 for each in last.values())
    assert last["replaying"].transactions > newest


ORDERS = [
    ("log", "snapshot", "block", ""),
    ("block", "snapshot", "log", ""),
    ("", "snapshot", "block", "log"),
    ("block", "log", "", "snapshot"),
    ("snapshot", "", "log", "block"),
]
"""In which a tool may come to the folders of a directory that it copies."""


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_a_directory_that_is_copied_while_it_runs_opens(order: tuple[str, ...]) -> None:
    """Whatever is called, taken, sealed and let go between any two files: the copy holds a past of the original."""
    for pause in range(9):
        engine = open_shop(log_options=LOG_OPTIONS)
        life = Life(engine)
        for _ in range(4):
            life.go_on()
        copied = MemoryDisk(filesystem=9)
        for folder in order:
            for number, name in enumerate(memory_disk(engine).names(folder)):
                if number % 9 == pause:
                    life.go_on()
                file = f"{folder}/{name}" if folder else name
                with suppress(FileNotFoundError):
                    copied.replace(file, memory_disk(engine).content(file))
        clone = open_shop(copied, log_options=LOG_OPTIONS, seed=3)
        ends = clone.state.epochs[-1].first_offset - 1
        assert ends >= life.before
        assert clone.database.fingerprint() == life.archive.state(ends).database.fingerprint()
        assert clone.state.epochs[-1].reason in {"copy", "unmarked"}
        clone.close()
        assert open_shop(copied, log_options=LOG_OPTIONS, seed=4).epoch == clone.epoch


class Life:
    """A store that goes on while it is copied."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.archive = Archive()
        self.number = 0
        self.before = 0
        """What was durable when the copy began."""
        self._snapshots: list[int] = []

    def go_on(self) -> None:
        """Calls, a snapshot every other time, and old log goes back to the snapshot before."""
        self.number += 1
        for _ in range(3):
            committed(self.engine, "add", "ada", None, "n" * 30)
            committed(self.engine, "give", self.number, f"eve {self.number}")
        committed(self.engine, "remove", self.number - 1)
        proven(self.engine)
        self.archive.read(memory_disk(self.engine))
        if self.number <= 4:
            self.before = self.engine.log.durable_offset
        if self.number % 2 == 0:
            self._snapshots.append(taken(memory_disk(self.engine)).manifest.offset)
            if self.number <= 4:  # What goes while it is copied stays for a grace: see retention.
                drop_log(memory_disk(self.engine), self._snapshots[-2] if len(self._snapshots) > 1 else 0)
