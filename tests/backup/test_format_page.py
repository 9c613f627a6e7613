"""FORMAT.md is true: its examples are what the code writes."""

import hmac
import re
from pathlib import Path

import msgspec

from store.backup import bucket, encryption, index, keys, layout
from store.backup.encryption import DataKey, seal
from store.backup.facts import SegmentFacts, SnapshotFacts
from store.backup.keys import OperatorKey, WrappedKey, unwrap, wrap
from store.env.memory import SeededEntropy
from store.ids import Timestamp

PAGE = (Path(bucket.__file__).parent / "FORMAT.md").read_text("utf-8")
KEY = DataKey(bytes(range(16)).hex(), bytes(range(0x20, 0x40)))
OPERATOR = OperatorKey(bytes(range(0x40, 0x60)))
NAME = "snapshot/00000000000000000042-0001020304050607.json"


def example(kind: str) -> list[str]:
    """The fenced examples of one kind."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_encrypted_object_is_what_is_written() -> None:
    """Byte by byte, and its header is as the ruler says."""
    (text,) = example("hex")
    found = b"".join(bytes.fromhex(line[6:53].strip()) for line in text.splitlines())
    assert seal(KEY, NAME, b"hello, world") == found
    assert "| 72 | | chunks |" in PAGE
    assert encryption.HEADER_SIZE == 72
    assert f"{encryption.CHUNK_SIZE:,}" in PAGE


def test_the_wrapped_key_is_what_is_written() -> None:
    """And opens."""
    text = example("json")[1]
    said = msgspec.json.decode(text, type=WrappedKey)
    made = wrap(
        KEY,
        OPERATOR,
        store=bytes(range(0xA0, 0xB0)).hex(),
        created=Timestamp(1_700_000_000_000_000),
        entropy=SeededEntropy(1),
    )
    assert made == said
    assert unwrap(text.encode(), OPERATOR, name=layout.key_object(KEY.id, OPERATOR.id))[0] == KEY
    assert f"id `{OPERATOR.id}`" in PAGE


def test_the_hidden_name_is_what_is_used() -> None:
    """By the naming key."""
    hidden = hmac.digest(KEY.derive(b"names"), ("ab" * 32).encode(), "sha256").hex()
    assert f"block/{hidden}.blk" in PAGE


def test_versions_and_limits_are_what_is_said() -> None:
    """No number is in the page that is not in the code."""
    assert (bucket.FORMAT, index.INDEX_FORMAT, encryption.VERSION, keys.KEY_FORMAT) == (1, 1, 1, 1)
    assert layout.SEGMENT_SIZE_MAX == layout.BLOCK_SIZE_MAX == 512 << 20
    assert layout.MANIFEST_SIZE_MAX == layout.INDEX_SIZE_MAX == 256 << 20
    assert layout.SMALL_SIZE_MAX == 64 << 10


def test_the_lines_of_a_note_have_the_fields_that_are_said() -> None:
    """In their order."""
    said = re.findall(r'"(\w+)":', example("json")[0])
    entry = ["object", "stored", "sha256", "size"]
    head = ["format", "store", "at", "key"]
    assert said[: len(head)] == head
    assert said[len(head) : len(head) + 4] == entry
    snapshot, segment = SnapshotFacts.__struct_fields__, SegmentFacts.__struct_fields__
    assert said[len(head) + 4 :] == [*entry, "snapshot", *snapshot, *entry, "segment", *segment, "objects", "sha256"]
