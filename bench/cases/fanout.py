"""fanout: one change to many subscribers of one query, every delivery durable first; Redis' pub/sub beside it.

Laws: subscribers are real sockets in another process. Redis publishes as many bytes as the store's delta has, to as
many subscribers, with as many on their way; it makes nothing durable. In each round both have their turn.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.crowd import Crowd, Delivered, run_crowd
from bench.peers.redis import Redis
from bench.peers.tenant import Tenant
from bench.results import Result, against, at_least, missing, rate, unmeasured

CASE: Final = "fanout"
PEERS: Final = ("redis",)
SUBSCRIBERS: Final = (1, 100, 1_000, 9_999)
"""With the caller, 10,000 connections: as many as a store takes by default."""
SUBSCRIBERS_QUICK: Final = (1, 100, 1_000)
DELIVERIES: Final = 600_000
DELIVERIES_QUICK: Final = 200_000
CHANGES_MAX: Final = 5_000
ROUNDS: Final = 5
ROUNDS_QUICK: Final = 3
WINDOWS: Final = (1, 8)
PROMISED: Final = (1_000, 1)
"""(subscribers, changes on the way) that something is promised of: each change is told by itself."""
RATE_MIN: Final = 150_000
REDIS_FACTOR: Final = 0.5
SQL: Final = "SELECT * FROM accounts WHERE id = 1"


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """All rounds, then the results."""
    rounds, deliveries = (ROUNDS_QUICK, DELIVERIES_QUICK) if quick else (ROUNDS, DELIVERIES)
    found: dict[tuple[str, int, int], list[Delivered]] = {}
    sizes = SUBSCRIBERS_QUICK if quick else SUBSCRIBERS
    with ExitStack() as stack:
        tenant = stack.enter_context(Tenant(directory / "store", accounts=10))
        redis = stack.enter_context(Redis(directory / "redis", accounts=1)) if Redis.installed() else None
        for _ in range(rounds):
            for count in sizes:
                for window in WINDOWS:
                    crowd = Crowd(
                        subscribers=count,
                        sql=SQL,
                        window=window,
                        changes=min(max(deliveries // count, 10), CHANGES_MAX),
                    )
                    told = run_crowd(crowd, tenant.process.pid, port=tenant.port, token=tenant.token)
                    found.setdefault(("store", count, window), []).append(told)
                    if redis is not None:
                        asked = {"peer": "redis", "port": redis.port, "payload_size": told.delivery_size}
                        told = run_crowd(crowd, redis.process.pid, **asked)
                        found.setdefault(("redis", count, window), []).append(told)
    for count in sizes:
        for window in WINDOWS:
            yield from _told(found, count, window)


def _told(found: dict[tuple[str, int, int], list[Delivered]], count: int, window: int) -> Iterator[Result]:
    name = f"{count:,} subscribers, {window} on the way"
    store = [each.deliveries / each.seconds for each in found["store", count, window]]
    redis = [each.deliveries / each.seconds for each in found.get(("redis", count, window), ())]
    promised = (count, window) == PROMISED
    unit = "deliveries/s"
    base = f"redis pub/sub, {name}"
    if redis:
        yield rate(CASE, base, redis, unit)
        yield against(CASE, name, store, unit, base=base, bases=redis, least=REDIS_FACTOR if promised else None)
    elif promised:
        yield rate(CASE, name, store, unit)
        yield missing(CASE, "redis")
        yield unmeasured(CASE, name, base=base, least=REDIS_FACTOR)
    if promised:
        yield at_least(CASE, f"{name}: rate", sorted(store)[len(store) // 2], unit, RATE_MIN)
    used = [each.server_us for each in found["store", count, window]]
    yield rate(CASE, f"server CPU, {name}", used, "us/delivery")
