"""How `store backup list` shows what a backup holds: for people, and as JSON."""

from typing import Any, Final

from rich import box
from rich.table import Table

from store.backup.branches import Branch, snapshot_of
from store.backup.listing import Listing
from store.cli.moments import show_age, show_brief, show_moment, show_span, to_text
from store.config import Config
from store.env.posix import SystemClock

OLD_PUSHES: Final = 3
"""Times the wanted interval between pushes, past which the backup is too old."""


def alarm_of(found: Listing, options: Config) -> str:
    """What an operator should not sleep over."""
    if not found.branches:
        return "there is nothing to restore in it yet"
    age_s = (SystemClock().wall() - found.branches[0].time) / 1e6
    if options.backup.interval_s and age_s > OLD_PUSHES * options.backup.interval_s:
        return (
            f"the newest restorable moment is {show_span(age_s)} old, and {show_span(options.backup.interval_s)} are "
            "wanted (backup.interval_s); a store in which nothing happens has nothing to push"
        )
    return ""


def branch_table(branch: Branch) -> Table:
    """What of one history can be restored."""
    table = Table(title=f"epoch {branch.epoch}", title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("restorable offsets", "from", "to", "snapshots"):
        table.add_column(name)
    for each in branch.stretches():
        offsets = f"{each.first} to {each.last}" if each.first != each.last else f"{each.first}"
        snapshots = ", ".join(map(str, each.bases[-3:])) + (f" of {len(each.bases)}" if len(each.bases) > 3 else "")
        table.add_row(offsets, _time(each.first_time), _time(each.last_time), snapshots or "none: from the log's start")
    return table


def pins_of(found: Listing) -> list[str]:
    """What operators hold on to in it, which no prune lets go."""
    lines = []
    for each in found.pins:
        until = "" if each.until is None else f", until {show_moment(each.until)}"
        why = f": {each.reason}" if each.reason else ""
        lines.append(f"pinned: {each.name}, offset {each.offset} of epoch {each.history}{until}{why}")
    return lines


def _time(at: int | None) -> str:
    return "unknown" if at is None else f"{show_brief(at)}, {show_age(at, SystemClock().wall())} ago"


def troubles_of(found: Listing) -> list[str]:
    """What is wrong at first sight."""
    return [
        *(f"missing: {name} was stored, and is gone" for name in found.missing),
        *(f"not to be believed: {name}: {why}" for name, why in found.refused.items()),
        *(f"not of a backup: {name}" for name in found.foreign),
    ]


def branch_line(branch: Branch) -> dict[str, Any]:
    """One history, as JSON."""
    return {
        "epoch": branch.epoch,
        "last_offset": branch.offset,
        "last_time": to_text(branch.time),
        "segments": len(branch.segments),
        "snapshots": [snapshot_of(each).offset for each in branch.snapshots],
        "ranges": [
            {
                "first": each.first,
                "last": each.last,
                "first_time": None if each.first_time is None else to_text(each.first_time),
                "last_time": None if each.last_time is None else to_text(each.last_time),
                "bases": list(each.bases),
            }
            for each in branch.stretches()
        ],
    }


def listing_line(found: Listing) -> dict[str, Any]:
    """All of it, as JSON."""
    return {
        "url": found.url,
        "store": found.store,
        "encrypted": found.encrypted,
        "objects": found.objects,
        "bytes": found.bytes,
        "pushes": len(found.pushes),
        "missing": list(found.missing),
        "foreign": list(found.foreign),
        "pins": [
            {
                "name": each.name,
                "epoch": each.epoch,
                "history": each.history,
                "offset": each.offset,
                "reason": each.reason,
                "until": None if each.until is None else to_text(each.until),
            }
            for each in found.pins
        ],
        "refused": found.refused,
    }
