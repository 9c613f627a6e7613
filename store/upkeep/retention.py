"""What may go: old log, old snapshots and their blocks. First a plan, which changes nothing; then it is carried out.

Laws: the log stays back to the second-newest verified snapshot, to the newest one that is as old as the retention
window, and to every pin, lease and cursor. The two newest verified snapshots stay, and one for each part of the window,
so that one of them is old enough some day; and so does the only way to any promised moment. Nothing goes before its
grace: what became unneeded is noted first (condemned.json), because somebody may be copying the directory. A crash
anywhere in here leaves a directory that opens.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from store.env.world import Disk
from store.errors import DirectoryError
from store.ids import Offset, Timestamp
from store.log.format import FOLDER as LOG
from store.log.survey import SegmentInfo, runs
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Pin, Repository
from store.upkeep.holdings import Holdings, SnapshotFacts, blocks_of, survey, write_condemned

__all__ = ["Pruned", "RetentionPlan", "carry_out", "plan_retention", "prune", "survey"]

SNAPSHOT_LOCK: Final = "snapshot"
"""The folder that whoever takes, imports or lets go holds alone."""
WINDOW_PARTS: Final = 4
"""Parts of the retention window that each keep a snapshot: the log's floor moves on from one to the next. More parts
keep more snapshots and less log: up to two parts' worth beyond the window."""
SHORTER_GRACES: Final = (0.5, 0.25, 0.1, 0.0)
"""Parts of the grace that are left of it where the disk is full: the first by which enough goes."""
ATTEMPTS_MAX: Final = 5
"""How often a plan is made anew because a pin came meanwhile."""

CURSOR: Final = "cursor"
LEASE: Final = "lease"

ProgressCallback = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RetentionPlan:
    """What goes and what stays, and why. Files are named with their folder."""

    at: Timestamp
    remove_snapshots: tuple[str, ...]
    """By name."""
    remove_segments: tuple[str, ...]
    remove_pins: tuple[str, ...]
    """Leases that ran out long ago."""
    condemned: Mapping[str, Timestamp]
    """What is not needed and has its grace, and since when."""
    kept: Mapping[str, tuple[str, ...]]
    """What stays, and why."""
    floors: Mapping[str, Offset]
    """Who needs the log from where on: everything behind the offset stays."""
    collect: bool
    """Whether blocks that no snapshot refers to go, too: not while a manifest cannot be read."""
    pins: Mapping[str, Pin]
    """The pins it was made for."""
    due: Timestamp | None
    """When the next thing has served its grace."""

    @property
    def floor(self) -> Offset:
        """The log is needed behind this offset."""
        return min(self.floors.values(), default=Offset(0))


@dataclass(frozen=True)
class Pruned:
    """What went, or would have gone."""

    snapshots: tuple[str, ...]
    segments: tuple[str, ...]
    pins: tuple[str, ...]
    blocks: int
    bytes: int
    """Of all of these."""
    floor: Offset
    waiting: int
    """Snapshots and segments that have their grace."""
    due: Timestamp | None
    dry_run: bool


