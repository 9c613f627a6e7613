"""The audit trail of a store that runs: a process that follows the log and ships, kept going, listened to, and heeded.

Laws: a caller never waits for it. Whatever happens to the process, it is started again, ever less often, or as soon as
somebody asks for it (the file `wake` in the audit folder, as `store audit init` and `status` leave it there). The log
is held back for it from before its first start. What it says of itself is what metrics and operators are told. While
its ledger is full calls are refused or not, as the option says; reads go on. At a stop it has a few seconds to ship
what the stop itself left in the log; the rest it ships when it is started again.
"""

import asyncio
import dataclasses
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from store.audit.keeping import CURSOR_REASON
from store.audit.options import WAKE, AuditOptions, audit_folder
from store.audit.owing import CURSOR, Shipped
from store.engine.engine import Engine
from store.ids import Offset
from store.server.child import Child, Ended, Event
from store.server.figures import number
from store.server.metrics import Measured
from store.server.runner import Runner
from store.snapshot.repository import Pin, Repository
from store.transaction import Kind
from store.values import encode

COMMAND: Final = (sys.executable, "-m", "store")
REASON: Final = "audit"
"""Why calls are refused while the ledger is full."""
RETRY_MIN_S: Final = 1.0
RETRY_MAX_S: Final = 300.0
"""Seconds before the process is started again, the first time and at most."""
LOOK_INTERVAL_S: Final = 1.0
"""Seconds between two looks at whether somebody asked for it to be started sooner."""
WELL_S: Final = 600.0
"""Seconds after which a process that ran so long counts as having been well."""
SILENCE_MAX_S: Final = 600.0
"""Seconds it may say nothing: longer than the slowest request to a bucket, with its repetitions."""
TOLD_MAX: Final = 1_000
"""Characters of why the process ended that the log keeps."""
STATUS, ACT = "status", "act"
EXIT_FULL: Final = 17
"""What a process ends with whose ledger has no room (store/cli/exits.py: OVERLOADED)."""

logger: Final = logging.getLogger(__name__)


