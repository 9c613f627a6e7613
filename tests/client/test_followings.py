"""The rules of followed queries: first rows, deltas, coming back, sharing."""

from typing import Any

import pytest

from store.client.conversation import Conversation
from store.client.followings import Changed, Failed, Opened
from store.client.rows import Delete, Insert, LiveRows, Update
from store.errors import ProtocolError, SchemaMismatch
from store.ids import Offset
from store.schema import Table, column
from store.subscribe.messages import Subscribe, Unsubscribe, Unsubscribed
from tests.client.scenes import (
    EPOCH,
    OTHER_EPOCH,
    chunk,
    delta,
    failure,
    greet,
    greeted,
    hear,
    result,
    said,
    subscribed,
)

ALL = "SELECT * FROM accounts"


class Account(Table, name="accounts"):
    """The server's rows as their author declares them."""

    id: int = column(primary_key=True)
    owner: str
    balance: int


class Colour(Table):
    """Rows of something else."""

    id: int = column(primary_key=True)
    colour: str
    shade: int


def follow(made: Conversation, *rows: Any, offset: int = 3, query: str = "q", row_type: Any = Account) -> LiveRows[Any]:
    """Subscribe, and hear first rows."""
    number = made.subscribe(f"{ALL} WHERE owner = '{query}'", (), row_type)
    said(made)
    (opened,) = hear(made, subscribed(number, offset, *rows, query=query))
    assert isinstance(opened, Opened)
    return opened.live


def changes(events: list[Any]) -> list[Any]:
    """All changes that events tell of."""
    return [change for each in events if isinstance(each, Changed) for change in each.delta.changes]


def test_rows_begin_at_the_offset_the_server_says() -> None:
    """First rows are typed, under their keys, at their offset."""
    live = follow(greeted(), [1, "ada", 5])
    assert live.rows == {1: Account(id=1, owner="ada", balance=5)}
    assert live.offset == 3


def test_a_delta_is_told_with_the_rows_before() -> None:
    """A delta's changes are inserts, updates and deletes with the rows before and after."""
    made = greeted()
    live = follow(made, [1, "ada", 5], [2, "bob", 6])
    events = hear(made, delta(4, [1, "ada", 7], [3, "cyd", 8], keys=(2,)))
    ada, ada_now = Account(id=1, owner="ada", balance=5), Account(id=1, owner="ada", balance=7)
    bob, cyd = Account(id=2, owner="bob", balance=6), Account(id=3, owner="cyd", balance=8)
    assert changes(events) == [Update(1, ada, ada_now), Insert(3, cyd), Delete(2, bob)]
    assert live.rows == {1: ada_now, 3: cyd}
    assert live.offset == 4


def test_what_was_seen_is_passed_over() -> None:
    """A delta at or before the rows' offset changes nothing."""
    made = greeted()
    live = follow(made, [1, "ada", 5])
    assert hear(made, delta(3, [1, "ada", 9])) == []
    assert live.rows[1].balance == 5


def test_a_resumed_query_goes_on_from_its_rows() -> None:
    """A resumption sends nothing anew; what was missed comes as deltas."""
    made = greeted()
    live = follow(made, [1, "ada", 5])
    made.lost()
    greet(made)
    (again,) = said(made)
    assert again == Subscribe(1, again.sql, (), EPOCH, Offset(3))
    assert hear(made, subscribed(1, 3, resumed=True)) == []
    assert len(changes(hear(made, delta(4, [1, "ada", 6]), delta(5, [1, "ada", 7])))) == 2
    assert (live.rows[1].balance, live.offset) == (7, 5)


def test_a_quiet_query_resumes_from_where_the_connection_was() -> None:
    """What other answers told counts for every query: it need not be sent again."""
    made = greeted()
    follow(made, [1, "ada", 5])
    made.call("f", ())
    hear(made, result(1, 90))
    made.lost()
    greet(made)
    assert said(made)[1].offset == 90  # Behind the acknowledgement.


def test_rows_sent_anew_are_told_as_a_difference() -> None:
    """Where it cannot resume, the view becomes the rows there are now, and the delta says so."""
    made = greeted()
    live = follow(made, [1, "ada", 5], [2, "bob", 6], [3, "cyd", 7])
    before = live.rows
    made.lost()
    greet(made)
    (changed,) = hear(made, subscribed(1, 50, [1, "ada", 5], [2, "bob", 9], [4, "dan", 8]))
    assert isinstance(changed, Changed)
    assert changed.delta.reset
    assert changed.delta.offset == 50
    assert [(type(each), each.key) for each in changed.delta.changes] == [(Update, 2), (Insert, 4), (Delete, 3)]
    assert set(live.rows) == {1, 2, 4}
    assert set(before) == {1, 2, 3}, "who still reads the rows from before sees them whole"


