"""The proof of determinism: run every logged call again on its recorded inputs, and compare.

Laws: each call runs above the tables as they were at its offset, with its recorded moment, sender, seed and arguments;
its write set, outcome and value must be what the log holds. The log is only read. Where nothing differs, the tables
that running makes are, by induction, the tables that replaying makes: one fingerprint stands for both. Where old log is
gone the proof begins with what a snapshot holds, and says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from store.engine.execution import TIMED_OUT, Execution, Outcome
from store.engine.loading import load_oldest
from store.engine.reducer import Context, Domain
from store.engine.replay import records
from store.engine.schema_plan import plan_schema
from store.engine.state import State, decode_schema
from store.env.world import Deadline, Disk
from store.errors import ReducerFailed
from store.ids import Offset
from store.log.reader import LogReader
from store.schema import Table
from store.transaction import Kind, Transaction

DIFFERENCES_MAX: Final = 100
"""Differences that are listed; more are only counted."""

_CALLS: Final = frozenset({int(Kind.CALL), int(Kind.FAILED_CALL)})


@dataclass(frozen=True)
class Difference:
    """A call that came out otherwise than the log says."""

    offset: Offset
    reducer: str
    what: str
    """Which of writes, outcome, value, arguments (it takes others) and reducer (there is none of that name) differ."""


@dataclass
class ReexecutionReport:
    """What running a log again showed."""

    begins_behind: Offset = field(default=Offset(0))
    """What the first call ran above: the state at this offset; 0 for the empty one, at the log's start."""
    transactions: int = 0
    calls: int = 0
    skipped: int = 0
    """Calls that were cut off by their time limit: how those end depends on the machine, not on the log."""
    different: int = 0
    differences: list[Difference] = field(default_factory=list)
    fingerprint: str = ""

    def note(self, difference: Difference) -> None:
        """Count a difference, and list it while there is room."""
        self.different += 1
        if len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(difference)


def reexecute(reader: LogReader, domain: Domain, deadline: Deadline, state: State | None = None) -> ReexecutionReport:
    """Run a log's calls again, above the state that the reader begins behind; None: it begins at the log's start.

    Where old log is gone, `start_of` finds that state. CorruptionError as the reader finds it; SchemaMismatch where the
    domain declares other tables than the log has.
    """
    state = state or State(_row_types(domain))
    execution = Execution(state.database, deadline)
    report = ReexecutionReport(begins_behind=state.last_offset)
    if state.last_offset:
        plan_schema(state.database.schema, domain.tables)
    for batch in reader:
        if batch.last_offset <= state.last_offset:
            continue
        for transaction, record in records(batch):
            report.transactions += 1
            if transaction.kind == Kind.SCHEMA:
                plan_schema(decode_schema(transaction.args), domain.tables)
            if transaction.kind in _CALLS:
                report.calls += 1
                _run_again(state, execution, domain, transaction, batch.seed, report)
            state.absorb(transaction, record)
    report.fingerprint = state.database.fingerprint()
    return report


def start_of(disk: Disk, domain: Domain) -> State:
    """The state that the last unbroken stretch of a log begins behind: the empty one, or a snapshot's.

    Read on from its `next_offset`. CorruptionError: there is none.
    """
    return load_oldest(disk, _row_types(domain)).state


def _row_types(domain: Domain) -> dict[str, type[Table]]:
    return {each.__table__.name: each for each in domain.tables}


def _run_again(
    state: State,
    execution: Execution,
    domain: Domain,
    logged: Transaction,
    batch_seed: bytes,
    report: ReexecutionReport,
) -> None:
    reducer = domain.reducers.get(logged.reducer)
    if reducer is None:
        report.note(Difference(logged.offset, logged.reducer, "reducer"))
        return
    if logged.outcome and _timed_out(logged):
        report.skipped += 1
        return
    try:
        values = reducer.arguments.decode_canonical(logged.args)
    except (ValueError, TypeError):
        report.note(Difference(logged.offset, logged.reducer, "arguments"))
        return
    sender = state.identities[logged.identity]
    context = Context(execution.view, logged.timestamp, sender, batch_seed, logged.offset)
    outcome = execution.run(reducer, context, values, logged.offset)
    differing = ", ".join(_compare(outcome, logged))
    if differing:
        report.note(Difference(logged.offset, logged.reducer, differing))


def _compare(run: Outcome, logged: Transaction) -> Iterator[str]:
    outcome, value, writes, _ = run
    if outcome != logged.outcome:
        yield "outcome"
    if value != logged.value:
        yield "value"
    if writes != logged.writes:
        yield "writes"


def _timed_out(logged: Transaction) -> bool:
    _, details, _ = msgspec.msgpack.decode(logged.value)
    return logged.outcome == ReducerFailed.code and bool(details == TIMED_OUT)
