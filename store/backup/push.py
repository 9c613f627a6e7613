"""Bringing a backup up to date: what a store has sealed or verified and the backup does not hold is stored there.

Laws: only verified snapshots and sealed segments leave, each checked whole on its way, a manifest after its blocks. An
object that is there whole is not sent again, so a push that was killed goes on where it was. Nothing is overwritten. A
lease holds what is still to be sent, from before it was looked for. A push changes nothing else in the directory.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeVar

from store.backup.branches import Branch
from store.backup.bucket import Bucket, Stored, begin_bucket
from store.backup.contents import read_manifest
from store.backup.facts import (
    BytesFile,
    SegmentFacts,
    SnapshotFacts,
    block_files,
    refuse_unlike,
    segment_facts,
    snapshot_facts,
)
from store.backup.index import Entry, Index, merge_notes, read_index, write_note
from store.backup.keys import OperatorKey
from store.backup.layout import (
    BLOCK_SIZE_MAX,
    MANIFEST_SIZE_MAX,
    SEGMENT_SIZE_MAX,
    block_file,
    segment_object,
    snapshot_file,
    snapshot_object,
)
from store.backup.options import BackupOptions
from store.backup.pins import Place, send_pins
from store.env.world import Clock, Disk, Entropy, ObjectStore
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, Position, Timestamp
from store.log.survey import SegmentInfo, read_header, segments
from store.snapshot.format import Manifest
from store.snapshot.repository import Pin, Repository

Progress = Callable[[str, int, int], None]
"""Told (phase, bytes done, bytes in all)."""

_SECOND: Final = 1_000_000
_RENEW: Final = 3
"""A lease is renewed when a third of it is gone."""
_BEFORE_ALL: Final = Offset(0)

Read = TypeVar("Read")


@dataclass
class Pushed:
    """What a push did."""

    url: str
    objects_sent: int = 0
    bytes_sent: int = 0
    """As stored: compressed, and encrypted where there is a key."""
    objects_known: int = 0
    """Objects that this store's snapshots and segments need and that were there whole."""
    snapshots: int = 0
    """Of this store, that the backup now holds."""
    segments: int = 0
    pins: int = 0
    """Of this store's directory, that the backup now holds."""
    last_offset: Offset = _BEFORE_ALL
    """The last of this store that can be restored from the backup."""
    seconds: float = 0.0
    index: str = ""
    """The name of what was noted last; "" for nothing new."""
    encrypted: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    """What stayed here, and why: damaged files, unverified snapshots."""


def push(
    disk: Disk,
    objects: ObjectStore,
    *,
    clock: Clock,
    entropy: Entropy,
    lease_s: float = 900.0,
    options: BackupOptions | None = None,
    key: OperatorKey | None = None,
    progress: Progress | None = None,
) -> Pushed:
    """Store what the backup lacks. Any number may push at once, into one backup.

    DirectoryError: another store's backup, the wrong key, no such bucket. FileExistsError: an object is taken by other
    content. CorruptionError: the store changes what it is given. OSError: the disk, or the store cannot be reached.
    Whatever it is, pushing again goes on from there. What is damaged *here* is left here, and told in `refused`.
    """
    begun = clock.monotonic()
    lease = _Lease(disk, clock, entropy, lease_s)
    try:
        run = _Push(disk, objects, clock, entropy, options or BackupOptions(), key, progress, lease)
        run.all()
    finally:
        lease.end()
    run.report.seconds = clock.monotonic() - begun
    return run.report


