"""One object into a write-once store: what is looked at before, what is read back, which version counts."""

from hashlib import sha256

import pytest

from store.audit.shipping.putting import (
    DAY,
    GARBLED_MAX,
    MARGIN_DAYS,
    ROUNDS_MAX,
    SKEW_MAX_S,
    Conflict,
    Retention,
    Stored,
    ship,
    store_time,
)
from store.env.memory import MemoryClock
from store.env.worm import COMPLIANCE, SECOND, Garbled, Misconfigured, NotAllowed, Occupied, Skewed, Unreachable
from store.env.worm_memory import MemoryWorm
from store.ids import Timestamp

KEY, DATA = "audit/v1/x", b"hello"
RETENTION = Retention(days=7)


@pytest.fixture(name="store")
def _store() -> MemoryWorm:
    """An empty store."""
    return MemoryWorm(MemoryClock())


def shipped(store: MemoryWorm, *, conditional: bool = True) -> Stored:
    """Ship DATA under KEY."""
    return ship(store, KEY, DATA, retention=RETENTION, now=store.now(), conditional=conditional)


def asked(store: MemoryWorm) -> list[str]:
    """What the store was asked for."""
    return [act for act, _ in store.acts]


def test_an_object_is_looked_for_put_and_read_back(store: MemoryWorm) -> None:
    """In this order, each once."""
    stored = shipped(store)
    assert asked(store) == ["now", "versions_of", "put", "put answer", "lock_of"]
    assert (store.get(KEY, stored.version_id), stored.found) == (DATA, ())


def test_its_lock_is_a_margin_longer_than_asked(store: MemoryWorm) -> None:
    """A whole second, at or behind the moment."""
    until = shipped(store).retain_until
    assert until % SECOND == 0
    assert 0 <= until - (store.now() + (RETENTION.days + MARGIN_DAYS) * DAY) < SECOND


def test_what_is_there_is_not_put(store: MemoryWorm) -> None:
    """Its lock is long enough for a day more, so nothing is asked but what lies there."""
    first = shipped(store)
    store.acts.clear()
    assert shipped(store) == first
    assert "put" not in asked(store)
    assert "extend" not in asked(store)


def test_an_answer_that_was_lost_is_found_again(store: MemoryWorm) -> None:
    """The next attempt finds the version, and stores no second one."""
    store.fail("put answer")
    with pytest.raises(Unreachable):
        shipped(store)
    shipped(store)
    assert len(list(store.versions())) == 1


def test_a_key_that_is_taken_when_we_put_is_looked_at_again(store: MemoryWorm) -> None:
    """It was ourselves: an attempt that the client library repeated."""
    store.fail("put", Occupied("412"))
    shipped(store)
    store.fail("put answer", Occupied("412"))
    assert ship(store, "b", DATA, retention=RETENTION, now=store.now(), conditional=True).found == ()
    assert [each.key for each in store.versions()] == [KEY, "b"]


def test_a_key_that_is_always_taken_and_always_free_is_given_up(store: MemoryWorm) -> None:
    """Somebody removes what is put there."""
    puts = 0

    def put(*_: object, **__: object) -> str:
        nonlocal puts
        puts += 1
        raise Occupied("412")

    store.put = put  # type: ignore[method-assign]
    with pytest.raises(Misconfigured, match="Somebody removes"):
        shipped(store)
    assert puts == ROUNDS_MAX


@pytest.mark.parametrize("data", [b"HELLO", b"hello!", b""])
@pytest.mark.parametrize("says_hash", [True, False])
def test_other_bytes_are_a_conflict(store: MemoryWorm, data: bytes, says_hash: bool) -> None:  # noqa: FBT001  # A column.
    """Of the same length too, whether the store says hashes or not; also beside ours. Nothing is put."""
    store = MemoryWorm(MemoryClock(), says_hash=says_hash)
    store.overwrite(KEY, data)
    with pytest.raises(Conflict, match="version-000001"):
        shipped(store)
    store.overwrite(KEY, DATA)
    with pytest.raises(Conflict):
        shipped(store)
    assert "put" not in asked(store)


def test_of_several_with_our_bytes_the_oldest_counts(store: MemoryWorm) -> None:
    """It is said that there are more."""
    first = shipped(store)
    store.overwrite(KEY, DATA)
    again = shipped(store)
    assert again.version_id == first.version_id
    assert "2 times" in again.found[0]


