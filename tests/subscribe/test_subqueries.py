"""Memberships that are followed: rows enter and leave as the rows of other tables come and go."""

import json
from typing import Any

import pytest

from store.subscribe import subqueries
from store.subscribe.options import Options
from store.subscribe.routes import Route
from tests.subscribe import board
from tests.subscribe.scenes import Client, Shelf, View

OF_ANN = "SELECT * FROM items WHERE list IN (SELECT id FROM lists WHERE owner = $1)"
OF_TEAM = (
    "SELECT id, title FROM items WHERE list IN"
    " (SELECT id FROM lists WHERE owner IN (SELECT name FROM people WHERE team = 1))"
)


def change(*changes: tuple[str, Any, dict[str, Any] | None]) -> list[Any]:
    """A call that does all of it in one transaction."""
    return ["call", 1, "change", [json.dumps(changes)]]


def opened(*changes: tuple[str, Any, dict[str, Any] | None], options: Options | None = None) -> tuple[Shelf, Client]:
    """A store with these rows, and a client."""
    shelf = Shelf(options, board)
    client = shelf.client()
    assert client.asks(change(*changes))[0][0] == "result"
    return shelf, client


def moved(client: Client, *changes: tuple[str, Any, dict[str, Any] | None]) -> list[Any]:
    """What one transaction moved, for a client with one query: (keys of rows that came or changed, keys that left)."""
    deltas = [each for each in client.asks(change(*changes)) if each[0] == "delta"]
    (parts,) = [each[3] for each in deltas] or [[["", [], []]]]
    ((_, rows, keys),) = parts
    return [sorted(row[0] for row in rows), sorted(keys)]


LISTS = [("lists", 1, {"owner": "ann"}), ("lists", 2, {"owner": "bob"})]
ITEMS = [("items", number, {"list": 1 + number % 2, "title": "x"}) for number in range(6)]


def test_rows_enter_and_leave_with_their_list() -> None:
    """A list that comes to be hers brings its items, and takes them along when it goes: in that transaction's delta."""
    _, client = opened(*LISTS, *ITEMS)
    client.asks(["subscribe", 1, OF_ANN, ["ann"]])
    assert moved(client, ("lists", 2, {"owner": "ann"})) == [[1, 3, 5], []]
    assert moved(client, ("lists", 1, {"owner": None})) == [[], [0, 2, 4]]
    assert moved(client, ("lists", 2, None)) == [[], [1, 3, 5]]
    assert moved(client, ("lists", 2, None), ("items", 9, {"list": 2})) == [[], []]


def test_deleting_the_parent_removes_its_children_from_every_view() -> None:
    """Nested to any depth, projected or whole, in one delta."""
    _, client = opened(("people", "ann", {"team": 1}), *LISTS, *ITEMS)
    client.asks(["subscribe", 1, OF_ANN, ["ann"]], ["subscribe", 2, OF_TEAM], ["subscribe", 3, "SELECT * FROM people"])
    heard = client.asks(change(("people", "ann", None), ("lists", 1, None)))
    assert [each[0] for each in heard] == ["delta", "result"]
    assert all(rows == [] for _, rows, _ in heard[0][3])
    assert [sorted(keys) for _, _, keys in heard[0][3]] == [["ann"], [0, 2, 4], [0, 2, 4]]


def test_one_of_two_that_bring_a_value_may_go() -> None:
    """Rows stay as long as one is left."""
    _, client = opened(("items", 1, {"owner": "ann"}), ("lists", 1, {"owner": "ann"}), ("lists", 2, {"owner": "ann"}))
    client.asks(["subscribe", 1, "SELECT * FROM items WHERE owner IN (SELECT owner FROM lists)"])
    assert moved(client, ("lists", 1, None)) == [[], []]
    assert moved(client, ("lists", 2, None)) == [[], [1]]


def test_not_in_follows_null_and_nothing() -> None:
    """Where NULL is among the values, no row is outside; where there is no value, all are."""
    _, client = opened(*ITEMS[:2], ("items", 2, {"list": None}), ("lists", 1, {"owner": "ann", "parent": 1}))
    client.asks(["subscribe", 1, "SELECT * FROM items WHERE list NOT IN (SELECT parent FROM lists)"])
    assert moved(client, ("lists", 2, {"parent": None})) == [[], [1]]
    assert moved(client, ("lists", 2, None)) == [[1], []]
    assert moved(client, ("lists", 1, None)) == [[0, 2], []]


