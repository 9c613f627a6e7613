"""A world in memory, decided by its seeds: a disk that can lose, tear, flip, fill up and fail, and a clock to set.

Laws: what is synced survives `crash`; of what is not, any part may, as on a real disk. A choice is only ever made
by the entropy handed in, so the same seed is the same history. Nothing here is faster or kinder than the contract.
"""

import errno
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from store.env.inode import Inode, Outcome, choose
from store.env.world import Entropy, File
from store.errors import DirectoryError
from store.ids import Position, Timestamp

CAPACITY: Final = 1 << 40
"""Bytes a memory disk takes unless told otherwise."""

Choose = Callable[[int], int]
"""Given a count, one of 0 to count - 1: how a crash asks what became of things."""


class PowerLoss(BaseException):
    """The machine is off: raised by the operation before which power was cut, and by every later one."""


class _Folder:
    """The names of one folder: on disk, and the changes since that are not, in order."""

    def __init__(self) -> None:
        self.durable: dict[str, Inode] = {}
        self.changes: list[tuple[str, Inode | None, str]] = []  # (name, what it names from then on, name given up)
        self.current: dict[str, Inode] = {}

    def change(self, name: str, inode: Inode | None, given_up: str = "") -> None:
        self.changes.append((name, inode, given_up))
        _apply(self.current, name, inode, given_up)

    def sync(self) -> None:
        self.durable = dict(self.current)
        self.changes = []

    def after_crash(self, kept: int) -> dict[str, Inode]:
        """A journal keeps the first changes and loses the rest."""
        names = dict(self.durable)
        for name, inode, given_up in self.changes[:kept]:
            _apply(names, name, inode, given_up)
        return names


def _apply(names: dict[str, Inode], name: str, inode: Inode | None, given_up: str) -> None:
    if given_up:
        names.pop(given_up, None)
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode


class _Storage:
    """What several handles on one memory disk share: the platters."""

    def __init__(self, filesystem: int) -> None:
        self.filesystem = filesystem
        self.folders: dict[str, _Folder] = {"": _Folder()}
        self.durable_folders: set[str] = {""}
        self.next_inode = 1
        self.holders: dict[str, MemoryDisk] = {}
        self.capacity = CAPACITY
        self.operations = 0
        self.power_lost_at: int | None = None
        self.failing_syncs: int | None = None
        self.failing_writes: int | None = None

    def operate(self) -> None:
        """Count something that changes the disk, unless the power is off."""
        if self.power_lost_at is not None and self.operations >= self.power_lost_at:
            raise PowerLoss
        self.operations += 1

    def used(self) -> int:
        inodes = {id(inode): inode for folder in self.folders.values() for inode in folder.current.values()}
        return sum(len(inode.content) for inode in inodes.values())


