"""How a log is opened again: read to its end, mended there, and handed to its one writer.

Laws: what nothing on disk vouches for is written again, and synced, before it is believed. A torn tail is cut and
reported. Nothing is changed before everything was read: a refused directory is as it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from store.env.world import Disk, Entropy, File
from store.ids import Offset, Position
from store.log.commitlog import Commitlog
from store.log.format import FIRST_OFFSET, FOLDER, Batch
from store.log.options import LogOptions
from store.log.reader import LogReader, Progress, Tail
from store.log.segment import remove_unfinished
from store.log.unproven import Unproven


class Opening:
    """A log that is being opened. Iterate to the end, which replays it; then `finish` makes it the writer's.

    Every batch from `from_offset`'s segment on is checked; those before `from_offset` are not yielded.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        entropy: Entropy,
        options: LogOptions,
        from_offset: Offset = FIRST_OFFSET,
        copied: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """DirectoryError: no log, or of another version. CorruptionError, here or on the way: refuse to start.

        `copied` as LogReader has it.
        """
        self._disk = disk
        self._entropy = entropy
        self._options = options
        self._from_offset = from_offset
        self._reader = LogReader(disk, from_offset=from_offset, check_all=True, copied=copied, progress=progress)
        self._unproven = Unproven()

    @property
    def bytes_total(self) -> int:
        """Bytes in all segments that are read."""
        return self._reader.bytes_total

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._reader:
            self._unproven.add(batch)
            if batch.last_offset >= self._from_offset and batch.count:
                yield batch

    def finish(self) -> "tuple[Commitlog, TailReport]":
        """Cut a torn tail, write again what nothing vouches for, sync, and be ready to append.

        OSError: nothing was lost by it; the next start does the same again.
        """
        tail = self._reader.tail
        assert tail is not None  # Everything was read.
        self._disk.sync_directory(FOLDER)
        remove_unfinished(self._disk)
        file = self._disk.open(tail.segment)
        try:
            rewritten = self._mend(file, tail)
        except BaseException:
            file.close()
            raise
        log = Commitlog(
            self._disk,
            file,
            header=tail.header,
            entropy=self._entropy,
            options=self._options,
            position=tail.position,
            last_offset=tail.last_offset,
            vouched_offset=tail.proven_offset,
            chain=tail.chain,
        )
        report = TailReport(
            file=tail.segment,
            position=tail.position,
            cut_bytes=tail.torn_bytes,
            cut_reason=tail.torn,
            rewritten_bytes=rewritten,
            last_offset=tail.last_offset,
        )
        return log, report

    def _mend(self, file: File, tail: Tail) -> int:
        """Cut what is torn or blank, write again, and one sync for both."""
        cut = tail.torn_bytes + tail.blank_bytes
        if cut:
            file.truncate(tail.position)
        rewritten = self._unproven.write_again(file, tail)
        if rewritten or cut:
            file.sync()
        return rewritten


@dataclass(frozen=True)
class TailReport:
    """What opening found at the log's end and did about it: part of the recovery report."""

    file: str
    """The last segment."""
    position: Position
    """Where it was cut, or where it ended."""
    cut_bytes: int
    """Torn bytes removed; 0 for a log that ended whole."""
    cut_reason: str
    """What was found there instead of a batch, or ""."""
    rewritten_bytes: int
    """Bytes of whole batches that nothing vouched for, written and synced again."""
    last_offset: Offset
