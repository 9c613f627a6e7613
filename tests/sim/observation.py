"""What was seen of the store: the only thing the properties may look at."""

from dataclasses import dataclass
from typing import Any

from store.engine.state import EpochRecord
from store.env.memory import MemoryDisk
from store.ids import Offset
from store.transaction import Transaction
from store.upkeep.ranges import Range
from tests.sim.queries import Asked


@dataclass(frozen=True)
class Sent:
    """A call as its client sends it; a retry is the same value but for what is acknowledged."""

    number: int
    """Counts the calls of a history; a retry has its first one's."""
    client: str
    """As the store knows it; "" where the call has no sequence."""
    name: str
    args: tuple[Any, ...]
    sequence: int
    key: str


@dataclass(frozen=True)
class Reply:
    """What a call was answered."""

    offset: Offset
    outcome: str
    value: bytes


@dataclass(frozen=True)
class Applied:
    """A transaction happened, and the tables are at its offset."""

    transaction: Transaction
    sent: Sent | None
    """What it does, if that is what a client sent."""


@dataclass(frozen=True)
class Ran:
    """A call was answered by the writer; nobody was told yet."""

    sent: Sent
    reply: Reply


@dataclass(frozen=True)
class TurnedAway:
    """A call was not run and left no record."""

    sent: Sent
    code: str


@dataclass(frozen=True)
class WasRead:
    """Rows were read by the writer; nobody was told yet."""

    rows: dict[str, dict[Any, bytes]]


@dataclass(frozen=True)
class Told:
    """Something reached a client: a reply, or rows, that may rest on everything up to an offset."""

    sent: Sent | None
    reply: Reply | None
    rests_on: Offset
    survives: Offset
    """The last offset that a power loss right now would leave at the least."""


@dataclass(frozen=True)
class Transmitted:
    """A session handed a frame to the network."""

    size: int
    rests_on: Offset
    survives: Offset
    waiting: int
    """Bytes that wait for this client, held or not taken by the network, this frame included."""
    bound: int


@dataclass(frozen=True)
class Answered:
    """An agent got the answer to a call. `value` is None for a failure."""

    agent: str
    sent: Sent
    epoch: str
    offset: Offset
    outcome: str
    value: bytes | None
    reached: tuple[tuple[Asked, Offset], ...]
    """How far it was told of each query when the answer came."""


@dataclass(frozen=True)
class Viewed:
    """What an agent has of a query, right after it was told something."""

    agent: str
    query: Asked
    epoch: str
    since: Offset | None
    """Where the rows were when they were last seen; None where they came anew since."""
    deltas: tuple[Offset, ...]
    """Of the transactions it was told of since."""
    caught_up: bool
    """Whether it came back meanwhile, and what it missed may be one change: the first of these."""
    offset: Offset
    """Where they are now, as the agent's view says."""
    rows: dict[Any, tuple[Any, ...]]


@dataclass(frozen=True)
class Fetched:
    """An agent read a query once."""

    agent: str
    query: Asked
    epoch: str
    heard: Offset
    """The highest offset of this epoch that the agent had heard of when it asked."""
    offset: Offset
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Greeted:
    """An agent was welcomed."""

    agent: str
    before: str
    """The epoch it knew."""
    epoch: str
    changed: bool
    """Whether it was told that the epoch is another."""


@dataclass(frozen=True)
class Resumed:
    """An agent was taken up from where its rows were."""

    agent: str
    offset: Offset
    rows_of: str
    """The epoch its rows are of."""
    epoch: str
    """The epoch it is in."""


@dataclass(frozen=True)
class SentAnew:
    """An agent that had rows got them anew, and was told why."""

    agent: str
    reason: str
    rows_of: str
    """The epoch its rows are of."""
    epoch: str
    """The epoch it is in."""


@dataclass(frozen=True)
class Heard:
    """A change of a query reached an agent on this connection, live or as one that it had missed."""

    agent: str
    query: str
    after: Offset
    """It was told of changes up to here before."""
    offset: Offset
    before: Offset | None
    """And, where this is one that it had missed, live of changes from here on."""


@dataclass(frozen=True)
class CutOff:
    """The store ended a session."""

    agent: str
    code: int


@dataclass(frozen=True)
class Died:
    """The process ended otherwise than in order."""

    why: str


@dataclass(frozen=True)
class Recovered:
    """The store opened again."""

    transactions: list[Transaction]
    """All that the log holds, the start's own records too."""
    epoch: str
    state: dict[str, Any]
    """The canonical state."""
    forked: Offset | None
    """Where this directory was made from another one, or copied; None: it is the one that was there before."""
    went_back: bool
    """Whether that may be before what was told: it was restored, or is a copy of a moment ago."""
    disk: MemoryDisk
    """A copy of the directory as it was before it was opened."""
    births: tuple[EpochRecord, ...]
    """The stores that began in this history without a record of it: clones."""


