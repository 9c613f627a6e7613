"""The rules of what a client raises, from what the server says."""

import pytest

from store.client.errors import Unreachable, close_error, error_of, handshake_error
from store.errors import CALL_ERRORS, CallError, Denied, ProtocolError, Refused, StoreError
from tests.client.scenes import failure


@pytest.mark.parametrize("code", sorted(set(CALL_ERRORS) - {"refused"}))
def test_every_code_has_its_class(code: str) -> None:
    """A failure's code says the class; its details are the error's."""
    error = error_of(failure("call", 1, code, field="amount"))
    assert type(error) is CALL_ERRORS[code]
    assert (error.message, error.details) == ("no", {"field": "amount"})


def test_a_refusal_has_its_reason() -> None:
    """A refusal's reason is taken out of its details."""
    error = error_of(failure("call", 1, "refused", reason="overdraft", balance=1))
    assert isinstance(error, Refused)
    assert (error.reason, error.details) == ("overdraft", {"balance": 1})


def test_a_code_of_the_future_is_a_call_error() -> None:
    """A code this client does not know is still the caller's fault, and is kept."""
    error = error_of(failure("call", 1, "too_yellow", shade=3))
    assert type(error) is CallError
    assert error.details == {"shade": 3, "code": "too_yellow"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Denied), (403, Denied), (404, ProtocolError), (426, ProtocolError), (429, Unreachable), (503, Unreachable)],
)
def test_an_http_answer_has_its_class(status: int, kind: type[StoreError]) -> None:
    """What answers instead of a WebSocket is denial, no store, or a reason to come back; its words are told."""
    error = handshake_error(status, '{"error": "x", "message": "so it is"}', {"Retry-After": "7"})
    assert type(error) is kind
    assert "so it is" in error.message
    assert ("7 s" in error.hint) == (kind is Unreachable)
    assert "<h1>no</h1>" in handshake_error(status, "<h1>no</h1>", {}).message
    assert handshake_error(status, "", {}).message.endswith(f"(HTTP {status})")


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4408])
def test_such_a_close_code_is_come_back_from(code: int) -> None:
    """A goodbye that says nothing against the client is no error."""
    assert close_error(code, "", token_renews=False) is None


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 1010, 4400, 4406, 4499])
def test_such_a_close_code_is_final(code: int) -> None:
    """A goodbye that the same client would meet again is a protocol error with its code."""
    error = close_error(code, "why", token_renews=False)
    assert isinstance(error, ProtocolError)
    assert error.close_code == code


def test_a_token_that_has_run_out_is_denied_unless_it_renews() -> None:
    """A client that can get a fresh token comes back with it."""
    assert isinstance(close_error(4401, "", token_renews=False), Denied)
    assert close_error(4401, "", token_renews=True) is None
