"""What a restore or a clone is about to do, and what it has done, in an operator's words."""

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from store.cli.exits import Exit
from store.cli.moments import counted, show_age, show_bytes, show_moment, show_span, to_text
from store.cli.output import note, print_json, stdout
from store.cli.upkeep.pace import Pace
from store.env.posix import SystemClock
from store.errors import DirectoryError
from store.upkeep.making import Restored
from store.upkeep.restore import RestorePlan

DEFAULT_PACE: Final = Pace()
SPARE_BYTES: Final = 16 << 20
"""What must stay free beside what is written."""


@dataclass(frozen=True)
class Preview:
    """What will happen."""

    source: str
    into: Path
    plan: RestorePlan
    reason: str
    in_place: bool
    damage: tuple[str, ...] = ()
    """What of the source is known to be damaged, before anything but its ends was read."""
    pace: Pace = DEFAULT_PACE
    """How fast restores were here."""

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return self.pace.seconds(self.plan.bytes, self.plan.moment.replay)

    @property
    def free_bytes(self) -> int:
        """On the disk that it is written to."""
        there = self.into.absolute()
        while not there.exists():
            there = there.parent
        found = os.statvfs(there)
        return found.f_bavail * found.f_frsize

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self.plan.bytes + SPARE_BYTES <= self.free_bytes

    def what(self) -> str:
        """In one sentence."""
        if self.in_place:
            return (
                f"restores {self.into} in place: a new generation is written and checked beside the files of now, then "
                "becomes the one in force; those stay until `--confirm`"
            )
        if self.reason == "clone":
            what = f"another store in {self.into}, whose history begins at that moment"
            return f"makes of {self.source} {what}; {self.source} is only read"
        return f"restores from {self.source} into {self.into}, a directory of its own; {self.source} is only read"


def tell_preview(preview: Preview, *, dry_run: bool, json: bool) -> None:
    """Say it. DirectoryError: there is no room for it."""
    moment = preview.plan.moment
    if json:
        print_json(_plan_line(preview, dry_run=dry_run))
    else:
        say = stdout if dry_run else None
        base = f"snapshot {moment.base}" if moment.base else "the start of the log"
        size = f"{counted(len(preview.plan.files), 'file')}, {show_bytes(preview.plan.bytes)}"
        room = f"about {show_span(preview.seconds)}; {show_bytes(preview.free_bytes)} are free"
        lines = [
            f"it will be offset {moment.offset}, of {show_moment(moment.timestamp)}, {_age(moment.timestamp)} ago",
            f"  {preview.what()}",
            f"  from {base} and {counted(moment.replay, 'transaction')} behind it: {size}, {room}",
        ]
        lines += [f"  {show_gap(*each)}; this moment does not need it" for each in preview.plan.gaps]
        lines += [f"  the source is damaged, and what lies behind that is left out: {each}" for each in preview.damage]
        for line in lines:
            if say is None:
                note(line)
            else:
                say.print(line, markup=False, soft_wrap=True)
    check_room(preview)


def show_gap(first: int, last: int) -> str:
    """Offsets that no segment holds, or a place where the log breaks without one."""
    if last < first:
        return f"the log breaks behind offset {last}: damage separates it from offset {first}"
    return f"offsets {first} to {last} are in no segment"


def check_room(preview: Preview) -> None:
    """DirectoryError: what will be written does not fit."""
    if not preview.fits:
        raise DirectoryError(
            f"{show_bytes(preview.plan.bytes + SPARE_BYTES)} are needed, {show_bytes(SPARE_BYTES)} of them to spare, "
            f"and {show_bytes(preview.free_bytes)} are free where {preview.into} would lie",
            hint="Nothing was written. Make room, or name a directory on a larger disk with --into",
        )


def proceed(preview: Preview, *, yes: bool) -> bool:
    """Ask on a terminal, unless told not to; without one go on."""
    return agree("restore?" if preview.reason == "restore" else "copy?", yes=yes)


def agree(question: str, *, yes: bool) -> bool:
    """Whether to go on: asked where somebody sits at both ends of a terminal. No, where they do not say yes."""
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    if typer.confirm(question, err=True):
        return True
    note("nothing was done")
    raise typer.Exit(Exit.INTERRUPTED)


def tell_restored(restored: Restored, preview: Preview, *, json: bool) -> None:
    """What there is now, and what to do next."""
    steps = _next(preview)
    if json:
        print_json(
            {
                "event": "restored",
                "offset": restored.offset,
                "timestamp": restored.timestamp,
                "at": to_text(restored.timestamp),
                "into": str(preview.into),
                "in_place": preview.in_place,
                "reason": preview.reason,
                "parent_epoch": restored.parent.hex(),
                "store": restored.store.hex(),
                "base": restored.base,
                "replayed": restored.replayed,
                "rows": restored.rows,
                "bytes": restored.bytes,
                "fingerprint": restored.fingerprint,
                "passed_over": [{"name": each.name, "reason": each.reason} for each in restored.passed_over],
                "seconds": round(restored.seconds, 3),
                "next": [command for command, _ in steps],
            }
        )
        return
    for each in restored.passed_over:
        note(f"  snapshot {each.name} was passed over: {each.reason}")
    stdout.print(
        f"{_done(preview)} offset {restored.offset}, {show_moment(restored.timestamp)}, "
        f"in {show_span(restored.seconds)}: {restored.rows:,} rows, "
        f"{counted(restored.replayed, 'transaction')} replayed, checked\n"
        f"  fingerprint {restored.fingerprint}",
        markup=False,
        soft_wrap=True,
    )
    tell_next(steps)


def _done(preview: Preview) -> str:
    return "restored to" if preview.reason == "restore" else "copied, as of"


def tell_next(steps: list[tuple[str, str]]) -> None:
    """Commands to go on with, and what for."""
    width = max(len(command) for command, _ in steps)
    lines = (f"  {command:<{width}}  # {why}" for command, why in steps)
    stdout.print("next:", *lines, sep="\n", markup=False, soft_wrap=True)


def _next(preview: Preview) -> list[tuple[str, str]]:
    where = shlex.quote(str(preview.into))
    opens = (f"store serve --data {where}", "opens a new epoch: clients are told, and take their rows anew")
    if preview.in_place:
        return [
            opens,
            (f"store restore {where} --confirm", "once it is what you wanted: the old files go, also while it runs"),
            (f"store restore {where} --undo", "stop it, else: back to the files from before"),
        ]
    return [
        (f"store log verify {where}", "prove it again, at any time"),
        (f"store token mint --data {where}", "tokens are not restored"),
        opens,
    ]


def _plan_line(preview: Preview, *, dry_run: bool) -> dict[str, Any]:
    plan = preview.plan
    moment = plan.moment
    return {
        "event": "plan",
        "dry_run": dry_run,
        "reason": preview.reason,
        "source": preview.source,
        "into": str(preview.into),
        "in_place": preview.in_place,
        "offset": moment.offset,
        "timestamp": moment.timestamp,
        "at": to_text(moment.timestamp),
        "epoch": moment.epoch.hex(),
        "base": moment.base,
        "replay": moment.replay,
        "files": [{"name": each.name, "size": each.size} for each in plan.files],
        "bytes": plan.bytes,
        "damage": list(preview.damage),
        "gaps": [{"first": first, "last": last} for first, last in plan.gaps],
        "eta_s": round(preview.seconds, 3),
        "free_bytes": preview.free_bytes,
        "fits": preview.fits,
    }


def _age(timestamp: int) -> str:
    return show_age(timestamp, SystemClock().wall())
