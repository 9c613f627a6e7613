"""A new directory with everything that can still be proven of a damaged one, and a report of what cannot.

Laws: the damaged directory is only read. What comes out once was true, at the offset that is reported: a whole
snapshot, or nothing, and the log that provably follows it, by that base which leads furthest. Only where no base is
whole, what comes out is partial, and says which keys it may lack; even then no row is in it that was not there at that
offset.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import msgspec

from store.codec import RowCodec, row_struct
from store.engine.directory import Restoring, abandon, begin_making, mark
from store.engine.loading import PassedOver, load_snapshot, read_schema
from store.engine.replay import absorb_all, replay
from store.engine.state import EpochRecord, State
from store.env.world import Clock, Disk, Entropy
from store.errors import CorruptionError, NotRestorable
from store.ids import Epoch, Key, Offset, Timestamp
from store.log.cutting import begin
from store.log.format import CHAIN_START, SALT_SIZE, Batch, segment_name
from store.log.format import FOLDER as LOG
from store.log.remains import Damage, follow
from store.log.segment import segment_offsets
from store.snapshot.format import Manifest, TableContent, content_of, fingerprint_of, snapshot_name
from store.snapshot.merge import merge
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Repository
from store.tables.database import Database, Move
from store.transaction import Write
from store.upkeep.wreck import Extent, Picture, Wreck, examine

Progress = Callable[[str, int, int], None]
"""Told (phase, done, total): what wreck.examine tells, then "writing" in tables, then what a replay tells."""

WRITING: Final = "writing"


@dataclass(frozen=True)
class LostKeys:
    """A key range of one table of which rows are lost, where what came out is partial."""

    table: str
    first: Key
    last: Key
    rows: int
    """That were in it when the base was taken; those that the log behind it touched are here all the same."""


@dataclass(frozen=True)
class SalvageReport:
    """What a salvage brought into a new directory, and what it could not."""

    offset: Offset
    timestamp: Timestamp
    parent: Epoch
    """In force at `offset`; the next start opens a new one behind it."""
    base: str | None
    """The snapshot that all begins with; None: the log's own start."""
    replayed: int
    rows: int
    fingerprint: str
    partial: bool
    """Whether rows are missing that were there at `offset`."""
    lost_keys: tuple[LostKeys, ...]
    """Where those may be missing; () unless it is partial."""
    lost_answers: bool
    """Whether it is not known any more which calls were answered: a retry from before may run a second time."""
    lost: Extent | None
    """Transactions behind `offset` that anything in the directory still speaks of; times 0 where nothing says them."""
    doubtful: bool
    """Whether the log is damaged behind `offset`, so that there may have been more than anything still speaks of."""
    unreachable: tuple[Extent, ...]
    """Those of them whose records hold by themselves, but cannot be linked: `store log dump` shows some."""
    damage: tuple[Damage, ...]
    passed_over: tuple[PassedOver, ...]
    """Snapshots that could not be used."""
    seconds: float


@dataclass(frozen=True)
class _Found:
    """A state that can be proven, and how it came about."""

    state: State
    chain: bytes
    store: Epoch
    base: Manifest | None
    replayed: int
    partial: bool = False
    lost_keys: tuple[LostKeys, ...] = ()
    lost_answers: bool = False


def salvage(
    source: Disk,
    into: Disk,
    *,
    clock: Clock,
    entropy: Entropy,
    options: SnapshotOptions,
    progress: Progress | None = None,
    note: Callable[[SalvageReport], None] | None = None,
) -> SalvageReport:
    """Write what can be proven of `source` into the empty directory `into`, as one snapshot and a log behind it.

    `note` is called when all is written and proven, before the marker: what it leaves there is there from the start.
    NotRestorable: nothing can be proven. DirectoryError: `into` is not empty, or something is of a newer format.
    OSError: a disk failed. After any of these `into` is empty, or refused as half made and the same call begins anew.
    The next start of `into` opens a new epoch.
    """
    began = clock.monotonic()
    begin_making(into, Restoring("salvage", 0))
    try:
        report = _make(source, into, clock, entropy, options, progress or _silent)
    except Exception:
        with suppress(OSError):
            abandon(into)
        raise
    if note is not None:
        note(report)
    mark(into, opens="salvage")
    return replace(report, seconds=clock.monotonic() - began)


