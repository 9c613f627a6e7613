"""What a batch moves in the indexes is what its transactions move one by one."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import RowCodec, row_struct
from store.ids import ConnectionId, IdentityReference, Key, Offset, SchemaVersion, TableId, Timestamp
from store.schema import AUTO_INCREMENT, Schema, Table, column
from store.tables.batch_moves import BatchMoves
from store.tables.database import Database
from store.transaction import Kind, Op, Transaction, Write
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


def a_transaction(offset: int, writes: Sequence[Write]) -> Transaction:
    """A call's."""
    return Transaction(
        kind=Kind.CALL,
        offset=Offset(offset),
        timestamp=Timestamp(offset),
        writes=tuple(writes),
        call_key=None,
        identity=IdentityReference(0),
        connection=ConnectionId(0),
        source="",
        schema_version=SchemaVersion(1),
        reducer="r",
        args=b"\x90",
        outcome="",
        value=b"\xc0",
    )


def a_log(drawn: Sequence[Sequence[tuple[int, int, tuple[int, int] | None]]]) -> tuple[Database, list[Transaction]]:
    """A database to which transactions were applied one by one, and these; a transaction writes each key once."""
    database, log = fresh(), []
    for offset, each in enumerate(drawn, 1):
        once = {(table, place): step for table, place, step in each}
        found = [write_of(database, *where, step) for where, step in once.items()]
        transaction = a_transaction(offset, [write for write in found if write is not None])
        database.apply(transaction.writes)
        log.append(transaction)
    return database, log


@given(st.lists(st.lists(steps, max_size=3), max_size=12), st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_batches_move_what_their_transactions_move(
    drawn: list[list[tuple[int, int, tuple[int, int] | None]]], size: int
) -> None:
    """Rows that come, change, go and come again, also within one batch: every index is as if made one by one."""
    expected, log = a_log(drawn)
    database = fresh()
    moves = BatchMoves(database.tables)
    for begin in range(0, len(log), size):
        batch = log[begin : begin + size]
        found = moves.of(batch)
        for place, transaction in enumerate(batch):
            database.apply(transaction.writes, found.get(place, ()))
    for table_id, table in database.tables.items():
        assert canonical_table(table) == canonical_table(expected.tables[table_id])
        check_indexes(table)


def test_updates_of_other_columns_move_nothing() -> None:
    """However many there are, and whatever the tables are that they are in."""
    _, log = a_log([[(table, place, (1, 0)) for place in range(3)] for table in range(3)])
    _, more = a_log([[(table, place, (1, 0)) for place in range(3)] for table in range(3)] + [[(1, 0, (1, 2))]] * 3)
    database = fresh()
    for each in log:
        database.apply(each.writes)
    assert BatchMoves(database.tables).of(more[len(log) :]) == {}


def test_a_transaction_that_moves_is_named_by_its_place() -> None:
    """The table, the key, and the values before and now; the others of its table may stay where they are."""
    _, log = a_log([[(1, 0, (0, 0))], [], [(1, 0, (1, 0)), (0, 0, (1, 1))]])
    database = fresh()
    found = BatchMoves(database.tables).of(log)
    assert sorted(found) == [0, 2]
    assert [(table.schema.name, key, was, now.owner) for table, key, was, now in found[0]] == [("owned", 1, None, 0)]
    assert [(key, was.owner, now.owner) for _, key, was, now in found[2]] == [(1, 0, 1)]


def test_bytes_that_are_no_rows_are_refused() -> None:
    """What msgspec says of them; nothing is moved by half a batch."""
    database = fresh()
    broken = a_transaction(1, [(TABLES[1].id, Op.INSERT, 1, None, b"\x92\x01\xa1x")])
    with pytest.raises(msgspec.ValidationError):
        BatchMoves(database.tables).of([broken])
