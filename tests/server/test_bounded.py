"""Limits on those who show no token or read no answer: heads have a size and a time, connections a number."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from store.server.bounded import BoundedHttp
from store.server.options import ServerOptions
from tests.server.scenes import LIMIT_S, Tenant, serving


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """A tenant with little patience."""
    options = ServerOptions(port=0, head_size_max=2_000, head_timeout_s=0.5)
    with serving(tmp_path_factory.mktemp("tenant"), options) as tenant:
        yield tenant


def knock(tenant: Tenant, sent: Iterable[bytes] = ()) -> tuple[int, dict[str, object]]:
    """Send bytes and read until the server closes: the status and the JSON."""
    with socket.create_connection((tenant.host, tenant.port), timeout=LIMIT_S) as sock:
        heard = b""
        try:
            for data in sent:
                sock.sendall(data)
            while data := sock.recv(65_536):
                heard += data
        except ConnectionError:
            assert heard
    head, _, body = heard.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_silent(tenant: Tenant) -> None:
    """A connection that says nothing is answered 408 and closed."""
    assert knock(tenant)[0] == 408


def test_slow_head(tenant: Tenant) -> None:
    """A head that does not become complete is answered 408 and closed."""
    assert knock(tenant, [b"GET / HTTP/1.1\r\nHost: x\r\n"])[0] == 408


@pytest.mark.parametrize("line", [b"X: " + b"x" * 3_000, b"X: x\r\n" * 500])
def test_large_head(tenant: Tenant, line: bytes) -> None:
    """A head that grows past its limit is answered 431 and closed, in one header or in many."""
    status, body = knock(tenant, [b"GET / HTTP/1.1\r\nHost: x\r\n" + line])
    assert (status, body["error"]) == (431, "bad_request")


@pytest.mark.parametrize("line", [b"X: " + b"x" * 3_000, b"X: x\r\n" * 500, b"X: x"])
def test_large_whole_head(tenant: Tenant, line: bytes) -> None:
    """A head past its limit is answered 431 also where it comes in one read, whole: its line counts as well."""
    path = b"/" + b"x" * (3_000 if line == b"X: x" else 0)
    assert knock(tenant, [b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n"])[0] == 431


def test_large_upgrade(tenant: Tenant) -> None:
    """A request to upgrade has the same limit."""
    upgrade = b"GET /v1/connect HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: "
    assert knock(tenant, [upgrade + b"x" * 3_000 + b"\r\n\r\n"])[0] == 431


@pytest.mark.parametrize("trailer", [b"X: " + b"x" * 3_000, b"X: x\r\n" * 500])
def test_large_trailers(tenant: Tenant, trailer: bytes) -> None:
    """Trailers count as the head they belong to."""
    head = b"POST /v1/query HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    token = b"Authorization: Bearer " + tenant.token.encode()

    def sent() -> Iterator[bytes]:
        yield head + token + b"\r\n\r\n1\r\n{\r\n0\r\n"
        uvicorn = tenant.server._uvicorn
        assert uvicorn is not None
        open_now = uvicorn.server_state.connections
        tenant.wait_until(lambda: any(isinstance(each, BoundedHttp) and each.cycle for each in open_now))
        yield trailer

    assert knock(tenant, sent())[0] == 431


def test_body_is_no_head(tenant: Tenant) -> None:
    """A body, and heads that come in one read with it, do not count to each other's limit."""
    head = b"POST /v1/query HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + tenant.token.encode() + b"\r\n"
    body = b" " * 1_900
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with socket.create_connection((tenant.host, tenant.port), timeout=LIMIT_S) as sock:
        sock.sendall(whole * 3 + head + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
        heard = b""
        while data := sock.recv(65_536):
            heard += data
    assert heard.count(b"HTTP/1.1 400 ") == 4
    assert heard.count(b"malformed_query") == 4


@pytest.mark.parametrize("then", ["", "end", "upgrade"])
def test_unread(tmp_path: Path, then: str) -> None:
    """Who reads nothing of an answer is cut off, also where the connection would end or become another after it."""
    options = ServerOptions(port=0, stall_timeout_s=0.05, close_grace_s=0.05)
    with serving(tmp_path, options) as tenant, socket.socket() as sock:
        for number in range(16):
            tenant.call("fill", number, 1_000_000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sock.connect((tenant.host, tenant.port))
        token = b"Authorization: Bearer " + tenant.token.encode()
        body = b'{"sql": "SELECT * FROM notes"}'
        end = b"Connection: close\r\n" if then == "end" else b""
        sock.sendall(
            b"POST /v1/query HTTP/1.1\r\nHost: x\r\n" + token + b"\r\n" + end
            + b"Content-Length: %d\r\n\r\n" % len(body) + body
        )  # fmt: skip  # One line is one part.
        uvicorn = tenant.server._uvicorn
        assert uvicorn is not None
        sock.recv(1)
        if then == "upgrade":
            sock.sendall(b"GET /v1/connect HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        tenant.wait_until(lambda: not uvicorn.server_state.connections)
        heard = 0
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(65_536):
                heard += len(data)
        assert heard < 16_000_000  # What was still in our memory is gone.


class Line:
    """A transport and a loop in one, whose time passes by hand."""

    def __init__(self) -> None:
        self.unsent = 0
        self.aborted = False
        self.timers: list[Callable[[], None]] = []

    def get_write_buffer_size(self) -> int:
        """Bytes that wait."""
        return self.unsent

    def abort(self) -> None:
        """Cut off."""
        self.aborted = True

    def call_later(self, _: float, act: Callable[[], None]) -> object:
        """Have something done once time has passed."""
        self.timers.append(act)
        return object()

    def pass_time(self) -> None:
        """It has."""
        timers, self.timers = self.timers, []
        for act in timers:
            act()


def test_slow_reader(tenant: Tenant) -> None:
    """Who takes anything within the time stays, who was sent more meanwhile, too; who has taken all is left alone."""
    line: Any = Line()
    http = BoundedHttp(tenant.service, Config(lambda: None), ServerState(), {}, line)
    http.transport = line
    line.unsent = 100
    http._await_taking()
    for line.unsent in (99, 1):
        line.pass_time()
        assert not line.aborted
    line.unsent, http._answered = 50, True
    line.pass_time()
    assert not line.aborted
    line.unsent = 0
    line.pass_time()
    assert (line.aborted, line.timers) == (False, [])
    line.unsent = 7
    http._await_taking()
    line.pass_time()
    assert line.aborted


def test_no_http(tenant: Tenant) -> None:
    """Bytes that are no HTTP are answered 400 in JSON."""
    status, body = knock(tenant, [b"\x16\x03\x01 hello\r\n\r\n"])
    assert (status, body["error"]) == (400, "bad_request")


def test_kept_alive(tenant: Tenant) -> None:
    """The time for a head does not run between the requests of a connection, nor while one is answered."""
    connection = tenant.ask("GET", "/readyz")
    for _ in range(3):
        response = connection.getresponse()
        assert response.status == 200
        response.read()
        connection.request("GET", "/readyz", headers={"Authorization": f"Bearer {tenant.token}"})
    connection.close()


def test_connections_max(tmp_path: Path) -> None:
    """One connection too many is answered 503 with what to do, and closed."""
    with (
        serving(tmp_path, ServerOptions(port=0, connections_max=1)) as tenant,
        socket.create_connection((tenant.host, tenant.port)),
    ):
        tenant.wait_until(lambda: bool(tenant.server._uvicorn and tenant.server._uvicorn.server_state.connections))
        said = tenant.request("GET", "/readyz")
        assert (said.status, said.body["error"], said.headers["retry-after"]) == (503, "overloaded", "1")
