"""Where the server's own work is done: one child at a time, what it said, and the record of what was done.

Laws: a child stands behind all others in priority, and is bounded in time and in silence; when the server stops it is
ended by its process id. What was done is a record in the log (ADMIN), and a failure is counted and said. Everything
here but a child's own life happens on the loop's thread.
"""

import asyncio
import dataclasses
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from store.backup.options import BackupOptions
from store.engine.engine import Engine
from store.engine.snapshot_policy import SnapshotPolicy, SnapshotRequest
from store.errors import Overloaded
from store.ids import Offset
from store.server.child import Child, Ended, Event
from store.server.figures import Figures
from store.server.live import Live
from store.server.maintenance_options import MaintenanceOptions
from store.server.runner import Runner
from store.snapshot.options import SnapshotOptions
from store.transaction import Kind
from store.values import encode

COMMAND: Final = (sys.executable, "-m", "store")
SILENT_END: Final = "it said nothing of how it ended"
PROGRESS: Final = "progress"

logger: Final = logging.getLogger(__name__)


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
class Job:
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


class Workshop:
    """What every piece of work needs: the engine, one child, and how its end is noted."""

    def __init__(
        self,
        engine: Engine,
        runner: Runner,
        *,
        data: Path | None,
        snapshots: SnapshotOptions,
        options: MaintenanceOptions,
        backup: BackupOptions,
        policy: SnapshotPolicy,
        command: Sequence[str] | None,
    ) -> None:
        self.engine: Final = engine
        self.runner: Final = runner
        self.data: Final = None if data is None else data.absolute()
        self.snapshots: Final = snapshots
        self.options: Final = options
        self.backup: Final = backup
        self.policy: Final = policy
        self.command: Final = tuple(COMMAND if command is None else command)
        self.loop: Final = asyncio.get_running_loop()
        self.clock: Final = engine.world.clock
        self.executor: Final = ThreadPoolExecutor(1, thread_name_prefix="child")
        self.child: Child | None = None
        self.takes = False
        """Whether the child writes into the directory."""
        self.stopping = False
        self.live: Final = Live(engine, runner)
        self.figures: Final = Figures()
        self.progress: Event = {}
        """The newest word of the child that works; empty while none does."""

    def stop(self) -> None:
        """No more is begun, and the child is ended."""
        self.stopping = True
        if self.child is not None:
            self.child.stop("the server stops")

    async def run(self, *words: str) -> tuple[Ended, dict[str, Event]]:
        """One child from start to end; its last word of every kind."""
        said: dict[str, Event] = {}

        def heard(event: Event) -> None:
            self.loop.call_soon_threadsafe(partial(self._hear, said, event))

        options = self.options
        child = self.child = Child(
            (*self.command, *words, "--json", "--idle"),
            silence_max_s=options.child_silence_max_s,
            time_max_s=options.child_time_max_s,
            environment={"STORE_CONFIG": os.devnull},  # It goes by this server's options, not by a file's.
        )
        if self.stopping:
            child.stop("the server stops")
        try:
            return await self.loop.run_in_executor(self.executor, child.run, heard), said
        finally:
            self.child = None

    async def seal(self) -> None:
        """So that all until now can be taken, and let go. Where that cannot be, what was sealed before will do."""
        with suppress(Overloaded):
            await self.live.seal()

    def _hear(self, said: dict[str, Event], event: Event) -> None:
        kind = str(event.get("event", ""))
        if kind == PROGRESS:
            self.progress = event
        elif kind:
            said[kind] = {name: value for name, value in event.items() if name != "event"}

    def record(self, name: str, content: Mapping[str, Any], said: Sequence[str]) -> Offset:
        """Log what was done: what, and who asked. Nothing where not even that has room, or the store stops."""
        housekeeping = self.engine.housekeeping
        housekeeping.look_at_disk()
        if self.stopping or not housekeeping.has_room:
            return Offset(0)
        with self.runner.whole():
            answer = self.engine.write_path.record(Kind.ADMIN, name, encode([dict(content), list(said)]))
        self.policy.recorded(answer.offset)
        self.runner.wake()
        return answer.offset

    def failed(self, what: str, how: Ended | str) -> None:
        """Count it and say so."""
        if self.stopping:
            return
        problem = how if isinstance(how, str) else how.problem or SILENT_END
        self.figures.note_failed(what, problem, at=self.clock.wall() / 1e6)
        logger.warning("%s failed: %s; calls go on, it is tried again later", what, problem)

    def snapshot_flags(self) -> list[str]:
        """What tells a child by which options snapshots are taken and let go here."""
        return [
            f"--set=snapshot.{each.name}={flag_text(getattr(self.snapshots, each.name))}"
            for each in dataclasses.fields(self.snapshots)
        ]


def flag_text(value: object) -> str:
    """A value as a flag has it."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
