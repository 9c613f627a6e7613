"""An S3 server on this machine, and a proxy in front of it that fails as it is told."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

BUCKET = "backups"
ACCESS_KEY = "AKIATESTTESTTESTTEST"
SECRET_KEY = "secret-that-nobody-may-ever-see"  # Of a server that lives for one test.
REGION: Final = "eu-central-1"

DROP, BUSY, SILENT, HALF, NOT_IMPLEMENTED = "drop", "busy", "silent", "half", "not implemented"
"""What the proxy does with a request: breaks the connection before an answer, says 503, says nothing, breaks off in
the middle of the body, says 501 to a conditional put."""
LOST = "lost"
"""It lets the server do it, and breaks the connection instead of handing on the answer."""


@dataclass(frozen=True)
class Answer:
    """What the proxy says in the server's place."""

    status: int
    code: str
    message: str = "no"
    after: bool = False
    """Whether the server has done it all the same."""


@contextmanager
def s3_server(patch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server with one bucket, and credentials in the environment; its URL."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        patch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        _forget_everything(host, port)
        make_bucket(url, BUCKET)
        yield url
    finally:
        server.stop()


def _forget_everything(host: str, port: int) -> None:
    """All servers of one process share their buckets."""
    connection = http.client.HTTPConnection(host, port)
    connection.request("POST", "/moto-api/reset")
    assert connection.getresponse().status == 200
    connection.close()


def make_bucket(url: str, bucket: str, **more: Any) -> None:
    """An empty bucket."""
    client = boto3.client("s3", endpoint_url=url, config=Config(s3={"addressing_style": "path"}))
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}, **more)
    client.close()


class Proxy:
    """Hands requests on to the server, but for those it has other plans with, in their order."""

    def __init__(self, target: str) -> None:
        self.plans: list[str | Answer | None] = []
        """What becomes of the next requests; None, and those after the last: handed on."""
        self.always: Answer | None = None
        """What it says to every request."""
        self.requests: list[str] = []
        """Methods of all that came."""
        self.paths: list[str] = []
        """Paths of all that came, with their queries."""
        self.headers: list[dict[str, str]] = []
        self.skew_s = 0
        """Seconds by which the Date of its answers is ahead."""
        self.released = threading.Event()
        self._target = target.removeprefix("http://")
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                proxy._serve(self)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_one  # noqa: N815  # http.server names them.

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string((timestamp or time.time()) + proxy.skew_s)

            def log_message(self, *_: object) -> None:
                """Nothing is said of requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """No more requests."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        self.requests.append(handler.command)
        self.paths.append(handler.path)
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        plan = self.plans.pop(0) if self.plans else self.always
        if plan == SILENT:
            self.released.wait()
        if plan in {DROP, SILENT}:
            handler.close_connection = True
            return
        if plan == BUSY:
            self._answer(handler, 503, {}, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
            return
        if plan == NOT_IMPLEMENTED:
            self._answer(handler, 501, {}, b"<Error><Code>NotImplemented</Code><Message>no</Message></Error>")
            return
        if isinstance(plan, Answer) and not plan.after:
            self._answer(handler, plan.status, {}, error_body(plan))
            return
        status, headers, answer = self._hand_on(handler, body)
        if isinstance(plan, Answer):
            self._answer(handler, plan.status, {}, error_body(plan))
            return
        if plan == LOST:
            handler.close_connection = True
            return
        self._answer(handler, status, headers, answer, half=plan == HALF)

    def _hand_on(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._target)
        try:
            connection.request(handler.command, handler.path, body, dict(handler.headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    @staticmethod
    def _answer(
        handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes, *, half: bool = False
    ) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                handler.send_header(name, value)
        length = headers.get("Content-Length", "0") if handler.command == "HEAD" else str(len(body))
        handler.send_header("Content-Length", length)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body[: len(body) // 2] if half else body)
        handler.close_connection = half


def error_body(answer: Answer) -> bytes:
    """As S3 writes an error."""
    return f"<Error><Code>{answer.code}</Code><Message>{answer.message}</Message></Error>".encode()
