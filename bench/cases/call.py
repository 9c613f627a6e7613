"""call: transfers between 100,000 accounts by 64 connections, durable before they are answered.

Laws: every answer is checked, and every peer's total at the end. In each round the store and its peers have their turn
right after each other, every other round Redis before the store, and a ratio is of one round. Redis' pipeline of 40
stands beside both the batched frames and one call a frame: it has no other way to have 40 in flight.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from bench.load import Load, Measured, run_load
from bench.machine import percentile, sync_latencies
from bench.peers import BenchError, start, stop
from bench.peers.postgres import Postgres
from bench.peers.redis import Redis
from bench.peers.sqlite import Sqlite
from bench.peers.tenant import Tenant
from bench.results import Result, against, at_most, missing, rate, unmeasured, within
from bench.steps import Profile
from bench.workload import KEYS, TOTAL

CASE: Final = "call"
PEERS: Final = ("redis", "postgresql", "sqlite")
ROUNDS: Final = 14
"""Many and short: what else the host does is another thing a second later."""
ROUNDS_QUICK: Final = 3
SECONDS: Final = 0.75
"""What one turn takes, about."""
SECONDS_QUICK: Final = 0.25
LONE_CALLS: Final = 1_000
LONE_TURNS: Final = 2
"""Turns of the lone caller in a round."""
SERVER_CPU_MAX_US: Final = 9.0
"""Microseconds of server CPU a call, batched."""
POSTGRES_FACTOR: Final = 8.0
CEILING_FACTOR: Final = 1.5
"""How far above the fastest peer the generator must reach, so that it is no limit."""
CEILING_TRIES: Final = 3


class Shape(msgspec.Struct, frozen=True):
    """How calls are sent."""

    name: str
    in_flight: int
    frame_calls: int
    rate_expected: int
    """Calls a second that turn seconds into calls."""
    redis_factor: float | None = None
    """What is promised beside Redis."""
    named: bool = False

    @property
    def redis_name(self) -> str:
        """The same number in flight at Redis."""
        return f"64x{self.in_flight}"

    def load(self, keys: str, seed: int, seconds: float) -> Load:
        """A turn of about so many seconds."""
        window = 64 * self.in_flight
        calls = max(int(self.rate_expected * seconds) // window, 4) * window
        return Load(
            calls=calls, keys=keys, seed=seed, in_flight=self.in_flight, frame_calls=self.frame_calls, named=self.named
        )


BATCHED: Final = Shape("64x40 batched", 40, 40, 100_000, 1.0)
SINGLE: Final = Shape("64x40 one a frame", 40, 1, 70_000, 0.6)
SERIAL: Final = Shape("64x1", 1, 1, 25_000, 0.6)
NAMED: Final = Shape("64x40 batched, idempotent", 40, 40, 100_000, named=True)
STORE_SHAPES: Final = (BATCHED, SINGLE, SERIAL, NAMED)
REDIS_SHAPES: Final = (Shape("64x40", 40, 40, 100_000), Shape("64x1", 1, 1, 45_000))
BESIDE_REDIS: Final = dict(zip((BATCHED, SERIAL), REDIS_SHAPES, strict=True))
"""What of the store's has its turn right beside one of Redis'."""
PEER_TURNS: Final = (("redis", "64x40"), ("redis", "64x1"), ("postgresql", "64x1"), ("sqlite", "in process"))
"""(peer, shape) of every rate that is not the store's."""
SESSION_SHAPE: Final = Shape("64x1", 1, 1, 8_000)
"""PostgreSQL's and SQLite's: a session has one transfer in flight."""


