"""One tenant and everything that is done to it, killed in the middle again and again; after each kill, the oracle.

Laws: a kill comes at a random moment, or at a random step on the file system. After it everything must go on by itself:
the store opens with all that was answered, and the same command, given again, comes to its end. Only a restore that was
confirmed takes answers back.
"""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from store.backup.view import BackupDisk
from store.cli.directories import generation_of
from store.cli.exits import Exit
from store.engine.engine import Engine
from store.env.objects import open_objects
from store.env.posix import PosixDisk
from store.snapshot.repository import Repository
from store.upkeep.ranges import Range, restorable
from tests.crash.nursery import Child, Ended, Nursery
from tests.crash.oracle import CLIENTS, Oracle
from tests.crash.worker import Work, open_tenant

ENDLESS = 10_000_000
SEGMENT_SIZE = 8_192
PAIRS = 300
"""Of accounts, for each client: enough rows for some dozen blocks of BLOCK_SIZE."""
BLOCK_SIZE = 2_048
SMALL: Final = ("--set", f"snapshot.block_size={BLOCK_SIZE}")
NOTHING_KEPT: Final = ("--keep-last", "2", "--keep-daily", "0", "--keep-for", "0s", "--grace", "0s")
"""What lets a prune remove as much as it ever may."""
LOAD_S: Final = 0.12
"""Seconds of load before a kill, at most."""
STEPS_FIRST: Final = 60
"""Steps that an act is thought to take while none of its kind has come to its end."""
TRACE_SHOWN: Final = 12
CONFIRMED_EVERY: Final = 2


