"""The conversation's other side, in the tests' words: what was said, and what is heard."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from store.client.conversation import Conversation
from store.client.followings import Changed, Failed, Opened
from store.client.options import ClientOptions
from store.client.view import View
from store.client.views import Views
from store.ids import ConnectionId, Offset, QueryId, Sequence, Timestamp
from store.subscribe.messages import (
    Anew,
    Chunk,
    ClientMessage,
    ColumnInfo,
    Delta,
    Failure,
    Limits,
    Message,
    Missed,
    Part,
    Result,
    Rows,
    Subscribed,
    TableInfo,
    Welcome,
)
from store.values import encode

ACCOUNTS = TableInfo(
    "accounts",
    0,
    (ColumnInfo("id", "int", False), ColumnInfo("owner", "str", False), ColumnInfo("balance", "int", False)),
)
EPOCH = "11" * 16
OTHER_EPOCH = "22" * 16
ALL = "SELECT * FROM accounts"
LIMITS = Limits(frame_size_max=1 << 20, unacknowledged_calls_max=4, subscriptions_max=10, messages_per_frame_max=100)

read_frame: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder(list[ClientMessage]).decode


def raw(value: Any) -> msgspec.Raw:
    """A value as it travels."""
    return msgspec.Raw(encode(value))


def conversation(**changes: Any) -> Conversation:
    """A conversation with small limits."""
    given: dict[str, Any] = {"client": "me", "sequence": 0, "calls_unanswered_max": 10, "queries_unanswered_max": 10}
    return Conversation(**{**given, **changes})


def greeted(**changes: Any) -> Conversation:
    """A conversation behind its first welcome."""
    made = conversation(**changes)
    greet(made)
    return made


def greet(made: Conversation, epoch: str = EPOCH, limits: Limits = LIMITS) -> list[Any]:
    """The next connection, up to its welcome."""
    made.opened()
    made.data_to_send()
    return hear(made, Welcome(ConnectionId(1), epoch, Offset(0), limits))


def frames(made: Conversation) -> list[list[Any]]:
    """What is sent now, frame by frame."""
    return [read_frame(frame) for frame in made.data_to_send()]


def said(made: Conversation) -> list[Any]:
    """What is sent now."""
    return [message for frame in frames(made) for message in frame]


def hear(made: Conversation, *messages: Message) -> list[Any]:
    """What a frame of these messages makes happen."""
    return made.receive(encode(messages))


def result(sequence: int, offset: int = 1, value: Any = None) -> Result:
    """A call was committed."""
    return Result(Sequence(sequence), Offset(offset), raw(value))


def failure(about: str, number: int, code: str = "refused", offset: int = 0, **details: Any) -> Failure:
    """Something was not done."""
    return Failure(about, number, Offset(offset), code, "no", raw(details))


def subscribed(
    number: int,
    offset: int,
    *rows: Any,
    query: str = "q",
    resumed: bool = False,
    more: bool = False,
    anew: Anew | None = None,
) -> Subscribed:
    """First rows, or a resumption."""
    return Subscribed(number, QueryId(query), Offset(offset), ACCOUNTS, resumed, raw(rows), more, anew)


def anew(reason: str = "past_horizon", offset: int = 3) -> Anew:
    """Why rows come anew."""
    return Anew(reason, f"because of {reason}", EPOCH, Offset(offset), EPOCH, Offset(90), Offset(50))


def chunk(*rows: Any, missed: Iterable[tuple[int, list[Any], list[Any]]] = (), more: bool = True) -> Chunk:
    """More of what was begun."""
    said_missed = tuple(
        Missed(Offset(offset), Timestamp(offset), tuple(map(raw, rows_)), tuple(keys)) for offset, rows_, keys in missed
    )
    return Chunk(QueryId("q"), raw(rows), said_missed, more)


def delta(offset: int, *rows: Any, keys: tuple[Any, ...] = (), query: str = "q") -> Delta:
    """One transaction as one query sees it."""
    return Delta(Offset(offset), Timestamp(offset), (Part(QueryId(query), tuple(map(raw, rows)), keys),))


def rows(number: int, offset: int, *values: Any) -> Rows:
    """A query was answered."""
    return Rows(number, Offset(offset), ACCOUNTS, raw(values))


class Watcher:
    """Live views without a socket: what the server says, the views take in."""

    def __init__(self, options: ClientOptions | None = None) -> None:
        self.conversation = greeted()
        self.raised: list[Exception] = []
        """What callbacks raised."""
        self.opened: dict[int, View[Any]] = {}
        self.views = Views(
            self.conversation,
            options or ClientOptions(),
            forget=self.conversation.unsubscribe,
            report=lambda _message, error: self.raised.append(error),
        )

    def follow(self, *first: Any, query: str = "q", sql: str = ALL, offset: int = 3) -> View[Any]:
        """A view that begins with these rows."""
        number = self.conversation.subscribe(sql, (), None)
        said(self.conversation)
        self.hear(subscribed(number, offset, *first, query=query))
        return self.opened[number]

    def hear(self, *messages: Message) -> None:
        """One frame from the server."""
        for frame in self.views.apart(encode(messages)):
            for event in self.conversation.receive(frame):
                if isinstance(event, Opened):
                    self.opened[event.id] = self.views.open(event, ALL)
                elif isinstance(event, Changed):
                    self.views.change(event)
                elif isinstance(event, Failed):
                    self.views.end(event.id, event.error)
            self.views.tell()

    def come_back(self, *messages: Message) -> None:
        """The connection is lost, and this is said on the next."""
        self.conversation.lost()
        greet(self.conversation)
        said(self.conversation)
        self.hear(*messages)


def waiting(stream: Any) -> list[Any]:
    """What a stream gives without waiting."""
    items: list[Any] = []
    while stream._queue:
        try:
            stream.__anext__().send(None)
        except StopIteration as given:
            items.append(given.value)
    return items
