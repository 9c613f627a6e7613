"""The doors, put together: one port, one loop, one engine behind them.

    server = Server(ServerOptions(port=0), AuthOptions(token_file=path))     # what cannot be is said here
    engine = open_engine(…)
    server.run(engine, on_ready=lambda host, port: print(port))             # until SIGTERM, SIGINT or stop()

Laws: nothing is printed here. Stopping is in order: clients are answered and told to come back, then the stop record
is written and the directory is free. uvicorn raises the signal again once it has served.
"""

import asyncio
import contextlib
import gc
import math
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from store.audit.options import AuditOptions
from store.backup.options import BackupOptions
from store.engine.engine import Engine
from store.errors import ConfigError
from store.server.auditing import Auditing
from store.server.auth import Authenticator, AuthOptions
from store.server.bounded import BoundedHttp
from store.server.http import HttpDoors
from store.server.maintenance import Maintenance
from store.server.maintenance_options import MaintenanceOptions, check_drill_folder
from store.server.metrics import Metrics
from store.server.options import ServerOptions
from store.server.runner import Runner
from store.server.service import Service
from store.server.websocket import WebSocketConnection
from store.snapshot.options import SnapshotOptions
from store.subscribe.options import Options
from store.subscribe.subscriptions import Subscriptions

try:
    from uvloop import new_event_loop
except ImportError:  # No uvloop for this platform: the same, slower.
    from asyncio import new_event_loop  # type: ignore[assignment]  # A loop as well.

BACKLOG: Final = 2_048
"""Connections the operating system holds until they are taken."""

FILES_BESIDE: Final = 256
"""Open files that are no connections: segments, libraries, the loop's own."""

OnReady = Callable[[str, int], None]
"""Told the address and the port once connections are taken."""
OnStop = Callable[[], None]


class Server:
    """One tenant's doors. Making it checks all options and takes the port; `run` or `serve` opens the doors, once.

    Where its data directory is named, snapshots are taken of it, drills held and backups pushed, as the options say;
    where `audit` is given too, its trail is written.
    ConfigError: an option cannot be, a file of keys or tokens cannot be read, the port is taken.
    """

    def __init__(
        self,
        options: ServerOptions | None = None,
        auth: AuthOptions | None = None,
        sessions: Options | None = None,
        *,
        data: Path | None = None,
        snapshots: SnapshotOptions | None = None,
        maintenance: MaintenanceOptions | None = None,
        backup: BackupOptions | None = None,
        audit: AuditOptions | None = None,
    ) -> None:
        self._options: Final = options or ServerOptions()
        self._sessions: Final = sessions or Options()
        self._data: Final = data
        self._snapshots: Final = snapshots or SnapshotOptions()
        self._maintenance: Final = maintenance or MaintenanceOptions()
        self._backup: Final = backup or BackupOptions()
        self._audit: Final = audit or AuditOptions(on=False)
        check_drill_folder(self._maintenance, data)
        self._authenticator: Final = Authenticator(auth or AuthOptions())
        _check_tls(self._options)
        self._socket: Final = _bind(self._options)
        self._uvicorn: uvicorn.Server | None = None
        self.service: Service | None = None
        """What the doors share, once they are open."""
        self._stopped = False

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port that were taken."""
        host, port, *_ = self._socket.getsockname()
        return host, port

    def run(self, engine: Engine, *, on_ready: OnReady | None = None, on_stop: OnStop | None = None) -> None:
        """Serve on this thread until a signal or `stop`; then the engine is closed.

        `on_stop` is called when no connection is taken any more: after a signal this need not return.
        """
        _allow_files(self._options.connections_max)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self.serve(engine, on_ready=on_ready, on_stop=on_stop))

    async def serve(self, engine: Engine, *, on_ready: OnReady | None = None, on_stop: OnStop | None = None) -> None:
        """Serve on the running loop until a signal or `stop`; then the engine is closed. `on_stop` as for `run`."""
        service = self.service = self._make_service(engine)

        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            service.runner.start()
            service.maintenance.start()
            service.auditing.start()
            yield
            if on_stop is not None:
                on_stop()
            await service.maintenance.finish()
            await service.runner.finish()
            await service.auditing.finish()

        options = self._options
        config = uvicorn.Config(
            cast("Any", HttpDoors(service).app(lifespan)),
            http=cast("Any", partial(BoundedHttp, service)),
            ws=cast("Any", partial(_upgrade, service)),
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=math.ceil(options.keep_alive_s),
            timeout_graceful_shutdown=math.ceil(options.stop_grace_s),
            ssl_certfile=options.tls_certificate,
            ssl_keyfile=options.tls_key,
        )
        self._uvicorn = _Uvicorn(config, partial(on_ready, *self.address) if on_ready else _nothing)
        self._uvicorn.should_exit = self._stopped
        try:
            await self._uvicorn.serve(sockets=[self._socket])
        finally:
            self._socket.close()
            gc.unfreeze()

    def stop(self) -> None:
        """Stop as at SIGTERM. From any thread; `run` returns when all is closed."""
        self._stopped = True
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True

    def close(self) -> None:
        """Let the port go where nothing was served."""
        self._socket.close()

    def _make_service(self, engine: Engine) -> Service:
        metrics = Metrics(engine)
        runner = Runner(engine, metrics)
        return Service(
            engine=engine,
            runner=runner,
            metrics=metrics,
            authenticator=self._authenticator,
            subscriptions=Subscriptions(engine, options=self._sessions),
            maintenance=Maintenance(
                engine,
                runner,
                data=self._data,
                snapshots=self._snapshots,
                options=self._maintenance,
                backup=self._backup,
                stopping=lambda: self._uvicorn is not None and self._uvicorn.should_exit,
            ),
            auditing=Auditing(engine, runner, data=self._data, options=self._audit),
            options=self._options,
            sessions=self._sessions,
        )


class _Uvicorn(uvicorn.Server):
    """uvicorn, saying when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready: Final = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def serve(
    engine: Engine,
    options: ServerOptions | None = None,
    *,
    auth: AuthOptions | None = None,
    sessions: Options | None = None,
    on_ready: OnReady | None = None,
) -> None:
    """Check the options and serve, until SIGTERM or SIGINT. ConfigError as `Server`; the engine is then still open."""
    Server(options, auth, sessions).run(engine, on_ready=on_ready)


def _upgrade(
    service: Service, *, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any]
) -> WebSocketConnection:
    """What uvicorn calls for a request that asks to upgrade."""
    del config, app_state  # Ours come with the service.
    return WebSocketConnection(service, server_state)


def _check_tls(options: ServerOptions) -> None:
    if options.tls_certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options.tls_certificate, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"tls_certificate {options.tls_certificate} and tls_key {options.tls_key} cannot be used: {error}"
        ) from None


def _bind(options: ServerOptions) -> socket.socket:
    """Take the port, without answering on it yet: until recovery is done, nobody is kept waiting."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((options.host, options.port))
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"cannot listen on {options.host} port {options.port}: {error}", hint="Name another host or port"
        ) from None
    bound.set_inheritable(False)
    return bound


def _allow_files(connections_max: int) -> None:
    """Raise the process's own bound of open files, as far as it may, to what the connections need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections_max + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, bound), hard))


def _nothing() -> None:
    """Nobody wants to know."""
