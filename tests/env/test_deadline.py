"""A reducer that runs too long is stopped, whatever it does."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.env.deadline import EXIT_STUCK, SignalDeadline
from store.env.posix import PosixDisk
from store.env.world import DeadlineExceeded
from store.ids import Position
from tests.contracts.deadlines import start, stop


@pytest.fixture(name="deadline")
def _deadline() -> Iterator[SignalDeadline]:
    """A short one."""
    made = SignalDeadline(0.02)
    yield made
    made.close()


def guarded(deadline: SignalDeadline, reducer: Callable[[], None]) -> None:
    """Run it as the engine does: `stop` is the first thing in the `finally`."""
    try:
        start(deadline)
        reducer()
    finally:
        stop(deadline)


def forever() -> None:
    """What a reducer should not do."""
    while True:
        pass


def test_an_endless_run_is_stopped(deadline: SignalDeadline) -> None:
    """By an exception inside it that says how long it may run."""
    with pytest.raises(DeadlineExceeded, match=r"longer than 0\.02 s"):
        guarded(deadline, forever)


def take_twice(_socket: socket.socket) -> None:
    """Wait for a lock that the same thread holds."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param(take_twice, id="lock"),
        pytest.param(lambda _socket: threading.Event().wait(), id="event"),
        pytest.param(lambda socket_: socket_.recv(1), id="recv"),
        pytest.param(lambda socket_: os.read(socket_.fileno(), 1), id="read"),
    ],
)
def test_a_run_that_waits_is_stopped(deadline: SignalDeadline, wait: Callable[[socket.socket], None]) -> None:
    """The signal interrupts what it waits for."""
    one, other = socket.socketpair()
    with one, other, pytest.raises(DeadlineExceeded):
        guarded(deadline, lambda: wait(one))


def test_the_disk_works_while_the_timer_ticks(tmp_path: Path) -> None:
    """An interrupted system call of the store's own is begun anew."""
    deadline = SignalDeadline(0.004)
    file = PosixDisk(tmp_path).create("a")
    data = bytes(1 << 20)
    for _ in range(20):
        start(deadline)
        stop(deadline)
        file.write(Position(0), data)
        file.sync()
        assert file.read(Position(0), len(data)) == data
    deadline.close()
    file.close()


def test_the_next_run_has_its_time_anew(deadline: SignalDeadline) -> None:
    """Each is stopped for itself, again and again."""
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            guarded(deadline, forever)


def test_an_exception_handler_does_not_hold_it(deadline: SignalDeadline) -> None:
    """`except Exception` lets it pass."""

    def careless() -> None:
        try:
            forever()
        except Exception:  # noqa: BLE001  # As a careless author would write.
            forever()

    with pytest.raises(DeadlineExceeded):
        guarded(deadline, careless)


def test_who_swallows_it_gets_it_again(deadline: SignalDeadline) -> None:
    """At every tick while the run goes on."""
    swallowed = []

    def stubborn() -> None:
        while len(swallowed) < 3:
            try:
                forever()
            except BaseException as error:  # noqa: BLE001  # As a stubborn author would write.
                swallowed.append(error)
        forever()

    with pytest.raises(DeadlineExceeded):
        guarded(deadline, stubborn)
    assert len(swallowed) == 3


def test_nothing_is_raised_between_runs(deadline: SignalDeadline) -> None:
    """Many ticks pass over other work; the timer then rests until the next run."""
    start(deadline)
    stop(deadline)
    while signal.getitimer(signal.ITIMER_REAL)[1]:
        pass
    assert not signal.getitimer(signal.ITIMER_VIRTUAL)[0]
    with pytest.raises(DeadlineExceeded):
        guarded(deadline, forever)


def test_stopping_twice_is_stopping_once(deadline: SignalDeadline) -> None:
    """Nothing is raised after the first, and the timer comes to rest."""
    start(deadline)
    stop(deadline)
    stop(deadline)
    while signal.getitimer(signal.ITIMER_REAL)[1]:
        pass


def test_many_short_runs_are_not_taken_for_a_long_one(deadline: SignalDeadline) -> None:
    """What counts is one run, however busy the whole."""
    ticks = 0
    seen = deadline._seen_run
    while ticks < 12:
        start(deadline)
        stop(deadline)
        ticks += seen != deadline._seen_run
        seen = deadline._seen_run


def test_closing_gives_the_signals_back(deadline: SignalDeadline) -> None:
    """Nothing ticks any more."""
    start(deadline)
    stop(deadline)
    deadline.close()
    deadline.close()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def run(body: str) -> subprocess.CompletedProcess[str]:
    """A process in which a reducer of this body runs under a short deadline."""
    script = f"""
from store.env.deadline import SignalDeadline
from store.env.world import DeadlineExceeded
from tests.contracts.deadlines import start, stop

def stubborn():
{body}

deadline = SignalDeadline(0.02)
try:
    start(deadline)
    stubborn()
finally:
    stop(deadline)
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)


def test_a_run_that_will_not_end_ends_the_process() -> None:
    """Past the second bound, with a status and a message that names the place."""
    done = run("""
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""")
    assert done.returncode == EXIT_STUCK
    assert "the store stops: a reducer ran for" in done.stderr
    assert "in stubborn (<string>:" in done.stderr


def test_a_run_stuck_in_one_c_call_ends_the_process() -> None:
    """No handler can run there, so the CPU's own timer ends it, with a traceback that names the reducer."""
    done = run("    return list(filter(None, iter(int, 1)))")
    assert done.returncode == -signal.SIGVTALRM
    assert "in stubborn" in done.stderr


def test_a_run_that_waits_in_c_and_cannot_be_interrupted_ends_the_process() -> None:
    """Where no handler runs and no CPU time passes, a thread sees that the run does not end, and names the reducer."""
    done = run("""
    import signal
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    signal.pause()
""")
    assert done.returncode == EXIT_STUCK
    assert "nothing could stop it, in stubborn (<string>:" in done.stderr


def test_closing_ends_the_thread(deadline: SignalDeadline) -> None:
    """And the next run has its own."""
    for _ in range(2):
        start(deadline)
        stop(deadline)
        (thread,) = [each for each in threading.enumerate() if each.name == "deadline"]
        deadline.close()
        thread.join()
