"""The conversation with one client: frames in, answers held until they are durable, frames out.

Laws: Sans-I/O: bytes in, bytes out through a Wire, never an await. A bad message is answered and harms no other; only a
frame that cannot be taken apart ends the conversation. Everything a client is told goes through the feed. Answers come
in the order of the messages, and the caller's own delta before its result.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from store.engine.denials import is_told
from store.engine.engine import Engine
from store.engine.idempotency import UNACKNOWLEDGED_CALLS_MAX
from store.engine.identity import Caller
from store.engine.write_path import Answer
from store.errors import (
    CallError,
    MalformedCall,
    MalformedQuery,
    Overloaded,
    ProtocolError,
    ReducerFailed,
    Refused,
)
from store.ids import ClientId, Offset, QueryId, Sequence
from store.query.live import LiveQuery
from store.subscribe.broadcast import Broadcast
from store.subscribe.encoding import ENCODINGS, UNREADABLE, Encoding, table_info
from store.subscribe.messages import (
    CLIENT_LENGTH_MAX,
    CLOSE_MALFORMED_FRAME,
    CLOSE_TOO_LARGE,
    CLOSE_TOO_SLOW,
    NO_ARGS,
    Acknowledge,
    Anew,
    Call,
    Failure,
    Hello,
    Limits,
    Message,
    Rows,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Welcome,
)
from store.subscribe.messages import Query as QueryMessage
from store.subscribe.options import Options
from store.subscribe.reading import note_reading, read
from store.subscribe.subscriptions import Subscriptions
from store.values import encode


class Wire(Protocol):
    """One client's connection, as its session needs it. Nothing here raises, or calls the session back."""

    def transmit(self, payload: bytes) -> int:
        """Send one frame, text or binary as the session says. Returns the bytes the network has not taken yet."""
        ...

    def unsent_bytes(self) -> int:
        """Bytes transmitted that the network has not taken yet."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Cut the client off."""
        ...


class _Unreadable(NamedTuple):
    """Stands where a message could not be read."""

    place: int
    reason: str


_NO_DETAILS: Final = b"\x80"
_Handler = Callable[[Any], None]


