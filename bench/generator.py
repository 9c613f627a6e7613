"""The load generator: one process, raw sockets on uvloop, everything encoded before and checked after the clock runs.

Laws: it reads a Load from its input, says ready, waits for a line, runs, and prints a Measured. A wrong answer is a
traceback and a non-zero exit, never a number.
"""

import asyncio
import gc
import os
import selectors
import sys
import time
from collections import deque
from typing import Final, cast

import msgspec
import uvloop

from bench.load import READY, Load, Measured
from bench.machine import percentile, pin
from bench.wire import RedisWire, StoreWire, Wire
from bench.workload import Transfer, transfers

OPENING_TIME_MAX_S: Final = 30
RUN_TIME_MAX_S: Final = 240
"""A peer that takes longer than these hangs."""


class Connection(asyncio.Protocol):
    """One client: keeps `in_flight` calls unanswered until its own are all answered."""

    def __init__(self, wire: Wire, calls: list[Transfer], load: Load) -> None:
        self.wire: Final = wire
        self.calls: Final = calls
        self.latencies: Final[list[float]] = []
        """Seconds from a write to the answer of its last call, one for each write."""
        self.opened: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()
        self.done: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()
        size = load.frame_calls
        self._frames: Final = [wire.encode(calls[place : place + size]) for place in range(0, len(calls), size)]
        self._frame_calls: Final = size
        self._window: Final = max(load.in_flight // size, 1)
        self._opening: Final = wire.opening()
        self._sent = 0
        """Frames."""
        self._answered = 0
        """Calls."""
        self.paced: Final = load.rate > 0
        self.samples: Final[list[tuple[float, float]]] = []
        """(due, seconds until answered) of each frame of a load with a rate."""
        self.lateness: Final[list[float]] = []
        self._writes: Final[deque[tuple[int, float]]] = deque()
        """(calls sent up to it, when) of each write that is not answered yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the opening."""
        self._write = cast("asyncio.Transport", transport).write  # uvloop's transports are not registered as such.
        self._write(self._opening.pop(0))

    def data_received(self, data: bytes) -> None:
        """Count, note the time, send on."""
        if self.opened.done():
            try:
                self._receive(data)
            except Exception as error:  # noqa: BLE001  # Handed to whoever waits: a loop's callback has no caller.
                self._fail(error)
            return
        try:
            if not self.wire.opened(data):
                return
        except Exception as error:  # noqa: BLE001  # As above.
            self._fail(error)
            return
        if self._opening:
            self._write(self._opening.pop(0))
        else:
            self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """A server that hangs up has not answered."""
        self._fail(exc or ConnectionError("the server hung up"))

    def begin(self) -> None:
        """The clock runs."""
        self._send(min(self._window, len(self._frames)))

    def send_due(self, due: float) -> None:
        """Send the next frame, whatever is unanswered; its time counts from when it was due."""
        frame, self._sent = self._frames[self._sent], self._sent + 1
        self._writes.append((min(self._sent * self._frame_calls, len(self.calls)), due))
        self.lateness.append(time.perf_counter() - due)
        self._write(frame)

    @property
    def frames_left(self) -> int:
        """Frames that are not sent yet."""
        return len(self._frames) - self._sent

    def _send(self, frames: int) -> None:
        first, self._sent = self._sent, self._sent + frames
        self._writes.append((min(self._sent * self._frame_calls, len(self.calls)), time.perf_counter()))
        self._write(b"".join(self._frames[first : self._sent]) if frames > 1 else self._frames[first])

    def _receive(self, data: bytes) -> None:
        answered, reply = self.wire.count(data)
        if reply:
            self._write(reply)
        if not answered:
            return
        self._answered += answered
        now, writes = time.perf_counter(), self._writes
        while writes and writes[0][0] <= self._answered:
            began = writes.popleft()[1]
            self.latencies.append(now - began)
            if self.paced:
                self.samples.append((began, now - began))
        room = self._answered // self._frame_calls + self._window - self._sent
        left = len(self._frames) - self._sent
        if left and room > 0 and not self.paced:
            self._send(min(room, left))
        elif self._answered >= len(self.calls) and not self.done.done():
            self.done.set_result(None)

    def _fail(self, error: Exception) -> None:
        for future in (self.opened, self.done):
            if not future.done():
                future.set_exception(error)
                return


def wire_of(load: Load, number: int) -> Wire:
    """The bytes that one connection speaks."""
    if load.peer == "redis":
        return RedisWire(script=load.script)
    client = f"bench-{os.getpid()}-{number}" if load.named else ""
    checked = load.peer == "store"
    return StoreWire(port=load.port, token=load.token, client=client, in_flight=load.in_flight, checked=checked)


async def measure(load: Load) -> Measured:
    """Encode, connect, wait for the word, run, check."""
    loop = asyncio.get_running_loop()
    drawn = list(transfers(load.calls, load.keys, load.seed, load.accounts))
    share = -(-load.calls // load.connections)
    connections: list[Connection] = []
    for number in range(load.connections):
        calls = drawn[number * share : (number + 1) * share]
        connection = Connection(wire_of(load, number), calls, load)
        await loop.create_connection(lambda connection=connection: connection, "127.0.0.1", load.port)  # type: ignore[misc]
        connections.append(connection)
    async with asyncio.timeout(OPENING_TIME_MAX_S):
        await asyncio.gather(*(connection.opened for connection in connections))
    gc.collect()
    gc.freeze()
    gc.disable()  # What is kept here has no cycles.
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    sys.stdin.readline()
    began, used = time.perf_counter(), time.process_time()
    if load.rate:
        await pace(connections, load.frame_calls / load.rate)
    else:
        for connection in connections:
            connection.begin()
    async with asyncio.timeout(RUN_TIME_MAX_S):
        await asyncio.gather(*(connection.done for connection in connections))
    seconds, used = time.perf_counter() - began, time.process_time() - used
    late = [each for connection in connections for each in connection.lateness]
    latencies = [latency for connection in connections for latency in connection.latencies]
    return Measured(
        calls=load.calls,
        refused=sum(connection.wire.check(connection.calls) for connection in connections),
        seconds=seconds,
        p50_us=percentile(latencies, 0.50) * 1e6,
        p99_us=percentile(latencies, 0.99) * 1e6,
        generator_us=used / load.calls * 1e6,
        late_us=percentile(late, 0.99) * 1e6 if late else 0.0,
        samples=sorted(sample for connection in connections for sample in connection.samples),
    )


async def pace(connections: list[Connection], interval: float) -> None:
    """Send a frame every `interval` seconds, by one connection after the other, each when it is due.

    It sleeps until then: what spins takes the core from the kernel's own work, the disk's completions among it, and an
    fdatasync of the server's then waits for that core's next tick (p50 4 ms instead of 0.08).
    """
    began = time.perf_counter()  # On Linux the monotonic clock.
    turns = max(connection.frames_left for connection in connections)
    number = 0
    for _ in range(turns):
        for connection in connections:
            if not connection.frames_left:
                continue
            due = began + number * interval
            number += 1
            await asyncio.sleep(0)  # Answers come in between, also where this is late.
            while (early := due - time.perf_counter()) > 0:  # noqa: ASYNC110  # The event awaited is the moment itself.
                await asyncio.sleep(early)
            connection.send_due(due)


def loop_for(load: Load) -> asyncio.AbstractEventLoop:
    """For as much as can be sent: uvloop. Its timers count milliseconds, so a pace has one that sleeps by select()."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector()) if load.rate else uvloop.new_event_loop()


def main() -> None:
    """One load from the input, one line of measurement to the output."""
    pin(0, server=False)
    load = msgspec.json.decode(sys.stdin.readline(), type=Load)
    with asyncio.Runner(loop_factory=lambda: loop_for(load)) as runner:
        measured = runner.run(measure(load))
    sys.stdout.buffer.write(msgspec.json.encode(measured) + b"\n")


if __name__ == "__main__":
    main()
