"""The engine, assembled: what a start and a stop leave in the log."""

import types
from typing import Any

import pytest

from store.engine.engine import Migration, code_hash
from store.engine.reducer import Context, Domain, reducer
from store.env.memory import MemoryDisk
from store.errors import EngineStopped, Overloaded, SchemaMismatch
from store.log.reader import LogReader
from store.schema import Table, column
from store.transaction import Kind
from store.values import encode
from tests.canonical import canonical
from tests.engine import shop
from tests.engine.scenes import DOMAIN, a_caller, call, committed, logged, memory_disk, open_shop, reopen, rows, value
from tests.engine.snapshots import taken


class Later(Table):
    """A table that comes later."""

    id: int = column(primary_key=True)


@reducer
def add_later(ctx: Context, number: int) -> None:
    """Add to the table that came later."""
    ctx.table(Later).insert(Later(id=number))


def test_the_first_start_logs_epoch_schema_and_start() -> None:
    """In this order, as the store itself, and durably before the engine is handed out."""
    engine = open_shop()
    found = logged(memory_disk(engine).crash_drop_all())
    assert [(each.kind, each.reducer, each.identity) for each in found] == [
        (Kind.EPOCH, "epoch", 0),
        (Kind.SCHEMA, "schema", 0),
        (Kind.LIFECYCLE, "start", 0),
    ]
    assert found[-1].args == encode([code_hash(engine.domain), engine.domain.declarations, {}, []])
    assert engine.log.durable_offset == engine.write_path.last_offset == 3


def test_a_later_start_logs_only_itself() -> None:
    """Where neither epoch nor schema changes."""
    engine = reopen(open_shop())
    assert [each.reducer for each in logged(memory_disk(engine))] == ["epoch", "schema", "start", "start"]


def test_a_clean_stop_is_a_record_that_is_vouched_for() -> None:
    """The directory is free, the last batch proves all before it, and the next start rewrites no record."""
    engine = open_shop()
    committed(engine, "add", "ada")
    engine.close()
    disk = memory_disk(engine)
    *_, last = LogReader(disk)
    assert (last.count, last.durable_offset) == (0, engine.write_path.last_offset)
    assert logged(disk)[-1].reducer == "stop"
    again = open_shop(disk)
    assert (again.report.cut_bytes, again.report.last_offset) == (0, engine.write_path.last_offset)


def test_while_it_stops_no_call_is_taken() -> None:
    """Not even by a follower of the stop itself."""
    engine = open_shop()
    refused: list[Any] = []

    class Late:
        """Somebody who calls at the last moment."""

        def evaluate(self, _: Any) -> None:
            """Try."""
            with pytest.raises(Overloaded, match="stopping"):
                call(engine, "add", "ada")
            refused.append(1)

    engine.feed.follow(Late())
    engine.close()
    assert refused == [1]


def test_a_new_table_is_served_from_its_schema_record_on() -> None:
    """Old rows stay; what came later is there after a crash."""
    engine = open_shop()
    committed(engine, "add", "ada")
    domain = Domain((*DOMAIN.tables, Later), {**DOMAIN.reducers, "add_later": add_later})
    engine.close()
    engine = open_shop(memory_disk(engine), domain=domain)
    assert committed(engine, "add_later", 5).outcome == ""
    engine = reopen(engine)
    assert rows(engine, Later) == [Later(id=5)]
    assert [each.owner for each in rows(engine, shop.Task)] == ["ada"]
    assert engine.database.schema.version == 2
    engine.close()
    with pytest.raises(SchemaMismatch, match="later"):
        open_shop(memory_disk(engine))
    open_shop(memory_disk(engine), domain=domain)


def test_a_start_that_fails_leaves_what_a_crash_would() -> None:
    """EngineStopped where the disk fails; the directory is free and opens."""
    disk = MemoryDisk()
    disk.fail_sync(after=3)
    with pytest.raises((EngineStopped, OSError)):
        open_shop(disk)
    engine = open_shop(disk)
    assert value(committed(engine, "add", "ada", caller=a_caller())) == 1


