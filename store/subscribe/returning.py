"""What one recipient missed: transaction by transaction, or as one change of all; where it cannot be told, rows anew.

Laws: what was missed is found in pieces, from memory or from the log, and never kept as a whole but for the rows that
an absence may hold. Whatever goes wrong on the way, what is told instead are all rows, with the reason.
"""

from typing import Final

from store.errors import CallError
from store.ids import Offset
from store.query.live import LiveQuery
from store.query.shaping.results import Forgotten
from store.subscribe.absence import Absence
from store.subscribe.beginning import RowsDelivery, ShownDelivery, begin, prepare
from store.subscribe.delivery import Recipient, State
from store.subscribe.means import Means
from store.subscribe.messages import Anew
from store.subscribe.missed import Piece

CAUGHT_UP_MAX: Final = 64
"""Chunks that say all that was missed of a query, kept for others who missed the same."""
CAUGHT_UP_SIZE_MAX: Final = 1 << 20
"""Bytes of all of them."""


class MissedDelivery:
    """What one recipient missed: the transactions from `first` through `last`; rows, where the log lost them."""

    def __init__(self, means: Means, recipient: Recipient, query: LiveQuery, first: Offset, last: Offset) -> None:
        self.recipient: Recipient = recipient
        self.query: LiveQuery = query
        self.ended = False
        self.started = True
        self.given: Piece | None = None
        self._means: Final = means
        self._after: Final = Offset(first - 1)
        self._next = first
        self._last: Final = last
        self._instead: RowsDelivery | None = None
        means.missing[query.id] = means.missing.get(query.id, 0) + 1

    def advance(self) -> State:
        """Tell what a piece of the log says."""
        if self._instead is not None:
            return self._instead.advance()
        given, self.given = self.given, None
        if not self.recipient.has_room():
            return State.WAITING
        means, query, backlog = self._means, self.query.id, self._means.backlog
        if backlog.lost(self._next):
            anew = means.horizon.gone(self._after)
            self._instead = RowsDelivery(means, self.recipient, self.query, anew, started=True)
            return State.GOING
        piece = given or backlog.piece(self._next)
        if piece is None:
            backlog.ask(self._next, self)
            return State.ASKED
        if not piece.knows(query):
            piece.evaluate(means.missing.keys(), means.changes_of)
        error = piece.error(query)
        if error is not None:
            self.recipient.refuse(self.query, error)
            return State.DONE
        more = piece.last < self._last
        chunk = piece.chunk(query, self.recipient.encoding, self._next, self._last, more=more)
        self._next = Offset(piece.last + 1)
        if chunk:
            self.recipient.tell(chunk)
        return State.GOING if more else State.DONE

    def close(self) -> None:
        """Look for no more."""
        self._means.backlog.forget(self._next, self)
        missing, query = self._means.missing, self.query.id
        missing[query] -= 1
        if not missing[query]:
            del missing[query]
        if self._instead is not None:
            self._instead.close()


class CatchUpDelivery:
    """What one recipient missed of a query that rests on subqueries or has a shape: one change of all after an offset.

    It begins when it has caught up. Rows anew, where that cannot be said, or is more than an absence may be.
    """

    def __init__(self, means: Means, recipient: Recipient, query: LiveQuery, after: Offset) -> None:
        self.recipient: Recipient = recipient
        self.query: LiveQuery = query
        self.ended = False
        self.given: Piece | None = None
        self._means: Final = means
        self._after: Final = after
        self._absence: Final = Absence(means.catch_up.tables(query), after)
        self._begun = False
        self._instead: RowsDelivery | ShownDelivery | None = None

    @property
    def started(self) -> bool:
        """Subscribed was said."""
        return self._begun or (self._instead is not None and self._instead.started)

    def advance(self) -> State:
        """Prepare, take in a piece of what was missed, or tell all of it."""
        if self._instead is not None:
            return self._instead.advance()
        try:
            return self._advance()
        except CallError as error:  # Where it has to do with rows that are there, these will say so.
            return self._begin_anew(self._means.horizon.unable(self._after, error.message, _limit(error)))
        except Forgotten as reason:
            return self._begin_anew(self._means.horizon.unable(self._after, str(reason)))

    def _advance(self) -> State:
        means, backlog, absence = self._means, self._means.backlog, self._absence
        given, self.given = self.given, None
        state = prepare(means, self.query)
        if state is not State.DONE:
            return state
        if absence.too_long:
            return self._begin_anew(means.horizon.unable(self._after, absence.why_too_long))
        if absence.offset == means.last_offset:
            return self._tell() if self.recipient.has_room() else State.WAITING
        following = Offset(absence.offset + 1)
        if backlog.lost(following):
            return self._begin_anew(means.horizon.gone(self._after))
        piece = given or backlog.piece(following)
        if piece is None:
            backlog.ask(following, self)
            return State.ASKED
        absence.take(piece.transactions)
        return State.GOING

    def _begin_anew(self, anew: Anew) -> State:
        self._instead = begin(self._means, self.recipient, self.query, anew)
        return State.GOING

    def _tell(self) -> State:
        means, recipient, query, encoding = self._means, self.recipient, self.query, self.recipient.encoding
        what = query.id, self._after, self._absence.offset, encoding
        chunk = means.caught_up.get(what)
        if chunk is None:
            chunk = means.caught_up[what] = self._chunk()
            while len(means.caught_up) > CAUGHT_UP_MAX or sum(map(len, means.caught_up.values())) > CAUGHT_UP_SIZE_MAX:
                del means.caught_up[next(iter(means.caught_up))]
        if len(chunk) > means.options.missed_size_max:
            why = f"what changed takes {len(chunk)} bytes, and comes as one message"
            return self._begin_anew(means.horizon.unable(self._after, why, "outbox_bytes_max"))
        self._begun = True
        means.follow(recipient, query)
        recipient.begin(query, self._after, encoding.rows([]), resumed=True, more=bool(chunk))
        if chunk and not self.ended:
            recipient.tell(chunk)
        return State.DONE

    def _chunk(self) -> bytes:
        """What was missed as one Chunk; b"" where that is nothing."""
        absence, encoding = self._absence, self.recipient.encoding
        change = self._means.catch_up.change(self.query, absence)
        if change is None:
            return b""
        missed = encoding.missed(absence.offset, absence.timestamp, change.rows, change.keys)
        return encoding.chunk(self.query.id, encoding.rows([]), [missed], more=False)

    def close(self) -> None:
        """Look for no more."""
        self._means.backlog.forget(Offset(self._absence.offset + 1), self)
        if self._instead is not None:
            self._instead.close()


def _limit(error: CallError) -> str:
    """The name of the limit that an error is about, if it is about one."""
    named = error.details.get("limit", "")
    return named if isinstance(named, str) else ""
