"""`store backup prune` and `unpin`: what of a backup goes, what stays, and why.

Laws: what goes was unneeded for a named grace; the only way to a promised moment never goes, whatever the flags say.
What the place holds under a lock is told of, and no failure.
"""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any

import msgspec
import typer

from store.backup.bucket import open_bucket
from store.backup.keys import OperatorKey
from store.backup.options import BackupOptions
from store.backup.pins import read_pins, take_away
from store.backup.prune import BackupPruned
from store.backup.prune import prune as let_go
from store.cli.arguments import ConfigFile, DryRun, SetOptions
from store.cli.exits import NothingThere
from store.cli.moments import counted, read_span, show_bytes
from store.cli.output import JsonFlag, print_json, stdout
from store.cli.progress import Phases
from store.cli.upkeep.backup_arguments import BackupUrl, configure_backup, url_of
from store.cli.upkeep.sources import Endpoint, KeyFile, Region, backup_objects, expect_backup, operator_key
from store.env.posix import SystemClock, SystemEntropy
from store.env.world import ObjectStore
from store.errors import ConfigError, DirectoryError


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
    moment; so does what is pinned in a directory, once it was pushed. What is under an object lock stays, and is said.
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


def unpin(  # Options of a command.
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The backup: a folder, file:///path or s3://bucket/prefix.")
    ],
    name: Annotated[str, typer.Argument(help="What the pin is called.")],
    epoch: Annotated[
        str | None, typer.Option(metavar="HEX", help="Of several so called, the one set in this epoch.")
    ] = None,
    key: KeyFile = None,
    endpoint: Endpoint = None,
    region: Region = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Take a pin out of a backup whose directory is gone, or was given up: what it held goes at a later prune.

    Where the directory is there, `store snapshot unpin` takes its pin away, and the next push does so in the backup.
    """
    options = configure_backup(config, set_, url, key, endpoint, region)
    objects = backup_objects(url_of(options), options)
    with expect_backup():
        bucket = open_bucket(objects, operator_key(options))
    pins = read_pins(bucket)
    found = {
        each: pin for each, pin in pins.items() if pin.name == name and pin.epoch.startswith((epoch or "").lower())
    }
    if not found:
        there = ", ".join(sorted(f"{pin.name} (epoch {pin.epoch[:8]})" for pin in pins.values())) or "none"
        raise NothingThere(f"there is no pin {name} in {objects.url}", hint=f"There is: {there}")
    if len(found) > 1:
        epochs = ", ".join(sorted(pin.epoch for pin in found.values()))
        raise ConfigError(f"{len(found)} pins in {objects.url} are called {name}", hint=f"--epoch: one of {epochs}")
    ((object_name, pin),) = found.items()
    if not take_away(bucket, object_name):
        raise DirectoryError(
            f"{objects.url} does not let {object_name} go: it is under a lock",
            hint="It holds what it holds until that lock ends; unpin it then",
        )
    if json:
        print_json({"event": "unpinned", "name": name, "epoch": pin.epoch, "offset": pin.offset, "url": objects.url})
        return
    stdout.print(
        f"unpinned {name} in {objects.url}, which held offset {pin.offset}: prune lets go what nothing else needs",
        markup=False,
        soft_wrap=True,
    )


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
