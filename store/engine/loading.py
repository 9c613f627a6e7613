"""From a snapshot to the state at its offset, and which of the snapshots a replay of this log may begin with.

Laws: a snapshot is believed only where every block holds and the log goes on from it: the log's chain at its offset is
the one it names. The newest such is taken, else the one before; whatever is passed over is told, with the reason. A
log that begins behind its first offset, with no such snapshot, is corruption, never an empty store.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from store.engine.state import SYSTEM_VERSION, State, System, decode_schema, decode_system
from store.env.world import Disk
from store.errors import CorruptionError, DirectoryError, NotRestorable
from store.ids import INT_MAX, Offset
from store.log.format import FIRST_OFFSET, FOLDER, segment_name
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.log.survey import holds, read_header, runs, segments
from store.schema import Schema, Table
from store.snapshot.format import Manifest, manifest_file, snapshot_name
from store.snapshot.repository import Repository
from store.tables.loading import Loader

Progress = Callable[[str, int, int], None]
"""Told (phase, done, in all)."""

LOADING: Final = "loading"
"""The phase in which blocks are read; its steps are their bytes."""

HINT: Final = (
    "Copy the directory before anything else; then bring it back with `store restore --from BACKUP DIR`, or save what"
    " can be proven with `store salvage DIR NEW`"
)


@dataclass(frozen=True)
class PassedOver:
    """A snapshot that a replay could not begin with."""

    name: str
    reason: str
    damaged: bool = False
    """Whether its bytes are not what they were; else it is whole, and of another history."""


@dataclass(frozen=True)
class Loaded:
    """Where a replay begins."""

    state: State
    manifest: Manifest | None
    """The snapshot it came from, or None: the log is replayed from its start."""
    rows: int
    passed_over: tuple[PassedOver, ...]
    """Newer ones, which damage or another history excludes; newest first."""


def load(
    disk: Disk,
    row_types: Mapping[str, type[Table]],
    *,
    through: Offset | None = None,
    ahead: bool = False,
    progress: Progress | None = None,
) -> Loaded:
    """The newest state at or before `through` that a snapshot holds; an empty one where the log holds everything.

    `ahead` says that the directory was copied or made from another one, so that its log may lag behind its snapshots.
    CorruptionError: no snapshot leads to where the log begins, or one shows that the log has lost its end.
    NotRestorable: what there is leads only to states behind `through`. DirectoryError: a snapshot of a newer format.
    """
    passed_over: list[PassedOver] = []
    found = candidates(disk, passed_over, through=through, ahead=ahead)
    loaded = _first_sound(disk, found, row_types, passed_over, progress)
    if loaded is None:
        refuse_without_snapshot(disk, passed_over, through=through)
    return loaded or Loaded(State(row_types), None, 0, newer_first(passed_over, than=None))


def load_oldest(
    disk: Disk, row_types: Mapping[str, type[Table]], *, ahead: bool = False, progress: Progress | None = None
) -> Loaded:
    """Where the last unbroken stretch of the log begins: an empty state, or that of the oldest snapshot in it.

    `ahead`, and errors, as `load`.
    """
    first = runs(segments(disk, copied=ahead))[-1][0].first_offset
    if first == FIRST_OFFSET:
        return Loaded(State(row_types), None, 0, ())
    passed_over: list[PassedOver] = []
    found = [each for each in candidates(disk, passed_over, ahead=ahead) if each.offset >= first - 1]
    loaded = _first_sound(disk, reversed(found), row_types, passed_over, progress)
    if loaded is None:
        raise _no_start(first, passed_over)
    return loaded


def candidates(
    disk: Disk, passed_over: list[PassedOver], *, through: Offset | None = None, ahead: bool = False
) -> Iterator[Manifest]:
    """Snapshots at or before `through` that fit the log, newest first; their blocks are not read yet.

    What else there is, is noted. CorruptionError where one shows that the log has lost its end; DirectoryError where
    one was made by a newer store.
    """
    repository = Repository(disk)
    whole, refused = repository.whole()
    for name, reason in refused:
        with suppress(CorruptionError, OSError):
            repository.manifest(name)  # A newer one is not damaged: DirectoryError.
        passed_over.append(PassedOver(name, reason))
    for manifest in whole:
        if through is not None and manifest.offset > through:
            continue
        reason = misfit(disk, manifest, ahead=ahead)
        if reason:
            passed_over.append(PassedOver(snapshot_name(manifest.offset), reason))
        else:
            yield manifest


def _first_sound(
    disk: Disk,
    manifests: Iterable[Manifest],
    row_types: Mapping[str, type[Table]],
    passed_over: list[PassedOver],
    progress: Progress | None,
) -> Loaded | None:
    repository = Repository(disk)
    for manifest in manifests:
        try:
            state = load_snapshot(repository, manifest, row_types, progress=progress)
        except (CorruptionError, OSError) as error:
            damaged = isinstance(error, CorruptionError | FileNotFoundError)
            passed_over.append(PassedOver(snapshot_name(manifest.offset), str(error), damaged))
            continue
        rows = sum(each.rows for each in manifest.tables)
        return Loaded(state, manifest, rows, newer_first(passed_over, than=manifest))
    return None


def newer_first(passed_over: Iterable[PassedOver], *, than: Manifest | None) -> tuple[PassedOver, ...]:
    """Those that are newer than the snapshot in use, newest first."""
    name = "" if than is None else snapshot_name(than.offset)
    return tuple(sorted((each for each in passed_over if each.name > name), key=lambda each: each.name, reverse=True))


def misfit(disk: Disk, manifest: Manifest, *, ahead: bool = False) -> str:
    """Why no replay of this log may begin with a snapshot, or "": it may.

    CorruptionError where the snapshot is of this very history and ahead of it, and may not be.
    """
    offsets = segment_offsets(disk)
    if offsets and offsets[0] == FIRST_OFFSET:
        store = read_header(disk, offsets[0]).epoch
        if store != manifest.store:
            return f"it is of another store: {manifest.store.hex()}, this one is {store.hex()}"
    if offsets and offsets[0] > manifest.offset + 1:
        return f"the log begins at offset {offsets[0]}: what came between is gone"
    if _goes_on(disk, offsets, manifest, copied=ahead):
        return ""
    end = end_of_log(disk, copied=ahead)
    if manifest.offset <= end:
        return f"it is of another history: the log has another chain at offset {manifest.offset}"
    if offsets and not _may_come_behind(disk, offsets[-1], manifest, end):
        return f"it is of another branch, and ahead of the log, which ends at offset {end}"
    if not ahead:
        raise CorruptionError(
            f"expected the log through offset {manifest.offset}, where a snapshot was taken, found its end at {end}",
            file=segment_name(offsets[-1]) if offsets else f"{FOLDER}/",
            position=0,
            hint=HINT,
        )
    return ""


def end_of_log(disk: Disk, *, copied: bool = False) -> Offset:
    """The last offset that lies whole in the log; 0 where there is none. Errors, and `copied`, as the reader."""
    if not segment_offsets(disk):
        return Offset(0)
    reader = LogReader(disk, from_offset=Offset(INT_MAX), copied=copied)  # Only the last segment, by its headers.
    deque(reader, maxlen=0)
    assert reader.tail is not None
    return reader.tail.last_offset


def load_snapshot(
    repository: Repository,
    manifest: Manifest,
    row_types: Mapping[str, type[Table]],
    *,
    progress: Progress | None = None,
) -> State:
    """The state that a snapshot holds; every block is checked. CorruptionError names the file."""
    state = State(row_types)
    state.load_system(read_system(repository, manifest))
    try:
        state.database.adopt(read_schema(manifest))
    except (KeyError, ValueError, TypeError) as error:
        raise _contradiction(manifest, f"its schema has no meaning ({error})") from None
    total = sum(block.size for table in manifest.tables for block in table.blocks)
    done = 0
    for content in manifest.tables:
        table = state.database.tables.get(content.table)
        if table is None:
            raise _contradiction(manifest, f"it has rows of table {content.table}, which its schema does not have")
        loader = Loader(table)
        for block in content.blocks:
            keys, rows = repository.block(block)
            try:
                loader.add(keys, rows)
            except (msgspec.DecodeError, ValueError, TypeError) as error:
                raise _contradiction(manifest, f"rows of block {block.file} do not fit its schema ({error})") from None
            done += block.size
            if progress is not None:
                progress(LOADING, done, total)
        loader.finish(content.next_key)
        if len(table.rows) != content.rows:
            raise _contradiction(manifest, f"it says {content.rows} rows of {content.name}, found {len(table.rows)}")
    return state


def read_system(repository: Repository, manifest: Manifest) -> System:
    """A snapshot's system part.

    CorruptionError where it is none, or contradicts the manifest; DirectoryError where it is of a newer version.
    """
    try:
        system = decode_system(repository.system(manifest))
    except (msgspec.DecodeError, ValueError) as error:
        raise _contradiction(manifest, f"its system part cannot be read ({error})") from None
    if system.version > SYSTEM_VERSION:
        raise DirectoryError(
            f"the system part of snapshot {snapshot_name(manifest.offset)} is of version {system.version}, this store"
            f" reads up to {SYSTEM_VERSION}",
            hint="Use the newer version of the store",
        )
    if system.last_offset != manifest.offset or not system.epochs or system.epochs[-1].epoch != manifest.epoch:
        raise _contradiction(manifest, f"its system part is of offset {system.last_offset}")
    return system


def read_schema(manifest: Manifest) -> Schema:
    """A snapshot's schema. CorruptionError where it is none."""
    try:
        return decode_schema(manifest.schema)
    except (msgspec.DecodeError, ValueError) as error:
        raise _contradiction(manifest, f"its schema cannot be read ({error})") from None


