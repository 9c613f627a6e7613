"""The rules of asking a running tenant over HTTP: what its answers become."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from store.cli.asking import Tenant
from store.client.errors import Unreachable
from store.errors import CallError, ConfigError, Denied, Overloaded, ProtocolError, StoreError

ANSWERS: dict[str, tuple[int, bytes]] = {
    "/fine": (200, b'{"offset": 7}'),
    "/denied": (401, b'{"error": "denied", "message": "no such token"}'),
    "/busy": (503, b'{"error": "overloaded", "message": "later"}'),
    "/broken": (500, b'{"error": "internal", "message": "an error of ours"}'),
    "/html": (404, b"<html>nothing here"),
}


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Answer as the table says, and with what came."""
        length = int(self.headers["Content-Length"])
        seen.append((self.headers["Authorization"], json.loads(self.rfile.read(length))))
        self.do_GET()

    def do_GET(self) -> None:
        """Answer as the table says."""
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


seen: list[tuple[str, Any]] = []


@pytest.fixture(scope="module")
def tenant() -> Iterator[Tenant]:
    """Something that answers."""
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Tenant(f"ws://127.0.0.1:{server.server_port}", "secret", ssl=None, timeout_s=10)
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_is_what_it_says(tenant: Tenant) -> None:
    """The token goes in the header, the body as JSON, and the answer comes back as an object."""
    assert tenant.post("/fine", {"a": 1}) == {"offset": 7}
    assert seen[-1] == ("Bearer secret", {"a": 1})
    assert tenant.get("/fine") == {"offset": 7}


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/denied", Denied, "no such token"),
        ("/busy", Overloaded, "later"),
        ("/broken", CallError, "an error of ours"),
        ("/html", ProtocolError, "nothing here"),
    ],
)
def test_a_refusal_is_the_error_it_names(tenant: Tenant, path: str, kind: type[StoreError], words: str) -> None:
    """With the server's own words; something else than a store is no store of this version."""
    with pytest.raises(kind, match=words):
        tenant.post(path)


def test_nobody_there_is_unreachable() -> None:
    """And says where nobody was."""
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
        Tenant("ws://127.0.0.1:1", "secret", ssl=None, timeout_s=1).post("/fine")


@pytest.mark.parametrize("url", ["gopher://x", "ws://", "nothing"])
def test_an_address_is_one(url: str) -> None:
    """Of a scheme that stores speak, with a host."""
    with pytest.raises(ConfigError, match="address"):
        Tenant(url, "secret", ssl=None, timeout_s=1)
