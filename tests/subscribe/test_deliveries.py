"""Deliveries: rows in chunks at one offset, what was missed from RAM and log, and nobody waits for another."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import CorruptionError
from store.ids import Offset
from store.subscribe import deliveries as deliveries_module
from store.subscribe import first_rows, missed
from store.subscribe.messages import SUBPROTOCOL_JSON
from store.subscribe.options import Options
from tests.subscribe.scenes import ALL_BOOKS, BY_AUTHOR, SUBPROTOCOLS, Client, Shelf, View

each_subprotocol = pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)
BY_COPIES = "SELECT * FROM books WHERE copies = ?"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything comes in the smallest pieces, one a step."""
    make_small(monkeypatch)


def make_small(monkeypatch: pytest.MonkeyPatch, *, tail: bool = True) -> None:
    """Pieces of two; without the tail, all that was missed is read from the log."""
    monkeypatch.setattr(first_rows, "CHUNK_ROWS_MAX", 2)
    monkeypatch.setattr(first_rows, "SORTED_MAX", 1)
    monkeypatch.setattr(first_rows, "GATHERED_MAX", 2)
    monkeypatch.setattr(missed, "PIECE_COUNT_MAX", 2)
    monkeypatch.setattr(missed, "PIECES_MAX", 2)
    monkeypatch.setattr(deliveries_module, "AT_ONCE_MAX", 0)
    monkeypatch.setattr(deliveries_module, "SLICE_MS", -1.0)
    if not tail:
        monkeypatch.setattr("store.engine.feed.Feed.records", lambda *_, **__: None)


def filled(count: int, options: Options | None = None) -> Shelf:
    """A shelf with so many books, by Ann and Bob in turn."""
    shelf = Shelf(options)
    writer = shelf.client()
    for book in range(count):
        writer.asks(["call", 1, "put", [book, ("ann", "bob")[book % 2], book % 3]])
    shelf.commit()
    return shelf


def step(shelf: Shelf) -> None:
    """One slice, with what it asks of the log."""
    deliveries = shelf.subscriptions.deliveries
    deliveries.step()
    request = deliveries.take_request()
    if request is not None:
        request.run()
        deliveries.complete(request)
    shelf.engine.group_commit.commit()


def names(messages: list[Any]) -> list[str]:
    """Of each message."""
    return [each[0] for each in messages]


# First rows.


@each_subprotocol
@pytest.mark.parametrize(("sql", "params"), [(ALL_BOOKS, []), (BY_AUTHOR, ["ann"]), (BY_COPIES, [1])])
@pytest.mark.usefixtures("small")
def test_many_rows_come_in_chunks(subprotocol: str, sql: str, params: list[Any]) -> None:
    """Rows that are many come in chunks behind Subscribed, each once, and the last chunk says so."""
    shelf = filled(11)
    client = shelf.client(subprotocol)
    view = View(client, 1, sql, *params)
    heard = client.hears()
    assert heard[0][0] == "subscribed"
    assert set(names(heard[1:])) == {"chunk"}
    assert [heard[0][7], *(each[-1] for each in heard[1:])] == [True] * (len(heard) - 1) + [False]
    view.take(heard)
    assert view.sorted() == client.asks(["query", 1, sql, params])[0][4]


@pytest.mark.usefixtures("small")
def test_rows_are_of_one_offset_whatever_is_written_meanwhile() -> None:
    """Rows changed, added and dropped between two chunks come as they were; deltas bring the rest."""
    shelf = filled(9)
    before = shelf.rows(ALL_BOOKS)
    client, writer = shelf.client(), shelf.client()
    view = View(client, 1, ALL_BOOKS)
    heard: list[Any] = []
    for number, call in enumerate((["put", [8, "zoe", 9]], ["drop", [7]], ["put", [99, "new"]], ["drop", [0]])):
        step(shelf)
        writer.says(["call", number + 1, *call])
    heard += client.hears()
    offset = heard[0][3]
    rows = heard[0][6] + [row for each in heard if each[0] == "chunk" for row in each[2]]
    assert sorted(rows) == before
    assert [each[1] for each in heard if each[0] == "delta"] == list(range(offset + 1, offset + 5))
    view.take(heard)
    assert view.sorted() == shelf.rows(ALL_BOOKS)