class Auditing:
    """Keeps the process going. Without `data` (a store in memory), or where the option says so, there is none."""

    def __init__(
        self,
        engine: Engine,
        runner: Runner,
        *,
        data: Path | None,
        options: AuditOptions,
        command: Sequence[str] | None = None,
    ) -> None:
        self._engine: Final = engine
        self._runner: Final = runner
        self._data: Final = None if data is None else data.absolute()
        self._options: Final = options
        self._command: Final = tuple(COMMAND if command is None else command)
        self._loop: Final = asyncio.get_running_loop()
        self._executor: Final = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._child: Child | None = None
        self._working: asyncio.Task[None] | None = None
        self._awake: Final = asyncio.Event()
        self._stopping = False
        self.status: Event = {}
        """What the process said last of where it stands; kept when it ends."""
        self.problem = ""
        """Why it does not run, or what keeps it from shipping; "" while all is well."""
        self.starts = 0
        self._left: Offset | None = None
        """Where no trail is written: behind which offset a cursor that one left held the log back at the start."""
        self._heard_at = engine.world.clock.monotonic()
        """When it said so; before the first word, when this was made."""

    @property
    def on(self) -> bool:
        """Whether there is a trail at all."""
        return self._options.on and self._data is not None

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Hold the log back, begin the heartbeat, and start the process."""
        if self._data is None:
            return
        repository = Repository(self._engine.world.disk)
        cursor = repository.pins().get(CURSOR)
        if not self.on:
            if cursor is not None:
                self._left = cursor.offset
                self.problem = (
                    f"no audit trail is written, and its cursor holds the log back behind offset {cursor.offset}: "
                    f"`store snapshot unpin {CURSOR}` lets it go, unshipped"
                )
                logger.warning("%s", self.problem)
            return
        if cursor is None:
            repository.pin(CURSOR, Pin(Offset(0), CURSOR_REASON, None, "cursor"))
        if self._options.heartbeat_s:
            self._engine.housekeeping.beat_every(self._options.heartbeat_s, self._beat)
        self._working = self._loop.create_task(self._work(), name="audit")

    async def finish(self) -> None:
        """Let it ship what is in the log, for a few seconds, and end it. The engine is closed by now."""
        self._stopping = True
        self._awake.set()
        if self._child is not None:
            self._child.stop("the server stops")
        if self._working is not None:
            await asyncio.wait({self._working})
        self._executor.shutdown()

    def measured(self) -> Measured:
        """What metrics tell of it."""
        said = self.status
        batches = said.get("batches")
        counts = batches if isinstance(batches, Mapping) else {}
        return Measured(
            {
                "store_audit_running": self.pid is not None,
                "store_audit_well": self.on and not self.problem,
                "store_audit_starts_total": self.starts,
                "store_audit_events": number(said, "events"),
                "store_audit_offset": number(said, "shipped_offset"),
                "store_audit_lag_records": self.lag_records(),
                "store_audit_lag_seconds": self.lag_s(),
                "store_audit_held_records": self._held_records(),
                "store_audit_ledger_bytes": number(said, "ledger_bytes"),
                "store_audit_ledger_full": bool(said.get("full")),
                "store_audit_checkpoint_events": number(said, "checkpoint_events"),
                "store_audit_checkpoint_timestamp_seconds": number(said, "checkpoint_at"),
                "store_audit_found_total": number(said, "found_count"),
                "store_audit_missing_events": number(said, "missing_events"),
                "store_audit_verified_timestamp_seconds": number(said, "verified_at"),
            },
            {"store_audit_batches": {str(state): int(number(counts, state)) for state in counts}},
        )

    def lag_records(self) -> int:
        """Durable records that are not in the store with their checkpoint; 0 where there is no trail."""
        if not self.on:
            return 0
        return max(self._engine.log.durable_offset - int(number(self.status, "shipped_offset")), 0)

    def _held_records(self) -> int:
        """Records that a cursor keeps in the log though no trail is written, as the start found it."""
        return 0 if self._left is None else max(self._engine.log.durable_offset - self._left, 0)

    def lag_s(self) -> float:
        """How old the oldest record is that is not shipped, as far as is known; it grows while nothing is heard."""
        if not self.lag_records():
            return 0.0
        return number(self.status, "lag_s") + self._engine.world.clock.monotonic() - self._heard_at

    def shipped(self) -> Shipped | None:
        """How far the process said that the trail is in its store; None: it has not said so."""
        match self.status.get("shipped"):
            case [str(epoch), int(offset)]:
                return Shipped(epoch, offset)
        return None

    def told(self) -> dict[str, Any]:
        """What an operator is told who asks."""
        return {
            "on": self.on,
            "process": self.pid,
            "starts": self.starts,
            "problem": self.problem,
            "lag_records": self.lag_records(),
            "lag_s": round(self.lag_s(), 3),
            "full": self._options.full,
            **({"status": dict(self.status)} if self.status else {}),
        }

    def _beat(self) -> None:
        self._engine.write_path.record(Kind.ADMIN, "heartbeat", b"\x90")
        if self._engine.housekeeping.policy is not None:
            self._engine.housekeeping.policy.recorded(self._engine.write_path.last_offset)

    async def _work(self) -> None:
        """One process after the other, until the server stops."""
        failures, told = 0, ""
        while not self._stopping:
            ended = await self._run()
            if self._stopping:
                break
            failures = 1 if ended.seconds >= WELL_S else failures + 1
            pause = min(RETRY_MAX_S, RETRY_MIN_S * 2.0 ** min(failures - 1, 16))
            self.problem = ended.problem or "the audit process ended by itself"
            if ended.code == EXIT_FULL:  # Of its disk, say, so that it could not even tell where it stands.
                self._heed(full=True)
            logger.error("the audit trail is not written: %s; trying again in %.0f s", self.problem, pause)
            if self.problem != told:  # One that cannot begin says the same each time.
                told = self.problem
                self._record({"what": f"the process that ships ended: {told[:TOLD_MAX]}"})
            await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Until then, or until the server stops, or until somebody says that it may work now."""
        end = self._loop.time() + seconds
        while (left := end - self._loop.time()) > 0 and not self._asked():
            try:
                await asyncio.wait_for(self._awake.wait(), min(left, LOOK_INTERVAL_S))
            except TimeoutError:
                continue
            return

    def _asked(self) -> bool:
        """Whether somebody left the file that asks for it; then it is gone."""
        assert self._data is not None
        try:
            (audit_folder(self._data, self._options) / WAKE).unlink()
        except OSError:
            return False
        return True

    async def _run(self) -> Ended:
        child = self._child = Child(
            (*self._command, "audit", "ship", str(self._data), "--json", "--follow", *self._set_options()),
            silence_max_s=SILENCE_MAX_S,
            time_max_s=float("inf"),
            environment={"STORE_CONFIG": os.devnull},  # It goes by this server's options, not by a file's.
            idle=False,
        )
        self.starts += 1
        try:
            return await self._loop.run_in_executor(self._executor, child.run, self._heard)
        finally:
            self._child = None

    def _set_options(self) -> list[str]:
        return [
            f"--set=audit.{each.name}={_text(getattr(self._options, each.name))}"
            for each in dataclasses.fields(self._options)
            if getattr(self._options, each.name) != each.default
        ]

    def _heard(self, event: Event) -> None:
        self._loop.call_soon_threadsafe(partial(self._hear, event))

    def _hear(self, event: Event) -> None:
        """One line of the process."""
        kind = event.get("event")
        content = {name: value for name, value in event.items() if name != "event"}
        if kind == STATUS:
            self.status, self._heard_at = content, self._engine.world.clock.monotonic()
            self.problem = str(content.get("problem") or "")
            self._heed(full=bool(content.get("full")))
        elif kind == ACT and not self._stopping:
            logger.warning("audit: %s", content.get("what"))
            self._record(content)

    def _record(self, content: Mapping[str, Any]) -> None:
        """What became of the trail is an administrative act, where there is room for it."""
        if self._engine.housekeeping.has_room:
            with self._runner.whole():
                self._engine.write_path.record(Kind.ADMIN, REASON, encode([content, []]))
            self._runner.wake()

    def _heed(self, *, full: bool) -> None:
        """What a full ledger means for calls."""
        admission = self._engine.admission
        if full and self._options.full == "refuse":
            admission.close(
                REASON,
                "the audit ledger is full: see why nothing is shipped (store audit status), or set audit.full=continue",
            )
        elif REASON in admission.reasons:
            admission.open(REASON)


def _text(value: object) -> str:
    """A value as a flag has it."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
