"""The tree of what can go wrong: drawn as it is, each with what its reader needs."""

import inspect
import re

import pytest

from store import errors
from store.errors import CALL_ERRORS, CallError, CorruptionError, ProtocolError, Refused, StoreError


def all_errors() -> dict[str, type[StoreError]]:
    """Every error by name."""
    return {name: each for name, each in vars(errors).items() if inspect.isclass(each) and issubclass(each, StoreError)}


def test_the_tree_is_as_it_is_drawn() -> None:
    """The module's page shows every error under its parent, and no other."""
    drawn: dict[str, str] = {}
    parents = ["StoreError"]
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"^([│ ]*)[├└]── (\w+)", line):
            depth = len(found[1]) // 4 + 1
            drawn[found[2]] = parents[depth - 1]
            parents[depth:] = [found[2]]
    assert drawn == {name: each.__bases__[0].__name__ for name, each in all_errors().items() if each is not StoreError}


def test_every_call_error_has_a_code_of_its_own() -> None:
    """The wire's codes are the errors' names in snake_case, and each leads back to its error."""
    kinds = [each for each in all_errors().values() if issubclass(each, CallError) and each is not CallError]
    assert set(CALL_ERRORS.values()) == set(kinds)
    for code, each in CALL_ERRORS.items():
        assert each.code == code == re.sub(r"(?<!^)(?=[A-Z])", "_", each.__name__).lower()


def test_every_error_says_what_it_is_for() -> None:
    """In its docstring."""
    assert all(each.__doc__ for each in all_errors().values())


def test_a_hint_is_part_of_the_text() -> None:
    """What happened, then what to do now; without a hint only the former."""
    assert str(StoreError("the disk is full", hint="Make space")) == "the disk is full. Make space"
    assert str(StoreError("the disk is full")) == "the disk is full"


def test_corruption_names_file_and_position() -> None:
    """In its text and as attributes."""
    error = CorruptionError("expected offset 41, found 43", file="log/x.log", position=8192, hint="Restore")
    assert str(error) == "expected offset 41, found 43, in log/x.log at byte 8192. Restore"
    assert (error.file, error.position) == ("log/x.log", 8192)


def test_a_refusal_has_a_reason_of_the_domain() -> None:
    """It is the message too, unless another is given; details are plain values by name."""
    assert str(Refused("overdraft")) == "overdraft"
    error = Refused("overdraft", message="not enough", details={"balance": 3})
    assert (str(error), error.reason, error.details) == ("not enough", "overdraft", {"balance": 3})


@pytest.mark.parametrize("kind", list(CALL_ERRORS.values()), ids=list(CALL_ERRORS))
def test_a_call_error_without_details_has_none(kind: type[CallError]) -> None:
    """An empty mapping, never None."""
    assert kind("x").details == {}


def test_a_protocol_error_says_how_the_connection_closes() -> None:
    """By the close code of RFC 6455."""
    assert ProtocolError("no frame", close_code=1007).close_code == 1007
