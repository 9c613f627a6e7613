"""The order of a view's rows."""

from typing import Any

import pytest

from store.client.rows import LiveRows, reader_of
from store.ids import Offset, QueryId
from store.subscribe.messages import ColumnInfo, OrderInfo, Part, TableInfo
from tests.client.scenes import raw

COLUMNS = (ColumnInfo("id", "int", False), ColumnInfo("owner", "str", True), ColumnInfo("price", "decimal", True))
ROWS = [[1, "bob", "10"], [2, None, "9.5"], [3, "Ann", None], [4, "bob", "9.5"], [5, "änn", "10"]]


def live(*order: tuple[int, bool, bool], key: int = 0, group: tuple[int, ...] = ()) -> LiveRows[Any]:
    """Rows that have an order of (place, descending, nulls first)."""
    info = TableInfo("things", key, COLUMNS, group, tuple(OrderInfo(*each) for each in order))
    made: LiveRows[Any] = LiveRows(reader_of(info, None))
    made.replace(made.reader.by_key(raw(ROWS)), made.reader, Offset(1))
    return made


@pytest.mark.parametrize(
    ("order", "keys"),
    [
        ([(0, True, False)], [5, 4, 3, 2, 1]),
        ([(1, False, False)], [3, 1, 4, 5, 2]),
        ([(1, True, True)], [2, 5, 1, 4, 3]),
        ([(2, False, True), (1, False, True)], [3, 2, 4, 1, 5]),
        ([(2, True, False), (0, True, False)], [5, 1, 4, 2, 3]),
    ],
)
def test_rows_are_in_the_order_of_their_query(order: list[tuple[int, bool, bool]], keys: list[int]) -> None:
    """By value, text by code point, NULLs where it says; what ties by primary key."""
    assert list(live(*order).keys) == keys


def test_an_order_follows_what_changes() -> None:
    """Rows that come, move and leave; and other rows, all at once."""
    made = live((2, False, False))
    assert list(made.keys) == [2, 4, 1, 5, 3]
    made.apply(Part(QueryId("q"), (raw([3, "x", "1"]), raw([9, "y", "9.75"])), (2,)), Offset(2))
    assert list(made.keys) == [3, 4, 9, 1, 5]
    made.replace(made.reader.by_key(raw(ROWS[:2])), made.reader, Offset(3))
    assert list(made.keys) == [2, 1]


def test_groups_that_tie_are_in_any_order() -> None:
    """Their keys need not be comparable: NULL may be among them."""
    made = live((2, False, False), key=-1, group=(1, 0))
    assert [made.rows[key].id for key in made.keys][-1] == 3
    assert {made.rows[key].id for key in list(made.keys)[:2]} == {2, 4}


def test_without_an_order_rows_come_as_they_are() -> None:
    """Nothing is sorted."""
    made = live()
    assert made.keys is made.rows
