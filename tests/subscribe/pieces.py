"""Deliveries in the smallest pieces, step by step."""

from typing import Any, Final

import pytest

from store.subscribe import deliveries, first_rows, missed
from store.subscribe.options import Options
from tests.subscribe.scenes import Shelf

BY_COPIES: Final = "SELECT * FROM books WHERE copies = ?"


def make_small(monkeypatch: pytest.MonkeyPatch, *, tail: bool = True) -> None:
    """Pieces of two; without the tail, all that was missed is read from the log."""
    monkeypatch.setattr(first_rows, "CHUNK_ROWS_MAX", 2)
    monkeypatch.setattr(first_rows, "SORTED_MAX", 1)
    monkeypatch.setattr(first_rows, "GATHERED_MAX", 2)
    monkeypatch.setattr(missed, "PIECE_COUNT_MAX", 2)
    monkeypatch.setattr(missed, "PIECES_MAX", 2)
    monkeypatch.setattr(deliveries, "AT_ONCE_MAX", 0)
    monkeypatch.setattr(deliveries, "SLICE_MS", -1.0)
    if not tail:
        monkeypatch.setattr("store.engine.newest.Newest.records", lambda *_, **__: None)


def filled(count: int, options: Options | None = None) -> Shelf:
    """A shelf with so many books, by Ann and Bob in turn."""
    shelf = Shelf(options)
    writer = shelf.client()
    for book in range(count):
        writer.asks(["call", 1, "put", [book, ("ann", "bob")[book % 2], book % 3]])
    shelf.commit()
    return shelf


def deliver(shelf: Shelf) -> None:
    """One slice, with what it asks of the log."""
    going = shelf.subscriptions.deliveries
    going.step()
    request = going.take_request()
    if request is not None:
        request.run()
        going.complete(request)


def step(shelf: Shelf) -> None:
    """One slice, and all that was told is durable."""
    deliver(shelf)
    shelf.engine.group_commit.commit()


def names(messages: list[Any]) -> list[str]:
    """Of each message."""
    return [each[0] for each in messages]
