"""Manifests: their one form, what is refused, and their chain."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.layout import Malformed
from store.audit.objects.manifest import (
    NO_MANIFEST,
    Manifest,
    canonical,
    read_manifest,
    read_retain_until,
    retain_until,
)
from store.audit.objects.merkle import EMPTY_ROOT
from store.audit.objects.notes import SecretKey
from store.ids import Timestamp
from tests.audit.scenes import KEY, LOG, NOON, ORIGIN, frozen, manifest_of

FIRST = frozen()
SECOND = frozen(1, before=FIRST.after, count=2)
MANIFEST = manifest_of(SECOND, manifest_of(FIRST).digest)


def with_changes(**changes: Any) -> bytes:
    """The bytes of MANIFEST, some members changed or (None) left out."""
    said = {**msgspec.to_builtins(MANIFEST), **changes}
    return canonical({name: value for name, value in said.items() if value is not None})


def test_a_manifest_says_where_its_batch_stands() -> None:
    """In the chain, in the tree, in the log and in time."""
    said = json.loads(MANIFEST.encode())
    assert (said["v"], said["log"], said["origin"], said["batch"]) == (1, LOG, ORIGIN, 1)
    assert said["prev"] == manifest_of(FIRST).digest
    assert (said["first"], said["count"], said["size_before"], said["size_after"]) == (3, 2, 3, 5)
    assert said["root_after"] == SECOND.after.root().hex()
    assert said["retain_until"] == "2027-01-15T08:00:00Z"
    assert MANIFEST.span_before == FIRST.after
    assert manifest_of(FIRST).prev == NO_MANIFEST
    assert manifest_of(FIRST).root_before == EMPTY_ROOT.hex()


def test_a_manifest_has_one_form() -> None:
    """Sorted keys, no spaces: the bytes that are hashed are those that any JSON library with these settings writes."""
    data = MANIFEST.encode()
    assert read_manifest(data) == MANIFEST
    assert json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == data
    for other in (data + b"\n", b" " + data, data.replace(b'":', b'": ', 1), data.replace(b'"v":1', b'"v":1.0')):
        with pytest.raises(Malformed):
            read_manifest(other)
    with pytest.raises(Malformed, match="another form"):
        read_manifest(b'{"v":1,' + data[1:].replace(b',"v":1', b""))


def test_a_manifest_is_signed() -> None:
    """The key's id and the signature under all other members; another key's does not hold."""
    assert MANIFEST.signed_by(KEY.key)
    assert not MANIFEST.signed_by(SecretKey(ORIGIN, bytes(32)).key)
    assert not read_manifest(with_changes(version_id="v2")).signed_by(KEY.key)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"v": 2}, "use a newer verifier"),
        ({"v": None}, "missing required field"),
        ({"more": 1}, "unknown field"),
        ({"count": "2"}, "Expected `int`"),
        ({"count": 2.5}, "Expected `int`"),
        ({"raw_size": 2**53}, "numbers lie between"),
        ({"size": -1}, "numbers lie between"),
        ({"writer": {"version": "", "host": "", "fence": -1}}, "numbers lie between"),
        ({"sha256": "AA"}, "64 lower-case hex"),
        ({"prev": MANIFEST.prev.upper()}, "64 lower-case hex"),
        ({"log": LOG.upper()}, "32 lower-case hex"),
        ({"log": "0" * 32}, "origin ends with"),
        ({"count": 0, "size_after": 3, "ranges": []}, "sizes are those"),
        ({"size_after": 6}, "sizes are those"),
        ({"key": FIRST.name}, "its batch's name"),
        ({"frontier_before": []}, "frontier_before"),
        ({"prev": NO_MANIFEST}, "batch 0"),
        ({"t_last": NOON - 1}, "t_last is before"),
        ({"ranges": [["ff", 4, 5]]}, "ranges are"),
        ({"ranges": [[LOG, 0, 1]]}, "ranges are"),
        ({"ranges": [[LOG, 4, 6]]}, "as many records"),
        ({"retain_until": "2027-01-15 08:00:00"}, "retain_until"),
        ({"signature": ""}, "base64"),
        ({"signature": "AAAA"}, "another length"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(changes: dict, why: str) -> None:
    """The error says which member, and what is expected of it."""
    with pytest.raises(Malformed, match=why):
        read_manifest(with_changes(**changes))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b"1" * (1 << 20) + b"1"])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(Malformed):
        read_manifest(data)


@given(st.integers(0, len(MANIFEST.encode()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    """The manifest is refused, or its signature does not hold."""
    changed = bytearray(MANIFEST.encode())
    changed[place] ^= change
    try:
        found: Manifest = read_manifest(bytes(changed))
    except Malformed:
        return
    assert not found.signed_by(KEY.key)


def test_a_moment_is_said_in_whole_seconds() -> None:
    """Rounded down; any other text is refused."""
    assert retain_until(Timestamp(NOON + 999_999)) == retain_until(NOON) == "2027-01-15T08:00:00Z"
    assert read_retain_until("2027-01-15T08:00:00Z") == NOON
    for text in (
        "",
        "2027-1-15T08:00:00Z",
        "2027-01-15T08:00:00+00:00",
        "1969-12-31T23:59:59Z",
        "2027-02-30T08:00:00Z",
    ):
        with pytest.raises(Malformed, match="such as"):
            read_retain_until(text)