class _Lease:
    """Pins that run out by themselves, one for each offset that something still to be sent leads to."""

    def __init__(self, disk: Disk, clock: Clock, entropy: Entropy, lease_s: float) -> None:
        self._repository = Repository(disk)
        self._clock = clock
        self._length = int(lease_s * _SECOND)
        self._name = f"lease-push-{entropy.bytes(4).hex()}"
        self._held: set[Offset] = set()
        self._renew_at = Timestamp(0)
        self.hold({_BEFORE_ALL})

    def hold(self, offsets: set[Offset]) -> None:
        """From here on these, and no others."""
        now = self._clock.wall()
        due = now >= self._renew_at
        for each in offsets if due else offsets - self._held:
            until = Timestamp(now + self._length)
            self._repository.pin(self._pin(each), Pin(each, "a push to the backup", until, "lease"))
        for each in self._held - offsets:
            self._repository.unpin(self._pin(each))
        self._held = set(offsets)
        if due:
            self._renew_at = Timestamp(now + self._length // _RENEW)

    def end(self) -> None:
        """Nothing is held any more."""
        self.hold(set())

    def _pin(self, offset: Offset) -> str:
        return f"{self._name}-{offset}"


@dataclass(frozen=True)
class _Snapshot:
    """One of ours, and the blocks it needs."""

    manifest: Manifest
    facts: SnapshotFacts
    object: str
    blocks: tuple[tuple[str, int], ...]


class _Push:
    """One push, in its order: look, store snapshots, store segments, note."""

    def __init__(
        self,
        disk: Disk,
        objects: ObjectStore,
        clock: Clock,
        entropy: Entropy,
        options: BackupOptions,
        key: OperatorKey | None,
        progress: Progress | None,
        lease: _Lease,
    ) -> None:
        self._disk, self._clock, self._entropy, self._options = disk, clock, entropy, options
        self._progress, self._lease = progress, lease
        self.report = Pushed(objects.url)
        self._repository = Repository(disk)
        damaged: list[CorruptionError] = []
        self._log = segments(disk, damaged)
        self._segments = [each for each in self._log if each.sealed]
        self.report.refused |= {each.file: str(each) for each in damaged}
        self._snapshots = self._verified()
        self._bucket: Bucket = begin_bucket(objects, key, store=self._store(), clock=clock, entropy=entropy)
        self.report.encrypted = self._bucket.encrypted
        self._index: Index = read_index(self._bucket)
        self._unnoted: list[Entry] = []
        self._held: set[Offset] = {_BEFORE_ALL}
        self._total = self._done = 0

    def all(self) -> None:
        """The whole push."""
        snapshots = [each for each in self._snapshots if not self._knows(each.object)]
        logs = [each for each in self._segments if not self._knows(_segment_object(each))]
        blocks = dict(block for each in snapshots for block in each.blocks)
        missing = (size for digest, size in blocks.items() if not self._knows(self._bucket.block_object(digest)))
        self._total = sum(missing) + sum(each.size for each in logs)
        log = {Offset(each.first_offset - 1) for each in logs[:1]}
        for place, snapshot in enumerate(snapshots):
            self._held = log | {each.facts.offset for each in snapshots[place:]}
            self._tell("snapshots")
            self._send_snapshot(snapshot)
        for each in logs:
            self._held = {Offset(each.first_offset - 1)}
            self._tell("log")
            self._send_segment(each)
        self._send_what_went(snapshots)
        self._send_pins()
        self._note()
        if self._index.uncovered > self._options.index_merge:
            merge_notes(self._bucket, at=self._clock.wall(), entropy=self._entropy)
        self._count()

    def _verified(self) -> list[_Snapshot]:
        """Our verified snapshots, oldest first."""
        whole, refused = self._repository.whole()
        self.report.refused |= {f"snapshot/{name}": reason for name, reason in refused}
        found = []
        for manifest in sorted(whole, key=lambda each: each.offset):
            name = f"{manifest.offset:020d}"
            if self._repository.verified(name) is None:
                self.report.refused[f"snapshot/{name}"] = "it was not verified yet (`store snapshot verify`)"
                continue
            facts = snapshot_facts(manifest)
            blocks = tuple(block_files(manifest))
            found.append(_Snapshot(manifest, facts, snapshot_object(manifest.offset, manifest.chain), blocks))
        return found

    def _store(self) -> str:
        """The epoch that this store began with: what tells tenants apart."""
        if self._snapshots:
            return self._snapshots[-1].facts.store
        first = next((each for each in self._segments if each.first_offset == 1), None)
        if first is not None:
            return read_header(self._disk, first.first_offset).epoch.hex()
        raise DirectoryError(
            "there is nothing to push yet: no verified snapshot, and no sealed segment from the first offset on",
            hint="Take a snapshot first (`store snapshot take`)",
        )

    def _send_snapshot(self, snapshot: _Snapshot) -> None:
        """Its blocks, then its manifest; not the manifest if any of them is damaged."""
        name = snapshot_file(snapshot.facts.offset)
        missing = [each for each in snapshot.blocks if not self._knows(self._bucket.block_object(each[0]))]
        for (digest, size), stored in zip(missing, self._bucket.objects.each(self._send_block, missing), strict=True):
            if isinstance(stored, str):
                self.report.refused[name] = stored
            else:
                self._keep(Entry(self._bucket.block_object(digest), stored.size, stored.sha256, size), stored)
            self._tell("snapshots", size)
        if name in self.report.refused:
            return
        file = self._ours(name, lambda: self._read_manifest(snapshot, name))
        if file is not None:
            self._put(snapshot.object, file, snapshot=snapshot.facts)

    def _send_what_went(self, sent: list[_Snapshot]) -> None:
        """Blocks that were there when this began, and that somebody pruned before the manifest said they are needed."""
        if not sent:
            return
        there = set(self._bucket.objects.names("block/"))
        for each in sent:
            needed = {self._bucket.block_object(digest) for digest, _ in each.blocks}
            if each.object in self._index.entries and not needed <= there:
                for name in needed - there:
                    self._index.entries.pop(name, None)
                self._send_snapshot(each)

    def _send_pins(self) -> None:
        """What operators hold on to here is held in the backup, too."""
        epochs = [each.epoch for each in self._log] or [each.manifest.epoch for each in self._snapshots]
        place = Place(epochs[-1].hex(), self._log, [each.manifest for each in self._snapshots])
        self.report.pins = send_pins(self._bucket, place, self._repository.pins().items(), self._clock.wall())

    def _send_segment(self, info: SegmentInfo) -> None:
        """Checked batch by batch before it leaves."""
        found = self._ours(info.name, lambda: self._read_segment(info))
        if found is not None:
            facts, file = found
            self._put(_segment_object(info), file, segment=facts)
        self._tell("log", info.size)

    def _send_block(self, block: tuple[str, int]) -> Stored | str:
        """Store one block; or say why it stays here. Several run at once, so nothing of ours is changed."""
        try:
            file = self._read_block(*block)
        except (CorruptionError, FileNotFoundError) as error:
            return str(error)
        return self._bucket.put(self._bucket.block_object(block[0]), file)

    def _read_block(self, digest: str, size: int) -> bytes:
        name = block_file(digest)
        file = self._read(name, BLOCK_SIZE_MAX)
        if len(file) != size or sha256(file).hexdigest() != digest:
            raise CorruptionError(
                f"expected {size} bytes of hash {digest}, found {len(file)} others",
                file=name,
                position=0,
                hint="Run `store snapshot verify`; the next snapshot writes the block anew",
            )
        return file

    def _read_manifest(self, snapshot: _Snapshot, name: str) -> bytes:
        file = self._read(name, MANIFEST_SIZE_MAX)
        found = read_manifest(self._bucket, snapshot.object, file)
        refuse_unlike(name, snapshot.facts, snapshot_facts(found))
        return file

    def _read_segment(self, info: SegmentInfo) -> tuple[SegmentFacts, bytes]:
        data = self._read(info.name, SEGMENT_SIZE_MAX)
        facts = segment_facts(BytesFile(data), info.first_offset)
        refuse_unlike(info.name, _segment_object(info), segment_object(facts.first, facts.last, info.chain_after))
        refuse_unlike(info.name, info.chain_after.hex(), facts.chain_after)
        return facts, data

    def _read(self, name: str, size_max: int) -> bytes:
        """A whole file of ours, if a backup can hold it."""
        file = self._disk.open(name)
        try:
            size = file.size()
            if size > size_max:
                raise CorruptionError(
                    f"expected at most {size_max} bytes, the most that a backup takes in one object, found {size}",
                    file=name,
                    position=size_max,
                    hint="A smaller log.segment_size_max makes smaller segments from now on",
                )
            return file.read(Position(0), size)
        finally:
            file.close()

    def _ours(self, name: str, read: Callable[[], Read]) -> Read | None:
        """What is read here; None where that is damaged or gone: it stays here and is told, the rest is pushed."""
        try:
            return read()
        except (CorruptionError, FileNotFoundError) as error:
            self.report.refused[name] = str(error)
            return None

    def _put(
        self, name: str, file: bytes, *, segment: SegmentFacts | None = None, snapshot: SnapshotFacts | None = None
    ) -> None:
        """Store one object and have it proved."""
        stored = self._bucket.put(name, file)
        self._keep(Entry(name, stored.size, stored.sha256, len(file), segment=segment, snapshot=snapshot), stored)

    def _keep(self, entry: Entry, stored: Stored) -> None:
        """Count what was stored, and note it now and then, so that a later push need not ask again."""
        if stored.sent:
            self.report.objects_sent += 1
            self.report.bytes_sent += stored.size
        self._index.entries[entry.object] = entry
        self._unnoted.append(entry)
        if len(self._unnoted) >= self._options.index_every:
            self._note()

    def _note(self) -> None:
        if self._unnoted:
            now = self._clock.wall()
            entries = self._unnoted
            self.report.index = write_note(self._bucket, self._index, entries, at=now, entropy=self._entropy)
            self._unnoted = []

    def _knows(self, name: str) -> bool:
        return name in self._index.entries

    def _tell(self, phase: str, size: int = 0) -> None:
        self._done += size
        self._lease.hold(self._held)
        if self._progress is not None:
            self._progress(phase, min(self._done, self._total), self._total)

    def _count(self) -> None:
        """What of this store the backup now holds, and how far it reaches."""
        known = self._index.entries
        logs = tuple(known[name] for name in map(_segment_object, self._segments) if name in known)
        snapshots = tuple(known[each.object] for each in self._snapshots if each.object in known)
        blocks = {self._bucket.block_object(digest) for each in self._snapshots for digest, _ in each.blocks}
        self.report.segments, self.report.snapshots = len(logs), len(snapshots)
        held = len(logs) + len(snapshots) + len(blocks & known.keys())
        self.report.objects_known = held - self.report.objects_sent
        ends = [each.last for each in Branch("", logs, snapshots).stretches()]
        self.report.last_offset = max(ends, default=Offset(0))


def _segment_object(info: SegmentInfo) -> str:
    return segment_object(info.first_offset, info.last_offset, info.chain_after)
