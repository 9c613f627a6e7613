"""Whether an LMDB file may be opened: run as a process of its own, because a damaged file can crash its reader.

`python -m store.env.lmdb_check FOLDER` first walks all pages without the engine (lmdb.verify), then reads every value
with it and compares checksums. Exit 0: sound; 65: damaged, said on one line; anything else is as good as damaged.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import google_crc32c
import lmdb
from lmdb.verify import VerifyError, verify

CHECKSUM_SIZE: Final = 4
"""Bytes before each value: CRC-32C, big-endian, over key and value."""
DATA_NAME: Final = "data.mdb"
EXIT_DAMAGED: Final = 65
TIMEOUT_S: Final = 900.0
"""Seconds after which a check counts as failed: a gigabyte takes a few."""
_SAID_MAX: Final = 500


def checksum(key: bytes, value: bytes) -> bytes:
    """What stands before a value."""
    check: int = google_crc32c.extend(google_crc32c.value(key), value)
    return check.to_bytes(CHECKSUM_SIZE, "big")


def damage(folder: Path, *, timeout_s: float = TIMEOUT_S) -> str:
    """What is wrong with the LMDB file in a folder, found by another process; "" if nothing."""
    command = [sys.executable, "-m", "store.env.lmdb_check", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=timeout_s, stdin=subprocess.DEVNULL)  # noqa: S603  # Our own module.
    except subprocess.TimeoutExpired:
        return f"it could not be read within {timeout_s:.0f} s"
    if done.returncode == 0:
        return ""
    if done.returncode == EXIT_DAMAGED:
        return done.stdout.decode("utf-8", "replace").strip()[:_SAID_MAX] or "it is damaged"
    return f"reading it ended its process ({done.returncode})"


def main(arguments: Sequence[str]) -> int:
    """Check the folder that is named."""
    [folder] = arguments
    try:
        problems = verify(str(Path(folder) / DATA_NAME), subdir=False) or _unequal(folder)  # type: ignore[no-untyped-call]
    except (VerifyError, lmdb.Error, OSError) as error:
        problems = [str(error)]
    if not problems:
        return 0
    sys.stdout.write(f"{problems[0]}\n")
    return EXIT_DAMAGED


def _unequal(folder: str) -> list[str]:
    """The first value that is not what was written, if there is one."""
    with lmdb.open(folder, readonly=True, lock=False) as environment, environment.begin() as reading:
        for key, value in reading.cursor():
            if value[:CHECKSUM_SIZE] != checksum(key, value[CHECKSUM_SIZE:]):
                return [f"the value of {key.decode('ascii', 'replace')} is not what was written"]
    return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
