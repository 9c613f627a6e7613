"""What a backup holds, for people: histories, what can be restored of each, and what is wrong at first sight."""

from dataclasses import dataclass

from store.backup.branches import Branch, branches
from store.backup.bucket import open_bucket
from store.backup.contents import read_contents
from store.backup.keys import OperatorKey
from store.backup.pins import PIN, BackupPin, read_pins
from store.env.world import ObjectStore
from store.errors import CorruptionError, DirectoryError


@dataclass(frozen=True)
class Listing:
    """A backup at one look; nothing but notes was read, and what they do not mention."""

    url: str
    store: str
    """The epoch that began the store, hex digits."""
    encrypted: bool
    objects: int
    bytes: int
    """Of the objects the notes mention, as stored."""
    branches: tuple[Branch, ...]
    """Newest first."""
    pushes: tuple[str, ...]
    """Names of the notes, oldest first."""
    missing: tuple[str, ...]
    """Objects that were stored and are gone."""
    foreign: tuple[str, ...]
    """Names that are none of a backup's."""
    pins: tuple[BackupPin, ...]
    """What operators hold on to, in the order of names."""
    refused: dict[str, str]
    """Objects that are there and not to be believed: name and why."""


def listing(objects: ObjectStore, *, key: OperatorKey | None = None) -> Listing:
    """Look at a backup. NotRestorable: none is there. DirectoryError, CorruptionError, OSError."""
    bucket = open_bucket(objects, key)
    contents = read_contents(bucket)
    index, refused = contents.index, dict(contents.refused)
    pins: list[BackupPin] = []
    for name in bucket.objects.names(PIN):
        try:
            pins += read_pins(bucket, name).values()
        except (CorruptionError, DirectoryError) as error:
            refused[name] = str(error)
    return Listing(
        url=objects.url,
        store=bucket.marker.store,
        encrypted=bucket.encrypted,
        objects=len(index.names),
        bytes=sum(each.stored for each in index.entries.values()),
        branches=tuple(branches(index.entries.values())),
        pushes=index.pushes,
        missing=tuple(each.object for each in index.missing),
        foreign=index.foreign,
        pins=tuple(sorted(pins, key=lambda each: (each.name, each.epoch))),
        refused=refused,
    )
