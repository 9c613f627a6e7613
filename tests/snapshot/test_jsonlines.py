"""A snapshot as JSON Lines: the same there and back, or refused."""

import base64
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.codec import RowCodec
from store.env.memory import MemoryDisk
from store.errors import CorruptionError, DirectoryError
from store.ids import Epoch, Offset, SchemaVersion, TableId, Timestamp
from store.schema import Schema, Table
from store.snapshot.format import Manifest, TableContent, content_of, fingerprint_of
from store.snapshot.jsonlines import LINE_SIZE_MAX, export_lines, import_lines
from store.snapshot.merge import merge
from store.snapshot.repository import Repository
from store.values import Json
from tests.data.domain import Blob, Thing, Token, Word
from tests.snapshot.scenes import disk_with_one, rows_of

INTS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
THINGS = st.builds(
    Thing,
    id=INTS,
    name=TEXT,
    code=st.none() | st.binary(max_size=9) | st.just(base64.b64decode("null")),
    weight=st.floats(allow_nan=False, allow_infinity=False),
    there=st.booleans(),
    price=st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda each: each or Decimal(0)),
    made=st.none() | st.datetimes(timezones=st.just(UTC)),
    mark=st.none() | st.uuids(),
    notes=st.none() | st.builds(Json, st.dictionaries(TEXT, INTS | TEXT | st.none(), max_size=3)),
    tags=st.lists(TEXT, max_size=3).map(tuple),
)
WORDS = st.builds(Word, text=TEXT, count=INTS)
BLOBS = st.builds(Blob, digest=st.binary(max_size=8), body=st.binary(max_size=30))
TOKENS = st.builds(Token, id=st.uuids(), holder=st.none() | TEXT)
TABLES: tuple[type[Table], ...] = (Thing, Word, Blob, Token)
SCHEMA = Schema(
    SchemaVersion(1),
    tuple(msgspec.structs.replace(each.__table__, id=TableId(n)) for n, each in enumerate(TABLES, start=1)),
)


def snapshot(repository: Repository, rows: list[list[Any]], system: bytes) -> Manifest:
    """A snapshot of these rows."""
    contents = []
    for schema, row_type, found in zip(SCHEMA.tables, TABLES, rows, strict=True):
        codec: RowCodec[Any] = RowCodec(schema, row_type)
        pairs = [codec.canonical(each) for each in found]
        stored = {codec.key(row): data for row, data in pairs}
        blocks = merge(repository, (), dict(stored), schema.id, 300)
        contents.append(TableContent(schema.id, schema.name, len(stored), len(stored) + 5, blocks))
    kept = repository.put_system(system)
    manifest = Manifest(
        store=Epoch(b"s" * 16),
        epoch=Epoch(b"e" * 16),
        offset=Offset(7),
        timestamp=Timestamp(8),
        taken=Timestamp(9),
        chain=b"c" * 32,
        schema=msgspec.msgpack.encode(SCHEMA),
        tables=tuple(contents),
        system=kept,
        fingerprint=fingerprint_of(contents),
        content=content_of(contents, kept),
    )
    repository.put_manifest(manifest)
    return manifest


def lines_of(disk: MemoryDisk, manifest: Manifest) -> list[bytes]:
    """The snapshot as lines."""
    return list(export_lines(Repository(disk), manifest))


def imported(lines: list[bytes], disk: MemoryDisk | None = None) -> Manifest:
    """The snapshot of these lines, on a disk of its own."""
    return import_lines(lines, Repository(disk or MemoryDisk()), block_size=300)


@settings(deadline=None)
@given(rows=st.tuples(*(st.lists(each, max_size=6) for each in (THINGS, WORDS, BLOBS, TOKENS))), system=st.binary())
def test_a_snapshot_comes_back_as_it_went(rows: tuple[list[Any], ...], system: bytes) -> None:
    """Every type of column and key, every row byte for byte, the system part, and the fingerprint."""
    disk, other = MemoryDisk(), MemoryDisk()
    manifest = snapshot(Repository(disk), list(rows), system)
    back = imported(lines_of(disk, manifest), other)
    assert rows_of(Repository(other), back) == rows_of(Repository(disk), manifest)
    assert Repository(other).system(back) == system
    same = {name: getattr(manifest, name) for name in ("store", "epoch", "offset", "timestamp", "chain", "schema")}
    assert {name: getattr(back, name) for name in same} == same
    assert back.fingerprint == manifest.fingerprint
    assert [each.next_key for each in back.tables] == [each.next_key for each in manifest.tables]
    assert Repository(other).manifest("00000000000000000007") == back


def test_rows_are_json_that_people_read() -> None:
    """Numbers that JSON readers would round as decimal strings; times by RFC 3339; bytes as base64."""
    disk = MemoryDisk()
    thing = Thing(
        id=2**60,
        name="é",
        code=b"\x00\xff",
        price=Decimal("1.50"),
        made=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        mark=uuid.UUID(int=1),
        notes=Json({"a": [1]}),
        tags=("x",),
    )
    lines = lines_of(disk, snapshot(Repository(disk), [[thing], [Word(text="a", count=3)], [], []], b""))
    first, second = [json.loads(line) for line in lines if line.startswith(b'{"table"')]
    assert first == {
        "table": "thing",
        "row": [
            "1152921504606846976", "é", "AP8=", 0.0, False, "1.5", "2026-01-02T03:04:05Z",
            "00000000-0000-0000-0000-000000000001", '{"a":[1]}', ["x"],
        ],
    }  # fmt: skip
    assert second == {"table": "word", "row": ["a", 3]}


