"""The session: what answers what, in which order, and what harms nobody."""

from dataclasses import dataclass

import msgspec
import pytest

from store.errors import ProtocolError, Refused
from store.ids import Offset
from store.subscribe.messages import (
    CLIENT_LENGTH_MAX,
    CLOSE_MALFORMED_FRAME,
    CLOSE_TOO_LARGE,
    NUMBER_MAX,
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK,
)
from store.subscribe.options import Options
from store.subscribe.outbox import GATHERED_SIZE_MAX
from store.transaction import Kind
from tests.subscribe.scenes import ALL_BOOKS, SUBPROTOCOLS, Shelf, View, codes

each_subprotocol = pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)


# Hello.


@each_subprotocol
def test_welcome_says_connection_epoch_offset_and_limits(subprotocol: str) -> None:
    """Hello is answered with the connection, the epoch, the newest durable offset and every limit."""
    shelf = Shelf()
    client = shelf.client(subprotocol, name=None)
    ((name, connection, epoch, offset, limits),) = client.asks(["hello", "ada"])
    assert (name, connection, epoch) == ("welcome", 1, shelf.epoch)
    assert offset == shelf.engine.log.durable_offset
    assert limits == [16 << 20, 4096, 10_000, 4096, 64 << 20]


@each_subprotocol
def test_nothing_is_done_before_hello(subprotocol: str) -> None:
    """What comes before hello is answered with a failure, each about itself, and not done."""
    client = Shelf().client(subprotocol, name=None)
    heard = client.asks(
        ["call", 7, "put", [1, "le guin"]],
        ["subscribe", 3, ALL_BOOKS],
        ["query", 4, ALL_BOOKS],
        ["unsubscribe", 5],
        ["acknowledge", 6],
    )
    abouts = [("call", 7), ("subscribe", 3), ("query", 4), ("unsubscribe", 5), ("acknowledge", 6)]
    assert codes(heard) == [(*about, "malformed_call") for about in abouts]
    assert client.shelf.rows(ALL_BOOKS) == []


def test_hello_may_share_its_frame() -> None:
    """What follows hello in the same frame is done at once."""
    client = Shelf().client(name=None)
    assert codes(client.asks(["hello", ""], ["call", 1, "put", [1, "le guin"]])) == ["welcome", "result"]


def test_a_second_hello_fails() -> None:
    """A second hello is a failure; the session goes on under its first name."""
    client = Shelf().client(name="ada")
    assert codes(client.asks(["hello", "bob"], ["call", 1, "nothing"])) == [("hello", 0, "malformed_call"), "result"]
    assert client.session._caller.client == "ada"


def test_a_clients_name_is_bounded() -> None:
    """A name that is too long is refused, and another hello may follow."""
    client = Shelf().client(name=None)
    heard = client.asks(["hello", "x" * (CLIENT_LENGTH_MAX + 1)], ["hello", "x" * CLIENT_LENGTH_MAX])
    assert codes(heard) == [("hello", 0, "malformed_call"), "welcome"]


# Calls.


@each_subprotocol
def test_a_call_is_answered_with_its_value(subprotocol: str) -> None:
    """A result says the call's sequence, its offset, and what the reducer returned."""
    client = Shelf().client(subprotocol)
    before = client.shelf.engine.write_path.last_offset
    ((name, sequence, offset, value),) = client.asks(["call", 5, "put", [1, "le guin", 3]])
    assert (name, sequence, value) == ("result", 5, 3)
    assert offset > before


@each_subprotocol
def test_arguments_may_be_named(subprotocol: str) -> None:
    """Arguments are an array in order or a map by name."""
    client = Shelf().client(subprotocol)
    assert client.asks(["call", 1, "put", {"author": "le guin", "book": 9}])[0][3] == 1
    assert client.shelf.rows(ALL_BOOKS)[0][:2] == [9, "le guin"]


@each_subprotocol
def test_a_refusal_says_its_reason(subprotocol: str) -> None:
    """A refused call fails with its offset, the reason at "reason", and the reducer's details."""
    client = Shelf().client(subprotocol)
    ((name, about, number, offset, code, message, details),) = client.asks(["call", 8, "lend", [1, "bob"]])
    assert (name, about, number, code) == ("failure", "call", 8, "refused")
    assert offset == client.shelf.engine.write_path.last_offset
    assert details == {"book": 1, "reason": "no_such_book"}
    assert "no_such_book" in message


