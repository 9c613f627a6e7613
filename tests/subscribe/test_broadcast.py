"""Broadcasts: held once for many, and never out of order."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from store.engine.feed import Feed
from store.engine.newest import Newest
from store.ids import Offset
from store.subscribe.broadcast import BROADCAST_MIN, HELD_SIZE_MAX, Broadcast
from store.subscribe.encoding import MSGPACK
from store.subscribe.frames import Frames
from tests.subscribe.scenes import ALL_BOOKS, BY_AUTHOR, Shelf

FRAMES = Frames(MSGPACK, 1 << 20)


class Ear:
    """A session that notes what it is told, and what it hears."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.held: list[bytes] = []
        self.broadcast: Broadcast | None = None
        self.told: list[bytes] = []
        self.heard = b""

    def tell(self, message: bytes) -> None:
        """Hold it for this one alone."""
        self.feed.hold(self, message)

    def prepare(self, parts: list[bytes]) -> list[bytes]:
        """As it is."""
        return parts

    def release(self, parts: list[bytes]) -> None:
        """Hear what was held."""
        self.heard += b"".join(parts)

    def send(self, payloads: list[bytes], size: int, count: int) -> None:
        """Hear what was broadcast."""
        assert size == sum(map(len, payloads)) - len(payloads)
        assert count
        self.heard += b"".join(payload[1:] for payload in payloads)


def tell_all(broadcast: Broadcast, ears: list[Ear], message: bytes) -> None:
    """As subscriptions do."""
    taken = broadcast.take(message)
    for ear in ears:
        ear.told.append(message)
        if not taken:
            ear.tell(message)


acts = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.integers(0, 3)),
        st.tuples(st.just("broadcast"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["seal", "publish"]), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(acts)
def test_everybody_hears_in_the_order_in_which_it_was_told(history: list[tuple[str, int]]) -> None:
    """However broadcasts with common sessions, single messages and syncs alternate."""
    feed = Feed(Newest(size_max=0, last_offset=Offset(0)))
    ears = [Ear(feed) for _ in range(4)]
    groups = [ears[:3], ears[1:], ears]
    broadcasts = [Broadcast(group, FRAMES, feed.receivers) for group in groups]
    sealed: list[Any] = []
    for number, (name, which) in enumerate(history):
        message = bytes((number + 1,))
        if name == "tell":
            ears[which].tell(message)
            ears[which].told.append(message)
        elif name == "broadcast":
            tell_all(broadcasts[which], groups[which], message)
        elif name == "seal":
            sealed.append(feed.prepare(feed.seal()))
        elif sealed:
            feed.publish(sealed.pop(0))
    for each in (*sealed, feed.prepare(feed.seal())):
        feed.publish(each)
    for ear in ears:
        assert ear.heard == b"".join(ear.told)


def test_what_a_broadcast_holds_is_bounded() -> None:
    """Past HELD_SIZE_MAX each session holds a delta by itself, within its own bounds."""
    feed = Feed(Newest(size_max=0, last_offset=Offset(0)))
    broadcast = Broadcast([Ear(feed)], FRAMES, feed.receivers)
    assert broadcast.take(bytes(HELD_SIZE_MAX))
    assert not broadcast.take(b"1")
    feed.publish(feed.prepare(feed.seal()))
    assert broadcast.take(b"1")


def test_many_followers_are_told_by_one_receiver() -> None:
    """From BROADCAST_MIN followers on a delta is held once; who comes or goes changes who hears the next."""
    shelf = Shelf()
    clients = [shelf.client() for _ in range(BROADCAST_MIN + 1)]
    for client in clients:
        client.asks(["subscribe", 1, ALL_BOOKS], ["subscribe", 2, BY_AUTHOR, ["ann"]])
    writer = shelf.client()
    writer.says(["call", 1, "put", [1, "bob"]], ["call", 2, "put", [2, "bob"]], ["call", 3, "put", [3, "ann"]])
    assert shelf.engine.feed.waiting == len(clients) + 2
    clients[0].says(["unsubscribe", 1])
    writer.says(["call", 4, "put", [4, "bob"]])
    shelf.commit()
    assert [each[0] for each in clients[0].read()] == ["delta", "delta", "delta", "unsubscribed"]
    for client in clients[1:]:
        offsets = [each[1] for each in client.read()]
        assert len(offsets) == 4
        assert offsets == sorted(offsets)
    clients[1].session.detach()
    assert clients[1].session.broadcast is None
    writer.asks(["call", 5, "put", [5, "bob"]])
    assert [len(client.read()) for client in clients] == [0, 0, *[1] * (len(clients) - 2)]


def test_a_stalled_listener_is_cut_off_and_the_others_hear() -> None:
    """Who does not read is cut off once its bound is passed, with the broadcast that passed it."""
    shelf = Shelf()
    clients = [shelf.client() for _ in range(BROADCAST_MIN)]
    for client in clients:
        client.asks(["subscribe", 1, ALL_BOOKS])
    clients[0].reads = False
    clients[0].session._outbox_bytes_max = 1_000
    writer = shelf.client()
    for book in range(100):
        writer.asks(["call", 1, "put", [book, "x" * 80]])
    assert clients[0].closed is not None
    assert clients[0].unsent_bytes() < 1_300
    assert [len(client.read()) for client in clients[1:]] == [100] * (BROADCAST_MIN - 1)
