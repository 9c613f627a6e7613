"""The queries a client follows: what the server was asked for, and the local rows that are kept current by it.

Laws: the server follows a query once for a conversation, so local subscriptions to the same query share one following;
each has rows of its own, of its own type. A following comes back with the epoch and offset its rows are at. Rows that
come in chunks are put in place at once, when the last is there; what deltas say of them until then is kept back. An
event about a subscription comes only while its owner wants it.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from store.client.rows import LiveRows, ViewDelta, reader_of
from store.errors import CallError, ProtocolError, SchemaMismatch, StoreError
from store.ids import Offset, QueryId, Timestamp
from store.subscribe.messages import Anew, Chunk, Delta, Missed, Part, Subscribe, Subscribed, TableInfo, Unsubscribe
from store.values import encode

UNTOLD: Final = Anew(
    "unknown", "the server did not say why it sent the rows anew", "", Offset(0), "", Offset(0), Offset(0)
)
"""Stands for the reason where a server gives none."""


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


class _Loading:
    """What the server has begun to tell in chunks, until the last one is there."""

    __slots__ = ("kept", "missed", "rows", "subscribed")

    def __init__(self, subscribed: Subscribed) -> None:
        self.subscribed: Final = subscribed
        self.rows: Final[dict[type[Any] | None, dict[Any, Any]]] = {}
        """First rows by key, for each row type that they were wanted as when they began to come."""
        self.missed: Final[list[Missed]] = []
        self.kept: Final[list[tuple[Offset, Timestamp, Part]]] = []
        """What deltas say meanwhile."""


class _Following:
    """What the server was asked to follow. `awaited` until it has answered on the connection there is."""

    __slots__ = ("awaited", "epoch", "id", "joined", "loading", "members", "offset", "params", "query", "sql", "table")

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
        self.joined: Final[set[int]] = set()
        """Members that came while it was awaited: they get their rows when it is taken up."""
        self.loading: _Loading | None = None

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
            following.loading = None
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
        """The server has taken it up: from where the rows are, or with other rows; with `more`, chunks follow."""
        following = self._followings.get(subscribed.id)
        if following is None:
            self._coming_back.discard(subscribed.id)
            return
        if subscribed.resumed and (following.table is None or subscribed.offset != following.offset):
            raise ProtocolError(f"the server resumes {following.sql!r} from where it never was", close_code=1002)
        following.awaited = False
        following.query = subscribed.query
        loading = following.loading = _Loading(subscribed)
        if not subscribed.resumed:
            self._load(following, loading, subscribed.rows, events)
        if not subscribed.more:
            self._finish(following, loading, epoch, events)

    def take_chunk(self, chunk: Chunk, epoch: str, events: list[Any]) -> None:
        """Go on with what Subscribed began."""
        found = [each for each in self._followings.values() if each.query == chunk.query and each.loading is not None]
        for following in found:
            loading = following.loading
            assert loading is not None
            if loading.subscribed.resumed:
                for missed in chunk.missed:
                    self._advance(following, *_as_part(chunk.query, missed), events)
            else:
                loading.missed.extend(chunk.missed)
                self._load(following, loading, chunk.rows, events)
            if not chunk.more and following.loading is loading:
                self._finish(following, loading, epoch, events)

    def take_delta(self, delta: Delta, events: list[Any]) -> None:
        """Go on by one transaction."""
        parts = {part.query: part for part in delta.parts}
        for following in tuple(self._followings.values()):
            part = parts.get(following.query)
            if part is None or following.awaited:
                continue
            if following.loading is not None:
                following.loading.kept.append((delta.offset, delta.timestamp, part))
            else:
                self._advance(following, delta.offset, delta.timestamp, part, events)

    def _advance(
        self, following: _Following, offset: Offset, timestamp: Timestamp, part: Part, events: list[Any]
    ) -> None:
        """Bring all rows of a following to an offset, unless they are there already."""
        if following.offset >= offset:
            return
        following.offset = offset
        for id_, member in tuple(following.members.items()):
            if member.live is None:  # It joins while the others come back.
                continue
            try:
                changes = member.live.apply(part, offset)
            except SchemaMismatch as error:
                self._end(id_, error, events)
            else:
                events.append(Changed(id_, ViewDelta(offset, timestamp, changes)))

    def _load(self, following: _Following, loading: _Loading, data: msgspec.Raw, events: list[Any]) -> None:
        """Read some first rows, as their members want them."""
        for row_type in tuple(loading.rows or {each.row_type for each in following.members.values()}):
            try:
                reader = reader_of(loading.subscribed.table, row_type)
                loading.rows.setdefault(row_type, {}).update(reader.by_key(data))
            except SchemaMismatch as error:
                loading.rows.pop(row_type, None)
                for id_ in [id_ for id_, each in following.members.items() if each.row_type is row_type]:
                    self._end(id_, error, events)

    def _finish(self, following: _Following, loading: _Loading, epoch: str, events: list[Any]) -> None:
        """All is there: put it in place, and go on with what was kept back."""
        subscribed = loading.subscribed
        following.loading, following.table, following.epoch = None, subscribed.table, epoch
        self._coming_back.discard(following.id)
        if not subscribed.resumed:
            following.offset = subscribed.offset
            for id_, member in tuple(following.members.items()):
                self._replace(following, id_, member, loading.rows, events, subscribed.anew or UNTOLD)
        elif following.joined:
            rows = {
                each.row_type: each.live.rows
                for id_, each in following.members.items()
                if each.live is not None and id_ not in following.joined
            }
            if not rows:  # All who had them have left.
                self._ask_anew(following)
                return
            for id_ in [each for each in following.joined if each in following.members]:
                self._replace(following, id_, following.members[id_], rows, events)
        following.joined.clear()
        for missed in loading.missed:
            self._advance(following, *_as_part(following.query, missed), events)
        for offset, timestamp, part in loading.kept:
            self._advance(following, offset, timestamp, part, events)

    def _ask_anew(self, following: _Following) -> None:
        """Have all rows told, where there are none to go on from."""
        following.table, following.awaited = None, True
        following.joined.clear()
        self.to_say.extend([encode(Unsubscribe(following.id)), encode(following.message())])

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
        if known is None:  # It has ended meanwhile: the goodbye to it is on its way.
            self._followings[following.id] = following
            self.to_say.append(encode(following.message()))
            return
        waits = (
            known.awaited or known.table is None or (known.loading is not None and not known.loading.subscribed.resumed)
        )
        for id_, member in following.members.items():
            lives = [each for each in known.members.values() if each.live is not None]
            known.members[id_] = member
            self._home[id_] = known
            if known.awaited:
                known.joined.add(id_)
            if not waits:
                rows = {each.row_type: each.live.rows for each in lives if each.live is not None}
                self._replace(known, id_, member, rows, events)

    def _replace(
        self,
        following: _Following,
        id_: int,
        member: _Member,
        rows: Mapping[type[Any] | None, Mapping[Any, Any]],
        events: list[Any],
        anew: Anew | None = None,
    ) -> None:
        """Give a member the rows of its following: as they were read for it, or for another; `anew` says why."""
        assert following.table is not None
        try:
            reader = reader_of(following.table, member.row_type)
            found = rows.get(member.row_type)
            if found is None:
                found = reader.by_key(msgspec.Raw(encode(list(next(iter(rows.values())).values()))))
            live = member.live or LiveRows(reader)
            changes = live.replace(dict(found), reader, following.offset)
        except SchemaMismatch as error:
            self._end(id_, error, events)
            return
        if member.live is None:
            member.live = live
            events.append(Opened(id_, live))
        else:
            events.append(Changed(id_, ViewDelta(following.offset, Timestamp(0), changes, reset=True, anew=anew)))

    def _end(self, id_: int, error: StoreError, events: list[Any]) -> None:
        events.append(Failed("subscribe", id_, error))
        self.unsubscribe(id_)


def _settle(following: _Following) -> None:
    for id_, member in following.members.items():
        if member.live is not None and id_ not in following.joined:
            member.live.offset = following.offset


def _as_part(query: QueryId, missed: Missed) -> tuple[Offset, Timestamp, Part]:
    return missed.offset, missed.timestamp, Part(query, missed.rows, missed.keys)
