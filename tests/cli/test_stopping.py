"""The rules of being told to end: at any moment, and by a signal."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.cli.stopping import Stop

ROOT = Path(__file__).parents[2]
HAMMERED = """
import signal, time
from store.cli.stopping import Stop
stop = Stop()
signal.signal(signal.SIGALRM, lambda *_: stop.ask())
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
until = time.monotonic() + 1.0
while time.monotonic() < until:
    stop.wait(0.0003)
    stop.asked = False
signal.setitimer(signal.ITIMER_REAL, 0)
print("ended")
"""


@pytest.fixture
def stop() -> Iterator[Stop]:
    """On this thread, whose signals are given back."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield Stop()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_and_ends_a_wait(stop: Stop, word: signal.Signals) -> None:
    """Whoever waits goes on at once, and whoever is about to wait does not."""
    began = time.monotonic()
    stop.wait(0.001)
    assert not stop.asked
    signal.raise_signal(word)
    assert stop.asked
    for _ in range(3):
        stop.wait(3_600.0)
    assert time.monotonic() - began < 3_600


def test_a_signal_amid_a_wait_holds_nobody_up() -> None:
    """Wherever in it the signal comes: thousands do."""
    done = subprocess.run(
        [sys.executable, "-c", HAMMERED], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "ended\n"
