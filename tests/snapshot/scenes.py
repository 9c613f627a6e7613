"""Snapshots in memory, in the words of the tests: tables as dicts, kept as a snapshot, read back."""

from collections.abc import Mapping, Sequence

import msgspec

from store.env.memory import MemoryDisk
from store.env.world import Disk
from store.ids import ColumnId, Epoch, Key, Offset, SchemaVersion, TableId, Timestamp
from store.schema import ColumnSchema, Schema, TableSchema
from store.snapshot.format import Manifest, TableContent, content_of, fingerprint_of
from store.snapshot.merge import merge
from store.snapshot.repository import Repository
from store.values import encode

EPOCH = Epoch(bytes(range(16)))
NOW = Timestamp(1_700_000_000_000_000)
BLOCK_SIZE = 256
"""Bytes: small, so that a few rows are many blocks."""

Rows = dict[Key, bytes]
"""One table as a model has it."""


def row(key: Key, value: str = "value") -> bytes:
    """A row of [value, key]: the key is not its first column."""
    return encode([value, key])


def table_of(count: int, *, value: str = "value") -> Rows:
    """A table of so many rows, with keys 0, 10, 20 and so on."""
    return {key: row(key, value) for key in range(0, count * 10, 10)}


def schema_of(table: int, name: str, **columns: str) -> TableSchema:
    """A table with these columns, by name and type; the one called id or key is the key."""
    made = tuple(
        ColumnSchema(ColumnId(number), column, kind, nullable=False, default=None)
        for number, (column, kind) in enumerate(columns.items(), start=1)
    )
    key = next(each.id for each in made if each.name in {"id", "key"})
    return TableSchema(
        TableId(table), name, public=True, columns=made, primary_key=key, auto_increment=False, indexes=()
    )


def keep(
    disk: Disk,
    schemas: Sequence[TableSchema],
    tables: Sequence[Rows],
    *,
    offset: int,
    base: Manifest | None = None,
    block_size: int = BLOCK_SIZE,
) -> Manifest:
    """Write a snapshot of these tables as a taking does; with a base, what changed since is found and merged in."""
    repository = Repository(disk)
    repository.remove_leftovers()
    before = {} if base is None else {each.table: each.blocks for each in base.tables}
    contents = []
    for schema, rows in zip(schemas, tables, strict=True):
        blocks = before.get(schema.id, ())
        old: Rows = dict(pair for ref in blocks for pair in zip(*repository.block(ref), strict=True))
        changes = {key: rows.get(key) for key in {*old, *rows} if old.get(key) != rows.get(key)}
        merged = merge(repository, blocks, changes, schema.id, block_size)
        contents.append(TableContent(schema.id, schema.name, len(rows), 1, merged))
    system = repository.put_system(b"the system part of %d" % offset)
    manifest = Manifest(
        store=EPOCH,
        epoch=EPOCH,
        offset=Offset(offset),
        timestamp=Timestamp(NOW + offset),
        taken=NOW,
        chain=bytes(range(32)),
        schema=msgspec.msgpack.encode(Schema(SchemaVersion(1), tuple(schemas))),
        tables=tuple(contents),
        system=system,
        fingerprint=fingerprint_of(contents),
        content=content_of(contents, system),
    )
    repository.check(manifest)
    repository.put_manifest(manifest)
    repository.note_verified(f"{offset:020d}", NOW, manifest.fingerprint)
    return manifest


def snapshot(disk: Disk, tables: Sequence[Rows], *, offset: int = 7, base: Manifest | None = None) -> Manifest:
    """Write a snapshot of tables whose rows `row` made."""
    schemas = [
        schema_of(number, f"table_{number}", value="str", key=_type_name(rows))
        for number, rows in enumerate(tables, start=1)
    ]
    return keep(disk, schemas, tables, offset=offset, base=base)


def sample(disk: Disk) -> Manifest:
    """A snapshot of three small tables, one for each type a key may have."""
    numbers: Rows = table_of(60)
    names: Rows = {f"name {number:03d}": row(f"name {number:03d}") for number in range(9)}
    digests: Rows = {bytes((number,) * 4): row(bytes((number,) * 4)) for number in range(5)}
    return snapshot(disk, [numbers, names, digests])


def disk_with_one() -> tuple[MemoryDisk, Manifest]:
    """A disk with one snapshot, of numbers and words with their texts."""
    disk = MemoryDisk()
    schemas = [schema_of(1, "numbers", id="int", text="str"), schema_of(2, "words", id="str", text="str")]
    numbers: Rows = {number: encode([number, f"text {number}"]) for number in range(20)}
    words: Rows = {word: encode([word, "a word"]) for word in ("one", "two")}
    return disk, keep(disk, schemas, [numbers, words], offset=7, block_size=40)


def rows_of(repository: Repository, manifest: Manifest) -> list[Rows]:
    """The tables of a snapshot."""
    return [
        dict(pair for ref in table.blocks for pair in zip(*repository.block(ref), strict=True))
        for table in manifest.tables
    ]


def flipped(data: bytes, bit: int) -> bytes:
    """The same bytes with one bit turned over."""
    turned = bytearray(data)
    turned[bit // 8] ^= 1 << bit % 8
    return bytes(turned)


def _type_name(rows: Mapping[Key, bytes]) -> str:
    return type(next(iter(rows))).__name__ if rows else "int"
