"""A query, asked of a client: awaited it is read once, entered it is followed.

rows = await db.query("SELECT * FROM tasks WHERE owner = $1", "ada")
async with db.query(Task.where(Task.owner == "ada")) as tasks: ...
"""

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from store.client.rows import Rows
from store.client.view import View
from store.errors import MalformedQuery
from store.expression import Selection

Row = TypeVar("Row", bound=msgspec.Struct)


class Question(NamedTuple):
    """What a query asks: its text, its parameters, and what its rows shall be read as."""

    sql: str
    params: tuple[Any, ...]
    row_type: type[Any] | None


def question(query: str | Selection[Any], params: tuple[Any, ...], row_type: type[Any] | None) -> Question:
    """Text with its parameters, or what was said in Python. MalformedQuery: it is neither. TypeError: no row type."""
    if row_type is not None and not (isinstance(row_type, type) and issubclass(row_type, msgspec.Struct)):
        raise TypeError(f"row_type: expected a Table class, found {row_type!r}")
    if isinstance(query, str):
        return Question(query, params, row_type)
    if not isinstance(query, Selection):
        raise MalformedQuery(f"expected SQL text or a selection such as Task.where(…), found {type(query).__name__}")
    if params:
        raise MalformedQuery(f"a selection has its parameters in it, found {len(params)} beside it")
    return Question(query.sql, query.params, row_type or query.row_type)


class Query(Generic[Row]):
    """A query that was not asked yet. Both ways of asking raise as Client.query says."""

    def __init__(
        self, asked: Question, read: Callable[[Question], Awaitable[Rows[Any]]], follow: Callable[[Question], Any]
    ) -> None:
        self._asked: Final = asked
        self._read: Final = read
        self._follow: Final = follow
        self._view: View[Row] | None = None

    def __await__(self) -> Generator[Any, None, Rows[Row]]:
        return self._read(self._asked).__await__()

    async def __aenter__(self) -> View[Row]:
        assert self._view is None, "a query is entered once at a time; ask for another"
        view: View[Row] = await self._follow(self._asked)
        self._view = view
        return view

    async def __aexit__(self, *_error: object) -> None:
        view, self._view = self._view, None
        assert view is not None
        await view.close()

    def __repr__(self) -> str:
        return f"<Query {self._asked.sql!r}>"
