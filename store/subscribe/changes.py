"""What transactions change in queries, encoded once for each subprotocol however many are told.

Laws: a change is of one query and one transaction. Its bytes are made at the first asking and shared from then on.
"""

from typing import Final

from store.ids import Offset, QueryId, Timestamp
from store.subscribe.encoding import Encoding, WireKey
from store.transaction import Transaction

Told = tuple[list[bytes], list[WireKey]]
"""Rows that are in what followers hold now, and keys of rows that left it."""


class Change:
    """What one transaction changed in one query: rows in it now, keys of rows that left it."""

    __slots__ = ("_encoded", "_query", "keys", "rows")

    def __init__(self, query: QueryId, rows: list[bytes], keys: list[WireKey]) -> None:
        self._query: Final = query
        self.rows: Final = rows
        self.keys: Final = keys
        self._encoded: Final[dict[Encoding, bytes]] = {}

    def part(self, encoding: Encoding) -> bytes:
        """The change as a Part, encoded at the first asking."""
        part = self._encoded.get(encoding)
        if part is None:
            part = self._encoded[encoding] = encoding.part(self._query, self.rows, self.keys)
        return part


class Past:
    """A change of a transaction that is past: as a subscriber who missed it is told."""

    __slots__ = ("_change", "_encoded", "_timestamp", "offset")

    def __init__(self, transaction: Transaction, change: Change) -> None:
        self.offset: Final[Offset] = transaction.offset
        self._timestamp: Final[Timestamp] = transaction.timestamp
        self._change: Final = change
        self._encoded: Final[dict[Encoding, bytes]] = {}

    def missed(self, encoding: Encoding) -> bytes:
        """The change as a Missed, encoded at the first asking."""
        missed = self._encoded.get(encoding)
        if missed is None:
            change = self._change
            missed = encoding.missed(self.offset, self._timestamp, change.rows, change.keys)
            self._encoded[encoding] = missed
        return missed
