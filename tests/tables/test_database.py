"""All tables at one offset: schemas put in force, transactions applied, one fingerprint."""

import hashlib
from typing import Any

import msgspec
import pytest

from store.codec import RowCodec, row_struct
from store.engine.schema_plan import plan_schema
from store.fingerprint import FINGERPRINT_MODULUS
from store.ids import TableId
from store.schema import EMPTY_SCHEMA, Schema, Table, column
from store.tables.database import Database
from store.transaction import Op, Write
from tests.canonical import canonical_table, check_indexes


class Task(Table):
    """A table with an index."""

    id: int = column(primary_key=True)
    owner: str = column(index=True)


class Note(Table):
    """A table without one."""

    key: str = column(primary_key=True)


def make(*declared: type[Table]) -> Database:
    """A database with these tables, known by their schema alone."""
    database = Database(lambda table: RowCodec[Any](table, row_struct(table)))
    database.adopt(plan_schema(EMPTY_SCHEMA, declared or (Task, Note)))
    return database


def row(*values: Any) -> bytes:
    """A row's bytes."""
    return msgspec.msgpack.encode(values)


def insert(table: int, key: Any, after: bytes) -> Write:
    """An insert."""
    return (TableId(table), Op.INSERT, key, None, after)


def test_a_schema_brings_its_tables() -> None:
    """They start empty, and are found by name and by id."""
    database = make()
    table = database.table("note")
    assert table is not None
    assert (table.schema.id, len(table), database.tables[TableId(2)]) == (2, 0, table)
    assert database.table("nothing") is None
    assert Database(lambda table: RowCodec(table, row_struct(table))).schema == EMPTY_SCHEMA


def test_a_later_schema_keeps_what_there_is() -> None:
    """Tables it adds start empty, the others keep their rows."""
    database = make(Task)
    database.apply([insert(1, 1, row(1, "ada"))])
    database.adopt(plan_schema(database.schema, [Task, Note]))
    assert [len(each) for each in database.tables.values()] == [1, 0]
    assert database.schema.version == 2


def test_a_schema_that_changes_a_table_in_place_is_a_bug() -> None:
    """Plans never make one."""
    database = make(Task)
    (planned,) = database.schema.tables
    changed = msgspec.structs.replace(planned, public=True)
    with pytest.raises(AssertionError, match="changed in place"):
        database.adopt(Schema(version=database.schema.version, tables=(changed,)))


def test_inserts_updates_and_deletes_become_present() -> None:
    """Rows, order and indexes, in the order of the writes, over several tables."""
    database = make()
    database.apply([insert(1, 2, row(2, "ada")), insert(1, 1, row(1, "ada")), insert(2, "k", row("k"))])
    database.apply(
        [
            (TableId(1), Op.UPDATE, 2, row(2, "ada"), row(2, "bob")),
            (TableId(1), Op.DELETE, 1, row(1, "ada"), None),
            insert(1, 3, row(3, "bob")),
        ]
    )
    tasks = database.table("task")
    assert tasks is not None
    check_indexes(tasks)
    assert tasks.ordered_keys() == [2, 3]
    assert tasks.lookup(Task.__table__.columns[1].id, "bob") == [2, 3]
    assert tasks.lookup(Task.__table__.columns[1].id, "ada") == []


def test_moves_that_are_known_and_moves_that_are_found_are_the_same() -> None:
    """Live, the overlay says what changes in indexes; a replay finds it from the rows."""
    live, replayed = make(Task), make(Task)
    tasks = live.tables[TableId(1)]
    first, second = tasks.codec.decode(row(1, "ada")), tasks.codec.decode(row(1, "bob"))
    for write, move in [
        (insert(1, 1, row(1, "ada")), (tasks, 1, None, first)),
        ((TableId(1), int(Op.UPDATE), 1, row(1, "ada"), row(1, "bob")), (tasks, 1, first, second)),
        ((TableId(1), int(Op.DELETE), 1, row(1, "bob"), None), (tasks, 1, second, None)),
    ]:
        live.apply([write], [move])
        replayed.apply([write])
        assert canonical_table(tasks) == canonical_table(replayed.tables[TableId(1)])


def test_the_fingerprint_is_the_sum_of_hashes() -> None:
    """SHA-256 over the table's id, big-endian in four bytes, and the row: summed modulo 2^256, in hexadecimal."""
    database = make()
    assert database.fingerprint() == "0" * 64
    rows = [(1, row(1, "ada")), (1, row(2, "bob")), (2, row("k"))]
    database.apply([insert(table, msgspec.msgpack.decode(data)[0], data) for table, data in rows])
    total = sum(int(hashlib.sha256(table.to_bytes(4, "big") + data).hexdigest(), 16) for table, data in rows)
    assert int(database.fingerprint(), 16) == total % FINGERPRINT_MODULUS


def test_the_same_row_in_another_table_is_another_fingerprint() -> None:
    """The table's id is part of what is hashed."""
    prints = set()
    for table in (1, 2):
        database = make(Note, Task)
        database.apply([insert(table, 1, row(1, "ada"))])
        prints.add(database.fingerprint())
    assert len(prints) == 2