def _make(
    source: Disk, into: Disk, clock: Clock, entropy: Entropy, options: SnapshotOptions, told: Progress
) -> SalvageReport:
    wreck = examine(source, told)
    found = _furthest(source, wreck) or _partial(source, wreck)
    if found is None:
        raise NotRestorable(
            f"nothing can be proven: no snapshot holds, and the log does not from its start "
            f"({len(wreck.damage)} places are damaged)",
            hint="Restore from a backup (`store restore --from`), or from another copy of the directory",
        )
    manifest = _write(into, found, clock, options, told)
    begin(
        into,
        first_offset=found.state.next_offset,
        epoch=found.state.epoch,
        created=clock.wall(),
        chain=found.chain,
        salt=entropy.bytes(SALT_SIZE),
    )
    _prove(into, manifest, told)
    return _report(wreck, found, manifest, doubtful=_doubtful(source, wreck, manifest.offset))


def _furthest(source: Disk, wreck: Wreck) -> _Found | None:
    """By the base, whole or none at all, whose log leads furthest; of several the newest, which replays least."""
    bases: list[Picture | None] = [each for each in wreck.pictures if each.whole]
    known: dict[tuple[Offset, bytes], Offset] = {}
    reaches = [(_reach(source, base, known), base) for base in [*bases, None]]
    for reach, base in sorted(reaches, key=lambda each: each[0], reverse=True):
        if not reach:
            continue
        try:
            return _follow_from(source, None if base is None else base.manifest)
        except CorruptionError as error:
            assert base is not None  # Batches were checked when the log was followed: this is of the snapshot.
            wreck.passed_over.append(PassedOver(snapshot_name(base.manifest.offset), str(error)))
    return None


def _reach(source: Disk, base: Picture | None, known: dict[tuple[Offset, bytes], Offset]) -> Offset:
    """How far the log leads from a base; where it comes by a newer one it leads as far as from there."""
    begin = offset, chain = _end_of(None if base is None else base.manifest)
    for batch in follow(source, offset, chain):
        offset = batch.last_offset
        if (offset, batch.chain) in known:
            offset = known[offset, batch.chain]
            break
    known[begin] = offset
    return offset


def _end_of(base: Manifest | None) -> tuple[Offset, bytes]:
    return (Offset(0), CHAIN_START) if base is None else (base.offset, base.chain)


def _follow_from(source: Disk, base: Manifest | None) -> _Found:
    """The state at the end of what follows a whole base."""
    state = State({}) if base is None else load_snapshot(Repository(source), base, {})
    offset, chain = _end_of(base)
    trail = _Trail(follow(source, offset, chain), chain)
    absorb_all(state, trail)
    store = state.store if base is None else base.store
    return _Found(state, trail.chain, store, base, state.last_offset - offset)


class _Trail:
    """Batches on their way, and the chain behind the last of them."""

    def __init__(self, batches: Iterator[Batch], chain: bytes) -> None:
        self._batches = batches
        self.chain = chain

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._batches:
            self.chain = batch.chain
            yield batch


def _partial(source: Disk, wreck: Wreck) -> _Found | None:
    """By the snapshot that has the most rows left: those, and what follows it in the log where callers are known."""
    pictures = [each for each in wreck.pictures if each.rows or each.system is not None]
    if not pictures:
        return None
    picture = max(pictures, key=lambda each: (each.rows, each.manifest.offset))
    manifest = picture.manifest
    state = State({}, _Remnants())
    _load_what_holds(Repository(source), picture, state)
    offset, chain = _end_of(manifest)
    trail = _Trail(follow(source, offset, chain), chain)
    if picture.system is not None:
        absorb_all(state, trail)
    return _Found(
        state,
        trail.chain,
        manifest.store,
        manifest,
        state.last_offset - offset,
        partial=True,
        lost_keys=tuple(
            LostKeys(table.name, block.first, block.last, block.rows)
            for table in manifest.tables
            for block in table.blocks
            if block in picture.lost
        ),
        lost_answers=picture.system is None,
    )


