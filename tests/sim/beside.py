"""Work beside the store, as another process does it: by its own handle of the same disk, while calls go on.

Laws: whatever it does to the disk, the store may go on between any two of its operations; so may a crash of the
machine, which ends it, too. Killed, it leaves what it has left, and its locks are free.
"""

from collections.abc import Callable
from typing import Final

from store.env.memory import MemoryDisk
from store.env.world import Disk, File
from store.ids import Position


class Killed(BaseException):
    """The other process is no more. Not an Exception: nothing in the store may catch it."""


class Steps:
    """What happens between the operations of the other process."""

    def __init__(self, *, pace: int, kill: int, meanwhile: Callable[[], bool]) -> None:
        """`meanwhile` lets something happen, after every `pace` operations, and says whether the machine still runs.

        The process is killed before its operation number `kill`, counted from 0; never where that is negative.
        """
        self._pace: Final = pace
        self._kill: Final = kill
        self._meanwhile: Final = meanwhile
        self._dead = False
        self.operations = 0

    def __call__(self) -> None:
        """Be called before each operation."""
        if self._dead or self.operations == self._kill:
            self._dead = True  # Nothing that it would still do in a `finally` is done.
            raise Killed
        self.operations += 1
        if self._pace and self.operations % self._pace == 0 and not self._meanwhile():
            self._dead = True
            raise Killed


class SteppingFile:
    """A file whose operations are steps (File)."""

    def __init__(self, file: File, steps: Steps) -> None:
        self._file: Final = file
        self._steps: Final = steps
        self.size, self.close, self.write_out = file.size, file.close, file.write_out

    def read(self, position: Position, length: int) -> bytes:
        """As File."""
        self._steps()
        return self._file.read(position, length)

    def write(self, position: Position, data: bytes) -> None:
        """As File."""
        self._steps()
        self._file.write(position, data)

    def sync(self) -> None:
        """As File."""
        self._steps()
        self._file.sync()

    def truncate(self, size: int) -> None:
        """As File."""
        self._steps()
        self._file.truncate(size)


class SteppingDisk:
    """A handle of a disk whose operations are steps (Disk)."""

    def __init__(self, disk: Disk, steps: Steps) -> None:
        self._disk: Final = disk
        self._steps: Final = steps
        self.free_bytes, self.place = disk.free_bytes, disk.place
        self.lock, self.unlock = disk.lock, disk.unlock

    def names(self, folder: str = "") -> list[str]:
        """As Disk."""
        self._steps()
        return self._disk.names(folder)

    def create(self, name: str) -> File:
        """As Disk."""
        self._steps()
        return SteppingFile(self._disk.create(name), self._steps)

    def open(self, name: str) -> File:
        """As Disk."""
        self._steps()
        return SteppingFile(self._disk.open(name), self._steps)

    def rename(self, old: str, new: str) -> None:
        """As Disk."""
        self._steps()
        self._disk.rename(old, new)

    def remove(self, name: str) -> None:
        """As Disk."""
        self._steps()
        self._disk.remove(name)

    def sync_directory(self, folder: str = "") -> None:
        """As Disk."""
        self._steps()
        self._disk.sync_directory(folder)


def copy_files(source: Disk, target: MemoryDisk, folders: tuple[str, ...], piece: int) -> bool:
    """What `cp -r` does: folder by folder, file by file, piece by piece; what is gone meanwhile is left out."""
    for folder in folders:
        for base in source.names(folder):
            name = f"{folder}/{base}".lstrip("/")
            try:
                file = source.open(name)
            except FileNotFoundError:
                continue
            data = b""
            while more := file.read(Position(len(data)), piece):
                data += more
            target.replace(name, data)
    return True
