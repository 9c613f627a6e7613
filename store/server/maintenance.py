"""Snapshots, drills and backups of a store that runs: when they are due, children of the server work on them.

Laws: one child at a time, behind all others in priority, bounded in time and in silence; when the server stops it is
ended by its process id. Whatever happens to a child, calls go on: a failure is counted, said and tried again later.
What was done is a record in the log (ADMIN), and is told once that is durable. Everything here but a child's own life
happens on the loop's thread.
"""

import asyncio
import dataclasses
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from store.backup.options import BackupOptions
from store.engine.engine import Engine
from store.engine.housekeeping import SYSTEM_SPACE_MIN
from store.engine.identity import Caller
from store.engine.snapshot_policy import SnapshotPolicy, SnapshotRequest
from store.env.posix import PosixDisk
from store.errors import ConfigError, Overloaded, Refused, StoreError
from store.ids import Offset, Timestamp
from store.log.survey import segments
from store.server.child import Child, Ended, Event
from store.server.figures import Figures, counts_of, number
from store.server.live import Live
from store.server.metrics import Measured, count
from store.server.runner import Runner
from store.server.schedule import Schedule
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Repository
from store.transaction import Kind
from store.upkeep import generations
from store.values import encode

COMMAND: Final = (sys.executable, "-m", "store")
BY_HAND: Final = "by hand"
SPACE_MIN: Final = 64 * SYSTEM_SPACE_MIN
"""Bytes of free disk below which a child that writes is ended: the store's own records need them."""
FIRST_DRILL_S: Final = 3_600.0
FIRST_PUSH_S: Final = 60.0
"""Seconds after a start to the first one that is scheduled, at most: so that restarts never put it off for good."""
SILENT_END: Final = "it said nothing of how it ended"
DRILL_FOLDER_PREFIX: Final = "store-drill-"

