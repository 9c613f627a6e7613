"""What every SubjectKeys guarantees, run over all that claim to be one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from store.env.memory import SeededEntropy
from store.env.subject_folder import FolderSubjectKeys
from store.env.subjects import SECRET_SIZE, MemorySubjectKeys, SubjectKeys

Opener = Callable[[], SubjectKeys]


@pytest.fixture(name="opener", params=["memory", "folder"])
def _opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the same secrets once more each time, as another process would."""
    memory = MemorySubjectKeys(SeededEntropy(1))
    openers: dict[str, Opener] = {
        "memory": lambda: memory,
        "folder": lambda: FolderSubjectKeys(tmp_path / "keys", tmp_path / "subjects"),
    }
    return openers[request.param]


def test_a_secret_is_made_once(opener: Opener) -> None:
    """The log's and each person's, the same whoever asks, and each another."""
    first, second = opener(), opener()
    found = {first.log_secret(), *(first.key_of(each) or b"" for each in ("ada", "bob", "", "\u2603/../x"))}
    assert len(found) == 5
    assert {len(each) for each in found} == {SECRET_SIZE}
    assert second.key_of("ada") == first.key_of("ada")
    assert second.log_secret() == first.log_secret()


def test_a_destroyed_key_is_gone_for_good(opener: Opener) -> None:
    """For whoever has it open, too; others stay."""
    first, second = opener(), opener()
    key = first.key_of("bob")
    assert first.key_of("ada") is not None
    assert second.destroy("ada")
    assert first.key_of("ada") is second.key_of("ada") is opener().key_of("ada") is None
    assert not first.destroy("ada")
    assert first.key_of("bob") == key


def test_a_key_that_was_never_made_can_be_destroyed(opener: Opener) -> None:
    """Then it never will be."""
    assert opener().destroy("ada")
    assert opener().key_of("ada") is None


def test_one_may_ask_without_making_a_key(opener: Opener) -> None:
    """Whether a person has one: no, yes, not any more."""
    secrets = opener()
    assert secrets.known("ada") is False
    secrets.key_of("ada")
    assert secrets.known("ada") is True
    secrets.destroy("ada")
    assert secrets.known("ada") is None
