"""What a subscription begins with, delivered in steps: first rows, or what was missed.

Laws: nothing here takes long. A step works for one slice, whoever reads slowly waits by itself, and what needs the log
is a request for others to carry out. Who follows a query is told its deltas from the first offset on; the client keeps
them back until the last chunk, so what is to be delivered never grows while it is.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Final, Protocol

from store.engine.engine import Engine
from store.errors import CallError, Overloaded
from store.ids import Offset, QueryId, TableId
from store.query.live import LiveQuery
from store.query.results import Forgotten
from store.subscribe.absence import Absence
from store.subscribe.broadcast import Listener
from store.subscribe.changes import Change
from store.subscribe.encoding import Encoding
from store.subscribe.first_rows import FirstRows, split_rows
from store.subscribe.horizon import Horizon
from store.subscribe.messages import Anew
from store.subscribe.missed import Backlog, ChangesOf, LogRead, Piece
from store.subscribe.options import Options
from store.subscribe.shaped import Shaped

SLICE_MS: Final = 0.5
"""How long one step works, or a chunk longer: calls wait for it."""
AT_ONCE_MAX: Final = 32
"""Missed transactions that are told at once where they are in RAM."""
STREAMS_MAX: Final = 4
"""First rows of large queries that are on their way at a time, at offsets of their own: each keeps keys and images.
Who comes then joins one, or waits for its turn."""
CAUGHT_UP_MAX: Final = 64
"""Chunks that say all that was missed of a query, kept for others who missed the same."""
CAUGHT_UP_SIZE_MAX: Final = 1 << 20
"""Bytes of all of them."""
LOOK_AGAIN_S: Final = 0.002
"""Seconds after which it is looked again at those who had no room; more where they are many."""
LOOK_COST_S: Final = 20e-6


class Recipient(Listener, Protocol):
    """A session, as seen from here."""

    encoding: Encoding

    def tell(self, message: bytes) -> None:
        """Take one encoded message, to be let out when all so far is durable. Must not raise."""
        ...

    def has_room(self) -> bool:
        """Whether it has read so much that more may be told."""
        ...

    def begin(
        self, query: LiveQuery, offset: Offset, rows: bytes, *, resumed: bool, more: bool, anew: Anew | None = None
    ) -> None:
        """Say Subscribed; `anew` says why where it has asked to resume and does not. Must not raise."""
        ...

    def refuse(self, query: LiveQuery, error: CallError) -> None:
        """End a subscription with an error. Must not raise."""
        ...


class CatchUp(Protocol):
    """Who knows what queries rest on."""

    def tables(self, query: LiveQuery) -> AbstractSet[TableId]:
        """The tables whose rows bear on it."""
        ...

    def change(self, query: LiveQuery, absence: Absence) -> Change | None:
        """What an absence changed in it, as of now; None: nothing. CallError where that cannot be said."""
        ...


class _State(Enum):
    GOING = "there is more to do"
    WAITING = "it must wait for its reader, or for its turn"
    ASKED = "it waits for what it asked of the log"
    DONE = "all was told"


class _Delivery(Protocol):
    """One recipient's share."""

    recipient: Recipient
    query: LiveQuery
    ended: bool
    """It is wanted no more."""

    @property
    def started(self) -> bool:
        """Subscribed was said."""
        ...

    def advance(self) -> _State:
        """Do a little. A CallError ends the subscription with it."""
        ...

    def close(self) -> None:
        """Let go what it holds."""
        ...


class _Asker(_Delivery, Protocol):
    """One who waits for a piece of the log."""

    given: Piece | None
    """What it asked for: let go only when it is taken."""


