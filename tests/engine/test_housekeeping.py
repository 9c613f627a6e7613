"""Housekeeping: looks at the disk and the clock, and a vouch after a short idle."""

import re
from dataclasses import replace

import pytest

from store.engine.engine import Engine
from store.errors import Overloaded
from store.log.reader import LogReader
from tests.engine import shop
from tests.engine.scenes import (
    OPTIONS,
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
    assert not engine.group_commit.due
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
    assert not engine.group_commit.due
    memory_clock(engine).advance(20_000)
    engine.housekeeping.tick()
    assert engine.group_commit.due
    engine.group_commit.commit()
    assert not engine.log.unvouched
    last = list(LogReader(memory_disk(engine)))[-1]
    assert (last.count, last.durable_offset) == (0, engine.write_path.last_offset)
    before = memory_disk(engine).operations
    for _ in range(5):
        memory_clock(engine).advance(1_000_000)
        engine.housekeeping.tick()
    assert memory_disk(engine).operations == before
