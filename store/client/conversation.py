"""The client's side of the conversation, over as many connections as it takes: frames in, events and frames out.

    CLOSED --opened--> GREETING --welcome--> OPEN          lost: from everywhere to CLOSED

Laws: no socket, no clock, no task. A call keeps its sequence for good and is said again on every connection until it is
answered, so it runs once; only under another epoch is what was said before given up, for there nobody may know of it.
Nothing but hello is said before the welcome. What `offset` names, every view has seen; it rests while a view is still
coming back.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from store.client.errors import error_of
from store.client.followings import Changed, Failed, Followings, Opened
from store.client.rows import Rows, reader_of
from store.codec import concatenate
from store.errors import CallError, MalformedCall, MalformedQuery, Overloaded, ProtocolError, SchemaMismatch
from store.ids import Offset, Sequence
from store.subscribe import messages
from store.subscribe.messages import (
    Acknowledge,
    Call,
    Chunk,
    Delta,
    Failure,
    Hello,
    Limits,
    Query,
    Result,
    ServerMessage,
    Subscribe,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from store.values import encode, unsayable

FRAME_OVERHEAD: Final = 64
"""Bytes a frame has beside its messages, at most: its array header and an acknowledgement."""

_LIMITS_UNTOLD: Final = Limits(frame_size_max=1 << 20, unacknowledged_calls_max=1, subscriptions_max=1)
"""What holds until the first welcome says more; nothing is sent before it."""

_decode: Final[Callable[[bytes], list[ServerMessage]]] = msgspec.msgpack.Decoder(list[ServerMessage]).decode


class State(Enum):
    """How far the conversation is on the connection there is, if there is one."""

    CLOSED = "closed"
    GREETING = "greeting"
    OPEN = "open"


class Welcomed(NamedTuple):
    """The server greets. `given_up`: sequences of calls that were sent under another epoch and are not sent again."""

    epoch_changed: bool
    given_up: tuple[Sequence, ...]


class Fetched(NamedTuple):
    """A query's rows are there."""

    id: int
    rows: Rows[Any]


Event = Result | Welcomed | Opened | Changed | Fetched | Failed
"""A Result is handed on as it came: it is the hot path."""


