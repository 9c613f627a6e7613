"""First rows: in chunks at one offset, whatever is written meanwhile, and nobody waits for another."""

from typing import Any

import pytest

from store.subscribe.options import Options
from tests.subscribe.pieces import BY_COPIES, filled, names, step
from tests.subscribe.scenes import ALL_BOOKS, BY_AUTHOR, SUBPROTOCOLS, Shelf, View

each_subprotocol = pytest.mark.parametrize("subprotocol", SUBPROTOCOLS)


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
