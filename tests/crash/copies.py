"""Copies of a tenant's directory, made by other people's tools while it is written, snapshotted and pruned.

Laws: a copy that took no longer than the grace opens: with an epoch of its own, at a state that once was, and with
everything that was answered before the copying began. A copy that took longer proves nothing and is made again.
"""

import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from store.engine.directory import MARKER
from tests.crash.campaign import BLOCK_SIZE, ENDLESS, PAIRS, SEGMENT_SIZE
from tests.crash.nursery import Child, Nursery
from tests.crash.oracle import CLIENTS, Oracle
from tests.crash.worker import Work, open_tenant

GRACE_S: Final = 2.0
"""Seconds that a file stays after nothing needs it: longer than a copy takes here."""
TOOLS: Final = {"cp": ("cp", "-r"), "rsync": ("rsync", "-a")}
INSTALL: Final = {"cp": "it comes with every system", "rsync": "apt-get install rsync"}
OPTIONS: Final = (
    "--set", f"snapshot.block_size={BLOCK_SIZE}", "--set", "snapshot.keep_last=2", "--set", "snapshot.keep_daily=0",
    "--set", "snapshot.keep_for_s=0", "--set", f"snapshot.grace_s={GRACE_S}",
)  # fmt: skip


@dataclass
class Seen:
    """What happened while copies were made."""

    copies: int = 0
    slow: int = 0
    """Copies that took longer than the grace."""
    snapshots: int = 0
    segments_removed: int = 0
    changed_meanwhile: int = 0
    """Copies during which a file came or went."""


def copy_under_load(folder: Path, nursery: Nursery, tool: str, *, copies: int) -> Seen:
    """Make so many copies of a tenant that works, one after the other, and open each."""
    data, seen = folder / "data", Seen()
    work = Work(str(data), ENDLESS, (0,) * CLIENTS, segment_size_max=SEGMENT_SIZE, pairs=PAIRS)
    worker = nursery.work(msgspec.json.encode(work))
    wait_until_it_works(worker)
    keeper = Keeper(nursery, data, seen, OPTIONS)
    try:
        while seen.copies < copies or not seen.segments_removed:
            keeper.go_on()
            answered = _heard(worker).answered
            before, began = _files(data), time.monotonic()
            copy = folder / f"copy-{seen.copies}"
            # rsync and cp complain of files that came or went meanwhile: these are not needed.
            subprocess.run([*TOOLS[tool], f"{data}/", copy], check=False, stderr=subprocess.DEVNULL)
            took = time.monotonic() - began
            seen.changed_meanwhile += _files(data) != before
            if took < GRACE_S:
                _check_copy(copy, answered, _heard(worker))
                seen.copies += 1
            else:
                seen.slow += 1
            shutil.rmtree(copy)
            assert worker.lives(0.0), worker.wait().complaint
    finally:
        keeper.finish()
        worker.kill()
    return seen


class Keeper:
    """Takes snapshots and prunes, one after the other, in processes of its own."""

    def __init__(self, nursery: Nursery, data: Path, seen: Seen, options: Sequence[str]) -> None:
        self._nursery = nursery
        self._data = data
        self._seen = seen
        self._options = options
        self._child: Child | None = None
        self._began = time.monotonic()
        self._finished: list[float] = []
        self.longest_s = 0.0
        """The longest that one has taken, from the end of the one before."""
        self.snapshot_size = 0
        """Bytes that the largest snapshot refers to."""

    def go_on(self) -> None:
        """Begin the next one, if the last one is done."""
        self.longest_s = max(self.longest_s, time.monotonic() - self._began)
        if self._child is not None and self._child.lives(0.0):
            return
        self.finish()
        self._child = self._nursery.store("snapshot", "take", self._data, "--prune", *self._options)

    def finish(self) -> None:
        """Wait for the last one: it ended well."""
        if self._child is None:
            return
        ended, self._child = self._child.wait(), None
        assert ended.status == 0, ended.complaint
        self._finished.append(time.monotonic())
        self.longest_s = max(self.longest_s, self._finished[-1] - self._began)
        self._began = self._finished[-1]
        self._seen.snapshots += ended.event("taken")["fresh"]
        self._seen.segments_removed += len(ended.event("pruned")["segments"])
        self.snapshot_size = max(self.snapshot_size, ended.event("taken")["bytes"])

    def finished_since(self, moment: float) -> int:
        """How many have been finished since then."""
        return sum(each >= moment for each in self._finished)


def wait_until_it_works(worker: Child) -> None:
    """Until it has given its first answers."""
    while worker.told().count(b"\n") < 1_000:
        assert worker.lives(0.01), worker.wait().complaint


def _heard(worker: Child) -> Oracle:
    """What has been answered by now."""
    oracle = Oracle(pairs=PAIRS)
    oracle.hear_all(worker.told())
    return oracle


def _files(data: Path) -> set[str]:
    return {path.name for path in data.rglob("*")}


def _check_copy(copy: Path, answered: tuple[int, ...], after: Oracle) -> None:
    engine = open_tenant(str(copy), segment_size_max=SEGMENT_SIZE)
    try:
        moved = after.check_prefix(engine, at_least=answered)
        assert max(moved) - min(moved) <= 1, "clients take turns: no state had these calls and not the others"
        epochs = [each.epoch for each in engine.state.epochs]
        assert len(set(epochs)) == 2, "a copy opens an epoch of its own"
        assert (copy / MARKER).stat().st_ino == msgspec.json.decode((copy / MARKER).read_bytes())["inode"]
    finally:
        engine.close()
