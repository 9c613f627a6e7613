"""What was seen of the store: the only thing the properties may look at."""

from dataclasses import dataclass
from typing import Any

from store.env.memory import MemoryDisk
from store.ids import Offset
from store.transaction import Transaction


@dataclass(frozen=True)
class Sent:
    """A call as its client sends it; a retry is the same value but for what is acknowledged."""

    number: int
    """Counts the calls of a history; a retry has its first one's."""
    client: int
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
class Died:
    """The process ended otherwise than in order."""

    why: str


@dataclass(frozen=True)
class Recovered:
    """The store opened again."""

    transactions: list[Transaction]
    """All that the log holds, the start's own records too."""
    state: dict[str, Any]
    """The canonical state."""
    disk: MemoryDisk
    """A copy of the directory as it was before it was opened."""


Observation = Applied | Ran | TurnedAway | WasRead | Told | Died | Recovered


def show(seen: Observation) -> str:  # noqa: PLR0911  # One kind after the other.
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
    if isinstance(seen, Died):
        return f"  died: {seen.why}"
    return f"  recovered {len(seen.transactions)} transactions, fingerprint {seen.state['fingerprint'][:16]}"
