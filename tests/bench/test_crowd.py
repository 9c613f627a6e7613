"""The crowd: what is counted while the clock runs is what came."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bench.crowd import Delivered, _array_length, _sum, count_frames
from store.server.frames import encode_frame

pack = msgspec.msgpack.encode


@given(st.lists(st.integers(0, 40), max_size=12), st.lists(st.integers(1, 90), min_size=1, max_size=8))
def test_deltas_are_counted_however_the_bytes_are_cut(counts: list[int], sizes: list[int]) -> None:
    """Each message of each frame once; the last whole payload is kept, pings are passed over."""
    payloads = [pack([["delta", number]] * count) for number, count in enumerate(counts)]
    stream = b"".join(b"\x89\x00" + encode_frame(payload, text=False) for payload in payloads)
    total, rest, last, place, turn = 0, b"", b"", 0, 0
    while place < len(stream):
        size = sizes[turn % len(sizes)]
        deltas, seen, rest = count_frames(stream[place : place + size], rest)
        total, last, place, turn = total + deltas, seen or last, place + size, turn + 1
    assert (total, rest, last) == (sum(counts), b"", payloads[-1] if payloads else b"")


def test_rows_are_counted_by_their_arrays_head() -> None:
    """For every width of an array's count."""
    for count in (0, 15, 16, 65_535, 65_536):
        assert _array_length(memoryview(pack([None] * count))[:5]) == count


def test_turns_add_up() -> None:
    """Seconds, changes, rows and bytes of subscribers one after the other are summed."""
    one = Delivered(seconds=1.5, deliveries=2, rows=3, size=4)
    assert _sum([one, one]) == Delivered(seconds=3.0, deliveries=4, rows=6, size=8)
