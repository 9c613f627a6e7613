"""`store snapshot drill`: a restore for practice, so that one knows that it works and how long it takes.

Laws: the drill is a real restore, into scratch space that is removed again. Where the tenant runs, it is asked for its
fingerprint at an offset, and what was restored to that offset must have the same; what is compared with is always said.
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
    address_of,
    configure,
    token_of,
    trust,
    was_typed,
)
from store.cli.asking import Tenant, is_served
from store.cli.directories import Directory
from store.cli.exits import Exit
from store.cli.moments import show_moment, show_span, to_text
from store.cli.output import JsonFlag, note, print_json, stdout
from store.cli.progress import Phases
from store.cli.upkeep.preview import Preview, check_room
from store.cli.upkeep.sources import directory_source
from store.client.errors import Unreachable
from store.config import Config
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.priority import lower_priority
from store.errors import ConfigError, DirectoryError
from store.ids import Offset
from store.upkeep.ranges import AtOffset, Newest
from store.upkeep.restore import Restored, plan, restore


def drill(  # Options of a command.
    context: typer.Context,
    directory: Directory = None,
    url: Url = None,
    token: Token = None,
    ca: Authority = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the tenant's fingerprint.")] = 600.0,
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

    A tenant that runs is found as by `store call`, and asked for its own fingerprint. Exit code 1: not the same.
    """
    if idle:
        lower_priority()
    options = configure(config, set_, tenant__data=directory)
    root = options.tenant.data
    expected = fingerprint
    if fingerprint is not None and through is None:
        raise ConfigError("a fingerprint is one of an offset", hint="Say which with --through")
    if fingerprint is None and through is None:
        asked = _ask(options, url, token, ca, timeout, named=was_typed(context, "url"))
        through, expected = (None, None) if asked is None else asked
    with _scratch(scratch, options) as folder:
        restored, seconds = _rehearse(root, folder, options, through, json=json)
    same = expected is None or restored.fingerprint == expected
    if json:
        print_json(_line(restored, expected, seconds, same=same))
    else:
        _tell(restored, expected, seconds, same=same)
    raise typer.Exit(Exit.DONE if same else Exit.CHECK_FAILED)


def _ask(
    options: Config, url: str | None, token: str | None, ca: Path | None, timeout: float, *, named: bool
) -> tuple[int, str] | None:
    """(offset, fingerprint) of the running tenant, with its log sealed behind; None where there is none to be found."""
    if not named and not is_served(options):
        note(f"nobody serves {options.tenant.data}: what it is compared with are the log's own sums")
        return None
    try:
        tenant = Tenant(address_of(options, url), token_of(options, token), ssl=trust(ca), timeout_s=timeout)
        answer = tenant.post("/v1/fingerprint")
        tenant.post("/v1/seal")
    except (Unreachable, ConfigError) as error:
        if named:
            raise
        note(f"no running tenant is asked ({error.message}): what it is compared with are the log's own sums")
        return None
    return int(answer["offset"]), str(answer["fingerprint"])


def _rehearse(root: Path, folder: Path, options: Config, through: int | None, *, json: bool) -> tuple[Restored, float]:
    began = time.monotonic()
    into = folder / "restored"
    target = Newest() if through is None else AtOffset(Offset(through))
    lease_s = options.snapshot.lease_s
    with Phases(json=json) as phases, directory_source(root, "drill", phases, lease_s=lease_s) as source:
        planned = plan(source.disk, target)
        check_room(Preview(str(root), into, planned, "drill", in_place=False))
        restored = restore(
            source.disk,
            PosixDisk(into),
            planned.moment,
            reason="restore",
            clock=SystemClock(),
            entropy=SystemEntropy(),
            progress=source.told,
        )
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


def _line(restored: Restored, expected: str | None, seconds: float, *, same: bool) -> dict[str, Any]:
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
        "same": same,
        "passed_over": [{"name": each.name, "reason": each.reason} for each in restored.passed_over],
        "seconds": round(seconds, 3),
    }


def _tell(restored: Restored, expected: str | None, seconds: float, *, same: bool) -> None:
    compared = "the fingerprint that snapshot and log add up to" if expected is None else "the running tenant's"
    for each in restored.passed_over:
        note(f"snapshot {each.name} was passed over: {each.reason}")
    stdout.print("holds" if same else "FAILS", style="bold green" if same else "bold red", end="")
    stdout.print(
        f" restored offset {restored.offset} of {show_moment(restored.timestamp)} in {show_span(seconds)}: "
        f"{restored.rows:,} rows, {restored.replayed:,} transactions replayed behind "
        f"{restored.base or 'the start of the log'}",
        markup=False,
        soft_wrap=True,
    )
    if same:
        stdout.print(f"  {restored.fingerprint} is {compared}", markup=False, soft_wrap=True)
        return
    stdout.print(f"  found    {restored.fingerprint}\n  expected {expected}", markup=False, soft_wrap=True)
    stdout.print(
        "  → what would be restored is not what the tenant holds. Is this that tenant's directory (--url)? If so, keep "
        "everything, and run `store log verify --re-execute`",
        markup=False,
        soft_wrap=True,
    )
