"""What the demo found: measured, as values, and as a table for people."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from store.client import Client
from store.errors import Refused


class Phase(msgspec.Struct, frozen=True):
    """What one part of the demo took; latencies are those a caller sees, in milliseconds."""

    name: str
    calls: int
    refused: int
    seconds: float
    calls_per_second: float
    p50_ms: float
    p99_ms: float

    @classmethod
    def of(cls, name: str, *, latencies: Sequence[float], refused: int, seconds: float) -> "Phase":
        """A phase from the seconds each of its calls took."""
        return cls(
            name=name,
            calls=len(latencies),
            refused=refused,
            seconds=round(seconds, 3),
            calls_per_second=round(len(latencies) / seconds, 1),
            p50_ms=percentile_ms(latencies, 0.50),
            p99_ms=percentile_ms(latencies, 0.99),
        )


@dataclass
class Meter:
    """Counts and times the calls of one phase."""

    name: str
    progress: Progress
    steps: int
    latencies: list[float] = field(default_factory=list)
    refused: int = 0

    def __post_init__(self) -> None:
        self._started = time.perf_counter()
        self._task = self.progress.add_task(self.name, total=self.steps, rate="")

    async def call(self, agent: Client, reducer: str, *args: Any, steps: int = 0, **named: Any) -> Any:
        """Call a reducer and note how long its answer took."""
        started = time.perf_counter()
        try:
            return await agent.call(reducer, *args, **named)
        except Refused:
            self.refused += 1
            raise
        finally:
            now = time.perf_counter()
            self.latencies.append(now - started)
            rate = len(self.latencies) / (now - self._started)
            self.progress.update(self._task, advance=steps, rate=f"{rate:,.0f} calls/s")

    def done(self) -> Phase:
        """The phase is over: its numbers."""
        seconds = time.perf_counter() - self._started
        self.progress.update(self._task, total=self.progress.tasks[self._task].completed)
        return Phase.of(self.name, latencies=self.latencies, refused=self.refused, seconds=seconds)


class Check(msgspec.Struct, frozen=True):
    """One thing that must be so, and what was found."""

    name: str
    holds: bool
    found: str


class DemoSummary(msgspec.Struct, frozen=True):
    """What the demo did and found."""

    repository: str
    """The URL or path it was registered under, or "" where none was imported."""
    commits: int
    commits_new: int
    """Commits that this run was the first to import."""
    authors: int
    agents: int
    subscribers: int
    deltas: int
    """Deltas that all subscribers saw together."""
    phases: tuple[Phase, ...]
    checks: tuple[Check, ...]
    holds: bool
    """Whether every check holds."""
    import_left_out: str = ""
    """Why no history was imported, or ""."""


def render_summary(summary: DemoSummary) -> RenderableType:
    """The summary for people."""
    rows = Table(title="What was done", title_justify="left", header_style="")
    for name in ("", "calls", "refused", "calls/s", "p50 ms", "p99 ms", "seconds"):
        rows.add_column(name, justify="left" if not name else "right")
    for each in summary.phases:
        rows.add_row(
            each.name,
            f"{each.calls:,}",
            f"{each.refused:,}",
            f"{each.calls_per_second:,.0f}",
            f"{each.p50_ms:.2f}",
            f"{each.p99_ms:.2f}",
            f"{each.seconds:.2f}",
        )
    lines = [
        Text(
            f"{summary.repository}: {summary.commits:,} commits ({summary.commits_new:,} new), "
            f"{summary.authors:,} authors"
            if summary.repository
            else "no git history was imported"
        ),
        Text(f"{summary.agents} agents called; {summary.subscribers} subscribers saw {summary.deltas:,} deltas"),
    ]
    checks = [
        Text.assemble(
            ("holds " if check.holds else "FAILS ", "green" if check.holds else "bold red"),
            f"{check.name}: {check.found}",
        )
        for check in summary.checks
    ]
    return Group(*lines, rows, *checks)


def percentile_ms(latencies: Sequence[float], share: float) -> float:
    """The latency that this share of calls does not pass, in milliseconds; 0 without calls."""
    return (
        round(sorted(latencies)[min(int(share * len(latencies)), len(latencies) - 1)] * 1000, 3) if latencies else 0.0
    )
