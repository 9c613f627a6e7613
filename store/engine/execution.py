"""One run of a reducer above the overlay: live, and again when a log is re-executed.

Laws: a run ends in an outcome, never in an exception; it depends on the tables, the moment, the sender, the seed and
the arguments alone. A failed run has no writes. Sizes are bounded here so that a record can always be encoded and
appended.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final

from store.codec import NIL, UNSTORABLE
from store.engine.reducer import Context, Reducer
from store.env.world import Deadline, DeadlineExceeded
from store.errors import CALL_ERRORS, CallError, ConstraintViolation, Overloaded, ReducerFailed, Refused, UnknownReducer
from store.ids import Offset
from store.tables.database import Database, Move
from store.tables.overlay import Overlay
from store.transaction import COMMITTED, Write
from store.values import check_plain, encode

logger: Final = logging.getLogger(__name__)

RETURN_VALUE_SIZE_MAX: Final = 1 << 20
"""Bytes a reducer's return value may have."""
WRITE_SET_SIZE_MAX: Final = 8 << 20
"""Bytes of rows, before and after, and of their keys that one call may write."""
_WRITE_HEAD_SIZE: Final = 27
"""Bytes at most that a write takes in its record beside its rows and its key's content."""
FAILURE_SIZE_MAX: Final = 64 << 10
"""Bytes that a failed call's message, details and reason may have; past it a short text stands for them."""
_SHORT: Final = 1_000
TIMED_OUT: Final = {"limit": "reducer_time_max_ms"}
"""The details of a call that was cut off: how it ended depended on the machine."""
_FEW_WRITES: Final = 3
"""So few rows of at most ROW_SIZE_MAX, before and after, fit in any record: no need to add up."""


Outcome = tuple[str, bytes, tuple[Write, ...], Sequence[Move]]
"""How a run ended: (outcome, value, writes, moves). The outcome is COMMITTED or the code of a CallError; the value is
MessagePack, as a record keeps it; the writes are net; the moves are what they change in indexes."""


class Execution:
    """Runs reducers, one at a time, each above an empty overlay."""

    def __init__(self, database: Database, deadline: Deadline) -> None:
        self._overlay: Final = Overlay(database)
        self._touched: Final = self._overlay.touched
        self._moving: Final = self._overlay.moving
        self._deadline: Final = deadline
        self.view: Final = self._overlay.view
        """The tables as each run's Context shows them."""

    def run(self, reducer: Reducer[Any, Any], context: Context, values: tuple[Any, ...], offset: Offset) -> Outcome:
        """Run a reducer on its arguments and take its net writes; the overlay is empty again afterwards.

        `offset` is the place that the call will have in the log: no two runs in a row have the same.
        """
        touched = self._touched
        if touched:  # A reducer kept a table and wrote to it after its call had ended: that never was a call.
            self._overlay.clear()
        deadline, apply = self._deadline, reducer.apply
        try:
            deadline.running = offset
            if not deadline.armed:
                deadline.arm()
            try:
                returned = apply(context, values)
            finally:
                deadline.running = 0
            if deadline.struck:  # The reducer held it, and what it was doing then may be half done.
                raise DeadlineExceeded  # noqa: TRY301  # It ends as if nobody had held it.
            value = NIL if returned is None else _encode_returned(reducer, returned)
            moves: Sequence[Move] = ()
            if len(touched) == 1 and not self._moving:  # Most calls: as below, without the calls.
                view = touched[0]
                writes = tuple(view.writes.values())
                view.seen.clear()
                view.writes.clear()
                view.next_key = 0
                touched.clear()
            else:
                writes = self._overlay.write_set()
                moves = self._overlay.moves()
            if len(writes) > _FEW_WRITES:
                _check_size(reducer, writes)
        except BaseException as error:  # noqa: BLE001  # SystemExit, KeyboardInterrupt: no reducer ends the process.
            deadline.running = 0
            if deadline.struck:
                deadline.struck = False
                return _fail(reducer, DeadlineExceeded())
            return _fail(reducer, error)
        else:
            return COMMITTED, value, writes, moves
        finally:
            if touched:
                self._overlay.clear()


def _fail(reducer: Reducer[Any, Any], error: BaseException) -> Outcome:
    """The outcome of a run that raised. Not in `run`: a variable there would hold the error that holds its frame."""
    failure = _as_call_error(reducer, error)
    return failure.code, failure_value(failure), (), ()


def _as_call_error(reducer: Reducer[Any, Any], error: BaseException) -> CallError:
    """What a caller is told of whatever a reducer raised: never more than its type."""
    if isinstance(error, CallError) and error.code in CALL_ERRORS and not isinstance(error, _NOT_RUN):
        return error
    if isinstance(error, DeadlineExceeded):
        return ReducerFailed(f"{reducer.name} ran past its time limit", details=TIMED_OUT)
    logger.error("reducer %s failed", reducer.name, exc_info=error)
    return ReducerFailed(f"{reducer.name} raised {type(error).__name__}")


_NOT_RUN: Final = (Overloaded, UnknownReducer)
"""What says that a call was not run: from inside one it would be untrue."""


def failure_value(error: CallError) -> bytes:
    """What a failed call's record keeps: [message, details, reason]; only their short text where they are no values."""
    reason: object = error.code
    try:
        if isinstance(error, Refused):
            reason = error.reason
        details = dict(error.details)
        check_plain(details)
        value = encode([str(error), details, str(reason)])
    except Exception:  # noqa: BLE001  # A reducer may have put anything into its refusal.
        value = b""
    if 0 < len(value) <= FAILURE_SIZE_MAX:
        return value
    return encode([_shorten(error), {}, _shorten(reason)])


def _shorten(said: object) -> str:
    try:
        return str(said).encode("ascii", "backslashreplace").decode()[:_SHORT]
    except Exception:  # noqa: BLE001  # Whatever a reducer's own class does when it is asked.
        return type(said).__name__


def _encode_returned(reducer: Reducer[Any, Any], returned: Any) -> bytes:
    try:
        check_plain(returned)
        value = encode(returned)
    except UNSTORABLE as error:
        raise ReducerFailed(f"{reducer.name} returned what cannot be sent ({error})") from None
    if len(value) > RETURN_VALUE_SIZE_MAX:
        raise ConstraintViolation(
            f"{reducer.name} returned {len(value)} bytes, at most {RETURN_VALUE_SIZE_MAX} are allowed",
            details={"rule": "return_value_size_max"},
        )
    return value


def _check_size(reducer: Reducer[Any, Any], writes: tuple[Write, ...]) -> None:
    size = sum(
        len(before or b"") + len(after or b"") + (0 if key.__class__ is int else len(key)) + _WRITE_HEAD_SIZE
        for _, _, key, before, after in writes
    )
    if size > WRITE_SET_SIZE_MAX:
        raise ConstraintViolation(
            f"{reducer.name} wrote {size} bytes of rows and keys, at most {WRITE_SET_SIZE_MAX} fit in one call",
            hint="Write in several calls",
            details={"rule": "write_set_size_max"},
        )
