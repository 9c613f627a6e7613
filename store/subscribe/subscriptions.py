"""Who follows which query, and what each transaction means for them.

Laws: equal queries are one query: evaluated once, encoded once for each subprotocol, however many follow. A change
finds its queries by table, column and value, so ten or a hundred thousand of them cost the same. A session gets one
delta for one transaction, with a part for each of its queries. First rows at N, deltas from exactly N + 1; how first
rows and what was missed come to be told is the deliveries' affair.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from store.engine.engine import Engine
from store.engine.identity import Caller
from store.errors import Denied
from store.ids import Key, Offset, QueryId, TableId
from store.subscribe.broadcast import BROADCAST_MIN, Broadcast
from store.subscribe.changes import Change, Past
from store.subscribe.deliveries import Deliveries, Recipient
from store.subscribe.encoding import Encoding
from store.subscribe.frames import Frames
from store.subscribe.options import Options
from store.tables.query import Query, compile_query
from store.tables.table import StoredTable
from store.transaction import Transaction


class Followed:
    """One query that somebody follows; its followers by their encoding."""

    __slots__ = ("broadcasts", "query", "subscribers")

    def __init__(self, query: Query) -> None:
        self.query: Final = query
        self.subscribers: Final[dict[Encoding, dict[Recipient, None]]] = {}
        self.broadcasts: Final[dict[Encoding, Broadcast]] = {}
        """To the subscribers of each encoding, made when it is needed."""


Changed = dict[Followed, Change]


class _Route:
    """The followed queries of one table, where a write finds them."""

    __slots__ = ("_decode", "_key_form", "_key_name", "by_column", "by_key", "whole")

    def __init__(self, table: StoredTable) -> None:
        self._decode: Final[Callable[[bytes], Any]] = table.codec.decode
        self._key_form: Final[Callable[[Any], Key]] = table.codec.key_form
        self._key_name: Final = table.schema.key_name
        self.whole: Followed | None = None
        self.by_key: Final[dict[Key, Followed]] = {}
        self.by_column: Final[dict[str, dict[Any, Followed]]] = {}

    def add(self, followed: Followed) -> None:
        """Let writes find the query."""
        query = followed.query
        assert not query.never
        if query.column is None:
            self.whole = followed
        elif query.column.name == self._key_name:
            self.by_key[self._key_form(query.value)] = followed
        else:
            self.by_column.setdefault(query.column.name, {})[query.value] = followed

    def remove(self, followed: Followed) -> None:
        """Let no write find the query any more."""
        query = followed.query
        if query.column is None:
            self.whole = None
        elif query.column.name == self._key_name:
            del self.by_key[self._key_form(query.value)]
        else:
            values = self.by_column[query.column.name]
            del values[query.value]
            if not values:
                del self.by_column[query.column.name]

    @property
    def empty(self) -> bool:
        """Nobody can be found here."""
        return self.whole is None and not self.by_key and not self.by_column

    def collect(self, key: Key, before: bytes | None, after: bytes | None, changed: Changed) -> None:
        """Note one write in the change of each query it concerns."""
        if self.whole is not None:
            _note(changed, self.whole, key, after)
        if self.by_key and (followed := self.by_key.get(key)) is not None:
            _note(changed, followed, key, after)
        if not self.by_column:
            return
        old = None if before is None else self._decode(before)
        new = None if after is None else self._decode(after)
        for name, values in self.by_column.items():
            now = values.get(getattr(new, name, None))
            if now is not None:
                _note(changed, now, key, after)
            was = values.get(getattr(old, name, None))
            if was is not None and was is not now:
                _note(changed, was, key, None)


def _note(changed: Changed, followed: Followed, key: Key, row: bytes | None) -> None:
    """The row is in the query now, or its key left it."""
    change = changed.get(followed)
    if change is None:
        change = changed[followed] = Change(followed.query.id)
    if row is None:
        change.keys.append(key)
    else:
        change.rows.append(row)


class Subscriptions:
    """All subscriptions of one engine: a follower of its feed while there is any."""

    def __init__(self, engine: Engine, *, options: Options | None = None) -> None:
        self._engine: Final = engine
        self._options: Final = options or Options()
        self._followed: Final[dict[QueryId, Followed]] = {}
        self._routes: Final[dict[TableId, _Route]] = {}
        self.deliveries: Final = Deliveries(engine, self._options, follow=self._add, changes_of=self._changes_of)
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

    def compile(self, caller: Caller, sql: str, params: Sequence[Any]) -> Query:
        """The query a caller asks for. Denied where it may not; MalformedQuery where it cannot be."""
        if not caller.may_read:
            raise Denied("reading needs the scope read", hint="Use a token that has it")
        return compile_query(
            sql,
            params,
            self._engine.database.schema,
            operate=caller.may_operate,
            length_max=self._options.query_length_max,
        )

    def follow(self, subscriber: Recipient, query: Query, *, epoch: str, after: Offset) -> None:
        """Tell the subscriber the query's rows and what changes in them; what it missed after an offset of an epoch.

        Rows come anew where what was missed cannot be known, or is more than resume_transactions_max.
        """
        missed = self._engine.write_path.last_offset - after
        if epoch == self._engine.epoch.hex() and 0 <= missed <= self._options.resume_transactions_max:
            self.deliveries.resume(subscriber, query, after)
        else:
            self.deliveries.begin(subscriber, query)

    def _add(self, subscriber: Recipient, query: Query) -> None:
        """From the next transaction on, the subscriber is told what changes in the query."""
        followed = self._followed.get(query.id)
        if followed is None:
            followed = self._followed[query.id] = Followed(query)
            if not query.never:
                self._route(query.table.id).add(followed)
        subscribers = followed.subscribers.setdefault(subscriber.encoding, {})
        assert subscriber not in subscribers
        subscribers[subscriber] = None
        followed.broadcasts.pop(subscriber.encoding, None)
        self.subscription_count += 1

    def remove(self, subscriber: Recipient, query: Query) -> None:
        """The subscriber is told no more; a query that nobody follows is forgotten."""
        if not self.deliveries.forget(subscriber, query.id):
            return
        followed = self._followed[query.id]
        subscribers = followed.subscribers[subscriber.encoding]
        del subscribers[subscriber]
        followed.broadcasts.pop(subscriber.encoding, None)
        self.subscription_count -= 1
        if subscribers:
            return
        del followed.subscribers[subscriber.encoding]
        if not followed.subscribers:
            del self._followed[query.id]
            if not query.never:
                self._unroute(followed)

    def _route(self, table: TableId) -> _Route:
        route = self._routes.get(table)
        if route is None:
            if not self._routes:  # A feed without followers costs a call nothing.
                self._engine.feed.follow(self)
            route = self._routes[table] = _Route(self._engine.database.tables[table])
        return route

    def _unroute(self, followed: Followed) -> None:
        table = followed.query.table.id
        route = self._routes[table]
        route.remove(followed)
        if route.empty:
            del self._routes[table]
            if not self._routes:
                self._engine.feed.unfollow(self)

    def evaluate(self, transaction: Transaction) -> None:
        """Tell every session whose queries a transaction changed; the tables are at exactly its offset."""
        if not transaction.writes:
            return
        changed = _changed(self._routes, transaction)
        if self.deliveries.streams:
            self._note(transaction, changed)
        if len(changed) == 1:
            ((followed, change),) = changed.items()
            for encoding, subscribers in tuple(followed.subscribers.items()):
                delta = encoding.delta(transaction.offset, transaction.timestamp, [change.part(encoding)])
                if len(subscribers) < BROADCAST_MIN or not self._broadcast(followed, encoding).take(delta):
                    for subscriber in tuple(subscribers):
                        subscriber.tell(delta)
        elif changed:
            _tell_all(transaction, changed)

    def _broadcast(self, followed: Followed, encoding: Encoding) -> Broadcast:
        """What tells all who follow a query in one encoding."""
        made = followed.broadcasts.get(encoding)
        if made is None:
            frames = self.frames(encoding, self._options.frame_size_max)
            made = Broadcast(followed.subscribers[encoding], frames, self._engine.feed.receivers)
            followed.broadcasts[encoding] = made
        return made

    def _note(self, transaction: Transaction, changed: Changed) -> None:
        """Let first rows on their way know what changed behind them."""
        for followed, change in changed.items():
            stream = self.deliveries.streams.get(followed.query.id)
            if stream is not None:
                stream.note(Past(transaction, change))

    def _changes_of(self, transaction: Transaction, wanted: AbstractSet[QueryId]) -> Mapping[QueryId, Change]:
        """What a transaction of the past changed in followed queries."""
        changed = _changed(self._routes, transaction)
        return {followed.query.id: change for followed, change in changed.items() if followed.query.id in wanted}


def _changed(routes: Mapping[TableId, _Route], transaction: Transaction) -> Changed:
    """The queries a transaction changed, and what it changed in each."""
    changed: Changed = {}
    for table, _, key, before, after in transaction.writes:
        route = routes.get(table)
        if route is not None:
            route.collect(key, before, after, changed)
    return changed


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
