"""The rules of the client's side of the conversation, without a socket."""

import msgspec
import pytest

from store.client.conversation import Fetched, State, Welcomed
from store.client.followings import Failed
from store.errors import MalformedCall, MalformedQuery, Overloaded, ProtocolError, Refused, SchemaMismatch
from store.ids import ConnectionId, Offset, Sequence
from store.schema import Table, column
from store.subscribe.messages import Acknowledge, Call, Hello, Limits, Query, Result, Subscribe, Welcome
from tests.client.scenes import (
    EPOCH,
    LIMITS,
    OTHER_EPOCH,
    conversation,
    failure,
    frames,
    greet,
    greeted,
    hear,
    result,
    rows,
    said,
    subscribed,
)


class Other(Table):
    """A row type that is not the server's."""

    id: int = column(primary_key=True)
    colour: str


def sequences(messages: list[object]) -> list[int]:
    """The calls among messages, by their numbers."""
    return [each.sequence for each in messages if isinstance(each, Call)]


def test_hello_is_all_that_is_said_before_the_welcome() -> None:
    """What is asked for before the welcome waits for it."""
    made = conversation()
    made.call("f", ())
    assert said(made) == []
    made.opened()
    made.query("SELECT * FROM accounts", (), None)
    assert said(made) == [Hello("me")]
    assert said(made) == []
    hear(made, Welcome(ConnectionId(1), EPOCH, Offset(7), LIMITS))
    assert [type(each) for each in said(made)] == [Call, Query]


def test_calls_of_one_tick_leave_in_one_frame() -> None:
    """All that may be sent is sent in one frame, in the order it was asked for."""
    made = greeted()
    made.call("f", (1,))
    made.query("SELECT * FROM accounts", (), None)
    made.call("g", {"x": 2})
    assert [[type(each) for each in frame] for frame in frames(made)] == [[Call, Query, Call]]


def test_a_frame_holds_at_most_what_the_server_takes() -> None:
    """A tick's messages are split by the server's limits of bytes and of messages in a frame."""
    small = Limits(frame_size_max=1_000, unacknowledged_calls_max=50, subscriptions_max=1, messages_per_frame_max=5)
    made = conversation(calls_unanswered_max=50)
    greet(made, limits=small)
    for _ in range(10):
        made.call("f", ("x" * 300,))
    for _ in range(12):
        made.call("f", ())
    lengths = [len(frame) for frame in made.data_to_send()]
    assert max(lengths) <= 1_000
    assert sum(lengths) > 3_000
    assert len(lengths) >= 5


def test_no_more_calls_are_unanswered_at_the_server_than_it_keeps_answers_for() -> None:
    """Calls past the server's window wait here, and leave with an acknowledgement when answers come."""
    made = greeted()
    for _ in range(7):
        made.call("f", ())
    assert sequences(said(made)) == [1, 2, 3, 4]
    hear(made, result(2), result(3))
    assert not made.sending
    hear(made, result(1))
    assert made.sending
    messages = said(made)
    assert messages[0] == Acknowledge(Sequence(3))
    assert sequences(messages) == [5, 6, 7]


def test_an_acknowledgement_is_sent_once_for_each_connection() -> None:
    """The acknowledgement rides on the next message, and is said again on another connection."""
    made = greeted()
    made.call("f", ())
    said(made)
    hear(made, result(1))
    assert said(made) == []
    made.call("f", ())
    assert said(made)[0] == Acknowledge(Sequence(1))
    made.call("f", ())
    assert sequences(said(made)) == [3]
    made.lost()
    greet(made)
    assert said(made)[0] == Acknowledge(Sequence(1))


def test_an_answer_comes_once() -> None:
    """A result for a call that is answered already makes no event."""
    made = greeted()
    made.call("f", ())
    said(made)
    events = hear(made, result(1, 5, "done"), result(1, 5, "done"))
    assert [type(each) for each in events] == [Result]


def test_a_failure_becomes_its_error() -> None:
    """A refusal has its reason and details, another failure the class of its code."""
    made = greeted()
    made.call("f", ())
    made.call("f", ())
    said(made)
    refused, overloaded = hear(
        made, failure("call", 1, reason="overdraft", balance=3), failure("call", 2, "overloaded", limit="x")
    )
    assert isinstance(refused, Failed)
    assert isinstance(refused.error, Refused)
    assert (refused.error.reason, refused.error.details) == ("overdraft", {"balance": 3})
    assert isinstance(overloaded, Failed)
    assert isinstance(overloaded.error, Overloaded)


def test_unanswered_calls_are_said_again_under_their_sequence() -> None:
    """A new connection begins with what was not answered on the last."""
    made = greeted()
    for number in range(3):
        made.call("f", (number,))
    first = said(made)
    hear(made, result(2))
    made.lost()
    made.call("f", (3,))
    greet(made)
    again = said(made)
    assert sequences(again) == [1, 3, 4]
    assert again[0] == first[0]


def test_under_another_epoch_calls_that_were_sent_are_given_up() -> None:
    """A changed epoch gives up what was sent, and sends what was not."""
    made = greeted()
    for _ in range(5):
        made.call("f", ())
    said(made)
    made.lost()
    assert greet(made, OTHER_EPOCH) == [Welcomed(epoch_changed=True, given_up=tuple(map(Sequence, (1, 2, 3, 4))))]
    assert sequences(said(made)) == [5]


