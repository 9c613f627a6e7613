"""Frames: what is read past the Sans-I/O core ends as what the core itself would read."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from store.server.frames import (
    COMPRESSED_SIZE_MIN,
    FRAGMENTS_MAX,
    FrameReader,
    FrameWriter,
    Received,
    encode_frame,
    window_bits,
)

SIZE_MAX = 1_000

Outcome = tuple[list[Received], list[bytes], State, Any]


def make_core() -> ServerProtocol:
    """A core behind its handshake."""
    return ServerProtocol(state=State.OPEN, max_size=SIZE_MAX)


def masked(first: int, payload: bytes, *, mask: bytes | None = b"\x01\x02\x03\x04") -> bytes:
    """A client's frame with this first byte."""
    size, flag = len(payload), 0x80 if mask else 0
    if size < 126:
        head = bytes((first, flag | size))
    elif size < 65_536:
        head = bytes((first, flag | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, flag | 127)) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """The bytes in pieces of these sizes, over and over."""
    pieces, position, place = [], 0, 0
    while position < len(data):
        pieces.append(data[position : position + sizes[place % len(sizes)]])
        position += len(pieces[-1])
        place += 1
    return pieces


def read_by_core(pieces: list[bytes]) -> Outcome:
    """What the core alone makes of it."""
    core, messages, fragments, text = make_core(), [], b"", False
    for piece in pieces:
        core.receive_data(piece)
        for event in core.events_received():
            assert isinstance(event, Frame)
            if event.opcode in {Opcode.TEXT, Opcode.BINARY}:
                text = event.opcode is Opcode.TEXT
            elif event.opcode is not Opcode.CONT:
                continue
            fragments += bytes(event.data)
            if event.fin:
                messages.append((fragments, text))
                fragments = b""
    return messages, core.data_to_send(), core.state, core.close_sent


def read_by_reader(pieces: list[bytes]) -> Outcome:
    """What the reader makes of it."""
    core = make_core()
    reader = FrameReader(core, size_max=SIZE_MAX)
    messages = [message for piece in pieces for message in reader.receive(piece)]
    return messages, core.data_to_send(), core.state, core.close_sent


payloads = st.one_of(st.binary(max_size=20), st.sampled_from([b"a" * 125, b"b" * 126, b"c" * 600, b"d" * SIZE_MAX]))
firsts = st.one_of(st.sampled_from([0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88]), st.integers(0, 255))
frames = st.builds(masked, firsts, payloads)
streams = st.lists(frames, max_size=8).map(b"".join)


@settings(derandomize=True, max_examples=500, deadline=None)
@given(streams, st.lists(st.integers(1, 700), min_size=1, max_size=4))
def test_equal(stream: bytes, sizes: list[int]) -> None:
    """However frames are cut into pieces, messages, answers and end are those of the core."""
    pieces = cut(stream, sizes)
    assert read_by_reader(pieces) == read_by_core(pieces)


@pytest.mark.parametrize(
    "stream",
    [
        masked(0x82, b"x" * (SIZE_MAX + 1))[:8],
        masked(0x81, b"x" * 70_000)[:14],
        bytes((0x82, 0xFF)) + b"\xff" * 12,
        masked(0x82, b"hello", mask=None),
        masked(0x82, b"x" * 200, mask=None)[:4],
        masked(0x82, b"one") + masked(0x82, b"two", mask=None),
        masked(0x88, b"\x03\xe8bye") + masked(0x82, b"late"),
    ],
    ids=["too-large", "far-too-large", "absurd", "unmasked", "unmasked-16", "then-unmasked", "after-close"],
)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_refused(stream: bytes, size: int) -> None:
    """A frame that is too large or unmasked is refused from its header alone, and nothing after a close is read."""
    pieces = cut(stream, [size])
    assert read_by_reader(pieces) == read_by_core(pieces)
    assert read_by_reader(pieces)[2] is not State.OPEN


def test_memory() -> None:
    """No more is kept of an unfinished frame than what came of it."""
    reader = FrameReader(make_core(), size_max=SIZE_MAX)
    assert list(reader.receive(masked(0x82, b"x" * 900)[:100])) == []
    assert len(reader._rest) == 100