@each_subprotocol
def test_a_call_that_cannot_be_made_is_answered_with_offset_0(subprotocol: str) -> None:
    """An unknown reducer and wrong arguments fail, no call is recorded, only that one was tried; the next is done."""
    client = Shelf().client(subprotocol)
    heard = client.asks(
        ["call", 1, "burn", []], ["call", 2, "put", [1]], ["call", 3, "put", ["one", "x"]], ["call", 4, "nothing"]
    )
    assert codes(heard) == [
        ("call", 1, "unknown_reducer"),
        ("call", 2, "malformed_call"),
        ("call", 3, "malformed_call"),
        "result",
    ]
    assert [each[3] for each in heard[:3]] == [0, 0, 0]
    assert heard[2][6] == {"reducer": "put", "field": "book"}
    told = [each for each in client.shelf.engine.feed.tail(Offset(0)) or () if each.kind == Kind.DENIED]
    assert [(each.reducer, msgspec.msgpack.decode(each.args)["target"], each.outcome) for each in told] == [
        ("call", "burn", "unknown_reducer"),
        ("call", "put", "malformed_call"),
        ("call", "put", "malformed_call"),
    ]


def test_results_reach_past_32_bits() -> None:
    """A result carries any sequence up to 2^53 - 1."""
    client = Shelf().client()
    sequences = [1, 2**32 - 1, 2**32, NUMBER_MAX]
    assert [each[1] for each in client.asks(*(["call", each, "nothing"] for each in sequences))] == sequences


@dataclass(frozen=True)
class Recorded:
    """An answer as a log may hold it."""

    outcome: str
    value: bytes
    offset: int = 77


DEEP = b"\x91" * 5_000 + b"\xc0"
"""A MessagePack value nested deeper than any decoder follows."""