def test_an_epoch_belongs_to_its_rows() -> None:
    """A connection lost before rows of a new epoch came asks with the old epoch again, never with a mixture."""
    made = greeted()
    follow(made, [1, "ada", 5])
    made.lost()
    greet(made, OTHER_EPOCH)
    made.lost()
    greet(made, OTHER_EPOCH)
    (again,) = said(made)
    assert (again.epoch, again.offset) == (EPOCH, 3)


def test_the_connection_offset_rests_while_queries_come_back() -> None:
    """Between coming back and the last resumption no answer moves the offset on."""
    made = greeted()
    follow(made, query="q")
    follow(made, query="r", offset=4)
    made.lost()
    greet(made)
    hear(made, subscribed(1, 3, query="q", resumed=True), delta(8, [1, "ada", 1], query="q"))
    assert made.offset < 8
    hear(made, subscribed(2, 4, query="r", resumed=True), delta(6, [2, "bob", 1], query="r"))
    assert made.offset == 6


def test_a_query_that_still_comes_back_takes_no_delta() -> None:
    """What is missed behind another's resumption is not applied early: it comes with its own."""
    made = greeted()
    follow(made, query="q")
    live = follow(made, query="r")
    made.lost()
    greet(made)
    hear(made, subscribed(1, 3, query="q", resumed=True), delta(8, [1, "x", 1], query="r"))
    assert live.rows == {}
    hear(made, subscribed(2, 3, query="r", resumed=True), delta(8, [1, "x", 1], query="r"))
    assert set(live.rows) == {1}


def test_unsubscribing_ends_it() -> None:
    """Nothing is told about a query nobody follows here any more, and the server hears of it."""
    made = greeted()
    follow(made)
    made.unsubscribe(1)
    made.unsubscribe(1)
    assert said(made) == [Unsubscribe(1)]
    assert hear(made, delta(4, [1, "ada", 5]), subscribed(1, 9), failure("unsubscribe", 1)) == []


def test_a_query_that_fails_has_ended() -> None:
    """A failure of a subscription ends it, whether it had rows or not."""
    made = greeted()
    follow(made)
    (failed,) = hear(made, failure("subscribe", 1, "denied"))
    assert isinstance(failed, Failed)
    assert failed.id == 1
    made.lost()
    greet(made)
    assert said(made) == []


def test_the_same_query_is_followed_once_and_seen_twice() -> None:
    """A query the server follows already is shared: each subscription has rows of its own, of its own type."""
    made = greeted()
    first = follow(made, [1, "ada", 5])
    number = made.subscribe("select * from accounts", (), None)
    said(made)
    (opened,) = hear(made, failure("subscribe", number, "malformed_query", id=1, query="q"))
    assert isinstance(opened, Opened)
    second = opened.live
    assert (second.rows[1].owner, second.offset) == ("ada", 3)
    assert len(hear(made, delta(4, [1, "ada", 6]))) == 2
    assert first.rows[1].balance == second.rows[1].balance == 6
    made.unsubscribe(1)
    assert said(made) == []
    hear(made, delta(5, [1, "ada", 7]))
    assert (first.rows[1].balance, second.rows[1].balance) == (6, 7)
    made.unsubscribe(number)
    assert said(made) == [Unsubscribe(1)]


def test_a_shared_query_comes_back_once() -> None:
    """Subscriptions that share a following resume together, or get the same rows anew."""
    made = greeted()
    follow(made, [1, "ada", 5])
    number = made.subscribe(ALL, (), None)
    said(made)
    hear(made, failure("subscribe", number, "malformed_query", id=1, query="q"))
    made.lost()
    greet(made)
    assert [each.id for each in said(made)] == [1]
    events = hear(made, subscribed(1, 9, [2, "bob", 1]))
    assert [each.id for each in events] == [1, number]
    assert len(changes(events)) == 4


