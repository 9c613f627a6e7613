"""The feed: what is held, when it leaves, and what is kept for those who come back."""

from dataclasses import replace
from typing import Any

from store.codec import NIL, encode_transaction
from store.engine.feed import Feed
from store.engine.newest import Newest
from store.ids import ConnectionId, IdentityReference, Offset, SchemaVersion, Timestamp
from store.log.format import join_records
from store.transaction import Kind, Transaction
from tests.engine.scenes import OPTIONS, Watcher, call, committed, logged, memory_disk, open_shop, reopen


class Ear:
    """A receiver that notes what it hears."""

    def __init__(self, heard: list[Any]) -> None:
        self.held: list[Any] = []
        self.heard = heard

    def prepare(self, parts: list[Any]) -> tuple[Any, ...]:
        """In one piece."""
        return tuple(parts)

    def release(self, prepared: tuple[Any, ...]) -> None:
        """Take note."""
        self.heard.append(prepared)


def a_feed() -> Feed:
    """An empty feed."""
    return Feed(Newest(size_max=1 << 20, last_offset=Offset(0)))


def a_transaction(offset: int, size: int = 0) -> Transaction:
    """A transaction with so many bytes of arguments."""
    return Transaction(
        Kind.CALL, Offset(offset), Timestamp(offset), (), None, IdentityReference(0), ConnectionId(0), "",
        SchemaVersion(1), "act", bytes(size), "", NIL,
    )  # fmt: skip


def test_what_is_held_leaves_only_when_it_is_published() -> None:
    """Sealing takes it out of the feed, publishing lets it out: each receiver's parts at once and in order."""
    feed, heard = a_feed(), list[Any]()
    first, second = Ear(heard), Ear(heard)
    feed.hold(first, "a")
    feed.hold(second, "b")
    feed.hold(first, "c")
    assert feed.waiting == 2
    sealed = feed.seal()
    assert (heard, feed.waiting) == ([], 0)
    prepared = feed.prepare(sealed)
    assert heard == []
    feed.publish(prepared)
    assert heard == [("a", "c"), ("b",)]


def test_what_is_held_after_the_seal_waits_for_the_next() -> None:
    """A sync covers what was there when it began."""
    feed, heard = a_feed(), list[Any]()
    ear = Ear(heard)
    feed.hold(ear, 1)
    sealed = feed.seal()
    feed.hold(ear, 2)
    feed.publish(feed.prepare(sealed))
    assert (heard, feed.waiting) == ([(1,)], 1)
    feed.publish(feed.prepare(feed.seal()))
    assert heard == [(1,), (2,)]


def test_a_receiver_may_hold_more_while_it_is_told() -> None:
    """What follows from being told waits for the next group."""
    feed = a_feed()

    class Eager:
        """Holds again what it hears."""

        def __init__(self) -> None:
            self.held: list[Any] = []

        def prepare(self, parts: list[Any]) -> list[Any]:
            """As it is."""
            return parts

        def release(self, parts: list[Any]) -> None:
            """Hold it again."""
            feed.hold(self, parts)

    feed.hold(Eager(), 1)
    feed.publish(feed.prepare(feed.seal()))
    assert feed.waiting == 1


def test_a_forgotten_receiver_hears_nothing_more() -> None:
    """What is held for it is dropped; forgetting twice is forgetting once."""
    feed, heard = a_feed(), list[Any]()
    ear = Ear(heard)
    feed.hold(ear, 1)
    feed.forget(ear)
    feed.forget(ear)
    feed.publish(feed.seal())
    assert heard == []


def test_a_follower_sees_every_transaction_once_and_in_order() -> None:
    """With the tables at exactly its offset, durable or not; from the next one after it follows."""
    engine = open_shop()
    watcher = Watcher(engine)
    engine.feed.follow(watcher)
    first = call(engine, "add", "ada").offset
    call(engine, "fail", "refuse")
    committed(engine, "remove", 1)
    engine.feed.unfollow(watcher)
    committed(engine, "look")
    assert [each.offset for each in watcher.seen] == [first - 1, first, first + 1, first + 2]
    assert watcher.seen == logged(memory_disk(engine))[first - 2 : -1]


def test_the_tail_gives_what_came_after_an_offset() -> None:
    """Nothing after the last; None for an offset to come."""
    feed = a_feed()
    transactions = [a_transaction(offset) for offset in range(1, 6)]
    records = [encode_transaction(each) for each in transactions]
    feed.newest.add(Offset(1), join_records(records[:3]), 3)
    feed.newest.open_records = lambda: records[3:]
    assert feed.tail(Offset(0)) == transactions
    assert feed.tail(Offset(3)) == transactions[3:]
    assert feed.tail(Offset(5)) == []
    assert feed.tail(Offset(6)) is None


def test_the_tail_follows_the_log() -> None:
    """A record is in it from the append on, durable or not, and after the flush as before."""
    engine = open_shop()
    offset = call(engine, "add", "ada").offset
    before = engine.feed.tail(Offset(0))
    assert before is not None
    assert before[-1].offset == offset
    engine.group_commit.commit()
    assert engine.feed.tail(Offset(0)) == before == logged(memory_disk(engine))


def test_the_tail_after_recovery_is_bounded_too() -> None:
    """As many of the newest records as fit are in RAM again."""
    engine = open_shop()
    for number in range(50):
        committed(engine, "put", f"k{number}", bytes(1_000))
    engine = reopen(engine, options=replace(OPTIONS, tail_size_max=10_000))
    last = engine.write_path.last_offset
    assert engine.feed.tail(Offset(last - 40)) is None
    tail = engine.feed.tail(Offset(last - 5))
    assert tail is not None
    assert [each.offset for each in tail] == list(range(last - 4, last + 1))


def test_a_follower_that_goes_while_a_transaction_is_evaluated_disturbs_no_other() -> None:
    """Who follows sees every transaction, also where others come and go amid it."""
    engine = open_shop()
    watcher = Watcher(engine)

    class Leaver:
        """Goes at the first sight."""

        def evaluate(self, _transaction: Transaction) -> None:
            """Go."""
            engine.feed.unfollow(self)

    for each in (Leaver(), Leaver(), watcher, Leaver()):
        engine.feed.follow(each)
    first = call(engine, "add", "ada").offset
    assert watcher.seen[-1].offset == first
    assert engine.feed.followers == [watcher]
