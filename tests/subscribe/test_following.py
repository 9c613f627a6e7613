"""Followed queries of the whole language, over related tables: whatever happens, a view is its query.

Random transactions of several tables, random queries with projections, ranges, IN, nested membership, NULLs and JSON;
clients that join, leave, come back, and a store that crashes. After every step each view that is whole equals what the
same query answers when it is asked once.
"""

import json
from contextlib import suppress
from random import Random
from typing import Any

import msgspec
import pytest

from store.engine.identity import SCOPES, Caller, Identity
from store.errors import MalformedQuery
from store.ids import ConnectionId
from store.query import routing
from store.query.intervals import Intervals
from store.query.meaning.membership import Membership
from store.query.shaping import aggregates, groups, ranked, topk
from store.query.shaping.groups import Groups
from store.query.shaping.topk import TopK
from store.subscribe import deliveries, first_rows, missed, routes, shaped, subqueries, subquery
from store.subscribe import followed as followed_module
from store.subscribe.absence import Absence
from store.subscribe.followed import Rows
from store.subscribe.lookups import Lookup
from store.subscribe.reading import read
from store.subscribe.subqueries import Subqueries
from tests.query.results import in_order
from tests.subscribe import board
from tests.subscribe.pieces import deliver
from tests.subscribe.questions import FEW, followed, transaction
from tests.subscribe.scenes import Client, Shelf, View

SMALL = [
    (first_rows, "CHUNK_ROWS_MAX", 2),
    (first_rows, "SORTED_MAX", 2),
    (first_rows, "GATHERED_MAX", 2),
    (first_rows, "LOOKED_UP_MAX", 2),
    (missed, "PIECE_COUNT_MAX", 2),
    (deliveries, "AT_ONCE_MAX", 1),
    (deliveries, "SLICE_MS", -1.0),
    (subqueries, "PREPARED_MAX", 2),
    (subqueries, "LOOKED_UP_MAX", 2),
    (subqueries, "PROBED_MIN", 2),
    (shaped, "MOVES_MAX", 1),
    (shaped, "PREPARED_MAX", 1),
    (topk, "SPARE_ROWS", 0),
    (topk, "LOW_ROWS", 0),
    (ranked, "HELD_MAX", 2),
    (ranked, "LOW_VALUES", 2),
    (routes, "BUCKET_MAX", 2),
    (routes, "ROUTED_VALUES_MAX", 2),
]
"""Constants as small as the tables."""

SEEDS = 40
"""Histories that are lived through, each with tables that are small beside every constant, and with small constants."""
DIVISION = "division by zero"

ACTS = [
    *["change"] * 6,
    *["join"] * 3,
    "same",
    "leave",
    "leave",
    "return",
    "return",
    "return",
    "step",
    "step",
    "step",
    "all",
    "crash",
]


def steps(chance: Random, count: int) -> list[tuple[Any, ...]]:
    """So many things that happen, to few items or to many."""
    items = chance.choice([FEW, FEW, 70])
    made: list[tuple[Any, ...]] = [] if items == FEW else [("change", transaction(chance, items, 2 * items))]
    for _ in range(count):
        name = chance.choice(ACTS)
        if name == "change":
            made.append((name, transaction(chance, items)))
        else:
            made.append((name, followed(chance) if name == "join" else chance.randrange(10)))
    return made


class Follower:
    """One who follows one query on a connection of its own."""

    def __init__(self, shelf: Shelf, sql: str, old: "Follower | None" = None) -> None:
        self.sql = sql
        self.client: Client = shelf.client(name=None)
        self.client.says(["hello", ""])
        if old is None:
            self.view = View(self.client, 1, sql)
        else:
            self.view = View(self.client, 1, sql, epoch=shelf.epoch, offset=max(old.view.offset, old.reached))
            self.view.rows = dict(old.view.rows)
        self.reached = self.view.offset
        self.failure: Any = None

    def hear(self) -> None:
        """Take what was sent. What is told of a projection is new."""
        for message in self.client.read():
            if message[0] == "failure":
                self.failure = message
            elif message[0] == "delta":
                self.reached = message[1]
                for _, rows, _ in [] if self.view.more or "SELECT *" in self.sql else message[3]:
                    known, key_of = self.view.rows, self.view.key_of
                    assert all(known.get(key_of(row)) != row for row in rows), "told though unchanged"
            self.view.take([message])

    @property
    def whole(self) -> bool:
        """Whether it has all rows of one offset."""
        return self.failure is None and bool(self.view.query) and not self.view.more

    def leave(self) -> None:
        """Go; what was whole can come back."""
        self.hear()
        self.client.session.detach()
        self.view.held = []


