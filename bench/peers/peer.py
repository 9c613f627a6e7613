"""A peer as a case sees it, and how a process of one is started and stopped.

Laws: a peer that is not installed says so by `installed`, and nothing else is asked of it then. What was started is
stopped by its own pid; nothing is ever looked for by name.
"""

import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from bench.machine import pin

STOP_TIME_MAX_S = 30
"""What a peer gets for a clean stop before it is killed."""


class BenchError(Exception):
    """A peer did not start, or answered what it must not: its numbers would mean nothing."""


class Peer(Protocol):
    """One system under load."""

    name: str

    @staticmethod
    def installed() -> bool:
        """Whether this machine has it."""
        ...

    def __enter__(self) -> Self:
        """Start it, with all accounts opened."""
        ...

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        ...

    def total(self) -> int:
        """The sum of all balances."""
        ...


def start(
    words: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None, server: bool = True
) -> subprocess.Popen[bytes]:
    """Start a process on the server's core, its words going to `log`."""
    with log.open("ab") as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment)
    pin(process.pid, server=server)
    return process


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """Ask it to stop; kill it where it does not."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(STOP_TIME_MAX_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
