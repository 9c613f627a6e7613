"""After a rotation the new operator's key opens everything, and the old one nothing."""

import itertools

import pytest

from store.backup.bucket import open_bucket
from store.backup.checking import check
from store.backup.keys import OperatorKey
from store.backup.rotation import Rotated, rotate
from store.backup.view import BackupDisk
from store.env.memory import MemoryClock, SeededEntropy
from store.env.memory_objects import MemoryObjects
from store.errors import ConfigError, DirectoryError, NotRestorable
from tests.backup.scenes import KEY, Shop, restored, sealed_through, state_at

ENTROPY = SeededEntropy(42)
NEW = OperatorKey(bytes(range(1, 33)))
THIRD = OperatorKey(bytes(range(2, 34)))


@pytest.fixture(name="objects")
def _objects() -> MemoryObjects:
    """An empty object store."""
    return MemoryObjects()


@pytest.fixture(name="shop")
def _shop(objects: MemoryObjects) -> Shop:
    """An encrypted backup."""
    shop = Shop(objects, key=KEY).work(12).seal().snapshot()
    shop.push()
    return shop


def turn(objects: MemoryObjects, old: OperatorKey = KEY, new: OperatorKey = NEW) -> Rotated:
    """Rotate."""
    return rotate(objects, old=old, new=new, clock=MemoryClock(), entropy=ENTROPY)


def test_the_new_key_opens_what_was_stored_before(shop: Shop, objects: MemoryObjects) -> None:
    """No object was touched but keys; the old key is told that it is the wrong one."""
    before = {name: data for name, data in objects.content.items() if not name.startswith("keys/")}
    done = turn(objects)
    assert {name: data for name, data in objects.content.items() if not name.startswith("keys/")} == before
    assert (done.operator_key, done.data_keys, done.removed, done.retained) == (NEW.id, 2, 1, ())
    found, _ = restored(BackupDisk(objects, key=NEW))
    assert state_at(found) == state_at(shop.disk, sealed_through(shop.disk))
    with pytest.raises(DirectoryError, match=f"under the operator's key {NEW.id}"):
        BackupDisk(objects, key=KEY)


def test_new_objects_are_under_a_new_data_key(shop: Shop, objects: MemoryObjects) -> None:
    """Blocks that are shared stay known; old and new are read together."""
    first = open_bucket(objects, KEY).active_key
    done = turn(objects)
    assert done.data_key != first
    shop.key = NEW
    pushed = shop.work(12).seal().snapshot().push()
    assert 0 < pushed.objects_sent < len(objects.content)
    used = {data[16:32].hex() for name, data in objects.content.items() if name.startswith("log/")}
    assert used == {first, done.data_key}
    assert check(objects, key=NEW) == []
    found, _ = restored(BackupDisk(objects, key=NEW))
    assert state_at(found) == state_at(shop.disk, sealed_through(shop.disk))


def test_a_backup_may_be_rotated_again_and_again(shop: Shop, objects: MemoryObjects) -> None:
    """Back to an earlier key, too; each time with a data key more."""
    keys = [KEY, NEW, THIRD, KEY]
    for count, (old, new) in enumerate(itertools.pairwise(keys), start=2):
        assert turn(objects, old, new).data_keys == count
    assert check(objects, key=KEY) == []


@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("act", ["put", "put answer", "remove", "get", "names"])
def test_an_interrupted_rotation_is_taken_up(shop: Shop, objects: MemoryObjects, act: str, after: int) -> None:
    """One of the two keys opens all of it at every moment, and rotating again completes it, with one new data key."""
    objects.fail(act, after=after)
    try:
        turn(objects)
    except OSError:
        opened = 0
        for key in (KEY, NEW):
            try:
                opened += check(objects, key=key) == []
            except (DirectoryError, NotRestorable):
                continue
        assert opened
        turn(objects)
    assert check(objects, key=NEW) == []
    assert len(open_bucket(objects, NEW).keys) == 2
    with pytest.raises(DirectoryError):
        open_bucket(objects, KEY)
    assert shop.last


def test_keys_under_an_object_lock_are_told(shop: Shop, objects: MemoryObjects) -> None:
    """The old key opens them until the lock ends; a later rotation tries again."""
    held = {name for name in objects.content if name.startswith("keys/")}
    objects.held = set(held)
    done = turn(objects)
    assert set(done.retained) == held
    assert check(objects, key=NEW) == []
    objects.held = set()
    again = turn(objects)
    assert (again.removed, again.retained) == (1, ())


def test_a_wrong_old_key_changes_nothing(shop: Shop, objects: MemoryObjects) -> None:
    """It is told; so are no backup, no encryption, and one key for both."""
    before = dict(objects.content)
    with pytest.raises(DirectoryError, match="under the operator's key"):
        turn(objects, THIRD, NEW)
    with pytest.raises(ConfigError, match="the new key is the old one"):
        turn(objects, KEY, KEY)
    assert objects.content == before
    with pytest.raises(NotRestorable, match="no backup"):
        turn(MemoryObjects())
    plain = Shop(MemoryObjects()).work(3).seal()
    plain.push()
    with pytest.raises(DirectoryError, match="not encrypted"):
        rotate(plain.objects, old=KEY, new=NEW, clock=MemoryClock(), entropy=SeededEntropy(1))
