"""How fast this machine restored before, so that what a restore will take is told by what one took.

Laws: a note, never the truth: without it, or with one that does not read, cautious rates count. Only what was large
enough to be measured is noted.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from store.upkeep.making import Restored

PACE: Final = "pace.json"
BYTES_MIN: Final = 4 << 20
TRANSACTIONS_MIN: Final = 20_000
"""Less than this is too little to tell a rate by."""
_SIZE_MAX: Final = 4_096


class Pace(msgspec.Struct, frozen=True):
    """What the note says, as JSON. The defaults are cautious."""

    copied_per_s: float = 150e6
    """Bytes that are checked and copied in a second."""
    replayed_per_s: float = 200_000.0
    """Transactions that are replayed in a second, with the loading before that."""

    def seconds(self, size: int, transactions: int) -> float:
        """About how long a restore of so much takes."""
        return size / self.copied_per_s + transactions / self.replayed_per_s


def read_pace(root: Path) -> Pace:
    """What was measured for this data directory."""
    try:
        with (root / PACE).open("rb") as file:
            pace = msgspec.json.decode(file.read(_SIZE_MAX), type=Pace)
    except (OSError, msgspec.MsgspecError):
        return Pace()
    return pace if pace.copied_per_s >= 1 and pace.replayed_per_s >= 1 else Pace()


def note_pace(root: Path, restored: Restored) -> None:
    """Note what a restore of it took, where that tells something and may be written."""
    before = read_pace(root)
    copied, replayed = before.copied_per_s, before.replayed_per_s
    if restored.bytes >= BYTES_MIN and restored.copying_s > 0:
        copied = restored.bytes / restored.copying_s
    if restored.replayed >= TRANSACTIONS_MIN and restored.proving_s > 0:
        replayed = restored.replayed / restored.proving_s
    now = Pace(copied, replayed)
    if now == before:
        return
    with suppress(OSError):
        fresh = root / f"{PACE}.new"
        fresh.write_bytes(msgspec.json.encode(now) + b"\n")
        fresh.rename(root / PACE)
