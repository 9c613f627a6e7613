"""A log that ends earlier: the same segment written into another directory, behind any offset in it.

Laws: the source is only read, and every byte that goes over was checked there. What comes over whole keeps its bytes;
a batch that is cut in its middle keeps its seed, its first offset and its records' bytes, so its calls run again as
they did. The end is vouched for, so that later damage there is never taken for a torn tail.
"""

from hashlib import sha256
from typing import Final

from store.codec import split_batch
from store.env.world import Disk, File
from store.errors import CorruptionError
from store.ids import Epoch, Offset, Position, Timestamp
from store.log.format import (
    BODY_HEAD_SIZE,
    FOLDER,
    HINT,
    NEW_SUFFIX,
    SEED_SIZE,
    Batch,
    BatchFormat,
    SegmentHeader,
    encode_segment_header,
    segment_name,
)
from store.log.segment import SegmentScan, create_segment

_WRITE_SIZE: Final = 1 << 20


def cut(source: Disk, target: Disk, first_offset: Offset, through: Offset) -> bytes:
    """Write the segment that begins at `first_offset` into `target`, ending behind `through`; durable when it returns.

    Returns the chain behind `through`, before the vouching batch. CorruptionError: the source is damaged before it, or
    ends before it. OSError: the target holds at most a file named `.new`.
    """
    assert first_offset <= through
    name = segment_name(first_offset)
    file = source.open(name)
    try:
        scan = SegmentScan(file, first_offset, last=True, skim_to=Offset(0))
        return _write(scan, target, through)
    finally:
        file.close()


def begin(target: Disk, *, first_offset: Offset, epoch: Epoch, created: Timestamp, chain: bytes, salt: bytes) -> None:
    """Make an empty segment in `target`: what a log that begins behind a snapshot has first. Durable."""
    create_segment(target, SegmentHeader(salt, epoch, first_offset, created, chain)).close()


def _write(scan: SegmentScan, target: Disk, through: Offset) -> bytes:
    name = segment_name(scan.header.first_offset)
    fresh = target.create(name + NEW_SUFFIX)
    try:
        writer = _Writer(fresh)
        writer.write(encode_segment_header(scan.header))
        last = _write_batches(scan, writer, through)
        writer.write(_vouch(scan.header, last))
        writer.flush()
        fresh.sync()
    finally:
        fresh.close()
    target.rename(name + NEW_SUFFIX, name)
    target.sync_directory(FOLDER)
    return last.chain


def _write_batches(scan: SegmentScan, writer: "_Writer", through: Offset) -> Batch:
    """All through `through`, of which the last is returned, as written."""
    batches = BatchFormat(scan.header.salt)
    chain = scan.header.chain
    for batch in scan:
        if batch.count and batch.last_offset >= through:
            last = shorten(batch, batches, chain, through)
            writer.write(batches.encode_again(last))
            return last
        writer.write(batches.encode_again(batch))
        chain = batch.chain
    raise CorruptionError(
        f"expected offset {through}, found {scan.torn or 'the end'} behind offset {scan.next_offset - 1}",
        file=scan.name,
        position=scan.position,
        hint=HINT,
    )


def shorten(batch: Batch, batches: BatchFormat, chain: bytes, through: Offset) -> Batch:
    """The batch without the records behind `through`; itself where there are none. `chain` is that before it."""
    count = through - batch.first_offset + 1
    if count == batch.count:
        return batch
    assert 0 < count < batch.count
    records = [bytes(each) for each in split_batch(batch.body)[:count]]
    data, after = batches.encode(
        records,
        first_offset=batch.first_offset,
        durable_offset=batch.durable_offset,
        seed=batch.seed,
        chain=chain,
    )
    body = data[len(data) - sum(map(len, records)) - BODY_HEAD_SIZE :]
    return Batch(
        batch.first_offset,
        count,
        batch.durable_offset,
        batch.seed,
        after,
        body,
        batch.position,
        batch.segment,
    )


def _vouch(header: SegmentHeader, last: Batch) -> bytes:
    """An empty batch that says all through `last` is durable: it is, once the file it ends has its name."""
    data, _ = BatchFormat(header.salt).encode(
        [],
        first_offset=Offset(last.last_offset + 1),
        durable_offset=last.last_offset,
        seed=sha256(last.chain).digest()[:SEED_SIZE],  # Used for nothing, and the same when it is done again.
        chain=last.chain,
    )
    return data


class _Writer:
    """A file written from its start in large pieces."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._position = 0
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _WRITE_SIZE:
            self.flush()

    def flush(self) -> None:
        data = b"".join(self._parts)
        self._file.write(Position(self._position), data)
        self._position += len(data)
        self._parts, self._size = [], 0