def test_a_row_is_told_once_whatever_moved_it() -> None:
    """Its own change, its list's and the list's owner's, in one transaction."""
    _, client = opened(("people", "ann", {"team": 2}), *LISTS, *ITEMS)
    client.asks(["subscribe", 1, OF_TEAM])
    assert moved(client, ("people", "ann", {"team": 1}), ("items", 0, {"list": 1, "title": "y"})) == [[0, 2, 4], []]
    assert moved(client, ("items", 0, {"list": 1, "title": "y", "points": 3})) == [[], []]
    assert moved(client, ("people", "ann", None), ("items", 0, {"list": 2}), ("items", 2, None)) == [[], [0, 2, 4]]


def test_equal_subqueries_are_one() -> None:
    """However many queries ask them, however written, also within one text; and when all go, nothing is left."""
    shelf, client = opened(*LISTS, *ITEMS)
    texts = [
        "SELECT * FROM items WHERE list IN (SELECT id FROM lists WHERE owner = 'ann')",
        "SELECT id FROM items WHERE list IN (select id from lists where 'ann' = owner) AND points > 1",
        (
            "SELECT * FROM lists WHERE parent IN (SELECT id FROM lists WHERE owner = 'ann')"
            " OR id IN (SELECT id FROM lists WHERE owner = 'ann')"
        ),
    ]
    client.asks(*(["subscribe", number, text] for number, text in enumerate(texts)))
    other = shelf.client()
    other.asks(["subscribe", 1, texts[0]])
    held = shelf.subscriptions.subqueries
    assert len(held.nodes) == 1
    client.session.detach()
    assert len(held.nodes) == 1
    other.asks(["unsubscribe", 1])
    assert (len(held.nodes), held._lookups, held._kept, shelf.subscriptions._routes) == (0, {}, {}, {})


def test_a_change_asks_those_it_may_concern_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many who follow the lists of many owners, only those with that list are asked; so with a shared subquery."""
    _, client = opened(*LISTS, *ITEMS)
    client.asks(*(["subscribe", number, OF_ANN, [f"p{number}"]] for number in range(200)))
    shared = "SELECT * FROM items WHERE owner = $1 AND list IN (SELECT id FROM lists WHERE open)"
    client.asks(*(["subscribe", 200 + number, shared, [f"p{number}"]] for number in range(100)))
    asked: list[int] = []
    answer = subqueries.Followed.answer
    monkeypatch.setattr(
        subqueries.Followed, "answer", lambda self, about, pasts: asked.append(1) or answer(self, about, pasts)
    )
    client.asks(change(("lists", 7, {"owner": "p7", "open": False})), change(("items", 50, {"list": 7, "owner": "p8"})))
    assert len(asked) == 2
    asked.clear()
    client.asks(change(("lists", 7, {"owner": None, "open": True})))
    assert len(asked) == 2


def test_values_that_went_lead_nowhere() -> None:
    """A row of a list that is hers no longer concerns nobody."""
    shelf, client = opened(*LISTS, *ITEMS)
    client.asks(["subscribe", 1, OF_ANN, ["ann"]])
    client.asks(change(("lists", 1, None)))
    items = next(each for each in shelf.engine.database.tables.values() if each.schema.name == "items")
    route: Route = shelf.subscriptions._routes[items.schema.id]
    asked: dict[Any, Any] = {}
    route.collect(0, items.rows[0], None, {}, asked)
    assert asked == {}


def test_a_subquery_is_filled_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes in no more rows than PREPARED_MAX; what is written between two steps is in it, once."""
    monkeypatch.setattr(subqueries, "PREPARED_MAX", 2)
    shelf, client = opened(*[("lists", number, {"owner": "ann", "parent": number}) for number in range(8)], *ITEMS)
    view = View(client, 1, "SELECT * FROM items WHERE list IN (SELECT parent FROM lists WHERE owner LIKE 'a%')")
    for number in (0, 7, 7, 3):
        shelf.subscriptions.deliveries.step()
        assert "subscribed" not in [each[0] for each in client.read()]
        client.says(change(("lists", number, {"owner": "bob", "parent": number})))
    client.says(change(("lists", 1, {"owner": "ann", "parent": 9}), ("lists", 9, {"owner": "abe", "parent": 2})))
    view.take(client.hears())
    assert [row[0] for row in view.sorted()] == [1, 3, 5]


