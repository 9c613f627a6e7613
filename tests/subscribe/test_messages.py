"""The messages: their names, their bounds, and what a later version may add."""

from typing import Any

import msgspec
import pytest

import store.subscribe.messages as module
from store.ids import Offset, Sequence
from store.subscribe.messages import NUMBER_MAX, Call, ClientMessage, Message, ServerMessage, Subscribe

CODECS: list[Any] = [msgspec.msgpack, msgspec.json]
each_codec = pytest.mark.parametrize("codec", CODECS)
client_message: Any = ClientMessage


def test_a_messages_name_is_its_classs() -> None:
    """On the wire a message begins with its class's name in lower case."""
    assert {each.__struct_config__.tag: each.__name__.lower() for each in Message.__subclasses__()} == {
        each.__name__.lower(): each.__name__.lower() for each in Message.__subclasses__()
    }


def test_every_message_is_said_by_one_side() -> None:
    """A message is the client's or the server's, never both."""
    client, server = set(ClientMessage.__args__), set(ServerMessage.__args__)
    assert client | server == set(Message.__subclasses__())
    assert not client & server


def test_close_codes_are_distinct_and_legal() -> None:
    """Our close codes are in the application's range, but for the two that RFC 6455 §7.4.1 has already."""
    codes = [code for name, code in vars(module).items() if name.startswith("CLOSE_")]
    assert len(codes) == len(set(codes))
    assert {code for code in codes if not 4000 <= code <= 4999} == {1001, 1009}


@each_codec
@pytest.mark.parametrize("number", [0, -1, NUMBER_MAX + 1, 1.5, "1", None, True])
def test_a_sequence_is_from_1_to_2_to_the_53(codec: Any, number: Any) -> None:
    """A sequence that JSON could not carry, or that is none, is not read."""
    with pytest.raises(msgspec.ValidationError):
        codec.decode(codec.encode(["call", number, "f"]), type=client_message)
    for good in (1, NUMBER_MAX):
        assert codec.decode(codec.encode(["call", good, "f"]), type=client_message) == Call(Sequence(good), "f")


@each_codec
def test_an_offset_is_from_0(codec: Any) -> None:
    """A subscription resumes behind an offset from 0; a negative one is not read."""
    message = ["subscribe", 0, "", [], "e", 0]
    assert codec.decode(codec.encode(message), type=client_message) == Subscribe(0, "", (), "e", Offset(0))
    with pytest.raises(msgspec.ValidationError):
        codec.decode(codec.encode([*message[:5], -1]), type=client_message)


@each_codec
def test_later_fields_are_ignored(codec: Any) -> None:
    """A message with more fields than we know is read as the one we know."""
    assert (
        type(codec.decode(codec.encode(["unsubscribe", 1, "more", {}]), type=client_message)).__name__ == "Unsubscribe"
    )


@each_codec
def test_every_message_reads_back(codec: Any) -> None:
    """What a client makes with the classes is what the server reads."""
    said = [module.Hello("a"), module.Acknowledge(Sequence(3)), module.Query(1, "s", (1,)), module.Unsubscribe(2)]
    assert codec.decode(codec.encode(said), type=list[client_message]) == said
