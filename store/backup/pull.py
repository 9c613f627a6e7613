"""A backup's history, copied into a data directory on this machine.

Laws: what is copied is checked on its way, and what is there whole already is not copied again, so an interrupted pull
goes on where it was. Until all is there the directory says that it is half made, and no store opens it. Once opened it
begins a new epoch, for the store it was copied from may still run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from store.backup.branches import segment_of
from store.backup.facts import segment_facts
from store.backup.keys import OperatorKey
from store.backup.layout import parse
from store.backup.view import BackupDisk
from store.engine.directory import MARKER, RESTORING, Restoring, begin_making, mark, read_small
from store.env.world import Disk, File, ObjectStore
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, Position
from store.log.format import FOLDER, first_offset_of
from store.upkeep.making import SPARE

Progress = Callable[[str, int, int], None]
"""Told (phase, files done, files in all)."""

_FOLDERS = ("block", "snapshot", FOLDER)
"""In this order, so that whatever is there has all it needs."""
_NEW = ".new"
_REASON = "pull"


@dataclass
class Pulled:
    """What a pull did."""

    epoch: str
    """Whose history it is, hex digits."""
    last_offset: Offset
    files: int = 0
    bytes: int = 0
    """Of the files that were written; the backup holds them compressed."""
    files_known: int = 0
    """Files that were there whole already."""


def pull(
    objects: ObjectStore,
    into: Disk,
    *,
    key: OperatorKey | None = None,
    epoch: str = "",
    progress: Progress | None = None,
    note: Callable[[Pulled], None] | None = None,
) -> Pulled:
    """Copy one history, the newest or that of `epoch`, into an empty directory, or one a pull was interrupted in.

    `note` is called when all is there, before the marker: what it leaves in `into` is there from the start.
    NotRestorable, DirectoryError (also: something else is in `into`), CorruptionError (an object is damaged; what was
    copied until then stays, and nothing opens it), OSError (also a full disk: make room, and pull again).
    """
    source = BackupDisk(objects, key=key, epoch=epoch)
    wanted = [f"{folder}/{name}" for folder in _FOLDERS for name in source.names(folder)]
    _expect_room(into, source, wanted)
    _begin(into, source, set(wanted))
    report = Pulled(source.branch.epoch, source.branch.offset)
    there = {f"{folder}/{name}" for folder in _FOLDERS for name in into.names(folder)}
    missing = [name for name in wanted if name not in there or not _whole(source, into, name)]
    report.files_known = len(wanted) - len(missing)
    for name, data in _contents(source, missing):
        if progress is not None:
            progress(name.partition("/")[0], report.files_known + report.files, len(wanted))
        _write(into, name, data)
        report.files += 1
        report.bytes += len(data)
    for folder in _FOLDERS:
        if into.names(folder):
            into.sync_directory(folder)
    if note is not None:
        note(report)
    mark(into, opens="restore")
    if progress is not None:
        progress("done", len(wanted), len(wanted))
    return report


def _expect_room(into: Disk, source: BackupDisk, wanted: list[str]) -> None:
    """DirectoryError where what is not there yet will not fit."""
    there = {f"{folder}/{name}" for folder in _FOLDERS for name in into.names(folder)}
    needed = SPARE + sum(source.open(name).size() for name in wanted if name not in there)
    if (free := into.free_bytes()) < needed:
        raise DirectoryError(
            f"expected room for {needed} bytes, found {free} free in the new directory",
            hint="Make room, or name a folder on a larger disk; what is there already stays",
        )


def _begin(into: Disk, source: BackupDisk, wanted: set[str]) -> None:
    """Say that the directory is half made; of what an earlier pull left there, keep what belongs to this one."""
    making = Restoring(_REASON, source.branch.offset)
    if MARKER in into.names() or not _is_ours(into):
        begin_making(into, making)
        return
    for folder in _FOLDERS:
        for name in into.names(folder):
            if f"{folder}/{name}" not in wanted:
                into.remove(f"{folder}/{name}")


def _is_ours(into: Disk) -> bool:
    """Whether a pull was interrupted here."""
    if RESTORING not in into.names():
        return False
    try:
        return msgspec.json.decode(read_small(into, RESTORING), type=Restoring).reason == _REASON
    except msgspec.MsgspecError:
        return False


def _contents(source: BackupDisk, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Each file's content: small ones a few at once, segments one by one."""
    small = [name for name in names if not name.startswith(f"{FOLDER}/")]
    yield from zip(small, source.bucket.objects.each(source.fetch, small), strict=True)
    for name in names[len(small) :]:
        yield name, _content(source.open(name))


def _write(into: Disk, name: str, data: bytes) -> None:
    """Write one file beside its name, sync it, and give it the name."""
    file = into.create(name + _NEW)
    try:
        file.write(Position(0), data)
        file.sync()
    finally:
        file.close()
    into.rename(name + _NEW, name)


def _whole(source: BackupDisk, into: Disk, name: str) -> bool:
    """Whether a file that is there is what the backup holds: by its hash, by its own checks, or byte by byte."""
    folder, _, base = name.partition("/")
    file = into.open(name)
    try:
        found = parse(name)
        if found is not None and found.kind == "block":
            return sha256(file.read(Position(0), file.size())).hexdigest() == found.parts[0]
        first = first_offset_of(base)
        if folder == FOLDER and first is not None:
            said = [facts for facts in map(segment_of, source.branch.segments) if facts.first == first]
            if said:
                return segment_facts(file, first) == said[0]
        return file.read(Position(0), file.size()) == _content(source.open(name))
    except (CorruptionError, DirectoryError):
        return False
    finally:
        file.close()


def _content(file: File) -> bytes:
    try:
        return file.read(Position(0), file.size())
    finally:
        file.close()
