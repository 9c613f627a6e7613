"""The bytes a generator's connection sends and counts: the store's WebSocket frames, and Redis' commands.

Laws: everything sent is encoded before the clock runs, and every answer is read after it has stopped; between them an
answer is only counted. So the generator costs less than any server, and still nothing goes unchecked.
"""

import base64
import hashlib
import os
import struct
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from websockets.speedups import apply_mask

from bench.workload import Transfer
from store.subscribe.messages import SUBPROTOCOL_MSGPACK

_MASK: Final = b"\x9a\x3c\x55\xe7"
_FINAL_BINARY: Final = 0x82
_FINAL_PONG: Final = 0x8A
_CLOSE: Final = 8
_PING: Final = 9
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder().decode


class WrongAnswer(Exception):  # Named like the store's errors.
    """A peer answered something else than it had to: its number would mean nothing."""


class Wire(Protocol):
    """One connection's side of a protocol; an instance a connection."""

    def opening(self) -> list[bytes]:
        """What is sent before the load, one at a time, each after the answer to the one before."""
        ...

    def opened(self, data: bytes) -> bool:
        """Whether the answer to the last of `opening` is complete with `data`. WrongAnswer if it is a refusal."""
        ...

    def encode(self, calls: Sequence[Transfer]) -> bytes:
        """One frame that carries all of `calls`."""
        ...

    def count(self, data: bytes) -> tuple[int, bytes]:
        """How many calls `data` answers, and what must be sent back at once (a pong), mostly nothing."""
        ...

    def check(self, calls: Sequence[Transfer]) -> int:
        """Read every answer: WrongAnswer where one is not what its call must get; returns how many were refused."""
        ...


