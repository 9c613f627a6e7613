"""python -m tests.sim --seed N [--steps M] [--count K]: live histories; non-zero where a guarantee does not hold."""

import argparse
import logging
import sys
from collections import Counter

from tests.sim.simulation import simulate

TRACE_SHOWN = 40
"""Lines of the trace before a failure that are printed."""


def main(arguments: list[str]) -> int:
    """Print seed and options first, and last the command that does the same again."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first history's seed")
    parser.add_argument("--steps", type=int, default=2_000, help="interactions in each history")
    parser.add_argument("--count", type=int, default=10, help="histories, with seeds counting up")
    parser.add_argument("--trace", action="store_true", help="print everything that is seen")
    said = parser.parse_args(arguments)
    logging.disable(logging.ERROR)  # Reducers fail on purpose here.
    print(f"seed {said.seed}, steps {said.steps}, count {said.count}")  # noqa: T201  # That is the program.
    totals: Counter[str] = Counter()
    for seed in range(said.seed, said.seed + said.count):
        history = simulate(seed, steps=said.steps)
        totals += history.counts
        shown = history.trace if said.trace else history.trace[-TRACE_SHOWN:] if history.failure else []
        for line in shown:
            print(line)  # noqa: T201  # As above.
        print(f"seed {seed}: trace {history.hash[:16]}", history.failure and f"FAILED at step {history.step}")  # noqa: T201  # As above.
        if history.failure:
            print(history.failure)  # noqa: T201  # As above.
            print(f"python -m tests.sim --seed {seed} --steps {said.steps} --count 1")  # noqa: T201  # As above.
            return 1
    print("seen:", ", ".join(f"{name} {count}" for name, count in sorted(totals.items())))  # noqa: T201  # As above.
    print(f"python -m tests.sim --seed {said.seed} --steps {said.steps} --count {said.count}")  # noqa: T201  # As above.
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
