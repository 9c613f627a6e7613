"""What a load generator is asked to do and what it measured; the generator itself is another process (generator.py).

Laws: a load is a fixed number of calls, all encoded before the clock runs. The server's CPU is read by whoever started
the server, around the time the generator reports.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bench.machine import cpu_seconds
from bench.workload import ACCOUNTS

TIME_MAX_S: Final = 300
"""A generator that takes longer than this hangs."""
READY: Final = b"ready\n"
"""The generator's word that all is encoded and connected; it starts on a line of its input."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of load."""

    peer: str = ""
    """store, redis, echo or acceptor: which bytes are spoken; the last two are the store's, unchecked."""
    port: int = 0
    calls: int
    """Calls of all connections together."""
    keys: str = "uniform"
    connections: int = 64
    in_flight: int = 40
    rate: float = 0.0
    """Calls a second, sent when they are due, whatever is unanswered; 0: as many as `in_flight` allows."""
    accounts: int = ACCOUNTS
    """Accounts that transfers are between."""
    frame_calls: int = 40
    """Calls a frame; where fewer than `in_flight`, every answer lets the next frame go."""
    named: bool = False
    """Whether each connection names its client, which makes its calls idempotent."""
    token: str = ""
    script: str = ""
    """The hash of Redis' transfer script."""
    seed: int = 1


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a load; 0 where a peer's own generator does not say."""

    calls: int
    refused: int
    seconds: float
    p50_us: float = 0.0
    p99_us: float = 0.0
    generator_us: float = 0.0
    """CPU microseconds a call that the generator itself took."""
    server_us: float = 0.0
    """CPU microseconds a call that the server took."""

    samples: list[tuple[float, float]] = []  # msgspec gives each its own.
    """Of a load with a rate: when each frame was due (seconds of the monotonic clock), and what its answers took."""

    late_us: float = 0.0
    """Of a load with a rate: how late frames were sent, the p99. Where that is much, this is about the generator."""

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


def run_load(load: Load, server: int, *, on_begin: Callable[[], object] | None = None, **asked: Any) -> Measured:
    """Put a load on the server with that process id, `asked` being the fields of Load that only its starter knows.

    `on_begin` is called when its clock begins to run. RuntimeError with the generator's own words where it failed.
    """
    load = msgspec.structs.replace(load, **asked)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.generator"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as generator:
        assert generator.stdin is not None
        assert generator.stdout is not None
        generator.stdin.write(msgspec.json.encode(load) + b"\n")
        generator.stdin.flush()
        ready = generator.stdout.readline()
        before = cpu_seconds(server)
        if ready == READY:
            generator.stdin.write(b"go\n")
            generator.stdin.flush()
            if on_begin is not None:
                on_begin()
        told = generator.stdout.readline()
        used = cpu_seconds(server) - before
        _, complaint = generator.communicate(timeout=TIME_MAX_S)
    if generator.returncode:
        raise RuntimeError(f"the load generator failed on {load}:\n{complaint.decode()}")
    measured = msgspec.json.decode(told, type=Measured)
    return msgspec.structs.replace(measured, server_us=used / measured.calls * 1e6)
