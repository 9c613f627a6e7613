"""A witness's door."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest
from starlette.applications import Starlette

from store.audit.objects.layout import Malformed
from store.audit.objects.notes import VerifierKey
from store.audit.signing.witness import REQUEST_SIZE_MAX, SIZE_TYPE
from store.errors import ConfigError
from store.server.witness import serve_witness, witness_app
from tests.audit.scenes import KEY
from tests.audit.signing.test_witness import NOW, SECRET, Notebook, new_witness, request


@dataclass
class Said:
    """An answer."""

    status: int
    media_type: str
    text: str


@dataclass
class Client:
    """Somebody who asks, by ASGI."""

    app: Starlette

    def post(self, data: bytes) -> Said:
        """A checkpoint."""
        return self.ask("POST", "/add-checkpoint", data)

    def ask(self, method: str, path: str, data: bytes = b"") -> Said:
        """Anything."""
        scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "app": self.app}
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        headers = dict(sent[0]["headers"])
        body = b"".join(each.get("body", b"") for each in sent[1:])
        return Said(sent[0]["status"], headers.get(b"content-type", b"").decode().split(";")[0], body.decode())


def client(notebook: Notebook | None = None, logs: Callable[[], list[VerifierKey]] | None = None) -> Client:
    """Somebody who asks a fresh witness."""
    return Client(witness_app(new_witness(notebook), logs or (lambda: [KEY.key]), wall=lambda: NOW + 0.5))


def test_a_checkpoint_is_posted() -> None:
    """The answer has the protocol's status, body and type."""
    asked = client()
    first = asked.post(request(0, 5).encode())
    assert (first.status, first.text[:2]) == (HTTPStatus.OK, "\u2014 ")
    again = asked.post(request(0, 9).encode())
    assert (again.status, again.text) == (HTTPStatus.CONFLICT, "5\n")
    assert again.media_type == SIZE_TYPE


def test_its_key_is_shown() -> None:
    """To whoever wants to put it into a policy."""
    assert client().ask("GET", "/").text == f"{SECRET.key}\n"


def test_what_is_too_large_is_not_read() -> None:
    """It is refused by its size."""
    answer = client().post(b"x" * (REQUEST_SIZE_MAX + 1))
    assert answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def test_a_memory_that_fails_cosigns_nothing() -> None:
    """The answer says no more than that."""
    notebook = Notebook()
    notebook.broken = True
    answer = client(notebook).post(request(0, 5).encode())
    assert (answer.status, "no space" in answer.text) == (HTTPStatus.INTERNAL_SERVER_ERROR, False)


def test_keys_of_logs_are_looked_up_each_time() -> None:
    """So that a rotated key is known at once; a list that cannot be read cosigns nothing."""
    keys: list[VerifierKey] = []

    def logs() -> list[VerifierKey]:
        if len(keys) > 1:
            raise Malformed("a line is no key")
        return keys

    asked = client(logs=logs)
    assert asked.post(request(0, 5).encode()).status == HTTPStatus.NOT_FOUND
    keys.append(KEY.key)
    assert asked.post(request(0, 5).encode()).status == HTTPStatus.OK
    keys.append(KEY.key)
    assert asked.post(request(5, 9).encode()).status == 500


def test_a_port_that_cannot_be_had_is_said() -> None:
    """Before anything is served."""
    with pytest.raises(ConfigError, match="cannot listen"):
        serve_witness(new_witness(), list, host="192.0.2.1", port=1, on_ready=lambda *_: None)
