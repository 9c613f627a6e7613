"""The store under test: the real engine, log, tables and sessions in a world in memory, and those who use it.

Laws: whatever ends the process ends in a restart, as a supervisor would have it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from store.codec import decode_batch
from store.engine.engine import Engine, open_engine
from store.engine.group_commit import Sync
from store.engine.loading import end_of_log
from store.engine.state import EpochRecord, State
from store.env.memory import MemoryClock, MemoryDisk, NoDeadline, PowerLoss, SeededEntropy
from store.env.world import World
from store.errors import CallError, EngineStopped
from store.ids import Epoch, Offset
from store.log.commitlog import Commitlog
from store.log.reader import LogReader
from store.log.survey import runs, segments
from store.transaction import Kind, Transaction
from store.values import encode
from tests.canonical import canonical, check_indexes
from tests.engine.scenes import DOMAIN
from tests.sim import interaction as act
from tests.sim.chances import HOUR
from tests.sim.clients import Client
from tests.sim.damage import damage
from tests.sim.interaction import CLIENTS, Interaction
from tests.sim.observation import (
    Applied,
    Died,
    Elsewhere,
    Observation,
    Ran,
    Recovered,
    Reply,
    Sent,
    TurnedAway,
    WasRead,
)
from tests.sim.planted import Planted
from tests.sim.settings import ENGINE, FOLDERS, LOG, PATIENCE, PLENTY
from tests.sim.switchboard import Switchboard
from tests.sim.works import Works


@dataclass
class Target:
    """One store, its disk, and those who use it."""

    seed: int
    watch: Callable[[Observation], None]
    planted: Planted = field(default_factory=Planted)

    def __post_init__(self) -> None:
        self.clock = MemoryClock()
        self.entropy = SeededEntropy(self.seed)
        self.disk = MemoryDisk(capacity=PLENTY)
        self.clients = [Client(self, number) for number in range(CLIENTS)]
        self.board = Switchboard(self)
        self.calls = 0
        self.running: Sync | None = None
        self.engine: Engine | None = None
        self._sent: dict[tuple[str, int], Sent] = {}
        """By what the log says of a call: client and sequence, or key and 0."""
        self._calling: Sent | None = None
        self.covered: Offset | None = None
        """What the sync that is being completed has made durable."""
        self.meanwhile: Callable[[bool], None] = lambda _: None
        """Lets something else happen while another process works on the directory, or only reads it."""
        self.history: list[Transaction] = []
        """All that was logged in this history, also what the log does not hold any more."""
        self.births: tuple[EpochRecord, ...] = ()
        """The stores that began in it: a clone's is in its first snapshot, and in no record."""
        self._forked: tuple[Offset, bool] | None = None
        """Where the directory was made from another one, and whether that may be before what was told."""
        self._works = Works(self)
        self._survives: tuple[MemoryDisk, int, Offset] = (self.disk, -1, Offset(0))
        self._acts: dict[type, Callable[[Any], None]] = {
            act.Call: self._call,
            act.Repeat: self._repeat,
            act.Read: self._read,
            **self.board.acts,
            act.BeginSync: lambda _: self._begin_sync(),
            act.Commit: lambda _: self.commit(),
            act.Idle: self._idle,
            act.JumpClock: lambda what: self.clock.jump(what.microseconds),
            act.ConfirmClock: lambda _: self.up.housekeeping.confirm_clock(),
            act.SetFree: lambda what: self._set_free(what.free),
            act.Fail: self._fail,
            act.CutPower: lambda what: self.disk.cut_power(after=what.after),
            act.Crash: lambda what: self.die("crash", _crashed(self.disk, what.fate)),
            act.Restart: lambda _: self.stop(),
            act.MoveHouse: self._move_house,
            act.TakeSnapshot: self._works.take,
            act.Prune: self._works.prune,
            act.Pin: self._works.pin,
            act.CopyDirectory: self._works.copy,
            act.Restore: self._works.restore,
            act.Clone: self._works.restore,
            act.Push: self._works.push,
            act.Drill: self._works.drill,
            act.Damage: lambda what: damage(self, what),
        }

    @property
    def up(self) -> Engine:
        """The engine, which runs."""
        assert self.engine is not None
        return self.engine

    @property
    def now(self) -> int:
        """By the clock or the newest record, whichever is ahead."""
        last = self.engine.state.last_timestamp if self.engine is not None else 0
        return max(last, self.clock.wall())

    def perform(self, what: Interaction) -> None:
        """Let one thing happen, and whatever follows from it at once."""
        self.clock.advance(50)
        try:
            if self.engine is None and not isinstance(what, act.SetFree):  # Nobody needs to be up for that.
                self.start()
            self._acts[type(what)](what)
        except PowerLoss:
            self.die("power loss", self.disk.crash(self.entropy))
        except (EngineStopped, OSError) as error:
            self.die(str(error).partition(":")[0], self.disk)

    def observe(self, seen: Observation) -> None:
        """Tell whoever watches."""
        self.watch(seen)

    def survives(self) -> Offset:
        """The last offset that is on disk for certain. Found by a crash of a kind, not by asking the engine."""
        known, operations, _ = self._survives
        if known is not self.disk or operations != self.disk.operations:
            self._survives = (self.disk, self.disk.operations, end_of_log(self.disk.crash_drop_all()))
        return self._survives[2]

    # The process.

    def start(self) -> None:
        """Open the store, and observe what it found."""
        before = self.copy()
        held = self.with_log_of(before)
        world = World(self.planted.disk(self.disk), self.clock, self.entropy, NoDeadline())
        engine = open_engine(world, DOMAIN, options=ENGINE, log_options=LOG)
        found = canonical(engine.state)
        self.planted.opened(engine)
        self.engine = engine
        self.history = self.with_log_of(self.disk)
        assert self.history[: len(held)] == held  # The start only adds its own records.
        offset, went_back = self._forked or (None, False)
        history, epoch = list(self.history), engine.epoch.hex()
        self.observe(Recovered(history, epoch, found, offset, went_back, before, self.births))
        self._forked = None
        engine.feed.follow(_Follower(self))
        self.epoch = engine.epoch.hex()
        self.board.open()
        self.callers = [client.caller() for client in self.clients]

    def die(self, why: str, disk: MemoryDisk) -> None:
        """The process is gone; what it held in memory too. What it transmitted is under way still."""
        self.observe(Died(why))
        self.engine = self.running = self.covered = None
        for client in self.clients:
            client.held = []
        self.board.die()
        self.disk.unlock()
        self.disk = disk

    def stop(self) -> None:
        """Stop in order."""
        if self.running is not None:
            self.commit()
        engine = self.up
        engine.close()
        self.board.hang_up()
        self.engine = None

    def _move_house(self, _: act.MoveHouse) -> None:
        self.stop()
        self._forked = Offset(len(self.history)), False
        self.disk = self.copy()

    def move_to(self, disk: MemoryDisk, offset: Offset, born: tuple[EpochRecord, ...] = ()) -> None:
        """From here on the tenant lives in another directory, which holds its history up to an offset.

        `born` where it is another store from there on.
        """
        assert self.engine is None
        self._forked = offset, True
        self.history = self.history[:offset]
        self.births += born
        self._works.forget_backup()
        self.disk = disk

    def try_to_open(self, what: str, disk: MemoryDisk, offset: Offset, born: tuple[EpochRecord, ...] = ()) -> None:
        """Somebody else opens another directory, which holds this history up to an offset; `born` as in move_to."""
        world = World(disk, self.clock, SeededEntropy(int.from_bytes(self.entropy.bytes(8))), NoDeadline())
        engine = open_engine(world, DOMAIN, options=ENGINE, log_options=LOG)
        history = self.with_log_of(disk)
        assert history[:offset] == self.history[:offset]
        assert history[offset].kind == Kind.EPOCH
        assert engine.epoch != Epoch(bytes.fromhex(self.epoch))
        self.compare(what, engine.state, history, offset, Offset(PLENTY), born)
        engine.close()

    def compare(
        self,
        what: str,
        state: State,
        history: list[Transaction],
        least: Offset,
        most: Offset,
        born: tuple[EpochRecord, ...] = (),
    ) -> None:
        """Say which state somebody else has, to whom this is the history."""
        births = self.births + born
        self.observe(Elsewhere(what, state.last_offset, canonical(state), history, least, most, births))

    def with_log_of(self, disk: MemoryDisk) -> list[Transaction]:
        """The history as a directory's log tells it; what its log does not hold any more, as it was."""
        if not Commitlog.exists(disk):
            return []
        first = runs(segments(disk))[-1][0].first_offset
        logged = [each for batch in LogReader(disk, from_offset=first) for each in decode_batch(batch.body)]
        return self.history[: first - 1] + logged

    # Clients.

    def note_sent(self, client: str, name: str, args: tuple[Any, ...], *, sequence: int = 0, key: str = "") -> Sent:
        """A call that somebody makes."""
        self.calls += 1
        sent = Sent(self.calls, client, name, args, sequence, key)
        self._sent[(client, sequence) if sequence else (key, 0)] = sent
        return sent

    def applied(self, transaction: Transaction) -> None:
        """A transaction happened: say which call it is of."""
        sent = self._calling
        if transaction.call_key is not None:
            client, sequence, _ = transaction.call_key
            sent = self._sent.get((client, sequence))
        self.history.append(transaction)
        self.observe(Applied(transaction, sent))

    def _call(self, what: act.Call) -> None:
        client = self.clients[what.client]
        sequence, key = 0, ""
        if what.by == "sequence":
            client.sequence += 1
            sequence = client.sequence
        elif what.by == "key":
            key = f"key {self.calls}"
        sent = self.note_sent(client.name, what.name, what.args, sequence=sequence, key=key)
        if sequence or key:
            client.open[sent.number] = sent
        client.sent_at[sent.number] = self.now
        self._deliver(client, sent)

    def _repeat(self, what: act.Repeat) -> None:
        client = self.clients[what.client]
        client.give_up(self.now - PATIENCE)
        client.acknowledge()
        for sent in [*client.open.values(), *client.answered.values()]:
            self._deliver(client, sent)

    def _deliver(self, client: Client, sent: Sent) -> None:
        engine = self.up
        acknowledged = min(client.acknowledge(), sent.sequence - 1) if sent.sequence else 0
        self._calling = sent
        try:
            answer = engine.write_path.call(
                self.callers[client.number],
                sent.name,
                encode(sent.args),
                sequence=sent.sequence,
                acknowledged=acknowledged,
                key=sent.key,
            )
        except CallError as error:
            self.observe(TurnedAway(sent, error.code))
            return
        finally:
            self._calling = None
        reply = Reply(answer.offset, answer.outcome, answer.value)
        self.observe(Ran(sent, reply))
        self.planted.feed(engine).hold(client, (sent, reply, engine.write_path.last_offset))

    def _read(self, what: act.Read) -> None:
        engine = self.up
        rows = {table.schema.name: dict(table.rows) for table in engine.database.tables.values()}
        for table in engine.database.tables.values():
            check_indexes(table)
        del rows["thing"]
        self.observe(WasRead(rows))
        self.planted.feed(engine).hold(self.clients[what.client], (None, None, engine.write_path.last_offset))

    # Time, disk and power.

    def _begin_sync(self) -> None:
        if self.running is None:
            self.running = self.up.group_commit.begin()
            self._begun = self.up.write_path.last_offset

    def commit(self) -> None:
        """Finish the sync that runs; where none does, write, sync and tell in one go, as a server's own thread."""
        sync = self.running
        if sync is None:
            self.covered = self.up.write_path.last_offset
            self.up.group_commit.commit()
            self.covered = None
            return
        sync.run()
        self.covered = self._begun
        self.up.group_commit.complete(sync)
        self.running = self.covered = None

    def _idle(self, what: act.Idle) -> None:
        self.clock.advance(what.microseconds)
        if what.microseconds > HOUR:
            self.board.forget_old_links()
        self.up.housekeeping.tick()
        self.commit()

    def _fail(self, what: act.Fail) -> None:
        (self.disk.fail_sync if what.what == "sync" else self.disk.fail_write)(after=what.after)

    def _set_free(self, free: int) -> None:
        self.disk.set_capacity(self._used() + free)

    def _used(self) -> int:
        folders = [(folder, name) for folder in FOLDERS for name in self.disk.names(folder)]
        return sum(len(self.disk.content(f"{folder}/{name}".lstrip("/"))) for folder, name in folders)

    def copy(self) -> MemoryDisk:
        """A copy of the directory on a disk with room."""
        free = self.disk.free_bytes()
        self.disk.set_capacity(PLENTY)
        copied = self.disk.copy()
        self._set_free(free)
        return copied

    def heal(self) -> None:
        """No more faults: the disk has room, the clock is right, every call gets its answer."""
        for agent in self.board.agents:
            agent.dozes = 0
        for _ in range(8):
            self.disk.set_capacity(PLENTY)
            self.perform(act.Idle(1_000_000))
            self.perform(act.ConfirmClock())
            for number in range(CLIENTS):
                self.perform(act.Repeat(number))
            self.perform(act.Pump())


class _Follower:
    """Sees every transaction."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def evaluate(self, transaction: Transaction) -> None:
        """Observe it."""
        self._target.applied(transaction)


def _crashed(disk: MemoryDisk, fate: int) -> MemoryDisk:
    if fate == 0:
        return disk.crash_keep_all()
    if fate == 1:
        return disk.crash_drop_all()
    return disk.crash(SeededEntropy(fate))


def describe(value: Any) -> str:
    """An interaction, short enough for a line."""
    text = str(value)
    return text if len(text) <= 140 else text[:137] + "..."
