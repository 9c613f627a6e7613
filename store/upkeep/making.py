"""Copying and proving: a directory that holds the state behind one transaction of another, as yet without a marker.

Laws: the source is only read. The new directory says that it is half made from its first byte. What was copied is
proven by a real replay of it, which ends at that offset and time, with the fingerprint that the base's and the source's
own row changes add up to. A base that turns out damaged is passed over for the one before it; damage in the log is an
error, and says how far the log leads.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from store.engine.directory import Restoring, begin_making
from store.engine.loading import PassedOver
from store.engine.replay import replay
from store.env.world import Clock, Disk, Entropy
from store.errors import CorruptionError, DirectoryError, NotRestorable
from store.fingerprint import show_sum
from store.ids import Epoch, Offset, Position, Timestamp
from store.log.cutting import begin as begin_log
from store.log.cutting import cut
from store.log.format import SALT_SIZE
from store.log.survey import SegmentInfo
from store.snapshot.format import Manifest, snapshot_name
from store.snapshot.repository import Repository
from store.upkeep.evidence import CHECKING_LOG, changes
from store.upkeep.history import History, Stretch, look
from store.upkeep.ranges import Moment, show

Progress = Callable[[str, int, int], None]
"""Told (phase, done, total): "checking log" and "copying" in bytes, then what a replay tells."""

COPY_SIZE: Final = 1 << 20
"""Bytes of a segment that are in RAM at a time."""

SPARE: Final = 1 << 20
"""Bytes beside the copied ones that a target has room for: marker, notes, the start's own records."""


@dataclass(frozen=True)
class PlannedFile:
    """One file that would be copied, or the beginning of one."""

    name: str
    size: int
    """Bytes in the source."""


@dataclass(frozen=True)
class Restored:
    """What a new directory holds, as a replay of it showed."""

    offset: Offset
    timestamp: Timestamp
    parent: Epoch
    """In force at `offset`; the next start opens a new one behind it."""
    fingerprint: str
    seconds: float
    base: str | None
    """The snapshot it begins with."""
    replayed: int
    """Transactions behind the base."""
    rows: int
    bytes: int
    """Copied."""
    passed_over: tuple[PassedOver, ...]
    """Bases that turned out damaged."""
    store: Epoch
    """Whose history it is: the source's, or of a clone its own."""
    copying_s: float = 0.0
    """Seconds that checking the log and copying took."""
    proving_s: float = 0.0
    """Seconds that the replay of the new directory took."""


class _BaseDamaged(Exception):
    """This base cannot be used; another may."""


def stretch_of(history: History, chosen: Moment) -> Stretch:
    """What leads to a moment. NotRestorable: nothing does any more."""
    stretch = history.stretch_of(chosen.offset)
    if stretch is None:
        raise NotRestorable(
            f"nothing leads to offset {chosen.offset} any more: it was removed since this moment was chosen",
            hint="Choose again; a pin (`store snapshot pin`) keeps what is needed while a restore runs",
        )
    return stretch


def files_of(source: Disk, stretch: Stretch, base: Manifest | None, offset: Offset) -> list[PlannedFile]:
    """Everything to be copied, in order."""
    files: list[PlannedFile] = []
    behind = Offset(0)
    if base is not None:
        behind = base.offset
        sizes = {each.file: each.size for table in base.tables for each in table.blocks}
        sizes[base.system.file] = base.system.size
        files += [PlannedFile(f"block/{name}.blk", size) for name, size in sizes.items()]
        files.append(
            PlannedFile(
                f"snapshot/{snapshot_name(base.offset)}.json",
                _size(source, f"snapshot/{snapshot_name(base.offset)}.json"),
            )
        )
    return [*files, *(PlannedFile(each.name, each.size) for each in stretch.between(behind, offset))]


def _size(disk: Disk, name: str) -> int:
    file = disk.open(name)
    try:
        return file.size()
    finally:
        file.close()


