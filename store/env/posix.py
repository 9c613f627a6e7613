"""The real world: a directory, the system's clock and dice, and a timer that stops runaway reducers.

Laws: every failure is the system's OSError, raised once and never retried; a short write is not a failure and is
continued. Every file is closed on exec. Nothing outside the data directory is touched.
"""

import errno
import fcntl
import os
import stat
import struct
import sys
import time
from contextlib import suppress
from mmap import PAGESIZE
from pathlib import Path
from typing import Final

from store.env.deadline import SignalDeadline
from store.env.world import INODE_BITS, File
from store.errors import DirectoryError
from store.ids import Position, Timestamp

__all__ = ["PosixDisk", "PosixFile", "SignalDeadline", "SystemClock", "SystemEntropy", "WriterEntropy"]

LOCK_NAME: Final = "lock"
"""Says the process id of who has the directory open, for the error; it is no file of the store's, so `names` leaves it
out. What is locked is the directory itself: whoever deletes or replaces this file lets nobody in."""

ENTROPY_AHEAD: Final = 512
"""Bytes that are asked of the kernel's generator at once, or as many as are wanted."""

_FULL_SYNC: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)
"""On macOS fsync stops at the drive's cache; this one does not."""

_WRITE_OUT: Final[int | None] = os.POSIX_FADV_DONTNEED if sys.platform == "linux" else None
"""Linux follows this advice by beginning to write what is dirty (mm/fadvise.c); as that is under way, it stays."""

_GET_GENERATION: Final = 0x80087601
"""Linux's FS_IOC_GETVERSION: dice that an inode got when its number was given out, on ext4, XFS and Btrfs."""


class PosixFile:
    """One open file descriptor (File)."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def size(self) -> int:
        """Bytes in the file now."""
        return os.fstat(self._descriptor).st_size

    def read(self, position: Position, length: int) -> bytes:
        """Up to `length` bytes from `position`."""
        data = os.pread(self._descriptor, length, position)
        if len(data) == length or not data:
            return data
        parts = [data]
        got = len(data)
        while got < length and (data := os.pread(self._descriptor, length - got, position + got)):
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def write(self, position: Position, data: bytes) -> None:
        """Write all of `data`, also where the system takes it in pieces. OSError names the file."""
        try:
            written = os.pwrite(self._descriptor, data, position)
            if written != len(data):
                self._write_rest(position, data, written)
        except OSError as error:
            raise self._named(error) from None

    def _write_rest(self, position: Position, data: bytes, written: int) -> None:
        rest = memoryview(data)
        while written < len(data):
            count = os.pwrite(self._descriptor, rest[written:], position + written)
            if not count:
                raise OSError(errno.EIO, "the system wrote nothing and gave no reason")
            written += count

    def write_out(self, position: Position, length: int) -> None:
        """Let the system begin to write these bytes, where they are few; what fails of it the next `sync` says."""
        if _WRITE_OUT is not None and length < PAGESIZE:  # In whole pages it would also look for what to forget.
            with suppress(OSError):
                os.posix_fadvise(self._descriptor, position, length, _WRITE_OUT)

    def sync(self) -> None:
        """Content and size are on disk when this returns. OSError names the file."""
        if self._descriptor < 0:  # Here alone Python would answer with a ValueError.
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            if _FULL_SYNC is not None:
                fcntl.fcntl(self._descriptor, _FULL_SYNC)
            else:
                os.fdatasync(self._descriptor)
        except OSError as error:
            raise self._named(error) from None

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        os.ftruncate(self._descriptor, size)

    def close(self) -> None:
        """Release the descriptor; a second time does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _named(self, error: OSError) -> OSError:
        """The same error, with the name of the file where the system tells it."""
        try:
            name = str(Path(f"/proc/self/fd/{self._descriptor}").readlink())
        except OSError:  # No Linux, or no such descriptor.
            return error
        return OSError(error.errno, error.strerror, name)


