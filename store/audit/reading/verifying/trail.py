"""A trail from its first name to its last root, batch by batch.

Laws: every object is read by key and version, the oldest version of each. Every manifest is read; the events of those
batches that were asked for, and on to the next root that was signed: only there is anything proven. What is missing or
broken is found, and the reading goes on behind it. Batches are handed out to whoever reads them, in order, and come
back in order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Final

from store.audit.objects.checkpoint import Checkpoint
from store.audit.objects.layout import Malformed
from store.audit.objects.manifest import Manifest, read_retain_until
from store.audit.reading.verifying.batch import Checked, Place, Task, check, silence
from store.audit.reading.verifying.evidence import Evidence
from store.audit.reading.verifying.findings import Kind, Outcome
from store.audit.reading.verifying.listing import take_census
from store.audit.reading.verifying.manifests import Manifests
from store.audit.reading.verifying.passing import BatchObjects, Checkpoints
from store.audit.reading.verifying.request import FAR, START, Request
from store.audit.reading.verifying.signatures import Signatures
from store.env.worm import NoSuchVersion, WormStore

Run = Callable[[Iterator[Task]], Iterator[Checked]]
"""Reads batches, on however many cores: one answer for each task, in their order."""
Progress = Callable[[str, int, int], None]
"""(phase, done, total)."""


def work_of(store: WormStore) -> Callable[[Task], Checked]:
    """What reads one batch where it lies."""

    def work(task: Task) -> Checked:
        key = task.manifest.key
        if task.version_id is None:
            return check(task, None)
        try:
            data = store.get(key, task.version_id)
            lock = store.lock_of(key, task.version_id) if task.with_lock else None
        except NoSuchVersion:
            return check(task, None)
        return check(task, data, lock)

    return work


class Verification:
    """One run over one trail."""

    def __init__(
        self, store: WormStore, request: Request, *, run: Run | None = None, progress: Progress | None = None
    ) -> None:
        """`run` reads the batches; by default here, one after the other."""
        self._evidence: Final = Evidence(store, request)
        self._request: Final = request
        self._run: Final[Run] = run or partial(map, work_of(store))
        self._progress: Final = progress or (lambda *_: None)
        self._walk = _Walk()
        self._skipped = 0
        self._bytes = 0
        self.outcome: Final = self._evidence.outcome

    def all(self) -> Outcome:
        """Verify, and say what came out."""
        for _ in self.steps():
            pass
        return self.outcome

    def steps(self) -> Iterator[tuple[Manifest, Checked]]:
        """Verify; each batch as it was read, so that somebody else may look at it, too. `outcome` is whole at the end.

        WormError: the store cannot be read. OSError likewise.
        """
        evidence = self._evidence
        census = take_census(evidence.store, self._request.log, self.outcome.findings)
        self.outcome.counts.objects = census.objects
        try:
            signatures = Signatures(evidence)
        except Malformed as error:
            evidence.find(Kind.TAMPER, "keys", error)
            return
        manifests, checkpoints = Manifests(evidence, signatures), Checkpoints(evidence, signatures)
        handed: list[Task] = []
        for checked in self._run(self._tasks(manifests, checkpoints, signatures.trusted, handed)):
            task = handed.pop(0)
            self._take(task, checked)
            self._bytes += task.manifest.size
            self._progress("verifying batches", self._bytes, census.batch_bytes)
            yield task.manifest, checked
        checkpoints.rest()
        signatures.look_at_locks(manifests.retained_until)
        self._end(manifests.size, checkpoints, signatures.trusted)

    def newest_checkpoint(self) -> tuple[Checkpoint, bytes] | None:
        """The largest checkpoint that counts, and its note; None: there is none. What is found goes into `outcome`.

        Malformed: the keys do not make a succession, or the key that was named is none of them.
        """
        return Signatures(self._evidence).newest()

    # What is handed out.

    def _tasks(
        self, manifests: Manifests, checkpoints: Checkpoints, trusted: Checkpoint | None, handed: list[Task]
    ) -> Iterator[Task]:
        """A task for each batch that is to be read: those that were asked for, on to the next root that was signed."""
        asked, objects, unsigned = self._request, BatchObjects(self._evidence), False
        for manifest in manifests:
            version_id = objects.version_of(manifest)
            root = checkpoints.root_at(manifest)
            kept = trusted is not None and trusted.size == manifest.size_after
            if not (kept or unsigned or _is_wanted(manifest, asked)):
                self._skipped += 1
                self._hold_to_root(manifest, root)
                self._walk.reached.update({epoch: end for epoch, _, end in manifest.ranges})
                continue
            unsigned = root is None
            task = Task(
                manifest=manifest,
                version_id=version_id,
                signed_root=root,
                heartbeat_s=asked.heartbeat_s,
                with_lock=asked.check_locks,
                with_records=asked.with_records,
                with_tally=asked.with_tally,
                with_writes=asked.with_writes,
            )
            handed.append(task)
            yield task
        objects.rest()

    def _hold_to_root(self, manifest: Manifest, root: bytes | None) -> None:
        """A batch that is not read says at least that it ends with the root that was signed for its end."""
        if root is not None and root.hex() != manifest.root_after:
            what = f"expected the root that was signed for {manifest.size_after} events, {root.hex()}: rewritten"
            where = manifest.key.removeprefix(self._evidence.top)
            self._evidence.find(Kind.TAMPER, where, what)

    # What comes back.

    def _take(self, task: Task, checked: Checked) -> None:
        manifest, walk, counts = task.manifest, self._walk, self.outcome.counts
        if task.with_lock and checked.lock is not None:
            wanted = read_retain_until(manifest.retain_until)
            self._evidence.judge_lock(checked.lock, manifest.key.removeprefix(self._evidence.top), wanted)
        if walk.size != manifest.first:  # Batches between them are missing, or were not asked for.
            self._give_up("the batch behind them is missing, or does not hold")
            walk.last = None
        elif walk.frontier is not None and walk.frontier != manifest.root_before:
            where = manifest.key.removeprefix(self._evidence.top)
            self._evidence.find(Kind.TAMPER, where, "it does not go on from the batch before")
            self._give_up("the batch behind them does not go on from them")
        walk.size, walk.frontier = manifest.size_after, manifest.root_after if checked.sound else None
        if not checked.sound or checked.first is None or checked.last is None:
            self.outcome.findings.take(checked.found)
            self._give_up("the batch behind them is missing, or does not hold")
            walk.last = None
            return
        self._check_succession(manifest, checked.first)
        self.outcome.findings.take(checked.found)
        walk.last = checked.last
        counts.batches += 1
        counts.events += manifest.count
        self.outcome.first_time = min(self.outcome.first_time or FAR, checked.first.timestamp)
        self.outcome.last_time = max(self.outcome.last_time or START, checked.last.timestamp)
        walk.pending += manifest.count
        if task.signed_root is not None:
            counts.events_proven += walk.pending
            walk.pending = 0
            self.outcome.proven_size, self.outcome.proven_root = manifest.size_after, task.signed_root.hex()

    def _check_succession(self, manifest: Manifest, first: Place) -> None:
        """No offset is left out, and no clock goes back, from the batch before to this one and within it."""
        last, seq = self._walk.last, manifest.first
        places = [(each[0], each[1], each[2]) for each in manifest.ranges]
        if last is not None:
            if first.epoch == last.epoch and first.timestamp <= last.timestamp:
                what = f"event {seq} is not later than the one before: a clock went back"
                self._evidence.find(Kind.TAMPER, f"event {seq}", what)
            elif first.timestamp <= last.timestamp:
                self._evidence.find(Kind.WARNING, f"event {seq}", "in this new epoch the clock goes back")
            found = silence(last, first, self._request.heartbeat_s, seq)
            self.outcome.findings.take([found] if found else [])
            places.insert(0, (last.epoch, last.offset, last.offset))
            seq -= 1
        elif seq == 0 and first.offset != 1:
            what = f"the trail begins at offset {first.offset}, and says nothing of what was before"
            self._evidence.find(Kind.WARNING, "event 0", what)
        reached = self._walk.reached
        for (epoch, start, end), (next_epoch, next_start, _) in pairwise(places):
            seq += end - start + 1
            reached[epoch] = end
            expected = reached.get(next_epoch, end) + 1  # A restore that is undone goes on where its epoch was left.
            if next_start > expected or (next_epoch == epoch and next_start != expected):
                gap = f"offsets {expected} to {next_start - 1} of epoch {next_epoch} have no event"
                self._evidence.find(Kind.INCOMPLETE, f"event {seq}", gap)
        epoch, _, end = places[-1]
        reached[epoch] = end

    def _give_up(self, why: str) -> None:
        if self._walk.pending:
            self.outcome.not_checked.append(f"{self._walk.pending} events are not proven: {why}")
        self._walk.pending = 0

    # The end.

    def _end(self, size: int, checkpoints: Checkpoints, trusted: Checkpoint | None) -> None:
        self._give_up("no checkpoint signs them, or none that counts")
        find, counts = self._evidence.find, self.outcome.counts
        if checkpoints.seen > size:
            what = f"{checkpoints.seen} events were signed, the manifests here hold {size}"
            find(Kind.INCOMPLETE, "the end", what)
        if trusted is not None and trusted.size > size:
            what = f"the trusted checkpoint saw {trusted.size} events, the manifests here hold {size}"
            find(Kind.INCOMPLETE, "the end", what)
        if not counts.events_proven:
            find(Kind.INCOMPLETE, "the tree", "no event is proven, of those that were asked for")
        if checkpoints.seen > checkpoints.largest:
            kind = Kind.INCOMPLETE if counts.checkpoints_counted else Kind.TAMPER
            find(kind, "the tree", f"not enough witnesses cosigned the last of {checkpoints.seen} events")
        self._check_age()
        self._say_what_was_not_checked()

    def _check_age(self) -> None:
        asked, last = self._request, self._walk.last
        if asked.now is None or not asked.heartbeat_s or last is None or self._skipped or asked.until < asked.now:
            return
        age = (asked.now - last.timestamp) / 1e6
        if age > asked.heartbeat_s:
            self._evidence.find(
                Kind.INCOMPLETE, "the end", f"its last event is {age:.0f} s old: it stands still, or was cut"
            )

    def _say_what_was_not_checked(self) -> None:
        say, asked = self.outcome.not_checked.append, self._request
        if self._skipped:
            say(f"the events of {self._skipped} batches that were not asked for")
        if asked.key is None:
            say("whose key it is: it was taken from the trail itself (--key)")
        if asked.cosigned is None and asked.trusted is None:
            say(
                "whether its signer rewrote or cut it: that takes --policy (witnesses) or --trusted (a kept checkpoint)"
            )
        if self._evidence.facts is None:
            say("locks and versions: this is a plain copy, and says nothing of how the store holds the objects")
        elif not asked.check_locks:
            say("locks: whether the store holds each object as long as was signed (--check-locks)")
        elif not self._evidence.facts.enforced:
            say("whether locks are kept: this is a folder, and whoever may write to it may change everything in it")
        if not asked.heartbeat_s:
            say("silences: how often an event must come was not said (--heartbeat)")
        if not asked.with_records:
            say("whether the log says the same: that takes the store's data directory (--against)")
        say("whether more happened after the last checkpoint, or anything was never recorded")


@dataclass
class _Walk:
    """What carries over from one batch to the next."""

    size: int = 0
    frontier: str | None = None
    """The root behind the last batch, in hex; None where that is not known."""
    pending: int = 0
    """Events whose hashes hold, and wait for a signed root."""
    last: Place | None = None
    reached: dict[str, int] = field(default_factory=dict)
    """The last offset of each epoch so far."""


def _is_wanted(manifest: Manifest, asked: Request) -> bool:
    by_time = manifest.t_last >= asked.since and manifest.t_first <= asked.until
    return by_time and manifest.size_after > asked.first_seq and manifest.first <= asked.last_seq
