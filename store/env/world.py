"""What the store asks of the world, as Protocols. The guarantees are in the docstrings and held by contract tests.

A failure of the disk is an OSError with its errno, in every world. Nothing here retries.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from store.ids import Position, Timestamp

INODE_BITS: Final = 64
"""Of what `Disk.place` says of an inode, those of its number."""


class File(Protocol):
    """One open file. Writes become visible to reads at once, and survive a crash only after `sync`."""

    def size(self) -> int:
        """Bytes in the file now, synced or not."""
        ...

    def read(self, position: Position, length: int) -> bytes:
        """Up to `length` bytes from `position`; fewer only at the end of the file."""
        ...

    def write(self, position: Position, data: bytes) -> None:
        """Write all of `data` at `position`, growing the file, or raise OSError with any prefix of it written."""
        ...

    def write_out(self, position: Position, length: int) -> None:
        """Have the system begin to write these bytes to the disk, so that the next `sync` has less to wait for.

        Returns at once. Nothing is durable by it, it never raises, and it may do nothing.
        """
        ...

    def sync(self) -> None:
        """Return only when the content and the size are on disk (fdatasync). After an OSError nothing is known."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes. Durable only after `sync`."""
        ...

    def close(self) -> None:
        """Release the file. Unsynced bytes stay as they are: perhaps on disk, perhaps not."""
        ...


class Disk(Protocol):
    """One data directory. Names are relative, with "/" between folder and file; one level of folders.

    A created, renamed or removed name survives a crash only after `sync_directory` of its folder.
    """

    def names(self, folder: str = "") -> list[str]:
        """File names in `folder`, sorted, without the folder; [] where the folder is missing."""
        ...

    def create(self, name: str) -> File:
        """Create a new empty file, and its folder where missing. FileExistsError if the name is taken."""
        ...

    def open(self, name: str) -> File:
        """Open an existing file for reading and writing. FileNotFoundError if it is missing."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give the file another name, replacing what had it, at once or not at all."""
        ...

    def remove(self, name: str) -> None:
        """Take the name away. FileNotFoundError if it is missing."""
        ...

    def sync_directory(self, folder: str = "") -> None:
        """Return only when the names in `folder`, and the folder itself, are on disk."""
        ...

    def free_bytes(self) -> int:
        """Bytes that may still be written here."""
        ...

    def lock(self, folder: str = "") -> None:
        """Make this process the directory's only opener until it ends. DirectoryError names who holds it.

        A `folder` is locked by itself, and made where missing: who works in it need not have the directory.
        """
        ...

    def unlock(self, folder: str = "") -> None:
        """Let another process open the directory, or work in the folder."""
        ...

    def place(self, name: str) -> tuple[int, int]:
        """(filesystem id, inode) of a file: another pair than the one noted means a copied directory.

        Numbers are given out again: what tells two files of one number apart stands above INODE_BITS, if known.
        """
        ...


class Clock(Protocol):
    """Time. The wall clock may jump, either way; the monotonic one never does."""

    def wall(self) -> Timestamp:
        """Microseconds since 1970 in UTC."""
        ...

    def wall_ns(self) -> int:
        """The same moment in nanoseconds: what the hot path asks, for the system has no microseconds."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary moment, never falling."""
        ...


class Entropy(Protocol):
    """Dice nobody else has seen."""

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        ...


class Deadline(Protocol):
    """Stops a reducer that runs too long, even `while True: pass`, by raising DeadlineExceeded inside it.

    Whoever runs one says so in these attributes, for calls would cost a fiftieth of the whole: a run begins with
    `running = number` and then, unless it is `armed`, `arm()`; it ends with `running = 0`, first thing in a `finally`.
    From there on nothing is raised any more. A run in which it was raised has failed, whatever became of it there:
    what was interrupted may be half done.
    """

    running: int
    """The number of the run that goes on, not that of the one before: each has its time anew. 0 while none does."""
    armed: bool
    """Whether somebody looks at it."""
    struck: bool
    """Whether it was raised, set before it is; whoever runs one takes that back when the run has ended."""

    def arm(self) -> None:
        """From here on the time of a run counts."""
        ...


class DeadlineExceeded(BaseException):
    """Raised inside a reducer whose time is up; a BaseException so that no `except Exception` holds it."""


@dataclass(frozen=True)
class World:
    """Everything one store asks of the world."""

    disk: Disk
    clock: Clock
    entropy: Entropy
    deadline: Deadline


Item = TypeVar("Item")
Result = TypeVar("Result")

OBJECT_SIZE_MAX: Final = 1 << 30
"""Bytes of one object, at most. An object is held in RAM whole, and sent in one piece."""


@dataclass(frozen=True)
class ObjectHead:
    """What an object store says of an object without sending it."""

    size: int
    """Bytes."""
    sha256: str | None
    """Of all its bytes, 64 hex digits, as the store itself computed it; None where it cannot say."""


class ObjectStore(Protocol):
    """Objects that are written once, whole or not at all, under names such as "log/a.zst".

    A name is parts of letters, digits, ".", "_" and "-", joined by "/"; no part begins with ".". What was put is there
    for every reader as soon as `put` has returned, and survives whatever this store survives. DirectoryError: there is
    no such store, or it lets us not in; it says what to do. OSError: it cannot be reached or fails, after as many
    attempts as are worth making. No error and no log line holds a secret.
    """

    @property
    def url(self) -> str:
        """Where this is, for people: without secrets."""
        ...

    def put(self, name: str, data: bytes, *, if_absent: bool) -> bool:
        """Store all of `data`, at most OBJECT_SIZE_MAX. False: with `if_absent`, the very same bytes were there.

        FileExistsError: with `if_absent`, the name is taken by other bytes, which stay. Of several who put the same
        name at once with `if_absent`, one stores.
        """
        ...

    def get(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length`; fewer only at its end. FileNotFoundError: no such."""
        ...

    def head(self, name: str) -> ObjectHead | None:
        """Its size and hash, or None: no such object."""
        ...

    def names(self, prefix: str = "") -> list[str]:
        """All names that begin with `prefix`, sorted, however many."""
        ...

    def remove(self, name: str) -> None:
        """Take the object away; nothing where there is none. PermissionError: it is held, as by an object lock."""
        ...

    def each(self, act: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """What `act`, which puts or gets, returns for each item, in order; a few at once where the way is long.

        An exception of `act` ends it, raised in its turn; what was begun then has ended, and no more is begun.
        """
        ...
