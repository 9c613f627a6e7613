"""Whatever a client sends ends in answers, or in a ProtocolError with a documented code; nobody else notices."""

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import CALL_ERRORS, ProtocolError
from store.subscribe.messages import (
    CLOSE_MALFORMED_FRAME,
    CLOSE_TOO_LARGE,
    NUMBER_MAX,
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK,
    Acknowledge,
    ClientMessage,
    Delta,
    Failure,
    Result,
    Rows,
    ServerMessage,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from store.subscribe.options import Options
from tests.subscribe.scenes import ALL_BOOKS, BY_AUTHOR, SUBPROTOCOLS, Client, Shelf, View

OPTIONS: Final = Options(frame_size_max=4_096, messages_per_frame_max=64, subscriptions_max=4, outbox_bytes_max=1 << 20)
fuzz = settings(max_examples=150, deadline=None, derandomize=True)
each_subprotocol = pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)

numbers = st.one_of(st.integers(-2, 5), st.sampled_from([2**32, NUMBER_MAX, NUMBER_MAX + 1, 2**64 - 1]))
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["", "put", "lend", "drop", "nothing", ALL_BOOKS, BY_AUTHOR, "SELECT * FROM loans", "00" * 16]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.floats(allow_nan=False, allow_infinity=False), texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
)
names = st.sampled_from(["hello", "call", "acknowledge", "subscribe", "unsubscribe", "query", "welcome", "delta", "x"])
calls = st.one_of(
    st.tuples(st.just("call"), numbers, texts, values).map(list),
    st.tuples(st.just("call"), numbers, st.just("put"), st.tuples(numbers, texts, numbers).map(list)).map(list),
    st.tuples(st.sampled_from(["subscribe", "query"]), numbers, texts, st.lists(scalars, max_size=2)).map(list),
    st.tuples(st.just("subscribe"), numbers, texts, st.lists(scalars, max_size=2), texts, numbers).map(list),
    st.tuples(st.sampled_from(["unsubscribe", "acknowledge", "hello"]), scalars).map(list),
)
messages = st.one_of(calls, calls, st.tuples(names, values).map(list), st.lists(values, max_size=5), values)
frames = st.lists(messages, max_size=8)

DONE: Final = {"call": Result, "subscribe": Subscribed, "unsubscribe": Unsubscribed, "query": Rows}
"""What answers a message that was done."""
VALID: Final = [
    ["hello", "ada"],
    ["call", 1, "put", [1, "ann", 2]],
    ["subscribe", 1, BY_AUTHOR, ["ann"], "00" * 16, 3],
    ["query", 2, "SELECT * FROM books WHERE id = ?", [1]],
    ["acknowledge", 1],
    ["call", 300, "lend", {"book": 1, "reader": "bob"}],
    ["unsubscribe", 1],
]


def survive(shelf: Shelf, client: Client, payload: bytes) -> list[Any]:
    """Send bytes and take what answers them: real messages, or an end with a documented code."""
    try:
        client.sends(payload)
    except ProtocolError as error:
        assert error.close_code in {CLOSE_MALFORMED_FRAME, CLOSE_TOO_LARGE}  # noqa: PT017  # Both ways are fine.
        client.session.detach()
    shelf.commit()
    frames_, client.frames = client.frames, []
    return [message for frame in frames_ for message in client.codec.decode(frame, type=list[ServerMessage])]


def check_other(shelf: Shelf, other: Client, view: View) -> None:
    """Another client's call is answered, and its view is what a fresh query says."""
    heard = other.asks(["call", 1, "put", [77, "ann"]])
    assert heard[-1][0] == "result"
    view.take(heard)
    assert view.sorted() == other.asks(["query", 1, ALL_BOOKS])[0][4]
    assert shelf.engine.feed.waiting == 0


def scene(subprotocol: str, *, named: bool) -> tuple[Shelf, Client, Client, View]:
    """A tenant with the client that misbehaves and another that follows all books."""
    shelf = Shelf(OPTIONS)
    other = shelf.client()
    view = View(other, 1, ALL_BOOKS)
    view.take(other.hears())
    return shelf, shelf.client(subprotocol, name="ada" if named else None), other, view


