"""Every message of the wire, both ways; PROTOCOL.md says what answers which.

Laws: a frame is an array of messages, a message an array that begins with its name. Both subprotocols carry the same
messages: store.v1.msgpack in MessagePack, store.v1.json in JSON (bytes as base64, timestamps as RFC 3339, integers
beyond ±(2^53 - 1) as decimal strings). New fields go last, with defaults.
"""

from typing import Annotated, Any, Final

import msgspec

from store.ids import ConnectionId, Offset, QueryId, Sequence, Timestamp

SUBPROTOCOL_MSGPACK = "store.v1.msgpack"
SUBPROTOCOL_JSON = "store.v1.json"

NUMBER_MAX: Final = 2**53 - 1
"""The largest sequence, id and offset: every JSON reader keeps integers up to here."""
CLIENT_LENGTH_MAX: Final = 128
"""Characters a client's name may have."""
NO_ARGS: Final = b"\x90"
"""What stands for a call's arguments where none were said, in both subprotocols: MessagePack's empty array."""


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The base of all messages."""


# What a client says.


class Hello(Message, tag="hello", frozen=True, array_like=True, gc=False):
    """Opens the conversation; answered by Welcome. `client` names the client across its reconnects, or is ""."""

    client: str = ""


class Call(Message, tag="call", frozen=True, array_like=True, gc=False):
    """Run a reducer; answered by Result or Failure about "call". A retry repeats the sequence."""

    sequence: Annotated[Sequence, msgspec.Meta(ge=1, le=NUMBER_MAX)]
    reducer: str
    args: msgspec.Raw = msgspec.Raw(NO_ARGS)
    """An array of the parameters in order, or a map by name."""


class Acknowledge(Message, tag="acknowledge", frozen=True, array_like=True, gc=False):
    """The client has all its answers up to this sequence; not answered."""

    sequence: Annotated[Sequence, msgspec.Meta(ge=0, le=NUMBER_MAX)]


class Subscribe(Message, tag="subscribe", frozen=True, array_like=True, gc=False):
    """Follow a query; answered by Subscribed or Failure about "subscribe"."""

    id: Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]
    sql: str
    params: tuple[Any, ...] = ()
    epoch: str = ""
    """With `offset`: where this client has this query from before, so that only what it missed is sent."""
    offset: Annotated[Offset, msgspec.Meta(ge=0, le=NUMBER_MAX)] = Offset(0)


class Unsubscribe(Message, tag="unsubscribe", frozen=True, array_like=True, gc=False):
    """Follow no longer; answered by Unsubscribed or Failure about "unsubscribe"."""

    id: Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]


class Query(Message, tag="query", frozen=True, array_like=True, gc=False):
    """Read once; answered by Rows or Failure about "query"."""

    id: Annotated[int, msgspec.Meta(ge=0, le=NUMBER_MAX)]
    sql: str
    params: tuple[Any, ...] = ()


ClientMessage = Hello | Call | Acknowledge | Subscribe | Unsubscribe | Query


# What the server says.


class ColumnInfo(msgspec.Struct, frozen=True, array_like=True):
    """A column as a client needs it: its name, its type's name, whether it may be null."""

    name: str
    type: str
    nullable: bool


class OrderInfo(msgspec.Struct, frozen=True, array_like=True):
    """One key of an order: the place of its column, and how its values come."""

    place: int
    descending: bool
    nulls_first: bool


class TableInfo(msgspec.Struct, frozen=True, array_like=True):
    """What a query's rows are: arrays of these columns; `key` is the place of the primary key among them.

    It is -1 where rows have none. A followed query's rows are groups then: a row's key is an array of its values at the
    places of `group`, empty where there is one row at most. `order` is what its rows are the first of, if anything.
    """

    name: str
    key: int
    columns: tuple[ColumnInfo, ...]
    group: tuple[int, ...] = ()
    order: tuple[OrderInfo, ...] = ()


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """What this server takes, in bytes and counts; past each, PROTOCOL.md says what answers."""

    frame_size_max: int
    unacknowledged_calls_max: int
    subscriptions_max: int
    messages_per_frame_max: int = 4_096
    outbox_bytes_max: int = 64 << 20
    """The largest message the server sends, in bytes; and what may wait for a client that reads slowly."""


class Welcome(Message, tag="welcome", frozen=True, array_like=True, gc=False):
    """Answers Hello."""

    connection: ConnectionId
    epoch: str
    """32 hexadecimal digits; another epoch than before means that offsets from before mean nothing here."""
    offset: Offset
    limits: Limits


class Result(Message, tag="result", frozen=True, array_like=True, gc=False):
    """The call was committed at `offset` and is durable; `value` is what the reducer returned."""

    sequence: Sequence
    offset: Offset
    value: msgspec.Raw