def test_it_is_known_which_calls_were_sent() -> None:
    """What was given out to be sent counts as sent, also on a connection before; what waits for room does not."""
    made = greeted()
    for _ in range(5):
        made.call("f", ())
    assert not made.was_sent(1)
    said(made)
    made.lost()
    made.call("f", ())
    assert [made.was_sent(sequence) for sequence in range(1, 7)] == [True] * 4 + [False] * 2


def test_a_query_is_asked_again() -> None:
    """A query without an answer is asked again on the next connection."""
    made = greeted()
    number = made.query("SELECT * FROM accounts WHERE owner = $1", ("ada",), None)
    first = said(made)
    made.lost()
    greet(made)
    assert said(made) == first
    (fetched,) = hear(made, rows(number, 9, [1, "ada", 5]))
    assert isinstance(fetched, Fetched)
    assert [(row.id, row.owner, row.balance) for row in fetched.rows] == [(1, "ada", 5)]
    assert fetched.rows.offset == 9


def test_rows_of_another_type_are_a_schema_mismatch() -> None:
    """A row type that is not the server's fails the query, and names both."""
    made = greeted()
    number = made.query("SELECT * FROM accounts", (), Other)
    (failed,) = hear(made, rows(number, 9))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, SchemaMismatch)
    assert "colour" in str(failed.error)
    assert "balance" in str(failed.error)


def test_the_offset_is_the_highest_that_was_told() -> None:
    """Answers move the offset on; an old answer to a retry does not move it back."""
    made = greeted()
    for _ in range(3):
        made.call("f", ())
    hear(made, result(1, 10), failure("call", 2, offset=12), result(3, 4))
    assert made.offset == 12


def test_what_cannot_be_sent_takes_no_sequence() -> None:
    """An argument without a wire form, or one too large, is refused here and leaves no gap."""
    made = greeted()
    with pytest.raises(MalformedCall, match="f: the argument 1 cannot be said: a object is no plain"):
        made.call("f", (object(),))
    with pytest.raises(MalformedCall, match="f: the argument 2 cannot be said: a map's keys are str, found int"):
        made.call("f", (1, {1: 2}))
    with pytest.raises(MalformedCall, match="f: the argument owner cannot be said: an int has 64 bits, found 71"):
        made.call("f", {"id": 1, "owner": 1 << 70})
    with pytest.raises(MalformedCall, match="at most"):
        made.call("f", ("x" * (1 << 20),))
    with pytest.raises(MalformedQuery, match="parameter"):
        made.query("SELECT * FROM accounts WHERE owner = $1", (object(),), None)
    assert made.call("f", ()) == 1


def test_calls_and_queries_without_answers_are_bounded() -> None:
    """Past its own limits the client says Overloaded at once."""
    made = conversation(calls_unanswered_max=2, queries_unanswered_max=1)
    made.call("f", ())
    made.call("f", ())
    with pytest.raises(Overloaded, match="2 calls"):
        made.call("f", ())
    made.query("SELECT * FROM accounts", (), None)
    with pytest.raises(Overloaded, match="1 queries"):
        made.query("SELECT * FROM accounts", (), None)


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x91\x91\xa4what", b"\x92\x01\x02", "[]"])
def test_what_is_no_frame_is_a_protocol_error(frame: bytes | str) -> None:
    """A frame that cannot be read ends the conversation."""
    with pytest.raises(ProtocolError):
        greeted().receive(frame)


def test_a_second_welcome_is_a_protocol_error() -> None:
    """The server greets once on a connection."""
    with pytest.raises(ProtocolError, match="again"):
        hear(greeted(), Welcome(ConnectionId(1), EPOCH, Offset(0), LIMITS))


def test_an_unreadable_message_is_a_protocol_error_and_a_refused_hello_its_own() -> None:
    """A failure that no retry can mend is raised."""
    with pytest.raises(ProtocolError, match="could not read"):
        hear(greeted(), failure("message", 0, "malformed_call"))
    made = conversation()
    made.opened()
    with pytest.raises(MalformedCall):
        hear(made, failure("hello", 0, "malformed_call"))


def test_a_named_client_goes_on_behind_its_last_sequence() -> None:
    """The first call of a client that gives its last sequence takes the next one."""
    made = greeted(sequence=41)
    assert made.call("f", ()) == 42
    assert said(made) == [Acknowledge(Sequence(41)), Call(Sequence(42), "f", msgspec.Raw(b"\x90"))]


def test_a_lost_connection_closes_the_conversation() -> None:
    """Nothing is sent between two connections."""
    made = greeted()
    made.call("f", ())
    made.lost()
    assert made.state is State.CLOSED
    assert not made.sending
    assert made.data_to_send() == []


def test_subscriptions_come_back_before_calls() -> None:
    """On a new connection a subscription is said first, so that a call's changes are told before its answer."""
    made = greeted()
    made.call("f", ())
    number = made.subscribe("SELECT * FROM accounts", (), None)
    said(made)
    hear(made, subscribed(number, 3, [1, "ada", 5]))
    made.lost()
    greet(made)
    again = said(made)
    assert again[0] == Subscribe(number, "SELECT * FROM accounts", (), EPOCH, Offset(3))
    assert sequences(again) == [1]
