"""The rules of a loop in a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from store.client import OutcomeUnknown
from store.client.loop_thread import LoopThread


@contextmanager
def started(timeout_s: float | None = None) -> Iterator[LoopThread]:
    """A loop that is stopped behind the block."""
    thread = LoopThread(timeout_s)
    try:
        yield thread
    finally:
        thread.stop()


async def answer() -> int:
    """What needs no waiting."""
    return 7


async def never() -> None:
    """What never comes."""
    await asyncio.get_running_loop().create_future()


def test_what_is_asked_is_answered_here() -> None:
    """It runs on the loop's thread, and its answer or error comes to the thread that asked."""
    with started() as thread:
        assert thread.wait(answer) == thread.wait_long(answer) == 7
        assert thread.do(lambda: thread.here)
        assert not thread.here
        with pytest.raises(ZeroDivisionError):
            thread.do(lambda: 1 // 0)


def test_a_limited_wait_says_its_limit() -> None:
    """Past the limit TimeoutError names it, and that nobody knows what became of a call; others pass as they are."""

    async def late() -> None:
        raise TimeoutError("of its own")

    with started(0.01) as thread:
        with pytest.raises(TimeoutError, match=r"within 0\.01 s \(timeout_s\): a call may have been done or not"):
            thread.wait(never)
        with pytest.raises(TimeoutError, match="of its own"):
            thread.wait(late)


def test_the_loops_own_thread_waits_for_nothing() -> None:
    """There a wait would never end: it is refused, and plain acts are done at once."""
    with started() as thread:
        with pytest.raises(RuntimeError, match="own thread"):
            thread.do(lambda: thread.wait_long(answer))
        assert thread.do(lambda: thread.do(lambda: 7)) == 7


@pytest.mark.parametrize("limit_s", [None, 60.0])
def test_whoever_waits_when_it_ends_is_told(limit_s: float | None) -> None:
    """What still runs is ended, and who waits for it hears that the outcome is unknown."""
    told: list[type[Exception]] = []
    waits = threading.Event()

    def wait() -> None:
        async def waiting() -> None:
            waits.set()
            await never()

        try:
            thread.wait(waiting)
        except OutcomeUnknown as error:
            told.append(type(error))

    with started(limit_s) as thread:
        waiter = threading.Thread(target=wait)
        waiter.start()
        waits.wait(10)
    waiter.join(10)
    assert told == [OutcomeUnknown]


@pytest.mark.parametrize("limit_s", [None, 60.0])
def test_after_the_end_answers_come_at_once(limit_s: float | None) -> None:
    """What waits for nothing is answered on the thread that asks, anything else with OutcomeUnknown."""
    with started(limit_s) as thread:
        pass
    asks: list[Callable[[], Any]] = [
        lambda: thread.wait(answer),
        lambda: thread.wait_long(answer),
        lambda: thread.do(lambda: 7),
    ]
    assert [ask() for ask in asks] == [7, 7, 7]
    with pytest.raises(OutcomeUnknown, match="closed"):
        thread.wait(lambda: asyncio.Future(loop=thread._loop))
