"""The outbox: what waits for a client is bounded, and frames keep to their size."""

import pytest

from store.subscribe.messages import CLOSE_TOO_SLOW
from store.subscribe.options import Options
from tests.subscribe.scenes import ALL_BOOKS, SUBPROTOCOLS, Client, Shelf, codes

each_subprotocol = pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)


def fill(client: Client, count: int) -> None:
    """Shelve books, a hundred bytes each."""
    for start in range(0, count, 1000):
        client.asks(*[["call", 1, "put", [book, "x" * 80]] for book in range(start, min(count, start + 1000))])


def test_a_client_that_does_not_read_is_cut_off() -> None:
    """Past outbox_bytes_max of held and unsent bytes a client is closed with TOO_SLOW and forgotten; others go on."""
    shelf = Shelf(Options(outbox_bytes_max=10_000))
    slow, fast, writer = shelf.client(), shelf.client(), shelf.client()
    slow.asks(["subscribe", 1, ALL_BOOKS], ["subscribe", 2, "SELECT * FROM authors"])
    fast.asks(["subscribe", 1, ALL_BOOKS])
    slow.reads = False
    for book in range(200):
        writer.says(["call", 1, "put", [book, "x" * 80]])
        writer.hears()
        fast.read()
    assert slow.closed is not None
    assert slow.closed[0] == CLOSE_TOO_SLOW
    assert slow.unsent_bytes() <= 10_000 + 100
    assert shelf.subscriptions.subscription_count == 1
    assert (fast.closed, writer.closed) == (None, None)
    slow.says(["call", 1, "nothing"])
    assert shelf.engine.feed.waiting == 0


def test_messages_are_bounded_beside_bytes() -> None:
    """Past outbox_messages_max of unsent messages a client is cut off; one that reads some of them is not."""
    shelf = Shelf(Options(outbox_messages_max=100))
    slow, steady, writer = shelf.client(), shelf.client(), shelf.client()
    for client in (slow, steady):
        client.asks(["subscribe", 1, ALL_BOOKS])
        client.reads = False
    for book in range(300):
        writer.asks(["call", 1, "put", [book, "x"]])
        if len(steady.frames) > 20:
            del steady.frames[:10]
    assert (slow.closed or (0, ""))[0] == CLOSE_TOO_SLOW
    assert len(slow.read()) <= 101
    assert steady.closed is None


def test_held_messages_are_bounded_before_the_sync() -> None:
    """What waits for a sync that hangs is bounded in messages, too."""
    shelf = Shelf(Options(outbox_messages_max=100))
    follower, writer = shelf.client(), shelf.client()
    follower.asks(["subscribe", 1, ALL_BOOKS])
    for book in range(99):
        writer.says(["call", 1, "put", [book, "x"]])
    assert follower.closed is None
    client = shelf.client()
    for book in range(150):
        client.says(["call", 1, "put", [book, "y"]])
    assert follower.closed is not None


def test_a_session_cut_off_amid_a_frame_does_no_more() -> None:
    """What is left of the frame in which a client is cut off is not done: nothing follows queries for nobody."""
    client = Shelf(Options(outbox_bytes_max=5_000)).client()
    calls = [["call", 1, "put", [book, "x"]] for book in range(1_000)]
    client.says(["subscribe", 1, ALL_BOOKS], *calls, ["subscribe", 2, "SELECT * FROM authors"])
    assert client.closed is not None
    assert client.shelf.subscriptions.subscription_count == 0
    table = client.shelf.engine.database.table("books")
    assert table is not None
    assert 0 < len(table) < 1_000


def test_held_bytes_count_before_the_sync() -> None:
    """What waits for a sync counts as well, so a sync that hangs does not fill the memory."""
    shelf = Shelf(Options(outbox_bytes_max=10_000))
    follower, writer = shelf.client(), shelf.client()
    follower.asks(["subscribe", 1, ALL_BOOKS])
    for book in range(200):
        writer.says(["call", 1, "put", [book, "x" * 80]])
    assert follower.closed is not None
    assert follower.session.held_bytes <= 10_000


def test_a_client_that_reads_again_is_kept() -> None:
    """What the network has taken since no longer counts."""
    shelf = Shelf(Options(outbox_bytes_max=10_000))
    follower, writer = shelf.client(), shelf.client()
    follower.asks(["subscribe", 1, ALL_BOOKS])
    follower.reads = False
    for book in range(50):
        writer.asks(["call", 1, "put", [book, "x" * 80]])
    assert follower.unsent_bytes() > 6_000
    follower.reads = True
    for book in range(50):
        writer.asks(["call", 1, "put", [book, "x" * 80]])
    assert follower.closed is None
    assert follower.session.held_bytes == 0


def test_rows_that_do_not_fit_are_overloaded() -> None:
    """A query whose rows are more than may wait is Overloaded: nobody is cut off for asking."""
    client = Shelf(Options(outbox_bytes_max=10_000)).client()
    fill(client, 80)
    assert codes(client.asks(["query", 1, ALL_BOOKS])) == ["rows"]
    fill(client, 200)
    assert codes(client.asks(["query", 1, ALL_BOOKS])) == [("query", 1, "overloaded")]
    assert client.closed is None


@pytest.mark.parametrize("count", range(98, 112))
def test_rows_leave_room_for_what_is_said_after_them(count: int) -> None:
    """However full a query's rows make the outbox: calls asked behind it are done, and nobody is cut off."""
    client = Shelf(Options(outbox_bytes_max=10_000)).client()
    fill(client, count)
    heard = client.asks(["query", 1, ALL_BOOKS], *[["call", number, "nothing"] for number in range(1, 31)])
    assert client.closed is None
    assert len(heard) == 31


@each_subprotocol
def test_frames_are_split_at_their_limit(subprotocol: str) -> None:
    """What is released at once leaves in frames of at most frame_size_max, a larger message alone in its own."""
    client = Shelf(Options(frame_size_max=2_000)).client(subprotocol)
    for book in range(40):
        client.asks(["call", 1, "put", [book, "x" * 80]])
    client.says(*[["query", number, "SELECT * FROM books WHERE id = 1"] for number in range(20)])
    client.says(["query", 99, ALL_BOOKS], ["query", 100, ALL_BOOKS])
    client.shelf.commit()
    sizes = [(len(client.codec.decode(frame)), len(frame)) for frame in client.frames]
    assert all(size <= 2_000 or count == 1 for count, size in sizes)
    assert max(size for _, size in sizes) > 2_000
    assert [each[1] for each in client.read()] == [*range(20), 99, 100]