def answer(shelf: Shelf, sql: str) -> list[Any]:
    """What the query says when it is asked now."""
    caller = Caller(Identity("tests", "ann", SCOPES), ConnectionId(9), "memory")
    return [msgspec.msgpack.decode(row) for row in read(shelf.engine, caller, sql, (), shelf.options).rows]


def one_form(row: list[Any], types: list[str]) -> list[Any]:
    """A row whose JSON is written in one way: a group by JSON is told as one of its rows wrote it."""
    return [
        json.dumps(json.loads(said, parse_int=float), sort_keys=True) if kind == "json" and said else said
        for said, kind in zip(row, types, strict=True)
    ]


def check_view(view: View, answered: list[list[Any]], sql: str) -> None:
    """A view holds what was answered, and can put it in the same order, but for groups that tie."""
    rows = sorted(view.rows.values(), key=view.key_of if view.key >= 0 else repr)
    if view.key < 0:
        rows = sorted((one_form(row, view.types) for row in rows), key=repr)
        answered = [one_form(row, view.types) for row in answered]
    ordered = in_order(rows, view.order, view.types)
    if view.key >= 0:
        assert ordered == (answered if view.order else sorted(answered, key=view.key_of)), sql
    else:
        assert rows == sorted(answered, key=repr), sql
        places = [place for place, _, _ in view.order]
        assert [[row[each] for each in places] for row in ordered] == [
            [row[each] for each in places] for row in answered
        ], sql


class History:
    """A store and its followers."""

    def __init__(self) -> None:
        self.shelf = Shelf(domain=board)
        self.writer = self.shelf.client()
        self.here: list[Follower] = []
        self.gone: list[Follower] = []

    def do(self, name: str, *args: Any) -> None:
        """One step."""
        if name == "change":
            self.writer.says(["call", 1, "change", [json.dumps(args[0])]])
        elif name == "join":
            self.here.append(Follower(self.shelf, args[0]))
        elif name == "same" and self.here:
            self.here.append(Follower(self.shelf, self.here[args[0] % len(self.here)].sql))
        elif name == "leave" and self.here:
            self.leave(args[0])
        elif name == "return" and self.gone:
            old = self.gone.pop(args[0] % len(self.gone))
            self.here.append(Follower(self.shelf, old.sql, old))
        elif name == "step":
            deliver(self.shelf)
        elif name == "all":
            self.shelf.commit()
        elif name == "crash":
            self.shelf.engine.group_commit.commit()
            while self.here:
                self.leave(0)
            self.shelf.crash()
            self.writer = self.shelf.client()
        self.check()

    def leave(self, which: int) -> None:
        """One goes."""
        follower = self.here.pop(which % len(self.here))
        follower.leave()
        if follower.whole:
            self.gone.append(follower)

    def check(self) -> None:
        """Every view that is whole is its query."""
        self.shelf.engine.group_commit.commit()
        assert all(each[0] != "failure" for each in self.writer.read())
        for each in tuple(self.here):
            each.hear()
            if each.failure is not None:
                assert DIVISION in each.failure[5], each.failure
                self.here.remove(each)
            elif each.whole:
                with suppress(MalformedQuery):  # Asked once it may look at other rows first: 6 / 0 ends the question.
                    check_view(each.view, answer(self.shelf, each.sql), each.sql)

    def end(self) -> None:
        """All is delivered; and when all are gone, nothing is left of them."""
        self.shelf.commit()
        self.check()
        assert all(each.whole for each in self.here)
        while self.here:
            self.leave(0)
        held = self.shelf.subscriptions
        assert (held._room.used, held.deliveries._renewed) == (0, {})
        assert (held.query_count, len(held.subqueries.nodes), held._routes, held._held) == (0, 0, {}, {})
        assert (held.subqueries._lookups, held.subqueries._kept, held.subqueries._of) == ({}, {}, {})


