"""Taking a snapshot: the newest one before it, and the log behind that, become the next.

Laws: the writer is not asked and does not wait; what is proven durable is taken, never more. Rows that did not change
are neither read nor held: memory follows the changes since the snapshot before, or the rows where there is none.
Everything is read back before the manifest is written, which is last: a crash in here leaves no snapshot, or a whole
one.
"""

from dataclasses import dataclass
from functools import partial

import msgspec

from store.engine.loading import (
    PassedOver,
    Progress,
    candidates,
    misfit,
    newer_first,
    read_schema,
    read_system,
    refuse_without_snapshot,
)
from store.engine.replay import REPLAYING, absorb_all
from store.engine.state import State
from store.env.world import Clock, Disk
from store.errors import CorruptionError, DirectoryError, NotRestorable
from store.ids import Offset
from store.log.format import FOLDER as LOG_FOLDER
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.log.survey import chain_at, proven_end
from store.snapshot.format import (
    SNAPSHOT_FOLDER,
    BlockRef,
    Manifest,
    TableContent,
    block_file,
    content_of,
    fingerprint_of,
    row_sum,
    snapshot_name,
)
from store.snapshot.merge import merge
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Repository
from store.tables.changes import Changes

WRITING = "writing"
"""The phase in which blocks are written; its steps are tables."""
CHECKING = "checking"
"""The phase in which everything is read back."""


@dataclass(frozen=True)
class Taken:
    """A snapshot, and what it took."""

    manifest: Manifest
    fresh: bool
    """Whether it was made now; False: there was one at this offset already, and all of it holds."""
    base: str | None
    """The snapshot it continues, or None: it was made from the log alone."""
    replayed: int
    """Transactions."""
    rate: float
    """Transactions replayed per second; 0.0 where there were none."""
    rows_written: int
    blocks_written: int
    blocks_reused: int
    bytes_written: int
    """Of blocks, as they lie on disk."""
    seconds: float
    passed_over: tuple[PassedOver, ...]
    """Newer snapshots than the base that could not be continued, newest first, with the reasons."""


def take(
    disk: Disk,
    *,
    clock: Clock,
    options: SnapshotOptions,
    through: Offset | None = None,
    progress: Progress | None = None,
) -> Taken:
    """Take a snapshot of the newest state that is proven durable, and not behind `through`.

    It stands where a batch ends: at `through` itself where one does, else before it. NotRestorable: there is nothing
    durable yet, or no way to so early a state. DirectoryError: somebody else works on the snapshots, or a newer store
    did. CorruptionError: log or snapshots are damaged and nothing leads around it. OSError: the disk failed or is full;
    what was written is left over, and the next take makes use of it.
    """
    disk.lock(SNAPSHOT_FOLDER)  # Who takes, prunes or imports snapshots is alone.
    try:
        return _Taking(disk, clock, options, progress or (lambda *_: None)).take(through)
    finally:
        disk.unlock(SNAPSHOT_FOLDER)