class Deliveries:
    """All that is on its way to subscribers. `wake` is called when there is something to do for `step`."""

    def __init__(
        self,
        engine: Engine,
        options: Options,
        *,
        follow: Callable[[Recipient, LiveQuery], None],
        changes_of: ChangesOf,
        prepare: Callable[[LiveQuery], bool],
        catch_up: "CatchUp",
        open_shaped: Callable[[LiveQuery], Shaped],
    ) -> None:
        """`follow` has a recipient told what changes in a query from the next transaction on.

        `prepare` does a piece of the work that a query needs before it has rows, and says whether there is more.
        `catch_up` is asked about queries that rest on subqueries. `open_shaped` has the changes found that bear on what
        a query shows, and gives where that is held.
        """
        self.wake: Callable[[], None] = _nothing
        self.options: Final = options
        self.follow: Final = follow
        self.changes_of: Final = changes_of
        self.prepare: Final = prepare
        self.catch_up: Final = catch_up
        self.open_shaped: Final = open_shaped
        self.backlog: Final[Backlog[_Asker]] = Backlog(engine.feed, engine.world.disk, engine.log)
        self.horizon: Final = Horizon(engine, self.backlog, transactions_max=options.resume_transactions_max)
        self.missing: Final[dict[QueryId, int]] = {}
        """Queries that something missed is looked for, and for how many."""
        self.streams: Final[dict[QueryId, FirstRows]] = {}
        """The newest first rows of each query that are on their way."""
        self.caught_up: Final[dict[tuple[QueryId, Offset, Offset, Encoding], bytes]] = {}
        """Chunks with all that came after one offset, up to another, for others who come back at the same moment."""
        self._engine: Final = engine
        self._stream_count = 0
        self._recent: FirstRows | None = None
        self._of: Final[dict[tuple[Recipient, QueryId], _Delivery]] = {}
        self._going: Final[deque[_Delivery]] = deque()
        self._waiting: Final[list[_Delivery]] = []
        self._served: Final[deque[_Delivery]] = deque()
        """Those for whom a piece of the log was read, which they have not taken yet."""
        self._renewed: Final[dict[Shaped, None]] = {}
        """Results of which others are made before they have to look for rows."""

    # What subscriptions ask for.

    def begin(self, recipient: Recipient, query: LiveQuery, anew: Anew | None = None) -> None:
        """Tell all rows: few at once, many in chunks, when there is a turn. `anew` says why, to one who has some."""
        kind = _Rows if query.shape is None else _Shown
        delivery: _Delivery = kind(self, recipient, query, anew)
        self._of[recipient, query.id] = delivery
        self._put(delivery, self._advance(delivery))

    def resume(self, recipient: Recipient, query: LiveQuery, epoch: str, after: Offset) -> None:
        """Tell what changed after an offset of an epoch; rows, and why, where that cannot be known."""
        anew = self.horizon.check(epoch, after)
        if anew is not None:
            self.begin(recipient, query, anew)
            return
        last = self.last_offset
        if query.uses or query.shape is not None:
            catching_up = _CatchingUp(self, recipient, query, after)
            self._of[recipient, query.id] = catching_up
            self._put(catching_up, self._at_once(catching_up, last - after))
            return
        self.follow(recipient, query)
        none = recipient.encoding.rows([])
        if last == after or query.never:
            recipient.begin(query, after, none, resumed=True, more=False)
            return
        delivery = _Missed(self, recipient, query, Offset(after + 1), last)
        self._of[recipient, query.id] = delivery
        recipient.begin(query, after, none, resumed=True, more=True)
        self._put(delivery, self._at_once(delivery, last - after))

    def _at_once(self, delivery: _Delivery, count: int) -> _State:
        """Tell what can be told at once, within a slice, where so many transactions were missed."""
        state, now = _State.GOING, self._engine.world.clock.monotonic
        until = now() + SLICE_MS / 1000
        while state is _State.GOING and count <= AT_ONCE_MAX and not delivery.ended:
            state = self._advance(delivery)
            if now() >= until:
                break
        return state

    @staticmethod
    def _advance(delivery: _Delivery) -> _State:
        try:
            return delivery.advance()
        except CallError as error:
            delivery.recipient.refuse(delivery.query, error)
            return _State.DONE

    @property
    def last_offset(self) -> Offset:
        """Where the tables are."""
        return self._engine.write_path.last_offset

    def forget(self, recipient: Recipient, query: QueryId) -> bool:
        """The subscription has ended; whether it had begun."""
        delivery = self._of.pop((recipient, query), None)
        if delivery is None:
            return True
        self._end(delivery)
        return delivery.started

    def _put(self, delivery: _Delivery, state: _State) -> None:
        if delivery.ended:
            return
        if state is _State.DONE:
            del self._of[delivery.recipient, delivery.query.id]
            self._end(delivery)
            return
        if state is not _State.ASKED:
            (self._going if state is _State.GOING else self._waiting).append(delivery)
        self.wake()

    def _end(self, delivery: _Delivery) -> None:
        delivery.ended = True
        delivery.close()

    # The work.

    def step(self) -> float | None:
        """Work for a slice. Returns the seconds after which to come again, 0 where there is more; None: no need."""
        served, going, now = self._served, self._going, self._engine.world.clock.monotonic
        until = now() + SLICE_MS / 1000
        while served or going or self._renewed:
            self._renew_one()
            for turn in (served, going):  # Neither keeps the other waiting.
                delivery = turn.popleft() if turn else None
                if delivery is not None and not delivery.ended:
                    self._put(delivery, self._advance(delivery))
            if now() >= until:
                break
        if served or going or self._renewed:
            return 0.0
        wait = None
        if self._waiting or self.backlog.asked:
            wait = max(LOOK_AGAIN_S, len(self._waiting) * LOOK_COST_S)
        self._look_again()
        return wait

    def take_request(self) -> LogRead | None:
        """What is to be read from the log now: carry out its `run` anywhere, then call `complete`."""
        return None if self._served else self.backlog.take_request()

    def complete(self, read: LogRead) -> None:
        """A request was carried out."""
        piece, askers = self.backlog.complete(read)
        for each in askers:
            each.given = piece
        self._served.extend(askers)
        self.wake()

    def _look_again(self) -> None:
        self._going.extend(self._waiting)
        self._waiting.clear()

    # Results that are kept current.

    def build(self, shaped: Shaped) -> _State:
        """Go on with a result on its way, for a piece."""
        if not shaped.is_building:
            last, size = self._engine.write_path.last_offset, self.options.chunk_size_max
            stream = FirstRows(shaped.query, self._engine.database, last, chunk_size_max=size)
            if not self.join(stream):
                return _State.WAITING
            shaped.begin(stream, lambda: self.leave(stream))
        return _State.GOING if shaped.advance(self.options.first_rows_kept_max) else _State.DONE

    def renew(self, shaped: Shaped) -> None:
        """Make another result in place of one that will soon have to look for rows."""
        self._renewed[shaped] = None
        self.wake()

    def _renew_one(self) -> None:
        shaped = next(iter(self._renewed), None)
        if shaped is not None and (shaped.error is not None or self.build(shaped) is not _State.GOING):
            del self._renewed[shaped]

    # First rows that are shared.

    def stream(self, query: LiveQuery, *, large: bool) -> FirstRows | None:
        """Rows that one who comes now may read, or None where they are `large` and it is not their turn."""
        last = self._engine.write_path.last_offset
        recent, known = self._recent, self.streams.get(query.id)
        if known is not None and known.since is not None and 2 * known.kept_size <= self.options.first_rows_kept_max:
            return known
        if recent is not None and recent.query.id == query.id and recent.offset == last:
            return recent
        if large and self._stream_count >= STREAMS_MAX:
            return None
        self._recent = FirstRows(query, self._engine.database, last, chunk_size_max=self.options.chunk_size_max)
        return self._recent

    def join(self, stream: FirstRows) -> bool:
        """One more reads these rows to their end; False where there is no turn for them now."""
        if not stream.readers:
            if self._stream_count >= STREAMS_MAX:
                self._recent = None
                return False
            stream.open()
            self._engine.feed.follow(stream)
            self.streams[stream.query.id] = stream
            self._stream_count += 1
        stream.readers += 1
        return True

    def leave(self, stream: FirstRows) -> None:
        """One reads them no more."""
        stream.readers -= 1
        if stream.readers:
            return
        stream.close()
        self._engine.feed.unfollow(stream)
        self._stream_count -= 1
        if self.streams.get(stream.query.id) is stream:
            del self.streams[stream.query.id]
        if self._recent is stream:
            self._recent = None


