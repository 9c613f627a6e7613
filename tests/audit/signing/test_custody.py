"""Keys in a folder."""

import os
import stat
from pathlib import Path

import pytest

from store.audit.objects.layout import Malformed, policy_name
from store.audit.objects.notes import COSIGNATURE, SecretKey, VerifierKey, read_note
from store.audit.signing.custody import open_keyring, policy_notes, revoke_key, rotate
from store.audit.signing.policy import Policy, policy_of, read_policy
from store.env.audit_keys import VARIABLE, KeyFolder
from store.errors import ConfigError
from tests.audit.scenes import KEY, LOG, ORIGIN

ROOT = SecretKey("example.com/root", bytes(range(3, 35)))


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyFolder:
    """An empty folder, and no key in the environment."""
    monkeypatch.delenv(VARIABLE, raising=False)
    return KeyFolder(tmp_path / "keys")


def newest(folder: KeyFolder, root: VerifierKey | None = None) -> VerifierKey:
    """The key in force for what comes next."""
    return open_keyring(folder, LOG, origin=ORIGIN, random=os.urandom, root=root).succession.newest


def test_the_first_key_is_made_unasked(folder: KeyFolder) -> None:
    """Once; its secret for its owner alone, its note beside it."""
    key = newest(folder)
    assert key.name == ORIGIN
    assert newest(folder) == key
    assert sorted(each.name for each in folder.path.iterdir()) == [f"{key.key_id}.key", f"{key.key_id}.note"]
    assert stat.S_IMODE((folder.path / f"{key.key_id}.key").stat().st_mode) == 0o600


def test_a_key_may_come_from_the_environment(folder: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no secret lies in the folder."""
    monkeypatch.setenv(VARIABLE, KEY.write().decode())
    assert newest(folder) == KEY.key
    assert [each.name for each in folder.path.iterdir()] == [f"{KEY.key.key_id}.note"]
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ConfigError, match=VARIABLE):
        newest(folder)


def test_a_key_may_be_a_services(folder: KeyFolder) -> None:
    """Whatever signs with it."""

    class Service:
        key = KEY.key

        def sign(self, message: bytes) -> bytes:
            return KEY.sign(message)

    ring = open_keyring(folder, LOG, origin=ORIGIN, random=os.urandom, service=Service())
    assert isinstance(ring.signer(5), Service)


def test_a_key_of_another_log_is_refused(folder: KeyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names both."""
    monkeypatch.setenv(VARIABLE, ROOT.write().decode())
    with pytest.raises(ConfigError, match=r"example\.com/root"):
        newest(folder)


def test_a_rotation_makes_the_next_key(folder: KeyFolder) -> None:
    """Introduced by both, for all that is larger; the old one is still at hand."""
    first = newest(folder)
    second = rotate(folder, LOG, size=100, random=os.urandom)
    ring = open_keyring(folder, LOG, origin=ORIGIN, random=os.urandom)
    assert ring.succession.keys == ((0, first), (100, second))
    assert [each.key for each in ring.signers(101)] == [second, first]


def test_a_rotation_that_a_crash_cut_short_changed_nothing(folder: KeyFolder) -> None:
    """A secret without a note is not used."""
    first = newest(folder)
    folder.add_secret("00000000", SecretKey(ORIGIN, bytes(32)).write())
    assert newest(folder) == first
    assert rotate(folder, LOG, size=1, random=os.urandom) == newest(folder)


def test_a_stolen_key_is_revoked_and_followed(folder: KeyFolder) -> None:
    """By the root key, which lies elsewhere."""
    first = newest(folder, ROOT.key)
    assert revoke_key(folder, LOG, first.key_id, root=ROOT, size=50, reason="stolen") == first
    with pytest.raises(ConfigError, match="root key"):
        rotate(folder, LOG, size=50, random=os.urandom)
    second = rotate(folder, LOG, size=50, random=os.urandom, root=ROOT)
    found = open_keyring(folder, LOG, origin=ORIGIN, random=os.urandom).succession
    assert (found.in_force(50), found.in_force(51)) == (first, second)
    with pytest.raises(ConfigError, match="no key of this log"):
        revoke_key(folder, LOG, "00000000", root=ROOT, size=50, reason="stolen")


def test_without_the_key_in_force_nothing_is_rotated(folder: KeyFolder) -> None:
    """It must introduce the next one."""
    first = newest(folder)
    (folder.path / f"{first.key_id}.key").unlink()
    with pytest.raises(ConfigError, match=first.key_id):
        rotate(folder, LOG, size=5, random=os.urandom)


def test_a_damaged_note_is_refused(folder: KeyFolder) -> None:
    """Nothing is signed with keys that nobody could confirm."""
    key = newest(folder)
    path = folder.path / f"{key.key_id}.note"
    path.write_bytes(path.read_bytes().replace(b"from_size 0", b"from_size 1"))
    with pytest.raises(Malformed):
        newest(folder)


def test_a_policy_is_signed_when_it_changes(folder: KeyFolder) -> None:
    """Once each, numbered in order; going back to an earlier one is a change, too."""
    key = newest(folder)
    witness = SecretKey("w.example", bytes(32), COSIGNATURE)
    one = policy_of([(witness.key, "https://w.example")], 1)
    for policy, count in ((one, 1), (one, 1), (Policy(), 2), (one, 3)):
        signer = open_keyring(folder, LOG, origin=ORIGIN, random=os.urandom).signer(0)
        found = policy_notes(folder, LOG, policy, signer)
        assert list(found) == [policy_name(LOG, number) for number in range(1, count + 1)]
        note = read_note(found[policy_name(LOG, count)])
        assert read_policy(note.text) == policy
        assert list(note.signed_by([key])) == [key]
