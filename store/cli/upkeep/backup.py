"""`store backup`: snapshots and sealed log in a place off this machine, from which any moment comes back.

Laws: what is in a backup is written once and never overwritten. An interrupted push or pull goes on where it stopped,
by the same command. Secrets come from files and the environment, never from the command line.
"""

import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich import box
from rich.table import Table

from store.backup.branches import Branch, snapshot_of
from store.backup.checking import check
from store.backup.keys import OperatorKey
from store.backup.listing import Listing, listing
from store.backup.pull import pull as fetch
from store.backup.push import Pushed
from store.backup.push import push as send
from store.backup.rotation import rotate
from store.cli.arguments import Authority, ConfigFile, Idle, SetOptions, Token, Url, configure, was_typed
from store.cli.asking import ask_to_seal
from store.cli.directories import Directory, expect_outside, expect_store, work_on
from store.cli.exits import Exit
from store.cli.moments import counted, show_age, show_brief, show_bytes, show_span, to_text
from store.cli.output import JsonFlag, note, print_json, print_table, stdout
from store.cli.progress import Phases
from store.cli.token import write_secret
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
from store.config import Config
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.priority import lower_priority
from store.errors import ConfigError
from store.log.survey import segments

backup_app = typer.Typer(
    no_args_is_help=True, help="Keep snapshots and log in another place: a folder or S3.", rich_markup_mode=None
)

BackupUrl = Annotated[
    str | None,
    typer.Argument(
        metavar="URL", help="A folder, file:///path or s3://bucket/prefix.  [backup.url]", show_default=False
    ),
]


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
    options = _configure(config, set_, backup_url, key, endpoint, region, data=directory)
    root = options.tenant.data
    disk = work_on(root)
    expect_store(root, disk)
    if not idle:
        ask_to_seal(options, url, token, ca, named=was_typed(context, "url"))
    objects, secret = backup_objects(_url(options), options), operator_key(options)
    if not objects.url.startswith("s3://"):
        expect_outside(Path(objects.url), root)
    with Phases(json=json) as phases:
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
    _tell_pushed(pushed, _left(disk, pushed), json=json)


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
    options = _configure(config, set_, url, key, endpoint, region)
    objects = backup_objects(_url(options), options)
    began = time.monotonic()
    with Phases(json=json, counts=True) as phases, expect_backup():
        pulled = fetch(objects, PosixDisk(into), key=operator_key(options), epoch=epoch or "", progress=phases)
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
    options = _configure(config, set_, url, key, endpoint, region)
    with expect_backup():
        found = listing(backup_objects(_url(options), options), key=operator_key(options))
    alarm = _alarm(found, options)
    if json:
        for branch in found.branches:
            print_json({"event": "branch", **_branch_line(branch)})
        print_json({"event": "backup", **_listing_line(found), "alarm": alarm})
        return
    kind = "encrypted" if found.encrypted else "not encrypted"
    stdout.print(
        f"{found.url}: store {found.store[:8]}, {kind}, {counted(found.objects, 'object')}, {show_bytes(found.bytes)}, "
        f"{counted(len(found.pushes), 'note')} of pushes",
        markup=False,
        soft_wrap=True,
    )
    for branch in found.branches:
        print_table(_branch_table(branch))
    for line in _troubles(found):
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
    options = _configure(config, set_, url, key, endpoint, region)
    objects = backup_objects(_url(options), options)
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


