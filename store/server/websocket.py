"""One WebSocket connection: bytes between a socket and a session.

Laws: nothing is decided here about messages; the session does that, above durability. The hot path never passes
through ASGI: one `receive` for each frame, one `transmit` and one write for each group commit, which is the system's
own where nothing waits in the transport and nothing is encrypted: that halves what telling a thousand clients takes.
A token is checked before the upgrade, and again when it runs out or is withdrawn. Where it runs out, nothing more is
taken, and what was run before is answered. Whoever does not take what is sent is cut off; nobody else waits.

uvicorn makes one of these when a request asks to upgrade, and feeds it the request (its `ws=` protocol class).
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import parse_qs

from uvicorn.server import ServerState
from websockets.datastructures import Headers, MultipleValuesError
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from store.engine.identity import Caller
from store.errors import CallError, ProtocolError
from store.server.auth import Credential
from store.server.frames import FrameReader, window_bits
from store.server.metrics import count
from store.server.service import Service, error_of, no_scope, raw_answer, status_of, too_many
from store.subscribe.messages import (
    CLOSE_STOPPING,
    CLOSE_SUBPROTOCOL,
    CLOSE_TOO_SLOW,
    CLOSE_UNAUTHORIZED,
    SUBPROTOCOL_JSON,
    SUBPROTOCOL_MSGPACK,
)
from store.subscribe.session import Session

PATH: Final = "/v1/connect"
TOKEN_PARAMETER: Final = "access_token"  # noqa: S105  # The name of a query parameter (RFC 6750 §2.3).
SUBPROTOCOLS: Final = (SUBPROTOCOL_MSGPACK, SUBPROTOCOL_JSON)
"""What is spoken, the preferred one first."""
CLOSE_INTERNAL_ERROR: Final = 1011
"""RFC 6455 §7.4.1: an error of ours under a frame, or nobody answers our pings."""
INTERNAL_ERROR: Final = "an error of the server's own; it was logged"
"""What a client is told of an error of ours."""
REASON_SIZE_MAX: Final = 123
"""Bytes a close frame's reason may have (RFC 6455 §5.5)."""
EXPIRY_LOOK_S: Final = 3_600.0
"""Seconds after which a far expiry is looked at again: timers do not reach for years."""
READING_SHARE: Final = 4
"""Once a quarter of the outbox is unsent, nothing more is read from that client until half of it has left."""

logger: Final = logging.getLogger(__name__)


