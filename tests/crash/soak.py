"""A tenant that works for long with small segments and tight retention: its disk use, and what stays restorable.

Laws: at every moment the directory is no larger than what was written within the promised time, the grace and the few
rounds of whoever prunes, by a bound computed from what was seen; and every promised moment, by offset or by time, is
restored exactly.
"""

import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from store.cli.moments import to_text
from store.ids import Timestamp
from tests.crash.campaign import BLOCK_SIZE, ENDLESS, PAIRS, SEGMENT_SIZE
from tests.crash.copies import Keeper, Seen, wait_until_it_works
from tests.crash.nursery import Child, Nursery
from tests.crash.oracle import Oracle
from tests.crash.worker import Work, open_tenant

KEEP_FOR_S: Final = 1.0
GRACE_S: Final = 0.5
LEG_S: Final = 4.0
"""Seconds after which the worker is killed, and another goes on."""
MARGIN_S: Final = 0.3
"""A moment is asked for so much before it ceases to be promised: the asking takes its time, too."""
ROUNDS: Final = 4
"""Rounds of taking and pruning that may pass: until a snapshot is taken behind what was promised, until it is the
second-newest, until what lies before is found unneeded, and until it goes once its grace is over."""
PATIENCE: Final = 10
"""How often the time may pass again until the first segment goes, where others keep the machine busy."""
ANSWERS_KEPT: Final = 50_000
OPTIONS: Final = (
    "--set", f"snapshot.block_size={BLOCK_SIZE}", "--set", "snapshot.keep_last=2", "--set", "snapshot.keep_daily=0",
    "--set", f"snapshot.keep_for_s={KEEP_FOR_S}", "--set", f"snapshot.grace_s={GRACE_S}",
)  # fmt: skip


@dataclass
class Found:
    """What a soak has seen."""

    answers: int = 0
    written: int = 0
    """Bytes of log, in all."""
    largest: int = 0
    """Bytes in the directory, at most."""
    bound: int = 0
    """The bound at that moment."""
    restores: int = 0
    kept: Seen = field(default_factory=Seen)


@dataclass
class Use:
    """One look at the directory."""

    at: float
    written: int
    """Bytes of log that had ever been written."""
    log: int
    other: int
    """Bytes of snapshots and their blocks."""
    snapshot_size: int
    """Bytes that the largest snapshot refers to."""


class Soak:
    """One tenant under load."""

    def __init__(self, folder: Path, nursery: Nursery, *, seed: int) -> None:
        self.found = Found()
        self._folder = folder
        self._data = folder / "data"
        self._nursery = nursery
        self._dice = random.Random(seed)  # noqa: S311  # Nothing secret.
        self._oracle = Oracle(pairs=PAIRS)
        self._keeper = Keeper(nursery, self._data, self.found.kept, OPTIONS)
        self._segments: dict[str, int] = {}
        self._before = 0
        """Bytes of segments that are gone."""
        self._uses: list[Use] = []
        self._moments: list[tuple[float, int, tuple[int, ...]]] = []
        """(monotonic time, wall time, answered by then)."""

    def run(self, seconds: float) -> Found:
        """Go on for so long, and on a busy machine until something went.

        AssertionError where the bound is passed, or a promised moment does not come back.
        """
        end = time.monotonic() + seconds
        latest = end + PATIENCE * seconds
        while time.monotonic() < (end if self.found.kept.segments_removed else latest):
            worker = self._worker()
            try:
                self._leg(worker, min(latest, time.monotonic() + LEG_S))
            finally:
                self._keeper.finish()
                ended = worker.kill()
            assert ended.killed, ended.complaint
            self._oracle.hear_all(ended.said.encode())
            self._oracle.drop(ANSWERS_KEPT)
        self.found.answers = sum(self._oracle.answered)
        return self.found

    def _leg(self, worker: Child, end: float) -> None:
        wait_until_it_works(worker)
        while time.monotonic() < end:
            self._keeper.go_on()
            self._look()
            self._keeper.finish()  # A restore holds all that is there: nothing goes meanwhile.
            self._note_moment(worker)
            self._look()
            self._note_moment(worker)  # So that there are two, however slow all before was.
            self._restore(worker)

    def _note_moment(self, worker: Child) -> None:
        answered = self._heard(worker).answered  # By the moment that is read next.
        self._moments.append((time.monotonic(), time.time_ns() // 1000, answered))

    def _worker(self) -> Child:
        work = Work(str(self._data), ENDLESS, self._oracle.answered, segment_size_max=SEGMENT_SIZE, pairs=PAIRS)
        return self._nursery.work(msgspec.json.encode(work))

    def _heard(self, worker: Child) -> Oracle:
        """What is answered by now."""
        oracle = self._oracle.copy()
        oracle.hear_all(worker.told())
        return oracle

    def _look(self) -> None:
        """Measure the directory, and hold it against the bound."""
        sizes = {path: _size(path) for path in self._data.rglob("*") if path.is_file()}
        log = {path.name: size for path, size in sizes.items() if path.parent.name == "log"}
        self._before += sum(size for name, size in self._segments.items() if name not in log)
        self._segments = log
        written = self._before + sum(log.values())
        other = sum(size for path, size in sizes.items() if path.parent.name in {"snapshot", "block"})
        use = Use(time.monotonic(), written, sum(log.values()), other, self._keeper.snapshot_size)
        self._uses.append(use)
        bound = self._bound(use)
        assert use.log + use.other <= bound, f"{use.log} bytes of log and {use.other} of snapshots, bound {bound}"
        self.found.written = written
        if use.log + use.other > self.found.largest:
            self.found.largest, self.found.bound = use.log + use.other, bound

    def _bound(self, now: Use) -> int:
        """What was written since what is promised began, and the snapshots that this time can hold."""
        span = KEEP_FOR_S + GRACE_S + ROUNDS * self._keeper.longest_s
        # One look further back: what was written between two looks counts for both.
        earlier = [use for use in self._uses if use.at <= now.at - span]
        since = earlier[-2].written if len(earlier) > 1 else 0
        snapshots = 3 + self._keeper.finished_since(now.at - span)
        return now.written - since + 2 * SEGMENT_SIZE + snapshots * 2 * max(now.snapshot_size, 1 << 16)

    def _restore(self, worker: Child) -> None:
        """Bring a promised moment back, by its offset or its time."""
        now = time.monotonic()
        promised = [each for each in self._moments if each[0] >= now - KEEP_FOR_S + MARGIN_S]
        if len(promised) < 2:
            return
        _, wall, answered = self._dice.choice(promised[:-1])  # The store knows of something later.
        into, oracle = self._folder / "restored", self._heard(worker)
        by_time = self._dice.random() < 0.5
        offset = max(known[count] for known, count in zip(oracle.offsets, answered, strict=True))
        target = ("--to-time", to_text(Timestamp(wall))) if by_time else ("--to-offset", str(offset))
        ended = self._nursery.store("restore", self._data, *target, "--into", into).wait()
        assert ended.status == 0, f"{target} is not restored: {ended.complaint}"
        engine = open_tenant(str(into), segment_size_max=SEGMENT_SIZE)
        try:
            if by_time:
                self._heard(worker).check_prefix(engine, at_least=answered)
            else:
                oracle.check(engine, through=offset)
        finally:
            engine.close()
        shutil.rmtree(into)
        self.found.restores += 1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # It went meanwhile.
