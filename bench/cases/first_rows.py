"""first_rows: one million rows to a new subscriber, while others call.

Laws: the subscriber is a process of its own and reads every chunk. The calls are the same with and without it, in
turns; a ratio is of one round. Subscriber and callers share a core, where the subscriber gives way: what a call waits
for is the server, not who reads rows beside it. Memory is the server's, sampled while it tells.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from bench.crowd import Crowd, Delivered, run_crowd
from bench.load import Load, Measured
from bench.machine import resident_bytes
from bench.peers.tenant import Tenant
from bench.results import Result, at_least, rate, rounded

CASE: Final = "first_rows"
PEERS: Final = ("the same calls alone",)
ROWS: Final = 1_000_000
ROUNDS: Final = 5
ROUNDS_QUICK: Final = 3
RATE_MIN: Final = 250_000
LATENCY_FACTOR: Final = 3.0
SQL: Final = "SELECT * FROM accounts"
IN_TURN: Final = 3
"""Subscribers one after the other while others call, so that there is always one."""
CALLS: Final = Load(calls=19_200, connections=16, in_flight=1, frame_calls=1)
"""The others: sixteen callers, one call each at a time."""


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """Alone, then calls alone, then both."""
    rates: list[float] = []
    beside: list[float] = []
    p99: list[float] = []
    p99_beside: list[float] = []
    grown: list[float] = []
    with Tenant(directory / "store", accounts=ROWS) as tenant:
        crowd = Crowd(subscribers=1, sql=SQL, port=tenant.port, token=tenant.token)
        for seed in range(1, (ROUNDS_QUICK if quick else ROUNDS) + 1):
            alone, used = _watched(crowd, tenant)
            assert alone.rows == ROWS
            rates.append(alone.rows / alone.seconds)
            grown.append(used / 2**20)
            load = msgspec.structs.replace(CALLS, seed=seed)
            p99.append(tenant.load(load).p99_us)
            told, measured = _both(crowd, tenant, load)
            beside.append(told.rows / told.seconds)
            p99_beside.append(measured.p99_us)
    yield at_least(CASE, "one million rows to one subscriber", sorted(rates)[len(rates) // 2], "rows/s", RATE_MIN)
    yield at_least(CASE, "the same while others call", sorted(beside)[len(beside) // 2], "rows/s", RATE_MIN)
    yield rate(CASE, "call p99 of others without", p99, "us")
    ratios = sorted(now / before for now, before in zip(p99_beside, p99, strict=True))
    ratio = ratios[len(ratios) // 2]
    value = rounded(sorted(p99_beside)[len(p99_beside) // 2])
    target, base = f"<= {LATENCY_FACTOR:g} x", "call p99 of others without"
    holds = ratio <= LATENCY_FACTOR
    yield Result(CASE, "call p99 of others during it", value, "us", base, rounded(ratio), target, holds)
    yield rate(CASE, "resident memory it takes beside the rows", grown, "MiB")


def _watched(crowd: Crowd, tenant: Tenant) -> tuple[Delivered, int]:
    """Rows to a subscriber, and the most bytes that the server grew by meanwhile."""
    before, most, done = resident_bytes(tenant.process.pid), 0, threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, resident_bytes(tenant.process.pid) - before)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        return run_crowd(crowd, tenant.process.pid), most
    finally:
        done.set()
        watcher.join()


def _both(crowd: Crowd, tenant: Tenant, load: Load) -> tuple[Delivered, Measured]:
    """Subscribers in turn, and the load beside them."""
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(tenant.load, load)
        told = run_crowd(
            msgspec.structs.replace(crowd, subscribers=IN_TURN, in_turn=True, gives_way=True), tenant.process.pid
        )
        return told, loading.result()
