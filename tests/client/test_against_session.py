"""Both sides of the conversation through every kind of loss: no socket, and a real engine in memory."""

from collections import deque
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reducers import accounts
from reducers.accounts import Account
from store.client.conversation import Conversation, State
from store.client.followings import Changed, Failed, Opened
from store.client.rows import Delete, LiveRows
from store.engine.identity import SCOPES, Caller, Identity
from store.ids import ConnectionId
from store.subscribe.messages import SUBPROTOCOL_MSGPACK, Result
from store.subscribe.options import Options
from store.subscribe.session import Session
from store.subscribe.subscriptions import Subscriptions
from store.testing import Store
from store.transaction import Transaction

QUERIES: list[tuple[str, Callable[[dict[int, int]], set[int]]]] = [
    ("SELECT * FROM accounts", set),
    ("select * from accounts", set),
    ("SELECT * FROM accounts WHERE owner = 'ada'", lambda _: {1}),
    ("SELECT id, balance FROM accounts WHERE balance BETWEEN 3 AND 2010", lambda there: _within(there, 3, 2_010)),
    (
        "SELECT balance, id FROM accounts WHERE id IN (SELECT 3 - id FROM accounts WHERE balance % 2 = 1)",
        lambda there: {3 - each for each, balance in there.items() if balance % 2},
    ),
    (
        "SELECT id, balance FROM accounts ORDER BY balance DESC LIMIT 1",
        lambda there: {max(there, key=lambda each: (there[each], -each))},
    ),
    (
        "SELECT id, max(balance) AS balance FROM accounts WHERE balance % 2 = 0 OR owner = 'bob' GROUP BY id",
        lambda there: {each for each, balance in there.items() if balance % 2 == 0 or each == 2},
    ),
]
"""Each with the accounts that are in it, where these are the balances."""


def _within(there: dict[int, int], low: int, high: int) -> set[int]:
    return {each for each, balance in there.items() if low <= balance <= high}


SMALL_FRAMES = Options(frame_size_max=220)
"""So small that a connection may be lost between any two answers."""


