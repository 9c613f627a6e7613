"""Frozen batches: bytes that are settled once."""

from hashlib import sha256

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.batches import (
    SIZE_LIMIT,
    compress,
    decode_frozen,
    encode_frozen,
    expand,
    leaves_of,
    lines_of,
)
from store.audit.objects.layout import Malformed, read_name
from store.audit.objects.merkle import NOTHING, leaf_hashes, span_of
from tests.audit import scenes


def test_a_batch_is_its_lines_compressed() -> None:
    """Each ends with a newline; the name says which events are in it; the hash is that of the object."""
    found = scenes.frozen(count=4)
    assert lines_of(expand(found.data)) == scenes.lines_of(0, 4)
    assert found.raw_size == len(expand(found.data))
    assert found.sha256 == sha256(found.data).hexdigest()
    name = read_name(found.name)
    assert name is not None
    assert (name.number, name.first, name.last) == (0, 0, 3)


def test_a_batch_goes_on_from_the_tree_before() -> None:
    """Two batches give the tree of all their leaves."""
    first = scenes.frozen(count=5)
    second = scenes.frozen(1, before=first.after, count=6)
    assert first.before == NOTHING
    assert second.before == first.after
    assert second.after == span_of(0, leaf_hashes(scenes.lines_of(0, 11)))
    assert (second.first, second.last, second.size_after) == (5, 10, 11)


def test_a_frozen_batch_is_kept_as_bytes() -> None:
    """The ledger gives back what it was given."""
    found = scenes.frozen()
    assert decode_frozen(encode_frozen(found)) == found


def test_a_frame_says_its_size_and_checksum() -> None:
    """So that damage is seen before it is read, and nobody reads more than he wants to."""
    frame = zstandard.get_frame_parameters(compress(b"line\n"))
    assert frame.has_checksum
    assert frame.content_size == 5


DATA = scenes.frozen(count=50).data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"line\n",
        DATA[:-1],
        DATA + b"\0",
        DATA + DATA,
        zstandard.ZstdCompressor(write_checksum=False).compress(b"line\n"),
        zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(b"line\n"),
        compress(b""),
    ],
)
def test_what_is_no_single_whole_frame_is_refused(data: bytes) -> None:
    """Cut short, followed by something, without checksum or size, or empty."""
    with pytest.raises(Malformed):
        expand(data)


def test_a_frame_that_would_fill_the_memory_is_refused_before_it_does() -> None:
    """By what its header says."""
    large = compress(bytes(SIZE_LIMIT + 1))
    assert len(large) < 1 << 20
    with pytest.raises(Malformed, match=str(SIZE_LIMIT)):
        expand(large)


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_never_gives_other_lines(place: int, change: int) -> None:
    """The frame is refused; where a changed byte means nothing to the format, its content is the same."""
    changed = bytearray(DATA)
    changed[place] ^= change
    try:
        raw = expand(bytes(changed))
    except Malformed:
        return
    assert raw == expand(DATA)


def test_a_last_line_without_an_end_is_refused() -> None:
    """It was cut."""
    assert lines_of(b"a\nb\n") == [b"a", b"b"]
    with pytest.raises(Malformed):
        lines_of(b"a\nb")


@given(st.lists(st.binary(max_size=9).filter(lambda each: b"\n" not in each), min_size=1, max_size=9))
def test_leaves_are_hashed_as_the_lines_are(lines: list[bytes]) -> None:
    """Read off the content one by one, empty ones too; a last one without an end is refused."""
    raw = b"".join(line + b"\n" for line in lines)
    assert leaves_of(raw) == leaf_hashes(lines_of(raw)) == leaf_hashes(lines)
    with pytest.raises(Malformed):
        leaves_of(raw + b"x")