def test_first_rows_are_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that changes hands between two chunks changes nothing in the chunks; its delta tells."""
    monkeypatch.setattr("store.subscribe.first_rows.CHUNK_ROWS_MAX", 2)
    monkeypatch.setattr("store.subscribe.deliveries.SLICE_MS", -1.0)
    shelf, client = opened(*LISTS, *ITEMS)
    view = View(client, 1, OF_ANN, "ann")
    deliveries = shelf.subscriptions.deliveries
    deliveries.step()
    client.says(change(("lists", 1, None), ("lists", 2, {"owner": "ann"})), change(("lists", 3, {"owner": "ann"})))
    view.take(client.hears())
    assert [row[0] for row in view.sorted()] == [1, 3, 5]
    assert len(view.offsets) == 1
    assert all(not each.pasts for each in shelf.subscriptions.subqueries._of)


def test_a_subquery_without_a_value_ends_what_rests_on_it_alone() -> None:
    """Through all that is between; the call and the other queries go on, and it may be asked again when mended."""
    shelf, client = opened(("items", 1, {"list": 1, "points": 2}), *LISTS)
    inner = "SELECT list FROM items WHERE 6 / points > 1"
    sound = ["subscribe", 1, "SELECT * FROM items"]
    middle = f"SELECT id FROM lists WHERE id IN ({inner})"  # noqa: S608  # Our own.
    broken = ["subscribe", 2, f"SELECT * FROM people WHERE team IN ({middle})"]  # noqa: S608  # Our own.
    client.asks(sound, broken)
    heard = client.asks(change(("items", 2, {"list": 1, "points": 0})))
    assert sorted(each[0] for each in heard) == ["delta", "failure", "result"]
    (failure,) = [each for each in heard if each[0] == "failure"]
    assert failure[1:5] == ["subscribe", 2, 0, "malformed_query"]
    assert "division by zero" in failure[5]
    assert len(shelf.subscriptions.subqueries.nodes) == 0
    assert client.asks(broken)[0][:3] == ["failure", "subscribe", 2]
    client.asks(change(("items", 2, None)))
    assert client.asks(broken)[0][0] == "subscribed"


def test_more_rows_than_one_transaction_may_move_end_the_query() -> None:
    """With the limit's name; it can be followed again."""
    shelf, client = opened(*LISTS, *ITEMS, options=Options(affected_rows_max=2))
    client.asks(["subscribe", 1, OF_ANN, ["ann"]])
    heard = client.asks(change(("lists", 2, {"owner": "ann"})))
    assert [each[0] for each in heard] == ["failure", "result"]
    assert (heard[0][4], heard[0][6]["limit"]) == ("overloaded", "affected_rows_max")
    assert len(client.asks(["subscribe", 1, OF_ANN, ["ann"]])[0][6]) == 6
    assert shelf.subscriptions.query_count == 1


def test_a_large_table_wants_an_index() -> None:
    """Past the limit the subscription is refused, with the limit's name and what to do; with an index it is taken."""
    _, client = opened(*LISTS, *ITEMS, options=Options(unindexed_rows_max=5))
    (failure,) = client.asks(["subscribe", 1, OF_ANN, ["ann"]])
    assert (failure[0], failure[4], failure[6]["limit"]) == ("failure", "overloaded", "unindexed_rows_max")
    assert "index" in failure[5]
    by_owner = "SELECT * FROM items WHERE owner IN (SELECT owner FROM lists)"
    assert client.asks(["subscribe", 1, by_owner])[0][0] == "subscribed"


# Who comes back.


def away(client: Client, sql: str, *params: Any) -> tuple[Shelf, View]:
    """Follow a query, and go."""
    view = View(client, 1, sql, *params)
    view.take(client.hears())
    client.session.detach()
    return client.shelf, view


def back(shelf: Shelf, old: View, sql: str, *params: Any) -> tuple[View, list[Any]]:
    """Come back with what was there; what is heard."""
    view = View(shelf.client(), 1, sql, *params, epoch=shelf.epoch, offset=old.offset)
    view.rows = dict(old.rows)
    heard = view.client.hears()
    view.take(heard)
    return view, heard


