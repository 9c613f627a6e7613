"""Frames: as few as their size allows, made once for all who are told the same."""

from store.subscribe.encoding import MSGPACK
from store.subscribe.frames import KEPT_SIZE_MAX, Frames
from tests.subscribe.scenes import ALL_BOOKS, Shelf


def test_parts_that_fit_are_one_frame() -> None:
    """One frame up to the bound; more where they are larger, a part that is larger alone."""
    frames = Frames(MSGPACK, 21)
    small, more, large = b"\x01" * 7, b"\x02" * 8, b"\x03" * 30
    assert frames.of([small, small]) == ([b"\x92" + small + small], 14, 2)
    assert frames.of([small, more, large]) == ([b"\x91" + small, b"\x91" + more, b"\x91" + large], 45, 3)
    assert frames.of([large]) == ([b"\x91" + large], 30, 1)


def test_what_is_large_is_not_kept() -> None:
    """Large frames go when they are sent; small ones stay for the next session."""
    frames = Frames(MSGPACK, 1 << 30)
    for size, kept in ((100, True), (KEPT_SIZE_MAX + 1, False)):
        parts = [b"\xc0" * size]
        assert (frames.of(parts) is frames.of(parts)) == kept


def test_sessions_that_are_told_the_same_share_the_bytes() -> None:
    """A thousand followers of one query are sent one bytes object."""
    shelf = Shelf()
    followers = [shelf.client() for _ in range(3)]
    for client in followers:
        client.asks(["subscribe", 1, ALL_BOOKS])
    shelf.client().asks(["call", 1, "put", [1, "ann"]], ["call", 2, "put", [2, "ann"]])
    assert len({id(client.frames[0]) for client in followers}) == 1
    assert [len(client.read()) for client in followers] == [2, 2, 2]
