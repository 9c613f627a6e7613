"""`store backup`: snapshots and sealed log in a place off this machine, from which any moment comes back.

Laws: what is in a backup is written once and never overwritten. An interrupted push or pull goes on where it stopped,
by the same command. Secrets come from files and the environment, never from the command line.
"""

import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from store.backup.checking import check
from store.backup.listing import listing
from store.backup.pull import pull as fetch
from store.backup.push import Pushed
from store.backup.push import push as send
from store.cli.arguments import Authority, ConfigFile, Idle, SetOptions, Token, Url, was_typed
from store.cli.asking import ask_to_seal
from store.cli.directories import Directory, expect_outside, expect_store, made_in, work_on
from store.cli.exits import Exit
from store.cli.moments import counted, show_bytes, show_span
from store.cli.output import JsonFlag, note, print_json, print_table, stdout
from store.cli.progress import Phases
from store.cli.upkeep.acts import BY_HAND, note_made, noted
from store.cli.upkeep.backup_arguments import BackupUrl, configure_backup, url_of
from store.cli.upkeep.backup_keys import make_key, rotate_key
from store.cli.upkeep.backup_retention import prune, prune_now, unpin
from store.cli.upkeep.backup_views import (
    alarm_of,
    branch_line,
    branch_table,
    listing_line,
    pins_of,
    troubles_of,
)
from store.cli.upkeep.preview import tell_next
from store.cli.upkeep.sources import (
    Endpoint,
    EpochOption,
    KeyFile,
    Region,
    backup_objects,
    expect_backup,
    operator_key,
)
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.priority import lower_priority
from store.log.survey import segments

backup_app = typer.Typer(
    no_args_is_help=True, help="Keep snapshots and log in another place: a folder or S3.", rich_markup_mode=None
)


