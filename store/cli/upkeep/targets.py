"""Which moment is meant: an offset, a time, a snapshot or the newest there is."""

from typing import Annotated

import typer

from store.cli.moments import read_moment
from store.env.world import Disk
from store.errors import ConfigError, NotRestorable
from store.ids import Offset
from store.snapshot.format import snapshot_name
from store.upkeep.ranges import AtOffset, AtSnapshot, AtTime, Newest, Target, restorable

ToOffset = Annotated[int | None, typer.Option("--to-offset", min=1, help="As it was behind this transaction.")]
ToTime = Annotated[
    str | None,
    typer.Option("--to-time", metavar="TIME", help="As it was then, such as 2026-11-21T14:30:00Z; with a time zone."),
]
ToSnapshot = Annotated[
    str | None, typer.Option("--snapshot", metavar="NAME", help="As a snapshot has it; its offset is enough.")
]
ToNewest = Annotated[bool, typer.Option("--newest", help="As near to now as it goes.")]


def read_target(
    *, to_offset: int | None, to_time: str | None, snapshot: str | None, newest: bool, optional: bool
) -> Target:
    """The one that was said. ConfigError: none, where `optional` does not make it the newest, or several."""
    said: list[Target] = []
    if to_offset is not None:
        said.append(AtOffset(Offset(to_offset)))
    if to_time is not None:
        said.append(AtTime(read_moment(to_time, "--to-time")))
    if snapshot is not None:
        said.append(AtSnapshot(full_name(snapshot)))
    if newest or (optional and not said):
        said.append(Newest())
    if len(said) != 1:
        raise ConfigError(
            f"one moment is needed, found {len(said) or 'none'}",
            hint="--to-time 2026-11-21T14:30:00Z, --to-offset N, --snapshot NAME or --newest; "
            "`store snapshot list` shows what is restorable",
        )
    return said[0]


def full_name(text: str) -> str:
    """A snapshot's name; its offset alone is enough."""
    return snapshot_name(Offset(int(text))) if text.isdecimal() and text.isascii() and len(text) <= 20 else text


def in_epoch(disk: Disk, target: Target, epoch: str | None) -> Target:
    """The target, which must be of the epoch with these first digits. NotRestorable: there is none such here."""
    if epoch is None or not isinstance(target, AtOffset):
        return target
    known = {each.epoch for each in restorable(disk)}
    found = [each for each in known if each.hex().startswith(epoch.lower())]
    if len(found) != 1:
        listed = ", ".join(sorted(each.hex() for each in known)) or "none"
        begins = "more than one epoch" if found else "no epoch"
        raise NotRestorable(f"{begins} that is restorable here begins with {epoch}", hint=f"There is: {listed}")
    return AtOffset(target.offset, found[0])
