"""Followed groups and first rows: one result for all, begun in pieces, told by each transaction, within its bounds."""

from typing import Any

import pytest

from store.query import ranked, topk
from store.subscribe import deliveries, first_rows, shaped
from store.subscribe.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from store.subscribe.options import Options
from store.subscribe.shaped import Shaped
from tests.subscribe.scenes import ALL_BOOKS, SUBPROTOCOLS, Client, Shelf, View

each_subprotocol = pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
TOP = "SELECT id, copies FROM books ORDER BY copies DESC LIMIT 2"
BY_GENRE = "SELECT genre, count(*) AS many, sum(copies) FROM books GROUP BY genre"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything comes in the smallest pieces, one a step."""
    monkeypatch.setattr(first_rows, "CHUNK_ROWS_MAX", 2)
    monkeypatch.setattr(first_rows, "SORTED_MAX", 1)
    monkeypatch.setattr(first_rows, "GATHERED_MAX", 2)
    monkeypatch.setattr(shaped, "MOVES_MAX", 1)
    monkeypatch.setattr(shaped, "PREPARED_MAX", 1)
    monkeypatch.setattr(deliveries, "SLICE_MS", -1.0)


def filled(count: int, options: Options | None = None) -> Shelf:
    """A shelf with so many books, each with as many copies as its number."""
    shelf = Shelf(options)
    writer = shelf.client()
    for book in range(count):
        writer.asks(["call", 1, "put", [book, "ann", book, (None, "poetry")[book % 2]]])
    return shelf


def put(client: Client, book: int, copies: int, genre: str | None = None) -> None:
    """Put a book on the shelf, or change it."""
    client.says(["call", 1, "put", [book, "ann", copies, genre]])


def the_shaped(shelf: Shelf) -> Shaped:
    """The one result there is."""
    (followed,) = shelf.subscriptions._followed.values()
    assert followed.shaped is not None
    return followed.shaped


@each_subprotocol
def test_what_comes_to_the_top_pushes_another_out(subprotocol: str) -> None:
    """In the delta of that transaction; what moves below is not told."""
    shelf = filled(5)
    client, writer = shelf.client(subprotocol), shelf.client()
    view = View(client, 1, TOP)
    view.take(client.hears())
    assert (view.rows, view.key, view.group, view.order) == ({4: [4, 4], 3: [3, 3]}, 0, [], [[1, True, True]])
    put(writer, 0, 9)
    put(writer, 1, 2)
    (delta,) = client.hears()
    ((_, rows, keys),) = delta[3]
    assert (rows, keys) == ([[0, 9]], [3])


@each_subprotocol
def test_groups_are_told_by_the_array_of_their_values(subprotocol: str) -> None:
    """NULL among them; a group that has no rows any more has left."""
    shelf = filled(4)
    client, writer = shelf.client(subprotocol), shelf.client()
    view = View(client, 1, BY_GENRE)
    view.take(client.hears())
    assert (view.key, view.group, view.order) == (-1, [0], [])
    assert sorted(view.rows.values(), key=repr) == [["poetry", 2, "4"], [None, 2, "2"]]
    writer.says(["call", 1, "drop", [0]], ["call", 2, "drop", [2]])
    put(writer, 1, 5, "drama")
    parts = [message[3][0][1:] for message in client.hears()]
    assert parts[0] == [[[None, 1, "2"]], []]
    assert parts[1] == [[], [[None]]]
    assert sorted(parts[2][0]) == [["drama", 1, "5"], ["poetry", 1, "3"]]


def test_all_who_follow_a_query_share_one_result() -> None:
    """However it is written; what is held is held once, and given back when the last has left."""
    shelf = filled(5)
    clients = [shelf.client(each) for each in (SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK)]
    views = [
        View(clients[0], 1, TOP),
        View(clients[1], 1, "select b.id, copies from books b order by 2 desc limit $1", 2),
    ]
    shelf.commit()
    used = shelf.subscriptions._room.used
    assert (shelf.subscriptions.query_count, used) == (1, 5)
    put(shelf.client(), 7, 70)
    for view, client in zip(views, clients, strict=True):
        view.take(client.hears())
        assert sorted(view.rows.values()) == [[4, 4], [7, 70]]
        client.session.detach()
    assert (shelf.subscriptions.query_count, shelf.subscriptions._room.used) == (0, 0)
    assert shelf.engine.feed.followers == []


def test_who_comes_back_gets_it_anew() -> None:
    """Subscribed is not resumed, and its rows replace the view at once."""
    shelf = filled(5)
    client = shelf.client()
    view = View(client, 1, TOP)
    view.take(client.hears())
    client.session.detach()
    put(shelf.client(), 0, 8)
    back = shelf.client()
    again = View(back, 1, TOP, epoch=shelf.epoch, offset=view.offset)
    again.take(back.hears())
    assert (again.resumed, sorted(again.rows.values())) == (False, [[0, 8], [4, 4]])
    assert again.anew is not None
    assert again.anew[0] == "not_resumable"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("sql", [TOP, BY_GENRE, "SELECT count(*), max(copies) FROM books WHERE copies > 2"])
def test_what_changes_while_it_begins_is_in_it(sql: str) -> None:
    """Rows written, dropped and written again between any two pieces: it begins with the query's rows of one offset."""
    shelf = filled(9)
    client, writer = shelf.client(), shelf.client()
    view = View(client, 1, sql)
    for number in range(20):
        put(writer, number * 5 % 12, 20 - number, ("poetry", "drama", None)[number % 3])
        if number % 4 == 0:
            writer.says(["call", 1, "drop", [number * 7 % 12]])
        shelf.subscriptions.deliveries.step()
        shelf.engine.group_commit.commit()
    view.take(client.hears())
    assert sorted(view.rows.values(), key=repr) == sorted(shelf.rows(sql), key=repr)
    assert len(view.offsets) < 20
    put(writer, 3, 99)
    view.take(client.hears())
    assert sorted(view.rows.values(), key=repr) == sorted(shelf.rows(sql), key=repr)


