"""Which histories a backup holds. Stores that were restored or copied push into one backup and part ways in it.

Laws: only chains join segments, and only an epoch joins what lies on two sides of a gap: an epoch is one unforked
history. What nothing joins is not guessed to belong together. Pure: entries in, branches out.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from store.backup.facts import SegmentFacts, SnapshotFacts
from store.backup.index import Entry
from store.errors import NotRestorable
from store.ids import Offset, Timestamp


@dataclass(frozen=True)
class Stretch:
    """Every offset from `first` to `last` can be restored."""

    first: Offset
    last: Offset
    first_time: Timestamp | None
    last_time: Timestamp | None
    bases: tuple[Offset, ...]
    """Snapshots in it."""


@dataclass(frozen=True)
class Branch:
    """One history, as far as the backup holds it; everything in the order of offsets."""

    epoch: str
    """Of its newest part, hex digits."""
    segments: tuple[Entry, ...]
    snapshots: tuple[Entry, ...]
    """Several at one offset are of histories that only the log there tells apart."""

    @property
    def offset(self) -> Offset:
        """The last it reaches."""
        ends = [facts.last for facts in map(segment_of, self.segments[-1:])]
        return max(ends + [facts.offset for facts in map(snapshot_of, self.snapshots)])

    @property
    def time(self) -> Timestamp:
        """Of its last record, or 0 where nobody knows."""
        times = [facts.last_time or Timestamp(0) for facts in map(segment_of, self.segments[-1:])]
        return max([Timestamp(0), *times, *(facts.timestamp for facts in map(snapshot_of, self.snapshots))])

    def stretches(self) -> list[Stretch]:
        """What can be restored, oldest first: through each unbroken run of segments from the first snapshot in it."""
        found, left = [], [snapshot_of(each) for each in self.snapshots]
        for run in _runs([segment_of(each) for each in self.segments]):
            first, last = run[0].first, run[-1].last
            bases = [each for each in left if first - 1 <= each.offset <= last]
            left = [each for each in left if each not in bases]
            if first == 1:
                found.append(_stretch(first, run[0].first_time, run, bases))
            elif bases:
                found.append(_stretch(bases[0].offset, bases[0].timestamp, run, bases))
        alone = [Stretch(each.offset, each.offset, each.timestamp, each.timestamp, (each.offset,)) for each in left]
        return sorted((*found, *alone), key=lambda each: each.first)


def segment_of(entry: Entry) -> SegmentFacts:
    """The facts of an entry that is a segment's."""
    assert entry.segment is not None
    return entry.segment


def snapshot_of(entry: Entry) -> SnapshotFacts:
    """The facts of an entry that is a snapshot's."""
    assert entry.snapshot is not None
    return entry.snapshot


def branches(entries: Iterable[Entry]) -> list[Branch]:
    """Every history that goes on in no other, the newest first."""
    known = _Known(entries)
    ends = [each for each in known.segments if not known.after(each)]
    made = [known.branch(each) for each in ends]
    passed = {each.object for branch in made for each in branch.segments[:-1]}
    made = [branch for branch in made if branch.segments[-1].object not in passed]  # Others go on from it over a gap.
    held = {entry.object for branch in made for entry in branch.snapshots}
    loose = [each for each in known.snapshots if each.object not in held]
    made += [known.alone(epoch, loose) for epoch in sorted({snapshot_of(each).epoch for each in loose})]
    return sorted(made, key=_age, reverse=True)


def choose(entries: Sequence[Entry], epoch: str = "", *, url: str) -> Branch:
    """The newest history, or the newest that ends in the epoch with these first digits, though others go on from it.

    NotRestorable names the epochs there are.
    """
    known = _Known(entries)
    if not epoch:
        found = branches(entries)
    else:
        inside = [each for each in known.segments if segment_of(each).epoch.startswith(epoch)]
        ends = [
            each
            for each in inside
            if not any(segment_of(later).epoch == segment_of(each).epoch for later in known.after(each))
        ]
        found = [known.branch(each) for each in ends]
        if not found:
            loose = [each for each in known.snapshots if snapshot_of(each).epoch.startswith(epoch)]
            found = [known.alone(each, loose) for each in sorted({snapshot_of(one).epoch for one in loose})]
    epochs = {each.epoch for each in found}
    if len(epochs) > 1 and epoch:
        raise NotRestorable(f"{epoch} begins {len(epochs)} epochs of the backup at {url}: {_listed(epochs)}")
    if not found:
        there = {segment_of(each).epoch for each in known.segments} | {
            snapshot_of(each).epoch for each in known.snapshots
        }
        raise NotRestorable(
            f"the backup at {url} holds no epoch that begins with {epoch}"
            if epoch
            else f"the backup at {url} holds no snapshot and no segment yet",
            hint=f"There are {_listed(there)}" if there else "Push a store that has taken a snapshot or sealed its log",
        )
    return max(found, key=_age)


