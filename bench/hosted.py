"""The store's server in a process that also watches itself: its collector's pauses, its samples; or as a mere echo.

Laws: engine and doors are the ones that `store serve` opens, with their default options. What watches is off unless
asked for, and no rate is measured here but the echo's. The first line of output is the port.

    python -m bench.hosted --data DIR --token-file FILE [--echo] [--pauses FILE] [--samples FILE]
"""

import argparse
import atexit
import gc
import mmap
import signal
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec

import store.server.websocket
from bench.in_process import opened
from store.server.app import Server
from store.server.auth import AuthOptions
from store.server.options import ServerOptions
from store.subscribe.outbox import Wire

GENERATIONS: Final = 3
PAUSE: Final = struct.Struct("=qdd")
"""For one generation: collections, seconds of all, seconds of the longest."""
SAMPLE_SECONDS: Final = 0.001
"""CPU time between two samples."""


class Pauses:
    """Times every collection, into a file that another process may read at any time; SIGUSR2 asks for a full one."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(PAUSE.size * GENERATIONS))
        with path.open("r+b") as file:
            self._shared: Final = mmap.mmap(file.fileno(), 0)
        self._began = 0.0
        gc.callbacks.append(self._note)
        signal.signal(signal.SIGUSR2, lambda *_: gc.collect())

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
            return
        took = time.perf_counter() - self._began
        place = PAUSE.size * info["generation"]
        count, total, longest = PAUSE.unpack_from(self._shared, place)
        PAUSE.pack_into(self._shared, place, count + 1, total + took, max(longest, took))


class Collections(msgspec.Struct, frozen=True):
    """What one generation's collections took since the last reset."""

    count: int
    seconds: float
    longest: float


def read_pauses(path: Path) -> list[Collections]:
    """By generation, from the file that Pauses writes."""
    content = path.read_bytes()
    return [Collections(*PAUSE.unpack_from(content, PAUSE.size * place)) for place in range(GENERATIONS)]


def reset_pauses(path: Path) -> None:
    """Count from zero again."""
    with path.open("r+b") as file:
        file.write(bytes(PAUSE.size * GENERATIONS))


class Samples:
    """Where the main thread is, every millisecond of its CPU time from SIGUSR1 on; written when the process ends.

    A sample counts where the interpreter next looks for signals: at the next call or backward jump. So a function's
    first line also carries the C code that ran just before it.
    """

    def __init__(self, path: Path) -> None:
        self._lines: Final[Counter[str]] = Counter()
        self._own: Final[Counter[str]] = Counter()
        self._whole: Final[Counter[str]] = Counter()
        signal.signal(signal.SIGPROF, self._note)
        signal.siginterrupt(signal.SIGPROF, False)
        signal.signal(signal.SIGUSR1, self._begin)
        atexit.register(self._write, path)

    def _begin(self, _signal: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)

    def _note(self, _signal: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        code = frame.f_code
        place = _short(code.co_filename)
        self._lines[f"{place}:{frame.f_lineno} {code.co_qualname}"] += 1
        self._own[f"{place} {code.co_qualname}"] += 1
        names = set()
        walked: FrameType | None = frame
        while walked is not None:
            names.add(f"{_short(walked.f_code.co_filename)} {walked.f_code.co_qualname}")
            walked = walked.f_back
        self._whole.update(names)

    def _write(self, path: Path) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        told = {"lines": self._lines, "own": self._own, "whole": self._whole}
        path.write_bytes(msgspec.json.encode({name: counter.most_common(80) for name, counter in told.items()}))


def _short(filename: str) -> str:
    return "/".join(Path(filename).parts[-3:])


class Echo:
    """Stands in for a session: what comes goes back, through the same connection."""

    text = False
    held_bytes = 0

    def __init__(
        self, _engine: Any, _subscriptions: Any, _caller: Any, _subprotocol: str, wire: Wire, **_: Any
    ) -> None:
        self._transmit: Final = wire.transmit

    def receive(self, payload: bytes, *, text: bool) -> None:
        """Send it back."""
        del text
        self._transmit(payload)

    def detach(self) -> None:
        """Nothing is held."""


def main() -> None:
    """Serve until SIGTERM."""
    reader = argparse.ArgumentParser()
    reader.add_argument("--data", type=Path, required=True)
    reader.add_argument("--token-file", type=Path, required=True)
    reader.add_argument("--echo", action="store_true")
    reader.add_argument("--pauses", type=Path)
    reader.add_argument("--samples", type=Path)
    asked = reader.parse_args()
    if asked.echo:
        setattr(store.server.websocket, "Session", Echo)  # noqa: B010  # Its place, for this process.
    if asked.pauses:
        Pauses(asked.pauses)
    if asked.samples:
        Samples(asked.samples)
    # uvicorn raises the signal again once it has served; the default would end the process before `atexit`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = Server(ServerOptions(port=0), AuthOptions(token_file=asked.token_file))
    with opened(asked.data, close=False) as engine:
        server.run(engine, on_ready=lambda _, port: print(port, flush=True))


if __name__ == "__main__":
    main()
