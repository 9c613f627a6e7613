"""The integers and names that have a meaning, each with a type of its own.

An offset is a transaction's number; a position is a byte place in a file. Neither is ever the other.
"""

from typing import NewType

Offset = NewType("Offset", int)
"""A transaction's number in the commitlog: from 1, no gaps. 0 means before the first."""

Position = NewType("Position", int)
"""A byte place in one file, from 0."""

Timestamp = NewType("Timestamp", int)
"""Microseconds since 1970-01-01T00:00:00Z, strictly rising along the log."""

TableId = NewType("TableId", int)
"""A table's number in the logged schema: from 1, never reused."""

ColumnId = NewType("ColumnId", int)
"""A column's number within its table: from 1, never reused."""

SchemaVersion = NewType("SchemaVersion", int)
"""Counts the schema records of a log, from 1. 0 means that none was logged yet."""

ConnectionId = NewType("ConnectionId", int)
"""One connection's number within a server's life, from 1. 0 is the store itself."""

IdentityReference = NewType("IdentityReference", int)
"""The offset of the identity record that holds a caller's claims. 0 is the store itself."""

Epoch = NewType("Epoch", bytes)
"""128 random bits that name one unforked history. Every restore, clone and discovered copy opens a new one."""

ClientId = NewType("ClientId", str)
"""A client's own name for itself, the same across its reconnects: the scope of its call sequence."""

Sequence = NewType("Sequence", int)
"""A client's number for one of its calls: from 1, rising; the same on every retry."""

QueryId = NewType("QueryId", str)
"""The server's stable name for one query with its parameters: the same query, the same id, also after a restart."""

Key = int | str | bytes
"""What a primary key is in RAM and in the log: an int, a str or bytes; other types by their wire form."""

Sender = tuple[str, str]
"""Who calls: (issuer, subject). Idempotency keys are scoped to it."""

EPOCH_SIZE = 16
INT_MIN = -(2**63)
INT_MAX = 2**63 - 1
