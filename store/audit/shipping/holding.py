"""A legal hold on a trail: nothing of it can be removed until it is lifted, whatever becomes of the locks.

Laws: a hold is put on versions, so it is put again on what is stored later. It needs other credentials than shipping
does, on purpose. What is held is read back.
"""

from collections.abc import Callable
from dataclasses import dataclass

from store.audit.objects.layout import What, folder_of, read_name
from store.env.worm import Misconfigured, Version, WormStore


@dataclass(frozen=True)
class Held:
    """What was looked at."""

    versions: int
    """Under the hold now, or free of it."""
    changed: int
    """That were not before."""


def hold_trail(
    store: WormStore, log: str, *, on: bool, first: int = 0, last: int | None = None, progress: Callable[[int], None]
) -> Held:
    """Put a hold on every version of the trail, or lift it. WormErrors; what was done before one stays done.

    `first`, `last`: only what is needed to prove these events: their batches and manifests; checkpoints and keys are
    always held. `progress` is told versions looked at.
    """
    numbers = _batches(store, log, first, last)
    seen = changed = 0
    for version in store.versions(folder_of(log)):
        if version.marker or not _is_meant(version, numbers):
            continue
        if store.lock_of(version.key, version.version_id).legal_hold is not on:
            store.hold(version.key, version.version_id, on=on)
            changed += 1
            if store.lock_of(version.key, version.version_id).legal_hold is not on:
                raise Misconfigured(
                    f"{version.key} in {store.url} does not say that its hold is {'on' if on else 'off'}",
                    hint="Does this server implement legal holds, and may you see them (s3:GetObjectLegalHold)?",
                )
        seen += 1
        progress(seen)
    return Held(seen, changed)


def _batches(store: WormStore, log: str, first: int, last: int | None) -> set[int] | None:
    """The numbers of the batches that hold any of these events; None: all."""
    if first == 0 and last is None:
        return None
    names = (read_name(each.key) for each in store.versions(f"{folder_of(log)}batch/"))
    return {
        name.number
        for name in names
        if name is not None and name.last >= first and (last is None or name.first <= last)
    }


def _is_meant(version: Version, numbers: set[int] | None) -> bool:
    name = read_name(version.key)
    if numbers is None or name is None or name.what not in {What.BATCH, What.MANIFEST}:
        return True
    return name.number in numbers
