"""One run of a reducer: every way it can fail leaves nothing behind, and a record that says how it ended."""

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from store.engine.execution import RETURN_VALUE_SIZE_MAX, WRITE_SET_SIZE_MAX
from store.engine.reducer import Context, Domain, Reducer, reducer
from store.env.posix import SignalDeadline
from store.env.world import World
from store.errors import MalformedCall, Overloaded, Refused
from store.log.commitlog import LogOptions
from store.tables.overlay import TableView
from store.transaction import Kind
from tests.canonical import canonical, check_indexes
from tests.engine import shop
from tests.engine.scenes import (
    a_world,
    call,
    committed,
    logged,
    memory_disk,
    open_shop,
    reason,
    reopen,
    rows,
    value,
)

WAYS: list[tuple[str, int, tuple[str, str]]] = [
    ("refuse", 5, ("refused", "no")),
    ("refuse with much", 20 << 20, ("refused", "no")),
    ("refuse with nonsense", 0, ("refused", "no")),
    ("refuse with a surrogate", 0, ("refused", "\\ud800")),
    ("refuse with a number", 0, ("refused", "7")),
    ("raise", 0, ("reducer_failed", "reducer_failed")),
    ("raise what cannot be shown", 0, ("reducer_failed", "reducer_failed")),
    ("exit", 0, ("reducer_failed", "reducer_failed")),
    ("violate", 0, ("constraint_violation", "constraint_violation")),
    ("violate with much", 20 << 20, ("constraint_violation", "constraint_violation")),
    ("write much", 1_000_000, ("constraint_violation", "constraint_violation")),
    ("write long keys", 1_000_000, ("constraint_violation", "constraint_violation")),
    ("return a function", 0, ("reducer_failed", "reducer_failed")),
    ("return a set of sets", 0, ("reducer_failed", "reducer_failed")),
    ("return much", RETURN_VALUE_SIZE_MAX, ("constraint_violation", "constraint_violation")),
    ("return a surrogate", 0, ("reducer_failed", "reducer_failed")),
    ("return a great integer", 0, ("reducer_failed", "reducer_failed")),
    ("there is no such way", 0, ("reducer_failed", "reducer_failed")),
]


@pytest.mark.parametrize(("how", "size", "ended"), WAYS, ids=[how for how, *_ in WAYS])
def test_a_failed_call_leaves_nothing_behind(how: str, size: int, ended: tuple[str, str]) -> None:
    """No row, no index entry, no key taken; but a record with its outcome, that a replay reads as well."""
    engine = open_shop()
    committed(engine, "add", "ada", "one")
    before = canonical(engine.state)
    answer = committed(engine, "fail", how, size)
    outcome, _, why = reason(answer)
    assert (outcome, why) == ended
    after = canonical(engine.state)
    assert {name for name in after if after[name] != before[name]} == {"last offset", "last timestamp"}
    for table in engine.database.tables.values():
        check_indexes(table)
    record = logged(memory_disk(engine))[-1]
    assert (record.offset, record.kind, record.reducer, record.writes) == (answer.offset, Kind.FAILED_CALL, "fail", ())
    assert (record.outcome, record.value) == (answer.outcome, answer.value)
    engine = reopen(engine)
    assert value(committed(engine, "add", "bob", "ghost")) == 2


def test_a_refusal_carries_reason_and_details() -> None:
    """What `ctx.refuse` was given reaches the caller."""
    engine = open_shop()
    assert reason(committed(engine, "fail", "refuse", 5)) == ("refused", {"size": 5}, "no")


def test_a_caller_is_told_the_type_of_a_bug_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """What a reducer raised by mistake is for the operator's log."""
    engine = open_shop()
    with caplog.at_level(logging.ERROR):
        answer = committed(engine, "fail", "raise")
    assert b"ZeroDivisionError" in answer.value
    assert b"1/0" not in answer.value
    assert "1/0" in caplog.text


def test_a_reducer_that_runs_for_ever_is_cut_off() -> None:
    """The time limit ends it, nothing is changed, and the next call runs."""
    deadline = SignalDeadline(0.02)
    try:
        engine = open_shop(world=a_world(deadline=deadline))
        outcome, details, _ = reason(committed(engine, "fail", "forever"))
        assert (outcome, details) == ("reducer_failed", {"limit": "reducer_time_max_ms"})
        assert value(committed(engine, "add", "ada")) == 1
        assert rows(engine, shop.Note) == []
    finally:
        deadline.close()


@pytest.mark.parametrize("refuses", [False, True])
def test_a_reducer_that_holds_its_deadline_has_failed_all_the_same(*, refuses: bool) -> None:
    """It may have been cut off amid a write: nothing of it is kept, however it ends, and the next call runs."""
    deadline = SignalDeadline(0.02)
    try:
        engine = with_reducers(stubborn, world=a_world(deadline=deadline))
        outcome, details, _ = reason(committed(engine, "stubborn", refuses))
        assert (outcome, details) == ("reducer_failed", {"limit": "reducer_time_max_ms"})
        assert rows(engine, shop.Task) == []
        assert value(committed(engine, "add", "ada")) == 1
    finally:
        deadline.close()


@reducer
def stubborn(ctx: Context, refuses: bool) -> None:  # noqa: FBT001  # As any reducer's argument.
    """Write, and go on when the time is up."""
    tasks = ctx.table(shop.Task)
    tasks.insert(shop.Task(owner="ghost"))
    try:
        while True:
            pass
    except BaseException:  # noqa: BLE001  # That is the test.
        tasks.insert(shop.Task(owner="another"))
    if refuses:
        ctx.refuse("late")


