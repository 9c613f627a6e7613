"""An encrypted object is read back as it was, or not at all."""

import itertools
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.backup.encryption import CHUNK_SIZE, HEADER_SIZE, TAG_SIZE, DataKey, chunk_count, seal, unseal
from store.errors import CorruptionError, DirectoryError

KEY = DataKey("0f" * 16, bytes(range(32)))
OTHER = DataKey("f0" * 16, bytes(range(32)), 2)
NAME = "block/" + "ab" * 32 + ".blk"
LARGE = 1 << 40


def opened(sealed: bytes, *, name: str = NAME, key: DataKey = KEY, size_max: int = LARGE) -> bytes:
    """What an object holds, for whoever has the key."""
    return unseal({key.id: key}, name, sealed, size_max=size_max)


@pytest.mark.parametrize("size", [0, 1, 100, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE])
def test_what_was_sealed_is_unsealed(size: int) -> None:
    """At every edge of a chunk, with a tag for each."""
    data = (b"plaintext " * (size // 10 + 1))[:size]
    sealed = seal(KEY, NAME, data)
    assert len(sealed) == HEADER_SIZE + size + chunk_count(size) * TAG_SIZE
    assert opened(sealed) == data
    assert b"plaintext" not in sealed


@settings(max_examples=25, derandomize=True, deadline=None)
@given(st.binary(max_size=2_000), st.sampled_from([NAME, "a", "log/x"]))
def test_anything_is_read_back(data: bytes, name: str) -> None:
    """Whatever it holds."""
    assert opened(seal(KEY, name, data), name=name) == data


def test_the_same_content_gives_the_same_object() -> None:
    """So that it is seen to be there already; any other content, name or key gives quite another one."""
    sealed = seal(KEY, NAME, b"hello")
    others = [seal(KEY, NAME, b"hallo"), seal(KEY, "other", b"hello"), seal(OTHER, NAME, b"hello")]
    assert seal(KEY, NAME, b"hello") == sealed
    for one, other in itertools.combinations([sealed, *others], 2):
        assert one[24:56] != other[24:56]  # Salts.
        assert one[HEADER_SIZE:] != other[HEADER_SIZE:]


def test_every_flipped_bit_is_found() -> None:
    """In the header, in the text and in the tag; the error names the object."""
    sealed = seal(KEY, NAME, b"hello")
    for bit in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CorruptionError, DirectoryError), match=NAME):
            opened(bytes(changed))


def test_every_cut_is_found() -> None:
    """At each byte, and at the end of a chunk."""
    sealed = seal(KEY, NAME, b"hello")
    for size in range(len(sealed)):
        with pytest.raises(CorruptionError):
            opened(sealed[:size])
    long = seal(KEY, NAME, bytes(2 * CHUNK_SIZE + 5))
    chunk = CHUNK_SIZE + TAG_SIZE
    for size in (HEADER_SIZE, HEADER_SIZE + chunk, HEADER_SIZE + 2 * chunk):
        with pytest.raises(CorruptionError, match="expected an encrypted object of"):
            opened(long[:size])


def shortened(sealed: bytes, chunks: int) -> bytes:
    """The object cut behind so many whole chunks, with a header that says so."""
    size = chunks * CHUNK_SIZE
    return sealed[:64] + size.to_bytes(8, "little") + sealed[72 : HEADER_SIZE + chunks * (CHUNK_SIZE + TAG_SIZE)]


def test_a_cut_with_a_header_that_agrees_is_found() -> None:
    """The header is part of the key, and the last chunk knows that it is the last."""
    sealed = seal(KEY, NAME, bytes(2 * CHUNK_SIZE + 5))
    with pytest.raises(CorruptionError, match="chunk 0 of 2 is not what was encrypted"):
        opened(shortened(sealed, 2))


def test_swapped_chunks_are_found() -> None:
    """Each is bound to its place, with its position in the error."""
    sealed = seal(KEY, NAME, bytes(CHUNK_SIZE) + bytes(CHUNK_SIZE) + b"x")
    chunk = CHUNK_SIZE + TAG_SIZE
    first, second = sealed[HEADER_SIZE : HEADER_SIZE + chunk], sealed[HEADER_SIZE + chunk : HEADER_SIZE + 2 * chunk]
    with pytest.raises(CorruptionError, match=f"at byte {HEADER_SIZE}"):
        opened(sealed[:HEADER_SIZE] + second + first + sealed[HEADER_SIZE + 2 * chunk :])


def test_an_object_under_another_name_is_found() -> None:
    """It is bound to its name."""
    with pytest.raises(CorruptionError, match="not what was encrypted here"):
        opened(seal(KEY, NAME, b"hello"), name="block/other")


def test_a_chunk_of_another_object_is_found() -> None:
    """Every object has a key of its own."""
    one, other = seal(KEY, NAME, b"hello"), seal(KEY, NAME, b"hallo")
    with pytest.raises(CorruptionError):
        opened(one[:HEADER_SIZE] + other[HEADER_SIZE:])


def test_a_key_that_is_not_here_is_named() -> None:
    """By its id."""
    with pytest.raises(DirectoryError, match=f"under the data key {KEY.id}"):
        opened(seal(KEY, NAME, b"hello"), key=OTHER)


def test_a_wrong_key_under_the_right_id_opens_nothing() -> None:
    """An id is no proof."""
    with pytest.raises(CorruptionError):
        opened(seal(KEY, NAME, b"hello"), key=DataKey(KEY.id, bytes(32)))


def test_other_content_is_no_encrypted_object() -> None:
    """A plain object in its place is refused, never handed through."""
    for data in (b"", b"hello", b"{}" * 100):
        with pytest.raises(CorruptionError, match="expected an encrypted object"):
            opened(data)


def test_a_newer_version_is_refused() -> None:
    """It says so, rather than that it is damaged."""
    sealed = bytearray(seal(KEY, NAME, b"hello"))
    sealed[8] = 2
    with pytest.raises(DirectoryError, match="version 2"):
        opened(bytes(sealed))


def test_more_than_may_be_is_not_unsealed() -> None:
    """Whatever a header claims."""
    with pytest.raises(CorruptionError):
        opened(seal(KEY, NAME, bytes(100)), size_max=99)
    claimed = seal(KEY, NAME, b"hello")
    claimed = claimed[:64] + (1 << 62).to_bytes(8, "little") + claimed[72:]
    with pytest.raises(CorruptionError, match="expected an encrypted object of"):
        opened(claimed)


def test_a_key_shows_no_secret() -> None:
    """Not in what a log would print."""
    assert KEY.secret.hex() not in repr(KEY)
    assert "\\x01\\x02" not in repr(KEY)


def test_purposes_have_keys_of_their_own() -> None:
    """None is the secret itself."""
    derived = {
        KEY.derive(b"salt"),
        KEY.derive(b"names"),
        KEY.derive(b"salt", b"x"),
        KEY.secret,
        sha256(KEY.secret).digest(),
    }
    assert len(derived) == 5
