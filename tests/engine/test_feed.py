"""The feed: what is held, when it leaves, and what is kept for those who come back."""

from dataclasses import replace
from typing import Any

import pytest

from store.codec import NIL, encode_transaction
from store.engine.feed import Feed
from store.ids import ConnectionId, IdentityReference, Offset, SchemaVersion, Timestamp
from store.transaction import Kind, Transaction
from tests.engine.scenes import OPTIONS, Watcher, call, committed, logged, memory_disk, open_shop, reopen


class Ear:
    """A receiver that notes what it hears."""

    def __init__(self, heard: list[Any]) -> None:
        self.held: list[Any] = []
        self.heard = heard

    def release(self, parts: list[Any]) -> None:
        """Take note."""
        self.heard.append(parts)


def a_feed(*, last_offset: int = 0, tail_size_max: int = 1 << 20) -> Feed:
    """An empty feed."""
    return Feed(tail_size_max=tail_size_max, last_offset=Offset(last_offset))


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
    feed.publish(sealed)
    assert heard == [["a", "c"], ["b"]]


def test_what_is_held_after_the_seal_waits_for_the_next() -> None:
    """A sync covers what was there when it began."""
    feed, heard = a_feed(), list[Any]()
    ear = Ear(heard)
    feed.hold(ear, 1)
    sealed = feed.seal()
    feed.hold(ear, 2)
    feed.publish(sealed)
    assert (heard, feed.waiting) == ([[1]], 1)
    feed.publish(feed.seal())
    assert heard == [[1], [2]]


def test_a_receiver_may_hold_more_while_it_is_told() -> None:
    """What follows from being told waits for the next group."""
    feed = a_feed()

    class Eager:
        """Holds again what it hears."""

        def __init__(self) -> None:
            self.held: list[Any] = []

        def release(self, parts: list[Any]) -> None:
            """Hold it again."""
            feed.hold(self, parts)

    feed.hold(Eager(), 1)
    feed.publish(feed.seal())
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
    for each in transactions:
        feed.newest.open.append(encode_transaction(each))
    assert feed.tail(Offset(0)) == transactions
    assert feed.tail(Offset(3)) == transactions[3:]
    assert feed.tail(Offset(5)) == []
    assert feed.tail(Offset(6)) is None


@pytest.mark.parametrize("last_offset", [0, 40])
def test_the_tail_is_bounded_by_its_bytes(last_offset: int) -> None:
    """The oldest records go; an offset behind which one is missing is out of reach."""
    size = len(encode_transaction(a_transaction(100)))
    feed = a_feed(last_offset=last_offset, tail_size_max=3 * size)
    for offset in range(last_offset + 1, last_offset + 11):
        feed.newest.open.append(encode_transaction(a_transaction(offset)))
        feed.publish(feed.seal())
    last = last_offset + 10
    assert [each.offset for each in feed.tail(Offset(last - 3)) or []] == [last - 2, last - 1, last]
    assert feed.tail(Offset(last - 4)) is None
    feed.newest.open.append(encode_transaction(a_transaction(last + 1, size=10 * size)))
    feed.publish(feed.seal())
    assert feed.tail(Offset(last)) is None
    assert feed.tail(Offset(last + 1)) == []


def test_a_tail_that_was_never_filled_reaches_back_to_its_start() -> None:
    """After a start without records in RAM only the present can be asked for."""
    feed = a_feed(last_offset=7)
    assert feed.tail(Offset(7)) == []
    assert feed.tail(Offset(6)) is None


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


def test_records_are_given_as_they_are_in_bounded_pieces() -> None:
    """As many as both bounds allow, one at least; nothing of what is to come; None of what has gone."""
    records = [encode_transaction(a_transaction(offset)) for offset in range(1, 11)]
    size = len(records[0])
    feed = a_feed(tail_size_max=5 * size)
    for record in records:
        feed.newest.open.append(record)
    feed.publish(feed.seal())
    assert feed.newest.records(Offset(5), count_max=9, size_max=1 << 20) is None
    assert feed.newest.records(Offset(6), count_max=9, size_max=1 << 20) == records[5:]
    assert feed.newest.records(Offset(6), count_max=2, size_max=1 << 20) == records[5:7]
    assert feed.newest.records(Offset(7), count_max=9, size_max=3 * size) == records[6:9]
    assert feed.newest.records(Offset(7), count_max=9, size_max=1) == records[6:7]
    assert feed.newest.records(Offset(11), count_max=9, size_max=1 << 20) == []


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
