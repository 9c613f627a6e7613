"""The whole log, read in order from any offset: for recovery, followers, `store log dump` and `store log verify`.

Laws: reading changes nothing. Segments follow each other without a gap and in one chain. A torn tail ends the
reading and is reported; corruption is raised. A log may be read while it is written: of what was appended after the
reader was made it may see something, and that whole.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from store.env.world import Disk
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, Position
from store.log.format import FIRST_OFFSET, FOLDER, HINT, Batch, SegmentHeader, segment_name
from store.log.segment import SegmentScan, segment_offsets

Progress = Callable[[int, int], None]
"""Told (bytes done, bytes in all), about once a mebibyte and once at the end."""


@dataclass(frozen=True)
class Tail:
    """How the log ends."""

    segment: str
    """The last segment's file name, with its folder."""
    position: Position
    """Behind its last whole batch."""
    torn_bytes: int
    """Bytes behind that, which are no batch and not blank."""
    blank_bytes: int
    """Zeros behind all of that."""
    torn: str
    """What was found there, or "" for nothing."""
    last_offset: Offset
    proven_offset: Offset
    """The highest offset that the log itself proves to have been durable."""
    chain: bytes
    """After the last whole batch."""
    header: SegmentHeader
    """The last segment's."""


class LogReader:
    """Iterate once over the batches from the one that holds `from_offset`; vouching batches are among them.

    Batches before it in its segment are passed by their headers; with `check_all` they are checked whole and come,
    too. `through` ends the reading behind the batch that holds that offset.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        from_offset: Offset = FIRST_OFFSET,
        through: Offset | None = None,
        check_all: bool = False,
        copied: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """DirectoryError: there is no log. CorruptionError: it begins behind `from_offset`.

        `copied`: the directory is a copy that was not opened yet, perhaps of a log that was being written.
        """
        self._disk = disk
        self._from_offset = from_offset
        self._through = through
        self._check_all = check_all
        self._copied = copied
        self._progress = progress
        self._segments = _segments_from(disk, from_offset)
        sizes = [_size(disk, segment_name(first)) for first in self._segments]
        self.bytes_total = sum(sizes)
        self._bytes_before = dict(zip(self._segments, (sum(sizes[:i]) for i in range(len(sizes))), strict=True))
        self.tail: Tail | None = None
        """Known once the iteration has come to the end of the log."""

    def __iter__(self) -> Iterator[Batch]:
        before: SegmentScan | None = None
        for first_offset in self._segments:
            file = self._disk.open(segment_name(first_offset))
            try:
                scan = SegmentScan(
                    file,
                    first_offset,
                    last=first_offset == self._segments[-1],
                    skim_to=Offset(0) if self._check_all else self._from_offset,
                    copied=self._copied,
                    progress=self._told(first_offset),
                )
                _check_succession(before, scan)
                for batch in scan:
                    yield batch
                    if self._through is not None and batch.last_offset >= self._through:
                        return
            finally:
                file.close()
            before = scan
        assert before is not None  # There is no log without segments.
        self.tail = _tail(before)
        if self._progress is not None:
            self._progress(self.bytes_total, self.bytes_total)

    def _told(self, first_offset: Offset) -> Callable[[int], None] | None:
        progress, total, before = self._progress, self.bytes_total, self._bytes_before[first_offset]
        return None if progress is None else lambda done: progress(min(before + done, total), total)


def _segments_from(disk: Disk, from_offset: Offset) -> list[Offset]:
    offsets = segment_offsets(disk)
    if not offsets:
        raise DirectoryError(
            f"there is no commitlog: no segment in {FOLDER}/",
            hint="Name a store's data directory; a store makes its log on its first start.",
        )
    if offsets[0] > from_offset:
        raise CorruptionError(
            f"expected a segment that holds offset {from_offset}, found the log beginning at offset {offsets[0]}",
            file=segment_name(offsets[0]),
            position=0,
            hint=HINT,
        )
    start = max(index for index, first in enumerate(offsets) if first <= from_offset)
    return offsets[start:]


def _size(disk: Disk, name: str) -> int:
    file = disk.open(name)
    try:
        return file.size()
    finally:
        file.close()


def _check_succession(before: SegmentScan | None, scan: SegmentScan) -> None:
    """A segment is made when all before it is there: it begins where that ended."""
    if before is None:
        return
    if scan.header.first_offset != before.next_offset:
        raise CorruptionError(
            f"expected offset {before.next_offset} next (readable through offset {before.next_offset - 1}), "
            f"found {scan.name}",
            file=before.name,
            position=before.position,
            hint=HINT,
        )
    if scan.header.chain != before.chain:
        raise CorruptionError(
            f"expected chain {before.chain.hex()} (readable through offset {before.next_offset - 1}), "
            f"found {scan.header.chain.hex()}",
            file=scan.name,
            position=0,
            hint=HINT,
        )


def _tail(scan: SegmentScan) -> Tail:
    return Tail(
        segment=scan.name,
        position=scan.position,
        torn_bytes=scan.content_end - scan.position,
        blank_bytes=scan.size - scan.content_end,
        torn=scan.torn,
        last_offset=Offset(scan.next_offset - 1),
        proven_offset=scan.durable_offset,
        chain=scan.chain,
        header=scan.header,
    )
