"""A trail from its first name to its last root, batch by batch.

Laws: every object is read by key and version, the oldest version of each. Every manifest is read; the events of those
batches that were asked for, and on to the next root that was signed: only there is anything proven. What is missing or
broken is found, and the reading goes on behind it. Batches are handed out to whoever reads them, in order, and come
back in order.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import pairwise
from typing import Final

from store.audit.objects.checkpoint import Checkpoint, read_checkpoint
from store.audit.objects.layout import Malformed, What, folder_of, read_name
from store.audit.objects.manifest import NO_MANIFEST, Manifest, read_manifest, read_retain_until, retain_until
from store.audit.objects.merkle import NOTHING
from store.audit.objects.notes import Note, VerifierKey, read_note
from store.audit.reading.verifying.batch import Checked, Place, Task, check, silence
from store.audit.reading.verifying.findings import Kind, Outcome
from store.audit.reading.verifying.listing import Listed, by_key, take_census
from store.audit.signing.keys import Succession, read_key_note, read_revocation, read_succession
from store.env.worm import COMPLIANCE, BucketFacts, Lock, Misconfigured, NoSuchVersion, WormStore
from store.ids import Timestamp

SMALL_SIZE_MAX: Final = 1 << 20
"""Bytes of a note or a manifest, at most."""
START: Final = Timestamp(0)
FAR: Final = Timestamp(2**62)
"""Moments before and behind all others."""

Run = Callable[[Iterator[Task]], Iterator[Checked]]
"""Reads batches, on however many cores: one answer for each task, in their order."""
Progress = Callable[[str, int, int], None]
"""(phase, done, total)."""
Cosigned = Callable[[Note], bool]
"""Whether a checkpoint has the cosignatures that were asked for. Malformed: one of them does not hold."""


@dataclass(frozen=True)
class Request:
    """What is to be verified, and against what."""

    log: str
    key: VerifierKey | None
    """A key of the trail, from elsewhere; None: believe the trail's own."""
    root_key: VerifierKey | None = None
    cosigned: Cosigned | None = None
    trusted: bytes | None = None
    """A checkpoint of the same trail that somebody kept."""
    since: Timestamp = START
    until: Timestamp = FAR
    first_seq: int = 0
    last_seq: int = 2**62
    check_locks: bool = False
    heartbeat_s: int = 0
    now: Timestamp | None = None
    """What time it is, where a trail that stands still is to be found; None: it is not asked."""
    with_records: bool = False
    with_tally: bool = False
    with_writes: bool = False


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
        self._store: Final = store
        self._request: Final = request
        self._run: Final[Run] = run or partial(map, work_of(store))
        self._progress: Final = progress or (lambda *_: None)
        self._top: Final = folder_of(request.log)
        self._facts = _facts_of(store)
        self._keys: Succession | None = None
        self._trusted: Checkpoint | None = None
        self._rows = _Rows(by_key(store, f"{self._top}batch/"))
        self._checkpoints = _Checkpoints(self, by_key(store, f"{self._top}checkpoint/"))
        self._walk = _Walk()
        self._size = 0
        self._skipped = 0
        self._bytes = 0
        self.outcome = Outcome(request.log, "", store.url)

    def all(self) -> Outcome:
        """Verify, and say what came out."""
        for _ in self.steps():
            pass
        return self.outcome

    def steps(self) -> Iterator[tuple[Manifest, Checked]]:
        """Verify; each batch as it was read, so that somebody else may look at it, too. `outcome` is whole at the end.

        WormError: the store cannot be read. OSError likewise.
        """
        census = take_census(self._store, self._request.log, self.outcome.findings)
        self.outcome.counts.objects = census.objects
        try:
            self._keys = self._read_keys()
            self.outcome.origin = self._keys.keys[0][1].name
            self._trusted = self._read_trusted()
        except Malformed as error:
            self._find(Kind.TAMPER, "keys", error)
            return
        handed: list[Task] = []
        for checked in self._run(self._tasks(handed)):
            task = handed.pop(0)
            self._take(task, checked)
            self._bytes += task.manifest.size
            self._progress("verifying batches", self._bytes, census.batch_bytes)
            yield task.manifest, checked
        self._end()

    def newest_checkpoint(self) -> tuple[Checkpoint, bytes] | None:
        """The largest checkpoint that counts, and its note; None: there is none. What is found goes into `outcome`.

        Malformed: the keys do not make a succession, or the key that was named is none of them.
        """
        self._keys = self._read_keys()
        self.outcome.origin = self._keys.keys[0][1].name
        newest = None
        for listed in by_key(self._store, f"{self._top}checkpoint/"):
            name = read_name(listed.key)
            if name is not None and name.what is What.CHECKPOINT:
                found = self.read_checkpoint(listed, name.number)
                newest = newest if found is None else (found, self._read(listed))
        return newest

    # What is handed out.

    def _tasks(self, handed: list[Task]) -> Iterator[Task]:
        """Manifests in order; a task for each batch that is to be read."""
        unsigned = False
        for manifest in self._manifests():
            first = self._rows.take(manifest, self._find)
            signed = tuple(self._checkpoints.until(manifest))
            wanted = self._wanted(manifest)
            if not (wanted or unsigned):
                self._skipped += 1
                continue
            unsigned = not any(size == manifest.size_after for size, _ in signed)
            task = Task(
                manifest=manifest,
                version_id=self._version_of(manifest, first),
                signed=signed,
                heartbeat_s=self._request.heartbeat_s,
                with_lock=self._request.check_locks,
                with_records=self._request.with_records,
                with_tally=self._request.with_tally,
                with_writes=self._request.with_writes,
            )
            handed.append(task)
            yield task

    def _manifests(self) -> Iterator[Manifest]:
        """Each manifest that holds by itself, and follows the one before where that is there."""
        before: Manifest | None = None
        expected = 0
        for listed in by_key(self._store, f"{self._top}manifest/"):
            name = read_name(listed.key)
            if name is None or name.what is not What.MANIFEST:
                continue
            where = listed.key.removeprefix(self._top)
            if name.number != expected:
                self._find(Kind.INCOMPLETE, where, f"manifests {expected} to {name.number - 1} are missing before it")
            try:
                data = self._read(listed)
                manifest = self._check_manifest(data, name.number)
                if before is not None and before.batch == manifest.batch - 1:
                    _check_follows(before, manifest)
            except Malformed as error:
                self._find(Kind.TAMPER, where, error)
                before, expected = None, name.number + 1
                continue
            self._check_lock(listed, where, read_retain_until(manifest.retain_until))
            self.outcome.counts.manifests += 1
            before, expected = manifest, name.number + 1
            self._size = manifest.size_after
            yield manifest

    def _check_manifest(self, data: bytes, number: int) -> Manifest:
        assert self._keys is not None  # They are read first.
        found = read_manifest(data)
        if found.log != self._request.log or found.origin != self.outcome.origin:
            raise Malformed(f"expected a manifest of the log {self._request.log}, found one of {found.log}")
        if found.batch != number:
            raise Malformed(f"expected batch {number}, as its name says, found {found.batch}")
        if found.batch == 0 and found.prev != NO_MANIFEST:
            raise Malformed(f"the first manifest follows {found.prev}")
        if found.span_before.root().hex() != found.root_before:
            raise Malformed("frontier_before does not give root_before")
        key = self._keys.in_force(found.size_after)
        if not found.signed_by(key):
            raise Malformed(f"it is not signed by the key in force, {key}")
        return found

    def _wanted(self, manifest: Manifest) -> bool:
        asked = self._request
        trusted = self._trusted.size if self._trusted is not None else 0
        by_time = manifest.t_last >= asked.since and manifest.t_first <= asked.until
        by_number = manifest.size_after > asked.first_seq and manifest.first <= asked.last_seq
        return (by_time and by_number) or manifest.first < trusted <= manifest.size_after

    def _version_of(self, manifest: Manifest, listed: Listed | None) -> str | None:
        """The version that the manifest names; where nobody keeps versions, the one there is."""
        if listed is None or listed.first is None:
            return None
        if self._facts is None or listed.first.version_id == manifest.version_id:
            return listed.first.version_id
        known = [each.version_id for each in self._store.versions_of(listed.key)]
        if manifest.version_id in known:
            return manifest.version_id
        where = listed.key.removeprefix(self._top)
        self._find(Kind.TAMPER, where, f"the version that the manifest names, {manifest.version_id}, is gone")
        return listed.first.version_id

    # What comes back.

    def _take(self, task: Task, checked: Checked) -> None:
        manifest, walk, counts = task.manifest, self._walk, self.outcome.counts
        if task.with_lock and checked.lock is not None:
            where = manifest.key.removeprefix(self._top)
            self._judge_lock(checked.lock, where, read_retain_until(manifest.retain_until))
        if walk.size != manifest.first:  # Batches between them are missing, or were not asked for.
            self._give_up("the batch behind them is missing, or does not hold")
            walk.last = None
        elif walk.frontier is not None and walk.frontier != manifest.root_before:
            self._find(Kind.TAMPER, manifest.key.removeprefix(self._top), "it does not go on from the batch before")
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
        if task.signed:
            size, root = task.signed[-1]
            waiting = manifest.size_after - size
            counts.events_proven += walk.pending - waiting
            walk.pending = waiting
            self.outcome.proven_size, self.outcome.proven_root = size, root.hex()

    def _check_succession(self, manifest: Manifest, first: Place) -> None:
        """No offset is left out, and no clock goes back, from the batch before to this one and within it."""
        last, seq = self._walk.last, manifest.first
        places = [(each[0], each[1], each[2]) for each in manifest.ranges]
        if last is not None:
            if first.epoch == last.epoch and first.timestamp <= last.timestamp:
                what = f"event {seq} is not later than the one before: a clock went back"
                self._find(Kind.TAMPER, f"event {seq}", what)
            elif first.timestamp <= last.timestamp:
                self._find(Kind.WARNING, f"event {seq}", "in this new epoch the clock goes back")
            found = silence(last, first, self._request.heartbeat_s, seq)
            self.outcome.findings.take([found] if found else [])
            places.insert(0, (last.epoch, last.offset, last.offset))
            seq -= 1
        elif seq == 0 and first.offset != 1:
            what = f"the trail begins at offset {first.offset}, and says nothing of what was before"
            self._find(Kind.WARNING, "event 0", what)
        for (epoch, start, end), (next_epoch, next_start, _) in pairwise(places):
            seq += end - start + 1
            if next_start != end + 1 and (next_epoch == epoch or next_start > end):
                gap = f"offsets {end + 1} to {next_start - 1} of epoch {next_epoch} have no event"
                self._find(Kind.INCOMPLETE, f"event {seq}", gap)

    def _give_up(self, why: str) -> None:
        if self._walk.pending:
            self.outcome.not_checked.append(f"{self._walk.pending} events are not proven: {why}")
        self._walk.pending = 0

    # Keys, checkpoints, locks.

    def _read_keys(self) -> Succession:
        notes: dict[str, bytes] = {}
        for listed in by_key(self._store, f"{self._top}keys/"):
            name = read_name(listed.key)
            if name is None:
                continue
            where = listed.key.removeprefix(self._top)
            try:
                data = self._read(listed)
                note = read_note(data)
                _ = read_revocation(note) if name.what is What.REVOCATION else read_key_note(note)
                notes[listed.key] = data
            except Malformed as error:
                self._find(Kind.TAMPER, where, error)
            self._check_lock(listed, where, None)
        found = read_succession(self._request.log, notes, root=self._request.root_key)
        if self._request.key is not None and self._request.key not in {key for _, key in found.keys}:
            raise Malformed(f"expected a trail of the key that was named, {self._request.key}, found {found.newest}")
        self.outcome.counts.keys = len(found.keys)
        self._check_policies(found)
        return found

    def _check_policies(self, keys: Succession) -> None:
        """Whom the log asked for cosignatures proves nothing; it is signed by the log all the same."""
        for listed in by_key(self._store, f"{self._top}policy/"):
            where = listed.key.removeprefix(self._top)
            try:
                if read_name(listed.key) and not read_note(self._read(listed)).signed_by(key for _, key in keys.keys):
                    self._find(Kind.TAMPER, where, "none of the log's keys has signed it")
            except Malformed as error:
                self._find(Kind.TAMPER, where, error)
            self._check_lock(listed, where, None)

    def _read_trusted(self) -> Checkpoint | None:
        if self._request.trusted is None:
            return None
        found, _ = read_checkpoint(self._request.trusted)
        if found.origin != self.outcome.origin:
            raise Malformed(f"expected a trusted checkpoint of {self.outcome.origin}, found one of {found.origin}")
        return found

    def read_checkpoint(self, listed: Listed, size: int) -> Checkpoint | None:
        """One that counts: signed by the key in force, and cosigned by as many witnesses as were asked for."""
        assert self._keys is not None  # They are read first.
        where = listed.key.removeprefix(self._top)
        try:
            found, note = read_checkpoint(self._read(listed))
            self._check_signed(found, note, size, self._keys)
            self.outcome.counts.checkpoints += 1
            if self._request.cosigned is not None and not self._request.cosigned(note):
                return None
        except Malformed as error:
            self._find(Kind.TAMPER, where, error)
            return None
        self.outcome.counts.checkpoints_counted += 1
        if self._trusted is not None and self._trusted.size == size and self._trusted.root != found.root:
            self._find(Kind.TAMPER, where, f"another root was signed for {size} events: history is rewritten")
        return found

    def _check_signed(self, found: Checkpoint, note: Note, size: int, keys: Succession) -> None:
        if (found.origin, found.size) != (self.outcome.origin, size):
            raise Malformed(f"expected {size} events of {self.outcome.origin}, found {found.size} of {found.origin}")
        if size == 0 and found.root != NOTHING.root():
            raise Malformed(f"the empty tree has another root than {found.root.hex()}")
        key = keys.in_force(size)
        if key not in note.signed_by(each for _, each in keys.keys):
            raise Malformed(f"expected a signature of the key in force, {key}, found none")

    @property
    def trusted(self) -> Checkpoint | None:
        """The checkpoint that somebody kept."""
        return self._trusted

    def _read(self, listed: Listed) -> bytes:
        """A small object. Malformed: it is too large, or only delete markers are left of it."""
        if listed.first is None:
            raise Malformed("only a delete marker is left of it")
        try:
            data = self._store.get(listed.key, listed.first.version_id) if listed.first.size <= SMALL_SIZE_MAX else b""
        except NoSuchVersion as error:
            raise Malformed(error.message) from None
        if not 0 < len(data) <= SMALL_SIZE_MAX:
            raise Malformed(f"expected 1 to {SMALL_SIZE_MAX} bytes, found {listed.first.size}")
        return data

    def check_checkpoint_lock(self, listed: Listed, manifest: Manifest | None) -> None:
        """It is held as long as the batch that it signs; of one that signs none here, no day is known."""
        wanted = None if manifest is None else read_retain_until(manifest.retain_until)
        self._check_lock(listed, listed.key.removeprefix(self._top), wanted)

    def _check_lock(self, listed: Listed, where: str, wanted: Timestamp | None) -> None:
        if not self._request.check_locks or listed.first is None or self._facts is None:
            return
        try:
            self._judge_lock(self._store.lock_of(listed.key, listed.first.version_id), where, wanted)
        except NoSuchVersion as error:
            self._find(Kind.TAMPER, where, error)

    def _judge_lock(self, lock: Lock, where: str, wanted: Timestamp | None) -> None:
        if self._facts is None:
            return
        if not lock.visible:
            self._find(Kind.UNLOCKED, where, "whoever asks may not see its lock: allow s3:GetObjectRetention")
            return
        self.outcome.counts.locks += 1
        until = lock.retain_until
        if lock.mode != COMPLIANCE or until is None:
            self._find(Kind.UNLOCKED, where, f"its mode is {lock.mode}, expected {COMPLIANCE}: somebody may remove it")
            return
        if wanted is not None and until < wanted:
            said = f"it is locked until {retain_until(until)}, expected {retain_until(wanted)}, as was signed"
            self._find(Kind.UNLOCKED, where, said)
        if lock.event_hold:
            self._find(Kind.UNLOCKED, where, "an event hold moves the date of its lock")
        least, most = self.outcome.retained_until or (until, until)
        self.outcome.retained_until = min(least, until), max(most, until)

    def _find(self, kind: Kind, where: str, what: object) -> None:
        self.outcome.findings.add(kind, where, what)

    # The end.

    def _end(self) -> None:
        self._rows.rest(self._find)
        largest = self._checkpoints.rest()
        self._give_up("no checkpoint signs them, or none that counts")
        if largest > self._size:
            self._find(
                Kind.INCOMPLETE, "the end", f"{largest} events were signed, the manifests here hold {self._size}"
            )
        if self._trusted is not None and self._trusted.size > self._size:
            what = f"the trusted checkpoint saw {self._trusted.size} events, the manifests here hold {self._size}"
            self._find(Kind.INCOMPLETE, "the end", what)
        if not self.outcome.counts.events_proven:
            self._find(Kind.INCOMPLETE, "the tree", "no event is proven, of those that were asked for")
        counts = self.outcome.counts
        if counts.checkpoints > counts.checkpoints_counted and self._checkpoints.uncounted > self._checkpoints.largest:
            kind = Kind.INCOMPLETE if counts.checkpoints_counted else Kind.TAMPER
            seen = self._checkpoints.uncounted
            self._find(kind, "the tree", f"not enough witnesses cosigned the last of {seen} events")
        self._check_age()
        self._say_what_was_not_checked()

    def _check_age(self) -> None:
        asked, last = self._request, self._walk.last
        if asked.now is None or not asked.heartbeat_s or last is None or self._skipped or asked.until < asked.now:
            return
        age = (asked.now - last.timestamp) / 1e6
        if age > asked.heartbeat_s:
            self._find(Kind.INCOMPLETE, "the end", f"its last event is {age:.0f} s old: it stands still, or was cut")

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
        if self._facts is None:
            say("locks and versions: this is a plain copy, and says nothing of how the store holds the objects")
        elif not asked.check_locks:
            say("locks: whether the store holds each object as long as was signed (--check-locks)")
        elif not self._facts.enforced:
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


