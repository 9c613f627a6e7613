"""FORMAT.md is true: its examples are what the code writes, and an object it shows is read as it says."""

import base64
import re
from pathlib import Path

import pytest

from store import audit
from store.audit.objects import batches, json_form, layout, manifest, merkle, notes
from store.audit.objects.batches import expand, lines_of
from store.audit.objects.checkpoint import read_checkpoint, read_proof
from store.audit.objects.layout import key_name
from store.audit.objects.manifest import Manifest, read_manifest
from store.audit.objects.merkle import leaf_hash
from store.audit.recording import events, members
from store.audit.recording.taxonomy import KIND_NAMES
from store.audit.signing.keys import read_succession
from tests.audit import worked_example

PAGE = (Path(audit.__file__).parent / "FORMAT.md").read_text("utf-8")
SHOWN = dict(re.findall(r"```([a-z]+)\n(.*?)\n?```", PAGE, re.DOTALL))
DATA = base64.b64decode(SHOWN["batch"])


@pytest.mark.parametrize("name", ["events", "leaves", "root", "batch", "manifest", "checkpoint", "key", "proof"])
def test_an_example_is_what_is_written(name: str) -> None:
    """Byte by byte; the object is given, for another compressor may write other bytes."""
    assert worked_example.blocks(DATA)[name] == SHOWN[name]


def test_the_object_holds_the_events() -> None:
    """Whatever version of the compressor wrote it."""
    assert b"\n".join(lines_of(expand(DATA))).decode() == SHOWN["events"]


def test_the_example_verifies() -> None:
    """As §10 says, by the code that reads."""
    key, witness = worked_example.KEY.key, worked_example.WITNESS.key
    found = read_manifest(SHOWN["manifest"].encode())
    assert found.signed_by(key)
    checkpoint, note = read_checkpoint((SHOWN["checkpoint"] + "\n").encode())
    assert set(note.signed_by([key, witness])) == {key, witness}
    assert checkpoint.root.hex() == found.root_after == SHOWN["root"]
    name = key_name(worked_example.LOG, key.key_id)
    assert read_succession(worked_example.LOG, {name: (SHOWN["key"] + "\n").encode()}).in_force(3) == key
    assert read_proof((SHOWN["proof"] + "\n").encode()).shows(leaf_hash(SHOWN["events"].split("\n")[2].encode()))


def section(number: str) -> str:
    """One section's text."""
    return re.split(r"\n##+ ", PAGE.split(f"# {number}  ")[1])[0]


def names(text: str) -> set[str]:
    """The first column of a table, each name by itself."""
    cells = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([a-z_0-9.]+)`", cell)}


def test_every_member_is_in_the_tables() -> None:
    """Of a manifest, and of events; and the tables have no other."""
    assert names(section("8")) == set(Manifest.__struct_fields__)
    inner = set(re.findall(r'(?<=[{,])"([a-z_]+)":', SHOWN["events"].split('"unmapped":')[-1]))
    assert inner - {"after_sha256", "before_sha256", "key", "op", "table", "owner"} <= names(section("4.1"))


def test_every_kind_is_named() -> None:
    """As events name it."""
    (cell,) = re.findall(r"^\| `kind` \| (.*?) \|", PAGE, re.MULTILINE)
    assert set(re.findall(r"`([a-z_]+)`", cell)) - {"other"} == set(KIND_NAMES.values())


def test_limits_are_what_is_said() -> None:
    """No number is in the page that is not in the code."""
    assert (manifest.VERSION, events.EVENT_VERSION, events.OCSF_VERSION) == (1, 1, "1.8.0")
    assert batches.SIZE_LIMIT == 64 << 20
    assert f"{members.ARGS_SIZE_MAX:,} characters" in PAGE
    assert f"{events.WRITES_MAX:,}" in PAGE
    assert f"{members.KEY_SIZE_MAX:,} characters" in PAGE
    assert f"{members.DETAIL_SIZE_MAX:,} characters" in PAGE
    assert json_form.NUMBER_MAX == 2**53 - 1 == manifest.INT_SAFE - 1
    assert (layout.ROOT, merkle.HASH_SIZE, notes.KEY_ID_SIZE) == ("audit/v1/", 32, 4)
