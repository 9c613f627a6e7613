"""The load generator's pace."""

import asyncio
import time
from itertools import pairwise

import pytest

from bench.generator import Connection, loop_for, pace
from bench.load import Load


class Noted:
    """A connection that notes when its frames were due and when they were sent."""

    def __init__(self, number: int, frames: int, sent: list[tuple[int, float, float]]) -> None:
        self._number = number
        self._sent = sent
        self.frames_left = frames

    def send_due(self, due: float) -> None:
        """Note it."""
        self.frames_left -= 1
        self._sent.append((self._number, due, time.perf_counter()))


def paced(frames: list[int], interval: float) -> list[tuple[int, float, float]]:
    """(connection, due, sent) of every frame."""
    sent: list[tuple[int, float, float]] = []
    connections: list[Connection] = [Noted(number, count, sent) for number, count in enumerate(frames)]  # type: ignore[misc]  # All that is asked of one.
    with asyncio.Runner(loop_factory=lambda: loop_for(Load(calls=sum(frames), rate=1.0))) as runner:
        runner.run(pace(connections, interval))
    return sent


def test_every_frame_is_sent_once_by_turns() -> None:
    """Connections take turns until each has sent all its frames."""
    assert [number for number, _, _ in paced([3, 1, 2], 0.0)] == [0, 1, 2, 0, 2, 0]


def test_no_frame_is_sent_before_it_is_due() -> None:
    """Frames are due at even distances, whatever became of those before, and none is early."""
    sent = paced([2, 2], 0.002)
    dues = [due for _, due, _ in sent]
    assert all(abs(later - due - 0.002) < 1e-9 for due, later in pairwise(dues))
    assert all(at >= due for _, due, at in sent)


def test_a_pace_sleeps_until_a_frame_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not spin: that would keep its core from the kernel, and the server's disk waits with it."""
    asked: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        asked.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    paced([4], 0.02)
    assert len(asked) <= 4 * 3, "one for the answers, one until it is due, one more where a timer came early"
