"""What an operator may tune at the doors; each field says its unit, its default and its trade-off."""

from dataclasses import dataclass
from pathlib import Path

from store.errors import ConfigError

PORT_MAX = 65_535


@dataclass(frozen=True)
class ServerOptions:
    """The doors' options. Where tokens come from is AuthOptions; what one client may do, the sessions' Options."""

    host: str = "127.0.0.1"
    """The address to listen on, default 127.0.0.1: this machine alone. 0.0.0.0 or :: takes connections from everywhere,
    which is less safe without a certificate: tokens would travel as they are."""

    port: int = 8_400
    """The TCP port, a number of 0 to 65535, default 8400. A fixed one is found by clients and firewalls without asking;
    0 takes a free one and reports it, so that it is never taken already, but another one after each start."""

    tls_certificate: Path | None = None
    """A path to a PEM file with the certificate chain, default none: no TLS. With one, nobody on the way can read
    tokens and rows, and each connection costs a handshake; without, leave TLS to a proxy or stay on 127.0.0.1. Needs
    `tls_key`."""

    tls_key: Path | None = None
    """A path to a PEM file with the certificate's private key, without a passphrase; default none: no TLS. With TLS the
    key must be readable to the store; without, it may stay with a proxy. Needs `tls_certificate`."""

    open_health: bool = False
    """Whether /healthz and /readyz answer without a token, default false. Without it, an orchestrator's probes need
    one; with it, anyone who can connect learns whether the store is well, and may cause one commit a second."""

    connections_max: int = 10_000
    """Connections open at a time, of all kinds, default 10,000. More serves more clients; each costs some kilobytes and
    a file descriptor. Past it a connection is answered 503."""

    outboxes_bytes_max: int = 1 << 30
    """Bytes that may wait for all WebSocket clients together, default 1 GiB, looked at once a second. More bears more
    slow clients at a time; less bounds the memory they take. Past it those with the most are cut off as too slow, and
    may come back and resume."""

    body_size_max: int = 16 << 20
    """Bytes of an HTTP request's body, default 16 MiB. More takes larger calls; less bounds the memory of one request.
    Past it the answer is 413."""

    head_size_max: int = 32 << 10
    """Bytes of an HTTP request's line, headers and trailers together, default 32 KiB. More takes longer tokens and
    addresses; less bounds what one connection holds before anybody knows whose it is. Past it the
    connection is closed."""

    head_timeout_s: float = 10.0
    """Seconds from connecting, or from a request's first byte, until its headers are complete, default 10. More is kind
    to bad lines; less frees connections that say nothing sooner."""

    body_timeout_s: float = 60.0
    """Seconds until an HTTP request's body is complete, default 60. More lets slow lines send large bodies; less frees
    the memory of those that stall sooner. Past it the answer is 408."""

    stall_timeout_s: float = 30.0
    """Seconds in which an HTTP client takes at least something of the answers that wait for it, default 30; who takes
    nothing that long, twice as long at most, is cut off. More is kind to bad lines; less frees the memory of answers
    that nobody reads sooner."""

    keep_alive_s: float = 30.0
    """Seconds an HTTP connection may be idle between two requests, default 30; rounded up to whole ones. More spares
    clients that come back a new handshake; less frees the connections of those that do not sooner."""

    ping_interval_s: float = 20.0
    """Seconds of silence on a WebSocket after which the server pings, default 20. Less notices a vanished client sooner
    and keeps proxies from closing idle lines; each ping costs a packet either way."""

    ping_timeout_s: float = 20.0
    """Seconds a pinged client has to say or take anything, default 20; then it is cut off. More is kind to clients that
    sleep or change networks; less frees what vanished ones hold sooner."""

    close_grace_s: float = 5.0
    """Seconds a client has to answer the closing handshake, default 5: also those in which one that was cut off for
    reading too slowly may still take what is on its way. More lets slow clients learn why; less frees their memory
    sooner. Then the connection is aborted."""

    compression: bool = False
    """Whether permessage-deflate is agreed on with WebSocket clients that offer it, default false. Then messages of 4
    KiB and more are sent compressed, once for all who are sent the same: half the bytes of first rows on slow lines,
    for 1.5 to 2 ms of the writer's time a chunk of 64 KiB. Smaller ones are sent as they are; what clients send
    compressed costs twice the time to take in."""

    health_limit_s: float = 5.0
    """Seconds /healthz waits for its commit, and /metrics for the sync that runs, default 5. More tolerates a disk that
    stalls now and then; less reports one sooner. Past it the store counts as sick (503), and /metrics leaves out what
    may not be durable."""

    stop_grace_s: float = 10.0
    """Seconds that requests have to end when the server stops, default 10; rounded up to whole ones. More lets slow
    clients have their answers; less starts the next server sooner. Then they are cancelled and the store is closed in
    order."""

    def __post_init__(self) -> None:
        """ConfigError names the field that cannot be."""
        if not 0 <= self.port <= PORT_MAX:
            raise ConfigError(f"port is 0 to {PORT_MAX}, found {self.port}")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConfigError("tls_certificate and tls_key are given together or not at all")
        for name in ("connections_max", "outboxes_bytes_max", "body_size_max", "head_size_max"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1, found {getattr(self, name)}")
        seconds = (
            "head_timeout_s",
            "body_timeout_s",
            "stall_timeout_s",
            "keep_alive_s",
            "ping_interval_s",
            "ping_timeout_s",
            "close_grace_s",
        )
        for name in (*seconds, "health_limit_s", "stop_grace_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is more than 0 seconds, found {getattr(self, name)}")
