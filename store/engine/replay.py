"""A snapshot and the log behind it, made one state: read only, for whoever checks, compares or restores.

Laws: nothing on the disk is changed. What comes out at an offset is what the writer had there. What is torn at the
log's end is left aside, as a start would cut it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

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
from store.tables.batch_moves import BatchMoves
from store.transaction import Kind, Transaction

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
        reader = LogReader(disk, from_offset=state.next_offset, through=through, copied=ahead, progress=told)
        absorb_all(state, reader, through=through)
    return Replayed(state, loaded.manifest, state.last_offset - base, loaded.passed_over)


def absorb_all(state: State, batches: Iterable[Batch], *, through: Offset | None = None) -> None:
    """Take in what comes behind the state, which stands where a batch ends, and not behind `through`.

    CorruptionError as `records`.
    """
    absorbing = Absorbing(state)
    for batch in batches:
        if batch.last_offset > state.last_offset:
            absorbing.absorb(batch, through=through)


class Absorbing:
    """Takes batches into a state, each as a whole."""

    def __init__(self, state: State) -> None:
        self._state: Final = state
        self._moves: Final = BatchMoves(state.database.tables)

    def absorb(self, batch: Batch, *, through: Offset | None = None) -> None:
        """Take in the batch that comes next, as far as `through`. CorruptionError as `records`."""
        transactions = _read(batch)
        if through is not None and through < batch.last_offset:
            transactions = transactions[: max(through + 1 - batch.first_offset, 0)]
        found = _bytes_of(batch, transactions)
        if any(each.kind == _SCHEMA for each in transactions):  # Tables that it brings are not there beforehand.
            for transaction, record in zip(transactions, found, strict=False):
                self._state.absorb(transaction, record)
        elif transactions:
            self._state.absorb_batch(transactions, found, self._moves)


def records(batch: Batch) -> Iterator[tuple[Transaction, bytes | None]]:
    """A batch's transactions, decoded at once; with a record's own bytes only where its key needs them.

    CorruptionError where the records do not have the offsets that the batch says.
    """
    transactions = _read(batch)
    return zip(transactions, _bytes_of(batch, transactions), strict=False)


def _read(batch: Batch) -> list[Transaction]:
    """A batch's transactions. CorruptionError as `records`."""
    if not batch.count:
        return []
    transactions = decode_batch(batch.body)
    for place, transaction in enumerate(transactions, batch.first_offset):
        if transaction.offset != place:
            raise CorruptionError(
                f"expected offset {place}, found {transaction.offset}", file=batch.segment, position=batch.position
            )
    return transactions


def _bytes_of(batch: Batch, transactions: Sequence[Transaction]) -> Iterable[bytes | None]:
    """The bytes of the records that have a key, None for the others; without an end where none has one."""
    if all(each.call_key is None for each in transactions):
        return repeat(None)
    raws = split_batch(batch.body)
    return [None if each.call_key is None else bytes(raw) for each, raw in zip(transactions, raws, strict=False)]


def _has_more(disk: Disk, loaded: Loaded) -> bool:
    """Whether there is log behind a snapshot; a copied directory's may end before it, or be gone."""
    return loaded.manifest is None or bool(segment_offsets(disk))


_SCHEMA: Final = int(Kind.SCHEMA)
