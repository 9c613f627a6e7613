"""What tests ask of a write-once store in memory beside the contract: failures, and what attackers can do."""

from hashlib import sha256

import pytest

from store.env.memory import MemoryClock
from store.env.worm import COMPLIANCE, SECOND, Misconfigured, NoSuchVersion, Unreachable
from store.env.worm_memory import MemoryBucket, MemoryWorm
from store.ids import Timestamp


@pytest.fixture(name="store")
def _store() -> MemoryWorm:
    """An empty store."""
    return MemoryWorm(MemoryClock())


def put(store: MemoryWorm, key: str, data: bytes) -> str:
    """Put these bytes, locked for a minute."""
    until = Timestamp((store.now() // SECOND + 60) * SECOND)
    return store.put(key, data, sha256=sha256(data).hexdigest(), retain_until=until)


def test_an_act_fails_when_it_is_told_to(store: MemoryWorm) -> None:
    """Once, after so many that work, before anything is done."""
    store.fail("put", after=1)
    put(store, "a", b"1")
    with pytest.raises(Unreachable):
        put(store, "b", b"2")
    put(store, "b", b"2")


def test_an_answer_is_lost_when_it_is_told_to(store: MemoryWorm) -> None:
    """What was asked for is done."""
    store.fail("put answer")
    with pytest.raises(Unreachable):
        put(store, "a", b"1")
    assert store.get("a") == b"1"


def test_some_servers_take_any_number_under_one_key() -> None:
    """Each is a version of its own, the newest first."""
    store = MemoryWorm(MemoryClock(), conditional=False)
    ids = [put(store, "a", b"1"), put(store, "a", b"2")]
    assert [each.version_id for each in store.versions()] == ids[::-1]
    assert store.get("a", ids[0]) == b"1"


def test_an_attacker_hides_but_does_not_change(store: MemoryWorm) -> None:
    """A new version and a delete marker leave the locked version as it is."""
    first = put(store, "a", b"1")
    second = store.overwrite("a", b"2")
    marker = store.mark_deleted("a")
    found = [(each.version_id, each.marker, each.latest) for each in store.versions()]
    assert found == [(marker, True, True), (second, False, False), (first, False, False)]
    assert (store.get("a", first), store.lock_of("a", second).mode) == (b"1", None)
    with pytest.raises(NoSuchVersion):
        store.get("a")


def test_the_keeper_of_the_store_can_change_everything(store: MemoryWorm) -> None:
    """Bytes, locks, and whether there is anything."""
    version_id = put(store, "a", b"1")
    store.tamper("a", version_id, b"2", mode=None)
    assert (store.get("a"), store.lock_of("a", version_id).mode) == (b"2", None)
    store.tamper("a", version_id, None)
    assert list(store.versions()) == []


def test_who_may_not_see_locks_is_told_so() -> None:
    """No mode does not mean no lock then."""
    store = MemoryWorm(MemoryClock(), shows_locks=False, says_hash=False)
    lock = store.lock_of("a", put(store, "a", b"1"))
    assert (lock.mode, lock.visible, lock.sha256) == (None, False, None)


def test_a_lock_that_has_ended_is_not_asked_for(store: MemoryWorm) -> None:
    """The store's own clock decides."""
    store.skew = 3_600 * SECOND
    with pytest.raises(Misconfigured, match="past"):
        store.put(
            "a", b"", sha256=sha256(b"").hexdigest(), retain_until=Timestamp(MemoryClock().wall() // SECOND * SECOND)
        )


def test_a_store_that_was_not_made_is_said() -> None:
    """Until somebody makes it."""
    store = MemoryWorm(MemoryClock(), MemoryBucket(facts=None))
    with pytest.raises(Misconfigured, match="no such store"):
        store.facts()
    store.create(retention_days=3)
    assert (store.facts().default_mode, store.facts().default_days) == (COMPLIANCE, 3)