def test_a_query_shared_with_one_that_has_ended_is_asked_for_again() -> None:
    """Where the other subscription was given up meanwhile, the query is asked for anew."""
    made = greeted()
    follow(made)
    number = made.subscribe(ALL, (), None)
    made.unsubscribe(1)
    said(made)
    assert hear(made, failure("subscribe", number, "malformed_query", id=1, query="q")) == []
    assert said(made) == [Subscribe(number, ALL, ())]


@pytest.mark.parametrize(("resumed", "epoch"), [(True, EPOCH), (False, EPOCH), (False, OTHER_EPOCH)])
def test_who_shares_a_query_that_is_still_awaited_waits_with_it(resumed: bool, epoch: str) -> None:  # noqa: FBT001
    """Its rows are those that the server goes on from, or sends anew; never those from before."""
    made = greeted()
    one = follow(made, [1, "ada", 5])
    two = made.subscribe(ALL, (), Account)
    made.lost()
    greet(made, epoch)
    said(made)
    assert hear(made, failure("subscribe", two, "malformed_query", id=1, query="q")) == []
    there = subscribed(1, 3, resumed=True) if resumed else subscribed(1, 9, [1, "ada", 7])
    events = hear(made, there, delta(10, [2, "bob", 2]))
    (opened,) = [each for each in events if isinstance(each, Opened)]
    expected = {1: 5 if resumed else 7, 2: 2}
    for live in (one, opened.live):
        assert ({key: row.balance for key, row in live.rows.items()}, live.offset) == (expected, 10)


def test_a_query_whose_followers_left_while_it_was_awaited_is_asked_anew() -> None:
    """Who joined them has no rows to go on from."""
    made = greeted()
    follow(made, [1, "ada", 5])
    two = made.subscribe(ALL, (), Account)
    made.lost()
    greet(made)
    said(made)
    hear(made, failure("subscribe", two, "malformed_query", id=1, query="q"))
    made.unsubscribe(1)
    said(made)
    assert hear(made, subscribed(1, 3, resumed=True), delta(4, [1, "ada", 6])) == []
    assert [(type(each), each.id) for each in said(made)] == [(Unsubscribe, 1), (Subscribe, 1)]
    (opened,) = hear(made, Unsubscribed(1), subscribed(1, 9, [1, "ada", 7]))
    assert {key: row.balance for key, row in opened.live.rows.items()} == {1: 7}


def test_rows_of_another_type_end_that_subscription_alone() -> None:
    """A row type that is not the server's fails its own subscription, and the server is told where nobody is left."""
    made = greeted()
    number = made.subscribe(ALL, (), Colour)
    said(made)
    (failed,) = hear(made, subscribed(number, 3))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, SchemaMismatch)
    assert said(made) == [Unsubscribe(number)]


def test_a_row_that_cannot_be_read_changes_nothing() -> None:
    """A delta with a bad row ends the subscription with its rows as they were."""
    made = greeted()
    live = follow(made, [1, "ada", 5])
    (failed,) = hear(made, delta(4, [1, "ada", 6], [2, "bob", "much"]))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, SchemaMismatch)
    assert live.rows[1].balance == 5


def test_a_resumption_nobody_asked_for_is_a_protocol_error() -> None:
    """The server resumes from the offset it was told, or sends rows."""
    made = greeted()
    number = made.subscribe(ALL, (), None)
    said(made)
    with pytest.raises(ProtocolError, match="never was"):
        hear(made, subscribed(number, 3, resumed=True))


# Chunks.


def begun(made: Conversation, *rows: Any, offset: int = 3, row_type: Any = Account) -> int:
    """Subscribe, and hear that rows come in chunks."""
    number = made.subscribe(ALL, (), row_type)
    said(made)
    assert hear(made, subscribed(number, offset, *rows, more=True)) == []
    return number


def test_rows_in_chunks_are_there_at_once_with_the_last() -> None:
    """A view opens when the last chunk is there, at the offset that was said, with the rows of all."""
    made = greeted()
    begun(made, [1, "ada", 5])
    assert hear(made, chunk([2, "bob", 6])) == []
    (opened,) = hear(made, chunk([3, "cyd", 7], more=False))
    assert isinstance(opened, Opened)
    assert list(opened.live.rows) == [1, 2, 3]
    assert opened.live.offset == 3


