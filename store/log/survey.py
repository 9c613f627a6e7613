"""What the log holds, from headers alone: which segments, how far they are proven, which chain stands at an offset.

Laws: nothing is changed and no body is believed, so this tells where to look, never what is true; whoever copies or
replays checks every byte. A log may begin behind offset 1, and have gaps: segments that lie before a snapshot may go.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from store.env.world import Disk, File
from store.errors import CorruptionError, DirectoryError
from store.ids import INT_MAX, Epoch, Offset, Position, Timestamp
from store.log.format import (
    BATCH_HEADER_SIZE,
    CHAIN_START,
    FOLDER,
    MARKER_SIZE,
    SEGMENT_HEADER_SIZE,
    BatchFormat,
    SegmentHeader,
    decode_segment_header,
    segment_name,
)
from store.log.segment import SegmentScan, segment_offsets

_SEARCH_SIZE: Final = 1 << 16
"""Bytes at a sealed segment's end in which its last batch is looked for first; it holds any segment header, too."""


@dataclass(frozen=True)
class SegmentInfo:
    """One segment, without its records."""

    name: str
    """With its folder."""
    first_offset: Offset
    last_offset: Offset
    """Of a sealed one, the last it holds; of the open one, the last whose durability a later batch proves.
    `first_offset - 1` where there is none."""
    whole_offset: Offset
    """The last that lies whole in it; of the open one, perhaps behind `last_offset`: it may not be durable yet."""
    epoch: Epoch
    """In force when it was made."""
    created: Timestamp
    chain_before: bytes
    chain_after: bytes
    """Behind all that lies whole in it."""
    size: int
    """Bytes of the file."""
    sealed: bool
    """Whether a later segment exists, so that this one never changes again."""
    first_timestamp: Timestamp | None = None
    """Of its first record, where that is known without reading it."""
    last_timestamp: Timestamp | None = None

    def meets(self, later: "SegmentInfo") -> bool:
        """Whether `later` goes on where this one ends: no gap, one chain."""
        return self.whole_offset + 1 == later.first_offset and self.chain_after == later.chain_before


@runtime_checkable
class Surveyed(Protocol):
    """A Disk that knows its segments without opening them, as one far away does."""

    def segments(self) -> list[SegmentInfo]:
        """As `segments` would find them."""
        ...


def segments(disk: Disk, damaged: list[CorruptionError] | None = None, *, copied: bool = False) -> list[SegmentInfo]:
    """Every segment, in order; [] where there is no log. Reads headers, and of the open one every batch's.

    CorruptionError for a segment header that is damaged, or damage in the open segment that a later batch shows to be
    no torn tail; where `damaged` takes these, what lies before the damage is told, as if the segment ended there.
    DirectoryError for another version. `copied` as LogReader has it.
    """
    if isinstance(disk, Surveyed):
        return disk.segments()
    offsets = segment_offsets(disk)
    noted: list[CorruptionError] = []
    found = [_inspect(disk, first, sealed=first != offsets[-1], damaged=noted, copied=copied) for first in offsets]
    if damaged is None and noted:
        raise noted[0]
    if damaged is not None:
        damaged += noted
    return [each for each in found if each is not None]


def runs(found: list[SegmentInfo]) -> list[list[SegmentInfo]]:
    """The segments in runs that go on without a gap; one run in a log without gaps."""
    parts: list[list[SegmentInfo]] = []
    for each in found:
        if parts and parts[-1][-1].meets(each):
            parts[-1].append(each)
        else:
            parts.append([each])
    return parts


def proven_end(disk: Disk) -> tuple[Offset, bytes]:
    """The end of the last batch whose durability a later batch or segment proves, and the chain behind it.

    Where a segment begins behind it, that is the chain in its header, so the pair outlives the segments before.
    DirectoryError: there is no log.
    """
    offsets = segment_offsets(disk)
    if not offsets:
        raise DirectoryError(
            f"there is no commitlog: no segment in {FOLDER}/",
            hint="Name a store's data directory; a store makes its log on its first start.",
        )
    file = disk.open(segment_name(offsets[-1]))
    try:
        return _skim_through(_scan(file, offsets[-1]))
    finally:
        file.close()


def chain_at(disk: Disk, offset: Offset) -> bytes | None:
    """The chain at `offset`, or None: the log does not hold it as the end of a batch.

    Vouching batches change the chain and not the offset, so there may be several: see `holds`. This one is that in the
    header of the segment that begins behind `offset`, else that of the batch whose last record it is.
    """
    return next(iter(chains_at(disk, offset)), None)


def holds(disk: Disk, offset: Offset, chain: bytes, *, copied: bool = False) -> bool:
    """Whether this log had `chain` at `offset`, before or behind a vouching batch: it is the same history."""
    return chain in chains_at(disk, offset, copied=copied)


