"""Records of a log, as the engine writes them, in the words of the audit's tests."""

from typing import Any

from msgspec.structs import replace

from store.audit.recording.context import Context
from store.audit.recording.events import Events
from store.codec import decode_transaction, encode_transaction
from store.engine.identity import Identity, encode_identity
from store.engine.state import EpochRecord
from store.env.memory import SeededEntropy
from store.env.subjects import MemorySubjectKeys
from store.ids import Epoch, Offset, SchemaVersion, TableId
from store.schema import Schema, Table, column
from store.transaction import Kind, Transaction
from store.values import encode
from tests.audit.scenes import EPOCH, LOG, NOON

NIL = b"\xc0"
HERE = Epoch(bytes.fromhex(EPOCH))
RULES: dict[str, list[list[str]]] = {
    "move": [["source", ""], ["target", ""], ["amount", ""]],
    "enrol": [["person", ""], ["email", "subject:person"], ["pin", "hash"], ["note", "redact"]],
}


class Account(Table, name="accounts"):
    """Whose money it is."""

    id: int = column(primary_key=True)
    owner: str


def record(offset: int, kind: int, reducer: str, args: Any = (), **more: Any) -> bytes:
    """A record's bytes; args that are no bytes are packed."""
    said: dict[str, Any] = {
        "kind": int(kind),
        "offset": offset,
        "timestamp": NOON + offset,
        "writes": (),
        "call_key": None,
        "identity": 0,
        "connection": 0,
        "source": "",
        "schema_version": 1,
        "reducer": reducer,
        "args": args if isinstance(args, bytes) else encode(args),
        "outcome": "",
        "value": NIL,
        **more,
    }
    return encode_transaction(Transaction(**said))


def schema(offset: int) -> bytes:
    """The table accounts, as table 1."""
    table = replace(Account.__table__, id=TableId(1))
    return record(offset, Kind.SCHEMA, "schema", encode(Schema(SchemaVersion(1), (table,))))


def start(offset: int, rules: dict[str, list[list[str]]] | None = None, sensitive: tuple[str, ...] = ()) -> bytes:
    """A start with its declarations."""
    args = ["c0de"] if rules is None else ["c0de", rules, {"log.group_size_max": "1"}, list(sensitive)]
    return record(offset, Kind.LIFECYCLE, "start", args)


def identity(offset: int, subject: str = "ada") -> bytes:
    """A caller's claims."""
    return record(
        offset, Kind.IDENTITY, "identity", encode_identity(Identity("https://id.example", subject, ("call",), b"\x80"))
    )


def epoch(offset: int, *, reason: str = "new", of: Epoch = HERE) -> bytes:
    """An epoch that opens."""
    said = EpochRecord(epoch=of, parent=Epoch(b""), first_offset=Offset(offset), reason=reason)
    return record(offset, Kind.EPOCH, "epoch", encode(said))


def call(offset: int, **more: Any) -> bytes:
    """A call of ada's that moved money."""
    said: dict[str, Any] = {
        "identity": 4,
        "connection": 7,
        "source": "10.0.0.1:5000",
        "writes": ((1, 2, offset, encode([offset, "ada"]), encode([offset, "bob"])),),
        "value": encode(offset),
    }
    return record(offset, Kind.CALL, "move", [1, 2, offset], **{**said, **more})


def beginning(rules: dict[str, list[list[str]]] | None = None, sensitive: tuple[str, ...] = ()) -> list[bytes]:
    """The first four records of a log: epoch, schema, start, identity."""
    return [epoch(1), schema(2), start(3, RULES if rules is None else rules, sensitive), identity(4)]


def keys(seed: int = 1) -> MemorySubjectKeys:
    """Secrets of a test."""
    return MemorySubjectKeys(SeededEntropy(seed))


def events_of(records: list[bytes], secrets: MemorySubjectKeys | None = None) -> list[bytes]:
    """Their lines."""
    events = Events(LOG, Context(), secrets or keys())
    return [events.of(raw, decode_transaction(raw), sequence=number, epoch=EPOCH) for number, raw in enumerate(records)]
