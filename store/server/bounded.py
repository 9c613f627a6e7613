"""uvicorn's HTTP protocol with limits on what somebody may cost who has shown no token yet, or reads no answer.

Laws: a head has a size and a time in which it must be complete; connections have a number. Whoever is past a limit is
answered in JSON and closed. Whoever takes nothing of an answer is cut off: closing would wait for him for ever.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from store.server.service import Service, error_of, raw_answer, too_many

LINE_EXTRA: Final = 4
"""Bytes a header's line has beside its name and its value: a colon, a space and the line's end."""


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
        self._head_timer: asyncio.TimerHandle | None = None
        self._lines_size = 0
        """Bytes of the whole lines that this request's head and trailers have so far."""
        self._begun_size = 0
        """Bytes that came since without completing a head, a piece of a body or a message."""
        self._went_on = False
        """Whether this read completed one of these."""
        self._stall_timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        """Bytes that waited to be taken when the stall timer began."""
        self._answered = False
        """Whether an answer was added to these meanwhile."""

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
        self._end_stall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and end a head that grows past its limit."""
        if self.transport.is_closing():
            return
        self._went_on = False
        super().data_received(data)
        if not self._went_on:  # All of it is of one head, or of trailers.
            self._begun_size += len(data)
            if self._begun_size > self._service.options.head_size_max:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._await_head()
        self._lines_size = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of its line."""
        self._count_line(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header of it, or a trailer."""
        self._count_line(len(name) + len(value) + LINE_EXTRA)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is whole."""
        self._end_head()
        self._go_on()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self._go_on()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._go_on()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """The connection is another protocol's from now on, with its own limits."""
        self._end_stall()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """An answer is written: see that it is taken."""
        self._answered = True
        self._await_taking()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Much waits to be taken."""
        self._await_taking()
        super().pause_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in our form. A head past its limit comes here as well: it ends the parsing."""
        if self._lines_size > self._service.options.head_size_max:
            self._refuse_head()
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _count_line(self, size: int) -> None:
        """Count what was parsed: one read may hold a head, a body and the next head. ValueError ends the parsing."""
        self._lines_size += size
        if self._lines_size > self._service.options.head_size_max:
            raise ValueError("the head is too large")

    def _go_on(self) -> None:
        self._went_on = True
        self._begun_size = 0

    def _await_taking(self) -> None:
        if self._stall_timer is None:
            self._unsent = self.transport.get_write_buffer_size()
            self._answered = False
            self._stall_timer = self.loop.call_later(self._service.options.stall_timeout_s, self._look_for_taking)

    def _look_for_taking(self) -> None:
        """Cut off who took nothing of what waits, unless more was added, which hides what was taken."""
        self._stall_timer = None
        unsent = self.transport.get_write_buffer_size()
        if not unsent:
            return
        if unsent < self._unsent or self._answered:
            self._await_taking()
        else:
            self.transport.abort()

    def _end_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._service.options.head_timeout_s, self._head_late)

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "no complete request came in time")

    def _refuse_head(self) -> None:
        limit = self._service.options.head_size_max
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request's head has at most {limit} bytes")

    def _refuse(self, status: int, message: str) -> None:
        self._turn_away(status, {"error": "bad_request", "message": message, "details": {}, "offset": 0})

    def _turn_away(self, status: int, body: Mapping[str, Any]) -> None:
        self._end_head()
        self._service.count_denied(status)
        if not self.transport.is_closing():
            self.transport.write(raw_answer(status, body))
            self.transport.close()
            self._await_taking()
