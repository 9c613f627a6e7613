"""One conversation, carried over WebSockets that come and go: connecting, coming back, sending what is due.

Laws: what is asked in one tick of the loop leaves in one frame. A lost connection is not an error: another is tried
for, ever more rarely and at random moments, for as long as the options say. What makes coming back useless is raised.
"""

import asyncio
import logging
import random
import ssl as tls
import time
from collections.abc import Callable
from typing import Final, NoReturn

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from store.client.conversation import Conversation
from store.client.dial import Token, dial, websocket_url
from store.client.errors import Unreachable, close_error
from store.client.options import ClientOptions
from store.errors import ProtocolError, StoreError

_log = logging.getLogger("store.client")


class Transport:
    """What carries a conversation. For one event loop."""

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        conversation: Conversation,
        options: ClientOptions,
        ssl: tls.SSLContext | None,
        take: Callable[[bytes | str], None],
    ) -> None:
        """`take` has the conversation receive a frame, and does what follows. ConfigError: `url` names no store."""
        self._url: Final = websocket_url(url)
        self._token: Final = token
        self._conversation: Final = conversation
        self._options: Final = options
        self._ssl: Final = ssl
        self._take: Final = take
        self._wake: Final = asyncio.Event()
        self.welcomed: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()
        """Done with the first welcome; whoever gives up before sets an error."""
        self.connected = False
        """Whether there is a connection now on which the client was welcomed."""
        self.connections = 0
        """How many there have been."""

    def send(self) -> None:
        """The conversation has something to send."""
        self._wake.set()

    def welcome(self) -> None:
        """The server has welcomed the client."""
        self.connected = True
        self.connections += 1
        if not self.welcomed.done():
            self.welcomed.set_result(None)

    async def stay_connected(self) -> NoReturn:
        """Connect, and come back, until that is useless: StoreError."""
        bound, lost_at = self._options.backoff_first_ms, time.monotonic()
        while True:
            try:
                await self._converse()
                trouble: StoreError = Unreachable("the connection was lost", hint="The client comes back by itself")
            except Unreachable as error:
                trouble = error
            if self.connected:
                self.connected, bound, lost_at = False, self._options.backoff_first_ms, time.monotonic()
            given_up = self._options.give_up_s is not None and time.monotonic() - lost_at > self._options.give_up_s
            if given_up or not self.welcomed.done():
                raise trouble
            wait_ms = random.uniform(0, bound)  # noqa: S311  # Jitter, no secret.
            _log.info("= %s; next try in %.0f ms", trouble.message, wait_ms)
            await asyncio.sleep(wait_ms / 1000)
            bound = min(bound * 2, self._options.backoff_max_ms)

    async def _converse(self) -> None:
        """One connection, from its first byte to its last. Returns where coming back is right, raises where not."""
        socket = await dial(self._url, self._token, options=self._options, ssl=self._ssl)
        _log.debug("= connected to %s", self._url)
        conversation = self._conversation
        conversation.opened()
        self._wake.set()
        writer = asyncio.create_task(self._write(socket))
        try:
            while True:
                self._take(await socket.recv())
                if conversation.sending:
                    self._wake.set()
        except ConnectionClosed as closed:
            code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
            _log.info("! connection closed with code %d %s", code, reason)
            error = close_error(code, reason, token_renews=callable(self._token))
            if error is not None:
                raise error from None
        except ProtocolError as error:
            await socket.close(error.close_code)
            raise
        finally:
            conversation.lost()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await socket.close()

    async def _write(self, socket: ClientConnection) -> None:
        """Send what is asked for; what comes while a send waits for room leaves together afterwards."""
        wake, conversation = self._wake, self._conversation
        try:
            while True:
                await wake.wait()
                wake.clear()
                for frame in conversation.data_to_send():
                    await socket.send(frame)
        except ConnectionClosed:
            return  # The reader knows, too.
