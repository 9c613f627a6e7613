"""The secrets of an audit trail's arguments as files that only their owner may read.

Laws: a secret is on disk, under its name, before it is given out. A destroyed key's file is overwritten, removed, and
leaves an empty file in its place that says so. File names are keyed hashes: a folder's listing names nobody.
"""

import hmac
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from store.env.folder import sync_folder
from store.env.subjects import SECRET_SIZE
from store.errors import ConfigError

LOG_SECRET: Final = "hmac.key"  # noqa: S105  # A file's name.
FOLDER: Final = "subjects"
_DESTROYED: Final = ".destroyed"
_CACHED_MAX: Final = 4_096
"""Keys kept in memory, so that a busy person's is not read from the file for each event."""


class FolderSubjectKeys:
    """Secrets below one folder (SubjectKeys): `hmac.key`, and `subjects/` with a file for each person.

    ConfigError: others than its owner may read the folder or a secret, or one is damaged.
    """

    def __init__(self, keys: Path, subjects: Path, random: Callable[[int], bytes] = os.urandom) -> None:
        """`keys`: the folder of `hmac.key`; `subjects`: that of people's keys. Both are made where missing."""
        self._subjects: Final = subjects
        self._random: Final = random
        self._cached: Final[dict[str, bytes]] = {}
        for each in (keys, subjects):
            make_private_folder(each)
        self._log: Final = self._read_or_make(keys / LOG_SECRET)

    def log_secret(self) -> bytes:
        """The log's."""
        return self._log

    def key_of(self, subject: str) -> bytes | None:
        """The key of a person."""
        name = self._name(subject)
        path, gone = self._subjects / name, self._subjects / (name + _DESTROYED)
        if gone.exists():  # Another process may have destroyed it: a file is looked at each time.
            self._cached.pop(name, None)
            return None
        if name not in self._cached:
            if len(self._cached) >= _CACHED_MAX:
                self._cached.clear()
            self._cached[name] = self._read_or_make(path)
            if gone.exists():  # Destroyed while it was made.
                self.destroy(subject)
                return None
        return self._cached[name]

    def known(self, subject: str) -> bool | None:
        """Whether the person has a key; None: it was destroyed."""
        name = self._name(subject)
        if (self._subjects / (name + _DESTROYED)).exists():
            return None
        return (self._subjects / name).exists()

    def destroy(self, subject: str) -> bool:
        """Take the key away for good. What lies in backups of the folder, nobody here can reach."""
        name = self._name(subject)
        path, gone = self._subjects / name, self._subjects / (name + _DESTROYED)
        was_there = not gone.exists()
        write_private(gone, b"")  # First, so that a crash in between leaves a key that nobody is given any more.
        self._cached.pop(name, None)
        with suppress(FileNotFoundError):
            with path.open("r+b") as file:
                file.write(bytes(SECRET_SIZE))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            sync_folder(self._subjects)
        return was_there

    def _name(self, subject: str) -> str:
        return hmac.digest(self._log, b"subject\0" + subject.encode(), "sha256").hex()

    def _read_or_make(self, path: Path) -> bytes:
        if not path.exists():
            write_private(path, self._random(SECRET_SIZE))
        found = read_private(path)
        if len(found) != SECRET_SIZE:
            raise ConfigError(
                f"the secret {path} has {len(found)} bytes, expected {SECRET_SIZE}",
                hint="Bring it back from a copy of the folder",
            )
        return found


def make_private_folder(path: Path) -> None:
    """A folder that only its owner may look into. ConfigError where it is there and others may."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"others than its owner may look into {path} (mode {mode:04o})", hint=f"chmod 700 {path}")


def write_private(path: Path, data: bytes) -> None:
    """Put a file that only its owner may read in place, whole and on disk, unless one is there."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
    sync_folder(path.parent)


def read_private(path: Path) -> bytes:
    """A file's content. ConfigError, without a byte of it, where others than its owner may read it or nobody can."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigError(f"others than its owner may read {path} (mode {mode:04o})", hint=f"chmod 600 {path}")
            return file.read(1 << 16)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
