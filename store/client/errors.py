"""What only a client can meet, beside the tree in store/errors.py.

StoreError
├── Unreachable         no server answers at that address: check it, or come back later
├── OutcomeUnknown      a call was sent and its answer will never come, __cause__ says why: look before calling again
└── CallError
    └── Overloaded
        └── FellBehind  a view's changes were not read: begin again with its rows

Everything else a client raises is of store/errors.py: the CallErrors as the server names them, Denied for a token the
server does not take, ProtocolError with the close code, SchemaMismatch for a row type that is not the server's.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from store.errors import CALL_ERRORS, CallError, Denied, Overloaded, ProtocolError, Refused, StoreError
from store.subscribe.messages import CLOSE_TOO_SLOW, CLOSE_UNAUTHORIZED, Failure

HINT_TOKEN = "Check the token: `store token mint` makes one for development"  # noqa: S105  # A hint, no secret.
HINT_TOKEN_SOURCE = "It is the function that was given as the token; no server was asked"  # noqa: S105  # A hint.
HINT_UNANSWERED = "Look whether it was done; or say it again under its name and sequence, and it is done once"
HINT_URL = "Check the address, and that `store serve` runs there"


class Unreachable(StoreError):
    """No server answers there, or it answers that it cannot now; or no token could be had now to ask it with."""


class OutcomeUnknown(StoreError):
    """The call was sent, but its answer will never come: it ran or it did not. Look before calling again."""


class FellBehind(Overloaded):
    """More changes of a view waited for their reader than may. The view goes on; what the reader has is incomplete."""


def error_of(failure: Failure) -> CallError:
    """The exception a Failure stands for; a code this client does not know becomes a plain CallError."""
    details: dict[str, Any] = msgspec.msgpack.decode(failure.details, type=dict[str, Any])
    if failure.code == Refused.code:
        reason = str(details.pop("reason", failure.code))
        return Refused(reason, message=failure.message, details=details)
    kind = CALL_ERRORS.get(failure.code)
    if kind is None:
        return CallError(failure.message, details={**details, "code": failure.code})
    return kind(failure.message, details=details)


def closed() -> OutcomeUnknown:
    """The exception for whatever still waits, or is asked, when a client was closed by its owner."""
    return OutcomeUnknown("the client was closed before the answer came")


def unanswered(sequence: int, why: StoreError) -> OutcomeUnknown:
    """The exception for a call that was sent, where the client ends before the answer came. `why` is its cause."""
    if isinstance(why, OutcomeUnknown):
        return why
    error = OutcomeUnknown(
        f"the call, sequence {sequence}, was sent and may have been done or not: no answer came before the client "
        f"ended ({why.message})",
        hint=HINT_UNANSWERED,
    )
    error.__cause__ = why
    return error


def handshake_error(status: int, body: str, headers: Mapping[str, str]) -> StoreError:
    """The exception for an HTTP answer in place of a WebSocket. Unreachable is the only one worth another try."""
    said = _said(body)
    if status in {401, 403}:
        return Denied(f"the server does not take the token (HTTP {status}){said}", hint=HINT_TOKEN)
    if status in {408, 429} or status >= 500:
        later = headers.get("Retry-After")
        hint = f"Come back in {later} s" if later else "Come back later"
        return Unreachable(f"the server takes no connection now (HTTP {status}){said}", hint=hint)
    return ProtocolError(f"no store answers there (HTTP {status}){said}", close_code=1002, hint=HINT_URL)


def _said(body: str) -> str:
    """What the body of an HTTP answer says: the message of a store's error, or the beginning of anything else."""
    try:
        text = str(msgspec.json.decode(body, type=dict[str, Any])["message"])
    except (msgspec.MsgspecError, KeyError):
        text = body.strip()[:300]
    return f": {text}" if text else ""


def close_error(code: int, reason: str, *, token_renews: bool) -> StoreError | None:
    """The exception for a close code, or None where coming back is right."""
    said = f": {reason}" if reason else ""
    if code == CLOSE_UNAUTHORIZED:
        return None if token_renews else Denied(f"the token has run out (close code {code}){said}", hint=HINT_TOKEN)
    if code == CLOSE_TOO_SLOW:
        return None
    if 4400 <= code < 4500 or code in {1002, 1003, 1007, 1008, 1009, 1010}:
        return ProtocolError(
            f"the server closed the conversation with code {code}{said}",
            close_code=code,
            hint="Coming back would meet the same: see PROTOCOL.md for the code",
        )
    return None
