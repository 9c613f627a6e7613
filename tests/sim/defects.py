"""Defects to be planted around the store, to prove that the simulator would find them.

Laws: a defect is a wrapper or a follower in here; the store itself has no switch for any.
"""

from typing import Any, Final

from store.engine.engine import Engine
from store.engine.feed import Feed, Receiver
from store.env.memory import MemoryDisk
from store.env.world import Disk, File
from store.ids import Offset, Timestamp
from store.transaction import Transaction
from tests.sim.defects_network import NETWORK_DEFECTS
from tests.sim.defects_snapshot import SNAPSHOT_DEFECTS
from tests.sim.planted import Planted


class LazyFile:
    """A file that says it synced, and every third time did not."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._syncs = 0
        self.size, self.read, self.write = file.size, file.read, file.write
        self.truncate, self.close, self.write_out = file.truncate, file.close, file.write_out

    def sync(self) -> None:
        """Do nothing now and then."""
        self._syncs += 1
        if self._syncs % 3:
            self._file.sync()


class LazyDisk:
    """A disk of such files."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._disk = disk

    def create(self, name: str) -> File:
        """A new file of that kind."""
        return LazyFile(self._disk.create(name))

    def open(self, name: str) -> File:
        """A file of that kind."""
        return LazyFile(self._disk.open(name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)


class EagerFeed:
    """A feed that holds nothing back."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def hold(self, receiver: Receiver, part: Any) -> None:
        """Tell at once."""
        receiver.release(receiver.prepare([part]))


def lazy(disk: MemoryDisk) -> Disk:
    """The disk, behind one that does not always sync."""
    return LazyDisk(disk)


def eager(engine: Engine) -> Feed:
    """The feed, behind one that never waits."""
    return EagerFeed(engine.feed)  # type: ignore[return-value]  # All that a target asks of it is `hold`.


def forget_windows(engine: Engine) -> None:
    """No first answer is there after a start."""
    engine.state.windows._clients.clear()
    engine.state.windows._keys.clear()


class LosingIndex:
    """Takes every seventh new task out of its index again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def evaluate(self, transaction: Transaction) -> None:
        """Lose it."""
        tasks = self._engine.database.table("task")
        assert tasks is not None
        for table, _, key, before, after in transaction.writes:
            if table == tasks.schema.id and before is None and after is not None and key % 7 == 0:
                tasks.indexes[0].remove(tasks.codec.decode(after).owner, key)


class ForgettingTime:
    """Lets the store forget when its last record was made."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def evaluate(self, _: Transaction) -> None:
        """Forget it."""
        self._engine.state.last_timestamp = Timestamp(0)


class LosingWrites:
    """Undoes every fifth write in the tables, not in the log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def evaluate(self, transaction: Transaction) -> None:
        """Undo it."""
        for table, _, key, before, after in transaction.writes:
            if before is not None and after is not None and transaction.offset % Offset(5) == 0:
                self._engine.database.tables[table].rows[key] = before


class ForgettingFailures:
    """Takes a record for written whose write at once has failed."""

    def __init__(self, engine: Engine) -> None:
        self._log = engine.log

    def evaluate(self, _: Transaction) -> None:
        """Forget that it failed."""
        if self._log._failure is not None:
            self._log._failure = None
            self._log._stopped = False
            self._log._closed = []


DEFECTS: Final = {
    **NETWORK_DEFECTS,
    **SNAPSHOT_DEFECTS,
    "skipped fsync": Planted(disk=lazy),
    "published before durable": Planted(feed=eager),
    "idempotency window not restored": Planted(opened=forget_windows),
    "lost index update": Planted(opened=lambda engine: engine.feed.follow(LosingIndex(engine))),
    "failure of a write at once forgotten": Planted(
        opened=lambda engine: engine.feed.follow(ForgettingFailures(engine))
    ),
    "timestamp going backwards": Planted(opened=lambda engine: engine.feed.follow(ForgettingTime(engine))),
    "write that is in the log alone": Planted(opened=lambda engine: engine.feed.follow(LosingWrites(engine))),
}
"""What goes wrong, and the plant that makes it so."""
