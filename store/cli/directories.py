"""A data directory as the commands open it: always the generation in force.

Laws: every command that takes a data directory finds its files here, so that all of them mean the same ones after a
restore in place. No command but `store serve` makes a directory by looking for it.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from store.cli.exits import NothingThere
from store.engine.directory import CURRENT, GENERATION, MARKER, RESTORING, refuse_half_made, refuse_newer
from store.env.posix import PosixDisk
from store.env.world import Disk
from store.errors import CorruptionError, DirectoryError
from store.ids import Epoch
from store.log.commitlog import Commitlog
from store.log.format import FIRST_OFFSET
from store.log.segment import segment_offsets
from store.log.survey import read_header
from store.snapshot.repository import Repository
from store.upkeep import generations

Directory = Annotated[
    Path | None,
    typer.Argument(help="The data directory; it may be in use.  [default: tenant.data]", show_default=False),
]

_NAME_IT: Final = "Name a store's data directory, or set tenant.data"


def generation_of(root: Path) -> Path:
    """Where the files of the generation in force lie: the directory itself until something was restored in place.

    DirectoryError: `current` names a folder that is not there, or is no whole one. A fresh one is never made of it.
    """
    if not root.is_dir():
        return root
    name = generations.current(PosixDisk(root, read_only=True))
    if not name and not any((root / each).exists() for each in (MARKER, RESTORING, "log")):
        _expect_no_generations(root)
    if name and not (root / name / MARKER).is_file():
        raise DirectoryError(
            f"{root / CURRENT} says that {name} is in force, and there is no store in a folder of that name",
            hint=_other_generations(root),
        )
    return root / name


def _expect_no_generations(root: Path) -> None:
    """DirectoryError: something was restored in place here, and what says so is gone: that is no empty store."""
    if whole := _whole_generations(root):
        raise DirectoryError(
            f"{root} was restored in place once, and the file {CURRENT}, which says what is in force, is gone",
            hint=f"Write the name of what is in force into {root / CURRENT}; there is {', '.join(whole)}",
        )


def _whole_generations(root: Path) -> list[str]:
    return sorted(each.name for each in root.iterdir() if GENERATION.fullmatch(each.name) and (each / MARKER).is_file())


def _other_generations(root: Path) -> str:
    """What an operator can do whose generation is gone."""
    ways = ["Put the folder back, or restore from a backup (--into a new directory)"]
    with suppress(DirectoryError):
        if generations.previous(PosixDisk(root, read_only=True)) is not None:
            ways.append(f"`store restore {shlex.quote(str(root))} --undo` goes back to the files from before")
    if whole := _whole_generations(root):
        ways.append(f"{CURRENT} may name another one that is there: {', '.join(whole)}")
    return "; ".join(ways)


def look_at(root: Path, *, half_made: bool = False) -> PosixDisk:
    """The generation in force, for reading. NothingThere: there is no such directory.

    DirectoryError: it is half made, and nobody asked to see that, too.
    """
    _expect(root)
    disk = PosixDisk(generation_of(root), read_only=True, root=root)
    refuse_newer(disk)
    if not half_made:
        refuse_half_made(disk)
    return disk


def work_on(root: Path) -> PosixDisk:
    """The generation in force, for taking and removing snapshots beside whoever serves. NothingThere: no such one.

    DirectoryError: it is half made.
    """
    _expect(root)
    disk = PosixDisk(generation_of(root), root=root)
    refuse_newer(disk)
    refuse_half_made(disk)
    return disk


def never_made(root: Path) -> bool:
    """Whether there is no store in a directory, and never was: there is none, or its making was cut short."""
    return not root.exists() or (
        (root / RESTORING).exists() and not any((root / x).exists() for x in (MARKER, CURRENT))
    )


@contextmanager
def made_in(into: Path) -> Iterator[PosixDisk]:
    """A directory to make a store in, held meanwhile. DirectoryError: somebody makes one there, or serves it."""
    disk = PosixDisk(into)
    disk.lock()
    try:
        yield disk
    finally:
        disk.unlock()


def expect_not_around_one(root: Path) -> None:
    """DirectoryError where a directory is none of a store's, but holds one: as `cp -r data copy` makes it of a copy."""
    if not root.is_dir() or any((root / name).exists() for name in (MARKER, CURRENT, "log")):
        return
    within = next((each for each in sorted(root.iterdir()) if (each / MARKER).is_file()), None)
    if within is not None:
        raise DirectoryError(f"{root} holds no store itself, but {within} does", hint=f"Name that one: --data {within}")


def expect_store(root: Path, disk: PosixDisk) -> None:
    """NothingThere where the directory holds neither log nor snapshots."""
    if not Commitlog.exists(disk) and not disk.names("snapshot"):
        raise NothingThere(f"there is no commitlog and no snapshot in {root}", hint=_NAME_IT)


def expect_same_tenant(disk: Disk, source: Disk, text: str) -> None:
    """DirectoryError where both say whose history they hold, and it is not the same."""
    mine, other = tenant_of(disk), tenant_of(source)
    if mine is not None and other is not None and mine != other:
        raise DirectoryError(
            f"{text} holds another store: {other.hex()}, this directory holds {mine.hex()}",
            hint="Restore it into a directory of its own, with --into",
        )


def tenant_of(disk: Disk) -> Epoch | None:
    """The epoch that began the store whose files these are; None where nothing says it."""
    with suppress(CorruptionError, DirectoryError):
        offsets = segment_offsets(disk)
        if offsets and offsets[0] == FIRST_OFFSET:
            return read_header(disk, offsets[0]).epoch
        return next((each.store for each in Repository(disk).whole()[0]), None)
    return None


def expect_outside(target: Path, root: Path) -> None:
    """DirectoryError where what is to be written lies in the data directory that it is made from."""
    inner, outer = target.expanduser().resolve(), root.resolve()
    if inner != outer and outer in inner.parents:
        raise DirectoryError(
            f"{target} lies in the data directory {root}, and would be lost with it",
            hint="Name a place outside of it",
        )


def same(one: Path, other: Path) -> bool:
    """Whether both name one directory."""
    return one.resolve() == other.resolve()


def _expect(root: Path) -> None:
    if not root.exists():
        raise NothingThere(f"there is no {root}", hint=_NAME_IT)