@pytest.mark.parametrize("tail", [True, False])
def test_what_was_missed_comes_as_one_change(tail: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """From memory or from the log: what it comes to, at the last offset; rows that came and went are not told."""
    if not tail:
        monkeypatch.setattr("store.engine.newest.Newest.records", lambda *_, **__: None)
    monkeypatch.setattr("store.subscribe.missed.PIECE_COUNT_MAX", 2)
    _, client = opened(("people", "ann", {"team": 1}), *LISTS, *ITEMS)
    shelf, old = away(client, OF_TEAM)
    writer = shelf.client()
    writer.asks(
        change(("lists", 2, {"owner": "ann"})), change(("lists", 1, {"owner": "bob"})),
        change(("items", 7, {"list": 2})), change(("items", 7, None)),
        change(("items", 1, {"list": 2, "title": "new"})),
        change(("people", "bob", {"team": 1})), change(("people", "bob", {"team": 2})), change(("items", 3, None)),
    )  # fmt: skip
    view, heard = back(shelf, old, OF_TEAM)
    assert view.resumed
    assert view.sorted() == shelf.rows(OF_TEAM)
    (missed,) = [each for message in heard if message[0] == "chunk" for each in message[3]]
    assert missed[0] == shelf.engine.write_path.last_offset
    assert (missed[2], sorted(missed[3])) == ([[1, "new"], [5, "x"]], [0, 2, 4])
    assert moved(view.client, ("lists", 2, None)) == [[], [1, 5]]


def test_who_missed_nothing_of_it_is_told_nothing() -> None:
    """Other tables and other rows do not count; deltas follow."""
    _, client = opened(*LISTS, *ITEMS)
    shelf, old = away(client, OF_ANN, "ann")
    shelf.client().asks(change(("people", "ann", {"team": 1}), ("items", 1, {"list": 2, "title": "other"})))
    view, heard = back(shelf, old, OF_ANN, "ann")
    assert [each[0] for each in heard] == ["subscribed"]
    assert (view.resumed, view.rows) == (True, old.rows)
    assert moved(view.client, ("lists", 2, {"owner": "ann"})) == [[1, 3, 5], []]


@pytest.mark.parametrize("how", ["absence.ABSENCE_ROWS_MAX", "Options"])
def test_who_missed_too_much_gets_rows_anew(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marked as such, for that query alone: past what an absence may hold, or what one change may move."""
    if how != "Options":
        monkeypatch.setattr(f"store.subscribe.{how}", 1)
    _, client = opened(*LISTS, *ITEMS, options=Options(affected_rows_max=5 if how != "Options" else 2))
    shelf, old = away(client, OF_ANN, "ann")
    shelf.client().asks(change(("lists", 2, {"owner": "ann"}), ("items", 8, {"list": 1})))
    view, _ = back(shelf, old, OF_ANN, "ann")
    assert not view.resumed
    assert len(view.rows) == 7
    assert view.anew is not None
    assert (view.anew[0], view.anew[7]) == ("not_resumable", "affected_rows_max" if how == "Options" else "")


def test_many_subqueries_are_moved_by_one_transaction_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote is put in order once, and each subquery is looked at once for each that they are nested deep."""
    shelf, client = opened()
    nested = OF_TEAM.replace("team = 1", "team = $1")
    client.asks(*(["subscribe", number, nested, [number]] for number in range(100)))
    looked: list[int] = []
    height, made = subqueries._height, subqueries._Written.__init__
    monkeypatch.setattr(subqueries, "_height", lambda node: looked.append(1) or height(node))
    monkeypatch.setattr(subqueries._Written, "__init__", lambda self, writes: looked.append(0) or made(self, writes))
    people = [("people", f"p{number}", {"team": number}) for number in range(100)]
    lists = [("lists", number, {"owner": f"p{number}"}) for number in range(100)]
    heard = client.asks(change(*people, *lists, *(("items", number, {"list": number}) for number in range(100))))
    assert len(heard[0][3]) == 100
    assert (looked.count(0), looked.count(1)) == (1, 200)
    assert len(shelf.subscriptions.subqueries.nodes) == 200
