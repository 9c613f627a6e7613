"""The two subprotocols: between messages and the bytes of frames.

Laws: both carry the same messages. MessagePack carries rows and values as the tables and the log hold them, unopened;
JSON carries them in the plain form: integers beyond ±(2^53 - 1) as decimal strings, bytes as base64, times as RFC 3339.
"""

import base64
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

import msgspec

from store.codec import NIL, array_header, concatenate
from store.ids import Key, Offset, QueryId, Timestamp
from store.subscribe.messages import (
    NUMBER_MAX,
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK,
    ClientMessage,
    Message,
)

UNREADABLE: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What reading somebody else's bytes may raise; msgspec's errors are ValueErrors."""
JSON_COMMAS_MAX: Final = 1 << 20
"""Commas up to which a JSON frame with an unreadable message is taken apart: each may cost an object."""


WireKey = Key | msgspec.Raw
"""A key as deltas say it: a row's own, or a group's as MessagePack."""


class Several(bytes):
    """Encoded messages, one right behind the other: one part of what waits, and several of a frame's messages."""

    messages = 1


Told = tuple[str, int, int, msgspec.Raw | None]
"""A Result as `Encoding.results` takes it: its tag, sequence, offset, and the value, None where it is nil."""


class Encoding(Protocol):
    """One subprotocol. What decodes raises one of UNREADABLE; what encodes takes MessagePack for rows and values."""

    subprotocol: str
    text: bool
    """Whether frames are text."""

    def decode_frame(self, payload: bytes) -> list[ClientMessage]:
        """All messages of a frame at once."""
        ...

    def split_frame(self, payload: bytes) -> list[msgspec.Raw]:
        """The messages of a frame, unread."""
        ...

    def count(self, payload: bytes) -> int:
        """The least number of messages that splitting this frame would make."""
        ...

    def decode_message(self, raw: msgspec.Raw) -> ClientMessage:
        """One message."""
        ...

    def encode(self, message: Message) -> bytes:
        """One message whose raw fields are in this encoding already."""
        ...

    def frame(self, parts: Sequence[bytes], count: int) -> bytes:
        """Encoded messages as one frame: `count` of them, as `count_messages` says."""
        ...

    def value(self, data: bytes) -> bytes:
        """A value that is MessagePack, in this encoding."""
        ...

    def rows(self, rows: Sequence[bytes]) -> bytes:
        """Rows as one array."""
        ...

    def result(self, sequence: int, offset: int, value: bytes) -> bytes:
        """A Result."""
        ...

    @property
    def results(self) -> Callable[[Sequence[Told]], Several] | None:
        """Many Results at once, a quarter of their price one by one; None where each is said by itself."""
        ...

    def part(self, query: QueryId, rows: Sequence[bytes], keys: Sequence[WireKey]) -> bytes:
        """A Part."""
        ...

    def delta(self, offset: Offset, timestamp: Timestamp, parts: Sequence[bytes]) -> bytes:
        """A Delta of encoded parts."""
        ...

    def missed(self, offset: Offset, timestamp: Timestamp, rows: Sequence[bytes], keys: Sequence[WireKey]) -> bytes:
        """A Missed."""
        ...

    def chunk(self, query: QueryId, rows: bytes, missed: Sequence[bytes], *, more: bool) -> bytes:
        """A Chunk of an encoded array of rows, and of encoded Missed."""
        ...


_DELTA: Final = b"\x94\xa5delta"
_CHUNK: Final = b"\x95\xa5chunk"
_encode: Final = msgspec.msgpack.Encoder().encode


class _MessagePack:
    """store.v1.msgpack. Results are made from tuples, deltas from bytes: either is a fraction of a struct's cost."""

    subprotocol = SUBPROTOCOL_MSGPACK
    text = False

    def __init__(self) -> None:
        self.decode_frame: Final[Callable[[bytes], list[ClientMessage]]] = msgspec.msgpack.Decoder(
            list[ClientMessage]
        ).decode
        self.split_frame: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
        self.decode_message: Final[Callable[[msgspec.Raw], ClientMessage]] = msgspec.msgpack.Decoder(
            cast("type[ClientMessage]", ClientMessage)
        ).decode
        self.encode: Final[Callable[[Message], bytes]] = _encode

    def count(self, payload: bytes) -> int:
        lead = payload[:1]
        if lead in {b"\xdc", b"\xdd"}:
            return int.from_bytes(payload[1 : 3 if lead == b"\xdc" else 5], "big")
        return 0

    def frame(self, parts: Sequence[bytes], count: int) -> bytes:
        return array_header(count) + b"".join(parts)

    def value(self, data: bytes) -> bytes:
        return data

    def rows(self, rows: Sequence[bytes]) -> bytes:
        return concatenate(rows)

    def result(self, sequence: int, offset: int, value: bytes) -> bytes:
        return _encode(("result", sequence, offset, None if value == NIL else msgspec.Raw(value)))

    def results(self, told: Sequence[Told]) -> Several:
        several = Several(_encode(told)[len(array_header(len(told))) :])
        several.messages = len(told)
        return several

    def part(self, query: QueryId, rows: Sequence[bytes], keys: Sequence[WireKey]) -> bytes:
        return b"\x93" + _encode(query) + concatenate(rows) + _encode(keys)

    def delta(self, offset: Offset, timestamp: Timestamp, parts: Sequence[bytes]) -> bytes:
        return _DELTA + _encode(offset) + _encode(timestamp) + array_header(len(parts)) + b"".join(parts)

    def missed(self, offset: Offset, timestamp: Timestamp, rows: Sequence[bytes], keys: Sequence[WireKey]) -> bytes:
        return b"\x94" + _encode(offset) + _encode(timestamp) + concatenate(rows) + _encode(keys)

    def chunk(self, query: QueryId, rows: bytes, missed: Sequence[bytes], *, more: bool) -> bytes:
        return b"".join((_CHUNK, _encode(query), rows, concatenate(missed), _encode(more)))