class _Taking:
    """One taking, while the lock is held."""

    def __init__(self, disk: Disk, clock: Clock, options: SnapshotOptions, told: Progress) -> None:
        self._disk = disk
        self._clock = clock
        self._options = options
        self._told = told
        self._repository = Repository(disk)
        self._began = clock.monotonic()
        self._passed_over: list[PassedOver] = []

    def take(self, through: Offset | None) -> Taken:
        """Continue the newest base that holds; one whose damage shows on the way is passed over."""
        offset, chain = self._place(through)
        self._repository.remove_leftovers()
        found = candidates(self._disk, self._passed_over, through=offset)
        for base in found:
            try:
                if base.offset == offset:
                    return self._find(base)
                return self._continue(base, offset, chain)
            except (CorruptionError, FileNotFoundError) as error:
                name = snapshot_name(base.offset)
                self._passed_over.append(PassedOver(name, str(error)))
                if isinstance(error, FileNotFoundError) or not error.file.startswith(f"{LOG_FOLDER}/"):
                    self._repository.note_damaged(name)  # Or log would go because a start could rest on it.
        refuse_without_snapshot(self._disk, self._passed_over, through=offset)
        return self._continue(None, offset, chain)

    def _refuse_foreign_name(self, offset: Offset) -> None:
        """A damaged snapshot is made anew under its name; one of another history is not ours to replace."""
        try:
            reason = misfit(self._disk, self._repository.manifest(snapshot_name(offset)))
        except (CorruptionError, FileNotFoundError):
            return
        if reason:
            raise DirectoryError(
                f"the snapshot {snapshot_name(offset)} is of another history ({reason})",
                hint="Move it out of the directory; a later moment can be taken meanwhile",
            )

    def _place(self, through: Offset | None) -> tuple[Offset, bytes]:
        """Where the snapshot will stand, and the log's chain there."""
        offset, chain = proven_end(self._disk)
        if through is not None and through < offset:
            offset = self._batch_end(through)
            known = chain_at(self._disk, offset)
            assert known is not None
            chain = known
        if not offset:
            raise NotRestorable(
                "nothing can be taken yet: no transaction is proven durable",
                hint="Seal the segment first (POST /v1/seal), or wait until a later batch vouches",
            )
        return offset, chain

    def _batch_end(self, through: Offset) -> Offset:
        """The last batch end at or before an offset."""
        if chain_at(self._disk, through) is not None:
            return through
        first = segment_offsets(self._disk)[0]
        if through < first:
            raise NotRestorable(
                f"no snapshot can be taken at offset {through}: the log begins at offset {first}",
                hint="Take one of what is there, without --through",
            )
        reader = LogReader(self._disk, from_offset=through, through=through)
        return next(Offset(each.first_offset - 1) for each in reader if each.last_offset >= through)

    def _find(self, manifest: Manifest) -> Taken:
        """There is one at this offset already: does it hold? CorruptionError where it does not."""
        self._repository.check(manifest, partial(self._told, CHECKING))
        return self._taken(manifest, fresh=False, base=manifest, replayed=0, rate=0.0)

    def _continue(self, base: Manifest | None, offset: Offset, chain: bytes) -> Taken:
        """The base, and the log from there to `offset`, become a snapshot."""
        self._refuse_foreign_name(offset)
        state, changes = _begin(self._repository, base)
        before = state.last_offset
        began = self._clock.monotonic()
        told = partial(self._told, REPLAYING)
        absorb_all(state, LogReader(self._disk, from_offset=state.next_offset, through=offset, progress=told))
        assert state.last_offset == offset
        seconds = self._clock.monotonic() - began
        manifest = self._write(state, changes, base, chain)
        self._check(manifest, base)
        self._repository.put_manifest(manifest)
        self._repository.note_verified(snapshot_name(manifest.offset), self._clock.wall(), manifest.fingerprint)
        replayed = offset - before
        rate = replayed / seconds if seconds else 0.0
        return self._taken(manifest, fresh=True, base=base, replayed=replayed, rate=rate)

    def _write(self, state: State, changes: Changes, base: Manifest | None, chain: bytes) -> Manifest:
        """Everything but the manifest goes to disk; a table's changes are let go once they are there."""
        stored = {} if base is None else {each.table: each.blocks for each in base.tables}
        schema = changes.schema
        tables: list[TableContent] = []
        for done, table in enumerate(schema.tables):
            self._told(WRITING, done, len(schema.tables))
            blocks = merge(
                self._repository,
                stored.get(table.id, ()),
                changes.net.pop(table.id),
                table.id,
                self._options.block_size,
            )
            rows = sum(each.rows for each in blocks)
            tables.append(TableContent(table.id, table.name, rows, changes.next_key(table.id), blocks))
        self._told(WRITING, len(schema.tables), len(schema.tables))
        system = self._repository.put_system(state.dump_system())
        return Manifest(
            store=state.store if base is None else base.store,
            epoch=state.epoch,
            offset=state.last_offset,
            timestamp=state.last_timestamp,
            taken=self._clock.wall(),
            chain=chain,
            schema=msgspec.msgpack.encode(schema),
            tables=tuple(tables),
            system=system,
            fingerprint=fingerprint_of(tables),
            content=content_of(tables, system),
        )

    def _check(self, manifest: Manifest, base: Manifest | None) -> None:
        """Read everything back, what is new by its content, the rest by its hashes. CorruptionError names the file."""
        shared = {} if base is None else _blocks(base)
        for table in manifest.tables:
            for block in table.blocks:
                if block.file not in shared and row_sum(table.table, self._repository.block(block)[1]) != block.sum:
                    raise CorruptionError(
                        "expected the rows just written, found others", file=block_file(block.file), position=0
                    )
        self._repository.check(manifest, partial(self._told, CHECKING))

    def _taken(self, manifest: Manifest, *, fresh: bool, base: Manifest | None, replayed: int, rate: float) -> Taken:
        before = {} if base is None else _blocks(base)
        written = [each for file, each in _blocks(manifest).items() if file not in before]
        return Taken(
            manifest=manifest,
            fresh=fresh,
            base=None if base is None else snapshot_name(base.offset),
            replayed=replayed,
            rate=rate,
            rows_written=sum(each.rows for each in written),
            blocks_written=len(written),
            blocks_reused=len(_blocks(manifest)) - len(written),
            bytes_written=sum(each.size for each in written),
            seconds=self._clock.monotonic() - self._began,
            passed_over=newer_first(self._passed_over, than=base),
        )


def _begin(repository: Repository, base: Manifest | None) -> tuple[State, Changes]:
    """A state at the base's offset that has its system part, and of its tables only what changes from here on."""
    if base is None:
        changes = Changes()
        return State({}, changes), changes
    changes = Changes({each.table: each.next_key for each in base.tables})
    state = State({}, changes)
    state.load_system(read_system(repository, base))
    changes.adopt(read_schema(base))
    return state, changes


def _blocks(manifest: Manifest) -> dict[str, BlockRef]:
    return {block.file: block for table in manifest.tables for block in table.blocks}
