"""A look at a backup says what it holds, and what is wrong at first sight."""

import pytest

from store.backup.listing import listing
from store.env.memory_objects import MemoryObjects
from store.errors import NotRestorable
from tests.backup.scenes import KEY, Shop, sealed_through


def test_histories_and_what_can_be_restored_are_listed() -> None:
    """With offsets and times."""
    objects = MemoryObjects()
    shop = Shop(objects).work(12).seal().snapshot().work(5).seal()
    done = shop.push()
    found = listing(objects)
    (branch,) = found.branches
    (stretch,) = branch.stretches()
    assert (found.url, found.encrypted, found.pushes) == ("memory:", False, (done.index,))
    assert (found.missing, found.foreign, found.refused) == ((), (), {})
    assert (branch.epoch, branch.offset) == (shop.engine.epoch.hex(), sealed_through(shop.disk))
    assert (stretch.first, stretch.last, len(stretch.bases)) == (1, sealed_through(shop.disk), 1)
    assert stretch.first_time is not None
    assert found.bytes == done.bytes_sent


def test_what_is_missing_foreign_or_damaged_is_listed() -> None:
    """By name."""
    objects = MemoryObjects()
    shop = Shop(objects, key=KEY).work(12).seal().snapshot()
    done = shop.push()
    gone = min(each for each in objects.content if each.startswith("block/"))
    del objects.content[gone]
    objects.content["notes.txt"] = b""
    shop.work(3).seal().push()
    objects.content[done.index] += b"x"
    found = listing(objects, key=KEY)
    assert found.foreign == ("notes.txt",)
    assert list(found.refused) == [done.index]
    assert found.missing == ()
    objects.content[done.index] = objects.content[done.index][:-1]
    assert listing(objects, key=KEY).missing == (gone,) or gone in objects.content


def test_no_backup_is_told() -> None:
    """With where it was looked for."""
    with pytest.raises(NotRestorable, match="memory:"):
        listing(MemoryObjects())
