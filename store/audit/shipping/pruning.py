"""The beginning of a trail, removed from a folder once its locks are over.

Laws: what goes is a whole prefix, batch and manifest of each number, so that what is left proves itself from its first
frontier on, and a verifier says which manifests are missing before it. Notes of keys and policies and all checkpoints
stay: they speak of what is left, or are what somebody kept. Nothing goes that is locked or held; nothing that the
newest checkpoint ends with; and nothing that a lost ledger could not be made anew without: what the log's own beginning
does not know of yet, and the newest start of the store, which says what arguments are hidden.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from store.audit.objects.batches import expand, lines_of
from store.audit.objects.layout import Malformed, Name, What, folder_of, manifest_name, read_name
from store.audit.objects.manifest import Manifest, read_manifest
from store.engine.state import EpochRecord
from store.env.worm import NoSuchVersion, WormStore
from store.ids import Epoch, Offset, Timestamp
from store.upkeep.lineage import go_on

_START: Final = b'"operation":"start"'
"""In the line of an event that may tell of a start."""


class _Told(msgspec.Struct):
    kind: str


class _Event(msgspec.Struct):
    unmapped: _Told


_decode: Final = msgspec.json.Decoder(_Event).decode


class Folder(WormStore, Protocol):
    """A write-once store from which may be removed what is not locked any more."""

    def remove(self, key: str) -> None:
        """Remove an object with all its versions. Protected: a lock or a hold forbids it."""
        ...


@dataclass(frozen=True)
class Prefix:
    """The beginning of a trail that may go."""

    manifests: tuple[Manifest, ...]
    """Of the batches, from the first that is there on."""
    left_over: tuple[str, ...]
    """Objects from before them, of a removal that was cut short."""
    why: str
    """What keeps the next one, for people."""

    @property
    def events(self) -> int:
        """How many go."""
        return sum(each.count for each in self.manifests)


def prunable(store: WormStore, log: str, *, epochs: Sequence[EpochRecord], after: Offset, now: Timestamp) -> Prefix:
    """What may go. `epochs` and `after`: the log's line, and behind which offset its own beginning lets a trail begin.

    Malformed: an object of the prefix is not what it should be: then nothing may. WormErrors.
    """
    numbers = [name.number for name in _names(store, log, "manifest") if name.what is What.MANIFEST]
    sizes = [name.number for name in _names(store, log, "checkpoint") if name.what is What.CHECKPOINT]
    cut = []
    while numbers and not _is_there(store, manifest_name(log, numbers[0])):
        cut.append(manifest_name(log, numbers.pop(0)))
    if not numbers or not sizes:
        return Prefix((), (), "there is no checkpoint")
    found: list[Manifest] = []
    why = "it is the newest"
    for number in numbers[:-1]:
        manifest = read_manifest(store.get(manifest_name(log, number)))
        if (reason := _kept(store, manifest, epochs, after, max(sizes), now)) is not None:
            why = f"batch {number}: {reason}"
            break
        found.append(manifest)
    last_start = _newest_start(store, log, numbers) if found else None
    while found and (last_start is None or found[-1].batch >= last_start):
        why = f"batch {found.pop().batch}: no start of the store is told behind it"
    before = found[0].batch if found else numbers[0]
    return Prefix(tuple(found), (*cut, *_left_over(store, log, before, now)), why)


def prune(store: Folder, log: str, prefix: Prefix, *, progress: Callable[[int], None]) -> None:
    """Remove it, the oldest first; `progress` is told batches. WormErrors: what is left is still a whole trail."""
    for key in prefix.left_over:
        store.remove(key)
    for count, manifest in enumerate(prefix.manifests, start=1):
        store.remove(manifest_name(log, manifest.batch))
        store.remove(manifest.key)
        progress(count)


def _kept(
    store: WormStore, manifest: Manifest, epochs: Sequence[EpochRecord], after: Offset, size: int, now: Timestamp
) -> str | None:
    """Why this batch must stay; None: it need not."""
    if manifest.size_after >= size:
        return "the newest checkpoint ends with it, or before it"
    epoch, _, last = manifest.ranges[-1]
    told = go_on(epochs, {Epoch(bytes.fromhex(epoch)): Offset(last)})
    if told is None or told > after:
        return f"the log itself still begins before what it tells (offset {last})"
    for key in (manifest_name(manifest.log, manifest.batch), manifest.key):
        if (reason := _locked(store, key, now)) is not None:
            return reason
    return None


def _names(store: WormStore, log: str, kind: str) -> list[Name]:
    """The names of one kind of objects, sorted."""
    keys = {each.key for each in store.versions(f"{folder_of(log)}{kind}/")}
    return [name for key in sorted(keys) if (name := read_name(key)) is not None]


def _locked(store: WormStore, key: str, now: Timestamp) -> str | None:
    for each in store.versions_of(key):
        if each.marker:
            continue
        try:
            lock = store.lock_of(key, each.version_id)
        except NoSuchVersion:  # Its bytes are gone: a removal was cut short. Who removes looks at its lock once more.
            continue
        if lock.legal_hold or lock.event_hold:
            return f"{key} is under a hold"
        if lock.retain_until is None or lock.retain_until >= now:
            return f"{key} is locked"
    return None


def _newest_start(store: WormStore, log: str, numbers: Sequence[int]) -> int | None:
    """The newest batch that tells of a start; None: there is none."""
    for number in reversed(numbers):
        manifest = read_manifest(store.get(manifest_name(log, number)))
        lines = lines_of(expand(store.get(manifest.key)))
        if any(_START in line and _decode(line).unmapped.kind == "lifecycle" for line in lines):
            return number
    return None


def _is_there(store: WormStore, key: str) -> bool:
    """Whether it has bytes, and not only what was noted of them."""
    try:
        store.get(key)
    except NoSuchVersion:
        return False
    return True


def _left_over(store: WormStore, log: str, before: int, now: Timestamp) -> Iterator[str]:
    """Batches without a manifest from before the first that has one."""
    for each in list(store.versions(f"{folder_of(log)}batch/")):
        name = read_name(each.key)
        if name is not None and name.what is What.BATCH and name.number < before:
            if (reason := _locked(store, each.key, now)) is not None:
                raise Malformed(f"{each.key} has no manifest, and may not go: {reason}")
            yield each.key
