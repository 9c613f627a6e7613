"""Notes and keys, held to what the Go libraries write."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.layout import Malformed
from store.audit.objects.notes import (
    COSIGNATURE,
    NOTE_SIZE_MAX,
    SIGNATURES_MAX,
    SecretKey,
    VerifierKey,
    cosigned_at,
    decode_base64,
    decode_hash,
    read_key,
    read_note,
    read_secret_key,
    read_signatures,
    sign,
    sign_bytes,
)
from store.errors import ConfigError

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "merkle" / "signed_notes.json").read_text())
KEY = SecretKey("example.com/log", bytes(range(32)))
OTHER = SecretKey("example.com/other", bytes(32))
WITNESS = SecretKey("example.com/witness", bytes(range(1, 33)), COSIGNATURE)
TEXT = "line one\n\nline three\n"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: each["name"])
def test_published_notes_hold(vector: dict) -> None:
    """What other libraries sign is read, and its key confirms it."""
    key = read_key(vector["key"])
    note = read_note(vector["note"].encode())
    assert list(note.signed_by([key])) == [key]
    assert note.encode() == vector["note"].encode()
    assert str(key) == vector["key"]


@pytest.mark.parametrize("vector", [each for each in VECTORS if each["secret"]], ids=lambda each: each["name"])
def test_a_note_is_signed_as_others_sign_it(vector: dict) -> None:
    """The same key and the same text give the same bytes."""
    secret = read_secret_key(vector["secret"].encode())
    assert sign(read_note(vector["note"].encode()).text, [secret]).encode() == vector["note"].encode()
    assert secret.write() == vector["secret"].encode() + b"\n"


def test_a_text_may_have_empty_lines() -> None:
    """Signatures stand below the last one."""
    assert read_note(sign(TEXT, [KEY]).encode()).text == TEXT


def test_a_witness_signs_a_time_as_well() -> None:
    """It stands in the signature, and is confirmed with the text."""
    note = read_note(sign(TEXT, [KEY, WITNESS], time=1_700_000_000).encode())
    found = note.signed_by([KEY.key, WITNESS.key])
    assert cosigned_at(found[WITNESS.key].signature) == 1_700_000_000
    changed = bytearray(found[WITNESS.key].signature)
    changed[7] ^= 1
    assert not WITNESS.key.holds(TEXT, bytes(changed))


def test_signatures_of_unknown_keys_are_passed_over() -> None:
    """So a key can be changed while readers still know the old one alone."""
    note = sign(TEXT, [KEY, OTHER])
    assert list(note.signed_by([OTHER.key])) == [OTHER.key]
    assert note.signed_by([]) == {}


def test_a_bad_signature_of_a_known_key_refuses_the_note() -> None:
    """Even beside a good one of another key."""
    forged = sign("another text\n", [KEY]).signatures
    note = sign(TEXT, [OTHER]).joined(forged)
    with pytest.raises(Malformed, match=r"example\.com/log"):
        note.signed_by([KEY.key, OTHER.key])


def test_a_key_of_the_same_name_is_another_key() -> None:
    """The id of its bytes tells them apart."""
    namesake = SecretKey(KEY.key.name, bytes(31) + b"\x01")
    assert sign(TEXT, [namesake]).signed_by([KEY.key]) == {}


def test_signatures_are_joined_each_once() -> None:
    """A cosignature that was collected twice stands there once."""
    more = sign(TEXT, [OTHER]).signatures
    note = sign(TEXT, [KEY]).joined(more).joined(more)
    assert [each.name for each in note.signatures] == [KEY.key.name, OTHER.key.name]
    assert read_signatures("".join(map(str, note.signatures))) == note.signatures


def test_a_secret_is_never_shown() -> None:
    """Neither where a key is printed, nor in the error that refuses it."""
    line = KEY.write().decode().strip()
    assert line.split("+")[-1] not in repr(KEY)
    for wrong in (line[:-1], line.replace("+example.com/log", "+example.com/x"), "PRIVATE+KEY+", "", "\xff", line[12:]):
        with pytest.raises(ConfigError) as refused:
            read_secret_key(wrong.encode("latin-1"))
        assert line.split("+")[-1][:10] not in str(refused.value)


def test_a_signer_that_signs_for_another_key_is_refused() -> None:
    """Before anything is published that nobody could confirm."""

    class Mixed:
        key = OTHER.key

        def sign(self, message: bytes) -> bytes:
            return KEY.sign(message)

    with pytest.raises(ConfigError, match="do not belong together"):
        sign(TEXT, [Mixed()])
    with pytest.raises(ConfigError, match="do not belong together"):
        sign_bytes(b"", Mixed())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "name\\+8 hex"),
        ("name+00000000", "name\\+8 hex"),
        (str(KEY.key).replace(KEY.key.key_id, "00000000"), "id is 00000000"),
        (str(KEY.key).replace("example.com/log", "example.com/x"), "bytes give"),
        (str(KEY.key)[:-4], "31 bytes|30 bytes|29 bytes"),
        (str(VerifierKey("n", 2, bytes(32))), "found type 2"),
        (str(VerifierKey("n", 1, bytes(32)))[:-1] + "!", "base64"),
        ("+" + str(KEY.key), "name|spaces"),
        (str(VerifierKey("a b", 1, bytes(32))), "spaces"),
    ],
)
def test_what_is_no_key_is_refused(text: str, why: str) -> None:
    """The error says what is wrong with it."""
    with pytest.raises(Malformed, match=why):
        read_key(text)


GOOD = sign(TEXT, [KEY]).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "an empty line"),
        (b"text\n", "an empty line"),
        (GOOD[:-1], "an empty line"),
        (b"\n" + GOOD.rpartition(b"\n\n")[2], "an empty line"),
        (GOOD.replace(b"one", b"on\x01"), "control characters"),
        (GOOD.replace(b"one", b"on\xff"), "UTF-8"),
        (GOOD.replace("\u2014".encode(), b"-"), "expected a signature"),
        (GOOD.replace(b"example.com/log ", b"example.com/log"), "expected a signature"),
        (GOOD.replace(b"example.com/log", b"example+log"), "plus signs"),
        (GOOD[:-3] + b"\n", "base64"),
        (GOOD + GOOD.rpartition(b"\n\n")[2] * SIGNATURES_MAX, "1 to 100"),
        (b"x" * (NOTE_SIZE_MAX + 1), "at most"),
        (b"t\n\n\xe2\x80\x94 n AAAA\n", "four bytes"),
    ],
)
def test_what_is_no_note_is_refused(data: bytes, why: str) -> None:
    """The error says what is wrong with it."""
    with pytest.raises(Malformed, match=why):
        read_note(data)


def test_base64_has_one_spelling() -> None:
    """Other bits in its last letter, or spaces, are other bytes that say the same: refused."""
    assert decode_base64("AA==", "x") == b"\0"
    for text in ("AB==", "AA", " AA==", "AA==\n", "", "AA-_"):
        with pytest.raises(Malformed, match="base64"):
            decode_base64(text, "x")
    with pytest.raises(Malformed, match="32 bytes in the root"):
        decode_hash("AAAA", "the root")


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    """The note is refused, or its signature is nobody's any more, or is no longer under this text."""
    changed = bytearray(GOOD)
    changed[place] ^= change
    try:
        found = read_note(bytes(changed)).signed_by([KEY.key])
    except Malformed:
        return
    assert found == {}


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_note_or_refused(data: bytes) -> None:
    """Nothing but Malformed comes out of bytes from outside."""
    for each in (data, TEXT.encode() + b"\n" + data):
        try:
            read_note(each).signed_by([KEY.key, WITNESS.key])
        except Malformed:
            continue