@dataclass(frozen=True)
class Elsewhere:
    """A state at an offset, as something other than the running store has it."""

    what: str
    offset: Offset
    state: dict[str, Any]
    """Canonical."""
    history: list[Transaction]
    """What was logged up to there, and what that directory has logged behind it of its own."""
    least: Offset
    """Where it has to be at least, ..."""
    most: Offset
    """... and at most."""
    births: tuple[EpochRecord, ...]
    """As Recovered's."""


@dataclass(frozen=True)
class Cloned:
    """Another store was made of a moment."""

    born: EpochRecord
    """As its snapshot says."""
    store: str
    """Whose name the directory goes by."""
    offset: Offset
    """The moment's."""
    epoch: str
    """The epoch of that moment."""


@dataclass(frozen=True)
class Salvaged:
    """What a salvage brought out, where it could not bring out everything."""

    rows: dict[str, dict[Any, bytes]]
    epoch: str
    offset: Offset
    whole: dict[str, dict[Any, bytes]]
    """All rows there were at that offset."""


@dataclass(frozen=True)
class PrunedAway:
    """Files were removed: what could be restored before and after, and which verified snapshots there were and are."""

    promised: int
    """Every moment from this time on is."""
    pinned: list[Offset]
    before: list[Range]
    after: list[Range]
    newest: list[str]
    left: list[str]


@dataclass(frozen=True)
class Drilled:
    """The live fingerprint of an offset, and that of its replay."""

    offset: Offset
    live: str
    replayed: str


@dataclass(frozen=True)
class Ended:
    """Somebody else's work came to an end without a result: why."""

    what: str
    why: str


Observation = (
    Applied | Ran | TurnedAway | WasRead | Told | Transmitted | Answered | Viewed | Fetched | Greeted | Resumed | Heard
    | SentAnew | CutOff | Died | Recovered | Elsewhere | Cloned | Salvaged | PrunedAway | Drilled | Ended
)  # fmt: skip


def show(seen: Observation) -> str:  # noqa: C901, PLR0911, PLR0912  # One kind after the other.
    """One line of the trace."""
    if isinstance(seen, Applied):
        each = seen.transaction
        return f"  applied {each.offset} at {each.timestamp}: {each.reducer} {each.outcome} {len(each.writes)} writes"
    if isinstance(seen, Ran):
        return f"  ran #{seen.sent.number} as {seen.reply.offset} {seen.reply.outcome} {seen.reply.value.hex()}"
    if isinstance(seen, TurnedAway):
        return f"  turned away #{seen.sent.number}: {seen.code}"
    if isinstance(seen, WasRead):
        return f"  read { ({table: len(rows) for table, rows in seen.rows.items()}) }"
    if isinstance(seen, Told):
        what = "rows" if seen.sent is None else f"#{seen.sent.number}"
        return f"  told {what}, resting on {seen.rests_on}, surviving {seen.survives}"
    if isinstance(seen, Transmitted):
        return f"  transmitted {seen.size} bytes, resting on {seen.rests_on}, surviving {seen.survives}"
    if isinstance(seen, Answered):
        return f"  {seen.agent} was answered #{seen.sent.number}: {seen.offset} {seen.outcome}"
    if isinstance(seen, Viewed):
        how = "anew" if seen.since is None else f"from {seen.since} by {list(seen.deltas)}"
        return f"  {seen.agent} has {seen.query.sql} {seen.query.params} at {seen.offset} {how}: {len(seen.rows)} rows"
    if isinstance(seen, Fetched):
        return f"  {seen.agent} fetched {seen.query.sql} {seen.query.params} at {seen.offset}: {len(seen.rows)} rows"
    if isinstance(seen, Greeted):
        return f"  {seen.agent} was welcomed in {seen.epoch[:8]}" + (" after another epoch" if seen.changed else "")
    if isinstance(seen, Resumed):
        return f"  {seen.agent} was taken up from {seen.offset}"
    if isinstance(seen, SentAnew):
        return f"  {seen.agent} got its rows anew: {seen.reason}"
    if isinstance(seen, Heard):
        return f"  {seen.agent} heard of {seen.offset} for {seen.query}"
    if isinstance(seen, CutOff):
        return f"  {seen.agent} was cut off: {seen.code}"
    if isinstance(seen, Died):
        return f"  died: {seen.why}"
    if isinstance(seen, Elsewhere):
        return f"  {seen.what}: offset {seen.offset} of {seen.least} to {seen.most}, {seen.state['fingerprint'][:16]}"
    if isinstance(seen, Cloned):
        return f"  cloned offset {seen.offset} of {seen.epoch[:8]} as {seen.store[:8]}"
    if isinstance(seen, Salvaged):
        return f"  salvaged a part of offset {seen.offset}"
    if isinstance(seen, PrunedAway):
        return f"  pruned: restorable {'; '.join(map(str, seen.after))}; snapshots {seen.left}"
    if isinstance(seen, Drilled):
        return f"  drilled at {seen.offset}: {seen.live[:16]}, replayed {seen.replayed[:16]}"
    if isinstance(seen, Ended):
        return f"  {seen.what}: {seen.why}"
    return f"  recovered {len(seen.transactions)} transactions, fingerprint {seen.state['fingerprint'][:16]}"
