"""Budgets: what one query may look at, counted down."""

import pytest

from store.errors import Overloaded
from store.query.budget import FOLLOWED_STEPS, FOLLOWED_STEPS_MAX, ROWS_A_LOOK, Budget, work
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


def test_a_followed_query_has_its_steps_anew_each_time() -> None:
    """What another took, or it took before, does not count; outside of it nothing does."""
    for _ in range(3):
        with FOLLOWED_STEPS:
            work(FOLLOWED_STEPS_MAX)
    with pytest.raises(Overloaded) as refused, FOLLOWED_STEPS:
        work(FOLLOWED_STEPS_MAX + 1)
    assert refused.value.details == {"limit": "followed_steps_max"}
    work(FOLLOWED_STEPS_MAX + 1)
