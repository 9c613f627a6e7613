"""The rules of asking a query: as text or said in Python, read once or followed."""

import asyncio
from typing import Any

import pytest

from reducers.accounts import Account
from store.client.query import Query, Question, question
from store.errors import MalformedQuery

OPEN = Account.where(Account.owner == "ada")


def test_text_and_selection_ask_the_same() -> None:
    """A selection brings its parameters and the type of its rows; a type that is given goes first."""
    assert question("SELECT 1", (1, 2), Account) == Question("SELECT 1", (1, 2), Account)
    assert question(OPEN, (), None) == Question('SELECT * FROM "accounts" WHERE "owner" = $1', ("ada",), Account)
    assert question(OPEN.select(Account.id), (), None).row_type is None
    assert question(OPEN.select(Account.id), (), Account).row_type is Account


@pytest.mark.parametrize(("query", "params"), [(OPEN, (1,)), (3, ()), (Account, ()), (Account.owner == "a", ())])
def test_what_is_no_query_is_refused(query: Any, params: tuple[Any, ...]) -> None:
    """Anything else than text or a selection, and parameters beside a selection."""
    with pytest.raises(MalformedQuery, match="selection"):
        question(query, params, None)


@pytest.mark.parametrize("row_type", [int, "Account", Account(id=1, owner="ada", balance=0)])
def test_what_is_no_row_type_is_refused(row_type: Any) -> None:
    """Rows are read as a class of rows, and anything else is named before the query is asked."""
    with pytest.raises(TypeError, match="row_type: expected a Table class"):
        question("SELECT 1", (), row_type)


def test_awaited_it_is_read_and_entered_it_is_followed() -> None:
    """Nothing is asked before; leaving the block closes the view, whatever happened in it."""
    asked: list[str] = []

    class Followed:
        """What a client would give."""

        async def close(self) -> None:
            asked.append("closed")

    async def read(_asked: Question) -> Any:
        asked.append("read")
        return [1]

    async def follow(_asked: Question) -> Any:
        asked.append("followed")
        return Followed()

    async def work() -> None:
        query: Query[Any] = Query(question(OPEN, (), None), read, follow)
        assert asked == []
        assert await query == [1]
        with pytest.raises(ZeroDivisionError):
            async with query:
                raise ZeroDivisionError
        assert asked == ["read", "followed", "closed"]
        assert "accounts" in repr(query)

    asyncio.run(work())
