"""What happened while somebody was away, as one: each row as it was before, and as it is now.

Laws: rows that came and went meanwhile, or are what they were, are not in it. It is bounded: who was away for more than
it holds is better told all rows anew.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from store.ids import Key, Offset, TableId, Timestamp
from store.transaction import Op, Transaction, Write

ABSENCE_ROWS_MAX: Final = 2_048
"""Rows that may have changed: to find out what that changed in a query takes about 10 ms."""


class Absence:
    """The writes to some tables after an offset, up to the last transaction that was taken in."""

    def __init__(self, tables: AbstractSet[TableId], after: Offset) -> None:
        self.offset: Offset = after
        """The last one."""
        self.timestamp: Timestamp = Timestamp(0)
        """Of that one."""
        self._tables: Final = tables
        self._rows: Final[dict[tuple[TableId, Key], tuple[bytes | None, bytes | None]]] = {}

    def take(self, transactions: Sequence[Transaction]) -> None:
        """Go on through these; those that were taken in before are passed over."""
        rows = self._rows
        for transaction in transactions:
            if transaction.offset <= self.offset:
                continue
            assert transaction.offset == self.offset + 1
            self.offset, self.timestamp = transaction.offset, transaction.timestamp
            for table, _, key, before, after in transaction.writes:
                if table in self._tables:
                    known = rows.get((table, key))
                    rows[table, key] = (before if known is None else known[0]), after

    @property
    def too_long(self) -> bool:
        """Whether it is more than may be looked at."""
        return len(self._rows) > ABSENCE_ROWS_MAX

    @property
    def why_too_long(self) -> str:
        """In a clause."""
        return f"more than {ABSENCE_ROWS_MAX} rows of the query's tables were written meanwhile"

    def writes(self) -> list[Write]:
        """One for each row that differs."""
        return [
            (table, _op(before, after), key, before, after)
            for (table, key), (before, after) in self._rows.items()
            if before != after
        ]


def _op(before: bytes | None, after: bytes | None) -> int:
    return int(Op.INSERT if before is None else Op.DELETE if after is None else Op.UPDATE)
