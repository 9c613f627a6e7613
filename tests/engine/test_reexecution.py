"""Re-execution: the proof that reducers are deterministic, and what it finds where they are not."""

from typing import Any

import pytest

from store.engine.engine import Engine
from store.engine.reducer import Context, Domain, Reducer, reducer
from store.engine.reexecution import DIFFERENCES_MAX, Difference, ReexecutionReport, reexecute, start_of
from store.env.memory import NoDeadline
from store.env.world import DeadlineExceeded
from store.errors import CorruptionError, SchemaMismatch
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.schema import Table, column
from tests.engine import shop
from tests.engine.scenes import DOMAIN, SMALL_SEGMENTS, call, committed, memory_clock, memory_disk, open_shop, reopen
from tests.engine.snapshots import a_life, drop_log, proven, taken

COUNTED = [0]


@reducer
def act(ctx: Context, owner: str) -> int:
    """Add a task."""
    return ctx.table(shop.Task).insert(shop.Task(owner=owner)).id


def domain(**reducers: Reducer[..., Any]) -> Domain:
    """The shop, with these reducers under these names."""
    return Domain(DOMAIN.tables, {**DOMAIN.reducers, **reducers})


def again(engine: Engine, served: Domain) -> ReexecutionReport:
    """Run the engine's log again."""
    return reexecute(LogReader(memory_disk(engine)), served, NoDeadline())


def test_a_deterministic_domain_comes_out_the_same() -> None:
    """Dice, ids, moments, senders, failures, several calls a batch, several segments and starts: nothing differs."""
    engine = open_shop(log_options=SMALL_SEGMENTS)
    for number in range(12):
        for name, *args in (
            ("add", "ada", f"s{number}"),
            ("roll",),
            ("make",),
            ("who",),
            ("fail", "refuse"),
            ("look",),
        ):
            call(engine, name, *args)
        committed(engine, "remove", number)
        memory_clock(engine).advance(1_000)
    engine = reopen(engine, log_options=SMALL_SEGMENTS)
    committed(engine, "roll")
    report = again(engine, DOMAIN)
    assert (report.different, report.differences, report.skipped) == (0, [], 0)
    assert report.calls == 12 * 7 + 1
    assert report.transactions == engine.write_path.last_offset
    assert report.fingerprint == engine.database.fingerprint()


def test_the_log_is_only_read() -> None:
    """Running it again changes nothing on the disk."""
    engine = open_shop()
    committed(engine, "add", "ada")
    before = memory_disk(engine).operations
    again(engine, DOMAIN)
    assert memory_disk(engine).operations == before


@reducer
def act_with_counter(ctx: Context, owner: str) -> int:
    """Add a task whose owner depends on how often this process ran it."""
    COUNTED[0] += 1
    return ctx.table(shop.Task).insert(shop.Task(owner=f"{owner} {COUNTED[0]}")).id


def test_a_nondeterministic_reducer_is_found() -> None:
    """The first call that came out otherwise is named, with its offset."""
    served = domain(act=act_with_counter)
    engine = open_shop(domain=served)
    offsets = [committed(engine, "act", "ada").offset for _ in range(3)]
    report = again(engine, served)
    assert report.differences == [Difference(offset, "act", "writes") for offset in offsets]
    assert report.fingerprint == engine.database.fingerprint()


@reducer
def act_changed(ctx: Context, owner: str) -> int:
    """Add a task, but not bob's, and count from 100."""
    if owner == "bob":
        ctx.refuse("no_bob")
    return ctx.table(shop.Task).insert(shop.Task(owner=owner)).id + (100 if owner == "eve" else 0)


@reducer
def act_with_other_arguments(ctx: Context, owner: int) -> int:  # A context comes first.
    """Take something else."""
    return owner


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (act_changed, ["outcome, value, writes", "value"]),
        (act_with_other_arguments, ["arguments", "arguments", "arguments"]),
        (None, ["reducer", "reducer", "reducer"]),
    ],
)
def test_changed_code_is_found(changed: Reducer[..., Any] | None, found: list[str]) -> None:
    """What differs is said: outcome, value, writes; other arguments; or no such reducer. History stays as it is."""
    engine = open_shop(domain=domain(act=act))
    for owner in ("ada", "bob", "eve"):
        committed(engine, "act", owner)
    report = again(engine, domain(**{} if changed is None else {"act": changed}))
    assert [each.what for each in report.differences] == found
    assert {each.reducer for each in report.differences} == {"act"}
    assert report.fingerprint == engine.database.fingerprint()


