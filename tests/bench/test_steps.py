"""The profile by steps."""

import importlib
from pathlib import Path

import pytest

from bench.profile import steps
from bench.steps import STEPS, Stopwatch


@pytest.mark.parametrize(("name", "module", "place"), STEPS)
def test_every_step_is_where_the_profile_looks(name: str, module: str, place: str) -> None:
    """A step's function exists under its name: a profile that misses a step would mislead."""
    owner = importlib.import_module(module)
    for attribute in place.split("."):
        assert hasattr(owner, attribute), f"{name}: {module} has no {place}"
        owner = getattr(owner, attribute)
    assert callable(owner)


def test_a_step_is_timed_without_the_steps_inside() -> None:
    """What an inner step takes is not its outer step's; a generator is run to its end inside its step."""
    watch = Stopwatch()
    inner = watch.around("inner", lambda: sum(range(100_000)))
    outer = watch.around("outer", inner)
    assert outer() == sum(range(100_000))
    assert watch.counts == {"inner": 1, "outer": 1}
    assert watch.seconds["outer"] < watch.seconds["inner"]
    assert watch.around("each", lambda: (number for number in range(3)), generator=True)() == [0, 1, 2]


def test_every_step_is_taken(tmp_path: Path) -> None:
    """But where nothing is followed nothing is evaluated: what no call takes is told as costing nothing."""
    profile = steps(tmp_path, frame_calls=40)
    assert {each.name for each in profile.steps if not each.count} == {"evaluate"}
    assert profile.missing == []
