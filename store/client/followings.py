"""The queries a client follows: what the server was asked for, and the local rows that are kept current by it.

Laws: the server follows a query once for a conversation, so local subscriptions to the same query share one following;
each has rows of its own, of its own type. A following comes back with the epoch and offset its rows are at. An event
about a subscription comes only while its owner wants it.
"""

from typing import Any, Final, NamedTuple

from store.client.rows import LiveRows, ViewDelta, reader_of
from store.errors import CallError, ProtocolError, SchemaMismatch, StoreError
from store.ids import Offset, QueryId, Timestamp
from store.subscribe.messages import Delta, Subscribe, Subscribed, TableInfo, Unsubscribe
from store.values import encode


class Opened(NamedTuple):
    """A subscription's first rows are there, in `live`, which stays current from here on."""

    id: int
    live: LiveRows[Any]


class Changed(NamedTuple):
    """A subscription's rows changed."""

    id: int
    delta: ViewDelta[Any]


class Failed(NamedTuple):
    """Something asked for was not done. `about` is "call", "query" or "subscribe"; that subscription has ended."""

    about: str
    id: int
    error: StoreError


class _Member:
    """One local subscription: `live` is None until its first rows."""

    __slots__ = ("live", "row_type")

    def __init__(self, row_type: type[Any] | None) -> None:
        self.row_type: Final = row_type
        self.live: LiveRows[Any] | None = None


class _Following:
    """What the server was asked to follow. `awaited` until it has answered on the connection there is."""

    __slots__ = ("awaited", "epoch", "id", "members", "offset", "params", "query", "sql", "table")

    def __init__(self, id_: int, sql: str, params: tuple[Any, ...]) -> None:
        self.id: Final = id_
        self.sql: Final = sql
        self.params: Final = params
        self.members: Final[dict[int, _Member]] = {}
        self.query = QueryId("")
        self.table: TableInfo | None = None
        """None until there are rows."""
        self.epoch = ""
        self.offset = Offset(0)
        """Where in that epoch the rows are."""
        self.awaited = True

    def message(self) -> Subscribe:
        """What asks for it, from where its rows are."""
        if self.table is None:
            return Subscribe(self.id, self.sql, self.params)
        return Subscribe(self.id, self.sql, self.params, self.epoch, self.offset)


class Followings:
    """All queries of one conversation. `events` in each signature is where what happened is noted."""

    def __init__(self) -> None:
        self.to_say: Final[list[bytes]] = []
        """Messages that are due; its owner takes them."""
        self._followings: Final[dict[int, _Following]] = {}
        self._home: Final[dict[int, _Following]] = {}
        """Each subscription's following."""
        self._coming_back: Final[set[int]] = set()

    @property
    def settled(self) -> bool:
        """Whether every following that has rows was taken up by the server on this connection."""
        return not self._coming_back

    def subscribe(self, message: Subscribe, row_type: type[Any] | None) -> None:
        """Follow a new query, under the message's id."""
        following = _Following(message.id, message.sql, message.params)
        following.members[message.id] = _Member(row_type)
        self._followings[following.id] = self._home[following.id] = following

    def unsubscribe(self, id_: int) -> None:
        """Want no more events of a subscription; the last one of a following ends it."""
        following = self._home.pop(id_, None)
        if following is None:
            return
        del following.members[id_]
        if not following.members:
            self._coming_back.discard(following.id)
            del self._followings[following.id]
            self.to_say.append(encode(Unsubscribe(following.id)))

    def lost(self, reached: Offset) -> None:
        """The connection is gone, after everything up to `reached` was told."""
        for following in self._followings.values():
            if following.table is not None:
                following.offset = max(following.offset, reached)
                _settle(following)

    def come_back(self) -> list[bytes]:
        """What to say on a new connection."""
        self._coming_back.clear()
        self.to_say.clear()
        for following in self._followings.values():
            following.awaited = True
            if following.table is not None:
                self._coming_back.add(following.id)
        return [encode(following.message()) for following in self._followings.values()]

    def take_subscribed(self, subscribed: Subscribed, epoch: str, events: list[Any]) -> None:
        """The server has taken it up: from where the rows are, or with other rows."""
        self._coming_back.discard(subscribed.id)
        following = self._followings.get(subscribed.id)
        if following is None:
            return
        if subscribed.resumed and (following.table is None or subscribed.offset != following.offset):
            raise ProtocolError(f"the server resumes {following.sql!r} from where it never was", close_code=1002)
        following.awaited = False
        following.query, following.table, following.epoch = subscribed.query, subscribed.table, epoch
        if subscribed.resumed:
            return
        following.offset = subscribed.offset
        for id_, member in tuple(following.members.items()):
            self._replace(following, id_, member, subscribed.rows, events)

    def take_delta(self, delta: Delta, events: list[Any]) -> None:
        """Go on by one transaction. What a following has seen already, behind another's resumption, is passed over."""
        parts = {part.query: part for part in delta.parts}
        for following in tuple(self._followings.values()):
            part = parts.get(following.query)
            if part is None or following.awaited or following.offset >= delta.offset:
                continue
            following.offset = delta.offset
            for id_, member in tuple(following.members.items()):
                assert member.live is not None  # It is taken up, so it has rows.
                try:
                    changes = member.live.apply(part, delta.offset)
                except SchemaMismatch as error:
                    self._end(id_, error, events)
                else:
                    events.append(Changed(id_, ViewDelta(delta.offset, delta.timestamp, changes)))

    def take_failure(self, id_: int, error: CallError, events: list[Any]) -> None:
        """The server does not follow it, or no longer: where it does under another id already, share that."""
        following = self._followings.pop(id_, None)
        self._coming_back.discard(id_)
        if following is None:
            return
        if following.awaited and "query" in error.details and "id" in error.details:
            self._share(following, self._followings.get(error.details["id"]), events)
            return
        for member in following.members:
            del self._home[member]
            events.append(Failed("subscribe", member, error))

    def _share(self, following: _Following, known: _Following | None, events: list[Any]) -> None:
        if known is None or known.table is None:  # It has ended meanwhile: the goodbye to it is on its way.
            self._followings[following.id] = following
            self.to_say.append(encode(following.message()))
            return
        for id_, member in following.members.items():
            known.members[id_] = member
            self._home[id_] = known
            rows = next(each.live for each in known.members.values() if each.live is not None).rows
            self._replace(known, id_, member, encode(list(rows.values())), events)

    def _replace(self, following: _Following, id_: int, member: _Member, rows: Any, events: list[Any]) -> None:
        assert following.table is not None
        try:
            reader = reader_of(following.table, member.row_type)
            live = member.live or LiveRows(reader)
            changes = live.replace(rows, reader, following.offset)
        except SchemaMismatch as error:
            self._end(id_, error, events)
            return
        if member.live is None:
            member.live = live
            events.append(Opened(id_, live))
        else:
            events.append(Changed(id_, ViewDelta(following.offset, Timestamp(0), changes, reset=True)))

    def _end(self, id_: int, error: StoreError, events: list[Any]) -> None:
        events.append(Failed("subscribe", id_, error))
        self.unsubscribe(id_)


def _settle(following: _Following) -> None:
    for member in following.members.values():
        assert member.live is not None
        member.live.offset = following.offset