@reducer
def act_too_long(ctx: Context, owner: str) -> int:  # As the others.
    """Run until the time is up."""
    raise DeadlineExceeded


def test_a_call_that_was_cut_off_is_skipped() -> None:
    """How it ends depends on the machine; a refusal with the same details is not skipped."""
    engine = open_shop(domain=domain(act=act_too_long))
    assert committed(engine, "act", "ada").outcome == "reducer_failed"
    report = again(engine, domain(act=act))
    assert (report.calls, report.skipped, report.different) == (1, 1, 0)


def test_differences_are_listed_up_to_a_limit() -> None:
    """More are only counted."""
    engine = open_shop(domain=domain(act=act))
    for _ in range(DIFFERENCES_MAX + 5):
        call(engine, "act", "ada")
    engine.group_commit.commit()
    report = again(engine, DOMAIN)
    assert (report.different, len(report.differences)) == (DIFFERENCES_MAX + 5, DIFFERENCES_MAX)


def test_corruption_is_raised_as_the_reader_finds_it() -> None:
    """Damaged bytes are never run."""
    engine = open_shop()
    committed(engine, "add", "ada")
    engine.close()
    memory_disk(engine).flip("log/00000000000000000001.log", 8 * 300)
    with pytest.raises(CorruptionError):
        again(engine, DOMAIN)


def test_a_domain_with_other_tables_is_refused() -> None:
    """A log cannot be run again by a domain that declares its tables otherwise: the error names the table."""

    class Task(Table, name="task", public=True):
        id: int = column(primary_key=True)
        owner: str = column(index=True, default="")

    engine = open_shop()
    committed(engine, "add", "ada", None)
    others = tuple(each for each in DOMAIN.tables if each is not shop.Task)
    with pytest.raises(SchemaMismatch, match="table task is declared otherwise"):
        again(engine, Domain((*others, Task), DOMAIN.reducers))


def test_where_old_log_is_gone_it_begins_with_a_snapshot() -> None:
    """The calls behind it run above what it holds, and the report says where they begin."""
    engine = open_shop(log_options=SMALL_SEGMENTS)
    for number in range(40):
        for name, *args in (("add", "ada", f"s{number}"), ("roll",), ("make",), ("who",), ("remove", number // 2)):
            call(engine, name, *args)
        committed(engine, "look")
        if number in {10, 30}:
            proven(engine)
            base = taken(memory_disk(engine)).manifest.offset
    disk = memory_disk(engine)
    drop_log(disk, base - 40)
    first = segment_offsets(disk)[0]
    assert 1 < first < base
    state = start_of(disk, DOMAIN)
    reader = LogReader(disk, from_offset=state.next_offset)
    report = reexecute(reader, DOMAIN, NoDeadline(), state)
    assert (report.different, report.begins_behind) == (0, base)
    assert report.transactions == engine.write_path.last_offset - base
    assert report.fingerprint == engine.database.fingerprint()


def test_with_all_of_the_log_it_begins_at_the_start() -> None:
    """Whatever snapshots there are: the proof is of everything that can be proven."""
    engine = a_life()
    taken(memory_disk(engine))
    state = start_of(memory_disk(engine), DOMAIN)
    assert state.last_offset == 0
    report = reexecute(LogReader(memory_disk(engine)), DOMAIN, NoDeadline(), state)
    assert (report.different, report.begins_behind) == (0, 0)


def test_what_a_snapshot_holds_must_be_declared_as_well() -> None:
    """A domain with other tables is refused before anything runs."""
    engine = a_life()
    taken(memory_disk(engine))
    drop_log(memory_disk(engine), engine.log.last_offset)
    state = start_of(memory_disk(engine), DOMAIN)
    with pytest.raises(SchemaMismatch):
        reexecute(LogReader(memory_disk(engine), from_offset=state.next_offset), Domain((), {}), NoDeadline(), state)
