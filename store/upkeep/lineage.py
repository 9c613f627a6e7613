"""Whose history a directory holds, and where a trail that told part of it goes on.

Laws: nothing is changed. A restore and a salvage go on with the same trail, in a new epoch; a clone, a copy and what
has lost its marker begin a trail of their own, because the directory they were made from may live on. Epochs of one
history open at rising offsets, so what a trail told behind the opening of the next epoch is an abandoned branch.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from store.codec import decode_transaction, split_batch
from store.engine.loading import read_schema, read_system
from store.engine.state import EpochRecord, System, decode_epoch
from store.env.world import Disk
from store.errors import CorruptionError, DirectoryError
from store.ids import Epoch, Offset
from store.log.format import FIRST_OFFSET
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.log.survey import read_header
from store.schema import EMPTY_SCHEMA, Schema
from store.snapshot.format import Manifest
from store.snapshot.repository import Repository
from store.transaction import Kind
from store.upkeep.history import look

OWN_TRAIL: Final = frozenset({"new", "clone", "copy", "unmarked"})
"""Reasons of an epoch that begins a trail of its own."""


class Beginning(NamedTuple):
    """Where a trail of this directory can begin."""

    after: Offset
    """Behind this offset."""
    system: System | None
    """What was known there beside rows; None at the very start."""
    schema: Schema


def lineage(disk: Disk) -> tuple[EpochRecord, ...]:
    """Every epoch of the history in force, oldest first, as snapshots and log know it; () before the first start.

    CorruptionError: the headers of the log are damaged.
    """
    found: dict[Epoch, EpochRecord] = {}
    newest = _newest_snapshot(disk)
    if newest is not None:
        found = {each.epoch: each for each in read_system(Repository(disk), newest).epochs}
    before: Epoch | None = None
    for first in segment_offsets(disk):
        epoch = read_header(disk, first).epoch
        if epoch != before and epoch not in found and (record := _opening_record(disk, first)) is not None:
            found[record.epoch] = record
        before = epoch
    return tuple(sorted(found.values(), key=lambda each: each.first_offset))


def trail_epoch(epochs: Sequence[EpochRecord]) -> Epoch:
    """The epoch that names the trail. DirectoryError: no epoch has begun."""
    for each in reversed(epochs):
        if each.reason in OWN_TRAIL:
            return each.epoch
    if epochs:
        return epochs[0].epoch  # A directory whose beginning nobody knows any more.
    raise DirectoryError("the store has not begun: there is no epoch in its log", hint="Start it once: `store serve`")


def go_on(epochs: Sequence[EpochRecord], told: Mapping[Epoch, Offset]) -> Offset | None:
    """Behind which offset a trail goes on that has told these offsets of these epochs, the last one of each.

    None: it has told nothing of this history.
    """
    for place in reversed(range(len(epochs))):
        last = told.get(epochs[place].epoch)
        if last is not None:
            later = epochs[place + 1 : place + 2]
            return min([last, *(Offset(each.first_offset - 1) for each in later)])
    return None


def beginning(disk: Disk) -> Beginning:
    """Where the log, with what snapshots know, lets a trail begin: at its start, else at the oldest snapshot.

    DirectoryError: there is no log. CorruptionError: nothing says what came before its first record.
    """
    offsets = segment_offsets(disk)
    if not offsets or offsets[0] == FIRST_OFFSET:
        return Beginning(Offset(0), None, EMPTY_SCHEMA)
    newest = look(disk).newest
    bases = [] if newest is None else sorted(newest.bases, key=lambda each: each.offset)
    if not bases:
        raise CorruptionError(
            f"the log begins at offset {offsets[0]}, and no snapshot says what came before",
            file="log/",
            position=0,
            hint="`store log verify` gives the full picture",
        )
    base = bases[0]
    return Beginning(base.offset, read_system(Repository(disk), base), read_schema(base))


def _newest_snapshot(disk: Disk) -> Manifest | None:
    whole, _ = Repository(disk).whole()
    return whole[0] if whole else None


def _opening_record(disk: Disk, first: Offset) -> EpochRecord | None:
    """The epoch record that a segment begins with; None where it holds none yet, or begins otherwise."""
    for batch in LogReader(disk, from_offset=first, through=first):
        if batch.count:
            record = decode_transaction(bytes(split_batch(batch.body)[0]))
            return decode_epoch(record.args) if record.kind == Kind.EPOCH else None
    return None
