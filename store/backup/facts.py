"""What there is to know of a segment or a snapshot without its content, found by reading all of it once.

Laws: a segment's facts are found by checking every batch, so nothing damaged is pushed, and nothing is believed that an
index says of an object which nobody of ours has read.
"""

import errno
from typing import Final

import msgspec

from store.env.world import File
from store.errors import CorruptionError
from store.ids import Epoch, Offset, Position, Timestamp
from store.log.format import Batch
from store.log.segment import SegmentScan
from store.snapshot.format import Manifest


class SegmentFacts(msgspec.Struct, frozen=True):
    """Of a sealed segment; hashes and epochs are hex digits."""

    first: Offset
    last: Offset
    epoch: str
    created: Timestamp
    chain_before: str
    chain_after: str
    first_time: Timestamp | None
    """Of its first record; None where the records are of a kind this store cannot read."""
    last_time: Timestamp | None


class SnapshotFacts(msgspec.Struct, frozen=True):
    """Of a verified snapshot; hashes and epochs are hex digits."""

    offset: Offset
    epoch: str
    chain: str
    timestamp: Timestamp
    """Of the record at the offset."""
    taken: Timestamp
    store: str
    rows: int
    bytes: int
    """Of all its files together, shared ones included."""


class BytesFile:
    """A file whose content is in RAM and never changes (File)."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def size(self) -> int:
        """Bytes in it."""
        return len(self._data)

    def read(self, position: Position, length: int) -> bytes:
        """Up to `length` bytes from `position`."""
        return self._data[position : position + length]

    def write(self, position: Position, data: bytes) -> None:
        """Never."""
        raise read_only(f"{len(data)} bytes at {position}")

    def write_out(self, position: Position, length: int) -> None:
        """Nothing to do."""

    def sync(self) -> None:
        """Nothing to do."""

    def truncate(self, size: int) -> None:
        """Never."""
        raise read_only(f"a cut to {size}")

    def close(self) -> None:
        """Nothing to do."""


def read_only(what: str) -> OSError:
    """What is said to whoever would change a backup through its view."""
    return OSError(errno.EROFS, "a backup is only ever read here", what)


def segment_facts(file: File, first: Offset) -> SegmentFacts:
    """Of a whole sealed segment. CorruptionError: any of its bytes is not as it was written."""
    scan = SegmentScan(file, first, last=False, skim_to=Offset(0))
    head: Batch | None = None
    tail: Batch | None = None
    for batch in scan:
        if batch.count:
            head, tail = head or batch, batch
    return SegmentFacts(
        first=first,
        last=Offset(scan.next_offset - 1),
        epoch=scan.header.epoch.hex(),
        created=scan.header.created,
        chain_before=scan.header.chain.hex(),
        chain_after=scan.chain.hex(),
        first_time=_time(head, 0),
        last_time=_time(tail, -1),
    )


def snapshot_facts(manifest: Manifest) -> SnapshotFacts:
    """Of a snapshot whose manifest holds."""
    blocks = [block for table in manifest.tables for block in table.blocks]
    return SnapshotFacts(
        offset=manifest.offset,
        epoch=manifest.epoch.hex(),
        chain=manifest.chain.hex(),
        timestamp=manifest.timestamp,
        taken=manifest.taken,
        store=manifest.store.hex(),
        rows=sum(table.rows for table in manifest.tables),
        bytes=sum(block.size for block in blocks) + manifest.system.size,
    )


def block_files(manifest: Manifest) -> list[tuple[str, int]]:
    """(SHA-256, size) of every block a snapshot needs, its own once each, that of the system among them."""
    blocks = {block.file: block.size for table in manifest.tables for block in table.blocks}
    blocks[manifest.system.file] = manifest.system.size
    return list(blocks.items())


def epoch_of(text: str) -> Epoch:
    """An epoch from its hex digits."""
    return Epoch(bytes.fromhex(text))


class _Head(msgspec.Struct, array_like=True):
    """As much of a record as says when it was."""

    kind: int
    offset: int
    timestamp: int


_heads: Final = msgspec.msgpack.Decoder(list[_Head]).decode


def _time(batch: Batch | None, place: int) -> Timestamp | None:
    if batch is None:
        return None
    try:
        return Timestamp(_heads(batch.body)[place].timestamp)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def refuse_unlike(name: str, expected: object, found: object) -> None:
    """CorruptionError unless what an object holds is what its name, or the index, says of it."""
    if expected != found:
        raise CorruptionError(
            f"expected {expected}, found {found}", file=name, position=0, hint="The object was swapped or made up"
        )