def check_answers(client: Client, payload: bytes, answers: list[Any], *, greeted: bool) -> bool:
    """Each message has one answer, in order, that names it; an acknowledgement none. Returns whether hello was said."""
    left = iter([answer for answer in answers if not isinstance(answer, Delta)])
    for place, raw in enumerate(client.codec.decode(payload, type=list[msgspec.Raw])):
        try:
            message = client.codec.decode(raw, type=ClientMessage)
        except (ValueError, RecursionError):
            message = None
        if greeted and isinstance(message, Acknowledge):
            continue
        about = "message" if message is None else message.__struct_config__.tag
        number = place if message is None else getattr(message, "sequence", getattr(message, "id", 0))
        answer = next(left, None)
        assert answer is not None, f"{about} {number} is not answered"
        if isinstance(answer, Failure):
            assert (answer.about, answer.id) == (about, number)
        elif isinstance(answer, Welcome):
            assert (about, greeted) == ("hello", False)
            greeted = True
        else:
            assert greeted
            assert isinstance(answer, DONE[about])
            assert getattr(answer, "sequence", getattr(answer, "id", None)) == number
    assert list(left) == []
    return greeted


def attack(subprotocol: str, payloads: list[bytes], *, named: bool, readable: bool = False) -> None:
    """Send all, and look at the other client after each. In `readable` frames every message is answered."""
    shelf, client, other, view = scene(subprotocol, named=named)
    greeted, ended = named, False
    for payload in payloads:
        answers = survive(shelf, client, payload)
        assert all(answer.code in CALL_ERRORS for answer in answers if isinstance(answer, Failure))
        ended = ended or len(payload) > OPTIONS.frame_size_max
        if ended:
            assert answers == []
        elif readable:
            greeted = check_answers(client, payload, answers, greeted=greeted)
        view.take(other.read())
        check_other(shelf, other, view)


@each_subprotocol
@fuzz
@given(st.lists(st.binary(max_size=200), max_size=3), st.booleans())
def test_any_bytes_are_survived(subprotocol: str, payloads: list[bytes], named: bool) -> None:  # noqa: FBT001  # Drawn.
    """Any bytes end in answers or in a documented close code, and another client's session works on."""
    attack(subprotocol, payloads, named=named)


@each_subprotocol
@fuzz
@given(st.lists(frames, max_size=3), st.booleans())
def test_any_messages_are_answered(subprotocol: str, said: list[list[Any]], named: bool) -> None:  # noqa: FBT001  # Drawn.
    """Each message of a frame has one answer, in order, that names it; only what is acknowledged has none."""
    codec: Any = msgspec.json if subprotocol == SUBPROTOCOL_JSON else msgspec.msgpack
    payloads = []
    for frame in said:
        try:
            payloads.append(codec.encode(frame))
        except OverflowError:
            continue
    attack(subprotocol, payloads, named=named, readable=True)


