"""The fingerprint of rows: what it is made of, and that its parts add up."""

import hashlib

from store.fingerprint import show_sum, sum_rows
from store.ids import TableId


def test_it_is_the_sum_of_salted_hashes() -> None:
    """Of four bytes of table id, big-endian, and the row."""
    expected = int.from_bytes(hashlib.sha256(b"\x00\x00\x00\x07row").digest(), "big")
    assert sum_rows(TableId(7), [b"row"]) == expected
    assert show_sum(expected) == f"{expected:064x}"


def test_parts_add_up_in_any_order() -> None:
    """What was added can be taken away again."""
    rows = [b"a", b"b", b"c"]
    whole = sum_rows(TableId(1), rows)
    assert whole == sum_rows(TableId(1), rows[2:]) + sum_rows(TableId(1), rows[:2])
    assert show_sum(whole - sum_rows(TableId(1), rows)) == "0" * 64
    assert show_sum(whole + 2**256) == show_sum(whole)
