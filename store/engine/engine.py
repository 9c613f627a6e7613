"""One tenant's engine, assembled: recovered, started, ready for calls; and stopped in order.

Laws: `open_engine` returns an engine whose start is durable, or raises and leaves the directory as a crash would. Every
start and stop is a record; on a full disk the start's comes before the first call, when there is space, and the stop's
is left out. What operators did while nobody served is recorded before it. Before tables change, whoever asked for it is
told, with everything before the change sealed.
"""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from store.engine.acts import OwedActs
from store.engine.admission import Admission
from store.engine.denials import Denials
from store.engine.directory import mark
from store.engine.feed import Feed
from store.engine.group_commit import GroupCommit
from store.engine.housekeeping import Housekeeping
from store.engine.options import EngineOptions
from store.engine.recovery import ProgressCallback, Recovered, RecoveryReport, recover
from store.engine.reducer import Domain
from store.engine.schema_plan import plan_schema
from store.engine.state import EpochRecord, State
from store.engine.write_path import WritePath
from store.env.world import World
from store.ids import Epoch, Offset
from store.log.commitlog import Commitlog, LogOptions
from store.schema import Schema
from store.tables.database import Database
from store.transaction import Kind
from store.values import encode

_encode_schema: Final = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True)
class Migration:
    """Tables that are about to change, in a store that has some."""

    offset: Offset
    """The last before the change; durable, and proven to be: a snapshot can be taken here."""
    logged: Schema
    planned: Schema


BeforeMigration = Callable[[Migration], None]


@dataclass(frozen=True)
class Engine:
    """Everything the doors need. All of it belongs to one thread: the writer's."""

    world: World
    domain: Domain
    state: State
    log: Commitlog
    feed: Feed
    admission: Admission
    write_path: WritePath
    group_commit: GroupCommit
    housekeeping: Housekeeping
    denials: Denials
    acts: OwedActs
    """What operators do by hand, to be logged: what came before the start is."""
    report: RecoveryReport

    @property
    def database(self) -> Database:
        """The tables at the last applied offset."""
        return self.state.database

    @property
    def epoch(self) -> Epoch:
        """The epoch in force."""
        return self.state.epoch

    def close(self) -> None:
        """Stop in order: the stop record, all durable and told, the last batch vouched for, the directory free."""
        self.admission.close("stopping", "the store is stopping")
        self.housekeeping.look_at_disk()
        self.denials.summarise(stopping=True)
        if self.housekeeping.has_room:
            self.write_path.record(Kind.LIFECYCLE, "stop", b"\x90")
            self.group_commit.commit()
            self.log.vouch()
        self.group_commit.commit()
        self.log.close()
        self.world.disk.unlock()


def open_engine(
    world: World,
    domain: Domain,
    *,
    options: EngineOptions,
    log_options: LogOptions,
    progress: ProgressCallback | None = None,
    before_migration: BeforeMigration | None = None,
    configuration: Mapping[str, str] | None = None,
    acts: OwedActs | None = None,
) -> Engine:
    """Recover the directory and start serving the domain on it.

    The start's record holds the `configuration`, the options in force as text, without secrets. `acts` are the notes of
    what operators did; by default those beside the log.

    `before_migration` is called before the log is told that tables change, unless the store is fresh; what it raises
    ends the start, and nothing has changed. DirectoryError, CorruptionError or SchemaMismatch where that cannot be;
    EngineStopped or OSError where the disk fails.
    """
    row_types = {each.__table__.name: each for each in domain.tables}
    world.disk.lock()
    try:
        recovered = recover(
            world, row_types, log_options=log_options, tail_size_max=options.tail_size_max, progress=progress
        )
        schema = plan_schema(recovered.state.database.schema, domain.tables)
        if before_migration is not None:
            _announce(before_migration, world, recovered, schema)
        engine = _assemble(world, domain, recovered, options, acts or OwedActs(world.disk))
        engine.acts.settle(recovered.state.last_offset)
        _record_start(engine, recovered, schema, configuration or {})
        if recovered.new_epoch is not None:
            mark(world.disk)
    except BaseException:
        world.disk.unlock()
        raise
    return engine


