"""The data directory's marker: that this is one, of which format, and where it last was.

Laws: the marker is written after the epoch's record is durable, so a marker without a log is a loss, never a fresh
store. A marker that finds itself on another filesystem or under another inode is in a copied directory: a new epoch
opens. A directory that is being made out of another one says so from its first byte, and gets its marker last: half a
store is never opened. Only the generation in force opens.
"""

import re
from contextlib import suppress
from typing import Final

import msgspec

from store.engine.acts import ACTS, forget_acts
from store.env.world import INODE_BITS, Disk
from store.errors import CorruptionError, DirectoryError
from store.ids import Position
from store.log.commitlog import Commitlog

MARKER: Final = "store.json"
RESTORING: Final = "restoring.json"
"""Lies in a directory while it is being made out of another one, until its marker is there."""
CURRENT: Final = "current"
"""Names the folder of the generation in force, in a root where something was restored in place."""
PREVIOUS: Final = "previous"
"""Says which generation was in force before."""
FOLDERS: Final = ("log", "snapshot", "block", "pin")
"""What a generation consists of, beside its marker."""
DIRECTORY_FORMAT: Final = 1
_MARKER_SIZE_MAX: Final = 4_096


class Marker(msgspec.Struct, frozen=True):
    """What the marker file holds, as JSON."""

    format: int
    filesystem: int
    inode: int
    opens: str = ""
    """Why the next start opens a new epoch: restore, clone, salvage; "" where it does not."""
    generation: int = 0
    """Of the inode, where the system tells it: a number alone may come back when a directory is deleted and copied."""


class _Format(msgspec.Struct, frozen=True):
    """What of a marker every version has."""

    format: int


class Restoring(msgspec.Struct, frozen=True):
    """What a directory that is being made says of itself, as JSON. Nothing rests on it but that it is there."""

    reason: str
    offset: int


def inspect(disk: Disk) -> Marker | None:
    """The directory's marker, or None where the directory is fresh.

    DirectoryError for a directory that is not ours, half made, not in force, or of a newer format; CorruptionError
    where the log is gone.
    """
    names = disk.names()
    _refuse_if_superseded(disk, names)
    if MARKER in names:
        marker = _read(disk)
        if not Commitlog.exists(disk):
            raise CorruptionError(
                "expected the commitlog, found no segment", file="log/", position=0, hint="Restore the directory"
            )
        return marker
    refuse_half_made(disk)
    foreign = [name for name in names if name not in _OURS]
    if foreign and not Commitlog.exists(disk):
        raise DirectoryError(
            f"expected an empty directory or a store's, found other files: {', '.join(foreign[:3])}",
            hint="Name a directory of the store's own (--data)",
        )
    return None


def refuse_newer(disk: Disk) -> None:
    """DirectoryError where the marker says that a newer store made this; a damaged one says nothing of the kind."""
    if MARKER not in disk.names():
        return
    with suppress(msgspec.MsgspecError):
        _expect_format(msgspec.json.decode(read_small(disk, MARKER), type=_Format).format)


def refuse_half_made(disk: Disk) -> None:
    """DirectoryError where this directory is being made, or its making was cut short: what lies there is not proven."""
    names = disk.names()
    if RESTORING in names and MARKER not in names:
        raise half_made(disk)


def moved(disk: Disk, marker: Marker) -> bool:
    """Whether the marker is not where it says it is: the directory was copied."""
    filesystem, inode, generation = _place(disk, MARKER)
    if not marker.generation:  # It was not told, or not asked for yet.
        generation = 0
    return (filesystem, inode, generation) != (marker.filesystem, marker.inode, marker.generation)


def is_copy(disk: Disk, marker: Marker | None) -> bool:
    """Whether somebody copied these files and nothing was opened since: their log may have been written meanwhile."""
    return marker is None or (not marker.opens and moved(disk, marker))


def mark(disk: Disk, opens: str = "") -> None:
    """Write the marker, so that it says where it is itself; the old one stays until the new one is whole."""
    fresh = f"{MARKER}.new"
    if fresh in disk.names():
        disk.remove(fresh)
    file = disk.create(fresh)
    filesystem, inode, generation = _place(disk, fresh)  # A rename keeps the inode.
    marker = Marker(DIRECTORY_FORMAT, filesystem, inode, opens, generation)
    file.write(Position(0), msgspec.json.encode(marker) + b"\n")
    file.sync()
    file.close()
    disk.rename(fresh, MARKER)
    disk.sync_directory()
    if RESTORING in disk.names():  # Only now: what has a marker is whole.
        disk.remove(RESTORING)
        disk.sync_directory()


