"""Has a directory built, changed or opened by a process of its own (reopen.py)."""

import subprocess
import sys
from pathlib import Path

import msgspec

from bench.reopen import Replayed


def reopen(*words: str | Path) -> Replayed:
    """What that process says it did. CalledProcessError where it failed."""
    told = subprocess.run([sys.executable, "-m", "bench.reopen", *words], stdout=subprocess.PIPE, check=True).stdout
    return msgspec.json.decode(told, type=Replayed)
