"""Recovery: power may fail before any operation of the disk, in every way the disk may take it."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest

from store.engine.engine import Engine
from store.engine.recovery import RecoveryProgress
from store.env.memory import MemoryDisk, PowerLoss, SeededEntropy
from store.errors import CorruptionError, EngineStopped
from store.ids import Offset
from store.log.commitlog import LogOptions
from store.log.format import decode_segment_header
from store.transaction import Kind
from tests.canonical import canonical, check_indexes
from tests.engine import shop
from tests.engine.scenes import (
    Listener,
    a_caller,
    call,
    committed,
    logged,
    memory_clock,
    memory_disk,
    open_shop,
    reopen,
    rows,
    value,
)

LOG_OPTIONS = LogOptions(segment_size_max=900)
"""So small that a life of a dozen calls fills several segments."""

CALLS: list[tuple[Any, ...]] = [
    ("add", "ada", "one"),
    ("add", "bob", None, "n" * 40),
    ("give", 1, "eve"),
    ("fail", "refuse"),
    ("put", "k", b"v" * 30),
    ("add", "ada", "one"),  # Breaks the unique rule.
    ("remove", 1),
    ("add", "ada", "one"),
    ("put", "k", b""),
    ("give", 99, "eve"),  # Refused.
    ("remove", 3),
    ("add", "zoe", "two"),
]
GROUPS = (1, 2, 1, 3, 1, 2, 2)
"""How many calls each commit covers."""

MODES: dict[str, Callable[[MemoryDisk], MemoryDisk]] = {
    "keep all": lambda disk: disk.crash_keep_all(),
    "drop all": lambda disk: disk.crash_drop_all(),
} | {f"seed {seed}": lambda disk, seed=seed: disk.crash(SeededEntropy(seed)) for seed in range(4)}


class Life:
    """A tenant's life that knows which of its calls were answered."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk
        self.held: list[int] = []
        self.answered = 0

    def prepare(self, parts: list[int]) -> list[int]:
        """As it is."""
        return parts

    def release(self, parts: list[int]) -> None:
        """Somebody was told: from now on it must be there."""
        self.answered = max(self.answered, *parts)

    def live(self) -> None:
        """Start for the first time; call in groups; idle and vouch; stop in order; start again; call; stop."""
        engine = open_shop(self.disk, log_options=LOG_OPTIONS)
        engine = self.call_all(engine, stop_after=4)
        engine.close()
        engine = open_shop(self.disk, log_options=LOG_OPTIONS, seed=2)
        self.call_all(engine).close()

    def call_all(self, engine: Engine, *, stop_after: int = 99) -> Engine:
        """Go on behind the last answer, retrying what was not answered."""
        caller = a_caller(client="c")
        number = 0
        for group, size in enumerate(GROUPS):
            for sequence in range(number + 1, number + size + 1):
                if sequence > self.answered:
                    name, *args = CALLS[sequence - 1]
                    call(engine, name, *args, caller=caller, sequence=sequence, acknowledged=self.answered)
                    engine.feed.hold(self, sequence)
            number += size
            engine.group_commit.commit()
            if group % 3 == 1:
                engine.log.vouch()
                engine.group_commit.commit()
            if group == stop_after:
                break
        return engine


@cache
def fingerprints() -> list[str]:
    """The tables' fingerprint after so many of the calls, of a life that nothing interrupts."""
    engine = open_shop()
    found = [engine.database.fingerprint()]
    for name, *args in CALLS:
        committed(engine, name, *args)
        found.append(engine.database.fingerprint())
    return found


@cache
def operations() -> int:
    """How many operations on the disk a whole life takes."""
    life = Life(MemoryDisk())
    life.live()
    assert life.answered == len(CALLS)
    assert len(life.disk.names("log")) > 3
    return life.disk.operations


def lived(operation: int) -> Life:
    """A life that ends before its n-th operation on the disk."""
    life = Life(MemoryDisk())
    life.disk.cut_power(after=operation)
    with suppress(PowerLoss):
        life.live()
    return life


