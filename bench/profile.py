"""Where the server's time goes under the load of the call case: by step in process, by sample in a real server.

python -m bench.profile [--named] [--keys zipf]
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table

from bench.load import Load
from bench.machine import facts
from bench.peers.tenant import Tenant
from bench.results import table
from bench.steps import Profile

SHAPES: Final = {
    "64x40 batched": (64, 40, 40, 200_000),
    "64x40 one a frame": (64, 40, 1, 150_000),
    "64x1": (64, 1, 1, 60_000),
    "lone caller": (1, 1, 1, 15_000),
}
"""Name: (connections, in flight, calls a frame, calls)."""
LINES_SHOWN: Final = 25


def steps(directory: Path, *, frame_calls: int, keys: str = "uniform", named: bool = False) -> Profile:
    """The profile by steps, measured in a process of its own."""
    words = [sys.executable, "-m", "bench.steps", str(frame_calls), keys, str(directory), *(["named"] if named else [])]
    told = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
    return msgspec.json.decode(told, type=Profile)


def step_table(profile: Profile, title: str) -> Table:
    """A profile by steps, for people."""
    drawn = Table(title=f"{title}: {profile.us:.2f} us a call in process, {profile.cpu_us:.2f} of it CPU")
    drawn.add_column("step")
    drawn.add_column("us a call", justify="right")
    drawn.add_column("times a call", justify="right")
    for step in profile.steps:
        drawn.add_row(step.name, f"{step.us:.2f}", f"{step.count:.3f}")
    for name in profile.missing:
        drawn.add_row(name, "gone", "")
    return drawn


def samples(directory: Path, shape: str, *, keys: str, named: bool, console: Console) -> None:
    """Load a server that samples itself, and print where it was."""
    connections, in_flight, frame_calls, calls = SHAPES[shape]
    file = directory / "samples"
    with Tenant(directory / shape.replace(" ", "-"), hosted=("--samples", file)) as tenant:
        load = Load(
            calls=calls,
            keys=keys,
            connections=connections,
            in_flight=in_flight,
            frame_calls=frame_calls,
            named=named,
        )
        tenant.process.send_signal(signal.SIGUSR1)
        measured = tenant.load(load)
    console.rule(f"{shape}: {measured.rate:,.0f} calls/s, server CPU {measured.server_us:.2f} us a call, sampled")
    told = msgspec.json.decode(file.read_bytes(), type=dict[str, list[tuple[str, int]]])
    total = sum(count for _, count in told["own"])
    for kind in ("own", "whole", "lines"):
        drawn = Table(title=kind, show_edge=False, title_justify="left")
        drawn.add_column("part", justify="right")
        drawn.add_column("us a call", justify="right")
        drawn.add_column("where")
        for where, count in told[kind][:LINES_SHOWN]:
            drawn.add_row(f"{count / total:.1%}", f"{count / total * measured.server_us:.2f}", where)
        console.print(drawn)


def main() -> None:
    """Print it all."""
    reader = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    reader.add_argument("--keys", default="uniform", choices=["uniform", "zipf"])
    reader.add_argument("--named", action="store_true", help="clients that name themselves: calls are idempotent")
    reader.add_argument("--shape", choices=SHAPES, action="append", help="default: all")
    asked = reader.parse_args()
    console = Console(width=160 if not sys.stdout.isatty() else None)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # A disk, not RAM.
        directory = Path(name)
        console.print(table(facts(directory)))
        for frame_calls in (40, 1):
            profile = steps(directory, frame_calls=frame_calls, keys=asked.keys, named=asked.named)
            console.print(step_table(profile, f"{frame_calls} calls a frame"))
        for shape in asked.shape or SHAPES:
            samples(directory, shape, keys=asked.keys, named=asked.named, console=console)


if __name__ == "__main__":
    main()
