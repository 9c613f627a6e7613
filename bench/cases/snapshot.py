"""snapshot: what calls notice while the server has all its rows written down, and how fast and how large that is.

Laws: calls come at half of the rate that saturates the server, each when it is due, and its time counts from there. The
snapshot is the server's own: a process behind all others in priority, on the server's own core. Quiet and snapshotted
moments are of the same run. After each round every block has changed, so nothing is shared with the one before.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from bench.load import Load, Measured
from bench.machine import children, peak_bytes, percentile
from bench.peers import BenchError
from bench.peers.redis import Redis
from bench.peers.tenant import Tenant
from bench.results import Result, against, missing, rate, rounded, within
from bench.workload import PATIENT

CASE: Final = "snapshot"
PEERS: Final = ("redis (BGSAVE)",)
ROWS: Final = (1_000_000, 5_000_000)
ROWS_QUICK: Final = (1_000_000,)
ROUNDS: Final = 3
ROUNDS_QUICK: Final = 1
P99_FACTOR: Final = 2.0
"""How much higher the p99 may be while a snapshot is taken."""
QUIET_S: Final = 3.0
"""Seconds of load before a snapshot begins."""
SETTLED_S: Final = 0.25
"""Seconds after the load's beginning and after a snapshot's end that count for neither."""
SECONDS_PER_MILLION: Final = 6.0
"""Seconds of load in which a million rows are written down, about."""
SATURATION_CALLS: Final = 160 * 2_560
LOOK_S: Final = 0.05
"""Between two looks at the memory of a snapshot's process."""
ONLY_BY_HAND: Final = (
    "snapshot.bytes_between=0", "snapshot.transactions_between=0", "snapshot.interval_s=0",
    "snapshot.restart_time_max_s=0", "snapshot.keep_for_s=0", "snapshot.grace_s=0", "snapshot.keep_daily=0",
    PATIENT,
)  # fmt: skip


class Round(msgspec.Struct, frozen=True):
    """What one load with a snapshot in it has shown."""

    quiet_us: float
    during_us: float
    """The p99 of each."""
    quiet_p50_us: float
    during_p50_us: float
    seconds: float
    """From the asking to the answer."""
    taken: dict[str, Any]
    """What the process said of its snapshot."""
    peak: int
    """Bytes of RAM that it held at most."""
    server_peak: int
    late_us: float
    """How late the generator itself was, the p99."""


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """Each number of rows by itself, the store and then Redis."""
    directory.mkdir()
    for rows in ROWS_QUICK if quick else ROWS:
        yield from _store(directory, rows, ROUNDS_QUICK if quick else ROUNDS, quick=quick)


def _store(directory: Path, rows: int, rounds: int, *, quick: bool) -> Iterator[Result]:
    size = f"{rows // 1_000_000}M rows"
    with Tenant(directory / f"store-{rows}", accounts=rows, options=ONLY_BY_HAND) as tenant:
        saturated = tenant.load(Load(calls=SATURATION_CALLS, accounts=rows)).rate
        seconds = QUIET_S + SECONDS_PER_MILLION * rows / 1e6 * (1 if quick else 1.5)
        found = [
            _round(tenant, Load(calls=_calls(saturated / 2 * seconds), rate=saturated / 2, accounts=rows, seed=seed))
            for seed in range(1, rounds + 1)
        ]
        tenant.call_each("deposit", [(1, 1)])  # So that there is something new.
        at_rest = tenant.snapshot()
        if tenant.total() != rows * 1_000_000_000 + 1:
            raise BenchError(f"the store ends with a total of {tenant.total()}")
    yield rate(CASE, f"saturation, {size}", [saturated], "calls/s")
    yield rate(CASE, f"call p50 at half of that, {size}", [each.quiet_p50_us for each in found], "us")
    base = f"call p99 at half of that, {size}"
    quiet = [each.quiet_us for each in found]
    yield rate(CASE, base, quiet, "us")
    yield rate(CASE, f"call p50 while a snapshot is taken, {size}", [each.during_p50_us for each in found], "us")
    during = [each.during_us for each in found]
    yield within(
        CASE, f"call p99 while a snapshot is taken, {size}", during, "us", base=base, bases=quiet, most=P99_FACTOR
    )
    yield rate(CASE, f"of it the generator's own lateness, p99, {size}", [each.late_us for each in found], "us")
    yield rate(CASE, f"seconds of it, asked to answered, {size}", [each.seconds for each in found], "s")
    yield Result(CASE, f"of {size}, written anew", rounded(_written(found) * 100), "%")
    written = [each.taken["rows_written"] / each.taken["seconds"] for each in found]
    yield rate(CASE, f"written under load, {size}", written, "rows/s")
    yield rate(CASE, f"peak memory of the server, {size}", [found[-1].server_peak / 2**20], "MiB")
    yield rate(CASE, f"peak memory of the snapshot's process, {size}", [each.peak / 2**20 for each in found], "MiB")
    yield rate(CASE, f"bytes written, {size}", [each.taken["bytes_written"] for each in found], "bytes")
    yield Result(CASE, f"a second one at rest, {size}: blocks shared", at_rest["blocks_reused"], "blocks")
    yield from _beside_redis(directory, rows, size, written)


