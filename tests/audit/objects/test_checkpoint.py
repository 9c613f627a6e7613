"""Checkpoints, and proofs that rest on one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.checkpoint import Checkpoint, Proof, is_signed, read_checkpoint, read_proof, read_text
from store.audit.objects.layout import Malformed
from store.audit.objects.merkle import inclusion_proof, leaf_hash, leaf_hashes, span_of
from store.audit.objects.notes import SecretKey, sign

KEY = SecretKey("example.com/audit/log", bytes(range(32)))
LEAVES = leaf_hashes(str(each).encode() for each in range(11))
HEAD = Checkpoint("example.com/audit/log", 11, span_of(0, LEAVES).root())
SIGNED = sign(HEAD.text, [KEY]).encode()
PROOF = Proof(4, tuple(inclusion_proof(span_of(0, LEAVES[:4]), LEAVES[4], span_of(5, LEAVES[5:]))), SIGNED)


def test_a_checkpoint_is_three_lines() -> None:
    """Origin, size, and the root in base64."""
    assert HEAD.text == f"example.com/audit/log\n11\n{HEAD.text.splitlines()[2]}\n"
    found, note = read_checkpoint(SIGNED)
    assert found == HEAD
    assert list(note.signed_by([KEY.key])) == [KEY.key]


def test_a_note_is_the_checkpoint_that_its_key_signed() -> None:
    """Not another's, nor one of another size, nor any other bytes."""
    other = SecretKey("example.com/audit/log", bytes(32))
    assert is_signed(SIGNED, HEAD, KEY.key)
    assert not is_signed(SIGNED, HEAD, other.key)
    assert not is_signed(SIGNED, Checkpoint(HEAD.origin, 12, HEAD.root), KEY.key)
    assert not is_signed(SIGNED.replace(b"\n11\n", b"\n12\n"), Checkpoint(HEAD.origin, 12, HEAD.root), KEY.key)
    assert not is_signed(b"", HEAD, KEY.key)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD.text + "extension\n", "found 4 lines"),
        (HEAD.text[:-1], "found 2 lines"),
        (HEAD.text.replace("\n11\n", "\n011\n"), "leading zeros"),
        (HEAD.text.replace("\n11\n", "\n-1\n"), "the tree's size"),
        (HEAD.text.replace("\n11\n", "\n\n"), "the tree's size"),
        (HEAD.text.replace("\n11\n", f"\n{2**63}\n"), "the tree's size"),
        (HEAD.text.replace("\n11\n", "\n\u0661\n"), "the tree's size"),
        ("\n1\nAAAA\n", "key's name"),
        ("o\n1\nAAAA\n", "32 bytes"),
        ("o\n1\n?\n", "base64"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str, why: str) -> None:
    """The error says what is wrong with it."""
    with pytest.raises(Malformed, match=why):
        read_text(text)


def test_a_proof_is_read_back() -> None:
    """And shows its event, no other."""
    found = read_proof(PROOF.encode())
    assert found == PROOF
    assert found.shows(LEAVES[4])
    assert not found.shows(LEAVES[5])
    assert not found.shows(leaf_hash(b"x"))


def test_extra_data_in_a_proof_is_passed_over() -> None:
    """Nothing vouches for it."""
    head, rest = PROOF.encode().split(b"\n", 1)
    assert read_proof(head + b"\nextra AAAA\n" + rest) == PROOF


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "begins with"),
        (PROOF.encode().replace(b"@v1", b"@v2"), "begins with"),
        (PROOF.encode().replace(b"index 4\n", b""), "an index"),
        (PROOF.encode().replace(b"index 4", b"index 04"), "the index"),
        (PROOF.encode().replace(b"index 4\n", b"index 4\nAAAA\n"), "32 bytes in the proof"),
        (PROOF.encode()[:-9], "."),
        (Proof(4, PROOF.hashes * 20, SIGNED).encode(), "at most 63"),
    ],
)
def test_what_is_no_proof_is_refused(data: bytes, why: str) -> None:
    """The error says what is wrong with it."""
    with pytest.raises(Malformed, match=why):
        read_proof(data)


@given(st.integers(0, len(PROOF.encode()) - 1), st.integers(1, 255))
def test_a_changed_byte_of_a_proof_is_noticed(place: int, change: int) -> None:
    """It cannot be read, its checkpoint is not signed any more, or it shows another event."""
    changed = bytearray(PROOF.encode())
    changed[place] ^= change
    try:
        found = read_proof(bytes(changed))
        _, note = read_checkpoint(found.checkpoint)
        signed = note.signed_by([KEY.key])
    except Malformed:
        return
    assert found.index != 4 or not signed or not found.shows(LEAVES[4])
