"""Golden scripts: commands and the exact bytes, batches, reports and refusals they lead to.

A line that begins with `>` is a command, what follows it is its output, `#` begins prose. Run with GOLDEN=update in
the environment to write the outputs anew, and look at the difference.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from store.codec import split_batch
from store.env.memory import MemoryDisk, SeededEntropy
from store.errors import StoreError
from store.ids import Timestamp
from store.log.commitlog import Commitlog, LogOptions
from store.log.reader import LogReader
from tests.log.scenes import commit, flush, new_log, reopen, vouch

SCRIPTS = sorted((Path(__file__).parent / "golden").glob("*.txt"))


class Stage:
    """A disk, perhaps a log, and what a script may do with them; each command yields its lines of output."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self._log: Commitlog | None = None
        self.options = LogOptions()

    @property
    def log(self) -> Commitlog:
        """The open log."""
        assert self._log is not None
        return self._log

    def run(self, command: str) -> list[str]:
        """One command's output."""
        name, *words = command.split()
        act: Callable[..., Iterator[str]] = getattr(self, f"do_{name}")
        try:
            return list(act(*words)) or ["ok"]
        except (StoreError, OSError) as error:
            return [f"{type(error).__name__}: {error}"]

    def do_batch_size_max(self, size: str) -> Iterator[str]:
        """Close batches once they hold so much."""
        self.options = LogOptions(batch_size_max=int(size))
        yield from ()

    def do_create(self) -> Iterator[str]:
        """A fresh log."""
        self._log = new_log(self.disk, options=self.options)
        yield self.state()

    def do_append(self, count: str) -> Iterator[str]:
        """Append and flush records under no sync."""
        flush(self.log, int(count))
        yield self.state()

    def do_commit(self, count: str) -> Iterator[str]:
        """Append, flush, sync."""
        commit(self.log, int(count))
        yield self.state()

    def do_vouch(self) -> Iterator[str]:
        """An empty batch, where needed."""
        vouch(self.log)
        yield self.state()

    def do_seal(self) -> Iterator[str]:
        """The next segment."""
        self.log.seal(Timestamp(1_800_000_000_000_000))
        yield self.state()

    def do_open(self) -> Iterator[str]:
        """Recover."""
        self._log, records, report = reopen(self.disk)
        yield f"replayed {' '.join(record[2:].decode().lstrip('0') for record in records) or 'nothing'}"
        yield f"{report.file} ended at {report.position}"
        if report.cut_bytes:
            yield f"cut {report.cut_bytes} bytes: {report.cut_reason}"
        if report.rewritten_bytes:
            yield f"wrote {report.rewritten_bytes} bytes again"
        yield self.state()

    def do_batches(self) -> Iterator[str]:
        """Every batch that can be read, and how the log ends."""
        reader = LogReader(self.disk)
        for each in reader:
            records = " ".join(bytes(raw)[2:].decode().lstrip("0") for raw in split_batch(each.body)) or "-"
            yield f"{each.segment[-6:]} {each.position:>4} to {each.end:>4}  durable {each.durable_offset}  {records}"
        assert reader.tail is not None
        yield f"ends at {reader.tail.position}, proven {reader.tail.proven_offset}, torn bytes {reader.tail.torn_bytes}"

    def do_names(self) -> Iterator[str]:
        """The files."""
        yield from self.disk.names("log")

    def do_hex(self, number: str, begin: str = "0", end: str = "") -> Iterator[str]:
        """Bytes of a segment, sixteen a line."""
        data = self.disk.content(segment(number))
        stop = int(end) if end else len(data)
        for at in range(int(begin), stop, 16):
            yield f"{at:04x}  {data[at : min(at + 16, stop)].hex(' ')}"

    def do_crash(self, how: str, seed: str = "0") -> Iterator[str]:
        """Power loss: keep, drop or seed."""
        acts = {"keep": self.disk.crash_keep_all, "drop": self.disk.crash_drop_all}
        self.disk = acts[how]() if how in acts else self.disk.crash(SeededEntropy(int(seed)))
        self._log = None
        yield from ()

    def do_fail_sync(self) -> Iterator[str]:
        """The next sync fails."""
        self.disk.fail_sync()
        yield from ()

    def do_capacity(self, size: str) -> Iterator[str]:
        """The disk holds so many bytes."""
        self.disk.set_capacity(int(size))
        yield from ()

    def do_flip(self, number: str, byte: str) -> Iterator[str]:
        """Turn over the lowest bit of a byte."""
        self.disk.flip(segment(number), int(byte) * 8)
        yield from ()

    def do_cut(self, number: str, size: str) -> Iterator[str]:
        """Shorten a file."""
        self.disk.replace(segment(number), self.disk.content(segment(number))[: int(size)])
        yield from ()

    def do_remove(self, number: str) -> Iterator[str]:
        """Lose a file."""
        self.disk.remove(segment(number))
        yield from ()

    def state(self) -> str:
        """Where the log stands."""
        log = self.log
        vouched = "unvouched" if log.unvouched else "vouched"
        return f"last {log.last_offset}, durable {log.durable_offset}, {vouched}, {log.segment[-6:]} at {log.position}"


def segment(number: str) -> str:
    """A segment's file by its first offset."""
    return f"log/{int(number):020d}.log"


def played(script: str) -> str:
    """The script with the outputs its commands have now."""
    stage = Stage()
    lines: list[str] = []
    for line in script.splitlines():
        if line.startswith((">", "#")) or not line:
            lines.append(line)
        if line.startswith(">"):
            lines += stage.run(line.removeprefix(">"))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_golden_script_still_leads_where_it_led(path: Path) -> None:
    """The same commands give the same bytes, reports and refusals."""
    script = path.read_text()
    now = played(script)
    if os.environ.get("GOLDEN") == "update":
        path.write_text(now)
    assert now == script


def test_there_are_golden_scripts() -> None:
    """None is skipped unseen."""
    assert {path.stem for path in SCRIPTS} == {
        "bytes",
        "corruption",
        "failed_sync",
        "full_disk",
        "rotation",
        "torn_tail",
    }