def _written(found: Sequence[Round]) -> float:
    return float(sum(each.taken["rows_written"] for each in found) / sum(each.taken["rows"] for each in found))


def _beside_redis(directory: Path, rows: int, size: str, written: Sequence[float]) -> Iterator[Result]:
    if not Redis.installed():
        yield missing(CASE, f"redis, BGSAVE of {size}")
        return
    with Redis(directory / f"redis-{rows}", accounts=rows) as peer:
        watch = Peak(lambda: children(peer.process.pid))
        with watch:
            saved = [rows / peer.save() for _ in written]
        base = f"redis BGSAVE, {size}"
        yield rate(CASE, base, saved, "rows/s")
        yield against(
            CASE, f"written under load, {size}, beside BGSAVE at rest", written, "rows/s", base=base, bases=saved,
            least=None,
        )  # fmt: skip
        yield rate(CASE, f"peak memory of redis, {size}", [peak_bytes(peer.process.pid) / 2**20], "MiB")
        yield rate(CASE, f"peak memory of its BGSAVE, mostly shared, {size}", [watch.bytes / 2**20], "MiB")
        yield rate(CASE, f"bytes of its file, {size}", [peer.saved_bytes()], "bytes")


def _calls(count: float) -> int:
    """Rounded to what 64 connections send in frames of 40."""
    return max(int(count) // 2_560, 1) * 2_560


def _round(tenant: Tenant, load: Load) -> Round:
    """A load, and a snapshot asked for in its midst."""
    snapshot = Snapshot(tenant)
    with Peak(lambda: children(tenant.process.pid)) as watch:
        measured = tenant.load(load, on_begin=snapshot.begin)
        snapshot.join()
    began, ended = snapshot.began, snapshot.ended
    quiet, during = _split(measured, began, ended)
    return Round(
        percentile(quiet, 0.99) * 1e6,
        percentile(during, 0.99) * 1e6,
        percentile(quiet, 0.50) * 1e6,
        percentile(during, 0.50) * 1e6,
        ended - began,
        snapshot.taken,
        watch.bytes,
        peak_bytes(tenant.process.pid),
        measured.late_us,
    )


def _split(measured: Measured, began: float, ended: float) -> tuple[list[float], list[float]]:
    """What calls took that were due in quiet moments, and while a snapshot was taken."""
    first = measured.samples[0][0] + SETTLED_S
    quiet = [took for due, took in measured.samples if first <= due < began or due > ended + SETTLED_S]
    during = [took for due, took in measured.samples if began <= due <= ended]
    if not quiet or not during:
        raise BenchError("the load did not last until a snapshot was under way")
    return quiet, during


class Snapshot(threading.Thread):
    """Asks for one, some seconds after the load began."""

    def __init__(self, tenant: Tenant) -> None:
        super().__init__()
        self._tenant = tenant
        self.began = self.ended = 0.0
        self.taken: dict[str, Any] = {}

    def begin(self) -> None:
        """The load begins."""
        self.start()

    def run(self) -> None:
        """Wait, ask, and note when."""
        time.sleep(QUIET_S)
        self.began = time.monotonic()
        self.taken = self._tenant.snapshot()
        self.ended = time.monotonic()


class Peak:
    """Watches the memory of the processes that `found` names, for as long as this context is open."""

    def __init__(self, found: Callable[[], list[int]]) -> None:
        self._found = found
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.bytes = 0
        """What one of them has held, at most."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        with ExitStack() as stack:
            stack.callback(self._done.set)
            while not self._done.wait(LOOK_S):
                self.bytes = max([self.bytes, *map(peak_bytes, self._found())])