@backup_app.command()
def push(  # Options of a command.
    context: typer.Context,
    directory: Directory = None,
    backup_url: BackupUrl = None,
    key: KeyFile = None,
    endpoint: Endpoint = None,
    region: Region = None,
    url: Url = None,
    token: Token = None,
    ca: Authority = None,
    idle: Idle = False,  # noqa: FBT002  # A flag.
    prune_too: Annotated[  # noqa: FBT002  # A flag.
        bool, typer.Option("--prune", help="Then let go what the backup does not need any more.  [backup.keep_…]")
    ] = False,  # A flag.
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Send what the backup does not have yet: verified snapshots and sealed log. Interrupted, it goes on next time.

    A tenant that runs is found as by `store call`, and asked to seal its log first, so that all until now can be sent;
    with --idle, or where it is not found, its open segment stays here until it is sealed.
    """
    if idle:
        lower_priority()
    options = configure_backup(config, set_, backup_url, key, endpoint, region, data=directory)
    root = options.tenant.data
    disk = work_on(root)
    expect_store(root, disk)
    if not idle:
        ask_to_seal(options, url, token, ca, named=was_typed(context, "url"))
    objects, secret = backup_objects(url_of(options), options), operator_key(options)
    if not objects.url.startswith("s3://"):
        expect_outside(Path(objects.url), root)
    act = noted(root, "backup", {"reason": BY_HAND, "url": objects.url})
    with act as more, Phases(json=json) as phases:
        pushed = send(
            disk,
            objects,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            lease_s=options.snapshot.lease_s,
            options=options.backup,
            key=secret,
            progress=phases,
        )
        more.update({"last_offset": pushed.last_offset, "objects_sent": pushed.objects_sent})
    _tell_pushed(pushed, _left(disk, pushed), json=json)
    if prune_too:
        prune_now(objects, secret, options.backup, json=json)


def _left(disk: PosixDisk, pushed: Pushed) -> int:
    """How many transactions are not in the backup yet: those of the open segment."""
    log = segments(disk)
    return max(log[-1].whole_offset - pushed.last_offset, 0) if log else 0


def _tell_pushed(pushed: Pushed, left: int, *, json: bool) -> None:
    if json:
        print_json({"event": "pushed", **msgspec.to_builtins(asdict(pushed)), "left": left})
        return
    if left:
        note(
            f"not sealed yet, and not sent: {counted(left, 'transaction')} at the log's end; push again while the "
            "tenant runs, or where it is stopped `store snapshot take`, then push"
        )
    for name, why in pushed.refused.items():
        note(f"stayed here: {name}: {why}")
    stdout.print(
        f"{pushed.url} holds all through offset {pushed.last_offset}{', encrypted' if pushed.encrypted else ''}: "
        f"{counted(pushed.objects_sent, 'object')} sent, {show_bytes(pushed.bytes_sent)}; {pushed.objects_known} were "
        f"there; {counted(pushed.snapshots, 'snapshot')} and {counted(pushed.segments, 'segment')}; "
        f"{show_span(pushed.seconds)}",
        markup=False,
        soft_wrap=True,
    )


@backup_app.command()
def pull(  # Options of a command.
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The backup: a folder, file:///path or s3://bucket/prefix.")
    ],
    into: Annotated[Path, typer.Argument(help="A new folder, or one that an interrupted pull left.")],
    key: KeyFile = None,
    epoch: EpochOption = None,
    endpoint: Endpoint = None,
    region: Region = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Bring one whole history here, checked and decrypted, with every moment of it: a data directory of its own."""
    options = configure_backup(config, set_, url, key, endpoint, region)
    objects = backup_objects(url_of(options), options)
    began = time.monotonic()
    with made_in(into) as disk, Phases(json=json, counts=True) as phases, expect_backup():
        pulled = fetch(
            objects,
            disk,
            key=operator_key(options),
            epoch=epoch or "",
            progress=phases,
            note=lambda made: note_made(
                into, "pull", {"from": objects.url, "offset": made.last_offset, "parent": made.epoch}
            ),
        )
    seconds = time.monotonic() - began
    if json:
        line = {"event": "pulled", "url": objects.url, "into": str(into), **msgspec.to_builtins(asdict(pulled))}
        print_json({**line, "seconds": round(seconds, 3)})
        return
    where = shlex.quote(str(into))
    stdout.print(
        f"{into} holds all through offset {pulled.last_offset} of epoch {pulled.epoch}: "
        f"{counted(pulled.files, 'file')}, {show_bytes(pulled.bytes)}; {pulled.files_known} were there; "
        f"{show_span(seconds)}",
        markup=False,
        soft_wrap=True,
    )
    tell_next(
        [
            (f"store snapshot list {where}", "what is restorable"),
            (f"store restore {where} --to-time … --into DIR", "a moment of it"),
            (f"store token mint --data {where}", "or go on from its end: tokens are in no backup"),
            (f"store serve --data {where}", "in an epoch of its own"),
        ]
    )


@backup_app.command(name="list")
def list_(
    url: BackupUrl = None,
    key: KeyFile = None,
    endpoint: Endpoint = None,
    region: Region = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Show which histories a backup holds, and from when to when each can be restored."""
    options = configure_backup(config, set_, url, key, endpoint, region)
    with expect_backup():
        found = listing(backup_objects(url_of(options), options), key=operator_key(options))
    alarm = alarm_of(found, options)
    if json:
        for branch in found.branches:
            print_json({"event": "branch", **branch_line(branch)})
        print_json({"event": "backup", **listing_line(found), "alarm": alarm})
        return
    kind = "encrypted" if found.encrypted else "not encrypted"
    stdout.print(
        f"{found.url}: store {found.store[:8]}, {kind}, {counted(found.objects, 'object')}, {show_bytes(found.bytes)}, "
        f"{counted(len(found.pushes), 'note')} of pushes",
        markup=False,
        soft_wrap=True,
    )
    for branch in found.branches:
        print_table(branch_table(branch))
    for line in pins_of(found):
        stdout.print(line, markup=False, soft_wrap=True)
    for line in troubles_of(found):
        stdout.print(line, style="bold red", markup=False, soft_wrap=True)
    if alarm:
        stdout.print(f"alarm: {alarm}", style="bold red", markup=False, soft_wrap=True)


@backup_app.command()
def verify(
    url: BackupUrl = None,
    key: KeyFile = None,
    endpoint: Endpoint = None,
    region: Region = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Read and check every object of a backup. Exit code: 0 all hold, 4 damaged, 5 missing, 6 there is no backup."""
    options = configure_backup(config, set_, url, key, endpoint, region)
    objects = backup_objects(url_of(options), options)
    with Phases(json=json, counts=True) as phases, expect_backup():
        findings = check(objects, key=operator_key(options), progress=phases)
    kinds = {each.kind for each in findings}
    code = Exit.CORRUPTION if "damaged" in kinds else Exit.GAP if "missing" in kinds else Exit.DONE
    hint = "" if code == Exit.DONE else _MEND
    if json:
        for each in findings:
            print_json({"event": "finding", "name": each.name, "kind": each.kind, "message": each.reason})
        print_json({"event": "result", "url": objects.url, "exit": int(code), "hint": hint})
    else:
        for each in findings:
            stdout.print(f"{each.kind} {each.name}: {each.reason}", markup=False, soft_wrap=True)
        stdout.print(
            "sound" if code == Exit.DONE else "not sound", style="bold green" if code == Exit.DONE else "bold red"
        )
        if hint:
            stdout.print(f"  → {hint}", markup=False, soft_wrap=True)
    raise typer.Exit(code)


_MEND: Final = (
    "`store backup list` shows what is still restorable. Move a damaged object away where the store lets you, and push "
    "again from a directory that has it"
)


backup_app.command()(prune)
backup_app.command()(unpin)
backup_app.command(name="make-key")(make_key)
backup_app.command(name="rotate-key")(rotate_key)