TAKEN, PRUNED, DRILLED, PUSHED, PROGRESS = "taken", "pruned", "drilled", "pushed", "progress"
BACKUP_PRUNED: Final = "backup_pruned"

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaintenanceOptions:
    """The options of what a server does for itself beside serving."""

    child_silence_max_s: float = 600.0
    """Seconds a child that takes a snapshot, rehearses a restore or pushes a backup may say nothing, default 600; then
    it is ended, and tried again later. More is kind to a busy machine, where it runs only when nobody else wants to;
    less frees a hung one sooner."""

    child_time_max_s: float = 86_400.0
    """Seconds such a child may take in all, default 86,400. More lets a first backup over a slow line end; less bounds
    how long one that makes no headway keeps the others waiting."""

    drill_folder: Path | None = None
    """A path to the folder a drill restores into and removes afterwards, default none: the system's temporary folder.
    Outside the data directory, with room for one copy of it; another disk spares this one, the same one is as quick as
    a true restore would be."""

    waiting_max: int = 16
    """Requests of operators that may wait for a child at a time, default 16; past it they are answered 503. More is
    kind to scripts that ask often; less bounds what hangs on one child."""

    def __post_init__(self) -> None:
        """ConfigError names the field that cannot be."""
        for name in ("child_silence_max_s", "child_time_max_s", "waiting_max"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is more than 0, found {getattr(self, name)}")


@dataclass(frozen=True)
class Done:
    """How a piece of work ended."""

    problem: str
    """"" where it ended well."""
    offset: Offset
    """Of its record; 0 where there was no room for one, or nothing to record."""
    event: Event
    """What the child said last of it; empty where it failed before."""
    code: int | None = None
    """The child's exit code, where it failed by one of its own."""


@dataclass
class _Job:
    """One piece of work for a child, and those who wait for it."""

    kind: str
    reason: str
    request: SnapshotRequest | None = None
    said: Sequence[str] = ()
    """(issuer, subject) of the operator who asked first; () for the store itself."""
    waiting: list["asyncio.Future[Done]"] = field(default_factory=list)
    begun: float = 0.0
    """When a child began to work on it, by the monotonic clock."""

    def answer(self, done: Done) -> None:
        """Tell those who wait, and have not left."""
        for future in self.waiting:
            if not future.done():
                future.set_result(done)


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
        self._engine: Final = engine
        self._runner: Final = runner
        self._data: Final = None if data is None else data.absolute()
        self._snapshots: Final = snapshots
        self._options: Final = options
        self._backup: Final = backup
        self._told_to_stop: Final = stopping
        self._command: Final = tuple(COMMAND if command is None else command)
        self._loop: Final = asyncio.get_running_loop()
        self._clock: Final = engine.world.clock
        self._executor: Final = ThreadPoolExecutor(1, thread_name_prefix="child")
        self._jobs: Final[deque[_Job]] = deque()
        self._current: _Job | None = None
        self._child: Child | None = None
        self._takes = False
        self._working: asyncio.Task[None] | None = None
        self._asked: _Job | None = None
        self._stopping = False
        self._confirming: Final = asyncio.Lock()
        self.live: Final = Live(engine, runner)
        self._drills: Final = Schedule(snapshots.drill_interval_s, FIRST_DRILL_S, self._clock.monotonic())
        self._pushes: Final = Schedule(backup.interval_s, FIRST_PUSH_S, self._clock.monotonic())
        self.policy: Final = SnapshotPolicy(snapshots, now=self._clock.monotonic(), space_min=SPACE_MIN)
        self.figures: Final = Figures()
        self.progress: Event = {}
        """The newest word of the child that works; empty while none does."""

    # Its life.

    def start(self) -> None:
        """See what there is, and begin to look at what is due with every round of housekeeping."""
        self._runner.every_tick(self._look)
        if self._data is None:
            return
        try:
            self._look_back()
        except (StoreError, OSError) as error:  # Old log or a note that does not read is no reason not to serve.
            self._failed("snapshot", str(error))
            self.policy.failed(str(error), now=self._clock.monotonic())
        tables = self._engine.database.tables
        self._engine.housekeeping.follow_policy(self.policy, lambda: sum(map(len, tables.values())))

    async def finish(self) -> None:
        """End the child and let those who wait know. Comes back within the child's grace."""
        self._begin_to_stop()
        if self._working is not None:
            await asyncio.wait({self._working})
        self._executor.shutdown()

    @property
    def working(self) -> str:
        """What the child works on now: snapshot, retention, drill, backup; "" for nothing."""
        return "" if self._current is None else self._current.kind

    @property
    def child_pid(self) -> int | None:
        """The process id of the child that works now."""
        return None if self._child is None else self._child.pid

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
            "progress": self.progress,
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
            self._asked = _Job("snapshot", BY_HAND, said=_said_by(caller))
            self.policy.ask(BY_HAND)
        return self._wait_for(self._asked)

    def drill(self, caller: Caller) -> "asyncio.Future[Done]":
        """Rehearse a restore now, and compare."""
        self._check_able()
        job = next((each for each in self._jobs if each.kind == "drill"), None)
        return self._wait_for(job or self._add(_Job("drill", BY_HAND, said=_said_by(caller))))

    async def confirm(self, caller: Caller) -> tuple[Offset, int]:
        """Let go the files from before the last restore in place, which nothing here reads: (of its record, bytes).

        NotRestorable: nothing was restored in place, or it was decided already.
        """
        self._check_able()
        assert self._data is not None
        async with self._confirming:
            freed = await asyncio.to_thread(_confirm, self._data)
        return self._record("confirm", {"reason": BY_HAND, "bytes": freed}, _said_by(caller)), freed

    # What is due.

    def _look(self) -> None:
        """With every round of housekeeping."""
        if self._told_to_stop():
            self._begin_to_stop()
        if self._stopping:
            return
        if self._engine.admission.doubts_clock:
            self._turn_away("the clock came into doubt: snapshots wait until it is confirmed")
        request = self._engine.housekeeping.take_request()
        if request is not None:
            job, self._asked = (self._asked, None) if request.reason == BY_HAND and self._asked else (None, self._asked)
            job = job or _Job("snapshot" if request.take else "retention", request.reason)
            job.request = request
            self._add(job)
        if self._data is not None:
            now = self._clock.monotonic()
            for kind, schedule in (("drill", self._drills), ("backup", self._pushes)):
                if schedule.due(now):
                    self._add(_Job(kind, "interval"))
        if self._child is not None and self._takes and self._engine.housekeeping.free_bytes < SPACE_MIN:
            self._child.stop(f"less than {SPACE_MIN} bytes of disk are free")

    def _add(self, job: _Job) -> _Job:
        self._jobs.append(job)
        if self._working is None or self._working.done():
            self._working = self._loop.create_task(self._work(), name="maintenance")
        return job

    def _wait_for(self, job: _Job) -> "asyncio.Future[Done]":
        future: asyncio.Future[Done] = self._loop.create_future()
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
                self._failed(job.kind, done.problem)
                if job.request is not None and self.policy.running is job.request:
                    self.policy.failed(done.problem, now=self._clock.monotonic())
            finally:
                self._current, self.progress = None, {}
            job.answer(done)

    async def _carry_out(self, job: _Job) -> Done:
        if self._stopping:
            return Done("the store is stopping", Offset(0), {})
        if job.request is not None:
            return await self._snapshot(job, job.request)
        carry_out, schedule = (self._drill, self._drills) if job.kind == "drill" else (self._push, self._pushes)
        ok = False
        try:
            done = await carry_out(job)
            ok = not done.problem
        finally:
            schedule.done(self._clock.monotonic(), ok=ok)
        return done

    # Snapshots, and what they let go.

    async def _snapshot(self, job: _Job, request: SnapshotRequest) -> Done:
        take = request.take
        if take:
            await self._seal()
        words = ("snapshot", "take") if take else ("snapshot", "prune")
        self._takes = take
        room = f"--free-min={self._engine.housekeeping.reserve}"
        prune = ["--prune"] if take else []
        ended, said = await self._run(*words, str(self._data), *prune, room, *self._set_snapshots())
        self._takes = False
        if take and PRUNED not in said and not self._stopping:
            # It did not come to that; old log goes all the same, on a full disk above all.
            _, more = await self._run("snapshot", "prune", str(self._data), room, *self._set_snapshots())
            said |= more
        offset = self._note_pruned(said.get(PRUNED), reason=job.reason)
        if take:
            offset = self._note_taken(job, ended, said.get(TAKEN)) or offset
        elif ended.problem or PRUNED not in said:
            self._failed("snapshot", ended)
            self.policy.failed(ended.problem or SILENT_END, now=self._clock.monotonic())
        wanted = said.get(TAKEN if take else PRUNED, {})
        return Done("" if wanted else ended.problem or SILENT_END, offset, wanted)

    def _note_taken(self, job: _Job, ended: Ended, taken: Event | None) -> Offset:
        figures, now = self.figures, self._clock.monotonic()
        if taken is None:
            problem = ended.problem or SILENT_END
            self._failed("snapshot", ended)
            self.policy.failed(problem, now=now)
            return self._record("snapshot", {"reason": job.reason, "failed": problem}, job.said)
        count(figures.snapshots, job.reason)
        figures.snapshot, figures.snapshot_at = taken, self._clock.wall() / 1e6
        self.policy.took(Offset(int(taken["offset"])), now=now, size=int(taken.get("bytes") or 0))
        self._measure(taken)
        logger.info("snapshot %s taken (%s) in %.1f s", taken.get("name"), job.reason, number(taken, "seconds"))
        return self._record("snapshot", {"reason": job.reason, **taken}, job.said)

    def _note_pruned(self, pruned: Event | None, *, reason: str) -> Offset:
        if pruned is None:
            return Offset(0)
        self.figures.note_pruned(pruned)
        due = pruned.get("due")
        self.policy.pruned(
            now=self._clock.monotonic(), wall=self._clock.wall(), due=None if due is None else Timestamp(int(due))
        )
        if not (pruned.get("segments") or pruned.get("snapshots")):
            return Offset(0)
        return self._record("retention", {"reason": reason, **pruned}, ())

    def _measure(self, taken: Event) -> None:
        replayed, rate = int(taken.get("replayed") or 0), float(taken.get("replay_per_second") or 0.0)
        if rate > 0:
            self.policy.measured(transactions=replayed, replay_s=replayed / rate)

    # Drills.

    async def _drill(self, job: _Job) -> Done:
        """The live fingerprint here, a restore in a child: both of one offset, and the log sealed behind it."""
        figures = self.figures
        scratch: Path | None = None
        event: Event = {}
        code: int | None = None
        asked = self._loop.create_task(self.live.fingerprint())
        try:
            await asyncio.sleep(0)  # The pass begins, and with it the offset is known.
            await self.live.seal()
            live = await asked
            scratch = await asyncio.to_thread(self._make_scratch)
            ended, said = await self._run(
                *("snapshot", "drill", str(self._data), "--through", str(live.offset)),
                *("--fingerprint", live.fingerprint, "--scratch", str(scratch), *self._set_snapshots()),
            )
            event, code = said.get(DRILLED, {}), ended.code
            problem = "" if event else ended.problem or SILENT_END
        except (Overloaded, OSError) as error:
            problem = str(error)
        finally:
            asked.cancel()
            if scratch is not None:
                await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        same = bool(event.get("same"))
        count(figures.drills, "failed" if problem else "same" if same else "different")
        if problem:
            self._failed("drill", problem)
            offset = self._record("drill", {"reason": job.reason, "failed": problem}, job.said)
            return Done(problem, offset, {}, code)
        figures.drill, figures.drilled_at = event, self._clock.wall() / 1e6
        if same:
            figures.drill_at = self._clock.wall() / 1e6
        else:
            logger.error(
                "the drill restored other rows than the live ones at offset %s: expected fingerprint %s, found %s; "
                "run `store snapshot verify` and `store log verify` on %s, and keep everything",
                *(event.get("offset"), event.get("expected"), event.get("fingerprint"), self._data),
            )
        return Done("", self._record("drill", {"reason": job.reason, **event}, job.said), event)

    def _make_scratch(self) -> Path:
        """An empty folder of this store's own; what a killed drill left there goes first. OSError."""
        folder = self._options.drill_folder or Path(tempfile.gettempdir())
        name = DRILL_FOLDER_PREFIX + hashlib.sha256(str(self._data).encode()).hexdigest()[:16]
        scratch = folder.absolute() / name
        if scratch.is_symlink():
            raise FileExistsError(f"{scratch} is a link that somebody made: remove it")
        if scratch.exists():
            shutil.rmtree(scratch)
        scratch.mkdir(mode=0o700, parents=True)
        return scratch

    # Backups.

    async def _push(self, job: _Job) -> Done:
        await self._seal()  # Only what is sealed can be pushed.
        options = [
            f"--set=backup.{each.name}={_text(getattr(self._backup, each.name))}"
            for each in dataclasses.fields(self._backup)
            if getattr(self._backup, each.name) not in {None, ""}
        ]
        prune = ["--prune"] if self._backup.prune else []
        ended, said = await self._run("backup", "push", str(self._data), *prune, *options, *self._set_snapshots())
        event = said.get(PUSHED, {})
        if BACKUP_PRUNED in said:
            event = {**event, "pruned": counts_of(said[BACKUP_PRUNED])}
        problem = "" if event and not ended.problem else ended.problem or SILENT_END
        if problem:
            self._failed("backup", problem)
            return Done(problem, self._record("backup", {"reason": job.reason, "failed": problem}, job.said), event)
        self.figures.backup, self.figures.backup_at = event, self._clock.wall() / 1e6
        self.figures.backup_bytes += int(event.get("bytes_sent") or 0)
        return Done("", self._record("backup", {"reason": job.reason, **event}, job.said), event)

    # What they share.

    async def _run(self, *words: str) -> tuple[Ended, dict[str, Event]]:
        """One child from start to end; its last word of every kind."""
        said: dict[str, Event] = {}

        def heard(event: Event) -> None:
            self._loop.call_soon_threadsafe(partial(self._hear, said, event))

        options = self._options
        child = self._child = Child(
            (*self._command, *words, "--json", "--idle"),
            silence_max_s=options.child_silence_max_s,
            time_max_s=options.child_time_max_s,
            environment={"STORE_CONFIG": os.devnull},  # It goes by this server's options, not by a file's.
        )
        if self._stopping:
            child.stop("the server stops")
        try:
            return await self._loop.run_in_executor(self._executor, child.run, heard), said
        finally:
            self._child = None

    async def _seal(self) -> None:
        """So that all until now can be taken, and let go. Where that cannot be, what was sealed before will do."""
        with suppress(Overloaded):
            await self.live.seal()

    def _hear(self, said: dict[str, Event], event: Event) -> None:
        kind = str(event.get("event", ""))
        if kind == PROGRESS:
            self.progress = event
        elif kind:
            said[kind] = {name: value for name, value in event.items() if name != "event"}

    def _record(self, name: str, content: Mapping[str, Any], said: Sequence[str]) -> Offset:
        """Log what was done: what, and who asked. Nothing where not even that has room, or the store stops."""
        housekeeping = self._engine.housekeeping
        housekeeping.look_at_disk()
        if self._stopping or not housekeeping.has_room:
            return Offset(0)
        with self._runner.whole():
            answer = self._engine.write_path.record(Kind.ADMIN, name, encode([dict(content), list(said)]))
        self.policy.recorded(answer.offset)
        self._runner.wake()
        return answer.offset

    def _failed(self, what: str, how: Ended | str) -> None:
        """Count it and say so."""
        if self._stopping:
            return
        problem = how if isinstance(how, str) else how.problem or SILENT_END
        self.figures.note_failed(what, problem, at=self._clock.wall() / 1e6)
        logger.warning("%s failed: %s; calls go on, it is tried again later", what, problem)

    def _check_able(self) -> None:
        if self._stopping:
            raise Overloaded("the store is stopping")
        if self._data is None:
            raise Refused("no_directory", message="this store keeps no data directory that a child could read")
        jobs = (*self._jobs, *(each for each in (self._asked, self._current) if each is not None))
        waiting = sum(len(each.waiting) for each in jobs)
        if waiting >= self._options.waiting_max:
            raise Overloaded(f"{waiting} requests wait already, at most {self._options.waiting_max} may")

    def _begin_to_stop(self) -> None:
        self._stopping = True
        if self._child is not None:
            self._child.stop("the server stops")
        self._turn_away("the store is stopping")

    def _turn_away(self, why: str) -> None:
        """Answer those whose snapshot is not even begun."""
        if self._asked is not None:
            job, self._asked = self._asked, None
            job.answer(Done(why, Offset(0), {}))

    def _set_snapshots(self) -> list[str]:
        return [
            f"--set=snapshot.{each.name}={_text(getattr(self._snapshots, each.name))}"
            for each in dataclasses.fields(self._snapshots)
        ]

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


def check_drill_folder(options: MaintenanceOptions, data: Path | None) -> None:
    """ConfigError where a drill would restore into the data directory itself."""
    folder = options.drill_folder
    if folder is None or data is None:
        return
    here = data.resolve()
    if folder.resolve() == here or here in folder.resolve().parents:
        raise ConfigError(
            f"drill_folder {folder} lies in the data directory {data}", hint="Name a folder outside of it"
        )


def _confirm(data: Path) -> int:
    root = PosixDisk(data)
    old = generations.previous(root)
    return generations.confirm(root, PosixDisk(data / (old or generations.ROOT), root=data))


def _said_by(caller: Caller) -> tuple[str, str]:
    return caller.identity.sender


def _text(value: object) -> str:
    """A value as a flag has it."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
