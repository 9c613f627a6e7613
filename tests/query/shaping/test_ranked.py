"""Ranked: the least or greatest of values that come and go."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.query.shaping import ranked
from store.query.shaping.ranked import Exhausted, Ranked


def free(_more: int) -> None:
    """There is room."""


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=60), st.booleans())
def test_the_best_is_known_or_it_is_said_that_it_is_not(
    history: list[tuple[int, bool]],
    greatest: bool,  # noqa: FBT001  # Drawn.
) -> None:
    """What is said is the best of all that are there, however few are held; None where there is none."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(ranked, "HELD_MAX", 4)
        held = [0]
        made = Ranked(lambda more: held.__setitem__(0, held[0] + more), greatest=greatest)
        there: list[int] = []
        for value, comes in history:
            if comes:
                there.append(value)
                made.add(value)
            elif value in there:
                there.remove(value)
                made.remove(value)
            assert 0 <= held[0] <= 4
            try:
                assert made.result() == ((max if greatest else min)(there) if there else None)
            except Exhausted:
                assert there
                assert held[0] == 0


def test_it_says_when_it_is_time_to_count_again() -> None:
    """Low is what holds few and does not hold all; never what holds all."""
    made, few = Ranked(free, greatest=False), Ranked(free, greatest=False)
    few.add(1)
    for value in range(ranked.HELD_MAX + 1):
        made.add(value)
    assert [few.is_low, made.is_low] == [False, False]
    for value in range(ranked.HELD_MAX // 2):
        made.remove(value)
    assert made.is_low
    with pytest.raises(Exhausted):
        made.result()


def test_of_equal_numerics_the_one_with_more_digits_is_less() -> None:
    """Whatever the order in which they come and go."""
    values = [Decimal("1.0"), Decimal("1.00"), Decimal(1)]
    said: list[Any] = []
    for order in (values, values[::-1]):
        made = Ranked(free, greatest=False)
        for each in order:
            made.add(each)
        said.append(str(made.result()))
        made.remove(Decimal("1.00"))
        said.append(str(made.result()))
    assert said == ["1.00", "1.0"] * 2
