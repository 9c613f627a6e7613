"""The horizon: who can be told what it missed, and what the others hear instead."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.ids import Offset
from store.subscribe.horizon import Horizon
from store.subscribe.messages import ASKED_EPOCH_MAX, NUMBER_MAX, Anew
from store.subscribe.missed import Backlog
from tests.subscribe.scenes import ALL_BOOKS, SUBPROTOCOLS, Shelf, View

OTHER = "22" * 16


def written(count: int) -> Shelf:
    """A shelf with so many transactions more."""
    shelf = Shelf()
    shelf.client().asks(*(["call", 1, "put", [book, "ann"]] for book in range(count)))
    return shelf


def horizon(shelf: Shelf, transactions_max: int) -> Horizon:
    """One that tells so many transactions."""
    engine = shelf.engine
    backlog: Backlog[Any] = Backlog(engine.feed, engine.world.disk, engine.log)
    return Horizon(engine, backlog, transactions_max=transactions_max)


def test_what_is_within_the_horizon_is_told() -> None:
    """From the newest offset back to the bound, and no further; the oldest that is said is the last that is told."""
    shelf = written(9)
    found = horizon(shelf, 5)
    assert found.oldest == found.newest - 5
    for offset in range(found.newest + 3):
        told = found.check(shelf.epoch, Offset(offset)) is None
        assert told is (found.oldest <= offset <= found.newest)


@pytest.mark.parametrize(
    ("epoch", "after", "reason", "limit", "says"),
    [
        (OTHER, 3, "foreign_epoch", "", "another history"),
        ("", 3, "foreign_epoch", "", "no epoch was named"),
        ("x" * 500, 3, "foreign_epoch", "", "another history"),
        (None, NUMBER_MAX, "future", "", "still to come"),
        (None, 1, "past_horizon", "resume_transactions_max", "at most 5 are told (resume_transactions_max)"),
    ],
)
def test_a_reason_is_in_numbers(epoch: str | None, after: int, reason: str, limit: str, says: str) -> None:
    """What was asked, where the store is, from where on it tells, and the limit: as fields and in a sentence."""
    shelf = written(9)
    found = horizon(shelf, 5)
    asked = shelf.epoch if epoch is None else epoch
    anew = found.check(asked, Offset(after))
    assert anew is not None
    assert (anew.reason, anew.asked_epoch, anew.asked_offset) == (reason, asked[:ASKED_EPOCH_MAX], after)
    assert (anew.epoch, anew.newest, anew.oldest, anew.limit) == (shelf.epoch, found.newest, found.newest - 5, limit)
    for said in (says, f"offset {after} ", shelf.epoch, f"at offset {found.newest} ", f"after offset {found.oldest} "):
        assert said in anew.message
    assert len(anew.message) < 600


def test_what_the_log_has_lost_is_past_the_horizon() -> None:
    """Once that is known: nobody is told to wait for it, and the oldest offset is behind it."""
    shelf = written(9)
    engine = shelf.engine
    backlog: Backlog[Any] = Backlog(engine.feed, engine.world.disk, engine.log)
    found = Horizon(engine, backlog, transactions_max=100)
    assert found.check(shelf.epoch, Offset(2)) is None
    backlog.lost_through = Offset(4)
    anew = found.check(shelf.epoch, Offset(2))
    assert anew is not None
    assert (anew.reason, anew.oldest, anew.limit, anew) == ("past_horizon", 4, "", found.gone(Offset(2)))
    assert found.check(shelf.epoch, Offset(4)) is None


@pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
@given(st.sampled_from([None, "", OTHER, "\x00", "ü" * 100]), st.integers(0, NUMBER_MAX))
def test_whoever_names_a_wrong_place_gets_rows_and_the_reason(subprotocol: str, epoch: str | None, after: int) -> None:
    """In both subprotocols; nothing else is harmed: what was followed before goes on, and so does this."""
    shelf = written(3)
    client = shelf.client(subprotocol)
    before = View(client, 1, "SELECT id FROM books")
    asked = shelf.epoch if epoch is None else epoch
    view = View(client, 2, ALL_BOOKS, epoch=asked, offset=after)
    heard = client.asks(["call", 1, "put", [7, "bob"]])
    before.take(heard)
    view.take(heard)
    assert 7 in before.rows
    if view.anew is not None:
        assert msgspec.convert(view.anew, Anew).asked_offset == after
        assert view.anew[0] == ("future" if asked == shelf.epoch else "foreign_epoch")
        assert view.sorted() == shelf.client(subprotocol).asks(["query", 1, ALL_BOOKS])[0][4]
    else:
        assert view.resumed or (asked, after) == ("", 0)
