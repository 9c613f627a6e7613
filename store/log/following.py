"""The log as somebody reads it while it grows: every batch once, in order, when it is proven durable.

Laws: a batch is given out only when a later batch or a later segment proves that it was durable, so nothing is ever
given out that a crash could take back. Reading changes nothing. What is remembered between two reads is a place behind
proven batches; every read opens the file anew, so a segment may come, and one that is empty may be made anew.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from store.env.world import Disk, File
from store.errors import CorruptionError, DirectoryError
from store.ids import Epoch, Offset, Position
from store.log.format import BATCH_HEADER_SIZE, FOLDER, Batch, segment_name
from store.log.segment import Place, SegmentScan, segment_offsets

READ_MAX: Final = 4 << 20
"""Bytes of batches that one read gives out, unless told otherwise; one batch at least."""


class Followed(NamedTuple):
    """A batch that is proven durable, with the epoch in force when its segment was made."""

    epoch: Epoch
    batch: Batch


class Follower:
    """Reads a log from behind an offset on. `read` again and again; an idle log costs two looks at the directory.

    The first batch given out is the one that holds the record behind `after`; it may begin before that.
    """

    def __init__(self, disk: Disk, *, after: Offset, ended: bool = False) -> None:
        """`ended`: nobody writes this log any more; what lies whole at its end is given out, proven or not."""
        self._ended: Final = ended
        self._disk: Final = disk
        self._after: Final = after
        self._segment: Offset | None = None
        """The first offset of the segment in which the next batch lies."""
        self._place: Place | None = None
        """Behind the last batch given out or passed, in that segment; None at its beginning."""
        self._chain: bytes | None = None
        """Behind the segment before; None where none was read."""
        self._idle: tuple[Offset, int, Position] | None = None
        """(segment, bytes, the end of its batches) in which nothing more was proven."""
        self.offset = after
        """Of the last record given out, or passed."""

    def read(self, size_max: int = READ_MAX) -> list[Followed]:
        """What is proven by now, about `size_max` bytes of it; [] where nothing is new.

        DirectoryError: there is no log. CorruptionError: it is damaged, begins too late, or has lost what was proven.
        """
        found: list[Followed] = []
        size = 0
        for each in self._proven():
            if each.batch.count and each.batch.last_offset > self._after:
                found.append(each)
                size += len(each.batch.body)
                self.offset = each.batch.last_offset
            if size >= size_max:
                break
        return found

    def _proven(self) -> Iterator[Followed]:
        """Every proven batch from the place on; the place moves behind each as it is given out."""
        while True:
            offsets = segment_offsets(self._disk)
            first = self._find(offsets)
            sealed = first != offsets[-1]
            file = self._open(first)
            try:
                size = file.size()
                if not sealed and self._is_idle(file, first, size):
                    return
                scan = self._scan(file, first, sealed=sealed)
                for batch in _proven_of(scan, all_of_it=sealed or self._ended):
                    self._place = Place.behind(batch)
                    yield Followed(scan.header.epoch, batch)
            finally:
                file.close()
            if not sealed:
                self._idle = first, size, scan.position
                return
            self._chain, self._place = scan.chain, None
            self._segment = _successor(offsets, scan)

    def _is_idle(self, file: File, first: Offset, size: int) -> bool:
        """Whether it is as it was: as long, and where it ended there is nothing, or zeros."""
        if self._idle is None or self._idle[:2] != (first, size):
            return False
        return not file.read(self._idle[2], BATCH_HEADER_SIZE).strip(b"\0")

    def _find(self, offsets: list[Offset]) -> Offset:
        """The segment to go on in."""
        if not offsets:
            raise DirectoryError(
                f"there is no commitlog: no segment in {FOLDER}/", hint="Name the data directory of a store"
            )
        if self._segment is None:
            before = [each for each in offsets if each <= self._after + 1]
            if not before:
                raise self._begins_late(offsets[0])
            self._segment = before[-1]
        elif self._segment not in offsets:
            raise self._begins_late(offsets[0])
        return self._segment

    def _begins_late(self, first: Offset) -> CorruptionError:
        return CorruptionError(
            f"expected the log behind offset {self.offset}, found it beginning at offset {first}",
            file=segment_name(first),
            position=0,
            hint="What lay between was let go or removed before it was followed; a backup may still hold it",
        )

    def _open(self, first: Offset) -> File:
        try:
            return self._disk.open(segment_name(first))
        except FileNotFoundError:  # It went between two looks.
            raise self._begins_late(Offset(first + 1)) from None

    def _scan(self, file: File, first: Offset, *, sealed: bool) -> SegmentScan:
        scan = SegmentScan(file, first, last=not sealed, skim_to=Offset(self._after + 1))
        place = self._place
        if place is None:
            self._check_chain(scan)
        elif place.position <= scan.size:
            scan.go_on(place)
        else:
            raise CorruptionError(
                f"expected at least {place.position} bytes, of which offset {place.next_offset - 1} was proven durable,"
                f" found {scan.size}",
                file=scan.name,
                position=scan.size,
                hint="The log lost what it had vouched for: compare it with a backup before anything is started on it",
            )
        return scan

    def _check_chain(self, scan: SegmentScan) -> None:
        if self._chain is not None and scan.header.chain != self._chain:
            raise CorruptionError(
                f"expected chain {self._chain.hex()}, found {scan.header.chain.hex()}",
                file=scan.name,
                position=0,
                hint="This segment does not continue the one before; `store log verify` gives the full picture",
            )


def _proven_of(scan: SegmentScan, *, all_of_it: bool) -> Iterator[Batch]:
    """The batches of a scan that are proven, vouching ones in front of proven records among them."""
    waiting: list[Batch] = []
    for batch in scan:
        waiting.append(batch)
        proven = len(waiting) if all_of_it else 0
        for index, each in enumerate(waiting):
            if each.count and each.last_offset <= scan.durable_offset:
                proven = index + 1
        yield from waiting[:proven]
        del waiting[:proven]


def _successor(offsets: list[Offset], scan: SegmentScan) -> Offset:
    """The segment behind a sealed one that was read to its end."""
    following = [each for each in offsets if each >= scan.next_offset and each != scan.header.first_offset]
    if not following or following[0] != scan.next_offset:
        raise CorruptionError(
            f"expected offset {scan.next_offset} next, found {following[:1] or 'nothing'}",
            file=scan.name,
            position=scan.position,
            hint="A segment between is missing; `store log verify` gives the full picture",
        )
    return following[0]
