"""Queries asked once: over both subprotocols, by whom, within the sessions' bounds."""

from typing import Any

import pytest

from store.errors import Denied, Overloaded
from store.subscribe.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from store.subscribe.options import Options
from store.subscribe.reading import read
from tests.subscribe.scenes import Shelf

JOINED = (
    "SELECT b.author, count(*) AS many, sum(b.copies) FROM books b LEFT JOIN authors a ON a.name = b.author"
    " GROUP BY b.author ORDER BY many DESC, 1 LIMIT $1"
)


def filled(options: Options | None = None) -> Shelf:
    """Three books of two authors."""
    shelf = Shelf(options)
    shelf.client().asks(
        ["call", 1, "put", [1, "ann", 2]], ["call", 2, "put", [2, "bob", 2**60]], ["call", 3, "put", [3, "ann", 5]]
    )
    return shelf


@pytest.mark.parametrize("subprotocol", [SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON])
def test_a_query_may_join_group_and_sort(subprotocol: str) -> None:
    """Its rows have no key, and say their columns."""
    shelf = filled()
    ((_, number, offset, table, rows),) = shelf.client(subprotocol).asks(["query", 7, JOINED, [2]])
    assert (number, offset) == (7, shelf.engine.write_path.last_offset)
    columns = [["author", "str", True], ["many", "int", True], ["sum", "decimal", True]]
    assert [table[0], table[1], [list(each) for each in table[2]]] == ["b", -1, columns]
    assert [list(each) for each in rows] == [["ann", 2, "7"], ["bob", 1, str(2**60)]]


def test_explain_answers_with_lines() -> None:
    """One text column."""
    ((_, _, _, _, rows),) = filled().client().asks(["query", 1, "EXPLAIN SELECT * FROM books WHERE author = 'ann'"])
    assert rows[0] == ["rows of books by the index author"]


@pytest.mark.parametrize(
    "options",
    [{"query_rows_examined_max": 2}, {"query_rows_returned_max": 2}],
)
def test_bounds_are_the_sessions(options: dict[str, Any]) -> None:
    """Past one the query fails, and the session goes on."""
    client = filled(Options(**options)).client()
    failure, *_ = client.asks(["query", 1, "SELECT * FROM books"])
    assert (failure[0], failure[1], failure[4], failure[6]["limit"]) == (
        "failure",
        "query",
        "overloaded",
        next(iter(options)),
    )
    assert client.asks(["query", 2, "SELECT * FROM books LIMIT 1"])[0][0] == "rows"


def test_reading_wants_its_scope() -> None:
    """A token that may only call is denied, whatever it asks."""
    shelf = filled()
    caller = shelf.client(scopes=("call",)).session._caller
    with pytest.raises(Denied):
        read(shelf.engine, caller, "SELECT * FROM books", (), Options())


def test_time_is_the_engines() -> None:
    """The clock is the world's."""
    shelf = filled()
    caller = shelf.client().session._caller
    with pytest.raises(Overloaded, match="over -1 ms"):
        read(shelf.engine, caller, "SELECT * FROM books ORDER BY copies", (), Options(query_time_max_ms=-1))
