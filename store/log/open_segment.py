"""The segment that is written, as places in its file: what is written, what of it is synced, and the zeros ahead.

Laws: places alone; which records lie there, and that nothing is written after a failure, is the log's (commitlog.py).
Batches are written over zeros or behind the file's end, and stay.
"""

from collections.abc import Iterable
from contextlib import suppress
from errno import EDQUOT, EFBIG, ENOSPC
from typing import Final

from store.env.world import File
from store.ids import Position
from store.log.format import SEGMENT_HEADER_SIZE, BatchFormat, SegmentHeader, segment_name

_NO_ROOM: Final = {ENOSPC, EDQUOT, EFBIG}
"""Errors of a write that say there is no room for it, and nothing else."""


class OpenSegment:
    """One file, written at its end. All but `close` raises the file's OSErrors as they are."""

    __slots__ = ("_blank_unsynced", "_blank_until", "_first_offset", "file", "format", "position", "synced_position")

    def __init__(self, file: File, header: SegmentHeader, position: Position) -> None:
        """All that is in `file` before `position` is durable, and nothing lies behind it."""
        self.file: Final = file
        self.format: Final = BatchFormat(header.salt)
        self._first_offset: Final = header.first_offset
        self.position = position
        """The end of what was written."""
        self.synced_position = position
        self._blank_until = position
        """The end of the file; before it and behind what was written there are zeros."""
        self._blank_unsynced = False

    @property
    def name(self) -> str:
        """The file's name, with its folder."""
        return segment_name(self._first_offset)

    @property
    def empty(self) -> bool:
        """Whether there is no batch in it."""
        return self.position == SEGMENT_HEADER_SIZE

    @property
    def synced(self) -> bool:
        """Whether a sync would have nothing to do."""
        return self.synced_position == self.position and not self._blank_unsynced

    def write(self, batches: Iterable[bytes], write_out: bool) -> None:  # noqa: FBT001  # As all that each group waits for.
        """Write them one behind the other, and let the disk begin if asked to `write_out`."""
        file, begin = self.file, self.position
        position = begin
        for batch in batches:
            file.write(position, batch)
            position += len(batch)  # type: ignore[assignment]  # To say so with Position() costs a call.
        if write_out:
            file.write_out(begin, position - begin)
        self.position = position
        self._blank_until = max(self._blank_until, position)

    def note_synced(self, end: Position) -> None:
        """A sync that began when `end` was the end of what was written is done."""
        self.synced_position = end
        self._blank_unsynced = False

    @property
    def blank_bytes(self) -> int:
        """Zeros that lie behind what was written, for what comes."""
        return self._blank_until - self.position

    def lay_blank(self, size: int) -> None:
        """See to it that so many bytes lie blank: a sync of what is written over zeros need not change the file's size.

        They want a sync, which the next one is. Where the disk is full there are fewer, which costs nothing but time.
        """
        lacking = size - self.blank_bytes
        if lacking <= 0:
            return
        before = self._blank_until
        try:
            self.file.write(before, bytes(lacking))
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
        self._blank_until = Position(max(self.file.size(), self.position))
        self._blank_unsynced |= self._blank_until > before

    def cut_blank(self) -> None:
        """Nothing lies behind what was written, durably: the segment is sealed."""
        if self.blank_bytes:
            self.file.truncate(self.position)
            self.file.sync()

    def close(self, *, cut_blank: bool) -> None:
        """Release the file, if asked to without its blank. What was not synced may be lost."""
        if cut_blank and self.blank_bytes:
            with suppress(OSError):  # The next start cuts it.
                self.file.truncate(self.position)
        self.file.close()
