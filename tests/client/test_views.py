"""Live views against a model: whatever the server says and whenever the connection is lost, a view is a dict."""

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from store.client import ClientOptions, Delete, Insert, ViewDelta
from store.client.index import ViewIndex
from store.client.rows import Change
from store.client.streams import ChangeStream, DeltaStream
from store.client.view import View
from store.ids import Offset, QueryId, Timestamp
from store.subscribe.messages import Delta, Message, Part, Subscribed
from tests.client.scenes import ACCOUNTS, Watcher, failure, raw, waiting

Row = tuple[str, int]
Table = dict[int, Row]

QUERIES = 3
COLUMNS = {"id": lambda key, _row: key, "owner": lambda _key, row: row[0], "balance": lambda _key, row: row[1]}
rows = st.dictionaries(
    st.integers(0, 5), st.none() | st.tuples(st.sampled_from("ab"), st.integers(0, 2)), min_size=1, max_size=4
)
"""What a transaction writes: keys with their rows, None for a row that goes."""
writes = st.lists(rows, min_size=QUERIES, max_size=QUERIES)
numbers = st.integers(0, QUERIES - 1)


def plain(row: Any) -> Row:
    """A view's row as the model has it."""
    return row.owner, row.balance


class Copy:
    """Rows that are kept by what a view tells alone."""

    def __init__(self, view: View[Any]) -> None:
        self.rows: Table = {key: plain(row) for key, row in view.items()}

    def take(self, change: Change[Any]) -> None:
        """Make the change, which must fit."""
        before = None if isinstance(change, Insert) else plain(change.before)
        assert self.rows.get(change.key) == before
        if isinstance(change, Delete):
            del self.rows[change.key]
        else:
            assert plain(change.after) != before
            self.rows[change.key] = plain(change.after)


class Watched:
    """One view with all that listens to it."""

    def __init__(self, number: int, view: View[Any], check: Callable[[], None]) -> None:
        self.number = number
        self.view = view
        self.check = check
        self.indexes: dict[str, ViewIndex[Any]] = {}
        self.streams: list[tuple[ChangeStream[Any] | DeltaStream[Any], Copy]] = []
        self.heard = Copy(view)
        self.unsubscribe: list[Callable[[], None]] = []

    def listen(self) -> None:
        """Keep a copy by callbacks, from here on."""
        view, self.heard = self.view, Copy(self.view)
        self.unsubscribe = [
            view.on_insert(lambda after: self.hear(Insert(after.id, after))),
            view.on_delete(lambda before: self.hear(Delete(before.id, before))),
            view.on_update(self.hear_update),
        ]

    def hear(self, change: Change[Any]) -> None:
        """A callback is told."""
        self.heard.take(change)
        self.check()

    def hear_update(self, before: Any, after: Any) -> None:
        """A callback is told."""
        assert plain(self.view[after.id]) == plain(after)
        assert self.heard.rows[after.id] == plain(before)
        self.heard.rows[after.id] = plain(after)
        self.check()

    def silence(self) -> None:
        """Hear no more."""
        for each in self.unsubscribe:
            each()
        self.unsubscribe = []