class _Known:
    """All segments and snapshots, findable by where they begin and end."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        everything = sorted(entries, key=lambda entry: entry.object)
        self.segments = [each for each in everything if each.segment is not None]
        self.snapshots = sorted(
            (each for each in everything if each.snapshot is not None), key=lambda each: snapshot_of(each).offset
        )
        self._by_start: dict[tuple[int, str], list[Entry]] = defaultdict(list)
        self._by_end: dict[tuple[int, str], list[Entry]] = defaultdict(list)
        for each in self.segments:
            facts = segment_of(each)
            self._by_start[facts.first, facts.chain_before].append(each)
            self._by_end[facts.last + 1, facts.chain_after].append(each)

    def after(self, entry: Entry) -> list[Entry]:
        """Segments that go on where this one ends."""
        facts = segment_of(entry)
        return self._by_start.get((facts.last + 1, facts.chain_after), [])

    def branch(self, end: Entry) -> Branch:
        """The history that ends with this segment, or a snapshot of its epoch behind it."""
        path = [end]
        while (before := self._before(path[-1])) is not None:
            path.append(before)
        path.reverse()
        facts = [segment_of(each) for each in path]
        fitting = tuple(each for each in self.snapshots if _fits(snapshot_of(each), facts))
        return Branch(facts[-1].epoch, tuple(path), fitting)

    @staticmethod
    def alone(epoch: str, snapshots: Sequence[Entry]) -> Branch:
        """Snapshots of one epoch that no segment of it stands beside."""
        return Branch(epoch, (), tuple(each for each in snapshots if snapshot_of(each).epoch == epoch))

    def _before(self, entry: Entry) -> Entry | None:
        """The segment that this one goes on from; over a gap, the last one of its epoch if there is no doubt."""
        facts = segment_of(entry)
        joined = self._by_end.get((facts.first, facts.chain_before), [])
        if joined:
            return min(joined, key=lambda each: (segment_of(each).first, each.object))
        same = [each for each in self.segments if segment_of(each).epoch == facts.epoch]
        earlier = [each for each in same if segment_of(each).last < facts.first]
        last = max((segment_of(each).last for each in earlier), default=Offset(0))
        ending = [each for each in earlier if segment_of(each).last == last]
        chains = {segment_of(each).chain_after for each in ending}
        return min(ending, key=lambda each: segment_of(each).first) if len(chains) == 1 else None


def _fits(snapshot: SnapshotFacts, path: Sequence[SegmentFacts]) -> bool:
    """Whether it is of this history, as far as is known without reading the log: `path` is in order."""
    offset = snapshot.offset
    at = bisect_right(path, offset, key=lambda each: each.first) - 1
    later = path[at + 1] if at + 1 < len(path) else None
    if later is not None and offset == later.first - 1 and snapshot.chain == later.chain_before:
        return True
    if at >= 0 and offset <= path[at].last:
        return snapshot.epoch == path[at].epoch
    return snapshot.epoch == (later or path[-1]).epoch


def _runs(segments: Sequence[SegmentFacts]) -> list[list[SegmentFacts]]:
    runs: list[list[SegmentFacts]] = []
    for each in segments:
        before = runs[-1][-1] if runs else None
        if before and before.last + 1 == each.first and before.chain_after == each.chain_before:
            runs[-1].append(each)
        else:
            runs.append([each])
    return runs


def _stretch(
    first: Offset, time: Timestamp | None, run: Sequence[SegmentFacts], bases: Sequence[SnapshotFacts]
) -> Stretch:
    return Stretch(first, run[-1].last, time, run[-1].last_time, tuple(each.offset for each in bases))


def _age(branch: Branch) -> tuple[int, int, str]:
    return branch.time, branch.offset, branch.epoch


def _listed(epochs: Iterable[str]) -> str:
    names = sorted(epochs)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