@pytest.mark.usefixtures("small")
def test_those_who_subscribe_together_share_the_bytes() -> None:
    """Chunks are made once for a subprotocol, however many read them; who joins later is told what changed since."""
    shelf = filled(9)
    writer, clients = shelf.client(), [shelf.client() for _ in range(3)]
    views = [View(client, 1, ALL_BOOKS) for client in clients[:2]]
    step(shelf)
    writer.says(["call", 1, "put", [3, "zoe"]])
    views.append(View(clients[2], 1, ALL_BOOKS))
    assert shelf.subscriptions.deliveries._stream_count == 1
    shelf.commit()
    told = [[frame for frame in client.frames if b"chunk" in frame[:8]] for client in clients]
    assert len(told[0]) > 2
    for frames in told[1:]:
        assert frames[-1] == told[0][-1]
    for view, client in zip(views, clients, strict=True):
        view.take(client.read())
        assert view.sorted() == shelf.rows(ALL_BOOKS)


def test_a_row_larger_than_a_chunk_has_one_of_its_own() -> None:
    """Chunks are bounded in bytes, too, but hold one row at least."""
    shelf = Shelf(Options(outbox_bytes_max=4_000))
    writer = shelf.client()
    for book in range(4):
        writer.asks(["call", 1, "put", [book, "x" * 1_500]])
    client = shelf.client()
    view = View(client, 1, ALL_BOOKS)
    heard = client.hears()
    assert [len(each[6] if each[0] == "subscribed" else each[2]) for each in heard] == [1, 1, 1, 1]
    view.take(heard)
    assert len(view.rows) == 4


def test_a_reader_that_is_slow_has_the_rest_when_it_reads() -> None:
    """No more is made than its room allows, however many rows there are; nobody is cut off for asking."""
    shelf = filled(400, Options(outbox_bytes_max=4_000))
    client, other = shelf.client(), shelf.client()
    view = View(client, 1, ALL_BOOKS)
    client.reads = False
    shelf.commit()
    assert client.closed is None
    assert client.unsent_bytes() <= 4_000
    quick = View(other, 1, ALL_BOOKS)
    quick.take(other.hears())
    assert len(quick.rows) == 400
    client.reads = True
    view.take(client.hears())
    assert view.sorted() == quick.sorted()


@pytest.mark.usefixtures("small")
def test_many_large_queries_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past STREAMS_MAX a subscription is answered later, and holds just as much."""
    monkeypatch.setattr(deliveries_module, "STREAMS_MAX", 1)
    shelf = filled(9)
    client = shelf.client()
    views = [View(client, 1, ALL_BOOKS), View(client, 2, BY_AUTHOR, "ann"), View(client, 3, BY_COPIES, 1)]
    shelf.engine.group_commit.commit()
    heard = client.read()
    assert names(heard) == ["subscribed"]
    heard += client.asks(["call", 1, "put", [77, "ann", 1]])
    for view in views:
        view.take(heard)
        assert 77 in view.rows
    assert shelf.subscriptions.deliveries._stream_count == 0


@pytest.mark.usefixtures("small")
def test_who_leaves_leaves_nothing_behind() -> None:
    """Unsubscribed or gone amid first rows, waiting for a turn, or amid what it missed: nothing is kept of it."""
    shelf = filled(9)
    deliveries, client = shelf.subscriptions.deliveries, shelf.client()
    client.says(["subscribe", 1, ALL_BOOKS], ["subscribe", 2, BY_COPIES, [1]], ["unsubscribe", 1])
    client.says(["subscribe", 3, BY_AUTHOR, ["ann"], shelf.epoch, 3])
    step(shelf)
    client.session.detach()
    shelf.commit()
    assert (deliveries._of, deliveries.streams, deliveries.missing, deliveries._stream_count) == ({}, {}, {}, 0)
    assert (shelf.subscriptions.query_count, shelf.engine.feed.followers) == (0, [])


@pytest.mark.usefixtures("small")
def test_rows_that_change_too_much_meanwhile_fail() -> None:
    """Past first_rows_kept_max of images the subscription fails as overloaded, and the session goes on."""
    shelf = filled(9, Options(first_rows_kept_max=300))
    client, writer = shelf.client(), shelf.client()
    client.says(["subscribe", 1, ALL_BOOKS])
    step(shelf)
    writer.says(*(["call", 1, "put", [book, "zoe"]] for book in range(9)))
    heard = client.hears()
    assert ("subscribe", 1, "overloaded") in [(each[1], each[2], each[4]) for each in heard if each[0] == "failure"]
    assert (client.closed, shelf.subscriptions.subscription_count) == (None, 0)


# What was missed.


def left(shelf: Shelf, subprotocol: str) -> View:
    """A view of Ann's books whose client has gone."""
    client = shelf.client(subprotocol)
    view = View(client, 1, BY_AUTHOR, "ann")
    view.take(client.hears())
    client.session.detach()
    return view


