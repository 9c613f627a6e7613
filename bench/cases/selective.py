"""selective: what a call costs with 10, 10,000 and 100,000 queries followed of which it concerns none.

Laws: calls and queries are in one process, without sockets: what grows with the queries is seen, nothing else. Each
size has an engine of its own, and in each round each engine its turn. The queries are distinct, each holds a row or
more, and the calls write other rows of the same table. What is told is CPU, so a slow disk moves nothing.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from bench.in_process import Client, clients, open_accounts, opened, rounds
from bench.results import Result, rate, within
from bench.wire import masked
from store.engine.engine import Engine
from store.subscribe.options import Options
from store.subscribe.subscriptions import Subscriptions

CASE: Final = "selective"
PEERS: Final = ("the same calls with 10 queries",)
KINDS: Final = {
    "equality": "SELECT * FROM accounts WHERE owner = $1",
    "IN": "SELECT * FROM accounts WHERE owner IN ($1, 'nobody')",
    "range": "SELECT * FROM accounts WHERE id BETWEEN $1 AND $2",
    "membership": "SELECT * FROM accounts WHERE owner IN (SELECT owner FROM accounts WHERE id = $1)",
}
SIZES: Final = (10, 10_000, 100_000)
SIZES_QUICK: Final = (10, 10_000)
MOST: Final = {10_000: 1.3, 100_000: 1.6}
"""Times the cost with ten that a call may cost."""
ACTIVE: Final = 10_000
"""Accounts that are written; the others belong to the queries."""
CALLS: Final = 40 * 64 * 4
ROUNDS: Final = 9
ROUNDS_QUICK: Final = 5
FRAME_CALLS: Final = 40


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """All kinds, one after the other."""
    sizes = SIZES_QUICK if quick else SIZES
    for kind in KINDS:
        with ExitStack() as stack:
            engines = []
            for count in sizes:
                folder = directory / f"{kind}-{count}"
                folder.mkdir(parents=True)
                engines.append(stack.enter_context(opened(folder)))
            yield from _results(kind, sizes, engines, ROUNDS_QUICK if quick else ROUNDS)
        gc.unfreeze()


def _results(kind: str, sizes: Sequence[int], engines: Sequence[Engine], count: int) -> Iterator[Result]:
    callers, costs = [], {}
    for size, engine in zip(sizes, engines, strict=True):
        subscriptions = Subscriptions(engine)
        began = time.process_time()
        follow(engine, subscriptions, kind, size)
        costs[size] = (time.process_time() - began) / size * 1e6
        assert subscriptions.query_count == size
        open_accounts(engine, ACTIVE + size)  # Now each holds its rows.
        callers.append(clients(engine, subscriptions=subscriptions))
    gc.collect()
    gc.freeze()
    sent = rounds(CALLS, keys="uniform", frame_calls=FRAME_CALLS, in_flight=FRAME_CALLS, accounts=ACTIVE)
    found: dict[int, list[float]] = {size: [] for size in sizes}
    for turn in range(count):
        order = list(zip(sizes, engines, callers, strict=True))
        for size, engine, connections in order if turn % 2 else reversed(order):
            found[size].append(cost(engine, connections, sent))
    base = f"{kind}, {sizes[0]} queries"
    yield rate(CASE, base, found[sizes[0]], "us/call")
    for size in sizes[1:]:
        name = f"{kind}, {size:,} queries"
        yield within(CASE, name, found[size], "us/call", base=base, bases=found[sizes[0]], most=MOST[size])
    yield rate(CASE, f"{kind}: to follow one", [costs[sizes[-1]]], "us")


def follow(engine: Engine, subscriptions: Subscriptions, kind: str, count: int) -> None:
    """So many sessions as it takes follow so many queries, each about an account that nobody writes."""
    each_max = Options().subscriptions_max
    for first in range(0, count, each_max):
        client = Client(engine, subscriptions, 1_000 + first // each_max)
        for number in range(first, min(first + each_max, count)):
            account = ACTIVE + 1 + number
            params = {"range": [account, account + 5], "membership": [account]}.get(kind, [f"owner {account}"])
            client.receive(masked(msgspec.msgpack.encode([["subscribe", number, KINDS[kind], params]])))
            if number % 100 == 0:
                engine.group_commit.commit()
        engine.group_commit.commit()


def cost(engine: Engine, connections: Sequence[Client], sent: Sequence[Sequence[bytes]]) -> float:
    """Microseconds of CPU for one call."""
    began = time.process_time()
    for bursts in sent:
        for connection, burst in zip(connections, bursts, strict=True):
            connection.receive(burst)
        engine.group_commit.commit()
    return (time.process_time() - began) / (len(sent) * len(connections) * FRAME_CALLS) * 1e6