def chains_at(disk: Disk, offset: Offset, *, copied: bool = False) -> list[bytes]:
    """Every chain at `offset`, the most lasting one first; [] where no batch ends there.

    CorruptionError where the headers on the way are damaged; `copied` as LogReader has it.
    """
    if offset == 0:
        return [CHAIN_START]
    offsets = segment_offsets(disk)
    found = [read_header(disk, first).chain for first in offsets if first == offset + 1]
    before = [first for first in offsets if first <= offset]
    if before:
        found += _chains_in(disk, before[-1], offset, copied=copied and before[-1] == offsets[-1])
    return list(dict.fromkeys(found))


def read_header(disk: Disk, first_offset: Offset) -> SegmentHeader:
    """A segment's header. CorruptionError, DirectoryError as `decode_segment_header`."""
    name = segment_name(first_offset)
    file = disk.open(name)
    try:
        return decode_segment_header(file.read(Position(0), _SEARCH_SIZE), file=name)
    finally:
        file.close()


def _chains_in(disk: Disk, first_offset: Offset, offset: Offset, *, copied: bool) -> list[bytes]:
    found = []
    file = disk.open(segment_name(first_offset))
    try:
        scan = _scan(file, first_offset, copied=copied)
        for _ in scan.walk():
            if scan.next_offset - 1 == offset:
                found.append(scan.chain)
            elif scan.next_offset > offset:
                break
    finally:
        file.close()
    return found


def _inspect(
    disk: Disk, first_offset: Offset, *, sealed: bool, damaged: list[CorruptionError], copied: bool
) -> SegmentInfo | None:
    file = disk.open(segment_name(first_offset))
    try:
        found = _last_batch(file, first_offset) if sealed else None
        if found is None:  # The open one, or a sealed one that is damaged at its end.
            scan = _scan(file, first_offset, copied=copied and not sealed)
            proven, _ = _skim_through(scan, damaged)
            found = scan.header, Offset(scan.next_offset - 1), scan.chain
        header, whole, chain = found
        return SegmentInfo(
            name=segment_name(first_offset),
            first_offset=first_offset,
            last_offset=whole if sealed else proven,
            whole_offset=whole,
            epoch=header.epoch,
            created=header.created,
            chain_before=header.chain,
            chain_after=chain,
            size=file.size(),
            sealed=sealed,
        )
    except CorruptionError as error:  # Its header: nothing in it can be read.
        damaged.append(error)
        return None
    finally:
        file.close()


def _scan(file: File, first_offset: Offset, *, copied: bool = False) -> SegmentScan:
    """By headers alone, but for a batch that ends the file; damage at the end is a torn tail, as in a last segment."""
    return SegmentScan(file, first_offset, last=True, skim_to=Offset(INT_MAX), copied=copied)


def _skim_through(scan: SegmentScan, damaged: list[CorruptionError] | None = None) -> tuple[Offset, bytes]:
    """To the end; the last batch of records that the segment itself proves, or where it begins."""
    proven = Offset(scan.next_offset - 1), scan.chain
    unproven: deque[tuple[Offset, bytes]] = deque()
    try:
        for each in scan.walk():
            if each.count:
                unproven.append((Offset(scan.next_offset - 1), scan.chain))
            while unproven and unproven[0][0] <= scan.durable_offset:
                proven = unproven.popleft()
    except CorruptionError as error:
        if damaged is None:
            raise
        damaged.append(error)
    return proven


def _last_batch(file: File, first_offset: Offset) -> tuple[SegmentHeader, Offset, bytes] | None:
    """(header, last offset, chain) of a whole segment, found from its end; None where no whole batch ends the file."""
    size = file.size()
    header = decode_segment_header(file.read(Position(0), _SEARCH_SIZE), file=segment_name(first_offset))
    if size == SEGMENT_HEADER_SIZE:
        return header, Offset(first_offset - 1), header.chain
    batches = BatchFormat(header.salt)
    length = _SEARCH_SIZE
    while True:
        begin = max(size - length, SEGMENT_HEADER_SIZE)
        data = file.read(Position(begin), size - begin)
        at = data.rfind(batches.marker)
        while at >= 0:
            last = batches.decode_header(data[at : at + BATCH_HEADER_SIZE])
            if last is not None and begin + at + BATCH_HEADER_SIZE + last.body_length == size:
                if batches.body_checksum(data[at + BATCH_HEADER_SIZE :]) != last.body_checksum:
                    return None
                return header, Offset(last.first_offset + last.count - 1), last.chain
            at = data.rfind(batches.marker, 0, at + MARKER_SIZE - 1)
        if begin == SEGMENT_HEADER_SIZE:
            return None
        length *= 8
