"""A check reads everything, and names whatever is not as it was stored."""

import pytest

from store.backup.checking import check
from store.backup.keys import OperatorKey
from store.env.memory_objects import MemoryObjects
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


def test_a_whole_backup_is_found_whole(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """Every object was read."""
    objects.acts.clear()
    assert check(objects, key=key) == []
    got = {name for act, name in objects.acts if act == "get"}
    assert got == set(objects.content)


def test_every_kind_of_trouble_is_named(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """Damaged, missing, foreign: each once, in the order of names."""
    (log, *_), (block, *_) = (
        sorted(name for name in objects.content if name.startswith(prefix)) for prefix in ("log/", "block/")
    )
    objects.content[log] = objects.content[log][:-1]
    del objects.content[block]
    objects.content["log/mine"] = b""
    found = [(each.name, each.kind) for each in check(objects, key=key)]
    assert found == sorted([(block, "missing"), (log, "damaged"), ("log/mine", "foreign")])


def test_a_block_that_only_a_manifest_knows_is_missed(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """Though no note mentions it any more."""
    for name in [each for each in objects.content if each.startswith("push/")]:
        del objects.content[name]
    block = min(each for each in objects.content if each.startswith("block/"))
    del objects.content[block]
    (found,) = check(objects, key=key)
    assert (found.name, found.kind) == (block, "missing")
    assert "snapshot/" in found.reason


def test_a_whole_block_under_anothers_name_is_named(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """Its content is sound, and not what is looked for there."""
    for name in [each for each in objects.content if each.startswith("push/")]:
        del objects.content[name]
    one, other = sorted(each for each in objects.content if each.startswith("block/"))[:2]
    objects.content[one] = objects.content[other]
    assert [each.name for each in check(objects, key=key)] == [one]


def test_progress_rises_to_its_end(objects: MemoryObjects, key: OperatorKey | None) -> None:
    """In objects."""
    told: list[tuple[str, int, int]] = []
    check(objects, key=key, progress=lambda *each: told.append(each))
    assert [done for _, done, _ in told] == list(range(len(told)))
    assert told[-1][1] == told[-1][2]
