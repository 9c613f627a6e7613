"""Memberships: a subquery's values, counted; SQL's IN with its NULLs."""

from typing import Any

import pytest

from store.query.live import compile_live
from store.query.meaning.membership import Membership
from tests.query.scenes import SCHEMA, Other


def membership(subquery: str, *params: Any) -> Membership:
    """The membership of `a IN (subquery)`."""
    sql = f"SELECT * FROM sample WHERE a IN ({subquery})"  # noqa: S608  # The tests' own SQL.
    (made,) = compile_live(sql, params, SCHEMA).members
    return made


@pytest.mark.parametrize(
    ("values", "asked", "said"),
    [
        ([], 1, False),
        ([], None, False),
        ([1, 2], 1, True),
        ([1, 2], 3, False),
        ([1, 2], None, None),
        ([1, None], 1, True),
        ([1, None], 2, None),
        ([None], 2, None),
    ],
)
def test_in_has_three_values(values: list[Any], asked: Any, said: Any) -> None:
    """True where it is there; NULL where a NULL leaves it open; false of nothing at all."""
    made = membership("SELECT a FROM other")
    for each in values:
        made.add(each)
    assert made.contains(asked) is said


def test_values_are_counted() -> None:
    """Of two rows with one value, one may go."""
    made = membership("SELECT a FROM other")
    assert [made.add(1), made.add(1), made.add(2)] == [True, False, True]
    assert [made.discard(1), made.contains(1), made.discard(1), made.contains(1)] == [False, True, True, False]
    assert made.values() == [2]
    made.clear()
    assert made.contains(2) is False


def test_numbers_meet_in_one_type() -> None:
    """As both sides of a comparison do."""
    made = membership("SELECT n FROM other WHERE n > $1", "0.5")
    assert made.matches(Other(key=1, n=None)) is False
    made.add(2)
    assert made.contains(2) is True


def test_subqueries_nest() -> None:
    """One's condition may ask another."""
    made = membership("SELECT a FROM other WHERE b IN (SELECT id FROM sample WHERE d)")
    (inner,) = made.members
    assert inner.table.name == "sample"
    assert not made.matches(Other(key=1, b=5))
    inner.add(5)
    assert made.matches(Other(key=1, b=5))