@backup_app.command(name="make-key")
def make_key(
    file: Annotated[Path, typer.Argument(metavar="KEY_FILE", help="A new file, for its owner alone.")],
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Make an operator's key: with it a first push begins an encrypted backup, and nothing opens that without it."""
    key = _make_key(file)
    if json:
        print_json({"event": "key", "file": str(file), "operator_key": key.id})
        return
    stdout.print(f"{file} holds a new operator's key, {key.id}", markup=False, soft_wrap=True)
    tell_next([(f"store backup push DATA URL --key-file {shlex.quote(str(file))}", "to a URL with no backup yet")])


def _make_key(file: Path) -> OperatorKey:
    key = OperatorKey.new(SystemEntropy())
    write_secret(file, f"{key.text}\n".encode())
    note(f"keep a copy of {file} somewhere else than here and in the backup: without it the backup is lost")
    return key


@backup_app.command(name="rotate-key")
def rotate_key(  # Options of a command.
    new: Annotated[Path, typer.Argument(metavar="NEW_KEY", help="The new key's file; made where it does not exist.")],
    url: BackupUrl = None,
    key: KeyFile = None,
    endpoint: Endpoint = None,
    region: Region = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Let a new operator's key open an encrypted backup, and the old one no longer. Nothing is sent again."""
    options = _configure(config, set_, url, key, endpoint, region)
    objects = backup_objects(_url(options), options)
    old = operator_key(options)
    if old is None:
        raise ConfigError("the old key is not named", hint="Name its file with --key-file, or set STORE_BACKUP_KEY")
    if not new.exists():
        _make_key(new)
    fresh = operator_key(options, new)
    assert fresh is not None  # A file was named.
    rotated = rotate(objects, old=old, new=fresh, clock=SystemClock(), entropy=SystemEntropy())
    if json:
        print_json({"event": "rotated", "url": objects.url, **msgspec.to_builtins(asdict(rotated))})
        return
    stdout.print(
        f"{objects.url} opens with {new} (key {rotated.operator_key}), with the old key no longer: {rotated.data_keys} "
        f"data keys wrapped anew, {rotated.removed} old ones removed",
        markup=False,
        soft_wrap=True,
    )
    for name in rotated.retained:
        note(f"retained by the store, so the old key opens it for so long: {name}")
    note("whoever kept the old key and a copy of the old wrapped keys can still read what was stored before")


_MEND: Final = (
    "`store backup list` shows what is still restorable. Move a damaged object away where the store lets you, and push "
    "again from a directory that has it"
)
OLD_PUSHES: Final = 3
"""Times the wanted interval between pushes, past which the backup is too old."""


def _alarm(found: Listing, options: Config) -> str:
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


def _branch_table(branch: Branch) -> Table:
    table = Table(title=f"epoch {branch.epoch}", title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("restorable offsets", "from", "to", "snapshots"):
        table.add_column(name)
    for each in branch.stretches():
        offsets = f"{each.first} to {each.last}" if each.first != each.last else f"{each.first}"
        snapshots = ", ".join(map(str, each.bases[-3:])) + (f" of {len(each.bases)}" if len(each.bases) > 3 else "")
        table.add_row(offsets, _time(each.first_time), _time(each.last_time), snapshots or "none: from the log's start")
    return table


def _time(at: int | None) -> str:
    return "unknown" if at is None else f"{show_brief(at)}, {show_age(at, SystemClock().wall())} ago"


def _troubles(found: Listing) -> list[str]:
    return [
        *(f"missing: {name} was stored, and is gone" for name in found.missing),
        *(f"not to be believed: {name}: {why}" for name, why in found.refused.items()),
        *(f"not of a backup: {name}" for name in found.foreign),
    ]


def _branch_line(branch: Branch) -> dict[str, Any]:
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


def _listing_line(found: Listing) -> dict[str, Any]:
    return {
        "url": found.url,
        "store": found.store,
        "encrypted": found.encrypted,
        "objects": found.objects,
        "bytes": found.bytes,
        "pushes": len(found.pushes),
        "missing": list(found.missing),
        "foreign": list(found.foreign),
        "refused": found.refused,
    }


def _url(options: Config) -> str:
    if not options.backup.url:
        raise ConfigError("no backup is named", hint="Name its URL: a folder or s3://bucket/prefix, or set backup.url")
    return options.backup.url


def _configure(
    config: Path | None,
    set_: list[str] | None,
    url: str | None,
    key: Path | None,
    endpoint: str | None,
    region: str | None,
    *,
    data: Path | None = None,
) -> Config:
    return configure(
        config,
        set_,
        tenant__data=data,
        backup__url=url,
        backup__key_file=key,
        backup__endpoint=endpoint,
        backup__region=region,
    )
