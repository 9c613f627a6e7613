"""A store with a past, in the words of the tests: its moments, and what its state was at each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from store.engine.engine import Engine
from store.engine.replay import replay
from store.env.memory import MemoryClock, MemoryDisk, NoDeadline, SeededEntropy
from store.env.world import Disk, File, World
from store.ids import Offset
from store.log.commitlog import LogOptions
from store.log.reader import LogReader
from store.log.survey import segments
from store.upkeep.making import Restored
from store.upkeep.ranges import AtOffset, Target, resolve
from store.upkeep.restore import restore
from tests.canonical import canonical
from tests.engine.scenes import a_caller, call, committed, memory_clock, memory_disk, open_shop
from tests.engine.snapshots import Archive, drop_log, row_types, taken

LOG_OPTIONS = LogOptions(segment_size_max=2_000)
FOLDERS = ("", "log", "snapshot", "block", "pin")


@dataclass(frozen=True)
class Past:
    """A directory, and what is true of it."""

    disk: MemoryDisk
    archive: Archive
    last: int
    snapshots: tuple[int, ...]
    """Their offsets."""
    batches: tuple[tuple[int, int], ...]
    """(first, last) offset of each batch of records that was ever written."""
    times: Mapping[int, int]
    """Of each transaction."""

    def copy(self) -> "Past":
        """The same, to be changed: the same bytes, where they are at home."""
        return Past(self.disk.crash_keep_all(), self.archive, self.last, self.snapshots, self.batches, self.times)

    def state(self, offset: int) -> dict[str, Any]:
        """What a replay from zero says of an offset."""
        return _state(self.archive, offset)

    def drop_log(self, through: int) -> "Past":
        """The same without the log through an offset, as far as segments end there."""
        past = self.copy()
        drop_log(past.disk, through)
        return past


_STATES: dict[tuple[int, int], dict[str, Any]] = {}


def _state(archive: Archive, offset: int) -> dict[str, Any]:
    key = (id(archive), offset)
    if key not in _STATES:
        _STATES[key] = canonical(archive.state(offset))
    return _STATES[key]


@cache
def _a_past() -> Past:
    engine = open_shop(log_options=LOG_OPTIONS)
    archive, snapshots = Archive(), []
    for part in range(3):
        live(engine, part)
        if part < 2:
            engine.group_commit.commit()
            engine.log.vouch()
            engine.group_commit.commit()
            assert engine.log.seal(engine.world.clock.wall())
            snapshots.append(taken(memory_disk(engine)).manifest.offset)
    engine.close()
    disk = memory_disk(engine)
    archive.read(disk)
    batches = tuple((each.first_offset, each.last_offset) for each in LogReader(disk) if each.count)
    last = batches[-1][1]
    times = {offset: archive.state(offset).last_timestamp for offset in range(1, last + 1)}
    return Past(disk, archive, last, tuple(snapshots), batches, times)


def live(engine: Engine, part: int) -> None:
    """Calls of every kind, in batches of one to three, with keys of every kind, a second apart."""
    for number in range(part * 6, part * 6 + 6):
        call(engine, "add", ("ada", "bob", "eve")[number % 3], f"s{number}", "n" * 40)
        if number % 2:
            call(engine, "put", f"k{number}", bytes(30), key=f"key {number}")
            call(engine, "give", number, "zoe")
        committed(engine, "make", caller=a_caller("bob", client="c"), sequence=number + 1)
        committed(engine, "remove", number - 2)
        committed(engine, "fail", "refuse", key=f"refused {number}")
        memory_clock(engine).advance(1_000_000)


def a_past() -> Past:
    """A store of about 90 transactions in several segments, with two snapshots at sealed ends; stopped in order."""
    return _a_past().copy()


def everything(disk: MemoryDisk) -> dict[str, bytes]:
    """Every file's bytes."""
    return {
        f"{folder}/{name}" if folder else name: disk.content(f"{folder}/{name}" if folder else name)
        for folder in FOLDERS
        for name in disk.names(folder)
    }


def restored(
    source: Disk, target: Target | int, into: MemoryDisk | None = None, **more: Any
) -> tuple[MemoryDisk, Restored]:
    """A new directory, at an offset or another target."""
    target = AtOffset(Offset(target)) if isinstance(target, int) else target
    into = into or MemoryDisk(filesystem=7)
    arguments: dict[str, Any] = {"clock": MemoryClock(), "entropy": SeededEntropy(3), **more}
    return into, restore(source, into, resolve(source, target), **arguments)


def state_of(disk: Disk) -> dict[str, Any]:
    """All that follows from a directory."""
    return canonical(replay(disk, row_types()).state)


def start(disk: MemoryDisk, *, seed: int = 9) -> Engine:
    """A store on that directory, later."""
    world = World(disk, MemoryClock(1_700_000_000_000_000 + 3_600_000_000), SeededEntropy(seed), NoDeadline())
    return open_shop(world=world, log_options=LOG_OPTIONS)


def segment_firsts(disk: Disk) -> list[int]:
    """Where its segments begin."""
    return [each.first_offset for each in segments(disk)]


class Vanishing(MemoryDisk):
    """A directory in which the file that is opened next but so many goes away before that."""

    countdown = -1

    def open(self, name: str) -> File:
        """Open an existing file."""
        self.countdown -= 1
        if not self.countdown:
            self.remove(name)
        return super().open(name)