def test_the_first_line_says_what_the_columns_are_called() -> None:
    """So that the lines can be read without us."""
    disk, manifest = disk_with_one()
    head = json.loads(lines_of(disk, manifest)[0])
    assert (head["snapshot_lines"], head["offset"]) == (1, 7)
    assert [(each["name"], each["columns"], each["rows"]) for each in head["tables"]] == [
        ("numbers", ["id", "text"], 20),
        ("words", ["id", "text"], 2),
    ]


HARMS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "nothing": lambda _: [],
    "no first line": lambda lines: lines[1:],
    "no last line": lambda lines: lines[:-1],
    "a row left out": lambda lines: lines[:5] + lines[6:],
    "a row twice": lambda lines: lines[:5] + lines[4:],
    "rows exchanged": lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]],
    "a row altered": lambda lines: [each.replace(b"text 3", b"text 4", 1) for each in lines],
    "a row of another table": lambda lines: [lines[0], lines[1].replace(b"numbers", b"words"), *lines[2:]],
    "a row of no table": lambda lines: [lines[0], lines[1].replace(b"numbers", b"nothing"), *lines[2:]],
    "a column too many": lambda lines: [lines[0], lines[1].replace(b"]", b",1]"), *lines[2:]],
    "a wrong type": lambda lines: [lines[0], lines[1].replace(b"[0,", b"[0.5,"), *lines[2:]],
    "an empty line": lambda lines: [*lines[:3], b"\n", *lines[3:]],
    "no JSON": lambda lines: [*lines[:3], b"?\n", *lines[3:]],
    "a line without an end": lambda lines: [*lines[:3], lines[3].rstrip(b"\n"), *lines[4:]],
    "a huge line": lambda lines: [*lines[:3], b'{"system":"' + b"A" * LINE_SIZE_MAX + b'"}\n', *lines[3:]],
    "something behind": lambda lines: [*lines, lines[1]],
    "no system": lambda lines: [each for each in lines if not each.startswith(b'{"system"')],
    "a broken schema": lambda lines: [lines[0].replace(b'"schema":"', b'"schema":"AAAA'), *lines[1:]],
    "another fingerprint": lambda lines: [*lines[:-1], lines[-1].replace(b'"fingerprint":"', b'"fingerprint":"0')],
}


@pytest.mark.parametrize("harm", HARMS)
def test_lines_that_were_touched_are_refused(harm: str) -> None:
    """With the number of the line; and no snapshot is there afterwards."""
    disk, manifest = disk_with_one()
    other = MemoryDisk()
    with pytest.raises(CorruptionError, match="line"):
        imported(HARMS[harm](lines_of(disk, manifest)), other)
    assert Repository(other).names() == []


def test_lines_cut_at_any_byte_are_refused() -> None:
    """Nothing that was cut passes for all of it."""
    disk, manifest = disk_with_one()
    whole = b"".join(lines_of(disk, manifest))
    for cut in range(0, len(whole), 7):
        with pytest.raises(CorruptionError):
            imported(whole[:cut].splitlines(keepends=True))


def test_lines_of_a_newer_version_are_refused_as_such() -> None:
    """They are not damaged: the newer store reads them."""
    disk, manifest = disk_with_one()
    first, *rest = lines_of(disk, manifest)
    with pytest.raises(DirectoryError, match="version 2"):
        imported([first.replace(b'"snapshot_lines":1', b'"snapshot_lines":2'), *rest])


@pytest.mark.parametrize("number", [5, 2**60])
def test_what_looks_like_null_is_not(number: int) -> None:
    """Bytes whose base64 reads "null" stay bytes, also beside an integer that is spelled."""
    disk, code = MemoryDisk(), base64.b64decode("null")
    rows: list[list[Any]] = [[Thing(id=number, name="null", code=code)], [], [], []]
    manifest = snapshot(Repository(disk), rows, b"")
    other = MemoryDisk()
    assert rows_of(Repository(other), imported(lines_of(disk, manifest), other)) == rows_of(Repository(disk), manifest)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("store", "xyz"),
        ("epoch", "00"),
        ("chain", ""),
        ("offset", 0),
        ("timestamp", -1),
        ("schema", "kgCQ"),
        ("schema", ""),
    ],
)
def test_a_head_that_somebody_made_up_is_refused(name: str, value: object) -> None:
    """Though every hash holds; nothing is there afterwards."""
    disk, manifest = disk_with_one()
    first, *rest, last = lines_of(disk, manifest)
    lines = [json.dumps(json.loads(first) | {name: value}).encode() + b"\n", *rest]
    end = json.loads(last)
    end["end"]["sha256"] = sha256(b"".join(lines)).hexdigest()
    other = MemoryDisk()
    with pytest.raises(CorruptionError):
        imported([*lines, json.dumps(end).encode() + b"\n"], other)
    assert Repository(other).names() == []


def test_rows_that_do_not_fit_the_schema_are_corruption() -> None:
    """A snapshot that cannot be said is not said by halves."""
    disk, manifest = disk_with_one()
    for schema in (SCHEMA, Schema(SchemaVersion(1), ())):
        wrong = msgspec.structs.replace(manifest, schema=msgspec.msgpack.encode(schema))
        with pytest.raises(CorruptionError, match=r"snapshot/00000000000000000007\.json"):
            lines_of(disk, wrong)
