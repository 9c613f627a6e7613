"""The log as its one writer holds it: append, flush, sync, vouch, rotate.

Laws: an offset is durable when a sync that began after its flush has returned. After any failed write or sync
nothing more is written: RAM may be ahead of the disk, and only the next start can tell by how much. A batch is closed
right behind an append, never before one, so the seed a reducer saw is the seed of the batch that holds its record.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

import msgspec

from store.env.world import Disk, Entropy, File
from store.errors import EngineStopped
from store.ids import Epoch, Offset, Position, Timestamp
from store.log.format import (
    CHAIN_START,
    FIRST_OFFSET,
    SALT_SIZE,
    SEED_SIZE,
    SEGMENT_HEADER_SIZE,
    SegmentHeader,
    join_records,
)
from store.log.open_segment import OpenSegment
from store.log.options import LogOptions
from store.log.segment import create_segment, cut_blank, remove_unfinished, segment_offsets

__all__ = ["Commitlog", "LogOptions", "SyncTicket"]


AT_ONCE_SIZE_MAX: Final = 4_000
"""Bytes of a record that may be written at once: with its batch it is less than a page, as File.write_out wants it. A
larger one waits for the flush, behind which the sync may have a thread."""
_AT_ONCE: Final = 0
"""In the place of the bytes that fill a batch: any record does, and is written at once if it may be."""


class _Refusing(Sequence[bytes]):
    """Stands in for the open batch of a log that has stopped, so that the hot path need not ask; counts as it does.

    It may be put there by the thread of a sync, while the writer appends.
    """

    def __init__(self, records: list[bytes]) -> None:
        self._records = records

    def append(self, _record: bytes) -> NoReturn:
        raise _refused()

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, place: Any) -> Any:
        return self._records[place]


def _ignore(_first: Offset, _body: bytes, _count: int) -> None:
    """Nobody wants to see what is closed."""


class SyncTicket(msgspec.Struct):
    """One sync, which may run on another thread: it holds the file, and the offset that will be durable."""

    _log: "Commitlog"
    _file: File
    offset: Offset
    end: Position
    finished: bool = False

    def run(self) -> None:
        """Wait for the disk. After an OSError the log has stopped."""
        try:
            self._file.sync()
        except BaseException:
            self._log.stop()
            raise
        self.finished = True


class Commitlog:
    """All segments as one sequence of records, at its end. Every method but a ticket's `run` is the writer's."""

    __slots__ = (
        "_batch_full_at",
        "_batch_size_max",
        "_chain",
        "_closed",
        "_disk",
        "_entropy",
        "_failure",
        "_first_offset",
        "_flushed_offset",
        "_options",
        "_record_size_max",
        "_records",
        "_segment",
        "_stopped",
        "_ticket",
        "_vouched_offset",
        "durable_offset",
        "epoch",
        "on_close",
        "seed",
        "unflushed_bytes",
    )

    def __init__(
        self,
        disk: Disk,
        file: File,
        *,
        header: SegmentHeader,
        entropy: Entropy,
        options: LogOptions,
        position: Position,
        last_offset: Offset,
        vouched_offset: Offset,
        chain: bytes,
    ) -> None:
        """Use `create`, or an `Opening`. All that is in `file` before `position` is durable."""
        self._disk = disk
        self._entropy = entropy
        self._options = options
        self._batch_size_max = options.batch_size_max
        self._record_size_max = options.record_size_max
        self._stopped = False
        self._failure: BaseException | None = None
        """Of a write behind an append, until it is raised."""
        self._ticket: SyncTicket | None = None
        self.epoch = header.epoch
        """What later segments carry; a new one is set when its record is appended."""
        self._segment = OpenSegment(file, header, position)
        self._chain = chain
        self._records: list[bytes] | _Refusing = []
        self._first_offset = Offset(last_offset + 1)
        self._closed: list[bytes] = []
        self.on_close: Callable[[Offset, bytes, int], None] = _ignore
        """Is given each batch's first offset, body and count of records as the batch is closed, durable or not."""
        self.unflushed_bytes = 0
        """Bytes of the records that wait in RAM for the next flush."""
        self._flushed_offset = last_offset
        self.durable_offset = last_offset
        """Of the last record that is on disk."""
        self._vouched_offset = vouched_offset
        self._open_batch(b"")

    @classmethod
    def exists(cls, disk: Disk) -> bool:
        """Whether there is a segment. False also after a crash before the first one had its name."""
        return bool(segment_offsets(disk))

    @classmethod
    def create(
        cls,
        disk: Disk,
        *,
        epoch: Epoch,
        entropy: Entropy,
        timestamp: Timestamp,
        options: LogOptions,
        first_offset: Offset = FIRST_OFFSET,
        chain: bytes = CHAIN_START,
    ) -> "Commitlog":
        """Begin a log where there is none, durably. OSError: nothing exists that `create` could not redo.

        Older segments may lie beside it, without blank: where a snapshot is ahead of them, the log goes on behind it.
        """
        older = segment_offsets(disk)
        assert all(each < first_offset for each in older)
        if older:
            cut_blank(disk, older[-1])
        remove_unfinished(disk)
        header = SegmentHeader(entropy.bytes(SALT_SIZE), epoch, first_offset, timestamp, chain)
        before = Offset(first_offset - 1)
        return cls(
            disk,
            create_segment(disk, header),
            header=header,
            entropy=entropy,
            options=options,
            position=Position(SEGMENT_HEADER_SIZE),
            last_offset=before,
            vouched_offset=before,
            chain=chain,
        )

    @property
    def last_offset(self) -> Offset:
        """Of the last record appended, in memory or not."""
        return self._first_offset + len(self._records) - 1  # type: ignore[return-value]  # Offset() costs a call.

    @property
    def segment(self) -> str:
        """The open segment's file name, with its folder."""
        return self._segment.name

    @property
    def position(self) -> Position:
        """The end of what was flushed, in the open segment's file."""
        return self._segment.position

    @property
    def unsynced(self) -> bool:
        """Whether a sync has anything to do: flushed bytes, or appended ones once they are flushed."""
        return self.unflushed_bytes > 0 or bool(self._closed) or not self._segment.synced

    @property
    def unvouched(self) -> bool:
        """Whether something is durable that no later batch says so of; a crash now could misjudge its damage."""
        return self._vouched_offset < self.durable_offset

    def get_open_records(self) -> Sequence[bytes]:
        """The records of the open batch, in order."""
        return self._records

    @property
    def stopped(self) -> bool:
        """Whether a write or a sync failed: everything but `close` is refused, or will be once that was raised."""
        return self._stopped

    def append(self, record: bytes) -> None:
        """Take the record as the next offset, in memory. Nothing is kept before `flush` and `sync`.

        What fails of a write that begins here is raised by the next `flush`: behind an append nothing may fail.
        """
        size = len(record)
        assert size <= self._record_size_max
        self._records.append(record)
        self.unflushed_bytes = unflushed = self.unflushed_bytes + size
        if unflushed >= self._batch_full_at:
            self._fill_batch()

    def write_next_at_once(self) -> None:
        """Let the disk begin with the next record behind its append, if it is small and the next flush's first.

        For a caller who is alone: what follows on an append happens while the disk works. The rest of the group, where
        there is one after all, is a batch of its own.
        """
        if not self.unflushed_bytes:
            self._batch_full_at = _AT_ONCE

    def flush(self, write_out: bool = False) -> None:  # noqa: FBT001, FBT002  # As all that each group waits for.
        """Hand all that was appended to the operating system, one write a batch. OSError: the log has stopped.

        To `write_out` is to let the disk begin: worth its while where the sync comes from this thread, a bit later.
        """
        if self._stopped:
            raise self._take_failure()
        body = self._frame_batch() if self._records else None
        if self._closed:
            try:
                self._write_closed(write_out)
            except BaseException:
                self.stop()
                raise
        if body is not None:
            self._open_batch(body)

    def begin_sync(self) -> SyncTicket | None:
        """Prepare to make durable what was flushed: `run` the ticket, on any thread, then `complete_sync` it.

        None where all of it is durable.
        """
        if self._stopped:
            raise self._take_failure()
        segment = self._segment
        if segment.synced:
            return None
        assert self._ticket is None
        self._ticket = ticket = SyncTicket(self, segment.file, self._flushed_offset, segment.position)
        return ticket

    def complete_sync(self, ticket: SyncTicket | None) -> None:
        """What the ticket covers is durable. OSError: a write at once has failed since."""
        if self._stopped:
            raise self._take_failure()
        assert ticket is self._ticket
        if ticket is None:
            return
        assert ticket.finished
        assert self.durable_offset <= ticket.offset <= self._flushed_offset
        self._ticket = None
        self.durable_offset = ticket.offset
        self._segment.note_synced(ticket.end)

    def sync(self) -> bool:
        """Make durable what was flushed, on this thread; False where all of it is. OSError: the log has stopped."""
        if self._stopped:
            raise self._take_failure()
        assert self._ticket is None
        segment = self._segment
        if segment.synced:
            return False
        try:
            segment.file.sync()
        except BaseException:
            self.stop()
            raise
        self.durable_offset = self._flushed_offset
        segment.note_synced(segment.position)
        return True

    def vouch(self) -> None:
        """Flush a batch that proves what is durable now; sync it as any other. Nothing where nothing needs it."""
        self._refuse_if_stopped()
        if self.unvouched and not self._records:
            self._close_batch()
        self.flush()

    def rotate_if_due(self, timestamp: Timestamp) -> bool:
        """Begin the next segment if this one is full and all is durable. OSError: the log has stopped."""
        return self.position >= self._options.segment_size_max and self.seal(timestamp)

    def seal(self, timestamp: Timestamp) -> bool:
        """Close the open segment for good and begin the next; False while it is empty or anything is not durable.

        Records that were appended but not flushed go into the next one.
        """
        self._refuse_if_stopped()
        sealed = self._segment
        if sealed.empty or sealed.synced_position < sealed.position or self._closed or self._ticket is not None:
            return False
        first_offset = Offset(self._flushed_offset + 1)
        header = SegmentHeader(self._entropy.bytes(SALT_SIZE), self.epoch, first_offset, timestamp, self._chain)
        try:
            sealed.cut_blank()
            self._segment = OpenSegment(create_segment(self._disk, header), header, Position(SEGMENT_HEADER_SIZE))
        except BaseException:
            self.stop()
            raise
        sealed.close(cut_blank=False)
        self._vouched_offset = self._flushed_offset
        return True

    @property
    def blank_bytes(self) -> int:
        """Zeros that lie behind what was flushed, for what comes."""
        return self._segment.blank_bytes

    def lay_blank(self, size: int) -> None:
        """See to it that so many bytes lie blank (OpenSegment.lay_blank). OSError: the log has stopped."""
        self._refuse_if_stopped()
        try:
            self._segment.lay_blank(size)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Refuse everything from here on. A failed write or sync does this by itself, one at once when it is raised."""
        self._stopped = True
        if isinstance(self._records, list):
            self._records = _Refusing(self._records)
        self._closed = []

    def close(self) -> None:
        """Release the file, without its blank. What was not synced may be lost."""
        self._segment.close(cut_blank=not self._stopped)
        self.stop()

    def _open_batch(self, body: bytes) -> None:
        """Begin the next batch, behind the one that has this body."""
        self.on_close(self._first_offset, body, len(self._records))
        self._first_offset += len(self._records)  # type: ignore[assignment]  # As `last_offset`.
        self._records = []
        self._batch_full_at = self.unflushed_bytes + self._batch_size_max
        self.seed = self._entropy.bytes(SEED_SIZE)
        """The open batch's: of the next record to be appended."""

    def _close_batch(self) -> None:
        self._open_batch(self._frame_batch())

    def _fill_batch(self) -> None:
        """Behind an append: the open batch is full, or the disk is to begin with its one record."""
        at_once = self._batch_full_at == _AT_ONCE and self.unflushed_bytes <= AT_ONCE_SIZE_MAX
        if not at_once and self.unflushed_bytes < self._batch_size_max:
            self._batch_full_at = self._batch_size_max
            return
        body = self._frame_batch()
        if at_once:
            try:
                self._write_closed(write_out=True)
            except BaseException as error:  # noqa: BLE001  # Whatever it is, it is raised later.
                self._stopped, self._failure = True, error
        self._open_batch(body)

    def _frame_batch(self) -> bytes:
        """Make the open batch ready to be written, and return its body; `_open_batch` is next."""
        records, first, durable = self._records, self._first_offset, self.durable_offset
        count = len(records)
        body = join_records(records)
        batch, self._chain = self._segment.format.frame(body, count, first, durable, self.seed, self._chain)
        self._closed.append(batch)
        self._vouched_offset = durable
        return body

    def _write_closed(self, write_out: bool) -> None:  # noqa: FBT001  # As `flush`.
        self._segment.write(self._closed, write_out)
        self._closed = []
        self._flushed_offset = self.last_offset
        self.unflushed_bytes = 0
        self._batch_full_at = self._batch_size_max

    def _refuse_if_stopped(self) -> None:
        if self._stopped:
            raise self._take_failure()

    def _take_failure(self) -> BaseException:
        """What to raise of a log that has stopped: first what a write at once has met; then nothing is appended."""
        failure, self._failure = self._failure, None
        self.stop()
        return failure or _refused()


def _refused() -> EngineStopped:
    return EngineStopped("the log takes no more: a write or a sync failed", hint="Start the store again.")
