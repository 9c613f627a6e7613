"""What is left of a damaged log: every batch that still holds, wherever it lies, and which of them can be linked.

Laws: a batch counts by its own checks alone, so damage costs what it hit and nothing else. It *follows* only where the
chain says so: from a known offset and chain, through every batch, to the first that is missing. The one exception is a
vouching batch that was damaged, where its size alone is missing and the offsets go on: it held no record.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from store.env.world import Disk
from store.errors import CorruptionError
from store.ids import Offset, Position
from store.log.format import (
    BATCH_HEADER_SIZE,
    BODY_HEAD_SIZE,
    MARKER_SIZE,
    SEGMENT_HEADER_SIZE,
    Batch,
    BatchFormat,
    BatchHeader,
    SegmentHeader,
    body_count,
    chain_after,
    decode_segment_header,
    segment_name,
)
from store.log.segment import READ_SIZE, Window, segment_offsets

VOUCH_SIZE: Final = BATCH_HEADER_SIZE + BODY_HEAD_SIZE
"""Bytes of a batch without records."""


@dataclass(frozen=True)
class Damage:
    """Bytes that are not what they should be."""

    file: str
    position: Position
    size: int
    """Bytes until something holds again, or the file ends."""
    what: str
    at_end: bool = False
    """Whether the file ends with it."""


@dataclass(frozen=True)
class Remnant:
    """A batch that holds by itself."""

    batch: Batch
    header_bytes: bytes
    missing: int
    """Damaged bytes right before it."""

    def follows(self, chain: bytes) -> bool:
        """Whether it is the very next batch behind `chain`."""
        return chain_after(chain, self.header_bytes, self.batch.body) == self.batch.chain


class SegmentRemains:
    """Iterate over the batches of one segment that hold, in the order of the file; `damage` grows meanwhile.

    A segment whose header is damaged has none: without its salt nothing in it can be told from noise.
    """

    def __init__(self, disk: Disk, first_offset: Offset) -> None:
        """DirectoryError: a segment of a newer version."""
        self.name = segment_name(first_offset)
        self.first_offset = first_offset
        self.damage: list[Damage] = []
        self.header: SegmentHeader | None = None
        self._disk = disk

    def __iter__(self) -> Iterator[Remnant]:
        self.damage, self.header = [], None
        try:
            file = self._disk.open(self.name)
        except OSError as error:
            self.damage.append(Damage(self.name, Position(0), 0, f"cannot be read: {error}"))
            return
        try:
            window = Window(file, None)
            try:
                header = decode_segment_header(window.take(0, READ_SIZE), file=self.name)
            except CorruptionError as error:
                self.damage.append(Damage(self.name, Position(0), window.size, error.message))
                return
            if header.first_offset != self.first_offset:
                what = f"expected first offset {self.first_offset}, found {header.first_offset}"
                self.damage.append(Damage(self.name, Position(0), window.size, what))
                return
            self.header = header
            yield from self._batches(window, BatchFormat(header.salt))
        finally:
            file.close()

    def _batches(self, window: Window, batches: BatchFormat) -> Iterator[Remnant]:
        position = good = SEGMENT_HEADER_SIZE
        next_offset = self.first_offset
        while position < window.size:
            remnant = self._batch_at(window, batches, position, missing=position - good)
            # An older one is a copy that somebody passed as an argument.
            if remnant is not None and remnant.batch.first_offset >= next_offset:
                self._note(good, position, window.size)
                position = good = remnant.batch.end
                next_offset = Offset(remnant.batch.last_offset + 1)
                yield remnant
            else:
                position = _find_marker(window, batches.marker, position + 1)
        if window.content_end(good) > good:  # Else it is blank.
            self._note(good, window.size, window.size)

    def _batch_at(self, window: Window, batches: BatchFormat, position: int, *, missing: int) -> Remnant | None:
        data = window.take(position, BATCH_HEADER_SIZE)
        header: BatchHeader | None = batches.decode_header(data)
        if header is None or position + BATCH_HEADER_SIZE + header.body_length > window.size:
            return None
        body = window.take(position + BATCH_HEADER_SIZE, header.body_length)
        if batches.body_checksum(body) != header.body_checksum or body_count(body) != header.count:
            return None
        batch = Batch(
            header.first_offset,
            header.count,
            header.durable_offset,
            header.seed,
            header.chain,
            body,
            Position(position),
            self.name,
        )
        return Remnant(batch, data[:BATCH_HEADER_SIZE], missing)

    def _note(self, begin: int, end: int, size: int) -> None:
        if begin < end:
            what = f"{end - begin} bytes that are no whole batch"
            self.damage.append(Damage(self.name, Position(begin), end - begin, what, at_end=end == size))


def remains(disk: Disk) -> list[SegmentRemains]:
    """Every segment, in order, unread."""
    return [SegmentRemains(disk, first) for first in segment_offsets(disk)]


def follow(disk: Disk, offset: Offset, chain: bytes) -> Iterator[Batch]:
    """Every batch of records that provably comes behind `offset`, where the chain is `chain`, without a gap.

    DirectoryError: a segment of a newer version. Damage ends it, unless it lies before `offset`.
    """
    firsts = segment_offsets(disk)
    start = max((index for index, first in enumerate(firsts) if first <= offset), default=0)
    vouch_lost = False
    for first in firsts[start:]:
        segment = SegmentRemains(disk, first)
        linked = False
        """Whether what lies before, in this segment, is ours: then only what is between is in question."""
        for remnant in segment:
            batch = remnant.batch
            if not linked and first == offset + 1 and segment.header is not None:
                chain = segment.header.chain if vouch_lost else chain
                linked = chain == segment.header.chain
            if batch.first_offset <= offset:
                linked = batch.last_offset == offset and batch.chain == chain
            elif batch.first_offset > offset + 1:
                return
            elif remnant.follows(chain) or (linked and batch.count and remnant.missing == VOUCH_SIZE):
                chain, linked = batch.chain, True
                if batch.count:
                    offset = batch.last_offset
                    yield batch
            elif batch.count:
                return
        vouch_lost = linked and _ends_in_lost_vouch(segment)


def _ends_in_lost_vouch(segment: SegmentRemains) -> bool:
    return bool(segment.damage) and segment.damage[-1].size == VOUCH_SIZE and segment.damage[-1].at_end


def _find_marker(window: Window, marker: bytes, begin: int) -> int:
    """Where the next marker begins, at or behind `begin`; the file's size where there is none."""
    while begin + BATCH_HEADER_SIZE <= window.size:
        piece = window.take(begin, min(READ_SIZE, window.size - begin))
        at = piece.find(marker)
        if at >= 0:
            return begin + at
        if len(piece) < MARKER_SIZE:
            break
        begin += len(piece) - MARKER_SIZE + 1
    return window.size
