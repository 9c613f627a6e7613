"""What is said of the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.machine import cores, cpu_seconds, percentile, resident_bytes, sync_latencies


def test_percentiles() -> None:
    """The value below which that part of the values lies, also at the end."""
    values = [float(value) for value in range(100, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile(values, 1.0)) == (51.0, 100.0, 100.0)


def test_syncs_leave_nothing_behind(tmp_path: Path) -> None:
    """Every sync is timed, and the file is gone afterwards."""
    assert len(sync_latencies(tmp_path, count=3)) == 3
    assert len(sync_latencies(tmp_path, count=3, pause_s=0.001)) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="reads Linux' /proc")
def test_a_process_is_seen_from_outside() -> None:
    """CPU time only grows, and a process holds some memory."""
    before = cpu_seconds(os.getpid())
    sum(range(10_000))
    assert cpu_seconds(os.getpid()) >= before > 0
    assert resident_bytes(os.getpid()) > 1 << 20


@pytest.mark.skipif(cores() is None, reason="there are not two cores to give")
def test_a_generator_has_a_core_that_its_server_has_not() -> None:
    """Whoever starts a generator is pinned already, and the generator gets the other core all the same."""
    generator = "import os; from bench.machine import pin; pin(0, server=False); print(*os.sched_getaffinity(0))"
    case = (
        "import os, subprocess, sys; from bench.machine import pin; pin(0, server=True);"
        " print(*os.sched_getaffinity(0));"
        f" sys.stdout.flush(); subprocess.run([sys.executable, '-c', {generator!r}], check=True)"
    )
    told = subprocess.run([sys.executable, "-c", case], capture_output=True, text=True, check=True).stdout
    assert told.split() == [str(each) for each in cores() or ()]
