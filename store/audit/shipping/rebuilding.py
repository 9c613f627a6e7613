"""The ledger made anew from bucket and log, where it was lost, damaged, or is older than the bucket.

Laws: what is in the store with our signature is believed, in its order and without a hole; a batch without a manifest
is believed only if the log gives the same events once more, and then its very bytes are taken over, because another
compressor would make others. Where one before it was never stored, the log gives that one, too. All of it goes into
the new ledger in one commit: before that there is nothing, and after it recording and shipping go on as if nothing had
been. What was frozen and never stored is told again from the log, which is kept until it is stored.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from math import inf
from typing import Final

import msgspec

from store.audit.objects.batches import SIZE_LIMIT, Frozen, expand, lines_of
from store.audit.objects.checkpoint import read_checkpoint
from store.audit.objects.layout import Malformed, Name, What, checkpoint_name, folder_of, manifest_name, read_name
from store.audit.objects.manifest import NO_MANIFEST, Manifest, read_manifest, read_retain_until
from store.audit.objects.merkle import leaf_hashes, span_of
from store.audit.recording.context import Context
from store.audit.recording.recorder import CONTEXT, TOLD, Recorder, encode_told
from store.audit.recording.rows import Row, Rows, SignedCheckpoint, State, row_of
from store.audit.recording.trail import Limits, Standing, encode_standing
from store.audit.shipping.behind import AHEAD_MAX
from store.audit.shipping.putting import Conflict
from store.audit.signing.keys import Succession
from store.env.ledger import Ledger, LedgerFull
from store.env.ledger_memory import MemoryLedger
from store.env.subjects import SubjectKeys
from store.env.world import Clock, Disk
from store.env.worm import NoSuchVersion, Version, WormStore
from store.errors import StoreError
from store.ids import Timestamp

ORPHANS_SIZE_MAX: Final = 1 << 30
"""Bytes of batches without manifests, at most: a few batches are the rule."""


class NotRebuildable(StoreError):
    """What the store holds of this trail has a hole, or is not what was written: nobody can go on from it."""


@dataclass(frozen=True)
class Rebuilt:
    """What was found."""

    batches: int
    """With a manifest."""
    adopted: int
    """Without one, whose events the log gives as well."""
    events: int
    checkpoint_size: int
    """Events under the newest checkpoint."""
    manifested: int
    """Events with a manifest."""


def rebuild(
    store: WormStore,
    ledger: Ledger,
    log: str,
    *,
    succession: Succession,
    context: Context,
    current: Disk,
    before: Disk | None,
    keys: SubjectKeys,
    clock: Clock,
    progress: Callable[[int], None],
) -> Rebuilt:
    """Fill an empty ledger of this trail. `context`: as of the trail's beginning; `progress` is told events read.

    `current`, `before`, `keys`: as of Recorder, for what the log has to give again. NotRebuildable and Conflict say
    what is wrong with the bucket; nothing was written then. WormError: it cannot be read now.
    """
    rows = Rows(ledger, log)
    assert rows.newest is None
    found = _Trail(store, log, succession, context)
    for _ in found.read():
        progress(found.events)
    adopted = _adopt(store, log, found, current=current, before=before, keys=keys, clock=clock)
    at = clock.wall()
    kept = [(_state(row, found.checkpoint, at), frozen, manifest) for row, frozen, manifest in found.known]
    checkpoint_size = found.checkpoint.size if found.checkpoint is not None else 0
    if not kept and not adopted.known:
        return Rebuilt(0, 0, 0, checkpoint_size, 0)
    ledger.raise_fence(found.fence + 1)
    rows.begin([*kept, *adopted.known], adopted.trail, checkpoint=found.checkpoint, more=adopted.more)
    size = rows.newest.size_after if rows.newest is not None else 0
    return Rebuilt(found.batches, adopted.count, size, checkpoint_size, found.events)


Known = tuple[Row, Frozen, bytes]
"""A row, its batch, and its manifest's bytes, which an orphan has none of."""
Orphan = tuple[Version, Name]
"""A batch in the store without a manifest."""


