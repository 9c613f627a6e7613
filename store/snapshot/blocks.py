"""A block: some rows by rising key, or the system part, compressed and checked.

Laws: a block that was cut, or has one bit wrong, is refused by the file alone. What a frame asks for is looked at
before it is given: no block takes more memory than its rows may.
"""

from collections.abc import Sequence
from itertools import islice
from operator import lt
from struct import Struct
from typing import Any, Final

import google_crc32c
import msgspec
import zstandard

from store.codec import ROW_SIZE_MAX, UNSTORABLE
from store.ids import Key
from store.snapshot.format import SNAPSHOT_VERSION, damaged, newer

ROWS_SIZE_MAX: Final = 1 << 28
"""Bytes that the content of a block of rows may have, before compression: hundreds of times the usual."""
SYSTEM_SIZE_MAX: Final = 3 << 30
"""Bytes that the system part may have, before compression: twice what all first answers may take at their bounds."""
FILE_SIZE_MAX: Final = SYSTEM_SIZE_MAX + (SYSTEM_SIZE_MAX >> 8) + (1 << 16)
"""Bytes that a block's file may have: what zstd adds to content that it cannot compress is less."""

MAGIC: Final = b"CMTBLOCK"
# magic, version, header size, flags
_HEADER: Final = Struct("<8sHHI")
# rows, content length, checksum
_TRAILER: Final = Struct("<QII")
_CHECKSUM_SIZE: Final = 4
HEADER_SIZE: Final = _HEADER.size
TRAILER_SIZE: Final = _TRAILER.size
_ROW_SIZE_MIN: Final = 4
"""Bytes that a key and a row have at least in a block: a byte, and a head and an array of one."""
_ROW_SIZE_MAX: Final = 2 * (ROW_SIZE_MAX + 5)
"""Bytes that they have at most: the key lies in the row, too."""
_ARRAYS_SIZE_MAX: Final = 1 + 2 * 5
"""Bytes of the array heads around them."""
COMPRESSION_LEVEL: Final = 3
"""Of zstd: FORMAT.md, Costs, says what others cost."""

assert HEADER_SIZE == 16  # FORMAT.md's ruler says so.
assert TRAILER_SIZE == 16  # FORMAT.md's ruler says so.
_compressor: Final = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
_decompressor: Final = zstandard.ZstdDecompressor()
_encode_rows: Final = msgspec.msgpack.Encoder().encode
_decode_rows: Final[dict[type, Any]] = {
    int: msgspec.msgpack.Decoder(tuple[list[int], list[bytes]]).decode,
    str: msgspec.msgpack.Decoder(tuple[list[str], list[bytes]]).decode,
    bytes: msgspec.msgpack.Decoder(tuple[list[bytes], list[bytes]]).decode,
}


def encode_block(content: bytes, rows: int) -> bytes:
    """A block's file: header, the compressed content, trailer. `rows` is 0 for the system part."""
    assert len(content) <= content_size_max(rows)  # What is written can be read.
    head = _HEADER.pack(MAGIC, SNAPSHOT_VERSION, HEADER_SIZE, 0)
    body: bytes = head + _compressor.compress(content) + _TRAILER.pack(rows, len(content), 0)[:-_CHECKSUM_SIZE]
    checksum: int = google_crc32c.value(body)
    return body + checksum.to_bytes(_CHECKSUM_SIZE, "little")


def decode_block(data: bytes, *, file: str) -> tuple[bytes, int]:
    """A block's content and how many rows it says it has; 0 is the system part.

    CorruptionError where it is damaged, or wants more memory than such a block may; DirectoryError where it is of a
    newer version.
    """
    frame, rows, length = _open_block(data, file)
    if length > content_size_max(rows):
        raise damaged(f"expected at most {content_size_max(rows)} bytes of content, found {length}", file, HEADER_SIZE)
    try:
        # What the frame asks for is looked at before it is given: a few bytes may ask for terabytes.
        if zstandard.get_frame_parameters(frame).content_size != length:
            raise damaged(f"expected a frame of {length} bytes of content", file, HEADER_SIZE)
        content: bytes = _decompressor.decompress(frame, max_output_size=length, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise damaged(f"expected a zstd frame ({error})", file, HEADER_SIZE) from None
    if len(content) != length:
        raise damaged(f"expected {length} bytes of content, found {len(content)}", file, HEADER_SIZE)
    return content, rows


def _open_block(data: bytes, file: str) -> tuple[bytes, int, int]:
    """(frame, rows, content length) of a block whose checksum holds."""
    if len(data) < HEADER_SIZE + TRAILER_SIZE:
        raise damaged(
            f"expected a block of at least {HEADER_SIZE + TRAILER_SIZE} bytes, found {len(data)}", file, len(data)
        )
    magic, version, size, flags = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise damaged(f"expected {MAGIC!r}, found {magic!r}", file, 0)
    place = len(data) - _CHECKSUM_SIZE
    rows, length, checksum = _TRAILER.unpack_from(data, len(data) - TRAILER_SIZE)
    found = google_crc32c.value(data[:place])
    if checksum != found:
        raise damaged(f"expected checksum {checksum:08x}, found {found:08x}", file, place)
    if version != SNAPSHOT_VERSION or flags:
        raise newer(f"{file} is a block of version {version} with flags {flags:#x}")
    if size != HEADER_SIZE:
        raise damaged(f"expected a header of {HEADER_SIZE} bytes, found one of {size}", file, 0)
    return data[HEADER_SIZE:-TRAILER_SIZE], rows, length


def content_size_max(rows: int) -> int:
    """Bytes that the content of a block with so many rows may have; 0 rows are the system part."""
    return min(ROWS_SIZE_MAX, rows * _ROW_SIZE_MAX + _ARRAYS_SIZE_MAX) if rows else SYSTEM_SIZE_MAX


def encode_rows(keys: Sequence[Key], rows: Sequence[bytes]) -> bytes:
    """The content of a block of rows."""
    return _encode_rows((keys, rows))


def decode_rows(content: bytes, *, count: int, kind: type, file: str) -> tuple[list[Key], list[bytes]]:
    """Keys, which are of one `kind` (int, str or bytes) and rise, and rows. CorruptionError where it is else."""
    if count * _ROW_SIZE_MIN > len(content):
        raise damaged(f"expected {count} rows, found {len(content)} bytes of content", file, HEADER_SIZE)
    keys: list[Any]
    try:
        keys, rows = _decode_rows[kind](content)
    except UNSTORABLE as error:
        raise damaged(f"expected {kind.__name__} keys and rows ({error})", file, HEADER_SIZE) from None
    if not len(keys) == len(rows) == count:
        raise damaged(f"expected {count} keys and rows, found {len(keys)} and {len(rows)}", file, HEADER_SIZE)
    if not all(map(lt, keys, islice(keys, 1, None))):
        raise damaged("expected every key to be above the one before", file, HEADER_SIZE)
    return keys, rows