class Session:
    """One client's conversation; a Receiver of the feed and a Recipient of deliveries."""

    def __init__(
        self,
        engine: Engine,
        subscriptions: Subscriptions,
        caller: Caller,
        subprotocol: str,
        wire: Wire,
        *,
        options: Options | None = None,
    ) -> None:
        self.encoding: Encoding = ENCODINGS[subprotocol]
        self.text: Final = self.encoding.text
        self.held_bytes = 0
        """Bytes held for this client until they are durable."""
        self._engine: Final = engine
        self._subscriptions: Final = subscriptions
        self._caller: Final = caller
        self._wire: Final = wire
        self._transmit: Final = wire.transmit
        self._options: Final = options or Options()
        self._run: Final = engine.write_path.call
        self._encode_result: Final = self.encoding.result
        self.held: list[bytes] = []
        """Messages held for this client until they are durable; the feed empties it."""
        self.broadcast: Broadcast | None = None
        """The one that told it something last (Listener)."""
        self._receivers: Final = engine.feed.receivers
        self._acknowledged = Sequence(0)
        self._queries: Final[dict[int, LiveQuery]] = {}
        self._ids: Final[dict[QueryId, int]] = {}
        self._unsent_bytes = 0
        self._sent_bytes = self._mark = 0
        self._unsent_messages = self._unsent_before = 0
        self._outbox_bytes_max = self._options.outbox_bytes_max
        self._outbox_messages_max: Final = self._options.outbox_messages_max
        self._frames: Final = subscriptions.frames(self.encoding, self._options.frame_size_max)
        self._room: Final = self._options.room
        self._frame_size_max: Final = self._options.frame_size_max
        self._messages_per_frame_max: Final = self._options.messages_per_frame_max
        self._closed = False
        self._greeted: Final[dict[type, _Handler]] = {
            Call: self._call,
            Acknowledge: self._acknowledge,
            Subscribe: self._subscribe,
            Unsubscribe: self._unsubscribe,
            QueryMessage: self._query,
            Hello: self._hello_again,
            _Unreadable: self._unreadable,
        }
        self._handlers: dict[type, _Handler] = {
            **dict.fromkeys(self._greeted, self._too_early),
            Hello: self._hello,
            _Unreadable: self._unreadable,
        }

    # In.

    def receive(self, payload: bytes, *, text: bool) -> None:
        """Work through one frame. ProtocolError, with its close code, where it cannot be taken apart."""
        if self._closed:
            return
        if text is not self.text:
            raise ProtocolError(
                f"expected a {_kind(text=self.text)} frame for {self.encoding.subprotocol}, found {_kind(text=text)}",
                close_code=CLOSE_MALFORMED_FRAME,
            )
        if len(payload) > self._frame_size_max:
            raise ProtocolError(
                f"a frame of {len(payload)} bytes, at most {self._frame_size_max} are taken",
                close_code=CLOSE_TOO_LARGE,
            )
        messages: list[Any]
        try:
            messages = self.encoding.decode_frame(payload)
        except UNREADABLE:
            messages = self._take_apart(payload)
        if len(messages) > self._messages_per_frame_max:
            self._check_count(len(messages))
        for message in messages:
            self._handlers[type(message)](message)

    def _take_apart(self, payload: bytes) -> list[Any]:
        """Read each message by itself, so that a bad one harms no other."""
        encoding = self.encoding
        self._check_count(encoding.count(payload))
        try:
            raws = encoding.split_frame(payload)
        except UNREADABLE as error:
            raise ProtocolError(
                f"a frame is an array of messages, this is none ({error})", close_code=CLOSE_MALFORMED_FRAME
            ) from None
        self._check_count(len(raws))
        messages: list[Any] = []
        for place, raw in enumerate(raws):
            try:
                messages.append(encoding.decode_message(raw))
            except UNREADABLE as error:
                messages.append(_Unreadable(place, str(error)))
        return messages

    def _check_count(self, count: int) -> None:
        if count > self._messages_per_frame_max:
            raise ProtocolError(
                f"a frame of {count} messages, at most {self._messages_per_frame_max} are taken",
                close_code=CLOSE_TOO_LARGE,
            )

    def detach(self) -> None:
        """The connection is gone: forget what is held, follow nothing. May be called again."""
        self._closed = True
        self.broadcast = None
        self._outbox_bytes_max = -1
        self._handlers = dict.fromkeys(self._greeted, _ignore)  # The rest of a frame that is being worked through.
        self._engine.feed.forget(self)
        for query in self._queries.values():
            self._subscriptions.remove(self, query)
        self._queries.clear()
        self._ids.clear()

    # Out.

    def tell(self, message: bytes) -> None:
        """Hold one encoded message; a client with too much waiting is cut off."""
        held = self.held_bytes + len(message)
        if held + self._unsent_bytes > self._outbox_bytes_max and not self._has_room(len(message)):
            self._cut_off(f"{self._options.outbox_bytes_max} bytes")
            return
        self.held_bytes = held
        waiting = self.held
        if not waiting:  # As Feed.hold does, without the call.
            self._receivers.append(self)
        elif len(waiting) >= self._outbox_messages_max:
            self._cut_off(f"{self._outbox_messages_max} messages")
            return
        waiting.append(message)

    def release(self, parts: list[bytes]) -> None:
        """Let messages out in as few frames as their size allows: all of them are durable."""
        if self._closed:
            return
        frames = self._frames
        payloads = frames.payloads if parts == frames.parts else frames.make(parts)  # Made once for all told the same.
        size = frames.size
        self.held_bytes -= size
        self.send(payloads, size, len(parts))

    def send(self, payloads: list[bytes], size: int, count: int) -> None:
        """Let frames out: `count` messages of `size` bytes, all durable (Listener)."""
        if self._closed:
            return
        unsent = 0
        for payload in payloads:
            unsent = self._transmit(payload)
        self._unsent_bytes = unsent
        if unsent or self._unsent_messages:
            self._note_unsent(size, count)

    def _note_unsent(self, size: int, count: int) -> None:
        """Count the messages among the unsent bytes: those since a mark, and those before it while it is unsent."""
        if not self._unsent_bytes:
            self._unsent_messages = self._unsent_before = self._sent_bytes = self._mark = 0
            return
        self._sent_bytes += size
        if self._sent_bytes - self._unsent_bytes >= self._mark:
            self._unsent_before, self._unsent_messages, self._mark = self._unsent_messages, 0, self._sent_bytes
        self._unsent_messages += count
        if self._unsent_before + self._unsent_messages > self._outbox_messages_max:
            self._cut_off(f"{self._outbox_messages_max} messages")
        elif self._unsent_bytes > self._outbox_bytes_max:  # Nobody asked for room before a broadcast.
            self._cut_off(f"{self._outbox_bytes_max} bytes")

    def has_room(self) -> bool:
        """Whether so much was read that more first rows may be told (Recipient)."""
        self._unsent_bytes = self._wire.unsent_bytes()
        return self.held_bytes + self._unsent_bytes < self._room

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes more may wait for this client, after another look at what was sent."""
        if self._closed:
            return False
        self._unsent_bytes = self._wire.unsent_bytes()
        return self.held_bytes + size + self._unsent_bytes <= self._outbox_bytes_max

    def _cut_off(self, bound: str) -> None:
        """End the conversation with a client that reads too slowly; it may come back and resume."""
        if self._closed:
            return
        self.detach()
        self._wire.close(CLOSE_TOO_SLOW, f"more than {bound} wait to be read")

    def _fail(self, about: str, number: int, error: CallError, target: str = "") -> None:
        """Answer that something was not done, and that nothing of it was recorded but, perhaps, that it was denied."""
        if is_told(about, error):
            self._engine.denials.note(
                about, error, door="websocket", target=target, source=self._caller.source, caller=self._caller
            )
        details = dict(error.details)
        if isinstance(error, Refused):
            details["reason"] = error.reason
        text = str(error)
        try:
            raw = msgspec.Raw(self.encoding.value(encode(details)))
            text.encode()
        except UNREADABLE:
            text, raw = ascii(text), msgspec.Raw(self.encoding.value(_NO_DETAILS))
        self.tell(self.encoding.encode(Failure(about, number, Offset(0), error.code, text, raw)))

    def _say(self, message: Message) -> None:
        self.tell(self.encoding.encode(message))

    # What each message does.

    def _call(self, message: Call) -> None:
        args: bytes | msgspec.Raw = message.args
        if self.text and bytes(args) == NO_ARGS:
            args = b"[]"
        try:
            answer = self._run(
                self._caller,
                message.reducer,
                args,
                sequence=message.sequence,
                acknowledged=self._acknowledged,
                json=self.text,
            )
        except CallError as error:
            self._fail("call", message.sequence, error, message.reducer)
            return
        try:
            if answer.outcome:
                encoded = self._encode_failed(message.sequence, answer)
            else:
                encoded = self._encode_result(message.sequence, answer.offset, answer.value)
        except UNREADABLE as error:
            encoded = self._encode_unsayable(message.sequence, answer, error)
        self.tell(encoded)

    def _encode_failed(self, sequence: int, answer: Answer) -> bytes:
        """Say that a call failed, as it was recorded: [message, details, reason]."""
        message, details, reason = _read_failure(answer.value)
        if answer.outcome == Refused.code:
            details["reason"] = reason
        raw = msgspec.Raw(self.encoding.value(encode(details)))
        return self.encoding.encode(Failure("call", sequence, answer.offset, answer.outcome, message, raw))

    def _encode_unsayable(self, sequence: int, answer: Answer, error: Exception) -> bytes:
        """Say that what was recorded has no form here: the call is done, and nobody else is harmed."""
        text = (
            f"the call {'failed' if answer.outcome else 'was committed'} at offset {answer.offset}, but its answer"
            f" cannot be said in {self.encoding.subprotocol} ({type(error).__name__}). Do not repeat it under a new"
            " sequence; let the reducer return plainer values"
        )
        raw = msgspec.Raw(self.encoding.value(_NO_DETAILS))
        return self.encoding.encode(Failure("call", sequence, answer.offset, ReducerFailed.code, text, raw))

    def _acknowledge(self, message: Acknowledge) -> None:
        self._acknowledged = max(self._acknowledged, message.sequence)

    def _hello(self, message: Hello) -> None:
        if len(message.client) > CLIENT_LENGTH_MAX:
            error = MalformedCall(
                f"a client's name has at most {CLIENT_LENGTH_MAX} characters, found {len(message.client)}"
            )
            self._fail("hello", 0, error)
            return
        self._caller.client = ClientId(message.client)
        self._handlers = self._greeted
        options = self._options
        limits = Limits(
            frame_size_max=options.frame_size_max,
            unacknowledged_calls_max=UNACKNOWLEDGED_CALLS_MAX,
            subscriptions_max=options.subscriptions_max,
            messages_per_frame_max=options.messages_per_frame_max,
            outbox_bytes_max=options.outbox_bytes_max,
        )
        engine = self._engine
        self._say(Welcome(self._caller.connection, engine.epoch.hex(), engine.write_path.last_offset, limits))

    def _hello_again(self, _message: Hello) -> None:
        self._fail("hello", 0, MalformedCall("this session has begun already", hint="Say hello once, first"))

    def _too_early(self, message: Any) -> None:
        about = type(message).__struct_config__.tag
        number = message.sequence if isinstance(message, Call | Acknowledge) else message.id
        self._fail(about, number, MalformedCall(f"{about} came before hello", hint='Begin with ["hello", client]'))

    def _unreadable(self, message: _Unreadable) -> None:
        self._fail("message", message.place, MalformedCall(f"the message cannot be read: {message.reason}"))

    def _query(self, message: QueryMessage) -> None:
        try:
            asked = read(self._engine, self._caller, message.sql, message.params, self._options)
            answer = Rows(message.id, asked.offset, asked.table, self._raw_rows(asked.rows))
            self._tell_rows(self.encoding.encode(answer))
        except CallError as error:
            self._fail("query", message.id, error)

    def _subscribe(self, message: Subscribe) -> None:
        try:
            query = self._subscriptions.compile(self._caller, message.sql, message.params)
            self._check_new(message.id, query)
            note_reading(self._engine, self._caller, "subscribe", message.sql, message.params, query.table.name)
        except CallError as error:
            self._fail("subscribe", message.id, error)
            return
        self._queries[message.id] = query
        self._ids[query.id] = message.id
        self._subscriptions.follow(self, query, epoch=message.epoch, after=message.offset)

    def begin(
        self, query: LiveQuery, offset: Offset, rows: bytes, *, resumed: bool, more: bool, anew: Anew | None = None
    ) -> None:
        """Say Subscribed: first rows, or that what was missed follows (Recipient)."""
        number, raw = self._ids[query.id], msgspec.Raw(rows)
        self._say(Subscribed(number, query.id, offset, table_info(query), resumed, raw, more, anew))

    def refuse(self, query: LiveQuery, error: CallError) -> None:
        """End a subscription with an error (Recipient)."""
        number = self._ids.pop(query.id)
        del self._queries[number]
        self._subscriptions.remove(self, query)
        self._fail("subscribe", number, error)

    def _check_new(self, number: int, query: LiveQuery) -> None:
        if number in self._queries:
            raise MalformedCall(f"subscription {number} is in use", hint="Take another id, or unsubscribe it first")
        if query.id in self._ids:
            raise MalformedQuery(
                f"subscription {self._ids[query.id]} follows this query already",
                hint="One is enough: its deltas say the query",
                details={"id": self._ids[query.id], "query": query.id},
            )
        if len(self._queries) >= self._options.subscriptions_max:
            raise Overloaded(
                f"this session follows {len(self._queries)} queries, as many as it may", hint="Unsubscribe some"
            )

    def _raw_rows(self, rows: list[bytes]) -> msgspec.Raw:
        """Rows as an array. Overloaded where they alone are more than may wait for this client."""
        size = sum(map(len, rows))
        if size > self._options.rows_size_max:
            raise self._too_many(size)
        return msgspec.Raw(self.encoding.rows(rows))

    def _tell_rows(self, message: bytes) -> None:
        """Hold an answer with rows. Overloaded where it has no room: the client is not slow, it asked for much.

        What is told after it has room, too: else a client that repeats all of it when it comes back would never stay.
        """
        options = self._options
        if not self._has_room(len(message) + options.outbox_bytes_max - options.rows_size_max):
            raise self._too_many(len(message))
        self.tell(message)

    def _too_many(self, size: int) -> Overloaded:
        return Overloaded(
            f"the rows are {size} bytes; with what waits for this client at most"
            f" {self._options.rows_size_max} bytes may be held",
            hint="Ask for fewer rows with WHERE, or again when you have read what was sent",
            details={"limit": "outbox_bytes_max"},
        )

    def _unsubscribe(self, message: Unsubscribe) -> None:
        query = self._queries.pop(message.id, None)
        if query is None:
            self._fail("unsubscribe", message.id, MalformedCall(f"there is no subscription {message.id}"))
            return
        del self._ids[query.id]
        self._subscriptions.remove(self, query)
        self._say(Unsubscribed(message.id))


_read_failure: Final = msgspec.msgpack.Decoder(tuple[str, dict[str, Any], str]).decode


def _ignore(_message: object) -> None:
    """Do nothing: the session is over."""


def _kind(*, text: bool) -> str:
    return "text" if text else "binary"
