"""backup: how many bytes leave the machine when a little has changed.

Laws: what is counted is what `store backup push` sends: new blocks, manifests, sealed log, an index. It stands beside
the snapshot as a whole, and beside what a push of everything into an empty place sends at the same moment. Each push is
a process of its own, after a snapshot of its own, with the log sealed as a server seals it. Where the changes are
scattered nearly every block changes, and the bytes are only told.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.peers.redis import Redis
from bench.reopening import reopen
from bench.results import Result, missing, rate, rounded, within

CASE: Final = "backup"
PEERS: Final = ("redis (its RDB, sent whole)",)
ROWS: Final = 1_000_000
CHANGED: Final = 0.01
"""Part of the rows that changes between two pushes."""
PART_MAX: Final = 0.05
"""Part of the whole that a push may send after that, where the changed rows are neighbours."""
DOMAIN: Final = "reducers.accounts"


def run(directory: Path, *, quick: bool) -> Iterator[Result]:
    """A first push, one after neighbours have changed, one after scattered rows have."""
    del quick  # It takes half a minute, and fewer rows would be too few blocks.
    rows, changed = ROWS, int(ROWS * CHANGED)
    directory.mkdir()
    data, place = directory / "data", directory / "backup"
    reopen("build", DOMAIN, data, "0", str(rows))
    first = _push(data, place)
    yield Result(CASE, "rows", rows, "rows")
    yield rate(CASE, "first push: snapshot and log", [first["bytes_sent"]], "bytes")
    yield rate(CASE, "first push, speed", [first["bytes_sent"] / first["seconds"] / 2**20], "MiB/s")
    for name, step, promised in (("in one key range", 1, True), ("scattered", rows // changed, False)):
        reopen("deposit", data, str(step), str(changed))
        taken, began = _snapshot(data), time.monotonic()
        pushed = _push(data, place)
        seconds = time.monotonic() - began
        whole = _push(data, directory / f"whole-{step}")["bytes_sent"]
        everything = f"push of everything, changes {name}"
        yield rate(CASE, everything, [whole], "bytes")
        base = f"of it the snapshot, changes {name}"
        yield rate(CASE, base, [taken["bytes"]], "bytes")
        metric = f"push after {CHANGED:.0%} of the rows changed, {name}"
        sent = pushed["bytes_sent"]
        if promised:
            yield within(CASE, metric, [sent], "bytes", base=base, bases=[taken["bytes"]], most=PART_MAX)
        else:
            yield Result(CASE, metric, sent, "bytes", base, rounded(sent / taken["bytes"]))
        yield Result(CASE, f"{metric}, beside everything", sent, "bytes", everything, rounded(sent / whole))
        yield Result(CASE, f"{metric}: blocks written anew", taken["blocks_written"], "blocks")
        yield rate(CASE, f"{metric}: the command", [seconds], "s")
    if not Redis.installed():
        yield missing(CASE, "redis, its RDB")
        return
    with Redis(directory / "redis", accounts=rows) as peer:
        peer.save()
        yield rate(CASE, "redis, its RDB, which changes as a whole", [peer.saved_bytes()], "bytes")


def _snapshot(data: Path) -> dict[str, Any]:
    return _command("taken", "snapshot", "take", str(data), "--idle")


def _push(data: Path, place: Path) -> dict[str, Any]:
    return _command("pushed", "backup", "push", str(data), str(place))


def _command(event: str, *words: str) -> dict[str, Any]:
    """What a command of the store says of this kind."""
    done = subprocess.run([sys.executable, "-m", "store", *words, "--json"], stdout=subprocess.PIPE, check=True)
    said: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return next(each for each in reversed(said) if each.get("event") == event)
