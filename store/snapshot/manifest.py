"""The manifest: the lines that name a snapshot's blocks, and come last.

Laws: it ends in a trailer over all before it: cut anywhere, or one bit flipped, it is refused with file and position.
Nothing that is read from it names a file outside the blocks, whoever wrote it.
"""

import base64
import hashlib
from typing import Any, Final

import msgspec

from store.codec import UNSTORABLE
from store.ids import EPOCH_SIZE, INT_MAX, Epoch, Offset, TableId, Timestamp
from store.snapshot.format import (
    DIGEST,
    KEY_TYPES,
    SNAPSHOT_VERSION,
    BlockRef,
    Manifest,
    SystemRef,
    TableContent,
    content_of,
    damaged,
    fingerprint_of,
    newer,
)

_TIME_MAX: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999: a later one nobody can write down, so who lists it would stumble."""


class _Head(msgspec.Struct, frozen=True):
    """The first line."""

    snapshot: int
    store: str
    epoch: str
    offset: Offset
    timestamp: Timestamp
    taken: Timestamp
    chain: str
    schema: str
    system: SystemRef
    fingerprint: str
    content: str


class _TableLine(msgspec.Struct, frozen=True):
    """A line for each table; a block is [file, size, rows, first, last, sum], its keys as hexadecimal MessagePack."""

    table: TableId
    name: str
    rows: int
    next_key: int
    blocks: tuple[tuple[str, int, int, str, str, str], ...]


class _Trailer(msgspec.Struct, frozen=True):
    """The last line: what all before it adds up to."""

    tables: int
    blocks: int
    rows: int
    bytes: int
    sha256: str


class _Seal(msgspec.Struct, frozen=True):
    """What of a last line every version has."""

    sha256: str


class _Version(msgspec.Struct, frozen=True):
    """What of a first line every version has."""

    snapshot: int


_encode: Final = msgspec.json.Encoder().encode
_encode_key: Final = msgspec.msgpack.Encoder().encode
_decode_key: Final = msgspec.msgpack.Decoder().decode
_decode_version: Final = msgspec.json.Decoder(_Version).decode
_decode_head: Final = msgspec.json.Decoder(_Head).decode
_decode_table: Final = msgspec.json.Decoder(_TableLine).decode
_decode_seal: Final = msgspec.json.Decoder(_Seal).decode


def encode_manifest(manifest: Manifest) -> bytes:
    """A manifest's file: a line for the head, one for each table, and the trailer."""
    head = _Head(
        snapshot=SNAPSHOT_VERSION,
        store=manifest.store.hex(),
        epoch=manifest.epoch.hex(),
        offset=manifest.offset,
        timestamp=manifest.timestamp,
        taken=manifest.taken,
        chain=manifest.chain.hex(),
        schema=base64.b64encode(manifest.schema).decode(),
        system=manifest.system,
        fingerprint=manifest.fingerprint,
        content=manifest.content,
    )
    lines: list[Any] = [head]
    for table in manifest.tables:
        blocks = tuple(
            (each.file, each.size, each.rows, _encode_key(each.first).hex(), _encode_key(each.last).hex(), each.sum)
            for each in table.blocks
        )
        lines.append(_TableLine(table.table, table.name, table.rows, table.next_key, blocks))
    data = b"".join(_encode(each) + b"\n" for each in lines)
    return data + _encode(_trailer_of(manifest, data)) + b"\n"


def decode_manifest(data: bytes, *, file: str) -> Manifest:
    """A manifest's file as a manifest. CorruptionError where one bit is wrong; DirectoryError for a newer version.

    Of every version the last line says the hash of all before it, so damage is told from what is newer.
    """
    lines = data.split(b"\n")
    if len(lines) < 3 or lines[-1]:
        raise damaged("expected a manifest that ends in its trailer and a line feed", file, len(data))
    place = len(data) - len(lines[-2]) - 1
    try:
        expected = _decode_seal(lines[-2]).sha256
    except UNSTORABLE as error:
        raise damaged(f"expected the trailer ({error})", file, place) from None
    digest = hashlib.sha256(data[:place]).hexdigest()
    if expected != digest:
        raise damaged(f"expected SHA-256 {expected:.64} of the lines before, found {digest}", file, place)
    _check_version(lines[0], file)
    try:
        manifest = _assemble(_decode_head(lines[0]), [_decode_table(line) for line in lines[1:-2]])
    except UNSTORABLE as error:
        raise damaged(f"expected a manifest's lines ({error})", file, 0) from None
    if _encode(_trailer_of(manifest, data[:place])) != lines[-2]:
        raise damaged("expected a trailer that adds up", file, place)
    return manifest


