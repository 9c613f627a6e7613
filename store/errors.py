"""Everything that can go wrong, sorted by what its reader must do.

StoreError
├── CallError               the caller's fault, no row changed: mend the call
│   ├── MalformedCall       wrong arity, wrong type, unreadable bytes
│   ├── MalformedQuery      unknown table or column, SQL outside the subset, wrong parameters
│   ├── UnknownReducer      no reducer of that name
│   ├── Refused             the reducer said no, with a code of its own
│   ├── ReducerFailed       the reducer raised, or ran past its time limit
│   ├── ConstraintViolation a row broke its types, key, unique or nullable rule
│   ├── Denied              this token may not do that
│   └── Overloaded          a named limit is reached: retry later
├── ProtocolError           the bytes are not the protocol: the connection closes with a code
├── CorruptionError         broken bytes on disk: refuse to open
├── DirectoryError          not a data directory this process may open: in use, foreign, newer
├── NotRestorable          no snapshot and log lead to the moment asked for: ask for another
├── SchemaMismatch          declared tables do not continue the logged ones: refuse to start
├── ConfigError             an option that cannot be: refuse to start
└── EngineStopped           durability is lost: the process ends, the next start recovers

A torn tail is a field of the recovery report, not an error. A bug of the store is an AssertionError.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class StoreError(Exception):
    """The root of the tree. `hint` says what to do now; it is part of the text."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class CallError(StoreError):
    """The caller's fault: nothing was changed, no other client was disturbed.

    `code` is what travels on the wire; `details` are plain values (str, int, float, bool, None) by name.
    """

    code: ClassVar[str] = "call_error"

    def __init__(self, message: str, *, hint: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.details: Mapping[str, Any] = details or {}


class MalformedCall(CallError):
    """The call cannot be read: wrong arity, wrong type, unreadable bytes. Names the field."""

    code = "malformed_call"


class MalformedQuery(CallError):
    """The query cannot be answered as it stands. Names the place and what is supported."""

    code = "malformed_query"


class UnknownReducer(CallError):
    """No reducer of that name is loaded."""

    code = "unknown_reducer"


class Refused(CallError):
    """The reducer said no. `reason` is the domain's own code, such as "overdraft"."""

    code = "refused"

    def __init__(self, reason: str, *, message: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message or reason, details=details)
        self.reason = reason


class ReducerFailed(CallError):
    """The reducer raised something that is no CallError, or ran past its time limit."""

    code = "reducer_failed"


class ConstraintViolation(CallError):
    """A row broke a rule of its table. Names the table, the column and the rule."""

    code = "constraint_violation"


class Denied(CallError):
    """This token may not do that, or there is none."""

    code = "denied"


class Overloaded(CallError):
    """A named limit is reached, so the call was not run. It may be retried later."""

    code = "overloaded"


CALL_ERRORS: Mapping[str, type[CallError]] = {
    error.code: error
    for error in (
        MalformedCall,
        MalformedQuery,
        UnknownReducer,
        Refused,
        ReducerFailed,
        ConstraintViolation,
        Denied,
        Overloaded,
    )
}
"""The wire's codes and the errors they stand for."""


class ProtocolError(StoreError):
    """The bytes are not the protocol; the connection closes with `close_code` (RFC 6455 §7.4)."""

    def __init__(self, message: str, *, close_code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.close_code = close_code


class CorruptionError(StoreError):
    """Bytes that somebody was told were durable are damaged or missing. Nothing is opened on top of them."""

    def __init__(self, message: str, *, file: str, position: int, hint: str = "") -> None:
        super().__init__(f"{message}, in {file} at byte {position}", hint=hint)
        self.file = file
        self.position = position


class DirectoryError(StoreError):
    """The data directory is in use, not ours, unreadable, or of a newer format."""


class NotRestorable(StoreError):
    """The moment that was asked for lies in no range that snapshots and log lead to. Names the ranges that are."""


class SchemaMismatch(StoreError):
    """The declared tables do not continue the logged ones."""


class ConfigError(StoreError):
    """An option is unknown, of the wrong type, or out of its range. Names the option and where it was set."""


class EngineStopped(StoreError):
    """An append or a sync failed: RAM may be ahead of disk. The process ends; the next start recovers."""
