"""Snapshots, drills and backups of a store that runs: when they are due, children of the server work on them.

Laws: one piece of work at a time, in the order in which it came due or was asked for. Whatever happens to it, calls go
on, and a failure is tried again later. What was done is told once its record is durable. What a piece of work does is
in works.py, and what it does it with in workshop.py; here is when.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from store.audit.owing import Shipped, expect_nothing_owed
from store.backup.options import BackupOptions
from store.engine.engine import Engine
from store.engine.housekeeping import SYSTEM_SPACE_MIN
from store.engine.identity import Caller
from store.engine.snapshot_policy import SnapshotPolicy
from store.env.posix import PosixDisk
from store.errors import Overloaded, Refused, StoreError
from store.ids import Offset
from store.log.survey import segments
from store.server import works
from store.server.maintenance_options import MaintenanceOptions
from store.server.metrics import Measured
from store.server.runner import Runner
from store.server.schedule import Schedule
from store.server.workshop import Done, Job, Workshop
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Repository
from store.upkeep import generations

BY_HAND: Final = "by hand"
SPACE_MIN: Final = 64 * SYSTEM_SPACE_MIN
"""Bytes of free disk below which a child that writes is ended: the store's own records need them."""
FIRST_DRILL_S: Final = 3_600.0
FIRST_PUSH_S: Final = 60.0
"""Seconds after a start to the first one that is scheduled, at most: so that restarts never put it off for good."""

logger: Final = logging.getLogger(__name__)


