"""Keys of a log: who introduces whom, and who signs what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.layout import Malformed, key_name
from store.audit.objects.notes import COSIGNATURE, SecretKey, read_note, sign
from store.audit.signing.keys import (
    KeyNote,
    Keyring,
    Revocation,
    introduce_first,
    introduce_next,
    read_key_note,
    read_revocation,
    read_succession,
    revoke,
)
from store.errors import ConfigError
from tests.audit.scenes import KEY, LOG, ORIGIN

SECOND = SecretKey(ORIGIN, bytes(range(1, 33)))
THIRD = SecretKey(ORIGIN, bytes(range(2, 34)))
ROOT = SecretKey("example.com/root", bytes(range(3, 35)))
STRANGER = SecretKey(ORIGIN, bytes(32))

FIRST = dict([introduce_first(LOG, KEY, root=ROOT.key)])


def after(notes: dict[str, bytes], new: SecretKey, by: SecretKey, size: int) -> dict[str, bytes]:
    """The notes, and one more."""
    return {**notes, **dict([introduce_next(LOG, read_succession(LOG, notes), new, by=by, from_size=size)])}


def revoked(notes: dict[str, bytes], key: SecretKey, size: int) -> dict[str, bytes]:
    """The notes, and the revocation of a key."""
    said = revoke(LOG, read_succession(LOG, notes), key.key, root=ROOT, from_size=size, reason="stolen")
    return {**notes, **dict([said])}


TWO = after(FIRST, SECOND, KEY, 100)


def test_the_first_key_introduces_itself() -> None:
    """It signs everything until another comes."""
    found = read_succession(LOG, FIRST)
    assert found.newest == found.in_force(0) == found.in_force(10**9) == KEY.key
    assert found.root == ROOT.key


def test_a_note_of_a_key_is_six_lines() -> None:
    """As FORMAT.md says."""
    (data,) = FIRST.values()
    assert read_note(data).text == (
        f"commitstore audit key v1\nlog {LOG}\nnew {KEY.key}\nold -\nroot {ROOT.key}\nfrom_size 0\n"
    )
    assert read_key_note(read_note(data)) == KeyNote(LOG, KEY.key, None, ROOT.key, 0)


def test_a_later_key_signs_what_is_larger_than_its_size() -> None:
    """At that size the one before it still does."""
    found = read_succession(LOG, TWO)
    assert [found.in_force(size) for size in (0, 1, 100, 101, 200)] == [
        KEY.key,
        KEY.key,
        KEY.key,
        SECOND.key,
        SECOND.key,
    ]


def test_a_revoked_key_signs_nothing_more() -> None:
    """What it signed up to the size stays; the root key introduces the next one."""
    notes = revoked(TWO, SECOND, 150)
    found = read_succession(LOG, notes)
    assert found.in_force(150) == SECOND.key
    with pytest.raises(Malformed, match="revoked behind size 150"):
        found.in_force(151)
    found = read_succession(LOG, after(notes, THIRD, ROOT, 150))
    assert (found.in_force(150), found.in_force(151)) == (SECOND.key, THIRD.key)


def test_a_revocation_is_five_lines() -> None:
    """Signed by the root key."""
    (data,) = (each for name, each in revoked(TWO, SECOND, 150).items() if "revoked" in name)
    said = read_note(data)
    assert said.text == f"commitstore audit revocation v1\nlog {LOG}\nkey {SECOND.key}\nfrom_size 150\nreason stolen\n"
    assert read_revocation(said) == Revocation(LOG, SECOND.key, 150, "stolen")
    assert list(said.signed_by([ROOT.key])) == [ROOT.key]


def note_of(new: SecretKey, old: SecretKey | None, size: int, *signers: SecretKey, log: str = LOG) -> dict[str, bytes]:
    """A note, whoever signs it."""
    text = KeyNote(log, new.key, old.key if old else None, None, size).text
    return {key_name(LOG, new.key.key_id): sign(text, signers).encode()}


@pytest.mark.parametrize(
    ("notes", "why"),
    [
        ({}, "introduces the first key"),
        ({**FIRST, **note_of(SECOND, KEY, 100, SECOND)}, "the signatures of"),
        ({**FIRST, **note_of(SECOND, KEY, 100, KEY)}, "the signatures of"),
        ({**FIRST, **note_of(SECOND, KEY, 100, SECOND, STRANGER)}, "the signatures of"),
        ({**FIRST, **note_of(SECOND, STRANGER, 100, SECOND, STRANGER)}, "each key to follow another"),
        ({**FIRST, **note_of(SECOND, None, 0, SECOND)}, "one key to follow -"),
        (note_of(KEY, None, 5, KEY), "rise from 0"),
        ({**TWO, **note_of(THIRD, SECOND, 99, THIRD, SECOND)}, "rise from 0"),
        (note_of(KEY, None, 0, KEY, log="0" * 32), "named after its key and log"),
        ({key_name(LOG, "00000000"): next(iter(FIRST.values()))}, "named after its key and log"),
        ({next(iter(FIRST)): sign("commitstore audit key v2\n", [KEY]).encode()}, "a note of the lines"),
        (note_of(SecretKey(ORIGIN, bytes(32), COSIGNATURE), None, 0, KEY), "of type 1"),
    ],
)
def test_keys_that_nobody_introduced_are_refused(notes: dict, why: str) -> None:
    """The error says what is missing."""
    with pytest.raises(Malformed, match=why):
        read_succession(LOG, notes)


def test_only_the_root_key_revokes() -> None:
    """The one that the first note names, or that is known from elsewhere."""
    text = Revocation(LOG, KEY.key, 5, "x").text
    forged = {f"audit/v1/{LOG}/keys/{KEY.key.key_id}.revoked.note": sign(text, [STRANGER]).encode()}
    with pytest.raises(Malformed, match="root key's signature"):
        read_succession(LOG, {**FIRST, **forged})
    assert read_succession(LOG, {**FIRST, **forged}, root=STRANGER.key).revoked == {str(KEY.key): 5}
    found = read_succession(LOG, TWO)
    for wrong in (KEY, STRANGER):
        with pytest.raises(ConfigError, match="root key is"):
            revoke(LOG, found, KEY.key, root=wrong, from_size=5, reason="x")
    with pytest.raises(ConfigError, match="no key of this log"):
        revoke(LOG, found, STRANGER.key, root=ROOT, from_size=5, reason="x")
    with pytest.raises(ConfigError, match="one line"):
        revoke(LOG, found, KEY.key, root=ROOT, from_size=5, reason="a\nb")


def test_a_key_is_introduced_by_the_newest_one() -> None:
    """By no other, not for a size before its own, and not twice."""
    found = read_succession(LOG, TWO)
    with pytest.raises(ConfigError, match="is introduced by"):
        introduce_next(LOG, found, THIRD, by=KEY, from_size=200)
    for new, size in ((THIRD, 99), (KEY, 200), (SECOND, 200)):
        with pytest.raises(ConfigError, match="never there before"):
            introduce_next(LOG, found, new, by=SECOND, from_size=size)


def test_a_keyring_signs_with_the_key_in_force() -> None:
    """And adds the signatures of older ones that are at hand, so that who knows them alone can go on."""
    ring = Keyring(LOG, [KEY, SECOND], TWO)
    assert ring.signer(100) is KEY
    assert ring.signers(100) == [KEY, SECOND]
    assert ring.signers(99) == [KEY]
    assert ring.signers(101) == [SECOND, KEY]
    assert Keyring(LOG, [SECOND], TWO).signers(101) == [SECOND]


def test_a_keyring_without_the_key_in_force_is_refused() -> None:
    """The error names the key; one that was revoked says what to do."""
    with pytest.raises(ConfigError, match=SECOND.key.key_id):
        Keyring(LOG, [KEY], TWO)
    with pytest.raises(ConfigError, match=KEY.key.key_id):
        Keyring(LOG, [SECOND], TWO).signer(50)
    ring = Keyring(LOG, [KEY, SECOND], revoked(TWO, SECOND, 150))
    with pytest.raises(ConfigError, match="keys rotate"):
        ring.signer(151)


ALL = revoked(after(TWO, THIRD, SECOND, 200), KEY, 100)
PLACES = [(name, place) for name, data in ALL.items() for place in range(len(data))]


@given(st.sampled_from(PLACES), st.integers(1, 255))
def test_a_changed_byte_of_any_note_is_noticed(where: tuple[str, int], change: int) -> None:
    """All of them hold, or none."""
    name, place = where
    changed = bytearray(ALL[name])
    changed[place] ^= change
    with pytest.raises(Malformed):
        read_succession(LOG, {**ALL, name: bytes(changed)}, root=ROOT.key)