class Failure(Message, tag="failure", frozen=True, array_like=True, gc=False):
    """Something asked for was not done, and nothing was changed. `offset` is 0 where nothing was recorded.

    But one: a committed call whose value has no form in this subprotocol; `reducer_failed`, and the text says so.
    """

    about: str
    """Which message failed: hello, call, acknowledge, subscribe, unsubscribe, query; or "message": it is unreadable."""
    id: int
    """The message's sequence or id; where it could not be read, its place in the frame, from 0."""
    offset: Offset
    code: str
    """The code of a CallError (store/errors.py)."""
    message: str
    details: msgspec.Raw
    """A map of plain values; a refusal's own code is at "reason"."""


FOREIGN_EPOCH = "foreign_epoch"
"""The client's offset is of another history than the store's."""
FUTURE = "future"
"""The client's offset is still to come."""
PAST_HORIZON = "past_horizon"
"""More was missed than is kept, or than resume_transactions_max."""
NOT_RESUMABLE = "not_resumable"
"""What was missed cannot be said of this query, or costs more than its rows."""


class Anew(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why rows come anew to one who asked to resume: what it named, and what the store has."""

    reason: str
    """FOREIGN_EPOCH, FUTURE, PAST_HORIZON or NOT_RESUMABLE; later versions may have more."""
    message: str
    """The same for people, in a sentence with the numbers."""
    asked_epoch: str
    """As the client named it, at most ASKED_EPOCH_MAX characters of it."""
    asked_offset: Offset
    epoch: str
    """The store's own."""
    newest: Offset
    """Where the store is."""
    oldest: Offset
    """From here on the store tells what was missed, as far as it knows: that log was let go it may learn later."""
    limit: str = ""
    """The name of the limit that was passed, if one was."""


ASKED_EPOCH_MAX: Final = 64
"""Characters of a named epoch that are said back: one has 32."""


class Subscribed(Message, tag="subscribed", frozen=True, array_like=True, gc=False):
    """Answers Subscribe: the query's rows at `offset`; deltas follow from exactly offset + 1.

    When `resumed`, `offset` is the one the client named, `rows` is empty, and what it missed follows in chunks.
    When not, the rows replace whatever the client had; `anew` says why where it had asked to resume. With `more`,
    chunks follow, and until the last of them the client keeps back what deltas say of this query.
    """

    id: int
    query: QueryId
    offset: Offset
    table: TableInfo
    resumed: bool
    rows: msgspec.Raw
    more: bool = False
    anew: Anew | None = None


class Missed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one transaction that a subscriber missed changed in its query; as a delta with one part."""

    offset: Offset
    timestamp: Timestamp
    rows: tuple[msgspec.Raw, ...]
    keys: tuple[Any, ...]


class Chunk(Message, tag="chunk", frozen=True, array_like=True, gc=False):
    """More of what Subscribed began for a query: further first rows, or what was missed, in rising offset order."""

    query: QueryId
    rows: msgspec.Raw
    missed: tuple[Missed, ...]
    more: bool = False
    """Whether further chunks follow."""


class Unsubscribed(Message, tag="unsubscribed", frozen=True, array_like=True, gc=False):
    """Answers Unsubscribe; no delta of that query follows."""

    id: int


class Rows(Message, tag="rows", frozen=True, array_like=True, gc=False):
    """Answers Query: the rows at `offset`."""

    id: int
    offset: Offset
    table: TableInfo
    rows: msgspec.Raw


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one transaction changed in one query: rows that are in it now, and keys of rows that left it."""

    query: QueryId
    rows: tuple[msgspec.Raw, ...]
    keys: tuple[Any, ...]


class Delta(Message, tag="delta", frozen=True, array_like=True, gc=False):
    """One transaction as this client sees it: one part for each of its queries that changed."""

    offset: Offset
    timestamp: Timestamp
    parts: tuple[Part, ...]


ServerMessage = Welcome | Result | Failure | Subscribed | Chunk | Unsubscribed | Rows | Delta


# Close codes (RFC 6455 §7.4.2: 4000-4999 are the application's).

CLOSE_MALFORMED_FRAME = 4400
"""The frame is no array, or of the wrong kind (text for JSON, binary for MessagePack)."""
CLOSE_UNAUTHORIZED = 4401
"""The token has run out while connected."""
CLOSE_SUBPROTOCOL = 4406
"""No subprotocol of ours was offered."""
CLOSE_TOO_SLOW = 4408
"""The client reads too slowly and was cut off; it may come back and resume."""
CLOSE_TOO_LARGE = 1009
"""The frame is larger than frame_size_max, or holds more than messages_per_frame_max messages."""
CLOSE_STOPPING = 1001
"""The server stops; come back later."""
