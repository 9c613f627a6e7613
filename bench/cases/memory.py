"""memory: what a million small rows take, beside Redis' hashes and SQLite's file, and what the collector does to calls.

Laws: the same rows everywhere: a number, an owner's name with an index over it where there are indexes, a balance.
Pauses are timed in the server itself, while it takes calls, right after the rows have come; full collections are rare,
so some are asked for meanwhile.
"""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from bench.footprint import CLIENTS, Footprint
from bench.hosted import read_pauses, reset_pauses
from bench.load import Load
from bench.machine import resident_bytes
from bench.peers.postgres import Postgres
from bench.peers.redis import Redis
from bench.peers.sqlite import Sqlite
from bench.peers.tenant import Tenant
from bench.results import Result, at_most, missing, rate, rounded

CASE: Final = "memory"
PEERS: Final = ("redis", "sqlite", "postgresql")
ROWS: Final = 1_000_000
PAUSE_MAX_MS: Final = 10.0
CALLS: Final = 600_000
CALLS_QUICK: Final = 200_000
ASKED_EVERY_SECONDS: Final = 0.5
"""Between two full collections that are asked for while calls run."""
IDLE_SECONDS: Final = 2.5
"""Long enough for what the server does once nobody calls."""


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """The store's parts, the peers, then the pauses."""
    directory.mkdir()
    unit = "bytes/row"
    resident_peer = "redis, resident"
    redis_resident = None
    if Redis.installed():
        with Redis(directory / "redis", accounts=1) as empty:
            before, used = resident_bytes(empty.process.pid), empty.used_memory()
            empty.open_accounts(ROWS)
            redis_resident = (resident_bytes(empty.process.pid) - before) / ROWS
            yield rate(CASE, "redis, used_memory", [(empty.used_memory() - used) / ROWS], unit)
            yield rate(CASE, resident_peer, [redis_resident], unit)
    else:
        yield missing(CASE, "redis")
    with Sqlite(directory / "sqlite", accounts=ROWS) as file:
        yield rate(CASE, "sqlite, file with its index", [file.file_bytes() / ROWS], unit)
    if Postgres.installed():
        with Postgres(directory / "postgresql", accounts=ROWS) as cluster:
            yield rate(CASE, "postgresql, files with both indexes", [cluster.table_bytes() / ROWS], unit)
    else:
        yield missing(CASE, "postgresql")
    yield from _store(directory, redis_resident, resident_peer)
    yield from _pauses(directory, CALLS_QUICK if quick else CALLS)


def _store(directory: Path, redis_resident: float | None, base: str) -> Iterator[Result]:
    words = [sys.executable, "-m", "bench.footprint", str(directory / "footprint"), str(ROWS)]
    told = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
    found = msgspec.json.decode(told, type=Footprint)
    resident = found.resident / found.rows
    ratio = None if redis_resident is None else rounded(resident / redis_resident)
    yield Result(CASE, "store, resident", rounded(resident), "bytes/row", base if ratio else "", ratio)
    parts = {"row bytes": found.row_bytes, "keys": found.keys, "table": found.table, "index": found.index}
    for name, size in parts.items():
        yield rate(CASE, f"store, of it {name}", [size / found.rows], "bytes/row")
    an_answer = found.answers_resident / found.answers
    yield rate(CASE, "store, an answer kept for a retry", [an_answer], "bytes/answer")
    kept = "answers kept for a client that acknowledges nothing: the next call is refused"
    yield Result(CASE, kept, found.answers // CLIENTS, "answers", target="bounded", holds=found.overloaded)


@contextmanager
def _asking_for_full_collections(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Have the server collect everything now and then."""
    done = threading.Event()

    def ask() -> None:
        while not done.wait(ASKED_EVERY_SECONDS):
            process.send_signal(signal.SIGUSR2)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        done.set()
        asking.join()


def _pauses(directory: Path, calls: int) -> Iterator[Result]:
    file = directory / "pauses"
    with Tenant(directory / "store", accounts=ROWS, hosted=("--pauses", file)) as tenant:
        reset_pauses(file)
        with _asking_for_full_collections(tenant.process):
            measured = [
                tenant.load(Load(calls=calls // 2560 * 2560, frame_calls=frame_calls, named=named))
                for frame_calls, named in ((40, False), (1, True))
            ]
        while_called = read_pauses(file)
        reset_pauses(file)
        time.sleep(IDLE_SECONDS)
        idle = read_pauses(file)
        resident = resident_bytes(tenant.process.pid)
    longest = max(each.longest for each in while_called) * 1000
    yield at_most(CASE, "longest collection while calls run, 1M rows", longest, "ms", PAUSE_MAX_MS)
    for generation, each in enumerate(while_called):
        yield Result(CASE, f"collections of generation {generation} while calls run", each.count, "")
    share = sum(each.seconds for each in while_called) / sum(each.seconds for each in measured)
    yield Result(CASE, "part of the time spent collecting", rounded(share * 100), "%")
    yield rate(CASE, "longest collection while idle", [max(each.longest for each in idle) * 1000], "ms")
    yield rate(CASE, "latency p99 of the batched calls, 1M rows", [measured[0].p99_us], "us")
    yield rate(CASE, "store, the whole server's resident bytes with 1M rows", [resident / ROWS], "bytes/row")
