"""resume: 1,000 clients back after a restart, each having missed 1,000 transactions; the same by a full re-download.

Laws: the clients connect first and subscribe all at once; the clock stops when the last is caught up. The transactions
are transfers, so each changes two rows. In each round the server is killed and comes back, and both have their turn.
"""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from bench.crowd import Crowd, Delivered, Subscriber, run_crowd
from bench.load import Load
from bench.peers.peer import BenchError, stop
from bench.peers.tenant import Tenant
from bench.results import Result, against, rate
from store.subscribe.messages import Welcome

CASE: Final = "resume"
PEERS: Final = ("the same rows anew",)
CLIENTS: Final = 1_000
MISSED: Final = 1_000
ACCOUNTS: Final = 50_000
ACCOUNTS_QUICK: Final = 20_000
ROUNDS: Final = 3
ROUNDS_QUICK: Final = 1
SQL: Final = "SELECT * FROM accounts"
CALLS: Final = Load(calls=4_000, connections=4, in_flight=1, frame_calls=1)
"""Who calls while they come back."""


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """All rounds, then the results."""
    resumed: list[float] = []
    anew: list[float] = []
    p99: list[float] = []
    p99_beside: list[float] = []
    sizes: list[tuple[int, int]] = []
    accounts = ACCOUNTS_QUICK if quick else ACCOUNTS
    with Tenant(directory / "store", accounts=accounts) as tenant:
        for seed in range(1, (ROUNDS_QUICK if quick else ROUNDS) + 1):
            before = _place(tenant)
            tenant.load(Load(calls=MISSED, connections=1, in_flight=40, frame_calls=40, seed=seed, accounts=accounts))
            stop(tenant.process, signal.SIGKILL)
            tenant.start()
            crowd = Crowd(subscribers=CLIENTS, sql=SQL, port=tenant.port, token=tenant.token)
            calls = msgspec.structs.replace(CALLS, seed=seed, accounts=accounts)
            back = msgspec.structs.replace(crowd, epoch=before.epoch, offset=before.offset)
            told = run_crowd(back, tenant.process.pid)
            if told.resumed != CLIENTS or told.deliveries < CLIENTS * MISSED // 2:
                raise BenchError(f"{told.resumed} of {CLIENTS} resumed, {told.deliveries} changes were told")
            full = run_crowd(crowd, tenant.process.pid)
            if full.rows != CLIENTS * accounts:
                raise BenchError(f"{full.rows} rows were told, not {CLIENTS * accounts}")
            resumed.append(told.seconds)
            anew.append(full.seconds)
            sizes.append((told.size, full.size))
            p99.append(tenant.load(calls).p99_us)
            p99_beside.append(_beside(back, tenant, calls))
    base = f"{CLIENTS:,} clients have {accounts:,} rows anew"
    yield rate(CASE, base, anew, "s")
    name = f"{CLIENTS:,} clients have what they missed, {MISSED:,} transactions"
    yield against(CASE, name, resumed, "s", base=base, bases=anew, least=None)
    yield rate(CASE, "bytes of that", [told / 2**20 for told, _ in sizes], "MiB")
    yield rate(CASE, "bytes of rows anew", [full / 2**20 for _, full in sizes], "MiB")
    base = "call p99 of others without"
    yield rate(CASE, base, p99, "us")
    yield against(CASE, "call p99 of others while they come back", p99_beside, "us", base=base, bases=p99, least=None)


def _place(tenant: Tenant) -> Welcome:
    """Where the store is now."""
    client = Subscriber(tenant.port)
    said = client.greet(Crowd(subscribers=1, port=tenant.port, token=tenant.token))
    client.socket.close()
    return said


def _beside(crowd: Crowd, tenant: Tenant, calls: Load) -> float:
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(tenant.load, calls)
        _: Delivered = run_crowd(crowd, tenant.process.pid)
        return loading.result().p99_us