@each_subprotocol
@fuzz
@given(st.data())
def test_damaged_frames_are_survived(subprotocol: str, data: st.DataObject) -> None:
    """A good frame with bytes changed, cut, doubled or inserted ends in answers or a documented close code."""
    codec: Any = msgspec.json if subprotocol == SUBPROTOCOL_JSON else msgspec.msgpack
    frame = bytearray(codec.encode(VALID))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(frame)))
        match data.draw(st.sampled_from(["change", "cut", "double", "insert", "remove"])):
            case "change" if place < len(frame):
                frame[place] = data.draw(st.integers(0, 255))
            case "cut":
                del frame[place:]
            case "double":
                frame[place:place] = frame[: place // 2]
            case "insert":
                frame[place:place] = data.draw(st.binary(min_size=1, max_size=4))
            case _:
                del frame[place : place + 1]
    attack(subprotocol, [bytes(frame)], named=data.draw(st.booleans()))


@each_subprotocol
def test_every_cut_of_a_good_frame_is_survived(subprotocol: str) -> None:
    """A frame cut at any byte is no frame: it ends the session with the code that says so; none of it is done."""
    codec: Any = msgspec.json if subprotocol == SUBPROTOCOL_JSON else msgspec.msgpack
    whole = codec.encode(VALID)
    shelf, _, other, view = scene(subprotocol, named=True)
    for cut in range(len(whole)):
        client = shelf.client(subprotocol, name=None)
        with pytest.raises(ProtocolError) as error:
            client.sends(whole[:cut])
        assert error.value.close_code == CLOSE_MALFORMED_FRAME
        client.session.detach()
    assert len(survive(shelf, shelf.client(subprotocol, name=None), whole)) == len(VALID) - 1
    view.take(other.read())
    check_other(shelf, other, view)


@pytest.mark.parametrize(
    ("subprotocol", "message"),
    [
        (SUBPROTOCOL_MSGPACK, b"\x94\xa4call\x01\xa3put" + b"\x91" * 3_000 + b"\xc0"),
        (SUBPROTOCOL_MSGPACK, b"\x94\xa5query\x01\xa0" + b"\x91" * 3_000 + b"\xc0"),
        (SUBPROTOCOL_MSGPACK, b"\x94\xa4call\x01\xa3put\x81\xa1\xff\xc0"),
        (SUBPROTOCOL_MSGPACK, b"\x94\xa5query\x01\xa0\x91\x81\x90\xc0"),
        (SUBPROTOCOL_MSGPACK, b"\x94\xa5query\x01\xa0\x91\xc7\x0c\xff" + b"\xff" * 12),
        (SUBPROTOCOL_JSON, b'["call",1,"put",' + b"[" * 1_500 + b"]" * 1_500 + b"]"),
        (SUBPROTOCOL_JSON, b'["query",1,"",[1e999,' + b"9" * 400 + b"]]"),
        (SUBPROTOCOL_JSON, b'["query",1,"\\ud800"]'),
        (SUBPROTOCOL_JSON, b'["call",1,"put",[1,"\\ud800"]]'),
        (SUBPROTOCOL_JSON, b'["call",1,"put",["' + b"9" * 3_000 + b'","x"]]'),
        (SUBPROTOCOL_JSON, b'["call",1,"put",["\xff"]]'),
        (SUBPROTOCOL_JSON, b'["hello","\xff\xfe"]'),
    ],
)
def test_corners_of_the_codecs_are_survived(subprotocol: str, message: bytes) -> None:
    """Depth past every recursion limit, keys no dict takes, wrong times, surrogates, numbers past every width."""
    shelf, client, other, view = scene(subprotocol, named=True)
    survive(shelf, client, client.session.encoding.frame([message], 1))
    check_other(shelf, other, view)


WORDS: Final = (
    "id copies author genre notes cover bought loans = < <> AND OR NOT IN ( ) , BETWEEN LIKE IS NULL 1 'ann' $1 ?"
    " + / ->> @> '{}' ::int *"
)
_words = st.sampled_from(WORDS.split())
_clauses = st.sampled_from(
    """(SELECT id FROM books)
    (SELECT author FROM books WHERE copies > 1)
    author IN (SELECT name FROM authors)
    NOT author IN (SELECT name FROM authors)
    copies IN (SELECT copies FROM books WHERE 6 / copies > 1)
    6 / copies > 1
    copies BETWEEN $1 AND $2
    author = $1
    id = $1 AND copies > 0
    notes ->> 'a' = $1""".splitlines()
)
_conditions = st.one_of(_clauses, st.lists(st.one_of(_words, _words, _clauses), max_size=8).map(" ".join))
_outputs = st.sampled_from(["*", "id", "id, copies * 2 AS twice", "author", "id, 6 / copies", "id, author IN ('ann')"])


@fuzz
@each_subprotocol
@given(
    st.lists(st.tuples(_outputs, _conditions, st.lists(scalars, max_size=2)), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=5),
)
def test_any_query_is_followed_or_refused(
    subprotocol: str, asked: list[tuple[str, str, list[Any]]], books: list[tuple[int, int]]
) -> None:
    """Each is answered once, a malformed one with its place; whatever changes then, only what has no value ends."""
    shelf, client, other, view = scene(subprotocol, named=True)
    for number, (outputs, condition, params) in enumerate(asked):
        sql = f"SELECT {outputs} FROM books WHERE {condition}"  # noqa: S608  # That is the point.
        heard = client.asks(["subscribe", number, sql, params])
        (answer,) = [each for each in heard if each[0] != "chunk"]
        assert answer[0] in {"subscribed", "failure"}
        if answer[0] == "failure" and answer[4] == "malformed_query" and "id" not in answer[6]:
            assert 1 <= answer[6]["position"] <= len(sql) + 1
    for number, (book, copies) in enumerate(books, start=1):
        heard = client.asks(["call", number, "put", [book, "ann", copies]])
        assert heard[-1][0] == "result"
        for failure in [each for each in heard if each[0] == "failure"]:
            assert (failure[1], failure[4]) == ("subscribe", "malformed_query")
            assert "division by zero" in failure[5]
        view.take(other.read())
    check_other(shelf, other, view)