class Pair:
    """One client and the tenant it talks to, with the frames that are on their way between them."""

    def __init__(self) -> None:
        self.store = Store.in_memory(accounts)
        self.store.call("open_account", 1, "ada", 0)
        self.store.call("open_account", 2, "bob", 0)
        self.history: dict[int, dict[int, int]] = {}
        """The balances at every offset."""
        self.open()
        self.session: Session | None = None
        self.up: deque[bytes] = deque()
        self.down: deque[bytes] = deque()
        self.client = Conversation(client="me", sequence=0, calls_unanswered_max=99, queries_unanswered_max=9)
        self.asked = 0
        self.others = 0
        self.subscribed = 0
        self.queries: dict[int, tuple[str, Callable[[dict[int, int]], set[int]]]] = {}
        self.answers: dict[int, Any] = {}
        self.views: dict[int, LiveRows[Any]] = {}
        self.told: dict[int, dict[Any, Any]] = {}

    def open(self) -> None:
        """Serve the store that is there now."""
        engine = self.store.engine
        self.subscriptions = Subscriptions(engine)
        self.history = {offset: rows for offset, rows in self.history.items() if offset < engine.state.last_offset}
        self.history[engine.state.last_offset] = self.balances()
        engine.feed.follow(self)

    def evaluate(self, transaction: Transaction) -> None:
        """Note what the tables are at this offset."""
        self.history[transaction.offset] = self.balances()

    def balances(self) -> dict[int, int]:
        """What everybody has now."""
        return {row.id: row.balance for row in self.store.rows(Account)}

    def check_views(self) -> None:
        """Every view is its query over the tables at the offset it says, now."""
        for number, live in self.views.items():
            offset = max(live.offset, self.client.offset)
            there = self.history[max(each for each in self.history if each <= offset)]
            seen = {key: row.balance for key, row in live.rows.items()}
            sql, inside = self.queries[number]
            assert seen == {each: there[each] for each in inside(there)}, (sql, offset, seen, there)

    # The session's wire.

    def transmit(self, payload: bytes) -> int:
        """A frame for the client."""
        self.down.append(payload)
        return 0

    def unsent_bytes(self) -> int:
        """Nothing ever waits."""
        return 0

    def close(self, code: int, reason: str) -> None:
        """The session never has a reason to."""
        raise AssertionError((code, reason))

    # What may happen.

    def call(self) -> None:
        """Ask for a deposit; each has an amount of its own."""
        self.asked += 1
        self.client.call("deposit", (1 + self.asked % 2, self.asked))

    def other(self) -> None:
        """Somebody else makes a deposit."""
        self.others += 1_000
        self.store.call("deposit", 1 + self.others // 1_000 % 2, 1_000)

    def come_back(self) -> None:
        """The connection is lost, much happens, and the next one is made and greeted."""
        self.cut()
        self.other()
        self.other()
        self.connect()
        for act in (self.send, self.commit, self.hear, self.send, self.commit):
            act()

    def subscribe(self) -> None:
        """Follow one more query."""
        query = QUERIES[self.subscribed % len(QUERIES)]
        self.subscribed += 1
        self.queries[self.client.subscribe(query[0], (), None)] = query

    def connect(self) -> None:
        """A connection, where there is none."""
        if self.session is None:
            caller = Caller(Identity("tests", "ada", SCOPES), ConnectionId(1), "memory")
            self.session = Session(
                self.store.engine, self.subscriptions, caller, SUBPROTOCOL_MSGPACK, self, options=SMALL_FRAMES
            )
            self.client.opened()

    def send(self) -> None:
        """One frame reaches the tenant, if one is on its way."""
        self.up.extend(self.client.data_to_send())
        if self.up and self.session is not None:
            self.session.receive(self.up.popleft(), text=False)

    def commit(self) -> None:
        """What the tenant did becomes durable, and is told."""
        self.subscriptions.deliveries.step()
        self.store.engine.group_commit.commit()

    def hear(self) -> None:
        """One frame reaches the client, if one is on its way."""
        if not self.down:
            return
        opened: list[int] = []
        for event in self.client.receive(self.down.popleft()):
            if isinstance(event, Result):
                assert event.sequence not in self.answers
                self.answers[event.sequence] = event.value
            elif isinstance(event, Opened):
                self.views[event.id] = event.live
                opened.append(event.id)
            elif isinstance(event, Changed) and event.id not in opened:
                self._apply(event)
            assert not isinstance(event, Failed), event
        self.told.update({number: dict(self.views[number].rows) for number in opened})

    def _apply(self, event: Changed) -> None:
        rows = self.told[event.id]
        for change in event.delta.changes:
            assert rows.get(change.key) == getattr(change, "before", None)
            rows.pop(change.key, None)
            if not isinstance(change, Delete):
                rows[change.key] = change.after

    def cut(self) -> None:
        """The connection is lost, with all that was on its way."""
        if self.session is not None:
            self.session.detach()
            self.session = None
            self.client.lost()
        self.up.clear()
        self.down.clear()

    def crash(self) -> None:
        """The tenant loses power, and comes back."""
        self.cut()
        self.store = self.store.crash()
        self.open()

    def settle(self) -> None:
        """Let everything that is on its way arrive."""
        self.connect()
        self.commit()
        while self.client.sending or self.up or self.down or self.client.state is not State.OPEN:
            self.send()
            self.commit()
            self.hear()
            self.check_views()


ACTS = ("call", "other", "come_back", "connect", "send", "commit", "hear", "hear", "hear", "cut", "crash", "subscribe")


@settings(derandomize=True, max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(ACTS), max_size=50))
def test_every_call_runs_once_and_every_view_is_current(acts: list[str]) -> None:
    """Whatever is lost and whenever: each call runs once and is answered once, and each view ends as its query."""
    pair = Pair()
    for _ in QUERIES:
        pair.subscribe()
    pair.settle()
    for act in acts:
        getattr(pair, act)()
        pair.check_views()
    pair.settle()
    assert len(pair.answers) == pair.asked
    rows = {row.id: row for row in pair.store.rows(Account)}
    assert sum(row.balance for row in rows.values()) == sum(range(pair.asked + 1)) + pair.others
    assert all(pair.told[number] == live.rows for number, live in pair.views.items())
