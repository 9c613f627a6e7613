"""The machine: what it is, what its disk takes for a sync, what a process costs it, which core a process has.

Laws: a number without its machine is a riddle, so these are printed first. Linux only where it reads /proc.
"""

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.results import Result, rounded

SYNC_COUNT: Final = 400
"""Syncs measured for the p50 and p99."""
SYNC_SIZE: Final = 256
"""Bytes appended before each sync: about one transfer's batch."""
PAUSE_S: Final = 0.001
"""Between two syncs, where a disk is measured that is not kept awake: many a virtual one is ten times slower then."""
CORES_VARIABLE: Final = "BENCH_CORES"
"""The cores there were to give when the first process was pinned, for its children: they inherit its one core."""


def facts(directory: Path) -> list[Result]:
    """What a reader must know to read the numbers, measured and asked once a run."""
    syncs = sync_latencies(directory)
    paused = sync_latencies(directory, pause_s=PAUSE_S)
    said: list[tuple[str, str | float | int | None, str]] = [
        ("machine", f"{platform.system()} {platform.release()} {platform.machine()}", ""),
        ("cpu", cpu_model(), ""),
        ("cores", os.cpu_count() or 1, ""),
        ("memory", rounded(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30), "GiB"),
        ("load before the run", rounded(os.getloadavg()[0]), "1 min average"),
        ("python", f"{platform.python_implementation()} {platform.python_version()}", ""),
        ("filesystem", filesystem(directory), str(directory)),
        ("fdatasync p50", rounded(percentile(syncs, 0.50) * 1e6), "us"),
        ("fdatasync p99", rounded(percentile(syncs, 0.99) * 1e6), "us"),
        ("fdatasync p50, each after a pause of 1 ms", rounded(percentile(paused, 0.50) * 1e6), "us"),
        ("fdatasync p99, each after a pause of 1 ms", rounded(percentile(paused, 0.99) * 1e6), "us"),
        ("commit", commit(), ""),
        ("pinning", pinning(), ""),
    ]
    return [Result("machine", metric, value, unit) for metric, value, unit in said]


def sync_latencies(directory: Path, count: int = SYNC_COUNT, *, pause_s: float = 0.0) -> list[float]:
    """Seconds that appending a small batch and syncing it took, `count` times, on a file of its own."""
    path = directory / f"sync-{os.getpid()}"
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
    block = bytes(SYNC_SIZE)
    sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync.
    seconds = []
    try:
        for _ in range(count):
            began = time.perf_counter()
            os.write(file, block)
            sync(file)
            seconds.append(time.perf_counter() - began)
            if pause_s:
                time.sleep(pause_s)
    finally:
        os.close(file)
        path.unlink()
    return seconds


def percentile(values: list[float], part: float) -> float:
    """The value below which `part` of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def cpu_model() -> str:
    """The CPU's own name for itself, with its clock where it tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    clocks = [line.partition(":")[2].strip() for line in lines if line.startswith("cpu MHz")]
    return f"{names[0] if names else platform.machine()}{f' at {float(clocks[0]):.0f} MHz' if clocks else ''}"


def filesystem(directory: Path) -> str:
    """The type and device of the filesystem that holds `directory`."""
    best = ("", "unknown")
    place = str(directory.resolve())
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return "unknown"
    for line in mounts:
        device, point, kind, *_ = line.split(" ")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, f"{kind} on {device}")
    return best[1]


def commit() -> str:
    """The commit measured, marked where the tree differs from it."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    root = Path(__file__).parent.parent

    def ask(*words: str) -> str:
        asked = subprocess.run([git, "-C", str(root), *words], capture_output=True, text=True, check=False)
        return asked.stdout.strip() if asked.returncode == 0 else ""

    name = ask("rev-parse", "--short=12", "HEAD") or "none yet"
    return f"{name}, with changes" if ask("status", "--porcelain") else name


def cores() -> tuple[int, int] | None:
    """(the server's core, the generator's core), or None where there are not two to give.

    A process that has its core already, by itself or from its parent, goes by what was there to give before.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    given = os.environ.get(CORES_VARIABLE)
    allowed = sorted(map(int, given.split(",")) if given else os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else None


def pinning() -> str:
    """How the cores are shared out, the same for the store and every peer."""
    pair = cores()
    if pair is None:
        return "none: server and generator share what there is"
    return f"server on core {pair[0]}, load generator on core {pair[1]}"


def pin(pid: int, *, server: bool) -> None:
    """Give a process its core: the server's or the generator's. Its later threads and children inherit it."""
    pair = cores()
    if pair is not None and sys.platform == "linux":
        os.environ[CORES_VARIABLE] = ",".join(map(str, pair))
        os.sched_setaffinity(pid, {pair[0] if server else pair[1]})


def unpin(pid: int) -> None:
    """Let a process, and all threads it has and will have, run on either core."""
    pair = cores()
    if pair is not None and sys.platform == "linux":
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), set(pair))


def cpu_seconds(pid: int) -> float:
    """CPU seconds that all threads of a process have had, to the nanosecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            continue  # The thread has ended meanwhile.
    return total / 1e9


def resident_bytes(pid: int) -> int:
    """Bytes of RAM that a process holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes(pid: int) -> int:
    """Bytes of RAM that a process has held at most; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that live."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += [int(each) for each in (task / "children").read_text().split()]
        except OSError:
            continue  # The thread has ended meanwhile.
    return found
