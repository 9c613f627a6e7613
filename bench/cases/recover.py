"""recover: a log of transfers, opened again and replayed, with one index and without.

Laws: every opening is a fresh process, in turns with its bases: another library that merely decodes the same records,
and Redis loading its own log of the same transfers. What is replayed was written by the engine itself.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.load import Load
from bench.peers.redis import Redis
from bench.reopening import reopen
from bench.results import Result, against, at_least, missing, rate
from bench.workload import TOTAL

CASE: Final = "recover"
PEERS: Final = ("redis", "msgpack (decoding alone)")
CALLS: Final = 500_000
CALLS_QUICK: Final = 150_000
ROUNDS: Final = 7
ROUNDS_QUICK: Final = 3
RATE: Final = 250_000
RATE_INDEXED: Final = 200_000
"""Transactions replayed a second."""
PLAIN: Final = "bench.plain_accounts"
INDEXED: Final = "reducers.accounts"


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """Build the logs, then open them in turns."""
    calls, rounds = (CALLS_QUICK, ROUNDS_QUICK) if quick else (CALLS, ROUNDS)
    directory.mkdir()
    for module in (PLAIN, INDEXED):
        reopen("build", module, directory / module, str(calls))
    redis = Redis(directory / "redis") if Redis.installed() else None
    if redis is not None:
        with redis:
            redis.load(Load(calls=calls // 2560 * 2560, keys="uniform"))
    turns: dict[str, list[float]] = {name: [] for name in (PLAIN, INDEXED, "decode", "redis")}
    for _ in range(rounds):
        turns["decode"].append(reopen("decode", directory / PLAIN).rate)
        for module in (PLAIN, INDEXED):
            turns[module].append(reopen("open", module, directory / module).rate)
        if redis is not None:
            turns["redis"].append(_load_redis(redis, calls))
    unit = "transactions/s"
    decoding = "msgpack, decoding the same records alone"
    yield rate(CASE, decoding, turns["decode"], unit)
    loading = "redis, loading its log of the same transfers"
    yield rate(CASE, loading, turns["redis"], unit) if redis is not None else missing(CASE, "redis")
    for name, module, bound in (("without an index", PLAIN, RATE), ("with one index", INDEXED, RATE_INDEXED)):
        metric = f"replay {name}"
        yield at_least(CASE, metric, sorted(turns[module])[rounds // 2], unit, bound)
        bases = {decoding: turns["decode"], **({loading: turns["redis"]} if redis is not None else {})}
        for base, values in bases.items():
            beside = f"{metric}, beside {base.partition(',')[0]}"
            yield against(CASE, beside, turns[module], unit, base=base, bases=values, least=None)
    yield Result(CASE, "transfers in the log", calls, "")


def _load_redis(redis: Redis, calls: int) -> float:
    """Transfers a second while Redis loads its log; its total is checked."""
    seconds = redis.start()
    try:
        assert redis.total() == TOTAL
        return calls / seconds
    finally:
        redis.stop()
