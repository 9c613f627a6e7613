"""What every Deadline guarantees to a run that ends in time, run over all that claim to be one."""

from collections.abc import Iterator

import pytest

from store.env.deadline import SignalDeadline
from store.env.memory import NoDeadline
from store.env.world import Deadline
from tests.contracts.deadlines import start, stop


@pytest.fixture(name="deadline", params=["none", "signal"])
def _deadline(request: pytest.FixtureRequest) -> Iterator[Deadline]:
    """Each of them."""
    if request.param == "none":
        yield NoDeadline()
        return
    made = SignalDeadline(60)
    yield made
    made.close()


def test_a_run_in_time_is_left_alone(deadline: Deadline) -> None:
    """However many there are, one after the other."""
    for number in range(1000):
        start(deadline)
        assert sum(range(number)) >= 0
        stop(deadline)