def _check_version(line: bytes, file: str) -> None:
    """An undamaged manifest of another version is not corruption."""
    try:
        version = _decode_version(line).snapshot
    except UNSTORABLE as error:
        raise damaged(f"expected the head of a manifest ({error})", file, 0) from None
    if version != SNAPSHOT_VERSION:
        raise newer(f"{file} is of snapshot version {version}")


def _assemble(head: _Head, lines: list[_TableLine]) -> Manifest:
    """The manifest that the lines say. ValueError says what cannot be."""
    tables = tuple(
        TableContent(each.table, each.name, each.rows, each.next_key, tuple(_block(*block) for block in each.blocks))
        for each in lines
    )
    manifest = Manifest(
        store=_epoch(head.store),
        epoch=_epoch(head.epoch),
        offset=head.offset,
        timestamp=head.timestamp,
        taken=head.taken,
        chain=bytes.fromhex(head.chain),
        schema=base64.b64decode(head.schema, validate=True),
        tables=tables,
        system=head.system,
        fingerprint=head.fingerprint,
        content=head.content,
    )
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    """What a sound manifest fulfils beside its hash: ValueError where somebody made one up."""
    _expect(1 <= manifest.offset <= INT_MAX and manifest.timestamp >= 0, "an offset from 1 and a timestamp")
    _expect(max(manifest.timestamp, manifest.taken) <= _TIME_MAX, "times before the year 10000")
    _expect(len(manifest.chain) == hashlib.sha256().digest_size, "a chain of 32 bytes")
    _expect(bool(DIGEST.fullmatch(manifest.system.file)) and manifest.system.size > 0, "the system's block")
    _expect(len({each.table for each in manifest.tables}) == len(manifest.tables), "every table once")
    for table in manifest.tables:
        _expect(0 < table.table < 1 << 32, f"a table id, not {table.table}")
        _expect(table.rows == sum(each.rows for each in table.blocks), f"{table.rows} rows in {table.name}")
        last: Any = None
        for block in table.blocks:
            _expect(last is None or last < block.first, f"blocks of {table.name} by rising key")
            last = block.last
    _expect(manifest.fingerprint == fingerprint_of(manifest.tables), "a fingerprint that adds up")
    _expect(manifest.content == content_of(manifest.tables, manifest.system), "the hash of its blocks in order")


def _block(file: str, size: int, rows: int, first: str, last: str, part: str) -> BlockRef:
    lowest, highest = _decode_key(bytes.fromhex(first)), _decode_key(bytes.fromhex(last))
    _expect({type(lowest), type(highest)} in KEY_TYPES, f"keys of one type, not {first:.80} and {last:.80}")
    _expect(bool(DIGEST.fullmatch(file)) and bool(DIGEST.fullmatch(part)), f"a digest, not {file:.80}")
    _expect(size > 0 and rows > 0 and lowest <= highest, f"a block with rows, not {rows}")
    return BlockRef(file, size, rows, lowest, highest, part)


def _trailer_of(manifest: Manifest, data: bytes) -> _Trailer:
    blocks = sum(len(each.blocks) for each in manifest.tables)
    return _Trailer(len(manifest.tables), blocks, manifest.rows, manifest.size, hashlib.sha256(data).hexdigest())


def _epoch(text: str) -> Epoch:
    epoch = bytes.fromhex(text)
    _expect(len(epoch) == EPOCH_SIZE, f"an epoch of {EPOCH_SIZE} bytes, not {text:.80}")
    return Epoch(epoch)


def _expect(holds: bool, what: str) -> None:  # noqa: FBT001  # What is expected reads best first.
    if not holds:
        raise ValueError(f"expected {what}")
