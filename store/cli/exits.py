"""Every exit code of `store`, and which error ends with which.

0  done                                   10  malformed call        20  no server answers
1  a check does not hold                  11  malformed query       21  what answers does not speak the protocol
2  the command line cannot be read        12  unknown reducer       22  a call's outcome is unknown
3  log: torn tail                         13  refused               23  no answer in time
4  log, snapshot, backup: corruption      14  reducer failed        70  a bug of the store
5  a gap: offsets are missing             15  constraint violation  74  durability lost: a write or a sync failed
6  nothing there: no log, no snapshot,    16  denied                78  an option that cannot be
   no such name                           17  overloaded           130  interrupted
7  directory: not readable, not ours,
   in use, or newer
8  the tables do not fit the log's
9  restore: no snapshot and log lead to that moment
18 salvage: a whole store came out, and transactions behind it are or may be lost; 1: rows in it are, too
24 the result could not be written to stdout: what was asked may be done all the same, so look before running it again
141 whoever read stdout closed the pipe, as after SIGPIPE: no result and no verdict is complete, what was done is done
"""

from enum import IntEnum
from typing import Final

from store.cli.streams import Left, Untold
from store.env.ledger import LedgerDamaged, LedgerFull
from store.env.worm import Misconfigured, NoSuchVersion, NotAllowed, Protected, WormError
from store.errors import (
    CallError,
    ConfigError,
    ConstraintViolation,
    CorruptionError,
    Denied,
    DirectoryError,
    EngineStopped,
    MalformedCall,
    MalformedQuery,
    NotRestorable,
    Overloaded,
    ProtocolError,
    ReducerFailed,
    Refused,
    SchemaMismatch,
    StoreError,
    UnknownReducer,
)
from store.server.ending import EXIT_BUG, EXIT_DURABILITY_LOST


class Exit(IntEnum):
    """What `store` ends with."""

    DONE = 0
    CHECK_FAILED = 1
    USAGE = 2
    TORN_TAIL = 3
    CORRUPTION = 4
    GAP = 5
    NOTHING_THERE = 6
    DIRECTORY = 7
    SCHEMA = 8
    NOT_RESTORABLE = 9
    MALFORMED_CALL = 10
    MALFORMED_QUERY = 11
    UNKNOWN_REDUCER = 12
    REFUSED = 13
    REDUCER_FAILED = 14
    CONSTRAINT = 15
    DENIED = 16
    OVERLOADED = 17
    LOST = 18
    UNREACHABLE = 20
    PROTOCOL = 21
    OUTCOME_UNKNOWN = 22
    TIMEOUT = 23
    UNTOLD = 24
    BUG = EXIT_BUG
    DURABILITY_LOST = EXIT_DURABILITY_LOST
    CONFIG = 78
    INTERRUPTED = 130
    READER_LEFT = 141


class NothingThere(StoreError):
    """What a command is to work on is not there: no log, no snapshot, no such name. Nothing is damaged."""


class FailedThere(Refused):
    """What a running tenant was asked to do failed there, in a process that ended with `exit`: so does this one."""

    def __init__(self, refused: Refused, exit: Exit) -> None:  # noqa: A002  # What it is called in JSON, too.
        super().__init__(refused.reason, message=refused.message, details=refused.details)
        self.hint = "The tenant counted and recorded it; calls there go on"
        self.exit = exit


_BY_ERROR: Final[dict[type[BaseException], Exit]] = {
    MalformedCall: Exit.MALFORMED_CALL,
    MalformedQuery: Exit.MALFORMED_QUERY,
    UnknownReducer: Exit.UNKNOWN_REDUCER,
    Refused: Exit.REFUSED,
    ReducerFailed: Exit.REDUCER_FAILED,
    ConstraintViolation: Exit.CONSTRAINT,
    Denied: Exit.DENIED,
    Overloaded: Exit.OVERLOADED,
    CallError: Exit.MALFORMED_CALL,
    ProtocolError: Exit.PROTOCOL,
    CorruptionError: Exit.CORRUPTION,
    DirectoryError: Exit.DIRECTORY,
    SchemaMismatch: Exit.SCHEMA,
    NotRestorable: Exit.NOT_RESTORABLE,
    NothingThere: Exit.NOTHING_THERE,
    EngineStopped: Exit.DURABILITY_LOST,
    LedgerDamaged: Exit.CORRUPTION,
    LedgerFull: Exit.OVERLOADED,
    WormError: Exit.UNREACHABLE,
    NoSuchVersion: Exit.NOTHING_THERE,
    NotAllowed: Exit.DENIED,
    Protected: Exit.DENIED,
    Misconfigured: Exit.CONFIG,
    ConfigError: Exit.CONFIG,
    Untold: Exit.UNTOLD,
    Left: Exit.READER_LEFT,
    TimeoutError: Exit.TIMEOUT,
    ConnectionError: Exit.UNREACHABLE,
    OSError: Exit.DURABILITY_LOST,
    KeyboardInterrupt: Exit.INTERRUPTED,
}
_BY_NAME: Final = {
    "store.client.errors.Unreachable": Exit.UNREACHABLE,
    "store.client.errors.OutcomeUnknown": Exit.OUTCOME_UNKNOWN,
    "store.audit.recording.trail.Gap": Exit.GAP,
    "store.audit.shipping.rebuilding.NotRebuildable": Exit.CORRUPTION,
    "store.audit.shipping.behind.LedgerBehind": Exit.CORRUPTION,
    "store.audit.objects.layout.Malformed": Exit.CORRUPTION,
    "store.audit.shipping.putting.Conflict": Exit.CORRUPTION,
    "store.audit.signing.notary.Unendorsed": Exit.UNREACHABLE,
}
"""Errors of rooms that few commands need: every command would wait for their import."""


def exit_of(error: BaseException) -> Exit:
    """The exit code of an error, by its nearest class."""
    if isinstance(error, FailedThere):
        return error.exit
    for kind in type(error).__mro__:
        code = _BY_ERROR.get(kind) or _BY_NAME.get(f"{kind.__module__}.{kind.__qualname__}")
        if code is not None:
            return code
    return Exit.BUG
