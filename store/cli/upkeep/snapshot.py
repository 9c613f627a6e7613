"""`store snapshot`: all tables at one offset, taken, listed, looked into and checked.

Laws: taking never stops whoever serves, and looking writes nothing but a lease and the note that a check held. Every
list ends with what can be restored, since that is what one wants to know.
"""

from functools import partial
from typing import Annotated, Any, Final

import typer

from store.cli.arguments import (
    Authority,
    ConfigFile,
    Idle,
    SetOptions,
    Token,
    Url,
    configure,
    was_typed,
)
from store.cli.asking import ask_to_seal
from store.cli.directories import Directory, expect_store, work_on
from store.cli.exits import Exit, NothingThere
from store.cli.moments import counted, read_span, show_bytes, show_moment, show_span, to_text
from store.cli.output import JsonFlag, note, print_json, report, stdout
from store.cli.progress import Phases
from store.cli.upkeep.acts import BY_HAND, noted
from store.cli.upkeep.catalog import Catalog, Entry, choose
from store.cli.upkeep.drill import drill
from store.cli.upkeep.lease import leased
from store.cli.upkeep.snapshot_files import export, import_
from store.cli.upkeep.snapshot_retention import FreeMin, pin, prune, prune_now, unpin
from store.cli.upkeep.snapshot_views import print_info, print_list, restorable_lines
from store.config import Config
from store.engine.loading import read_system
from store.env.posix import PosixDisk, SystemClock
from store.env.priority import lower_priority
from store.errors import CorruptionError, DirectoryError, StoreError
from store.ids import Offset
from store.snapshot.format import snapshot_name
from store.upkeep.snapshotting import Taken, take

snapshot_app = typer.Typer(
    no_args_is_help=True, help="Take, check, keep and rehearse snapshots.", rich_markup_mode=None
)

Name = Annotated[
    str | None, typer.Argument(help="A snapshot's name, or its offset.  [default: the newest]", show_default=False)
]


