"""Snapshots in the words of the tests: take, let old log go, damage, and what a replay from zero says."""

from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from typing import Any

from store.codec import decode_batch, encode_transaction
from store.engine.engine import Engine
from store.engine.state import State
from store.env.memory import MemoryClock, MemoryDisk, SeededEntropy
from store.env.world import Disk
from store.ids import Offset
from store.log.commitlog import LogOptions
from store.log.format import segment_name
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.snapshot.options import SnapshotOptions
from store.transaction import Transaction
from store.upkeep.snapshotting import Taken, take
from tests.engine.scenes import DOMAIN, SMALL_SEGMENTS, a_caller, committed, open_shop

TINY = SnapshotOptions(block_size=200)
"""So small that a table of a few rows has several blocks."""

SNAPSHOT_FOLDERS = ("snapshot", "block")


def taken(disk: Disk, through: int | None = None, *, options: SnapshotOptions = TINY, **more: Any) -> Taken:
    """Take a snapshot."""
    offset = None if through is None else Offset(through)
    return take(disk, clock=MemoryClock(), options=options, through=offset, **more)


def path(name: int) -> str:
    """The manifest's file of the snapshot at an offset."""
    return f"snapshot/{name:020d}.json"


def files_of(taking: Taken) -> list[str]:
    """Every file that a snapshot needs."""
    blocks = [f"block/{block.file}.blk" for table in taking.manifest.tables for block in table.blocks]
    return [path(taking.manifest.offset), f"block/{taking.manifest.system.file}.blk", *blocks]


def cut(disk: MemoryDisk, name: str) -> None:
    """Half of a file is lost."""
    disk.replace(name, disk.content(name)[: len(disk.content(name)) // 2])


def flip(disk: MemoryDisk, name: str) -> None:
    """A bit in the middle of a file is flipped."""
    disk.flip(name, len(disk.content(name)) * 4)


DAMAGES: dict[str, Callable[[MemoryDisk, str], None]] = {"cut": cut, "flip": flip, "lose": MemoryDisk.remove}


def drop_log(disk: MemoryDisk, through: int) -> None:
    """Let go of the segments that end at or before an offset; the last one stays."""
    offsets = segment_offsets(disk)
    for first, following in pairwise(offsets):
        if following <= through + 1:
            disk.remove(segment_name(first))
    disk.sync_directory("log")


def row_types() -> dict[str, type]:
    """The shop's tables by name."""
    return {each.__table__.name: each for each in DOMAIN.tables}


class Archive:
    """Every transaction that was ever seen on a disk: a log of which nothing is let go."""

    def __init__(self) -> None:
        self._transactions: dict[int, Transaction] = {}

    def read(self, disk: MemoryDisk) -> None:
        """Take note of all that can be read."""
        first = segment_offsets(disk)[0]
        for batch in LogReader(disk, from_offset=first):
            self._transactions.update({each.offset: each for each in decode_batch(batch.body)})

    def state(self, through: int) -> State:
        """What a replay from zero makes."""
        state = State(row_types())
        for offset in range(1, through + 1):
            state.absorb(self._transactions[offset], encode_transaction(self._transactions[offset]))
        return state


def a_life(*, log_options: LogOptions = SMALL_SEGMENTS, calls: int = 12, seed: int = 1) -> Engine:
    """A store with rows in every table, all of it durable and proven."""
    engine = open_shop(log_options=log_options, seed=seed)
    for number in range(calls):
        committed(engine, "add", "ada", f"s{number}", "n" * 40)
        committed(engine, "put", f"k{number}", bytes(20), key=f"key {number}")
        committed(engine, "make", caller=a_caller("bob", client="c"), sequence=number + 1)
    proven(engine)
    return engine


def proven(engine: Engine) -> None:
    """Everything is durable and proven to be."""
    engine.group_commit.commit()
    engine.log.vouch()
    engine.group_commit.commit()


def transplant(source: MemoryDisk, target: MemoryDisk) -> None:
    """Put one directory's snapshots into another."""
    for folder in SNAPSHOT_FOLDERS:
        for name in source.names(folder):
            target.replace(f"{folder}/{name}", source.content(f"{folder}/{name}"))


def crashed(disk: MemoryDisk, mode: str) -> MemoryDisk:
    """The disk after a crash that keeps all, drops all, or decides by a seed."""
    if mode.startswith("seed"):
        return disk.crash(SeededEntropy(int(mode[5:])))
    return disk.crash_keep_all() if mode == "keep all" else disk.crash_drop_all()


def make_newer(disk: MemoryDisk, name: str) -> None:
    """A newer store wrote this manifest, and it holds."""
    *lines, trailer = disk.content(name).splitlines(keepends=True)
    before = b"".join(lines)
    after = before.replace(b'{"snapshot":1,', b'{"snapshot":2,')
    assert before != after
    digests = [sha256(each).hexdigest().encode() for each in (before, after)]
    disk.replace(name, after + trailer.replace(*digests))
