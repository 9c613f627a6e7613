"""One segment: how it comes to be, and how its batches are read back without believing one wrong byte.

Laws: a segment gets its name when its header is on disk and everything before it is durable, so a damaged header is
corruption and so is any damage in front of a later segment. Damage at the end of the last segment is a torn tail,
unless a later batch says that something at or behind the damage was durable: then somebody may have been told. Zeros
up to the end of the last segment are blank: laid there for what comes, or never written.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, NoReturn

from store.env.world import Disk, File
from store.errors import CorruptionError
from store.ids import INT_MAX, Offset, Position
from store.log.format import (
    BATCH_HEADER_SIZE,
    CHAIN_START,
    FOLDER,
    HINT,
    NEW_SUFFIX,
    SEGMENT_HEADER_SIZE,
    Batch,
    BatchFormat,
    BatchHeader,
    SegmentHeader,
    body_count,
    chain_after,
    decode_segment_header,
    encode_segment_header,
    first_offset_of,
    segment_name,
)

READ_SIZE: Final = 1 << 20
"""Bytes asked of the disk at a time while scanning; a larger batch is read in one piece."""


BLANK_SIZE_MIN: Final = 4_096
"""Zeros behind a torn batch from which they are taken for blank, not for its own."""


def create_segment(disk: Disk, header: SegmentHeader) -> File:
    """Make the segment on disk, under its name, open for writing behind its header. All before it is durable."""
    name = segment_name(header.first_offset)
    file = disk.create(name + NEW_SUFFIX)
    file.write(Position(0), encode_segment_header(header))
    file.sync()
    disk.rename(name + NEW_SUFFIX, name)
    disk.sync_directory(FOLDER)
    return file


def segment_offsets(disk: Disk) -> list[Offset]:
    """The first offsets of all segments, in order. Other files are not ours to judge."""
    return sorted(offset for name in disk.names(FOLDER) if (offset := first_offset_of(name)) is not None)


def remove_unfinished(disk: Disk) -> None:
    """Remove segments that never got their name: nothing was ever written behind their headers."""
    for name in disk.names(FOLDER):
        base = name.removesuffix(NEW_SUFFIX)
        if base != name and first_offset_of(base) is not None:
            disk.remove(f"{FOLDER}/{name}")


class Window:
    """A file read ahead in large pieces, up to the size it had when it was opened."""

    __slots__ = ("_data", "_file", "_progress", "_start", "size")

    def __init__(self, file: File, progress: Callable[[int], None] | None) -> None:
        self._file = file
        self._progress = progress
        self._start = 0
        self._data = b""
        self.size = file.size()

    def forget(self) -> None:
        """Read anew what is asked for next."""
        self._data = b""

    def content_end(self, begin: int) -> int:
        """Where the blank begins that ends the file: at `begin` where there are but zeros, else behind what is there.

        A few zeros at the end of something are a part of it.
        """
        end = self.size
        while end > begin:
            start = max(begin, end - READ_SIZE)
            left = len(self._file.read(Position(start), end - start).rstrip(b"\0"))
            if left:
                return start + left if start + left + BLANK_SIZE_MIN <= self.size else self.size
            end = start
        return begin

    def take(self, position: int, length: int) -> bytes:
        """The bytes at `position`; fewer only at the end of the file."""
        begin = position - self._start
        if begin < 0 or begin + length > len(self._data):
            wanted = min(max(length, READ_SIZE), self.size - position)
            self._data = self._file.read(Position(position), wanted)
            self._start = position
            begin = 0
            if self._progress is not None:
                self._progress(position + len(self._data))
        return self._data[begin : begin + length]


class Place(NamedTuple):
    """Behind a batch of a segment: where a later scan may go on."""

    position: Position
    next_offset: Offset
    durable_offset: Offset
    """How far the batches before it prove that the log was durable."""
    chain: bytes

    @classmethod
    def behind(cls, batch: Batch) -> "Place":
        """Where the next batch begins."""
        return cls(batch.end, Offset(batch.last_offset + 1), batch.durable_offset, batch.chain)


class SegmentScan:
    """The batches of one segment, each checked whole. What is left to say stands in the fields after the last one."""

    __slots__ = ("_copied", "_doubted", "_format", "_last", "_proof", "_skim_to", "_window", "chain", "content_end",
                 "durable_offset", "header", "name", "next_offset", "position", "torn")  # fmt: skip

    def __init__(
        self,
        file: File,
        first_offset: Offset,
        *,
        last: bool,
        skim_to: Offset,
        copied: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Read the header: CorruptionError or DirectoryError. Batches before `skim_to` are passed by their headers.

        `copied`: the file was copied by whatever copies files, perhaps while it was written.
        """
        self.name = segment_name(first_offset)
        self.next_offset = first_offset
        """Of the record that would come next."""
        self._window = Window(file, progress)
        self.header = decode_segment_header(self._window.take(0, READ_SIZE), file=self.name)
        if self.header.first_offset != first_offset:
            self._refuse(0, f"expected first offset {first_offset}, found {self.header.first_offset}")
        if first_offset == 1 and self.header.chain != CHAIN_START:
            self._refuse(0, f"expected the chain to begin with zeros, found {self.header.chain.hex()}")
        self._format = BatchFormat(self.header.salt)
        self._last = last
        self._skim_to = skim_to
        self._copied = copied
        self.chain = self.header.chain
        """After the last whole batch."""
        self.position = Position(SEGMENT_HEADER_SIZE)
        """Behind the last whole batch."""
        self.durable_offset = Offset(first_offset - 1)
        """The highest that any whole batch here proves."""
        self.torn = ""
        """What was found behind the last whole batch, or "" for nothing but blank."""
        self.content_end = self._window.size
        """Once all is read: where the blank begins, or the end of the file."""
        self._doubted, self._proof = -1, ""

    def go_on(self, place: Place) -> None:
        """Begin behind what an earlier scan of the same segment has read."""
        self.position, self.next_offset, self.durable_offset, self.chain = place

    @property
    def size(self) -> int:
        """Bytes of the file, torn ones and blank included."""
        return self._window.size

    def __iter__(self) -> Iterator[Batch]:
        return (each for each in self.walk() if isinstance(each, Batch))

    def walk(self) -> Iterator[Batch | BatchHeader]:
        """Every batch in order, those before `skim_to` as their headers alone; the fields stand behind it."""
        take, size, decode_header = self._window.take, self._window.size, self._format.decode_header
        body_checksum, name = self._format.body_checksum, self.name
        while self.position < size:
            position = self.position
            data = take(position, BATCH_HEADER_SIZE)
            header = decode_header(data)
            if header is None:
                found = f"{size - position} bytes" if size - position < BATCH_HEADER_SIZE else "damaged bytes"
                if self._is_end(position + 1, f"expected a batch header, found {found}"):
                    return
                continue
            self._check_place(header)
            end = position + BATCH_HEADER_SIZE + header.body_length
            if end > size:
                found = f"expected a batch of {end - position} bytes, found {size - position}"
                if self._is_end(position + BATCH_HEADER_SIZE, found):
                    return
                continue
            after = Offset(header.first_offset + header.count)
            if after <= self._skim_to and end < size and take(end, 1) != b"\0":  # Behind it is no blank.
                self._pass(header, end, after)
                yield header
                continue
            body = take(position + BATCH_HEADER_SIZE, header.body_length)
            checksum = body_checksum(body)
            if checksum != header.body_checksum:
                found = f"expected batch checksum {header.body_checksum:08x}, found {checksum:08x}"
                if self._is_end(position + BATCH_HEADER_SIZE, found):
                    return
                continue
            self._check_content(header, data, body)
            self._pass(header, end, after)
            yield Batch(
                header.first_offset,
                header.count,
                header.durable_offset,
                header.seed,
                header.chain,
                body,
                position,
                name,
            )

    def _pass(self, header: BatchHeader, end: int, after: Offset) -> None:
        """A batch is whole. What a torn one says of earlier ones is cut with it, so it does not count."""
        self.chain, self.position = header.chain, Position(end)
        self.next_offset, self.durable_offset = after, header.durable_offset

    def _check_place(self, header: BatchHeader) -> None:
        """An intact header of this segment in the wrong place was moved, or what was before it is missing."""
        if header.first_offset != self.next_offset:
            self._refuse(self.position, f"expected offset {self.next_offset}, found a batch of {header.first_offset}")
        if not self.durable_offset <= header.durable_offset < header.first_offset:
            self._refuse(
                self.position,
                f"expected a durable offset from {self.durable_offset} to {header.first_offset - 1}, "
                f"found {header.durable_offset}",
            )

    def _check_content(self, header: BatchHeader, data: bytes, body: bytes) -> None:
        """Bytes that hold, but do not follow the batch before them or deny their own count, were put there."""
        chain = chain_after(self.chain, data, body)
        if chain != header.chain:
            self._refuse(self.position, f"expected chain {chain.hex()}, found {header.chain.hex()}")
        count = body_count(body)
        if count != header.count:
            self._refuse(self.position, f"expected a body of {header.count} records, found one of {count}")

    def _is_end(self, search_from: int, found: str) -> bool:
        """Whether the log ends at `self.position`, where no batch is: blank, or torn. Else it is to be read once more.

        CorruptionError where it is neither.
        """
        found = f"{found} for offset {self.next_offset}"
        if not self._last:
            self._refuse(self.position, f"{found}, before a later segment")
        self.content_end = self._window.content_end(self.position)
        if self.content_end == self.position:
            return True
        if self._doubted == self.position:
            if self._proof:
                if not (self._copied and self._is_hole()):
                    self._refuse(self.position, f"{found}, {self._proof}")
                found = f"{found}: it was copied before this was written, and what lies behind it after that"
            self.torn = found
            return True
        # Whoever writes the log may be amid it: what was read before a proof was seen is no damage yet.
        self._doubted, self._proof = self.position, self._find_proof(search_from)
        self._window.forget()
        return False

    def _is_hole(self) -> bool:
        """Whether blank begins at `self.position`, or amid a batch that was being written: no other was behind it yet.

        A batch whose first byte alone was lost is no hole.
        """
        take, decode_header = self._window.take, self._format.decode_header
        data = take(self.position, BATCH_HEADER_SIZE)
        header = decode_header(data)
        body = self.position + BATCH_HEADER_SIZE
        if header is not None:
            return body + header.body_length < self.size and take(body + header.body_length - 1, 2) == bytes(2)
        if data[:1] != b"\0":
            return take(body, 1) == b"\0"  # No batch's body begins with one.
        return decode_header(self._format.marker[:1] + data[1:]) is None

    def _find_proof(self, begin: int) -> str:
        """What behind the damage says that it had been durable, or ""."""
        for position, header in self._headers_behind(begin):
            if header.durable_offset >= self.next_offset:
                return f"though the batch at byte {position} says that offset {header.durable_offset} was durable"
        return ""

    def _headers_behind(self, begin: int) -> Iterator[tuple[int, BatchHeader]]:
        """Every intact batch header from `begin` on, wherever it starts."""
        marker, size = self._format.marker, self._window.size
        while begin + BATCH_HEADER_SIZE <= size:
            piece = self._window.take(begin, min(READ_SIZE, size - begin))
            at = piece.find(marker)
            while at >= 0:
                data = piece[at : at + BATCH_HEADER_SIZE]
                if len(data) < BATCH_HEADER_SIZE:
                    data = self._window.take(begin + at, BATCH_HEADER_SIZE)
                header = self._format.decode_header(data)
                if header is not None:
                    yield begin + at, header
                at = piece.find(marker, at + 1)
            if len(piece) < BATCH_HEADER_SIZE:
                return
            begin += len(piece) - len(marker) + 1

    def _refuse(self, position: int, message: str) -> NoReturn:
        readable = self.next_offset - 1
        readable_text = f" (readable through offset {readable})" if readable > 0 else ""
        raise CorruptionError(message + readable_text, file=self.name, position=position, hint=HINT)


def cut_blank(disk: Disk, first_offset: Offset, *, copied: bool = False) -> int:
    """Cut the blank behind the log's last segment, durably; a torn tail stays. As SegmentScan where it is damaged.

    In a copy all goes that is behind the last whole batch: behind a hole are batches, which do not belong to its log.
    Returns how many torn bytes went.
    """
    file = disk.open(segment_name(first_offset))
    try:
        scan = SegmentScan(file, first_offset, last=True, skim_to=Offset(INT_MAX), copied=copied)
        deque(scan.walk(), maxlen=0)
        if scan.position == scan.size or (scan.torn and not copied):
            return 0
        file.truncate(scan.position)
        file.sync()
        return scan.content_end - scan.position
    finally:
        file.close()
