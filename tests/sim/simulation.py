"""One history: a seed is drawn out, step by step, and every observation is held against the model."""

import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from unittest.mock import patch

from store.engine.dice import Random
from store.engine.engine import Engine
from store.engine.reexecution import reexecute, start_of
from store.env.memory import NoDeadline
from store.log.reader import LogReader
from tests.engine.scenes import DOMAIN
from tests.sim.agents import Agent
from tests.sim.chances import draw, draw_beside_reader, draw_meanwhile
from tests.sim.interaction import Interaction
from tests.sim.model import Model
from tests.sim.observation import Observation, show
from tests.sim.planted import Planted
from tests.sim.property import Violation, all_properties
from tests.sim.settings import CONSTANTS
from tests.sim.target import Target, describe


@dataclass
class History:
    """What came of a seed."""

    seed: int
    steps: int
    step: int = 0
    failure: str = ""
    """Which property does not hold, and how; "" where all do."""
    trace: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """How often each kind of thing was seen."""

    @property
    def hash(self) -> str:
        """SHA-256 of the trace: the same seed, the same hash."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


def simulate(seed: int, *, steps: int, planted: Planted | None = None) -> History:
    """Live one history to its end, or to the first violation."""
    planted = planted or Planted()
    with ExitStack() as stack:
        for name, value in CONSTANTS.items():
            stack.enter_context(patch(f"store.{name}", value))
        stack.enter_context(planted.always())
        return _live(seed, steps, planted)


def _live(seed: int, steps: int, planted: Planted) -> History:
    history = History(seed, steps)
    dice = Random(hashlib.sha256(f"history {seed}".encode()).digest())
    properties = all_properties(Model())

    def watch(seen: Observation) -> None:
        history.trace.append(show(seen))
        history.counts[type(seen).__name__] += 1
        for each in properties:
            each.observe(seen)

    def live(chances: Callable[[Random], Interaction]) -> None:
        history.step += 1
        what = chances(dice)
        history.trace.append(f"{history.step} {describe(what)}")
        history.counts[type(what).__name__] += 1
        target.perform(what)

    target = Target(seed, watch, planted)
    target.meanwhile = lambda reads: live(draw_beside_reader if reads else draw_meanwhile)
    try:
        while history.step < steps:
            live(draw)
        history.trace.append("heal")
        target.heal()
        check_end(target)
    except Exception as error:  # noqa: BLE001  # Whatever it is, it was found by this seed.
        history.failure = f"{type(error).__name__}: {error}"
        history.trace.append(f"! {history.failure}")
    return history


def check_end(target: Target) -> None:
    """Liveness and determinism: everybody was answered, and running the log again makes the same tables."""
    waiting = {each.name: sorted(each.open) for each in target.clients if each.open}
    waiting |= {each.name: sorted(each.open) for each in target.board.agents if each.open}
    if waiting:
        raise Violation("answered", f"these calls never were, by client: {waiting}")
    assert target.engine is not None
    for agent in target.board.agents:
        check_current(agent, target.engine)
    start = start_of(target.disk, DOMAIN)
    report = reexecute(LogReader(target.disk, from_offset=start.next_offset), DOMAIN, NoDeadline(), start)
    if report.different:
        raise Violation("deterministic", f"run again, these came out otherwise: {report.differences}")
    if report.fingerprint != target.engine.database.fingerprint():
        raise Violation("same", "run again, the log makes other tables")


def check_current(agent: Agent, engine: Engine) -> None:
    """When all is calm, an agent's views are at the newest offset, in the epoch in force."""
    if agent.conversation.epoch != engine.epoch.hex():
        raise Violation("in step", f"{agent.name} is in epoch {agent.conversation.epoch}, the store in another")
    for view in agent.views.values():
        if view.live is None or view.epoch != agent.conversation.epoch:
            raise Violation("in step", f"{agent.name} has no rows of {view.query}")
    agent.look_at(engine.write_path.last_offset)
