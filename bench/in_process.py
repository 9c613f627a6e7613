"""An engine and its sessions in this process, without a socket: what the steps of a call are measured on.

Laws: the disk, the clock and the deadline are the real ones. A commit comes after so many frames as clients would have
sent while the last sync ran.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Final

import msgspec
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

import reducers.accounts
from bench.wire import StoreWire, masked
from bench.workload import ACCOUNTS, BALANCE, transfers
from store.engine.engine import Engine, open_engine
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.env.deadline import SignalDeadline
from store.env.posix import PosixDisk, SystemClock, WriterEntropy
from store.env.world import World
from store.ids import ConnectionId
from store.log.commitlog import LogOptions
from store.server.frames import FrameReader, encode_frame
from store.subscribe.messages import SUBPROTOCOL_MSGPACK
from store.subscribe.options import Options
from store.subscribe.session import Session
from store.subscribe.subscriptions import Subscriptions

IDENTITY: Final = Identity("bench", "bench", SCOPES)
CONNECTIONS: Final = 64
Commit = Callable[[], None]


@contextmanager
def opened(
    directory: Path,
    module: ModuleType = reducers.accounts,
    *,
    options: EngineOptions | None = None,
    close: bool = True,
) -> Iterator[Engine]:
    """An engine on a directory, closed in order afterwards unless whoever serves it does that."""
    options = options or EngineOptions()
    deadline = SignalDeadline(options.reducer_time_max_ms / 1000)
    world = World(disk=PosixDisk(directory), clock=SystemClock(), entropy=WriterEntropy(), deadline=deadline)
    engine = open_engine(world, Domain.of(module), options=options, log_options=LogOptions())
    try:
        yield engine
    finally:
        if close:
            engine.close()
        deadline.close()


def open_accounts(engine: Engine, count: int = ACCOUNTS, step: int = 20_000) -> None:
    """Open the accounts that transfers are between."""
    table = engine.database.table("accounts")
    for first in range(1 if table is None else len(table) + 1, count + 1, step):
        args = msgspec.msgpack.encode([first, min(step, count + 1 - first), BALANCE])
        answer = engine.write_path.call(Caller(IDENTITY, ConnectionId(1), ""), "open_accounts", args)
        assert not answer.outcome, answer
        engine.group_commit.commit()


class Client:
    """One connection: bytes in, as from a socket; frames out, as to one, and dropped."""

    def __init__(self, engine: Engine, subscriptions: Subscriptions, number: int, *, name: str = "") -> None:
        core = ServerProtocol()
        core.state = OPEN
        self._reader: Final = FrameReader(core, size_max=Options().frame_size_max)
        self.sent_bytes = 0
        caller = Caller(IDENTITY, ConnectionId(number), "127.0.0.1")
        self._session: Final = Session(engine, subscriptions, caller, SUBPROTOCOL_MSGPACK, self)
        self.receive(masked(msgspec.msgpack.encode([["hello", name]])))

    def receive(self, data: bytes) -> None:
        """What the server does with what a socket brought."""
        for payload, text in self._reader.receive(data):
            self._session.receive(payload, text=text)

    def transmit(self, payload: bytes) -> int:
        """Frame it as the server does."""
        self.sent_bytes += len(encode_frame(payload, text=False))
        return 0

    def unsent_bytes(self) -> int:
        """This network takes everything."""
        return 0

    def close(self, code: int, reason: str) -> None:
        """No session here has a reason to be cut off."""
        raise AssertionError(f"closed: {code} {reason}")


def clients(
    engine: Engine, count: int = CONNECTIONS, *, named: bool = False, subscriptions: Subscriptions | None = None
) -> list[Client]:
    """So many connections that have said hello."""
    subscriptions = subscriptions or Subscriptions(engine)
    made = [
        Client(engine, subscriptions, number, name=f"bench-{number}" if named else "") for number in range(1, count + 1)
    ]
    engine.group_commit.commit()
    return made


def rounds(
    calls: int, *, keys: str, frame_calls: int, in_flight: int, named: bool = False, accounts: int = ACCOUNTS
) -> Sequence[list[bytes]]:
    """What each of the connections sends before each commit, as its socket would bring it; one list a round."""
    drawn = list(transfers(calls, keys, seed=1, accounts=accounts))
    window = in_flight * CONNECTIONS
    wires = [
        StoreWire(port=0, token="", client="bench" if named else "", in_flight=in_flight, checked=True)
        for _ in range(CONNECTIONS)
    ]
    sent = []
    for first in range(0, calls - window + 1, window):
        bursts = []
        for number, wire in enumerate(wires):
            mine = drawn[first + number * in_flight : first + (number + 1) * in_flight]
            bursts.append(b"".join(wire.encode(mine[at : at + frame_calls]) for at in range(0, in_flight, frame_calls)))
        sent.append(bursts)
    return sent