def masked(payload: bytes, opcode: int = _FINAL_BINARY) -> bytes:
    """A client's WebSocket frame (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", opcode, 0x80 | 127, size)
    return head + _MASK + apply_mask(payload, _MASK)


def upgrade_request(port: int, token: str, key: str) -> bytes:
    """The HTTP request that opens a WebSocket on the store."""
    return (
        f"GET /v1/connect HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL_MSGPACK}\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()


class Frames:
    """The payloads of the binary frames in a stream, however its bytes are cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(opcode, payload) of every frame complete now."""
        buffer = self._rest + data if self._rest else data
        place, end, found = 0, len(buffer), []
        while end - place >= 2:
            size, start = buffer[place + 1], place + 2  # A server's frame has no mask.
            if size == 126:
                start += 2
                size = int.from_bytes(buffer[start - 2 : start], "big")
            elif size == 127:
                start += 8
                size = int.from_bytes(buffer[start - 8 : start], "big")
            if end < start + size:
                break
            found.append((buffer[place] & 0x0F, buffer[start : start + size]))
            place = start + size
        self._rest = buffer[place:]
        return found


class StoreWire:
    """store.v1.msgpack: a frame is an array of messages, a call is answered by a result or a failure."""

    def __init__(self, *, port: int, token: str, client: str, in_flight: int, checked: bool) -> None:
        self._port: Final = port
        self._token: Final = token
        self._client: Final = client
        self._in_flight: Final = in_flight
        self._checked: Final = checked
        self._key: Final = base64.b64encode(os.urandom(16)).decode()
        self._frames: Final = Frames()
        self._payloads: Final[list[bytes]] = []
        self._sequence = 0
        self._head = b""
        self._upgraded = False

    def opening(self) -> list[bytes]:
        """The upgrade, then hello; an echo has nobody to greet."""
        upgrade = upgrade_request(self._port, self._token, self._key)
        return [upgrade, masked(_pack([["hello", self._client]]))] if self._checked else [upgrade]

    def opened(self, data: bytes) -> bool:
        """101 with the right accept key and subprotocol; then a welcome."""
        if self._upgraded:
            payloads = [payload for _, payload in self._frames.feed(data)]
            if payloads and _unpack(payloads[0])[0][0] != "welcome":
                raise WrongAnswer(f"hello was answered {payloads[0]!r:.200}")
            return bool(payloads)
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return False
        accept = base64.b64encode(hashlib.sha1(self._key.encode() + GUID).digest())  # noqa: S324  # RFC 6455 §4.2.2.
        if not self._head.startswith(b"HTTP/1.1 101") or accept not in self._head:
            raise WrongAnswer(f"the upgrade was answered {self._head!r:.300}")
        self._upgraded = True
        return True

    def encode(self, calls: Sequence[Transfer]) -> bytes:
        """The calls as messages of one frame; a named client also acknowledges what it must have answers to by then."""
        first = self._sequence + 1
        self._sequence += len(calls)
        messages: list[Any] = [["call", first + place, "transfer", list(call)] for place, call in enumerate(calls)]
        if self._client and first > self._in_flight:
            messages.insert(0, ["acknowledge", first - self._in_flight])
        return masked(_pack(messages))

    def count(self, data: bytes) -> tuple[int, bytes]:
        """The lengths of the arrays of messages; nothing but answers arrives, since nothing is subscribed to."""
        answered, reply = 0, b""
        for opcode, payload in self._frames.feed(data):
            if opcode == _PING:
                reply += masked(payload, _FINAL_PONG)
            elif opcode == _CLOSE:
                raise WrongAnswer(f"the server closed: {payload!r}")
            else:
                answered += _array_length(payload)
                self._payloads.append(payload)
        return answered, reply

    def check(self, calls: Sequence[Transfer]) -> int:
        """Each call answered once, in order, at rising offsets: committed, or refused for overdraft."""
        if not self._checked:
            return 0
        answers = [message for payload in self._payloads for message in _unpack(payload)]
        if len(answers) != len(calls):
            raise WrongAnswer(f"{len(calls)} calls got {len(answers)} answers")
        refused = offset = 0
        for sequence, (call, answer) in enumerate(zip(calls, answers, strict=True), 1):
            if call.succeeds:
                right = answer[0] == "result" and answer[1] == sequence and answer[2] > offset
                offset = answer[2]
            else:
                right = answer[0] == "failure" and answer[1] == "call" and answer[2] == sequence
                right = (
                    right and answer[4] == "refused" and answer[6].get("reason") == "overdraft" and answer[3] > offset
                )
                offset = answer[3]
                refused += 1
            if answer[0] == "failure" and answer[4] == "overloaded":
                raise WrongAnswer(
                    f"the store fell so far behind that it refused call {sequence} ({answer[5]}): something else keeps"
                    " the machine busy, measure again at rest"
                )
            if not right:
                raise WrongAnswer(f"{call}, call {sequence}, was answered {answer!r:.300}")
        return refused


class RedisWire:
    """RESP: the transfer as a script by its hash, answered :1 where it moved the amount and :0 where it refused."""

    def __init__(self, *, script: str) -> None:
        self._script: Final = script.encode()
        self._received: Final[list[bytes]] = []

    def opening(self) -> list[bytes]:
        """A ping: the connection is there."""
        return [b"*1\r\n$4\r\nPING\r\n"]

    def opened(self, data: bytes) -> bool:
        """Redis answers a ping at once."""
        if data != b"+PONG\r\n":
            raise WrongAnswer(f"PING was answered {data!r:.200}")
        return True

    def encode(self, calls: Sequence[Transfer]) -> bytes:
        """The commands one after the other: a pipeline."""
        return b"".join(
            command(b"EVALSHA", self._script, b"2", b"a:%d" % source, b"a:%d" % target, b"%d" % amount)
            for source, target, amount in calls
        )

    def count(self, data: bytes) -> tuple[int, bytes]:
        """The line ends: every answer is one line."""
        self._received.append(data)
        return data.count(b"\n"), b""

    def check(self, calls: Sequence[Transfer]) -> int:
        """Compare all that came with all that had to."""
        expected = b"".join(b":1\r\n" if call.succeeds else b":0\r\n" for call in calls)
        received = b"".join(self._received)
        if received != expected:
            raise WrongAnswer(f"{len(calls)} scripts were answered {received[:200]!r}")
        return sum(not call.succeeds for call in calls)


def command(*words: bytes) -> bytes:
    """A Redis command: an array of bulk strings."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _array_length(payload: bytes) -> int:
    """How many elements a MessagePack array says it has."""
    first = payload[0]
    if first & 0xF0 == 0x90:
        return first & 0x0F
    assert first in {0xDC, 0xDD}, f"a frame is an array of messages, this begins with {first:#x}"
    return int.from_bytes(payload[1 : 3 if first == 0xDC else 5], "big")