class PosixDisk:
    """A data directory on a local file system (Disk). Made where missing, unless `read_only`.

    `read_only` opens files for reading, creates nothing and takes no lock: for looking at a directory in use.
    `root` is locked in its place, where a data directory lies in another one.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        """DirectoryError: no directory, or not ours to read."""
        self.path = Path(path)
        self._root = self.path if root is None else Path(root)
        self._read_only = read_only
        self._locks: dict[str, int] = {}
        try:
            self._check_directory()
        except OSError as error:
            raise DirectoryError(
                f"cannot open the data directory {self.path}: {error.strerror}",
                hint="Check the path and who owns it.",
            ) from error

    def _check_directory(self) -> None:
        if not self.path.exists() and not self._read_only:
            _make_directory(self.path)
        if not stat.S_ISDIR(self.path.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        needed = os.R_OK | os.X_OK | (0 if self._read_only else os.W_OK)
        if not os.access(self.path, needed):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def names(self, folder: str = "") -> list[str]:
        """File names in `folder`, sorted."""
        try:
            with os.scandir(self.path / folder) as entries:
                found = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        return sorted(name for name in found if folder or name != LOCK_NAME)

    def create(self, name: str) -> File:
        """Create a new empty file, and its folder where missing."""
        self._refuse_if_read_only()
        path = self.path / name
        if path.parent != self.path:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        return PosixFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def open(self, name: str) -> File:
        """Open an existing file."""
        mode = os.O_RDONLY if self._read_only else os.O_RDWR
        return PosixFile(os.open(self.path / name, mode | os.O_CLOEXEC))

    def rename(self, old: str, new: str) -> None:
        """Give the file another name, at once or not at all."""
        self._refuse_if_read_only()
        (self.path / old).rename(self.path / new)

    def remove(self, name: str) -> None:
        """Take the name away."""
        self._refuse_if_read_only()
        (self.path / name).unlink()

    def sync_directory(self, folder: str = "") -> None:
        """The names in `folder`, and the folder itself, are on disk when this returns."""
        self._refuse_if_read_only()
        _sync_directory(self.path / folder)
        if folder:
            _sync_directory(self.path)

    def free_bytes(self) -> int:
        """Bytes an unprivileged process may still write here."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def lock(self, folder: str = "") -> None:
        """Take the directory for this process, by flock(2): the system lets go when the process ends, however."""
        if self._read_only:
            return
        assert folder not in self._locks
        path = self.path / folder if folder else self._root
        if folder:
            path.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not folder:
                self._refuse_foreign_lock()
                self._note_holder()
        except BlockingIOError:
            os.close(descriptor)
            raise self._in_use(folder) from None
        except (OSError, DirectoryError):
            os.close(descriptor)
            raise
        self._locks[folder] = descriptor

    def _in_use(self, folder: str) -> DirectoryError:
        if folder:
            return DirectoryError(
                f"{self.path / folder} is in use by another process",
                hint="Something works in it now: try again when that is done.",
            )
        return DirectoryError(
            f"the data directory {self._root} is in use by process {self._read_holder() or 'unknown'}",
            hint="Stop that process first; two stores never share a directory.",
        )

    def _refuse_foreign_lock(self) -> None:
        holder = self._read_holder()
        if holder and not holder.isdigit():
            raise DirectoryError(
                f"expected a process id in {self._root / LOCK_NAME}, found {holder!r}",
                hint="This is no data directory of the store: name one of its own (--data)",
            )

    def _note_holder(self) -> None:
        descriptor = os.open(self._root / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        finally:
            os.close(descriptor)

    def _read_holder(self) -> str:
        """Who says to have the directory open; "" where the file was taken away."""
        try:
            return (self._root / LOCK_NAME).read_bytes()[:20].decode("ascii", "replace").strip()
        except OSError:
            return ""

    def unlock(self, folder: str = "") -> None:
        """Let another process in, and leave no lock file behind; a second time does nothing."""
        descriptor = self._locks.pop(folder, None)
        if descriptor is None:
            return
        if not folder:
            with suppress(OSError):  # Whether it can be removed or not, closing the directory unlocks it.
                (self._root / LOCK_NAME).unlink()
        os.close(descriptor)

    def place(self, name: str) -> tuple[int, int]:
        """(filesystem id, inode) of a file; above its 64 bits the inode has its generation, where the system tells."""
        descriptor = os.open(self.path / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            inode = os.fstat(descriptor).st_ino | _generation(descriptor) << INODE_BITS
            return os.fstatvfs(descriptor).f_fsid, inode
        finally:
            os.close(descriptor)

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise OSError(errno.EROFS, "the data directory was opened for reading only", str(self.path))


class SystemClock:
    """The machine's clocks (Clock)."""

    def wall(self) -> Timestamp:
        """Microseconds since 1970 in UTC."""
        return Timestamp(time.time_ns() // 1000)

    wall_ns = staticmethod(time.time_ns)
    """Nanoseconds since 1970 in UTC: the system's own function, without a step between."""
    monotonic = staticmethod(time.monotonic)
    """Seconds since the machine started, or another fixed moment: the system's own, too."""


class SystemEntropy:
    """The kernel's generator (Entropy)."""

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        return os.urandom(count)


class WriterEntropy:
    """The same for a log's one writer, asked for many bytes at once: a group need not wait for a system call (Entropy).

    For one thread of one process alone: no byte is given out twice there.
    """

    __slots__ = ("_ahead", "_given")

    def __init__(self) -> None:
        self._ahead = b""
        self._given = 0

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        given = self._given
        end = given + count
        if end > len(self._ahead):
            self._ahead, given, end = os.urandom(max(ENTROPY_AHEAD, count)), 0, count
        self._given = end
        return self._ahead[given:end]


def _generation(descriptor: int) -> int:
    """What tells a file from an earlier one that had its inode number; 0 where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        (found,) = struct.unpack_from("=I", fcntl.ioctl(descriptor, _GET_GENERATION, bytes(8)))
    except OSError:  # A file system without: tmpfs and overlays, which do not give numbers out again so soon.
        return 0
    return int(found)


def _make_directory(path: Path) -> None:
    """Make `path` and what it lies in, so that it is still there after a crash."""
    if not path.parent.exists():
        _make_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
