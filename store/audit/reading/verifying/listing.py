"""What lies in a trail's folder of a write-once store, key by key.

Laws: of a key's versions the oldest counts, whatever was laid above it: a lock keeps the first, and nobody can put one
before it. Every other version, and every delete marker, is a finding. A listing is passed through, never kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from store.audit.objects.layout import What, folder_of, read_name
from store.audit.reading.verifying.findings import Findings, Kind
from store.env.worm import Version, WormStore


@dataclass(frozen=True)
class Listed:
    """One key, and the version of it that counts."""

    key: str
    first: Version | None
    """None: there are only delete markers."""
    versions: int
    markers: int


def by_key(store: WormStore, prefix: str) -> Iterator[Listed]:
    """Every key that begins with `prefix`, in order."""
    for key, versions in groupby(store.versions(prefix), key=lambda each: each.key):
        first, stored, markers = None, 0, 0
        for each in versions:
            if each.marker:
                markers += 1
            else:
                first, stored = each, stored + 1
        yield Listed(key, first, stored, markers)


@dataclass(frozen=True)
class Census:
    """What there is, before any of it is read."""

    objects: int
    batch_bytes: int


def take_census(store: WormStore, log: str, findings: Findings) -> Census:
    """Pass over every name of a trail: foreign ones, further versions and delete markers are found."""
    top, objects, size = folder_of(log), 0, 0
    for each in by_key(store, top):
        name, where = read_name(each.key), each.key.removeprefix(top)
        if name is None:
            findings.add(Kind.WARNING, where, "no trail has an object of this name")
            continue
        objects += 1
        if each.markers:
            findings.add(Kind.WARNING, where, "a delete marker hides it; the version below still counts")
        if each.versions > 1:
            findings.add(Kind.WARNING, where, f"{each.versions} versions of it, of which the first counts")
        if name.what is What.BATCH and each.first is not None:
            size += each.first.size
    return Census(objects, size)


def logs_in(store: WormStore, root: str) -> list[str]:
    """The ids of the trails below `root`, found by the notes that introduce their keys."""
    return sorted({name.log for each in store.versions(root) if (name := read_name(each.key)) is not None})