class Turns:
    """What was measured, by metric, a value a round."""

    def __init__(self) -> None:
        self._measured: Final[dict[str, list[Measured]]] = {}

    def note(self, metric: str, measured: Measured) -> None:
        """Add a round's."""
        self._measured.setdefault(metric, []).append(measured)

    def rates(self, metric: str) -> list[float]:
        """Calls a second, round by round; [] where the peer is missing."""
        return [each.rate for each in self._measured.get(metric, ())]

    def median(self, metric: str, field: str) -> float:
        """The rounds' median of another field."""
        return float(statistics.median(getattr(each, field) for each in self._measured[metric]))

    def calls(self, peer: str) -> int:
        """Calls that a peer was measured with."""
        return sum(each.calls for metric, all_ in self._measured.items() if metric.startswith(peer) for each in all_)


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """All rounds, then the results."""
    turns, rounds = Turns(), ROUNDS_QUICK if quick else ROUNDS
    lone: dict[str, list[float]] = {"fdatasync p50": [], "echo p50": [], "lone caller p50": []}
    with ExitStack() as stack:
        tenant = stack.enter_context(Tenant(directory / "store"))
        echo = stack.enter_context(Tenant(directory / "echo", hosted=("--echo",)))
        server_redis = stack.enter_context(Redis(directory / "redis")) if Redis.installed() else None
        cluster = stack.enter_context(Postgres(directory / "postgresql")) if Postgres.installed() else None
        file = stack.enter_context(Sqlite(directory / "sqlite"))
        os.sync()  # What setting up has written must not be synced by somebody's first turn.
        seconds = SECONDS_QUICK if quick else SECONDS
        for seed in range(1, rounds + 1):
            for keys in KEYS:
                _round(turns, keys, seed, seconds, tenant, server_redis, cluster, file)
            for turn in range(1 if quick else LONE_TURNS):
                _lone_turn(lone, directory, tenant, echo, seed * LONE_TURNS + turn)
        for peer in (tenant, server_redis, cluster, file):
            if peer is not None and (total := peer.total()) != TOTAL:
                raise BenchError(f"{peer.name} ends with a total of {total}, not {TOTAL}")
    yield from _rates(turns)
    yield from _lone(lone)
    yield from _ceilings(directory, turns)
    yield from _steps(directory, turns)
    yield Result(
        CASE, "answers checked, and every total", turns.calls("store"), "calls", target="all right", holds=True
    )


def _round(
    turns: Turns,
    keys: str,
    seed: int,
    seconds: float,
    tenant: Tenant,
    server_redis: Redis | None,
    cluster: Postgres | None,
    file: Sqlite,
) -> None:
    for shape in STORE_SHAPES:
        if shape.named and keys != KEYS[0]:
            continue
        pair: list[tuple[str, Tenant | Redis, Shape]] = [("store", tenant, shape)]
        if server_redis is not None and shape in BESIDE_REDIS:
            pair.append(("redis", server_redis, BESIDE_REDIS[shape]))
        for name, peer, sent in pair if seed % 2 else reversed(pair):
            turns.note(f"{name} {sent.name}, {keys}", peer.load(sent.load(keys, seed, seconds)))
    if cluster is not None:
        turns.note(f"postgresql 64x1, {keys}", cluster.load(SESSION_SHAPE.load(keys, seed, seconds)))
    turns.note(f"sqlite in process, {keys}", file.load(SESSION_SHAPE.load(keys, seed, seconds)))


def _lone_turn(lone: dict[str, list[float]], directory: Path, tenant: Tenant, echo: Tenant, seed: int) -> None:
    alone = Load(calls=LONE_CALLS, connections=1, in_flight=1, frame_calls=1, seed=seed)
    lone["fdatasync p50"].append(percentile(sync_latencies(directory), 0.5) * 1e6)
    lone["echo p50"].append(echo.load(alone).p50_us)
    lone["lone caller p50"].append(tenant.load(alone).p50_us)


def _rates(turns: Turns) -> Iterator[Result]:
    for keys in KEYS:
        for peer, name in PEER_TURNS:
            if rates := turns.rates(f"{peer} {name}, {keys}"):
                yield rate(CASE, f"{peer} {name}, {keys}", rates, "calls/s")
            else:
                yield missing(CASE, f"{peer} {name}, {keys}")
        for shape in STORE_SHAPES:
            yield from _ratios(turns, shape, keys)
    for shape in REDIS_SHAPES:
        metric = f"redis {shape.name}, {KEYS[0]}"
        if turns.rates(metric):
            yield rate(CASE, f"server CPU, redis {shape.name}", [turns.median(metric, "server_us")], "us/call")
    for shape in STORE_SHAPES:
        metric = f"store {shape.name}, {KEYS[0]}"
        used = turns.median(metric, "server_us")
        name = f"server CPU, {shape.name}"
        bound = SERVER_CPU_MAX_US if shape == BATCHED else None
        yield rate(CASE, name, [used], "us/call") if bound is None else at_most(CASE, name, used, "us/call", bound)
        yield rate(CASE, f"latency p50, {shape.name}", [turns.median(metric, "p50_us")], "us")
        yield rate(CASE, f"latency p99, {shape.name}", [turns.median(metric, "p99_us")], "us")


