"""Subscriptions: what each transaction means for whom, at which offset."""

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.query import budget
from store.subscribe.followed import Followed
from store.subscribe.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from store.subscribe.options import Options
from tests.subscribe.scenes import ALL_BOOKS, BY_AUTHOR, SUBPROTOCOLS, Shelf, View

each_subprotocol = pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)


def parts(messages: list[Any]) -> list[tuple[int, list[Any]]]:
    """(offset, parts) of the deltas among the messages."""
    return [(each[1], each[3]) for each in messages if each[0] == "delta"]


@each_subprotocol
def test_first_rows_at_n_and_deltas_from_n_plus_1(subprotocol: str) -> None:
    """A subscription between two calls of one frame has the first in its rows and the second as its first delta."""
    client = Shelf().client(subprotocol)
    first, subscribed, delta, second = client.asks(
        ["call", 1, "put", [1, "a"]], ["subscribe", 1, ALL_BOOKS], ["call", 2, "put", [2, "b"]]
    )
    assert subscribed[3] == first[2]
    assert [row[0] for row in subscribed[6]] == [1]
    assert (delta[1], second[2]) == (first[2] + 1, first[2] + 1)
    assert [row[0] for row in delta[3][0][1]] == [2]


@each_subprotocol
def test_rows_come_whole_and_keys_leave(subprotocol: str) -> None:
    """A row that is new or changed comes whole; of one that left, only its key comes."""
    client = Shelf().client(subprotocol)
    query = client.asks(["subscribe", 1, BY_AUTHOR, ["ann"]])[0][2]
    client.says(["call", 1, "put", [1, "ann"]])
    client.says(["call", 2, "put", [1, "ann", 2]])
    client.says(["call", 3, "put", [1, "bob", 2]])
    client.says(["call", 4, "put", [1, "ann", 3]])
    client.says(["call", 5, "drop", [1]])
    row = [1, "ann", 1, None, "" if subprotocol == SUBPROTOCOL_JSON else b"", None, "{}"]
    seen = [part for _, part in parts(client.hears())]
    assert seen == [
        [[query, [row], []]],
        [[query, [[1, "ann", 2, *row[3:]]], []]],
        [[query, [], [1]]],
        [[query, [[1, "ann", 3, *row[3:]]], []]],
        [[query, [], [1]]],
    ]


def test_what_is_not_in_a_query_is_not_told() -> None:
    """A change outside a query, a call without writes and a refused one make no delta."""
    client = Shelf().client()
    client.asks(["subscribe", 1, BY_AUTHOR, ["ann"]], ["subscribe", 2, "SELECT * FROM books WHERE id = 7"])
    heard = client.asks(
        ["call", 1, "put", [1, "bob"]], ["call", 2, "nothing"], ["call", 3, "lend", [99, "x"]], ["call", 4, "drop", [1]]
    )
    assert parts(heard) == []


def test_one_delta_holds_all_queries_of_a_transaction() -> None:
    """A transaction that changes several of a session's queries comes as one delta, a part for each."""
    client = Shelf().client()
    client.asks(*(["call", 1, "put", [book, "ann"]] for book in range(3)))
    heard = client.asks(
        ["subscribe", 1, ALL_BOOKS],
        ["subscribe", 2, BY_AUTHOR, ["ann"]],
        ["subscribe", 3, BY_AUTHOR, ["bob"]],
        ["subscribe", 4, "SELECT * FROM authors"],
        ["subscribe", 5, "SELECT * FROM books WHERE id = 1"],
    )
    names = {each[2]: each[1] for each in heard}
    ((_, delta),) = parts(client.asks(["call", 1, "count", ["ann"]]))
    assert {names[query]: len(rows) for query, rows, _ in delta} == {1: 3, 2: 3, 4: 1, 5: 1}


def test_moving_between_two_queries_of_one_session_is_one_delta() -> None:
    """A row that leaves one query for another is in one delta: a key here, a row there."""
    client = Shelf().client()
    ann, bob = (
        each[2] for each in client.asks(["subscribe", 1, BY_AUTHOR, ["ann"]], ["subscribe", 2, BY_AUTHOR, ["bob"]])
    )
    client.asks(["call", 1, "put", [1, "ann"]])
    ((_, delta),) = parts(client.asks(["call", 2, "put", [1, "bob"]]))
    assert {query: (len(rows), keys) for query, rows, keys in delta} == {bob: (1, []), ann: (0, [1])}