def _with_way_out(error: CorruptionError, good: Offset) -> CorruptionError:
    """The same damage, with what can be restored in spite of it."""
    again = CorruptionError(
        error.message,
        file=error.file,
        position=error.position,
        hint=f"What is before it can be restored: --to-offset {good}" if good else error.hint,
    )
    again.message = error.message
    return again


def _gone(error: FileNotFoundError) -> NotRestorable:
    return NotRestorable(
        f"{error.filename or 'a file'} of the source went away while it was read",
        hint="Restore again; a pin (`store snapshot pin`) keeps what is needed meanwhile",
    )


@dataclass
class Making:
    """One directory that is made: from where, to where, which moment."""

    source: Disk
    into: Disk
    moment: Moment
    reason: str
    clock: Clock
    entropy: Entropy
    progress: Progress
    copied: int = field(default=0, init=False)
    total: int = field(default=0, init=False)

    def make_from_any(self) -> Restored:
        """Copy and prove, from the newest base that holds; those that do not are noted. The marker is left to write.

        NotRestorable, CorruptionError, DirectoryError, OSError: as `restore`.
        """
        offset = self.moment.offset
        stretch = stretch_of(look(self.source), self.moment)
        passed_over: list[PassedOver] = []
        for base in stretch.bases_of(offset):
            try:
                return replace(self._make(base, stretch), passed_over=tuple(passed_over))
            except _BaseDamaged as error:
                assert base is not None
                passed_over.append(PassedOver(snapshot_name(base.offset), str(error)))
        newest = passed_over[0]
        raise CorruptionError(
            f"no snapshot leads to offset {offset}: {newest.reason}",
            file=f"snapshot/{newest.name}.json",
            position=0,
            hint="Restore from a backup, or see what `store salvage` can still prove",
        )

    def _make(self, base: Manifest | None, stretch: Stretch) -> Restored:
        """Copy and prove, from this base. _BaseDamaged: it is not what its manifest says."""
        offset = self.moment.offset
        behind = Offset(0) if base is None else base.offset
        try:
            files = files_of(self.source, stretch, base, offset)
        except FileNotFoundError:
            raise _BaseDamaged("its manifest went away") from None
        began = self.clock.monotonic()
        self.copied, self.total = 0, sum(each.size for each in files)
        change = self._check_log(behind)
        begin_making(self.into, Restoring(self.reason, offset))
        if (free := self.into.free_bytes()) < self.total + SPARE:
            raise DirectoryError(
                f"expected room for {self.total + SPARE} bytes, found {free} free in the new directory",
                hint="Make room, or name a directory on a larger disk (--into)",
            )
        if base is not None:
            self._copy_snapshot(base)
        self._copy_log(base, stretch.between(behind, offset))
        copied = self.clock.monotonic()
        proven = self._prove(base, change)
        return replace(proven, copying_s=copied - began, proving_s=self.clock.monotonic() - copied)

    def _check_log(self, behind: Offset) -> int:
        """The change of the fingerprint behind the base, from the source's own bytes: nothing is written yet."""
        through, good, change = self.moment.offset, behind, 0
        try:
            for offset, each in changes(self.source, behind, through, partial(self.progress, CHECKING_LOG)):
                good, change = offset, change + each
        except CorruptionError as error:
            stretch_of(look(self.source), self.moment)  # A segment that was removed meanwhile is no damage.
            raise _with_way_out(error, good) from error
        except FileNotFoundError as error:
            raise _gone(error) from None
        if good < through:
            raise NotRestorable(
                f"expected offset {through} in the log, found its end behind offset {good}",
                hint=f"Restore that one (--to-offset {good})",
            )
        return change

    def _copy_snapshot(self, base: Manifest) -> None:
        """Its blocks, each by its hash, then its manifest; durable."""
        files = {each.file: each.size for table in base.tables for each in table.blocks}
        files[base.system.file] = base.system.size
        for name, size in files.items():
            data = self._read(f"block/{name}.blk", size)
            if hashlib.sha256(data).hexdigest() != name:
                raise _BaseDamaged(f"block/{name}.blk is not what its name says")
            self._write(f"block/{name}.blk", data)
        self.into.sync_directory("block")
        name = f"snapshot/{snapshot_name(base.offset)}.json"
        self._write(name, self._read(name))
        self.into.sync_directory("snapshot")

    def _read(self, name: str, size: int | None = None) -> bytes:
        """A file of the base, which has that many bytes."""
        try:
            file = self.source.open(name)
        except FileNotFoundError:
            raise _BaseDamaged(f"{name} is missing") from None
        except CorruptionError as error:  # A disk that is far away checks what it brings.
            raise _BaseDamaged(str(error)) from None
        try:
            if size is not None and file.size() != size:
                raise _BaseDamaged(f"{name}: expected {size} bytes, found {file.size()}")
            return file.read(Position(0), file.size())
        finally:
            file.close()

    def _copy_log(self, base: Manifest | None, segments: list[SegmentInfo]) -> None:
        """All segments behind the base, the last one cut behind the moment; an empty one where there is none."""
        if not segments:
            assert base is not None
            begin_log(
                self.into,
                first_offset=Offset(base.offset + 1),
                epoch=base.epoch,
                created=self.clock.wall(),
                chain=base.chain,
                salt=self.entropy.bytes(SALT_SIZE),
            )
            return
        try:
            for each in segments[:-1]:
                self._copy_segment(each)
            cut(self.source, self.into, segments[-1].first_offset, self.moment.offset)
        except FileNotFoundError as error:
            raise _gone(error) from None
        self._told(segments[-1].size)

    def _copy_segment(self, segment: SegmentInfo) -> None:
        file = self.source.open(segment.name)
        try:
            copy = self.into.create(segment.name)
            try:
                for position in range(0, segment.size, COPY_SIZE):
                    data = file.read(Position(position), min(COPY_SIZE, segment.size - position))
                    copy.write(Position(position), data)
                    self._told(len(data))
                copy.sync()
            finally:
                copy.close()
        finally:
            file.close()

    def _write(self, name: str, data: bytes) -> None:
        file = self.into.create(name)
        try:
            file.write(Position(0), data)
            file.sync()
        finally:
            file.close()
        self._told(len(data))

    def _told(self, size: int) -> None:
        self.copied = min(self.copied + size, self.total)
        self.progress("copying", self.copied, self.total)

    def _prove(self, base: Manifest | None, change: int) -> Restored:
        """Replay the new directory as a start would, and compare."""
        behind, before = (Offset(0), 0) if base is None else (base.offset, int(base.fingerprint, 16))
        expected = show_sum(before + change)
        try:
            replayed = replay(self.into, progress=self.progress)
        except CorruptionError as error:
            if base is None:
                raise
            raise _BaseDamaged(str(error)) from None
        state = replayed.state
        found = (state.last_offset, state.last_timestamp, state.database.fingerprint())
        if found != (self.moment.offset, self.moment.timestamp, expected) or replayed.passed_over:
            message = (
                f"expected offset {self.moment.offset} of {show(self.moment.timestamp)}, fingerprint {expected[:16]}, "
                f"found offset {found[0]} of {show(found[1])}, fingerprint {found[2][:16]}, in what was restored"
            )
            if base is not None:
                raise _BaseDamaged(message)
            raise CorruptionError(message, file="log/", position=0, hint="Run `store log verify --re-execute`")
        if base is not None:
            Repository(self.into).note_verified(snapshot_name(base.offset), self.clock.wall(), base.fingerprint)
        return Restored(
            offset=state.last_offset,
            timestamp=state.last_timestamp,
            parent=state.epoch,
            fingerprint=expected,
            seconds=0.0,
            base=None if base is None else snapshot_name(base.offset),
            replayed=state.last_offset - behind,
            rows=sum(len(table.rows) for table in state.database.tables.values()),
            bytes=self.copied,
            passed_over=(),
            store=state.store if base is None else base.store,
        )
