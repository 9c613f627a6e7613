"""A process that works for the server: started, listened to, and ended by its process id.

Laws: one child has one life. What it says are JSON lines on its standard output; its standard input is empty. One that
is silent for too long, or works for too long, is asked to end and then killed; so is one that is told to stop. It runs
only while nobody else wants the processor; one that starves is let a little before it is given up. One that has to
keep up with the server is merely nice. It is told whose child it is, so that it ends with the thread that `run`s it: an
orphan would hold its locks for good. Nothing here raises for what a child does: how it ended is a value.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from store.env.parent import PARENT_VARIABLE
from store.env.priority import hurry, idle, nice

END_GRACE_S: Final = 5.0
"""Seconds a child has to end once it was asked to; then it is killed."""
LOOK_S: Final = 0.2
"""Seconds between two looks at whether it must be ended."""
LINE_SIZE_MAX: Final = 1 << 20
"""Bytes of one line; a longer one ends the child."""
SAID_SIZE_MAX: Final = 1 << 14
"""Bytes kept of what it wrote on its standard error: the last ones."""

Event = Mapping[str, Any]
Heard = Callable[[Event], None]


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int | None
    """Its exit code; negative: the signal that ended it; None: it never began."""
    problem: str
    """"" for one that ended well, else why it did not."""
    seconds: float


class Child:
    """One process. `run` blocks, on a thread kept for it; everything else may be asked from any thread."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        silence_max_s: float,
        time_max_s: float,
        environment: Mapping[str, str] | None = None,
        idle: bool = True,
    ) -> None:
        """`environment` is set beside the server's own. Not `idle`: it stands back, and yet always goes on."""
        self._idle: Final = idle
        self._command: Final = list(command)
        self._environment: Final = environment or {}
        self._silence_max_s: Final = silence_max_s
        self._time_max_s: Final = time_max_s
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = ""
        self._hurried = False
        self._kill_at = float("inf")
        self._said = b""
        self._rest = b""

    @property
    def pid(self) -> int | None:
        """Its process id; None before it began."""
        return None if self._process is None else self._process.pid

    def stop(self, why: str) -> None:
        """Have it ended, for this reason; `run` then returns soon."""
        self._ending = self._ending or why

    def run(self, heard: Heard) -> Ended:
        """Start it, and return when it is gone. Every line it says goes to `heard`, on this thread."""
        began = time.monotonic()
        if self._ending:
            return Ended(None, self._ending, 0.0)
        try:
            # A group of its own: keys pressed in the server's terminal are the server's to answer. Not a session: those
            # share the processor in equal parts, however far back their processes stand.
            self._process = subprocess.Popen(  # noqa: S603  # Our own command.
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,
                env={**os.environ, **self._environment, PARENT_VARIABLE: str(os.getpid())},
            )
        except OSError as error:
            return Ended(None, f"{self._command[0]} could not be started: {error}", 0.0)
        if self._idle:
            idle(self._process.pid)
        else:
            nice(self._process.pid)
        with self._process as process:
            try:
                self._listen(process, heard, began)
            except BaseException:
                process.kill()
                raise
            code = self._reap(process)
        return Ended(code, self._problem(code), time.monotonic() - began)

    def _listen(self, process: subprocess.Popen[bytes], heard: Heard, began: float) -> None:
        """Until both ends are closed, or it is gone."""
        assert process.stdout is not None
        assert process.stderr is not None
        last_heard = began
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(LOOK_S)
                for key, _ in ready:
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is process.stdout:
                        last_heard = time.monotonic()
                        self._hear(data, heard)
                    else:
                        self._said = (self._said + data)[-SAID_SIZE_MAX:]
                self._look(process, began=began, last_heard=last_heard)
                if not ready and process.poll() is not None:
                    return  # Somebody else holds its ends open; it is gone itself.

    def _hear(self, data: bytes, heard: Heard) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_SIZE_MAX:
            self._rest = b""
            self.stop(f"it said a line of more than {LINE_SIZE_MAX} bytes")
        for line in lines:
            with suppress(msgspec.DecodeError):  # A warning of some library's, in between.
                event = msgspec.json.decode(line)
                if isinstance(event, dict):
                    heard(event)

    def _look(self, process: subprocess.Popen[bytes], *, began: float, last_heard: float) -> None:
        """End it where that is due: asked first, killed then."""
        now = time.monotonic()
        if self._idle and not self._hurried and now - last_heard > self._silence_max_s / 2:
            self._hurried = hurry(process.pid)
        if not self._ending and now - last_heard > self._silence_max_s:
            self._ending = f"it said nothing for {self._silence_max_s:g} s"
        if not self._ending and now - began > self._time_max_s:
            self._ending = f"it was not done within {self._time_max_s:g} s"
        if self._ending and self._kill_at == float("inf"):
            self._kill_at = now + END_GRACE_S
            process.terminate()
        elif now > self._kill_at:
            process.kill()

    def _reap(self, process: subprocess.Popen[bytes]) -> int:
        """Its exit code; one that closed its ends and lives on is ended."""
        try:
            return process.wait(END_GRACE_S)
        except subprocess.TimeoutExpired:
            self._ending = self._ending or "it closed its output and went on"
            process.kill()
            return process.wait()

    def _problem(self, code: int) -> str:
        if self._ending:
            return f"process {self.pid} was ended: {self._ending}"
        if code < 0:
            return f"process {self.pid} was killed by {_signal_name(-code)}"
        if code:
            return _last_words(self._said) or f"process {self.pid} ended with exit code {code}"
        return ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_words(said: bytes) -> str:
    """What it wrote last: the message of an error as `store --json` writes one, else the line itself."""
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    if not lines:
        return ""
    try:
        error = msgspec.json.decode(lines[-1])
        return ". ".join(str(error[name]) for name in ("message", "hint") if error.get(name))
    except (msgspec.DecodeError, KeyError, AttributeError):
        return lines[-1].strip()
