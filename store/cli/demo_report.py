"""What the demo found, as values, and as a table for people."""

from collections.abc import Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


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


class Check(msgspec.Struct, frozen=True):
    """One thing that must be so, and what was found."""

    name: str
    holds: bool
    found: str


class DemoSummary(msgspec.Struct, frozen=True):
    """What the demo did and found."""

    repository: str
    """The URL or path it was registered under."""
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