class _Trail:
    """What the store holds with a manifest, read from its beginning."""

    def __init__(self, store: WormStore, log: str, succession: Succession, context: Context) -> None:
        self._store, self._log, self._succession = store, log, succession
        self.context: Final = context
        self.told: Final[dict[str, int]] = {}
        self.checkpoint: Final = _newest_checkpoint(store, log, succession)
        self.known: list[Known] = []
        """From the newest batch under the checkpoint on."""
        self.batches = self.events = self.fence = 0

    def read(self) -> Iterator[Manifest]:
        """Each manifest in order, once its batch was read."""
        before: Manifest | None = None
        for key, versions in _by_key(self._store, f"{folder_of(self._log)}manifest/"):
            manifest, version_id, data = self._manifest(key, versions)
            _check_follows(before, manifest)
            self._read_batch(manifest, version_id, data)
            before = manifest
            yield manifest

    def standing(self) -> Standing:
        """Where the trail goes on."""
        row, frozen, _ = self.known[-1]
        after = frozen.after
        return Standing(row.batch + 1, after.end, after.roots, row.epoch, row.offset)

    def more(self) -> dict[bytes, bytes]:
        """The context, as it is kept beside the rows."""
        context = {**self.context.take_changes(), TOLD: encode_told(self.told)}
        return {CONTEXT + name: value for name, value in context.items()}

    def _manifest(self, key: str, versions: list[Version]) -> tuple[Manifest, str, bytes]:
        """The oldest version that we signed."""
        why = "there is nothing but delete markers"
        for each in versions:
            try:
                data = self._store.get(key, each.version_id)
                found = read_manifest(data)
                if manifest_name(found.log, found.batch) == key and self._is_ours(found):
                    return found, each.version_id, data
                why = "no version is signed by the trail's key"
            except (Malformed, NoSuchVersion) as error:
                why = str(error)
        raise NotRebuildable(f"{key} in {self._store.url} is no manifest of this trail: {why}", hint=_VERIFY)

    def _is_ours(self, found: Manifest) -> bool:
        return found.log == self._log and found.signed_by(self._succession.in_force(found.size_after))

    def _read_batch(self, manifest: Manifest, version_id: str, data: bytes) -> None:
        batch = self._store.get(manifest.key, manifest.version_id or None)
        if sha256(batch).hexdigest() != manifest.sha256:
            raise NotRebuildable(f"{manifest.key} in {self._store.url} is not what its manifest says", hint=_VERIFY)
        lines = lines_of(expand(batch))
        for line in lines:
            self.context.absorb_event(line)
        for epoch, _, last in manifest.ranges:
            self.told[epoch] = max(self.told.get(epoch, 0), last)
        frozen = Frozen(
            log=self._log,
            batch=manifest.batch,
            first=manifest.first,
            count=manifest.count,
            t_first=Timestamp(manifest.t_first),
            t_last=Timestamp(manifest.t_last),
            ranges=manifest.ranges,
            data=batch,
            sha256=manifest.sha256,
            raw_size=manifest.raw_size,
            roots_before=manifest.span_before.roots,
            roots=span_of(manifest.first, leaf_hashes(lines)).roots,
        )
        if len(lines) != manifest.count or frozen.after.root().hex() != manifest.root_after:
            raise NotRebuildable(f"{manifest.key} in {self._store.url} does not give its tree's root", hint=_VERIFY)
        row = msgspec.structs.replace(
            row_of(frozen, at=Timestamp(0)),
            state=State.MANIFESTED,
            version_id=manifest.version_id,
            retain_until=read_retain_until(manifest.retain_until),
            manifest_digest=manifest.digest,
            manifest_version_id=version_id,
        )
        if self.checkpoint is not None and row.size_after <= self.checkpoint.size:
            self.known.clear()
        self.known.append((row, frozen, data))
        self.batches += 1
        self.events = row.size_after
        self.fence = max(self.fence, manifest.writer.fence)


@dataclass(frozen=True)
class _Adopted:
    """Batches without manifests, and where the trail goes on behind them."""

    known: list[Known]
    """With those that were missing between them."""
    count: int
    """Of those that are stored."""
    trail: bytes
    more: dict[bytes, bytes]


def _adopt(
    store: WormStore, log: str, found: _Trail, *, current: Disk, before: Disk | None, keys: SubjectKeys, clock: Clock
) -> _Adopted:
    """Take over batches that were stored and have no manifest yet: told once more, in a ledger of its own."""
    known: list[Known] = []
    ledger = _OneBatch(size_max=ORPHANS_SIZE_MAX)
    number = size = 0
    if found.known:
        Rows(ledger, log).begin(found.known, encode_standing(found.standing()), more=found.more())
        number, size = found.known[-1][0].batch + 1, found.known[-1][0].size_after
    orphans = _orphans(store, log, number)
    for each in range(number, max(orphans, default=-1) + 1):
        told = partial(_told_again, ledger, each, current=current, before=before, keys=keys, clock=clock)
        if (orphan := orphans.get(each)) is None:
            frozen = _missing(told, orphans, each, size)
        else:
            frozen = _adopted(store, orphan, told)
        known.append((row_of(frozen, at=clock.wall()), frozen, b""))
        size = frozen.first + frozen.count
    rows = Rows(ledger.crash(), log)
    context = {CONTEXT + name: value for name, value in rows.context.items()}
    return _Adopted(known, len(orphans), rows.trail or b"", context)


def _adopted(store: WormStore, orphan: Orphan, told: Callable[..., Frozen | None]) -> Frozen:
    """An orphan's very bytes, whose events the log gives as well."""
    version, name = orphan
    data = store.get(version.key, version.version_id)
    made = told(Limits(events_max=name.last - name.first + 1, raw_size_max=SIZE_LIMIT))
    if made is None or made.name != version.key or expand(made.data) != expand(data):
        raise NotRebuildable(
            f"{version.key} in {store.url} has no manifest, and the log does not give the same events",
            hint="The log lost what was stored, or somebody else put it there: verify the trail and the log.",
        )
    return msgspec.structs.replace(made, data=data, sha256=sha256(data).hexdigest())


