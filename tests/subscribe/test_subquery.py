"""One subquery: how the rows of its table move its values."""

from typing import Any

import pytest

from store.errors import MalformedQuery
from store.ids import Key
from store.query.live import compile_live
from store.subscribe.routes import Version, Write
from store.subscribe.subquery import Subquery
from tests.query.scenes import SCHEMA, Other, database


def made(select: str) -> Subquery:
    """The subquery of a followed query."""
    query = compile_live(f"SELECT * FROM sample WHERE b IN ({select})", (), SCHEMA)  # noqa: S608  # Our own.
    (use,) = query.uses
    return Subquery(use.membership, 0)


def version(key: int, a: int | None, b: int | None) -> Version:
    """A row, decoded and as bytes."""
    table = database().table("other")
    assert table is not None
    return table.codec.canonical(Other(key=key, a=a, b=b))


def about(*writes: tuple[int, Any, Any]) -> dict[Key, Write]:
    """Rows by key, each before and after: a and b of it, or None."""
    return {
        key: (
            None if before is None else version(key, *before),
            None if after is None else version(key, *after),
        )
        for key, before, after in writes
    }


def test_rows_move_the_values_they_bring() -> None:
    """As they were and as they are: one more, one fewer, none where they do not match, NULL as any other."""
    node = made("SELECT b FROM other WHERE a > 0")
    moved = node.moved(
        about((1, None, (1, 7)), (2, (1, 7), (1, 8)), (3, (1, 9), (0, 9)), (4, (0, 5), None), (5, None, (2, None))), {}
    )
    assert {value: count for value, count in moved.items() if count} == {8: 1, 9: -1, None: 1}


def test_a_row_may_come_twice_while_it_is_filled() -> None:
    """Then what it brought before goes; a row that is gone brings nothing any more."""
    node = made("SELECT b FROM other WHERE a > 0")
    assert node.put(about((1, None, (1, 7)), (2, None, (0, 7)))) == {7: 1}
    assert node.put(about((1, (1, 7), (1, 8)), (2, (0, 7), (1, 7)))) == {7: 0, 8: 1}
    assert node.put(about((1, (1, 8), None))) == {8: -1}
    assert list(node.seen) == [2]


def test_a_row_without_a_value_is_an_error() -> None:
    """Of the subquery, whose followers end with it."""
    node = made("SELECT 6 / b FROM other")
    with pytest.raises(MalformedQuery, match="division by zero"):
        node.moved(about((1, None, (1, 0))), {})
