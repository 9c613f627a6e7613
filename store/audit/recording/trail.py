"""The trail: records in, frozen batches out, and what it takes to go on from any of them.

Laws: every record gives one event, in the log's order; a record is taken once, and none is passed over unsaid. The same
log gives the same lines, the same tree and the same hashes, wherever batches are cut and whenever one begins again. A
batch is closed by its number of events or its bytes here, by its age where there is a clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from store.audit.objects.batches import EVENTS_MAX, RAW_SIZE_MAX, Frozen, Range, freeze
from store.audit.objects.merkle import NOTHING, Span
from store.audit.recording.context import Context
from store.audit.recording.events import Events
from store.codec import decode_transaction
from store.env.subjects import SubjectKeys
from store.errors import StoreError
from store.ids import Epoch, Offset, Timestamp
from store.transaction import Transaction


class Gap(StoreError):
    """Records are missing between what the trail holds and what it was given. Names both."""


class Standing(msgspec.Struct, frozen=True):
    """Where a trail goes on, behind a frozen batch: a few hundred bytes, however long it is."""

    batch: int = 0
    """The number of the next batch."""
    size: int = 0
    """Events so far: the tree's leaves."""
    roots: tuple[bytes, ...] = ()
    """Of the tree, as in Span."""
    epoch: str = ""
    """Of the last record, 32 hex digits; "" before the first."""
    offset: int = 0
    """Of the last record."""

    @property
    def tree(self) -> Span:
        """The tree so far."""
        return Span(0, self.size, self.roots)


BEGINNING: Final = Standing(roots=NOTHING.roots)
"""Of a trail without events."""

encode_standing: Final = msgspec.msgpack.Encoder().encode
decode_standing: Final = msgspec.msgpack.Decoder(Standing).decode
"""What `encode_standing` wrote. msgspec.ValidationError or DecodeError where it is none."""


@dataclass(frozen=True)
class Closed:
    """A batch that was frozen, and all that must be kept with it, in one commit."""

    frozen: Frozen
    standing: Standing
    """Behind it."""
    context: Mapping[bytes, bytes]
    """What of the context is new since the batch before, by name: `load_context` reads all of it."""


@dataclass(frozen=True)
class Limits:
    """When a batch is closed."""

    events_max: int = EVENTS_MAX
    raw_size_max: int = RAW_SIZE_MAX


class Trail:
    """One log's trail, from a standing on."""

    def __init__(
        self, log: str, *, keys: SubjectKeys, standing: Standing, context: Context, limits: Limits | None = None
    ) -> None:
        """`context` is as of the standing's last record; it is changed from now on."""
        self._log: Final = log
        self._events: Final = Events(log, context, keys)
        self._limits: Final = limits or Limits()
        self.standing = standing
        """Behind the last frozen batch."""
        self._epoch, self._offset = standing.epoch, standing.offset
        self._lines: list[bytes] = []
        self._raw_size = 0
        self._ranges: list[Range] = []
        self._t_first = self._t_last = Timestamp(0)

    @property
    def waiting(self) -> int:
        """Events in the open batch."""
        return len(self._lines)

    @property
    def waiting_since(self) -> Timestamp | None:
        """The moment of the open batch's first record; None: there is none."""
        return self._t_first if self._lines else None

    @property
    def place(self) -> tuple[str, Offset]:
        """(epoch, offset) of the last record taken, in the open batch or before it."""
        return self._epoch, Offset(self._offset)

    def take(self, epoch: Epoch, records: Sequence[bytes | msgspec.Raw]) -> list[Closed]:
        """Take records of one epoch in, in order, each as its bytes; batches that are full by then.

        Those that were taken before are passed over. Gap: some are missing, before or among them, and nothing was
        taken. After a change of epoch the log goes on where that epoch begins, be that before the last record.
        """
        name = epoch.hex()
        decoded = [decode_transaction(raw) for raw in records]
        known = self._known(name, decoded)
        if known == len(decoded):
            return []
        self._begin_range(name, decoded[known].offset)
        found: list[Closed] = []
        write = self._events.of
        for raw, record in zip(records[known:], decoded[known:], strict=True):
            line = write(raw, record, sequence=self.standing.size + len(self._lines), epoch=name)
            if not self._lines:
                self._t_first = record.timestamp
                self._ranges.append((name, record.offset, record.offset))
            self._t_last = record.timestamp
            self._offset = record.offset
            self._lines.append(line)
            self._raw_size += len(line) + 1
            if len(self._lines) >= self._limits.events_max or self._raw_size >= self._limits.raw_size_max:
                found.append(self._close())
        return found

    def _known(self, epoch: str, records: Sequence[Transaction]) -> int:
        """How many of them were taken before. Gap: the others do not follow each other, or what was taken."""
        offsets = [each.offset for each in records]
        if not offsets:
            return 0
        first = offsets[0]
        known = min(max(self._offset + 1 - first, 0), len(offsets)) if epoch == self._epoch else 0
        expected = self._offset + 1 if epoch == self._epoch and not known else first
        if offsets != list(range(expected, expected + len(offsets))):
            number, found = next(each for each in enumerate(offsets, start=expected) if each[0] != each[1])
            raise Gap(
                f"expected the record at offset {number} of epoch {epoch}, found {found}",
                hint="Find the directory that holds what lies between, or go on without it: the ranges show the gap",
            )
        return known

    def skip(self, epoch: Epoch, offset: Offset) -> None:
        """Go on behind this record though what lies before it cannot be had: the ranges show what is missing.

        For whoever has seen that the log begins there, and says so.
        """
        self._end_range()
        self._epoch, self._offset = epoch.hex(), int(offset)
        if self._lines:
            self._ranges.append((self._epoch, self._offset + 1, self._offset))

    def close(self) -> Closed | None:
        """Freeze the open batch, however small; None where it is empty."""
        return self._close() if self._lines else None

    def _begin_range(self, epoch: str, offset: Offset) -> None:
        """Where the log goes on in another epoch, another range begins."""
        if epoch == self._epoch:
            return
        self._end_range()
        self._epoch = epoch
        if self._lines:
            self._ranges.append((epoch, offset, offset))

    def _end_range(self) -> None:
        """The open batch's last range ends with the last record."""
        if self._ranges:
            epoch, first, _ = self._ranges.pop()
            if first <= self._offset:
                self._ranges.append((epoch, first, self._offset))

    def _close(self) -> Closed:
        self._end_range()
        before = self.standing
        frozen = freeze(
            log=self._log,
            batch=before.batch,
            before=before.tree,
            lines=self._lines,
            t_first=self._t_first,
            t_last=self._t_last,
            ranges=tuple(self._ranges),
        )
        after = frozen.after
        self.standing = Standing(before.batch + 1, after.end, after.roots, self._epoch, self._offset)
        self._lines, self._raw_size, self._ranges = [], 0, []
        return Closed(frozen, self.standing, self._events.context.take_changes())
