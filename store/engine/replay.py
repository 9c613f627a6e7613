"""A snapshot and the log behind it, made one state: read only, for whoever checks, compares or restores.

Laws: nothing on the disk is changed. What comes out at an offset is what the writer had there. What is torn at the
log's end is left aside, as a start would cut it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from store.codec import decode_batch, split_batch
from store.engine.loading import Loaded, PassedOver, Progress, load
from store.engine.state import State
from store.env.world import Disk
from store.errors import CorruptionError
from store.ids import Offset
from store.log.format import Batch
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.schema import Table
from store.snapshot.format import Manifest
from store.transaction import Transaction

REPLAYING = "replaying"
"""The phase in which the log is read; its steps are bytes."""


@dataclass(frozen=True)
class Replayed:
    """A state, and the way to it."""

    state: State
    manifest: Manifest | None
    """The snapshot it began with, or None."""
    replayed: int
    """Transactions."""
    passed_over: tuple[PassedOver, ...]


def replay(
    disk: Disk,
    row_types: Mapping[str, type[Table]] | None = None,
    *,
    through: Offset | None = None,
    ahead: bool = False,
    progress: Progress | None = None,
) -> Replayed:
    """The state at `through`, from the newest snapshot at or before it and the log; None: where the log ends.

    `through` may lie inside a batch; behind the log's end, what comes out ends there: look at `last_offset`. Errors as
    loading.load and the log's reader.
    """
    loaded = load(disk, row_types or {}, through=through, ahead=ahead, progress=progress)
    state = loaded.state
    base = state.last_offset
    if base != through and _has_more(disk, loaded):
        told = None if progress is None else lambda done, total: progress(REPLAYING, done, total)
        reader = LogReader(disk, from_offset=state.next_offset, through=through, progress=told)
        absorb_all(state, reader, through=through)
    return Replayed(state, loaded.manifest, state.last_offset - base, loaded.passed_over)


def absorb_all(state: State, batches: Iterable[Batch], *, through: Offset | None = None) -> None:
    """Take in what comes behind the state, which stands where a batch ends, and not behind `through`.

    CorruptionError as `records`.
    """
    absorb = state.absorb
    for batch in batches:
        if batch.last_offset <= state.last_offset:
            continue
        for transaction, record in records(batch):
            if through is not None and transaction.offset > through:
                return
            absorb(transaction, record)


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


def _has_more(disk: Disk, loaded: Loaded) -> bool:
    """Whether there is log behind a snapshot; a copied directory's may end before it, or be gone."""
    return loaded.manifest is None or bool(segment_offsets(disk))
