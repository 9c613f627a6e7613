"""Events: what each record's line says, and that every record has one."""

import json
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.batches import RAW_SIZE_MAX
from store.audit.recording.context import Context
from store.audit.recording.events import WRITES_MAX, Events
from store.audit.recording.members import ARGS_SIZE_MAX, DETAIL_SIZE_MAX, KEY_SIZE_MAX
from store.audit.recording.redaction import hashed_argument
from store.codec import decode_transaction
from store.transaction import Kind
from store.values import encode
from tests.audit import records
from tests.audit.records import NIL, RULES, beginning, call, events_of, record, start
from tests.audit.scenes import EPOCH, LOG, NOON

BEGINNING = beginning()
SECRETS = records.keys()


def event(raw: bytes) -> dict[str, Any]:
    """The event of a record that comes behind the first four."""
    return json.loads(events_of([*BEGINNING, raw])[-1])


def digest(data: bytes) -> str:
    """SHA-256 as hex digits."""
    return sha256(data).hexdigest()


def test_an_event_says_who_did_what_when_and_from_where() -> None:
    """With the names of OCSF, and what it has no names for under unmapped."""
    raw = call(5, call_key=("phone", 9, 0))
    assert event(raw) == {
        "activity_id": 5,
        "actor": {"session": {"uid": "7"}, "user": {"domain": "https://id.example", "uid": "ada"}},
        "api": {"operation": "move"},
        "category_uid": 6,
        "class_uid": 6005,
        "database": {"type_id": 1, "uid": LOG},
        "metadata": {
            "product": {"name": "commitstore", "vendor_name": "commitstore"},
            "sequence": 4,
            "uid": f"{LOG}/4",
            "version": "1.8.0",
        },
        "severity_id": 1,
        "src_endpoint": {"ip": "10.0.0.1", "port": 5000},
        "status": "Success",
        "status_id": 1,
        "time": NOON // 1000,
        "time_dt": "2027-01-15T08:00:00.000005Z",
        "type_uid": 600505,
        "unmapped": {
            "args": {"amount": 5, "source": 1, "target": 2},
            "call_key": ["phone", 9],
            "epoch": EPOCH,
            "identity": 4,
            "kind": "call",
            "offset": 5,
            "record_sha256": digest(raw),
            "schema_version": 1,
            "timestamp": NOON + 5,
            "v": 1,
            "value_sha256": digest(encode(5)),
            "writes": [
                {
                    "after_sha256": digest(encode([5, "bob"])),
                    "before_sha256": digest(encode([5, "ada"])),
                    "key": 5,
                    "op": "update",
                    "table": "accounts",
                }
            ],
        },
    }


EVERY_KIND = [
    *BEGINNING,
    call(5),
    call(6, writes=((1, 1, "k", None, NIL), (2, 3, b"\xff", NIL, None), (1, 9, 2**60, NIL, NIL)), value=NIL),
    record(7, Kind.FAILED_CALL, "move", [1, 2, 3], outcome="refused", value=encode(["no money \u2603", {}, "poor"])),
    record(8, Kind.DENIED, "authenticate", {"door": "http", "target": "/v1", "reason": "expired"}, outcome="denied"),
    record(9, Kind.ADMIN, "snapshot", [{"name": "s"}, ["iss", "op"]]),
    record(10, 11, "query", ["SELECT 1", [2**60]], value=encode(["accounts"])),
    record(11, 99, "unheard_of", b"\xc1"),
    record(12, Kind.CALL, "enrol", ["ada", "ada@example.com", 1234, "private"]),
    record(13, Kind.LIFECYCLE, "stop", []),
    call(14, source="[::1]:80", call_key=("\u2603", 1, 0)),
]


@pytest.mark.parametrize("line", events_of(EVERY_KIND), ids=[f"offset {each + 1}" for each in range(len(EVERY_KIND))])
def test_an_event_has_one_form(line: bytes) -> None:
    """Members sorted, no spaces, nothing escaped that need not be, on one line."""
    said = json.loads(line)
    assert json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == line
    assert b"\n" not in line


def test_a_stranger_is_not_the_store() -> None:
    """Whoever is turned away unknown, from an address, has no name; a summary of many is the store's own word."""
    said = {"door": "http", "target": "/v1", "reason": "a bearer token is needed"}
    turned_away = event(record(5, Kind.DENIED, "authenticate", said, source="10.0.0.9:5", outcome="denied"))
    assert turned_away["actor"] == {"user": {"domain": "", "uid": ""}}
    summary = event(record(5, Kind.DENIED, "denials", {"count": 9}, outcome="denied"))
    assert summary["actor"] == {"user": {"domain": "", "uid": "store"}}


