"""What only an object store in memory does: fail as it is told."""

import pytest

from store.env.memory_objects import MemoryObjects


def test_an_act_fails_once_after_so_many() -> None:
    """Then it works again."""
    objects = MemoryObjects()
    objects.fail("put", after=1)
    objects.put("a", b"", if_absent=True)
    with pytest.raises(OSError, match="as was asked for"):
        objects.put("b", b"", if_absent=True)
    objects.put("b", b"", if_absent=True)
    assert objects.names() == ["a", "b"]


def test_an_answer_can_be_lost() -> None:
    """What was put is there, and nobody heard of it."""
    objects = MemoryObjects()
    objects.fail("put answer")
    with pytest.raises(OSError, match="as was asked for"):
        objects.put("a", b"hello", if_absent=True)
    assert objects.get("a") == b"hello"


def test_a_held_object_is_not_removed() -> None:
    """As under an object lock."""
    objects = MemoryObjects()
    objects.put("a", b"", if_absent=True)
    objects.held.add("a")
    with pytest.raises(PermissionError):
        objects.remove("a")
    assert objects.names() == ["a"]


def test_a_store_may_know_no_hashes() -> None:
    """Then head says so."""
    objects = MemoryObjects(says_hash=False)
    objects.put("a", b"hello", if_absent=True)
    head = objects.head("a")
    assert head is not None
    assert (head.size, head.sha256) == (5, None)


def test_every_act_is_noted() -> None:
    """In order, with its name."""
    objects = MemoryObjects()
    objects.put("a", b"", if_absent=True)
    objects.get("a")
    assert objects.acts == [("put", "a"), ("put answer", "a"), ("get", "a")]
