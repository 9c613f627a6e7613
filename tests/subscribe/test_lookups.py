"""From a value to the rows that have it, with an index and without."""

from decimal import Decimal
from typing import Any

import pytest

from store.query.live import compile_live
from store.subscribe.lookups import Lookup
from store.transaction import Op
from tests.query.scenes import SCHEMA, Other, Sample, database

ROWS = [Sample(id=1, a=1, b=5), Sample(id=2, a=1, b=6), Sample(id=3, a=None, b=5), Sample(id=4, a=2, b=None)]


def lookup(operand: str, *rows: Sample) -> Lookup:
    """Where samples are found by a value."""
    (use,) = compile_live(f"SELECT * FROM sample WHERE {operand} IN (SELECT a FROM other)", (), SCHEMA).uses  # noqa: S608
    table = database(*(rows or ROWS), Other(key=1)).table("sample")
    assert table is not None
    return Lookup(table, use.operand)


@pytest.mark.parametrize(
    ("operand", "kept", "found"),
    [
        ("id", False, {1: [1], 9: []}),
        ("b", False, {5: [1, 3], 7: []}),
        ("a", True, {1: [1, 2], 2: [4], 7: []}),
        ("(a + 1)", True, {2: [1, 2], 3: [4], 1: []}),
        ("7", False, {7: [1, 2, 3, 4], 1: []}),
        ("(10 / (a - 1))", True, {10: [4]}),
    ],
)
def test_a_value_finds_its_rows(operand: str, kept: bool, found: dict[Any, list[int]]) -> None:  # noqa: FBT001
    """By the key, by an index, or by what is kept; a constant is of all rows; a row without a value has none."""
    made = lookup(operand)
    assert made.kept is kept
    while not made.ready:
        assert made.fill(2) <= 2
    assert {value: sorted(made.keys(value)) for value in found} == found


def test_a_key_is_found_by_any_number_that_equals_it() -> None:
    """And is what the table keeps, whatever type a subquery's value has."""
    (found,) = lookup("id").keys(Decimal(2))
    assert (found, type(found)) == (2, int)
    assert [*lookup("id").keys(Decimal("2.5")), *lookup("id").keys(Decimal("1E+100"))] == []


def test_what_is_kept_follows_every_write() -> None:
    """Also of rows that it has not come to yet, and those that come to it twice."""
    made = lookup("a")
    table = made.table
    assert made.fill(2) == 2

    def write(before: Sample | None, after: Sample | None) -> None:
        old, new = (None if each is None else table.codec.canonical(each)[1] for each in (before, after))
        key = (before or after).id  # type: ignore[union-attr]  # One is there.
        op = Op.INSERT if before is None else Op.DELETE if after is None else Op.UPDATE
        database_of(table, int(op), key, old, new)
        made.take(key, old, new)

    write(ROWS[3], Sample(id=4, a=1))
    write(ROWS[0], None)
    write(None, Sample(id=5, a=2))
    assert made.fill(9) < 9
    assert made.ready
    assert (sorted(made.keys(1)), sorted(made.keys(2))) == ([2, 4], [5])
    assert made.fill(9) == 0


def database_of(table: Any, op: int, key: int, old: bytes | None, new: bytes | None) -> None:
    """Write to the table itself."""
    if op == Op.UPDATE:
        table.rows[key] = new
    elif new is None:
        table.drop(key)
    else:
        table.add(key, new)
    table.move(key, table.decoded(old), table.decoded(new))
