"""What tests ask of a ledger in memory beside the contract: a crash that keeps what was committed."""

import pytest

from store.env.ledger_memory import MemoryLedger


def test_a_crash_keeps_what_was_committed() -> None:
    """And the next opener has the next fence."""
    ledger = MemoryLedger()
    ledger.commit({b"a": b"1"})
    fence = ledger.fence
    reopened = ledger.crash()
    assert (reopened.get(b"a"), reopened.fence) == (b"1", fence + 1)


def test_a_closed_ledger_takes_no_commit() -> None:
    """Nobody but a bug tries."""
    ledger = MemoryLedger()
    ledger.close()
    with pytest.raises(AssertionError):
        ledger.commit({b"a": b"1"})
