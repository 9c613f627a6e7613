"""Another store that begins as this one was at a moment: a new directory with one snapshot, and an identity of its own.

Laws: the source is only read. What is made of it is first restored and proven as any other moment is; then its snapshot
at that moment is given a new store's name, and all that came before goes: the copy's history begins there. So no
backup, snapshot or trail of the one is ever taken for the other's. Whatever happens before the marker is written, the
new directory is empty or refused as half made.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from msgspec import structs

from store.engine.directory import abandon, mark
from store.engine.loading import read_system
from store.engine.replay import replay
from store.engine.state import BEGINS_STORE, EpochRecord, State
from store.env.world import Clock, Disk, Entropy
from store.errors import CorruptionError
from store.ids import EPOCH_SIZE, Epoch, Offset
from store.log.cutting import begin as begin_log
from store.log.format import FOLDER as LOG
from store.log.format import SALT_SIZE
from store.log.segment import segment_offsets
from store.log.survey import segments
from store.snapshot.format import Manifest, content_of, snapshot_name
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Repository
from store.tables.changes import Changes
from store.upkeep.holdings import blocks_of
from store.upkeep.making import Making, Progress, Restored
from store.upkeep.ranges import Moment
from store.upkeep.snapshotting import take

REASON: Final = "clone"
"""Why an epoch opens with the first start of a clone."""


def clone(
    source: Disk,
    into: Disk,
    chosen: Moment,
    *,
    clock: Clock,
    entropy: Entropy,
    options: SnapshotOptions,
    progress: Progress | None = None,
    note: Callable[[Restored], None] | None = None,
) -> Restored:
    """Make a new store of the moment: the rows, answers and identities of then, and no history before.

    `note` and errors are those of `restore`. `store` of what is returned is the new store's; its parent is the epoch of
    then.
    """
    began = clock.monotonic()
    told = progress or _silent
    try:
        restored = Making(source, into, chosen, REASON, clock, entropy, told).make_from_any()
        made = _Clone(into, clock, entropy, options, told).begin_anew(restored)
    except Exception:
        with suppress(OSError):
            abandon(into)
        raise
    if note is not None:
        note(made)
    mark(into, opens=REASON)
    return replace(made, seconds=clock.monotonic() - began)


@dataclass(frozen=True)
class _Clone:
    """A restored directory without a marker, which becomes a store of its own."""

    disk: Disk
    clock: Clock
    entropy: Entropy
    options: SnapshotOptions
    told: Progress

    def begin_anew(self, restored: Restored) -> Restored:
        """One snapshot under a new name, and an empty log behind it; proven again."""
        self._end_log(restored)
        old = take(self.disk, clock=self.clock, options=self.options, progress=self.told).manifest
        assert old.offset == restored.offset
        store = Epoch(self.entropy.bytes(EPOCH_SIZE))
        new = self._rename(old, EpochRecord(store, old.epoch, Offset(old.offset + 1), BEGINS_STORE))
        self._forget_history(new)
        self._prove(restored)
        Repository(self.disk).note_verified(snapshot_name(new.offset), new.taken, new.fingerprint)
        return replace(restored, store=store)

    def _end_log(self, restored: Restored) -> None:
        """A segment behind the last says that all before it is durable, so that a snapshot may stand at its end."""
        last = segments(self.disk)[-1]
        if last.first_offset <= restored.offset:
            self._begin_log(restored.parent, restored.offset, last.chain_after)

    def _begin_log(self, epoch: Epoch, behind: Offset, chain: bytes) -> None:
        begin_log(
            self.disk,
            first_offset=Offset(behind + 1),
            epoch=epoch,
            created=self.clock.wall(),
            chain=chain,
            salt=self.entropy.bytes(SALT_SIZE),
        )

    def _rename(self, old: Manifest, record: EpochRecord) -> Manifest:
        """The same snapshot as the new store's first: its system part says whose it is, and from which epoch."""
        repository = Repository(self.disk)
        state = State({}, Changes())
        state.load_system(read_system(repository, old))
        state.epochs.append(record)
        system = repository.put_system(state.dump_system())
        content, taken = content_of(old.tables, system), self.clock.wall()
        new = structs.replace(old, store=record.epoch, epoch=record.epoch, taken=taken, system=system, content=content)
        repository.note_damaged(snapshot_name(old.offset))  # What was verified under this name is no more.
        repository.put_manifest(new)
        return new

    def _forget_history(self, kept: Manifest) -> None:
        """All log and every other snapshot go; an empty segment goes on from the one that stays."""
        repository = Repository(self.disk)
        repository.remove([name for name in repository.names() if name != snapshot_name(kept.offset)])
        repository.collect(set(blocks_of(kept)))
        for name in [f"{LOG}/{each}" for each in self.disk.names(LOG)]:
            self.disk.remove(name)
        self.disk.sync_directory(LOG)
        assert not segment_offsets(self.disk)
        self._begin_log(kept.epoch, kept.offset, kept.chain)

    def _prove(self, restored: Restored) -> None:
        """A replay of what is left has what was restored."""
        replayed = replay(self.disk, progress=self.told)
        found = (replayed.state.last_offset, replayed.state.database.fingerprint())
        if found != (restored.offset, restored.fingerprint) or replayed.passed_over:
            raise CorruptionError(
                f"expected offset {restored.offset} with fingerprint {restored.fingerprint[:16]}, found offset "
                f"{found[0]} with {found[1][:16]} in what was written",
                file=f"snapshot/{snapshot_name(restored.offset)}.json",
                position=0,
                hint="The new directory's disk does not keep what is written to it: use another",
            )


def _silent(_phase: str, _done: int, _total: int) -> None:
    """Tells nobody."""