def test_equal_queries_are_evaluated_and_encoded_once() -> None:
    """Sessions for which the same queries changed are handed the very same bytes, one delta a subprotocol."""
    shelf = Shelf()
    clients = [shelf.client(SUBPROTOCOLS[number % 2]) for number in range(6)]
    other = shelf.client()
    for client in clients:
        client.asks(["subscribe", 1, ALL_BOOKS], ["subscribe", 2, BY_AUTHOR, ["ann"]])
    other.asks(["subscribe", 1, BY_AUTHOR, ["ann"]])
    assert shelf.subscriptions.query_count == 2
    assert shelf.subscriptions.subscription_count == 13
    other.says(["call", 1, "put", [1, "ann"]])
    held = dict(shelf.engine.feed.seal())
    for same in (clients[0::2], clients[1::2]):
        assert len({id(held[client.session][0]) for client in same}) == 1
    assert held[other.session][0] != held[clients[0].session][0]
    other.says(["call", 2, "put", [2, "bob"]])
    held = dict(shelf.engine.feed.seal())
    for same in (clients[0::2], clients[1::2]):
        assert len({id(held[client.session][0]) for client in same}) == 1
    assert held[clients[0].session][0] != held[clients[1].session][0]


def test_messagepack_rows_are_the_stored_bytes() -> None:
    """A row leaves in MessagePack as the very bytes the tables hold."""
    client = Shelf().client(SUBPROTOCOL_MSGPACK)
    client.asks(["call", 1, "put", [1, "ann"]])
    table = client.shelf.engine.database.table("books")
    assert table is not None
    client.says(["query", 1, ALL_BOOKS])
    client.shelf.commit()
    assert table.rows[1] in client.frames[0]


def test_null_matches_nothing() -> None:
    """A comparison with NULL has no rows and no deltas, also where the column is NULL."""
    client = Shelf().client()
    client.asks(["call", 1, "put", [1, "ann"]])
    for number, (sql, params) in enumerate(
        [("SELECT * FROM books WHERE genre = NULL", []), ("SELECT * FROM books WHERE author = ?", [None])]
    ):
        assert client.asks(["subscribe", number, sql, params])[0][6] == []
    assert parts(client.asks(["call", 2, "put", [1, "ann", 5]], ["call", 3, "drop", [1]])) == []
    client.session.detach()
    assert client.shelf.subscriptions.query_count == 0


def test_a_key_query_follows_one_row() -> None:
    """WHERE on the primary key hears of that row alone."""
    client = Shelf().client()
    client.asks(["subscribe", 1, "SELECT * FROM books WHERE id = ?", [2]])
    heard = parts(client.asks(["call", 1, "put", [1, "a"]], ["call", 2, "put", [2, "a"]], ["call", 3, "drop", [2]]))
    assert [(len(rows), keys) for _, ((_, rows, keys),) in heard] == [(1, []), (0, [2])]


def test_a_forgotten_query_costs_nothing() -> None:
    """When the last follower goes, nothing of the query is left."""
    shelf = Shelf()
    clients = [shelf.client(), shelf.client(SUBPROTOCOL_JSON)]
    queries = [(ALL_BOOKS, []), (BY_AUTHOR, ["ann"]), (BY_AUTHOR, ["bob"]), ("SELECT * FROM books WHERE id = 1", [])]
    for client in clients:
        client.asks(*(["subscribe", number, *query] for number, query in enumerate(queries)))
    assert shelf.subscriptions.query_count == 4
    clients[0].session.detach()
    assert shelf.subscriptions.query_count == 4
    clients[1].asks(*(["unsubscribe", number] for number in range(4)))
    assert shelf.subscriptions.query_count == 0
    assert shelf.subscriptions._routes == {}


def test_many_equality_queries_do_not_slow_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change looks at its own table, column and value alone, however many other values are followed."""
    shelf = Shelf()
    follower = shelf.client()
    follower.asks(*(["subscribe", number, BY_AUTHOR, [f"author {number}"]] for number in range(1_000)))
    monkeypatch.setattr(Followed, "answer", None)  # Nobody is to be asked.
    heard = parts(follower.asks(["call", 1, "put", [1, "author 7"]], ["call", 2, "put", [1, "nobody"]]))
    assert len(heard) == 2


# Conditions without a value.

DIVIDED: Final = "SELECT * FROM books WHERE 6 / copies > 2"
FAILED: Final = ["failure", "subscribe", 1, 0, "malformed_query"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM books WHERE lower(author) LIKE '%z_z%'",
        "SELECT id FROM books WHERE copies IN (SELECT copies FROM books WHERE lower(author) LIKE '%z_z%')",
        "SELECT lower(author), count(*) FROM books GROUP BY lower(author)",
    ],
)
def test_a_query_whose_rows_take_too_long_ends_alone(sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call waits for it. When its rows come and when they change: it is told the bound, and others go on."""
    monkeypatch.setattr(budget, "FOLLOWED_STEPS_MAX", 1_000)
    client = Shelf().client()
    assert client.asks(["subscribe", 1, sql], ["subscribe", 2, ALL_BOOKS])[0][0] == "subscribed"
    client.asks(["call", 1, "put", [1, "a" * 100]])
    heard = client.asks(["call", 2, "put", [2, "a" * 2_000]])
    (failure,) = (each for each in heard if each[0] == "failure")
    assert failure[1:3] + failure[4:5] == ["subscribe", 1, "overloaded"]
    assert "1000 steps" in failure[5]
    assert [each[0] for each in heard if each[0] != "failure"] == ["delta", "result"]
    heard = client.asks(["subscribe", 3, sql])
    assert any(each[:3] == ["failure", "subscribe", 3] for each in heard)


