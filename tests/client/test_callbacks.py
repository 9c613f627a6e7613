"""The rules of a view's callbacks; what a view makes of them is in test_view.py."""

from typing import Any

from store.client.callbacks import Callbacks, Listening
from store.client.rows import Delete, Insert, Update
from tests.client.test_index import colour


def test_they_are_counted() -> None:
    """Whoever shares the count knows whether anybody listens."""
    listening = Listening(lambda _message, _error: None)
    one: Callbacks[Any] = Callbacks(listening)
    two: Callbacks[Any] = Callbacks(listening)
    remove = one.add(Insert, print)
    one.add(None, print)
    two.add(Delete, print)
    assert listening.count == 3
    remove()
    remove()
    one.end(None)
    assert listening.count == 1


def test_they_are_called_in_the_order_they_came() -> None:
    """Change by change, callback by callback."""
    told: list[Any] = []
    callbacks: Callbacks[Any] = Callbacks(Listening(lambda _message, _error: None))
    callbacks.add(Insert, lambda row: told.append(("first", row.id)))
    callbacks.add(Update, lambda before, after: told.append((before.owner, after.owner)))
    callbacks.add(Insert, lambda row: told.append(("second", row.id)))
    callbacks.tell([Insert(1, colour(1, "a")), Update(1, colour(1, "a"), colour(1, "b")), Delete(1, colour(1, "b"))])
    assert told == [("first", 1), ("second", 1), ("a", "b")]
