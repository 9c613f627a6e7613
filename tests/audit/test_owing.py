"""What the trail wants from files that were given up: all it has not taken, and everything where that is in doubt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.owing import CURSOR, Owed, Shipped, Unshipped, expect_nothing_owed, owed, shipped_of
from store.env.memory import MemoryDisk
from store.ids import Offset
from store.log.survey import segments
from store.snapshot.repository import Pin, Repository
from store.upkeep.lineage import lineage
from tests.engine.past import a_past, restored, start
from tests.engine.snapshots import proven

FORK = 50


def scene(cursor: int | None) -> tuple[MemoryDisk, MemoryDisk, str, str, int]:
    """(old, current, their epochs, the old one's last offset), the old one held by a cursor if there is one."""
    old = a_past().copy().disk
    if cursor is not None:
        Repository(old).pin(CURSOR, Pin(Offset(cursor), "the trail", None, "cursor"))
    current, _ = restored(old, FORK)
    proven(start(current))
    first, second = (each.epoch.hex() for each in lineage(current))
    return old, current, first, second, segments(old)[-1].whole_offset


def test_without_a_cursor_nothing_is_wanted() -> None:
    """No trail follows that directory, and the ledger is not even looked at."""
    old, current, *_ = scene(None)
    assert owed(old, current, lambda: pytest.fail("nobody needs to know")) is None


@given(at=st.integers(0, 200))
def test_what_was_shipped_of_the_old_epoch_is_held_against_its_end(at: int) -> None:
    """Less than all of it is too little; the common beginning counts as well."""
    old, current, first, _, last = scene(0)
    found = owed(old, current, lambda: Shipped(first, at))
    assert found == (Owed(Offset(at), Offset(last)) if at < last else None)


def test_a_trail_that_goes_on_in_the_new_epoch_has_taken_all_of_the_old_one() -> None:
    """It tells what was given up first."""
    old, current, _, second, _ = scene(0)
    assert owed(old, current, lambda: Shipped(second, FORK + 1)) is None


@pytest.mark.parametrize("said", [None, Shipped("ab" * 16, 10_000)])
def test_in_doubt_the_cursor_counts(said: Shipped | None) -> None:
    """Where the ledger says nothing, or speaks of an epoch that neither directory knows."""
    old, current, _, _, last = scene(7)
    assert owed(old, current, lambda: said) == Owed(Offset(7), Offset(last))
    old, current, _, _, last = scene(1_000)
    assert owed(old, current, lambda: said) is None


def test_the_error_names_both_offsets_and_what_to_do() -> None:
    """Whoever reads it can go on."""
    old, current, _, _, last = scene(7)
    with pytest.raises(Unshipped, match=rf"up to offset 7, .* up to {last}: .*store audit ship.*--give-up-unshipped"):
        expect_nothing_owed(old, current, lambda: shipped_of(None))
