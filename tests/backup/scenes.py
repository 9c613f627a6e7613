"""Stores with snapshots and sealed segments, pushed and restored, in the words of the tests."""

from itertools import pairwise
from typing import Any

from store.backup.facts import block_files
from store.backup.keys import OperatorKey
from store.backup.options import BackupOptions
from store.backup.push import Pushed, push
from store.backup.view import BackupDisk
from store.engine.engine import Engine
from store.engine.replay import replay
from store.env.memory import MemoryClock, MemoryDisk, SeededEntropy
from store.env.world import Disk, ObjectStore
from store.ids import Offset, Position
from store.log.segment import segment_offsets
from store.log.survey import segments
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Repository
from store.upkeep.making import Restored
from store.upkeep.ranges import AtOffset, Newest, resolve
from store.upkeep.restore import restore
from store.upkeep.snapshotting import take
from tests.canonical import canonical
from tests.engine.scenes import DOMAIN, SMALL_SEGMENTS, committed, memory_disk, open_shop, reopen

TINY = SnapshotOptions(block_size=200)
KEY = OperatorKey(bytes(range(32)))
SECRET_WORD = "Rumpelstiltskin"
"""In every row of the shop."""


class Shop:
    """A store that works, seals, takes snapshots, lets old log go, and pushes."""

    def __init__(self, objects: ObjectStore, *, key: OperatorKey | None = None, engine: Engine | None = None) -> None:
        self.objects = objects
        self.key = key
        self.engine = engine or open_shop(log_options=SMALL_SEGMENTS)
        self.entropy = SeededEntropy(77)

    @property
    def disk(self) -> MemoryDisk:
        """Its directory."""
        return memory_disk(self.engine)

    @property
    def last(self) -> Offset:
        """Its last offset."""
        return self.engine.log.last_offset

    def work(self, calls: int = 20) -> "Shop":
        """Take in so many tasks."""
        for number in range(calls):
            committed(self.engine, "add", f"{SECRET_WORD} {number % 7}", None, f"{SECRET_WORD} wrote this {number}")
        return self

    def seal(self) -> "Shop":
        """Everything so far lies in sealed segments."""
        self.engine.log.seal(self.engine.world.clock.wall())
        return self

    def snapshot(self) -> "Shop":
        """A verified snapshot of all that is sealed."""
        taken = take(self.disk, clock=MemoryClock(), options=TINY)
        Repository(self.disk).note_verified(
            f"{taken.manifest.offset:020d}", taken.manifest.taken, taken.manifest.fingerprint
        )
        return self

    def forget(self) -> "Shop":
        """Let go of all log that the newest snapshot covers."""
        newest = max(each.offset for each in Repository(self.disk).whole()[0])
        for first, following in pairwise(segment_offsets(self.disk)):
            if following <= newest + 1:
                self.disk.remove(f"log/{first:020d}.log")
        return self

    def forget_snapshots(self) -> "Shop":
        """Let go of all snapshots but the newest."""
        repository = Repository(self.disk)
        repository.remove(repository.names()[:-1])
        kept = repository.whole()[0][0]
        repository.collect({digest for digest, _ in block_files(kept)})
        return self

    def push(self, **more: Any) -> Pushed:
        """Bring the backup up to date."""
        return pushed(self.disk, self.objects, key=self.key, entropy=self.entropy, **more)

    def reopen_restored(self, directory: MemoryDisk) -> "Shop":
        """The store that a restored directory becomes, pushing into the same backup."""
        engine = reopen(self.engine, directory, log_options=SMALL_SEGMENTS)
        return Shop(self.objects, key=self.key, engine=engine)


def pushed(disk: Disk, objects: ObjectStore, **more: Any) -> Pushed:
    """Push a directory."""
    arguments: dict[str, Any] = {"clock": MemoryClock(), "entropy": SeededEntropy(77), "options": BackupOptions()}
    return push(disk, objects, **{**arguments, **more})


def state_at(disk: Disk, through: Offset | None = None) -> dict[str, Any]:
    """All that follows from a directory's snapshots and log, at an offset."""
    return canonical(replay(disk, row_types(), through=through).state)


def row_types() -> dict[str, type]:
    """The shop's tables by name."""
    return {each.__table__.name: each for each in DOMAIN.tables}


def restored(source: Disk, offset: Offset | None = None) -> tuple[MemoryDisk, Restored]:
    """A new directory, restored from any Disk."""
    into = MemoryDisk()
    target = Newest() if offset is None else AtOffset(offset)
    done = restore(source, into, resolve(source, target), clock=MemoryClock(), entropy=SeededEntropy(3))
    return into, done


def view(shop: Shop, **more: Any) -> BackupDisk:
    """The backup as a directory."""
    return BackupDisk(shop.objects, key=shop.key, **more)


def content(disk: Disk, name: str) -> bytes:
    """All bytes of a file."""
    file = disk.open(name)
    try:
        return file.read(Position(0), file.size())
    finally:
        file.close()


def sealed_through(disk: Disk) -> Offset:
    """The last offset in a sealed segment."""
    return max(each.last_offset for each in segments(disk) if each.sealed)