@each_subprotocol
def test_a_row_without_a_value_ends_that_subscription_alone(subprotocol: str) -> None:
    """With an error that says why; the call, its other subscriptions and the others' go on."""
    shelf = Shelf()
    clients = [shelf.client(subprotocol) for _ in range(2)]
    for client in clients:
        client.asks(["subscribe", 1, DIVIDED], ["subscribe", 2, ALL_BOOKS])
    heard = [*clients[0].asks(["call", 1, "put", [1, "ann", 0]]), *clients[1].read()]
    assert [each[:5] for each in heard if each[0] == "failure"] == [
        ["failure", "subscribe", 1, 0, "malformed_query"]
    ] * 2
    assert [each[0] for each in heard if each[0] != "failure"] == ["delta", "result", "delta"]
    assert "division by zero" in heard[0][5]
    assert shelf.subscriptions.query_count == 1
    heard = clients[0].asks(["subscribe", 1, DIVIDED])
    assert heard[0][:2] == ["failure", "subscribe"]
    clients[0].asks(["call", 2, "drop", [1]])
    assert clients[0].asks(["subscribe", 1, DIVIDED])[0][0] == "subscribed"


def test_what_was_missed_may_have_no_value() -> None:
    """Who comes back to it is told so, and may subscribe anew."""
    shelf = Shelf()
    client = shelf.client()
    heard = client.asks(["subscribe", 1, DIVIDED])
    client.session.detach()
    writer = shelf.client()
    writer.asks(["call", 1, "put", [1, "ann", 0]], ["call", 2, "drop", [1]])
    back = shelf.client()
    heard = back.asks(["subscribe", 1, DIVIDED, [], shelf.epoch, heard[0][3]], ["subscribe", 2, ALL_BOOKS])
    assert sorted(each[0] for each in heard) == ["failure", "subscribed", "subscribed"]
    assert [each[:3] for each in heard if each[0] == "failure"] == [["failure", "subscribe", 1]]
    assert back.asks(["subscribe", 1, DIVIDED])[0][0] == "subscribed"


# Resume.


def follow(shelf: Shelf, subprotocol: str = SUBPROTOCOL_MSGPACK) -> View:
    """A view of Ann's books, with one row."""
    client = shelf.client(subprotocol)
    client.asks(["call", 1, "put", [1, "ann"]])
    view = View(client, 1, BY_AUTHOR, "ann")
    view.take(client.hears())
    return view


def write(shelf: Shelf, *calls: list[Any]) -> None:
    """Let somebody else write."""
    shelf.client().asks(*(["call", 1, *call] for call in calls))


def resume(shelf: Shelf, old: View, subprotocol: str = SUBPROTOCOL_MSGPACK, *, epoch: str | None = None) -> View:
    """The client comes back on a new connection with what it has."""
    client = shelf.client(subprotocol)
    view = View(client, 1, BY_AUTHOR, "ann", epoch=shelf.epoch if epoch is None else epoch, offset=old.offset)
    view.rows = dict(old.rows)
    view.take(client.hears())
    return view


@each_subprotocol
def test_a_client_that_comes_back_gets_what_it_missed(subprotocol: str) -> None:
    """A resumed subscription gets no rows but each missed delta at its own offset, then what follows."""
    shelf = Shelf()
    old = follow(shelf, subprotocol)
    old.client.session.detach()
    write(shelf, ["put", [2, "ann"]], ["put", [3, "bob"]], ["put", [1, "bob"]], ["nothing"], ["put", [4, "ann"]])
    view = resume(shelf, old, subprotocol)
    assert view.resumed
    assert len(view.offsets) == 3
    write(shelf, ["drop", [2]])
    view.take(view.client.hears())
    assert len(view.offsets) == 4
    assert [row[0] for row in view.sorted()] == [4]


