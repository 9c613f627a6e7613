"""An object store in a folder: another disk, a network mount, or a place some other tool carries away.

Laws: an object is written beside its name, synced, and linked to it: whole or not there, and never over another.
What is hidden (begins with ".") is no object. Symbolic links are not followed and are no objects.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from store.env.objects import check_put, is_name
from store.env.world import Item, ObjectHead, Result
from store.errors import DirectoryError

_UNFINISHED: Final = ".unfinished-"
_UNFINISHED_AGE_S: Final = 86_400
"""Seconds after which what somebody began to put counts as given up."""
_PIECE: Final = 1 << 20


class FolderObjects:
    """Objects as files below one folder (ObjectStore), made where missing with the first object."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()

    @property
    def url(self) -> str:
        """Where this is: the path."""
        return str(self._path)

    def put(self, name: str, data: bytes, *, if_absent: bool) -> bool:
        """Store all of `data` on disk, or say that it was there."""
        check_put(name, data)
        path = self._path / name
        if if_absent and self._taken(name, data):
            return False
        self._make(path.parent)
        unfinished = unfinished_beside(path)
        try:
            write_new(unfinished, data)
            if not if_absent:
                unfinished.replace(path)
            elif not link_new(unfinished, path):
                return not self._taken(name, data)
            sync_folder(path.parent)
        finally:
            with suppress(FileNotFoundError):
                unfinished.unlink()
        return True

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`."""
        descriptor = self._open(name)
        with os.fdopen(descriptor, "rb") as file:
            file.seek(start)
            return file.read() if length is None else file.read(length)

    def head(self, name: str) -> ObjectHead | None:
        """Its size and hash, which is to say: all of it is read."""
        try:
            descriptor = self._open(name)
        except FileNotFoundError:
            return None
        digest, size = sha256(), 0
        with os.fdopen(descriptor, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                size += len(piece)
        return ObjectHead(size, digest.hexdigest())

    def names(self, prefix: str = "") -> list[str]:
        """All names that begin with `prefix`, sorted; what was begun long ago and never finished is cleared away."""
        folder = prefix.rpartition("/")[0]
        if folder and not is_name(folder):
            return []
        top = self._path / folder if folder else self._path
        try:
            top.stat()
        except (FileNotFoundError, NotADirectoryError):
            if self._path.is_file():
                raise self._refused("it is a file") from None
            return []
        except OSError as error:
            raise self._refused(error.strerror) from None
        found = (path.relative_to(self._path).as_posix() for path in self._files(top))
        return sorted(name for name in found if name.startswith(prefix) and is_name(name))

    def remove(self, name: str) -> None:
        """Take the file away, and its folder's last name with it."""
        path = self._path / name
        with suppress(FileNotFoundError):
            path.unlink()
            sync_folder(path.parent)

    def each(self, act: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """One after the other: there is no way to wait for."""
        return map(act, items)

    def _taken(self, name: str, data: bytes) -> bool:
        """Whether the very same bytes are there. FileExistsError: others are, or what is no object."""
        try:
            found = self.get(name)
        except FileNotFoundError:
            if not os.path.lexists(self._path / name):
                return False
            found = None
        if found != data:
            raise FileExistsError(errno.EEXIST, "the name is taken by other bytes", str(self._path / name))
        return True

    def _open(self, name: str) -> int:
        assert is_name(name), name
        return open_plain(self._path / name, name)

    def _files(self, top: Path) -> Iterator[Path]:
        """Every plain file below, but the hidden; nothing outside is reached by a link."""
        for folder, folders, files in os.walk(top, onerror=self._raise):
            folders[:] = [each for each in folders if not each.startswith(".")]
            for each in files:
                path = Path(folder) / each
                with suppress(FileNotFoundError):  # Gone meanwhile: somebody finished it.
                    found = path.lstat()
                    if each.startswith(_UNFINISHED) and time.time() - found.st_mtime > _UNFINISHED_AGE_S:
                        path.unlink()
                    elif not each.startswith(".") and stat.S_ISREG(found.st_mode):
                        yield path

    def _raise(self, error: OSError) -> None:
        """A folder that cannot be read is no empty one; one that is gone is."""
        if not isinstance(error, FileNotFoundError):
            raise self._refused(f"{error.filename}: {error.strerror}")

    def _make(self, folder: Path) -> None:
        try:
            make_folder(folder)
        except OSError as error:
            raise self._refused(error.strerror) from None

    def _refused(self, why: str | None) -> DirectoryError:
        return DirectoryError(
            f"cannot use the folder {self._path} for objects: {why}",
            hint="Name a folder that may be written, or one where a folder may be made; is the disk mounted?",
        )


def open_plain(path: Path, name: str) -> int:
    """A descriptor to read a plain file. FileNotFoundError, with the name: there is none, or it is something else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except NotADirectoryError:
        raise FileNotFoundError(errno.ENOENT, "no such object", name) from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileNotFoundError(errno.ENOENT, "a symbolic link is no object", name) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "what is no plain file is no object", name)
    return descriptor


def unfinished_beside(path: Path) -> Path:
    """Where the bytes lie that will have this name when they are all there: hidden, and nobody else's."""
    return path.parent / f"{_UNFINISHED}{os.getpid()}-{os.urandom(8).hex()}"


def write_new(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Make a file of these bytes, all of them on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def link_new(unfinished: Path, path: Path) -> bool:
    """Give the file its name, unless it is taken: whether it has it."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():  # Two at once may both get here: they put the same bytes, for names say what is in them.
            return False
        unfinished.replace(path)
    return True


_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What file systems say that have no hard links."""


def make_folder(folder: Path) -> None:
    """Make the folder and those it lies in, so that they are there after a crash."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in the folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
