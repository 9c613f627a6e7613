"""The live fingerprint: exact at its offset, whatever is written meanwhile; shared; free when nobody asks."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.engine import live_fingerprint
from store.engine.engine import Engine
from store.engine.live_fingerprint import Fingerprinted, LiveFingerprint
from store.engine.reducer import Domain
from tests.engine import scenes, shelf, shop
from tests.engine.scenes import Watcher, call, committed, memory_clock

DOMAIN = Domain.of(shop, shelf)
SLICED = 0.0
"""Milliseconds: one piece of work a slice."""


@pytest.fixture(name="small_pieces", autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_fingerprint, "GATHERED_MAX", 3)
    monkeypatch.setattr(live_fingerprint, "HASHED_SIZE_MAX", 200)


class Asked:
    """Somebody who asked, and what they were told."""

    def __init__(self, live: LiveFingerprint) -> None:
        self.told: list[Fingerprinted] = []
        self.offset = live.ask(self.told.append)

    @property
    def answer(self) -> Fingerprinted:
        """The one answer."""
        (only,) = self.told
        return only


def open_shop() -> Engine:
    """A shop whose notes can go."""
    return scenes.open_shop(domain=DOMAIN)


def fill(engine: Engine, count: int) -> None:
    """Rows in two tables."""
    for number in range(count):
        call(engine, "add", f"owner {number}")
        call(engine, "put", f"key {number}", b"body")
    engine.group_commit.commit()


def a_live(engine: Engine, **more: Any) -> LiveFingerprint:
    """One over the engine."""
    return LiveFingerprint(engine.state, engine.feed, engine.world.clock, **more)


def finish(live: LiveFingerprint) -> int:
    """Step until all is told; how many slices that took."""
    count = 1
    while live.step(SLICED):
        count += 1
    return count


WRITES = st.tuples(
    st.sampled_from(["add", "give", "remove", "put", "forget", "again"]), st.integers(1, 12), st.integers(0, 3)
)


def write(engine: Engine, what: str, number: int, slices: int) -> None:
    """One call: an insert, an update, a delete, or a delete and an insert of the same key."""
    del slices
    if what == "add":
        call(engine, "add", f"new {number}")
    elif what == "give":
        call(engine, "give", number, f"other {number}")
    elif what == "remove":
        call(engine, "remove", number)
    elif what == "put":
        call(engine, "put", f"key {number}", b"other %d" % number)
    elif what == "forget":
        call(engine, "forget", f"key {number}")
    else:
        call(engine, "forget", f"key {number}")
        call(engine, "put", f"key {number}", b"again")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(rows=st.integers(0, 12), writes=st.lists(WRITES, max_size=30))
def test_it_is_the_fingerprint_at_the_offset_where_it_began(rows: int, writes: list[tuple[str, int, int]]) -> None:
    """Under every interleaving of slices with inserts, updates, deletes and keys that come back."""
    engine = open_shop()
    fill(engine, rows)
    live, offset, expected = a_live(engine), engine.write_path.last_offset, engine.database.fingerprint()
    count = sum(len(table) for table in engine.database.tables.values())
    asked = Asked(live)
    for each in writes:
        write(engine, *each)
        for _ in range(each[2]):
            live.step(SLICED)
    finish(live)
    assert (asked.answer.fingerprint, asked.answer.offset, asked.answer.rows) == (expected, offset, count)


def test_an_idle_store_is_done_in_slices() -> None:
    """Each slice does a little and comes back; the answer says how many there were and which was the longest."""
    engine = open_shop()
    fill(engine, 50)
    live = a_live(engine)
    asked = Asked(live)
    slices = finish(live)
    assert slices > 50
    assert asked.answer.slices == slices
    assert asked.answer.slice_max_ms == 0.0
    assert asked.answer.fingerprint == engine.database.fingerprint()


def test_a_slice_ends_when_its_time_is_up() -> None:
    """With all the time in the world one slice does everything; the time that passed is told."""
    engine = open_shop()
    fill(engine, 50)
    live = a_live(engine)
    asked = Asked(live)
    assert live.step(SLICED)
    memory_clock(engine).advance(2_000_000)
    assert not live.step(1.0)
    assert asked.answer.slices == 2
    assert asked.answer.seconds == 2.0


def test_all_who_ask_meanwhile_share_one_pass() -> None:
    """They are told the same, of the offset where it began; who asks afterwards begins another."""
    engine = open_shop()
    fill(engine, 10)
    live = a_live(engine)
    first = Asked(live)
    live.step(SLICED)
    committed(engine, "add", "late")
    second = Asked(live)
    finish(live)
    assert first.answer is second.answer
    assert first.offset == second.offset < engine.write_path.last_offset
    third = Asked(live)
    finish(live)
    assert third.answer.fingerprint == engine.database.fingerprint() != first.answer.fingerprint


def test_nothing_is_paid_while_nobody_asks() -> None:
    """No follower stands in the route of a call before a question and after its answer."""
    engine = open_shop()
    live = a_live(engine)
    assert engine.feed.followers == []
    assert not live.step()
    Asked(live)
    assert (live.running, len(engine.feed.followers)) == (True, 1)
    finish(live)
    assert (live.running, engine.feed.followers) == (False, [])


def test_who_asked_may_stop_asking() -> None:
    """The pass goes on for the others, and ends with the last."""
    engine = open_shop()
    fill(engine, 10)
    live = a_live(engine)
    told: list[Fingerprinted] = []
    live.ask(told.append)
    other = Asked(live)
    live.forget(told.append)
    assert live.running
    finish(live)
    assert (told, len(other.told)) == ([], 1)
    live.ask(told.append)
    live.forget(told.append)
    assert (live.running, engine.feed.followers) == (False, [])
    assert not live.step()


def test_what_is_kept_is_bounded_by_what_is_written() -> None:
    """Nothing is kept of a quiet store; a row that is written often is kept once, and none of a table that is done."""
    engine = open_shop()
    fill(engine, 20)
    live = a_live(engine)
    asked = Asked(live)
    running = live._pass
    assert running is not None
    live.step(SLICED)
    assert running.kept_size == 0
    for _ in range(10):
        call(engine, "give", 3, "other")
        call(engine, "give", 3, "third")
    assert 0 < running.kept_size < 2 * live_fingerprint.ENTRY_SIZE
    finish(live)
    assert asked.answer.rows == 40
    assert running._kept == {}


def test_a_pass_that_would_keep_too_much_is_given_up() -> None:
    """Who asked is told why; the next question begins anew."""
    engine = open_shop()
    fill(engine, 20)
    live = a_live(engine, kept_size_max=500)
    asked = Asked(live)
    for number in range(1, 10):
        call(engine, "give", number, "other")
    finish(live)
    assert asked.answer.fingerprint == ""
    assert "more than 500 bytes of rows were changed meanwhile" in asked.answer.reason
    again = Asked(live)
    finish(live)
    assert again.answer.fingerprint == engine.database.fingerprint()


def test_other_followers_go_on_undisturbed() -> None:
    """A pass begins and ends between two transactions, and takes only itself away."""
    engine = open_shop()
    watcher = Watcher(engine)
    engine.feed.follow(watcher)
    live = a_live(engine)
    Asked(live)
    committed(engine, "add", "ada")
    finish(live)
    assert engine.feed.followers == [watcher]
    assert len(watcher.seen) >= 1
