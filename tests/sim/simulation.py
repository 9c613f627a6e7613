"""One history: a seed is drawn out, step by step, and every observation is held against the model."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from store.engine.dice import Random
from store.engine.reexecution import reexecute
from store.env.memory import NoDeadline
from store.log.reader import LogReader
from tests.engine.scenes import DOMAIN
from tests.sim.interaction import draw
from tests.sim.model import Model
from tests.sim.observation import Observation, show
from tests.sim.property import Violation, all_properties
from tests.sim.target import Planted, Target, describe


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
    history = History(seed, steps)
    dice = Random(hashlib.sha256(f"history {seed}".encode()).digest())
    properties = all_properties(Model())

    def watch(seen: Observation) -> None:
        history.trace.append(show(seen))
        history.counts[type(seen).__name__] += 1
        for each in properties:
            each.observe(seen)

    target = Target(seed, watch, planted or Planted())
    try:
        for history.step in range(1, steps + 1):
            what = draw(dice)
            history.trace.append(f"{history.step} {describe(what)}")
            history.counts[type(what).__name__] += 1
            target.perform(what)
        history.trace.append("heal")
        target.heal()
        check_end(target)
    except Exception as error:  # noqa: BLE001  # Whatever it is, it was found by this seed.
        history.failure = f"{type(error).__name__}: {error}"
        history.trace.append(f"! {history.failure}")
    return history


def check_end(target: Target) -> None:
    """Liveness and determinism: everybody was answered, and running the log again makes the same tables."""
    waiting = {client.number: sorted(client.open) for client in target.clients if client.open}
    if waiting:
        raise Violation("answered", f"these calls never were, by client: {waiting}")
    assert target.engine is not None
    report = reexecute(LogReader(target.disk), DOMAIN, NoDeadline())
    if report.different:
        raise Violation("deterministic", f"run again, these came out otherwise: {report.differences}")
    if report.fingerprint != target.engine.database.fingerprint():
        raise Violation("same", "run again, the log makes other tables")