class _Remnants(Database):
    """Tables of which rows are missing: what the log says of a missing row is taken as it comes. No index is kept."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(lambda table: RowCodec(table, row_struct(table)))

    def apply(
        self,
        writes: Sequence[Write],
        moves: Sequence[Move] | None = None,  # noqa: ARG002  # As a Database is called.
    ) -> None:
        """Make a committed transaction present, as far as its rows are."""
        for table_id, _, key, _, after in writes:
            table = self.tables[table_id]
            if after is None:
                table.rows.pop(key, None)
            elif key in table.rows:
                table.rows[key] = after
            else:
                table.add(key, after)


def _load_what_holds(repository: Repository, picture: Picture, state: State) -> None:
    manifest = picture.manifest
    if picture.system is not None:
        state.load_system(picture.system)
    else:
        state.last_offset, state.last_timestamp = manifest.offset, manifest.timestamp
        state.epochs.append(EpochRecord(manifest.epoch, Epoch(b""), manifest.offset, "salvage"))
    state.database.adopt(read_schema(manifest))
    for content in manifest.tables:
        table = state.database.tables.get(content.table)
        if table is None:
            continue
        for block in content.blocks:
            if block not in picture.lost:
                table.rows.update(zip(*repository.block(block), strict=True))
        table.next_key = content.next_key


def _write(into: Disk, found: _Found, clock: Clock, options: SnapshotOptions, told: Progress) -> Manifest:
    """All of it as one snapshot."""
    repository, state = Repository(into), found.state
    schema = state.database.schema
    tables = []
    for done, table in enumerate(schema.tables):
        told(WRITING, done, len(schema.tables))
        stored = state.database.tables[table.id]
        blocks = merge(repository, (), stored.rows, table.id, options.block_size)
        tables.append(TableContent(table.id, table.name, len(stored.rows), stored.next_key, blocks))
    told(WRITING, len(schema.tables), len(schema.tables))
    system = repository.put_system(state.dump_system())
    manifest = Manifest(
        store=found.store,
        epoch=state.epoch,
        offset=state.last_offset,
        timestamp=state.last_timestamp,
        taken=clock.wall(),
        chain=found.chain,
        schema=msgspec.msgpack.encode(schema),
        tables=tuple(tables),
        system=system,
        fingerprint=fingerprint_of(tables),
        content=content_of(tables, system),
    )
    repository.put_manifest(manifest)
    return manifest


def _prove(into: Disk, manifest: Manifest, told: Progress) -> None:
    """A replay of the new directory has what was written into it."""
    replayed = replay(into, progress=told)
    found = replayed.state.database.fingerprint()
    if (replayed.state.last_offset, found) != (manifest.offset, manifest.fingerprint):
        raise CorruptionError(
            f"expected offset {manifest.offset} with fingerprint {manifest.fingerprint[:16]}, "
            f"found offset {replayed.state.last_offset} with {found[:16]} in what was written",
            file=f"snapshot/{snapshot_name(manifest.offset)}.json",
            position=0,
            hint="The new directory's disk does not keep what is written to it: use another",
        )
    Repository(into).note_verified(snapshot_name(manifest.offset), manifest.taken, manifest.fingerprint)


def _doubtful(source: Disk, wreck: Wreck, offset: Offset) -> bool:
    """Whether any damage of the log lies in a segment that reaches behind what was salvaged, or may do so."""
    firsts = segment_offsets(source)
    covered = {segment_name(first) for first, later in pairwise(firsts) if later <= offset + 1}
    return any(each.file.startswith(f"{LOG}/") and each.file not in covered for each in wreck.damage)


def _report(wreck: Wreck, found: _Found, manifest: Manifest, *, doubtful: bool) -> SalvageReport:
    offset = manifest.offset
    unreachable = tuple(each for each in wreck.extents if each.last > offset)
    lost = None
    if wreck.highest > offset:
        first_time = min((each.first_time for each in unreachable if each.first > offset), default=Timestamp(0))
        last_time = max((each.last_time for each in unreachable), default=Timestamp(0))
        lost = Extent(Offset(offset + 1), wreck.highest, first_time, last_time)
    return SalvageReport(
        offset=offset,
        timestamp=manifest.timestamp,
        parent=manifest.epoch,
        base=None if found.base is None else snapshot_name(found.base.offset),
        replayed=found.replayed,
        rows=sum(each.rows for each in manifest.tables),
        fingerprint=manifest.fingerprint,
        partial=found.partial,
        lost_keys=found.lost_keys,
        lost_answers=found.lost_answers,
        lost=lost,
        doubtful=doubtful,
        unreachable=unreachable,
        damage=tuple(wreck.damage),
        passed_over=tuple(wreck.passed_over),
        seconds=0.0,
    )


def _silent(_phase: str, _done: int, _total: int) -> None:
    """Tells nobody."""
