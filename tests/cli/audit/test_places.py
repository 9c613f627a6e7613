"""Where the parts of a trail lie, and how its keys come."""

from pathlib import Path

import pytest

from store.audit.objects.layout import origin_of
from store.audit.options import AuditOptions
from store.cli.audit.places import add_key, keyring_of, note_verified, places_of, verified_at
from store.env.audit_keys import KeyFolder
from store.errors import ConfigError
from store.ids import Timestamp

LOG = "0123456789abcdef" * 2
OPTIONS = AuditOptions()
ORIGIN = origin_of(OPTIONS.domain, LOG)


def test_the_audit_folder_lies_beside_the_data_directory(tmp_path: Path) -> None:
    """Unless another one is named; never inside."""
    assert places_of(tmp_path / "data", OPTIONS).folder == tmp_path / "data.audit"
    other = AuditOptions(folder=tmp_path / "elsewhere")
    assert places_of(tmp_path / "data", other).ledger == tmp_path / "elsewhere" / "ledger"
    for inside in (tmp_path / "data", tmp_path / "data" / "audit"):
        with pytest.raises(ConfigError, match="lies in the data directory"):
            places_of(tmp_path / "data", AuditOptions(folder=inside))


def test_the_first_key_is_made_and_said(tmp_path: Path) -> None:
    """Whoever checks the trail needs its public half; the secret is for its owner's eyes."""
    told: list[str] = []
    places = places_of(tmp_path / "data", OPTIONS)
    keyring = keyring_of(places, LOG, OPTIONS, size=0, tell=told.append)
    assert told == [f"the trail's first key: {keyring.succession.newest}"]
    assert keyring_of(places, LOG, OPTIONS, size=10, tell=told.append).succession == keyring.succession
    assert len(told) == 1


def test_a_key_that_waits_is_introduced_by_whoever_opens_the_trail(tmp_path: Path) -> None:
    """Behind what batches hold by then; until then the one before signs, and signs beside it afterwards."""
    told: list[str] = []
    places = places_of(tmp_path / "data", OPTIONS)
    first = keyring_of(places, LOG, OPTIONS, size=0, tell=told.append).succession.newest
    second = add_key(places, ORIGIN).key
    keyring = keyring_of(places, LOG, OPTIONS, size=70, tell=told.append)
    assert keyring.succession.keys == ((0, first), (70, second))
    assert told[1:] == [f"behind event 70 a new key signs: {second}"]
    assert [each.key for each in keyring.signers(71)] == [second, first]
    assert keyring.signer(70).key == first


def test_keys_without_notes_are_no_trails(tmp_path: Path) -> None:
    """A trail that has events has keys that were introduced: another first key would be another trail."""
    places = places_of(tmp_path / "data", OPTIONS)
    with pytest.raises(ConfigError, match="holds no note of its keys"):
        keyring_of(places, LOG, OPTIONS, size=5, tell=print)


def test_another_domain_is_refused(tmp_path: Path) -> None:
    """The name is part of every signature."""
    places = places_of(tmp_path / "data", OPTIONS)
    keyring_of(places, LOG, OPTIONS, size=0, tell=print)
    with pytest.raises(ConfigError, match=r"audit\.domain as it was"):
        keyring_of(places, LOG, AuditOptions(domain="example.com"), size=0, tell=print)


def test_the_notes_of_another_trail_are_refused(tmp_path: Path) -> None:
    """As where an audit folder was copied with its store."""
    places = places_of(tmp_path / "data", OPTIONS)
    keyring_of(places, LOG, OPTIONS, size=0, tell=print)
    with pytest.raises(ConfigError, match="are not those of the trail"):
        keyring_of(places, "f" * 32, OPTIONS, size=0, tell=print)
    assert KeyFolder(places.keys).notes()


@pytest.mark.parametrize(("text", "at"), [('{"whole_at": 17}', 17), ("{}", 0), ("[]", 0), ("nonsense", 0), (None, 0)])
def test_when_it_was_verified_is_read_from_a_note(tmp_path: Path, text: str | None, at: int) -> None:
    """One that is missing or says nothing counts as never."""
    places = places_of(tmp_path / "data", OPTIONS)
    if text is not None:
        places.folder.mkdir()
        places.verified.write_text(text)
    assert verified_at(places) == at


def test_a_verification_that_found_something_is_none_that_found_it_whole(tmp_path: Path) -> None:
    """Neither is one of a part. What the last good one of all said stays."""
    places = places_of(tmp_path / "data", OPTIONS)
    places.folder.mkdir()
    for at, code, part in ((5, 1, False), (7, 0, False), (9, 2, False), (11, 0, True)):
        note_verified(places, at=Timestamp(at), events=3, code=code, part=part)
        assert verified_at(places) == (0 if at == 5 else 7)
