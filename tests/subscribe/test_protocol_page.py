"""PROTOCOL.md says what the code does: every message, code and limit is there, and every example decodes."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

import store.subscribe.messages as messages_module
from store.engine import idempotency
from store.engine.identity import SCOPES
from store.errors import CALL_ERRORS
from store.ids import Offset, QueryId, Timestamp
from store.subscribe.absence import ABSENCE_ROWS_MAX
from store.subscribe.encoding import JSON_COMMAS_MAX, MSGPACK
from store.subscribe.messages import (
    ASKED_EPOCH_MAX,
    CLIENT_LENGTH_MAX,
    FOREIGN_EPOCH,
    FUTURE,
    NOT_RESUMABLE,
    PAST_HORIZON,
    Anew,
    ClientMessage,
    Limits,
    Message,
    ServerMessage,
)
from store.subscribe.options import Options
from store.values import SCALARS, encode

PAGE: Final = (Path(messages_module.__file__).parent / "PROTOCOL.md").read_text()
SECTIONS: Final = re.findall(r"^###? ([0-9.]+) ?(.*)$", PAGE, re.MULTILINE)
EXAMPLES: Final = [
    (heading, example)
    for heading, body in re.findall(r"^### [0-9.]+ (\w+)$(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    for example in re.findall(r"^```json\n(.*?)^```", body, re.MULTILINE | re.DOTALL)
]
MESSAGES: Final = {each.__name__: each for each in Message.__subclasses__()}
CLOSE_CODES: Final = {name: code for name, code in vars(messages_module).items() if name.startswith("CLOSE_")}


def hex_example(name: str) -> bytes:
    """The bytes of a hex example, whose comments begin behind two spaces."""
    match = re.search(rf"^```hex {name}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert match is not None
    return bytes.fromhex("".join(line.split("  ")[0] for line in match.group(1).splitlines()))


def test_every_message_has_a_section_with_an_example() -> None:
    """The page has one section for each message class, with at least one example, and no other sections like it."""
    named = [title for number, title in SECTIONS if number.count(".") == 1 and number[0] in "45" and len(number) > 2]
    assert sorted(named) == sorted(MESSAGES)
    assert {heading for heading, _ in EXAMPLES} == set(MESSAGES)


@pytest.mark.parametrize(("heading", "example"), EXAMPLES)
def test_an_example_is_the_message_it_claims(heading: str, example: str) -> None:
    """An example decodes to its section's message, and says all it holds: encoding it again gives the same."""
    kind = MESSAGES[heading]
    union: Any = ClientMessage if kind in ClientMessage.__args__ else ServerMessage
    message = msgspec.json.decode(example, type=union)
    assert type(message) is kind
    said = msgspec.json.decode(example)
    assert msgspec.json.decode(msgspec.json.encode(message))[: len(said)] == said


@pytest.mark.parametrize("heading", MESSAGES)
def test_a_section_shows_the_fields_and_their_defaults(heading: str) -> None:
    """A section shows the message's name and fields in their order, optional ones with their default."""
    kind = MESSAGES[heading]
    body = PAGE.split(f" {heading}\n", 1)[1]
    shown = [f'"{kind.__struct_config__.tag}"']
    shown += [
        re.escape(field.name) + (r" = [^,\]]+\]?" if not field.required else "")
        for field in msgspec.structs.fields(kind)
    ]
    shown[-1] = shown[-1].removesuffix(r"\]?") + r"\]?" if "=" in shown[-1] else shown[-1]
    assert re.match(r"\s*`\[" + ", ".join(shown) + r"\]`", body.replace("\n", " ")), shown


def test_every_close_code_is_documented() -> None:
    """The table of close codes lists each code with its name, and no other."""
    assert {
        name: int(code) for code, name in re.findall(r"^\| (\d{4}) \| `(\w+)` \|", PAGE, re.MULTILINE)
    } == CLOSE_CODES


