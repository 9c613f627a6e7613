"""Loading many rows at once makes what adding them one by one makes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import RowCodec
from store.schema import AUTO_INCREMENT, Table, column
from store.tables.loading import Loader
from store.tables.table import StoredTable
from store.values import Json
from tests.canonical import canonical_table, check_indexes


class Plain(Table):
    """A table without an index."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)
    note: str = ""


class Wide(Table):
    """A table with indexes over columns of every type that may have one, and others in between and behind."""

    id: UUID = column(primary_key=True)
    doc: Json = column(default=Json({}))
    flag: bool = column(index=True, default=False)
    number: int | None = column(index=True, default=None)
    between: tuple[int, ...] = ()
    share: float = column(index=True, default=0.0)
    name: str | None = column(unique=True, default=None)
    raw: bytes = column(index=True, default=b"")
    at: datetime = column(index=True, default=datetime(2026, 1, 1, tzinfo=UTC))
    price: Decimal = column(index=True, default=Decimal(0))
    behind: str = ""
    last: bytes = b""


def stored(table: StoredTable, rows: list[Any]) -> tuple[list[Any], list[bytes]]:
    """Keys and bytes of rows, in key order, as a block holds them."""
    codec = table.codec
    found = sorted((codec.key(row), codec.canonical(row)[1]) for row in rows)
    return [key for key, _ in found], [row for _, row in found]


def fresh(row_type: type[Table]) -> StoredTable:
    """An empty table."""
    return StoredTable(row_type.__table__, RowCodec(row_type.__table__, row_type))


def one_by_one(row_type: type[Table], keys: list[Any], rows: list[bytes]) -> StoredTable:
    """A table into which rows came as calls bring them."""
    table = fresh(row_type)
    for key, row in zip(keys, rows, strict=True):
        table.add(key, row)
        table.move(key, None, table.decoded(row))
    return table


def at_once(row_type: type[Table], keys: list[Any], rows: list[bytes], size: int, next_key: int = 1) -> StoredTable:
    """A table into which they came in blocks of so many."""
    table = fresh(row_type)
    loader = Loader(table)
    for begin in range(0, len(keys), size):
        loader.add(keys[begin : begin + size], rows[begin : begin + size])
    loader.finish(next_key)
    return table


wide_rows = st.builds(
    Wide,
    id=st.uuids(),
    flag=st.booleans(),
    number=st.none() | st.integers(-2, 2),
    between=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3).map(tuple),
    share=st.sampled_from([0.0, -0.0, 0.5, 3.0]),
    name=st.none() | st.text(max_size=2),
    raw=st.binary(max_size=1),
    at=st.integers(0, 2).map(lambda days: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days)),
    price=st.sampled_from([Decimal(0), Decimal("1.10"), Decimal("1.1"), Decimal("1E+2")]),
    last=st.binary(max_size=3),
)


@given(st.lists(wide_rows, max_size=12, unique_by=lambda row: row.id), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_loaded_rows_are_as_added_ones(rows: list[Wide], size: int) -> None:
    """Rows, their order and every index, whatever the columns' types and however many rows a block has."""
    keys, data = stored(fresh(Wide), rows)
    table = at_once(Wide, keys, data, size)
    assert canonical_table(table) == canonical_table(one_by_one(Wide, keys, data))
    check_indexes(table)


def test_a_bucket_holds_every_key_of_its_value() -> None:
    """One key bare, two and more together, across blocks, and None as any other value."""
    rows = [Wide(id=UUID(int=number), number=None if number % 3 else number) for number in range(10)]
    keys, data = stored(fresh(Wide), rows)
    table = at_once(Wide, keys, data, 2)
    index = table.index(Wide.__table__.column("number").id)  # type: ignore[union-attr]  # It has the column.
    assert index is not None
    assert sorted(index.keys(None)) == [str(UUID(int=number)) for number in range(10) if number % 3]
    assert list(index.keys(6)) == [str(UUID(int=6))]


def test_the_next_key_is_as_it_is_told() -> None:
    """Also above keys of rows that are gone: it cannot follow from the rows."""
    keys, data = stored(fresh(Plain), [Plain(id=1), Plain(id=2)])
    assert at_once(Plain, keys, data, 1, next_key=9).next_key == 9


def test_calls_go_on_where_loading_ended() -> None:
    """Rows that come, move and go later find the table as if they had been there from the start."""
    rows = [Wide(id=UUID(int=number), number=number % 2) for number in range(4)]
    keys, data = stored(fresh(Wide), rows)
    tables = [at_once(Wide, keys, data, 3), one_by_one(Wide, keys, data)]
    for table in tables:
        row = table.codec.canonical(Wide(id=UUID(int=9), number=1))
        table.add(str(UUID(int=9)), row[1])
        table.move(str(UUID(int=9)), None, row[0])
        table.move(keys[0], table.decoded(data[0]), None)
        table.drop(keys[0])
    assert canonical_table(tables[0]) == canonical_table(tables[1])


def test_bytes_that_are_no_rows_of_the_table_are_refused() -> None:
    """ValueError where an index wants a value that is not there; a table without an index decodes nothing."""
    with pytest.raises(ValueError, match="Expected"):
        at_once(Wide, ["k"], [b"\x91\xa1k"], 1)
    with pytest.raises(ValueError, match=r"Expected|truncated|malformed"):
        at_once(Wide, ["k", "l"], [b"\x9c", b"\xc1"], 2)
    assert at_once(Plain, [1], [b"\xc0"], 1).rows == {1: b"\xc0"}
