"""A ledger that knows less than the store: found out before anything is put."""

from typing import Any

import pytest

from store.audit.behind import LedgerBehind
from tests.audit.keeping import Kept


def test_an_empty_ledger_before_a_full_store_is_found_out() -> None:
    """Before anything is put: what it would freeze might be cut otherwise."""
    kept = Kept().run()
    kept.lose().start()
    acts = len(kept.store.acts)
    with pytest.raises(LedgerBehind, match="store audit rebuild"):
        kept.run()
    assert "put" not in {act for act, _ in kept.store.acts[acts:]}


def test_an_older_ledger_does_no_harm() -> None:
    """One that was put back, by any number of commits: it is found out, or what it does again is the same."""
    kept = Kept()
    copies: list[dict[bytes, bytes]] = []
    commit = kept.ledger.commit

    def copying(*arguments: Any, **named: Any) -> None:
        copies.append(dict(kept.ledger._values))
        commit(*arguments, **named)

    kept.ledger.commit = copying  # type: ignore[method-assign]
    kept.run().work(5).run()
    found = 0
    for copy in copies:
        kept.lose().ledger._values = copy
        try:
            kept.start().run()
        except LedgerBehind:
            found += 1
            kept.lose().rebuild()
        assert kept.run().lines() == kept.expected()
    assert found > len(copies) // 2


def test_a_ledger_that_is_level_is_not_behind() -> None:
    """At no moment of a trail that goes its way, nor after any crash."""
    for moment in range(1, 70, 3):
        kept = Kept()
        kept.crash_in(moment)
        kept.ledger.crash()
        assert kept.start().run().lines() == kept.expected()
