"""What other processes do with the store's directory: snapshots, pruning, copies, restores, backups, drills, salvage.

Laws: each has a handle of its own, and one works at a time; the store knows nothing of it. What comes out is replayed
by itself, and held against what was logged.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from store.backup.push import push
from store.backup.view import BackupDisk
from store.engine.live_fingerprint import Fingerprinted, LiveFingerprint
from store.engine.loading import load_snapshot
from store.engine.replay import replay
from store.engine.state import EpochRecord, State
from store.env.memory import MemoryDisk, PowerLoss
from store.env.memory_objects import MemoryObjects
from store.env.world import Disk
from store.errors import DirectoryError, NotRestorable
from store.ids import Offset, Timestamp
from store.snapshot.repository import Pin, Repository
from store.transaction import Kind
from store.upkeep.cloning import clone
from store.upkeep.making import SPARE, Restored
from store.upkeep.ranges import AtOffset, AtSnapshot, AtTime, Moment, Target, resolve, restorable
from store.upkeep.restore import restore
from store.upkeep.retention import prune
from store.upkeep.snapshotting import Taken, take
from tests.sim import interaction as act
from tests.sim.beside import Killed, SteppingDisk, Steps, copy_files
from tests.sim.observation import Cloned, Drilled, Ended, PrunedAway
from tests.sim.settings import FOLDERS, PLENTY, SNAPSHOTS

if TYPE_CHECKING:
    from tests.sim.target import Target as Store

Result = TypeVar("Result")


class Works:
    """All that is done beside one store."""

    def __init__(self, store: "Store") -> None:
        self._store: Final = store
        self._objects = MemoryObjects()
        self._disks = 0

    # Snapshots.

    def take(self, what: act.TakeSnapshot) -> None:
        """Take one, and see whether it is what it says."""
        store = self._store
        through = None if what.through >= 1000 else Offset(max(1, len(store.history) * what.through // 1000))

        def work(disk: Disk) -> Taken:
            return take(disk, clock=store.clock, options=SNAPSHOTS, through=through)

        if what.cut >= 0:
            store.disk.cut_power(after=what.cut)
        try:
            taken = self._work("take", work, what.pace, what.kill)
        except NotRestorable:  # Nothing leads so far back, or nothing is durable yet.
            store.observe(Ended("take", "nothing to take"))
            return
        if taken is None:
            return
        disk, manifest = store.disk, taken.manifest
        Repository(disk).check(manifest, deep=True)
        state = load_snapshot(Repository(disk), manifest, {})
        assert manifest.fingerprint == state.database.fingerprint()
        self._compare("snapshot", state, Offset(1), store.survives())

    def prune(self, what: act.Prune) -> None:
        """Let go what is not needed, and see whether what is promised is there."""
        store = self._store
        before, newest, now = restorable(store.disk), self._verified(), store.clock.wall()
        pinned = [
            each.offset for each in Repository(store.disk).pins().values() if each.until is None or each.until > now
        ]
        promised = now - int(SNAPSHOTS.keep_for_s * 1e6)
        disk = store.disk
        if what.cut >= 0:
            disk.cut_power(after=what.cut)
        self._work("prune", lambda disk: prune(disk, now=now, options=SNAPSHOTS), what.pace, what.kill)
        if disk is store.disk:  # Else power has failed meanwhile.
            after = restorable(disk)
            self._store.observe(PrunedAway(promised, pinned, before, after, newest[-2:], self._verified()))

    def pin(self, what: act.Pin) -> None:
        """Pin a moment, or no longer."""
        oldest = restorable(self._store.disk)[0]
        offset = Offset(oldest.first + (oldest.last - oldest.first) * what.at // 1000)

        def work(disk: Disk) -> None:
            if what.on:
                Repository(disk).pin("kept", Pin(offset=offset, reason="sim", until=None, kind="pin"))
            elif "kept" in Repository(disk).pins():
                Repository(disk).unpin("kept")

        self._work("pin", work, 0, -1)

    def drill(self, what: act.Drill) -> None:
        """Compare the live tables with a replay of the directory."""
        store = self._store
        engine, found = store.up, list[Fingerprinted]()
        store.commit()
        store.commit()  # The first may have begun before the last call.
        live = LiveFingerprint(engine.state, engine.feed, store.clock)
        with store.planted.beside():
            offset = live.ask(found.append)
            while live.step(0.0):
                for _ in range(what.pace):
                    store.meanwhile(False)
                if store.engine is not engine:
                    return
        replayed = replay(store.disk.handle(), through=offset).state
        assert replayed.last_offset == found[0].offset == offset
        store.observe(Drilled(offset, found[0].fingerprint, replayed.database.fingerprint()))

    # Other directories.

    def copy(self, what: act.CopyDirectory) -> None:
        """Copy the files one after the other while life goes on, and see what the copy holds."""
        store = self._store
        least, copied, began = store.survives(), self._new_disk(), store.clock.wall()
        if what.moves:
            store.stop()
        done = self._work(
            "copy",
            lambda disk: copy_files(disk, copied, FOLDERS[what.order :] + FOLDERS[: what.order], what.piece),
            0 if what.moves else what.pace,
            -1,
            reads=True,
        )
        if done is None:
            return
        if store.clock.wall() - began > SNAPSHOTS.grace_s * 1e6:
            store.observe(Ended("copy", "took longer than the grace"))
            return
        state = replay(copied.copy(), ahead=True).state
        self._compare("copy", state, least, Offset(len(store.history)))
        if what.moves:
            store.move_to(copied, state.last_offset)
        else:
            store.try_to_open("opened copy", copied, state.last_offset)

    def restore(self, what: act.Restore) -> None:
        """Restore a moment into a new directory, after however many failures, and see what that holds; or clone it."""
        if what.moves:
            self._store.stop()
        disk = self._store.disk
        until = Timestamp(self._store.clock.wall() + int(SNAPSHOTS.lease_s * 1e6))
        lease = Pin(offset=Offset(0), reason="restore", until=until, kind="lease")
        try:
            Repository(disk).pin("lease-restore", lease)
        except OSError:  # The disk is full.
            self._store.observe(Ended("restore", "no lease"))
            return
        try:
            self._restore_leased(what)
        except NotRestorable:
            if self._store.clock.wall() < until:
                raise
            self._store.observe(Ended("restore", "its lease ran out"))
        if disk is self._store.disk and "lease-restore" in Repository(disk).pins():
            with suppress(OSError):  # It runs out by itself.
                Repository(disk).unpin("lease-restore")

    def _restore_leased(self, what: act.Restore) -> None:
        store, cloned = self._store, isinstance(what, act.Clone)
        source = store.disk.handle()
        with store.planted.beside():
            moment = self._moment(source, what)
        if moment is None:
            return
        into = self._new_disk()
        faults: dict[str, Callable[[], None]] = {
            "power": lambda: into.cut_power(after=what.after),
            "sync": lambda: into.fail_sync(after=what.after),
            "write": lambda: into.fail_write(after=what.after),
            "full": lambda: into.set_capacity(what.after + SPARE),
        }
        if what.fault:
            faults[what.fault]()
        done = None
        try:
            done = self._work(
                "clone" if cloned else "restore",
                lambda disk: self._make(disk, into, moment, cloned=cloned),
                what.pace,
                what.kill,
                reads=True,
            )
        except PowerLoss:
            into = into.crash(store.entropy)
        except DirectoryError:
            assert what.fault == "full"
            assert into.names() == []
        into.set_capacity(PLENTY)
        if done is None:
            if store.disk.handle()._storage is not source._storage:
                return  # The source has crashed: what it held is another question.
            try:
                done = self._make(source, into, moment, cloned=cloned)
            except DirectoryError:  # It had come to its end: what is whole is not made again.
                assert into.content("store.json")
        state = replay(into.copy(), ahead=True).state
        assert done is None or done.fingerprint == state.database.fingerprint()
        born = self._look_at_clone(state, moment) if cloned else ()
        self._compare("cloned" if cloned else "restored", state, moment.offset, moment.offset, born)
        if what.moves:
            store.move_to(into, moment.offset, born)
        else:
            store.try_to_open("opened clone" if cloned else "opened restore", into, moment.offset, born)

    def _look_at_clone(self, state: State, moment: Moment) -> tuple[EpochRecord, ...]:
        """Say which store a clone has become; its birth."""
        born = state.epochs[-1]
        logged = [
            msgspec.msgpack.decode(each.args, type=EpochRecord)
            for each in self._store.history[: moment.offset]
            if each.kind == Kind.EPOCH
        ]
        newest = max([logged[-1], *self._store.births[::-1]], key=lambda each: each.first_offset)  # Of two the first.
        self._store.observe(Cloned(born, state.store.hex(), moment.offset, newest.epoch.hex()))
        return (born,)

    def push(self, what: act.Push) -> None:
        """Send what is new to the backup, and read the newest moment back from there."""
        store = self._store

        def work(disk: Disk) -> bool:
            push(disk, self._objects, clock=store.clock, entropy=store.entropy)
            return True

        try:
            done = self._work("push", work, what.pace, what.kill, reads=True)
        except DirectoryError as error:
            if "nothing to push" not in error.message:
                raise
            store.observe(Ended("push", "nothing to push"))
            return
        if done is None:
            return
        backup = BackupDisk(self._objects)
        if not backup.names("log"):
            return
        state = replay(backup, ahead=True).state
        self._compare("backup", state, Offset(0), store.survives())

    def forget_backup(self) -> None:
        """Another directory goes on: it has a backup of its own."""
        self._objects = MemoryObjects()

    # How it is done.

    def _work(
        self, what: str, work: Callable[[Disk], Result], pace: int, kill: int, *, reads: bool = False
    ) -> Result | None:
        """Do it by a handle of its own; None where it was killed, or its disk failed it."""
        store = self._store
        disk = store.disk
        handle = disk.handle()

        def meanwhile() -> bool:
            store.meanwhile(reads)
            return store.disk is disk

        steps = Steps(pace=pace, kill=kill, meanwhile=meanwhile)
        try:
            with store.planted.beside():
                return work(SteppingDisk(store.planted.beside_disk(handle), steps))
        except Killed:
            store.observe(Ended(what, f"killed after {steps.operations} operations"))
        except OSError as error:
            store.observe(Ended(what, f"failed: {error}"))
        finally:
            handle.unlock("snapshot")
        return None

    def _make(self, source: Disk, into: MemoryDisk, moment: Moment, *, cloned: bool) -> Restored:
        store = self._store
        if cloned:
            return clone(source, into, moment, clock=store.clock, entropy=store.entropy, options=SNAPSHOTS)

        def really(into: MemoryDisk, moment: Moment) -> Restored:
            return restore(source, into, moment, clock=store.clock, entropy=store.entropy)

        return store.planted.restore(really, into, moment)

    def _moment(self, disk: Disk, what: act.Restore) -> Moment | None:
        """The moment that is asked for, if anything leads there."""
        store = self._store
        offset = max(1, len(store.history) * what.at // 1000)
        wanted: Target = AtOffset(Offset(offset))
        if what.by == "time":
            moment = store.history[offset - 1].timestamp
            wanted = AtTime(Timestamp(moment + what.at % 3))
        elif what.by == "snapshot":
            names = Repository(disk).names()
            if names:
                wanted = AtSnapshot(names[what.at % len(names)])
        try:
            found = resolve(disk, wanted)
        except NotRestorable:
            store.observe(Ended("restore", "nothing leads there"))
            return None
        if isinstance(wanted, AtTime):
            last = [each.offset for each in store.history if each.timestamp <= wanted.timestamp]
            assert found.offset == last[-1]
        elif isinstance(wanted, AtOffset):
            assert found.offset == wanted.offset
        assert found.timestamp == store.history[found.offset - 1].timestamp
        return found

    def _compare(
        self, what: str, state: State, least: Offset, most: Offset, born: tuple[EpochRecord, ...] = ()
    ) -> None:
        self._store.compare(what, state, self._store.history[: state.last_offset], least, most, born)

    def _verified(self) -> list[str]:
        repository = Repository(self._store.disk)
        return [name for name in repository.names() if repository.verified(name) is not None]

    def _new_disk(self) -> MemoryDisk:
        self._disks += 1  # A filesystem that no copy of another disk has.
        return MemoryDisk(capacity=PLENTY, filesystem=self._disks << 16)
