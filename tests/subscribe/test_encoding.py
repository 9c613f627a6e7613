"""Both encodings: what they write is what a general codec reads, and what a struct would have written."""

from datetime import UTC, datetime

import msgspec
import pytest

from store.ids import Offset, QueryId, Timestamp
from store.subscribe.encoding import ENCODINGS, JSON, MSGPACK, Encoding, plain
from store.subscribe.messages import NUMBER_MAX, Call, Chunk, Delta, Part, Result
from store.values import encode

each_encoding = pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=lambda each: each.subprotocol)
numbers = (0, 1, 127, 128, 2**16, 2**32 - 1, 2**32, NUMBER_MAX)


def decode(encoding: Encoding, data: bytes, kind: type = object) -> object:
    """Read bytes as the other side would."""
    codec = msgspec.json if encoding.text else msgspec.msgpack
    return codec.decode(data, type=kind)


@each_encoding
@pytest.mark.parametrize("number", numbers)
def test_a_result_reads_back(encoding: Encoding, number: int) -> None:
    """A result put together from bytes is the message a struct would be, for every width of its numbers."""
    for sequence, offset in ((number, 1), (1, number)):
        result = decode(encoding, encoding.result(sequence, offset, encode([1, "x"])), Result)
        assert isinstance(result, Result)
        assert (result.sequence, result.offset) == (sequence, offset)
        assert decode(encoding, bytes(result.value)) == [1, "x"]


@each_encoding
def test_a_delta_reads_back(encoding: Encoding) -> None:
    """A delta put together from parts is the message a struct would be."""
    parts = [
        encoding.part(QueryId("q"), [encode([number, "x"]) for number in range(count)], list(range(count)))
        for count in (0, 1, 20)
    ]
    delta = decode(encoding, encoding.delta(Offset(5), Timestamp(10**15), parts), Delta)
    assert isinstance(delta, Delta)
    assert (delta.offset, delta.timestamp) == (5, 10**15)
    assert [(part.query, len(part.rows), part.keys) for part in delta.parts] == [
        ("q", count, tuple(range(count))) for count in (0, 1, 20)
    ]
    assert isinstance(delta.parts[0], Part)
    assert decode(encoding, bytes(delta.parts[1].rows[0])) == [0, "x"]


@each_encoding
def test_a_chunk_reads_back(encoding: Encoding) -> None:
    """A chunk put together from rows and missed changes is the message a struct would be."""
    rows = encoding.rows([encode([number, "x"]) for number in range(20)])
    missed = [encoding.missed(Offset(5 + n), Timestamp(10**15), [encode([n, "y"])], [n, 7]) for n in range(3)]
    for more in (True, False):
        chunk = decode(encoding, encoding.chunk(QueryId("q"), rows, missed, more=more), Chunk)
        assert isinstance(chunk, Chunk)
        assert (chunk.query, chunk.more) == ("q", more)
        assert len(msgspec.structs.astuple(chunk)) == 4
        assert decode(encoding, bytes(chunk.rows)) == [[number, "x"] for number in range(20)]
        assert [(each.offset, each.timestamp, each.keys) for each in chunk.missed] == [
            (5 + n, 10**15, (n, 7)) for n in range(3)
        ]
        assert decode(encoding, bytes(chunk.missed[1].rows[0])) == [1, "y"]


@each_encoding
def test_a_frame_is_an_array_of_messages(encoding: Encoding) -> None:
    """Any number of messages make one array."""
    for count in (0, 1, 15, 16, 70_000):
        assert decode(encoding, encoding.frame([encoding.value(b"\x01")] * count, count)) == [1] * count


@each_encoding
def test_messages_come_as_they_were_said(encoding: Encoding) -> None:
    """A frame decodes at once, or split and one by one, to the same messages."""
    codec = msgspec.json if encoding.text else msgspec.msgpack
    frame = codec.encode([["call", 1, "f", [1]], ["hello"], ["subscribe", 1, "x", [1, None]]])
    messages = encoding.decode_frame(frame)
    assert [encoding.decode_message(raw) for raw in encoding.split_frame(frame)][1:] == messages[1:]
    (call,) = messages[:1]
    assert isinstance(call, Call)
    assert decode(encoding, bytes(call.args)) == [1]


def test_a_lone_surrogate_leaves_the_other_messages_readable() -> None:
    """JSON's grammar allows it escaped: the frame is taken apart, byte for byte, and only its message is unreadable."""
    good = [b'["query", 1, "\\u00e9]", [1e400, {"a": "],["}]]', b'["hello"]', b"[]", b"12345" * 1000]
    bad = b'["hello", "\\ud800"]'
    raws = JSON.split_frame(b" [ " + b" ,\n".join([*good, bad]) + b" ]\t")
    assert [bytes(raw) for raw in raws] == [*good, bad]
    with pytest.raises(ValueError, match=r"."):
        JSON.decode_message(raws[-1])


@pytest.mark.parametrize(
    "payload", [b'["\\ud800"', b'["\\ud800"]]', b'["\\ud800" 1]', b'["\\ud800",]', b'["\\ud800",NaN]']
)
def test_a_lone_surrogate_mends_no_frame(payload: bytes) -> None:
    """What is no array of values stays none."""
    with pytest.raises(ValueError, match=r"."):
        JSON.split_frame(payload)


def test_plain_values_fit_json() -> None:
    """Large integers become decimal strings, bytes base64, names of maps strings, times RFC 3339, however deep."""
    value = {
        1: [NUMBER_MAX, NUMBER_MAX + 1, -NUMBER_MAX, -NUMBER_MAX - 1, 2**64 - 1],
        "b": b"hi",
        b"hi": {"deep": (2**53, True, None, 1.5)},
        "at": datetime(2024, 2, 29, 12, tzinfo=UTC),
        "ext": msgspec.msgpack.Ext(5, b"hi"),
    }
    assert msgspec.json.decode(JSON.value(msgspec.msgpack.encode(value))) == {
        "1": [NUMBER_MAX, "9007199254740992", -NUMBER_MAX, "-9007199254740992", "18446744073709551615"],
        "b": "aGk=",
        "aGk=": {"deep": ["9007199254740992", True, None, 1.5]},
        "at": "2024-02-29T12:00:00Z",
        "ext": "aGk=",
    }
    assert plain(True) is True


def test_messagepack_values_stay_unopened() -> None:
    """MessagePack carries what it was given, byte for byte."""
    assert MSGPACK.value(b"any bytes") == b"any bytes"
    assert MSGPACK.rows([b"\x91\x01", b"\x91\x02"]) == b"\x92\x91\x01\x91\x02"


def test_a_messagepack_frame_says_its_count() -> None:
    """The least count of a frame is read from its header alone."""
    for count in (16, 65_535, 65_536, 16_000_000):
        header = b"\xdc" + count.to_bytes(2, "big") if count < 65_536 else b"\xdd" + count.to_bytes(4, "big")
        assert MSGPACK.count(header) == count
    assert MSGPACK.count(b"") == MSGPACK.count(b"\x91\xc0") == 0
