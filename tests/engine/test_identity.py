"""Who calls: what the log keeps of a caller, and what a connection may do."""

import msgspec
import pytest

from store.engine.identity import SCOPES, STORE_IDENTITY, Caller, Identity, decode_identity, encode_identity
from store.ids import ConnectionId


def test_an_identity_is_what_its_record_says() -> None:
    """Issuer, subject, scopes and further claims come back as they were logged."""
    identity = Identity("idp", "ada", ("call", "read"), msgspec.msgpack.encode({"team": "x"}))
    assert decode_identity(encode_identity(identity)) == identity
    assert msgspec.msgpack.decode(encode_identity(identity)) == ["idp", "ada", ["call", "read"], b"\x81\xa4team\xa1x"]


def test_issuer_and_subject_say_who_it_is() -> None:
    """What else a token says does not make another sender."""
    assert Identity("idp", "ada", ("call",)).sender == Identity("idp", "ada", SCOPES, b"\x80").sender
    assert Identity("idp", "ada").sender != Identity("other", "ada").sender


@pytest.mark.parametrize(
    ("scopes", "call", "read", "operate"),
    [
        ((), False, False, False),
        (("call",), True, False, False),
        (("read",), False, True, False),
        (("operate",), False, True, True),
        (SCOPES, True, True, True),
        (("everything",), False, False, False),
    ],
)
def test_scopes_say_what_a_caller_may_do(scopes: tuple[str, ...], *, call: bool, read: bool, operate: bool) -> None:
    """Nothing is allowed that no scope allows; an operator may read."""
    caller = Caller(Identity("idp", "ada", scopes), ConnectionId(1), "host:1")
    assert (caller.may_call, caller.may_read, caller.may_operate) == (call, read, operate)


def test_a_caller_has_no_client_and_no_reference_at_first() -> None:
    """Calls are idempotent once the client has named itself; the identity is logged at the first call."""
    caller = Caller(STORE_IDENTITY, ConnectionId(1), "host:1")
    assert (caller.client, caller.reference) == ("", None)
