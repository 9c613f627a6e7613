"""python -m bench [CASE…] [--quick] [--json] [--check]: the machine first, then each case in a process of its own."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from bench.case import CASES
from bench.machine import facts, filesystem
from bench.peers.__main__ import COMMAND, peers
from bench.results import MISSING, Result, table

DIRECTORY: Final = Path("/var/tmp")  # noqa: S108  # A disk where /tmp may be RAM; one temporary directory in it is ours.
WIDTH: Final = 180
"""Columns of the table where the output is no terminal."""
SHORT: Final = 1
FAILED: Final = 2
"""Exit codes: a target fell short (with --check), a case did not end."""


def arguments() -> argparse.ArgumentParser:
    """What may be asked."""
    reader = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the store beside its peers: ratios of one run on one machine.",
        epilog="; ".join(f"{name}: beside {', '.join(case.PEERS)}" for name, case in CASES.items()),
    )
    reader.add_argument("cases", nargs="*", metavar="CASE", help=f"{', '.join(CASES)}; default: all")
    reader.add_argument("--quick", action="store_true", help="each case within a minute")
    reader.add_argument("--json", action="store_true", help="one object a line: " + ", ".join(Result.__struct_fields__))
    reader.add_argument(
        "--check", action="store_true", help=f"exit with {SHORT} where a target falls short or lacks its peer"
    )
    reader.add_argument(
        "--directory", type=Path, default=DIRECTORY, help="where all data goes, on a disk (default: %(default)s)"
    )
    return reader


def run_case(name: str, directory: Path, *, quick: bool) -> Iterator[Result]:
    """A case's results as they come. CalledProcessError where it did not end well."""
    words = [sys.executable, "-m", "bench.case", name, str(directory), *(["--quick"] if quick else [])]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield msgspec.json.decode(line, type=Result)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)


class Report:
    """Tells results as they come, as JSON or in tables, and remembers what fell short."""

    def __init__(self, *, json: bool) -> None:
        self._json: Final = json
        self._console: Final = Console(width=None if sys.stdout.isatty() else WIDTH)
        self._complaints: Final = Console(stderr=True)
        self._results: Final[list[Result]] = []
        self.failed = False
        """Whether a case did not end well."""

    def tell(self, results: Iterable[Result]) -> None:
        """One case's, or the machine's."""
        told: list[Result] = []
        try:
            for result in results:
                told.append(result)
                if self._json:
                    print(msgspec.json.encode(result).decode(), flush=True)
        finally:  # Also what a case said before it failed.
            self._results.extend(told)
            if not self._json:
                self._console.print(table(told))
                self._console.print()

    def run(self, name: str, directory: Path, *, quick: bool) -> None:
        """Run a case and tell it; one that fails does not keep the next from running."""
        self._complaints.print(f"{name}: measuring", style="dim")
        try:
            self.tell(run_case(name, directory, quick=quick))
        except subprocess.CalledProcessError as error:
            self.failed = True
            self._complaints.print(f"{name}: the case ended with exit code {error.returncode}", style="bold red")

    def conclude(self) -> bool:
        """Say what is missing and what fell short; whether all held."""
        if any(result.unit == MISSING for result in self._results):
            self._complaints.print(f"Peers are missing. To install them: {COMMAND}", style="yellow")
        short = [result for result in self._results if result.holds is False]
        for each in short:
            number = f"{each.value:,}" if isinstance(each.value, int | float) else MISSING
            found = number if each.ratio is None else f"{each.ratio:g} x {each.base}"
            self._complaints.print(
                f"short: {each.case}: {each.metric}: {found}, promised {each.target}", soft_wrap=True
            )
        return not short


def main(words: Sequence[str] | None = None) -> int:
    """Run what was asked; returns the exit code."""
    reader = arguments()
    asked = reader.parse_intermixed_args(words)
    unknown = [name for name in asked.cases if name not in CASES]
    if unknown:
        reader.error(f"there is no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    if filesystem(asked.directory).startswith("tmpfs"):
        reader.error(f"{asked.directory} is in RAM: name a --directory on a disk")
    report = Report(json=asked.json)
    with tempfile.TemporaryDirectory(prefix="store-bench-", dir=asked.directory) as name:
        directory = Path(name)
        directory.chmod(0o755)  # PostgreSQL runs as another user and must get through.
        report.tell([*facts(directory), *peers()])
        for case in asked.cases or CASES:
            report.run(case, directory / case, quick=asked.quick)
    held = report.conclude()
    if report.failed:
        return FAILED
    return SHORT if asked.check and not held else 0


if __name__ == "__main__":
    sys.exit(main())
