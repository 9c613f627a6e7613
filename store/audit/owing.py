"""What a trail still wants from a generation of files that was given up: it is asked before those files go for good.

Laws: nothing is changed. Where no cursor holds a generation, no trail follows it, and nothing is wanted. What is not
known to be in the trail's store counts as wanted: a doubt keeps files, it never lets them go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from store.audit.recording.rows import Row
from store.env.world import Disk
from store.errors import DirectoryError
from store.ids import Epoch, Offset
from store.log.survey import segments
from store.snapshot.repository import Repository
from store.upkeep.lineage import go_on, lineage

CURSOR: Final = "audit"
"""The pin in a data directory that holds its log back for the trail."""
HOW: Final = (
    "Let the trail take them first: `store serve` ships it while audit.on is set, `store audit ship` where the store is"
    " stopped. Or give them up for good: --give-up-unshipped, over HTTP ?give_up_unshipped=true"
)
"""What to do about it."""


class Unshipped(DirectoryError):
    """Files cannot go: the trail has not taken what they hold."""


@dataclass(frozen=True)
class Shipped:
    """How far a trail is in its store, with its checkpoint."""

    epoch: str
    """32 hex digits."""
    offset: int


@dataclass(frozen=True)
class Owed:
    """Records that the trail has not taken from a generation."""

    shipped: Offset
    """The last one that is known to be in the trail's store; 0 before the first."""
    needed: Offset
    """The last one there is."""

    def __str__(self) -> str:
        """What is wrong, for whoever wants to remove the files."""
        return (
            f"the audit trail has shipped the files from before up to offset {self.shipped}, and needs them up to"
            f" {self.needed}: offsets {self.shipped + 1} to {self.needed} would never be told"
        )


def shipped_of(row: Row | None) -> Shipped | None:
    """How far the newest shipped row leads."""
    return None if row is None else Shipped(row.epoch, row.offset)


def owed(old: Disk, current: Disk, ask: Callable[[], Shipped | None]) -> Owed | None:
    """What the trail wants from `old`, which was in force before `current`; None: it may go.

    `ask` says how far its ledger is, None where that says nothing: then the cursor in `old` counts, as it was moved
    last. CorruptionError, DirectoryError: the old log's headers or its cursor cannot be read.
    """
    cursor = Repository(old).pins().get(CURSOR)
    if cursor is None or not (log := segments(old)):
        return None
    known, found, shipped = lineage(old), cursor.offset, ask()
    if shipped is not None:
        epoch = Epoch(bytes.fromhex(shipped.epoch))
        there = go_on(known, {epoch: Offset(shipped.offset)})
        if there is not None:
            found = max(found, there)
        elif epoch in {each.epoch for each in lineage(current)}:
            return None  # The trail tells a generation to its end before it goes on in the next one.
    last = log[-1].whole_offset
    return Owed(found, last) if found < last else None


def expect_nothing_owed(old: Disk, current: Disk, ask: Callable[[], Shipped | None]) -> None:
    """Unshipped, with what to do: the trail has not taken all of `old`. Errors of `owed`."""
    if (found := owed(old, current, ask)) is not None:
        raise Unshipped(str(found), hint=HOW)
