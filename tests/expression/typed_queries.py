"""What type checkers know of queries and views: read by mypy in test_selection.py, never run.

An ignored error that does not come is an error itself.
"""

import math
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_type

from reducers.accounts import Account
from store.client import BlockingClient, BlockingView, Change, Client, Query, Rows, View
from store.expression import (
    Column,
    Condition,
    Selection,
    Term,
    case,
    cast,
    coalesce,
    col,
    constant,
    count,
    left,
    length,
    lower,
    sign,
)
from store.schema import Table, column
from store.values import Json


class Thing(Table):
    """A table with columns of other types."""

    id: int = column(primary_key=True)
    price: Decimal | None
    size: float
    name: str | None
    notes: Json
    at: datetime
    whole: bool


mine = Account.where((Account.owner == "ada") & (Account.balance > 3), col(Account.id).in_([1]) | (Account.id == 2))
assert_type(mine.order_by(Account.id, col(Account.balance).descending()).limit(3), Selection[Account])
assert_type(mine.select(Account.id), Selection[Any])
assert_type(mine.group_by(Account.owner, many=count(), total=col(Account.balance).sum()), Selection[Any])
mine.group_by(Account.owner, many=Account.balance)  # type: ignore[arg-type]  # A column is no aggregate.
assert_type(col(Account.owner), Column[str])
Account.where(Account.colour == 1)  # type: ignore[attr-defined]  # There is no such column.
Account.where(Account.balance < "x")  # type: ignore[operator]  # An int and a str have no order.
col(Account.balance).in_(["x"])  # type: ignore[list-item]  # Nor is one among the others.

id_, price, size, name, notes = (col(Thing.id), col(Thing.price), col(Thing.size), col(Thing.name), col(Thing.notes))
assert_type(price, Column[Decimal])  # NULL is no value.
assert_type(id_ * 2 - id_ % 3, Term[int])
assert_type(1 + id_ / 2, Term[int])
assert_type(id_ + size, Term[float])
assert_type(price * id_ + 1, Term[Decimal])
assert_type(round(price, 2), Term[Decimal])
assert_type(round(id_, -2), Term[Decimal])
assert_type(round(size), Term[float])
round(size, 2)  # type: ignore[arg-type]  # A float is not rounded to digits.
assert_type(math.ceil(id_), Term[float])
assert_type(sign(Thing.id), Term[float])
assert_type(sign(price), Term[Decimal])
id_ * 1.5  # type: ignore[operator]  # A parameter is of its column's type.
assert_type(abs(-math.floor(price)), Term[Decimal])
assert_type(name + "x" + name, Term[str])
assert_type("x" + name, Term[str])
name + 1  # type: ignore[operator]  # A text and a number are not put together unasked.
price + size  # type: ignore[operator]  # Nor are these added: one is cast.
assert_type(cast(Thing.size, Decimal) + price, Term[Decimal])
col(Thing.whole) + 1  # type: ignore[operator]  # A bool is no number.
assert_type(id_ + 1 > 3, Condition)
Thing.where(id_ + 1 > "x")  # type: ignore[operator]  # A number and a text have no order.
assert_type((id_ > 3) & ~col(Thing.whole) | (name == "x"), Condition)
id_ & (id_ > 3)  # type: ignore[operator]  # A number is no condition.
assert_type(notes["at"][0], Term[Json])
assert_type(notes["at"].text("city"), Term[str])
assert_type(notes.path_text("at", 0), Term[str])
assert_type(notes.contains({"at": ["x"]}), Condition)
name["x"]  # type: ignore[misc]  # A text has no steps.
assert_type(lower(Thing.name), Term[str])
assert_type(length(left(name, 3)), Term[int])
lower(Thing.id)  # type: ignore[arg-type]  # A number has no letters.
assert_type(coalesce(Thing.name, "none"), Term[str])
assert_type(coalesce(Thing.price, price * 2), Term[Decimal])
coalesce(name, id_)  # type: ignore[arg-type]  # These have no type in common.
assert_type(case((id_ > 3, "many"), (Thing.whole, name), default=None), Term[str])
assert_type(cast(Thing.at, str), Term[str])
assert_type(constant(Decimal(1)), Term[Decimal])
assert_type(price.max(), Term[Decimal])
assert_type(Thing.where(lower(Thing.name) == "x", Thing.id + 1 > 3).order_by(-id_), Selection[Thing])
assert_type(Thing.select(Thing.id, double=Thing.id * 2), Selection[Any])


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
