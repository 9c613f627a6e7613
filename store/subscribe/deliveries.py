"""What a subscription begins with, delivered in steps: first rows, or what was missed.

Laws: nothing here takes long. A step works for one slice, whoever reads slowly waits by itself, and what needs the log
is a request for others to carry out. Who follows a query is told its deltas from the first offset on; the client keeps
them back until the last chunk, so what is to be delivered never grows while it is.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from store.errors import CallError
from store.ids import Offset, QueryId
from store.query.budget import FOLLOWED_STEPS
from store.query.live import LiveQuery
from store.subscribe.beginning import begin
from store.subscribe.delivery import Delivery, Recipient, State
from store.subscribe.means import Means
from store.subscribe.messages import Anew
from store.subscribe.missed import LogRead
from store.subscribe.returning import CatchUpDelivery, MissedDelivery
from store.subscribe.shaped import Shaped

SLICE_MS: Final = 0.5
"""How long one step works, or a chunk longer: calls wait for it."""
AT_ONCE_MAX: Final = 32
"""Missed transactions that are told at once where they are in RAM."""
LOOK_AGAIN_S: Final = 0.002
"""Seconds after which it is looked again at those who had no room; more where they are many."""
LOOK_COST_S: Final = 20e-6


class Deliveries:
    """All that is on its way to subscribers. `wake` is called when there is something to do for `step`."""

    def __init__(self, means: Means) -> None:
        self.wake: Callable[[], None] = _nothing
        self.streams: Final = means.streams.newest
        """The newest first rows of each query that are on their way. To be looked at only."""
        self._means: Final = means
        self._clock: Final = means.engine.world.clock
        self._of: Final[dict[tuple[Recipient, QueryId], Delivery]] = {}
        self._going: Final[deque[Delivery]] = deque()
        self._waiting: Final[list[Delivery]] = []
        self._served: Final[deque[Delivery]] = deque()
        """Those for whom a piece of the log was read, which they have not taken yet."""
        self._renewed: Final[dict[Shaped, None]] = {}
        """Results of which others are made before they have to look for rows."""

    # What subscriptions ask for.

    def begin(self, recipient: Recipient, query: LiveQuery, anew: Anew | None = None) -> None:
        """Tell all rows: few at once, many in chunks, when there is a turn. `anew` says why, to one who has some."""
        delivery = begin(self._means, recipient, query, anew)
        self._of[recipient, query.id] = delivery
        self._put(delivery, self._advance(delivery))

    def resume(self, recipient: Recipient, query: LiveQuery, epoch: str, after: Offset) -> None:
        """Tell what changed after an offset of an epoch; rows, and why, where that cannot be known."""
        anew = self._means.horizon.check(epoch, after)
        if anew is not None:
            self.begin(recipient, query, anew)
            return
        last = self._means.last_offset
        if query.uses or query.shape is not None:
            catching_up = CatchUpDelivery(self._means, recipient, query, after)
            self._of[recipient, query.id] = catching_up
            self._put(catching_up, self._at_once(catching_up, last - after))
            return
        self._means.follow(recipient, query)
        none = recipient.encoding.rows([])
        if last == after or query.never:
            recipient.begin(query, after, none, resumed=True, more=False)
            return
        delivery = MissedDelivery(self._means, recipient, query, Offset(after + 1), last)
        self._of[recipient, query.id] = delivery
        recipient.begin(query, after, none, resumed=True, more=True)
        self._put(delivery, self._at_once(delivery, last - after))

    def _at_once(self, delivery: Delivery, count: int) -> State:
        """Tell what can be told at once, within a slice, where so many transactions were missed."""
        state, now = State.GOING, self._clock.monotonic
        until = now() + SLICE_MS / 1000
        while state is State.GOING and count <= AT_ONCE_MAX and not delivery.ended:
            state = self._advance(delivery)
            if now() >= until:
                break
        return state

    @staticmethod
    def _advance(delivery: Delivery) -> State:
        try:
            with FOLLOWED_STEPS:
                return delivery.advance()
        except CallError as error:
            delivery.recipient.refuse(delivery.query, error)
            return State.DONE

    def forget(self, recipient: Recipient, query: QueryId) -> bool:
        """The subscription has ended; whether it had begun."""
        delivery = self._of.pop((recipient, query), None)
        if delivery is None:
            return True
        self._end(delivery)
        return delivery.started

    def _put(self, delivery: Delivery, state: State) -> None:
        if delivery.ended:
            return
        if state is State.DONE:
            del self._of[delivery.recipient, delivery.query.id]
            self._end(delivery)
            return
        if state is not State.ASKED:
            (self._going if state is State.GOING else self._waiting).append(delivery)
        self.wake()

    def _end(self, delivery: Delivery) -> None:
        delivery.ended = True
        delivery.close()

    # The work.

    def step(self) -> float | None:
        """Work for a slice. Returns the seconds after which to come again, 0 where there is more; None: no need."""
        served, going, now = self._served, self._going, self._clock.monotonic
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
        if self._waiting or self._means.backlog.asked:
            wait = max(LOOK_AGAIN_S, len(self._waiting) * LOOK_COST_S)
        self._look_again()
        return wait

    def take_request(self) -> LogRead | None:
        """What is to be read from the log now: carry out its `run` anywhere, then call `complete`."""
        return None if self._served else self._means.backlog.take_request()

    def complete(self, read: LogRead) -> None:
        """A request was carried out."""
        piece, askers = self._means.backlog.complete(read)
        for each in askers:
            each.given = piece
        self._served.extend(askers)
        self.wake()

    def _look_again(self) -> None:
        self._going.extend(self._waiting)
        self._waiting.clear()

    # Results that are kept current.

    def renew(self, shaped: Shaped) -> None:
        """Make another result in place of one that will soon have to look for rows."""
        self._renewed[shaped] = None
        self.wake()

    def _renew_one(self) -> None:
        shaped = next(iter(self._renewed), None)
        if shaped is not None and (shaped.error is not None or self._means.streams.build(shaped) is not State.GOING):
            del self._renewed[shaped]


def _nothing() -> None:
    """Nobody drives this yet."""
