"""TopK: what enters and leaves the first rows, and at what cost."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import MalformedQuery
from store.ids import Key
from store.query.shaping import topk
from store.query.shaping.results import NOTHING, ResultChange, Room, Share
from store.query.shaping.topk import LOW_ROWS, SPARE_ROWS, TopK


class Numbers:
    """Keys, each with a number by which it is ordered; whoever follows some of the first of them."""

    def __init__(self, there: dict[int, int], *, limit: int, offset: int = 0) -> None:
        self.there = dict(there)
        self.limit, self.offset = limit, offset
        self.sources = self.projected = 0
        self.top = TopK(lambda row, key: (row, key), self._told, Share(Room(1 << 30)), limit=limit, offset=offset)
        self.top.take(self._source())
        self.view = dict(map(self._read, self.top.rows(self._source)))
        self.sources = self.projected = 0

    def _told(self, row: int, data: bytes) -> bytes:
        self.projected += 1
        return b"%b %d" % (data, row)

    @staticmethod
    def _read(data: bytes) -> tuple[int, int]:
        key, number = map(int, data.split())
        return key, number

    def _source(self) -> list[tuple[Key, Any]]:
        self.sources += 1
        return [(key, self._image(key, number)) for key, number in self.there.items()]

    def _image(self, key: int, number: int | None) -> Any:
        return None if number is None else self.top.image(number, b"%d" % key)

    def write(self, changes: dict[int, int | None]) -> ResultChange:
        """One transaction: numbers by key, None where one goes; the view takes in what it changed."""
        moves = [
            (key, self._image(key, self.there.get(key)), self._image(key, after)) for key, after in changes.items()
        ]
        for key, after in changes.items():
            self.there.pop(key, None)
            if after is not None:
                self.there[key] = after
        changed = self.top.apply(moves, self._source)
        for key in changed.keys:
            del self.view[key]  # type: ignore[arg-type]  # Keys are integers here.
        self.view.update(map(self._read, changed.rows))
        return changed

    def expected(self) -> list[tuple[int, int]]:
        """The first as they are, in order."""
        ordered = sorted(self.there.items(), key=lambda pair: (pair[1], pair[0]))
        return ordered[self.offset : self.offset + self.limit]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.dictionaries(st.integers(0, 60), st.integers(0, 30), max_size=60),
    st.lists(
        st.dictionaries(st.integers(0, 80), st.one_of(st.none(), st.integers(-5, 40)), max_size=9), max_size=9
    ),
    st.integers(0, 50),
    st.integers(0, 40),
)  # fmt: skip
def test_what_is_told_makes_the_first_rows(
    there: dict[int, int], history: list[dict[int, int | None]], limit: int, offset: int
) -> None:
    """Few changes or many, within the window, across its edges or beyond: the view is the first rows, and in order."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(topk, "SPARE_ROWS", 3)
        made = Numbers(there, limit=limit, offset=offset)
        for changes in history:
            before = dict(made.view)
            changed = made.write(changes)
            assert made.view == dict(made.expected())
            assert list(map(made._read, made.top.rows(made._source))) == made.expected()
            assert all(before.get(key) != number for key, number in map(made._read, changed.rows))


def test_what_is_far_behind_costs_a_comparison() -> None:
    """It is neither held, nor made what would be told of it."""
    made = Numbers({key: key for key in range(10_000)}, limit=5)
    assert made.write({9_000: None, 9_001: 9_500, 20_000: 9_000}) == NOTHING
    assert (made.projected, made.sources) == (0, 0)


def test_one_change_tells_of_two_rows_at_most() -> None:
    """What enters pushes one out, what leaves lets one in, what moves within is itself; however many are shown."""
    made = Numbers({key: 10 * key for key in range(2_000)}, limit=1_000, offset=100)
    entered, left, moved = made.write({5_000: 5_005}), made.write({200: None}), made.write({300: 3_505})
    assert [(len(each.rows), len(each.keys)) for each in (entered, left, moved)] == [(1, 1), (1, 1), (1, 0)]
    before, behind = made.write({6_000: 1}), made.write({7_000: 15_000})
    assert [(len(each.rows), len(each.keys)) for each in (before, behind)] == [(1, 1), (0, 0)]


def test_more_rows_may_enter_at_once_than_there_are_to_spare() -> None:
    """What they push out has left, also where the window lets it go."""
    made = Numbers({key: key for key in range(20_000)}, limit=10_000)
    entered = made.write({-key: -key for key in range(1, 2 * SPARE_ROWS)})
    assert (len(entered.rows), len(entered.keys)) == (2 * SPARE_ROWS - 1, 2 * SPARE_ROWS - 1)
    assert made.view == dict(made.expected())


def test_a_window_is_filled_anew_only_when_the_spare_rows_are_used_up() -> None:
    """Before that it says that it is low."""
    made = Numbers({key: key for key in range(10_000)}, limit=10)
    gone = low = 0
    while not made.sources:
        low += made.top.is_low
        made.write({gone: None})
        gone += 1
    assert gone > SPARE_ROWS
    assert low == LOW_ROWS
    assert not made.top.is_low
    assert made.view == dict(made.expected())


def test_all_rows_are_held_where_they_are_few() -> None:
    """Then none is looked for, and nothing is low."""
    made = Numbers({key: key for key in range(20)}, limit=10)
    for key in range(20):
        made.write({key: None})
        assert not made.top.is_low
    assert made.sources == 0
    assert made.view == {}


def test_rows_that_come_before_anybody_looks_are_not_told() -> None:
    """What is taken in before the rows are asked for is in them."""
    top = TopK(lambda row, key: (row, key), lambda _row, data: data, Share(Room(99)), limit=2, offset=0)
    top.take([(1, (10, b"1")), (2, (20, b"2"))])
    assert top.apply([(3, None, (5, b"3"))], list) == NOTHING
    assert top.rows(list) == [b"3", b"1"]


def test_a_row_without_a_rank_is_an_error() -> None:
    """It is told where it is found, so that whoever follows hears of it."""

    def rank(row: Any, key: Any) -> Any:
        if row is None:
            raise MalformedQuery("division by zero")
        return row, key

    top = TopK(rank, lambda _row, data: data, Share(Room(99)), limit=2, offset=0)
    with pytest.raises(MalformedQuery):
        top.take([(1, (None, b""))])
