"""What every Clock guarantees, run over all that claim to be one."""

import pytest

from store.env.memory import MemoryClock
from store.env.posix import SystemClock
from store.env.world import Clock

YEAR_2020 = 1_577_836_800_000_000
YEAR_2200 = 7_258_118_400_000_000


@pytest.fixture(name="clock", params=[MemoryClock, SystemClock])
def _clock(request: pytest.FixtureRequest) -> Clock:
    """Each of them."""
    made: Clock = request.param()
    return made


def test_the_wall_clock_counts_microseconds_since_1970(clock: Clock) -> None:
    """Whole ones."""
    assert isinstance(clock.wall(), int)
    assert YEAR_2020 < clock.wall() < YEAR_2200


def test_the_monotonic_clock_never_falls(clock: Clock) -> None:
    """Read as often as one likes."""
    read = [clock.monotonic() for _ in range(1000)]
    assert read == sorted(read)
