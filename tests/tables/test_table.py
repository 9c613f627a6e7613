"""One table's rows and hash indexes: order, lookups, the next key."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.codec import RowCodec
from store.ids import ColumnId, Key, TableId
from store.schema import AUTO_INCREMENT, Table, column
from store.tables.table import HashIndex, StoredTable


class Task(Table):
    """A table that counts, with two indexes."""

    id: int = column(primary_key=True, default=AUTO_INCREMENT)
    owner: str | None = column(index=True, default=None)
    slug: str | None = column(unique=True, default=None)


class Thing(Table):
    """A table whose key is a UUID."""

    id: UUID = column(primary_key=True)


OWNER, SLUG = ColumnId(2), ColumnId(3)


def make(row_type: type[Table] = Task) -> StoredTable:
    """An empty table."""
    planned = msgspec.structs.replace(row_type.__table__, id=TableId(1))
    return StoredTable(planned, RowCodec(planned, row_type))


def put(table: StoredTable, row: Task | None, *, key: int) -> None:
    """Write a row, or let it go, as a committed transaction does."""
    was = table.decoded(table.get(key))
    if row is None:
        table.drop(key)
    elif was is None:
        table.add(key, table.codec.canonical(row)[1])
    else:
        table.rows[key] = table.codec.canonical(row)[1]
    table.move(key, was, row)


def test_a_row_is_kept_as_its_bytes() -> None:
    """What `get` gives is what the log holds; `decoded` makes the struct of it."""
    table = make()
    put(table, Task(id=1, owner="ada"), key=1)
    assert table.get(1) == msgspec.msgpack.encode([1, "ada", None])
    assert table.decoded(table.get(1)) == Task(id=1, owner="ada")
    assert (table.get(2), table.decoded(None), len(table)) == (None, None, 1)


def test_keys_are_ordered_however_they_came() -> None:
    """After rows came in order, out of order, and went."""
    table = make()
    for key in (5, 1, 9):
        put(table, Task(id=key), key=key)
        assert list(table.ordered_keys()) == sorted(table.rows)
    for key in (10, 11, 2):
        put(table, Task(id=key), key=key)
    assert table.ordered_keys() == [1, 2, 5, 9, 10, 11]
    put(table, None, key=5)
    assert table.ordered_keys() == [1, 2, 9, 10, 11]


def test_a_lookup_finds_the_keys_under_a_value_in_key_order() -> None:
    """By index, unique or not, NULL included; by primary key without one."""
    table = make()
    for key, owner, slug in ((3, "ada", "c"), (1, "ada", None), (2, "bob", "b"), (7, None, None)):
        put(table, Task(id=key, owner=owner, slug=slug), key=key)
    assert table.lookup(OWNER, "ada") == [1, 3]
    assert table.lookup(OWNER, None) == [7]
    assert table.lookup(OWNER, "eve") == []
    assert table.lookup(SLUG, "c") == [3]
    assert table.lookup(SLUG, None) == [1, 7]
    assert table.lookup(ColumnId(1), 2) == [2]
    assert table.lookup(ColumnId(1), 99) == []


def test_a_lookup_without_an_index_is_a_key_error() -> None:
    """Nobody searches a whole table by accident."""
    with pytest.raises(KeyError):
        make().lookup(ColumnId(99), 1)


def test_a_uuid_is_looked_up_by_its_value() -> None:
    """The table keeps its text."""
    table = make(Thing)
    key = UUID(int=5)
    table.add(str(key), table.codec.canonical(Thing(id=key))[1])
    assert table.lookup(ColumnId(1), key) == [str(key)]


def test_an_index_over_a_column_is_found_by_it() -> None:
    """None where there is none."""
    table = make()
    owner, slug = table.index(OWNER), table.index(SLUG)
    assert owner is not None
    assert slug is not None
    assert (owner.name, owner.unique, slug.name, slug.unique) == ("owner", False, "slug", True)
    assert table.index(ColumnId(1)) is None


def test_the_next_key_is_above_every_key_there_ever_was() -> None:
    """Also one given by hand, and one that is gone; a table that does not count has no such notion."""
    table = make()
    assert table.next_key == 1
    put(table, Task(id=41), key=41)
    put(table, None, key=41)
    assert table.next_key == 42
    put(table, Task(id=-5), key=-5)
    assert table.next_key == 42


def test_a_bucket_is_a_bare_key_until_the_second() -> None:
    """Most values have one row: they cost no container."""
    index = HashIndex(OWNER, "owner", unique=False)
    index.add("ada", 1)
    assert index._buckets["ada"] == 1
    index.add("ada", 2)
    assert sorted(index.keys("ada")) == [1, 2]
    index.remove("ada", 1)
    assert index._buckets["ada"] == 2
    index.remove("ada", 2)
    assert (list(index.keys("ada")), len(index)) == ([], 0)


values = st.sampled_from([None, "a", "b"])
acts = st.lists(st.tuples(st.booleans(), values, st.integers(1, 4)), max_size=40)


@given(acts, st.sampled_from([int, str, lambda each: bytes([each])]))
def test_an_index_equals_a_dict_of_sets(script: list[tuple[bool, Any, int]], key_of: Any) -> None:
    """After any adds and removes, whatever the keys' type."""
    index, model = HashIndex(OWNER, "owner", unique=False), dict[Any, set[Key]]()
    for add, value, number in script:
        key = key_of(number)
        keys = model.setdefault(value, set())
        if add and key not in keys:
            index.add(value, key)
            keys.add(key)
        elif not add and key in keys:
            index.remove(value, key)
            keys.remove(key)
        assert {each: set(index.keys(each)) for each in model} == model
    assert len(index) == sum(map(bool, model.values()))


@given(st.lists(st.tuples(st.integers(1, 6), st.none() | st.tuples(values, values)), max_size=30))
def test_a_table_equals_a_dict(script: list[tuple[int, tuple[Any, Any] | None]]) -> None:
    """After any writes rows, order and lookups are those of a plain dict."""
    table, model = make(), dict[int, Task]()
    for key, said in script:
        if said is not None:
            model[key] = Task(id=key, owner=said[0], slug=said[1])
            put(table, model[key], key=key)
        elif key in model:
            put(table, None, key=key)
            del model[key]
        assert list(table.ordered_keys()) == sorted(model)
        for value in (None, "a", "b"):
            assert table.lookup(OWNER, value) == sorted(k for k, row in model.items() if row.owner == value)
            assert table.lookup(SLUG, value) == sorted(k for k, row in model.items() if row.slug == value)
    assert {key: table.decoded(row) for key, row in table.rows.items()} == model
