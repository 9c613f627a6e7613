"""The newest records: without a gap, in pieces, bounded. Bounds record by record are held in test_feed.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.engine.newest import PIECES, Newest
from store.ids import Offset


def newest(size_max: int = PIECES * 10, last_offset: int = 0) -> Newest:
    """Pieces of ten bytes."""
    return Newest(size_max=size_max, last_offset=Offset(last_offset))


def test_a_record_is_there_at_once() -> None:
    """What is appended can be read before anybody settles."""
    kept = newest(last_offset=4)
    kept.open.append(b"five")
    assert list(kept.since(Offset(5)) or ()) == [b"five"]
    assert list(kept.since(Offset(6)) or ()) == []
    assert kept.since(Offset(7)) is None
    assert kept.since(Offset(4)) is None


def test_the_oldest_piece_goes_when_there_is_too_much() -> None:
    """At most what may be kept stays, and of that all but a piece."""
    kept = newest()
    for number in range(1, 1_001):
        kept.open.append(b"%04d" % number)
        kept.settle()
    first = min(each for each in range(1, 1_001) if kept.since(Offset(each)) is not None)
    size = 4 * (1_001 - first)
    assert PIECES * 10 - 2 * 12 <= size <= PIECES * 10
    assert list(kept.since(Offset(first)) or ()) == [b"%04d" % number for number in range(first, 1_001)]


def test_what_comes_at_once_is_kept_as_if_it_had_come_one_by_one() -> None:
    """A start's records, or one large group, are cut into pieces of their own."""
    kept = newest()
    kept.extend(b"%04d" % number for number in range(1, 1_001))
    assert kept.since(Offset(900)) is not None
    assert kept.since(Offset(500)) is None


@pytest.mark.parametrize("size_max", [0, 1])
def test_nothing_at_all_may_be_kept(size_max: int) -> None:
    """The present can be asked for, the past cannot."""
    kept = newest(size_max=size_max)
    kept.extend([b"one", b"two"])
    assert kept.since(Offset(2)) is None
    assert list(kept.since(Offset(3)) or ()) == []


@given(
    st.lists(st.lists(st.integers(1, 40).map(lambda size: b"x" * size), max_size=8), max_size=60),
    st.integers(0, 800),
    st.integers(0, 100),
)
def test_it_is_a_suffix_of_all_there_was(groups: list[list[bytes]], size_max: int, before: int) -> None:
    """Whatever comes in groups: from each offset it gives what followed, or None, and what it holds is bounded."""
    kept, all_ = newest(size_max=size_max, last_offset=before), list[bytes]()
    for group in groups:
        kept.open.extend(group)
        all_ += group
        kept.settle()
    reaches = [number for number in range(len(all_) + 1) if kept.since(Offset(before + number + 1)) is not None]
    assert reaches == [*range(reaches[0], len(all_) + 1)]
    for number in reaches:
        rest = list(kept.since(Offset(before + number + 1)) or ())
        assert rest == all_[number:]
        assert kept.records(Offset(before + number + 1), count_max=3, size_max=50) in (
            [rest[:count] for count in (1, 2, 3) if sum(map(len, rest[:count])) <= 50 or count == 1] if rest else [[]]
        )
    assert kept.since(Offset(before + len(all_) + 2)) is None
    piece = max(size_max // PIECES, 1)
    assert sum(map(len, all_[reaches[0] :])) < size_max + piece
