"""python -m tests.crash [--kills N] [--copies N] [--soak SECONDS]: on and on; fails where anything is lost."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.campaign import Campaign
from tests.crash.copies import INSTALL, TOOLS, copy_under_load
from tests.crash.nursery import Nursery
from tests.crash.soak import Soak

KILLS_PER_TENANT = 250


def main(arguments: list[str]) -> int:
    """Say the seed first; what was done and seen; and on a failure what was done last, and where it lies."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=0, help="SIGKILLs, at random moments of all that a tenant does")
    parser.add_argument("--copies", type=int, default=0, help="copies of a working tenant's directory, with each tool")
    parser.add_argument("--soak", type=float, default=0.0, help="seconds of load under tight retention")
    parser.add_argument("--seed", type=int, default=1, help="of the dice; the moments of a real machine are its own")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="a folder on a real disk")
    said = parser.parse_args(arguments)
    if not (said.kills or said.copies or said.soak):
        said.kills = KILLS_PER_TENANT
    folder = Path(tempfile.mkdtemp(prefix="store-crash-", dir=said.directory))
    tell(f"seed {said.seed}, in {folder}")
    with Nursery() as nursery:
        kill(said.kills, folder, nursery, said.seed)
        for tool in TOOLS if said.copies else ():
            if shutil.which(tool) is None:
                tell(f"{tool} is not installed: {INSTALL[tool]}")
                continue
            seen = copy_under_load(made(folder / tool), nursery, tool, copies=said.copies)
            tell(f"{tool}: {seen}")
        if said.soak:
            tell(f"soak: {Soak(made(folder / 'soak'), nursery, seed=said.seed).run(said.soak)}")
    shutil.rmtree(folder)
    return 0


def kill(kills: int, folder: Path, nursery: Nursery, seed: int) -> None:
    """One tenant after the other, each until it has seen enough."""
    done = 0
    while done < kills:
        began = time.monotonic()
        campaign = Campaign(made(folder / f"tenant-{seed}"), nursery, seed=seed)
        campaign.run(min(KILLS_PER_TENANT, kills - done))
        done += campaign.kills.total()
        counts = ", ".join(f"{name} {count}" for name, count in campaign.kills.most_common())
        tell(f"seed {seed}: {done} of {kills} kills, {time.monotonic() - began:.0f} s: {counts}")
        shutil.rmtree(folder / f"tenant-{seed}")
        seed += 1


def made(folder: Path) -> Path:
    """The folder, new."""
    folder.mkdir()
    return folder


def tell(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)  # noqa: T201  # That is the program.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
