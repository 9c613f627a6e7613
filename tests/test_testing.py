"""A whole store in memory, in one line."""

from uuid import UUID

import pytest

from store.errors import ConstraintViolation, MalformedCall, ReducerFailed, Refused, UnknownReducer
from store.testing import Store
from tests.engine import shop


def test_a_reducer_is_tested_in_one_line() -> None:
    """By name or as itself, in order or by name; what it returns is typed."""
    store = Store.in_memory(shop)
    assert store.call("add", "ada") == 1
    assert store.call(shop.add, owner="bob", slug="s") == 2
    assert store.call(shop.remove, 1) is True
    assert store.call(shop.look) == ["bob"]
    assert isinstance(UUID(store.call("make")), UUID)
    assert [task.owner for task in store.rows(shop.Task)] == ["bob"]


def test_the_sender_is_whom_one_says() -> None:
    """A name, or the tester."""
    store = Store.in_memory(shop)
    assert store.call("who", sender="ada")[1] == "ada"
    assert store.call("who")[1] == "tester"


def test_what_a_client_would_be_told_is_raised() -> None:
    """Each failure as its own error, with reason and details."""
    store = Store.in_memory(shop)
    with pytest.raises(Refused) as refused:
        store.call("fail", "refuse", 3)
    assert (refused.value.reason, refused.value.details) == ("no", {"size": 3})
    with pytest.raises(ReducerFailed, match="ZeroDivisionError"):
        store.call("fail", "raise")
    with pytest.raises(ConstraintViolation) as violated:
        store.call("fail", "violate")
    assert violated.value.details["rule"] == "primary_key"
    with pytest.raises(MalformedCall, match="owner"):
        store.call("add")
    with pytest.raises(UnknownReducer):
        store.call("nothing")


@pytest.mark.parametrize(
    ("value", "says"), [({1: 2}, "a map's keys are str, found int"), (object(), "a object is no plain value")]
)
def test_what_no_client_could_say_is_a_malformed_call(value: object, says: str) -> None:
    """An argument that has no form on the wire is named, in order or by name, also of a reducer that there is not."""
    store = Store.in_memory(shop)
    with pytest.raises(MalformedCall, match=f"add: the argument owner cannot be said: {says}"):
        store.call("add", value)
    with pytest.raises(MalformedCall, match=f"add: the argument slug cannot be said: {says}"):
        store.call(shop.add, owner="ada", slug=value)
    with pytest.raises(MalformedCall, match="nothing: the arguments cannot be said"):
        store.call("nothing", value)


def test_a_crash_loses_nothing_that_was_answered() -> None:
    """Every call is durable before it returns; a crashed store is used no more, the one it gives is."""
    store = Store.in_memory(shop)
    store.call("add", "ada")
    thrown = store.call("roll")
    store = store.crash().crash()
    assert [task.owner for task in store.rows(shop.Task)] == ["ada"]
    assert store.rows(shop.Note)[0].body == str(thrown).encode()
    assert store.call("add", "bob") == 2


def test_the_same_seed_throws_the_same_dice() -> None:
    """And another seed others."""
    throws = [Store.in_memory(shop, seed=seed).call("roll") for seed in (1, 1, 2)]
    assert throws[0] == throws[1] != throws[2]


def test_rows_of_a_table_that_is_not_loaded_are_a_bug() -> None:
    """The error names the table's class."""
    with pytest.raises(AssertionError, match="Task is not a table of a loaded domain"):
        Store.in_memory().rows(shop.Task)
