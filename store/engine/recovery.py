"""From the directory's bytes to the state at the last durable transaction. Read it top to bottom.

Laws: a torn tail is cut and reported; damage to what somebody may have been told is refused, with file and position.
Bytes that no sync is known to have covered are written and synced again before they are believed. A crash in here
leaves a directory that opens.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from store.codec import decode_batch, split_batch
from store.engine.directory import inspect, moved
from store.engine.state import State
from store.env.world import World
from store.errors import CorruptionError
from store.ids import EPOCH_SIZE, Epoch, Offset
from store.log.commitlog import Commitlog, LogOptions
from store.log.format import Batch
from store.log.opening import Opening, TailReport
from store.schema import Table
from store.transaction import Transaction

ProgressCallback = Callable[["RecoveryProgress"], None]


@dataclass(frozen=True)
class RecoveryProgress:
    """How far recovery has come."""

    bytes_done: int
    bytes_total: int
    transactions: int


@dataclass(frozen=True)
class RecoveryReport:
    """What a start found, in one line."""

    snapshot_offset: Offset
    """Always 0 while there are no snapshots: the log was replayed from its start."""
    last_offset: Offset
    replayed: int
    """Transactions."""
    cut_bytes: int
    """The torn tail: bytes of a write that the crash interrupted and that nobody was told of."""
    rewritten_bytes: int
    """Bytes at the end that no later batch vouched for, written and synced again."""
    seconds: float

    @property
    def per_second(self) -> float:
        """Transactions replayed per second."""
        return self.replayed / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        if not self.last_offset:
            return "a new store: nothing to recover"
        torn = f", cut {self.cut_bytes} torn bytes" if self.cut_bytes else ""
        return (
            f"recovered to offset {self.last_offset}: replayed {self.replayed} transactions"
            f" in {self.seconds:.2f} s ({self.per_second:,.0f}/s){torn}"
        )


@dataclass(frozen=True)
class Recovered:
    """The directory, opened."""

    state: State
    log: Commitlog
    tail: list[bytes]
    """The newest records, for the feed to start with."""
    new_epoch: Epoch | None
    """The epoch that must open now: the directory is fresh, or a copy of another. Once its record is durable, and not
    before, the directory is marked: a crash in between opens one again."""
    epoch_reason: str
    """Why it opens, as its record says; "" where none does."""
    report: RecoveryReport


def recover(
    world: World,
    row_types: Mapping[str, type[Table]],
    *,
    log_options: LogOptions,
    tail_size_max: int,
    progress: ProgressCallback | None = None,
) -> Recovered:
    """Open the data directory, which is locked already. CorruptionError or DirectoryError where that cannot be."""
    # 1  What is this directory? Fresh, ours, or ours in another place.
    began = world.clock.monotonic()
    disk = world.disk
    marker = inspect(disk)
    state = State(row_types)
    tail = Tail(tail_size_max)
    new_epoch = Epoch(world.entropy.bytes(EPOCH_SIZE)) if marker is None or moved(disk, marker) else None

    # 2  A fresh one gets its first segment.
    if not Commitlog.exists(disk):
        assert new_epoch is not None
        timestamp = world.clock.wall()
        log = Commitlog.create(disk, epoch=new_epoch, entropy=world.entropy, timestamp=timestamp, options=log_options)
        return Recovered(state, log, [], new_epoch, "new", _report(state, began=began, world=world, tail=None))

    # 3  Scan and replay. Damage that somebody may have been told of raises here; a torn tail ends the scan.
    told = None if progress is None else lambda done, total: progress(RecoveryProgress(done, total, state.last_offset))
    opening = Opening(disk, entropy=world.entropy, options=log_options, progress=told)
    for batch in opening:
        for transaction, record in records(batch):
            state.absorb(transaction, record)
        tail.add(batch)

    # 4  Cut the torn tail; write and sync again what nothing vouches for; only now believe it.
    log, found = opening.finish()
    assert log.last_offset == state.last_offset

    # 5  A copy goes on in its own epoch; a first start that was cut short, in the one its segment names.
    reason = ""
    if new_epoch is not None:
        reason = "new" if not state.epochs else "unmarked" if marker is None else "copy"
        new_epoch = log.epoch = new_epoch if state.epochs else log.epoch
    return Recovered(
        state, log, tail.records(), new_epoch, reason, _report(state, began=began, world=world, tail=found)
    )


def records(batch: Batch) -> Iterator[tuple[Transaction, bytes | None]]:
    """A batch's transactions, decoded at once; with a record's own bytes only where its key needs them.

    CorruptionError where the records do not have the offsets that the batch says.
    """
    if not batch.count:
        return
    transactions = decode_batch(batch.body)
    raws = split_batch(batch.body) if any(each.call_key is not None for each in transactions) else None
    for place, transaction in enumerate(transactions):
        if transaction.offset != batch.first_offset + place:
            raise CorruptionError(
                f"expected offset {batch.first_offset + place}, found {transaction.offset}",
                file=batch.segment,
                position=batch.position,
            )
        yield transaction, None if raws is None or transaction.call_key is None else bytes(raws[place])


class Tail:
    """The newest records of a replay, as whole batches, for the feed to start with."""

    def __init__(self, size_max: int) -> None:
        self._size_max: Final = size_max
        self._batches: Final[deque[Batch]] = deque()
        self._size = 0

    def add(self, batch: Batch) -> None:
        """Keep a batch; the oldest go when there is more than the bound."""
        self._batches.append(batch)
        self._size += len(batch.body)
        while self._size > self._size_max and len(self._batches) > 1:
            self._size -= len(self._batches.popleft().body)

    def records(self) -> list[bytes]:
        """Every record kept, in order."""
        return [bytes(raw) for batch in self._batches for raw in split_batch(batch.body)]


def _report(state: State, *, began: float, world: World, tail: TailReport | None) -> RecoveryReport:
    return RecoveryReport(
        snapshot_offset=Offset(0),
        last_offset=state.last_offset,
        replayed=state.last_offset,
        cut_bytes=0 if tail is None else tail.cut_bytes,
        rewritten_bytes=0 if tail is None else tail.rewritten_bytes,
        seconds=world.clock.monotonic() - began,
    )
