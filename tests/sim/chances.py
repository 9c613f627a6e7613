"""What happens next: the one place where chance is turned into interactions."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from store.engine.dice import Random
from tests.sim import interaction as act
from tests.sim.interaction import AGENTS, CLIENTS, Interaction
from tests.sim.queries import MEMBERS, SHAPES, Asked
from tests.sim.settings import PLENTY

OWNERS: Final = ("ada", "bob", "eve")
SLUGS: Final = (None, "a", "b", "c")
HOUR: Final = 3_600_000_000


def draw(dice: Random) -> Interaction:
    """The next thing that happens."""
    return _draw(dice, _CHANCES + _BESIDE)


def draw_meanwhile(dice: Random) -> Interaction:
    """What happens while another process works on the directory: everything but another one, or a move."""
    return _draw(dice, _CHANCES)


def draw_beside_reader(dice: Random) -> Interaction:
    """What happens while another process reads the directory: it is tended, too."""
    return _draw(dice, _CHANCES + _TENDING)


def _draw(dice: Random, chances: "list[Chance]") -> Interaction:
    at = dice.integer(1, sum(weight for weight, _ in chances))
    for weight, make in chances:
        at -= weight
        if at <= 0:
            return make(dice)
    raise AssertionError


def _draw_call(dice: Random) -> Interaction:
    name, *args = dice.choice(_CALLS)(dice)
    by = dice.choice(["sequence", "sequence", "key", "none"])
    return act.Call(dice.integer(0, CLIENTS - 1), name, tuple(args), by)


def _draw_ask(dice: Random) -> Interaction:
    name, *args = dice.choice(_CALLS)(dice)
    return act.Ask(_agent(dice), name, tuple(args))


def _agent(dice: Random) -> int:
    return dice.integer(0, AGENTS - 1)


def _query(dice: Random) -> Asked:
    """Mostly whole rows of one table by themselves."""
    asked = dice.choice(_QUERIES)(dice)
    member = dice.choice(list(MEMBERS[asked.table])) if dice.integer(0, 3) == 0 else ""
    shape = dice.choice(list(SHAPES[asked.table])) if dice.integer(0, 3) == 0 else ""
    return replace(asked, member=member, shape=shape)


_CALLS: Final[list[Callable[[Random], tuple[Any, ...]]]] = [
    lambda dice: ("add", dice.choice(OWNERS), dice.choice(SLUGS), "n" * dice.integer(0, 30)),
    lambda dice: ("add", dice.choice(OWNERS), None, "n" * dice.choice([1, 2_000])),
    lambda dice: ("give", dice.integer(1, 30), dice.choice(OWNERS)),
    lambda dice: ("remove", dice.integer(1, 30)),
    lambda dice: ("put", dice.choice(OWNERS), dice.bytes(dice.integer(0, 40))),
    lambda _: ("roll",),
    lambda dice: ("fail", dice.choice(["refuse", "raise", "violate", "exit"])),
]

_QUERIES: Final[list[Callable[[Random], Asked]]] = [
    lambda _: Asked("task"),
    lambda dice: Asked("task", "owner", dice.choice(OWNERS)),
    lambda dice: Asked("task", "id", dice.integer(1, 30)),
    lambda dice: Asked("task", "slug", dice.choice(SLUGS)),
    lambda dice: Asked("task", "note", "n" * dice.integer(0, 3)),
    lambda _: Asked("note"),
    lambda dice: Asked("note", "key", dice.choice([*OWNERS, "throw"])),
]

Chance = tuple[int, Callable[[Random], Interaction]]


def _kill(dice: Random, most: int = 60) -> int:
    """Mostly nobody is killed."""
    return dice.integer(0, most) if dice.integer(0, 6) == 0 else -1


def _ends(dice: Random, most: int) -> tuple[int, int]:
    """(when the process is killed, when power fails): mostly neither."""
    return _kill(dice, most), dice.integer(0, most) if dice.integer(0, 9) == 0 else -1


def _pace(dice: Random) -> int:
    return dice.choice([0, 0, 0, 7, 20, 40])


_CHANCES: Final[list[Chance]] = [
    (300, _draw_call),
    (60, lambda dice: act.Repeat(dice.integer(0, CLIENTS - 1))),
    (50, lambda dice: act.Read(dice.integer(0, CLIENTS - 1))),
    (200, _draw_ask),
    (40, lambda dice: act.Follow(_agent(dice), _query(dice))),
    (10, lambda dice: act.Unfollow(_agent(dice), dice.integer(0, 5))),
    (50, lambda dice: act.Fetch(_agent(dice), _query(dice))),
    (250, lambda dice: act.Arrive(_agent(dice), up=bool(dice.integer(0, 1)), count=dice.integer(1, 4))),
    (80, lambda dice: act.Connect(_agent(dice))),
    (30, lambda dice: act.Disconnect(_agent(dice), dice.choice(["both", "agent", "store"]), dice.integer(0, 3))),
    (25, lambda dice: act.Doze(_agent(dice), dice.integer(3, 30))),
    (120, lambda _: act.Deliver()),
    (25, lambda _: act.Pump()),
    (60, lambda _: act.BeginSync()),
    (130, lambda _: act.Commit()),
    (60, lambda dice: act.Idle(dice.integer(1, 200_000))),
    (2, lambda dice: act.Idle(25 * HOUR + dice.integer(0, HOUR))),
    (10, lambda dice: act.JumpClock(dice.integer(-HOUR, HOUR) // dice.choice([1, 100]))),
    (50, lambda _: act.ConfirmClock()),
    (8, lambda dice: act.SetFree(dice.choice([0, 300, 50_000, 100_000]))),
    (40, lambda _: act.SetFree(PLENTY)),
    (8, lambda dice: act.Fail(dice.choice(["sync", "write"]), dice.integer(0, 3))),
    (8, lambda dice: act.CutPower(dice.integer(0, 6))),
    (14, lambda dice: act.Crash(dice.integer(0, 7))),
    (6, lambda _: act.Restart()),
    (60, lambda dice: act.Idle(dice.integer(200_000, 2_000_000))),
]

_BESIDE: Final[list[Chance]] = [
    (4, lambda _: act.MoveHouse()),
    (
        30,
        lambda dice: act.TakeSnapshot(dice.choice([1000, 1000, dice.integer(1, 1000)]), _pace(dice), *_ends(dice, 60)),
    ),
    (80, lambda dice: act.Prune(_pace(dice), *_ends(dice, 20))),
    (20, lambda dice: act.Pin(dice.integer(1, 400), on=dice.integer(0, 1) == 0)),
    (
        5,
        lambda dice: act.CopyDirectory(
            dice.choice([99, 1 << 20]), dice.integer(0, 4), _pace(dice), moves=dice.integer(0, 3) == 0
        ),
    ),
    (5, lambda dice: _draw_restore(act.Restore, dice, moves=False)),
    (4, lambda dice: _draw_restore(act.Restore, dice, moves=True)),
    (4, lambda dice: _draw_restore(act.Clone, dice, moves=False)),
    (3, lambda dice: _draw_restore(act.Clone, dice, moves=True)),
    (4, lambda dice: act.Push(_pace(dice), _kill(dice))),
    (10, lambda dice: act.Drill(dice.integer(0, 3))),
    (
        14,
        lambda dice: act.Damage(
            dice.choice([1, 1, 4]),
            dice.integer(0, 999),
            dice.integer(0, 1 << 30),
            dice.choice(["flip", "flip", "cut", "remove"]),
            dice.choice(["open", "open", "salvage"]),
        ),
    ),
]

_TENDING: Final[list[Chance]] = [
    (150, lambda dice: act.TakeSnapshot(1000, 0, *_ends(dice, 60))),
    (250, lambda dice: act.Prune(0, *_ends(dice, 20))),
]


def _draw_restore(kind: type[act.Restore], dice: Random, *, moves: bool) -> Interaction:
    fault = dice.choice(["", "", "", "power", "sync", "write", "full"])
    after = dice.integer(0, 4_000) if fault == "full" else dice.integer(0, 30)
    by = dice.choice(["offset", "offset", "time", "snapshot"])
    return kind(by, dice.integer(1, 1000), 0 if moves else _pace(dice), _kill(dice), fault, after, moves)