def test_a_client_that_missed_nothing_gets_nothing() -> None:
    """To resume at the newest offset is to go on."""
    shelf = Shelf()
    view = resume(shelf, follow(shelf))
    assert (view.resumed, view.offsets) == (True, [])
    assert [row[0] for row in view.sorted()] == [1]


def test_resume_works_after_a_restart() -> None:
    """The tail is refilled by recovery, and the epoch goes on: a crash costs a client no rows."""
    shelf = Shelf()
    old = follow(shelf)
    write(shelf, ["put", [2, "ann"]])
    shelf.crash()
    view = resume(shelf, old)
    assert (view.resumed, len(view.offsets)) == (True, 1)
    assert [row[0] for row in view.sorted()] == [1, 2]


def test_another_epoch_gets_rows_anew() -> None:
    """An offset of another epoch means nothing here."""
    shelf = Shelf()
    old = follow(shelf)
    write(shelf, ["put", [2, "ann"]])
    view = resume(shelf, old, epoch="00" * 16)
    assert not view.resumed
    assert [row[0] for row in view.sorted()] == [1, 2]


def test_an_offset_to_come_gets_rows_anew() -> None:
    """An offset past the newest is none of ours."""
    shelf = Shelf()
    old = follow(shelf)
    old.offset += 1_000
    view = resume(shelf, old)
    assert not view.resumed
    assert [row[0] for row in view.sorted()] == [1]


def test_a_client_that_missed_too_much_gets_rows_anew() -> None:
    """Past resume_transactions_max rows are cheaper than deltas; just within it, resume."""
    for missed, resumed in ((5, True), (6, False)):
        shelf = Shelf(Options(resume_transactions_max=5))
        old = follow(shelf)
        write(shelf, *[["put", [book, "ann"]] for book in range(10, 10 + missed)])
        view = resume(shelf, old)
        assert view.resumed is resumed
        assert len(view.rows) == 1 + missed


# The law.


calls = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.tuples(st.integers(1, 4), st.sampled_from(["ann", "bob"]), st.integers(0, 2))),
        st.tuples(st.just("drop"), st.tuples(st.integers(1, 4))),
        st.tuples(st.just("count"), st.tuples(st.sampled_from(["ann", "bob"]))),
        st.just(("nothing", ())),
        st.just(("join", ())),
        st.just(("return", ())),
        st.just(("commit", ())),
    ),
    max_size=30,
)
QUERIES: list[tuple[str, list[Any]]] = [
    (ALL_BOOKS, []),
    (BY_AUTHOR, ["ann"]),
    ("SELECT * FROM books WHERE copies = ?", [1]),
    ("SELECT * FROM books WHERE id = 2", []),
    ("SELECT * FROM authors", []),
    ("SELECT * FROM books WHERE copies BETWEEN 1 AND 2", []),
    ("SELECT * FROM books WHERE author IN ('ann', 'cid') AND NOT copies = 1", []),
    ("SELECT id, upper(author) AS who FROM books WHERE copies > $1 OR author LIKE 'b%'", [1]),
    ("SELECT author, id FROM books", []),
    ("SELECT id, copies FROM books WHERE genre IS NULL AND author <> 'ann'", []),
]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(calls, st.sampled_from(SUBPROTOCOLS))
def test_a_view_equals_a_fresh_query(history: list[tuple[str, tuple[Any, ...]]], subprotocol: str) -> None:
    """Whenever clients join, leave, return and hear: first rows and deltas make exactly what a fresh query says."""
    shelf = Shelf()
    writer = shelf.client(subprotocol)
    views: list[View] = []
    for name, args in history:
        if name == "join":
            client = shelf.client(subprotocol)
            views += [View(client, number, sql, *params) for number, (sql, params) in enumerate(QUERIES)]
        elif name == "return" and views:
            left, views = views[: len(QUERIES)], views[len(QUERIES) :]
            hear(left)
            left[0].client.session.detach()
            writer.says(["call", 1, "put", [3, "ann", 1]])
            client = shelf.client(subprotocol)
            for old in left:
                sql, params = QUERIES[old.number]
                new = View(client, old.number, sql, *params, epoch=shelf.epoch, offset=old.offset)
                new.rows = old.rows
                views.append(new)
        elif name == "commit":
            shelf.commit()
        elif name != "return":
            writer.says(["call", 1, name if name != "join" else "nothing", list(args)])
    hear(views)
    for view in views:
        sql, params = QUERIES[view.number]
        fresh = shelf.client(subprotocol).asks(["query", 1, sql, params])[0][4]
        assert view.sorted() == fresh


def hear(views: list[View]) -> None:
    """Let every view take what its client has heard."""
    heard = {id(view.client): view.client.hears() for view in {id(each.client): each for each in views}.values()}
    for view in views:
        view.take(heard[id(view.client)])