class _Rows:
    """First rows for one recipient. `started` where it was told Subscribed already, and is told so again."""

    def __init__(
        self, owner: Deliveries, recipient: Recipient, query: LiveQuery, anew: Anew | None, *, started: bool = False
    ) -> None:
        self.recipient: Recipient = recipient
        self.query: LiveQuery = query
        self.ended = False
        self.started = started
        self._owner: Final = owner
        self._anew: Final = anew
        self._stream: FirstRows | None = None
        self._large = False
        self._number = 0

    def advance(self) -> _State:
        """Prepare, begin, gather, or tell a chunk."""
        stream = self._stream
        if self._owner.prepare(self.query) if stream is None else stream.gather():
            return _State.GOING
        if not self.recipient.has_room():
            return _State.WAITING
        if stream is None:
            return self._begin()
        kept_max = self._owner.options.first_rows_kept_max
        if stream.kept_size > kept_max:
            raise _too_busy(kept_max)
        chunk = stream.chunk(self._number, self.recipient.encoding)
        more = not stream.ends_with(self._number)
        self._number += 1
        if chunk:
            self.recipient.tell(chunk)
        return _State.GOING if more else _State.DONE

    def _begin(self) -> _State:
        owner, query, encoding = self._owner, self.query, self.recipient.encoding
        stream = owner.stream(query, large=self._large)
        if stream is None:
            return _State.WAITING
        rows, more = encoding.rows([]), True
        if stream.at_once:
            rows, self._number = stream.rows(0, encoding), 1
            more = not stream.ends_with(0)
        if more:
            if not owner.join(stream):
                self._large, self._number = True, 0
                return _State.WAITING
            self._stream = stream
        if not self.started:
            self.started = True
            owner.follow(self.recipient, query)
        missed = [past.missed(encoding) for past in stream.since or ()]
        self.recipient.begin(query, stream.offset, rows, resumed=False, more=more or bool(missed), anew=self._anew)
        if missed and not self.ended:
            self.recipient.tell(encoding.chunk(query.id, encoding.rows([]), missed, more=more))
        return _State.GOING if more else _State.DONE

    def close(self) -> None:
        """Read no more."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._owner.leave(stream)


class _Shown:
    """What a result shows, for one recipient: all of it at one offset."""

    def __init__(self, owner: Deliveries, recipient: Recipient, query: LiveQuery, anew: Anew | None) -> None:
        self.recipient: Recipient = recipient
        self.query: LiveQuery = query
        self.ended = False
        self.started = False
        self._owner: Final = owner
        self._anew: Final = anew
        self._chunks: deque[list[bytes]] = deque()

    def advance(self) -> _State:
        """Prepare, go on with the result, begin, or tell a chunk."""
        owner, encoding = self._owner, self.recipient.encoding
        if self.started:
            if not self.recipient.has_room():
                return _State.WAITING
            rows = encoding.rows(self._chunks.popleft())
            self.recipient.tell(encoding.chunk(self.query.id, rows, (), more=bool(self._chunks)))
            return _State.GOING if self._chunks else _State.DONE
        if owner.prepare(self.query):
            return _State.GOING
        shaped = owner.open_shaped(self.query)
        if shaped.error is None and not shaped.ready:
            state = owner.build(shaped)
            if state is not _State.DONE:
                return state
        if shaped.error is not None:
            raise shaped.error
        return self._begin(shaped) if self.recipient.has_room() else _State.WAITING

    def _begin(self, shaped: Shaped) -> _State:
        owner, encoding = self._owner, self.recipient.encoding
        self._chunks.extend(split_rows(shaped.rows(), owner.options.chunk_size_max))
        self.started = True
        owner.follow(self.recipient, self.query)
        rows = encoding.rows(self._chunks.popleft())
        more = bool(self._chunks)
        self.recipient.begin(self.query, owner.last_offset, rows, resumed=False, more=more, anew=self._anew)
        return _State.GOING if self._chunks else _State.DONE

    def close(self) -> None:
        """Tell no more."""
        self._chunks.clear()


class _Missed:
    """What one recipient missed: the transactions from `first` through `last`; rows, where the log lost them."""

    def __init__(self, owner: Deliveries, recipient: Recipient, query: LiveQuery, first: Offset, last: Offset) -> None:
        self.recipient: Recipient = recipient
        self.query: LiveQuery = query
        self.ended = False
        self.started = True
        self.given: Piece | None = None
        self._owner: Final = owner
        self._after: Final = Offset(first - 1)
        self._next = first
        self._last: Final = last
        self._instead: _Rows | None = None
        owner.missing[query.id] = owner.missing.get(query.id, 0) + 1

    def advance(self) -> _State:
        """Tell what a piece of the log says."""
        if self._instead is not None:
            return self._instead.advance()
        given, self.given = self.given, None
        if not self.recipient.has_room():
            return _State.WAITING
        owner, query, backlog = self._owner, self.query.id, self._owner.backlog
        if backlog.lost(self._next):
            self._instead = _Rows(owner, self.recipient, self.query, owner.horizon.gone(self._after), started=True)
            return _State.GOING
        piece = given or backlog.piece(self._next)
        if piece is None:
            backlog.ask(self._next, self)
            return _State.ASKED
        if not piece.knows(query):
            piece.evaluate(owner.missing.keys(), owner.changes_of)
        error = piece.error(query)
        if error is not None:
            self.recipient.refuse(self.query, error)
            return _State.DONE
        more = piece.last < self._last
        chunk = piece.chunk(query, self.recipient.encoding, self._next, self._last, more=more)
        self._next = Offset(piece.last + 1)
        if chunk:
            self.recipient.tell(chunk)
        return _State.GOING if more else _State.DONE

    def close(self) -> None:
        """Look for no more."""
        self._owner.backlog.forget(self._next, self)
        missing, query = self._owner.missing, self.query.id
        missing[query] -= 1
        if not missing[query]:
            del missing[query]
        if self._instead is not None:
            self._instead.close()


class _CatchingUp:
    """What one recipient missed of a query that rests on subqueries or has a shape: one change of all after an offset.

    It begins when it has caught up. Rows anew, where that cannot be said, or is more than an absence may be.
    """

    def __init__(self, owner: Deliveries, recipient: Recipient, query: LiveQuery, after: Offset) -> None:
        self.recipient: Recipient = recipient
        self.query: LiveQuery = query
        self.ended = False
        self.given: Piece | None = None
        self._owner: Final = owner
        self._after: Final = after
        self._absence: Final = Absence(owner.catch_up.tables(query), after)
        self._begun = False
        self._instead: _Rows | _Shown | None = None

    @property
    def started(self) -> bool:
        """Subscribed was said."""
        return self._begun or (self._instead is not None and self._instead.started)

    def advance(self) -> _State:
        """Prepare, take in a piece of what was missed, or tell all of it."""
        if self._instead is not None:
            return self._instead.advance()
        try:
            return self._advance()
        except CallError as error:  # Where it has to do with rows that are there, these will say so.
            return self._begin_anew(self._owner.horizon.unable(self._after, error.message, _limit(error)))
        except Forgotten as reason:
            return self._begin_anew(self._owner.horizon.unable(self._after, str(reason)))

    def _advance(self) -> _State:
        owner, backlog, absence = self._owner, self._owner.backlog, self._absence
        given, self.given = self.given, None
        state = self._prepare()
        if state is not _State.DONE:
            return state
        if absence.too_long:
            return self._begin_anew(owner.horizon.unable(self._after, absence.why_too_long))
        if absence.offset == owner.last_offset:
            return self._tell() if self.recipient.has_room() else _State.WAITING
        following = Offset(absence.offset + 1)
        if backlog.lost(following):
            return self._begin_anew(owner.horizon.gone(self._after))
        piece = given or backlog.piece(following)
        if piece is None:
            backlog.ask(following, self)
            return _State.ASKED
        absence.take(piece.transactions)
        return _State.GOING

    def _prepare(self) -> _State:
        """Have what the query rests on, and what it shows, for a piece; DONE when it is there."""
        owner, query = self._owner, self.query
        if owner.prepare(query):
            return _State.GOING
        if query.shape is None:
            return _State.DONE
        shaped = owner.open_shaped(query)
        state = _State.DONE if shaped.ready or shaped.error is not None else owner.build(shaped)
        if shaped.error is not None:
            raise shaped.error
        return state

    def _begin_anew(self, anew: Anew) -> _State:
        kind = _Rows if self.query.shape is None else _Shown
        self._instead = kind(self._owner, self.recipient, self.query, anew)
        return _State.GOING

    def _tell(self) -> _State:
        owner, recipient, query, encoding = self._owner, self.recipient, self.query, self.recipient.encoding
        what = query.id, self._after, self._absence.offset, encoding
        chunk = owner.caught_up.get(what)
        if chunk is None:
            chunk = owner.caught_up[what] = self._chunk()
            while len(owner.caught_up) > CAUGHT_UP_MAX or sum(map(len, owner.caught_up.values())) > CAUGHT_UP_SIZE_MAX:
                del owner.caught_up[next(iter(owner.caught_up))]
        if len(chunk) > owner.options.missed_size_max:
            why = f"what changed takes {len(chunk)} bytes, and comes as one message"
            return self._begin_anew(owner.horizon.unable(self._after, why, "outbox_bytes_max"))
        self._begun = True
        owner.follow(recipient, query)
        recipient.begin(query, self._after, encoding.rows([]), resumed=True, more=bool(chunk))
        if chunk and not self.ended:
            recipient.tell(chunk)
        return _State.DONE

    def _chunk(self) -> bytes:
        """What was missed as one Chunk; b"" where that is nothing."""
        absence, encoding = self._absence, self.recipient.encoding
        change = self._owner.catch_up.change(self.query, absence)
        if change is None:
            return b""
        missed = encoding.missed(absence.offset, absence.timestamp, change.rows, change.keys)
        return encoding.chunk(self.query.id, encoding.rows([]), [missed], more=False)

    def close(self) -> None:
        """Look for no more."""
        self._owner.backlog.forget(Offset(self._absence.offset + 1), self)
        if self._instead is not None:
            self._instead.close()


def _limit(error: CallError) -> str:
    """The name of the limit that an error is about, if it is about one."""
    named = error.details.get("limit", "")
    return named if isinstance(named, str) else ""


def _too_busy(kept_max: int) -> Overloaded:
    return Overloaded(
        f"while the first rows were read, {kept_max} bytes of them were changed",
        hint="Read faster, ask for fewer rows with WHERE, or at a quieter time",
        details={"limit": "first_rows_kept_max"},
    )


def _nothing() -> None:
    """Nobody drives this yet."""
