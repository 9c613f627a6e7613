"""Logs in memory, in the words of the tests: commit, reopen, read."""

from store.codec import split_batch
from store.env.memory import MemoryDisk, SeededEntropy
from store.env.world import Disk
from store.ids import Epoch, Offset, Timestamp
from store.log.commitlog import Commitlog, LogOptions
from store.log.opening import Opening, TailReport
from store.log.reader import LogReader

EPOCH = Epoch(bytes(range(16)))
NOW = Timestamp(1_700_000_000_000_000)
OPTIONS = LogOptions()
FIRST = "log/00000000000000000001.log"


def record(number: int, size: int = 6) -> bytes:
    """A record that says its number: MessagePack binary of `size` bytes."""
    return b"\xc4" + bytes((size,)) + str(number).rjust(size, "0").encode()


def new_log(disk: Disk, *, seed: int = 1, options: LogOptions = OPTIONS) -> Commitlog:
    """A fresh log."""
    return Commitlog.create(disk, epoch=EPOCH, entropy=SeededEntropy(seed), timestamp=NOW, options=options)


def flush(log: Commitlog, count: int = 1) -> None:
    """Append the next `count` records and flush them as one batch."""
    for _ in range(count):
        log.append(record(log.last_offset + 1))
    log.flush()


def commit(log: Commitlog, count: int = 1) -> None:
    """Append, flush and sync the next `count` records."""
    flush(log, count)
    log.sync()


def vouch(log: Commitlog) -> None:
    """Vouch for what is durable, durably."""
    log.vouch()
    log.sync()


def reopen(
    disk: Disk, *, seed: int = 2, options: LogOptions = OPTIONS, copied: bool = False
) -> tuple[Commitlog, list[bytes], TailReport]:
    """Open the log as recovery does: the log, the records replayed, the report."""
    opening = Opening(disk, entropy=SeededEntropy(seed), options=options, copied=copied)
    records = [bytes(raw) for batch in opening for raw in split_batch(batch.body)]
    log, report = opening.finish()
    return log, records, report


def read(disk: Disk, from_offset: int = 1) -> list[bytes]:
    """All records from the batch that holds `from_offset`, without changing anything."""
    return [bytes(raw) for batch in LogReader(disk, from_offset=Offset(from_offset)) for raw in split_batch(batch.body)]


def batches(disk: Disk) -> list[tuple[str, int, int, int, int, int]]:
    """Every batch: segment, position, end, first offset, count, durable offset."""
    return [
        (each.segment, each.position, each.end, each.first_offset, each.count, each.durable_offset)
        for each in LogReader(disk, check_all=True)
    ]


def records(last: int) -> list[bytes]:
    """The records 1 to `last`."""
    return [record(number) for number in range(1, last + 1)]


def copy(disk: MemoryDisk) -> MemoryDisk:
    """The same bytes, to be damaged."""
    return disk.copy()