def test_deltas_are_kept_back_until_the_last_chunk() -> None:
    """What deltas say meanwhile is applied behind what the chunks say was missed, each once."""
    made = greeted()
    begun(made, [1, "ada", 5])
    assert hear(made, chunk(missed=[(4, [[1, "ada", 6]], []), (5, [[2, "bob", 1]], [])])) == []
    assert hear(made, delta(6, [2, "bob", 2], keys=(1,))) == []
    events = hear(made, chunk([7, "eve", 0], more=False))
    opened = events[0]
    assert isinstance(opened, Opened)
    assert [each.delta.offset for each in events[1:] if isinstance(each, Changed)] == [4, 5, 6]
    assert {key: row.balance for key, row in opened.live.rows.items()} == {2: 2, 7: 0}
    assert opened.live.offset == 6


def test_what_was_missed_is_told_as_it_comes() -> None:
    """A resumed view goes on with each chunk; deltas wait for the last, and no offset is reached before."""
    made = greeted()
    live = follow(made, [1, "ada", 5])
    made.lost()
    greet(made)
    said(made)
    assert hear(made, subscribed(1, 3, resumed=True, more=True), delta(9, [1, "ada", 9])) == []
    assert len(changes(hear(made, chunk(missed=[(5, [[1, "ada", 6]], [])])))) == 1
    assert (live.offset, made.offset) == (5, 0)
    assert len(changes(hear(made, chunk(missed=[(6, [[1, "ada", 7]], [])], more=False)))) == 2
    assert (live.rows[1].balance, live.offset) == (9, 9)


def test_a_view_whose_past_is_lost_is_replaced_at_once() -> None:
    """Subscribed again, with rows: what was kept back is dropped, and one reset says the difference."""
    made = greeted()
    live = follow(made, [1, "ada", 5], [2, "bob", 6])
    made.lost()
    greet(made)
    said(made)
    hear(made, subscribed(1, 3, resumed=True, more=True), delta(9, [4, "dan", 9]))
    assert hear(made, subscribed(1, 10, [1, "ada", 7], more=True)) == []
    assert {key: row.balance for key, row in live.rows.items()} == {1: 5, 2: 6}
    (changed,) = hear(made, chunk([4, "dan", 9], more=False))
    assert changed.delta.reset
    assert {key: row.balance for key, row in live.rows.items()} == {1: 7, 4: 9}
    assert live.offset == 10


def test_a_connection_lost_amid_chunks_begins_again() -> None:
    """What came is dropped; a view that was there before resumes from where it was."""
    made = greeted()
    live = follow(made, [1, "ada", 5])
    number = made.subscribe("SELECT * FROM accounts WHERE id = 9", (), Account)
    said(made)
    hear(made, subscribed(number, 8, [9, "zoe", 1], query="z", more=True))
    made.lost()
    greet(made)
    first, second = (each for each in said(made) if isinstance(each, Subscribe))
    assert (first.offset, second.offset, second.epoch) == (3, 0, "")
    assert live.rows[1].balance == 5


def test_who_joins_amid_chunks_has_all_rows() -> None:
    """A second subscription to a query whose rows are coming opens with the last chunk, as its own type."""
    made = greeted()
    first = begun(made, [1, "ada", 5])
    second = made.subscribe(f"{ALL};", (), None)
    said(made)
    assert hear(made, failure("subscribe", second, "malformed_query", id=first, query="q")) == []
    opened = hear(made, chunk([2, "bob", 6], more=False))
    assert [each.id for each in opened] == [first, second]
    assert [len(each.live.rows) for each in opened] == [2, 2]
    assert opened[1].live.rows[2].owner == "bob"
    assert opened[0].live.rows is not opened[1].live.rows


def test_rows_of_another_type_end_the_view_at_the_first_chunk() -> None:
    """SchemaMismatch is told at once, and the rest of the chunks is passed over."""
    made = greeted()
    number = made.subscribe(ALL, (), Colour)
    said(made)
    (failed,) = hear(made, subscribed(number, 3, [1, "ada", 5], more=True))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, SchemaMismatch)
    assert said(made) == [Unsubscribe(number)]
    assert hear(made, chunk([2, "bob", 6], more=False)) == []


def test_a_subscription_refused_amid_chunks_has_failed() -> None:
    """A failure behind Subscribed ends the subscription."""
    made = greeted()
    number = begun(made, [1, "ada", 5])
    (failed,) = hear(made, failure("subscribe", number, "overloaded"))
    assert (failed.about, failed.id) == ("subscribe", number)
    assert hear(made, chunk([2, "bob", 6], more=False)) == []
