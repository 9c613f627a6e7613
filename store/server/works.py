"""What children of the server do: snapshots, drills, pushes; each with its words, its figures and its record.

Laws: a piece of work ends in a value that says how, whatever its child did. Only what is sealed is taken or pushed; a
drill is compared with the live fingerprint of the very offset that it restores.
"""

import asyncio
import dataclasses
import hashlib
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Final

from store.engine.snapshot_policy import SnapshotRequest
from store.errors import Overloaded
from store.ids import Offset, Timestamp
from store.server.child import Ended, Event
from store.server.figures import counts_of, number
from store.server.metrics import count
from store.server.workshop import SILENT_END, Done, Job, Workshop, flag_text

DRILL_FOLDER_PREFIX: Final = "store-drill-"

TAKEN, PRUNED, DRILLED, PUSHED, BACKUP_PRUNED = "taken", "pruned", "drilled", "pushed", "backup_pruned"
"""What a child's last word of its work is called."""

logger: Final = logging.getLogger(__name__)


async def snapshot(shop: Workshop, job: Job, request: SnapshotRequest) -> Done:
    """Take one and let go what it makes unneeded, or only that; what was done is recorded."""
    take = request.take
    if take:
        await shop.seal()
    words = ("snapshot", "take") if take else ("snapshot", "prune")
    shop.takes = take
    room = f"--free-min={shop.engine.housekeeping.reserve}"
    prune = ["--prune"] if take else []
    ended, said = await shop.run(*words, str(shop.data), *prune, room, *shop.snapshot_flags())
    shop.takes = False
    if take and PRUNED not in said and not shop.stopping:
        # It did not come to that; old log goes all the same, on a full disk above all.
        _, more = await shop.run("snapshot", "prune", str(shop.data), room, *shop.snapshot_flags())
        said |= more
    offset = _note_pruned(shop, said.get(PRUNED), reason=job.reason)
    if take:
        offset = _note_taken(shop, job, ended, said.get(TAKEN)) or offset
    elif ended.problem or PRUNED not in said:
        shop.failed("snapshot", ended)
        shop.policy.failed(ended.problem or SILENT_END, now=shop.clock.monotonic())
    wanted = said.get(TAKEN if take else PRUNED, {})
    return Done("" if wanted else ended.problem or SILENT_END, offset, wanted)


def _note_taken(shop: Workshop, job: Job, ended: Ended, taken: Event | None) -> Offset:
    figures, now = shop.figures, shop.clock.monotonic()
    if taken is None:
        problem = ended.problem or SILENT_END
        shop.failed("snapshot", ended)
        shop.policy.failed(problem, now=now)
        return shop.record("snapshot", {"reason": job.reason, "failed": problem}, job.said)
    count(figures.snapshots, job.reason)
    figures.snapshot, figures.snapshot_at = taken, shop.clock.wall() / 1e6
    shop.policy.took(Offset(int(taken["offset"])), now=now, size=int(taken.get("bytes") or 0))
    _measure(shop, taken)
    logger.info("snapshot %s taken (%s) in %.1f s", taken.get("name"), job.reason, number(taken, "seconds"))
    return shop.record("snapshot", {"reason": job.reason, **taken}, job.said)


def _note_pruned(shop: Workshop, pruned: Event | None, *, reason: str) -> Offset:
    if pruned is None:
        return Offset(0)
    shop.figures.note_pruned(pruned)
    due = pruned.get("due")
    shop.policy.pruned(
        now=shop.clock.monotonic(), wall=shop.clock.wall(), due=None if due is None else Timestamp(int(due))
    )
    if not (pruned.get("segments") or pruned.get("snapshots")):
        return Offset(0)
    return shop.record("retention", {"reason": reason, **pruned}, ())


def _measure(shop: Workshop, taken: Event) -> None:
    replayed, rate = int(taken.get("replayed") or 0), float(taken.get("replay_per_second") or 0.0)
    if rate > 0:
        shop.policy.measured(transactions=replayed, replay_s=replayed / rate)


async def drill(shop: Workshop, job: Job) -> Done:
    """The live fingerprint here, a restore in a child: both of one offset, and the log sealed behind it."""
    figures = shop.figures
    scratch: Path | None = None
    event: Event = {}
    code: int | None = None
    asked = shop.loop.create_task(shop.live.fingerprint())
    try:
        await asyncio.sleep(0)  # The pass begins, and with it the offset is known.
        await shop.live.seal()
        live = await asked
        scratch = await asyncio.to_thread(make_scratch, shop)
        ended, said = await shop.run(
            *("snapshot", "drill", str(shop.data), "--through", str(live.offset)),
            *("--fingerprint", live.fingerprint, "--scratch", str(scratch), *shop.snapshot_flags()),
        )
        event, code = said.get(DRILLED, {}), ended.code
        problem = "" if event else ended.problem or SILENT_END
    except (Overloaded, OSError) as error:
        problem = str(error)
    finally:
        asked.cancel()
        if scratch is not None:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
    same = bool(event.get("same"))
    count(figures.drills, "failed" if problem else "same" if same else "different")
    if problem:
        shop.failed("drill", problem)
        offset = shop.record("drill", {"reason": job.reason, "failed": problem}, job.said)
        return Done(problem, offset, {}, code)
    figures.drill, figures.drilled_at = event, shop.clock.wall() / 1e6
    if same:
        figures.drill_at = shop.clock.wall() / 1e6
    else:
        logger.error(
            "the drill restored other rows than the live ones at offset %s: expected fingerprint %s, found %s; "
            "run `store snapshot verify` and `store log verify` on %s, and keep everything",
            *(event.get("offset"), event.get("expected"), event.get("fingerprint"), shop.data),
        )
    return Done("", shop.record("drill", {"reason": job.reason, **event}, job.said), event)


def make_scratch(shop: Workshop) -> Path:
    """An empty folder of this store's own; what a killed drill left there goes first. OSError."""
    folder = shop.options.drill_folder or Path(tempfile.gettempdir())
    name = DRILL_FOLDER_PREFIX + hashlib.sha256(str(shop.data).encode()).hexdigest()[:16]
    scratch = folder.absolute() / name
    if scratch.is_symlink():
        raise FileExistsError(f"{scratch} is a link that somebody made: remove it")
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir(mode=0o700, parents=True)
    return scratch


async def push(shop: Workshop, job: Job) -> Done:
    """Bring the backup up to date, and prune it where that is wanted."""
    await shop.seal()  # Only what is sealed can be pushed.
    options = [
        f"--set=backup.{each.name}={flag_text(getattr(shop.backup, each.name))}"
        for each in dataclasses.fields(shop.backup)
        if getattr(shop.backup, each.name) not in {None, ""}
    ]
    # What is old is judged by the clock: while that is in doubt nothing goes.
    prune = ["--prune"] if shop.backup.prune and not shop.engine.admission.doubts_clock else []
    ended, said = await shop.run("backup", "push", str(shop.data), *prune, *options, *shop.snapshot_flags())
    event = said.get(PUSHED, {})
    if BACKUP_PRUNED in said:
        event = {**event, "pruned": counts_of(said[BACKUP_PRUNED])}
    problem = "" if event and not ended.problem else ended.problem or SILENT_END
    if problem:
        shop.failed("backup", problem)
        return Done(problem, shop.record("backup", {"reason": job.reason, "failed": problem}, job.said), event)
    shop.figures.backup, shop.figures.backup_at = event, shop.clock.wall() / 1e6
    shop.figures.backup_bytes += int(event.get("bytes_sent") or 0)
    return Done("", shop.record("backup", {"reason": job.reason, **event}, job.said), event)
