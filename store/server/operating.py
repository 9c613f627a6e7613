"""The HTTP doors for operators: snapshots, sealing, the live fingerprint, drills. HTTP.md is their page.

Laws: each needs the scope operate. What they answer leaves when all it may rest on is durable, as at every other door.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from store.audit.owing import Unshipped
from store.engine.identity import Caller
from store.env.world import Disk
from store.errors import Denied, MalformedCall, NotRestorable, Refused, StoreError
from store.server.service import Service, headers_of
from store.server.workshop import Done
from store.snapshot.repository import Repository
from store.subscribe.encoding import plain
from store.transaction import Kind
from store.upkeep.ranges import restorable
from store.values import encode

Handler = Callable[[Request, Caller], Awaitable[Response]]
Door = Callable[[Handler], Callable[[Request], Awaitable[Response]]]
"""Around a handler: who may come in at all, and how every error is answered."""


class OperatorDoors:
    """What operators may do over HTTP, beside reading and calling."""

    def __init__(self, service: Service) -> None:
        self._service: Final = service
        self._runner: Final = service.runner
        self._maintenance: Final = service.maintenance

    def routes(self, door: Door) -> list[Route]:
        """All of them."""
        return [
            Route("/v1/snapshot", door(self._operators(self._snapshot)), methods=["POST"]),
            Route("/v1/snapshots", door(self._operators(self._snapshots)), methods=["GET"]),
            Route("/v1/operations", door(self._operators(self._operations)), methods=["GET"]),
            Route("/v1/seal", door(self._operators(self._seal)), methods=["POST"]),
            Route("/v1/confirm", door(self._operators(self._confirm)), methods=["POST"]),
            Route("/v1/fingerprint", door(self._operators(self._fingerprint)), methods=["POST"]),
            Route("/v1/drill", door(self._operators(self._drill)), methods=["POST"]),
            Route("/v1/audit", door(self._operators(self._audit)), methods=["GET"]),
        ]

    def _operators(self, handler: Handler) -> Handler:
        async def enter(request: Request, caller: Caller) -> Response:
            if not caller.may_operate:
                raise Denied(f"{request.url.path:.50} needs the scope operate", hint="Use a token that has it")
            return await self._runner.durable(await handler(request, caller))

        return enter

    async def _snapshot(self, request: Request, caller: Caller) -> Response:
        """Take a snapshot, and let go what it makes unneeded."""
        wait = _waits(request)
        return await _ended(self._maintenance.snapshot(caller), "snapshot", wait=wait)

    async def _drill(self, request: Request, caller: Caller) -> Response:
        """Rehearse a restore, and compare it with what is live."""
        wait = _waits(request)
        return await _ended(self._maintenance.drill(caller), "drill", wait=wait)

    async def _seal(self, _: Request, caller: Caller) -> Response:
        """Close the open segment, so that it can be backed up and, one day, let go."""
        said = encode([caller.identity.issuer, caller.identity.subject])
        with self._runner.whole():
            answer = self._service.engine.write_path.record(Kind.ADMIN, "seal", said)
        offset = await self._maintenance.live.seal()
        assert offset >= answer.offset
        return _json(HTTPStatus.OK, {"offset": offset, "segment": self._service.engine.log.segment})

    async def _confirm(self, request: Request, caller: Caller) -> Response:
        """Let the files from before a restore in place go, while what was restored is served."""
        give_up = _says(request, "give_up_unshipped", "false")
        try:
            offset, freed = await self._maintenance.confirm(caller, self._service.auditing.shipped(), give_up=give_up)
        except Unshipped as error:
            raise Refused("unshipped", message=str(error)) from None
        except NotRestorable as error:
            raise Refused("nothing_to_confirm", message=str(error)) from None
        return _json(HTTPStatus.OK, {"offset": offset, "bytes": freed})

    async def _fingerprint(self, _: Request, __: Caller) -> Response:
        """The fingerprint of the tables at one offset of now."""
        found = await self._maintenance.live.fingerprint()
        body = {"offset": found.offset, "fingerprint": found.fingerprint, "rows": found.rows}
        times = {"seconds": found.seconds, "slices": found.slices, "slice_max_ms": found.slice_max_ms}
        return _json(HTTPStatus.OK, {**body, **times})

    async def _audit(self, _: Request, __: Caller) -> Response:
        """Where the audit trail stands, and what keeps it."""
        return _json(HTTPStatus.OK, self._service.auditing.told())

    async def _snapshots(self, _: Request, __: Caller) -> Response:
        """Which snapshots there are, what can be restored, and how it stands with the next one."""
        content = await asyncio.to_thread(_listing, self._service.engine.world.disk)
        return _json(HTTPStatus.OK, {**content, "maintenance": self._maintenance.state()})

    async def _operations(self, _: Request, __: Caller) -> Response:
        """What is being done now, and how far it is. Nothing is read from the disk for it, so it may be asked often."""
        return _json(HTTPStatus.OK, self._maintenance.state())


def _waits(request: Request) -> bool:
    """Whether the answer is to come when all is done; with ?wait=false it comes at once."""
    return _says(request, "wait", "true")


def _says(request: Request, name: str, default: str) -> bool:
    """What a parameter in the address says. MalformedCall: neither true nor false."""
    said = request.query_params.get(name, default)
    if said not in {"true", "false"}:
        raise MalformedCall(f"{name} is true or false, found {said:.20}", details={"field": name})
    return said == "true"


async def _ended(done: "asyncio.Future[Done]", name: str, *, wait: bool) -> Response:
    if not wait:
        return _json(HTTPStatus.ACCEPTED, {"begun": True})
    ended = await done
    if ended.problem:
        details = {"offset": ended.offset, **({"exit": ended.code} if ended.code and ended.code > 0 else {})}
        raise Refused(f"{name}_failed", message=ended.problem, details=details)
    return _json(HTTPStatus.OK, {"offset": ended.offset, name: ended.event})


def _listing(disk: Disk) -> dict[str, Any]:
    """What the directory holds. Reads manifests and headers, on a thread: disks may be slow."""
    repository = Repository(disk)
    snapshots, refused = [], []
    for name in repository.names():
        try:
            manifest = repository.manifest(name)
        except StoreError as error:
            refused.append({"name": name, "reason": str(error)})
            continue
        verified = repository.verified(name)
        snapshots.append(
            {
                "name": name,
                "offset": manifest.offset,
                "timestamp": manifest.timestamp,
                "taken": manifest.taken,
                "epoch": manifest.epoch.hex(),
                "rows": manifest.rows,
                "bytes": manifest.size,
                "blocks": sum(len(table.blocks) for table in manifest.tables),
                "fingerprint": manifest.fingerprint,
                "verified": verified is not None,
            }
        )
    return {
        "snapshots": snapshots,
        "refused": refused,
        "pins": {name: msgspec.to_builtins(pin) for name, pin in repository.pins().items()},
        "restorable": [
            {
                "first": each.first,
                "last": each.last,
                "first_time": each.first_time,
                "last_time": each.last_time,
                "bases": list(each.bases),
                "epoch": each.epoch.hex(),
            }
            for each in restorable(disk)
        ],
    }


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(plain(body)), status, headers_of(status), "application/json")