_encode_json: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder().decode


class _Json:
    """store.v1.json, for browsers and for people."""

    subprotocol = SUBPROTOCOL_JSON
    text = True

    results = None
    """One may have no form in JSON, which must harm no other."""

    def __init__(self) -> None:
        self._decode_frame: Final = msgspec.json.Decoder(list[ClientMessage]).decode
        self._split_frame: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
        self.decode_message: Final[Callable[[msgspec.Raw], ClientMessage]] = msgspec.json.Decoder(
            cast("type[ClientMessage]", ClientMessage)
        ).decode
        self.encode: Final[Callable[[Message], bytes]] = _encode_json

    def decode_frame(self, payload: bytes) -> list[ClientMessage]:
        return self._decode_frame(payload.decode())  # All of it is UTF-8, what is read later included.

    def split_frame(self, payload: bytes) -> list[msgspec.Raw]:
        text = payload.decode()
        try:
            return self._split_frame(text)
        except ValueError:
            if "\\u" not in text:
                raise
            return _split_text(text)

    def count(self, payload: bytes) -> int:
        return payload.count(b",") if payload.count(b",") > JSON_COMMAS_MAX else 0

    def frame(self, parts: Sequence[bytes], count: int) -> bytes:  # noqa: ARG002  # Commas count them.
        return b"[" + b",".join(parts) + b"]"

    def value(self, data: bytes) -> bytes:
        return _encode_json(plain(_decode(data)))

    def rows(self, rows: Sequence[bytes]) -> bytes:
        return self.value(concatenate(rows))

    def result(self, sequence: int, offset: int, value: bytes) -> bytes:
        return b'["result",%d,%d,%b]' % (sequence, offset, self.value(value))

    def part(self, query: QueryId, rows: Sequence[bytes], keys: Sequence[WireKey]) -> bytes:
        return b"[%b,%b,%b]" % (_encode_json(query), self.rows(rows), _encode_json(plain(list(keys))))

    def delta(self, offset: Offset, timestamp: Timestamp, parts: Sequence[bytes]) -> bytes:
        return b'["delta",%d,%d,[%b]]' % (offset, timestamp, b",".join(parts))

    def missed(self, offset: Offset, timestamp: Timestamp, rows: Sequence[bytes], keys: Sequence[WireKey]) -> bytes:
        return b"[%d,%d,%b,%b]" % (offset, timestamp, self.rows(rows), _encode_json(plain(list(keys))))

    def chunk(self, query: QueryId, rows: bytes, missed: Sequence[bytes], *, more: bool) -> bytes:
        return b'["chunk",%b,%b,[%b],%b]' % (_encode_json(query), rows, b",".join(missed), _encode_json(more))


_read_json: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=int).raw_decode
"""Finds where a value ends. Numbers stay text, however long; NaN, which is no integer, is a ValueError."""
_SIGNS: Final = {sign: re.compile(rf"[ \t\n\r]*{re.escape(sign)}[ \t\n\r]*") for sign in "[,]"}


def _split_text(text: str) -> list[msgspec.Raw]:
    """The messages of a frame in which an escaped lone surrogate stands: JSON's grammar allows it, msgspec does not.

    The message with it cannot be read, the others can. ValueError where the frame is no array of anything.
    """
    raws: list[msgspec.Raw] = []
    place = _skip(text, 0, "[")
    while True:
        end = _read_json(text, place)[1]
        raws.append(msgspec.Raw(text[place:end].encode()))
        closing = _SIGNS["]"].match(text, end)
        if closing is not None:
            break
        place = _skip(text, end, ",")
    if closing.end() != len(text):
        raise ValueError(f"expected the end of the frame at character {closing.end()}")
    return raws


def _skip(text: str, place: int, sign: str) -> int:
    """The place behind a sign and the space around it."""
    match = _SIGNS[sign].match(text, place)
    if match is None:
        raise ValueError(f"expected {sign!r} at character {place}")
    return match.end()


def count_messages(parts: Sequence[bytes]) -> int:
    """How many messages these are."""
    if {*map(type, parts)} == {bytes}:
        return len(parts)
    return sum(each.messages if isinstance(each, Several) else 1 for each in parts)


MSGPACK: Final[Encoding] = _MessagePack()
JSON: Final[Encoding] = _Json()
ENCODINGS: Final = {each.subprotocol: each for each in (MSGPACK, JSON)}
"""Every subprotocol by its name."""


def plain(value: Any) -> Any:
    """A decoded MessagePack value, or one that is Raw, as JSON can carry it; times are left to the JSON encoder."""
    kind = type(value)
    if kind is int:
        return value if -NUMBER_MAX <= value <= NUMBER_MAX else str(value)
    if kind is list or kind is tuple:
        return [plain(each) for each in value]
    if kind is dict:
        return {_plain_name(name): plain(each) for name, each in value.items()}
    if kind is bytes:
        return base64.b64encode(value).decode()
    if kind is msgspec.Raw:
        return plain(_decode(value))
    return base64.b64encode(value.data).decode() if kind is msgspec.msgpack.Ext else value


def _plain_name(name: Any) -> str:
    """A map's key: JSON knows strings only."""
    said = plain(name)
    return said if isinstance(said, str) else _encode_json(said).decode()