def test_where_taken_keys_are_not_refused_one_looks_again() -> None:
    """Another may have been quicker: its version counts, for both."""
    store = MemoryWorm(MemoryClock(), conditional=False)
    put, others = store.put, []

    def slow(key: str, data: bytes, *, sha256: str, retain_until: Timestamp) -> str:
        others.append(put(key, data, sha256=sha256, retain_until=retain_until))
        return put(key, data, sha256=sha256, retain_until=retain_until)

    store.put = slow  # type: ignore[method-assign]
    assert shipped(store, conditional=False).version_id == others[0]


def test_a_delete_marker_is_told_and_passed_over(store: MemoryWorm) -> None:
    """The version below it still stands."""
    first = shipped(store)
    store.mark_deleted(KEY)
    again = shipped(store)
    assert again.version_id == first.version_id
    assert "delete marker" in again.found[0]


def test_a_delete_marker_alone_leaves_the_key_free(store: MemoryWorm) -> None:
    """As it is for the store."""
    store.mark_deleted(KEY)
    assert store.get(KEY, shipped(store).version_id) == DATA


@pytest.mark.parametrize(("mode", "days"), [(None, 0), ("GOVERNANCE", 100), (COMPLIANCE, 1)])
def test_a_lock_that_is_too_weak_is_made_stronger(store: MemoryWorm, mode: str | None, days: int) -> None:
    """Never shorter than it is."""
    until = store.now() + days * DAY
    version_id = store.overwrite(KEY, DATA, mode=mode, retain_until=until if mode else None)
    stored = shipped(store)
    lock = store.lock_of(KEY, version_id)
    assert stored.version_id == version_id
    assert (lock.mode, lock.retain_until) == (COMPLIANCE, stored.retain_until)
    assert stored.retain_until >= max(until, RETENTION.floor(store.now()))


def test_a_lock_that_is_read_back_wrong_does_not_count(store: MemoryWorm) -> None:
    """Some servers drop it without a word."""

    def extend(*_: object) -> None:
        """Says that it did."""

    store.extend = extend  # type: ignore[method-assign]
    store.overwrite(KEY, DATA)
    with pytest.raises(Misconfigured, match="does not keep locks"):
        shipped(store)


def test_bytes_that_are_read_back_wrong_do_not_count(store: MemoryWorm) -> None:
    """The next attempt finds a conflict, which it is."""
    put = store.put

    def damaging(key: str, data: bytes, *, sha256: str, retain_until: Timestamp) -> str:
        version_id = put(key, data, sha256=sha256, retain_until=retain_until)
        store.tamper(key, version_id, b"hullo")
        return version_id

    store.put = damaging  # type: ignore[method-assign]
    with pytest.raises(Garbled, match="read back"):
        shipped(store)
    with pytest.raises(Conflict):
        shipped(store)


def test_a_store_that_does_not_show_locks_is_not_believed() -> None:
    """No lock and a hidden one are not told apart otherwise."""
    store = MemoryWorm(MemoryClock(), shows_locks=False)
    with pytest.raises(NotAllowed, match="GetObjectRetention"):
        shipped(store)


def test_garbled_bytes_are_sent_again(store: MemoryWorm) -> None:
    """Up to a bound; each time the same."""
    digests = []

    def put(_: str, __: bytes, *, sha256: str, retain_until: Timestamp) -> str:
        digests.append((sha256, retain_until))
        raise Garbled("BadDigest")

    store.put = put  # type: ignore[method-assign]
    with pytest.raises(Garbled):
        shipped(store)
    assert len(digests) == GARBLED_MAX
    assert {digest for digest, _ in digests} == {sha256(DATA).hexdigest()}
    assert len(set(digests)) == 1


@pytest.mark.parametrize("skew", [-SKEW_MAX_S, 0, SKEW_MAX_S])
def test_the_stores_clock_may_differ_a_little(store: MemoryWorm, skew: int) -> None:
    """Its time is what counts then."""
    clock = MemoryClock()
    store.skew = skew * SECOND
    assert store_time(store, clock) == clock.wall() + skew * SECOND


@pytest.mark.parametrize("skew", [-SKEW_MAX_S - 1, SKEW_MAX_S + 1])
def test_clocks_that_differ_more_are_said(store: MemoryWorm, skew: int) -> None:
    """By how much, and what to do."""
    store.skew = skew * SECOND
    with pytest.raises(Skewed, match=rf"{abs(skew)} s.*NTP"):
        store_time(store, MemoryClock())