def _missing(told: Callable[..., Frozen | None], orphans: Mapping[int, Orphan], number: int, size: int) -> Frozen:
    """A batch that was not stored when one behind it was: cut anyhow, so that the ones up to that have what there is.

    Nobody has seen where it ended; each of them has one event at least.
    """
    following = min(each for each in orphans if each > number)
    version, name = orphans[following]
    count = name.first - size - (following - number - 1)
    made = told(Limits(events_max=count, raw_size_max=SIZE_LIMIT // 2)) if count > 0 else None
    if made is None:
        raise NotRebuildable(
            f"{version.key} lies behind {following - number} batches that are not stored, and the log does not give"
            " their events",
            hint="The log lost what was to be stored, or somebody else put it there: verify the trail and the log.",
        )
    return made


class _OneBatch(MemoryLedger):
    """A ledger that is full after one more batch, however many a recorder has ready."""

    left = 1

    def commit(self, puts: Mapping[bytes, bytes | None], *, reserve: bool = False) -> None:
        """Set and remove; LedgerFull: the batch is there."""
        if self.left == 0 and not reserve:
            raise LedgerFull("there is the batch that was wanted")
        super().commit(puts, reserve=reserve)
        self.left -= not reserve


def _told_again(
    ledger: "_OneBatch",
    number: int,
    limits: Limits,
    *,
    current: Disk,
    before: Disk | None,
    keys: SubjectKeys,
    clock: Clock,
) -> Frozen | None:
    """What comes next as one batch of this number, up to the limits, if the log has as much."""
    ledger.crash()
    ledger.left = 1
    recorder = Recorder(current, before=before, ledger=ledger, keys=keys, clock=clock, limits=limits, age_max_s=inf)
    more = True
    while more:
        more = recorder.step()
        if (row := recorder.rows.at(number)) is not None:
            return recorder.rows.frozen(row)
    return None


def _orphans(store: WormStore, log: str, first: int) -> dict[int, Orphan]:
    """The batches that may lie there without a manifest, by their numbers. Conflict: there are several of one."""
    found: dict[int, Orphan] = {}
    for number in range(first, first + AHEAD_MAX):
        versions: dict[str, Orphan] = {}
        for each in store.versions(f"{folder_of(log)}batch/{number:012d}-"):
            if not each.marker and (name := read_name(each.key)) is not None and name.what is What.BATCH:
                versions[each.key] = each, name  # The oldest comes last.
        if len(versions) > 1:
            raise Conflict(
                f"{store.url} holds several batches {number}: {', '.join(versions)}",
                hint="Two processes shipped one trail: verify it, and find out which of them was not to.",
            )
        for orphan in versions.values():
            found[number] = orphan
    return found


def _newest_checkpoint(store: WormStore, log: str, succession: Succession) -> SignedCheckpoint | None:
    """The largest that we signed."""
    newest: SignedCheckpoint | None = None
    for key, versions in _by_key(store, f"{folder_of(log)}checkpoint/"):
        for each in versions:
            try:
                note = store.get(key, each.version_id)
                found, signatures = read_checkpoint(note)
                if checkpoint_name(log, found.size) != key:
                    continue
                if signatures.signed_by([succession.in_force(found.size)]):
                    newest = SignedCheckpoint(found.size, note, each.version_id)
                    break
            except (Malformed, NoSuchVersion):
                continue
    return newest


def _by_key(store: WormStore, prefix: str) -> Iterator[tuple[str, list[Version]]]:
    """Each key below a prefix with its versions, the oldest first, without delete markers."""
    key, versions = "", list[Version]()
    for each in store.versions(prefix):
        if each.key != key:
            if key:
                yield key, versions[::-1]
            key, versions = each.key, []
        if not each.marker:
            versions.append(each)
    if key:
        yield key, versions[::-1]


def _check_follows(before: Manifest | None, manifest: Manifest) -> None:
    """No hole between two manifests; what is older than the first may have been let go when its lock ended."""
    if before is None:
        if manifest.batch == 0 and manifest.prev != NO_MANIFEST:
            raise NotRebuildable("the first manifest names one before it", hint=_VERIFY)
        return
    expected = (before.batch + 1, before.digest, before.size_after, before.root_after)
    if (manifest.batch, manifest.prev, manifest.size_before, manifest.root_before) != expected:
        raise NotRebuildable(
            f"expected manifest {before.batch + 1} behind manifest {before.batch}, found manifest {manifest.batch}, or"
            " one that names another before it",
            hint=_VERIFY,
        )


def _state(row: Row, checkpoint: SignedCheckpoint | None, at: Timestamp) -> Row:
    """What the newest checkpoint covers is done."""
    row = msgspec.structs.replace(row, frozen_at=at)
    if checkpoint is None or row.size_after > checkpoint.size:
        return row
    return msgspec.structs.replace(row, state=State.ACKED, checkpoint_version_id=checkpoint.version_id, acked_at=at)


_VERIFY: Final = "`store audit verify` says what happened to this trail; it cannot be gone on with as it is."
