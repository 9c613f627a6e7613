"""A store that holds less than it did when a ledger is made anew from it: that is said."""

import pytest

from store.audit.objects.layout import What
from store.audit.shipping.rebuilding import Rebuilt
from store.audit.shipping.shortfall import Shortfall, keep_shortfall, kept_shortfall, shortfall_of
from store.env.ledger import LedgerDamaged
from store.env.ledger_memory import MemoryLedger
from store.ids import Offset, Timestamp
from tests.audit.keeping import Kept

AT = Timestamp(1_800_000_000_000_000)
WHOLE = Rebuilt(batches=4, adopted=0, events=40, checkpoint_size=40, manifested=40)


def test_what_is_all_there_is_no_shortfall() -> None:
    """Nor is what nobody knew of, or more than was known."""
    assert shortfall_of(WHOLE, events=40, offsets=(Offset(38), Offset(40)), at=AT) is None
    assert shortfall_of(WHOLE, events=0, offsets=None, at=AT) is None
    assert shortfall_of(None, events=0, offsets=None, at=AT) is None


@pytest.mark.parametrize(
    ("found", "events", "offsets", "missing"),
    [
        (None, 40, None, 40),
        (WHOLE, 50, None, 10),
        (WHOLE, 0, (Offset(48), Offset(41)), 7),
        (Rebuilt(4, 0, 40, checkpoint_size=30, manifested=40), 40, None, 10),
        (Rebuilt(3, 0, 30, checkpoint_size=40, manifested=30), 0, None, 10),
        (Rebuilt(3, 1, 40, checkpoint_size=40, manifested=30), 40, None, 10),
    ],
)
def test_whatever_is_gone_is_counted(
    found: Rebuilt | None, events: int, offsets: tuple[Offset, Offset] | None, missing: int
) -> None:
    """All of the trail, its newest checkpoint, its newest manifest, or what the log was let go for."""
    shortfall = shortfall_of(found, events=events, offsets=offsets, at=AT)
    assert shortfall is not None
    assert shortfall.missing == missing
    assert "less than it had" in str(shortfall)


@pytest.mark.parametrize("what", [What.CHECKPOINT, What.MANIFEST])
def test_a_head_that_was_taken_is_missed(what: What) -> None:
    """A trail that was rebuilt without it goes on, for the log still tells it; but not in silence."""
    kept = Kept().run()
    size = len(kept.lines())
    name = kept.names(what)[-1]
    kept.store.tamper(name, kept.store.bucket.versions[name][0].version_id, None)
    found = kept.lose().rebuild()
    shortfall = shortfall_of(found, events=size, offsets=None, at=AT)
    assert shortfall is not None
    assert 0 < shortfall.missing <= size
    assert kept.run().lines() == kept.expected()


def test_it_is_kept_in_the_ledger() -> None:
    """Until another one is made; a ledger from before knows of none, and one that is damaged says so."""
    ledger = MemoryLedger()
    assert kept_shortfall(ledger) is None
    found = Shortfall(AT, 40, 30, 0, 0)
    keep_shortfall(ledger, found)
    assert kept_shortfall(ledger.crash()) == found
    (key,) = (key for key, _ in ledger.items(b"shortfall"))
    ledger.commit({key: b"\xc1"})
    with pytest.raises(LedgerDamaged, match="audit rebuild"):
        kept_shortfall(ledger)
