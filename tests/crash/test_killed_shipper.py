"""A shipper that is killed for real, again and again: each object once, each locked, no gap."""

import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

from store.audit.objects.batches import expand, lines_of
from store.audit.objects.checkpoint import read_checkpoint
from store.audit.objects.layout import What, read_name
from store.audit.objects.manifest import NO_MANIFEST, read_manifest
from store.env.posix import SystemClock
from store.env.worm import COMPLIANCE
from store.env.worm_folder import FolderWorm
from tests.audit.scenes import KEY
from tests.crash.shipping import batches

BATCHES, KILLS = 12, 25
ROOT = Path(__file__).resolve().parent.parent.parent


def ship(folder: Path, lines: int | None) -> str:
    """Run a shipper until it has said so many lines, then kill it; None: to its end. The last line it said."""
    command = [sys.executable, "-m", "tests.crash.shipping", str(folder), str(BATCHES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        said = b""
        for number, line in enumerate(process.stdout):
            said = line
            if number == lines:
                process.kill()
                break
    return said.decode().strip()


def test_a_killed_shipper_leaves_neither_a_gap_nor_a_second_copy(tmp_path: Path) -> None:
    """Whatever it was doing; ledger and folder are sound whenever it begins again."""
    dice = random.Random(7)  # noqa: S311  # The same kills each time, as far as lines go.
    for _ in range(KILLS):
        if ship(tmp_path, dice.randrange(6)) == "done":
            break
    assert ship(tmp_path, None) == "done"
    store, trail = FolderWorm(tmp_path / "bucket", SystemClock()), batches(BATCHES)
    found = list(store.versions("audit/v1/"))
    assert len({each.key for each in found}) == len(found)
    assert all(store.lock_of(each.key, each.version_id).mode == COMPLIANCE for each in found)
    names = {each.key: name for each in found if (name := read_name(each.key)) is not None}
    assert sorted(key for key, name in names.items() if name.what is What.BATCH) == [each.name for each in trail]
    previous = NO_MANIFEST
    for key in sorted(key for key, name in names.items() if name.what is What.MANIFEST):
        manifest = read_manifest(store.get(key))
        assert (manifest.prev, manifest.signed_by(KEY.key)) == (previous, True)
        data = store.get(manifest.key, manifest.version_id)
        assert (sha256(data).hexdigest(), len(lines_of(expand(data)))) == (manifest.sha256, manifest.count)
        previous = manifest.digest
    assert previous != NO_MANIFEST
    newest = max(key for key, name in names.items() if name.what is What.CHECKPOINT)
    checkpoint, _ = read_checkpoint(store.get(newest))
    assert (checkpoint.size, checkpoint.root) == (trail[-1].after.end, trail[-1].after.root())