def test_what_was_not_committed_says_why() -> None:
    """The code of the error, its message, and the reducer's own reason."""
    raw = record(5, Kind.FAILED_CALL, "move", [1, 2, 3], outcome="refused", value=encode(["no money", {}, "poor"]))
    said = event(raw)
    assert (said["status"], said["status_id"], said["status_code"]) == ("Failure", 2, "refused")
    assert said["status_detail"] == "no money"
    assert said["unmapped"]["reason"] == "poor"
    assert said["unmapped"]["kind"] == "failed_call"


@pytest.mark.parametrize(
    ("raw", "kind", "type_uid", "args"),
    [
        (record(5, Kind.LIFECYCLE, "stop", []), "lifecycle", 600204, []),
        (record(5, Kind.ADMIN, "heartbeat", []), "admin", 600299, []),
        (record(5, Kind.ADMIN, "seal", ["iss", "op"]), "admin", 300403, ["iss", "op"]),
        (record(5, Kind.DENIED, "authenticate", {"reason": "x"}), "denied", 300201, {"reason": "x"}),
        (record(5, Kind.DENIED, "denials", {"count": 9}), "denied", 600599, {"count": 9}),
        (
            record(5, 11, "subscribe", ["SELECT 1", ["a"]], value=encode(["accounts"])),
            "read",
            600501,
            {"params": [hashed_argument(SECRETS, "a")], "sql": "SELECT :hidden", "tables": ["accounts"]},
        ),
        (
            records.epoch(5, reason="restore"),
            "epoch",
            300401,
            {"epoch": EPOCH, "first_offset": 5, "parent": "", "reason": "restore"},
        ),
        (
            records.identity(5, "bob"),
            "identity",
            300201,
            {"issuer": "https://id.example", "scopes": ["call"], "subject": "bob"},
        ),
        (record(5, 99, "unheard_of", [1]), "other", 600599, [1]),
    ],
)
def test_every_kind_has_its_class(raw: bytes, kind: str, type_uid: int, args: Any) -> None:
    """And its arguments as they mean something."""
    said = event(raw)
    assert (said["unmapped"]["kind"], said["type_uid"]) == (kind, type_uid)
    assert said["class_uid"] * 100 + said["activity_id"] == type_uid
    assert said["class_uid"] // 1000 == said["category_uid"]
    assert said["unmapped"]["args"] == args


REQUIRED = {
    6005: {"actor", "src_endpoint", "database"},
    6002: {"app"},
    3004: {"entity"},
    3002: {"user", "service"},
}
"""What OCSF 1.8.0 requires of each class, one of each "at least one" among them."""


@pytest.mark.parametrize("line", events_of(EVERY_KIND), ids=[f"offset {each + 1}" for each in range(len(EVERY_KIND))])
def test_an_event_has_what_ocsf_requires_of_its_class(line: bytes) -> None:
    """Of every class, and of this one; an activity that has no number has a name."""
    said = json.loads(line)
    required = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
    assert required | REQUIRED[said["class_uid"]] <= set(said)
    assert {"product", "version"} <= set(said["metadata"])
    assert ("activity_name" in said) == (said["activity_id"] == 99)
    assert said.get("src_endpoint") != {}


def test_who_logs_on_is_the_user_and_what_changes_is_the_store() -> None:
    """The store is its log's id wherever a class asks for a thing; of its own acts it is the endpoint."""
    (identity,) = [json.loads(each) for each in events_of([records.identity(1)])]
    assert identity["user"] == identity["actor"]["user"] == {"domain": "https://id.example", "uid": "ada"}
    assert identity["service"] == {"name": "commitstore", "uid": LOG}
    assert event(record(5, Kind.ADMIN, "seal", ["iss", "op"]))["entity"] == {"type": "database", "uid": LOG}
    assert event(record(5, Kind.SCHEDULE, "move", [1, 2, 3]))["src_endpoint"] == {"name": "commitstore"}
    assert event(record(5, Kind.ADMIN, "heartbeat", []))["activity_name"] == "heartbeat"


@pytest.mark.parametrize(
    ("raw", "actor"),
    [
        (record(5, Kind.ADMIN, "seal", ["iss", "op"]), ("iss", "op")),
        (record(5, Kind.ADMIN, "snapshot", [{"name": "s"}, ["iss", "op"]]), ("iss", "op")),
        (record(5, Kind.ADMIN, "heartbeat", []), ("", "store")),
        (record(5, Kind.ADMIN, "snapshot", [{"name": "s"}, []]), ("", "store")),
        (records.identity(5, "bob"), ("https://id.example", "bob")),
        (call(5, identity=99), ("", "")),
        (call(5, identity=0), ("", "store")),
    ],
)
def test_the_actor_is_whoever_asked(raw: bytes, actor: tuple[str, str]) -> None:
    """A caller by identity, an operator by what his act says, else the store itself; empty where nobody knows."""
    user = event(raw)["actor"]["user"]
    assert (user["domain"], user["uid"]) == actor