@dataclass
class _Rows:
    """The batch objects in the order of their names, passed in step with the manifests."""

    listed: Iterator[Listed]
    ahead: Listed | None = None

    def take(self, manifest: Manifest, find: Callable[[Kind, str, object], None]) -> Listed | None:
        """The object that a manifest names, or None; those that stand before it are named by none."""
        top = folder_of(manifest.log)
        while (each := self.ahead or next(self.listed, None)) is not None and each.key < manifest.key:
            find(Kind.WARNING, each.key.removeprefix(top), _UNNAMED)
            self.ahead = None
        self.ahead = each
        if each is None or each.key != manifest.key:
            return None
        self.ahead = None
        return each

    def rest(self, find: Callable[[Kind, str, object], None]) -> None:
        """Those behind the last manifest."""
        for each in [*([self.ahead] if self.ahead else []), *self.listed]:
            name = read_name(each.key)
            if name is not None:
                find(Kind.WARNING, each.key.removeprefix(folder_of(name.log)), _UNNAMED)


_UNNAMED: Final = "no manifest names this batch: it proves nothing"


@dataclass
class _Checkpoints:
    """The checkpoints in the order of their sizes, passed in step with the manifests."""

    verification: Verification
    listed: Iterator[Listed]
    ahead: tuple[Checkpoint, Listed] | None = None
    largest: int = 0
    """The largest size of one that counts."""
    uncounted: int = 0
    """The largest size of one that does not hold, or lacks cosignatures."""

    def until(self, manifest: Manifest) -> Iterator[tuple[int, bytes]]:
        """The sizes that end in a batch, with their roots; the trusted one among them."""
        found: dict[int, bytes] = {}
        while (each := self.ahead or self._next()) is not None and each[0].size <= manifest.size_after:
            self.ahead = None
            checkpoint, listed = each
            within = checkpoint.size > manifest.first
            self.verification.check_checkpoint_lock(listed, manifest if within else None)
            if within:
                found[checkpoint.size] = checkpoint.root
        self.ahead = each
        trusted = self.verification.trusted
        if trusted is not None and manifest.first < trusted.size <= manifest.size_after:
            found[trusted.size] = trusted.root
        yield from sorted(found.items())

    def rest(self) -> int:
        """Pass the others; the largest size of one that counts."""
        while (each := self.ahead or self._next()) is not None:
            self.ahead = None
            self.verification.check_checkpoint_lock(each[1], None)
        return self.largest

    def _next(self) -> tuple[Checkpoint, Listed] | None:
        for each in self.listed:
            name = read_name(each.key)
            if name is None or name.what is not What.CHECKPOINT:
                continue
            found = self.verification.read_checkpoint(each, name.number)
            if found is not None:
                self.largest = max(self.largest, found.size)
                return found, each
            self.verification.check_checkpoint_lock(each, None)
            self.uncounted = max(self.uncounted, name.number)
        return None


def _check_follows(before: Manifest, manifest: Manifest) -> None:
    if manifest.prev != sha256(before.encode()).hexdigest():
        raise Malformed(f"expected it to follow the manifest {before.digest}, found {manifest.prev}")
    if (manifest.first, manifest.root_before) != (before.size_after, before.root_after):
        raise Malformed(f"expected it to begin with event {before.size_after}, and with the root before it")


def _facts_of(store: WormStore) -> BucketFacts | None:
    """What kind of store it is; None for a plain copy, which keeps neither versions nor locks."""
    try:
        return store.facts()
    except Misconfigured:
        return None
