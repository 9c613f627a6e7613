"""What a batch moves in the indexes is what its writes move one by one."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import RowCodec, row_struct
from store.ids import Key, SchemaVersion, TableId
from store.schema import AUTO_INCREMENT, Schema, Table, column
from store.tables.batch_moves import BatchMoves
from store.tables.database import Database
from store.transaction import Op, Write
from tests.canonical import canonical_table, check_indexes


class Plain(Table):
    """A table without an index."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)
    value: int = 0


class Owned(Table):
    """A table with one, in front of what is not indexed."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)
    owner: int = column(index=True, default=0)
    value: int = 0


class Named(Table):
    """A table with two, and another column in between."""

    id: str = column(primary_key=True)
    owner: int | None = column(index=True, default=None)
    value: int = 0
    name: str = column(unique=True, default="")


TABLES = tuple(
    msgspec.structs.replace(each.__table__, id=TableId(place)) for place, each in enumerate((Plain, Owned, Named), 1)
)
KEYS: tuple[Sequence[Key], ...] = ((1, 2, 3), (1, 2, 3), ("a", "b", "c"))

# (table, key, (owner, value)), or None for a row that goes.
steps = st.tuples(st.integers(0, 2), st.integers(0, 2), st.none() | st.tuples(st.integers(0, 1), st.integers(0, 3)))


def fresh() -> Database:
    """All three tables, empty."""
    database = Database(lambda table: RowCodec(table, row_struct(table)))
    database.adopt(Schema(SchemaVersion(1), TABLES))
    return database


def row_of(table: int, key: Any, owner: int, value: int) -> bytes:
    """A row's bytes."""
    columns = ([key, value], [key, owner, value], [key, owner or None, value, f"name of {key}"])
    return msgspec.msgpack.encode(columns[table])


def write_of(database: Database, table: int, place: int, step: tuple[int, int] | None) -> Write | None:
    """What a step writes where `database` stands; None where there is nothing to delete."""
    key = KEYS[table][place]
    before = database.tables[TABLES[table].id].get(key)
    if step is None:
        return None if before is None else (TABLES[table].id, Op.DELETE, key, before, None)
    op = Op.INSERT if before is None else Op.UPDATE
    return TABLES[table].id, op, key, before, row_of(table, key, *step)


def a_log(drawn: Sequence[tuple[int, int, tuple[int, int] | None]]) -> tuple[Database, list[Write]]:
    """A database to which writes were applied one by one, and these."""
    database, log = fresh(), []
    for table, place, step in drawn:
        write = write_of(database, table, place, step)
        if write is not None:
            database.apply([write])
            log.append(write)
    return database, log


@given(st.lists(steps, max_size=30), st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_a_batch_moves_what_its_writes_move(drawn: list[tuple[int, int, tuple[int, int] | None]], size: int) -> None:
    """Rows that come, change, go and come again, also within one batch: every index is as if made one by one."""
    expected, log = a_log(drawn)
    database = fresh()
    moves = BatchMoves(database.tables)
    for begin in range(0, len(log), size):
        batch = log[begin : begin + size]
        database.apply(batch, moves.of(batch))
    for table_id, table in database.tables.items():
        assert canonical_table(table) == canonical_table(expected.tables[table_id])
        check_indexes(table)


def test_updates_of_other_columns_move_nothing() -> None:
    """However many there are, and whatever the tables are that they are in."""
    opened = [(table, place, (1, 0)) for table in range(3) for place in range(3)]
    database, log = a_log(opened)
    _, more = a_log([*opened, *((table, place, (1, 2)) for table in range(3) for place in range(3))])
    assert BatchMoves(database.tables).of(more[len(log) :]) == []


def test_a_move_names_the_values_before_and_now() -> None:
    """The table and the key with them; None where there is no row."""
    _, log = a_log([(1, 0, (0, 0)), (0, 0, (1, 1)), (1, 0, (1, 0)), (1, 0, None)])
    found = BatchMoves(fresh().tables).of(log)
    assert [(table.schema.name, key) for table, key, _, _ in found] == [("owned", 1)] * 3
    assert [(was and was.owner, now and now.owner) for _, _, was, now in found] == [(None, 0), (0, 1), (1, None)]


def test_bytes_that_are_no_rows_are_refused() -> None:
    """What msgspec says of them."""
    with pytest.raises(msgspec.ValidationError):
        BatchMoves(fresh().tables).of([(TABLES[1].id, Op.INSERT, 1, None, b"\x92\x01\xa1x")])
