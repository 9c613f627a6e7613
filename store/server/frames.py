"""Bytes to whole messages and back: WebSocket frames (RFC 6455 §5), with the Sans-I/O core of `websockets` as the law.

Laws: frames are only delimited here. A whole masked frame with a whole message in it, which is nearly every one, is
unmasked here and never seen by the core; every other frame (control, fragments, extensions, anything wrong) is given to
the core, whole, and the core alone says what follows from it. So both ways end alike, which a test holds them to.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

try:
    from websockets.speedups import apply_mask
except ImportError:  # Built without the extension: the same, slower.
    from websockets.utils import apply_mask

TEXT: Final = 0x81
"""The first byte of a frame that holds a whole text message."""
BINARY: Final = 0x82
"""The first byte of a frame that holds a whole binary message."""
FRAGMENTS_MAX: Final = 16_384
"""Frames one message may come in: each costs some memory and time even where it is empty. Enough for fragments of 1 KiB
of the largest message by default."""
_WHOLE: Final = (BINARY, TEXT)
_MASKED: Final = 0x80
_LENGTH_16: Final = 126
_LENGTH_64: Final = 127
_LENGTH_16_MAX: Final = 0xFFFF


Received = tuple[bytes, bool]
"""One whole message, and whether it is text."""


class FrameReader:
    """Takes bytes as they come and gives whole messages. The core's `data_to_send` is the caller's to send."""

    __slots__ = ("_core", "_fragments", "_needed", "_rest", "_short_max", "_size_max", "_text")

    def __init__(self, core: ServerProtocol, *, size_max: int) -> None:
        self._core: Final = core
        self._size_max: Final = size_max
        self._short_max: Final = min(size_max, _LENGTH_16 - 1)
        self._rest = bytearray()
        self._needed = 0
        """Bytes until the frame in `_rest` is whole, as far as it can be told."""
        self._fragments: list[bytes] = []
        self._text = False

    def receive(self, data: bytes) -> Iterable[Received]:
        """Every message that is whole now, in order. Take them all: the rest is kept when the last was taken."""
        size, core = len(data) - 6, self._core
        if 0 <= size <= self._short_max and data[1] == size | _MASKED and not self._rest:  # One, and short.
            head = data[0]
            if head in _WHOLE and core.current_size is None and core.state is State.OPEN:
                return ((apply_mask(data[6:], data[2:6]), head == TEXT),)
        return self._take_apart(data)

    def _take_apart(self, data: bytes) -> Iterator[Received]:  # noqa: C901  # The hot path is in one place.
        """As `receive`, of whatever came."""
        if self._rest:
            data = self._join(data)
        core, position, end = self._core, 0, len(data)
        if core.state is not State.OPEN:  # It closes: nothing is delimited any more, the core takes it as it comes.
            core.receive_data(data)
            yield from self._events()
            return
        whole = _WHOLE if core.current_size is None else ()  # Amid fragments every frame is the core's.
        while (begin := position + 6) <= end:
            head, length = data[position], data[position + 1]
            if length == _MASKED | _LENGTH_16:
                begin += 2
                length = int.from_bytes(data[position + 2 : position + 4], "big")
            elif length == _MASKED | _LENGTH_64:
                begin += 8
                if begin > end:
                    break
                length = int.from_bytes(data[position + 2 : position + 10], "big")
            else:
                length ^= _MASKED
            if length > self._size_max or not data[position + 1] & _MASKED:
                break  # Too large or not masked: the core says so, from the header alone.
            stop = begin + length
            if stop > end:
                break
            if head in whole:
                yield apply_mask(data[begin:stop], data[begin - 4 : begin]), head == TEXT
            else:
                core.receive_data(data[position:stop])
                yield from self._events()
                whole = _WHOLE if core.current_size is None and core.state is State.OPEN else ()
            position = stop
        if position < end:
            yield from self._keep(data[position:])

    def _join(self, data: bytes) -> bytes:
        """What was kept with what came, or b"" while the frame is not whole."""
        self._rest += data
        if len(self._rest) < self._needed:
            return b""
        joined, self._rest = bytes(self._rest), bytearray()
        return joined

    def _keep(self, rest: bytes) -> Iterator[Received]:
        """Keep the beginning of a frame, unless the core can tell already that it is wrong."""
        self._needed = 2
        if len(rest) >= 2:
            length = rest[1] & ~_MASKED
            width = {_LENGTH_16: 2, _LENGTH_64: 8}.get(length, 0)
            known = len(rest) >= 2 + width
            if width and known:
                length = int.from_bytes(rest[2 : 2 + width], "big")
            wrong = not rest[1] & _MASKED or (known and length > self._size_max)
            if wrong or self._core.state is not State.OPEN:
                self._core.receive_data(rest)
                yield from self._events()
                return
            self._needed = 6 + width + length if known else 2 + width
        self._rest = bytearray(rest)

    def _events(self) -> Iterator[Received]:
        """What the core made of what it was given: the messages among it."""
        for event in self._core.events_received():
            assert isinstance(event, Frame)
            if event.opcode in {Opcode.TEXT, Opcode.BINARY}:
                self._text = event.opcode is Opcode.TEXT
            elif event.opcode is not Opcode.CONT:
                continue
            self._fragments.append(bytes(event.data))
            if len(self._fragments) > FRAGMENTS_MAX:
                self._fragments = []
                self._core.fail(CloseCode.MESSAGE_TOO_BIG, f"a message comes in at most {FRAGMENTS_MAX} fragments")
                return
            if event.fin:
                payload, self._fragments = b"".join(self._fragments), []
                yield payload, self._text


COMPRESSED_SIZE_MIN: Final = 4_096
"""Bytes of a message from which compressing it is worth its time: 20 to 30 us for each KiB, measured on rows."""
COMPRESSION_LEVEL: Final = 1
"""zlib's. Measured on rows: 35 MB/s at a ratio of 1.7 to 2.2; level 6 takes five times as long for a tenth less."""
_COMPRESSED: Final = 0x40
"""The first byte's bit that says so (RFC 7692 §6: RSV1)."""
_FLUSHED: Final = b"\x00\x00\xff\xff"
"""What a flushed deflate block ends with; it is left out (RFC 7692 §7.2.1)."""


