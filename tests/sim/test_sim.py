"""The simulator: what it lives through, that it repeats itself, and that it finds what is planted."""

import logging
import secrets
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.sim import __main__ as program
from tests.sim.defects import DEFECTS
from tests.sim.simulation import History, simulate

STEPS = 300
SEEDS_TO_FIND = 12
"""So many histories at most pass by a planted defect."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Reducers fail on purpose here."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def succeed(seed: int) -> History:
    """Live a history in which every guarantee holds."""
    history = simulate(seed, steps=STEPS)
    assert not history.failure, "\n".join(
        [*history.trace[-30:], f"python -m tests.sim --seed {seed} --steps {STEPS} --count 1"]
    )
    return history


@pytest.mark.parametrize("seed", range(1, 41))
def test_the_guarantees_hold_in_known_histories(seed: int) -> None:
    """Crashes, failed syncs, a full disk, a jumping clock, retries: every property holds after every step."""
    succeed(seed)


def test_the_guarantees_hold_in_fresh_histories() -> None:
    """Seeds that nobody has seen; the one that fails is printed with the command that repeats it."""
    for _ in range(8):
        succeed(secrets.randbelow(1 << 32))


def test_the_same_seed_is_the_same_history() -> None:
    """To the last line of the trace; another seed is another one."""
    assert simulate(7, steps=STEPS).trace == simulate(7, steps=STEPS).trace
    assert simulate(7, steps=STEPS).hash == simulate(7, steps=STEPS).hash != simulate(8, steps=STEPS).hash


def test_a_few_histories_live_through_everything() -> None:
    """Whatever may happen does, and often enough to matter."""
    seen: Counter[str] = Counter()
    for seed in range(100, 112):
        seen += succeed(seed).counts
    rare = {"MoveHouse", "Restart", "SetFree", "CutPower", "Fail", "JumpClock"}
    often = {"Call", "Repeat", "Read", "BeginSync", "Commit", "Idle", "Crash", "Recovered", "Died", "Told", "Applied"}
    assert {name for name in rare if seen[name] < 3} == set()
    assert {name for name in often if seen[name] < 25} == set()


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(name: str) -> None:
    """Within a bounded number of seeds, by a property or by an assertion of the store itself."""
    found = next(
        (seed for seed in range(SEEDS_TO_FIND) if simulate(seed, steps=STEPS, planted=DEFECTS[name]).failure), None
    )
    assert found is not None


def test_the_program_says_how_to_repeat_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Seed and options come first, the command that does the same again comes last."""
    assert program.main(["--seed", "3", "--steps", "60", "--count", "2"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "seed 3, steps 60, count 2"
    assert last == "python -m tests.sim --seed 3 --steps 60 --count 2"


def test_the_program_fails_with_the_step(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A violation is a non-zero exit status, the trace up to it, its step, and the command for this seed alone."""
    planted = DEFECTS["published before durable"]
    monkeypatch.setattr(program, "simulate", lambda seed, steps: simulate(seed, steps=steps, planted=planted))
    assert program.main(["--seed", "3", "--steps", "60", "--count", "5"]) == 1
    *_, failed, why, last = capsys.readouterr().out.splitlines()
    assert "FAILED at step " in failed
    assert why.startswith("Violation: durable before visible: ")
    assert last == "python -m tests.sim --seed 3 --steps 60 --count 1"
