"""Who does something by hand to a data directory, kept for its log: before it is done, and how it ended.

Laws: what the server's own processes do the server records; anybody else's act is noted for the log. An act that keeps
the store going on a full disk is not refused because its note has no room: whoever does it is told that the log will
not say so.
"""

import os
import pwd
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from store.cli.output import note as say
from store.engine.acts import DONE, FAILED, Act, OwedActs, acting, note, note_making
from store.engine.loading import end_of_log
from store.env.parent import PARENT_VARIABLE
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.errors import StoreError

BY_HAND: Final = "by hand"
"""Why something is done, as the server says it of what operators ask it for."""

_LOGIN: Final = Path("/proc/self/loginuid")
_NO_LOGIN: Final = 2**32 - 1


def person() -> tuple[str, str]:
    """(issuer, subject) of who runs this process: the machine, and the account there."""
    return f"host:{socket.gethostname()}", _account(os.getuid())


def act_of(name: str, content: Mapping[str, Any], **more: Any) -> Act:
    """An act of whoever runs this process, now. `login` is whom they came in as, where sudo or su made them another."""
    said = dict(content)
    login = _login()
    if login is not None and login != os.getuid():
        said["login"] = _account(login)
    return acting(name, person(), SystemClock(), said, **more)


@contextmanager
def noted(root: Path, name: str, content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Around an act on a directory. What is put into the dictionary is said of its end."""
    more: dict[str, Any] = {}
    if os.environ.get(PARENT_VARIABLE):  # The server's own: it records what its processes did.
        yield more
        return
    try:
        begun = note(PosixDisk(root), act_of(name, content), SystemEntropy())
    except OSError as error:
        say(f"the log will not say who did this: {error}")
        yield more
        return
    state = FAILED
    try:
        yield more
        state = DONE
    except BaseException as error:
        more["problem"] = str(error)[:1_000] or type(error).__name__
        raise
    finally:
        try:
            begun.end(state, more)
        except OSError as error:
            say(f"the log will not say how this ended: {error}")


def note_made(into: Path, name: str, content: Mapping[str, Any]) -> None:
    """Note, in a directory that was made and has no marker yet, who made it. OSError."""
    note_making(PosixDisk(into), act_of(name, content), SystemEntropy())


def note_switch(root: Path, name: str, generation: str, content: Mapping[str, Any]) -> None:
    """Note what the switch to a generation, which comes next, is going to make true. The root is held. OSError."""
    note(PosixDisk(root), act_of(name, content, state=DONE, in_force=generation), SystemEntropy())


def owed_acts(root: Path, generation: Path) -> OwedActs:
    """What is to be logged of a directory, where this generation is in force."""
    return OwedActs(PosixDisk(root), "" if generation == root else generation.name)


def settle(root: Path, generation: Path) -> None:
    """Before another generation comes into force: what this one's log tells is owed no more. The root is held."""
    acts = owed_acts(root, generation)
    if acts.unsettled:
        with suppress(StoreError, OSError):  # It cannot be told: better said twice than not at all.
            acts.settle(end_of_log(PosixDisk(generation, read_only=True)))


def _account(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # An account of another machine's, as in a container.
        return str(number)


def _login() -> int | None:
    """Whom the system let in, whatever account they took since; None where it does not say."""
    try:
        said = int(_LOGIN.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return None if said == _NO_LOGIN else said
