"""Queries asked once: over both subprotocols, by whom, within the sessions' bounds."""

from typing import Any

import msgspec
import pytest

from store.engine.arguments import ARGS_SIZE_MAX
from store.errors import Denied, Overloaded
from store.ids import Offset
from store.subscribe.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from store.subscribe.options import Options
from store.subscribe.reading import read
from store.transaction import Kind, Transaction
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


# What reads a table that is declared sensitive.

LOANS = "SELECT * FROM loans WHERE reader = $1"


def readings(shelf: Shelf) -> list[Transaction]:
    """Every reading in the log."""
    return [each for each in shelf.engine.feed.tail(Offset(0)) or () if each.kind == Kind.READ]


def lent() -> Shelf:
    """A shelf from which one book is lent."""
    shelf = filled()
    shelf.client().asks(["call", 1, "lend", [1, "eve"]])
    return shelf


@pytest.mark.parametrize("act", ["query", "subscribe"])
def test_a_reading_of_a_sensitive_table_is_a_record_before_its_rows_are_told(act: str) -> None:
    """With who asked, from where, the whole question, and which tables; its answer waits until that is durable."""
    shelf = lent()
    client = shelf.client()
    client.says([act, 5, LOANS, ["eve"]])
    (record,) = readings(shelf)
    assert record.offset > shelf.engine.log.durable_offset
    assert (record.reducer, record.connection, record.outcome) == (act, client.session._caller.connection, "")
    assert shelf.engine.state.identities[record.identity] == client.session._caller.identity
    assert msgspec.msgpack.decode(record.args) == [LOANS, ["eve"]]
    assert msgspec.msgpack.decode(record.value) == ["loans"]
    assert client.hears()
    assert record.offset <= shelf.engine.log.durable_offset


def test_other_tables_are_read_without_a_record() -> None:
    """A query takes no offset where nothing it reads is sensitive."""
    shelf = lent()
    client = shelf.client()
    client.asks(["query", 1, "SELECT * FROM books", []], ["subscribe", 2, "SELECT * FROM books", []])
    assert readings(shelf) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT b.id FROM books b JOIN loans l ON l.book = b.id",
        "SELECT * FROM books WHERE id IN (SELECT book FROM loans)",
        "SELECT author FROM books WHERE copies > 0 AND (id = 1 OR id IN (SELECT l.book FROM loans AS l)) ORDER BY 1",
    ],
)
def test_a_sensitive_table_is_found_wherever_a_query_reads_it(sql: str) -> None:
    """In joins and in subqueries, under whatever name."""
    shelf = lent()
    shelf.client().asks(["query", 1, sql, []])
    assert [msgspec.msgpack.decode(each.value) for each in readings(shelf)] == [["loans"]]


def test_asking_for_the_plan_reads_nothing() -> None:
    """EXPLAIN tells no row, so it leaves no record."""
    shelf = lent()
    shelf.client().asks(["query", 1, "EXPLAIN SELECT * FROM loans", []])
    assert readings(shelf) == []


def test_a_sensitive_table_is_not_read_where_nothing_may_be_written() -> None:
    """While calls are refused, so is what would have to be recorded; other reads go on."""
    shelf = lent()
    shelf.engine.admission.close("disk", "no space")
    ((_, _, _, _, code, *_),) = shelf.client().asks(["query", 1, "SELECT * FROM loans", []])
    assert code == "overloaded"
    assert shelf.client().asks(["query", 1, "SELECT id FROM books", []])[0][0] == "rows"
    assert readings(shelf) == []


def test_a_question_too_large_to_be_recorded_is_refused() -> None:
    """What is read is never read without its record."""
    shelf = lent()
    large = "x" * (ARGS_SIZE_MAX - 10)
    ((_, _, _, _, code, *_),) = shelf.client().asks(["query", 1, LOANS, [large]])
    assert code == "malformed_query"
    assert readings(shelf) == []


def test_who_may_not_read_is_in_the_log_as_denied() -> None:
    """A private table needs the scope operate; the denial says who asked for what."""
    shelf = lent()
    client = shelf.client(scopes=("read",))
    client.asks(
        ["query", 1, "SELECT * FROM loans", []],
        ["subscribe", 2, "SELECT * FROM loans", []],
        ["call", 3, "lend", [2, "x"]],
    )
    found = [each for each in shelf.engine.feed.tail(Offset(0)) or () if each.kind == Kind.DENIED]
    assert [(each.reducer, each.connection) for each in found] == [
        (act, client.session._caller.connection) for act in ("query", "subscribe", "call")
    ]
    assert readings(shelf) == []
