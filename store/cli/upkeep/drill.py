"""`store snapshot drill`: a restore for practice, so that one knows that it works and how long it takes.

Laws: the drill is a real restore, into scratch space that is removed again. Where a tenant serves the directory, it
holds the drill itself, so that its metric and its log know of it; what was restored must have the fingerprint that it
had at that offset. What is compared with is always said.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

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
from store.cli.asking import Tenant, find_tenant
from store.cli.directories import Directory
from store.cli.exits import Exit, FailedThere
from store.cli.moments import show_moment, show_span, to_text
from store.cli.output import JsonFlag, note, print_json, stdout
from store.cli.presence import is_served
from store.cli.progress import Phases
from store.cli.upkeep.pace import note_pace
from store.cli.upkeep.preview import Preview, check_room
from store.cli.upkeep.remote import ask_and_watch
from store.cli.upkeep.sources import directory_source, note_passed_over
from store.config import Config
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.priority import lower_priority
from store.errors import ConfigError, DirectoryError, Refused
from store.ids import Offset
from store.upkeep.making import Restored
from store.upkeep.ranges import AtOffset, Newest
from store.upkeep.restore import plan, restore


def drill(  # Options of a command.
    context: typer.Context,
    directory: Directory = None,
    url: Url = None,
    token: Token = None,
    ca: Authority = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for a running tenant.  [default: as long as it takes]")
    ] = None,
    through: Annotated[int | None, typer.Option(min=1, help="Restore to this offset.  [default: the newest]")] = None,
    fingerprint: Annotated[
        str | None, typer.Option(metavar="HEX", help="What it must be there.  [default: ask the running tenant]")
    ] = None,
    scratch: Annotated[
        Path | None, typer.Option(help="An empty folder to restore into.  [default: a temporary one]")
    ] = None,
    idle: Idle = False,  # noqa: FBT002  # A flag.
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Restore the newest snapshot and the log behind it into scratch space, check it, and say how long that took.

    A tenant that runs does it itself, and notes it: its metrics and log tell when a drill last went well. With
    --through, --fingerprint or --scratch it is done here, and noted nowhere. Exit code 1: not the same.
    """
    if idle:
        lower_priority()
    options = configure(config, set_, tenant__data=directory)
    root = options.tenant.data
    if fingerprint is not None and through is None:
        raise ConfigError("a fingerprint is one of an offset", hint="Say which with --through")
    named = was_typed(context, "url")
    line: dict[str, Any] | None = None
    expected = fingerprint
    if fingerprint is None and through is None:
        tenant = _find(options, url, token, ca, timeout, named=named)
        if tenant is not None and scratch is None and is_served(root):
            line = _by_tenant(tenant, json=json)
        elif tenant is not None:
            through, expected = _ask(tenant)
    if line is None:
        with _scratch(scratch, options) as folder:
            restored, seconds = _rehearse(root, folder, options, through, json=json)
        line = _line(restored, expected, seconds)
    if json:
        print_json(line)
    else:
        _tell(line)
    raise typer.Exit(Exit.DONE if line["same"] else Exit.CHECK_FAILED)


def _find(
    options: Config, url: str | None, token: str | None, ca: Path | None, timeout: float | None, *, named: bool
) -> Tenant | None:
    """The running tenant; None where there is none to be found, which is said."""
    sums = "what it is compared with are the log's own sums"
    if not named and not is_served(options.tenant.data):
        note(f"nobody serves {options.tenant.data}: {sums}")
        return None
    without = f"no running tenant is asked, and {sums}"
    return find_tenant(options, url, token, ca, named=named, without=without, timeout_s=timeout)