def _ratios(turns: Turns, shape: Shape, keys: str) -> Iterator[Result]:
    """One of the store's rates beside its peers; what is promised beside one that is missing does not hold."""
    metric = f"store {shape.name}, {keys}"
    rates = turns.rates(metric)
    if not rates:
        return
    base = f"redis {shape.redis_name}, {keys}"
    if bases := turns.rates(base):
        yield against(CASE, metric, rates, "calls/s", base=base, bases=bases, least=shape.redis_factor)
    else:
        yield rate(CASE, metric, rates, "calls/s")
        if shape.redis_factor is not None:
            yield unmeasured(CASE, metric, base=base, least=shape.redis_factor)
    if shape != BATCHED:
        return
    base = f"postgresql 64x1, {keys}"
    if bases := turns.rates(base):
        name = f"{metric}, beside postgresql"
        yield against(CASE, name, rates, "calls/s", base=base, bases=bases, least=POSTGRES_FACTOR)
    else:
        yield unmeasured(CASE, metric, base=base, least=POSTGRES_FACTOR)


def _lone(lone: dict[str, list[float]]) -> Iterator[Result]:
    for metric in ("fdatasync p50", "echo p50"):
        yield rate(CASE, metric, lone[metric], "us")
    bounds = [sync + 2 * echo for sync, echo in zip(lone["fdatasync p50"], lone["echo p50"], strict=True)]
    bound = "fdatasync p50 + 2 x echo p50"
    yield rate(CASE, bound, bounds, "us")
    yield within(CASE, "lone caller p50", lone["lone caller p50"], "us", base=bound, bases=bounds)


def _ceilings(directory: Path, turns: Turns) -> Iterator[Result]:
    """What the generator reaches where the server does next to nothing."""
    for shape in (BATCHED, SINGLE, SERIAL):
        words = [sys.executable, "-m", "bench.acceptor", str(shape.frame_calls)]
        log = directory / f"acceptor-{shape.in_flight}-{shape.frame_calls}"
        acceptor = start(words, log=log)
        try:
            while not (told := log.read_text()).endswith("\n"):
                if acceptor.poll() is not None:
                    raise BenchError(f"the acceptor did not start: {told}")
            load = shape.load(KEYS[0], 1, 1.0)
            reached = [run_load(load, acceptor.pid, peer="acceptor", port=int(told)).rate for _ in range(CEILING_TRIES)]
        finally:
            stop(acceptor)
        fastest = max(
            (metric for peer in ("store " + shape.name, "redis " + shape.redis_name) for keys in KEYS
             if turns.rates(metric := f"{peer}, {keys}")),
            key=lambda metric: statistics.median(turns.rates(metric)),
        )  # fmt: skip
        bases = [statistics.median(turns.rates(fastest))] * CEILING_TRIES
        name = f"generator's ceiling, {shape.name}"
        yield against(CASE, name, reached, "calls/s", base=fastest, bases=bases, least=CEILING_FACTOR)
        used = turns.median(f"store {shape.name}, {KEYS[0]}", "generator_us")
        yield rate(CASE, f"generator's CPU, {shape.name}", [used], "us/call")


def _steps(directory: Path, turns: Turns) -> Iterator[Result]:
    """Where a call's time goes, measured in a process of its own after all rounds."""
    for shape in (BATCHED, SINGLE):
        words = [sys.executable, "-m", "bench.steps", str(shape.frame_calls), KEYS[0], str(directory)]
        told = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
        profile = msgspec.json.decode(told, type=Profile)
        for step in profile.steps:
            yield Result(CASE, f"step, {shape.name}: {step.name}", round(step.us, 3), "us/call")
        for name in profile.missing:
            yield Result(CASE, f"step, {shape.name}: {name}", None, "gone")
        used = turns.median(f"store {shape.name}, {KEYS[0]}", "server_us")
        socket = round(used - profile.cpu_us, 3)
        yield Result(CASE, f"step, {shape.name}: socket (server CPU less the above)", socket, "us/call")
