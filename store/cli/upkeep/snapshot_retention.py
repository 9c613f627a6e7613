"""`store snapshot prune`, `pin` and `unpin`: what goes, what stays, and why.

Laws: what goes was unneeded for a named grace before; what stays is said with its reasons. The only way to a promised
moment never goes, whatever the flags say.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from store.cli.arguments import ConfigFile, DryRun, Idle, SetOptions, configure
from store.cli.directories import Directory, expect_store, work_on
from store.cli.exits import NothingThere
from store.cli.moments import read_span, show_bytes, show_moment, to_text
from store.cli.output import JsonFlag, print_json, stdout
from store.cli.progress import Phases
from store.cli.upkeep.acts import BY_HAND, noted
from store.cli.upkeep.targets import full_name
from store.env.posix import PosixDisk, SystemClock
from store.env.priority import lower_priority
from store.errors import ConfigError, CorruptionError
from store.ids import Offset, Timestamp
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import PIN_FOLDER, PIN_NAME, Pin, Repository
from store.upkeep.holdings import survey
from store.upkeep.ranges import AtOffset, AtSnapshot, Newest, resolve, restorable
from store.upkeep.retention import Pruned, RetentionPlan, plan_retention
from store.upkeep.retention import prune as let_go

FreeMin = Annotated[
    int,
    typer.Option(
        min=0, metavar="BYTES", help="While less disk is free, what is not needed goes before its grace is over."
    ),
]
PIN_PREFIXES_TAKEN: Final = ("lease-", "cursor-")
"""How the names of pins begin that nobody sets by hand."""


def prune(  # Options of a command.
    directory: Directory = None,
    keep_last: Annotated[int | None, typer.Option(min=0, help="The newest so many stay.  [snapshot.keep_last]")] = None,
    keep_daily: Annotated[
        int | None, typer.Option(min=0, help="The newest of so many days stays.  [snapshot.keep_daily]")
    ] = None,
    keep_for: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="Every moment of so long stays restorable, such as 7d.  [snapshot.keep_for_s]"
        ),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="What is not needed stays so long, for copies in flight.  [snapshot.grace_s]"
        ),
    ] = None,
    free_min: FreeMin = 0,
    dry_run: DryRun = False,  # noqa: FBT002  # A flag.
    idle: Idle = False,  # noqa: FBT002  # A flag.
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Let go the snapshots, blocks and log that nothing needs any more.

    The two newest verified snapshots always stay, and the log behind them; what is pinned, leased, or within the
    retention window stays. What is found unneeded goes once its grace is over, at a later prune.
    """
    if idle:
        lower_priority()
    options = configure(config, set_, tenant__data=directory)
    root = options.tenant.data
    disk = work_on(root)
    expect_store(root, disk)
    said: dict[str, Any] = {
        "keep_last": keep_last,
        "keep_daily": keep_daily,
        "keep_for_s": None if keep_for is None else read_span(keep_for, "--keep-for"),
        "grace_s": None if grace is None else read_span(grace, "--grace"),
    }
    chosen = replace(options.snapshot, **{name: value for name, value in said.items() if value is not None})
    if dry_run:
        _tell_plan(plan_retention(SystemClock().wall(), survey(disk), chosen), json=json)
    prune_now(root, disk, chosen, free_min=free_min, dry_run=dry_run, json=json)


def prune_now(
    root: Path, disk: PosixDisk, options: SnapshotOptions, *, free_min: int = 0, dry_run: bool = False, json: bool
) -> None:
    """Let go, and say what went."""
    act: AbstractContextManager[dict[str, Any]] = nullcontext({})
    if not dry_run:
        act = noted(root, "retention", {"reason": BY_HAND})
    with act as more, Phases(json=json) as phases:
        pruned = let_go(
            disk, now=SystemClock().wall(), options=options, free_min=free_min, dry_run=dry_run, progress=phases
        )
        more.update(_counted(pruned))
    if json:
        print_json({"event": "pruned", **msgspec.to_builtins(asdict(pruned))})
        return
    ranges = restorable(disk)
    for line in _pruned_lines(pruned, oldest=ranges[-1].first if ranges else None):
        stdout.print(line, markup=False, soft_wrap=True)


def _counted(pruned: Pruned) -> dict[str, Any]:
    """What the log will say of it: names of snapshots, and of the rest how many, for there may be many."""
    return {
        "snapshots": list(pruned.snapshots),
        "segments": len(pruned.segments),
        "pins": len(pruned.pins),
        "blocks": pruned.blocks,
        "bytes": pruned.bytes,
        "floor": pruned.floor,
    }


