"""`store backup prune`: what of a backup goes, what stays, and why.

Laws: what goes was unneeded for a named grace; the only way to a promised moment never goes, whatever the flags say.
What the place holds under a lock is told of, and no failure.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any

import msgspec
import typer

from store.backup.keys import OperatorKey
from store.backup.options import BackupOptions
from store.backup.prune import BackupPruned
from store.backup.prune import prune as let_go
from store.cli.arguments import ConfigFile, DryRun, SetOptions
from store.cli.moments import counted, read_span, show_bytes
from store.cli.output import JsonFlag, print_json, stdout
from store.cli.progress import Phases
from store.cli.upkeep.backup_arguments import BackupUrl, configure_backup, url_of
from store.cli.upkeep.sources import Endpoint, KeyFile, Region, backup_objects, expect_backup, operator_key
from store.env.posix import SystemClock, SystemEntropy
from store.env.world import ObjectStore


def prune(  # Options of a command.
    url: BackupUrl = None,
    keep_last: Annotated[int | None, typer.Option(min=0, help="The newest so many stay.  [backup.keep_last]")] = None,
    keep_daily: Annotated[
        int | None, typer.Option(min=0, help="The newest of so many days stays.  [backup.keep_daily]")
    ] = None,
    keep_for: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="Every moment of so long stays restorable, such as 30d.  [backup.keep_for_s]"
        ),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="What goes was unneeded for so long, for restores in flight.  [backup.grace_s]"
        ),
    ] = None,
    dry_run: DryRun = False,  # noqa: FBT002  # A flag.
    key: KeyFile = None,
    endpoint: Endpoint = None,
    region: Region = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Let go the snapshots, blocks and log of a backup that nothing needs any more.

    Of each history the two newest snapshots always stay, and the log behind them, and all that leads to a promised
    moment. What is under an object lock stays, and is said. Pins are of a directory: they hold nothing in a backup.
    """
    options = configure_backup(config, set_, url, key, endpoint, region)
    said: dict[str, Any] = {
        "keep_last": keep_last,
        "keep_daily": keep_daily,
        "keep_for_s": None if keep_for is None else read_span(keep_for, "--keep-for"),
        "grace_s": None if grace is None else read_span(grace, "--grace"),
    }
    chosen = replace(options.backup, **{name: value for name, value in said.items() if value is not None})
    objects = backup_objects(url_of(options), options)
    with expect_backup():
        prune_now(objects, operator_key(options), chosen, dry_run=dry_run, json=json)


def prune_now(
    objects: ObjectStore, key: OperatorKey | None, options: BackupOptions, *, dry_run: bool = False, json: bool
) -> None:
    """Let go, and say what went."""
    with Phases(json=json, counts=True) as phases:
        pruned = let_go(
            objects,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            options=options,
            key=key,
            dry_run=dry_run,
            progress=phases,
        )
    if json:
        print_json({"event": "backup_pruned", **msgspec.to_builtins(asdict(pruned))})
        return
    for line in (*(_why(pruned) if dry_run else ()), *_what(pruned)):
        stdout.print(line, markup=False, soft_wrap=True)


def _why(pruned: BackupPruned) -> Iterator[str]:
    for name in (*pruned.snapshots, *pruned.segments):
        yield f"goes   {name}: nothing needs it, and its grace is over"
    for history in pruned.histories:
        for name, why in history.kept.items():
            yield f"stays  {name}: {'; '.join(dict.fromkeys(why))}"
        for who, offset in sorted(history.floors.items(), key=lambda each: each[1]):
            begin = f"from offset {offset + 1} on" if offset else "all that is there"
            yield f"log    {begin} of epoch {history.epoch[:8]} is needed by {who}"


def _what(pruned: BackupPruned) -> Iterator[str]:
    would = "would go" if pruned.dry_run else "went"
    counts = f"{counted(len(pruned.snapshots), 'snapshot')}, {counted(len(pruned.segments), 'segment')}"
    yield f"{pruned.url}: {counts} and {counted(pruned.blocks, 'block')} {would}: {show_bytes(pruned.bytes)}"
    if pruned.notes:
        yield f"{counted(pruned.notes, 'note')} of pushes {would}, which a later one repeats"
    if pruned.waiting:
        yield f"{counted(pruned.waiting, 'object')} not needed any more, in their grace: prune again later"
    for name in pruned.retained:
        yield f"retained by the place, under a lock: {name}"
    for name, why in pruned.unread.items():
        yield f"does not read, so no block went: {name}: {why}"
