"""What an event hides of a person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.layout import Malformed
from store.audit.reading.revealing import reveal
from tests.audit.records import beginning, events_of, keys, record

RAW = record(5, 1, "enrol", ["ada", "ada@example.com", 1234, "private"])


def test_what_is_sealed_opens_with_the_persons_key() -> None:
    """Found by the argument that names the person; what was redacted or hashed stays so."""
    secrets = keys()
    line = events_of([*beginning(), RAW], secrets)[-1]
    shown, sealed = reveal(line, secrets)
    assert (shown["person"], shown["email"], sealed) == ("ada", "ada@example.com", ())
    assert shown["note"] == {"redacted": True}
    assert set(shown["pin"]) == {"hmac_sha256"}
    assert reveal(line, secrets, "ada")[0] == shown


def test_without_the_key_it_stays_sealed() -> None:
    """Another person's key, none at all, or one that was destroyed; and none is made by asking."""
    secrets = keys()
    line = events_of([*beginning(), RAW], secrets)[-1]
    assert reveal(line, secrets, "bob")[1] == ("email",)
    assert secrets.known("bob") is False
    assert reveal(line, keys(2))[1] == ("email",)
    secrets.destroy("ada")
    shown, sealed = reveal(line, secrets)
    assert sealed == ("email",)
    assert set(shown["email"]) == {"sealed"}


def test_an_event_that_was_moved_does_not_open() -> None:
    """It is sealed for its place in its log."""
    secrets = keys()
    line = events_of([*beginning(), RAW], secrets)[-1]
    assert reveal(line.replace(b'"offset":5', b'"offset":6'), secrets)[1] == ("email",)


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"\xff", b'{"unmapped":{"args":[]},"metadata":{"uid":"a/1"}}'])
def test_what_is_no_call_is_refused(line: bytes) -> None:
    """The error says where an event's line is had."""
    with pytest.raises(Malformed, match="the event of a call"):
        reveal(line, keys())


LINE = events_of([*beginning(), RAW])[-1]


@given(st.integers(0, len(LINE) - 1), st.integers(1, 255))
def test_any_bytes_are_opened_or_refused(place: int, change: int) -> None:
    """Nothing but Malformed comes out of them, and no other text than was sealed."""
    changed = bytearray(LINE)
    changed[place] ^= change
    try:
        shown, sealed = reveal(bytes(changed), keys())
    except Malformed:
        return
    found = shown.get("email")
    assert "email" in sealed or not isinstance(found, str) or found == "ada@example.com"