def window_bits(core: ServerProtocol) -> int:
    """The deflate window agreed on for what the server sends, in bits; 0 where nothing is compressed."""
    agreed = [each for each in core.extensions if isinstance(each, PerMessageDeflate)]
    return agreed[0].local_max_window_bits if agreed else 0


class FrameWriter:
    """Messages as frames; the last one is kept, for all connections that send the same next."""

    __slots__ = ("frame", "kind", "payload")

    def __init__(self) -> None:
        self.payload = b""
        """What was framed last."""
        self.kind = (False, 0)
        """As what: (text, bits)."""
        self.frame = encode_frame(b"", text=False)

    def encode(self, payload: bytes, kind: tuple[bool, int]) -> bytes:
        """A frame with a whole message in it, text or not, compressed where it is large and bits were agreed on."""
        if payload is not self.payload or kind != self.kind:
            text, bits = self.kind = kind
            large = bits and len(payload) >= COMPRESSED_SIZE_MIN
            self.frame = compressed_frame(payload, text=text, bits=bits) if large else encode_frame(payload, text=text)
            self.payload = payload
        return self.frame


def compressed_frame(payload: bytes, *, text: bool, bits: int) -> bytes:
    """A frame with a whole message, compressed by itself (RFC 7692, without context takeover)."""
    compressor = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -bits)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return _framed((TEXT if text else BINARY) | _COMPRESSED, data.removesuffix(_FLUSHED))


def encode_frame(payload: bytes, *, text: bool) -> bytes:
    """An unmasked frame with a whole message in it, as a server sends it."""
    return _framed(TEXT if text else BINARY, payload)


def _framed(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < _LENGTH_16:
        return bytes((first, size)) + payload
    if size <= _LENGTH_16_MAX:
        return bytes((first, _LENGTH_16, size >> 8, size & 0xFF)) + payload
    return bytes((first, _LENGTH_64)) + size.to_bytes(8, "big") + payload
