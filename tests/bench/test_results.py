"""Results: ratios, bounds, and the table."""

from rich.console import Console

from bench.results import MISSING, Result, against, at_least, at_most, missing, rounded, table, unmeasured, within


def test_a_ratio_is_of_one_round() -> None:
    """The ratio is the median of the rounds' ratios, not the ratio of the medians."""
    result = against("call", "store", [100, 10, 50], "calls/s", base="redis", bases=[50, 10, 100], least=1.0)
    assert (result.ratio, result.value, result.base, result.holds) == (1.0, 50, "redis", True)


def test_a_ratio_below_its_target_falls_short() -> None:
    """Holding is decided by the ratio as measured, before it is rounded."""
    result = against("call", "store", [0.99999], "calls/s", base="redis", bases=[1.0], least=1.0)
    assert result.holds is False
    assert result.target == ">= 1 x"


def test_nothing_promised_is_nothing_held() -> None:
    """A ratio without a target holds nothing."""
    result = against("call", "store", [3.0], "calls/s", base="redis", bases=[1.0], least=None)
    assert (result.ratio, result.target, result.holds) == (3.0, "", None)


def test_bounds_hold_at_their_edge() -> None:
    """At least and at most include the bound."""
    assert at_least("recover", "replay", 250_000, "transactions/s", 250_000).holds
    assert at_most("memory", "pause", 10.0, "ms", 10.0).holds
    assert not at_most("memory", "pause", 10.1, "ms", 10.0).holds
    assert within("call", "lone", [90.0, 100.0], "us", base="bound", bases=[100.0, 100.0]).holds


def test_a_bound_may_be_several_times_the_base() -> None:
    """What may be so many times its base holds up to there; without its peer it is promised and does not hold."""
    result = within("snapshot", "p99", [3.0], "us", base="quiet", bases=[2.0], most=1.5)
    assert (result.ratio, result.target, result.holds) == (1.5, "<= 1.5 x", True)
    absent = unmeasured("restore", "restart", base="redis", most=2)
    assert (absent.target, absent.holds) == ("<= 2 x", False)


def test_a_missing_peer_is_a_line() -> None:
    """A peer that is not installed is named, with how to get it, and holds nothing."""
    result = missing("call", "redis")
    assert "redis" in result.metric
    assert "make bench-peers" in result.metric
    assert (result.value, result.unit, result.holds) == (None, MISSING, None)


def test_a_target_without_its_peer_does_not_hold() -> None:
    """A target whose peer is missing keeps its target, names the peer and how to get it, and does not hold."""
    result = unmeasured("call", "store 64x1, uniform", base="redis 64x1, uniform", least=0.6)
    assert "store 64x1, uniform, beside redis 64x1, uniform" in result.metric
    assert "make bench-peers" in result.metric
    assert (result.value, result.unit, result.target, result.holds) == (None, MISSING, ">= 0.6 x", False)


def test_rounding_keeps_four_figures() -> None:
    """Small numbers keep four figures, large ones are whole."""
    assert (rounded(0.123456), rounded(12.3456), rounded(123456.7)) == (0.1235, 12.35, 123457)


def test_the_table_says_the_verdict() -> None:
    """A line of the table says value, ratio, base, target and whether it holds."""
    console = Console(width=160)
    with console.capture() as said:
        console.print(table([Result("call", "rate", 12345, "calls/s", "redis", 1.25, ">= 1 x", holds=True)]))
    for word in ("12,345", "calls/s", "1.25 x", "redis", ">= 1 x", "holds"):
        assert word in said.get()
