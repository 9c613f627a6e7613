"""The bytes of a segment header and of a batch, between values and memory; FORMAT.md is the same in prose.

Laws: sizes come from the layouts. Whatever is written is checked by the reader, headers as much as bodies.
The segment's salt enters every check, so neither a caller's argument nor a recycled sector can pose as a batch.
Nothing here knows of files.
"""

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from struct import Struct, error
from typing import Final

import google_crc32c
import msgspec

from store.codec import ARRAY32
from store.errors import CorruptionError, DirectoryError
from store.ids import EPOCH_SIZE, Epoch, Offset, Position, Timestamp

extend: Final[Callable[[int, bytes], int]] = google_crc32c.extend
"""CRC-32C (RFC 3720 §B.4) of the bytes that gave the first value, followed by more bytes."""

FOLDER: Final = "log"
"""Where the segments lie in a data directory."""

FIRST_OFFSET: Final = Offset(1)
"""Of every log that was not cut off in front."""

VERSION: Final = 1
"""The newest format version this code reads, and the one it writes."""

MAGIC: Final = b"CMTSTORE"
SALT_SIZE: Final = 16
SEED_SIZE: Final = 16
CHAIN_SIZE: Final = 32
CHAIN_START: Final = bytes(CHAIN_SIZE)
"""The chain before a log's first batch."""

# magic, version, header size, flags, salt, epoch, first offset, created, chain, checksum
_SEGMENT_HEADER: Final = Struct("<8sHHI16s16sQQ32sI")
# The start that every version shares: magic, version, header size. Its checksum is the header's last four bytes.
_SEGMENT_HEADER_START: Final = Struct("<8sHH")
# marker, header checksum, body checksum, body length, count, first offset, durable offset, seed, chain
_BATCH_HEADER: Final = Struct("<4sIIIIQQ16s32s")
# What the chain covers of a batch's header: body length, count, first offset, durable offset, seed
_CHAINED: Final = Struct("<IIQQ16s")
# The head of a body: a MessagePack array with a 32-bit count. MessagePack is big-endian, all else here is little.
_BODY_HEAD: Final = Struct(">BI")
_CHECKSUM: Final = Struct("<I")

SEGMENT_HEADER_SIZE: Final = _SEGMENT_HEADER.size
BATCH_HEADER_SIZE: Final = _BATCH_HEADER.size
BODY_HEAD_SIZE: Final = _BODY_HEAD.size
MARKER_SIZE: Final = 4
BODY_SIZE_LIMIT: Final = 2**32 - 1

_HEADER_CHECKED_FROM: Final = MARKER_SIZE + _CHECKSUM.size
_CHAINED_FROM: Final = _HEADER_CHECKED_FROM + _CHECKSUM.size
_CHAINED_TO: Final = _CHAINED_FROM + _CHAINED.size

assert SEGMENT_HEADER_SIZE == 100  # FORMAT.md's ruler says so.
assert BATCH_HEADER_SIZE == 84  # FORMAT.md's ruler says so.
assert _CHAINED_TO == BATCH_HEADER_SIZE - CHAIN_SIZE  # The chain covers all that lies before it.
assert _SEGMENT_HEADER.unpack(bytes(SEGMENT_HEADER_SIZE))[5] == bytes(EPOCH_SIZE)  # As ids.py has it.

_NAME: Final = re.compile(r"([0-9]{20})\.log", re.ASCII)
NEW_SUFFIX: Final = ".new"
"""What a segment's name ends with until its header is on disk."""


def segment_name(first_offset: Offset) -> str:
    """The file name, with its folder, of the segment that begins at `first_offset`."""
    return f"{FOLDER}/{first_offset:020d}.log"


def first_offset_of(name: str) -> Offset | None:
    """The first offset a file name (without its folder) stands for, or None: not a segment's name."""
    found = _NAME.fullmatch(name)
    return Offset(int(found[1])) if found else None


class SegmentHeader(msgspec.Struct, frozen=True):
    """What a segment says of itself, once, before its first batch."""

    salt: bytes
    epoch: Epoch
    first_offset: Offset
    created: Timestamp
    chain: bytes
    """The chain value of the last batch before this segment."""


def encode_segment_header(header: SegmentHeader) -> bytes:
    """A segment's first `SEGMENT_HEADER_SIZE` bytes."""
    head = _SEGMENT_HEADER.pack(
        MAGIC,
        VERSION,
        SEGMENT_HEADER_SIZE,
        0,
        header.salt,
        header.epoch,
        header.first_offset,
        header.created,
        header.chain,
        0,
    )[: -_CHECKSUM.size]
    return head + _CHECKSUM.pack(extend(0, head))


def decode_segment_header(data: bytes, *, file: str) -> SegmentHeader:
    """Read a segment's first bytes (as many as the file has, `SEGMENT_HEADER_SIZE` suffice for this version).

    CorruptionError where they are damaged: a header is on disk before its file gets its name. DirectoryError where
    they are intact, but of another version.
    """
    if len(data) < _SEGMENT_HEADER_START.size:
        raise _damaged_header(
            f"expected a segment header of {SEGMENT_HEADER_SIZE} bytes, found {len(data)} in the file", file
        )
    magic, version, size = _SEGMENT_HEADER_START.unpack_from(data)
    if magic != MAGIC:
        raise _damaged_header(f"expected a segment header beginning with {MAGIC!r}, found {magic!r}", file)
    if size < _SEGMENT_HEADER_START.size + _CHECKSUM.size or size > len(data):
        raise _damaged_header(f"expected a segment header of {size} bytes, found {len(data)} in the file", file)
    (expected,) = _CHECKSUM.unpack_from(data, size - _CHECKSUM.size)
    found = extend(0, data[: size - _CHECKSUM.size])
    if expected != found:
        raise _damaged_header(f"expected segment header checksum {expected:08x}, found {found:08x}", file)
    if version != VERSION:
        raise DirectoryError(
            f"{file} was written in format version {version}; this store reads version {VERSION}",
            hint="Open this directory with the version of the store that wrote it, or a later one.",
        )
    if size != SEGMENT_HEADER_SIZE:
        raise _damaged_header(f"expected a segment header of {SEGMENT_HEADER_SIZE} bytes, found one of {size}", file)
    _, _, _, flags, salt, epoch, first_offset, created, chain, _ = _SEGMENT_HEADER.unpack_from(data)
    if flags:
        raise DirectoryError(
            f"{file} uses features this store does not know (flags {flags:#x})",
            hint="Open this directory with the version of the store that wrote it, or a later one.",
        )
    return SegmentHeader(salt, Epoch(epoch), Offset(first_offset), Timestamp(created), chain)


