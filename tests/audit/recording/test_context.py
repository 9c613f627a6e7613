"""What earlier records said."""

from store.audit.recording.context import Context, context_of, load_context
from store.codec import decode_transaction
from store.engine.idempotency import Windows
from store.engine.identity import Identity
from store.engine.remembered import dump_windows
from store.engine.state import System
from store.ids import IdentityReference, Offset, SchemaVersion, Timestamp
from store.schema import EMPTY_SCHEMA
from tests.audit.records import RULES, beginning, call, events_of, identity, record, start
from tests.audit.scenes import NOON


def absorbed(records: list[bytes]) -> Context:
    """The context behind these records."""
    found = Context()
    for raw in records:
        found.absorb(decode_transaction(raw))
    return found


def test_a_context_follows_from_the_records() -> None:
    """Who calls, which tables there are, and what is declared, the newest start alone."""
    found = absorbed([*beginning(), identity(5, "bob"), start(6, {"move": [["a", "hash"]]})])
    assert found.identities == {4: ("https://id.example", "ada"), 5: ("https://id.example", "bob")}
    assert found.tables == {1: "accounts"}
    assert found.declared == {"move": (("a", "hash"),)}


def test_an_old_start_declares_nothing_new() -> None:
    """What held before, holds."""
    assert absorbed([start(1), start(2, None)]) == absorbed([start(3, None)])
    assert absorbed([start(1, RULES), start(2, None)]).declared == absorbed([start(1, RULES)]).declared


def test_a_context_can_be_had_again_from_the_trails_own_events() -> None:
    """Where the log's beginning is gone."""
    raws = [*beginning(), call(5), identity(6, "bob"), start(7, {"move": [["a", "redact"]]})]
    found = Context()
    assert [found.absorb_event(line) for line in events_of(raws)] == [False, True, True, True, False, True, True]
    assert found == absorbed(raws)


def test_what_cannot_be_read_changes_nothing() -> None:
    """Another version may mean something else by it; its event shows the bytes' hash."""
    wrong = [
        record(1, 8, "identity", b"\xc1"),
        record(2, 6, "schema", [1]),
        record(3, 5, "start", b"\xc1"),
        record(4, 5, "start", ["c0de", {"move": [["a"]]}]),
        record(5, 5, "stop", []),
    ]
    assert absorbed(wrong) == Context()
    for line in events_of(wrong):
        assert not Context().absorb_event(line)


def test_a_context_is_kept_row_by_row() -> None:
    """Each time what is new alone, so that many identities cost nothing; all rows together are all of it."""
    found = absorbed(beginning())
    kept = found.take_changes()
    assert found.take_changes() == {}
    found.absorb(decode_transaction(identity(5, "bob")))
    new = found.take_changes()
    assert list(new) == [b"identity/00000000000000000005"]
    assert load_context({**kept, **new}) == found
    assert load_context({}) == Context(sensitive=None)
    assert load_context({**kept, **new}).take_changes() == {}


def test_a_context_begins_from_a_snapshot() -> None:
    """With those who are known there; what is declared comes with the next start."""
    ada = Identity("iss", "ada")
    system = System(1, Offset(9), Timestamp(NOON), (), ((IdentityReference(4), ada),), dump_windows(Windows()))
    assert context_of(system, EMPTY_SCHEMA).identities == {4: ("iss", "ada")}
    assert EMPTY_SCHEMA.version == SchemaVersion(0)
    assert context_of(system, EMPTY_SCHEMA).declared == {}
