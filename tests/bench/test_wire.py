"""The generator's bytes: what is sent is the protocol, and every answer is checked."""

import msgspec
import pytest
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from bench.wire import Frames, RedisWire, StoreWire, WrongAnswer, command, masked
from bench.workload import OVERDRAFT, Transfer
from store.ids import Sequence
from store.server.frames import FrameReader, encode_frame
from store.subscribe.encoding import MSGPACK
from store.subscribe.messages import Acknowledge, Call

PAID = Transfer(1, 2, 3)
REFUSED = Transfer(2, 1, OVERDRAFT)
RESULT = ["result", 1, 10, None]
FAILURE = ["failure", "call", 2, 11, "refused", "overdraft", {"reason": "overdraft"}]


def wire(client: str = "") -> StoreWire:
    """A connection to a store."""
    return StoreWire(port=1, token="t", client=client, in_flight=2, checked=True)


def read(data: bytes) -> list[object]:
    """The messages that the server reads from what a client sent."""
    core = ServerProtocol()
    core.state = OPEN
    reader = FrameReader(core, size_max=1 << 20)
    return [message for payload, _ in reader.receive(data) for message in MSGPACK.decode_frame(payload)]


def answer(*messages: object) -> bytes:
    """A frame of the server's."""
    return encode_frame(msgspec.msgpack.encode(messages), text=False)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_masked_frame_is_read_back(size: int) -> None:
    """What `masked` makes is what the server unmasks, at every width of the length."""
    core = ServerProtocol()
    core.state = OPEN
    payload = bytes(range(256)) * (size // 256 + 1)
    received = list(FrameReader(core, size_max=1 << 20).receive(masked(payload[:size])))
    assert [each[0] for each in received] == [payload[:size]]


def test_calls_share_a_frame() -> None:
    """The calls of a frame are numbered on from the frame before."""
    sender = wire()
    messages = read(sender.encode([PAID]) + sender.encode([PAID, REFUSED]))
    assert [message.sequence for message in messages if isinstance(message, Call)] == [1, 2, 3]


def test_a_named_client_acknowledges() -> None:
    """A client with a name says up to where it must have its answers, once that is not nothing."""
    sender = wire("me")
    first, second = sender.encode([PAID, PAID]), sender.encode([PAID, PAID])
    assert not any(isinstance(message, Acknowledge) for message in read(first))
    assert read(second)[0] == Acknowledge(Sequence(1))


def test_answers_are_counted_however_they_are_cut() -> None:
    """Frames are counted by their messages, whatever pieces they come in."""
    receiver, data = wire(), answer(RESULT) + answer(*[FAILURE] * 40)
    counts = [receiver.count(data[place : place + 1])[0] for place in range(len(data))]
    assert sum(counts) == 41


def test_a_ping_is_answered() -> None:
    """A ping is answered with its own payload, masked; it is no answer to a call."""
    answered, reply = wire().count(b"\x89\x02hi")
    assert (answered, reply) == (0, masked(b"hi", 0x8A))


def test_long_frames_are_taken_apart() -> None:
    """Lengths of seven, sixteen and sixty-four bits."""
    payloads = [bytes(size) for size in (1, 125, 126, 65_535, 65_536)]
    data = b"".join(encode_frame(payload, text=False) for payload in payloads)
    assert [payload for _, payload in Frames().feed(data)] == payloads


def test_right_answers_pass() -> None:
    """A success and a refusal for overdraft, each where it must be; the refusals are counted."""
    receiver = wire()
    receiver.count(answer(RESULT, FAILURE))
    assert receiver.check([PAID, REFUSED]) == 1


@pytest.mark.parametrize("wrong", [
    [RESULT],
    [RESULT, ["result", 2, 11, None]],
    [FAILURE, RESULT],
    [RESULT, ["failure", "call", 2, 11, "overloaded", "", {}]],
    [RESULT, [*FAILURE[:3], 10, *FAILURE[4:]]],
    [["result", 7, 10, None], FAILURE],
])  # fmt: skip
def test_a_wrong_answer_is_no_number(wrong: list[object]) -> None:
    """A missing, misplaced or different answer, or an offset that does not rise, ends the measurement."""
    receiver = wire()
    receiver.count(answer(*wrong))
    with pytest.raises(WrongAnswer):
        receiver.check([PAID, REFUSED])


def test_a_store_that_fell_behind_is_told_from_a_wrong_one() -> None:
    """Calls that come by the clock are refused where they pile up: that says something of the machine, and what."""
    receiver = wire()
    receiver.count(answer(["failure", "call", 1, 0, "overloaded", "64 MiB wait for the disk", {"reason": "group"}]))
    with pytest.raises(WrongAnswer, match=r"refused call 1 .* at rest"):
        receiver.check([PAID])


def test_redis_answers_are_checked() -> None:
    """One line answers one script; the lines must be exactly those expected."""
    redis = RedisWire(script="abc")
    assert redis.count(b":1\r\n:0\r\n")[0] == 2
    assert redis.check([PAID, REFUSED]) == 1
    with pytest.raises(WrongAnswer):
        redis.check([REFUSED, PAID])


def test_redis_commands_are_arrays_of_strings() -> None:
    """RESP: a count, then each word with its length."""
    assert command(b"GET", b"a:1") == b"*2\r\n$3\r\nGET\r\n$3\r\na:1\r\n"
    assert RedisWire(script="f").encode([PAID]) == command(b"EVALSHA", b"f", b"2", b"a:1", b"a:2", b"3")
