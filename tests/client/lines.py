"""A server that a test plays by hand: each connection is a line on which it hears and says messages."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from store.client import ClientOptions
from store.ids import ConnectionId, Offset
from store.subscribe.messages import SUBPROTOCOL_MSGPACK, Call, Hello, Message, Result, Welcome
from store.values import encode
from tests.client.scenes import EPOCH, LIMITS, read_frame

QUICK = ClientOptions(backoff_first_ms=1, backoff_max_ms=5, close_timeout_s=0.2)
"""A client that comes back at once."""


class Line:
    """One connection, as its server sees it."""

    def __init__(self, socket: ServerConnection, number: int) -> None:
        self.socket = socket
        self.number = number
        """Counts connections from 1."""

    async def hear(self) -> list[Any]:
        """The next frame's messages."""
        frame = await self.socket.recv()
        assert isinstance(frame, bytes)
        return read_frame(frame)

    async def say(self, *messages: Message) -> None:
        """Send one frame."""
        await self.socket.send(encode(messages))

    async def greet(self, epoch: str = EPOCH, offset: int = 0) -> None:
        """Hear hello, say welcome."""
        (hello,) = await self.hear()
        assert isinstance(hello, Hello)
        await self.say(Welcome(ConnectionId(self.number), epoch, Offset(offset), LIMITS))

    async def answer_all(self, offset: int = 1) -> None:
        """Answer every call with its own arguments, for as long as the line stands."""
        while True:
            calls = [each for each in await self.hear() if isinstance(each, Call)]
            await self.say(*(Result(call.sequence, Offset(offset + call.sequence), call.args) for call in calls))

    def cut(self) -> None:
        """Lose the connection without a goodbye."""
        self.socket.transport.abort()


Play = Callable[[Line], Awaitable[None]]


@asynccontextmanager
async def playing(play: Play, *, refuse: HTTPStatus | None = None) -> AsyncIterator[str]:
    """Serve: `play` is what happens on each line. With `refuse`, no line opens."""
    count = 0

    async def handle(socket: ServerConnection) -> None:
        nonlocal count
        count += 1
        await play(Line(socket, count))

    def check(connection: ServerConnection, _request: Request) -> Response | None:
        return None if refuse is None else connection.respond(refuse, '{"message": "because"}')

    async with serve(
        handle, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL_MSGPACK)], process_request=check, compression=None
    ) as server:
        yield url_of(server)


def url_of(server: Server) -> str:
    """Where it listens."""
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def answering(line: Line) -> None:
    """A server that answers every call."""
    await line.greet()
    await line.answer_all()