def pin(  # Options of a command.
    directory: Annotated[Path, typer.Argument(help="The data directory; it may be in use.")],
    moment: Annotated[str, typer.Argument(help="A snapshot's name, an offset, or newest.")],
    name: Annotated[str | None, typer.Option(help="What it is called.  [default: pin-OFFSET]")] = None,
    reason: Annotated[str, typer.Option(help="Why, for whoever finds it later.")] = "",
    for_: Annotated[
        str | None, typer.Option("--for", metavar="SPAN", help="Until when, such as 30d.  [default: unpin]")
    ] = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Keep a moment restorable, and every later one, until it is unpinned: nothing that leads there goes."""
    options = configure(config, set_, tenant__data=directory)
    disk = work_on(options.tenant.data)
    found = resolve(disk, _moment(disk, moment))
    called = f"pin-{found.offset}" if name is None else name
    if called.startswith(PIN_PREFIXES_TAKEN) or not PIN_NAME.fullmatch(called):
        raise ConfigError(
            f"a pin is not called {called}",
            hint="a-z, 0-9, _, . and - do, up to 100; lease-… and cursor-… are the store's",
        )
    repository = Repository(disk)
    if called in repository.pins():
        raise ConfigError(
            f"there is a pin {called} already", hint="`store snapshot unpin` it first, or choose another --name"
        )
    until = None if for_ is None else Timestamp(SystemClock().wall() + round(read_span(for_, "--for") * 1e6))
    with noted(options.tenant.data, "pin", {"pin": called, "offset": found.offset, "until": until, "why": reason}):
        repository.pin(called, Pin(offset=found.offset, reason=reason, until=until, kind="pin"))
    if json:
        line = {"event": "pinned", "name": called, "offset": found.offset, "timestamp": found.timestamp}
        print_json({**line, "at": to_text(found.timestamp), "until": None if until is None else to_text(until)})
        return
    ends = f"until {show_moment(until)}" if until is not None else "until it is unpinned"
    stdout.print(f"pinned {called}: offset {found.offset}, {show_moment(found.timestamp)}, {ends}", soft_wrap=True)


def unpin(
    directory: Annotated[Path, typer.Argument(help="The data directory; it may be in use.")],
    name: Annotated[str, typer.Argument(help="What the pin is called.")],
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Take a pin away, also one that does not read: what it held goes at a later prune, if nothing else needs it."""
    options = configure(config, set_, tenant__data=directory)
    repository = Repository(work_on(options.tenant.data))
    held = _held_by(repository, name)
    with noted(options.tenant.data, "unpin", {"pin": name, "offset": held}):
        repository.unpin(name)
    if json:
        print_json({"event": "unpinned", "name": name, "offset": held})
        return
    what = "did not read" if held is None else f"held offset {held}"
    stdout.print(f"unpinned {name}, which {what}", markup=False, soft_wrap=True)


def _held_by(repository: Repository, name: str) -> Offset | None:
    """What a pin holds; None where it does not read. NothingThere: there is none. CorruptionError: another does not."""
    try:
        pins = repository.pins()
    except CorruptionError as error:
        if error.file == f"{PIN_FOLDER}/{name}.json":
            return None
        raise
    if name not in pins:
        there = ", ".join(sorted(pins)) or "none"
        raise NothingThere(f"there is no pin {name}", hint=f"There is: {there}")
    return pins[name].offset


def _moment(disk: PosixDisk, text: str) -> AtOffset | AtSnapshot | Newest:
    if text == "newest":
        return Newest()
    name = full_name(text)
    if name in Repository(disk).names() or not text.isdecimal():
        return AtSnapshot(name)
    return AtOffset(Offset(int(text)))


def _tell_plan(plan: RetentionPlan, *, json: bool) -> None:
    """What goes, what waits, and why the rest stays."""
    going = [*(f"snapshot/{name}" for name in plan.remove_snapshots), *plan.remove_segments]
    if json:
        print_json(
            {
                "event": "plan",
                "remove": going,
                "waiting": {name: to_text(since) for name, since in plan.condemned.items()},
                "kept": {name: list(why) for name, why in plan.kept.items()},
                "floors": dict(plan.floors),
                "floor": plan.floor,
            }
        )
        return
    for name in going:
        stdout.print(f"goes   {name}: nothing needs it, and its grace is over", markup=False, soft_wrap=True)
    for name, since in plan.condemned.items():
        stdout.print(f"waits  {name}: not needed since {show_moment(since)}", markup=False, soft_wrap=True)
    for name, why in plan.kept.items():
        stdout.print(f"stays  {name}: {'; '.join(dict.fromkeys(why))}", markup=False, soft_wrap=True)
    for who, offset in sorted(plan.floors.items(), key=lambda each: each[1]):
        begin = f"from offset {offset + 1} on" if offset else "all that is there"
        stdout.print(f"log    {begin} is needed by {who}", markup=False, soft_wrap=True)


def _pruned_lines(pruned: Pruned, *, oldest: Offset | None) -> list[str]:
    """What went. `oldest`: from where on every moment up to now can be restored, None where none can."""
    would = "would go" if pruned.dry_run else "went"
    counts = f"{len(pruned.snapshots)} snapshots, {len(pruned.segments)} segments and {pruned.blocks} blocks {would}"
    stays = (
        "nothing can be restored"
        if oldest is None
        else f"every moment from offset {max(pruned.floor, oldest)} on stays"
    )
    lines = [f"{counts}: {show_bytes(pruned.bytes)}; {stays}"]
    if pruned.waiting:
        due = "" if pruned.due is None else f", the first at {show_moment(pruned.due)}"
        lines.append(f"{pruned.waiting} files are not needed and go when their grace is over{due}: prune again then")
    return lines