@pytest.mark.usefixtures("small")
def test_many_rows_come_in_chunks_of_one_offset() -> None:
    """Deltas that are told meanwhile come behind them."""
    shelf = filled(9)
    client, writer = shelf.client(), shelf.client()
    view = View(client, 1, "SELECT * FROM books ORDER BY copies LIMIT 7")
    heard: list[Any] = []
    while not heard:
        shelf.subscriptions.deliveries.step()
        shelf.engine.group_commit.commit()
        heard = client.read()
    put(writer, 8, -1)
    heard += client.hears()
    assert {each[0] for each in heard[1:]} == {"chunk", "delta"}
    assert sum(len(each[2]) for each in heard if each[0] == "chunk") == 5
    view.take(heard)
    assert view.sorted() == sorted(shelf.rows("SELECT * FROM books ORDER BY copies LIMIT 7"))


@pytest.mark.usefixtures("small")
def test_who_leaves_while_it_begins_leaves_nothing() -> None:
    """Alone or not: another who waits for the same goes on."""
    shelf = filled(9)
    clients = [shelf.client(), shelf.client()]
    views = [View(client, 1, BY_GENRE) for client in clients]
    shelf.subscriptions.deliveries.step()
    clients[0].session.detach()
    views[1].take(clients[1].hears())
    assert len(views[1].rows) == 2
    View(clients[1], 2, TOP)
    shelf.subscriptions.deliveries.step()
    clients[1].session.detach()
    assert shelf.subscriptions.deliveries.step() is None
    assert (shelf.subscriptions.query_count, shelf.subscriptions._room.used) == (0, 0)
    assert (shelf.subscriptions.deliveries._stream_count, shelf.engine.feed.followers) == (0, [])


def failures(messages: list[Any]) -> list[tuple[Any, ...]]:
    """(about, id, code, limit) of each."""
    return [(each[1], each[2], each[4], each[6].get("limit")) for each in messages if each[0] == "failure"]


@pytest.mark.parametrize("count", [1, 3])
def test_too_many_groups_end_a_query(count: int) -> None:
    """At its beginning or later, with the limit's name; other subscriptions go on, and calls are done."""
    shelf = filled(count, Options(followed_groups_max=1))
    client = shelf.client()
    view = View(client, 2, ALL_BOOKS)
    heard = client.asks(["subscribe", 1, BY_GENRE])
    heard += client.asks(["call", 1, "put", [9, "ann", 1, "drama"]])
    assert failures(heard) == [("subscribe", 1, "overloaded", "followed_groups_max")]
    assert [each[0] for each in heard][-1] == "result"
    view.take(heard)
    assert 9 in view.rows
    assert (shelf.subscriptions.query_count, shelf.subscriptions._room.used) == (1, 0)


def test_what_all_hold_together_is_bounded() -> None:
    """Queries that want more than there is room for end; what they held is free for others."""
    shelf = filled(3, Options(followed_values_max=8))
    client = shelf.client()
    texts = [TOP, "SELECT id FROM books LIMIT 5", "SELECT count(*) FROM books"]
    views = [View(client, number, sql) for number, sql in enumerate(texts)]
    heard = client.hears()
    assert (failures(heard), shelf.subscriptions._room.used) == ([], 8)
    refused = client.asks(["subscribe", 9, "SELECT sum(copies) FROM books"])
    assert failures(refused) == [("subscribe", 9, "overloaded", "followed_values_max")]
    heard += client.asks(["call", 1, "put", [7, "ann", 7]])
    assert failures(heard) == [("subscribe", number, "overloaded", "followed_values_max") for number in (0, 1)]
    assert shelf.subscriptions._room.used == 2
    views[2].take(heard)
    assert list(views[2].rows.values()) == shelf.rows(texts[2]) == [[4]]


