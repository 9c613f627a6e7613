"""First rows: as they were at one offset, in bounded chunks, made again where they are gone."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.subscribe import first_rows
from store.subscribe.encoding import MSGPACK
from store.subscribe.first_rows import SINCE_MAX, FirstRows
from tests.subscribe.scenes import ALL_BOOKS, Shelf

writes = st.lists(st.tuples(st.sampled_from(["put", "drop", "read", "read"]), st.integers(0, 12)), max_size=30)


def stream_of(shelf: Shelf, sql: str = ALL_BOOKS, *, chunk_size_max: int = 1 << 20) -> FirstRows:
    """The rows of a query now, followed."""
    query = shelf.subscriptions.compile(shelf.client().session._caller, sql, ())
    stream = FirstRows(query, shelf.engine.database, shelf.engine.write_path.last_offset, chunk_size_max=chunk_size_max)
    shelf.engine.feed.follow(stream)
    return stream


def chunk(stream: FirstRows, number: int) -> list[list[object]]:
    """A chunk's rows, decoded."""
    return msgspec.msgpack.decode(stream.rows(number, MSGPACK))  # type: ignore[no-any-return]  # As decoded.


def filled(count: int) -> Shelf:
    """A shelf with so many books."""
    shelf = Shelf()
    shelf.client().asks(*(["call", 1, "put", [book, "ann"]] for book in range(count)))
    return shelf


@settings(max_examples=150, deadline=None, derandomize=True)
@given(writes, st.integers(1, 4), st.integers(1, 4))
def test_rows_are_as_they_were(history: list[tuple[str, int]], gathered: int, rows_max: int) -> None:
    """Whatever is written between two chunks: together they are the rows at the offset, each once."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in (("SORTED_MAX", 0), ("GATHERED_MAX", gathered), ("CHUNK_ROWS_MAX", rows_max)):
            monkeypatch.setattr(first_rows, name, value)
        shelf = filled(8)
        writer = shelf.client()
        before, stream = shelf.rows(ALL_BOOKS), stream_of(shelf)
        read: list[list[object]] = []
        number = 0
        for name, book in [*history, *[("read", 0)] * 40]:
            if name != "read":
                writer.says(["call", 1, name, [book, "bob"] if name == "put" else [book]])
            elif not stream.gather() and (not number or not stream.ends_with(number - 1)):
                read += chunk(stream, number)
                number += 1
        assert stream.ends_with(number - 1)
        assert sorted(read) == before


def test_a_chunk_is_bounded_in_bytes_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """No chunk has more rows than CHUNK_ROWS_MAX, nor more bytes than it may, unless it is one row."""
    shelf = filled(10)
    size = len(next(iter(shelf.engine.database.table("books").rows.values())))  # type: ignore[union-attr]  # It is there.
    stream = stream_of(shelf, chunk_size_max=2 * size)
    assert [len(chunk(stream, number)) for number in range(5)] == [2] * 5
    assert stream.ends_with(4)
    monkeypatch.setattr(first_rows, "CHUNK_ROWS_MAX", 4)
    stream = stream_of(shelf)
    assert [len(chunk(stream, number)) for number in range(3)] == [4, 4, 2]
    assert len(chunk(stream_of(shelf, chunk_size_max=1), 0)) == 1


def test_a_chunk_that_is_gone_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few chunks are kept; who reads far behind has the same rows, also where they have changed since."""
    monkeypatch.setattr(first_rows, "SHARED_CHUNKS_MAX", 1)
    monkeypatch.setattr(first_rows, "CHUNK_ROWS_MAX", 3)
    shelf = filled(9)
    stream = stream_of(shelf)
    first = stream.chunk(0, MSGPACK)
    assert stream.chunk(0, MSGPACK) is first
    stream.chunk(1, MSGPACK)
    shelf.client().asks(["call", 1, "put", [0, "zoe"]], ["call", 2, "drop", [1]])
    again = stream.chunk(0, MSGPACK)
    assert again == first
    assert again is not first


def test_few_rows_come_in_key_order_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no need to gather, the first chunk is there right away, in primary-key order."""
    shelf = Shelf()
    shelf.client().asks(*(["call", 1, "put", [book, "ann"]] for book in (5, 2, 9)))
    stream = stream_of(shelf)
    assert stream.at_once
    assert [row[0] for row in chunk(stream, 0)] == [2, 5, 9]
    assert chunk(stream_of(shelf, "SELECT * FROM books WHERE id = NULL"), 0) == []
    assert [row[0] for row in chunk(stream_of(shelf, "SELECT * FROM books WHERE copies = 1"), 0)] == [2, 5, 9]
    monkeypatch.setattr(first_rows, "SORTED_MAX", 2)
    assert not stream_of(shelf, "SELECT * FROM books WHERE copies = 1").at_once


def test_images_are_kept_once_and_counted() -> None:
    """Only the image before the first change is kept, and what is kept is counted."""
    shelf = filled(2)
    stream = stream_of(shelf)
    client = shelf.client()
    client.asks(["call", 1, "put", [0, "zoe"]])
    size = stream.kept_size
    client.asks(["call", 2, "put", [0, "yan"]])
    assert 0 < size == stream.kept_size


def test_what_changed_since_is_remembered_for_a_while() -> None:
    """Up to SINCE_MAX transactions others may join; then no more is kept for them."""
    stream = stream_of(filled(1))
    for number in range(SINCE_MAX):
        stream.note(number)  # type: ignore[arg-type]  # It is only kept.
    assert stream.since == list(range(SINCE_MAX))
    stream.note(0)  # type: ignore[arg-type]  # As above.
    assert stream.since is None
