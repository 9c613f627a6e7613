"""The rules of moments, spans and sizes, as an operator writes and reads them."""

import time
from collections.abc import Iterator

import pytest

from store.cli.moments import read_moment, read_span, show_age, show_brief, show_moment, show_span, to_text
from store.errors import ConfigError
from store.ids import Timestamp

HALF_PAST_TWO = Timestamp(1_795_271_400_000_000)
"""2026-11-21 14:30 UTC."""


@pytest.fixture(params=["UTC", "Europe/Berlin"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The zone of this machine's clock."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "text",
    ["2026-11-21T14:30:00Z", "2026-11-21 14:30Z", "2026-11-21T15:30:00+01:00", "2026-11-21T14:30:00.000000+00:00"],
)
def test_a_time_with_its_zone_is_one_moment(text: str, zone: str) -> None:
    """However it is written, and wherever the machine stands."""
    assert read_moment(text, "--to-time") == HALF_PAST_TWO


def test_a_time_keeps_its_microseconds() -> None:
    """What is shown for programs is read as the same moment, to the microsecond."""
    at = Timestamp(HALF_PAST_TWO + 123_457)
    assert to_text(at) == "2026-11-21T14:30:00.123457Z"
    assert read_moment(to_text(at), "--to-time") == at


def test_a_time_without_a_zone_is_refused_with_both_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could mean another moment, so the hint writes it once for UTC and once for this machine's clock."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        with pytest.raises(ConfigError, match="no time zone") as refused:
            read_moment("2026-11-21T14:30:00", "--to-time")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "2026-11-21T14:30:00Z" in refused.value.hint
    assert "2026-11-21T14:30:00+01:00" in refused.value.hint


@pytest.mark.parametrize("text", ["yesterday", "", "14:30Z", "2026-13-01T00:00Z", "0001-01-01T00:00+14:00"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    """The error shows how a time is written."""
    with pytest.raises(ConfigError) as refused:
        read_moment(text, "--to-time")
    assert "2026-11-21T14:30:00Z" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1.5h", 5_400), ("7 d", 604_800), ("2w", 1_209_600)]
)
def test_spans_have_a_unit(text: str, seconds: float) -> None:
    """Seconds where none is said."""
    assert read_span(text, "--for") == seconds


@pytest.mark.parametrize("text", ["", "d", "-1h", "1 month", "1h30m"])
def test_what_is_no_span_is_refused(text: str) -> None:
    """With examples."""
    with pytest.raises(ConfigError, match="7d"):
        read_span(text, "--for")


def test_a_moment_is_shown_in_utc_and_as_the_clock_here_has_it(zone: str) -> None:
    """Once where both are the same."""
    shown = show_moment(HALF_PAST_TWO)
    assert shown.startswith("2026-11-21 14:30:00.000000 UTC")
    assert ("15:30:00 CET" in shown) == (zone == "Europe/Berlin")
    assert show_brief(HALF_PAST_TWO) == "2026-11-21 14:30:00Z"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (0.004, "4 ms"),
        (1.26, "1.3 s"),
        (42, "42 s"),
        (62, "1 min 2 s"),
        (3_600, "1 h"),
        (93_780, "1 d 2 h"),
        (-5, "-5.0 s"),
    ],
)
def test_spans_are_shown_by_their_two_largest_units(seconds: float, shown: str) -> None:
    """Milliseconds only where there is nothing larger."""
    assert show_span(seconds) == shown


def test_an_age_is_never_negative() -> None:
    """A clock that went back does not make the future."""
    assert show_age(HALF_PAST_TWO, HALF_PAST_TWO - 5) == "0.0 s"
