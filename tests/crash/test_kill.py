"""A real process on a real disk, killed at any moment: what was told stays, once, and whole."""

import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from store.transaction import Kind
from tests.crash.oracle import CLIENTS, Oracle
from tests.crash.worker import EXIT_STOPPED, Work, open_tenant

ENDLESS = 10_000_000
"""Calls for a worker that will be killed: it never comes to its end."""
WORKER = Path(__file__).with_name("worker.py")
ROOT = WORKER.parents[2]


def a_dice(seed: int) -> random.Random:
    """When to kill."""
    return random.Random(seed)  # noqa: S311  # Nothing secret.


def start(work: Work) -> subprocess.Popen[bytes]:
    """A worker process."""
    command = [sys.executable, str(WORKER), msgspec.json.encode(work).decode()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def lines(process: subprocess.Popen[bytes], *, seconds: float | None = None) -> Iterator[bytes]:
    """The whole lines a worker writes, until it ends; or, each time, None of them comes within `seconds`."""
    assert process.stdout is not None
    rest = b""
    while seconds is None or select.select([process.stdout], [], [], seconds)[0]:
        chunk = process.stdout.read(4_096)
        if not chunk:
            return
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def run_until_killed(work: Work, oracle: Oracle, *, answers: int | None, seconds: float | None = None) -> None:
    """Let a worker give so many answers, or none for so long, and kill it; all it still said counts as told."""
    with start(work) as process:
        heard = 0
        for line in lines(process, seconds=seconds):
            if line != b"ready":
                oracle.hear(line)
                heard += 1
                if heard == answers:
                    process.send_signal(signal.SIGKILL)
        process.kill()
        for line in lines(process):
            if line != b"ready":
                oracle.hear(line)
    assert process.returncode == -signal.SIGKILL


def run_to_the_end(directory: Path, oracle: Oracle) -> None:
    """Let a worker answer some more calls of each client and stop by itself: then the balances are exact."""
    calls = max(oracle.answered) + 20
    with start(Work(str(directory), calls, oracle.answered)) as process:
        for line in lines(process):
            if line != b"ready":
                oracle.hear(line)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert oracle.answered == (calls,) * CLIENTS
    check(directory, oracle, exact=True)


def check(directory: Path, oracle: Oracle, *, exact: bool) -> None:
    """Every answered transfer is there once; one more than answered may be there while its caller still waits."""
    engine = open_tenant(str(directory), segment_size_max=8_192)
    oracle.check(engine, spare=0 if exact else 1)
    engine.close()


@pytest.mark.parametrize("seed", range(3))
def test_killed_under_load(tmp_path: Path, seed: int) -> None:
    """However often a process is killed while it answers, no answered transfer is lost, and no retried one doubled."""
    dice, oracle = a_dice(seed), Oracle()
    for _ in range(6):
        work = Work(str(tmp_path / "data"), ENDLESS, oracle.answered)
        run_until_killed(work, oracle, answers=dice.randrange(1, 1_000))
        check(tmp_path / "data", oracle, exact=False)
    run_to_the_end(tmp_path / "data", oracle)


def test_killed_while_starting(tmp_path: Path) -> None:
    """A process that is killed at any moment of its start, first or later, leaves a directory that opens."""
    dice, oracle = a_dice(7), Oracle()
    for _ in range(10):
        work = Work(str(tmp_path / "data"), ENDLESS, oracle.answered)
        run_until_killed(work, oracle, answers=1, seconds=dice.uniform(0.05, 0.3))
    run_to_the_end(tmp_path / "data", oracle)


def test_file_that_may_not_grow(tmp_path: Path) -> None:
    """Where the system takes no more bytes, the process stops by itself and says so, and all it told is there."""
    oracle = Oracle()
    work = Work(str(tmp_path / "data"), ENDLESS, oracle.answered, segment_size_max=1 << 30, file_size_max=100_000)
    with start(work) as process:
        for line in lines(process):
            if line != b"ready":
                oracle.hear(line)
        assert process.stderr is not None
        complaint = process.stderr.read().decode()
    assert process.returncode == EXIT_STOPPED
    assert "failed to write" in complaint
    assert "Traceback" not in complaint
    assert min(oracle.answered) > 10
    check(tmp_path / "data", oracle, exact=False)


def test_no_offset_is_missing(tmp_path: Path) -> None:
    """After kills the log has every offset once, from the first: starts and transfers alike."""
    oracle = Oracle()
    for answers in (30, 60):
        run_until_killed(Work(str(tmp_path / "data"), ENDLESS, oracle.answered), oracle, answers=answers)
    engine = open_tenant(str(tmp_path / "data"), segment_size_max=8_192)
    tail = engine.feed.tail(type(engine.state.last_offset)(0))
    engine.close()
    assert tail is not None
    assert [each.offset for each in tail] == list(range(1, len(tail) + 1))
    told = {offset for each in oracle.offsets for offset in each.values()}
    calls = {each.offset for each in tail if each.kind == Kind.CALL and each.reducer == "transfer"}
    assert told <= calls
    assert len(calls) <= len(told) + CLIENTS
