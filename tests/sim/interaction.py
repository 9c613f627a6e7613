"""What may happen to a store: calls, reads, agents and their network, time, and all that disks and power can do.

Laws: an interaction is a value; all chance is in `chances.draw`, and all of it comes from the seed.
"""

from dataclasses import dataclass
from typing import Any, Final

from tests.sim.queries import Asked

CLIENTS: Final = 4
"""Clients that call without a session, as over HTTP."""
AGENTS: Final = 3
"""Clients that hold a session, and follow queries."""


# Clients.


@dataclass(frozen=True)
class Call:
    """A client calls a reducer: under its next sequence, under a string key, or under none."""

    client: int
    name: str
    args: tuple[Any, ...]
    by: str


@dataclass(frozen=True)
class Repeat:
    """A client sends again what it has no answer to, or an answer it has not acknowledged."""

    client: int


@dataclass(frozen=True)
class Read:
    """A client reads all rows."""

    client: int


# Agents.


@dataclass(frozen=True)
class Ask:
    """An agent calls a reducer over its session, connected or not."""

    agent: int
    name: str
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Follow:
    """An agent follows a query."""

    agent: int
    query: Asked


@dataclass(frozen=True)
class Unfollow:
    """An agent follows one of its queries no longer."""

    agent: int
    place: int


@dataclass(frozen=True)
class Fetch:
    """An agent reads a query once."""

    agent: int
    query: Asked


@dataclass(frozen=True)
class Arrive:
    """So many frames under way to the store, or from it, arrive."""

    agent: int
    up: bool
    count: int


@dataclass(frozen=True)
class Connect:
    """An agent that has no connection makes one."""

    agent: int


@dataclass(frozen=True)
class Disconnect:
    """A connection breaks: the agent's end, the store's, or both. Who is not told goes on as if nothing were."""

    agent: int
    end: str
    lost: int
    """Frames under way to the agent of which nothing arrives: the last so many."""


@dataclass(frozen=True)
class Doze:
    """An agent that has a connection takes nothing from it, so many times that something could have arrived."""

    agent: int
    turns: int


@dataclass(frozen=True)
class Deliver:
    """First rows and what was missed go on their way for a slice; a piece of the log that was asked for is read."""


@dataclass(frozen=True)
class Pump:
    """All is calm: everybody connects, and all that is under way arrives."""


# Time.


@dataclass(frozen=True)
class BeginSync:
    """The runner begins a sync and has it run elsewhere; life goes on meanwhile."""


@dataclass(frozen=True)
class Commit:
    """The runner finishes the sync that runs, or else begins, runs and finishes one."""


@dataclass(frozen=True)
class Idle:
    """Time passes, housekeeping looks around, and what is due is committed."""

    microseconds: int


@dataclass(frozen=True)
class JumpClock:
    """The wall clock jumps, either way."""

    microseconds: int


@dataclass(frozen=True)
class ConfirmClock:
    """An operator says that the clock is right."""


# The disk, and power.


@dataclass(frozen=True)
class SetFree:
    """So many bytes of the disk are free from here on."""

    free: int


@dataclass(frozen=True)
class Fail:
    """A sync or a write of the disk will fail, after so many that succeed."""

    what: str
    after: int


@dataclass(frozen=True)
class CutPower:
    """Power will fail after so many operations of the disk."""

    after: int


@dataclass(frozen=True)
class Crash:
    """Power fails now; `fate` decides what the disk makes of what was not synced."""

    fate: int


@dataclass(frozen=True)
class Restart:
    """The store is stopped in order and started again."""


@dataclass(frozen=True)
class MoveHouse:
    """The directory is copied, and the copy is used from here on."""


# What other processes do beside the store. `pace`: life goes on after every so many of their operations of the disk, 0:
# they have it for themselves. `kill`: they are killed before that operation, never where it is negative.


@dataclass(frozen=True)
class TakeSnapshot:
    """A snapshot is taken, through so many thousandths of what there is; `cut`: as CutPower, -1 for never."""

    through: int
    pace: int
    kill: int
    cut: int


@dataclass(frozen=True)
class Prune:
    """What retention does not need goes, once its grace is over; `cut`: as CutPower, -1 for never."""

    pace: int
    kill: int
    cut: int


@dataclass(frozen=True)
class Pin:
    """A moment is pinned, so many thousandths into the oldest range there is; or the pin taken away."""

    at: int
    on: bool


@dataclass(frozen=True)
class CopyDirectory:
    """Somebody copies the directory file by file; `moves`: and uses the copy from here on."""

    piece: int
    order: int
    """Which of the folders comes first."""
    pace: int
    moves: bool


@dataclass(frozen=True)
class Restore:
    """A moment is restored into another directory; `moves`: which is used from here on, in an epoch of its own.

    The moment: a snapshot's, a time's, or so many thousandths of what there is. `fault`: what fails after so many
    operations (bytes where it is full) of the new directory's disk, if any; then the restore is repeated.
    """

    by: str
    at: int
    pace: int
    kill: int
    fault: str
    after: int
    moves: bool


@dataclass(frozen=True)
class Clone(Restore):
    """As Restore, but what is made there is another store, whose history begins behind that moment."""


@dataclass(frozen=True)
class Push:
    """What is not in the backup yet is sent there; then the newest moment is read back from it."""

    pace: int
    kill: int


@dataclass(frozen=True)
class Drill:
    """The live fingerprint is asked for, and life goes on while it is taken; then the moment is replayed."""

    pace: int


@dataclass(frozen=True)
class Damage:
    """In a copy of the directory bits are flipped, files cut or missing; then the copy is opened, or salvaged."""

    times: int
    file: int
    place: int
    how: str
    then: str


Interaction = (
    Call | Repeat | Read
    | Ask | Follow | Unfollow | Fetch | Arrive | Connect | Disconnect | Doze | Deliver | Pump
    | BeginSync | Commit | Idle | JumpClock | ConfirmClock
    | SetFree | Fail | CutPower | Crash | Restart | MoveHouse
    | TakeSnapshot | Prune | Pin | CopyDirectory | Restore | Clone | Push | Drill | Damage
)  # fmt: skip
