"""Clients without sockets, talking to a real engine in memory."""

from types import ModuleType
from typing import Any, Final

import msgspec

from store.engine.identity import SCOPES, Caller, Identity
from store.ids import ConnectionId
from store.subscribe.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from store.subscribe.options import Options
from store.subscribe.session import Session
from store.subscribe.subscriptions import Subscriptions
from store.testing import Store
from tests.subscribe import shelf

SUBPROTOCOLS: Final = (SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON)
ALL_BOOKS: Final = "SELECT * FROM books"
BY_AUTHOR: Final = "SELECT * FROM books WHERE author = $1"


class Shelf:
    """One tenant that serves the shelf, and its clients."""

    def __init__(self, options: Options | None = None, domain: ModuleType = shelf) -> None:
        self.options = options or Options()
        self.store = Store.in_memory(domain)
        self.open()

    def open(self) -> None:
        """Serve the store that is there now."""
        self.engine = self.store.engine
        self.subscriptions = Subscriptions(self.engine, options=self.options)
        self.clients = 0

    def crash(self) -> None:
        """Lose what was not synced, and serve again; all clients are gone."""
        self.store = self.store.crash()
        self.open()

    def client(
        self, subprotocol: str = SUBPROTOCOL_MSGPACK, *, scopes: tuple[str, ...] = SCOPES, name: str | None = ""
    ) -> "Client":
        """A new connection; it has said hello unless its name is None."""
        self.clients += 1
        client = Client(self, subprotocol, scopes, ConnectionId(self.clients))
        if name is not None:
            client.says(["hello", name])
            assert client.hears()[0][0] == "welcome"
        return client

    def commit(self) -> None:
        """Make durable what was appended, tell what was held, and deliver all for which there is room."""
        deliveries, going = self.subscriptions.deliveries, True
        while going:
            self.engine.group_commit.commit()
            wait = deliveries.step()
            request = deliveries.take_request()
            if request is not None:
                request.run()
                deliveries.complete(request)
            going = request is not None or wait == 0 or self.engine.feed.waiting > 0

    @property
    def epoch(self) -> str:
        """The epoch as messages say it."""
        return self.engine.epoch.hex()

    def rows(self, sql: str, *params: Any) -> list[list[Any]]:
        """What a fresh query answers now."""
        client = self.client(name="")
        client.says(["query", 1, sql, list(params)])
        ((name, _, _, _, rows),) = client.hears()
        assert name == "rows"
        client.session.detach()
        return rows  # type: ignore[no-any-return]  # As decoded.


def codes(messages: list[list[object]]) -> list[object]:
    """(about, id, code) of failures, the name of anything else."""
    return [(each[1], each[2], each[4]) if each[0] == "failure" else each[0] for each in messages]


class Client:
    """One client: says messages, hears messages, as plain lists. Its wire keeps frames until it reads."""

    def __init__(self, shelf_: Shelf, subprotocol: str, scopes: tuple[str, ...], connection: ConnectionId) -> None:
        self.shelf = shelf_
        self.codec: Any = msgspec.json if subprotocol == SUBPROTOCOL_JSON else msgspec.msgpack
        self.frames: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.reads = True
        caller = Caller(Identity("tests", "ada", scopes), connection, "memory")
        self.session = Session(shelf_.engine, shelf_.subscriptions, caller, subprotocol, self, options=shelf_.options)

    def transmit(self, payload: bytes) -> int:
        """The session sends a frame."""
        self.frames.append(payload)
        return self.unsent_bytes()

    def unsent_bytes(self) -> int:
        """All that was sent and not read, where the client does not read."""
        return 0 if self.reads else sum(map(len, self.frames))

    def close(self, code: int, reason: str) -> None:
        """The session cuts this client off."""
        assert self.closed is None
        self.closed = (code, reason)

    def says(self, *messages: Any) -> None:
        """Send one frame of these messages."""
        self.sends(self.codec.encode(list(messages)))

    def sends(self, payload: bytes) -> None:
        """Send one frame of any bytes, of the kind the subprotocol has."""
        self.session.receive(payload, text=self.session.text)

    def hears(self) -> list[Any]:
        """Commit, and read all that was sent."""
        self.shelf.commit()
        return self.read()

    def read(self) -> list[Any]:
        """All messages sent since the last look."""
        frames, self.frames = self.frames, []
        return [message for frame in frames for message in self.codec.decode(frame)]

    def asks(self, *messages: Any) -> list[Any]:
        """Send one frame and read what answers it."""
        self.says(*messages)
        return self.hears()


class View:
    """What a client makes of a subscription: the first rows, then every delta."""

    def __init__(self, client: Client, number: int, sql: str, *params: Any, epoch: str = "", offset: int = 0) -> None:
        self.rows: dict[Any, Any] = {}
        self.offset = offset
        self.offsets: list[int] = []
        self.query = ""
        self.resumed = False
        self.more = False
        self.anew: list[Any] | None = None
        self.asked = bool(epoch or offset)
        self.held: list[Any] = []
        self.client = client
        self.number = number
        client.says(["subscribe", number, sql, list(params), epoch, offset])

    def take(self, messages: list[Any]) -> None:
        """Follow what was heard, as a client would."""
        for message in messages:
            if message[0] == "subscribed" and message[1] == self.number:
                _, _, self.query, offset, table, self.resumed, rows, self.more, self.anew = message
                assert (self.anew is None) == (self.resumed or not self.asked), "who asked to resume is told why not"
                self.key, columns, self.group, self.order = table[1:]
                self.types, self.held = [each[1] for each in columns], []
                if self.resumed:
                    assert (offset, rows) == (self.offset, [])
                else:
                    self.rows = {self.key_of(row): row for row in rows}
                self.offset = offset
            elif message[0] == "chunk" and message[1] == self.query:
                self._take_chunk(message)
            elif message[0] == "delta":
                self._take_delta(message)

    def _take_chunk(self, message: list[Any]) -> None:
        assert self.more
        _, _, rows, missed, self.more = message
        for row in rows:
            assert self.key_of(row) not in self.rows, "a row comes once"
            self.rows[self.key_of(row)] = row
        self.held += [(offset, rows, keys) for offset, _, rows, keys in missed]
        if not self.more:
            held, self.held = sorted(self.held, key=lambda each: each[0]), []
            for change in held:
                self._apply(*change)

    def _take_delta(self, message: list[Any]) -> None:
        _, offset, _, parts = message
        queries = [query for query, _, _ in parts]
        assert len(queries) == len(set(queries)), "one part a query"
        for query, rows, keys in parts:
            if query == self.query and self.more:
                self.held.append((offset, rows, keys))
            elif query == self.query:
                self._apply(offset, rows, keys)

    def _apply(self, offset: int, rows: list[Any], keys: list[Any]) -> None:
        assert offset > self.offset, "a change comes once, in order, behind the first rows"
        self.offset = offset
        self.offsets.append(offset)
        for key in keys:
            del self.rows[key if self.key >= 0 else tuple(key)]
        self.rows.update({self.key_of(row): row for row in rows})

    def key_of(self, row: list[Any]) -> Any:
        """What tells a row apart: its primary key, or a group's values."""
        return row[self.key] if self.key >= 0 else tuple(row[place] for place in self.group)

    def sorted(self) -> list[Any]:
        """The rows in primary-key order."""
        return [self.rows[key] for key in sorted(self.rows)]
