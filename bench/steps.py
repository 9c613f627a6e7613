"""Where the server's time goes, step by step: a frame's way through this process, with a stopwatch at each step.

Laws: it is a round of its own and slows no other. A step's time is without the steps inside it and without the
stopwatch, whose cost is measured; what the steps do not hold is "between". A step whose function has gone is said.

    python -m bench.steps [CALLS A FRAME] [uniform | zipf] [DIRECTORY] [named]
"""

import functools
import gc
import importlib
import inspect
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.in_process import clients, open_accounts, opened, rounds
from bench.machine import pin
from store.tables.overlay import TableView

CALLS: Final = 100_000
IN_FLIGHT: Final = 40
OWN_COST_COUNT: Final = 20_000
OWN_COST_TRIES: Final = 7

STEPS: Final = (
    ("frame", "store.server.frames", "FrameReader.receive"),
    ("decode messages", "store.subscribe.encoding", "MSGPACK.decode_frame"),
    ("decode arguments", "store.engine.arguments", "Arguments.read"),
    ("run", "store.engine.execution", "Execution.run"),
    ("run: get", "store.tables.overlay", "TableView.get"),
    ("run: update", "store.tables.overlay", "TableView.update"),
    ("encode", "store.engine.write_path", "encode_transaction"),
    ("append", "store.log.commitlog", "Commitlog.append"),
    ("apply", "store.tables.database", "Database.apply"),
    ("evaluate", "store.subscribe.subscriptions", "Subscriptions.evaluate"),
    ("answer", "store.subscribe.session", "Session.tell"),
    ("flush+checksum", "store.log.commitlog", "Commitlog.flush"),
    ("seal", "store.engine.feed", "Feed.seal"),
    ("sync", "store.log.commitlog", "Commitlog.sync"),
    ("publish", "store.engine.feed", "Feed.publish"),
)
"""(step, module, function) in the order of the route; "a: b" is inside "a"."""


class Stopwatch:
    """Exclusive seconds and counts of each step."""

    def __init__(self) -> None:
        self.seconds: Final[dict[str, float]] = {}
        self.counts: Final[dict[str, int]] = {}
        self._inner: Final[list[float]] = [0.0]

    def around(self, step: str, function: Callable[..., Any], *, generator: bool = False) -> Callable[..., Any]:
        """The function with a stopwatch; a generator is run to its end inside."""
        self.seconds[step], self.counts[step] = 0.0, 0
        inner, seconds, counts, now = self._inner, self.seconds, self.counts, time.perf_counter

        def timed(*args: Any, **kwargs: Any) -> Any:
            inner.append(0.0)
            began = now()
            try:
                return list(function(*args, **kwargs)) if generator else function(*args, **kwargs)
            finally:
                took = now() - began
                seconds[step] += took - inner.pop()
                counts[step] += 1
                inner[-1] += took

        return functools.wraps(function)(timed)

    @staticmethod
    def own_cost() -> float:
        """Seconds that one timing of nothing adds to its caller and to itself together: the least of several tries."""
        timed = Stopwatch().around("nothing", _nothing)

        def took(function: Callable[[int, int], Any]) -> float:
            began = time.perf_counter()
            for _ in range(OWN_COST_COUNT):
                function(1, 2)
            return (time.perf_counter() - began) / OWN_COST_COUNT

        return min(took(timed) - took(_nothing) for _ in range(OWN_COST_TRIES))


def _nothing(_first: int, _second: int) -> None:
    """What the stopwatch's own cost is measured on."""


class Step(msgspec.Struct, frozen=True):
    """One line of the profile."""

    name: str
    us: float
    """Microseconds a call, without the steps inside."""
    count: float
    """How often a call does it."""


class Profile(msgspec.Struct, frozen=True):
    """A whole one."""

    us: float
    """Microseconds a call of the whole way, measured without stopwatches."""
    cpu_us: float
    """Of them on the CPU; the rest waits for the disk."""
    steps: list[Step]
    missing: list[str]
    """Steps whose function is not where it was."""


def measure(directory: Path, *, frame_calls: int, keys: str = "uniform", named: bool = False) -> Profile:
    """Run the load, every other burst with stopwatches. Patches this process: run it in one of its own."""
    sent = rounds(CALLS, keys=keys, frame_calls=frame_calls, in_flight=IN_FLIGHT, named=named)
    watch = Stopwatch()
    cost = Stopwatch.own_cost()
    patches = [(name, _patch(watch, name, module, place)) for name, module, place in STEPS]
    patch = [each for _, each in patches if each is not None]
    missing = [name for name, each in patches if each is None]
    plain = cpu = 0.0
    with opened(directory) as engine:
        open_accounts(engine)
        connections = clients(engine, named=named)
        patch += [
            (view, method, written, watch.around(f"run: {method}", written))
            for view in TableView.__subclasses__()
            for method in ("get", "update")
            if (written := vars(view).get(method)) is not None  # As text, when the table was first looked at.
        ]
        gc.collect()
        gc.freeze()
        for turn, bursts in enumerate(sent):
            timed = turn % 2 == 1
            for owner, attribute, original, watched in patch:
                setattr(owner, attribute, watched if timed else original)
            began, used = time.perf_counter(), time.process_time()
            for connection, burst in zip(connections, bursts, strict=True):
                connection.receive(burst)
            engine.group_commit.commit()
            if not timed:
                plain += time.perf_counter() - began
                cpu += time.process_time() - used
        for owner, attribute, original, _ in patch:
            setattr(owner, attribute, original)
    calls = len(sent) // 2 * len(connections) * IN_FLIGHT
    steps = []
    for name, seconds in watch.seconds.items():
        # Half of a stopwatch's cost falls inside it, half to the step around it, if there is one.
        inside = sum(count for other, count in watch.counts.items() if other.startswith(f"{name}: "))
        own = seconds - (watch.counts[name] + inside) * cost / 2
        steps.append(Step(name, max(own, 0.0) / calls * 1e6, watch.counts[name] / calls))
    whole = plain / (len(sent) - len(sent) // 2) / len(connections) / IN_FLIGHT * 1e6
    steps.append(Step("between", whole - sum(step.us for step in steps), 1.0))
    return Profile(whole, whole * cpu / plain, steps, missing)


def _patch(watch: Stopwatch, name: str, module: str, place: str) -> tuple[Any, str, Any, Any] | None:
    """(owner, attribute, as it is, with a stopwatch), or None where there is no such function."""
    owner: Any = importlib.import_module(module)
    *path, attribute = place.split(".")
    for each in path:
        owner = getattr(owner, each, None)
    function = getattr(owner, attribute, None)
    if function is None:
        return None
    watched = watch.around(name, function, generator=inspect.isgeneratorfunction(function))
    return owner, attribute, function, watched


def main() -> None:
    """Measure and print one JSON object; or a table, on a terminal."""
    pin(0, server=True)
    frame_calls = int(sys.argv[1]) if len(sys.argv) > 1 else IN_FLIGHT
    keys = sys.argv[2] if len(sys.argv) > 2 else "uniform"
    root = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    with tempfile.TemporaryDirectory(dir=root or "/var/tmp") as directory:  # noqa: S108  # A disk, not RAM.
        profile = measure(Path(directory), frame_calls=frame_calls, keys=keys, named="named" in sys.argv)
    print(msgspec.json.encode(profile).decode())


if __name__ == "__main__":
    main()
