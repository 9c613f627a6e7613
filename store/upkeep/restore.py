"""Any moment of a store, in a new directory: planned, made, then marked as one that opens a new epoch.

Laws: the source is only read. The new directory gets its marker last, once everything in it is durable and was proven
(making.py). It is the same store: whoever knew it goes on with it, in another epoch.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from store.engine.directory import abandon, mark
from store.engine.loading import PassedOver
from store.env.world import Clock, Disk, Entropy
from store.ids import Offset
from store.upkeep.history import Stretch, look
from store.upkeep.making import Making, PlannedFile, Progress, Restored, files_of, stretch_of
from store.upkeep.ranges import Moment, Target, moment, resolve_in

REASON: Final = "restore"
"""Why an epoch opens with the first start of what was restored."""
BASES_HELD: Final = 2
"""How many snapshots a restore holds that it may begin with."""


@dataclass(frozen=True)
class RestorePlan:
    """What restoring a moment would read and write."""

    moment: Moment
    files: tuple[PlannedFile, ...]
    bytes: int
    gaps: tuple[tuple[Offset, Offset], ...]
    """Offsets that no segment of the source holds: (first, last). None of them is needed for this moment."""
    passed_over: tuple[PassedOver, ...]
    """Snapshots that cannot be used."""
    needs_from: Offset
    """What lies behind this offset is needed, and the snapshot at it: the base before the one in use, where there is
    one, in case this one turns out damaged; 0 for the whole log."""


def plan(source: Disk, target: Target | Moment) -> RestorePlan:
    """What `restore` would do. Nothing is written, and nothing but headers and manifests is read.

    NotRestorable: the target means no moment that can be restored.
    """
    history = look(source)
    chosen = target if isinstance(target, Moment) else resolve_in(history, target)
    stretch = stretch_of(history, chosen)
    files = files_of(source, stretch, stretch.base_of(chosen.offset), chosen.offset)
    return RestorePlan(
        moment=moment(history, stretch, chosen.offset),
        files=tuple(files),
        bytes=sum(each.size for each in files),
        gaps=history.gaps,
        passed_over=history.refused,
        needs_from=_needs_from(stretch, chosen.offset),
    )


def _needs_from(stretch: Stretch, offset: Offset) -> Offset:
    *_, last = islice(stretch.bases_of(offset), BASES_HELD)
    return Offset(0) if last is None else last.offset


def restore(
    source: Disk,
    into: Disk,
    chosen: Moment,
    *,
    clock: Clock,
    entropy: Entropy,
    progress: Progress | None = None,
    note: Callable[[Restored], None] | None = None,
) -> Restored:
    """Make the moment a directory of its own, which opens a new epoch at its first start.

    `note` is called when all is made and proven, before the marker: what it leaves in `into` is there from the start.
    NotRestorable: the source does not lead there any more. CorruptionError: it is damaged on the way. DirectoryError:
    `into` is not empty, or has no room. OSError: a disk failed. After any of these `into` is empty or refused as half
    made, and the same call begins anew.
    """
    began = clock.monotonic()
    making = Making(source, into, chosen, REASON, clock, entropy, progress or _silent)
    try:
        restored = making.make_from_any()
    except Exception:
        with suppress(OSError):
            abandon(into)
        raise
    if note is not None:
        note(restored)
    mark(into, opens=REASON)
    return replace(restored, seconds=clock.monotonic() - began)


def _silent(_phase: str, _done: int, _total: int) -> None:
    """Tells nobody."""
