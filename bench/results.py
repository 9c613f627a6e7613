"""What a case says: one Result a line, and the table that people read.

Laws: a ratio is taken within one round and the median of the rounds is told, so that a machine whose speed swings moves
both sides. A base is named by the metric that holds its value. A peer that is missing is a Result of its own, and so is
every target that cannot be measured without it: such a target does not hold.
"""

import statistics
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from rich.table import Table as RichTable

MISSING: Final = "missing"
"""The unit of a peer that is not installed, and of a target that stands beside it."""
INSTALL: Final = "make bench-peers"
"""The command that installs the peers."""
_NOT_INSTALLED: Final = f"not installed, {INSTALL} installs it"


class Result(msgspec.Struct, frozen=True):
    """One number of one case. `holds` is None where nothing is promised about it."""

    case: str
    metric: str
    value: float | int | str | None
    unit: str
    base: str = ""
    """The metric it stands beside; that metric has a line of its own."""
    ratio: float | None = None
    """`value` over the base's value: the median of the rounds' ratios."""
    target: str = ""
    """What is promised, such as ">= 1.0 x"; empty where nothing is."""
    holds: bool | None = None


def rate(case: str, metric: str, values: Sequence[float], unit: str) -> Result:
    """The median of what the rounds measured."""
    return Result(case, metric, rounded(statistics.median(values)), unit)


def against(
    case: str,
    metric: str,
    values: Sequence[float],
    unit: str,
    *,
    base: str,
    bases: Sequence[float],
    least: float | None,
) -> Result:
    """A median beside a base's, round by round; `least` is the ratio promised, if one is."""
    ratio = statistics.median(value / other for value, other in zip(values, bases, strict=True))
    value = rounded(statistics.median(values))
    if least is None:
        return Result(case, metric, value, unit, base, rounded(ratio))
    return Result(case, metric, value, unit, base, rounded(ratio), _floor(least), ratio >= least)


def at_least(case: str, metric: str, value: float, unit: str, bound: float) -> Result:
    """A number promised to reach a bound."""
    return Result(case, metric, rounded(value), unit, target=f">= {bound:,.10g}", holds=value >= bound)


def at_most(case: str, metric: str, value: float, unit: str, bound: float) -> Result:
    """A number promised to stay below a bound."""
    return Result(case, metric, rounded(value), unit, target=f"<= {bound:,.10g}", holds=value <= bound)


def within(
    case: str,
    metric: str,
    values: Sequence[float],
    unit: str,
    *,
    base: str,
    bases: Sequence[float],
    most: float = 1.0,
) -> Result:
    """A median promised to stay below another metric's, or so many times that, round by round."""
    ratio = statistics.median(value / other for value, other in zip(values, bases, strict=True))
    value = rounded(statistics.median(values))
    return Result(case, metric, value, unit, base, rounded(ratio), _ceiling(most), ratio <= most)


def missing(case: str, peer: str) -> Result:
    """A peer that is not here, and how to get it."""
    return Result(case, f"{peer}: {_NOT_INSTALLED}", None, MISSING)


def unmeasured(case: str, metric: str, *, base: str, least: float | None = None, most: float | None = None) -> Result:
    """A target that could not be measured, since the peer of its base is not here: what nobody saw does not hold."""
    assert (least is None) != (most is None)
    target = _ceiling(most) if most is not None else _floor(least or 0.0)
    return Result(case, f"{metric}, beside {base}: {_NOT_INSTALLED}", None, MISSING, target=target, holds=False)


def _floor(ratio: float) -> str:
    return f">= {ratio:g} x"


def _ceiling(ratio: float) -> str:
    return f"<= {ratio:g} x"


def rounded(value: float) -> float | int:
    """Four figures that mean something; whole above a thousand."""
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")


def table(results: Iterable[Result]) -> RichTable:
    """The results for people, one line each, a rule between cases."""
    drawn = RichTable(show_edge=False, pad_edge=False)
    drawn.add_column("case")
    drawn.add_column("metric", overflow="fold")
    for name in ("value", "unit", "ratio"):
        drawn.add_column(name, justify="left" if name == "unit" else "right")
    drawn.add_column("base", overflow="fold")
    drawn.add_column("target")
    drawn.add_column("")
    last = ""
    for result in results:
        if last and result.case != last:
            drawn.add_section()
        last = result.case
        verdict = {None: "", True: "[green]holds[/]", False: "[bold red]short[/]"}[result.holds]
        if result.unit == MISSING:
            verdict = "[yellow]missing[/]" if result.holds is None else "[bold red]missing[/]"
        value = f"{result.value:,}" if isinstance(result.value, int | float) else (result.value or "")
        ratio = f"{result.ratio:.3g} x" if result.ratio is not None else ""
        drawn.add_row(result.case, result.metric, value, result.unit, ratio, result.base, result.target, verdict)
    return drawn
