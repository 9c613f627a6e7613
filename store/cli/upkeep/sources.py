"""Where a restore, a clone or a salvage reads from: a data directory, which may be in use, or a backup."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from store.backup.keys import OperatorKey
from store.backup.view import BackupDisk
from store.cli.directories import expect_store, look_at
from store.cli.exits import NothingThere
from store.cli.progress import Phases
from store.cli.upkeep.lease import Progress, leased
from store.config import Config
from store.env.objects import open_objects
from store.env.posix import PosixDisk
from store.env.secret import read_secret
from store.env.world import Disk, ObjectStore
from store.errors import DirectoryError, NotRestorable
from store.ids import Offset
from store.snapshot.format import SNAPSHOT_FOLDER
from store.snapshot.repository import Repository
from store.upkeep.making import Restored

FromUrl = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="URL", help="A backup to read instead: a folder, file:///path or s3://bucket/prefix."
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        "--key",
        help="The operator's key file of an encrypted backup.  [backup.key_file, STORE_BACKUP_KEY]",
    ),
]
Endpoint = Annotated[str | None, typer.Option(help="An S3 server that is not Amazon's.  [backup.endpoint]")]
Region = Annotated[str | None, typer.Option(help="The bucket's region.  [backup.region]")]
EpochOption = Annotated[
    str | None,
    typer.Option("--epoch", metavar="HEX", help="Of several histories, the one of this epoch.  [default: the newest]"),
]


@dataclass(frozen=True)
class Source:
    """What is read, and what to tell while it is read."""

    disk: Disk
    root: Path | None
    """None for a backup."""
    text: str
    told: Progress
    hold_from: Callable[[Offset], None]
    """Called with the offset from which on it is needed, once that is known."""


@contextmanager
def directory_source(root: Path, reason: str, phases: Phases, *, lease_s: float) -> Iterator[Source]:
    """A data directory, held by a lease. NothingThere: there is no store in it."""
    disk = look_at(root)
    expect_store(root, disk)
    with leased(disk, reason, phases, lease_s=lease_s) as told:
        yield Source(disk, root, str(root), told, told.hold_from)


@contextmanager
def backup_source(url: str, config: Config, phases: Phases, *, epoch: str | None) -> Iterator[Source]:
    """A backup, as a disk that cannot be written. NothingThere: there is none, or none of that epoch."""
    objects = backup_objects(url, config)
    with expect_backup():
        disk = BackupDisk(objects, key=operator_key(config), epoch=epoch or "")
    yield Source(disk, None, objects.url, phases, lambda _: None)  # Nobody holds anything there.


@contextmanager
def expect_backup() -> Iterator[None]:
    """While a backup is opened: where there is none, there is nothing, and no moment that was missed."""
    try:
        yield
    except NotRestorable as error:
        raise NothingThere(error.message, hint=error.hint) from None


def backup_objects(url: str, config: Config) -> ObjectStore:
    """The object store a URL names, by the options of [backup]."""
    return open_objects(url, endpoint=config.backup.endpoint, region=config.backup.region)


def operator_key(config: Config, file: Path | None = None) -> OperatorKey | None:
    """The operator's key, from a file or the environment; None where neither is named."""
    secret = read_secret(file or config.backup.key_file)
    return None if secret is None else OperatorKey.read(secret)


def note_on(disk: PosixDisk, act: Callable[[Repository], None]) -> None:
    """Note something of a directory's snapshots, where one may; else it is left undone."""
    with suppress(OSError, DirectoryError):  # Somebody takes a snapshot, or it is not ours to write.
        writable = PosixDisk(disk.path)
        writable.lock(SNAPSHOT_FOLDER)
        try:
            act(Repository(writable))
        finally:
            writable.unlock(SNAPSHOT_FOLDER)


def note_passed_over(source: Source, restored: Restored) -> None:
    """Take back that the snapshots were whole which a restore found damaged, so that no log goes for their sake."""

    def take_back(repository: Repository) -> None:
        for each in restored.passed_over:
            repository.note_damaged(each.name)

    if isinstance(source.disk, PosixDisk) and restored.passed_over:
        note_on(source.disk, take_back)