class Conversation:
    """One client's conversation. Feed it with `receive`, and send what `data_to_send` gives."""

    def __init__(self, *, client: str, sequence: int, calls_unanswered_max: int, queries_unanswered_max: int) -> None:
        """`sequence` is the last one that this client's name has used before."""
        self.client: Final = client
        self.state = State.CLOSED
        self.epoch = ""
        self.offset = Offset(0)
        self.limits = _LIMITS_UNTOLD
        self._calls_unanswered_max: Final = calls_unanswered_max
        self._queries_unanswered_max: Final = queries_unanswered_max
        self._sequence = sequence
        self._sent = sequence
        """Calls up to this one have been sent, on some connection."""
        self._answered = sequence
        """All calls up to this one are answered."""
        self._acknowledged = 0
        """What this connection's server was told of that."""
        self._unanswered: Final[dict[int, bytes]] = {}
        self._queries: Final[dict[int, tuple[bytes, type[Any] | None]]] = {}
        self._followings: Final = Followings()
        self._last_id = 0
        self._outbox: Final[deque[tuple[int, bytes]]] = deque()
        """What waits to be sent on the open connection: a call with its sequence, anything else with 0."""
        self._hello_due = False
        self._take: Final[dict[type, Callable[[Any, list[Event]], None]]] = {
            Welcome: self._take_welcome,
            Failure: self._take_failure,
            Subscribed: self._take_subscribed,
            Chunk: self._take_chunk,
            Unsubscribed: self._take_unsubscribed,
            messages.Rows: self._take_rows,
            Delta: self._take_delta,
        }

    # What its owner asks for. Each returns the number under which an event will answer.

    def call(self, reducer: str, args: Any) -> Sequence:
        """Call a reducer with a tuple of arguments, or a dict by name. MalformedCall, Overloaded: nothing was said."""
        sequence = self._sequence + 1
        try:
            data = encode(Call(Sequence(sequence), reducer, args))  # Args as they are: encoding them twice would cost.
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            said = args.items() if isinstance(args, dict) else enumerate(args, start=1)
            raise unsayable(reducer, said, error) from None
        self._check_size(data, MalformedCall)
        if len(self._unanswered) >= self._calls_unanswered_max:
            raise Overloaded(
                f"{len(self._unanswered)} calls wait for their answers", details={"limit": "calls_unanswered_max"}
            )
        self._sequence = sequence
        self._unanswered[sequence] = data
        if self.state is State.OPEN:
            self._outbox.append((sequence, data))
        return Sequence(sequence)

    def query(self, sql: str, params: tuple[Any, ...], row_type: type[Any] | None) -> int:
        """Read once. MalformedQuery, Overloaded: nothing was said."""
        id_ = self._next_id()
        data = self._encode_query(Query(id_, sql, params))
        self._queries[id_] = data, row_type
        self._say(data)
        return id_

    def subscribe(self, sql: str, params: tuple[Any, ...], row_type: type[Any] | None) -> int:
        """Follow a query. MalformedQuery, Overloaded: nothing was said."""
        id_ = self._next_id()
        message = Subscribe(id_, sql, params)
        data = self._encode_query(message)
        self._followings.subscribe(message, row_type)
        self._say(data)
        return id_

    def was_sent(self, sequence: int) -> bool:
        """Whether a call was given out to be sent, on some connection: then nobody here knows whether it was done."""
        return sequence <= self._sent

    def unsubscribe(self, id_: int) -> None:
        """Follow no longer; no event about it comes any more. Nothing happens where it has ended already."""
        self._followings.unsubscribe(id_)
        self._say_due()

    # The connection.

    def opened(self) -> None:
        """There is a connection, and nothing was said on it yet."""
        assert self.state is State.CLOSED
        self.state = State.GREETING
        self._hello_due = True

    def lost(self) -> None:
        """The connection is gone. What is unanswered waits for the next."""
        if self.state is State.OPEN:
            self._followings.lost(self.offset)
        self.state = State.CLOSED
        self._outbox.clear()

    @property
    def sending(self) -> bool:
        """Whether something waits to be sent that may be sent now."""
        if self.state is State.OPEN:
            return bool(self._outbox) and self._outbox[0][0] <= self._window()
        return self.state is State.GREETING and self._hello_due

    def data_to_send(self) -> list[bytes]:
        """Frames with all that may be sent now: calls within the server's window, in the order they were asked for."""
        if self.state is not State.OPEN:
            due, self._hello_due = self.sending, False
            return [concatenate([encode(Hello(self.client))])] if due else []
        frames: list[bytes] = []
        outbox, window = self._outbox, self._window()
        while outbox and outbox[0][0] <= window:
            frames.append(concatenate(self._next_frame(window)))
        return frames

    def _next_frame(self, window: int) -> list[bytes]:
        """As many messages as one frame may hold, at least one."""
        outbox, size_max = self._outbox, self.limits.frame_size_max - FRAME_OVERHEAD
        count_max = max(self.limits.messages_per_frame_max, 2)  # Room for an acknowledgement and what follows it.
        frame: list[bytes] = []
        if self._answered > self._acknowledged:
            self._acknowledged = self._answered
            frame.append(encode(Acknowledge(Sequence(self._answered))))
        sequence, data = outbox.popleft()
        while True:
            frame.append(data)
            size_max -= len(data)
            self._sent = max(self._sent, sequence)
            full = len(frame) >= count_max or not outbox
            if full or outbox[0][0] > window or len(outbox[0][1]) > size_max:
                return frame
            sequence, data = outbox.popleft()

    def receive(self, frame: bytes | str) -> list[Event]:
        """What a frame says. ProtocolError: it is none of ours; close the connection for good."""
        if isinstance(frame, str):
            raise ProtocolError("the server sent text where MessagePack was agreed on", close_code=1003)
        try:
            received = _decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(
                f"the server sent a frame that cannot be read: {error}",
                close_code=1002,
                hint="Is the client older than the server?",
            ) from None
        events: list[Event] = []
        for message in received:
            if type(message) is Result:
                if self._unanswered.pop(message.sequence, None) is not None:
                    self._reach(message.offset)
                    events.append(message)
            else:
                self._take[type(message)](message, events)
        return events

    # What the server says.

    def _take_welcome(self, welcome: Welcome, events: list[Event]) -> None:
        if self.state is not State.GREETING:
            raise ProtocolError("the server greets again", close_code=1002)
        self.state = State.OPEN
        self.limits = welcome.limits
        changed = self.epoch not in {"", welcome.epoch}
        given_up = tuple(Sequence(each) for each in self._unanswered if each <= self._sent) if changed else ()
        for sequence in given_up:
            del self._unanswered[sequence]
        if changed:
            self.offset = Offset(0)
        self.epoch = welcome.epoch
        self._acknowledged = 0
        for data in self._followings.come_back():  # First, so that what a call changes is told before its answer.
            self._say(data)
        self._outbox.extend(self._unanswered.items())
        for data, _ in self._queries.values():
            self._say(data)
        events.append(Welcomed(changed, given_up))

    def _take_failure(self, failure: Failure, events: list[Event]) -> None:
        error = error_of(failure)
        self._reach(failure.offset)
        if failure.about == "call":
            if self._unanswered.pop(failure.id, None) is not None:
                events.append(Failed("call", failure.id, error))
        elif failure.about == "query":
            if self._queries.pop(failure.id, None) is not None:
                events.append(Failed("query", failure.id, error))
        elif failure.about == "subscribe":
            self._followings.take_failure(failure.id, error, events)
            self._say_due()
        elif failure.about == "hello":
            raise error
        elif failure.about != "unsubscribe":  # That one had ended by itself meanwhile.
            raise ProtocolError(f"the server could not read a message: {failure.message}", close_code=1002)

    def _take_subscribed(self, subscribed: Subscribed, events: list[Event]) -> None:
        self._followings.take_subscribed(subscribed, self.epoch, events)
        self._say_due()

    def _take_chunk(self, chunk: Chunk, events: list[Event]) -> None:
        self._followings.take_chunk(chunk, self.epoch, events)
        self._say_due()

    def _take_delta(self, delta: Delta, events: list[Event]) -> None:
        self._followings.take_delta(delta, events)
        self._say_due()
        self._reach(delta.offset)

    def _take_rows(self, rows: messages.Rows, events: list[Event]) -> None:
        self._reach(rows.offset)
        query = self._queries.pop(rows.id, None)
        if query is None:
            return
        try:
            reader = reader_of(rows.table, query[1])
            events.append(Fetched(rows.id, Rows(reader.rows(rows.rows), offset=rows.offset, table=rows.table)))
        except SchemaMismatch as error:
            events.append(Failed("query", rows.id, error))

    def _take_unsubscribed(self, _unsubscribed: Unsubscribed, _events: list[Event]) -> None:
        """It was forgotten when it was said."""

    # The small print.

    def _say(self, data: bytes) -> None:
        """Queue a message, if there is somebody to say it to: a welcome queues all that is unanswered."""
        if self.state is State.OPEN:
            self._outbox.append((0, data))

    def _say_due(self) -> None:
        for data in self._followings.to_say:
            self._say(data)
        self._followings.to_say.clear()

    def _reach(self, offset: Offset) -> None:
        """All up to `offset` was told, to every view."""
        if offset > self.offset and self._followings.settled:
            self.offset = offset

    def _window(self) -> int:
        """The highest sequence that may be sent: the server keeps so many answers, counted from the first it misses."""
        while self._answered < self._sequence and self._answered + 1 not in self._unanswered:
            self._answered += 1
        return self._answered + self.limits.unacknowledged_calls_max

    def _next_id(self) -> int:
        waiting = len(self._queries)
        if waiting >= self._queries_unanswered_max:
            raise Overloaded(f"{waiting} queries wait for their answers", details={"limit": "queries_unanswered_max"})
        self._last_id += 1
        return self._last_id

    def _encode_query(self, message: Query | Subscribe) -> bytes:
        try:
            data = encode(message)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise MalformedQuery(f"a parameter cannot be sent: {error}") from None
        self._check_size(data, MalformedQuery)
        return data

    def _check_size(self, data: bytes, kind: type[CallError]) -> None:
        size_max = self.limits.frame_size_max - FRAME_OVERHEAD
        if len(data) > size_max:
            raise kind(
                f"this takes {len(data)} bytes, the server takes {size_max} at most",
                details={"limit": "frame_size_max"},
            )