def test_another_caller_has_another_event() -> None:
    """Texts are kept by all that is in them."""
    raws = [*BEGINNING, records.identity(5, "bob")]
    raws += [call(6), call(7, identity=5), call(8, connection=8), call(9, source="10.0.0.2:1"), call(10)]
    *_, first, second, third, fourth, last = map(json.loads, events_of(raws))
    assert second["actor"]["user"]["uid"] == "bob"
    assert third["actor"]["session"]["uid"] == "8"
    assert fourth["src_endpoint"] == {"ip": "10.0.0.2", "port": 1}
    assert first["actor"] == last["actor"]


def test_a_later_schema_gives_other_names() -> None:
    """A table is called what it was called when the record was written; one nobody named has its number."""
    renamed = {"writes": ((2, 1, 1, None, NIL),)}
    assert event(call(5, **renamed))["unmapped"]["writes"][0]["table"] == "#2"


def test_arguments_of_a_reducer_that_nobody_declared_are_not_shown() -> None:
    """Nor where they are not as many as declared: their hash and size stand for them."""
    for raw in (
        record(5, Kind.CALL, "unknown", [1, "secret"]),
        record(5, Kind.CALL, "move", [1, "secret"]),
        record(5, Kind.CALL, "move", b"\xc1"),
    ):
        packed = decode_transaction(raw).args
        assert event(raw)["unmapped"]["args"] == {"sha256": digest(packed), "size": len(packed)}


def test_what_is_large_is_given_as_its_hash() -> None:
    """Arguments, keys and messages have limits, and of many writes the rest is counted: a line stays bounded."""
    long = "x" * ARGS_SIZE_MAX
    raw = record(5, Kind.CALL, "move", [1, 2, long])
    packed = decode_transaction(raw).args
    assert event(raw)["unmapped"]["args"] == {"sha256": digest(packed), "size": len(packed)}
    raw = call(5, writes=tuple((1, 1, f"{each}{'k' * KEY_SIZE_MAX}", None, NIL) for each in range(WRITES_MAX + 3)))
    inner = event(raw)["unmapped"]
    assert (len(inner["writes"]), inner["writes_more"]) == (WRITES_MAX, 3)
    key = msgspec.msgpack.encode("0" + "k" * KEY_SIZE_MAX)
    assert inner["writes"][0]["key"] == {"sha256": digest(key), "size": len(key)}
    assert len(events_of([raw])[0]) < RAW_SIZE_MAX
    raw = record(5, Kind.FAILED_CALL, "move", [1, 2, 3], outcome="refused", value=encode([long, {}, ""]))
    assert len(event(raw)["status_detail"]) == DETAIL_SIZE_MAX


def test_large_integers_and_bytes_have_the_forms_of_the_wire() -> None:
    """Decimal strings past 2^53-1, base64."""
    said = event(record(5, Kind.CALL, "move", [2**53, -(2**53) + 1, b"\xff"]))["unmapped"]["args"]
    assert said == {"source": "9007199254740992", "target": -(2**53) + 1, "amount": "/w=="}


def test_a_rule_hides_what_could_give_it_away() -> None:
    """No plain hash of record, value or rows, no key that is text, no message: each may hold the argument."""
    raw = record(
        5,
        Kind.CALL,
        "enrol",
        ["ada", "ada@example.com", 1234, "private"],
        writes=((1, 1, "ada@example.com", None, b"row"), (1, 3, 7, b"row", None)),
        value=encode("ada@example.com"),
    )
    line = events_of([*BEGINNING, raw])[-1]
    inner = json.loads(line)["unmapped"]
    assert inner["args"]["person"] == "ada"
    assert inner["args"]["note"] == {"redacted": True}
    assert set(inner["args"]["pin"]) == {"hmac_sha256"}
    assert set(inner["args"]["email"]) == {"sealed"}
    assert not {"record_sha256", "value_sha256"} & set(inner)
    assert {"record_hmac", "value_hmac"} <= set(inner)
    first, second = inner["writes"]
    assert set(first) == {"after_hmac", "before_hmac", "key", "op", "table"}
    assert set(first["key"]) == {"hmac_sha256", "size"}
    assert second["key"] == 7
    for secret in (b"ada@example.com", b"1234", b"private", digest(raw).encode(), digest(b"row").encode()):
        assert secret not in line
    refused = record(
        5, Kind.FAILED_CALL, "enrol", ["ada", "a@b", 1, "p"], outcome="refused", value=encode(["a@b", {}, "r"])
    )
    assert b"a@b" not in events_of([*BEGINNING, refused])[-1]


