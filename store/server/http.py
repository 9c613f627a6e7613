"""The HTTP doors: call, query, schema, health, readiness, metrics, and the operators'. HTTP.md is their page.

Laws: every door wants a token, unless an option opens the health doors. Whatever rests on a transaction, refusals and
reads too, leaves when that transaction is durable. Every answer that says no is JSON with a code; never a traceback.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import StatelessLifespan

from store import __version__
from store.engine.identity import Caller
from store.engine.reducer import Reducer
from store.engine.write_path import Answer
from store.errors import CallError, Denied, MalformedCall, MalformedQuery, Overloaded, Refused, UnknownReducer
from store.schema import TableSchema
from store.server.health import Health
from store.server.metrics import CONTENT_TYPE
from store.server.operating import OperatorDoors
from store.server.service import STATUS, Service, error_of, headers_of, no_scope, status_of
from store.server.websocket import source_of
from store.subscribe.encoding import JSON, MSGPACK, UNREADABLE, plain
from store.subscribe.reading import read
from store.transaction import Kind
from store.values import encode

TYPE_JSON: Final = "application/json"
TYPE_MSGPACK: Final = "application/msgpack"
KEY_HEADER: Final = "Idempotency-Key"
KEY_LENGTH_MAX: Final = 255
"""Characters an idempotency key may have."""

logger: Final = logging.getLogger(__name__)

Handler = Callable[[Request, Caller], Awaitable[Response]]


class Rejected(Exception):  # Like Refused, by HTTP instead of a domain.
    """HTTP itself says no: nothing of the store was asked."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": error, "message": message, "details": {}, "offset": 0}


class QueryBody(msgspec.Struct, frozen=True):
    """What POST /v1/query takes."""

    sql: str
    params: tuple[Any, ...] = ()


