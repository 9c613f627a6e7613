"""Agents: the real client's conversation over the simulated network, and what each has of what it follows.

Laws: an agent never gives up: it connects again, repeats what is unanswered, resumes what it follows. Only what is so
old that the store may have forgotten it is left behind, and with it the agent's name.
"""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from store.client.conversation import Conversation, Welcomed
from store.client.conversation import Fetched as FetchedEvent
from store.client.followings import Changed, Failed, Opened
from store.client.rows import LiveRows
from store.errors import CallError, Overloaded
from store.ids import Offset
from store.subscribe.messages import Chunk, Delta, Failure, Result, ServerMessage, Subscribed
from tests.sim.network import Link
from tests.sim.observation import Answered, Fetched, Greeted, Heard, Resumed, Sent, SentAnew, TurnedAway, Viewed
from tests.sim.queries import Asked

if TYPE_CHECKING:
    from tests.sim.target import Target

UNANSWERED_MAX: Final = 30
FOLLOWED_MAX: Final = 4

_decode: Final = msgspec.msgpack.Decoder(list[ServerMessage]).decode


class View:
    """One query that an agent follows."""

    def __init__(self, query: Asked) -> None:
        self.query: Final = query
        self.live: LiveRows[Any] | None = None
        self.epoch = ""
        self.since: Offset | None = None
        self.deltas: list[Offset] = []
        self.caught_up = False
        """It came back since it was looked at, and what it missed is told as one change."""


class _Told:
    """How far the wire has told of a query."""

    def __init__(self, subscribed: Subscribed, query: Asked) -> None:
        self.id: Final = subscribed.id
        self.nothing_yet = subscribed.resumed and query.is_told_net
        """What it missed is one change, which did not come, or is none: then nobody says up to where that is."""
        self.loading = subscribed.more
        """Chunks follow: what was missed may be told after what rests on it."""
        self.missed = subscribed.offset
        """First rows are at, or what was missed was told up to here."""
        self.live_from: Offset | None = None
        """The first live delta."""
        self.live = Offset(0)


