"""Limits on those who have shown no token yet: heads have a size and a time, connections a number."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.server.options import ServerOptions
from tests.server.scenes import LIMIT_S, Tenant, serving


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """A tenant with little patience."""
    options = ServerOptions(port=0, head_size_max=2_000, head_timeout_s=0.5)
    with serving(tmp_path_factory.mktemp("tenant"), options) as tenant:
        yield tenant


def knock(tenant: Tenant, *sent: bytes) -> tuple[int, dict[str, object]]:
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
    assert knock(tenant, b"GET / HTTP/1.1\r\nHost: x\r\n")[0] == 408


@pytest.mark.parametrize("line", [b"X: " + b"x" * 3_000, b"X: x\r\n" * 500])
def test_large_head(tenant: Tenant, line: bytes) -> None:
    """A head that grows past its limit is answered 431 and closed, in one header or in many."""
    status, body = knock(tenant, b"GET / HTTP/1.1\r\nHost: x\r\n" + line)
    assert (status, body["error"]) == (431, "bad_request")


def test_no_http(tenant: Tenant) -> None:
    """Bytes that are no HTTP are answered 400 in JSON."""
    status, body = knock(tenant, b"\x16\x03\x01 hello\r\n\r\n")
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
