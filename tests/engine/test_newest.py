"""The newest records: without a gap, as the log made them, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.engine.newest import BODY_OVERHEAD, Newest
from store.ids import Offset
from store.log.format import join_records
from store.values import encode

ONE: int = len(join_records([encode(b"1")])) + BODY_OVERHEAD
"""What a batch of one record of three bytes counts."""


class Log:
    """Batches of records, as a log closes them."""

    def __init__(self, *, size_max: int, last_offset: int = 0) -> None:
        self.newest = Newest(size_max=size_max, last_offset=Offset(last_offset))
        self.open: list[bytes] = []
        self.newest.open_records = lambda: self.open
        self._next = last_offset + 1

    def close(self, *records: bytes) -> None:
        """Close the open batch, with these records too."""
        self.open += records
        self.newest.add(Offset(self._next), join_records(self.open), len(self.open))
        self._next += len(self.open)
        self.open = []

    def since(self, first: int) -> list[bytes] | None:
        """All from an offset on."""
        records = self.newest.since(Offset(first))
        return None if records is None else list(records)


def test_a_record_is_there_at_once() -> None:
    """What is appended can be read before its batch is closed."""
    log = Log(size_max=1_000, last_offset=4)
    log.open.append(b"\x05")
    assert (log.since(5), log.since(6)) == ([b"\x05"], [])
    assert (log.since(7), log.since(4)) == (None, None)
    log.close(b"\x06")
    log.open.append(b"\x07")
    assert log.since(5) == [b"\x05", b"\x06", b"\x07"]
    assert (log.since(6), log.since(7)) == ([b"\x06", b"\x07"], [b"\x07"])
    assert (log.newest.first_offset, log.newest.last_offset) == (5, 6)


def test_the_oldest_batches_go_when_there_is_too_much() -> None:
    """As many stay as fit; the places of the others are given up in time."""
    log = Log(size_max=10 * ONE)
    for number in range(1, 5_001):
        log.close(encode(b"%d" % (number % 10)))
    assert log.newest.first_offset == 4_991
    assert log.since(4_990) is None
    assert log.since(4_999) == [encode(b"9"), encode(b"0")]
    assert len(log.newest._bodies) < 2_000
    assert log.newest.room == 0


def test_a_batch_that_is_too_large_leaves_nothing() -> None:
    """The present can be asked for, the past cannot; what comes then is kept again."""
    log = Log(size_max=200)
    log.close(encode(b"1"))
    log.close(encode(bytes(500)))
    assert (log.since(1), log.since(2), log.since(3)) == (None, None, [])
    log.close(encode(b"3"))
    assert (log.since(2), log.since(3)) == (None, [encode(b"3")])


def test_a_batch_without_records_is_passed_over() -> None:
    """It vouches, and has no offset of its own."""
    log = Log(size_max=1_000)
    log.close(b"\x01")
    log.close()
    log.close(b"\x02")
    assert (log.since(1), len(list(log.newest.bodies()))) == ([b"\x01", b"\x02"], 2)


def test_the_first_batch_may_begin_anywhere_and_the_next_follows_on_it() -> None:
    """Where nothing is kept there can be no gap; else a gap is a bug."""
    kept = Newest(size_max=1_000, last_offset=Offset(3))
    kept.add(Offset(40), join_records([b"\x01"]), 1)
    assert (kept.first_offset, kept.last_offset, kept.since(Offset(4))) == (40, 40, None)
    with pytest.raises(AssertionError):
        kept.add(Offset(42), join_records([b"\x01"]), 1)


@given(
    st.lists(st.lists(st.integers(0, 40).map(lambda size: encode(b"x" * size)), max_size=5), max_size=40),
    st.lists(st.just(b"\x01"), max_size=3),
    st.integers(0, 2_000),
    st.integers(0, 100),
)
def test_it_is_a_suffix_of_all_there_was(
    batches: list[list[bytes]], unclosed: list[bytes], size_max: int, before: int
) -> None:
    """Whatever comes: from each offset it gives what followed, or None; and what it holds is bounded."""
    log, all_ = Log(size_max=size_max, last_offset=before), list[bytes]()
    for batch in batches:
        log.close(*batch)
        all_ += batch
    closed = len(all_)
    log.open = unclosed
    all_ += unclosed
    reaches = [number for number in range(len(all_) + 1) if log.since(before + number + 1) is not None]
    assert reaches == [*range(reaches[0], len(all_) + 1)]
    assert log.newest.first_offset == before + min(reaches[0], closed) + 1
    for number in reaches:
        rest = log.since(before + number + 1) or []
        assert rest == all_[number:]
        fits = [
            count for count in (1, 2, 3) if count <= len(rest) and (count == 1 or sum(map(len, rest[:count])) <= 50)
        ]
        some = log.newest.records(Offset(before + number + 1), count_max=3, size_max=50)
        assert some == rest[: max(fits, default=0)]
    assert log.since(before + len(all_) + 2) is None
    assert sum(map(len, all_[reaches[0] : closed])) <= size_max
