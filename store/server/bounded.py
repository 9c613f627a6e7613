"""uvicorn's HTTP protocol with limits on what somebody may cost who has shown no token yet.

Laws: a head has a size and a time in which it must be complete; connections have a number. Whoever is past a limit is
answered in JSON and closed.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from store.server.service import Service, error_of, raw_answer, too_many


class BoundedHttp(HttpToolsProtocol):
    """One HTTP connection, until it ends or becomes a WebSocket."""

    def __init__(
        self,
        service: Service,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._service: Final = service
        self._head_size = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As in uvicorn.
        """Take the connection, or say that there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self._service.options.connections_max:
            self._turn_away(HTTPStatus.SERVICE_UNAVAILABLE, error_of(too_many(self._service.options)))
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side is gone."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and end a head that grows past its limit."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._head_timer is not None:
            self._head_size += len(data)
            if self._head_size > self._service.options.head_size_max:
                limit = self._service.options.head_size_max
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request's head has at most {limit} bytes")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._end_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in our form."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._service.options.head_timeout_s, self._head_late)
            self._head_size = 0

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "no complete request came in time")

    def _refuse(self, status: int, message: str) -> None:
        self._turn_away(status, {"error": "bad_request", "message": message, "details": {}, "offset": 0})

    def _turn_away(self, status: int, body: Mapping[str, Any]) -> None:
        self._end_head()
        self._service.note_denied(status)
        if not self.transport.is_closing():
            self.transport.write(raw_answer(status, body))
            self.transport.close()
