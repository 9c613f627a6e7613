"""What a backup holds, for people: histories, what can be restored of each, and what is wrong at first sight."""

from dataclasses import dataclass

from store.backup.branches import Branch, branches
from store.backup.bucket import open_bucket
from store.backup.contents import read_contents
from store.backup.keys import OperatorKey
from store.env.world import ObjectStore


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
    refused: dict[str, str]
    """Objects that are there and not to be believed: name and why."""


def listing(objects: ObjectStore, *, key: OperatorKey | None = None) -> Listing:
    """Look at a backup. NotRestorable: none is there. DirectoryError, CorruptionError, OSError."""
    bucket = open_bucket(objects, key)
    contents = read_contents(bucket)
    index = contents.index
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
        refused=contents.refused,
    )