SENSITIVE = beginning(sensitive=("accounts",))


def test_a_sensitive_table_hides_its_keys_and_rows() -> None:
    """Whatever they are, by keyed hashes; equal keys are seen to be equal, and other tables' are shown as ever."""
    first, again = ((1, 2, 7, b"old", b"new"), (2, 1, 7, None, b"row")), ((1, 3, 7, b"new", None),)
    raw = call(5, writes=first)
    one, other = (json.loads(each)["unmapped"] for each in events_of([*SENSITIVE, raw, call(6, writes=again)])[-2:])
    hidden, shown = one["writes"]
    assert set(hidden) == {"after_hmac", "before_hmac", "key", "op", "table"}
    assert set(hidden["key"]) == {"hmac_sha256", "size"}
    assert hidden["key"] == other["writes"][0]["key"]
    assert (shown["key"], shown["after_sha256"]) == (7, digest(b"row"))
    assert {"record_hmac", "value_hmac"} <= set(one)
    assert not {"record_sha256", "value_sha256"} & set(one)
    assert one["args"] == {"amount": 5, "source": 1, "target": 2}
    assert digest(raw) not in json.dumps(one)


def test_a_call_that_writes_no_sensitive_table_hides_nothing() -> None:
    """Though there are some."""
    lines = [events_of([*each, call(5, writes=((2, 1, 7, None, b"row"),))])[-1] for each in (SENSITIVE, BEGINNING)]
    assert lines[0] == lines[1]


def test_any_table_may_be_sensitive_until_a_start_says_which_are() -> None:
    """Where a trail begins behind the log's first record: better nothing than what cannot be taken back."""
    events = Events(LOG, Context(tables={1: "accounts"}, sensitive=None), records.keys())
    found = []
    for number, raw in enumerate([call(5), start(6, RULES), call(7)]):
        found.append(json.loads(events.of(raw, decode_transaction(raw), sequence=number, epoch=EPOCH))["unmapped"])
    assert set(found[0]["writes"][0]["key"]) == {"hmac_sha256", "size"}
    assert found[2]["writes"][0]["key"] == 7


def test_a_reading_shows_what_was_asked_but_no_value() -> None:
    """Parameters are keyed hashes, as of arguments with that rule; literals are not shown; else all is hashed."""
    params = [7, "ada"]
    raw = record(5, 11, "query", ["SELECT * FROM accounts WHERE id = 7 OR owner = 'a''b'", params])
    args = event(raw)["unmapped"]["args"]
    assert args["sql"] == "SELECT * FROM accounts WHERE id = :hidden OR owner = :hidden"
    assert args["params"] == [hashed_argument(SECRETS, each) for each in params]
    assert "record_hmac" in event(raw)["unmapped"]
    args = event(record(5, 11, "query", ["SELECT 'open", []]))["unmapped"]["args"]
    assert args["sql"] == hashed_argument(SECRETS, "SELECT 'open")
    assert set(event(record(5, 11, "query", b"\xc1"))["unmapped"]["args"]) == {"hmac_sha256", "size"}


def test_the_same_record_has_the_same_event() -> None:
    """Also the sealed arguments: a trail that is written again is the same."""
    secrets = records.keys()
    assert events_of(EVERY_KIND, secrets) == events_of(EVERY_KIND, secrets)


packed = st.binary(max_size=40) | st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(0, 9), inner, max_size=3),
    max_leaves=8,
).map(msgspec.msgpack.encode)


@given(
    st.sampled_from([*map(int, Kind), 11, 0, 99, -1]),
    st.sampled_from(["move", "enrol", "start", "query", "identity", "", "\u2603"]),
    packed,
    packed,
    st.sampled_from(["", "refused", '"']),
    st.text(max_size=20),
    st.integers(0, 2**62),
)
def test_every_record_has_an_event(
    kind: int, reducer: str, args: bytes, value: bytes, outcome: str, source: str, timestamp: int
) -> None:
    """Whatever is in it, now or in versions to come; in its one form, or a float's shortest."""
    raw = record(5, kind, reducer, args, value=value, outcome=outcome, source=source, timestamp=timestamp)
    events = Events(LOG, Context(declared={"move": (("a", ""), ("b", "hash"))}), records.keys())
    line = events.of(raw, decode_transaction(raw), sequence=0, epoch=EPOCH)
    assert b"\n" not in line
    said = json.loads(line)
    assert said["unmapped"]["timestamp"] == timestamp
    assert list(said) == sorted(said)
    assert list(said["unmapped"]) == sorted(said["unmapped"])
