"""What all doors share: the engine behind them, who may come in, who is in, and how a door says no."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec

from store.engine.denials import is_told
from store.engine.engine import Engine
from store.engine.identity import Caller
from store.errors import CallError, Denied, Overloaded, Refused
from store.server.acts import ActsByHand
from store.server.auditing import Auditing
from store.server.auth import Authenticator, Credential, Unauthorized
from store.server.frames import FrameWriter
from store.server.maintenance import Maintenance
from store.server.metrics import Gauges, Metrics, count
from store.server.options import ServerOptions
from store.server.runner import TICK_SECONDS, Runner
from store.subscribe.messages import CLOSE_TOO_SLOW, CLOSE_UNAUTHORIZED
from store.subscribe.options import Options
from store.subscribe.subscriptions import Subscriptions
from store.transaction import Kind
from store.values import encode

RELOAD_TICKS: Final = round(1 / TICK_SECONDS)
"""Rounds of housekeeping between two looks at the token file."""
RETRY_AFTER: Final = {"Retry-After": "1"}
"""Seconds after which whoever was told 503 may try again."""


class Connection(Protocol):
    """One WebSocket client, as the other doors see it."""

    @property
    def credential(self) -> Credential:
        """Who it is for."""
        ...

    def end(self, code: int, reason: str) -> None:
        """Close it with a code."""
        ...

    def outbox_bytes(self) -> int:
        """Bytes held or unsent."""
        ...


@dataclass(frozen=True)
class Service:
    """One tenant's doors."""

    engine: Engine
    runner: Runner
    metrics: Metrics
    authenticator: Authenticator
    subscriptions: Subscriptions
    maintenance: Maintenance
    auditing: Auditing
    options: ServerOptions
    sessions: Options
    connections: set[Connection] = field(default_factory=set)
    writer: FrameWriter = field(default_factory=FrameWriter)
    """What connections send; who sends the same shares its bytes."""

    def __post_init__(self) -> None:
        """Begin to look after the connections."""
        ticks = 0
        changes = self.authenticator.changes

        def look() -> None:
            nonlocal ticks, changes
            ticks += 1
            self.engine.denials.look()
            if ticks % RELOAD_TICKS == 0:
                self.end_withdrawn()
                self.bound_outboxes()
            if changes != self.authenticator.changes and self.engine.housekeeping.has_room:
                changes = self.authenticator.changes
                self._record_tokens()

        self.runner.every_tick(look)
        ActsByHand(self.engine, self.runner)
        self.runner.deliver(self.subscriptions.deliveries)
        self.metrics.gauges = self._gauges
        self.metrics.maintenance = self.maintenance.measured
        self.metrics.auditing = self.auditing.measured

    def admit(self, authorization: str, *, source: str) -> tuple[Caller, Credential]:
        """The caller that an Authorization header speaks for. Unauthorized (401) without a token that counts."""
        scheme, _, token = authorization.partition(" ")
        if authorization and scheme.lower() != "bearer":
            raise Unauthorized(f"{scheme:.20} is not taken here", hint="Send Authorization: Bearer and a token")
        credential = self.authenticator.authenticate(token.strip())
        return Caller(credential.identity, self.runner.next_connection(), source), credential

    def end_withdrawn(self) -> None:
        """Look at the token file, and end the connections whose token it no longer holds."""
        self.authenticator.reload()
        for connection in [each for each in self.connections if self.authenticator.withdrawn(each.credential)]:
            connection.end(CLOSE_UNAUTHORIZED, "the token was withdrawn")

    def _record_tokens(self) -> None:
        """Log that the token file is another one: how many it holds now, or that it cannot be read."""
        said = {"tokens": self.authenticator.token_count, "readable": not self.authenticator.problem}
        self.engine.write_path.record(Kind.ADMIN, "tokens", encode([said, []]))

    def bound_outboxes(self) -> None:
        """Cut off those for whom the most waits, while it is too much for all together."""
        waiting = [(connection.outbox_bytes(), connection) for connection in self.connections]
        excess = sum(size for size, _ in waiting) - self.options.outboxes_bytes_max
        if excess <= 0:
            return
        for size, connection in sorted(waiting, key=lambda each: each[0], reverse=True):
            connection.end(CLOSE_TOO_SLOW, f"{size} bytes wait to be read, too much beside what waits for others")
            excess -= size
            if excess <= 0:
                return

    def _gauges(self) -> Gauges:
        return Gauges(
            connections=len(self.connections),
            subscribers=self.subscriptions.subscription_count,
            queries=self.subscriptions.query_count,
            outbox_bytes=sum(connection.outbox_bytes() for connection in self.connections),
        )

    def count_denied(self, status: int) -> None:
        """Count somebody who was turned away."""
        count(self.metrics.denied, str(status))

    def note_denied(
        self, act: str, error: CallError, *, door: str, target: str, source: str, caller: Caller | None = None
    ) -> None:
        """Let the log say who was denied what at a door, or sent what no reducer takes. Other errors are none of it."""
        if is_told(act, error):
            self.engine.denials.note(act, error, door=door, target=target, source=source, caller=caller)


STATUS: Final = {
    "malformed_call": HTTPStatus.BAD_REQUEST,
    "malformed_query": HTTPStatus.BAD_REQUEST,
    "denied": HTTPStatus.FORBIDDEN,
    "unknown_reducer": HTTPStatus.NOT_FOUND,
    "refused": HTTPStatus.CONFLICT,
    "constraint_violation": HTTPStatus.CONFLICT,
    "reducer_failed": HTTPStatus.INTERNAL_SERVER_ERROR,
    "overloaded": HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The HTTP status of every CallError's code (HTTP.md §3)."""


def status_of(error: CallError) -> int:
    """The HTTP status an error is answered with."""
    return HTTPStatus.UNAUTHORIZED if isinstance(error, Unauthorized) else STATUS[error.code]


def headers_of(status: int) -> dict[str, str]:
    """The headers that belong to a status."""
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    return RETRY_AFTER if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


def error_of(error: CallError, *, offset: int = 0) -> dict[str, Any]:
    """The body of an answer that says no. `offset` is where the failure was recorded, 0 where nothing was."""
    details = dict(error.details)
    if isinstance(error, Refused):
        details["reason"] = error.reason
    return {"error": error.code, "message": str(error), "details": details, "offset": offset}


def raw_answer(status: int, body: Mapping[str, Any], extra: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP answer that closes the connection, for doors that have no framework behind them."""
    content = msgspec.json.encode(body)
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    head += [f"{name}: {value}" for name, value in {**headers_of(status), **(extra or {})}.items()]
    head += ["Content-Type: application/json", f"Content-Length: {len(content)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode("latin-1") + content


def too_many(options: ServerOptions) -> Overloaded:
    """What one connection too many is told."""
    return Overloaded(f"{options.connections_max} connections are open, more are not taken", hint="Come back later")


def no_scope() -> Denied:
    """What a token that opens nothing is told."""
    return Denied("the token has none of the scopes call, read and operate", hint="Use a token that has one")
