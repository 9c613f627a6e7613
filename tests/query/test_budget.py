"""Budgets: what one query may look at, counted down."""

import pytest

from store.errors import Overloaded
from store.query.budget import ROWS_A_LOOK, Budget
from store.query.options import Options


def test_the_clock_is_read_once_for_many_rows() -> None:
    """Not for each of them."""
    looks = []

    def clock() -> float:
        looks.append(0.0)
        return 0.0

    budget = Budget(Options(), clock)
    for _ in range(ROWS_A_LOOK * 3):
        budget.spend()
    assert len(looks) == 1 + 3


def test_rows_may_be_counted_at_once() -> None:
    """A table that is read as a whole is counted before it is."""
    budget = Budget(Options(rows_examined_max=10), lambda: 0.0)
    budget.spend(10)
    with pytest.raises(Overloaded):
        budget.spend()
