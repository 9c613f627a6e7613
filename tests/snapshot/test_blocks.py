"""Blocks: what is read is what was written, or is refused."""

from typing import Any

import google_crc32c
import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from store.errors import CorruptionError, DirectoryError
from store.snapshot.blocks import (
    HEADER_SIZE,
    ROWS_SIZE_MAX,
    SYSTEM_SIZE_MAX,
    content_size_max,
    decode_block,
    decode_rows,
    encode_block,
    encode_rows,
)
from tests.snapshot.scenes import row

FILE = "block/some.blk"
KEYS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True),
    st.lists(st.text(max_size=20), min_size=1, unique=True),
    st.lists(st.binary(max_size=20), min_size=1, unique=True),
)


@given(keys=KEYS, data=st.data())
def test_a_block_reads_back_as_it_was(keys: list[Any], data: st.DataObject) -> None:
    """Keys of every type, rows of any bytes."""
    keys = sorted(keys)
    rows = data.draw(st.lists(st.binary(min_size=2, max_size=60), min_size=len(keys), max_size=len(keys)))
    file = encode_block(encode_rows(keys, rows), len(rows))
    content, count = decode_block(file, file=FILE)
    assert decode_rows(content, count=count, kind=type(keys[0]), file=FILE) == (keys, rows)
    assert count == len(rows)


def test_a_block_that_is_cut_or_flipped_anywhere_is_refused() -> None:
    """At every byte and every bit, by the file alone, without its name."""
    file = encode_block(encode_rows([1, 2], [row(1), row(2)]), 2)
    for cut in range(len(file)):
        with pytest.raises(CorruptionError) as raised:
            decode_block(file[:cut], file=FILE)
        assert raised.value.file == FILE
    for bit in range(8 * len(file)):
        changed = bytearray(file)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptionError):
            decode_block(bytes(changed), file=FILE)


CONTENTS: dict[str, bytes] = {
    "nothing": b"",
    "nil": b"\xc0",
    "fewer keys than rows": msgspec.msgpack.encode([[1], [b"aaaa", b"bbbb"]]),
    "no rows": msgspec.msgpack.encode([[], []]),
    "keys of two types": msgspec.msgpack.encode([[1, "a"], [b"aaaa", b"bbbb"]]),
    "keys of another type": msgspec.msgpack.encode([["1", "2"], [b"aaaa", b"bbbb"]]),
    "truths for keys": msgspec.msgpack.encode([[False, True], [b"aaaa", b"bbbb"]]),
    "fractions for keys": msgspec.msgpack.encode([[1.5, 2.5], [b"aaaa", b"bbbb"]]),
    "texts for rows": msgspec.msgpack.encode([[1, 2], ["aaaa", "bbbb"]]),
    "a third array": msgspec.msgpack.encode([[1, 2], [b"aaaa", b"bbbb"], [3]]),
    "keys that fall": msgspec.msgpack.encode([[2, 1], [b"aaaa", b"bbbb"]]),
    "a key twice": msgspec.msgpack.encode([[1, 1], [b"aaaa", b"bbbb"]]),
    "more than it says": msgspec.msgpack.encode([[1, 2, 3], [b"aaaa", b"bbbb", b"cccc"]]),
    "bytes behind": msgspec.msgpack.encode([[1, 2], [b"aaaa", b"bbbb"]]) + b"\x00",
    "nested without end": b"\x92" + b"\x91" * 100_000,
}


@pytest.mark.parametrize("what", CONTENTS)
def test_content_that_is_no_rows_is_refused(what: str) -> None:
    """Also where every checksum holds: whoever writes a block need not be us."""
    with pytest.raises(CorruptionError):
        decode_rows(CONTENTS[what], count=2, kind=int, file=FILE)


def sealed(body: bytes) -> bytes:
    """A block's bytes with a checksum that holds."""
    return body + int(google_crc32c.value(body)).to_bytes(4, "little")


def block(frame: bytes, rows: int, length: int) -> bytes:
    """A block whose checksum holds, whatever it says."""
    head = encode_block(b"x", 1)[:HEADER_SIZE]
    return sealed(head + frame + rows.to_bytes(8, "little") + length.to_bytes(4, "little"))


def test_a_frame_is_never_larger_than_its_trailer_says() -> None:
    """A bomb is refused by its header, before anything is decompressed."""
    frame = zstandard.ZstdCompressor().compress(bytes(1 << 24))
    for said in (0, 1, 1 << 20, (1 << 24) + 1):
        with pytest.raises(CorruptionError, match="expected a frame of"):
            decode_block(block(frame, 1000, said), file=FILE)
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100))
    with pytest.raises(CorruptionError, match="expected a frame of"):
        decode_block(block(unsized, 1, 100), file=FILE)


def test_a_block_is_never_larger_than_its_rows_may_be() -> None:
    """A bomb that says of itself how large it is, is refused by the limit that has a name."""
    frame = zstandard.ZstdCompressor().compress(bytes(1 << 24))
    with pytest.raises(CorruptionError, match="expected at most"):
        decode_block(block(frame, 1, 1 << 24), file=FILE)
    # A frame header alone, that claims 2^62 bytes: a magic number, a descriptor of an 8-byte size, a window, the size.
    claim = b"\x28\xb5\x2f\xfd\xc0\x00" + (1 << 62).to_bytes(8, "little")
    for rows in (0, 1, 1 << 63):
        for said in (0, 1 << 20, (1 << 32) - 1):
            with pytest.raises(CorruptionError):
                decode_block(block(claim, rows, said), file=FILE)
    assert content_size_max(1) < 1 << 22
    assert content_size_max(1 << 60) == ROWS_SIZE_MAX < SYSTEM_SIZE_MAX == content_size_max(0)


@pytest.mark.parametrize("frame", [b"", b"no frame", zstandard.ZstdCompressor().compress(b"x") + b"more"])
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    """One frame and nothing else lies between header and trailer."""
    with pytest.raises(CorruptionError, match="frame"):
        decode_block(block(frame, 0, 1), file=FILE)


def test_a_block_of_a_newer_version_or_with_unknown_flags_is_refused_as_such() -> None:
    """It is no damage: the newer store reads it."""
    for at in (8, 12):
        body = bytearray(encode_block(b"x", 1)[:-4])
        body[at] += 1
        with pytest.raises(DirectoryError, match="reads up to 1"):
            decode_block(sealed(bytes(body)), file=FILE)