class MemoryFile:
    """One open file of a memory disk (File)."""

    def __init__(self, storage: _Storage, inode: Inode) -> None:
        self._storage = storage
        self._inode = inode
        self._open = True

    def size(self) -> int:
        """Bytes in the file now."""
        self._refuse_if_closed()
        return len(self._inode.content)

    def read(self, position: Position, length: int) -> bytes:
        """Up to `length` bytes from `position`."""
        self._refuse_if_closed()
        return bytes(self._inode.content[position : position + length])

    def write(self, position: Position, data: bytes) -> None:
        """Write all of `data`, or the part there is room for and ENOSPC, or half and EIO where that was asked for."""
        self._refuse_if_closed()
        self._storage.operate()
        if _falls_due(self._storage, "failing_writes"):
            self._inode.write(position, data[: len(data) // 2])
            raise OSError(errno.EIO, "a write failed, as was asked for")
        growth = max(position + len(data) - len(self._inode.content), 0)
        room = self._storage.capacity - self._storage.used()
        if growth > max(room, 0):
            self._inode.write(position, data[: max(len(data) - (growth - max(room, 0)), 0)])
            raise OSError(errno.ENOSPC, "no space left on the memory disk")
        self._inode.write(position, data)

    def write_out(self, position: Position, length: int) -> None:
        """Nothing: what was not synced may be there after a crash, or not, all the same."""

    def sync(self) -> None:
        """The content is durable, or EIO where that was asked for: then what was not synced may never be."""
        self._refuse_if_closed()
        self._storage.operate()
        if _falls_due(self._storage, "failing_syncs"):
            self._inode.forget_dirty()
            raise OSError(errno.EIO, "a sync failed, as was asked for")
        self._inode.sync()

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""
        self._refuse_if_closed()
        self._storage.operate()
        self._inode.truncate(size)

    def close(self) -> None:
        """Release the file; a second time does nothing."""
        self._open = False

    def _refuse_if_closed(self) -> None:
        if not self._open:
            raise OSError(errno.EBADF, "the file is closed")


class MemoryDisk:
    """A data directory in memory (Disk), with everything that can go wrong at hand.

    `handle` is what another process would hold. After `crash` only the disk it returns may be used.
    """

    def __init__(self, *, capacity: int = CAPACITY, filesystem: int = 1) -> None:
        self._storage = _Storage(filesystem)
        self._storage.capacity = capacity

    # What a Disk does.

    def names(self, folder: str = "") -> list[str]:
        """File names in `folder`, sorted."""
        found = self._storage.folders.get(folder)
        return sorted(found.current) if found else []

    def create(self, name: str) -> File:
        """Create a new empty file, and its folder where missing."""
        folder, base = _split(name)
        if folder in self._storage.folders and base in self._storage.folders[folder].current:
            raise FileExistsError(errno.EEXIST, "the name is taken", name)
        self._storage.operate()
        inode = Inode(self._storage.next_inode)
        self._storage.next_inode += 1
        self._storage.folders.setdefault(folder, _Folder()).change(base, inode)
        return MemoryFile(self._storage, inode)

    def open(self, name: str) -> File:
        """Open an existing file."""
        return MemoryFile(self._storage, self._find(name))

    def rename(self, old: str, new: str) -> None:
        """Give the file another name, at once or not at all; between folders the two may crash apart."""
        inode = self._find(old)
        self._storage.operate()
        (old_folder, old_base), (new_folder, new_base) = _split(old), _split(new)
        if new_folder not in self._storage.folders:
            raise FileNotFoundError(errno.ENOENT, "no such folder", new_folder)
        if old_folder == new_folder:
            self._storage.folders[new_folder].change(new_base, inode, old_base if old_base != new_base else "")
        else:
            self._storage.folders[new_folder].change(new_base, inode)
            self._storage.folders[old_folder].change(old_base, None)

    def remove(self, name: str) -> None:
        """Take the name away."""
        self._find(name)
        self._storage.operate()
        folder, base = _split(name)
        self._storage.folders[folder].change(base, None)

    def sync_directory(self, folder: str = "") -> None:
        """The names in `folder`, and the folder itself, are durable."""
        if folder not in self._storage.folders:
            raise FileNotFoundError(errno.ENOENT, "no such folder", folder)
        self._storage.operate()
        if _falls_due(self._storage, "failing_syncs"):
            raise OSError(errno.EIO, "a directory sync failed, as was asked for")
        self._storage.durable_folders.add(folder)
        self._storage.folders[folder].sync()

    def free_bytes(self) -> int:
        """Bytes that may still be written here."""
        return max(self._storage.capacity - self._storage.used(), 0)

    def lock(self, folder: str = "") -> None:
        """Refuse every other handle until `unlock`, or a crash."""
        holder = self._storage.holders.get(folder)
        assert holder is not self
        if holder is not None:
            what = f"{folder}/ of the memory disk" if folder else "the memory disk"
            raise DirectoryError(
                f"{what} is in use by another handle", hint="Unlock it there first; two stores never share one."
            )
        self._storage.folders.setdefault(folder, _Folder())
        self._storage.holders[folder] = self

    def unlock(self, folder: str = "") -> None:
        """Let another handle open the directory; a second time does nothing."""
        if self._storage.holders.get(folder) is self:
            del self._storage.holders[folder]

    def place(self, name: str) -> tuple[int, int]:
        """(filesystem id, inode) of a file."""
        return self._storage.filesystem, self._find(name).number

    # What only a memory disk does.

    def handle(self) -> "MemoryDisk":
        """Another opener of the same directory."""
        other = MemoryDisk()
        other._storage = self._storage
        return other

    def crash(self, entropy: Entropy) -> "MemoryDisk":
        """The disk as it may be after power loss: what was not synced is kept, lost or torn as `entropy` says."""
        below = _chooser(entropy)
        return self._after_crash(lambda inode: inode.crashed(lambda: choose(below)), lambda count: below(count + 1))

    def crash_keep_all(self) -> "MemoryDisk":
        """The disk after a crash in which everything had reached it just in time, as when only the process died."""
        return self._after_crash(lambda inode: inode.crashed(Outcome.keep), lambda count: count)

    def crash_drop_all(self) -> "MemoryDisk":
        """The disk after a crash in which nothing reached it but what was synced."""
        return self._after_crash(lambda inode: inode.crashed(Outcome.drop), lambda _: 0)

    def copy(self) -> "MemoryDisk":
        """A copy of the directory as it is now, on another filesystem: same bytes, other places."""
        other = MemoryDisk(capacity=self._storage.capacity, filesystem=self._storage.filesystem + 1)
        for folder in sorted(self._storage.folders):
            for base, inode in sorted(self._storage.folders[folder].current.items()):
                name = f"{folder}/{base}" if folder else base
                file = other.create(name)
                file.write(Position(0), bytes(inode.content))
                file.sync()
            other._storage.folders.setdefault(folder, _Folder()).sync()
            other._storage.durable_folders.add(folder)
        other._storage.operations = 0
        return other

    def flip(self, name: str, bit: int) -> None:
        """Turn one bit of the file over, on disk, as decay does. Bit 0 is the lowest of the first byte."""
        self._find(name).flip(bit)

    def content(self, name: str) -> bytes:
        """The file's bytes now."""
        return bytes(self._find(name).content)

    def replace(self, name: str, data: bytes) -> None:
        """Make the file, on disk, be exactly `data`, as an operator's tool might."""
        folder, base = _split(name)
        if folder not in self._storage.folders or base not in self._storage.folders[folder].current:
            self.create(name)
            self.sync_directory(folder)
        inode = self._find(name)
        inode.truncate(0)
        inode.write(0, data)
        inode.sync()

    def set_capacity(self, capacity: int) -> None:
        """From here on the disk is full at so many bytes."""
        self._storage.capacity = capacity

    def fail_sync(self, *, after: int = 0) -> None:
        """Fail one sync with EIO, after so many that succeed. As on Linux, its pages then count as clean."""
        self._storage.failing_syncs = after

    def fail_write(self, *, after: int = 0) -> None:
        """Fail one write with EIO, half of it written, after so many that succeed."""
        self._storage.failing_writes = after

    def cut_power(self, *, after: int) -> None:
        """Raise PowerLoss instead of doing anything, once so many more operations have changed the disk."""
        self._storage.power_lost_at = self._storage.operations + after

    @property
    def operations(self) -> int:
        """How many operations have changed the disk so far."""
        return self._storage.operations

    def _find(self, name: str) -> Inode:
        folder, base = _split(name)
        found = self._storage.folders.get(folder)
        if found is None or base not in found.current:
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return found.current[base]

    def _after_crash(self, content: Callable[[Inode], bytes], kept: Choose) -> "MemoryDisk":
        before = self._storage
        after = MemoryDisk(capacity=before.capacity, filesystem=before.filesystem)
        after._storage.next_inode = before.next_inode
        survivors: dict[int, Inode] = {}
        for name in sorted(before.folders):
            folder = before.folders[name]
            if name not in before.durable_folders and not kept(1):
                continue
            names = folder.after_crash(kept(len(folder.changes)))
            survived = after._storage.folders.setdefault(name, _Folder())
            for base, inode in sorted(names.items()):
                if inode.number not in survivors:
                    survivors[inode.number] = Inode(inode.number, content(inode))
                survived.change(base, survivors[inode.number])
            survived.sync()
            after._storage.durable_folders.add(name)
        return after


def _split(name: str) -> tuple[str, str]:
    folder, _, base = name.rpartition("/")
    assert base
    assert "/" not in folder
    return folder, base


def _falls_due(storage: _Storage, which: str) -> bool:
    """Count down to the one failure that was asked for."""
    left: int | None = getattr(storage, which)
    if left is None:
        return False
    setattr(storage, which, left - 1 if left else None)
    return left == 0


def _chooser(entropy: Entropy) -> Choose:
    return lambda count: int.from_bytes(entropy.bytes(8), "little") % count


class MemoryClock:
    """A clock that moves when it is told to (Clock)."""

    def __init__(self, wall: int = 1_700_000_000_000_000) -> None:
        """`wall` is microseconds since 1970."""
        self._wall = wall
        self._monotonic = 0.0

    def wall(self) -> Timestamp:
        """Microseconds since 1970 in UTC."""
        return Timestamp(self._wall)

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 in UTC."""
        return self._wall * 1000

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._monotonic

    def advance(self, microseconds: int) -> None:
        """Let time pass."""
        assert microseconds >= 0
        self._wall += microseconds
        self._monotonic += microseconds / 1e6

    def jump(self, microseconds: int) -> None:
        """Move the wall clock alone, either way, as an operator or NTP may."""
        self._wall += microseconds


class SeededEntropy:
    """Dice that fall the same way for the same seed (Entropy): SHA-256 of the seed and a counter."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def bytes(self, count: int) -> bytes:
        """The next `count` bytes of the seed's sequence."""
        parts = b""
        while len(parts) < count:
            parts += sha256(f"{self._seed}:{self._count}".encode("ascii")).digest()
            self._count += 1
        return parts[:count]


class NoDeadline:
    """Lets every reducer run as long as it likes (Deadline)."""

    def __init__(self) -> None:
        self.running = 0
        self.armed = False
        self.struck = False

    def arm(self) -> None:
        """Nobody looks."""
        self.armed = True
