"""Letting go what a backup does not need any more, by the rules by which a directory lets go of snapshots and log.

Laws: every history in it keeps its two newest snapshots, whatever is promised of it, and the log behind those, and all
that its pins hold; nothing goes that any history needs, and no block that a manifest refers to which stays. What goes
was not needed for a named grace: by what lies there now, and by what lay there then. The notes are written anew before
anything is removed, so that nothing is missed afterwards; what was not removed in the end is found again. What the
store holds under a lock is told of, and is no error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from store.backup.branches import Branch, branches, segment_of, snapshot_of
from store.backup.bucket import Bucket, open_bucket
from store.backup.contents import Contents, read_contents, read_entry, read_manifest
from store.backup.facts import block_files
from store.backup.index import Entry, replace_notes, write_note
from store.backup.keys import OperatorKey
from store.backup.layout import moment_of
from store.backup.options import BackupOptions
from store.backup.pins import PIN, BackupPin, read_pins, take_away
from store.backup.view import segments_of
from store.env.world import Clock, Entropy, ObjectStore
from store.errors import CorruptionError, DirectoryError
from store.ids import Offset, Timestamp
from store.log.survey import SegmentInfo, runs
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Pin
from store.upkeep.holdings import Holdings, SnapshotFacts
from store.upkeep.retention import RetentionPlan, plan_retention

Progress = Callable[[str, int, int], None]
"""Told ("reading manifests" or "removing objects", objects done, objects in all)."""
READING, REMOVING = "reading manifests", "removing objects"

ATTEMPTS_MAX: Final = 5
"""How often it is decided anew because a pin came meanwhile."""
_SNAPSHOT, _MANIFEST = "snapshot/", ".json"


@dataclass(frozen=True)
class HistoryPlan:
    """One history of a backup: from where on it stays restorable, and why what stays does."""

    epoch: str
    floor: Offset
    """Its log is needed behind this offset."""
    floors: Mapping[str, Offset]
    kept: Mapping[str, tuple[str, ...]]
    """By object, the reasons."""


@dataclass
class BackupPruned:
    """What went, or would have gone; objects by name."""

    url: str
    dry_run: bool
    snapshots: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)
    blocks: int = 0
    bytes: int = 0
    """Of all of these, as they were stored; notes are not counted."""
    retained: list[str] = field(default_factory=list)
    """What the store did not let go: it is under a lock, and stays for so long."""
    notes: int = 0
    """Notes of pushes that a later note repeats."""
    waiting: int = 0
    """Snapshots and segments that are not needed, and have their grace."""
    unread: dict[str, str] = field(default_factory=dict)
    """Manifests that do not read, and why: while there is one, no block goes, for nobody knows which ones it needs."""
    pins: list[str] = field(default_factory=list)
    """Pins whose time is over."""
    histories: list[HistoryPlan] = field(default_factory=list)


def prune(
    objects: ObjectStore,
    *,
    clock: Clock,
    entropy: Entropy,
    options: BackupOptions,
    key: OperatorKey | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> BackupPruned:
    """Let go by the keep_ options. NotRestorable: no backup is there. DirectoryError: the key is not its, or newer.

    CorruptionError: a note does not read, so that it cannot be written anew, or a pin, so that nobody knows what it
    holds. OSError: the store cannot be reached;
    whatever was done until then leaves a whole backup, and the next prune goes on.
    """
    contents = read_contents(open_bucket(objects, key))
    for name, why in contents.index.troubles.items():
        raise CorruptionError(
            f"a note of this backup does not read, so nothing is removed ({why})",
            file=name,
            position=0,
            hint="Remove that object: what it said is read anew. Then prune again",
        )
    for _ in range(ATTEMPTS_MAX):
        pins = read_pins(contents.bucket)
        report = BackupPruned(objects.url, dry_run)
        run = _Prune(contents, pins, clock, entropy, options, progress or _silent, report)
        run.decide()
        if dry_run or pins.keys() >= set(contents.bucket.objects.names(PIN)):
            break  # Else a pin came, which may need what was going to go.
    if not dry_run:
        run.carry_out()
    return run.report


@dataclass
class _Prune:
    """One prune: decided by what is there, then carried out."""

    contents: Contents
    pins: Mapping[str, BackupPin]
    clock: Clock
    entropy: Entropy
    options: BackupOptions
    told: Progress
    report: BackupPruned
    going: list[Entry] = field(default_factory=list)
    """Snapshots and segments."""
    orphans: list[Entry] = field(default_factory=list)
    """Blocks."""
    strays: list[str] = field(default_factory=list)
    """Blocks that no manifest needs which stays, and no note mentions."""
    repeated: list[str] = field(default_factory=list)
    """Notes."""

    @property
    def bucket(self) -> Bucket:
        """The backup."""
        return self.contents.bucket

    def decide(self) -> None:
        """What goes."""
        now = self.clock.wall()
        then = Timestamp(now - int(self.options.grace_s * 1_000_000))
        snapshots = [each for each in self.contents.entries.values() if each.snapshot is not None]
        blocks = self._blocks_of(each.object for each in snapshots)
        whole = {name for name, needed in blocks.items() if needed <= self.contents.index.names}
        keeping: set[str] = set()
        unneeded_now: dict[str, Entry] = {}
        unneeded_then: set[str] = set()
        for branch in branches(self.contents.entries.values()):
            plan = self._plan(branch, now, whole)
            earlier = self._plan(
                branch, then, {each.object for each in snapshots if self._noted_by(each, then)} & whole
            )
            names = _objects(branch)
            going = _going(plan, names)
            unneeded_now |= {name: self.contents.entries[name] for name in going}
            unneeded_then |= going & _going(earlier, names)
            keeping |= (set(names.values()) - going) | (going - _going(earlier, names))
            self.report.histories.append(_history(branch, plan, names))
        gone = [each for name, each in sorted(unneeded_now.items()) if name in unneeded_then - keeping]
        self.going = sorted(gone, key=lambda each: each.snapshot is None)  # Manifests, then log from its beginning.
        self.report.waiting = len(unneeded_now) - len(self.going)
        self._decide_blocks(blocks, then)
        self.report.pins = [name for name, each in self.pins.items() if each.until is not None and each.until <= now]
        self.repeated = [name for name in self.contents.index.covered if moment_of(name) <= then]
        self._count()

    def _plan(self, branch: Branch, now: Timestamp, usable: set[str]) -> RetentionPlan:
        """What retention says of one history at a moment, resting on these of its snapshots."""
        log = segments_of(branch)
        options = SnapshotOptions(
            keep_last=self.options.keep_last,
            keep_daily=self.options.keep_daily,
            keep_for_s=self.options.keep_for_s,
            grace_s=0.0,
        )
        found = tuple(_facts(each, branch, log, usable) for each in branch.snapshots)
        pins = {
            f"{each.name} of epoch {each.epoch[:8]}": Pin(each.offset, each.reason, each.until, "pin")
            for each in self.pins.values()
            if each.holds_in(branch)
        }
        holdings = Holdings(found, (), (), tuple(log), pins=pins, condemned={})
        return plan_retention(now, holdings, options)

    def _noted_by(self, entry: Entry, then: Timestamp) -> bool:
        """Whether it lay there at that moment; of what no note mentions nobody knows."""
        at = self.contents.index.noted.get(entry.object)
        return at is not None and at <= then

    def _blocks_of(self, names: Iterable[str]) -> dict[str, frozenset[str]]:
        """The objects that each manifest refers to. What does not read is noted."""
        found, wanted = {}, sorted(names)
        for done, name in enumerate(wanted):
            self.told(READING, done, len(wanted))
            try:
                manifest = read_manifest(self.bucket, name, self.bucket.get(name))
            except (CorruptionError, DirectoryError) as error:
                self.report.unread[name] = str(error)
                continue
            except FileNotFoundError:
                continue  # Removed meanwhile.
            found[name] = frozenset(self.bucket.block_object(digest) for digest, _ in block_files(manifest))
        self.told(READING, len(wanted), len(wanted))
        return found

    def _decide_blocks(self, blocks: Mapping[str, frozenset[str]], then: Timestamp) -> None:
        """Those that no manifest needs which stays, if they were unneeded long enough, or went with a snapshot."""
        going = {each.object for each in self.going}
        refused = {name for name in self.contents.refused if name.startswith(_SNAPSHOT)}
        if (self.report.unread.keys() | refused) - going:
            return
        needed = {block for name, each in blocks.items() if name not in going for block in each}
        went = {block for name, each in blocks.items() if name in going for block in each}
        self.strays = [name for name in self.contents.index.unindexed(("block",)) if name not in needed]
        for name, entry in sorted(self.contents.entries.items()):
            old = name in went or self._noted_by(entry, then)
            if name.startswith("block/") and name not in needed and old:
                self.orphans.append(entry)

    def _count(self) -> None:
        report = self.report
        report.snapshots = [each.object for each in self.going if each.snapshot is not None]
        report.segments = [each.object for each in self.going if each.segment is not None]
        report.blocks = len(self.orphans)
        report.notes = len(self.repeated)
        report.bytes = sum(each.stored for each in (*self.going, *self.orphans))

    def carry_out(self) -> None:
        """Notes first, then manifests and log, then blocks: what is left always leads on. Last what notes repeat."""
        if self.going or self.orphans:
            self._let_go()
        self._note_strays()
        for name in list(self.report.pins):
            if not take_away(self.bucket, name):
                self.report.pins.remove(name)
                self.report.retained.append(name)
        for name in list(self.repeated):
            try:
                with suppress(FileNotFoundError):
                    self.bucket.objects.remove(name)
            except PermissionError:
                self.repeated.remove(name)
                self.report.retained.append(name)
        self.report.notes = len(self.repeated)

    def _note_strays(self) -> None:
        """Blocks that no note mentions: from now on it is known since when they lie there, so that they go one day.

        A prune that was killed leaves such, and so does a push.
        """
        found = []
        for name in self.strays:
            with suppress(FileNotFoundError, CorruptionError, DirectoryError):  # What does not read, a check names.
                found.append(read_entry(self.bucket, name))
        if found:
            index = self.contents.index
            index.pushes = tuple(self.bucket.objects.names("push/"))
            write_note(self.bucket, index, found, at=self.clock.wall(), entropy=self.entropy)

    def _let_go(self) -> None:
        """What nothing needs."""
        index, now = self.contents.index, self.clock.wall()
        going = {each.object for each in (*self.going, *self.orphans)}
        left = [entry for name, entry in index.entries.items() if name not in going]
        if index.pushes:
            replace_notes(self.bucket, index, (*left, *index.missing), at=now, entropy=self.entropy)
        total = len(self.going) + len(self.orphans)
        stayed = self._remove(self.going, 0, total)
        self._spare_what_came(stayed)
        stayed += self._remove(self.orphans, len(self.going), total)
        self.told(REMOVING, total, total)
        self._count()
        self.report.retained = [each.object for each in stayed]
        self.report.bytes -= sum(each.stored for each in stayed)
        if stayed:  # Else every reader would read them to know what they are.
            index.pushes = tuple(name for name in self.bucket.objects.names("push/"))
            write_note(self.bucket, index, stayed, at=now, entropy=self.entropy)

    def _remove(self, entries: Sequence[Entry], before: int, total: int) -> list[Entry]:
        """Returns those that the store does not let go."""
        stayed = []
        for done, entry in enumerate(entries):
            self.told(REMOVING, before + done, total)
            try:
                with suppress(FileNotFoundError):
                    self.bucket.objects.remove(entry.object)
            except PermissionError:
                stayed.append(entry)
        return stayed

    def _spare_what_came(self, stayed: Sequence[Entry]) -> None:
        """Blocks stay that a manifest needs which was pushed meanwhile, or is under a lock."""
        known = {name for name in self.contents.entries if name.startswith(_SNAPSHOT)}
        came = set(self.bucket.objects.names(_SNAPSHOT)) - known
        needed = self._blocks_of({*came, *(each.object for each in stayed if each.snapshot is not None)})
        spared = {block for each in needed.values() for block in each}
        self.orphans = [] if self.report.unread else [each for each in self.orphans if each.object not in spared]


def _objects(branch: Branch) -> dict[str, str]:
    """The objects of a history by the names that retention knows them by."""
    names = {f"log/{segment_of(each).first:020d}.log": each.object for each in branch.segments}
    return names | {_name(each): each.object for each in branch.snapshots}


def _name(snapshot: Entry) -> str:
    return snapshot.object.removesuffix(_MANIFEST)


def _facts(entry: Entry, branch: Branch, log: Sequence[SegmentInfo], usable: set[str]) -> SnapshotFacts:
    facts = snapshot_of(entry)
    alone = sum(snapshot_of(each).offset == facts.offset for each in branch.snapshots) == 1
    within = any(run[0].first_offset - 1 <= facts.offset <= run[-1].whole_offset for run in runs(list(log)))
    return SnapshotFacts(
        name=_name(entry).removeprefix(_SNAPSHOT),
        offset=facts.offset,
        timestamp=facts.timestamp,
        chain=bytes.fromhex(facts.chain),
        verified=entry.object in usable,
        fits=within and alone,  # Of several at one offset only the log knows which is its own: none is rested on.
    )


def _going(plan: RetentionPlan, names: Mapping[str, str]) -> set[str]:
    """The objects that a plan lets go."""
    files = (*plan.remove_segments, *(f"{_SNAPSHOT}{name}" for name in plan.remove_snapshots))
    return {names[each] for each in files}


def _history(branch: Branch, plan: RetentionPlan, names: Mapping[str, str]) -> HistoryPlan:
    kept = {names[name]: why for name, why in plan.kept.items() if name in names}
    return HistoryPlan(branch.epoch, plan.floor, dict(plan.floors), kept)


def _silent(_phase: str, _done: int, _total: int) -> None:
    """Tells nobody."""