def check(disk: MemoryDisk, life: Life) -> None:
    """The store opens; every answered call is there, none half or twice; and the life can be lived to its end."""
    engine = open_shop(disk, log_options=LOG_OPTIONS, seed=7)
    calls = [each for each in logged(disk) if each.kind in {Kind.CALL, Kind.FAILED_CALL}]
    assert len(calls) >= life.answered
    assert engine.database.fingerprint() == fingerprints()[len(calls)]
    assert engine.epoch
    assert canonical(reopen(engine, disk.copy(), log_options=LOG_OPTIONS).state)["tables"] == tables(engine)
    after = Life(disk)
    after.answered = life.answered
    after.call_all(engine)
    assert after.answered == len(CALLS)
    assert engine.database.fingerprint() == fingerprints()[-1]
    keys = [each.call_key for each in logged(disk) if each.kind in {Kind.CALL, Kind.FAILED_CALL}]
    assert [key and key[1] for key in keys] == list(range(1, len(CALLS) + 1))


def tables(engine: Engine) -> Any:
    """The canonical tables; the indexes hold exactly what the rows say."""
    for table in engine.database.tables.values():
        check_indexes(table)
    return canonical(engine.state)["tables"]


@pytest.mark.parametrize("mode", MODES)
def test_power_may_fail_before_any_operation(mode: str) -> None:
    """Every answered call is there, nothing is there half, and retries complete the rest, from the very first start."""
    for operation in range(operations() + 1):
        life = lived(operation)
        check(MODES[mode](life.disk), life)


@pytest.mark.parametrize("mode", ["keep all", "drop all", "seed 1"])
def test_power_may_fail_again_before_any_operation_of_the_recovery(mode: str) -> None:
    """A start that was cut short is done again, with nothing lost by the first."""
    for operation in range(0, operations() + 1, 3):
        life = lived(operation)
        for cut in range(14):
            disk = MODES[mode](life.disk)
            disk.cut_power(after=cut)
            try:
                open_shop(disk, log_options=LOG_OPTIONS, seed=3)
            except PowerLoss:
                check(MODES[mode](disk), life)
            else:
                break


def test_a_failed_sync_anywhere_loses_nothing_that_was_answered() -> None:
    """Whether a commit, a rotation or a start fails: the engine stops, the next start has every answer."""
    for failing in range(operations()):
        life = Life(MemoryDisk())
        life.disk.fail_sync(after=failing)
        with suppress(EngineStopped, OSError):
            life.live()
        for mode in ("keep all", "drop all", "seed 1"):
            check(MODES[mode](life.disk), life)


def test_a_failed_write_anywhere_loses_nothing_that_was_answered() -> None:
    """Half a batch was written: it is cut."""
    for failing in range(operations()):
        life = Life(MemoryDisk())
        life.disk.fail_write(after=failing)
        with suppress(EngineStopped, OSError):
            life.live()
        for mode in ("keep all", "drop all", "seed 1"):
            check(MODES[mode](life.disk), life)


def test_the_state_after_recovery_is_the_live_state() -> None:
    """Rows, order, indexes, keys to come, first answers, identities, epochs: all follows from the log."""
    engine = open_shop(log_options=LOG_OPTIONS)
    life = Life(memory_disk(engine))
    life.call_all(engine)
    for subject in ("ada", "bob"):
        committed(engine, "add", subject, caller=a_caller(subject, client="d"), sequence=4, acknowledged=2)
        committed(engine, "make", caller=a_caller(subject), key="k")
        committed(engine, "roll", caller=a_caller(subject))
        committed(engine, "put", "large", bytes(5_000), caller=a_caller(subject), key="large")
        memory_clock(engine).advance(3600_000_000)
    live = canonical(engine.state)
    again = reopen(engine, log_options=LOG_OPTIONS)
    replayed = canonical(again.state)
    start = {"last offset", "last timestamp"}
    assert {name: each for name, each in replayed.items() if name not in start} == {
        name: each for name, each in live.items() if name not in start
    }
    assert replayed["last offset"] == live["last offset"] + 1


