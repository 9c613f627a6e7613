"""All rows of a query, told to one recipient: its rows of one offset in chunks, or what its result shows.

Laws: who follows is told deltas from the offset of its first rows on. Why rows come anew is said with them.
"""

from collections import deque
from typing import Final

from store.errors import Overloaded
from store.query.live import LiveQuery
from store.subscribe.delivery import Recipient, State
from store.subscribe.first_rows import FirstRows, split_rows
from store.subscribe.means import Means
from store.subscribe.messages import Anew
from store.subscribe.shaped import Shaped


def begin(means: Means, recipient: Recipient, query: LiveQuery, anew: Anew | None) -> "RowsDelivery | ShownDelivery":
    """What tells all of a query; `anew` says why, to one who has some of it."""
    kind = RowsDelivery if query.shape is None else ShownDelivery
    return kind(means, recipient, query, anew)


def prepare(means: Means, query: LiveQuery) -> State:
    """Have what a query rests on, and what it shows, for a piece; DONE when it is there. CallError: it cannot be."""
    if means.prepare(query):
        return State.GOING
    if query.shape is None:
        return State.DONE
    shaped = means.open_shaped(query)
    state = State.DONE if shaped.ready or shaped.error is not None else means.streams.build(shaped)
    if shaped.error is not None:
        raise shaped.error
    return state


class RowsDelivery:
    """First rows for one recipient. `started` where it was told Subscribed already, and is told so again."""

    def __init__(
        self, means: Means, recipient: Recipient, query: LiveQuery, anew: Anew | None, *, started: bool = False
    ) -> None:
        self.recipient: Recipient = recipient
        self.query: LiveQuery = query
        self.ended = False
        self.started = started
        self._means: Final = means
        self._anew: Final = anew
        self._stream: FirstRows | None = None
        self._large = False
        self._number = 0

    def advance(self) -> State:
        """Prepare, begin, gather, or tell a chunk."""
        stream = self._stream
        if self._means.prepare(self.query) if stream is None else stream.gather():
            return State.GOING
        if not self.recipient.has_room():
            return State.WAITING
        if stream is None:
            return self._begin()
        kept_max = self._means.options.first_rows_kept_max
        if stream.kept_size > kept_max:
            raise _too_busy(kept_max)
        chunk = stream.chunk(self._number, self.recipient.encoding)
        more = not stream.ends_with(self._number)
        self._number += 1
        if chunk:
            self.recipient.tell(chunk)
        return State.GOING if more else State.DONE

    def _begin(self) -> State:
        means, query, encoding = self._means, self.query, self.recipient.encoding
        stream = means.streams.rows_of(query, large=self._large)
        if stream is None:
            return State.WAITING
        rows, more = encoding.rows([]), True
        if stream.at_once:
            rows, self._number = stream.rows(0, encoding), 1
            more = not stream.ends_with(0)
        if more:
            if not means.streams.join(stream):
                self._large, self._number = True, 0
                return State.WAITING
            self._stream = stream
        if not self.started:
            self.started = True
            means.follow(self.recipient, query)
        missed = [past.missed(encoding) for past in stream.since or ()]
        self.recipient.begin(query, stream.offset, rows, resumed=False, more=more or bool(missed), anew=self._anew)
        if missed and not self.ended:
            self.recipient.tell(encoding.chunk(query.id, encoding.rows([]), missed, more=more))
        return State.GOING if more else State.DONE

    def close(self) -> None:
        """Read no more."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._means.streams.leave(stream)


class ShownDelivery:
    """What a result shows, for one recipient: all of it at one offset."""

    def __init__(self, means: Means, recipient: Recipient, query: LiveQuery, anew: Anew | None) -> None:
        self.recipient: Recipient = recipient
        self.query: LiveQuery = query
        self.ended = False
        self.started = False
        self._means: Final = means
        self._anew: Final = anew
        self._chunks: deque[list[bytes]] = deque()

    def advance(self) -> State:
        """Prepare, go on with the result, begin, or tell a chunk."""
        means, encoding = self._means, self.recipient.encoding
        if self.started:
            if not self.recipient.has_room():
                return State.WAITING
            rows = encoding.rows(self._chunks.popleft())
            self.recipient.tell(encoding.chunk(self.query.id, rows, (), more=bool(self._chunks)))
            return State.GOING if self._chunks else State.DONE
        state = prepare(means, self.query)
        if state is not State.DONE:
            return state
        return self._begin(means.open_shaped(self.query)) if self.recipient.has_room() else State.WAITING

    def _begin(self, shaped: Shaped) -> State:
        means, encoding = self._means, self.recipient.encoding
        self._chunks.extend(split_rows(shaped.rows(), means.options.chunk_size_max))
        self.started = True
        means.follow(self.recipient, self.query)
        rows = encoding.rows(self._chunks.popleft())
        more = bool(self._chunks)
        self.recipient.begin(self.query, means.last_offset, rows, resumed=False, more=more, anew=self._anew)
        return State.GOING if self._chunks else State.DONE

    def close(self) -> None:
        """Tell no more."""
        self._chunks.clear()


def _too_busy(kept_max: int) -> Overloaded:
    return Overloaded(
        f"while the first rows were read, {kept_max} bytes of them were changed",
        hint="Read faster, ask for fewer rows with WHERE, or at a quieter time",
        details={"limit": "first_rows_kept_max"},
    )