def test_every_failure_code_is_documented() -> None:
    """The table of failure codes lists each CallError, and no other."""
    section = PAGE.split("Failure\n", 1)[1].split("###", 1)[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(CALL_ERRORS)


def test_every_limit_is_documented_with_its_default() -> None:
    """The table of limits lists every option and every limit of Welcome with its default."""
    section = PAGE.split("## 10. Limits", 1)[1]
    listed = {name: int(value) for name, value in re.findall(r"^\| `(\w+)` \| (\d+) ", section, re.MULTILINE)}
    options = {each.name: each.default for each in fields(Options)}
    assert listed == {**options, "unacknowledged_calls_max": idempotency.UNACKNOWLEDGED_CALLS_MAX}
    assert set(Limits.__struct_fields__) <= set(listed)
    assert f"{JSON_COMMAS_MAX} commas" in section
    assert f"at most {CLIENT_LENGTH_MAX} characters" in PAGE
    assert ", ".join(Limits.__struct_fields__) in PAGE.replace("\n", " ")


def test_every_reason_for_rows_anew_is_documented() -> None:
    """The table of reasons lists each, the fields are shown in their order, and the bound of an absence is said."""
    section = PAGE.split("\n7.4 ", 1)[1].split("\n7.5 ", 1)[0]
    reasons = {FOREIGN_EPOCH, FUTURE, PAST_HORIZON, NOT_RESUMABLE}
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == reasons
    assert f"`[{', '.join(Anew.__struct_fields__)}]`" in section.replace("\n", " ")
    assert f"at most {ASKED_EPOCH_MAX} characters of the epoch" in section.replace("\n", " ")
    assert f"more than {ABSENCE_ROWS_MAX:,} rows of its tables" in PAGE.replace("\n", " ")


def test_welcomes_example_holds_the_defaults() -> None:
    """The limits in Welcome's example are the real ones."""
    (example,) = [example for heading, example in EXAMPLES if heading == "Welcome"]
    options = Options()
    assert msgspec.json.decode(example)[4] == [
        getattr(options, name, idempotency.UNACKNOWLEDGED_CALLS_MAX) for name in Limits.__struct_fields__
    ]


def test_every_column_type_and_scope_is_documented() -> None:
    """How each column type travels is said, and what each scope allows."""
    section = PAGE.split("## 8. Values", 1)[1].split("## 9.", 1)[0]
    table = "".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))
    assert set(SCALARS) <= set(re.findall(r"`(\w+)`", table))
    assert all(f"`{scope}`" in PAGE for scope in SCOPES)


def test_every_reference_leads_somewhere() -> None:
    """A section or paragraph that is referred to exists."""
    there = {number.rstrip(".") for number, _ in SECTIONS} | set(re.findall(r"^(\d+\.\d+) ", PAGE, re.MULTILINE))
    assert set(re.findall(r"(?<!\d{4} )§(\d+(?:\.\d+)?)", PAGE)) <= there


def test_the_clients_bytes_are_what_an_encoder_writes() -> None:
    """The client's hex example is the frame a MessagePack encoder writes, and decodes to the messages it claims."""
    frame = hex_example("client")
    assert frame == msgspec.msgpack.encode([["hello", "ada"], ["call", 1, "transfer", [1, 2, 30]]])
    hello, call = MSGPACK.decode_frame(frame)
    assert (type(hello).__name__, type(call).__name__) == ("Hello", "Call")


def test_the_servers_bytes_are_what_the_server_writes() -> None:
    """The server's hex example is what the encoding writes for that delta and that result."""
    part = MSGPACK.part(QueryId("q3B0m9cX1yUe5kPz7aLw"), [encode([1, "ada", 70]), encode([2, "bob", 30])], [])
    delta = MSGPACK.delta(Offset(1042), Timestamp(1767225600000000), [part])
    assert hex_example("server") == MSGPACK.frame([delta, MSGPACK.result(1, 1042, encode(None))], 2)


def test_unknown_fields_are_ignored_and_missing_ones_take_their_default() -> None:
    """A message may have more fields than we know, and leave out those with a default."""
    more, less = MSGPACK.decode_frame(msgspec.msgpack.encode([["hello", "ada", 5, {"x": 1}], ["hello"]]))
    assert isinstance(more, messages_module.Hello)
    assert isinstance(less, messages_module.Hello)
    assert (more.client, less.client) == ("ada", "")
