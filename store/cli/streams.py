"""stdout and stderr of a `store` process, and what becomes of a command whose words nobody takes.

Laws: a result that cannot be written is an error of its own, never one of the store's disk: what was asked may be done.
Who closes the pipe has had enough: the command ends at once, and quietly. What stderr does not take changes nothing.
Nothing is written twice: once a stream has failed, all that comes behind it is dropped.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from store.errors import StoreError

STDOUT: Final = 1
STDERR: Final = 2
ASCII: Final = frozenset({"ascii", "us-ascii", "ansi_x3.4-1968"})
"""What Python calls the encoding of a locale that says nothing; UTF-8 is meant then, as in PEP 540."""

_HINT: Final = "Give it another place to write to; what was asked may be done, so look before it is run again"


class Untold(StoreError):
    """The result could not be written to stdout."""


class Left(StoreError):
    """Whoever read stdout through a pipe closed it."""


class _Stdout(io.FileIO):
    """Standard output that says what went wrong with it in words of its own."""

    def write(self, data: Any, /) -> int:
        """Write what the system takes of it. Untold; Left."""
        try:
            return super().write(data)
        except BrokenPipeError:
            _drop(STDOUT)
            raise Left("whoever read the result closed the pipe") from None
        except OSError as error:
            _drop(STDOUT)
            raise Untold(f"the result could not be written to stdout: {error}", hint=_HINT) from None


class _Stderr(io.FileIO):
    """Standard error: whoever does not hear it changes nothing."""

    def write(self, data: Any, /) -> int:
        """Write what the system takes of it; from the first failure on, nothing."""
        try:
            return super().write(data)
        except OSError:
            _drop(STDERR)
            return len(data)


def guard_streams() -> None:
    """Put these in the place of the process's own; a stream that is closed is one that nobody hears."""
    sys.stdout = _guarded(sys.stdout, _Stdout, STDOUT)
    sys.stderr = _guarded(sys.stderr, _Stderr, STDERR)


def _guarded(stream: Any, kind: type[io.FileIO], number: int) -> io.TextIOWrapper:
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  # For as long as the process lives.
    encoding = "utf-8" if stream.encoding.lower() in ASCII else stream.encoding
    raw = io.BufferedWriter(kind(number, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=stream.line_buffering)


def _drop(number: int) -> None:
    """Let go what is written there from now on, and what waits in a buffer for the process's end."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, number)
    os.close(nowhere)


@contextmanager
def telling_of(done: str, *, hint: str) -> Iterator[None]:
    """While a result is told of something that is `done`, in words: an error of telling says so, and what to do.

    Where the reader has left, it is said on stderr alone, and the command ends as quietly as ever.
    """
    try:
        yield
    except Left:
        sys.stderr.write(f"{done}\n")
        raise
    except Untold as error:
        raise Untold(f"{done}, but {error.message}", hint=hint) from None
