"""`store audit export`: a part of a trail in a folder, with all that it takes to verify it without us."""

import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

import store
from store.audit.reading.exporting import files_of
from store.audit.reading.verifying.findings import Outcome
from store.audit.reading.verifying.request import Request
from store.audit.reading.verifying.trail import Verification
from store.cli.audit.prove import write_new
from store.cli.audit.trails import Endpoint, FromTrail, KeyOption, LogOption, NamedUrl, Opened, Region, open_trail
from store.cli.audit.verify import FromSeq, FromTime, ToSeq, ToTime, line_of, part_of, tell
from store.cli.output import JsonFlag, note
from store.cli.progress import Phases
from store.env.worm import Misconfigured
from store.errors import DirectoryError

TOOL: Final = "verify_audit.py"
"""The verifier that goes with an export: one file that needs nothing of the store."""
EVENT_TOOL: Final = "verify_event.py"
"""The one beside it that checks the proof of one event."""
README: Final = "README.txt"
RESULT: Final = "verification.json"

_README: Final = """An export of an audit trail, made {now} by commitstore {version} from {url}.

It verifies without the store that wrote it. What you need: Python 3.11 or later, and
    pip install cryptography zstandard
    python {tool} . --key VKEY{part}
    python {event_tool} EVENT.json EVENT.tlog-proof --key VKEY    # one event alone, by a proof that you were sent

VKEY is the trail's verification key. Get it from the people who run the store, by another way than this folder; what
was named when this was made is
    {key}
Copies of both from a place you trust are better than the ones here: they are in tools/ of the source.

audit/v1/{log}/
    batch/       the events, as JSON Lines in zstd: `zstdcat FILE | jq` shows them
    manifest/    what each batch holds, chained by hash and signed
    checkpoint/  signed roots of the tree over all events
    keys/        which key signs from when on
    *.lock       what the store said of an object's versions and locks when this was made: its word, not proven here
    *@*          bytes of later versions of an object, which somebody laid above the first
{result} says what was found when this was made. Keep the newest checkpoint elsewhere: `--trusted` shows later
that nothing it saw was taken back.
"""


def export(  # Options of a command.
    url: NamedUrl,
    into: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or an empty one.")],
    key: KeyOption = None,
    key_from_trail: FromTrail = False,  # noqa: FBT002  # A flag.
    log: LogOption = None,
    since: FromTime = None,
    until: ToTime = None,
    from_seq: FromSeq = 0,
    to_seq: ToSeq = None,
    endpoint: Endpoint = "",
    region: Region = "",
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Copy a trail, or a part of it, into a folder that verifies alone: data, keys, what the store said, a verifier.

    It is verified on the way, and goes out as it is, whatever was found. Exit code as of `verify`.
    """
    trail = open_trail(url, key=key, from_trail=key_from_trail, log=log, endpoint=endpoint, region=region)
    part = part_of(since, until, from_seq, to_seq)
    if into.exists() and any(into.iterdir()):
        raise DirectoryError(f"{into} is not empty", hint="Name a new folder: nothing is overwritten")
    into.mkdir(parents=True, exist_ok=True)
    locks = _keeps_locks(trail)
    with Phases(json=json) as phases:
        run = Verification(trail.store, Request(trail.log, trail.key, check_locks=locks, **part), progress=phases)
        batches = [(each.batch, each.first, each.last) for each, _ in run.steps()]
        copied = _copy(trail, into, [batch for batch, _, _ in batches], locks=locks, phases=phases)
    whole = part == part_of(None, None, 0, None) or not batches
    asked = "" if whole else f" --from-seq {batches[0][1]} --to-seq {batches[-1][2]}"
    _explain(trail, into, run.outcome, asked=asked, locks=locks)
    if not json:
        note(f"{into}: {copied:,} files; {README} says how it is verified")
    tell(run.outcome, {}, json=json)
    raise typer.Exit(int(run.outcome.verdict))


def _keeps_locks(trail: Opened) -> bool:
    try:
        trail.store.facts()
    except Misconfigured:
        return False  # A plain copy.
    return True


def _copy(trail: Opened, into: Path, batches: list[int], *, locks: bool, phases: Phases) -> int:
    first, last = (min(batches), max(batches)) if batches else (0, -1)
    number = size = 0
    for each in files_of(trail.store, trail.log, first_batch=first, last_batch=last, with_locks=locks):
        path = into / each.name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path, each.data)
        number, size = number + 1, size + len(each.data)
        phases("writing files", size, 0)
    return number


def _explain(trail: Opened, into: Path, outcome: Outcome, *, asked: str, locks: bool) -> None:
    """The page, the verifier and what was found."""
    if locks:
        write_new(into / ".worm.json", b'{"retention_days":1,"v":1}')
    for each in (TOOL, EVENT_TOOL):
        write_new(into / each, tool(each))
    write_new(into / RESULT, msgspec.json.format(msgspec.json.encode(line_of(outcome))))
    page = _README.format(
        now=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}",
        version=version(),
        url=outcome.store,
        tool=TOOL,
        event_tool=EVENT_TOOL,
        part=asked,
        key=trail.key or "none: the trail's own key was believed",
        log=trail.log,
        result=RESULT,
    )
    write_new(into / README, page.encode())


def tool(name: str) -> bytes:
    """A verifier for auditors: of the source tree, or as it was installed. DirectoryError: it is gone."""
    beside = Path(store.__file__).parents[1] / "tools" / name
    if beside.is_file():
        return beside.read_bytes()
    try:
        found = [each for each in metadata.files("commitstore") or () if each.name == name]
    except metadata.PackageNotFoundError:
        found = []
    for each in [*(Path(str(one.locate())) for one in found), Path(sys.prefix) / "share" / "commitstore" / name]:
        if each.is_file():
            return each.read_bytes()
    raise DirectoryError(f"{name} is not installed", hint="Take it from tools/ of the source")


def version() -> str:
    """Of this store, as it is installed."""
    try:
        return metadata.version("commitstore")
    except metadata.PackageNotFoundError:
        return "of a source tree"
