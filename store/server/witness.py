"""A witness's door: one POST, and its key for whoever wants to know it (c2sp.org/tlog-witness).

Laws: requests are answered one after the other, so that nobody's check and somebody else's note of what was seen can
cross. Nothing larger than a request can be is read.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from store.audit.objects.notes import VerifierKey
from store.audit.signing.witness import REQUEST_SIZE_MAX, Witness
from store.errors import ConfigError, StoreError

logger: Final = logging.getLogger(__name__)

Logs = Callable[[], Iterable[VerifierKey]]
"""The keys of logs that are believed now. ConfigError or Malformed where they cannot be read."""


def witness_app(witness: Witness, logs: Logs, *, wall: Callable[[], float] = time.time) -> Starlette:
    """The ASGI application. `logs` is asked before each request, so that a rotated key is known at once."""

    async def add_checkpoint(request: Request) -> Response:
        data = await _read(request)
        if data is None:
            return PlainTextResponse("the request is too large\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            witness.believe(logs())
            answer = witness.add_checkpoint(data, now=int(wall()))
        except (OSError, StoreError):  # Nothing was cosigned; what was seen is on disk or not, and both are well.
            logger.exception("a checkpoint was not cosigned")
            return PlainTextResponse("this witness cannot cosign now\n", HTTPStatus.INTERNAL_SERVER_ERROR)
        logger.info("%d %s", answer.status, answer.body.strip()[:100])
        return Response(answer.body, answer.status, media_type=answer.media_type)

    async def show_key(_: Request) -> Response:
        return PlainTextResponse(f"{witness.key}\n")

    return Starlette(
        routes=[
            Route("/add-checkpoint", add_checkpoint, methods=["POST"]),
            Route("/", show_key, methods=["GET"]),
        ]
    )


async def _read(request: Request) -> bytes | None:
    """The body; None where it is larger than any request."""
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > REQUEST_SIZE_MAX:
                return None
    except ClientDisconnect:
        pass  # What came is no request, and nobody reads the answer.
    return bytes(body)


def serve_witness(witness: Witness, logs: Logs, *, host: str, port: int, on_ready: Callable[[str, int], None]) -> None:
    """Serve until SIGTERM or SIGINT. ConfigError: the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}", hint="Choose another port") from None
    bound.listen()
    config = uvicorn.Config(
        witness_app(witness, logs), log_config=None, access_log=False, lifespan="off", timeout_keep_alive=30
    )
    on_ready(*bound.getsockname()[:2])
    uvicorn.Server(config).run(sockets=[bound])
