"""The conversation with one client: frames in, answers held until they are durable, frames out.

Laws: Sans-I/O: bytes in, bytes out through a Wire, never an await. A bad message is answered and harms no other; only a
frame that cannot be taken apart ends the conversation. Everything a client is told goes through the feed. Answers come
in the order of the messages, and the caller's own delta before its result.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from store.codec import NIL
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
from store.subscribe.encoding import ENCODINGS, UNREADABLE
from store.subscribe.followed import table_info
from store.subscribe.messages import (
    CLIENT_LENGTH_MAX,
    CLOSE_MALFORMED_FRAME,
    CLOSE_TOO_LARGE,
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
from store.subscribe.outbox import GATHERED_SIZE_MAX, Outbox, Wire
from store.subscribe.reading import note_reading, read
from store.subscribe.subscriptions import Subscriptions
from store.values import encode


class _Unreadable(NamedTuple):
    """Stands where a message could not be read."""

    place: int
    reason: str


_NO_DETAILS: Final = b"\x80"
_Handler = Callable[[Any], None]


class Session(Outbox):
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
        options = options or Options()
        encoding = ENCODINGS[subprotocol]
        super().__init__(engine.feed, encoding, wire, subscriptions.frames(encoding, options.frame_size_max), options)
        self.text: Final = encoding.text
        self._engine: Final = engine
        self._subscriptions: Final = subscriptions
        self._caller: Final = caller
        self._run: Final = engine.write_path.call
        self._encode_result: Final = encoding.result
        self._gathers: Final = encoding.results is not None
        self._acknowledged = Sequence(0)
        self._queries: Final[dict[int, LiveQuery]] = {}
        self._ids: Final[dict[QueryId, int]] = {}
        self._frame_size_max: Final = options.frame_size_max
        self._messages_per_frame_max: Final = options.messages_per_frame_max
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
        count = len(messages)
        if count > self._messages_per_frame_max:
            self._check_count(count)
        if count > 1 and self._gathers and not self._queries:
            self._work_through(messages)
            return
        for message in messages:
            self._handlers[type(message)](message)

    def _work_through(self, messages: list[Any]) -> None:
        """Many messages, while nothing is followed: results of calls are gathered, to be encoded together.

        What begins amid them is told by itself, and with it all that was gathered. No text comes here: only MessagePack
        says several results at once.
        """
        run_call, greeted, results = self._run_call, self._greeted, self._results
        try:
            for message in messages:
                if type(message) is not Call or self._handlers is not greeted:
                    self._handlers[type(message)](message)
                    continue
                answer = run_call(message)
                if answer is None:
                    continue
                sequence, value = message.sequence, answer.value
                if answer.outcome or len(value) > GATHERED_SIZE_MAX:
                    self._answer(sequence, answer)
                else:
                    results.append(("result", sequence, answer.offset, None if value is NIL else msgspec.Raw(value)))
        finally:
            if results:
                self.tell_results()

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
        super().detach()
        self._handlers = dict.fromkeys(self._greeted, _ignore)  # The rest of a frame that is being worked through.
        for query in self._queries.values():
            self._subscriptions.remove(self, query)
        self._queries.clear()
        self._ids.clear()

    # Out.

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
        answer = self._run_call(message)
        if answer is not None:
            self._answer(message.sequence, answer)

    def _run_call(self, message: Call) -> Answer | None:
        """Run it, and return what was recorded; None where nothing was, and that is answered."""
        args: bytes | msgspec.Raw = message.args
        if self.text and bytes(args) == NO_ARGS:
            args = b"[]"
        run = self._run
        try:
            return run(self._caller, message.reducer, args, message.sequence, self._acknowledged, "", self.text)
        except CallError as error:
            self._fail("call", message.sequence, error, message.reducer)
            return None

    def _answer(self, sequence: int, answer: Answer) -> None:
        """Say what became of a call that was recorded."""
        try:
            if answer.outcome:
                encoded = self._encode_failed(sequence, answer)
            else:
                encode_result = self._encode_result
                encoded = encode_result(sequence, answer.offset, answer.value)
        except UNREADABLE as error:
            encoded = self._encode_unsayable(sequence, answer, error)
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
            self.check_size(sum(map(len, asked.rows)))
            rows = msgspec.Raw(self.encoding.rows(asked.rows))
            self.tell_rows(self.encoding.encode(Rows(message.id, asked.offset, asked.table, rows)))
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
