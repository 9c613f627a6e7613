"""Missed: pieces from RAM and from the log, each record once, in order."""

from typing import Any

import pytest

from store.ids import Offset, QueryId
from store.subscribe import missed
from store.subscribe.changes import Change
from store.subscribe.encoding import JSON
from store.subscribe.missed import Backlog, Piece
from tests.subscribe.scenes import Shelf


def written(count: int) -> Shelf:
    """A shelf whose last transactions are so many puts, each durable by itself."""
    shelf = Shelf()
    writer = shelf.client()
    for book in range(count):
        writer.asks(["call", 1, "put", [book, "ann"]])
    return shelf


def backlog(shelf: Shelf) -> Backlog[str]:
    """What a store of its own makes of it."""
    return Backlog(shelf.engine.feed, shelf.engine.world.disk, shelf.engine.log)


def read_all(found: Backlog[str], first: int, last: int) -> list[tuple[int, int]]:
    """(first, last) of the pieces from one offset to another, reading what must be read."""
    spans: list[tuple[int, int]] = []
    while first <= last:
        piece = found.piece(Offset(first))
        if piece is None:
            found.ask(Offset(first), "ann")
            request = found.take_request()
            assert request is not None
            assert found.take_request() is None, "one at a time"
            request.run()
            _, askers = found.complete(request)
            assert askers == ["ann"]
            assert not found.lost(Offset(first))
            continue
        spans.append((max(piece.first, first), piece.last))
        first = piece.last + 1
    return spans


@pytest.mark.parametrize("tail", [True, False])
def test_pieces_hold_every_offset_once(tail: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001  # Given.
    """From RAM or from the log, in bounded pieces, each behind the one before."""
    shelf = written(10)
    monkeypatch.setattr(missed, "PIECE_COUNT_MAX", 3)
    if not tail:
        monkeypatch.setattr(shelf.engine.feed.newest, "records", lambda *_, **__: None)
    last = shelf.engine.write_path.last_offset
    spans = read_all(backlog(shelf), last - 8, last)
    assert spans == [(last - 8, last - 6), (last - 5, last - 3), (last - 2, last)]


def test_a_piece_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large records make small pieces, of one at least."""
    shelf = written(4)
    monkeypatch.setattr(missed, "PIECE_SIZE_MAX", 1)
    last = shelf.engine.write_path.last_offset
    assert len(read_all(backlog(shelf), last - 3, last)) == 4
    monkeypatch.setattr(shelf.engine.feed.newest, "records", lambda *_, **__: None)
    assert len(read_all(backlog(shelf), last - 3, last)) == 4


def test_what_is_not_durable_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is on its way to the disk is read when it is there."""
    shelf = written(1)
    monkeypatch.setattr(shelf.engine.feed.newest, "records", lambda *_, **__: None)
    found = backlog(shelf)
    client = shelf.client()
    client.says(["call", 1, "put", [9, "ann"]])
    offset = shelf.engine.write_path.last_offset
    assert found.piece(offset) is None
    found.ask(offset, "ann")
    assert found.take_request() is None
    shelf.engine.group_commit.commit()
    request = found.take_request()
    assert request is not None
    assert request.first == offset


def test_requests_go_on_upwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies ahead comes first, so that one sweep serves many; then from the lowest again."""
    shelf = written(20)
    monkeypatch.setattr(shelf.engine.feed.newest, "records", lambda *_, **__: None)
    monkeypatch.setattr(missed, "PIECE_COUNT_MAX", 2)
    found, firsts = backlog(shelf), []
    for offset in (9, 5, 12):
        found.ask(Offset(offset), "ann")
    while (request := found.take_request()) is not None:
        request.run()
        found.complete(request)
        firsts.append(request.first)
        if request.first == 9:
            found.ask(Offset(4), "ann")
    assert firsts == [5, 9, 12, 4]


def test_what_the_log_lost_is_lost_for_all_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that cannot be read there is said once, and not asked again."""
    shelf = written(5)
    monkeypatch.setattr(shelf.engine.feed.newest, "records", lambda *_, **__: None)

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError("gone")

    monkeypatch.setattr(missed, "LogReader", fail)
    found = backlog(shelf)
    found.ask(Offset(4), "ann")
    request = found.take_request()
    assert request is not None
    found.ask(Offset(3), "bob")
    found.ask(Offset(5), "cid")
    request.run()
    assert isinstance(request.error, OSError)
    assert found.complete(request) == (None, ["ann", "bob"])
    assert [found.lost(Offset(offset)) for offset in (3, 4, 5)] == [True, True, False]


def test_a_piece_is_for_all_who_asked_for_something_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked for any of its offsets is returned with it, but for those who have left; nobody else."""
    shelf = written(9)
    monkeypatch.setattr(shelf.engine.feed.newest, "records", lambda *_, **__: None)
    monkeypatch.setattr(missed, "PIECE_COUNT_MAX", 3)
    found = backlog(shelf)
    for offset, asker in ((4, "ann"), (4, "bob"), (4, "cid"), (6, "dan"), (5, "eve"), (7, "flo")):
        found.ask(Offset(offset), asker)
    found.forget(Offset(4), "bob")
    found.forget(Offset(5), "eve")
    request = found.take_request()
    assert request is not None
    request.run()
    piece, askers = found.complete(request)
    assert piece is not None
    assert (piece.first, piece.last, askers) == (4, 6, ["ann", "cid", "dan"])
    assert found.asked


def test_a_query_is_evaluated_once_for_all() -> None:
    """A piece asks what changed in a query at its first asking; equal chunks are the same bytes."""
    shelf = written(3)
    last = shelf.engine.write_path.last_offset
    records = shelf.engine.feed.newest.records(Offset(last - 2), count_max=9, size_max=1 << 20)
    assert records is not None
    piece = Piece(records)
    asked: list[Any] = []

    def changes_of(_transaction: Any, wanted: Any) -> dict[QueryId, Change]:
        asked.append(set(wanted))
        return {each: Change(each, [], []) for each in wanted}

    one, two = QueryId("one"), QueryId("two")
    piece.evaluate({one}, changes_of)
    piece.evaluate({one, two}, changes_of)
    assert asked == [{one}] * 3 + [{two}] * 3
    whole = piece.chunk(one, JSON, piece.first, piece.last, more=False)
    assert piece.chunk(one, JSON, piece.first, piece.last, more=False) is whole
    part = piece.chunk(one, JSON, Offset(piece.last), piece.last, more=False)
    assert part.count(b"[],[]]") == 1
    assert whole.count(b"[],[]]") == 3
