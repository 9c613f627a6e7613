"""The rules of a view's index."""

import pytest

from store.client.index import ViewIndex
from store.client.rows import Delete, Insert, Update
from tests.client.test_view import Colour


def colour(id_: int, owner: str) -> Colour:
    """A row."""
    return Colour(id=id_, owner=owner)


def test_rows_are_found_by_their_value() -> None:
    """None, one or many; values are those there are."""
    index = ViewIndex("owner", {1: colour(1, "a"), 2: colour(2, "b"), 3: colour(3, "a")})
    assert ([each.id for each in index["a"]], index["b"], index["c"]) == ([1, 3], (colour(2, "b"),), ())
    assert (sorted(index), len(index), "a" in index, "c" in index) == (["a", "b"], 2, True, False)


def test_it_follows_changes() -> None:
    """A row moves with its value; a value without rows is gone."""
    index = ViewIndex("owner", {})
    index.take([Insert(1, colour(1, "a")), Insert(2, colour(2, "a"))])
    index.take([Update(1, colour(1, "a"), colour(1, "b")), Delete(2, colour(2, "a"))])
    assert (list(index), index["b"]) == (["b"], (colour(1, "b"),))
    index.take([Update(1, colour(1, "b"), colour(1, "b")), Delete(1, colour(1, "b"))])
    assert len(index) == 0


def test_a_change_of_what_is_not_there_is_a_bug() -> None:
    """An index that lost step says so."""
    index = ViewIndex("owner", {1: colour(1, "a")})
    with pytest.raises(AssertionError):
        index.take([Delete(2, colour(2, "a"))])
