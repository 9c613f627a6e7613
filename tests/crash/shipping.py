"""A process that ships a trail of small batches from a ledger on disk into a write-once folder, to be killed anywhere.

`python -m tests.crash.shipping FOLDER BATCHES` goes on where the last one was killed, and says each step on a line.
"""

import sys
from pathlib import Path

from store.audit.objects.batches import Frozen
from store.audit.objects.manifest import Writer
from store.audit.objects.merkle import NOTHING
from store.audit.recording.rows import Rows
from store.audit.shipping.putting import Retention
from store.audit.shipping.shipper import Shipper
from store.env.hands import OwnHands
from store.env.lmdb import LmdbLedger
from store.env.posix import SystemClock
from store.env.worm_folder import FolderWorm
from tests.audit.scenes import LOG, ORIGIN, frozen
from tests.audit.shipping_scene import Notary

LEDGER_SIZE_MAX = 4 << 20


def batches(count: int) -> list[Frozen]:
    """The trail: the same whenever it is made."""
    made: list[Frozen] = []
    for number in range(count):
        before = made[-1].after if made else NOTHING
        made.append(frozen(number, before=before, count=50))
    return made


def main() -> None:
    """Freeze what is missing, one batch every other step, and ship until nothing waits."""
    folder, trail = Path(sys.argv[1]), batches(int(sys.argv[2]))
    clock = SystemClock()
    ledger = LmdbLedger(folder / "ledger", size_max=LEDGER_SIZE_MAX)
    assert not ledger.damaged, ledger.damaged
    store = FolderWorm(folder / "bucket", clock)
    store.create(retention_days=1)
    rows = Rows(ledger, LOG)
    shipper = Shipper(
        store,
        rows,
        Notary(),
        log=LOG,
        origin=ORIGIN,
        writer=Writer("0", "here", ledger.fence),
        retention=Retention(1),
        clock=clock,
        hands=OwnHands(),
        tell=lambda _: None,
    )
    print("begun", flush=True)  # noqa: T201  # Who kills counts lines.
    while True:
        number = 0 if rows.newest is None else rows.newest.batch + 1
        if number < len(trail):
            rows.freeze(trail[number], b"", at=clock.wall())
        elif rows.waiting is None:
            break
        shipper.step()
        print("step", flush=True)  # noqa: T201  # As above.
    ledger.close()
    print("done", flush=True)  # noqa: T201  # As above.


if __name__ == "__main__":
    main()