def prune(
    disk: Disk,
    *,
    now: Timestamp,
    options: SnapshotOptions,
    free_min: int = 0,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> Pruned:
    """Let go what is not needed any more, beside a store that runs or not. `now` is the wall clock's.

    While less than `free_min` bytes of disk are free, the grace is shortened to what wins them; what is promised,
    pinned or leased stays all the same.

    DirectoryError where somebody takes a snapshot right now; CorruptionError where the log's headers are damaged.
    """
    if dry_run:
        return carry_out(disk, _plan(disk, now, options, free_min), dry_run=True)
    disk.lock(SNAPSHOT_LOCK)
    try:
        for _ in range(ATTEMPTS_MAX - 1):
            plan = _plan(disk, now, options, free_min)
            if Repository(disk).pins() == plan.pins:
                return carry_out(disk, plan, progress=progress)
        return carry_out(disk, _plan(disk, now, options, free_min), progress=progress)
    finally:
        disk.unlock(SNAPSHOT_LOCK)


def _plan(disk: Disk, now: Timestamp, options: SnapshotOptions, free_min: int) -> RetentionPlan:
    """By the grace that is wanted, or the longest of some shorter ones by which enough of the log goes."""
    holdings = survey(disk)
    plan = plan_retention(now, holdings, options)
    lacking = free_min - disk.free_bytes()
    for part in SHORTER_GRACES if lacking > 0 else ():
        going = set(plan.remove_segments)
        if sum(each.size for each in holdings.segments if each.name in going) >= lacking:
            break  # What goes of snapshots comes on top.
        plan = plan_retention(now, holdings, replace(options, grace_s=options.grace_s * part))
    return plan


def plan_retention(now: Timestamp, holdings: Holdings, options: SnapshotOptions) -> RetentionPlan:
    """Decide. The same holdings at the same moment give the same plan; nothing is looked at or changed."""
    bases = [each for each in holdings.snapshots if each.base]
    grace = int(options.grace_s * 1_000_000)
    pins = {name: pin for name, pin in holdings.pins.items() if pin.until is None or pin.until > now}
    needs = _needs(now, holdings, bases, pins, options)
    # A lease holds back what goes, not the grace: else readers that follow each other would put it off for ever.
    lasting = _needs(now, holdings, bases, {name: pin for name, pin in pins.items() if pin.kind != LEASE}, options)

    condemned = {file: min(since, now) for file, since in holdings.condemned.items()}
    since = {f"snapshot/{name}": condemned.get(f"snapshot/{name}", now) for name in lasting.snapshots}
    since |= {each.name: condemned.get(each.name, now) for each in lasting.segments}
    served = {file for file, moment in since.items() if moment + grace <= now}
    remove_segments = []
    for each in needs.segments:  # From the oldest on: the log stays without a gap.
        if each.name not in served:
            break
        remove_segments.append(each.name)
    remove_snapshots = tuple(name for name in needs.snapshots if f"snapshot/{name}" in served)
    gone = {*remove_segments, *(f"snapshot/{name}" for name in remove_snapshots)}
    waiting = {file: moment for file, moment in since.items() if file not in gone}
    return RetentionPlan(
        at=now,
        remove_snapshots=remove_snapshots,
        remove_segments=tuple(remove_segments),
        remove_pins=tuple(
            name
            for name, pin in sorted(holdings.pins.items())
            if pin.kind == LEASE and pin.until is not None and pin.until + grace <= now
        ),
        condemned=waiting,
        kept=needs.kept,
        floors=needs.floors,
        collect=not holdings.newer and set(holdings.damaged) <= set(remove_snapshots),
        pins=holdings.pins,
        due=min((Timestamp(moment + grace) for file, moment in waiting.items() if file not in served), default=None),
    )


def carry_out(
    disk: Disk, plan: RetentionPlan, *, dry_run: bool = False, progress: ProgressCallback | None = None
) -> Pruned:
    """Do what the plan says; the caller holds the lock of `snapshot/`. A crash at any point leaves what opens.

    DirectoryError where a pin came since the plan was made: plan anew. OSError where the disk fails, or is so full that
    not even the note of what waits can be written; what was to go is gone then.
    """
    repository = Repository(disk)
    if repository.pins() != plan.pins:
        raise DirectoryError("pins have changed since this was planned", hint="Plan again: some pin may need more")
    told = progress or _nobody
    removed = set(plan.remove_snapshots)
    size = sum(_size(disk, file) for file in (*plan.remove_segments, *_snapshot_files(disk, plan.remove_snapshots)))
    staying = [repository.manifest(name) for name in repository.names() if name not in removed] if plan.collect else []
    needed = {file for manifest in staying for file in blocks_of(manifest)}
    orphans = [name for name in disk.names("block") if name.removesuffix(".blk") not in needed] if plan.collect else []
    size += sum(_size(disk, f"block/{name}") for name in orphans)
    if not dry_run:
        # Manifests go before the blocks they refer to, and old log from its beginning: what is left always leads on.
        repository.remove(plan.remove_snapshots)
        for place, name in enumerate(plan.remove_segments):
            disk.remove(name)
            disk.sync_directory(LOG)
            told("removing log", place + 1, len(plan.remove_segments))
        if plan.collect:
            repository.collect(needed)
        for name in plan.remove_pins:
            repository.unpin(name)
        write_condemned(disk, plan.condemned)
    return Pruned(
        snapshots=plan.remove_snapshots,
        segments=plan.remove_segments,
        pins=plan.remove_pins,
        blocks=len(orphans),
        bytes=size,
        floor=plan.floor,
        waiting=len(plan.condemned),
        due=plan.due,
        dry_run=dry_run,
    )


# How the plan is made.


@dataclass(frozen=True)
class _Needs:
    """What is needed for some reason, and what for none."""

    floors: Mapping[str, Offset]
    kept: Mapping[str, tuple[str, ...]]
    segments: Sequence[SegmentInfo]
    """Unneeded, from the oldest on."""
    snapshots: Sequence[str]
    """Unneeded, by name."""


def _needs(
    now: Timestamp,
    holdings: Holdings,
    bases: Sequence[SnapshotFacts],
    pins: Mapping[str, Pin],
    options: SnapshotOptions,
) -> _Needs:
    floors = _floors(now, bases, pins, options)
    floor = min(floors.values())
    unneeded = _unneeded_segments(holdings.segments, bases, floor)
    needed = holdings.segments[len(unneeded) :]
    reasons = _kept_snapshots(now, holdings, bases, pins, options, needed, floor)
    kept = _kept_segments(needed, floors) | {f"snapshot/{name}": tuple(why) for name, why in reasons.items()}
    names = {each.name for each in holdings.snapshots} | set(holdings.damaged)
    return _Needs(floors, kept, unneeded, sorted(names - reasons.keys()))


def _floors(
    now: Timestamp, bases: Sequence[SnapshotFacts], pins: Mapping[str, Pin], options: SnapshotOptions
) -> dict[str, Offset]:
    """Who needs the log behind which offset; 0 where no snapshot would do instead."""
    window = now - int(options.keep_for_s * 1_000_000)
    aged = [each.offset for each in bases if each.timestamp <= window]
    floors = {
        "the second-newest verified snapshot": bases[-2].offset if len(bases) > 1 else Offset(0),
        "the retention window": max(aged, default=Offset(0)),
    }
    for name, pin in pins.items():
        floors[f"{pin.kind} {name}"] = pin.offset if pin.kind == CURSOR else _base_offset(bases, pin.offset)
    return floors


def _base_offset(bases: Sequence[SnapshotFacts], offset: Offset) -> Offset:
    return max((each.offset for each in bases if each.offset <= offset), default=Offset(0))


def _unneeded_segments(
    found: Sequence[SegmentInfo], bases: Sequence[SnapshotFacts], floor: Offset
) -> Sequence[SegmentInfo]:
    """Those at the beginning that end at the floor or before. The last one is never among them."""
    at_floor = [each.chain for each in bases if each.offset == floor]
    count = 0
    for each, later in pairwise(found):
        end = later.first_offset - 1
        if not each.sealed or end > floor:
            break
        if end == floor and any(chain != later.chain_before for chain in at_floor):
            break  # Only this segment still shows that the snapshot and the log behind it belong together.
        count += 1
    return found[:count]


def _kept_segments(found: Sequence[SegmentInfo], floors: Mapping[str, Offset]) -> dict[str, tuple[str, ...]]:
    kept = {}
    for each in found:
        why = [reason for reason, offset in floors.items() if offset < each.whole_offset]
        kept[each.name] = tuple(why) or (("it is open",) if not each.sealed else ("it meets a snapshot",))
    return kept


def _kept_snapshots(
    now: Timestamp,
    holdings: Holdings,
    bases: Sequence[SnapshotFacts],
    pins: Mapping[str, Pin],
    options: SnapshotOptions,
    log: Sequence[SegmentInfo],
    floor: Offset,
) -> dict[str, list[str]]:
    """Every snapshot that stays, by name, and why."""
    reasons: dict[str, list[str]] = {}

    def keep(found: Iterable[SnapshotFacts], why: str) -> None:
        for each in found:
            reasons.setdefault(each.name, []).append(why)

    verified = [each for each in holdings.snapshots if each.verified]
    window = now - int(options.keep_for_s * 1_000_000)
    keep(bases[-2:], "one of the two newest")
    keep([each for each in bases if each.timestamp <= window][-1:], "the retention window begins behind it")
    keep(_stepping_stones(bases, window, options), "the retention window will begin behind it")
    islands = [each for each in verified if not each.fits]
    keep([each for each in islands if each.timestamp >= window], "no log leads to this moment of the window")
    for name, pin in pins.items():
        if pin.kind != CURSOR:
            base = _base_offset(bases, pin.offset)
            # A lease is short, and whoever holds it reads whatever lies behind it.
            held = [each for each in bases if each.offset == base or (pin.kind == LEASE and each.offset > base)]
            keep(held, f"{pin.kind} {name}")
            keep((each for each in holdings.snapshots if each.offset == pin.offset), f"{pin.kind} {name}")
    keep(verified[len(verified) - min(options.keep_last, len(verified)) :], "keep_last")
    keep(_daily(verified, options.keep_daily), "keep_daily")
    for run in runs(list(log)):
        begin, end = run[0].first_offset - 1, run[-1].whole_offset
        if begin > floor:
            keep([each for each in bases if begin <= each.offset <= end][:1], "the log begins behind it")
    newest = bases[-1].offset if bases else Offset(0)
    keep((each for each in holdings.snapshots if not each.verified and each.offset > newest), "not verified yet")
    keep((each for each in holdings.snapshots if not bases), "no verified snapshot goes on into the log")
    end = log[-1].whole_offset if log else Offset(0)
    keep((each for each in holdings.snapshots if each.offset > end), "it is ahead of the log")
    if len(bases) < 2:
        reasons.update({name: ["damaged, and there are no two newer ones"] for name in holdings.damaged})
    else:
        older = bases[-2].name
        reasons.update({name: ["damaged, and newer than what is sound"] for name in holdings.damaged if name > older})
    return reasons


def _stepping_stones(bases: Sequence[SnapshotFacts], window: int, options: SnapshotOptions) -> Iterable[SnapshotFacts]:
    """The oldest of each part of the window: were none kept until it is old enough, old log could never go."""
    part = max(int(options.keep_for_s * 1_000_000) // WINDOW_PARTS, 1)
    oldest: dict[int, SnapshotFacts] = {}
    for each in bases:
        if each.timestamp > window:
            oldest.setdefault(each.timestamp // part, each)
    return oldest.values()


def _daily(verified: Sequence[SnapshotFacts], days_max: int) -> list[SnapshotFacts]:
    """The newest of each of the newest days (UTC) that have one."""
    newest = {datetime.fromtimestamp(each.timestamp / 1e6, UTC).date(): each for each in verified}
    return [newest[day] for day in sorted(newest)[max(len(newest) - days_max, 0) :]]


def _snapshot_files(disk: Disk, names: Sequence[str]) -> list[str]:
    wanted = set(names)
    return [f"snapshot/{file}" for file in disk.names("snapshot") if file.partition(".")[0] in wanted]


def _size(disk: Disk, name: str) -> int:
    file = disk.open(name)
    try:
        return file.size()
    finally:
        file.close()


def _nobody(_phase: str, _done: int, _total: int) -> None:
    """Nobody wants to know."""