def back(shelf: Shelf, old: View, subprotocol: str) -> View:
    """It comes back."""
    client = shelf.client(subprotocol)
    view = View(client, 1, BY_AUTHOR, "ann", epoch=shelf.epoch, offset=old.offset)
    view.rows = dict(old.rows)
    return view


def write_much(shelf: Shelf) -> None:
    """Eleven transactions, seven of them about Ann's books."""
    writer = shelf.client()
    for book in range(4):
        writer.asks(["call", 1, "put", [book, "ann", book + 7]], ["call", 1, "put", [book + 50, "bob"]])
    writer.asks(["call", 1, "drop", [0]], ["call", 1, "put", [1, "bob"]], ["call", 1, "put", [60, "ann"]])


@each_subprotocol
@pytest.mark.parametrize("tail", [True, False])
@pytest.mark.parametrize("crash", [True, False])
def test_what_was_missed_is_told_whatever_holds_it(
    subprotocol: str,
    tail: bool,  # noqa: FBT001  # Given.
    crash: bool,  # noqa: FBT001  # Given.
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From RAM or from the log, after a crash or not: every missed change comes once, at its own offset."""
    shelf = filled(6)
    old = left(shelf, subprotocol)
    write_much(shelf)
    if crash:
        shelf.crash()
    make_small(monkeypatch, tail=tail)
    writer = shelf.client()
    view = back(shelf, old, subprotocol)
    writer.says(["call", 1, "put", [2, "ann", 99]])
    view.take(view.client.hears())
    assert view.resumed
    assert len(view.offsets) == 8
    assert view.sorted() == shelf.client(subprotocol).asks(["query", 1, BY_AUTHOR, ["ann"]])[0][4]


def test_past_the_log_rows_come_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log was let go meanwhile, Subscribed comes again and its rows replace the view."""
    shelf = filled(6)
    old = left(shelf, SUBPROTOCOL_JSON)
    write_much(shelf)
    make_small(monkeypatch, tail=False)

    def gone(*_: Any, **__: Any) -> Any:
        raise CorruptionError("the log begins later", file="x", position=0)

    monkeypatch.setattr(missed, "LogReader", gone)
    writer = shelf.client()
    view = back(shelf, old, SUBPROTOCOL_JSON)
    writer.says(["call", 1, "put", [2, "ann", 99]])
    heard = view.client.hears()
    assert [each[5] for each in heard if each[0] == "subscribed"] == [True, False]
    view.take(heard)
    assert view.anew is not None
    assert (view.anew[0], view.anew[3], view.anew[7]) == ("past_horizon", old.offset, "")
    assert view.anew[6] >= old.offset + 1
    assert view.sorted() == shelf.client(SUBPROTOCOL_JSON).asks(["query", 1, BY_AUTHOR, ["ann"]])[0][4]


def test_past_the_horizon_rows_come_anew() -> None:
    """Past resume_transactions_max rows are told, not changes."""
    shelf = filled(6, Options(resume_transactions_max=10))
    old = left(shelf, SUBPROTOCOL_JSON)
    write_much(shelf)
    view = back(shelf, old, SUBPROTOCOL_JSON)
    view.take(view.client.hears())
    assert not view.resumed
    assert view.anew is not None
    newest = shelf.engine.write_path.last_offset
    assert (view.anew[0], *view.anew[2:]) == (
        "past_horizon", shelf.epoch, old.offset, shelf.epoch, newest, newest - 10, "resume_transactions_max"
    )  # fmt: skip
    assert view.sorted() == shelf.client(SUBPROTOCOL_JSON).asks(["query", 1, BY_AUTHOR, ["ann"]])[0][4]


def test_all_who_come_back_share_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred clients with queries of their own cost one reading of the log, and each hears its own changes."""
    shelf = Shelf()
    clients = [shelf.client() for _ in range(100)]
    offset = shelf.engine.write_path.last_offset
    writer = shelf.client()
    writer.asks(*(["call", 1, "put", [book, f"author {book % 100}"]] for book in range(300)))
    make_small(monkeypatch, tail=False)
    monkeypatch.setattr(missed, "PIECE_COUNT_MAX", 50)
    monkeypatch.setattr(deliveries_module, "SLICE_MS", 1.0)
    reads: list[Offset] = []
    run = missed.LogRead.run
    monkeypatch.setattr(missed.LogRead, "run", lambda read: (reads.append(read.first), run(read))[1])
    for number, client in enumerate(clients):
        client.says(["subscribe", 1, BY_AUTHOR, [f"author {number}"], shelf.epoch, offset])
    shelf.commit()
    assert len(reads) <= 7
    for number, client in enumerate(clients):
        told = [each for message in client.read() if message[0] == "chunk" for each in message[3]]
        assert [rows[0][0] for _, _, rows, _ in told] == [number, number + 100, number + 200]


def test_those_who_come_back_from_many_places_all_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far more places of the log than pieces kept: a piece stays until whoever asked for it took it."""
    shelf = Shelf()
    writer = shelf.client()
    offsets = [writer.asks(["call", 1, "put", [book, "ann"]])[-1][2] for book in range(40)]
    make_small(monkeypatch, tail=False)
    returned: list[View] = []
    for offset in offsets[::4]:
        client = shelf.client(name=None)
        client.says(["hello", ""])
        returned.append(View(client, 1, BY_AUTHOR, "ann", epoch=shelf.epoch, offset=offset))
    pieces = sum((offsets[-1] - view.offset + 1) // 2 for view in returned)
    for _ in range(3 * pieces):
        step(shelf)
    for view in returned:
        view.take(view.client.read())
    assert [(view.resumed, view.more, view.offset) for view in returned] == [(True, False, offsets[-1])] * 10


# The law.

QUERIES: list[tuple[str, list[Any]]] = [
    (ALL_BOOKS, []),
    (BY_AUTHOR, ["ann"]),
    (BY_COPIES, [1]),
    ("SELECT * FROM books WHERE id = 2", []),
    ("SELECT * FROM books WHERE id = NULL", []),
]
histories = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 6), st.sampled_from(["ann", "bob"]), st.integers(0, 2)),
        st.tuples(st.just("drop"), st.integers(0, 6)),
        st.tuples(st.sampled_from(["join", "leave", "return", "step", "step", "step", "hear"]), st.integers(0, 4)),
        st.just(("crash",)),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(histories, st.sampled_from(SUBPROTOCOLS), st.booleans())
