"""What was missed: from RAM and from the log, each change once, at its own offset; past the log, rows anew."""

from typing import Any

import pytest

from store.errors import CorruptionError
from store.ids import Offset
from store.subscribe import deliveries, missed
from store.subscribe.messages import SUBPROTOCOL_JSON
from store.subscribe.options import Options
from tests.subscribe.pieces import filled, make_small, step
from tests.subscribe.scenes import BY_AUTHOR, SUBPROTOCOLS, Shelf, View

each_subprotocol = pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)


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
    monkeypatch.setattr(deliveries, "SLICE_MS", 1.0)
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
