"""A part of a trail, to be carried away whole: what belongs to it, and what the store says of each object.

Laws: keys, policies, checkpoints and manifests go all, batches as they are asked for, so whoever has the export can
verify it as they would the store. Only names that a trail has are taken. What the store says of versions and locks goes
as its word: the bytes of every version, and a note beside each object as a write-once folder has it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import groupby
from typing import Any, Final

import msgspec

from store.audit.objects.layout import What, folder_of, read_name
from store.env.worm import LOCK_SUFFIX, Lock, NoSuchVersion, Version, WormStore
from store.ids import Timestamp

_VERSION_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
"""Of a version whose bytes get a file of their own name."""


@dataclass(frozen=True)
class File:
    """One file of an export."""

    name: str
    data: bytes


def files_of(store: WormStore, log: str, *, first_batch: int, last_batch: int, with_locks: bool) -> Iterator[File]:
    """Every file of a trail's export, with the batches `first_batch` to `last_batch`. WormError: it cannot be read.

    `with_locks`: the store keeps versions and locks; a note of them goes with each object.
    """
    for key, listed in groupby(store.versions(folder_of(log)), key=lambda each: each.key):
        name, versions = read_name(key), list(listed)
        if name is None or (name.what is What.BATCH and not first_batch <= name.number <= last_batch):
            continue
        yield from _files(store, key, versions, with_locks=with_locks)


def _files(store: WormStore, key: str, versions: list[Version], *, with_locks: bool) -> Iterator[File]:
    """The oldest version under the key, others beside it."""
    stored = [each for each in versions if not each.marker]
    said = []
    for version in versions:
        data, lock = b"", None
        if not version.marker:
            try:
                data = store.get(key, version.version_id)
                lock = store.lock_of(key, version.version_id) if with_locks else None
            except NoSuchVersion:  # Its bytes are gone, and so they are from the export.
                continue
            if version is stored[-1]:
                yield File(key, data)
            elif _VERSION_ID.fullmatch(version.version_id):
                yield File(f"{key}@{version.version_id}", data)
        said.append(_note(version, lock, data))
    if with_locks:
        yield File(f"{key}{LOCK_SUFFIX}", msgspec.json.encode({"v": 1, "versions": said}))


def _note(version: Version, lock: Lock | None, data: bytes) -> dict[str, Any]:
    return {
        "version_id": version.version_id,
        "size": version.size,
        "sha256": (lock.sha256 if lock is not None else None) or sha256(data).hexdigest(),
        "stored_at": _moment(version.stored_at),
        "marker": version.marker,
        "latest": version.latest,
        "mode": None if lock is None else lock.mode,
        "retain_until": None if lock is None or lock.retain_until is None else _moment(lock.retain_until),
        "legal_hold": None if lock is None else lock.legal_hold,
        "event_hold": None if lock is None else lock.event_hold,
    }


def _moment(timestamp: Timestamp) -> str:
    seconds, rest = divmod(int(timestamp), 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + (f".{rest:06d}Z" if rest else "Z")
