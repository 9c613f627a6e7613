"""Who follows which query, and what each transaction means for them.

Laws: equal queries are one query: evaluated once, encoded once for each subprotocol, however many follow. A change
finds its queries by table, column and value, so ten or a hundred thousand of them cost the same. A session gets one
delta for one transaction, with a part for each of its queries. First rows at N, deltas from exactly N + 1; how first
rows and what was missed come to be told is the deliveries' affair.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from store.engine.engine import Engine
from store.engine.identity import Caller
from store.errors import CallError, Denied
from store.ids import Offset, QueryId, TableId
from store.query.budget import FOLLOWED_STEPS
from store.query.live import LiveQuery, compile_live
from store.query.shaping.results import Room
from store.subscribe.absence import Absence
from store.subscribe.broadcast import BROADCAST_MIN, Broadcast
from store.subscribe.changes import Change, Past
from store.subscribe.deliveries import Deliveries
from store.subscribe.delivery import Recipient
from store.subscribe.encoding import Encoding
from store.subscribe.followed import Followed, change_of
from store.subscribe.frames import Frames
from store.subscribe.means import Means
from store.subscribe.options import Options
from store.subscribe.routes import Asked, Changed, Route
from store.subscribe.shaped import Shaped
from store.subscribe.subqueries import Subqueries
from store.subscribe.subquery import Pasts
from store.transaction import Transaction


class Subscriptions:
    """All subscriptions of one engine: a follower of its feed while there is any."""

    def __init__(self, engine: Engine, *, options: Options | None = None) -> None:
        self._engine: Final = engine
        self._options: Final = options or Options()
        self._followed: Final[dict[QueryId, Followed]] = {}
        self._routes: Final[dict[TableId, Route]] = {}
        self._held: Final[dict[QueryId, tuple[LiveQuery, int]]] = {}
        """Queries that rest on subqueries or have a shape, with those who follow them or are about to."""
        self._room: Final = Room(self._options.followed_values_max)
        self.subqueries: Final = Subqueries(
            engine.database, self._options, route_of=self._route, left=self._forget_route
        )
        self._resting: Final = self.subqueries.nodes  # Each call looks at it: asking `subqueries` would be a call.
        means = Means(
            engine,
            self._options,
            follow=self._add,
            changes_of=self._changes_of,
            prepare=self.subqueries.prepare,
            catch_up=self,
            open_shaped=self._open_shaped,
        )
        self.deliveries: Final = Deliveries(means)
        """First rows and what was missed, on their way."""
        self._frames: Final[dict[tuple[Encoding, int], Frames]] = {}
        self.subscription_count = 0
        """Subscriptions of all sessions."""

    def frames(self, encoding: Encoding, size_max: int) -> Frames:
        """Where the sessions of one subprotocol share their frames."""
        made = self._frames.get((encoding, size_max))
        if made is None:
            made = self._frames[encoding, size_max] = Frames(encoding, size_max)
        return made

    @property
    def query_count(self) -> int:
        """Different queries followed."""
        return len(self._followed)

    def compile(self, caller: Caller, sql: str, params: Sequence[Any]) -> LiveQuery:
        """The query a caller asks for. Denied where it may not; MalformedQuery where it cannot be."""
        if not caller.may_read:
            raise Denied("reading needs the scope read", hint="Use a token that has it")
        query = compile_live(
            sql,
            params,
            self._engine.database.schema,
            operate=caller.may_operate,
            length_max=self._options.query_length_max,
            share=self.subqueries.sharing(),
            options=self._options.followed,
        )
        known = self._held.get(query.id)
        if known is not None:
            return known[0]
        self.subqueries.check(query)
        return query

    def follow(self, subscriber: Recipient, query: LiveQuery, *, epoch: str, after: Offset) -> None:
        """Tell the subscriber the query's rows and what changes in them; what it missed after an offset of an epoch.

        Without epoch and offset it was not here before. Rows come anew, with the reason, where what was missed cannot
        be told.
        """
        if _is_held(query):
            self._hold(query)
        if epoch or after:
            self.deliveries.resume(subscriber, query, epoch, after)
        else:
            self.deliveries.begin(subscriber, query)

    def _add(self, subscriber: Recipient, query: LiveQuery) -> None:
        """From the next transaction on, the subscriber is told what changes in the query."""
        followed = self._open(query)
        subscribers = followed.subscribers.setdefault(subscriber.encoding, {})
        assert subscriber not in subscribers
        subscribers[subscriber] = None
        followed.broadcasts.pop(subscriber.encoding, None)
        self.subscription_count += 1

    def _open(self, query: LiveQuery) -> Followed:
        """From the next transaction on, what changes in the query is found."""
        followed = self._followed.get(query.id)
        if followed is None:
            shaped = None
            if query.shape is not None:
                table = self._engine.database.tables[query.table.id]
                shaped = Shaped(query, table, self._room, self._options.followed, self.deliveries.renew)
            followed = self._followed[query.id] = Followed(query, shaped)
            if not query.never:
                self._route(query.table.id).add(followed)
            self.subqueries.join(followed, query.uses)
        return followed

    def _open_shaped(self, query: LiveQuery) -> Shaped:
        shaped = self._open(query).shaped
        assert shaped is not None
        return shaped

    def _close(self, followed: Followed) -> None:
        """Nobody follows it, or is about to."""
        query = followed.query
        del self._followed[query.id]
        self.subqueries.leave(followed, query.uses)
        if not query.never:
            self._routes[query.table.id].remove(followed)
            self._forget_route(query.table.id)
        if followed.shaped is not None:
            followed.shaped.close()

    def remove(self, subscriber: Recipient, query: LiveQuery) -> None:
        """The subscriber is told no more; a query that nobody follows is forgotten."""
        if self.deliveries.forget(subscriber, query.id):
            self._remove(subscriber, self._followed[query.id])
        if _is_held(query):
            self._release(query)

    def _remove(self, subscriber: Recipient, followed: Followed) -> None:
        subscribers = followed.subscribers[subscriber.encoding]
        del subscribers[subscriber]
        followed.broadcasts.pop(subscriber.encoding, None)
        self.subscription_count -= 1
        if subscribers:
            return
        del followed.subscribers[subscriber.encoding]
        if not followed.subscribers and followed.shaped is None:
            self._close(followed)

    def _hold(self, query: LiveQuery) -> None:
        """Keep current what a query rests on, and what it shows: somebody follows it, or is about to."""
        known = self._held.get(query.id)
        if known is None:
            self.subqueries.hold(query)
        self._held[query.id] = query, 1 if known is None else known[1] + 1

    def _release(self, query: LiveQuery) -> None:
        _, count = self._held[query.id]
        if count > 1:
            self._held[query.id] = query, count - 1
        else:
            del self._held[query.id]
            followed = self._followed.get(query.id)
            if followed is not None:
                self._close(followed)
            self.subqueries.release(query)

    def _route(self, table: TableId) -> Route:
        route = self._routes.get(table)
        if route is None:
            if not self._routes:  # A feed without followers costs a call nothing.
                self._engine.feed.follow(self)
            route = self._routes[table] = Route(self._engine.database.tables[table], self.subqueries.joints_of)
        return route

    def _forget_route(self, table: TableId) -> None:
        """One went from a table's route; without any it is not needed."""
        if self._routes[table].empty:
            del self._routes[table]
            if not self._routes:
                self._engine.feed.unfollow(self)

    def evaluate(self, transaction: Transaction) -> None:
        """Tell every session whose queries a transaction changed; the tables are at exactly its offset."""
        if not transaction.writes:
            return
        changed: Changed = {}
        asked: Asked = {}
        routes = self._routes
        for table, _, key, before, after in transaction.writes:
            route = routes.get(table)
            if route is not None:
                route.collect(key, before, after, changed, asked)
        if asked or self._resting:
            self._answer(transaction, asked, changed)
        if self.deliveries.streams:
            self._note(transaction, changed)
        if len(changed) == 1:
            ((followed, change),) = changed.items()
            self._tell(transaction, followed, change)
        elif changed:
            _tell_all(transaction, changed)

    def _tell(self, transaction: Transaction, followed: Followed, change: Change) -> None:
        """One query changed: everybody who follows it in one subprotocol is told the same."""
        for encoding, subscribers in tuple(followed.subscribers.items()):
            delta = encoding.delta(transaction.offset, transaction.timestamp, [change.part(encoding)])
            if len(subscribers) < BROADCAST_MIN or not self._broadcast(followed, encoding).take(delta):
                for subscriber in tuple(subscribers):
                    subscriber.tell(delta)

    def _broadcast(self, followed: Followed, encoding: Encoding) -> Broadcast:
        """What tells all who follow a query in one encoding."""
        made = followed.broadcasts.get(encoding)
        if made is None:
            frames = self.frames(encoding, self._options.frame_size_max)
            made = Broadcast(followed.subscribers[encoding], frames, self._engine.feed.receivers)
            followed.broadcasts[encoding] = made
        return made

    def _answer(self, transaction: Transaction, asked: Asked, changed: Changed) -> None:
        """Find out what changed in each query that is to be asked. One without a value for a row ends."""
        pasts, failed = self.subqueries.settle(transaction.writes, asked) if self._resting else ({}, {})
        for followed, about in asked.items():
            try:
                with FOLLOWED_STEPS:
                    change = followed.answer(about, pasts)
            except CallError as error:
                failed[followed] = error
            else:
                if change is not None:
                    changed[followed] = change
        self.subqueries.finish(pasts)
        for followed, reason in failed.items():
            changed.pop(followed, None)
            self._end(followed, reason)

    def _end(self, followed: Followed, error: CallError) -> None:
        """End all subscriptions to a query: what it would hold is unknown."""
        if followed.shaped is not None:
            followed.shaped.error = error
        for subscribers in tuple(followed.subscribers.values()):
            for subscriber in tuple(subscribers):
                subscriber.refuse(followed.query, error)

    def _note(self, transaction: Transaction, changed: Changed) -> None:
        """Let first rows on their way know what changed behind them."""
        for followed, change in changed.items():
            stream = self.deliveries.streams.get(followed.query.id)
            if stream is not None:
                stream.note(Past(transaction, change))

    # What happened while somebody was away, for queries that rest on subqueries or have a shape (CatchUp).

    def tables(self, query: LiveQuery) -> AbstractSet[TableId]:
        """The tables whose rows bear on a query."""
        return self.subqueries.tables(query.uses, query.table.id)

    def change(self, query: LiveQuery, absence: Absence) -> Change | None:
        """What an absence up to now changed in a query. Forgotten where it has a shape, and that is not known."""
        pasts: Pasts = {}
        about = self.subqueries.compared(query.uses, query.table.id, absence.writes(), pasts)
        if query.shape is None:
            return Followed(query).answer(about, pasts)
        shaped = self._open_shaped(query)
        return change_of(query, shaped.image, shaped.missed, about, pasts)

    def _changes_of(
        self, transaction: Transaction, wanted: AbstractSet[QueryId]
    ) -> Mapping[QueryId, Change | CallError]:
        """What a transaction of the past changed in followed queries."""
        changed: Changed = {}
        asked: Asked = {}
        for table, _, key, before, after in transaction.writes:
            route = self._routes.get(table)
            if route is not None:
                route.collect(key, before, after, changed, asked)
        changes: dict[QueryId, Change | CallError] = {
            followed.query.id: change for followed, change in changed.items() if followed.query.id in wanted
        }
        for followed in [each for each in asked if isinstance(each, Followed) and each.query.id in wanted]:
            try:
                change = followed.answer(asked[followed], {})
            except CallError as error:
                changes[followed.query.id] = error
            else:
                if change is not None:
                    changes[followed.query.id] = change
        return changes


def _is_held(query: LiveQuery) -> bool:
    """Whether something is kept current for it beside itself."""
    return bool(query.uses) or query.shape is not None


def _tell_all(transaction: Transaction, changed: Changed) -> None:
    """One delta for each session; sessions for which the same queries changed share its bytes."""
    mine: dict[Recipient, list[Followed]] = {}
    for followed in changed:
        for subscribers in followed.subscribers.values():
            for subscriber in subscribers:
                mine.setdefault(subscriber, []).append(followed)
    deltas: dict[tuple[Encoding, tuple[Followed, ...]], bytes] = {}
    for subscriber, its_queries in mine.items():
        encoding, queries = subscriber.encoding, tuple(its_queries)
        delta = deltas.get((encoding, queries))
        if delta is None:
            parts = [changed[followed].part(encoding) for followed in queries]
            delta = deltas[encoding, queries] = encoding.delta(transaction.offset, transaction.timestamp, parts)
        subscriber.tell(delta)
