"""Who serves a data directory, and where: a note that the server leaves there while it listens.

Laws: the note is believed only while somebody holds the directory's lock, so what a killed server left, or a copy took
along, misleads nobody. Nothing rests on it but where the commands look: without it they go by the options.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from store.env.posix import LOCK_NAME

SERVING: Final = "serving.json"
_SIZE_MAX: Final = 4_096


class Serving(msgspec.Struct, frozen=True):
    """What the note says, as JSON."""

    url: str
    process: int


def announce(root: Path, url: str) -> None:
    """Say where this process serves the directory. OSError."""
    fresh = root / f"{SERVING}.new"
    fresh.write_bytes(msgspec.json.encode(Serving(url, os.getpid())) + b"\n")
    fresh.rename(root / SERVING)


def withdraw(root: Path) -> None:
    """Take the note away, if it is this process's own."""
    said = _read(root)
    if said is not None and said.process == os.getpid():
        with suppress(OSError):
            (root / SERVING).unlink()


def served_at(root: Path) -> str | None:
    """Where whoever serves the directory now says to listen; None where nobody serves it, or nobody says."""
    said = _read(root)
    return said.url if said is not None and is_served(root) else None


def is_served(root: Path) -> bool:
    """Whether some process has the directory open, to serve it or to restore in it; what a killed one left is none."""
    if not (root / LOCK_NAME).exists():
        return False
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # Held for no longer than it takes to close it.
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _read(root: Path) -> Serving | None:
    try:
        with (root / SERVING).open("rb") as file:
            return msgspec.json.decode(file.read(_SIZE_MAX), type=Serving)
    except (OSError, msgspec.MsgspecError):
        return None
