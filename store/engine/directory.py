"""The data directory's marker: that this is one, of which format, and where it last was.

Laws: the marker is written after the epoch's record is durable, so a marker without a log is a loss, never a fresh
store. A marker that finds itself on another filesystem or under another inode is in a copied directory: a new epoch
opens.
"""

from typing import Final

import msgspec

from store.env.world import Disk
from store.errors import CorruptionError, DirectoryError
from store.ids import Position
from store.log.commitlog import Commitlog

MARKER: Final = "store.json"
DIRECTORY_FORMAT: Final = 1
_MARKER_SIZE_MAX: Final = 4_096


class Marker(msgspec.Struct, frozen=True):
    """What the marker file holds, as JSON."""

    format: int
    filesystem: int
    inode: int


def inspect(disk: Disk) -> Marker | None:
    """The directory's marker, or None where the directory is fresh.

    DirectoryError for a directory that is not ours or is of a newer format; CorruptionError where the log is gone.
    """
    names = disk.names()
    if MARKER in names:
        marker = _read(disk)
        if not Commitlog.exists(disk):
            raise CorruptionError(
                "expected the commitlog, found no segment", file="log/", position=0, hint="Restore the directory"
            )
        return marker
    foreign = [name for name in names if name not in _OURS]
    if foreign and not Commitlog.exists(disk):
        raise DirectoryError(
            f"expected an empty directory or a store's, found other files: {', '.join(foreign[:3])}",
            hint="Name a directory of the store's own (--data)",
        )
    return None


def moved(disk: Disk, marker: Marker) -> bool:
    """Whether the marker is not where it says it is: the directory was copied."""
    return disk.place(MARKER) != (marker.filesystem, marker.inode)


def mark(disk: Disk) -> None:
    """Write the marker, so that it says where it is itself; the old one stays until the new one is whole."""
    fresh = f"{MARKER}.new"
    if fresh in disk.names():
        disk.remove(fresh)
    file = disk.create(fresh)
    filesystem, inode = disk.place(fresh)  # A rename keeps the inode.
    file.write(Position(0), msgspec.json.encode(Marker(DIRECTORY_FORMAT, filesystem, inode)) + b"\n")
    file.sync()
    file.close()
    disk.rename(fresh, MARKER)
    disk.sync_directory()


def _read(disk: Disk) -> Marker:
    file = disk.open(MARKER)
    data = file.read(Position(0), _MARKER_SIZE_MAX)
    file.close()
    try:
        marker = msgspec.json.decode(data, type=Marker)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise DirectoryError(
            f"expected a store's marker in {MARKER}, found other content ({error})",
            hint="This is no data directory of the store, or its marker is damaged",
        ) from None
    if marker.format != DIRECTORY_FORMAT:
        raise DirectoryError(
            f"the data directory is of format {marker.format}, this store reads up to {DIRECTORY_FORMAT}",
            hint="Use the newer version of the store",
        )
    return marker


_OURS: Final = frozenset({MARKER, f"{MARKER}.new", "lock", "lost+found", "tokens", "store.toml"})
"""What may stand at the top of a directory before its first start, beside the folders."""