def _damaged_header(message: str, file: str) -> CorruptionError:
    return CorruptionError(message, file=file, position=0, hint=HINT)


HINT: Final = "Run `store log verify` for the full picture; restore from a snapshot or a copy of the directory."


class Batch(msgspec.Struct, frozen=True, gc=False):
    """What is checked as one: `count` records, the first of which has `first_offset`. Count 0 only vouches."""

    first_offset: Offset
    count: int
    durable_offset: Offset
    """How far the log was on disk when this batch was written: always before its own first record."""
    seed: bytes
    """Secret until it is read here: what this batch's random numbers derive from."""
    chain: bytes
    body: bytes
    """A MessagePack array of the records."""
    position: Position
    segment: str
    """The file's name, with its folder."""

    @property
    def last_offset(self) -> Offset:
        """The offset of its last record; for a vouching batch, of the last one before it."""
        return Offset(self.first_offset + self.count - 1)

    @property
    def end(self) -> Position:
        """Where the next batch begins."""
        return Position(self.position + BATCH_HEADER_SIZE + len(self.body))


class BatchHeader(msgspec.Struct, frozen=True, gc=False):
    """A batch's header whose own checksum holds."""

    body_checksum: int
    body_length: int
    count: int
    first_offset: Offset
    durable_offset: Offset
    seed: bytes
    chain: bytes


class BatchFormat:
    """The batches of one segment: everything here is salted with that segment's salt."""

    __slots__ = ("_salted", "marker")

    def __init__(self, salt: bytes) -> None:
        assert len(salt) == SALT_SIZE  # A segment header holds no other.
        self._salted = extend(0, salt)
        digest = sha256(salt).digest()
        # Never all zeros, so that a sector that was never written holds no marker.
        self.marker = bytes((digest[0] | 1,)) + digest[1:MARKER_SIZE]

    def encode(
        self, records: list[bytes], *, first_offset: Offset, durable_offset: Offset, seed: bytes, chain: bytes
    ) -> tuple[bytes, bytes]:
        """A whole batch, and the chain value after it. `chain` is the value before it."""
        return self.frame(join_records(records), len(records), first_offset, durable_offset, seed, chain)

    def frame(
        self, body: bytes, count: int, first_offset: Offset, durable_offset: Offset, seed: bytes, chain: bytes
    ) -> tuple[bytes, bytes]:
        """As `encode`, of records that are joined; by position, for each group waits for it."""
        assert durable_offset < first_offset  # Nothing is durable before it is written.
        chained = _CHAINED.pack(len(body), count, first_offset, durable_offset, seed)
        after = _chain(chain, chained, body)
        return self._frame(chained, after, body), after

    def encode_again(self, batch: Batch) -> bytes:
        """The very bytes `batch` was read from."""
        chained = _CHAINED.pack(len(batch.body), batch.count, batch.first_offset, batch.durable_offset, batch.seed)
        return self._frame(chained, batch.chain, batch.body)

    def _frame(self, chained: bytes, chain: bytes, body: bytes) -> bytes:
        checked = b"".join((_CHECKSUM.pack(extend(self._salted, body)), chained, chain))
        return b"".join((self.marker, _CHECKSUM.pack(extend(self._salted, checked)), checked, body))

    def decode_header(self, data: bytes) -> BatchHeader | None:
        """The header at the start of `data` (at least its size), or None: these bytes are no header of ours."""
        try:
            marker, checksum, *fields = _BATCH_HEADER.unpack_from(data)
        except error:
            return None
        if marker != self.marker or checksum != extend(self._salted, data[_HEADER_CHECKED_FROM:BATCH_HEADER_SIZE]):
            return None
        return BatchHeader(*fields)

    def body_checksum(self, body: bytes) -> int:
        """The salted checksum of a body."""
        return extend(self._salted, body)


def join_records(records: Sequence[bytes]) -> bytes:
    """A batch's body: the records as one MessagePack array."""
    return b"".join((_BODY_HEAD.pack(ARRAY32, len(records)), *records))


def body_count(body: bytes) -> int:
    """The number of records a body says it holds, or -1: it does not begin as a body does."""
    lead, count = _BODY_HEAD.unpack_from(body) if len(body) >= BODY_HEAD_SIZE else (0, 0)
    return int(count) if lead == ARRAY32 else -1


def chain_after(chain: bytes, header_bytes: bytes, body: bytes) -> bytes:
    """The chain value after a batch, from the bytes of its header: SHA-256(before, header before chain, body)."""
    return _chain(chain, header_bytes[_CHAINED_FROM:_CHAINED_TO], body)


def _chain(chain: bytes, chained: bytes, body: bytes) -> bytes:
    digest = sha256(chain + chained)
    digest.update(body)
    return digest.digest()
