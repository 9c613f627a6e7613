"""Changes: bytes made once, and the same whoever asks."""

from store.ids import QueryId
from store.subscribe.changes import Change, Past
from store.subscribe.encoding import JSON, MSGPACK
from store.values import encode
from tests.subscribe.scenes import Shelf


def change() -> Change:
    """A row came, another left."""
    return Change(QueryId("q"), [encode([1, "ann"])], [2])


def test_a_part_is_encoded_once_for_each_subprotocol() -> None:
    """Whoever asks for a part gets the same bytes."""
    made = change()
    for encoding in (MSGPACK, JSON):
        assert made.part(encoding) is made.part(encoding)
    assert made.part(JSON) == b'["q",[[1,"ann"]],[2]]'


def test_what_is_past_says_its_own_offset() -> None:
    """A missed change has its transaction's offset and time, and is encoded once, too."""
    shelf = Shelf()
    shelf.client().asks(["call", 1, "put", [1, "ann"]])
    (transaction,) = shelf.engine.feed.tail(shelf.engine.write_path.last_offset - 1) or ()  # type: ignore[arg-type]  # An offset.
    past = Past(transaction, change())
    assert past.missed(MSGPACK) is past.missed(MSGPACK)
    said = b'[%d,%d,[[1,"ann"]],[2]]' % (transaction.offset, transaction.timestamp)
    assert past.missed(JSON) == said
