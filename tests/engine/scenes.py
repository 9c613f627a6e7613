"""Engines in memory, in the words of the tests: open, call, retry, crash."""

from typing import Any

import msgspec

from store.codec import decode_batch
from store.engine.acts import OwedActs
from store.engine.engine import BeforeMigration, Engine, open_engine
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.engine.recovery import ProgressCallback
from store.engine.reducer import Domain
from store.engine.write_path import Answer
from store.env.memory import MemoryClock, MemoryDisk, NoDeadline, SeededEntropy
from store.env.world import Deadline, World
from store.ids import ClientId, ConnectionId, Offset
from store.log.commitlog import LogOptions
from store.log.reader import LogReader
from store.schema import Table
from store.transaction import Transaction
from store.values import encode
from tests.engine import shop

DOMAIN = Domain.of(shop)
OPTIONS = EngineOptions(free_space_reserve=1 << 16)
SMALL_SEGMENTS = LogOptions(segment_size_max=2_048)


def a_world(disk: MemoryDisk | None = None, *, seed: int = 1, deadline: Deadline | None = None) -> World:
    """A world in memory."""
    return World(disk or MemoryDisk(), MemoryClock(), SeededEntropy(seed), deadline or NoDeadline())


def open_shop(
    disk: MemoryDisk | None = None,
    *,
    world: World | None = None,
    seed: int = 1,
    domain: Domain = DOMAIN,
    options: EngineOptions = OPTIONS,
    log_options: LogOptions = LogOptions(),  # noqa: B008  # It is frozen.
    progress: ProgressCallback | None = None,
    before_migration: BeforeMigration | None = None,
    acts: OwedActs | None = None,
) -> Engine:
    """An engine that serves the shop."""
    world = world or a_world(disk, seed=seed)
    return open_engine(
        world,
        domain,
        options=options,
        log_options=log_options,
        progress=progress,
        before_migration=before_migration,
        acts=acts,
    )


def memory_disk(engine: Engine) -> MemoryDisk:
    """The engine's disk, with everything that can go wrong at hand."""
    disk = engine.world.disk
    assert isinstance(disk, MemoryDisk)
    return disk


def memory_clock(engine: Engine) -> MemoryClock:
    """The engine's clock, to be set."""
    clock = engine.world.clock
    assert isinstance(clock, MemoryClock)
    return clock


def reopen(engine: Engine, disk: MemoryDisk | None = None, **options: Any) -> Engine:
    """The same tenant after a power loss; by default with nothing on disk but what was synced."""
    before = engine.world
    disk = disk or memory_disk(engine).crash_drop_all()
    world = World(disk, before.clock, before.entropy, before.deadline)
    return open_shop(world=world, domain=engine.domain, **options)


def a_caller(subject: str = "ada", *, client: str = "", scopes: tuple[str, ...] = SCOPES) -> Caller:
    """Somebody who calls, by a connection of their own."""
    caller = Caller(Identity("tests", subject, scopes), ConnectionId(1), "memory:1")
    caller.client = ClientId(client)
    return caller


ADA = Identity("tests", "ada", SCOPES)


def call(engine: Engine, name: str, *args: Any, caller: Caller | None = None, **key: Any) -> Answer:
    """Call a reducer, without committing."""
    return engine.write_path.call(caller or a_caller(), name, encode(list(args)), **key)


def committed(engine: Engine, name: str, *args: Any, **key: Any) -> Answer:
    """Call a reducer and make it durable."""
    answer = call(engine, name, *args, **key)
    engine.group_commit.commit()
    return answer


def value(answer: Answer) -> Any:
    """What a committed call returned."""
    assert answer.outcome == ""
    return msgspec.msgpack.decode(answer.value)


def reason(answer: Answer) -> tuple[str, Any, str]:
    """A failed call's code, details and reason."""
    _, details, why = msgspec.msgpack.decode(answer.value)
    return answer.outcome, details, why


def rows(engine: Engine, row_type: type[Table]) -> list[Any]:
    """A table's rows, in key order."""
    table = engine.database.table(row_type.__table__.name)
    assert table is not None
    return [table.codec.decode(table.rows[key]) for key in table.ordered_keys()]


def logged(disk: MemoryDisk) -> list[Transaction]:
    """Every transaction that can be read from a disk."""
    return [each for batch in LogReader(disk) for each in decode_batch(batch.body)]


class Listener:
    """A receiver that notes what it was told, and how much was durable then."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.held: list[Any] = []
        self.heard: list[Any] = []
        self.durable: list[Offset] = []

    def prepare(self, parts: list[Any]) -> list[Any]:
        """As it is."""
        return parts

    def release(self, parts: list[Any]) -> None:
        """Take note."""
        self.heard.extend(parts)
        self.durable.extend([self._engine.log.durable_offset] * len(parts))


class Watcher:
    """A follower that notes every transaction, and the tables' offset then."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seen: list[Transaction] = []

    def evaluate(self, transaction: Transaction) -> None:
        """Take note; the tables are at exactly this offset."""
        assert self._engine.state.last_offset == transaction.offset
        self.seen.append(transaction)