def test_the_code_hash_follows_the_source() -> None:
    """The same modules have the same hash, others another; code without a source is no obstacle."""
    assert code_hash(DOMAIN) == code_hash(Domain.of(shop))
    assert code_hash(DOMAIN) != code_hash(Domain(DOMAIN.tables, {"add_later": add_later}))
    nowhere = types.ModuleType("nowhere")
    nowhere.__dict__.update(Context=Context, reducer=reducer)
    exec("@reducer\ndef act(ctx: Context) -> None:\n    pass\n", nowhere.__dict__)  # noqa: S102  # Typed in at a prompt.
    assert len(code_hash(Domain.of(nowhere))) == 64


def test_a_table_declared_otherwise_is_refused_before_anything_is_written() -> None:
    """Also where it has rows and an index: the log replays under its own schema, and stays as it is."""

    class Task(Table, name="task", public=True):
        id: int = column(primary_key=True)
        owner: int = column(index=True, default=0)

    engine = open_shop()
    committed(engine, "add", "ada", None)
    disk = memory_disk(engine)
    engine.close()
    before = {name: disk.content(f"log/{name}") for name in disk.names("log")}
    others = tuple(each for each in DOMAIN.tables if each is not shop.Task)
    with pytest.raises(SchemaMismatch, match="table task is declared otherwise"):
        open_shop(disk, domain=Domain((*others, Task), {}))
    assert before == {name: disk.content(f"log/{name}") for name in disk.names("log")}


LATER = Domain((*DOMAIN.tables, Later), {**DOMAIN.reducers, "add_later": add_later})


def test_before_tables_change_a_snapshot_can_be_taken() -> None:
    """Whoever asked is told once, before the change is logged, with all before it proven: a snapshot stands there."""
    engine = open_shop()
    committed(engine, "add", "ada")
    engine.close()
    disk = memory_disk(engine)
    told: list[Migration] = []

    def note(migration: Migration) -> None:
        told.append(migration)
        assert taken(disk, through=migration.offset).manifest.offset == migration.offset

    open_shop(disk, before_migration=note).close()
    assert told == []
    engine = open_shop(disk, domain=LATER, before_migration=note)
    (migration,) = told
    assert (migration.logged.version, migration.planned.version) == (1, 2)
    assert migration.planned == engine.database.schema
    assert [each.reducer for each in logged(disk)[migration.offset :]] == ["schema", "start"]
    engine.close()
    open_shop(disk, domain=LATER, before_migration=note)
    assert len(told) == 1


def test_before_the_first_tables_there_is_nothing_to_keep() -> None:
    """A fresh store asks nobody; nor does one whose first start was cut short."""

    def refuse(_: Migration) -> None:
        raise AssertionError

    open_shop(before_migration=refuse)


def test_a_change_that_somebody_objects_to_does_not_happen() -> None:
    """What the one who was asked raises ends the start; the tables are as they were."""
    engine = open_shop()
    committed(engine, "add", "ada")
    before = canonical(engine.state)["tables"]
    disk = memory_disk(engine).crash_keep_all()

    def object_(_: Migration) -> None:
        raise OSError("no room for a snapshot")

    for _ in range(2):
        with pytest.raises(OSError, match="no room"):
            open_shop(disk, domain=LATER, before_migration=object_)
    assert canonical(open_shop(disk).state)["tables"] == before


def test_a_migrated_store_opens_from_a_snapshot_of_before() -> None:
    """A snapshot of the tables as they were, and the log with the change behind it."""
    engine = open_shop()
    committed(engine, "add", "ada")
    engine.close()
    disk = memory_disk(engine)
    engine = open_shop(disk, domain=LATER, before_migration=lambda at: taken(disk, through=at.offset))
    committed(engine, "add_later", 5)
    live = canonical(engine.state)["tables"]
    engine = reopen(engine)
    assert engine.report.snapshot_offset > 0
    assert canonical(engine.state)["tables"] == live
    assert rows(engine, Later) == [Later(id=5)]