@snapshot_app.command(name="take")
def take_(  # Options of a command.
    context: typer.Context,
    directory: Directory = None,
    through: Annotated[int | None, typer.Option(min=1, help="Of this offset or before.  [default: the newest]")] = None,
    url: Url = None,
    token: Token = None,
    ca: Authority = None,
    idle: Idle = False,  # noqa: FBT002  # A flag.
    prune_too: Annotated[bool, typer.Option("--prune", help="Then let go what is not needed any more.")] = False,  # noqa: FBT002  # A flag.
    free_min: FreeMin = 0,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Take a snapshot, of a stopped store or beside a running one, which does not notice.

    A tenant that runs is found as by `store call`, and asked to seal its log first, so that all until now is in it;
    with --idle, or where it is not found, what it wrote in the last moments is left to the next snapshot.
    """
    if idle:
        lower_priority()
    options = configure(config, set_, tenant__data=directory)
    disk = work_on(options.tenant.data)
    expect_store(options.tenant.data, disk)
    if not idle and through is None:
        ask_to_seal(options, url, token, ca, named=was_typed(context, "url"))
    code = Exit.DONE
    try:
        with noted(options.tenant.data, "snapshot", {"reason": BY_HAND}) as more:
            taken = _take(disk, options, through, json=json)
            more.update(_content(taken))
    except (StoreError, OSError) as error:
        if not prune_too:
            raise
        code = Exit(report(error, json=json))  # On a full disk, letting go is what helps.
    else:
        _tell_taken(taken, json=json)
    if prune_too:
        prune_now(options.tenant.data, disk, options.snapshot, free_min=free_min, json=json)
    raise typer.Exit(code)


def _take(disk: PosixDisk, options: Config, through: int | None, *, json: bool) -> Taken:
    with Phases(json=json) as phases:
        return take(
            disk,
            clock=SystemClock(),
            options=options.snapshot,
            through=None if through is None else Offset(through),
            progress=phases,
        )


def _content(taken: Taken) -> dict[str, Any]:
    """What the log will say of it, beside who did it."""
    manifest = taken.manifest
    return {
        "name": snapshot_name(manifest.offset),
        "offset": manifest.offset,
        "timestamp": manifest.timestamp,
        "fresh": taken.fresh,
        "base": taken.base,
        "fingerprint": manifest.fingerprint,
    }


def _tell_taken(taken: Taken, *, json: bool) -> None:
    manifest = taken.manifest
    name, rows = snapshot_name(manifest.offset), sum(each.rows for each in manifest.tables)
    for each in taken.passed_over:
        note(f"snapshot {each.name} was passed over: {each.reason}")
    if json:
        print_json(
            {
                "event": "taken",
                "name": name,
                "offset": manifest.offset,
                "timestamp": manifest.timestamp,
                "at": to_text(manifest.timestamp),
                "fresh": taken.fresh,
                "base": taken.base,
                "replayed": taken.replayed,
                "rows": rows,
                "bytes": manifest.size,
                "rows_written": taken.rows_written,
                "blocks_written": taken.blocks_written,
                "blocks_reused": taken.blocks_reused,
                "bytes_written": taken.bytes_written,
                "seconds": round(taken.seconds, 6),
                "replay_per_second": taken.rate or None,
                "load_per_second": None,
                "fingerprint": manifest.fingerprint,
                "passed_over": [{"name": each.name, "reason": each.reason} for each in taken.passed_over],
            }
        )
        return
    if not taken.fresh:
        stdout.print(
            f"snapshot {name} is there already, and whole: nothing is proven durable behind it", soft_wrap=True
        )
        return
    stdout.print(f"snapshot {name}, of {show_moment(manifest.timestamp)}: {rows:,} rows", soft_wrap=True)
    shared = f"{taken.blocks_reused:,} shared with {taken.base}" if taken.base else "the first of its log"
    stdout.print(
        f"  {counted(taken.blocks_written, 'block')} written ({taken.rows_written:,} rows, "
        f"{show_bytes(taken.bytes_written)}), {shared}; {counted(taken.replayed, 'transaction')} replayed; all read "
        f"back and checked; {show_span(taken.seconds)}",
        markup=False,
        soft_wrap=True,
    )
    stdout.print(f"  fingerprint {manifest.fingerprint}", soft_wrap=True)


@snapshot_app.command(name="list")
def list_(
    directory: Directory = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """List the snapshots, and from when to when every moment can be restored; with an alarm where that is too old."""
    options = configure(config, set_, tenant__data=directory)
    catalog = Catalog.of(options.tenant.data, options.snapshot)
    if json:
        for entry in catalog.entries:
            print_json({"event": "snapshot", **entry.line()})
        print_json({"event": "restorable", **catalog.line()})
        return
    if catalog.entries:
        print_list(catalog)
    for line, style in restorable_lines(catalog):
        stdout.print(line, style=style, markup=False, soft_wrap=True)


@snapshot_app.command()
def info(
    directory: Directory = None,
    name: Name = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Print everything about one snapshot."""
    options = configure(config, set_, tenant__data=directory)
    catalog = Catalog.of(options.tenant.data, options.snapshot)
    entry = choose(catalog, name)
    if entry.error is not None:
        raise entry.error  # What was found in place of a manifest.
    if json:
        print_json({"event": "snapshot", **entry.line(), **entry.details()})
        return
    print_info(entry, catalog)


@snapshot_app.command()
def verify(  # Options of a command.
    directory: Directory = None,
    name: Annotated[
        str | None, typer.Argument(help="A snapshot's name, or its offset.  [default: all]", show_default=False)
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Blocks by their hash alone, not row by row.")] = False,  # noqa: FBT002  # A flag.
    older_than: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Only those not verified for so long, such as 7d.")
    ] = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Check snapshots without restoring them: every byte, and that the log goes on from them.

    Exit code: 0 all hold, 4 one is corrupt, 5 the log does not go on from it, 6 there is none, 7 written by a newer
    version. What holds is noted; of what does not, that note is taken back, so that no log goes for its sake.
    """
    options = configure(config, set_, tenant__data=directory)
    root = options.tenant.data
    catalog = Catalog.of(root, options.snapshot)
    entries = [choose(catalog, name)] if name is not None else list(reversed(catalog.entries))
    if not entries:
        raise NothingThere(f"there is no snapshot in {root}", hint="`store snapshot take` takes one")
    if older_than is not None:
        entries = [each for each in entries if each.unverified_s >= read_span(older_than, "--older-than")]
    worst = Exit.DONE
    with Phases(json=json) as phases, leased(catalog.disk, "verify", phases, lease_s=options.snapshot.lease_s) as told:
        told.hold_from(min((each.manifest.offset for each in entries if each.manifest is not None), default=Offset(0)))
        findings = [(each, *check(catalog, each, told, deep=not quick)) for each in entries]
    for entry, code, message in findings:
        worst = max(worst, code, key=_severity)
        _tell_finding(entry, code, message, json=json)
    _tell_verified(catalog, {entry.name for entry, code, _ in findings if code != Exit.DONE}, worst, json=json)
    raise typer.Exit(worst)


def check(catalog: Catalog, entry: Entry, told: Any, *, deep: bool) -> tuple[Exit, str]:
    """What is wrong with a snapshot, in words and as an exit code; both is noted where one may write."""
    if entry.manifest is None:
        return (Exit.DIRECTORY if isinstance(entry.error, DirectoryError) else Exit.CORRUPTION), str(entry.error)
    try:
        catalog.repository.check(entry.manifest, partial(told, entry.name), deep=deep)
        if deep:
            read_system(catalog.repository, entry.manifest)
    except (CorruptionError, FileNotFoundError) as error:
        catalog.note_damaged(entry)
        if isinstance(error, CorruptionError):
            return Exit.CORRUPTION, error.message
        return Exit.CORRUPTION, f"{error.filename or 'a file of it'} is missing"
    except DirectoryError as error:
        return Exit.DIRECTORY, error.message
    if entry.misfit:
        return Exit.GAP, entry.misfit
    if deep:
        catalog.note_verified(entry)
    return Exit.DONE, "every row, block and sum holds" if deep else "every block holds"


def _severity(code: Exit) -> int:
    return [Exit.DONE, Exit.GAP, Exit.DIRECTORY, Exit.CORRUPTION].index(code)


def _tell_finding(entry: Entry, code: Exit, message: str, *, json: bool) -> None:
    verdict = {Exit.DONE: "sound", Exit.GAP: "gap", Exit.DIRECTORY: "newer"}.get(code, "corruption")
    if json:
        print_json({"event": "verified", "name": entry.name, "verdict": verdict, "message": message, "exit": int(code)})
        return
    stdout.print(verdict, style="bold green" if code == Exit.DONE else "bold red", end="")
    stdout.print(f" {entry.name}: {message}", markup=False, soft_wrap=True)


def _tell_verified(catalog: Catalog, broken: set[str], worst: Exit, *, json: bool) -> None:
    """What that means: what is still restorable, and what to do."""
    ranges = catalog.ranges_without(broken)
    hint = "" if worst == Exit.DONE else _WHAT_NEXT[worst]
    if json:
        print_json({"event": "result", "exit": int(worst), "recoverable": ranges, "hint": hint})
        return
    if worst != Exit.DONE:
        stdout.print("still restorable:" if ranges else "nothing is restorable from here", soft_wrap=True)
        for each in ranges:
            stdout.print(f"  {each}", markup=False, soft_wrap=True)
        stdout.print(f"  → {hint}", markup=False, soft_wrap=True)


_WHAT_NEXT: Final = {
    Exit.CORRUPTION: "Take a new one (`store snapshot take`), which needs no damaged one where the log goes far enough "
    "back; a start passes damaged ones over. `store backup pull` or `store restore --from` brings back what was pushed",
    Exit.GAP: "A start passes it over. `store log verify` says what the log lacks; where that is sound, take a new one",
    Exit.DIRECTORY: "Use the newer version of the store for it",
}

snapshot_app.command()(prune)
snapshot_app.command()(pin)
snapshot_app.command()(unpin)
snapshot_app.command()(drill)
snapshot_app.command()(export)
snapshot_app.command(name="import")(import_)
