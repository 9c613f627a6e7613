"""What no note mentions is read, and what it then says of itself must agree with its name."""

import pytest

from store.backup.bucket import open_bucket
from store.backup.contents import read_contents, read_entry
from store.backup.keys import OperatorKey
from store.env.memory_objects import MemoryObjects
from store.errors import CorruptionError
from tests.backup.scenes import KEY, Shop


@pytest.fixture(name="key", params=["plain", "encrypted"])
def _key(request: pytest.FixtureRequest) -> OperatorKey | None:
    """Without encryption and with."""
    return KEY if request.param == "encrypted" else None


@pytest.fixture(name="objects")
def _objects(key: OperatorKey | None) -> MemoryObjects:
    """A backup."""
    objects = MemoryObjects()
    Shop(objects, key=key).work(12).seal().snapshot().work(5).seal().push()
    return objects


def forget_notes(objects: MemoryObjects) -> None:
    """No push ever noted anything."""
    for name in [each for each in objects.content if each.startswith("push/")]:
        del objects.content[name]


def test_objects_say_what_notes_said(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """All of it, for segments and snapshots."""
    noted = read_contents(open_bucket(objects, key)).entries
    forget_notes(objects)
    found = read_contents(open_bucket(objects, key))
    assert found.refused == {}
    assert found.entries == {name: each for name, each in noted.items() if not name.startswith("block/")}


def test_noted_objects_are_not_read(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """Only the notes are."""
    bucket = open_bucket(objects, key)
    objects.acts.clear()
    read_contents(bucket)
    assert {name.partition("/")[0] for act, name in objects.acts if act == "get"} == {"push"}


def test_an_object_under_a_name_that_is_not_its_own_is_refused(objects: MemoryObjects) -> None:
    """Another offset, another chain: it is named with the reason, and the others count."""
    forget_notes(objects)
    moved = {
        "log/00000000000000000002-00000000000000000009-0000000000000000.log.zst": "log/",
        "snapshot/00000000000000000002-0000000000000000.json": "snapshot/",
    }
    try:
        bucket = open_bucket(objects, None)
    except Exception:  # noqa: BLE001  # It is encrypted: then the name is bound to it anyway.
        return
    for name, prefix in moved.items():
        objects.content[name] = objects.content[next(each for each in objects.content if each.startswith(prefix))]
        with pytest.raises(CorruptionError):
            read_entry(bucket, name)
    found = read_contents(bucket)
    assert set(found.refused) == set(moved)
    assert len(found.entries) == sum(name.startswith(("log/", "snapshot/")) for name in objects.content) - 2
