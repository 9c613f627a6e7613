"""restore: how fast a snapshot is loaded and the log behind it replayed, and how long a whole restart takes.

Laws: a restart is from the start of the process to the moment it serves, for the store and for Redis alike, in turns,
over the same data: the same accounts in a snapshot (Redis: the RDB at the head of its log), the same number of
transfers behind it. What is loaded was written by the store's own commands.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.load import Load
from bench.peers import BenchError
from bench.peers.redis import Redis
from bench.peers.tenant import Tenant
from bench.reopening import reopen
from bench.results import Result, at_least, missing, rate, unmeasured, within
from bench.workload import BALANCE, PATIENT

CASE: Final = "restore"
PEERS: Final = ("redis (RDB + AOF)",)
ROWS: Final = 1_000_000
CALLS: Final = 1_000_000
ROWS_QUICK: Final = 400_000
CALLS_QUICK: Final = 400_000
ROUNDS: Final = 5
ROUNDS_QUICK: Final = 3
ROWS_RATE: Final = 1_000_000
"""Rows loaded a second from a snapshot; a row is small and has no index."""
REPLAY_RATE: Final = 250_000
"""Transactions replayed a second."""
RESTART_FACTOR: Final = 2.0
PLAIN: Final = "bench.plain_accounts"
INDEXED: Final = "reducers.accounts"


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """Build both, then open them in turns; the store's own restore command comes last."""
    rows, calls, rounds = (ROWS_QUICK, CALLS_QUICK, ROUNDS_QUICK) if quick else (ROWS, CALLS, ROUNDS)
    calls = calls // 2_560 * 2_560
    directory.mkdir()
    tenant = Tenant(directory / "store", accounts=rows, options=(PATIENT,))
    for module, data in ((PLAIN, directory / "plain"), (INDEXED, tenant.data)):
        reopen("build", module, data, str(calls), str(rows))
    redis = _fill_redis(directory, rows, calls)
    turns: dict[str, list[float]] = {name: [] for name in ("rows", "replay", "indexed rows", "restart", "redis")}
    with tenant:
        pass  # Its token is made, and what a first start writes is written.
    for _ in range(rounds):
        opened = reopen("open", PLAIN, directory / "plain")
        turns["rows"].append(opened.rows_rate)
        turns["replay"].append(opened.rate)
        turns["indexed rows"].append(reopen("open", INDEXED, tenant.data).rows_rate)
        turns["restart"].append(_restart(tenant, rows))
        if redis is not None:
            turns["redis"].append(_restart_redis(redis, rows))
    yield Result(CASE, "rows in the snapshot", rows, "rows")
    yield Result(CASE, "transfers in the log behind it", calls, "")
    yield at_least(CASE, "loaded from a snapshot", _median(turns["rows"]), "rows/s", ROWS_RATE)
    yield rate(CASE, "loaded from a snapshot, with one index", turns["indexed rows"], "rows/s")
    yield at_least(CASE, "replayed behind a snapshot", _median(turns["replay"]), "transactions/s", REPLAY_RATE)
    metric, base = "whole restart, with one index", "redis, whole restart (RDB + AOF)"
    if redis is None:
        yield missing(CASE, base)
        yield rate(CASE, metric, turns["restart"], "s")
        yield unmeasured(CASE, metric, base=base, most=RESTART_FACTOR)
    else:
        yield rate(CASE, base, turns["redis"], "s")
        values, bases = turns["restart"], turns["redis"]
        yield within(CASE, metric, values, "s", base=base, bases=bases, most=RESTART_FACTOR)
    yield from _command(directory, tenant.data)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _restart(tenant: Tenant, rows: int) -> float:
    """Seconds from the process's start until it serves; its total is checked."""
    began = time.monotonic()
    tenant.start()
    try:
        seconds = time.monotonic() - began
        if (total := tenant.total()) != rows * BALANCE:
            raise BenchError(f"the store comes back with a total of {total}")
        return seconds
    finally:
        tenant.stop()


def _fill_redis(directory: Path, rows: int, calls: int) -> Redis | None:
    """The same accounts at the head of its log, the same number of transfers behind; stopped."""
    if not Redis.installed():
        return None
    redis = Redis(directory / "redis", accounts=rows)
    with redis:
        redis.rewrite()
        redis.load(Load(calls=calls, accounts=rows))
    return redis


def _restart_redis(redis: Redis, rows: int) -> float:
    seconds = redis.start()
    try:
        if (total := redis.total()) != rows * BALANCE:
            raise BenchError(f"redis comes back with a total of {total}")
        return seconds
    finally:
        redis.stop()


def _command(directory: Path, data: Path) -> Iterator[Result]:
    """`store restore` into a new directory, verified: what an operator waits for."""
    words = ["-m", "store", "restore", str(data), "--newest", "--into", str(directory / "restored"), "--json"]
    began = time.monotonic()
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
    yield rate(CASE, "store restore of all that into a new directory", [time.monotonic() - began], "s")