def live(seed: int, *, small: bool) -> None:
    """A whole history. AssertionError where a view is not its query."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for module, name, value in SMALL if small else ():
            monkeypatch.setattr(module, name, value)
        chance = Random(seed)  # noqa: S311  # It is to be the same each time.
        lived = History()
        for step in steps(chance, 60):
            lived.do(*step)
        lived.end()


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_view_is_its_query_whatever_happens(seed: int, small: bool) -> None:  # noqa: FBT001  # A parameter.
    """Rows enter, change and leave in the delta of the transaction that made it so, by whatever way."""
    live(seed, small=small)


def _now_and_then(whole: Any) -> Any:
    """Every third time nothing is done."""
    count = 0

    def some(*args: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        return whole(*args, **named) if count % 3 else None

    return some


class _Untold(Rows):
    """What left is not told."""

    def fold(self, moves: Any) -> Any:
        return super().fold(moves)[0], []


class _Talkative(Rows):
    """What did not change is told."""

    def fold(self, moves: Any) -> Any:
        return [after for _, _, after in moves if after is not None], super().fold(moves)[1]


_uses, _at, _writes = subquery.member_uses, Intervals.at, Absence.writes
_told, _branches = Groups._told, routing.branches


def _with_more(groups: Any, touched: Any) -> Any:
    return [each for each in _told(groups, touched) if each[2] is not None]


def _positive(*said: Any) -> Any:
    return tuple(each._replace(positive=True) for each in _uses(*said))


def _only_small(intervals: Any, value: Any) -> Any:
    return [] if isinstance(value, int) and value > 1 else _at(intervals, value)


def _without_keys(missed: Any) -> Any:
    return lambda *said: missed(*said)._replace(keys=())


def _only_what_is_there(absence: Any) -> Any:
    return [each for each in _writes(absence) if each[4] is not None]


PLANTED: dict[str, tuple[object, str, Any]] = {
    "members come and go unseen": (Subqueries, "_spread", _now_and_then(Subqueries._spread)),
    "what was is judged by what is": (Membership, "look_at", lambda *_: None),
    "NULL and nothing are like any value": (subquery, "member_uses", _positive),
    "rows that leave are not told": (followed_module, "Rows", _Untold),
    "a projection that did not change is told": (followed_module, "Rows", _Talkative),
    "a value is looked for where it was": (Lookup, "take", lambda *_: None),
    "ranges do not hold what is large": (Intervals, "at", _only_small),
    "an OR is its first branch": (routes, "branches", lambda term: _branches(term)[:1]),
    "a window holds what is behind its bound": (topk._Window, "is_before_bound", lambda *_: True),
    "a window that is used up is not filled": (TopK, "_is_short", property(lambda _: False)),
    "groups that have no rows are kept": (Groups, "_told", _with_more),
    "a best that is not known is none": (groups, "Exhausted", LookupError),
    "what changes while a result begins is lost": (shaped._Building, "note", lambda *_: None),
    "what left an order meanwhile is not told": (TopK, "missed", _without_keys(TopK.missed)),
    "groups that went meanwhile are not told": (Groups, "missed", _without_keys(Groups.missed)),
    "a group is compared with itself": (Groups, "compare", lambda *_: []),
    "a copy of an aggregate is the aggregate": (aggregates._Count, "copy", lambda count: count),
    "only what is there now was missed": (Absence, "writes", _only_what_is_there),
}
"""What goes wrong: where, and what is there instead."""


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within eight times as many histories as are lived through here."""
    where, what, instead = PLANTED[name]
    monkeypatch.setattr(where, what, instead)
    for seed in range(8 * SEEDS):
        for small in (False, True):
            try:
                live(seed, small=small)
            except (AssertionError, LookupError):
                return
    pytest.fail("nobody noticed")