def test_a_view_is_its_query_however_it_was_delivered(
    history: list[tuple[Any, ...]],
    subprotocol: str,
    tail: bool,  # noqa: FBT001  # Drawn.
) -> None:
    """Joining, leaving, returning, crashing at any step between writes: a view ends as what a fresh query says."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_small(monkeypatch, tail=tail)
        shelf = filled(5)
        writer = shelf.client()
        views: list[View] = []
        gone: list[View] = []
        for name, *args in history:
            if name in {"put", "drop"}:
                writer.says(["call", 1, name, args])
            elif name == "step":
                step(shelf)
            else:
                come_or_go(shelf, views, gone, name, *args, subprotocol=subprotocol)
                if name == "crash":
                    writer = shelf.client()
        shelf.commit()
        for view in views:
            view.take(view.client.read())
            assert not view.more
            sql, params = QUERIES[view.number]
            assert view.sorted() == shelf.client(subprotocol).asks(["query", 1, sql, params])[0][4]


def come_or_go(
    shelf: Shelf, views: list[View], gone: list[View], name: str, which: int = 0, *, subprotocol: str
) -> None:
    """One of the acts of clients."""
    if name == "join":
        sql, params = QUERIES[which]
        views.append(View(newcomer(shelf, subprotocol), which, sql, *params))
    elif name == "leave" and views:
        leave(views, gone, which)
    elif name == "return" and gone:
        views.append(again(shelf, gone.pop(which % len(gone)), subprotocol))
    elif name == "hear":
        for view in views:
            view.take(view.client.read())
    elif name == "crash":
        while views:
            leave(views, gone, 0)
        shelf.commit()
        shelf.crash()


def leave(views: list[View], gone: list[View], which: int) -> None:
    """A client goes; what it has whole it can come back with."""
    view = views.pop(which % len(views))
    view.take(view.client.read())
    view.client.session.detach()
    if view.query and not (view.more and not view.resumed):
        view.held = []
        gone.append(view)


def newcomer(shelf: Shelf, subprotocol: str) -> Client:
    """A client whose greeting waits with everything else."""
    client = shelf.client(subprotocol, name=None)
    client.says(["hello", ""])
    return client


def again(shelf: Shelf, old: View, subprotocol: str) -> View:
    """It comes back with what it has."""
    client = newcomer(shelf, subprotocol)
    sql, params = QUERIES[old.number]
    view = View(client, old.number, sql, *params, epoch=shelf.epoch, offset=old.offset)
    view.rows = dict(old.rows)
    return view