class HttpDoors:
    """All of HTTP, above one service."""

    def __init__(self, service: Service) -> None:
        self._service: Final = service
        self._engine: Final = service.engine
        self._runner: Final = service.runner
        self._health: Final = Health(service)

    def app(self, lifespan: StatelessLifespan[Starlette]) -> Starlette:
        """The ASGI application."""
        free = self._service.options.open_health
        return Starlette(
            routes=[
                Route("/v1/call/{reducer}", self._door(self._call), methods=["POST"]),
                Route("/v1/query", self._door(self._query), methods=["POST"]),
                Route("/v1/schema", self._door(self._schema), methods=["GET"]),
                Route("/v1/clock/confirm", self._door(self._confirm_clock), methods=["POST"]),
                *OperatorDoors(self._service).routes(self._door),
                Route("/metrics", self._door(self._metrics), methods=["GET"]),
                Route("/healthz", self._health_door(self._healthz, free=free), methods=["GET"]),
                Route("/readyz", self._health_door(self._readyz, free=free), methods=["GET"]),
            ],
            exception_handlers={HTTPException: _not_found},
            lifespan=lifespan,
        )

    # How every door begins and ends.

    def _door(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def enter(request: Request) -> Response:
            try:
                caller = self._admit(request)
            except CallError as error:  # It rests on nothing but the token.
                self._note_denied(request, "authenticate", error)
                return _json(status_of(error), error_of(error))
            try:
                return await handler(request, caller)
            except (Denied, MalformedCall, UnknownReducer) as error:
                self._note_denied(request, _act_of(request.url.path), error, caller)
                raise

        async def door(request: Request) -> Response:
            return await self._guarded(enter, request)

        return door

    def _health_door(self, handler: Callable[[], Awaitable[Response]], *, free: bool) -> Any:
        async def open_door(_: Request) -> Response:
            return await self._guarded(asked)

        async def asked(*_: Any) -> Response:
            return await handler()

        return open_door if free else self._door(asked)

    async def _guarded(self, handler: Callable[..., Awaitable[Response]], *args: Any) -> Response:
        """Run a handler; whatever it raises becomes an answer."""
        try:
            return await handler(*args)
        except CallError as error:
            return await self._runner.durable(_json(status_of(error), error_of(error)))
        except Rejected as error:
            return _json(error.status, error.body)
        except Exception:
            logger.exception("an HTTP door met an error of ours")
            body = {"error": "internal", "message": "an error of the server's own; it was logged"}
            return _json(HTTPStatus.INTERNAL_SERVER_ERROR, {**body, "details": {}, "offset": 0})

    def _admit(self, request: Request) -> Caller:
        said = request.headers.getlist("Authorization")
        caller, _ = self._service.admit(said[0] if len(said) == 1 else "", source=source_of(request.client))
        return caller

    def _note_denied(self, request: Request, act: str, error: CallError, caller: Caller | None = None) -> None:
        if isinstance(error, Denied):
            self._service.count_denied(status_of(error))
        self._service.note_denied(
            act, error, door="http", target=request.url.path, source=source_of(request.client), caller=caller
        )

    # The doors.

    async def _call(self, request: Request, caller: Caller) -> Response:
        """Run a reducer."""
        packed = _packed(request)
        body = await self._body(request)
        key = _idempotency_key(request)
        args = body or (b"\x90" if packed else b"[]")
        with self._runner.whole():
            answer = self._engine.write_path.call(
                caller, request.path_params["reducer"], args, key=key, json=not packed
            )
        return await self._runner.durable(self._answer(answer, packed=packed))

    async def _query(self, request: Request, caller: Caller) -> Response:
        """Read the rows of a query, once."""
        packed = _packed(request)
        body = await self._body(request)
        decode = msgspec.msgpack.decode if packed else msgspec.json.decode
        try:
            asked = decode(body, type=QueryBody)
        except UNREADABLE as error:
            raise MalformedQuery(f"the body is no query: {error}", hint='Send {"sql": …, "params": […]}') from None
        answer = read(self._engine, caller, asked.sql, asked.params, self._service.sessions)
        rows = answer.rows
        size, size_max = sum(map(len, rows)), self._service.sessions.outbox_bytes_max
        if size > size_max:
            raise Overloaded(f"the rows have {size} bytes, at most {size_max} are sent", hint="Ask for fewer")
        columns = [{"name": each.name, "type": each.type, "nullable": each.nullable} for each in answer.table.columns]
        encoding = MSGPACK if packed else JSON
        content = {"offset": answer.offset, "columns": columns, "rows": msgspec.Raw(encoding.rows(rows))}
        return await self._runner.durable(_encoded(HTTPStatus.OK, content, packed=packed))

    async def _schema(self, _: Request, caller: Caller) -> Response:
        """Say what there is, as far as this token may see it."""
        if not (caller.may_call or caller.may_read):
            raise no_scope()
        schema = self._engine.database.schema
        content = {
            "version": __version__,
            "epoch": self._engine.epoch.hex(),
            "schema_version": schema.version,
            "tables": [
                _describe_table(table)
                for table in schema.tables
                if caller.may_operate or (caller.may_read and table.public)
            ],
            "reducers": [
                _describe_reducer(each)
                for each in sorted(self._engine.domain.reducers.values(), key=lambda each: each.name)
                if caller.may_call
            ],
        }
        return await self._runner.durable(_json(HTTPStatus.OK, content))

    async def _confirm_clock(self, _: Request, caller: Caller) -> Response:
        """Take calls again after the wall clock jumped: an operator says that it is right."""
        if not caller.may_operate:
            raise Denied("confirming the clock needs the scope operate", hint="Use a token that has it")
        self._engine.housekeeping.confirm_clock()
        said = encode([caller.identity.issuer, caller.identity.subject])
        with self._runner.whole():
            answer = self._engine.write_path.record(Kind.ADMIN, "confirm_clock", said)
        return await self._runner.durable(_json(HTTPStatus.OK, {"offset": answer.offset}))

    async def _metrics(self, _: Request, caller: Caller) -> Response:
        """Everything an operator measures; if the disk hangs, what does not rest on it."""
        if not caller.may_read:
            raise Denied("metrics need the scope read", hint="Use a token that has it")
        render = self._service.metrics.render
        text = render(private=caller.may_operate)
        try:
            async with asyncio.timeout(self._service.options.health_limit_s):
                await self._runner.durable(text)
        except TimeoutError:
            text = render(private=caller.may_operate, rests=False)
        return Response(text, media_type=CONTENT_TYPE)

    async def _healthz(self) -> Response:
        """Whether a commit reaches the disk, now."""
        status, body = await self._health.check()
        return _json(status, body)

    async def _readyz(self) -> Response:
        """Whether calls are taken, and if not, why."""
        reasons = dict(self._engine.admission.reasons)
        if self._service.authenticator.problem:
            reasons["tokens"] = self._service.authenticator.problem
        audit = self._service.auditing.problem
        report = self._engine.report
        recovered = {"offset": report.last_offset, "replayed": report.replayed, "cut_bytes": report.cut_bytes}
        body = {"ready": not reasons, "reasons": reasons, "recovered": {**recovered, "seconds": report.seconds}}
        body |= {"audit": audit} if audit else {}
        return _json(HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK, body)

    # Bodies, in and out.

    async def _body(self, request: Request) -> bytes:
        """The whole body, within its limits of size and time."""
        options, size = self._service.options, 0
        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(options.body_timeout_s):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > options.body_size_max:
                        raise Rejected(
                            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                            "too_large",
                            f"a body has at most {options.body_size_max} bytes",
                        )
                    chunks.append(chunk)
        except TimeoutError:
            raise Rejected(HTTPStatus.REQUEST_TIMEOUT, "too_late", "the body did not come in time") from None
        except ClientDisconnect:
            raise Rejected(HTTPStatus.BAD_REQUEST, "bad_request", "the client left before its body was whole") from None
        return b"".join(chunks)

    def _answer(self, answer: Answer, *, packed: bool) -> Response:
        """What a call was answered, as HTTP says it."""
        if not answer.outcome:
            value = msgspec.Raw((MSGPACK if packed else JSON).value(answer.value))
            return _encoded(HTTPStatus.OK, {"offset": answer.offset, "value": value}, packed=packed)
        message, details, reason = msgspec.msgpack.decode(answer.value)
        if answer.outcome == Refused.code:
            details["reason"] = reason
        body = {"error": answer.outcome, "message": message, "details": plain(details), "offset": answer.offset}
        return _json(STATUS[answer.outcome], body)


def _act_of(path: str) -> str:
    """What somebody wanted to do at a door, in a word for the log."""
    return _ACTS.get(path.removeprefix("/v1").split("/")[1], "operate")


_ACTS: Final = {"call": "call", "query": "query", "schema": "read", "metrics": "read"}


def _packed(request: Request) -> bool:
    """Whether the body is MessagePack; everything else is read as JSON."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == TYPE_MSGPACK


def _idempotency_key(request: Request) -> str:
    """The key of a call, "" where there is none; quotes of a structured header around it are not part of it."""
    keys = request.headers.getlist(KEY_HEADER)
    if not keys:
        return ""
    if len(keys) > 1:  # Whichever were taken, the retry of somebody who meant the other would run again.
        raise MalformedCall(f"expected one {KEY_HEADER}, found {len(keys)}", hint="Send that header once")
    said = keys[0]
    key = said[1:-1] if len(said) > 1 and said[0] == said[-1] == '"' else said
    if not (0 < len(key) <= KEY_LENGTH_MAX and key.isascii() and key.isprintable()):
        raise MalformedCall(f"{KEY_HEADER} is 1 to {KEY_LENGTH_MAX} printable ASCII characters")
    return key


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(plain(body)), status, headers_of(status), TYPE_JSON)


def _encoded(status: int, body: dict[str, Any], *, packed: bool) -> Response:
    """An answer in the form of its question; what is Raw in it is in that form already."""
    content = msgspec.msgpack.encode(body) if packed else msgspec.json.encode(body)
    return Response(content, status, media_type=TYPE_MSGPACK if packed else TYPE_JSON)


async def _not_found(_: Request, error: Exception) -> Response:
    """No such door, or not with that method."""
    assert isinstance(error, HTTPException)
    name = "not_found" if error.status_code == HTTPStatus.NOT_FOUND else "bad_request"
    body = {"error": name, "message": error.detail, "details": {}, "offset": 0}
    response = _json(error.status_code, body)
    response.headers.update(error.headers or {})
    return response


def _describe_table(table: TableSchema) -> dict[str, Any]:
    indexes = {each.column: each for each in table.indexes}
    return {
        "name": table.name,
        "public": table.public,
        "key": table.key_name,
        "columns": [
            {
                "name": each.name,
                "type": each.type,
                "nullable": each.nullable,
                "index": each.id in indexes,
                "unique": each.id == table.primary_key or (each.id in indexes and indexes[each.id].unique),
            }
            for each in table.columns
        ],
    }


def _describe_reducer(reducer: Reducer[Any, Any]) -> dict[str, Any]:
    return {
        "name": reducer.name,
        "description": (reducer.__doc__ or "").strip(),
        "parameters": [
            {"name": each.name, "type": each.type_name, "required": each.default is None}
            for each in reducer.arguments.parameters
        ],
    }
