"""What type checkers know of queries and views: read by mypy in test_expression.py, never run.

An ignored error that does not come is an error itself; pyright comes to the same types.
"""

from typing import Any, assert_type

from reducers.accounts import Account
from store.client import BlockingClient, BlockingView, Change, Client, Query, Rows, View
from store.expression import Column, Selection, col, count

mine = Account.where((Account.owner == "ada") & (Account.balance > 3), col(Account.id).in_([1]) | (Account.id == 2))
assert_type(mine.order_by(Account.id, col(Account.balance).descending()).limit(3), Selection[Account])
assert_type(mine.select(Account.id), Selection[Any])
assert_type(mine.group_by(Account.owner, many=count(), total=col(Account.balance).sum()), Selection[Any])
mine.group_by(Account.owner, many=Account.balance)  # type: ignore[arg-type]  # A column is no aggregate.
assert_type(col(Account.owner), Column[str])
Account.where(Account.colour == 1)  # type: ignore[attr-defined]  # There is no such column.
Account.where(Account.balance < "x")  # type: ignore[operator]  # An int and a str have no order.
col(Account.balance).in_(["x"])  # type: ignore[list-item]  # Nor is one among the others.


async def ask(db: Client, blocking: BlockingClient) -> None:
    """Rows and changes have the type of their table."""
    assert_type(await db.query(mine), Rows[Account])
    assert_type(await db.query("SELECT", 1, row_type=Account), Rows[Account])
    assert_type(db.query("SELECT", 1), Query[Any])
    assert_type(db.query(mine.select(Account.id), row_type=Account), Query[Account])
    async with db.query(mine) as view:
        assert_type(view, View[Account])
        async for change in view:
            assert_type(change, Change[Account])
        view.on_update(lambda before, after: before.balance < after.balance)
        view.on_insert(lambda row: row.colour)  # type: ignore[attr-defined]  # There is no such column.
        assert_type(view.index(Account.owner)["ada"], tuple[Account, ...])
    assert_type(await db.subscribe(mine), View[Account])
    assert_type(blocking.query(mine), Rows[Account])
    assert_type(blocking.subscribe(mine), BlockingView[Account])