def _goes_on(disk: Disk, offsets: list[Offset], manifest: Manifest, *, copied: bool) -> bool:
    """Whether the log has the snapshot's chain at its offset; a segment that begins there says it by itself."""
    following = Offset(manifest.offset + 1)
    if following in offsets and read_header(disk, following).chain == manifest.chain:
        return True
    return holds(disk, manifest.offset, manifest.chain, copied=copied)


def _may_come_behind(disk: Disk, last_segment: Offset, manifest: Manifest, end: Offset) -> bool:
    """Whether a log that ends before the snapshot can be of its history: the epochs say so, the chain cannot."""
    epoch = read_header(disk, last_segment).epoch
    if epoch == manifest.epoch:
        return True
    try:
        epochs = read_system(Repository(disk), manifest).epochs
    except (CorruptionError, OSError):
        return False
    return any(each.epoch == epoch and each.first_offset <= end + 1 for each in epochs)


def refuse_without_snapshot(disk: Disk, passed_over: list[PassedOver], *, through: Offset | None) -> None:
    """A replay can only begin at the first offset: CorruptionError where that is gone.

    NotRestorable where there is a way, but only to later states than the one at `through`.
    """
    offsets = segment_offsets(disk)
    if offsets and offsets[0] > FIRST_OFFSET:
        later = [each.offset for each in Repository(disk).whole()[0] if each.offset + 1 >= offsets[0]]
        if through is not None and later and min(later) > through:
            raise NotRestorable(
                f"nothing leads to offset {through}: the log begins at offset {offsets[0]}, and the oldest snapshot"
                f" that it continues is at offset {min(later)}",
                hint="Name a later moment",
            )
        raise _no_start(offsets[0], passed_over)
    if passed_over and not offsets:
        raise CorruptionError(
            f"expected the commitlog, found no segment, and no snapshot that can be used ({_listed(passed_over)})",
            file=f"{FOLDER}/",
            position=0,
            hint=HINT,
        )


def _no_start(first: Offset, passed_over: list[PassedOver]) -> CorruptionError:
    found = _listed(passed_over) if passed_over else "there is none"
    return CorruptionError(
        f"the log begins at offset {first}: expected a snapshot at offset {first - 1} or behind it that can be used,"
        f" found none ({found})",
        file=segment_name(first),
        position=0,
        hint=HINT,
    )


def _listed(passed_over: list[PassedOver]) -> str:
    return "; ".join(f"{each.name}: {each.reason}" for each in passed_over)


def _contradiction(manifest: Manifest, found: str) -> CorruptionError:
    """A snapshot whose files hold by themselves, and yet do not belong together."""
    return CorruptionError(found, file=manifest_file(snapshot_name(manifest.offset)), position=0, hint=HINT)