class Maintenance:
    """What a server does beside serving. Without `data` (a store in memory) only what needs no child."""

    def __init__(
        self,
        engine: Engine,
        runner: Runner,
        *,
        data: Path | None,
        snapshots: SnapshotOptions,
        options: MaintenanceOptions,
        backup: BackupOptions,
        stopping: Callable[[], bool] = lambda: False,
        command: Sequence[str] | None = None,
    ) -> None:
        self._told_to_stop: Final = stopping
        self._clock: Final = engine.world.clock
        self.policy: Final = SnapshotPolicy(snapshots, now=self._clock.monotonic(), space_min=SPACE_MIN)
        shop = self._shop = Workshop(
            engine,
            runner,
            data=data,
            snapshots=snapshots,
            options=options,
            backup=backup,
            policy=self.policy,
            command=command,
        )
        self.live: Final = shop.live
        self.figures: Final = shop.figures
        self._engine: Final = engine
        self._jobs: Final[deque[Job]] = deque()
        self._current: Job | None = None
        self._working: asyncio.Task[None] | None = None
        self._asked: Job | None = None
        self._confirming: Final = asyncio.Lock()
        self._drills: Final = Schedule(snapshots.drill_interval_s, FIRST_DRILL_S, self._clock.monotonic())
        self._pushes: Final = Schedule(backup.interval_s, FIRST_PUSH_S, self._clock.monotonic())

    # Its life.

    def start(self) -> None:
        """See what there is, and begin to look at what is due with every round of housekeeping."""
        self._shop.runner.every_tick(self._look)
        if self._shop.data is None:
            return
        try:
            self._look_back()
        except (StoreError, OSError) as error:  # Old log or a note that does not read is no reason not to serve.
            self._shop.failed("snapshot", str(error))
            self.policy.failed(str(error), now=self._clock.monotonic())
        tables = self._engine.database.tables
        self._engine.housekeeping.follow_policy(self.policy, lambda: sum(map(len, tables.values())))

    async def finish(self) -> None:
        """End the child and let those who wait know. Comes back within the child's grace."""
        self._begin_to_stop()
        if self._working is not None:
            await asyncio.wait({self._working})
        self._shop.executor.shutdown()

    @property
    def working(self) -> str:
        """What the child works on now: snapshot, retention, drill, backup; "" for nothing."""
        return "" if self._current is None else self._current.kind

    @property
    def child_pid(self) -> int | None:
        """The process id of the child that works now."""
        return None if self._shop.child is None else self._shop.child.pid

    def restart_estimate_s(self) -> float:
        """How long a restart would take now."""
        return self.policy.restart_estimate_s(self._engine.housekeeping.situation())

    def measured(self) -> Measured:
        """What metrics tell of all this."""
        values, labelled = self.figures.measured()
        more: dict[str, float] = {
            "store_snapshot_offset": self.policy.snapshot_offset,
            "store_snapshot_retry_seconds": self.retry_in_s(),
            "store_restart_estimate_seconds": self.restart_estimate_s(),
            "store_fingerprint_slice_max_seconds": self.live.slice_max_s,
        }
        working = {"store_maintenance_working": {self.working: 1} if self.working else {}}
        return Measured({**values, **more}, {**labelled, **working})

    def state(self) -> dict[str, Any]:
        """What the child works on and how far it is, what waits, and how it last went; plain values."""
        job, policy = self._current, self.policy
        state: dict[str, Any] = {
            "working": self.working,
            "reason": "" if job is None else job.reason,
            "seconds": 0.0 if job is None else round(self._clock.monotonic() - job.begun, 3),
            "process": self.child_pid,
            "progress": self._shop.progress,
            "waiting": [{"kind": each.kind, "reason": each.reason} for each in self._jobs],
            "last": self.figures.last(),
        }
        planned = {"problem": policy.problem, "failures": policy.failures, "retry_in_s": self.retry_in_s()}
        return {**state, **planned, "restart_estimate_s": self.restart_estimate_s()}

    def retry_in_s(self) -> float:
        """Seconds until a snapshot is tried again after a failure; 0 while none is put off."""
        return max(self.policy.retry_at - self._clock.monotonic(), 0.0) if self.policy.failures else 0.0

    # What operators may ask for.

    def snapshot(self, caller: Caller) -> "asyncio.Future[Done]":
        """Take one now: behind the newest transaction that is durable by now."""
        self._check_able()
        if self._engine.admission.doubts_clock:
            raise Refused("clock_in_doubt", message="snapshots wait until the clock is confirmed")
        if self._asked is None:
            self._asked = Job("snapshot", BY_HAND, said=_said_by(caller))
            self.policy.ask(BY_HAND)
        return self._wait_for(self._asked)

    def drill(self, caller: Caller) -> "asyncio.Future[Done]":
        """Rehearse a restore now, and compare."""
        self._check_able()
        job = next((each for each in self._jobs if each.kind == "drill"), None)
        return self._wait_for(job or self._add(Job("drill", BY_HAND, said=_said_by(caller))))

    async def confirm(self, caller: Caller, shipped: Shipped | None, *, give_up: bool) -> tuple[Offset, int]:
        """Let go the files from before the last restore in place, which nothing here reads: (of its record, bytes).

        `shipped` is how far the audit trail is known to be; `give_up` lets go what it has not taken, and is recorded.
        NotRestorable: nothing was restored in place, or it was decided already. Unshipped: the trail still wants them.
        """
        self._check_able()
        assert self._shop.data is not None
        async with self._confirming:
            freed = await asyncio.to_thread(_confirm, self._shop.data, shipped, give_up=give_up)
        said = {"reason": BY_HAND, "bytes": freed, **({"gave_up_unshipped": True} if give_up else {})}
        return self._shop.record("confirm", said, _said_by(caller)), freed

    # What is due.

    def _look(self) -> None:
        """With every round of housekeeping."""
        if self._told_to_stop():
            self._begin_to_stop()
        if self._shop.stopping:
            return
        if self._engine.admission.doubts_clock:
            self._turn_away("the clock came into doubt: snapshots wait until it is confirmed")
        request = self._engine.housekeeping.take_request()
        if request is not None:
            job, self._asked = (self._asked, None) if request.reason == BY_HAND and self._asked else (None, self._asked)
            job = job or Job("snapshot" if request.take else "retention", request.reason)
            job.request = request
            self._add(job)
        if self._shop.data is not None:
            now = self._clock.monotonic()
            for kind, schedule in (("drill", self._drills), ("backup", self._pushes)):
                if schedule.due(now):
                    self._add(Job(kind, "interval"))
        if self._shop.child is not None and self._shop.takes and self._engine.housekeeping.free_bytes < SPACE_MIN:
            self._shop.child.stop(f"less than {SPACE_MIN} bytes of disk are free")

    def _add(self, job: Job) -> Job:
        self._jobs.append(job)
        if self._working is None or self._working.done():
            self._working = self._shop.loop.create_task(self._work(), name="maintenance")
        return job

    def _wait_for(self, job: Job) -> "asyncio.Future[Done]":
        future: asyncio.Future[Done] = self._shop.loop.create_future()
        job.waiting.append(future)
        return future

    async def _work(self) -> None:
        """Everything that waits, one after the other."""
        while self._jobs:
            job = self._current = self._jobs.popleft()
            job.begun = self._clock.monotonic()
            try:
                done = await self._carry_out(job)
            except Exception as error:
                logger.exception("%s failed by an error of the server's own", job.kind)
                done = Done(f"{type(error).__name__}: {error}", Offset(0), {})
                self._shop.failed(job.kind, done.problem)
                if job.request is not None and self.policy.running is job.request:
                    self.policy.failed(done.problem, now=self._clock.monotonic())
            finally:
                self._current, self._shop.progress = None, {}
            job.answer(done)

    async def _carry_out(self, job: Job) -> Done:
        if self._shop.stopping:
            return Done("the store is stopping", Offset(0), {})
        if job.request is not None:
            return await works.snapshot(self._shop, job, job.request)
        carry_out, schedule = (works.drill, self._drills) if job.kind == "drill" else (works.push, self._pushes)
        ok = False
        try:
            done = await carry_out(self._shop, job)
            ok = not done.problem
        finally:
            schedule.done(self._clock.monotonic(), ok=ok)
        return done

    def _check_able(self) -> None:
        if self._shop.stopping:
            raise Overloaded("the store is stopping")
        if self._shop.data is None:
            raise Refused("no_directory", message="this store keeps no data directory that a child could read")
        jobs = (*self._jobs, *(each for each in (self._asked, self._current) if each is not None))
        waiting = sum(len(each.waiting) for each in jobs)
        if waiting >= self._shop.options.waiting_max:
            raise Overloaded(f"{waiting} requests wait already, at most {self._shop.options.waiting_max} may")

    def _begin_to_stop(self) -> None:
        self._shop.stop()
        self._turn_away("the store is stopping")

    def _turn_away(self, why: str) -> None:
        """Answer those whose snapshot is not even begun."""
        if self._asked is not None:
            job, self._asked = self._asked, None
            job.answer(Done(why, Offset(0), {}))

    def _look_back(self) -> None:
        """Where the newest snapshot stands, how old it is, and how much log came after it."""
        disk, report = self._engine.world.disk, self._engine.report
        found, _ = Repository(disk).whole()
        newest = found[0] if found else None
        offset = newest.offset if newest is not None else Offset(0)
        age = 0.0 if newest is None else (self._clock.wall() - newest.taken) / 1e6
        size = 0 if newest is None else newest.size
        behind = sum(each.size for each in segments(disk) if each.whole_offset > offset)
        situation = self._engine.housekeeping.situation()
        self.policy.begin(situation, newest=offset, age_s=age, log_bytes=behind, size=size)
        self.policy.measured(rows=report.rows_loaded, load_s=report.load_seconds)
        self.policy.measured(transactions=report.replayed, replay_s=report.replay_seconds)
        if newest is not None:
            self.figures.snapshot_at = newest.taken / 1e6


def _confirm(data: Path, shipped: Shipped | None, *, give_up: bool) -> int:
    root = PosixDisk(data)
    name = generations.previous(root)
    old = PosixDisk(data / (name or generations.ROOT), root=data)
    if name is not None and not give_up and not generations.given_up(root):
        current = PosixDisk(data / generations.current(root), read_only=True, root=data)
        expect_nothing_owed(old, current, lambda: shipped)
    return generations.confirm(root, old)


def _said_by(caller: Caller) -> tuple[str, str]:
    return caller.identity.sender
