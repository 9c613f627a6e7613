"""An absence: each row as it was before, and as it is now."""

import pytest

from store.ids import Offset, TableId
from store.subscribe import absence
from store.subscribe.absence import Absence
from store.transaction import Op, Transaction
from tests.subscribe.scenes import Shelf


def history() -> tuple[Shelf, list[Transaction]]:
    """Books that come, change, and go; the transactions from the first call on."""
    shelf = Shelf()
    before = shelf.engine.write_path.last_offset
    shelf.client().asks(
        ["call", 1, "put", [1, "ann"]], ["call", 2, "put", [2, "ann"]], ["call", 3, "put", [1, "bob"]],
        ["call", 4, "drop", [2]], ["call", 5, "put", [3, "ann"]], ["call", 6, "lend", [1, "cid"]],
    )  # fmt: skip
    return shelf, [each for each in shelf.engine.feed.tail(before) or () if each.writes]


def test_rows_are_as_before_and_as_now() -> None:
    """One write a row, of the tables that count; what came and went meanwhile is not there."""
    shelf, transactions = history()
    books = shelf.engine.database.table("books")
    assert books is not None
    made = Absence({books.schema.id}, Offset(transactions[0].offset - 1))
    made.take(transactions[:3])
    made.take(transactions[1:])
    assert [(each[1], each[2], each[3], each[4]) for each in made.writes()] == [
        (Op.INSERT, key, None, books.rows[key]) for key in (1, 3)
    ]
    assert (made.offset, made.timestamp) == (transactions[-1].offset, transactions[-1].timestamp)
    later = Absence({books.schema.id}, transactions[0].offset)
    later.take(transactions)
    assert [(each[1], each[2]) for each in later.writes()] == [(Op.UPDATE, 1), (Op.INSERT, 3)]


def test_an_absence_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past ABSENCE_ROWS_MAX rows it is too long; other tables do not count."""
    monkeypatch.setattr(absence, "ABSENCE_ROWS_MAX", 2)
    shelf, transactions = history()
    books = shelf.engine.database.table("books")
    assert books is not None
    for tables, too_long in (({books.schema.id}, True), ({TableId(0)}, False)):
        made = Absence(tables, Offset(transactions[0].offset - 1))
        made.take(transactions)
        assert made.too_long is too_long