class Campaign:
    """A tenant in a folder, a backup of it, and the dice."""

    def __init__(self, folder: Path, nursery: Nursery, *, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        """By what was killed."""
        self.ends: Counter[str] = Counter()
        """What came to its end before its kill."""
        self.trace: list[str] = []
        self._folder = folder
        self._data = folder / "data"
        self._nursery = nursery
        self._dice = random.Random(seed)  # noqa: S311  # Nothing secret.
        self._oracle = Oracle(pairs=PAIRS)
        self._steps: dict[str, int] = {}
        self._backups = 1
        self._copies = 0
        self._restores = 0
        self._acts: tuple[Callable[[], None], ...] = (
            self._load,
            self._take_under_load,
            self._take_at_rest,
            self._prune,
            self._restore_into,
            self._clone_under_load,
            self._restore_in_place,
            self._push,
            self._pull,
            self._restore_backup,
        )

    def run(self, kills: int) -> None:
        """Kill so often. AssertionError, with what was done last, where anything was lost or does not go on."""
        self._let_work()
        self._ended("take", self._store("take", "snapshot", "take", self._data, *SMALL))
        self._ended("push", self._store("push", "backup", "push", self._data, self._backup))
        try:
            while self.kills.total() < kills:
                self._dice.choice(self._acts)()
                self._check(self._data)
            self._settle()
        except BaseException as error:
            shown = "\n  ".join(self.trace[-TRACE_SHOWN:])
            error.add_note(f"after {self.kills.total()} kills; what was done last:\n  {shown}")
            raise

    # What is done.

    def _load(self) -> None:
        with self._loaded():
            pass

    def _take_under_load(self) -> None:
        with self._loaded():
            self._endanger("take", "snapshot", "take", self._data, *SMALL, "--prune")

    def _take_at_rest(self) -> None:
        self._let_work()
        self._endanger("take", "snapshot", "take", self._data, *SMALL)

    def _prune(self) -> None:
        for _ in range(2):
            self._let_work()
            self._ended("take", self._store("take", "snapshot", "take", self._data, *SMALL))
        self._endanger("prune", "snapshot", "prune", self._data, *NOTHING_KEPT)
        found = Repository(self._disk())
        assert sum(found.verified(name) is not None for name in found.names()) >= 2

    def _restore_into(self) -> None:
        into, offset = self._folder / f"restored-{self._copies}", self._choose_offset()
        self._copies += 1
        words = ("restore", self._data, "--to-offset", str(offset), "--into", into)
        before = contents(generation_of(self._data))
        if not self._endanger("restore", *words):
            self._finish("restore", into, *words)
        assert contents(generation_of(self._data)) == before, "the source was changed"
        self._check(into, through=offset, spare=0)
        shutil.rmtree(into)

    def _clone_under_load(self) -> None:
        into = self._folder / f"clone-{self._copies}"
        self._copies += 1
        words = ("clone", self._data, into)
        self._let_work(calls=5)  # What is answered by now is in it, whatever of the load is, too.
        answered = self._oracle.answered
        with self._loaded():
            if not self._endanger("clone", *words):
                self._finish("clone", into, *words)
        with self._opened(into) as engine:
            self._oracle.check_prefix(engine, at_least=answered)
            assert engine.state.epochs[-1].reason == "clone"
        shutil.rmtree(into)

    def _restore_in_place(self) -> None:
        offset = self._choose_offset()
        words = ("restore", self._data, "--to-offset", str(offset), "--yes")
        self._endanger("restore in place", *words)
        if not self._in_place_since(offset):
            self._check(self._data)  # It was not switched: all is as it was.
            self._ended("restore in place", self._store("restore in place", *words))
            assert self._in_place_since(offset)
        self._check(self._data, through=offset, spare=0)
        self._restores += 1
        decision = "confirm" if self._restores % CONFIRMED_EVERY == 0 else "undo"
        decide = ("restore", self._data, f"--{decision}", "--yes")
        if not self._endanger(decision, *decide):
            again = self._store(decision, *decide).wait()
            assert again.status in {Exit.DONE, Exit.NOTHING_THERE}, again.complaint
        if decision == "confirm":
            self._oracle.forget_behind(offset)
            self._backups += 1  # The old one goes on with calls that never happened now.
            self._let_work()
            self._ended("take", self._store("take", "snapshot", "take", self._data, *SMALL))
            self._ended("push", self._store("push", "backup", "push", self._data, self._backup))

    def _in_place_since(self, offset: int) -> bool:
        return generation_of(self._data).name.startswith(f"restored-{offset:020d}-")

    def _push(self) -> None:
        with self._loaded():
            self._endanger("push", "backup", "push", self._data, self._backup)

    def _pull(self) -> None:
        into = self._folder / f"pulled-{self._copies}"
        self._copies += 1
        words = ("backup", "pull", self._backup, into)
        if not self._endanger("pull", *words):
            self._finish("pull", into, *words)
        self._check(into, through=self._backed_up()[-1].last)
        shutil.rmtree(into)

    def _restore_backup(self) -> None:
        into = self._folder / f"brought-back-{self._copies}"
        self._copies += 1
        offset = self._choose(self._backed_up())
        words = ("restore", "--from", self._backup, "--to-offset", str(offset), "--into", into)
        if not self._endanger("restore from backup", *words):
            self._finish("restore from backup", into, *words)
        self._check(into, through=offset)
        shutil.rmtree(into)

    # How.

    @property
    def _backup(self) -> Path:
        return self._folder / f"backup-{self._backups}"

    def _disk(self) -> PosixDisk:
        return PosixDisk(generation_of(self._data), root=self._data)

    def _store(self, kind: str, *words: str | Path, step: int = 0) -> Child:
        self.trace.append(f"{kind}{f', to die at step {step}' if step else ''}: store {' '.join(map(str, words))}")
        return self._nursery.store(*words, step=step)

    def _endanger(self, kind: str, *words: str | Path) -> Ended | None:
        """Run a command and kill it at some moment; how it ended where it was quicker, which must be well."""
        limit = self._steps.get(kind, STEPS_FIRST)
        at_step = self._dice.random() < 0.7
        step = self._dice.randint(1, limit + limit // 8) if at_step else 0
        child = self._store(kind, *words, step=step)
        if not at_step:
            child.lives(self._dice.uniform(0.0, 0.15))
            ended = child.kill()
        else:
            ended = child.wait()
        if not ended.killed:
            self.ends[kind] += 1
            self._expect_done(kind, ended)
            return ended
        self.kills[kind] += 1
        self._steps[kind] = max(limit, ended.steps)
        return None

    def _ended(self, kind: str, child: Child) -> Ended:
        """A command that nobody kills: it must end well."""
        ended = child.wait()
        self._expect_done(kind, ended)
        return ended

    def _expect_done(self, kind: str, ended: Ended) -> None:
        assert ended.status == Exit.DONE, f"{kind} ended with {ended.status}: {ended.complaint}"
        self._steps[kind] = ended.steps

    def _finish(self, kind: str, into: Path, *words: str | Path) -> None:
        """Give the same command again after a kill: done, or done already, in which case the directory is whole."""
        ended = self._store(kind, *words).wait()
        if ended.status == Exit.DIRECTORY and (into / "store.json").exists():
            return  # It was killed after its last step.
        self._expect_done(kind, ended)

    @contextmanager
    def _loaded(self) -> Iterator[None]:
        """While a worker makes its calls; it is killed in the end, or before."""
        at_step = self._dice.random() < 0.3
        worker = self._worker(step=self._dice.randint(1, 2_000) if at_step else 0)
        try:
            if self._dice.random() < 0.7:
                worker.lives(self._dice.uniform(0.0, LOAD_S))
            yield
            worker.lives(self._dice.uniform(0.0, LOAD_S))
        finally:
            ended = worker.kill()
            answers = self._oracle.hear_all(ended.said.encode())
            self.trace.append(f"the worker was killed after {answers} answers and {ended.steps} steps")
        assert ended.killed, f"the worker ended with {ended.status}: {ended.complaint}"
        self.kills["load"] += 1

    def _worker(self, *, calls: int = ENDLESS, step: int = 0) -> Child:
        work = Work(str(self._data), calls, self._oracle.answered, segment_size_max=SEGMENT_SIZE, pairs=PAIRS)
        return self._nursery.work(msgspec.json.encode(work), step=step)

    def _let_work(self, calls: int = 60) -> None:
        """Let a worker make some calls of each client and stop by itself: each call's offset is known then."""
        ended = self._worker(calls=max(self._oracle.answered) + calls).wait()
        self._oracle.hear_all(ended.said.encode())
        assert (ended.status, ended.complaint) == (0, ""), f"the worker ended with {ended.status}: {ended.complaint}"

    def _choose_offset(self) -> int:
        """Of an answered call that can be restored, now that all are known."""
        self._let_work(calls=5)
        reach = restorable(self._disk())
        assert reach[-1].last >= self._oracle.all_offsets()[-1], "the newest answered call is not restorable"
        return self._choose(reach)

    def _choose(self, reach: Sequence[Range]) -> int:
        """An answered call in one of these ranges."""
        known = [each for each in self._oracle.all_offsets() if any(one.first <= each <= one.last for one in reach)]
        assert known, f"no answered call can be restored from {reach}"
        return self._dice.choice(known)

    def _backed_up(self) -> list[Range]:
        return restorable(BackupDisk(open_objects(str(self._backup))))

    def _check(self, directory: Path, *, through: int | None = None, spare: int = 1) -> None:
        with self._opened(directory) as engine:
            self._oracle.check(engine, through=through, spare=spare)

    @contextmanager
    def _opened(self, directory: Path) -> Iterator[Engine]:
        """The directory opens, and no snapshot in it had to be passed over."""
        engine = open_tenant(str(directory), segment_size_max=SEGMENT_SIZE)
        try:
            assert engine.report.passed_over == ()
            yield engine
        finally:
            engine.close()

    def _settle(self) -> None:
        """In the end: exactly what was answered is there, every snapshot holds, every log reads."""
        self._let_work()
        self._check(self._data, spare=0)
        ended = self._store("verify", "snapshot", "verify", self._data).wait()
        assert ended.status == Exit.DONE, f"{ended.said}{ended.complaint}"
        ended = self._store("verify", "log", "verify", generation_of(self._data)).wait()
        assert ended.status == Exit.DONE, f"{ended.said}{ended.complaint}"
        ended = self._store("verify", "backup", "verify", self._backup).wait()
        assert ended.status == Exit.DONE, f"{ended.said}{ended.complaint}"


def contents(directory: Path) -> dict[str, bytes]:
    """Every file with its bytes, but leases, which a killed reader leaves behind, and the lock."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "lock" and path.parent.name != "pin"
    }


assert CLIENTS * PAIRS * 2 <= 25_000  # What one call may open.
