"""What a store was known to hold when a ledger is made anew from it, and does not hold any more.

Laws: nobody goes on in silence from less than there was. What was known comes from what the ledger does not hold: what
the process before said of itself, how far it let the log go, and checkpoints over more than there are manifests of. It
is kept in the new ledger, so that it is said for as long as that lives.
"""

from typing import Final

import msgspec

from store.audit.shipping.rebuilding import Rebuilt
from store.env.ledger import Ledger, LedgerDamaged
from store.ids import Offset, Timestamp

_KEY: Final = b"shortfall"


class Shortfall(msgspec.Struct, frozen=True):
    """Less than there was, as it was found at a moment."""

    at: Timestamp
    expected_events: int
    """That were in the store, under a checkpoint."""
    found_events: int
    """That are, with their manifests."""
    expected_offset: int
    """Behind which the log was let go; 0: nothing is known of it."""
    found_offset: int
    """Up to which the store tells the log; 0: nothing is known of it."""

    @property
    def missing(self) -> int:
        """Events, at least."""
        return max(self.expected_events - self.found_events, self.expected_offset - self.found_offset, 0)

    def __str__(self) -> str:
        """For people: what, and what to do."""
        offsets = ""
        if self.expected_offset > self.found_offset:
            told, let_go = f"{self.found_offset:,}", f"{self.expected_offset:,}"
            offsets = f"; the log was let go up to offset {let_go}, and is told up to offset {told}"
        return (
            f"when the ledger was made anew, the store held less than it had: {self.found_events:,} of"
            f" {self.expected_events:,} events under a checkpoint{offsets}. Find out who removed them; what the log"
            " still holds is told again. What an auditor sees of it is said by `store audit verify --trusted` with an"
            " older checkpoint"
        )


def shortfall_of(
    found: Rebuilt | None, *, events: int, offsets: tuple[Offset, Offset] | None, at: Timestamp
) -> Shortfall | None:
    """What is missing; None: nothing that is known of. `found` is None where the store holds nothing of the trail.

    `events`: what was said to be under a checkpoint. `offsets`: how far the log was let go, and is told now.
    """
    checkpoint, manifested = (found.checkpoint_size, found.manifested) if found is not None else (0, 0)
    known, there = offsets if offsets is not None else (Offset(0), Offset(0))
    result = Shortfall(at, max(events, checkpoint), min(checkpoint, manifested), known, there)
    return result if result.missing else None


def keep_shortfall(ledger: Ledger, found: Shortfall) -> None:
    """Keep it for as long as there is this ledger."""
    ledger.commit({_KEY: msgspec.msgpack.encode(found)}, reserve=True)


def kept_shortfall(ledger: Ledger) -> Shortfall | None:
    """What was kept; None: nothing was missing. LedgerDamaged: it cannot be read."""
    data = ledger.get(_KEY)
    try:
        return None if data is None else msgspec.msgpack.decode(data, type=Shortfall)
    except (msgspec.ValidationError, msgspec.DecodeError):
        raise LedgerDamaged("what was missing in the store cannot be read in the ledger", hint=_REBUILD) from None


_REBUILD: Final = "`store audit rebuild` makes the ledger anew from bucket and log."
