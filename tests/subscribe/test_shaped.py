"""Followed groups and first rows: one result for all, begun in pieces, told by each transaction, within its bounds."""

from typing import Any

import pytest

from store.query.shaping import ranked, topk
from store.subscribe import deliveries, first_rows, returning, shaped
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


def away(shelf: Shelf, sql: str, subprotocol: str = SUBPROTOCOL_MSGPACK) -> View:
    """Follow a query, and go."""
    client = shelf.client(subprotocol)
    view = View(client, 1, sql)
    view.take(client.hears())
    client.session.detach()
    return view


def back(shelf: Shelf, old: View, sql: str, subprotocol: str = SUBPROTOCOL_MSGPACK) -> tuple[View, list[Any]]:
    """Come back with what was there; the changes that were missed."""
    view = View(shelf.client(subprotocol), 1, sql, epoch=shelf.epoch, offset=old.offset)
    view.rows = dict(old.rows)
    heard = view.client.hears()
    view.take(heard)
    return view, [each for message in heard if message[0] == "chunk" for each in message[3]]


@each_subprotocol
@pytest.mark.parametrize("crash", [True, False])
@pytest.mark.parametrize("tail", [True, False])
def test_who_comes_back_is_told_what_it_missed_as_one_change(
    subprotocol: str,
    tail: bool,  # noqa: FBT001  # Given.
    crash: bool,  # noqa: FBT001  # Given.
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From memory or from the log, after a crash or not: at the last offset; what came and went is not told."""
    shelf = filled(5)
    olds = [away(shelf, sql, subprotocol) for sql in (TOP, BY_GENRE)]
    writer = shelf.client()
    for book, copies, genre in ((0, 8, None), (9, 70, "drama"), (9, 71, "epic"), (3, 3, None), (3, 3, "poetry")):
        put(writer, book, copies, genre)
    writer.says(["call", 1, "drop", [9]], ["call", 2, "drop", [2]])
    shelf.commit()
    newest = shelf.engine.write_path.last_offset
    if crash:
        shelf.crash()
    if not tail:
        monkeypatch.setattr("store.engine.newest.Newest.records", lambda *_, **__: None)
    top, told = back(shelf, olds[0], TOP, subprotocol)
    assert (top.resumed, sorted(top.rows.values())) == (True, [[0, 8], [4, 4]])
    assert [(offset >= newest, rows, keys) for offset, _, rows, keys in told] == [(True, [[0, 8]], [3])]
    groups, told = back(shelf, olds[1], BY_GENRE, subprotocol)
    assert groups.resumed
    assert [(rows, keys) for _, _, rows, keys in told] == [([[None, 2, "12"]], [])]
    put(shelf.client(), 9, 90, "drama")
    for view, sql in ((top, TOP), (groups, BY_GENRE)):
        view.take(view.client.hears())
        asked = shelf.client(subprotocol).asks(["query", 1, sql])[0][4]
        assert sorted(view.rows.values(), key=repr) == sorted(asked, key=repr)


def test_all_who_missed_the_same_share_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred clients that come back at one moment cost one comparison; what is kept for them is bounded."""
    shelf = filled(5)
    old = away(shelf, TOP)
    put(shelf.client(), 0, 8)
    found: list[int] = []
    change = shelf.subscriptions.change
    monkeypatch.setattr(shelf.subscriptions, "change", lambda *said: (found.append(1), change(*said))[1])
    views = [back(shelf, old, TOP)[0] for _ in range(100)]
    assert {tuple(map(tuple, sorted(view.rows.values()))) for view in views} == {((0, 8), (4, 4))}
    assert len(found) == 1
    put(shelf.client(), 0, 9)
    monkeypatch.setattr(returning, "CAUGHT_UP_SIZE_MAX", 0)
    assert sorted(back(shelf, old, TOP)[0].rows.values()) == [[0, 9], [4, 4]]
    assert shelf.subscriptions.deliveries._means.caught_up == {}


@pytest.mark.parametrize("sql", [TOP, BY_GENRE])
def test_who_missed_nothing_of_it_is_told_nothing(sql: str) -> None:
    """Rows behind the last, and those that are again what they were, do not count."""
    shelf = filled(5)
    old = away(shelf, sql)
    writer = shelf.client()
    for copies in (1, 0):
        put(writer, 0, copies)
    view, told = back(shelf, old, sql)
    assert (view.resumed, view.rows, told) == (True, old.rows, [])


@pytest.mark.parametrize(
    ("sql", "changes", "reason"),
    [
        (TOP, [(book, 50 + book) for book in range(10, 18)], "more rows came to the top meanwhile"),
        (TOP, [(book, 0) for book in range(60, 90)], "more than 20 rows of the query's tables were written"),
        ("SELECT max(copies) FROM books", [(book, 50) for book in range(10, 16)], None),
        ("SELECT max(copies) FROM books", [(book, 50 + book) for book in range(10, 16)], "which MIN or MAX there was"),
        ("SELECT notes, count(*) FROM books GROUP BY notes", [(9, 9)], "groups by JSON"),
        ("SELECT id, 10 / copies AS x FROM books WHERE copies > 0 ORDER BY 2 LIMIT 3", [(9, 9)], None),
    ],
)
def test_what_cannot_be_said_of_the_past_is_told_anew(
    sql: str, changes: list[tuple[int, int]], reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marked as such, with the reason; the view is the query all the same."""
    monkeypatch.setattr(topk, "SPARE_ROWS", 3)
    monkeypatch.setattr(ranked, "HELD_MAX", 4)
    monkeypatch.setattr("store.subscribe.absence.ABSENCE_ROWS_MAX", 20)
    shelf = filled(9)
    first = shelf.client()
    view = View(first, 1, sql)
    view.take(first.hears())
    old = away(shelf, sql)
    writer = shelf.client()
    for book, copies in changes:
        put(writer, book, copies)
    again, _ = back(shelf, old, sql)
    view.take(first.hears())
    assert again.resumed is (reason is None)
    assert again.anew is None if reason is None else (again.anew is not None and reason in again.anew[1])
    assert sorted(again.rows.values(), key=repr) == sorted(view.rows.values(), key=repr)
    assert sorted(again.rows.values(), key=repr) == sorted(shelf.rows(sql), key=repr)


def test_what_does_not_fit_into_one_message_is_told_anew() -> None:
    """In chunks, so that whoever comes back is never cut off for what it missed."""
    shelf = filled(5, Options(outbox_bytes_max=4_000))
    sql = "SELECT * FROM books ORDER BY copies DESC LIMIT 20"
    old = away(shelf, sql)
    writer = shelf.client()
    for book in range(10):
        writer.asks(["call", 1, "put", [book, "x" * 300, book]])
    view, _ = back(shelf, old, sql)
    assert view.client.closed is None
    assert view.anew is not None
    assert (view.anew[0], view.anew[7]) == ("not_resumable", "outbox_bytes_max")
    while view.more:
        view.take(view.client.hears())
    assert len(view.rows) == 10


@pytest.mark.usefixtures("small")
def test_a_result_is_made_in_pieces_for_who_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls go on meanwhile, and what they change is in what was missed; who leaves meanwhile leaves nothing."""
    monkeypatch.setattr("store.subscribe.missed.PIECE_COUNT_MAX", 2)
    shelf = filled(9)
    olds = [away(shelf, sql) for sql in (TOP, BY_GENRE, BY_GENRE)]
    shelf.crash()
    views = [
        View(shelf.client(), 1, sql, epoch=shelf.epoch, offset=old.offset)
        for old, sql in zip(olds, (TOP, BY_GENRE, BY_GENRE), strict=True)
    ]
    writer = shelf.client()
    for number in range(12):
        put(writer, number * 5 % 12, 20 - number, ("poetry", None)[number % 2])
        shelf.subscriptions.deliveries.step()
        shelf.engine.group_commit.commit()
        if number == 3:
            views[2].client.session.detach()
    for view, old, sql in zip(views[:2], olds, (TOP, BY_GENRE), strict=False):
        view.rows = dict(old.rows)
        view.take(view.client.hears())
        assert view.resumed
        assert sorted(view.rows.values(), key=repr) == sorted(shelf.rows(sql), key=repr)
        view.client.session.detach()
    assert (shelf.subscriptions.query_count, shelf.subscriptions._room.used) == (0, 0)


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
    assert (shelf.subscriptions.deliveries._means.streams.count, shelf.engine.feed.followers) == (0, [])


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
    assert (shelf.subscriptions._room.used, shelf.subscriptions.deliveries._means.streams.count) == (0, 0)


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