class WebSocketConnection(asyncio.Protocol):
    """The shell around one session: feeds it, writes for it, closes for it."""

    def __init__(self, service: Service, state: ServerState) -> None:
        options = service.options
        self._service: Final = service
        self._open: Final = state.connections
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._core: Final = ServerProtocol(
            select_subprotocol=_select_subprotocol,
            extensions=[ServerPerMessageDeflateFactory(server_no_context_takeover=True)]
            if options.compression
            else None,
            max_size=service.sessions.frame_size_max,
            logger=logging.getLogger("store.server.websocket.core"),
        )
        self._reader: Final = FrameReader(self._core, size_max=service.sessions.frame_size_max)
        self._session: Session | None = None
        self._credential: Credential | None = None
        self._kind = (False, 0)
        """Of the messages sent: whether they are text, and the window they are compressed with."""
        self._encode: Final = service.writer.encode
        self._socket = -1
        """The socket's number where it may be written to past the transport, else -1."""
        self._queued = False
        """Whether the transport may hold something unsent: then nothing may pass it."""
        self._ending = False
        self._expired = False
        """Whether the token has run out: nothing more is taken, and what was run before is answered."""
        self._heard = False
        self._pinged = False
        self._written = 0
        self._taken = 0
        self._timers: Final[dict[str, asyncio.TimerHandle]] = {}

    # What uvicorn and the loop call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the socket from the HTTP protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._service.sessions.outbox_bytes_max // READING_SHARE)
        if transport.get_extra_info("sslcontext") is None:
            self._socket = transport.get_extra_info("socket").fileno()
        self._open.add(self)  # type: ignore[arg-type]  # uvicorn lists its own classes; what it calls is here.

    def data_received(self, data: bytes) -> None:
        """Feed, take, deliver, and let the runner commit what came of it."""
        self._heard = True
        if self._credential is None:
            self._shake_hands(data)
            return
        for payload, text in self._reader.receive(data):
            session = self._session
            if session is not None and not self._expired:
                self._deliver(session, payload, text=text)
        if self._core.writes or self._core.events:
            self._follow_core()
        if len(self._open) == 1:
            self._service.runner.wake_now()
        else:
            self._service.runner.wake()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # However it was lost.
        """The client is gone: nobody is told anything any more."""
        self._socket = -1
        self._detach()
        self._ending = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._open.discard(self)

    def pause_writing(self) -> None:
        """The client does not take what is sent: take nothing more from it for now."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It takes again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def shutdown(self) -> None:
        """Close politely: the server stops. What the client asked before is answered first."""
        if self._session is None:
            self._transport.close()
        else:
            self._service.runner.after_all(lambda: self.end(CLOSE_STOPPING, "the server stops"))

    # What the session calls (subscribe/session.py: Wire).

    def transmit(self, payload: bytes) -> int:
        """Send one frame: at once where nothing waits before it, else with the loop's next round of writes."""
        if self._ending:
            return 0
        data = self._encode(payload, self._kind)
        self._written += len(data)
        if self._queued:
            self.unsent_bytes()
        if self._socket >= 0 and not self._queued and not self._transport.is_closing():
            try:
                sent = os.write(self._socket, data)
            except OSError:  # It takes nothing now, or is gone: the transport finds out.
                sent = 0
            if sent == len(data):
                return 0
            data = data[sent:]
        self._transport.write(data)
        return self.unsent_bytes()

    def unsent_bytes(self) -> int:
        """Bytes that the network has not taken yet."""
        unsent = self._transport.get_write_buffer_size()
        self._queued = unsent > 0
        return unsent

    def close(self, code: int, reason: str) -> None:
        """The session cuts the client off."""
        self.end(code, reason)

    # What the other doors call (service.py: Connection).

    @property
    def credential(self) -> Credential:
        """Who the connection is for."""
        assert self._credential is not None
        return self._credential

    def end(self, code: int, reason: str) -> None:
        """Begin the closing handshake; without an answer the connection is aborted after `close_grace_s`."""
        if self._ending:
            return
        self._ending = True
        self._detach()
        if self._core.state is State.OPEN:
            count(self._service.metrics.closed, str(code))
            self._core.send_close(code, _cut(reason))
        self._follow_core()
        self._abort_later()

    def outbox_bytes(self) -> int:
        """Bytes held or unsent."""
        return (0 if self._session is None else self._session.held_bytes) + self.unsent_bytes()

    # The handshake.

    def _shake_hands(self, data: bytes) -> None:
        try:
            self._answer_handshake(data)
        except Exception:
            logger.exception("a handshake met an error of ours")
            if self._credential is None:
                self._reject(HTTPStatus.INTERNAL_SERVER_ERROR, _rejection("internal", INTERNAL_ERROR))
            else:  # It was accepted: HTTP is over.
                self.end(CLOSE_INTERNAL_ERROR, INTERNAL_ERROR)

    def _answer_handshake(self, data: bytes) -> None:
        self._core.receive_data(data)
        for event in self._core.events_received():
            if isinstance(event, Request):
                try:
                    self._accept(event)
                except CallError as error:
                    self._service.note_denied(
                        "authenticate", error, door="websocket", target=PATH, source=self._source()
                    )
                    self._reject(status_of(error), error_of(error))
                return
        self._reject(HTTPStatus.BAD_REQUEST, _rejection("bad_request", "the request cannot be read"))

    def _accept(self, request: Request) -> None:
        """Let a client in whose path, token and handshake are right; its subprotocol it learns by a close code."""
        service = self._service
        path, _, query = request.path.partition("?")
        if path != PATH:
            self._reject(HTTPStatus.NOT_FOUND, _rejection("not_found", f"WebSocket is spoken at {PATH} alone"))
            return
        if len(service.connections) >= service.options.connections_max:
            raise too_many(service.options)
        caller, credential = service.admit(_authorization(request.headers, query), source=self._source())
        if not (caller.may_call or caller.may_read):
            raise no_scope()
        response = self._core.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            said = (response.body or b"").decode(errors="replace").strip()
            self._reject(response.status_code, _rejection("bad_handshake", said), response)
            return
        self._core.send_response(response)
        self._write(b"".join(self._core.data_to_send()))
        self._credential = credential
        if self._core.subprotocol is None:
            self.end(CLOSE_SUBPROTOCOL, f"offer one of the subprotocols {' and '.join(SUBPROTOCOLS)}")
            return
        self._open_session(caller, self._core.subprotocol)

    def _open_session(self, caller: Caller, subprotocol: str) -> None:
        service = self._service
        self._session = Session(
            service.engine, service.subscriptions, caller, subprotocol, self, options=service.sessions
        )
        self._kind = self._session.text, window_bits(self._core)
        service.connections.add(self)
        self._look_at_expiry()
        self._after("ping", service.options.ping_interval_s, self._look_for_life)

    def _reject(self, status: int, body: Mapping[str, object], response: Response | None = None) -> None:
        """Answer in HTTP: no WebSocket comes of this."""
        self._service.count_denied(status)
        extra = {} if response is None else {name: response.headers[name] for name in _TOLD if name in response.headers}
        self._transport.write(raw_answer(status, body, extra))
        self._transport.close()
        self._abort_later()  # What was sent before by HTTP may be unread, and closing waits for it.

    # Frames.

    def _deliver(self, session: Session, payload: bytes, *, text: bool) -> None:
        before = self._service.engine.write_path.last_offset
        try:
            session.receive(payload, text=text)
        except ProtocolError as error:
            self.end(error.close_code, error.message)
        except Exception as error:
            self._service.runner.check_whole(error, before)
            logger.exception("a frame of %d bytes met an error of ours", len(payload))
            self.end(CLOSE_INTERNAL_ERROR, INTERNAL_ERROR)

    def _follow_core(self) -> None:
        """Send what the core says (pongs, closes), and end where it has ended."""
        self._core.events_received()
        for data in self._core.data_to_send():
            if data:
                self._write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
        if self._core.state is not State.OPEN and not self._ending:
            if self._core.close_rcvd is None and self._core.close_sent is not None:
                count(self._service.metrics.closed, str(self._core.close_sent.code))
            self._ending = True
            self._detach()
            self._abort_later()

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        self._queued = True
        self._transport.write(data)

    def _detach(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.detach()
            self._service.connections.discard(self)

    def _abort_later(self) -> None:
        self._after("abort", self._service.options.close_grace_s, self._transport.abort)

    # Timers.

    def _after(self, name: str, seconds: float, act: Callable[[], None]) -> None:
        self._timers[name] = asyncio.get_running_loop().call_later(seconds, act)

    def _look_at_expiry(self) -> None:
        expiry = self.credential.expiry
        if expiry is None:
            return
        left = expiry - time.time()
        if left > 0:
            self._after("expiry", min(left, EXPIRY_LOOK_S), self._look_at_expiry)
        else:
            self._expired = True
            self._service.runner.after_all(lambda: self.end(CLOSE_UNAUTHORIZED, "the token has run out"))

    def _look_for_life(self) -> None:
        """Ping a client that is silent; end one that neither says nor takes anything after that."""
        if self._ending:
            return
        options = self._service.options
        taken = self._written - self.unsent_bytes()
        alive, self._heard = self._heard or taken > self._taken, False
        self._taken = taken
        if alive or not self._pinged:
            self._pinged = not alive
            if self._pinged:
                self._core.send_ping(b"")
                self._follow_core()
            self._taken = self._written - self.unsent_bytes()
            self._after(
                "ping", options.ping_timeout_s if self._pinged else options.ping_interval_s, self._look_for_life
            )
        elif self.unsent_bytes():
            self.end(CLOSE_TOO_SLOW, "nothing of what is sent is taken")
        else:
            self.end(CLOSE_INTERNAL_ERROR, "no answer to a ping")

    def _source(self) -> str:
        return source_of(self._transport.get_extra_info("peername"))


_TOLD: Final = ("Allow", "Upgrade", "Sec-WebSocket-Version")
"""Headers of a failed handshake that say what would be taken."""


def source_of(peer: object) -> str:
    """A socket's other end as host:port, or "" where it has none."""
    if not isinstance(peer, Sequence) or len(peer) < 2 or isinstance(peer, str):
        return ""
    host = f"[{peer[0]}]" if ":" in str(peer[0]) else peer[0]
    return f"{host}:{peer[1]}"


def _select_subprotocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((Subprotocol(each) for each in SUBPROTOCOLS if each in offered), None)


def _authorization(headers: Headers, query: str) -> str:
    """The Authorization header, or what stands in for it where a browser cannot send one."""
    try:
        said = headers.get("Authorization", "")
    except MultipleValuesError:
        return ""
    if said:
        return said
    token = parse_qs(query).get(TOKEN_PARAMETER, [""])[0]
    return f"Bearer {token}" if token else ""


def _rejection(error: str, message: str) -> dict[str, object]:
    return {"error": error, "message": message, "details": {}, "offset": 0}


def _cut(reason: str) -> str:
    """A reason that fits into a close frame."""
    return reason.encode()[:REASON_SIZE_MAX].decode(errors="ignore")
