"""Manifests: what is read is what was written, or is refused."""

import hashlib
import json

import msgspec
import pytest

from store.errors import CorruptionError, DirectoryError
from store.snapshot.format import (
    Manifest,
    content_of,
    fingerprint_of,
)
from store.snapshot.manifest import decode_manifest, encode_manifest
from tests.snapshot.scenes import disk_with_one

MANIFEST = disk_with_one()[1]
ENCODED = encode_manifest(MANIFEST)


def test_a_manifest_reads_back_as_it_was() -> None:
    """Byte for byte the same again."""
    assert decode_manifest(ENCODED, file="m") == MANIFEST
    assert encode_manifest(decode_manifest(ENCODED, file="m")) == ENCODED


def test_a_manifest_is_json_lines() -> None:
    """A person with any tool can read what is there."""
    head, *tables, trailer = [json.loads(line) for line in ENCODED.splitlines()]
    assert (head["snapshot"], head["offset"], [each["name"] for each in tables]) == (1, 7, ["numbers", "words"])
    assert (trailer["rows"], trailer["tables"]) == (22, 2)


def test_a_manifest_that_is_cut_anywhere_is_refused() -> None:
    """With its file, and the place where it ends."""
    for cut in range(len(ENCODED)):
        with pytest.raises(CorruptionError) as raised:
            decode_manifest(ENCODED[:cut], file="m")
        assert raised.value.file == "m"
        assert 0 <= raised.value.position <= cut


def test_a_manifest_with_any_bit_flipped_is_refused() -> None:
    """None reads as another one."""
    for bit in range(8 * len(ENCODED)):
        changed = bytearray(ENCODED)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptionError) as raised:
            decode_manifest(bytes(changed), file="m")
        assert raised.value.file == "m"
        assert 0 <= raised.value.position <= len(ENCODED)


def test_bytes_behind_a_manifest_are_refused() -> None:
    """Nothing follows the trailer."""
    for more in (b"\n", b"x", ENCODED):
        with pytest.raises(CorruptionError):
            decode_manifest(ENCODED + more, file="m")


def forged(manifest: Manifest) -> bytes:
    """A manifest whose own hashes hold, whatever it says."""
    return encode_manifest(
        msgspec.structs.replace(
            manifest,
            fingerprint=fingerprint_of(manifest.tables),
            content=content_of(manifest.tables, manifest.system),
        )
    )


REPLACE = msgspec.structs.replace
NUMBERS, WORDS = MANIFEST.tables
FIRST, SECOND, *REST = NUMBERS.blocks
HOSTILE: dict[str, tuple[bytes, bytes]] = {
    "a path for a block": (FIRST.file.encode(), b"../../../../etc/passwd".ljust(64, b"x")),
    "a path for the system": (MANIFEST.system.file.encode(), b"/" * 64),
    "a digest in capitals": (FIRST.file.encode(), FIRST.file.upper().encode()),
    "a block without rows": (b'",%d,%d,"' % (FIRST.size, FIRST.rows), b'",%d,0,"' % FIRST.size),
    "a block without bytes": (b'",%d,%d,"' % (FIRST.size, FIRST.rows), b'",0,%d,"' % FIRST.rows),
    "a key that is a list": (b'"00"', b'"90"'),
    "a key that is no MessagePack": (b'"00"', b'"c1"'),
    "a table that stands there twice": (b'"table":2', b'"table":1'),
    "a negative table": (b'"table":2', b'"table":-2'),
    "an offset of 0": (b'"offset":7', b'"offset":0'),
    "a short chain": (MANIFEST.chain.hex().encode(), b"00"),
    "a short epoch": (MANIFEST.epoch.hex().encode(), b"00"),
    "a schema that is no base64": (b'"schema":"', b'"schema":"?'),
    "another fingerprint": (MANIFEST.fingerprint.encode(), b"0" * 64),
    "another content": (MANIFEST.content.encode(), b"0" * 64),
    "rows that do not add up": (b'"rows":20', b'"rows":21'),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_manifest_that_somebody_made_up_is_refused(what: str) -> None:
    """Its hash holds, and still nothing that it says is believed."""
    old, new = HOSTILE[what]
    assert old in ENCODED
    *lines, trailer = ENCODED.replace(old, new).splitlines(keepends=True)
    said = json.loads(trailer) | {"sha256": hashlib.sha256(b"".join(lines)).hexdigest()}
    with pytest.raises(CorruptionError):
        decode_manifest(b"".join(lines) + msgspec.json.encode(said) + b"\n", file="m")


def test_blocks_out_of_order_are_refused() -> None:
    """Ranges of keys rise, and do not overlap."""
    for blocks in ((SECOND, FIRST, *REST), (FIRST, FIRST)):
        table = REPLACE(NUMBERS, blocks=blocks, rows=sum(each.rows for each in blocks))
        with pytest.raises(CorruptionError, match="rising key"):
            decode_manifest(forged(REPLACE(MANIFEST, tables=(table, WORDS))), file="m")


def test_a_manifest_of_a_newer_version_is_refused_as_such() -> None:
    """Even where nothing else of it can be read."""
    lines = b'{"snapshot":2,"new":[]}\nwhatever\n'
    end = b'{"blocks":[],"sha256":"%b"}\n' % hashlib.sha256(lines).hexdigest().encode()
    with pytest.raises(DirectoryError, match="snapshot version 2"):
        decode_manifest(lines + end, file="m")
