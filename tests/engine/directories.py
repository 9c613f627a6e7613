"""A data directory in memory, as it lives: written, sealed, snapshotted, pruned, cut off. Its records are numbers."""

from dataclasses import dataclass, field
from typing import Any, Final

from store.env.memory import MemoryDisk, SeededEntropy
from store.errors import CorruptionError, DirectoryError
from store.ids import EPOCH_SIZE, Epoch, Offset, TableId, Timestamp
from store.log.commitlog import Commitlog, LogOptions
from store.log.reader import LogReader
from store.log.survey import holds, proven_end
from store.snapshot.format import Manifest, TableContent, content_of, fingerprint_of
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Repository
from store.upkeep import retention
from store.upkeep.retention import prune

SECOND: Final = 1_000_000
OPTIONS: Final = SnapshotOptions(keep_last=3, keep_daily=0, keep_for_s=100, grace_s=10)
EAGER: Final = SnapshotOptions(keep_last=2, keep_daily=0, keep_for_s=0, grace_s=0)
EPOCH: Final = Epoch(bytes(EPOCH_SIZE))
START: Final = Timestamp(0)


def moment(seconds: float) -> Timestamp:
    """A moment of these tests: the record at offset n has the timestamp of second n."""
    return Timestamp(int(seconds * SECOND))


@dataclass
class Directory:
    """A data directory in memory with a log of numbers, and a clock."""

    disk: MemoryDisk = field(default_factory=MemoryDisk)
    now: Timestamp = START
    log: Commitlog | None = None

    def write(self, count: int = 1, what: bytes = b"record") -> None:
        """Records, each in a batch of its own; one second passes with each."""
        if self.log is None:
            self.log = Commitlog.create(
                self.disk, epoch=EPOCH, entropy=SeededEntropy(1), timestamp=self.now, options=LogOptions()
            )
        for _ in range(count):
            self.log.append(b"%s %d" % (what, self.log.last_offset + 1))
            self.log.flush()
            self.log.sync()
            self.now = moment(self.log.last_offset)

    def seal(self) -> None:
        """Close the open segment."""
        if self.log is not None:
            self.log.seal(self.now)

    def snapshot(self, *, verified: bool = True) -> str:
        """One at the newest offset that is proven, of one block that is its own and one that all share."""
        assert self.log is not None
        self.seal()
        offset, behind = proven_end(self.disk)
        repository = Repository(self.disk)
        table = TableId(1)
        blocks = (
            repository.put_block([0], [b"shared"], table),
            repository.put_block([1], [b"row %d" % offset], table),
        )
        tables = (TableContent(table, "numbers", 2, 1, blocks),)
        system = repository.put_system(b"system %d" % offset)
        manifest = Manifest(
            store=EPOCH,
            epoch=EPOCH,
            offset=offset,
            timestamp=moment(offset),
            taken=self.now,
            chain=behind,
            schema=b"\x80",
            tables=tables,
            system=system,
            fingerprint=fingerprint_of(tables),
            content=content_of(tables, system),
        )
        repository.put_manifest(manifest)
        name = f"{offset:020d}"
        if verified:
            repository.note_verified(name, self.now, manifest.fingerprint)
        return name

    def prune(self, options: SnapshotOptions = OPTIONS, **more: Any) -> retention.Pruned:
        """Let go what may go."""
        return prune(self.disk, now=self.now, options=options, **more)

    def crash(self, disk: MemoryDisk) -> None:
        """Go on with what is left, as after a power loss; the log is only read from here on."""
        self.disk, self.log = disk, None

    def leads_to(self, offset: int) -> bool:
        """Whether what is on disk truly leads to an offset: blocks and records are read."""
        repository = Repository(self.disk)
        bases = [0] if "00000000000000000001.log" in self.disk.names("log") else []
        for name in repository.names():
            manifest = repository.manifest(name)
            if manifest.offset <= offset and self.whole(manifest):
                repository.check(manifest, progress=lambda *_: None)
                if manifest.offset == offset or holds(self.disk, manifest.offset, manifest.chain):
                    bases.append(manifest.offset)
        for base in bases:
            if base == offset:
                return True
            try:
                found = list(LogReader(self.disk, from_offset=Offset(base + 1), through=Offset(offset)))
            except (CorruptionError, DirectoryError):
                continue
            if found and found[-1].last_offset >= offset:
                return True
        return False

    def whole(self, manifest: Manifest) -> bool:
        """Whether all blocks are there."""
        names = {each.file for table in manifest.tables for each in table.blocks} | {manifest.system.file}
        return {f"{each}.blk" for each in names} <= set(self.disk.names("block"))

    def promised(self, options: SnapshotOptions) -> list[int]:
        """Every offset of the window, and of pins."""
        last = proven_end(self.disk)[0]
        begin = max(self.now // SECOND - int(options.keep_for_s), 0)
        pins = [pin.offset for pin in Repository(self.disk).pins().values() if pin.kind != "cursor"]
        return [*range(begin, last + 1), *pins]


def a_directory(snapshots: int = 4, *, apart: int = 50) -> Directory:
    """One with so many snapshots."""
    made = Directory()
    for _ in range(snapshots):
        made.write(apart)
        made.snapshot()
    made.write(5)
    return made
