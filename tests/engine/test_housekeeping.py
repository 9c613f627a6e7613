"""Housekeeping: looks at the disk and the clock, a vouch after a short idle, and what is due for others to do."""

import re
from contextlib import suppress
from dataclasses import replace

import pytest

from store.engine.engine import Engine
from store.engine.housekeeping import BLANK_SHARE, SYSTEM_SPACE_MIN, WrittenLog
from store.engine.snapshot_policy import DISK, TRANSACTIONS, SnapshotPolicy, SnapshotRequest
from store.env.memory import PowerLoss
from store.errors import EngineStopped, Overloaded
from store.log.commitlog import LogOptions
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.snapshot.options import SnapshotOptions
from tests.engine import shop
from tests.engine.scenes import (
    OPTIONS,
    SMALL_SEGMENTS,
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

BLANK_SIZE = OPTIONS.blank_size
RESERVE = OPTIONS.free_space_reserve
JUMP = int(OPTIONS.clock_jump_max_s * 1_000_000)


def leave(engine: Engine, free: int) -> None:
    """Let so many bytes of the disk be free."""
    disk = memory_disk(engine)
    used = sum(len(disk.content(f"log/{name}")) for name in disk.names("log")) + len(disk.content("store.json"))
    disk.set_capacity(used + free)


def refusal(engine: Engine) -> str:
    """Why a call is refused, or nothing."""
    try:
        committed(engine, "look")
    except Overloaded as error:
        return str(error.details["reason"])
    return ""


def test_below_the_reserve_calls_are_refused_and_above_it_taken_again() -> None:
    """Before anything can fail, with the bytes that are missing; reads and the store's own records go on."""
    engine = open_shop()
    leave(engine, RESERVE - 1)
    assert refusal(engine) == ""
    engine.housekeeping.tick()
    assert engine.housekeeping.free_bytes < RESERVE
    with pytest.raises(Overloaded, match=f"calls are taken from {RESERVE} on: make space"):
        call(engine, "add", "ada")
    leave(engine, RESERVE + 1_000)
    engine.housekeeping.tick()
    assert refusal(engine) == ""


@pytest.mark.parametrize("free", [0, 50, 10_000])
def test_a_store_on_a_full_disk_still_opens_and_refuses(free: int) -> None:
    """Nothing needs to be written to be able to read; calls are taken again when there is space."""
    engine = open_shop()
    committed(engine, "add", "ada")
    engine.close()
    leave(engine, free)
    engine = reopen(engine)
    assert refusal(engine) == "disk"
    engine.housekeeping.tick()
    memory_clock(engine).advance(10_000_000)
    engine.housekeeping.tick()
    engine.group_commit.commit()
    leave(engine, 10 * RESERVE)
    engine.housekeeping.tick()
    assert value(committed(engine, "look")) == ["ada"]
    assert [each.reducer for each in logged(memory_disk(engine))][-2:] == ["start", "look"]


def test_a_store_on_a_full_disk_stops_in_order() -> None:
    """Where not even the stop can be recorded, the directory is free again, and nothing is lost."""
    engine = open_shop()
    committed(engine, "add", "ada")
    leave(engine, 0)
    engine.close()
    again = open_shop(memory_disk(engine))
    assert [task.owner for task in rows(again, shop.Task)] == ["ada"]


def test_a_full_disk_is_not_written_to_without_need() -> None:
    """No vouch is tried where it might fail: it comes when there is space."""
    engine = open_shop()
    committed(engine, "add", "ada")
    leave(engine, 0)
    for _ in range(3):
        memory_clock(engine).advance(1_000_000)
        engine.housekeeping.tick()
    assert not engine.group_commit.is_due()
    leave(engine, 10 * RESERVE)
    engine.housekeeping.tick()
    engine.group_commit.commit()
    assert not engine.log.unvouched


@pytest.mark.parametrize("jump", [JUMP + 2_000_000, -JUMP - 2_000_000])
def test_a_jump_of_the_clock_refuses_calls_until_it_is_confirmed(jump: int) -> None:
    """Either way; however long it lasts; and once confirmed it is forgotten."""
    engine = open_shop()
    engine.housekeeping.tick()
    memory_clock(engine).jump(jump)
    engine.housekeeping.tick()
    with pytest.raises(Overloaded, match=re.escape(f"jumped by {jump // 1_000_000:+d} s: set it right")):
        call(engine, "add", "ada")
    memory_clock(engine).advance(1_000_000)
    engine.housekeeping.tick()
    assert refusal(engine) == "clock"
    engine.housekeeping.confirm_clock()
    engine.housekeeping.tick()
    assert refusal(engine) == ""


@pytest.mark.parametrize("jump", [JUMP - 1_000_000, 1_000_000 - JUMP, 0])
def test_a_small_correction_of_the_clock_is_none_of_our_business(jump: int) -> None:
    """Within the bound time servers may do what they do; and time that merely passes is no jump."""
    engine = open_shop()
    engine.housekeeping.tick()
    memory_clock(engine).jump(jump)
    memory_clock(engine).advance(100 * JUMP)
    engine.housekeeping.tick()
    assert refusal(engine) == ""


def test_a_start_far_behind_the_newest_record_refuses_calls() -> None:
    """A clock that was set back while the store was down would stretch time; an operator confirms it."""
    engine = open_shop()
    committed(engine, "add", "ada")
    engine.close()
    memory_clock(engine).jump(-JUMP - 2_000_000)
    engine = reopen(engine)
    with pytest.raises(Overloaded, match="302 s behind the newest record"):
        call(engine, "add", "ada")
    engine.housekeeping.confirm_clock()
    assert refusal(engine) == ""


def test_a_start_a_little_behind_or_long_after_is_fine() -> None:
    """Being away is no jump."""
    engine = open_shop()
    for jump in (-1_000_000, 1_000 * JUMP):
        engine.close()
        memory_clock(engine).jump(jump)
        engine = reopen(engine)
        assert refusal(engine) == ""


def test_two_reasons_are_told_one_at_a_time_and_go_one_at_a_time() -> None:
    """Calls are taken when the last one is gone."""
    engine = open_shop()
    memory_clock(engine).jump(3 * JUMP)
    leave(engine, 0)
    engine.housekeeping.tick()
    assert set(engine.admission.reasons) == {"disk", "clock"}
    leave(engine, 10 * RESERVE)
    engine.housekeeping.tick()
    assert refusal(engine) == "clock"
    engine.housekeeping.confirm_clock()
    assert refusal(engine) == ""


def test_after_a_short_idle_the_last_batch_is_vouched_for() -> None:
    """Once, and only when no call has come for the named time."""
    engine = open_shop(options=replace(OPTIONS, vouch_idle_ms=50))
    committed(engine, "add", "ada")
    engine.housekeeping.tick()
    memory_clock(engine).advance(40_000)
    committed(engine, "add", "bob")
    engine.housekeeping.tick()
    memory_clock(engine).advance(40_000)
    engine.housekeeping.tick()
    assert not engine.group_commit.is_due()
    memory_clock(engine).advance(20_000)
    engine.housekeeping.tick()
    assert engine.group_commit.is_due()
    engine.group_commit.commit()
    assert not engine.log.unvouched
    last = list(LogReader(memory_disk(engine)))[-1]
    assert (last.count, last.durable_offset) == (0, engine.write_path.last_offset)
    before = memory_disk(engine).operations
    for _ in range(5):
        memory_clock(engine).advance(1_000_000)
        engine.housekeeping.tick()
    assert memory_disk(engine).operations == before


def with_policy(engine: Engine, **options: int) -> SnapshotPolicy:
    """The engine's housekeeping follows a policy from now on."""
    wanted = {"bytes_between": 0, "transactions_between": 0, "interval_s": 0, "restart_time_max_s": 0, **options}
    policy = SnapshotPolicy(SnapshotOptions(**wanted), now=memory_clock(engine).monotonic(), space_min=1_000)
    tables = engine.database.tables
    engine.housekeeping.follow_policy(policy, lambda: sum(map(len, tables.values())))
    return policy


def test_what_is_due_is_a_value_that_somebody_takes_once() -> None:
    """Housekeeping carries nothing out; until what it asked for is answered it asks for nothing more."""
    engine = open_shop()
    policy = with_policy(engine, transactions_between=20)
    for _ in range(20):
        committed(engine, "add", "ada")
    engine.housekeeping.tick()
    before = memory_disk(engine).operations
    engine.housekeeping.tick()
    assert engine.housekeeping.take_request() == SnapshotRequest(TRANSACTIONS, take=True)
    engine.housekeeping.tick()
    assert engine.housekeeping.take_request() is None
    policy.took(engine.write_path.last_offset, now=0.0)
    engine.housekeeping.tick()
    assert engine.housekeeping.take_request() is None
    assert memory_disk(engine).operations == before


def test_without_a_policy_nothing_is_due() -> None:
    """Nobody would carry it out."""
    engine = open_shop()
    leave(engine, 0)
    engine.housekeeping.tick()
    assert engine.housekeeping.take_request() is None


def test_on_a_full_disk_letting_go_is_due() -> None:
    """Calls are refused, and old log can go all the same; a snapshot is taken only where it has room for sure."""
    engine = open_shop()
    with_policy(engine)
    committed(engine, "add", "ada")
    leave(engine, RESERVE - 1)
    engine.housekeeping.tick()
    assert refusal(engine) == "disk"
    assert engine.housekeeping.take_request() == SnapshotRequest(DISK, take=True)
    engine = open_shop()
    with_policy(engine)
    committed(engine, "add", "ada")
    leave(engine, 100)
    engine.housekeeping.tick()
    assert engine.housekeeping.take_request() == SnapshotRequest(DISK, take=False)


def test_while_the_clock_is_in_doubt_nothing_is_due() -> None:
    """By it a snapshot is dated, and it is judged how long something must still be kept."""
    engine = open_shop()
    with_policy(engine, transactions_between=1)
    engine.housekeeping.tick()
    engine.housekeeping.take_request()
    engine = open_shop()
    with_policy(engine, transactions_between=1)
    memory_clock(engine).jump(3 * JUMP)
    engine.housekeeping.tick()
    assert engine.housekeeping.take_request() is None
    engine.housekeeping.confirm_clock()
    engine.housekeeping.tick()
    assert engine.housekeeping.take_request() == SnapshotRequest(TRANSACTIONS, take=True)


def test_a_situation_says_what_there_is() -> None:
    """The offset, the rows of all tables, the bytes of log since it was made, the disk."""
    engine = open_shop()
    before = engine.log.position
    committed(engine, "add", "ada")
    committed(engine, "put", "key", b"body")
    with_policy(engine)
    found = engine.housekeeping.situation()
    assert (found.last_offset, found.rows, found.disk_low) == (engine.write_path.last_offset, 2, False)
    assert found.log_bytes >= engine.log.position - before
    assert found.free_bytes == engine.housekeeping.free_bytes


def test_written_log_is_counted_across_segments() -> None:
    """However many come between two looks, and also where one of them went meanwhile."""
    engine = open_shop(log_options=SMALL_SEGMENTS)
    disk = memory_disk(engine)
    written = WrittenLog(engine.log, disk)
    begin = sum(len(disk.content(f"log/{name}")) for name in disk.names("log"))
    for rounds in range(40):
        committed(engine, "put", f"{rounds}", bytes(400))
        if rounds % 10 == 0:
            size = sum(len(disk.content(f"log/{name}")) for name in disk.names("log"))
            assert written.bytes() == size - begin
    assert len(segment_offsets(disk)) > 5
    before = written.bytes()
    first = segment_offsets(disk)[-1]
    while segment_offsets(disk)[-1] == first:
        committed(engine, "put", "more", bytes(400))
    for name in disk.names("log")[:-1]:
        disk.remove(f"log/{name}")
    assert written.bytes() >= before
    assert written.bytes() == written.bytes()


def test_sealing_closes_the_open_segment_once_all_is_durable() -> None:
    """Not an empty one, and none that something is still on its way to."""
    engine = open_shop()
    committed(engine, "add", "ada")
    assert engine.housekeeping.seal()
    assert not engine.housekeeping.seal()
    call(engine, "add", "bob")
    engine.log.flush()
    assert not engine.housekeeping.seal()
    engine.group_commit.commit()
    assert engine.housekeeping.seal()
    assert len(segment_offsets(memory_disk(engine))) == 3
    assert reopen(engine).write_path.last_offset > 0


def test_without_room_nothing_is_sealed() -> None:
    """A new segment that does not fit would stop the store."""
    engine = open_shop()
    committed(engine, "add", "ada")
    leave(engine, SYSTEM_SPACE_MIN - 1)
    assert not engine.housekeeping.seal()
    leave(engine, SYSTEM_SPACE_MIN)
    assert engine.housekeeping.seal()


def test_a_crash_while_sealing_loses_nothing() -> None:
    """At whatever point: the next start finds every call."""
    for steps in range(6):
        engine = open_shop()
        committed(engine, "add", "ada")
        memory_disk(engine).cut_power(after=steps)
        with suppress(PowerLoss):
            engine.housekeeping.seal()
        again = reopen(engine)
        assert [task.owner for task in rows(again, shop.Task)] == ["ada"]


def test_a_failed_seal_stops_the_log() -> None:
    """Nobody knows what of the new segment is on disk; the next start does."""
    engine = open_shop(log_options=LogOptions())
    committed(engine, "add", "ada")
    memory_disk(engine).fail_sync()
    with pytest.raises(OSError, match="a sync failed"):
        engine.housekeeping.seal()
    with pytest.raises(EngineStopped):
        engine.log.flush()


def test_a_heartbeat_comes_every_so_often_while_there_is_room() -> None:
    """Silence in the log then means that the store was not there; on a full disk it is left out."""
    engine = open_shop()
    beats: list[int] = []
    engine.housekeeping.beat_every(60.0, lambda: beats.append(1))
    for _ in range(10):
        memory_clock(engine).advance(20_000_000)
        engine.housekeeping.tick()
    assert len(beats) == 3
    leave(engine, SYSTEM_SPACE_MIN - 1)
    memory_clock(engine).advance(60_000_000)
    engine.housekeeping.tick()
    assert len(beats) == 3


def test_zeros_lie_ahead_of_a_log_that_grows_slowly() -> None:
    """They are synced with the next group, filled up in time, and the file does not grow with each call."""
    engine = open_shop()
    engine.housekeeping.tick()
    assert engine.log.blank_bytes == BLANK_SIZE
    assert engine.group_commit.is_due()
    engine.group_commit.commit()
    assert not engine.group_commit.is_due()
    size = len(memory_disk(engine).content(engine.log.segment))
    committed(engine, "add", "ada")
    engine.housekeeping.tick()
    assert len(memory_disk(engine).content(engine.log.segment)) == size == engine.log.position + engine.log.blank_bytes
    for number in range(8):
        committed(engine, "put", f"k{number}", bytes(BLANK_SIZE // 8))
        engine.housekeeping.tick()
    assert engine.log.blank_bytes >= BLANK_SIZE // 2
    engine = reopen(engine)
    assert len(rows(engine, shop.Task)) == 1


def test_a_log_that_grows_fast_has_no_zeros_ahead() -> None:
    """Its groups hide their syncs, and each zero would be written for nothing."""
    engine = open_shop()
    for number in range(3):
        committed(engine, "put", f"k{number}", bytes(BLANK_SIZE // 3))
    engine.housekeeping.tick()
    assert engine.log.blank_bytes == 0


def test_on_a_disk_with_little_space_few_zeros_are_laid() -> None:
    """Above the reserve they take a small part of it, below it nothing."""
    engine = open_shop()
    leave(engine, RESERVE + 10 * BLANK_SHARE)
    engine.housekeeping.tick()
    assert 0 < engine.log.blank_bytes <= 10
    engine = open_shop()
    leave(engine, RESERVE - 1)
    engine.housekeeping.tick()
    assert engine.log.blank_bytes == 0