def _by_tenant(tenant: Tenant, *, json: bool) -> dict[str, Any]:
    """The tenant's own drill of what it serves. What failed there ends this with the code that it failed with."""
    try:
        with Phases(json=json) as phases:
            answer = ask_and_watch(tenant, "/v1/drill", "drill", phases)
    except Refused as error:
        code = error.details.get("exit")
        if code not in set(Exit):
            raise
        raise FailedThere(error, Exit(code)) from None
    return {"event": "drilled", **answer["drill"], "recorded": answer["offset"]}


def _ask(tenant: Tenant) -> tuple[int, str]:
    """(offset, fingerprint) of a running tenant, with its log sealed behind."""
    answer = tenant.post("/v1/fingerprint")
    tenant.post("/v1/seal")
    return int(answer["offset"]), str(answer["fingerprint"])


def _rehearse(root: Path, folder: Path, options: Config, through: int | None, *, json: bool) -> tuple[Restored, float]:
    began = time.monotonic()
    into = folder / "restored"
    target = Newest() if through is None else AtOffset(Offset(through))
    lease_s = options.snapshot.lease_s
    with Phases(json=json) as phases, directory_source(root, "drill", phases, lease_s=lease_s) as source:
        planned = plan(source.disk, target)
        source.hold_from(planned.needs_from)
        check_room(Preview(str(root), into, planned, "drill", in_place=False))
        restored = restore(
            source.disk,
            PosixDisk(into),
            planned.moment,
            clock=SystemClock(),
            entropy=SystemEntropy(),
            progress=source.told,
        )
        note_passed_over(source, restored)
    note_pace(root, restored)
    return restored, time.monotonic() - began


@contextmanager
def _scratch(named: Path | None, options: Config) -> Iterator[Path]:
    """An empty folder; what was restored into it is removed again."""
    if named is not None and named.exists() and any(named.iterdir()):
        raise DirectoryError(f"the scratch folder {named} is not empty", hint="Name an empty one, or none")
    folder = (
        Path(tempfile.mkdtemp(prefix="store-drill-", dir=options.maintenance.drill_folder)) if named is None else named
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    finally:
        shutil.rmtree(folder if named is None else folder / "restored", ignore_errors=True)


def _line(restored: Restored, expected: str | None, seconds: float) -> dict[str, Any]:
    return {
        "event": "drilled",
        "offset": restored.offset,
        "timestamp": restored.timestamp,
        "at": to_text(restored.timestamp),
        "base": restored.base,
        "replayed": restored.replayed,
        "rows": restored.rows,
        "bytes": restored.bytes,
        "fingerprint": restored.fingerprint,
        "expected": expected,
        "same": expected is None or restored.fingerprint == expected,
        "passed_over": [{"name": each.name, "reason": each.reason} for each in restored.passed_over],
        "seconds": round(seconds, 3),
    }


def _tell(line: dict[str, Any]) -> None:
    same, expected = line["same"], line["expected"]
    compared = "the fingerprint that snapshot and log add up to" if expected is None else "the running tenant's"
    for each in line["passed_over"]:
        note(f"snapshot {each['name']} was passed over: {each['reason']}")
    stdout.print("holds" if same else "FAILS", style="bold green" if same else "bold red", end="")
    stdout.print(
        f" restored offset {line['offset']} of {show_moment(line['timestamp'])} in {show_span(line['seconds'])}: "
        f"{line['rows']:,} rows, {line['replayed']:,} transactions replayed behind "
        f"{line['base'] or 'the start of the log'}",
        markup=False,
        soft_wrap=True,
    )
    if line.get("recorded"):
        note(f"the tenant recorded it at offset {line['recorded']}")
    if same:
        stdout.print(f"  {line['fingerprint']} is {compared}", markup=False, soft_wrap=True)
        return
    stdout.print(f"  found    {line['fingerprint']}\n  expected {expected}", markup=False, soft_wrap=True)
    stdout.print(
        "  → what would be restored is not what the tenant holds. Is this that tenant's directory (--url)? If so, keep "
        "everything, and run `store log verify --re-execute`",
        markup=False,
        soft_wrap=True,
    )