def _announce(before_migration: BeforeMigration, world: World, recovered: Recovered, planned: Schema) -> None:
    logged = recovered.state.database.schema
    if planned is logged or not logged.version:
        return
    recovered.log.seal(world.clock.wall())  # Nothing is sealed only where the segment is empty: sealed just now.
    before_migration(Migration(recovered.state.last_offset, logged, planned))


def _assemble(world: World, domain: Domain, recovered: Recovered, options: EngineOptions, acts: OwedActs) -> Engine:
    state, log = recovered.state, recovered.log
    # Views are bound to tables, so the schema is put in force by its record before any reducer runs.
    feed = Feed(recovered.newest)
    feed.newest.open_records, log.on_close = log.get_open_records, feed.newest.add
    admission = Admission(options.group_size_max)
    housekeeping = Housekeeping(world=world, log=log, admission=admission, options=options)
    housekeeping.check_start(state.last_timestamp)
    write_path = WritePath(
        state=state,
        log=log,
        domain=domain,
        feed=feed,
        admission=admission,
        clock=world.clock,
        deadline=world.deadline,
        leap_max_s=options.clock_jump_max_s,
        look_at_clock=housekeeping.look_at_clock,
    )
    clock = world.clock
    return Engine(
        world=world,
        domain=domain,
        state=state,
        log=log,
        feed=feed,
        admission=admission,
        write_path=write_path,
        denials=Denials(write_path, admission, housekeeping, wall=clock.wall, monotonic=clock.monotonic),
        group_commit=GroupCommit(log, feed, world.clock, inline_max_ms=options.fsync_inline_max_ms),
        housekeeping=housekeeping,
        acts=acts,
        report=recovered.report,
    )


def _record_start(engine: Engine, recovered: Recovered, schema: Schema, configuration: Mapping[str, str]) -> None:
    """Log what begins here: an epoch where one opens, what operators did, a schema where it changes, and the start.

    The start holds the hash of the code, what each reducer's arguments are called and may be shipped as, and the
    options in force: what reads the log alone needs no more.
    """
    record = engine.write_path.record
    if recovered.new_epoch is not None:
        epoch = EpochRecord(
            epoch=recovered.new_epoch,
            parent=engine.epoch,
            first_offset=Offset(engine.state.last_offset + 1),
            reason=recovered.epoch_reason,
        )
        record(Kind.EPOCH, "epoch", msgspec.msgpack.encode(epoch))
    with suppress(OSError):  # Too little room for a small file: the server looks again.
        if engine.housekeeping.has_room and (names := engine.acts.due(starting=True)):
            engine.acts.log(names, engine.state.next_offset, record)
    if schema is not engine.database.schema:
        record(Kind.SCHEMA, "schema", _encode_schema(schema))
    options, sensitive = dict(sorted(configuration.items())), sorted(engine.domain.sensitive)
    start = encode([code_hash(engine.domain), engine.domain.declarations, options, sensitive])
    if engine.housekeeping.has_room or engine.group_commit.is_due():
        record(Kind.LIFECYCLE, "start", start)
    else:
        engine.housekeeping.postponed = lambda: record(Kind.LIFECYCLE, "start", start)
    engine.group_commit.commit()
    with suppress(OSError):  # The server tries again, or the next start.
        engine.acts.logged()


def code_hash(domain: Domain) -> str:
    """SHA-256 over the source of every module the reducers come from, by module name, as hexadecimal digits."""
    functions = {each.function.__module__: each.function for each in domain.reducers.values()}
    digest = hashlib.sha256()
    for _, function in sorted(functions.items()):
        module = inspect.getmodule(function)
        try:
            digest.update(inspect.getsource(module).encode() if module else b"")
        except (OSError, TypeError):  # Typed in at a prompt: there is no source to hash.
            digest.update(b"")
    return digest.hexdigest()
