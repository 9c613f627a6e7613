"""What one call changed, numbered: the content of a record.

Laws: every kind takes an offset, so that order, idempotency and audit need one source. Fields are laid down for
good: new ones go last, with defaults, and none is ever re-typed or reused (log/FORMAT.md §4).
"""

from enum import IntEnum
from typing import Any

import msgspec

from store.ids import (
    ClientId,
    ConnectionId,
    IdentityReference,
    Offset,
    SchemaVersion,
    TableId,
    Timestamp,
)


class Kind(IntEnum):
    """Why a transaction is in the log. Numbers are part of the format and never reused.

    SCHEDULE and STREAM are reserved: nothing writes them yet.
    """

    CALL = 1
    """A reducer ran and was committed, whether it wrote rows or not."""
    FAILED_CALL = 2
    """A reducer refused, raised or broke a constraint: no row changed; `outcome` and `value` say why."""
    DENIED = 3
    """A caller was denied; under flood one record counts many."""
    SCHEDULE = 4
    """A scheduled call ran."""
    LIFECYCLE = 5
    """The store started or stopped; a start holds the hash of the code it runs."""
    SCHEMA = 6
    """The tables from here on; enough by itself to decode every row up to the next one."""
    EPOCH = 7
    """A new epoch opens: its name, its parent, its first offset."""
    IDENTITY = 8
    """A caller's claims, which later records refer to by this record's offset."""
    ADMIN = 9
    """An operator's act."""
    STREAM = 10
    """An append to a durable stream."""
    READ = 11
    """Somebody asked for rows of a table that is declared sensitive, or began to follow them."""


class Op(IntEnum):
    """What a write does to its row."""

    INSERT = 1
    UPDATE = 2
    DELETE = 3


Write = tuple[TableId, int, Any, bytes | None, bytes | None]
"""(table, Op, Key, row before, row after): rows as MessagePack; before is None on insert, after on delete."""

COMMITTED = ""
"""The outcome of a call that was committed; every other outcome is the code of a CallError."""

CallKey = tuple[ClientId, int, int]
"""An idempotency key: (client id, Sequence, acknowledged up to). An HTTP key is (the key, 0, 0)."""


class Transaction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record of the commitlog, decoded. Fields needed by replay come first."""

    kind: int
    offset: Offset
    timestamp: Timestamp
    writes: tuple[Write, ...]
    """The net write set, one write per (table, key), in the order in which the keys were first touched."""
    call_key: CallKey | None
    identity: IdentityReference
    connection: ConnectionId
    source: str
    """The caller's network address as host:port, or "" for the store itself."""
    schema_version: SchemaVersion
    reducer: str
    args: bytes
    """Canonical MessagePack: for a call the array of all parameters in their declared order."""
    outcome: str
    value: bytes
    """MessagePack: the return value, or for a failed call [message, details, reason]."""
    continued: bool = False
    """The transaction goes on in the next record. Always False in format version 1."""
