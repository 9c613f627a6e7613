"""What snapshots add up to, and the page of their bytes."""

import hashlib
import re
from pathlib import Path

import store.snapshot.format as snapshot_format
from store.ids import Offset, TableId
from store.snapshot.blocks import (
    HEADER_SIZE,
    MAGIC,
    TRAILER_SIZE,
    decode_block,
    decode_rows,
    encode_block,
    encode_rows,
)
from store.snapshot.format import (
    block_file,
    manifest_file,
    row_sum,
    snapshot_name,
)
from store.snapshot.manifest import decode_manifest, encode_manifest
from store.values import encode
from tests.snapshot.scenes import disk_with_one, row

FILE = "block/some.blk"
PAGE = (Path(snapshot_format.__file__).parent / "FORMAT.md").read_text()
MANIFEST = disk_with_one()[1]
ENCODED = encode_manifest(MANIFEST)


def test_the_fingerprint_is_the_sum_over_all_rows() -> None:
    """However they are cut into blocks."""
    rows = [row(key) for key in range(10)]
    parts = [int(row_sum(TableId(3), part), 16) for part in (rows[:4], rows[4:])]
    assert f"{sum(parts) % 2**256:064x}" == row_sum(TableId(3), rows)
    assert row_sum(TableId(3), rows) != row_sum(TableId(4), rows)


def test_names_say_where_things_lie() -> None:
    """And sort as their offsets do."""
    assert manifest_file(snapshot_name(Offset(42))) == "snapshot/00000000000000000042.json"
    assert block_file("ab") == "block/ab.blk"
    assert MAGIC == b"CMTBLOCK"
    assert HEADER_SIZE == TRAILER_SIZE == 16


def on_the_page(language: str) -> str:
    """The first example of that kind in FORMAT.md."""
    found, *_ = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_page_shows_the_bytes_of_a_block() -> None:
    """FORMAT.md's worked example is what the code writes, and reads."""
    shown = b"".join(bytes.fromhex(line[6:53]) for line in on_the_page("hex").splitlines())
    rows = [encode([1, "ada"]), encode([2, "bob"])]
    assert encode_block(encode_rows([1, 2], rows), 2) == shown
    content, count = decode_block(shown, file=FILE)
    assert decode_rows(content, count=count, kind=int, file=FILE) == ([1, 2], rows)
    assert f"block/{hashlib.sha256(shown).hexdigest()}.blk" in PAGE


def test_the_page_shows_the_lines_of_a_manifest() -> None:
    """They name that block, and are what the code writes."""
    shown = on_the_page("json").encode()
    manifest = decode_manifest(shown, file="m")
    assert encode_manifest(manifest) == shown
    [block_ref] = manifest.tables[0].blocks
    assert f"block/{block_ref.file}.blk" in PAGE
    assert block_ref.sum == manifest.fingerprint == row_sum(TableId(1), [encode([1, "ada"]), encode([2, "bob"])])
