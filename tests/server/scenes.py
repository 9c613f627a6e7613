"""A real server with real sockets, in this process, over a disk in memory whose syncs a test can hold."""

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any, Final, NamedTuple, Self, TypeVar

import msgspec
from websockets.sync.client import ClientConnection, connect

from store.engine.engine import Engine, open_engine
from store.engine.housekeeping import DISK
from store.engine.identity import SCOPES
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.env.memory import CAPACITY, MemoryDisk, NoDeadline, SeededEntropy
from store.env.posix import SystemClock
from store.env.world import Disk, File, World
from store.log.commitlog import LogOptions
from store.server.app import Server
from store.server.auth import AuthOptions
from store.server.mint import add_token, mint_token
from store.server.options import ServerOptions
from store.server.service import Service
from store.subscribe.messages import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from store.subscribe.options import Options
from tests.server import notes

LIMIT_S: Final = 20.0
"""Seconds after which a test that waits for something gives up."""

T = TypeVar("T")


class Gate:
    """Holds every sync while it is shut."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.reached = threading.Event()
        """A sync waits here."""

    def shut(self) -> None:
        """Hold the next sync."""
        self.reached.clear()
        self._open.clear()

    def open(self) -> None:
        """Let all go on."""
        self._open.set()

    def pass_through(self) -> None:
        """Wait here while the gate is shut."""
        if not self._open.is_set():
            self.reached.set()
            assert self._open.wait(LIMIT_S)


class GatedFile:
    """A File whose syncs pass a gate."""

    def __init__(self, file: File, gate: Gate) -> None:
        self._file = file
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def sync(self) -> None:
        """Sync, past the gate."""
        self._gate.pass_through()
        self._file.sync()


class GatedDisk:
    """A Disk of such files."""

    def __init__(self, disk: Disk, gate: Gate) -> None:
        self._disk = disk
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    def create(self, name: str) -> Any:
        """Make a file behind the gate."""
        return GatedFile(self._disk.create(name), self._gate)

    def open(self, name: str) -> Any:
        """Open a file behind the gate."""
        return GatedFile(self._disk.open(name), self._gate)


class Said(NamedTuple):
    """An HTTP answer."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Tenant:
    """A server that runs on a thread of its own, and how to talk to it."""

    def __init__(
        self,
        folder: Path,
        options: ServerOptions,
        sessions: Options | None = None,
        engine_options: EngineOptions | None = None,
        auth: AuthOptions | None = None,
    ) -> None:
        self.gate = Gate()
        self.memory = MemoryDisk()
        self.tokens = folder / "tokens"
        self.tokens.touch()
        self.token = self.add_token("ada")
        self.server = Server(options, auth or AuthOptions(token_file=self.tokens), sessions)
        self.engine: Engine = open_engine(
            World(GatedDisk(self.memory, self.gate), SystemClock(), SeededEntropy(1), NoDeadline()),
            Domain.of(notes),
            options=engine_options or EngineOptions(),
            log_options=LogOptions(),
        )
        self.host, self.port = self.server.address
        self.tls: ssl.SSLContext | None = None
        self._loop: Any = None

    def add_token(self, subject: str, scopes: tuple[str, ...] = SCOPES, **more: Any) -> str:
        """A new token for somebody."""
        token, line = mint_token(subject, scopes, **more)
        add_token(self.tokens, line)
        return token

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Said:
        """Ask over HTTP, on a connection of its own. The token is ada's unless said; "" sends none."""
        connection = self.ask(method, path, body, token=token, headers=headers)
        try:
            return answer_of(connection)
        finally:
            connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> http.client.HTTPConnection:
        """Ask over HTTP, and do not wait for the answer."""
        connection: http.client.HTTPConnection
        if self.tls:
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=LIMIT_S, context=self.tls)
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=LIMIT_S)
        token = self.token if token is None else token
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(
            method, path, sent, {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        )
        return connection

    def call(self, reducer: str, *args: Any, **more: Any) -> Said:
        """Call a reducer over HTTP."""
        return self.request("POST", f"/v1/call/{reducer}", list(args), **more)

    def connect(
        self, subprotocol: str | None = SUBPROTOCOL_MSGPACK, *, token: str | None = None, **more: Any
    ) -> "Talk":
        """Open a WebSocket."""
        token = self.token if token is None else token
        wanted = {
            "subprotocols": [subprotocol] if subprotocol else None,
            "additional_headers": {"Authorization": f"Bearer {token}"} if token else {},
            "max_size": None,
            "open_timeout": LIMIT_S,
            "close_timeout": LIMIT_S,
            "ping_interval": None,
            "proxy": None,
            "ssl": self.tls,
        }
        path = more.pop("path", "/v1/connect")
        connecting = connect(f"{'wss' if self.tls else 'ws'}://{self.host}:{self.port}{path}", **{**wanted, **more})
        return Talk(connecting, text=subprotocol == SUBPROTOCOL_JSON)

    def greet(self, subprotocol: str = SUBPROTOCOL_MSGPACK, **more: Any) -> "Talk":
        """Open a WebSocket and say hello."""
        talk = self.connect(subprotocol, **more)
        talk.say(["hello", ""])
        assert talk.hear()[0][0] == "welcome"
        return talk

    def on_loop(self, look: Callable[[], T]) -> T:
        """Do something on the server's thread, between two of its steps."""
        done = threading.Event()
        found: list[T] = []

        def act() -> None:
            found.append(look())
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(LIMIT_S)
        return found[0]

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Too little space for calls, yet enough for the store's own records, as its looks at the disk find it."""
        reasons = self.engine.admission.reasons
        self.memory.set_capacity(self.engine.housekeeping.reserve // 2)
        self.wait_until(lambda: DISK in reasons)
        try:
            yield
        finally:
            self.memory.set_capacity(CAPACITY)
            self.wait_until(lambda: DISK not in reasons)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Come back once something holds on the server's thread."""
        timer = threading.Event()
        for _ in range(int(LIMIT_S * 1000)):
            if self.on_loop(holds):
                return
            timer.wait(0.001)
        raise AssertionError("it never came to hold")

    def run(self) -> None:
        """The server's thread."""

        def ready(*_: Any) -> None:
            import asyncio  # noqa: PLC0415  # For its loop alone.

            self._loop = asyncio.get_running_loop()
            assert self.server.service is not None
            self.service = self.server.service
            self.ready.set()

        try:
            self.server.run(self.engine, on_ready=ready)
        finally:
            self.ready.set()

    ready: threading.Event
    service: Service


class Talk:
    """One WebSocket client."""

    def __init__(self, connecting: Any, *, text: bool) -> None:
        self._connecting = connecting
        self.connection: ClientConnection = connecting.__enter__()
        self._text = text

    def say(self, *messages: Any) -> None:
        """Send messages in one frame."""
        if self._text:
            self.connection.send(json.dumps(messages))
        else:
            self.connection.send(msgspec.msgpack.encode(messages))

    def hear(self) -> list[Any]:
        """The next frame's messages."""
        frame = self.connection.recv(LIMIT_S)
        heard: list[Any] = json.loads(frame) if isinstance(frame, str) else msgspec.msgpack.decode(frame)
        return heard

    @property
    def silent(self) -> bool:
        """Nothing has come."""
        try:
            self.connection.recv(0)
        except TimeoutError:
            return True
        return False

    def close(self) -> None:
        """Say goodbye."""
        self._connecting.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def answer_of(connection: http.client.HTTPConnection) -> Said:
    """The answer to what was asked."""
    response = connection.getresponse()
    data = response.read()
    kind = response.headers.get_content_type()
    body = json.loads(data) if kind == "application/json" else data
    return Said(response.status, body, {name.lower(): value for name, value in response.headers.items()})


def unanswered(connection: http.client.HTTPConnection) -> bool:
    """Nothing has come."""
    return not select([connection.sock], [], [], 0)[0]


@contextmanager
def serving(
    folder: Path,
    options: ServerOptions | None = None,
    sessions: Options | None = None,
    engine_options: EngineOptions | None = None,
    auth: AuthOptions | None = None,
) -> Iterator[Tenant]:
    """A tenant that is served until the test is done with it."""
    tenant = Tenant(folder, options or ServerOptions(port=0), sessions, engine_options, auth)
    tenant.ready = threading.Event()
    thread = threading.Thread(target=tenant.run)
    thread.start()
    try:
        assert tenant.ready.wait(LIMIT_S)
        yield tenant
    finally:
        tenant.gate.open()
        tenant.server.stop()
        thread.join(LIMIT_S)
        assert not thread.is_alive()
