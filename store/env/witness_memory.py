"""What a witness remembers, in a file of its own: one line for each log.

Laws: the file is written whole beside its name, synced, and renamed; a line is there before the cosignature that rests
on it leaves. One process has it. A file that is damaged or gone is never begun anew unasked: a witness that forgot
would cosign another history.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from store.env.folder import sync_folder
from store.errors import ConfigError, DirectoryError

_HEAD: Final = "commitstore witness v1"


class FileMemory:
    """Sizes and roots by origin, in one file. `make` begins it; opening it wants it to be there."""

    def __init__(self, path: Path) -> None:
        """DirectoryError: another process has it. ConfigError: it is missing or damaged."""
        self._path: Final = path
        self._lock: Final = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            raise DirectoryError(f"another witness has {path}", hint="One process, one file: end the other") from None
        try:
            self._seen: Final = self._read()
        except ConfigError:
            os.close(self._lock)
            raise

    @staticmethod
    def make(path: Path) -> None:
        """Begin an empty one. FileExistsError: there is one."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{_HEAD}\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)

    def get(self, origin: str) -> tuple[int, bytes] | None:
        """(size, root) that was put last."""
        return self._seen.get(origin)

    def put(self, origin: str, seen: tuple[int, bytes]) -> None:
        """Durable when it returns."""
        assert " " not in origin  # A key's name has none.
        known = {**self._seen, origin: seen}
        lines = [_HEAD, *(f"{name} {size} {root.hex()}" for name, (size, root) in sorted(known.items())), ""]
        fresh = self._path.with_name(f"{self._path.name}.new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        sync_folder(self._path.parent)
        self._seen[origin] = seen

    def close(self) -> None:
        """Let another process have it."""
        with suppress(OSError):
            os.close(self._lock)

    def _read(self) -> dict[str, tuple[int, bytes]]:
        try:
            first, *lines, last = self._path.read_text("utf-8").split("\n")
            found = {name: (int(size), bytes.fromhex(root)) for name, size, root in (each.split(" ") for each in lines)}
        except FileNotFoundError:
            raise ConfigError(
                f"the witness's memory {self._path} is missing",
                hint="Bring it back: a witness that forgot would cosign another history. A new witness has a new key",
            ) from None
        except ValueError:
            first = last = "damaged"
            found = {}
        if first != _HEAD or last:
            raise ConfigError(f"the witness's memory {self._path} is damaged", hint="Bring it back from a copy")
        return found
