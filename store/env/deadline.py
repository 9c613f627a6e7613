"""The timer that stops a reducer which runs too long, even `while True: pass`.

Laws: beginning and ending a run cost a few attribute writes; ending twice is ending once. Nothing is raised but between
the two. The timer ticks only while reducers run; beside it a thread looks at the run's number, now and then.
"""

import faulthandler
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Final

from store.env.world import DeadlineExceeded

TICKS_PER_LIMIT: Final = 4
"""How finely time is cut: a run is stopped after the limit and at most this part of it more, twice."""

STOP_FACTOR: Final = 10
"""A run that goes on past this many limits, whatever was raised in it, ends the process."""

EXIT_STUCK: Final = 70
"""The process's exit status then (EX_SOFTWARE)."""


class SignalDeadline:
    """Raises DeadlineExceeded in the main thread, by SIGALRM (Deadline). One to a process, on the main thread.

    It is raised again at each tick, for a reducer may swallow it. Past `STOP_FACTOR` limits the process stops and
    names the place. The signal interrupts system calls, so a run that waits for a lock or a socket is stopped too;
    other code's calls are begun anew by Python (PEP 475). What no handler can interrupt is one C call. Where it
    computes, a second timer counts the CPU time that passes without a tick being handled, and past the same bound ends
    the process with a traceback; where it waits, a thread does, as soon as it has seen that run for so long.
    """

    __slots__ = ("_closed", "_installed", "_limit_seconds", "_seen_at", "_seen_run", "armed", "running", "struck")

    def __init__(self, limit_seconds: float) -> None:
        assert limit_seconds > 0
        self._limit_seconds = limit_seconds
        self.running = 0
        self.armed = False
        self.struck = False
        self._installed = False
        self._closed = threading.Event()
        self._seen_run = 0
        self._seen_at = 0.0

    def arm(self) -> None:
        """From here on the timer ticks, until a tick finds no run."""
        if not self._installed:
            self._install()
        self.armed = True
        self._seen_run = 0
        interval = self._limit_seconds / TICKS_PER_LIMIT
        signal.setitimer(signal.ITIMER_REAL, interval, interval)
        signal.setitimer(signal.ITIMER_VIRTUAL, self._limit_seconds * STOP_FACTOR)

    def close(self) -> None:
        """Give the signals back; the next run takes them again."""
        if self._installed:
            self._disarm()
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            faulthandler.unregister(signal.SIGVTALRM)
            self._closed.set()
            self._installed = False

    def _install(self) -> None:
        signal.signal(signal.SIGALRM, self._tick)
        _watch_for_stuck_calls()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, args=(self._closed,), name="deadline", daemon=True).start()
        self._installed = True

    def _disarm(self) -> None:
        self.armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _tick(self, _signal: int, frame: FrameType | None) -> None:
        run = self.running
        if not run:
            self._disarm()  # Under load the next one arms it again, which takes two system calls.
        elif run != self._seen_run:
            self._seen_run = run
            self._seen_at = time.monotonic()
            signal.setitimer(signal.ITIMER_VIRTUAL, self._limit_seconds * STOP_FACTOR)
        else:
            self._judge(time.monotonic() - self._seen_at, frame)

    def _judge(self, seconds: float, frame: FrameType | None) -> None:
        """The same run as at an earlier tick, `seconds` ago."""
        if seconds >= self._limit_seconds * STOP_FACTOR:
            _stop_process(seconds, frame)
        signal.setitimer(signal.ITIMER_VIRTUAL, self._limit_seconds * STOP_FACTOR)
        if seconds >= self._limit_seconds:
            self.struck = True
            raise DeadlineExceeded(f"the reducer ran longer than {self._limit_seconds:g} s")

    def _watch(self, closed: threading.Event) -> None:
        """End the process where one run is seen at more looks in a row than any handler would have let it live.

        It counts looks, not time: a process that was suspended has not run.
        """
        seen_run = looks = 0
        while not closed.wait(self._limit_seconds):
            run = self.running
            looks = looks + 1 if run and run == seen_run else 0
            seen_run = run
            if looks > STOP_FACTOR + 1:
                main = threading.main_thread().ident or 0
                frames = sys._current_frames()  # noqa: SLF001  # Documented, and all there is.
                _stop_process(looks * self._limit_seconds, frames.get(main))


def _watch_for_stuck_calls() -> None:
    """On SIGVTALRM: print every thread's traceback from C, then what the signal does by default, which is to end."""
    try:
        faulthandler.register(signal.SIGVTALRM, file=sys.__stderr__ or sys.stderr, all_threads=False, chain=True)
    except (ValueError, OSError):  # No stderr with a descriptor: the process ends without the traceback.
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)


def _stop_process(seconds: float, frame: FrameType | None) -> None:
    where = f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})" if frame else "unknown code"
    message = (
        f"the store stops: a reducer ran for {seconds:.1f} s and nothing could stop it, in {where}. "
        "Nothing of it was kept; start the store again and mend the reducer.\n"
    )
    os.write(2, message.encode("utf-8", "backslashreplace"))
    os._exit(EXIT_STUCK)
