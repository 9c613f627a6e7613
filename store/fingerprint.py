"""The fingerprint of rows: Σ SHA-256(table id, row bytes) modulo 2^256, in no order, so parts of it can be added.

Laws: this is its one definition; tables, snapshots and restores that are compared by it all come here.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from store.ids import TableId

FINGERPRINT_MODULUS: Final = 1 << 256


def sum_rows(table: TableId, rows: Iterable[bytes]) -> int:
    """What these rows of a table add to the sum."""
    sha256, number = hashlib.sha256, int.from_bytes
    prefix = table.to_bytes(4, "big")
    total = 0
    for row in rows:
        total += number(sha256(prefix + row).digest(), "big")
    return total


def show_sum(total: int) -> str:
    """A sum, or a part of one, as 64 hexadecimal digits."""
    return f"{total % FINGERPRINT_MODULUS:064x}"
