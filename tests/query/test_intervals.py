"""Ranges of values, and which of them a value lies in."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.query.intervals import Intervals
from store.query.live import compile_live
from store.query.routing import Range
from tests.query.scenes import SCHEMA

BOUNDS = st.one_of(st.none(), st.integers(0, 8))
RANGES = st.tuples(BOUNDS, st.booleans(), BOUNDS, st.booleans())
(A_RANGE,) = compile_live("SELECT * FROM sample WHERE a > 1", (), SCHEMA).ranges


def made(low: Any, includes_low: object, high: Any, includes_high: object) -> Range:
    """A range of the column a."""
    return A_RANGE._replace(low=low, includes_low=bool(includes_low), high=high, includes_high=bool(includes_high))


def holds(wanted: Range, value: int) -> bool:
    """Whether the range holds a value, said plainly."""
    low, high = wanted.low, wanted.high
    above = low is None or value > low or (value == low and wanted.includes_low)
    return above and (high is None or value < high or (value == high and wanted.includes_high))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.one_of(RANGES, st.lists(RANGES, min_size=2, max_size=3), st.integers(0, 30)), max_size=60))
def test_a_value_finds_the_ranges_that_hold_it(steps: list[Any]) -> None:
    """Exactly those, each range once, whatever came and went before; empty, unbounded and several ones included."""
    intervals: Intervals[int] = Intervals()
    known: dict[int, list[Range]] = {}
    for number, step in enumerate(steps):
        if not isinstance(step, int):
            known[number] = [made(*each) for each in (step if isinstance(step, list) else [step])]
            for each in known[number]:
                intervals.add(each, number)
        elif known:
            gone = list(known)[step % len(known)]
            del known[gone]
            intervals.remove(gone)
        assert len(intervals) == len(known)
        for value in range(-1, 10):
            found = [each for each, wanted in known.items() for one in wanted if holds(one, value)]
            assert sorted(intervals.at(value)) == found


def test_many_ranges_are_asked_in_few_steps() -> None:
    """Of a hundred thousand, a value is compared with those it finds and some dozens more."""
    count = 100_000
    intervals: Intervals[int] = Intervals()
    for number in range(count):
        intervals.add(made(number * 10, True, number * 10 + 15, False), number)
    compared = 0

    class Counting(int):
        """An integer that counts its comparisons: each begins with =."""

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return int(self) == other

        __hash__ = int.__hash__

    assert sorted(intervals.at(Counting(500_012))) == [50_000, 50_001]
    assert compared < 400


@pytest.mark.parametrize("step", [1, -1, 0x9E3779B97F4A7C15])
def test_whatever_ranges_are_chosen_the_tree_is_low(step: int) -> None:
    """Rising, falling, or as multiples of a constant come: what somebody follows never makes a way down long."""
    count = 3_000
    turns = [number * step % 2**64 for number in range(1, count + 1)]
    rank = {turn: place for place, turn in enumerate(sorted(turns))}
    intervals: Intervals[int] = Intervals()
    for number, turn in enumerate(turns):
        intervals.add(made(rank[turn], False, None, False), number)
    assert intervals._root is not None
    assert intervals._root.height <= 1.45 * math.log2(count) + 1
    assert len(intervals.at(10)) == 10
    for number in range(0, count, 2):
        intervals.remove(number)
    assert intervals._root.height <= 1.45 * math.log2(count / 2) + 1
    assert len(intervals.at(count)) == count // 2