@pytest.mark.parametrize("first", [b"", b"x"])
def test_fragments_max(first: bytes) -> None:
    """A message in too many fragments closes with 1009, though they be empty, and nothing of it is kept."""
    core = make_core()
    reader = FrameReader(core, size_max=SIZE_MAX)
    assert list(reader.receive(masked(0x02, first) + masked(0x00, b"") * (FRAGMENTS_MAX - 1))) == []
    assert core.state is State.OPEN
    assert list(reader.receive(masked(0x00, b"") * 3 + masked(0x80, b""))) == []
    assert core.close_sent is not None
    assert core.close_sent.code == 1009
    assert not reader._fragments


def test_most_fragments() -> None:
    """A message in as many fragments as may be is read, and the next one begins to count anew."""
    reader = FrameReader(make_core(), size_max=SIZE_MAX)
    message = masked(0x02, b"a") + masked(0x00, b"") * (FRAGMENTS_MAX - 2) + masked(0x80, b"z")
    assert list(reader.receive(message * 2)) == [(b"az", False)] * 2


def test_closing_amid() -> None:
    """When the connection closes under a message, the frames behind it are no messages any more."""
    core = make_core()
    reader = FrameReader(core, size_max=SIZE_MAX)
    read = []
    for payload, _ in reader.receive(masked(0x82, b"one") + masked(0x82, b"two") + masked(0x82, b"three")[:7]):
        read.append(payload)
        if core.state is State.OPEN:
            core.send_close(4400, "enough")
    list(reader.receive(masked(0x82, b"three")[7:] + masked(0x88, b"\x03\xe8")))
    assert read[0] == b"one"
    assert core.close_rcvd is not None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("text", [True, False])
def test_encode(size: int, *, text: bool) -> None:
    """A frame built here is the one the core would build."""
    payload = b"x" * size
    opcode = Opcode.TEXT if text else Opcode.BINARY
    assert encode_frame(payload, text=text) == Frame(opcode, payload).serialize(mask=False)


def test_compressed() -> None:
    """A compressed frame is the core's to unpack, an uncompressed one beside it is not."""
    core = make_core()
    core.extensions = [PerMessageDeflate(False, False, 15, 15)]
    frame = PerMessageDeflate(False, False, 15, 15).encode(Frame(Opcode.BINARY, b"again " * 50))
    reader = FrameReader(core, size_max=SIZE_MAX)
    stream = masked(0xC2, bytes(frame.data)) + masked(0x82, b"plain")
    assert [payload for payload, _ in reader.receive(stream)] == [b"again " * 50, b"plain"]


@pytest.mark.parametrize("text", [True, False])
def test_large_messages_are_compressed_by_themselves(text: bool) -> None:  # noqa: FBT001  # Given.
    """From COMPRESSED_SIZE_MIN on, where a window was agreed on; a client's own extension reads them in any order."""
    writer = FrameWriter()
    small, large = b"x" * (COMPRESSED_SIZE_MIN - 1), b"xyz" * COMPRESSED_SIZE_MIN
    assert writer.encode(small, (text, 15)) == encode_frame(small, text=text)
    assert writer.encode(large, (text, 0)) == encode_frame(large, text=text)
    for bits in (15, 9):
        frame = writer.encode(large, (text, bits))
        assert len(frame) < 500
        client = PerMessageDeflate(True, False, bits, 15)  # As it is declared.
        for _ in range(2):
            assert frame[0] == (0xC1 if text else 0xC2)
            begin = 2 if frame[1] < 126 else 4
            opcode = Opcode.TEXT if text else Opcode.BINARY
            assert client.decode(Frame(opcode, frame[begin:], rsv1=True)).data == large


def test_connections_that_send_the_same_share_its_bytes() -> None:
    """A message is framed once for all that send it next; another kind or window is another frame."""
    writer, payload = FrameWriter(), b"y" * 10_000
    frame = writer.encode(payload, (False, 0))
    assert writer.encode(payload, (False, 0)) is frame
    assert writer.encode(payload, (True, 0)) != frame
    assert writer.encode(payload, (False, 15)) != frame


def test_the_window_is_what_was_agreed_on() -> None:
    """Without the extension nothing is compressed."""
    core = make_core()
    assert window_bits(core) == 0
    core.extensions = [PerMessageDeflate(False, True, 15, 12)]  # As it is declared.
    assert window_bits(core) == 12