class Agent:
    """One agent, through all its connections."""

    def __init__(self, target: "Target", number: int) -> None:
        self._target: Final = target
        self._number: Final = number
        self._lives = 0
        self.dozes = 0
        """So many times more it takes nothing."""
        self.link: Link | None = None
        self._be_born()

    def _be_born(self) -> None:
        self._lives += 1
        self.name = f"agent {self._number}.{self._lives}"
        self.conversation = Conversation(
            client=self.name, sequence=0, calls_unanswered_max=UNANSWERED_MAX, queries_unanswered_max=FOLLOWED_MAX
        )
        self.link = None
        self.open: dict[int, Sent] = {}
        """Calls without an answer, by sequence."""
        self.sent_at: dict[int, int] = {}
        self.views: dict[int, View] = {}
        self._asked: dict[int, Asked] = {}
        """All that it ever followed: another view may go on under the number of one that it follows no longer."""
        self._fetching: dict[int, tuple[Asked, Offset]] = {}
        self._told: dict[str, _Told] = {}
        """By query, on this connection."""
        self._reached: dict[int, tuple[tuple[Asked, Offset], ...]] = {}
        """By sequence: how far the wire had told of each query when the call was answered."""

    # What it wants.

    def ask(self, name: str, args: tuple[Any, ...]) -> None:
        """Call a reducer."""
        try:
            sequence = self.conversation.call(name, args)
        except Overloaded:
            return
        self.open[sequence] = self._target.note_sent(self.name, name, args, sequence=sequence)
        self.sent_at[sequence] = self._target.now
        self._send()

    def follow(self, query: Asked) -> None:
        """Follow a query, also one that it follows already."""
        if len(self.views) >= FOLLOWED_MAX:
            return
        try:
            number = self.conversation.subscribe(query.sql, query.params, None)
        except Overloaded:
            return
        self.views[number] = View(query)
        self._asked[number] = query
        self._send()

    def unfollow(self, place: int) -> None:
        """Follow it no longer."""
        if place < len(self.views):
            number = list(self.views)[place]
            del self.views[number]
            self.conversation.unsubscribe(number)
            self._send()

    def fetch(self, query: Asked) -> None:
        """Read it once."""
        try:
            number = self.conversation.query(query.sql, query.params, None)
        except Overloaded:
            return
        self._fetching[number] = query, self.conversation.offset
        self._send()

    # Its end of the network.

    def connect(self) -> None:
        """Have a connection."""
        if self.link is None:
            self._told.clear()
            self.link = self._target.board.accept(self)
            self.conversation.opened()
            self._send()

    def disconnect(self) -> None:
        """The connection is gone, as far as the agent knows."""
        if self.link is not None:
            self.link = None
            self.conversation.lost()

    def arrive(self, count: int) -> None:
        """Let so many frames arrive here; behind the last one of a store that is gone, notice that it is."""
        link = self.link
        if link is None:
            return
        if self.dozes:
            self.dozes -= 1
            return
        for _ in range(min(count, len(link.down))):
            self._receive(link.down.popleft())
        if link.session is None and not link.down:
            self.disconnect()
        self._send()

    def grow_old(self, patience: int) -> None:
        """Begin anew under another name where the store may have forgotten calls that this one would repeat."""
        if any(self.sent_at[sequence] < self._target.now - patience for sequence in self.open):
            self._be_born()

    def _send(self) -> None:
        frames = self.conversation.data_to_send()
        if self.link is not None and self.link.session is not None:
            self.link.up.extend(frames)

    def _receive(self, frame: bytes) -> None:
        before = self.conversation.epoch
        messages = _decode(frame)
        events = self.conversation.receive(frame)
        for message in messages:
            self._hear(message)
        for event in events:
            if isinstance(event, Result):
                self._be_answered(event.sequence, event.offset, "", event.value)
            elif isinstance(event, Welcomed):
                self._be_greeted(before, event)
            elif isinstance(event, FetchedEvent):
                query, heard = self._fetching.pop(event.id)
                rows = [msgspec.structs.astuple(each) for each in event.rows]
                epoch = self.conversation.epoch
                self._target.observe(Fetched(self.name, query, epoch, heard, event.rows.offset, rows))
            elif isinstance(event, Failed):
                self._fail(event, messages)
            else:
                self._change(event)
        self._look()

    def _hear(self, message: ServerMessage) -> None:
        """Look at what the wire says, before any view makes something of it."""
        if isinstance(message, Subscribed):
            asked = self._asked[message.id]
            self._told[message.query] = _Told(message, asked)
            for each in self.views.values():
                each.caught_up |= message.resumed and asked.is_told_net and each.query == asked
            view = self.views.get(message.id)
            if message.resumed and view is not None:
                self._target.observe(Resumed(self.name, message.offset, view.epoch, self.conversation.epoch))
            elif view is not None and view.live is not None:
                reason = "" if message.anew is None else message.anew.reason
                self._target.observe(SentAnew(self.name, reason, view.epoch, self.conversation.epoch))
        elif isinstance(message, Chunk):
            told = self._told[message.query]
            told.loading = message.more
            for missed in message.missed:
                self._target.observe(Heard(self.name, message.query, told.missed, missed.offset, told.live_from))
                told.missed, told.nothing_yet = missed.offset, False
        elif isinstance(message, Delta):
            for part in message.parts:
                told = self._told[part.query]
                after = max(told.live, told.missed)
                self._target.observe(Heard(self.name, part.query, after, message.offset, None))
                told.live_from = told.live_from or message.offset
                told.live, told.nothing_yet = message.offset, False
        elif isinstance(message, Result):
            wanted = [each for each in self._told.values() if each.id in self.views]
            told_of = [each for each in wanted if not (each.loading or each.nothing_yet)]
            reached = [(self.views[each.id].query, max(each.missed, each.live)) for each in told_of]
            self._reached[message.sequence] = tuple(reached)

    def _be_answered(self, sequence: int, offset: Offset, outcome: str, value: Any) -> None:
        sent, epoch = self.open.pop(sequence), self.conversation.epoch
        reached = self._reached.pop(sequence, ())
        raw = None if value is None else bytes(value)
        self._target.observe(Answered(self.name, sent, epoch, offset, outcome, raw, reached))

    def _be_greeted(self, before: str, welcomed: Welcomed) -> None:
        self._target.observe(Greeted(self.name, before, self.conversation.epoch, welcomed.epoch_changed))
        if welcomed.epoch_changed:
            self._fetching = {number: (query, Offset(0)) for number, (query, _) in self._fetching.items()}
        for sequence in welcomed.given_up:
            del self.open[sequence]

    def _fail(self, event: Failed, messages: list[ServerMessage]) -> None:
        assert isinstance(event.error, CallError)
        if event.about == "subscribe":
            self.views.pop(event.id, None)
        elif event.about == "query":
            del self._fetching[event.id]
        else:
            (failure,) = (each for each in messages if isinstance(each, Failure) and each.id == event.id
                          and each.about == "call")  # fmt: skip
            if failure.offset:
                self._be_answered(event.id, failure.offset, failure.code, None)
            else:
                self._target.observe(TurnedAway(self.open.pop(event.id), failure.code))

    def _change(self, event: Opened | Changed) -> None:
        view = self.views[event.id]
        if isinstance(event, Opened):
            view.live = event.live
        elif not event.delta.reset:
            view.deltas.append(event.delta.offset)
            return
        view.epoch = self.conversation.epoch
        view.since, view.deltas, view.caught_up = None, [], False

    def look_at(self, newest: Offset) -> None:
        """Say that every view is at the newest offset: nothing is under way."""
        for view in self.views.values():
            assert view.live is not None
            rows = {key: msgspec.structs.astuple(row) for key, row in view.live.rows.items()}
            seen = Viewed(self.name, view.query, view.epoch, view.since, (), view.caught_up, newest, rows)
            self._target.observe(seen)

    def _look(self) -> None:
        """Say what is there now, for every view that has rows."""
        said = self.conversation
        for view in self.views.values():
            live = view.live
            if live is None:
                continue
            offset = max(live.offset, said.offset) if view.epoch == said.epoch else live.offset
            rows = {key: msgspec.structs.astuple(row) for key, row in live.rows.items()}
            deltas = tuple(view.deltas)
            seen = Viewed(self.name, view.query, view.epoch, view.since, deltas, view.caught_up, offset, rows)
            self._target.observe(seen)
            loading = [each for each in self._told.values() if each.loading and self._asked[each.id] == view.query]
            if not loading and (deltas or offset != view.since):
                view.caught_up = False
            view.since, view.deltas = offset, []
