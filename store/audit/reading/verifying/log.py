"""A trail held against the log that it tells of: each record's own bytes, and none left out.

Laws: both are read forward once, a batch at a time. What the trail tells of histories that were given up by a restore,
or of log that was let go, cannot be compared and is not; all else must be the same. The log may be in use: only what it
proves durable is read.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final, NamedTuple

from store.audit.objects.manifest import Manifest
from store.audit.reading.verifying.batch import Checked
from store.audit.reading.verifying.findings import Counts, Findings, Kind
from store.codec import split_batch
from store.env.world import Disk
from store.ids import Offset
from store.log.following import Follower
from store.log.segment import segment_offsets
from store.log.survey import read_header


class Record(NamedTuple):
    """Where a record stands, and the hash of its bytes."""

    place: tuple[int, int]
    """(which epoch of this log, offset): the order of its history."""
    digest: str


class AgainstLog:
    """One log, passed in step with the events of a trail."""

    def __init__(self, disk: Disk) -> None:
        """DirectoryError: there is no log. CorruptionError: its headers are damaged."""
        self._disk: Final = disk
        self._epochs: dict[str, int] = {}
        self._look()
        offsets = segment_offsets(disk)
        self._follower: Final = Follower(disk, after=Offset(offsets[0] - 1 if offsets else 0))
        self._records: Final = self._read()
        self._head: Record | None = next(self._records, None)
        self._next_seq: int | None = None
        self._lost: tuple[int, int] | None = None
        """Offsets, first and last, of records that had no event."""
        self.older = 0
        """Events of log that was let go, or of a history that was given up."""

    def take(self, manifest: Manifest, checked: Checked, findings: Findings, counts: Counts) -> None:
        """Compare the events of one batch, which were read with their records' hashes."""
        if not checked.sound:
            self._next_seq = None
            return
        first = manifest.first != self._next_seq
        for seq, (epoch, offset, digest) in enumerate(checked.records, start=manifest.first):
            self._compare(seq, epoch, offset, digest, findings, counts, silent=first)
            first = False
        self._next_seq = manifest.size_after

    def rest(self, findings: Findings) -> int:
        """Records that the trail does not tell of yet: those behind its last event."""
        self._tell_lost("the log", findings)
        number = 0
        while self._head is not None:
            number += 1
            self._head = next(self._records, None)
        return number

    def _compare(
        self, seq: int, epoch: str, offset: int, digest: str | None, findings: Findings, counts: Counts, *, silent: bool
    ) -> None:
        index = self._epochs.get(epoch)
        if index is None and self._look():
            index = self._epochs.get(epoch)
        if index is None:
            self.older += 1
            return
        place = index, offset
        while self._head is not None and self._head.place < place:
            if not silent:  # What lies before the first event that was read was not asked for.
                start, _ = self._lost or (self._head.place[1], 0)
                self._lost = start, self._head.place[1]
            self._head = next(self._records, None)
        self._tell_lost(f"event {seq}", findings)
        if self._head is None:
            findings.add(
                Kind.TAMPER, f"event {seq}", f"the log has no record of offset {offset}: it was cut, or forged"
            )
        elif self._head.place > place:
            self.older += 1
        else:
            if digest is None:
                counts.log_records_hidden += 1
            elif digest != self._head.digest:
                findings.add(Kind.TAMPER, f"event {seq}", f"the log's record of offset {offset} has other bytes")
            counts.log_records += 1
            self._head = next(self._records, None)

    def _tell_lost(self, where: str, findings: Findings) -> None:
        if self._lost is not None:
            what = f"the log has records of offsets {self._lost[0]} to {self._lost[1]}, the trail has no events of them"
            findings.add(Kind.INCOMPLETE, where, what)
            self._lost = None

    def _read(self) -> Iterator[Record]:
        while found := self._follower.read():
            for epoch, batch in found:
                index = self._epochs.get(epoch.hex())
                if index is None:
                    self._look()
                    index = self._epochs[epoch.hex()]
                for place, raw in enumerate(split_batch(batch.body)):
                    yield Record((index, batch.first_offset + place), sha256(bytes(raw)).hexdigest())

    def _look(self) -> bool:
        """Which epochs the segments are of, in order; whether there are more than before."""
        known = len(self._epochs)
        for first in segment_offsets(self._disk):
            self._epochs.setdefault(read_header(self._disk, first).epoch.hex(), len(self._epochs))
        return len(self._epochs) > known
