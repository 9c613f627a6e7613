"""What may happen to a store: calls, reads, time, and everything a disk and a power supply can do.

Laws: an interaction is a value; all chance is in `draw`, and all of it comes from the seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from store.engine.dice import Random

CLIENTS: Final = 4


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


Interaction = (
    Call | Repeat | Read | BeginSync | Commit | Idle | JumpClock | ConfirmClock | SetFree | Fail | CutPower | Crash
    | Restart | MoveHouse
)  # fmt: skip

OWNERS: Final = ("ada", "bob", "eve")
HOUR: Final = 3_600_000_000
PLENTY: Final = 1 << 30


def draw(dice: Random) -> Interaction:
    """The next thing that happens."""
    at = dice.integer(1, sum(weight for weight, _ in _CHANCES))
    for weight, make in _CHANCES:
        at -= weight
        if at <= 0:
            return make(dice)
    raise AssertionError


def _draw_call(dice: Random) -> Call:
    name, *args = dice.choice(_CALLS)(dice)
    return Call(dice.integer(0, CLIENTS - 1), name, tuple(args), dice.choice(["sequence", "sequence", "key", "none"]))


_CALLS: Final[list[Callable[[Random], tuple[Any, ...]]]] = [
    lambda dice: ("add", dice.choice(OWNERS), dice.choice([None, "a", "b", "c"]), "n" * dice.integer(0, 30)),
    lambda dice: ("add", dice.choice(OWNERS), None, "n" * dice.choice([1, 2_000])),
    lambda dice: ("give", dice.integer(1, 30), dice.choice(OWNERS)),
    lambda dice: ("remove", dice.integer(1, 30)),
    lambda dice: ("put", dice.choice(OWNERS), dice.bytes(dice.integer(0, 40))),
    lambda _: ("roll",),
    lambda dice: ("fail", dice.choice(["refuse", "raise", "violate", "exit"])),
]

_CHANCES: Final[list[tuple[int, Callable[[Random], Interaction]]]] = [
    (500, _draw_call),
    (60, lambda dice: Repeat(dice.integer(0, CLIENTS - 1))),
    (50, lambda dice: Read(dice.integer(0, CLIENTS - 1))),
    (60, lambda _: BeginSync()),
    (130, lambda _: Commit()),
    (60, lambda dice: Idle(dice.integer(1, 200_000))),
    (2, lambda dice: Idle(25 * HOUR + dice.integer(0, HOUR))),
    (10, lambda dice: JumpClock(dice.integer(-HOUR, HOUR) // dice.choice([1, 100]))),
    (50, lambda _: ConfirmClock()),
    (8, lambda dice: SetFree(dice.choice([0, 300, 50_000, 100_000]))),
    (40, lambda _: SetFree(PLENTY)),
    (8, lambda dice: Fail(dice.choice(["sync", "write"]), dice.integer(0, 3))),
    (8, lambda dice: CutPower(dice.integer(0, 6))),
    (14, lambda dice: Crash(dice.integer(0, 7))),
    (6, lambda _: Restart()),
    (2, lambda _: MoveHouse()),
]