class ViewsMachine(RuleBasedStateMachine):
    """A server in a few lines, which follows up to three queries for one client."""

    def __init__(self) -> None:
        super().__init__()
        self.watcher = Watcher(ClientOptions(deltas_queued_max=2))
        self.offset = 3
        self.tables: list[Table] = [{} for _ in range(QUERIES)]
        self.history: dict[int, list[Table]] = {3: [{} for _ in range(QUERIES)]}
        """All queries' rows at every offset."""
        self.watched: dict[int, Watched] = {}
        self.ended: list[tuple[View[Any], Table]] = []

    # What the server does.

    def transact(self, write: list[dict[int, Row | None]]) -> list[Part]:
        """One transaction: what it changes in each query."""
        self.offset += 1
        parts = []
        for number, (table, said) in enumerate(zip(self.tables, write, strict=True)):
            changed = {key: row for key, row in said.items() if table.get(key) != row}
            if not changed:
                continue
            for key, row in changed.items():
                if row is None:
                    del table[key]
                else:
                    table[key] = row
            told = tuple(raw([key, *row]) for key, row in changed.items() if row is not None)
            parts.append(Part(QueryId(f"q{number}"), told, tuple(key for key, row in changed.items() if row is None)))
        self.history[self.offset] = [dict(each) for each in self.tables]
        return parts

    def delta(self, write: list[dict[int, Row | None]]) -> list[Message]:
        """One transaction, as this client is told of it."""
        followed = {QueryId(f"q{number}") for number in self.watched}
        parts = tuple(each for each in self.transact(write) if each.query in followed)
        return [Delta(Offset(self.offset), Timestamp(self.offset), parts)] if parts else []

    def anew(self, number: int) -> Message:
        """All rows of a query."""
        said = [[key, *row] for key, row in sorted(self.tables[number].items())]
        return Subscribed(self.id_of(number), QueryId(f"q{number}"), Offset(self.offset), ACCOUNTS, False, raw(said))

    def id_of(self, number: int) -> int:
        """The client's subscription to a query."""
        view = self.watched[number].view
        return next(id_ for id_, each in self.watcher.opened.items() if each is view)

    # What may happen.

    @rule(script=st.lists(writes, min_size=1, max_size=4))
    def a_frame_of_transactions(self, script: list[list[dict[int, Row | None]]]) -> None:
        """Several transactions are told at once."""
        self.watcher.hear(*(message for write in script for message in self.delta(write)))

    @rule(missed=st.lists(writes, max_size=3), anew=st.sets(numbers), more=writes)
    def the_connection_is_lost(
        self, missed: list[list[dict[int, Row | None]]], anew: set[int], more: list[dict[int, Row | None]]
    ) -> None:
        """And comes back: some queries resume with what they missed, some are sent anew; then all goes on."""
        began = self.watcher.conversation.offset
        offsets = {number: max(began, each.view.offset) for number, each in self.watched.items()}
        parts = []
        for write in missed:
            told = self.transact(write)
            parts.append((self.offset, {each.query: each for each in told}))
        messages: list[Message] = []
        for number in self.watched:
            if number in anew:
                messages.append(self.anew(number))
                continue
            query = QueryId(f"q{number}")
            messages.append(Subscribed(self.id_of(number), query, Offset(offsets[number]), ACCOUNTS, True, raw([])))
            messages += [
                Delta(Offset(offset), Timestamp(offset), (told[query],)) for offset, told in parts if query in told
            ]
        self.watcher.come_back(*messages, *self.delta(more))

    @rule(number=numbers, listened=st.booleans(), column=st.none() | st.sampled_from(sorted(COLUMNS)))
    def a_view_opens(self, number: int, *, listened: bool, column: str | None) -> None:
        """One more query is followed."""
        if number in self.watched:
            return
        first = [[key, *row] for key, row in self.tables[number].items()]
        view = self.watcher.follow(*first, query=f"q{number}", sql=f"query {number}", offset=self.offset)
        self.watched[number] = each = Watched(number, view, self.every_view_is_its_query)
        if listened:
            each.listen()
        if column:
            each.indexes[column] = view.index(column)

    @precondition(lambda self: self.watched)
    @rule(data=st.data(), column=st.sampled_from(sorted(COLUMNS)))
    def an_index_is_wanted(self, data: st.DataObject, column: str) -> None:
        """By some column."""
        each = self.one(data)
        each.indexes[column] = each.view.index(column)

    @precondition(lambda self: self.watched)
    @rule(data=st.data())
    def somebody_listens_or_stops(self, data: st.DataObject) -> None:
        """By callbacks."""
        each = self.one(data)
        if each.unsubscribe:
            each.silence()
        else:
            each.listen()

    @precondition(lambda self: self.watched)
    @rule(data=st.data(), deltas=st.booleans())
    def a_stream_is_wanted(self, data: st.DataObject, *, deltas: bool) -> None:
        """Of changes, or of deltas that are folded where nobody reads."""
        each = self.one(data)
        each.streams.append((each.view.deltas() if deltas else each.view.changes(), Copy(each.view)))

    @precondition(lambda self: self.watched)
    @rule(data=st.data())
    def somebody_reads(self, data: st.DataObject) -> None:
        """All streams of one view: they add up to its rows."""
        each = self.one(data)
        for stream, copy in each.streams:
            for item in waiting(stream):
                for change in item.changes if isinstance(item, ViewDelta) else [item]:
                    copy.take(change)
            assert copy.rows == self.tables[each.number]

    @precondition(lambda self: self.watched)
    @rule(data=st.data())
    def a_view_fails(self, data: st.DataObject) -> None:
        """The server ends one; its rows stand still."""
        each = self.one(data)
        self.watcher.hear(failure("subscribe", self.id_of(each.number), "denied"))
        assert each.view.closed
        self.ended.append((each.view, dict(self.tables[each.number])))
        del self.watched[each.number]

    def one(self, data: st.DataObject) -> Watched:
        """Some view."""
        return self.watched[data.draw(st.sampled_from(sorted(self.watched)))]

    # What always holds.

    @invariant()
    def every_view_is_its_query(self) -> None:
        """At its offset; its indexes are its rows; a callback sees it so, too."""
        for number, each in self.watched.items():
            at = max(offset for offset in self.history if offset <= each.view.offset)
            model = self.history[at][number]
            assert {key: plain(row) for key, row in each.view.items()} == model
            for column, index in each.indexes.items():
                values = {COLUMNS[column](key, row) for key, row in model.items()}
                assert set(index) == values
                for value in values:
                    expected = {key: row for key, row in model.items() if COLUMNS[column](key, row) == value}
                    assert {row.id: plain(row) for row in index[value]} == expected
        assert self.watcher.raised == []

    @invariant()
    def every_view_is_current(self) -> None:
        """After each step every view is its query now, what callbacks heard adds up to it, and ended views stand."""
        for number, each in self.watched.items():
            assert {key: plain(row) for key, row in each.view.items()} == self.tables[number]
            if each.unsubscribe:
                assert each.heard.rows == self.tables[number]
        for view, there in self.ended:
            assert {key: plain(row) for key, row in view.items()} == there


TestViews = ViewsMachine.TestCase
TestViews.settings = settings(derandomize=True, max_examples=80, stateful_step_count=25, deadline=None)
