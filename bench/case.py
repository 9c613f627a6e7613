"""Runs one case in this process: Results as JSON, one a line, on the output; words on the error output.

python -m bench.case NAME DIRECTORY [--quick]
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from bench.cases import audit, backup, call, fanout, first_rows, memory, recover, restore, resume, selective, snapshot
from bench.machine import pin
from bench.results import Result


class Case(Protocol):
    """A module of bench.cases."""

    CASE: str
    PEERS: tuple[str, ...]

    def run(self, directory: Path, *, quick: bool) -> Iterator[Result]:
        """Measure, in a directory of its own."""
        ...


CASES: Final[dict[str, Case]] = {
    each.CASE: each
    for each in (call, fanout, selective, first_rows, resume, recover, memory, snapshot, restore, backup, audit)
}
"""By name, in the order in which they run."""


def main() -> None:
    """What __main__ starts for each case."""
    name, directory, *flags = sys.argv[1:]
    pin(0, server=True)
    for result in CASES[name].run(Path(directory), quick="--quick" in flags):
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
