"""What every WormStore guarantees, run over all that claim to be one."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path

import pytest

from store.env.worm import COMPLIANCE, SECOND, Garbled, NoSuchVersion, Occupied, Protected, WormStore
from store.ids import Timestamp
from tests.env.s3_server import s3_server
from tests.env.worm_servers import KINDS, Server, worm_server

DAY = 86_400 * SECOND
KEYS = ("audit/v1/a/batch/0.jsonl.zst", "audit/v1/a/manifest/0.json", "audit/v1/ab/x", "b")


@pytest.fixture(name="moto", scope="module")
def _moto() -> Iterator[str]:
    """An S3 server that knows locks and does not keep them."""
    with pytest.MonkeyPatch.context() as patch, s3_server(patch) as url:
        yield url


@pytest.fixture(name="server", params=KINDS)
def _server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """An empty store of each kind."""
    with worm_server(request.param, request, tmp_path) as server:
        yield server


@pytest.fixture(name="store")
def _store(server: Server) -> WormStore:
    """An empty store."""
    return server.open()


def in_days(store: WormStore, days: int = 1) -> Timestamp:
    """The whole second so many days from the store's now."""
    return Timestamp((store.now() + days * DAY) // SECOND * SECOND)


def put(store: WormStore, key: str, data: bytes, days: int = 1) -> str:
    """Put these bytes, locked for so many days."""
    return store.put(key, data, sha256=sha256(data).hexdigest(), retain_until=in_days(store, days))


@pytest.mark.parametrize("data", [b"hello", b"", bytes(range(256)) * 5_000], ids=["few", "none", "many"])
def test_what_was_put_is_got(store: WormStore, data: bytes) -> None:
    """By its version and by its key alone, whatever the bytes are."""
    version_id = put(store, KEYS[0], data)
    assert store.get(KEYS[0], version_id) == store.get(KEYS[0]) == data


def test_other_openers_see_it_at_once(server: Server) -> None:
    """When put has returned."""
    version_id = put(server.open(), KEYS[0], b"hello")
    other = server.open()
    assert other.get(KEYS[0], version_id) == b"hello"
    assert [each.version_id for each in other.versions()] == [version_id]


def test_what_is_put_is_locked(store: WormStore) -> None:
    """In COMPLIANCE mode until the second that was asked for, without a legal hold; size and hash are known."""
    until = in_days(store)
    version_id = store.put(KEYS[0], b"hello", sha256=sha256(b"hello").hexdigest(), retain_until=until)
    lock = store.lock_of(KEYS[0], version_id)
    assert (lock.mode, lock.retain_until, lock.visible) == (COMPLIANCE, until, True)
    assert (lock.size, lock.sha256) in {(5, sha256(b"hello").hexdigest()), (5, None)}
    assert not lock.legal_hold
    assert not lock.event_hold


def test_a_taken_key_is_not_put_again(server: Server) -> None:
    """Neither with other bytes nor with the same, where the store looks; what is there stays as it is in any case."""
    store = server.open()
    version_id = put(store, KEYS[0], b"hello")
    for data in (b"hello", b"other"):
        with pytest.raises(Occupied) if server.conditional else nullcontext():
            put(store, KEYS[0], data)
    assert store.get(KEYS[0], version_id) == b"hello"
    found = list(store.versions())
    assert len(found) == 1 if server.conditional else 3
    assert found[-1].version_id == version_id  # The oldest comes last.


def test_bytes_that_are_not_what_was_said_are_not_kept(server: Server) -> None:
    """The store checks the hash before it stores, where it knows how."""
    store = server.open()
    if not server.checks_hash:
        pytest.skip("this server takes any SHA-256")
    with pytest.raises(Garbled):
        store.put(KEYS[0], b"hello", sha256=sha256(b"other").hexdigest(), retain_until=in_days(store))
    assert list(store.versions()) == []


def test_a_lock_may_be_made_longer(store: WormStore) -> None:
    """And said again as it is."""
    version_id = put(store, KEYS[0], b"hello", days=1)
    later = in_days(store, 3)
    for _ in range(2):
        store.extend(KEYS[0], version_id, later)
        assert store.lock_of(KEYS[0], version_id).retain_until == later


def test_a_lock_is_never_made_shorter(store: WormStore) -> None:
    """It stays as it was."""
    version_id = put(store, KEYS[0], b"hello", days=3)
    until = store.lock_of(KEYS[0], version_id).retain_until
    with pytest.raises(Protected):
        store.extend(KEYS[0], version_id, in_days(store, 1))
    assert store.lock_of(KEYS[0], version_id).retain_until == until


def test_a_legal_hold_is_put_and_lifted(store: WormStore) -> None:
    """Of one version; its lock stays."""
    version_id = put(store, KEYS[0], b"hello")
    before = store.lock_of(KEYS[0], version_id)
    for on in (True, False):
        store.hold(KEYS[0], version_id, on=on)
        lock = store.lock_of(KEYS[0], version_id)
        assert (lock.legal_hold, lock.mode, lock.retain_until) == (on, before.mode, before.retain_until)


def test_versions_are_listed_by_key(store: WormStore) -> None:
    """Those whose keys begin with the prefix, each with its size, and when it was stored by the store's clock."""
    ids = {key: put(store, key, key.encode()) for key in reversed(KEYS)}
    found = list(store.versions())
    assert [each.key for each in found] == sorted(KEYS)
    assert {each.key: each.version_id for each in found} == ids
    assert all(each.size == len(each.key) and each.latest and not each.marker for each in found)
    assert all(abs(each.stored_at - store.now()) < 60 * SECOND for each in found)
    assert [each.key for each in store.versions("audit/v1/a/")] == sorted(KEYS[:2])
    assert [each.key for each in store.versions("audit/v1/a")] == sorted(KEYS[:3])
    assert list(store.versions("nothing/here")) == []


def test_one_keys_versions_are_its_alone(store: WormStore) -> None:
    """Not those of keys that begin with it."""
    ids = {key: put(store, key, key.encode()) for key in ("a/b", "a/bc", "a/b-c")}
    assert [each.version_id for each in store.versions_of("a/b")] == [ids["a/b"]]
    assert list(store.versions_of("a")) == []


def test_a_missing_version_is_said(server: Server) -> None:
    """Of a key that is there, and of one that is not, by every act."""
    store = server.open()
    put(store, KEYS[0], b"hello")
    strange = "0123456789abcdef0123456789abcdef"
    acts: list[Callable[[str], object]] = [
        lambda key: store.get(key, strange),
        lambda key: store.lock_of(key, strange),
        lambda key: store.extend(key, strange, in_days(store)),
    ]
    if server.keeps_locks:  # The other one breaks down.
        acts.append(lambda key: store.hold(key, strange, on=True))
    for act in acts:
        for key in (KEYS[0], KEYS[1]):
            with pytest.raises(NoSuchVersion):
                act(key)
    with pytest.raises(NoSuchVersion):
        store.get(KEYS[1])


def test_it_is_fit_for_an_audit_trail(store: WormStore) -> None:
    """It keeps versions and locks, and making it again changes nothing."""
    before = store.facts()
    store.create(retention_days=5)
    assert (before.versioning, before.lock) == (True, True)
    assert store.facts() == before


def test_a_url_says_where_it_is(store: WormStore) -> None:
    """For people."""
    assert store.url


@pytest.mark.parametrize("key", ["", "../a", "a/../b", "/a", ".hidden", "a b", "a@1", "a.lock"])
def test_a_key_that_leads_astray_is_never_used(store: WormStore, key: str) -> None:
    """Nobody but a bug asks for one."""
    with pytest.raises(AssertionError):
        put(store, key, b"")


def test_a_lock_ends_at_a_whole_second(store: WormStore) -> None:
    """Nobody but a bug asks for less, which would be cut off on the way."""
    with pytest.raises(AssertionError):
        store.put(KEYS[0], b"", sha256=sha256(b"").hexdigest(), retain_until=Timestamp(in_days(store) + 1))