def test_a_reducer_cannot_interrupt_the_store() -> None:
    """KeyboardInterrupt is a failure of the call as any other, and leaves nothing behind."""
    engine = with_reducers(interrupted)
    committed(engine, "look")
    before = canonical(engine.state)["tables"]
    answer = call(engine, "interrupted")
    assert answer.outcome == "reducer_failed"
    assert canonical(engine.state)["tables"] == before


@reducer
def interrupted(ctx: Context) -> None:
    """Somebody presses Ctrl-C meanwhile."""
    ctx.table(shop.Task).insert(shop.Task(owner="ghost"))
    raise KeyboardInterrupt


LEAKED: list[Any] = []


@reducer
def leak(ctx: Context) -> None:
    """Keep a table, a row and an iteration beyond the call."""
    tasks = ctx.table(shop.Task)
    LEAKED[:] = [tasks, next(iter(tasks)), iter(tasks)]


@reducer
def interrupted_not(ctx: Context) -> list[int]:
    """Look at every task."""
    return [task.id for task in ctx.table(shop.Task)]


def with_reducers(*reducers: Reducer[..., Any], world: World | None = None) -> Any:
    """The shop with further reducers."""
    domain = Domain.of(shop)
    more = {each.name: each for each in (*reducers, interrupted_not)}
    return open_shop(domain=Domain(tables=domain.tables, reducers={**domain.reducers, **more}), world=world)


def test_a_table_kept_beyond_its_call_changes_nothing() -> None:
    """What is written to it after the call, before another or between two, is never seen again."""
    engine = with_reducers(leak)
    committed(engine, "add", "ada", "one")
    committed(engine, "leak")
    before = canonical(engine.state)
    tasks, task, iteration = LEAKED
    write_to(tasks, task, iteration)
    assert canonical(engine.state) == before
    assert value(committed(engine, "look")) == ["ada"]
    write_to(tasks, task, iteration)
    assert value(committed(engine, "add", "bob", "ghost")) == 2
    assert [task.owner for task in rows(engine, shop.Task)] == ["ada", "bob"]
    assert canonical(reopen(engine).state)["fingerprint"] == engine.database.fingerprint()
    for table in engine.database.tables.values():
        check_indexes(table)


def write_to(tasks: TableView[shop.Task], task: shop.Task, iteration: Iterator[shop.Task]) -> None:
    """Everything one can do to a table."""
    tasks.insert(shop.Task(owner="ghost", slug="ghost"))
    tasks.update(task, owner="ghost", slug="two")
    next(iteration, None)
    tasks.delete(task.id)


def test_a_write_set_at_its_limit_fits_in_a_record() -> None:
    """Rows, keys and what surrounds them are counted, so that what is not refused can be appended."""
    engine = open_shop()
    answer = committed(engine, "fail", "write many", 400_000)
    outcome, details, _ = reason(answer)
    assert (outcome, details["rule"]) == ("constraint_violation", "write_set_size_max")
    assert LogOptions().record_size_max > WRITE_SET_SIZE_MAX


def test_arguments_are_bounded_in_their_canonical_form() -> None:
    """Arguments that grow when they are brought to their one form are malformed; nothing is recorded."""
    engine = open_shop()
    last = engine.write_path.last_offset
    with pytest.raises(MalformedCall, match="18000006 bytes of arguments, at most 4194304"):
        call(engine, "echo", [1] * 2_000_000)
    assert engine.write_path.last_offset == last
    assert value(committed(engine, "echo", [1] * 400_000)) == 400_000


def deeply(depth: int) -> object:
    """A value nested so deep."""
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "bad",
    [
        deeply(600),
        float("nan"),
        float("inf"),
        2**63,
        msgspec.Raw(b"\xc1"),
        msgspec.msgpack.Ext(-1, b"abc"),
        {1: 2},
        object(),
    ],
    ids=lambda each: type(each).__name__,
)
def test_only_plain_values_are_returned(bad: Any) -> None:
    """What a subprotocol could not say fails the call before it is logged; in a refusal it is left out."""

    @reducer
    def give(ctx: Context) -> Any:
        return bad

    @reducer
    def deny(ctx: Context) -> None:
        raise Refused("no", details={"bad": bad})

    engine = with_reducers(give, deny)
    assert call(engine, "give").outcome == "reducer_failed"
    answer = call(engine, "deny")
    message, details, reason = msgspec.msgpack.decode(answer.value)
    assert (answer.outcome, message, details, reason) == ("refused", "no", {}, "no")


class Sly(Refused):
    """A refusal that is not made as one."""

    def __init__(self) -> None:
        pass


def test_a_refusal_that_is_not_made_as_one_is_a_refusal() -> None:
    """A reducer's own class may leave out everything: the caller gets what there is."""

    @reducer
    def be_sly(ctx: Context) -> None:
        raise Sly

    answer = call(with_reducers(be_sly), "be_sly")
    assert (answer.outcome, reason(answer)[2]) == ("refused", "refused")


def test_a_reducer_cannot_say_that_it_was_not_run() -> None:
    """Overloaded from inside a reducer is a reducer that failed: it took an offset, so a retry would not run it."""

    @reducer
    def pretend(ctx: Context) -> None:
        raise Overloaded("later")

    assert call(with_reducers(pretend), "pretend").outcome == "reducer_failed"
