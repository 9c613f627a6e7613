"""Pruning a backup: what goes, what stays, and that nothing promised is ever lost."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.backup.checking import check
from store.backup.facts import block_files
from store.backup.index import read_index
from store.backup.listing import listing
from store.backup.options import BackupOptions
from store.backup.prune import BackupPruned, prune
from store.backup.push import push
from store.env.memory import MemoryClock, SeededEntropy
from store.env.memory_objects import MemoryObjects
from store.errors import CorruptionError
from store.ids import Offset
from store.snapshot.repository import Repository
from store.upkeep.ranges import restorable
from tests.backup.scenes import KEY, Shop, pushed, restored, state_at, view
from tests.engine.scenes import memory_clock

HOUR = 3_600_000_000
NOTHING_KEPT = BackupOptions(keep_last=0, keep_daily=0, keep_for_s=0, grace_s=0)


class Yard(Shop):
    """A shop whose clock is that of its backup, too."""

    def days(self, count: int) -> "Yard":
        """So many days of work, each sealed, with a snapshot, and pushed."""
        for _ in range(count):
            self.work(6).seal().snapshot().work(4).seal()
            self.push(clock=self.clock)
            self.clock.advance(24 * HOUR)
        return self

    @property
    def clock(self) -> MemoryClock:
        """Of records, pushes and prunes."""
        return memory_clock(self.engine)

    def prune(self, options: BackupOptions = NOTHING_KEPT, **more: Any) -> BackupPruned:
        """Let go."""
        world: dict[str, Any] = {"clock": self.clock, "entropy": self.entropy, "key": self.key}
        return prune(self.objects, options=options, **world, **more)


def offsets(shop: Shop) -> list[int]:
    """Every offset that the backup can restore."""
    return [offset for each in restorable(view(shop)) for offset in range(each.first, each.last + 1)]


@pytest.mark.parametrize("key", [None, KEY])
def test_what_nothing_needs_goes(key: Any) -> None:
    """Old snapshots, the log before the second-newest, and blocks of none; what stays is whole and restores."""
    shop = Yard(MemoryObjects(), key=key).days(6)
    before, held = offsets(shop), len(shop.objects.names())
    done = shop.prune()
    assert len(done.snapshots) == 4
    assert done.segments
    assert done.blocks
    after = offsets(shop)
    assert after == [each for each in before if each >= after[0]]
    assert len(shop.objects.names()) == held - len(done.snapshots) - len(done.segments) - done.blocks + 1  # A note.
    assert check(shop.objects, key=key) == []
    assert listing(shop.objects, key=key).missing == ()
    for offset in (after[0], after[-1]):
        into, _ = restored(view(shop), Offset(offset))
        assert state_at(into) == state_at(shop.disk, Offset(offset))
    again = shop.prune()
    assert (again.snapshots, again.segments, again.blocks) == ([], [], 0)


@settings(max_examples=25, deadline=None)
@given(keep_last=st.integers(0, 4), keep_daily=st.integers(0, 4), days=st.integers(0, 5), grace=st.integers(0, 3))
def test_every_moment_that_is_promised_stays(keep_last: int, keep_daily: int, days: int, grace: int) -> None:
    """For keep_for_s back from now; and so do the snapshots that are to be kept, and two in any case."""
    shop = Yard(MemoryObjects()).days(5)
    before = view(shop).branch
    options = BackupOptions(
        keep_last=keep_last, keep_daily=keep_daily, keep_for_s=days * 86_400.0, grace_s=grace * 86_400.0
    )
    shop.prune(options)
    promised = shop.clock.wall() - days * 24 * HOUR
    (kept,) = [each for each in restorable(view(shop)) if each.last_time >= promised or each.last == before.offset]
    assert kept.last == before.offset
    assert kept.first == 1 or kept.first_time <= promised or not days
    assert len(view(shop).branch.snapshots) >= max(2, keep_last, keep_daily)
    assert check(shop.objects) == []


def test_nothing_goes_before_it_was_unneeded_for_the_grace() -> None:
    """By what lay in the backup then: a restore that began before goes on."""
    shop = Yard(MemoryObjects()).days(5)
    patient = BackupOptions(keep_last=0, keep_daily=0, keep_for_s=0, grace_s=3 * 86_400.0)
    first = shop.prune(patient)
    assert (len(first.snapshots), first.waiting > 0) == (1, True)  # Three snapshots were there three days ago.
    shop.clock.advance(24 * HOUR)
    assert len(shop.prune(patient).snapshots) == 1
    shop.clock.advance(24 * HOUR)
    assert len(shop.prune(patient).snapshots) == 1
    shop.clock.advance(24 * HOUR)
    assert shop.prune(patient).snapshots == []


def test_a_dry_run_removes_nothing_and_says_the_same() -> None:
    """What would go, and why the rest stays."""
    shop = Yard(MemoryObjects()).days(5)
    before = {name: shop.objects.get(name) for name in shop.objects.names()}
    would = shop.prune(dry_run=True)
    assert {name: shop.objects.get(name) for name in shop.objects.names()} == before
    did = shop.prune()
    assert (would.snapshots, would.segments, would.blocks, would.bytes) == (
        did.snapshots,
        did.segments,
        did.blocks,
        did.bytes,
    )
    (history,) = would.histories
    stays = [name for name in before if name.startswith(("snapshot/", "log/")) and name not in would.snapshots]
    assert set(history.kept) == {name for name in stays if name not in would.segments}
    assert all(history.kept.values())


def test_what_is_under_a_lock_is_told_of_and_stays_usable() -> None:
    """It is no error; a manifest that stays keeps its blocks, and nothing is reported missing or damaged."""
    objects = MemoryObjects()
    shop = Yard(objects).days(5)
    would = shop.prune(dry_run=True)
    objects.held.update({would.snapshots[0], would.segments[-1]})
    done = shop.prune()
    assert sorted(done.retained) == sorted([would.snapshots[0], would.segments[-1]])
    assert done.blocks < would.blocks
    assert check(objects) == []
    assert read_index(view(shop).bucket).unindexed(("segment", "snapshot")) == []
    objects.held.clear()
    assert sorted(shop.prune().snapshots) == [would.snapshots[0]]


def test_two_histories_keep_what_each_needs() -> None:
    """A store that was restored to an earlier moment goes on beside what it left; both stay restorable to the end."""
    shop = Yard(MemoryObjects()).days(3)
    into, _ = restored(shop.disk, Offset(shop.last - 12))
    other = Yard(shop.objects, engine=shop.reopen_restored(into).engine)
    other.days(3)
    ends = {(each.epoch, each.offset) for each in listing(shop.objects).branches}
    assert len(ends) == 2
    other.prune()
    found = listing(shop.objects).branches
    assert {(each.epoch, each.offset) for each in found} >= ends
    for each in found:
        if (each.epoch, each.offset) in ends:
            disk = view(shop, epoch=each.epoch)
            assert restored(disk)[1].offset == each.offset
    assert check(shop.objects) == []


def test_a_push_sends_again_what_a_prune_took_meanwhile() -> None:
    """A block that the push had seen there, and that went before its manifest said that it is needed."""
    shop = Yard(MemoryObjects()).days(3)
    shop.work(3).seal().snapshot()
    shared: list[str] = []

    def take_away(phase: str, *_: int) -> None:
        if phase == "log" and not shared:  # Manifests are there; this block was not sent for them.
            newest = Repository(shop.disk).whole()[0][0]
            shared.extend(sorted(known & {f"block/{digest}.blk" for digest, _ in block_files(newest)}))
            shop.objects.remove(shared[0])

    known = set(shop.objects.names("block/"))
    shop.work(3).seal()
    push(shop.disk, shop.objects, clock=shop.clock, entropy=shop.entropy, progress=take_away)
    assert shared
    assert check(shop.objects) == []


def test_without_its_notes_a_backup_is_pruned_a_grace_later() -> None:
    """Nobody knows since when what lies there does; a note that does not read is an error that says what to do."""
    shop = Yard(MemoryObjects()).days(4)
    notes = shop.objects.names("push/")
    shop.objects.remove(notes[0])
    shop.objects.put(notes[0], b"{}", if_absent=False)
    with pytest.raises(CorruptionError, match="nothing is removed"):
        shop.prune()
    for name in notes:
        shop.objects.remove(name)
    assert shop.prune().snapshots == []
    pushed(shop.disk, shop.objects, clock=shop.clock, entropy=SeededEntropy(9))
    shop.clock.advance(HOUR)
    assert len(shop.prune().snapshots) == 2


def notes_of(shop: Shop) -> list[str]:
    """The notes of pushes that are there."""
    return shop.objects.names("push/")


def test_notes_that_a_later_one_repeats_go() -> None:
    """A grace after they were written, though nothing else goes; what they said stays known."""
    shop = Yard(MemoryObjects()).days(4)
    keep_all = BackupOptions(keep_last=99, keep_daily=0, keep_for_s=1e9, grace_s=36 * 3_600.0)
    assert shop.prune(keep_all).notes == 0
    shop.push(clock=shop.clock, options=BackupOptions(index_merge=1))
    before, entries = notes_of(shop), read_index(view(shop).bucket).entries
    would = shop.prune(keep_all, dry_run=True)
    assert notes_of(shop) == before
    done = shop.prune(keep_all)
    assert (done.notes, would.notes, done.snapshots) == (3, 3, [])  # The newest of them is a day old.
    assert set(notes_of(shop)) == set(before[3:])
    assert read_index(view(shop).bucket).entries == entries
    shop.clock.advance(24 * HOUR)
    assert shop.prune(keep_all).notes == 1
    assert check(shop.objects) == []


def test_notes_under_a_lock_stay_and_are_told_of() -> None:
    """They do no harm."""
    objects = MemoryObjects()
    shop = Yard(objects).days(3)
    shop.push(clock=shop.clock, options=BackupOptions(index_merge=1))
    objects.held.add(notes_of(shop)[0])
    done = shop.prune()
    assert done.retained == [notes_of(shop)[0]]
    assert check(objects) == []


def test_the_notes_of_a_backup_that_is_pruned_stay_few() -> None:
    """However often it is pushed to."""
    shop = Yard(MemoryObjects())
    for _ in range(12):
        shop.days(1)
        shop.prune()
        assert len(notes_of(shop)) <= 3


@pytest.mark.parametrize("act", ["put", "put answer", "remove", "get"])
@pytest.mark.parametrize("key", [None, KEY])
def test_a_prune_may_be_killed_at_any_object(act: str, key: Any) -> None:
    """What is promised is restorable then, nothing is reported wrong, and the next prune ends what it began."""
    ends = set()
    for after in range(60):
        objects = MemoryObjects()
        shop = Yard(objects, key=key).days(4)
        shop.push(clock=shop.clock, options=BackupOptions(index_merge=1))
        promised = shop.prune(dry_run=True).histories[0].floor
        objects.fail(act, after=after)
        try:
            shop.prune()
        except OSError:
            pass
        else:
            break
        assert [each for each in check(objects, key=key) if each.kind != "missing"] == []
        assert offsets(shop)[-1] == shop.last
        assert set(range(promised + 1, shop.last + 1)) <= set(offsets(shop))
        shop.clock.advance(HOUR)
        shop.prune()
        shop.clock.advance(HOUR)
        shop.prune()
        assert check(objects, key=key) == []
        ends.add((tuple(objects.names("snapshot/")), tuple(objects.names("log/")), len(objects.names("block/"))))
    assert after > 0
    assert len(ends) == 1
