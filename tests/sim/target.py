"""The store under test: the real engine, log and tables in a world in memory, and clients that never give up.

Laws: whatever ends the process ends in a restart, as a supervisor would have it. A client retries what it has no answer
to, with the same sequence or key, and acknowledges what it has.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from store.codec import decode_batch
from store.engine.engine import Engine, open_engine
from store.engine.feed import Feed
from store.engine.group_commit import Sync
from store.engine.idempotency import EXPIRY_MICROSECONDS
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.env.memory import MemoryClock, MemoryDisk, NoDeadline, PowerLoss, SeededEntropy
from store.env.world import Disk, World
from store.errors import CallError, EngineStopped
from store.ids import ClientId, ConnectionId, Offset
from store.log.commitlog import Commitlog, LogOptions
from store.log.reader import LogReader
from store.transaction import Transaction
from store.values import encode
from tests.canonical import canonical, check_indexes
from tests.engine.scenes import DOMAIN
from tests.sim import interaction as act
from tests.sim.interaction import CLIENTS, PLENTY, Interaction
from tests.sim.observation import (
    Applied,
    Died,
    Observation,
    Ran,
    Recovered,
    Reply,
    Sent,
    Told,
    TurnedAway,
    WasRead,
)

OPTIONS: Final = EngineOptions(free_space_reserve=80_000, tail_size_max=4_000)
LOG_OPTIONS: Final = LogOptions(segment_size_max=3_000, batch_size_max=1_500)
PATIENCE: Final = EXPIRY_MICROSECONDS * 3 // 4
"""Microseconds for which a client repeats a call."""
Part = tuple[Sent | None, Reply | None, Offset]


@dataclass(frozen=True)
class Planted:
    """A defect that a test plants around the store, to see whether it is found. By default none."""

    disk: Callable[[MemoryDisk], Disk] = lambda disk: disk
    """Stands between the store and its disk."""
    feed: Callable[[Engine], Feed] = lambda engine: engine.feed
    """What replies are held in."""
    opened: Callable[[Engine], None] = lambda _: None
    """Done to every engine right after it was opened."""


class Client:
    """One client: what it sent, and what it was told."""

    def __init__(self, target: "Target", number: int) -> None:
        self._target = target
        self.number = number
        self.held: list[Part] = []
        self.sequence = 0
        self.acknowledged = 0
        self.open: dict[int, Sent] = {}
        """Sent, and not answered."""
        self.answered: dict[int, Sent] = {}
        """Answered under a sequence, and not acknowledged."""
        self.sent_at: dict[int, int] = {}
        """By number: when a call was first sent, by the clock or the newest record, whichever was ahead."""

    def caller(self) -> Caller:
        """A new connection."""
        caller = Caller(Identity("sim", f"client {self.number % 3}", SCOPES), ConnectionId(self.number + 1), "sim")
        caller.client = ClientId(f"c{self.number}")
        return caller

    def release(self, parts: list[Part]) -> None:
        """Be told."""
        for sent, reply, rests_on in parts:
            self._target.observe(Told(sent, reply, rests_on, self._target.survives()))
            if sent is not None:
                self.open.pop(sent.number, None)
                if sent.sequence and sent.number in self.sent_at:
                    self.answered[sent.number] = sent

    def give_up(self, now: int) -> None:
        """Forget calls that are so old that the store may have forgotten them, too."""
        old = {number for number, moment in self.sent_at.items() if moment < now - PATIENCE}
        for each in (self.open, self.answered, self.sent_at):
            for number in old & each.keys():
                del each[number]

    def acknowledge(self) -> int:
        """Up to where every sequence has its answer; now and then, so that windows hold something."""
        unanswered = [each.sequence for each in self.open.values() if each.sequence]
        upto = min(unanswered, default=self.sequence + 1) - 1
        if upto - self.acknowledged > 5:
            self.acknowledged = upto
            self.answered = {number: each for number, each in self.answered.items() if each.sequence > upto}
        return self.acknowledged


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
        self.calls = 0
        self.running: Sync | None = None
        self.engine: Engine | None = None
        self._survives: tuple[MemoryDisk, int, Offset] = (self.disk, -1, Offset(0))

    def perform(self, what: Interaction) -> None:
        """Let one thing happen, and whatever follows from it at once."""
        self.clock.advance(50)
        if isinstance(what, act.SetFree):  # Nobody needs to be up for that.
            self._set_free(what.free)
            return
        try:
            if self.engine is None:
                self.start()
            assert self.engine is not None
            self._perform(self.engine, what)
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
            disk = self.disk.crash_drop_all()
            last = [batch.last_offset for batch in LogReader(disk) if batch.count] if Commitlog.exists(disk) else []
            self._survives = (self.disk, self.disk.operations, last[-1] if last else Offset(0))
        return self._survives[2]

    def die(self, why: str, disk: MemoryDisk) -> None:
        """The process is gone; what it held in memory too."""
        self.observe(Died(why))
        self.engine = self.running = None
        for client in self.clients:
            client.held = []
        self.disk.unlock()
        self.disk = disk

    def start(self) -> None:
        """Open the store, and observe what it found."""
        before = self._copy()
        held = _logged(before) if Commitlog.exists(before) else []
        world = World(self.planted.disk(self.disk), self.clock, self.entropy, NoDeadline())
        engine = open_engine(world, DOMAIN, options=OPTIONS, log_options=LOG_OPTIONS)
        found = canonical(engine.state)
        self.planted.opened(engine)
        self.engine = engine
        now = _logged(self.disk)
        assert now[: len(held)] == held  # The start only adds its own records.
        self.observe(Recovered(now, found, before))
        engine.feed.follow(_Follower(self))
        self.callers = [client.caller() for client in self.clients]

    def _perform(self, engine: Engine, what: Interaction) -> None:  # noqa: C901, PLR0912  # One interaction a line.
        if isinstance(what, act.Call):
            self._send(what)
        elif isinstance(what, act.Repeat):
            self._repeat(what.client)
        elif isinstance(what, act.Read):
            self._read(engine, what.client)
        elif isinstance(what, act.BeginSync):
            if self.running is None:
                self.running = engine.group_commit.begin()
        elif isinstance(what, act.Commit):
            self._commit(engine)
        elif isinstance(what, act.Idle):
            self.clock.advance(what.microseconds)
            engine.housekeeping.tick()
            self._commit(engine)
        elif isinstance(what, act.JumpClock):
            self.clock.jump(what.microseconds)
        elif isinstance(what, act.ConfirmClock):
            engine.housekeeping.confirm_clock()
        elif isinstance(what, act.Fail):
            (self.disk.fail_sync if what.what == "sync" else self.disk.fail_write)(after=what.after)
        elif isinstance(what, act.CutPower):
            self.disk.cut_power(after=what.after)
        elif isinstance(what, act.Crash):
            self.die("crash", _crashed(self.disk, what.fate))
        elif isinstance(what, act.Restart):
            self._stop(engine)
        else:
            self._stop(engine)
            self.disk = self._copy()

    def _send(self, what: act.Call) -> None:
        client = self.clients[what.client]
        self.calls += 1
        sequence, key = 0, ""
        if what.by == "sequence":
            client.sequence += 1
            sequence = client.sequence
        elif what.by == "key":
            key = f"key {self.calls}"
        sent = Sent(self.calls, what.client, what.name, what.args, sequence, key)
        if sequence or key:
            client.open[sent.number] = sent
        assert self.engine is not None
        client.sent_at[sent.number] = max(self.engine.state.last_timestamp, self.clock.wall())
        self._deliver(sent)

    def _repeat(self, number: int) -> None:
        client = self.clients[number]
        assert self.engine is not None
        client.give_up(max(self.engine.state.last_timestamp, self.clock.wall()))
        client.acknowledge()
        for sent in [*client.open.values(), *client.answered.values()]:
            self._deliver(sent)

    def _deliver(self, sent: Sent) -> None:
        client, engine = self.clients[sent.client], self.engine
        assert engine is not None
        acknowledged = min(client.acknowledge(), sent.sequence - 1) if sent.sequence else 0
        try:
            answer = engine.write_path.call(
                self.callers[sent.client],
                sent.name,
                encode(sent.args),
                sequence=sent.sequence,
                acknowledged=acknowledged,
                key=sent.key,
            )
        except CallError as error:
            self.observe(TurnedAway(sent, error.code))
            return
        reply = Reply(answer.offset, answer.outcome, answer.value)
        self.observe(Ran(sent, reply))
        self.planted.feed(engine).hold(client, (sent, reply, engine.write_path.last_offset))

    def _read(self, engine: Engine, number: int) -> None:
        rows = {table.schema.name: dict(table.rows) for table in engine.database.tables.values() if table.schema.public}
        del rows["thing"]
        notes = engine.database.table("note")
        assert notes is not None
        for table in engine.database.tables.values():
            check_indexes(table)
        self.observe(WasRead({**rows, "note": dict(notes.rows)}))
        self.planted.feed(engine).hold(self.clients[number], (None, None, engine.write_path.last_offset))

    def _commit(self, engine: Engine) -> None:
        sync = self.running or engine.group_commit.begin()
        self.running = sync
        sync.run()
        engine.group_commit.complete(sync)
        self.running = None

    def _stop(self, engine: Engine) -> None:
        if self.running is not None:
            self._commit(engine)
        engine.close()
        self.engine = None

    def _set_free(self, free: int) -> None:
        self.disk.set_capacity(self._used() + free)

    def _used(self) -> int:
        folders = [(folder, name) for folder in ("", "log") for name in self.disk.names(folder)]
        return sum(len(self.disk.content(f"{folder}/{name}".lstrip("/"))) for folder, name in folders)

    def _copy(self) -> MemoryDisk:
        """A copy of the directory on a disk with room."""
        free = self.disk.free_bytes()
        self.disk.set_capacity(PLENTY)
        copied = self.disk.copy()
        self._set_free(free)
        return copied

    def heal(self) -> None:
        """No more faults: the disk has room, the clock is right, every call gets its answer."""
        for _ in range(6):
            self.disk.set_capacity(PLENTY)
            self.perform(act.Idle(1_000_000))
            self.perform(act.ConfirmClock())
            for number in range(CLIENTS):
                self.perform(act.Repeat(number))
            self.perform(act.Commit())


class _Follower:
    """Sees every transaction."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def evaluate(self, transaction: Transaction) -> None:
        """Observe it."""
        self._target.observe(Applied(transaction))


def _logged(disk: MemoryDisk) -> list[Transaction]:
    return [each for batch in LogReader(disk) for each in decode_batch(batch.body)]


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
