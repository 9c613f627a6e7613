"""Batches: consecutive events as one compressed object, frozen before it is stored anywhere.

Laws: bytes and name are settled once, here, and never computed again: another version of the compressor would give
other bytes. A frozen batch says by itself where it stands in the tree and in the log.
"""

from hashlib import sha256
from io import BytesIO
from typing import Final

import msgspec
import zstandard

from store.audit.objects.layout import Malformed, batch_name
from store.audit.objects.manifest import VERSION, Manifest, Writer, retain_until
from store.audit.objects.merkle import Span, leaf_hashes, span_of
from store.audit.objects.notes import Signer
from store.ids import Timestamp

EVENTS_MAX: Final = 10_000
"""Events of one batch, by default."""
RAW_SIZE_MAX: Final = 12 << 20
"""Bytes of lines from which on a batch is closed, by default."""
AGE_MAX_S: Final = 5.0
"""Seconds after which a batch is closed, by default."""
SIZE_LIMIT: Final = 64 << 20
"""Bytes of a batch's lines, at most, whatever the options; a reader refuses more."""

_LEVEL: Final = 1
"""As small as level 3 on these lines, at half the time."""

Range = tuple[str, int, int]
"""(epoch as 32 hex digits, first offset, last offset): records that follow each other in one epoch."""


class Frozen(msgspec.Struct, frozen=True):
    """A batch whose bytes will not change any more."""

    log: str
    batch: int
    first: int
    """The first event's sequence: the size of the tree before it."""
    count: int
    t_first: Timestamp
    t_last: Timestamp
    ranges: tuple[Range, ...]
    data: bytes
    """The object: one zstd frame with content size and checksum."""
    sha256: str
    raw_size: int
    roots_before: tuple[bytes, ...]
    """Of the tree before it, as in Span."""
    roots: tuple[bytes, ...]
    """Of its own leaves, as in Span."""

    @property
    def last(self) -> int:
        """The last event's sequence."""
        return self.first + self.count - 1

    @property
    def size_after(self) -> int:
        """Of the tree behind it."""
        return self.first + self.count

    @property
    def name(self) -> str:
        """Its object's name."""
        return batch_name(self.log, self.batch, first=self.first, last=self.last)

    @property
    def before(self) -> Span:
        """The tree before it."""
        return Span(0, self.first, self.roots_before)

    @property
    def span(self) -> Span:
        """Its own leaves."""
        return Span(self.first, self.size_after, self.roots)

    @property
    def after(self) -> Span:
        """The tree behind it."""
        return self.before.then(self.span)

    def manifest(
        self, *, origin: str, prev: str, version_id: str, until: Timestamp, writer: Writer, signer: Signer
    ) -> Manifest:
        """Its manifest, once the object is stored. `prev` is the digest of the manifest before, or NO_MANIFEST."""
        made = Manifest(
            v=VERSION,
            log=self.log,
            origin=origin,
            batch=self.batch,
            prev=prev,
            first=self.first,
            count=self.count,
            t_first=self.t_first,
            t_last=self.t_last,
            ranges=self.ranges,
            key=self.name,
            version_id=version_id,
            sha256=self.sha256,
            size=len(self.data),
            raw_size=self.raw_size,
            size_before=self.first,
            frontier_before=tuple(each.hex() for each in self.roots_before),
            root_before=self.before.root().hex(),
            size_after=self.size_after,
            root_after=self.after.root().hex(),
            retain_until=retain_until(until),
            writer=writer,
        )
        return made.signed(signer)


def freeze(
    *,
    log: str,
    batch: int,
    before: Span,
    lines: list[bytes],
    t_first: Timestamp,
    t_last: Timestamp,
    ranges: tuple[Range, ...],
) -> Frozen:
    """Settle a batch of these lines, at least one, each without its newline. `before` is the tree it goes on from."""
    assert lines
    raw = b"\n".join((*lines, b""))
    data = compress(raw)
    return Frozen(
        log=log,
        batch=batch,
        first=before.end,
        count=len(lines),
        t_first=t_first,
        t_last=t_last,
        ranges=ranges,
        data=data,
        sha256=sha256(data).hexdigest(),
        raw_size=len(raw),
        roots_before=before.roots,
        roots=span_of(before.end, leaf_hashes(lines)).roots,
    )


def compress(raw: bytes) -> bytes:
    """One zstd frame that says its content's size and checksum."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True, write_checksum=True).compress(raw)


def expand(data: bytes) -> bytes:
    """The lines of a batch object. Malformed where it is no such frame, is damaged, or too large."""
    try:
        frame = zstandard.get_frame_parameters(data)
        if not frame.has_checksum or not 0 < frame.content_size <= SIZE_LIMIT:
            raise Malformed(
                f"a batch is a zstd frame with a checksum and a content of 1 to {SIZE_LIMIT} bytes, found"
                f" {frame.content_size} bytes and {'a' if frame.has_checksum else 'no'} checksum"
            )
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Malformed(f"a batch is one whole zstd frame and nothing else: {error}") from None


def lines_of(raw: bytes) -> list[bytes]:
    """The events of a batch's content, without their newlines. Malformed where the last one has no end."""
    lines = raw.split(b"\n")
    if lines.pop():
        raise Malformed("each event ends with a newline, the last one too")
    return lines


def leaves_of(raw: bytes) -> list[bytes]:
    """The leaf hash of each of these lines, none of which is kept: it is read while it is at hand. As `lines_of`."""
    if not raw.endswith(b"\n"):
        raise Malformed("each event ends with a newline, the last one too")
    return leaf_hashes(line[:-1] for line in BytesIO(raw))


encode_frozen: Final = msgspec.msgpack.Encoder().encode
"""A frozen batch for the ledger."""

decode_frozen: Final = msgspec.msgpack.Decoder(Frozen).decode
"""What `encode_frozen` wrote. msgspec.ValidationError or DecodeError where it is none."""