@pytest.mark.parametrize(
    ("subprotocol", "answer"),
    [
        (SUBPROTOCOL_JSON, Recorded("", DEEP)),
        (SUBPROTOCOL_JSON, Recorded("refused", b"\x93\xa1m\x81\xa1d" + DEEP + b"\xa1r")),
        (SUBPROTOCOL_MSGPACK, Recorded("refused", b"\x93\xa1m\x81\xa1d" + DEEP + b"\xa1r")),
    ],
)
def test_an_answer_that_cannot_be_said_harms_no_other(
    subprotocol: str, answer: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a failure about its call, at the offset where it was recorded; the messages around it are answered."""
    client = Shelf().client(subprotocol)
    run = client.session._run
    monkeypatch.setattr(client.session, "_run", lambda *args: answer if args[3] == 2 else run(*args))
    heard = client.asks(["call", 1, "nothing"], ["call", 2, "nothing"], ["call", 3, "nothing"])
    assert codes(heard) == ["result", ("call", 2, "reducer_failed"), "result"]
    assert heard[1][3] == 77
    assert f"cannot be said in {subprotocol}" in heard[1][5]


def test_details_that_cannot_be_said_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure is told all the same."""
    client = Shelf().client(SUBPROTOCOL_JSON)

    def refuse(*_args: object, **_more: object) -> None:
        details: list[object] = []
        for _ in range(500):
            details = [details]
        raise Refused("no", details={"deep": details})

    monkeypatch.setattr(client.session, "_run", refuse)
    ((name, _, _, _, code, message, details),) = client.asks(["call", 1, "nothing"])
    assert (name, code, message) == ("failure", "refused", "'no'")
    assert details == {}


def test_a_retry_is_answered_with_the_first_answer() -> None:
    """A named client's retried sequence is not run again, on another connection and after a crash, too."""
    shelf = Shelf()
    call = ["call", 1, "put", [1, "le guin", 5]]
    first = shelf.client(name="ada").asks(call)
    assert shelf.client(name="ada").asks(call) == first
    offset = shelf.engine.write_path.last_offset
    shelf.crash()
    assert shelf.client(name="ada").asks(call) == first
    assert offset < shelf.engine.write_path.last_offset, "the crash left a start record"


def test_a_client_without_a_name_has_no_retries() -> None:
    """Without a name a repeated sequence is another call."""
    client = Shelf().client(name="")
    first, second = client.asks(["call", 1, "nothing"], ["call", 1, "nothing"])
    assert first[2] + 1 == second[2]


def test_acknowledged_answers_are_let_go() -> None:
    """What a client has acknowledged is forgotten with its next call; to repeat it then is a failure."""
    client = Shelf().client(name="ada")
    client.asks(["call", 1, "nothing"], ["acknowledge", 1], ["call", 2, "nothing"])
    window = client.session._caller.window
    assert window is not None
    assert list(window.answers) == [2], "the frame's last call knew of the acknowledgement amid it"
    assert codes(client.asks(["call", 1, "nothing"])) == [("call", 1, "malformed_call")]


def test_only_small_results_are_encoded_together() -> None:
    """A large value is a part by itself, and parts the results before it from those behind it."""
    for size, parts in ((GATHERED_SIZE_MAX - 3, 1), (GATHERED_SIZE_MAX - 2, 3)):
        client = Shelf().client()
        whole = [1, "ann", bytes(size), "2024-02-29T12:00:00Z", '{"b": 1}']  # The value has three bytes more.
        client.says(["call", 1, "nothing"], ["call", 2, "put_whole", whole], ["call", 3, "nothing"])
        assert len(client.session.held) == parts
        client.shelf.commit()
        assert [each[:2] for each in client.read()] == [["result", 1], ["result", 2], ["result", 3]]


def test_an_acknowledgement_never_goes_back() -> None:
    """A smaller acknowledgement behind a larger one changes nothing."""
    client = Shelf().client(name="ada")
    client.asks(["acknowledge", 5], ["acknowledge", 2])
    assert client.session._acknowledged == 5


@each_subprotocol
def test_answers_keep_the_order_of_messages(subprotocol: str) -> None:
    """One frame's messages are answered in their order, in one frame."""
    client = Shelf().client(subprotocol)
    client.says(["query", 1, ALL_BOOKS], ["call", 1, "put", [1, "x"]], ["query", 2, ALL_BOOKS], ["call", 2, "burn"])
    client.shelf.commit()
    assert len(client.frames) == 1
    rows, _, more, _ = client.read()
    assert (len(rows[4]), len(more[4])) == (0, 1)


def test_the_callers_delta_comes_before_its_result() -> None:
    """A caller that follows what it changes hears the delta first, then the result."""
    client = Shelf().client()
    client.asks(["subscribe", 1, ALL_BOOKS])
    delta, result = client.asks(["call", 1, "put", [1, "x"]])
    assert (delta[0], result[0]) == ("delta", "result")
    assert delta[1] == result[2]


def test_a_subscription_amid_a_frame_hears_the_deltas_of_its_calls_first() -> None:
    """Results are gathered up to there; behind it each follows its delta."""
    client = Shelf().client()
    calls = [["call", number, "put", [number, "x"]] for number in range(1, 5)]
    heard = client.asks(*calls[:2], ["subscribe", 1, ALL_BOOKS], *calls[2:])
    assert [each[0] for each in heard] == ["result", "result", "subscribed", "delta", "result", "delta", "result"]


# Durable before visible.


@each_subprotocol
def test_nothing_is_told_before_it_is_durable(subprotocol: str) -> None:
    """Results, failures, rows, first rows, deltas, welcomes and refusals all wait for the sync."""
    shelf = Shelf()
    follower, client = shelf.client(subprotocol), shelf.client(subprotocol, name=None)
    follower.asks(["subscribe", 1, ALL_BOOKS])
    client.says(
        ["call", 1, "nothing"],
        ["hello", "ada"],
        ["call", 1, "put", [1, "x"]],
        ["call", 2, "lend", [9, "y"]],
        ["call", 3, "burn"],
        ["query", 1, ALL_BOOKS],
        ["subscribe", 1, ALL_BOOKS],
        ["unsubscribe", 1],
        "junk",
    )
    sync = shelf.engine.group_commit.begin()
    assert (client.frames, follower.frames) == ([], [])
    sync.run()
    assert (client.frames, follower.frames) == ([], [])
    shelf.engine.group_commit.complete(sync)
    assert len(client.read()) == 9
    assert [each[0] for each in follower.read()] == ["delta"]


def test_what_comes_during_a_sync_waits_for_the_next() -> None:
    """An answer that rests on what a running sync does not cover is not let out by it."""
    client = Shelf().client()
    client.says(["call", 1, "nothing"])
    sync = client.shelf.engine.group_commit.begin()
    client.says(["call", 2, "nothing"])
    sync.run()
    client.shelf.engine.group_commit.complete(sync)
    assert [each[1] for each in client.read()] == [1]
    assert [each[1] for each in client.hears()] == [2]


# Bad input.


@each_subprotocol
def test_one_bad_message_harms_no_other(subprotocol: str) -> None:
    """An unreadable message is answered with its place in the frame; the others are done."""
    client = Shelf().client(subprotocol)
    bad = [7, [], ["shout", 1], ["call"], ["call", 0, "nothing"], ["call", "1", "nothing"], ["query", -1, ""], None]
    for each in bad:
        heard = client.asks(["call", 1, "nothing"], each, ["call", 2, "nothing"])
        assert codes(heard) == ["result", ("message", 1, "malformed_call"), "result"], each


def test_an_escaped_lone_surrogate_harms_no_other_message() -> None:
    """JSON's grammar allows it, no text holds it: the message is unreadable, wherever it stands in it."""
    client = Shelf().client(SUBPROTOCOL_JSON)
    for bad in (b'["call", 2, "put", [1, "\\ud800"]]', b'["query", 2, "\\udfff"]', b'"\\ud800"'):
        client.sends(b'[["call", 1, "nothing"], ' + bad + b', ["call", 3, "nothing"]]')
        assert codes(client.hears()) == ["result", ("message", 1, "malformed_call"), "result"]


@pytest.mark.parametrize(
    ("subprotocol", "payload"),
    [
        (SUBPROTOCOL_MSGPACK, b""),
        (SUBPROTOCOL_MSGPACK, b"\xc1"),
        (SUBPROTOCOL_MSGPACK, b"\x80"),
        (SUBPROTOCOL_MSGPACK, b"\x92\x91\xa5hello"),
        (SUBPROTOCOL_MSGPACK, b"\x90\x90"),
        (SUBPROTOCOL_MSGPACK, b"\x91" * 100_000),
        (SUBPROTOCOL_MSGPACK, b'[["hello"]]'),
        (SUBPROTOCOL_JSON, b""),
        (SUBPROTOCOL_JSON, b"{}"),
        (SUBPROTOCOL_JSON, b'[["hello"]'),
        (SUBPROTOCOL_JSON, b"[" * 100_000),
        (SUBPROTOCOL_JSON, b"\x91\x91\xa5hello"),
    ],
)
def test_a_frame_that_is_no_array_ends_the_session(subprotocol: str, payload: bytes) -> None:
    """A frame that cannot be taken apart is a ProtocolError with its close code, and another client goes on."""
    shelf = Shelf()
    client, other = shelf.client(subprotocol), shelf.client()
    with pytest.raises(ProtocolError) as error:
        client.sends(payload)
    assert error.value.close_code == CLOSE_MALFORMED_FRAME
    assert codes(other.asks(["call", 1, "nothing"])) == ["result"]


@each_subprotocol
def test_a_frame_of_the_wrong_kind_ends_the_session(subprotocol: str) -> None:
    """Text is for JSON, binary for MessagePack: the other is a ProtocolError that says so."""
    client = Shelf().client(subprotocol)
    with pytest.raises(ProtocolError, match=subprotocol) as error:
        client.session.receive(b"[]", text=not client.session.text)
    assert error.value.close_code == CLOSE_MALFORMED_FRAME


def test_a_frame_is_bounded_in_bytes() -> None:
    """A frame past frame_size_max is a ProtocolError; one of exactly that size is taken."""
    client = Shelf(Options(frame_size_max=100)).client()
    empty = msgspec.msgpack.encode([["query", 1, ""]])
    client.says(["query", 1, "x" * (100 - len(empty) - 1)])
    with pytest.raises(ProtocolError) as error:
        client.says(["query", 1, "x" * (100 - len(empty))])
    assert error.value.close_code == CLOSE_TOO_LARGE


@each_subprotocol
def test_a_frame_is_bounded_in_messages(subprotocol: str) -> None:
    """A frame with more than messages_per_frame_max messages, good or bad, is a ProtocolError; none is done."""
    client = Shelf(Options(messages_per_frame_max=3)).client(subprotocol)
    assert len(client.asks(*[["call", 1, "nothing"]] * 3)) == 3
    for frame in ([["call", 1, "put", [1, "x"]]] * 4, [["call", 1, "put", [1, "x"]]] * 3 + [0], [0] * 70_000):
        with pytest.raises(ProtocolError) as error:
            client.says(*frame)
        assert error.value.close_code == CLOSE_TOO_LARGE
    assert client.shelf.rows(ALL_BOOKS) == []


def test_a_json_frame_is_not_taken_apart_into_millions() -> None:
    """A JSON frame that may hold a million junk values is refused before it becomes a million objects."""
    client = Shelf().client(SUBPROTOCOL_JSON)
    with pytest.raises(ProtocolError) as error:
        client.sends(b"[" + b"0," * (1 << 20) + b"0,0]")
    assert error.value.close_code == CLOSE_TOO_LARGE


def test_an_empty_frame_is_taken() -> None:
    """A frame without messages is not answered."""
    assert Shelf().client().asks() == []


# Who may.


@each_subprotocol
@pytest.mark.parametrize(
    ("scopes", "denied"),
    [
        ((), {"call", "subscribe", "query", "private"}),
        (("call",), {"subscribe", "query", "private"}),
        (("read",), {"call", "private"}),
        (("operate",), {"call"}),
        (("admin", "reader"), {"call", "subscribe", "query", "private"}),
    ],
)
def test_what_no_scope_allows_is_denied(subprotocol: str, scopes: tuple[str, ...], denied: set[str]) -> None:
    """Calls take the scope call, public tables read, private ones operate; what is denied leaves the session alive."""
    client = Shelf().client(subprotocol, scopes=scopes)
    asked = {
        "call": ["call", 1, "nothing"],
        "subscribe": ["subscribe", 1, ALL_BOOKS],
        "query": ["query", 1, ALL_BOOKS],
        "private": ["query", 2, "SELECT * FROM loans"],
    }
    for name, message in asked.items():
        (answer,) = client.asks(message)
        assert (answer[0] == "failure" and answer[4] == "denied") is (name in denied), (name, answer)


def test_a_reader_is_not_told_of_private_tables() -> None:
    """The hint of an unknown table lists private tables to operators alone."""
    shelf = Shelf()
    (reader,) = shelf.client(scopes=("read",)).asks(["query", 1, "SELECT * FROM x"])
    (operator,) = shelf.client(scopes=("operate",)).asks(["query", 1, "SELECT * FROM x"])
    assert "authors, books" in reader[5]
    assert "loans" not in reader[5]
    assert "authors, books, loans" in operator[5]


# Subscriptions, as messages. What deltas hold is in test_subscriptions.py.


@each_subprotocol
def test_subscribed_says_table_and_rows(subprotocol: str) -> None:
    """Subscribed says the query's id, the offset, the table's columns and key, and the rows in key order."""
    client = Shelf().client(subprotocol)
    client.asks(["call", 1, "put", [2, "b"]], ["call", 2, "put", [1, "a"]])
    ((name, number, query, offset, table, resumed, rows, more, anew),) = client.asks(["subscribe", 4, ALL_BOOKS])
    assert (name, number, resumed, more, anew) == ("subscribed", 4, False, False, None)
    assert isinstance(query, str)
    assert offset == client.shelf.engine.write_path.last_offset
    assert table[:2] == ["books", 0]
    assert table[2][:2] == [["id", "int", False], ["author", "str", False]]
    assert ["genre", "str", True] in table[2]
    assert [row[0] for row in rows] == [1, 2]


def test_unsubscribed_ends_the_deltas() -> None:
    """After Unsubscribed no delta of the query comes, and the id is free again."""
    client = Shelf().client()
    client.asks(["subscribe", 1, ALL_BOOKS])
    heard = client.asks(["unsubscribe", 1], ["call", 1, "put", [1, "a"]], ["subscribe", 1, ALL_BOOKS])
    assert codes(heard) == ["unsubscribed", "result", "subscribed"]


def test_unsubscribing_what_is_not_followed_fails() -> None:
    """An unknown subscription id is a failure about unsubscribe."""
    assert codes(Shelf().client().asks(["unsubscribe", 9])) == [("unsubscribe", 9, "malformed_call")]


def test_a_subscription_id_is_used_once() -> None:
    """A second subscription under an id in use fails, and the first goes on."""
    client = Shelf().client()
    heard = client.asks(["subscribe", 1, ALL_BOOKS], ["subscribe", 1, "SELECT * FROM authors"])
    assert codes(heard) == ["subscribed", ("subscribe", 1, "malformed_call")]
    assert codes(client.asks(["call", 1, "put", [1, "a"]])) == ["delta", "result"]


def test_a_session_follows_a_query_once() -> None:
    """A second subscription to the same query, however written, fails and names the first."""
    client = Shelf().client()
    first, second = client.asks(["subscribe", 1, ALL_BOOKS], ["subscribe", 2, "select * from books;"])
    assert second[4] == "malformed_query"
    assert second[6] == {"id": 1, "query": first[2]}


def test_subscriptions_are_bounded() -> None:
    """Past subscriptions_max a subscription is Overloaded; one that ends makes room."""
    client = Shelf(Options(subscriptions_max=1)).client()
    authors = ["subscribe", 2, "SELECT * FROM authors"]
    assert codes(client.asks(["subscribe", 1, ALL_BOOKS], authors)) == ["subscribed", ("subscribe", 2, "overloaded")]
    assert codes(client.asks(["unsubscribe", 1], authors)) == ["unsubscribed", "subscribed"]


def test_a_querys_text_is_bounded() -> None:
    """A text past query_length_max is a malformed query."""
    client = Shelf(Options(query_length_max=20)).client()
    assert codes(client.asks(["query", 1, ALL_BOOKS], ["query", 2, ALL_BOOKS + "  "])) == [
        "rows",
        ("query", 2, "malformed_query"),
    ]


# JSON's plain form.


def test_json_carries_every_value() -> None:
    """In JSON large integers are decimal strings, bytes base64, times RFC 3339, JSON columns their text; both ways."""
    client = Shelf().client(SUBPROTOCOL_JSON)
    (result,) = client.asks(
        ["call", 1, "put_whole", ["9007199254740993", "a", "aGk=", "2024-02-29T12:00:00+01:00", '{"b": 1}']]
    )
    assert result[3] == ["aGk="]
    row = ["9007199254740993", "a", str(2**60), None, "aGk=", "2024-02-29T11:00:00Z", '{"b":1}']
    assert client.asks(["query", 1, "SELECT * FROM books WHERE id = $1", ["9007199254740993"]])[0][4] == [row]
    assert client.asks(["query", 1, "SELECT * FROM books WHERE cover = ?", ["aGk="]])[0][4] == [row]
    assert client.asks(["query", 1, "SELECT * FROM books WHERE bought = ?", ["2024-02-29T11:00:00Z"]])[0][4] == [row]


def test_json_deltas_carry_large_keys_as_strings() -> None:
    """A key beyond 2^53 - 1 leaves as the same decimal string it came as."""
    client = Shelf().client(SUBPROTOCOL_JSON)
    client.asks(["subscribe", 1, ALL_BOOKS])
    key = str(2**53)
    came, _ = client.asks(["call", 1, "put", [key, "a"]])
    left, _ = client.asks(["call", 2, "drop", [key]])
    assert came[3][0][1][0][0] == key
    assert left[3][0][2] == [key]


# The end.


def test_detach_forgets_everything() -> None:
    """A session that is gone holds nothing, follows nothing, hears nothing; to say so twice is fine."""
    shelf = Shelf()
    client = shelf.client()
    view = View(client, 1, ALL_BOOKS)
    view.take(client.hears())
    client.says(["call", 1, "put", [1, "a"]])
    client.session.detach()
    client.session.detach()
    assert client.hears() == []
    assert (shelf.subscriptions.query_count, shelf.subscriptions.subscription_count) == (0, 0)
    client.says(["call", 2, "nothing"])
    assert client.hears() == []


def test_a_session_that_ends_during_a_sync_hears_nothing() -> None:
    """What was sealed for a session that is gone meanwhile is dropped."""
    client = Shelf().client()
    client.says(["call", 1, "nothing"])
    sync = client.shelf.engine.group_commit.begin()
    client.session.detach()
    sync.run()
    client.shelf.engine.group_commit.complete(sync)
    assert client.frames == []