def test_calls_after_recovery_go_on_as_if_nothing_had_been() -> None:
    """Keys to come and unique values are remembered, also those of rows that are gone."""
    engine = open_shop()
    assert value(committed(engine, "add", "ada", "one")) == 1
    committed(engine, "remove", 1)
    engine = reopen(engine)
    assert value(committed(engine, "add", "ada", "one")) == 2
    engine = reopen(engine)
    assert committed(engine, "add", "bob", "one").outcome == "constraint_violation"


def test_the_report_says_what_was_found() -> None:
    """Replayed transactions, cut and rewritten bytes, the last offset: in one line."""
    engine = open_shop()
    committed(engine, "add", "ada")
    call(engine, "add", "bob")
    engine.log.flush()
    disk = memory_disk(engine).crash_keep_all()
    name = f"log/{disk.names('log')[-1]}"
    disk.replace(name, disk.content(name)[:-3])
    last = engine.log.durable_offset
    engine = reopen(engine, disk)
    report = engine.report
    assert (report.last_offset, report.replayed) == (last, last)
    assert report.cut_bytes > 100
    assert report.rewritten_bytes > 100
    assert f"recovered to offset {last}: replayed {last} transactions" in str(report)
    assert f"cut {report.cut_bytes} torn bytes" in str(report)
    assert [task.owner for task in rows(engine, shop.Task)] == ["ada"]


def test_progress_is_told_up_to_the_end() -> None:
    """The last word says that all bytes are done."""
    told: list[RecoveryProgress] = []
    engine = open_shop()
    committed(engine, "add", "ada")
    reopen(engine, progress=told.append)
    assert told[-1].bytes_done == told[-1].bytes_total > 0
    assert told[-1].transactions > 0


def test_damage_to_what_was_told_is_refused() -> None:
    """A vouched batch with a flipped bit is corruption, with file and position; the directory is free again."""
    engine = open_shop()
    committed(engine, "add", "ada")
    engine.close()
    disk = memory_disk(engine).crash_keep_all()
    name = f"log/{disk.names('log')[0]}"
    disk.flip(name, 8 * 200)
    with pytest.raises(CorruptionError, match=f"{name} at byte"):
        open_shop(disk)
    with pytest.raises(CorruptionError):
        open_shop(disk)


def test_the_first_epoch_survives_a_crash_before_its_record() -> None:
    """A directory whose first segment exists, but no record, still opens its epoch: the one its segment names."""
    first = "00000000000000000001.log"
    cuts = 0
    for cut in range(20):
        disk = MemoryDisk()
        disk.cut_power(after=cut)
        with suppress(PowerLoss):
            open_shop(disk)
        disk = disk.crash_keep_all()
        if disk.names("log") != [first] or logged(disk):
            continue
        cuts += 1
        engine = open_shop(disk, seed=9)
        assert [each.first_offset for each in engine.state.epochs] == [1]
        assert decode_segment_header(disk.content(f"log/{first}"), file=first).epoch == engine.epoch
    assert cuts


def test_a_copy_finds_out_about_itself_also_when_its_first_start_is_cut_short() -> None:
    """Wherever the power fails, a copied directory ends in an epoch of its own before it takes a call."""
    engine = open_shop()
    committed(engine, "add", "ada")
    engine.close()
    for cut in range(20):
        copied = memory_disk(engine).copy()
        copied.cut_power(after=cut)
        with suppress(PowerLoss):
            open_shop(copied, seed=3)
        for crash in (copied.crash_keep_all(), copied.crash_drop_all()):
            again = open_shop(crash, seed=4)
            assert again.epoch != engine.epoch
            assert again.state.epochs[-1].parent in {each.epoch for each in again.state.epochs[:-1]}


def test_the_tail_in_ram_is_filled_again() -> None:
    """Whoever comes back after a restart gets what was missed from memory."""
    engine = open_shop()
    listener = Listener(engine)
    offset = committed(engine, "add", "ada").offset
    committed(engine, "add", "bob")
    engine.feed.hold(listener, "done")
    engine = reopen(engine)
    tail = engine.feed.tail(offset)
    assert tail is not None
    assert [each.reducer for each in tail] == ["add", "start"]
    assert engine.feed.tail(Offset(0)) == logged(memory_disk(engine))