def expect_makeable(disk: Disk) -> None:
    """DirectoryError: the directory holds something that is not the rest of an interrupted making."""
    names = disk.names()
    held = [name for name in names if name not in _OURS or name == MARKER]
    held += [f"{folder}/{name}" for folder in (*FOLDERS, ACTS) for name in disk.names(folder)]
    if MARKER in names or (held and RESTORING not in names):
        raise DirectoryError(
            f"expected an empty directory to write into, found {', '.join(held[:3])}",
            hint="Name one that does not exist yet, or is empty: nothing is ever overwritten",
        )


def begin_making(disk: Disk, restoring: Restoring) -> None:
    """Say that this directory is being made, durably, before anything else is in it; discard what was made before.

    DirectoryError as `expect_makeable`.
    """
    expect_makeable(disk)
    if RESTORING not in disk.names():
        disk.create(RESTORING).close()
        disk.sync_directory()
    discard(disk)
    forget_acts(disk)
    file = disk.open(RESTORING)
    file.truncate(0)
    file.write(Position(0), msgspec.json.encode(restoring) + b"\n")
    file.sync()
    file.close()


def discard(disk: Disk) -> None:
    """Remove every file of a generation but its marker and its notes, durably."""
    for folder in FOLDERS:
        names = disk.names(folder)
        for name in names:
            disk.remove(f"{folder}/{name}")
        if names:
            disk.sync_directory(folder)


def abandon(disk: Disk) -> None:
    """Leave an empty directory behind: only one that was being made, never one that is whole, or somebody's."""
    names = disk.names()
    if RESTORING in names and MARKER not in names:
        discard(disk)
        forget_acts(disk)
        disk.remove(RESTORING)
        disk.sync_directory()


def half_made(disk: Disk) -> DirectoryError:
    """The refusal of a directory whose making did not come to its end."""
    what = "a restore or a salvage"
    with suppress(msgspec.MsgspecError, OSError):
        said = msgspec.json.decode(read_small(disk, RESTORING), type=Restoring)
        what = f"a {said.reason} to offset {said.offset}" if said.offset else f"a {said.reason}"
    return DirectoryError(
        f"the directory is half made: {what} into it did not finish",
        hint="Run the same command again, which begins anew, or delete this directory; the source is untouched",
    )


def read_current(disk: Disk) -> str:
    """The generation in force in this root; "" where that is the root itself. DirectoryError: it cannot be read."""
    if CURRENT not in disk.names():
        return ""
    said = read_small(disk, CURRENT)
    name = said.decode("ascii", "replace").removesuffix("\n")
    if not GENERATION.fullmatch(name):
        raise DirectoryError(
            f"expected the name of a generation in {CURRENT}, found {name[:60]!r}",
            hint="Write the name of the folder that is in force into it; without the file it is the directory itself",
        )
    return name


def read_small(disk: Disk, name: str) -> bytes:
    """A small file's bytes, at most as many as a marker may have."""
    file = disk.open(name)
    try:
        return file.read(Position(0), _MARKER_SIZE_MAX)
    finally:
        file.close()


def _place(disk: Disk, name: str) -> tuple[int, int, int]:
    """(filesystem id, inode number, its generation or 0)."""
    filesystem, inode = disk.place(name)
    generation, number = divmod(inode, 1 << INODE_BITS)
    return filesystem, number, generation


def _refuse_if_superseded(disk: Disk, names: list[str]) -> None:
    if CURRENT in names and (name := read_current(disk)):
        raise DirectoryError(
            f"what lies here is not in force: {CURRENT} names {name}",
            hint="Open it by its root, with `store serve`; `store restore --undo` goes back to what lies here",
        )


def _read(disk: Disk) -> Marker:
    data = read_small(disk, MARKER)
    try:
        _expect_format(msgspec.json.decode(data, type=_Format).format)  # A newer one need not have what ours has.
        marker = msgspec.json.decode(data, type=Marker)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise DirectoryError(
            f"expected a store's marker in {MARKER}, found other content ({error})",
            hint="This is no data directory of the store, or its marker is damaged",
        ) from None
    return marker


def _expect_format(found: int) -> None:
    if found != DIRECTORY_FORMAT:
        raise DirectoryError(
            f"the data directory is of format {found}, this store reads up to {DIRECTORY_FORMAT}",
            hint="Use the newer version of the store",
        )


GENERATION: Final = re.compile(r"restored-[0-9]{20}-[0-9a-f]{8}", re.ASCII)
"""What a generation's folder is called: the offset it was restored to, and dice."""

_OURS: Final = frozenset(
    {MARKER, f"{MARKER}.new", RESTORING, CURRENT, f"{CURRENT}.new", PREVIOUS, f"{PREVIOUS}.new"}
    | {"lock", "serving.json", "serving.json.new", "pace.json", "pace.json.new", "lost+found", "tokens", "store.toml"}
)
"""What may stand at the top of a directory before its first start, beside the folders."""