def test_a_value_that_cannot_be_ends_a_query() -> None:
    """Where it is computed of a row, or of a group; the call that did it is done."""
    shelf = filled(3)
    client = shelf.client()
    client.asks(
        ["subscribe", 1, "SELECT id, 10 / copies AS share FROM books WHERE copies <> 0 OR id > 5 ORDER BY 2 LIMIT 3"],
        ["subscribe", 2, "SELECT sum(copies::integer * 1000000000 / copies) FROM books WHERE id > 5"],
        ["subscribe", 3, "SELECT count(*) FROM books"],
    )
    heard = client.asks(["call", 1, "put", [7, "ann", 0]])
    assert sorted(failures(heard)) == [
        ("subscribe", 1, "malformed_query", None),
        ("subscribe", 2, "malformed_query", None),
    ]
    assert [each[0] for each in heard].count("result") == 1
    assert [part[1] for each in heard if each[0] == "delta" for part in each[3]] == [[[4]]]
    again = client.asks(["subscribe", 4, "SELECT id, 10 / copies AS share FROM books ORDER BY 2 LIMIT 3"])
    assert failures(again) == [("subscribe", 4, "malformed_query", None)]


@pytest.mark.usefixtures("small")
def test_too_much_that_changes_while_it_begins_ends_it() -> None:
    """The line is bounded as first rows are."""
    shelf = filled(9, Options(first_rows_kept_max=3_000))
    client, writer = shelf.client(), shelf.client()
    client.says(["subscribe", 1, TOP])
    for number in range(9):
        shelf.subscriptions.deliveries.step()
        put(writer, number, 50)
        put(writer, number, 60)
    assert failures(client.hears()) == [("subscribe", 1, "overloaded", "first_rows_kept_max")]
    assert (shelf.subscriptions._room.used, shelf.subscriptions.deliveries._stream_count) == (0, 0)


def lower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows hold three rows to spare, and are made anew when one of them is left."""
    monkeypatch.setattr(topk, "SPARE_ROWS", 3)
    monkeypatch.setattr(topk, "LOW_ROWS", 2)


def looks(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for each time that rows are looked for at once."""
    made: list[int] = []
    known = the_shaped(shelf)
    source = known._source
    monkeypatch.setattr(known, "_source", lambda: (made.append(1), source())[1])
    return made


@pytest.mark.usefixtures("small")
def test_rows_are_looked_for_before_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as a few leave at a time, another window is there before the first one is used up."""
    lower(monkeypatch)
    shelf = filled(30)
    client, writer = shelf.client(), shelf.client()
    view = View(client, 1, TOP)
    view.take(client.hears())
    looked = looks(shelf, monkeypatch)
    for book in range(29, 4, -1):
        writer.says(["call", 1, "drop", [book]])
        view.take(client.hears())
        assert sorted(view.rows) == [book - 2, book - 1]
    assert looked == []
    assert shelf.subscriptions._room.used <= 2 + 2 * 3


@pytest.mark.usefixtures("small")
def test_rows_that_are_needed_at_once_are_looked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while another window is on its way."""
    lower(monkeypatch)
    shelf = filled(30)
    client, writer = shelf.client(), shelf.client()
    view = View(client, 1, TOP)
    view.take(client.hears())
    looked = looks(shelf, monkeypatch)
    for book in range(29, 9, -1):
        writer.says(["call", 1, "drop", [book]])
        if book % 4 == 0:
            shelf.subscriptions.deliveries.step()
    view.take(client.hears())
    assert sorted(view.rows) == [8, 9]
    assert looked


@pytest.mark.usefixtures("small")
def test_where_there_is_no_room_for_another_the_old_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for rows when it must."""
    lower(monkeypatch)
    shelf = filled(30, Options(followed_values_max=9))
    client, writer = shelf.client(), shelf.client()
    view = View(client, 1, TOP)
    view.take(client.hears())
    looked = looks(shelf, monkeypatch)
    for book in range(29, 4, -1):
        writer.says(["call", 1, "drop", [book]])
        view.take(client.hears())
        assert sorted(view.rows) == [book - 2, book - 1]
    assert looked


def test_groups_that_are_counted_again_are_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where JSON that is equal is written otherwise in the rows that are left."""
    monkeypatch.setattr(ranked, "HELD_MAX", 4)
    monkeypatch.setattr(ranked, "LOW_VALUES", 3)
    shelf = Shelf()
    client, writer = shelf.client(SUBPROTOCOL_JSON), shelf.client(SUBPROTOCOL_JSON)
    view = View(client, 1, "SELECT notes, min(id) AS first FROM books GROUP BY notes")
    for book in range(8):
        notes = '{"n":1}' if book == 0 else '{"n":1.0}'
        writer.asks(["call", 1, "put_whole", [book, "ann", "", "2026-11-21T00:00:00Z", notes]])
    for book in range(7):
        writer.asks(["call", 1, "drop", [book]])
        view.take(client.hears())
        ((_, first),) = view.rows.values()
        assert first == book + 1
    writer.asks(["call", 1, "drop", [7]])
    view.take(client.hears())
    assert view.rows == {}
