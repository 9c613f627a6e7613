"""Deliveries: joining, leaving and returning at any step, a view ends as its query."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.subscribe.pieces import BY_COPIES, filled, make_small, step
from tests.subscribe.scenes import ALL_BOOKS, BY_AUTHOR, SUBPROTOCOLS, Client, Shelf, View


@pytest.mark.usefixtures("small")
def test_who_leaves_leaves_nothing_behind() -> None:
    """Unsubscribed or gone amid first rows, waiting for a turn, or amid what it missed: nothing is kept of it."""
    shelf = filled(9)
    deliveries, means, client = shelf.subscriptions.deliveries, shelf.subscriptions.deliveries._means, shelf.client()
    client.says(["subscribe", 1, ALL_BOOKS], ["subscribe", 2, BY_COPIES, [1]], ["unsubscribe", 1])
    client.says(["subscribe", 3, BY_AUTHOR, ["ann"], shelf.epoch, 3])
    step(shelf)
    client.session.detach()
    shelf.commit()
    assert (deliveries._of, deliveries.streams, means.missing, means.streams.count) == ({}, {}, {}, 0)
    assert (shelf.subscriptions.query_count, shelf.engine.feed.followers) == (0, [])


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
