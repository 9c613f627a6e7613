"""What of a call's arguments an event shows."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.layout import Malformed
from store.audit.recording.redaction import (
    FORGOTTEN,
    REDACTED,
    hides,
    keyed_hash,
    open_sealed,
    place_of,
    seal,
    show,
    subject_of,
    without_literals,
)
from store.values import encode
from tests.audit.records import keys
from tests.audit.scenes import EPOCH, LOG

PLACE = place_of(LOG, EPOCH, 5)
DECLARED = (("person", ""), ("email", "subject:person"), ("pin", "hash"), ("note", "redact"), ("odd", "what?"))
VALUES = ("ada", "ada@example.com", 1234, "private", 5)


def test_each_argument_is_shown_by_its_rule() -> None:
    """All of it, nothing, a keyed hash, or sealed; a rule that nobody knows hides."""
    secrets = keys()
    shown = show(DECLARED, encode(VALUES), VALUES, secrets, PLACE)
    assert shown.args["person"] == "ada"
    assert shown.args["note"] == shown.args["odd"] == REDACTED
    assert shown.args["pin"] == {"hmac_sha256": keyed_hash(secrets.log_secret(), "argument", encode(1234))}
    key = secrets.key_of("ada")
    assert key is not None
    assert open_sealed(key, PLACE + b"/email", shown.args["email"]["sealed"]) == "ada@example.com"


def test_once_a_key_is_destroyed_nothing_more_is_sealed() -> None:
    """And what was sealed stays closed: the key is never made again."""
    secrets = keys()
    secrets.destroy("ada")
    assert show(DECLARED, encode(VALUES), VALUES, secrets, PLACE).args["email"] == FORGOTTEN
    assert secrets.key_of("ada") is None


def test_data_about_nobody_is_redacted() -> None:
    """Where the argument that says whose it is, is empty or another one."""
    nobody = (None, *VALUES[1:])
    assert show(DECLARED, encode(nobody), nobody, keys(), PLACE).args["email"] == REDACTED
    declared = (("email", "subject:other"),)
    assert show(declared, encode(["a"]), ["a"], keys(), PLACE).args["email"] == REDACTED
    assert (subject_of(7), subject_of(b"\xff"), subject_of("ada"), subject_of(None)) == ("7", "ff", "ada", "")


def test_a_sealed_argument_opens_in_its_place_alone() -> None:
    """With its key, in its event; else the error says so."""
    key, other = bytes(32), bytes(31) + b"\x01"
    sealed = seal(key, PLACE, encode("x"))
    assert open_sealed(key, PLACE, sealed) == "x"
    assert seal(key, PLACE, encode("x")) == sealed
    for wrong in ((other, PLACE, sealed), (key, PLACE + b"0", sealed), (key, PLACE, sealed[:-8]), (key, PLACE, "?")):
        with pytest.raises(Malformed):
            open_sealed(*wrong)


def test_the_key_of_an_events_hashes_goes_with_the_persons_key() -> None:
    """So that nobody can guess at what was sealed once that is destroyed."""
    secrets = keys()
    sealed = show(DECLARED, encode(VALUES), VALUES, secrets, PLACE)
    secrets.destroy("ada")
    assert show(DECLARED, encode(VALUES), VALUES, secrets, PLACE).key != sealed.key


def test_a_rule_is_seen() -> None:
    """Any one is enough."""
    assert hides(DECLARED)
    assert not hides((("a", ""), ("b", "")))


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT a1 FROM t2 WHERE b = 1.5e3 AND c = -7", "SELECT a1 FROM t2 WHERE b = :hidden AND c = -:hidden"),
        ("SELECT * FROM t WHERE x = $1 AND y = ?", "SELECT * FROM t WHERE x = $1 AND y = ?"),
        ("SELECT \"a 1\" FROM t WHERE n ->> 'k' = ''", 'SELECT "a 1" FROM t WHERE n ->> :hidden = :hidden'),
        ("x = 'it''s'", "x = :hidden"),
        ("x = 'open", None),
        ("x = 1 -- 7", None),
        ("x = /* 7 */ 1", None),
        ("x = $tag$7$tag$", None),
        ("x = 7a", None),
    ],
)
def test_a_query_is_shown_without_its_literals(sql: str, shown: str | None) -> None:
    """Names stay; what cannot be told apart is not shown at all."""
    assert without_literals(sql) == shown


@given(st.text(alphabet="aZ_0179.'\"$-/* e+", max_size=30))
def test_no_text_in_quotes_and_no_number_is_left_of_a_query(sql: str) -> None:
    """Whatever it is: outside names and parameters' numbers no digit stands, and no quote."""
    shown = without_literals(sql)
    if shown is not None:
        left = re.sub(r'"(?:[^"]|"")*"|\$[0-9]+|[A-Za-z_][A-Za-z0-9_]*', "", shown.replace(":hidden", ""))
        assert not re.search("[0-9']", left)
