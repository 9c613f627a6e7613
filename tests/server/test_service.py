"""What all doors share: how a door says no."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.errors import CallError, Denied, MalformedCall, Overloaded, Refused
from store.server.auth import Unauthorized
from store.server.service import error_of, headers_of, raw_answer, status_of
from tests.server.scenes import serving


@pytest.mark.parametrize(
    ("error", "status"),
    [(Unauthorized("who?"), 401), (Denied("no"), 403), (MalformedCall("what?"), 400), (Overloaded("later"), 503)],
)
def test_status(error: CallError, status: int) -> None:
    """Nobody is 401, somebody who may not is 403, and each other error has its own."""
    assert status_of(error) == status


def test_error() -> None:
    """An error says its code, its text with the hint, its details with the reason, and where it was recorded."""
    refused = Refused("overdraft", message="not enough", details={"balance": 3})
    assert error_of(refused, offset=41) == {
        "error": "refused",
        "message": "not enough",
        "details": {"balance": 3, "reason": "overdraft"},
        "offset": 41,
    }
    assert error_of(Denied("no", hint="ask"))["message"] == "no. ask"


def test_headers() -> None:
    """401 says which scheme is taken, 503 when to come back."""
    assert headers_of(401) == {"WWW-Authenticate": "Bearer"}
    assert headers_of(503) == {"Retry-After": "1"}
    assert headers_of(404) == {}


def test_raw_answer() -> None:
    """An answer without a framework is whole HTTP: status, headers, JSON of the length it says, and a close."""
    head, _, body = raw_answer(503, {"error": "overloaded"}, {"Allow": "GET"}).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 503 Service Unavailable"
    assert {"Retry-After: 1", "Allow: GET", f"Content-Length: {len(body)}", "Connection: close"} <= set(lines)
    assert json.loads(body) == {"error": "overloaded"}


def test_a_changed_token_file_is_a_record(tmp_path: Path) -> None:
    """How many tokens it holds now, or that it cannot be read; never a token, nor its hash."""
    with serving(tmp_path) as tenant:
        before = tenant.on_loop(lambda: tenant.engine.write_path.last_offset)
        tenant.add_token("bob")

        def found() -> list[Any]:
            records = tenant.engine.feed.tail(before) or ()
            return [msgspec.msgpack.decode(each.args) for each in records if each.reducer == "tokens"]

        tenant.wait_until(lambda: found() == [[{"tokens": 2, "readable": True}, []]])
        tenant.tokens.write_text("no token file")
        tenant.wait_until(lambda: found()[1:] == [[{"tokens": 2, "readable": False}, []]])
