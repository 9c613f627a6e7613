"""`store audit verify`: hold a trail to its hashes, its signatures, its locks, and to the log it tells of."""

import os
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from store.audit.objects.checkpoint import read_checkpoint
from store.audit.objects.layout import Malformed
from store.audit.objects.notes import Note
from store.audit.reading.verifying.findings import FINDINGS_MAX, Kind, Outcome, Verdict
from store.audit.reading.verifying.log import AgainstLog
from store.audit.reading.verifying.request import FAR, START, Cosigned, Request
from store.audit.reading.verifying.snapshot import AgainstSnapshot
from store.audit.reading.verifying.trail import Verification
from store.audit.signing.policy import Policy, policy_of, read_policy
from store.cli.audit.places import note_verified
from store.cli.audit.trails import (
    Endpoint,
    FromTrail,
    KeyOption,
    LogOption,
    Opened,
    Region,
    TrailUrl,
    key_of,
    keys_of,
    open_trail,
)
from store.cli.audit.workers import batches_by
from store.cli.directories import expect_store, look_at
from store.cli.exits import NothingThere
from store.cli.moments import counted, read_moment, show_brief, to_text
from store.cli.output import JsonFlag, print_json, shown, stdout
from store.cli.progress import Phases
from store.env.posix import SystemClock
from store.errors import ConfigError
from store.snapshot.format import snapshot_name
from store.snapshot.repository import Repository

JOBS_MAX: Final = 64
LAST_SEQ: Final = 2**62
FromTime = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="The first moment that is wanted, such as 2026-01-31T00:00Z."),
]
ToTime = Annotated[str | None, typer.Option("--to", metavar="TIME", help="The last one.")]
FromSeq = Annotated[int, typer.Option("--from-seq", min=0, metavar="N", help="The first event that is wanted.")]
ToSeq = Annotated[int | None, typer.Option("--to-seq", min=0, metavar="N", help="The last one.")]
Trusted = Annotated[
    Path | None, typer.Option(metavar="OLD.ckpt", help="A checkpoint you kept: what it saw must still be there.")
]
Heartbeat = Annotated[int, typer.Option(min=0, metavar="S", help="Seconds without an event that are too many; 0: any.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, max=JOBS_MAX, help="Processes that read batches.  [default: one a core]")
]
Policies = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="Whose cosignatures count (c2sp.org/tlog-policy).")
]
Witnesses = Annotated[
    list[str] | None,
    typer.Option("--witness", metavar="VKEY", help="A witness that must have cosigned; may be repeated."),
]
CheckLocks = Annotated[bool, typer.Option("--check-locks", help="Ask the store how it holds each object.")]
Live = Annotated[
    bool, typer.Option("--live", help="The trail must go on to now: with --heartbeat, an end that is late is found.")
]
_STYLES: Final = {Kind.TAMPER: "bold red", Kind.INCOMPLETE: "red", Kind.UNLOCKED: "red", Kind.WARNING: "yellow"}


def verify(  # Options of a command.
    url: TrailUrl = None,
    key: KeyOption = None,
    key_from_trail: FromTrail = False,  # noqa: FBT002  # A flag.
    root_key: Annotated[
        str | None, typer.Option(metavar="VKEY", help="The offline key that may revoke others, from elsewhere.")
    ] = None,
    log: LogOption = None,
    since: FromTime = None,
    until: ToTime = None,
    from_seq: FromSeq = 0,
    to_seq: ToSeq = None,
    trusted: Trusted = None,
    policy: Policies = None,
    witness: Witnesses = None,
    against: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A data directory, in use or not: its log must say the same.")
    ] = None,
    against_snapshot: Annotated[
        str | None,
        typer.Option(
            metavar="DIR[:NAME]",
            help="A snapshot of a data directory, by default the newest that was found whole: its rows must be what "
            "was last written. A name alone is a snapshot of the trail's own store.",
        ),
    ] = None,
    check_locks: CheckLocks = False,  # noqa: FBT002  # A flag.
    heartbeat: Heartbeat = 0,
    live: Live = False,  # noqa: FBT002  # A flag.
    jobs: Jobs = None,
    endpoint: Endpoint = "",
    region: Region = "",
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Verify a trail. Exit code: 0 verified, 1 tamper, 2 incomplete, 3 unlocked, 4 it cannot be read.

    A warning is what lies beside the evidence without touching it, such as a delete marker. What was not checked is
    said at the end: without a witness or a checkpoint that you kept, nothing shows that its signer did not rewrite it.
    """
    trail = open_trail(url, key=key, from_trail=key_from_trail, log=log, endpoint=endpoint, region=region)
    request = Request(
        trail.log,
        trail.key,
        root_key=None if root_key is None else key_of(root_key),
        cosigned=cosignatures(policy, witness or []),
        trusted=kept_checkpoint(trusted),
        **part_of(since, until, from_seq, to_seq),
        check_locks=check_locks,
        heartbeat_s=heartbeat,
        now=SystemClock().wall() if live else None,
        with_records=against is not None,
        with_writes=against_snapshot is not None,
    )
    snapshot = None if against_snapshot is None else _snapshot_of(against_snapshot, trail, request)
    outcome, notes = _run(trail, request, against, snapshot, jobs or os.cpu_count() or 1, json=json)
    tell(outcome, notes, json=json)
    if trail.places is not None:
        note_verified(
            trail.places,
            at=SystemClock().wall(),
            events=outcome.counts.events_proven,
            code=outcome.verdict,
            part=_is_part(request),
        )
    raise typer.Exit(int(outcome.verdict))


def part_of(since: str | None, until: str | None, from_seq: int, to_seq: int | None) -> dict[str, Any]:
    """What of a Request says which part is wanted. ConfigError: a time cannot be read."""
    return {
        "since": START if since is None else read_moment(since, "--from"),
        "until": FAR if until is None else read_moment(until, "--to"),
        "first_seq": from_seq,
        "last_seq": LAST_SEQ if to_seq is None else to_seq,
    }


def kept_checkpoint(path: Path | None) -> bytes | None:
    """A checkpoint that somebody kept. ConfigError: the file holds none."""
    if path is None:
        return None
    data = path.read_bytes()
    try:
        read_checkpoint(data)
    except Malformed as error:
        hint = "`store audit head -o FILE` keeps one, as the trail published it"
        raise ConfigError(f"{path} holds no checkpoint: {error}", hint=hint) from None
    return data


def asked_text(since: str | None, until: str | None, from_seq: int, to_seq: int | None) -> str:
    """The part that was asked for, as it is asked for."""
    said = [("--from", since), ("--to", until), ("--from-seq", from_seq or None), ("--to-seq", to_seq)]
    return "".join(f" {flag} {value}" for flag, value in said if value is not None)


def cosignatures(policy: Path | None, witnesses: list[str]) -> Cosigned | None:
    """Whether a checkpoint is cosigned as asked for; None: nobody was asked for. ConfigError: the policy is none."""
    if policy is not None and witnesses:
        raise ConfigError("witnesses are named by --policy or by --witness, found both", hint="Name them in the policy")
    try:
        if policy is not None:
            found = read_policy(policy.read_text("utf-8"))
        elif witnesses:
            found = policy_of([(each, "") for each in keys_of(witnesses)], len(witnesses))
        else:
            return None
    except (Malformed, UnicodeDecodeError) as error:
        hint = "It is a text as c2sp.org/tlog-policy says: witness NAME VKEY, group NAME K …, quorum NAME"
        raise ConfigError(f"the witness policy cannot be read: {error}", hint=hint) from None
    return _satisfied(found)


def _satisfied(policy: Policy) -> Cosigned:
    def cosigned(note: Note) -> bool:
        return policy.satisfied_by(note)

    return cosigned


def _is_part(request: Request) -> bool:
    """Whether not all events were asked for."""
    return (request.since, request.until, request.first_seq, request.last_seq) != (START, FAR, 0, LAST_SEQ)


def _snapshot_of(text: str, trail: Opened, request: Request) -> AgainstSnapshot:
    """The snapshot that DIR, DIR:NAME or NAME says. NothingThere: there is none. ConfigError: a part does not do."""
    if _is_part(request):
        hint = "Leave --from, --to, --from-seq and --to-seq away, or --against-snapshot"
        raise ConfigError("what a snapshot holds follows from all events, found a part asked for", hint=hint)
    folder, name = Path(text), ""
    if not folder.exists():
        place, _, number = text.rpartition(":")
        if number.isascii() and number.isdigit():
            folder, name = Path(place) if place else _own_directory(trail), number.zfill(20)
    disk = look_at(folder)
    expect_store(folder, disk)
    repository = Repository(disk)
    if not name:
        known = [snapshot_name(each.offset) for each in repository.whole()[0]]
        verified = (each for each in known if repository.verified(each) is not None)
        name = next(verified, known[0] if known else "")
    try:
        return AgainstSnapshot(repository, name)
    except FileNotFoundError:
        there = ", ".join(repository.names()) or "none"
        hint = f"There are: {there}. `store snapshot take` takes one"
        raise NothingThere(f"there is no snapshot {name or 'that can be read'} in {folder}", hint=hint) from None


def _own_directory(trail: Opened) -> Path:
    if trail.places is None:
        hint = "Say DIR:NAME: a name alone is a snapshot of the store whose own trail is verified"
        raise ConfigError("nothing says in which data directory the snapshot lies", hint=hint)
    return trail.places.data


def _run(
    trail: Opened,
    request: Request,
    against: Path | None,
    snapshot: AgainstSnapshot | None,
    jobs: int,
    *,
    json: bool,
) -> tuple[Outcome, dict[str, int]]:
    notes: dict[str, int] = {}
    log = None
    if against is not None:
        disk = look_at(against)
        expect_store(against, disk)
        log = AgainstLog(disk)
    with Phases(json=json) as phases:
        run = Verification(trail.store, request, run=batches_by(jobs, trail.source, trail.store), progress=phases)
        for manifest, checked in run.steps():
            if log is not None:
                log.take(manifest, checked, run.outcome.findings, run.outcome.counts)
            if snapshot is not None:
                snapshot.take(checked)
    if snapshot is not None:
        snapshot.rest(run.outcome)
    if log is not None:
        whole = request.last_seq == LAST_SEQ and request.until == FAR
        left = log.rest(run.outcome.findings)
        notes = {"events_older_than_the_log": log.older} | ({"records_not_told_yet": left} if whole else {})
    return run.outcome, notes


def line_of(outcome: Outcome) -> dict[str, Any]:
    """A verification's result as JSON has it."""
    return {
        "verdict": outcome.verdict.name,
        "exit": int(outcome.verdict),
        "log": outcome.log,
        "origin": outcome.origin,
        "store": outcome.store,
        "counts": msgspec.to_builtins(outcome.counts),
        "findings": {kind.name: number for kind, number in outcome.findings.counts.items()},
        "not_checked": outcome.not_checked,
        "proven_size": outcome.proven_size,
        "proven_root": outcome.proven_root,
        "first_time": None if outcome.first_time is None else to_text(outcome.first_time),
        "last_time": None if outcome.last_time is None else to_text(outcome.last_time),
        "retained_until": None
        if outcome.retained_until is None
        else [to_text(each) for each in outcome.retained_until],
    }


def tell(outcome: Outcome, notes: dict[str, int], *, json: bool) -> None:
    """Findings, counts, what was not checked, and last the verdict."""
    tell_findings(outcome, json=json)
    if json:
        print_json({"event": "result", **line_of(outcome), **notes})
        return
    _tell_counts(outcome)
    for name, number in notes.items():
        if number:
            _say(f"{name.replace('_', ' ')}: {number:,}")
    for line in outcome.not_checked:
        _say(f"not checked: {line}")
    warned = outcome.findings.counts[Kind.WARNING]
    said = f", with {counted(warned, 'warning')}" if warned else ""
    _say(f"{outcome.verdict.name}{said}", "bold green" if outcome.verdict is Verdict.VERIFIED else "bold red")


def tell_findings(outcome: Outcome, *, json: bool) -> None:
    """Each as a line."""
    if json:
        for each in outcome.findings.kept:
            print_json({"event": "finding", "kind": each.kind.name, "where": each.where, "what": each.what})
        return
    for each in outcome.findings.kept:
        _say(f"{each.kind.name:10} {each.where}: {each.what}", _STYLES[each.kind])
    for kind, number in outcome.findings.counts.items():
        if number > FINDINGS_MAX:
            _say(f"{kind.name:10} and {number - FINDINGS_MAX:,} more", _STYLES[kind])


def _tell_counts(outcome: Outcome) -> None:
    counts = outcome.counts
    _say(
        f"{counts.events_proven:,} of {counted(counts.events, 'event')} proven, in {counts.batches:,} of "
        f"{counts.manifests:,} batches, by {counts.checkpoints_counted:,} of "
        f"{counted(counts.checkpoints, 'checkpoint')} and {counted(counts.keys, 'key')} of "
        f"{outcome.origin or outcome.log}"
    )
    if counts.locks and outcome.retained_until:
        first, last = map(show_brief, outcome.retained_until)
        _say(f"locks: {counts.locks:,} of {counted(counts.objects, 'object')} looked at, held until {first} to {last}")
    if counts.log_records:
        hidden = counts.log_records_hidden
        _say(f"log: {counted(counts.log_records, 'record')} the same, {hidden:,} of them by their place alone")
    if counts.snapshot_rows or counts.snapshot_rows_hidden:
        hidden = counts.snapshot_rows_hidden
        _say(f"snapshot: {counted(counts.snapshot_rows, 'row')} as last written, {hidden:,} more known by key alone")


def _say(text: str, style: str = "") -> None:
    stdout.print(shown(text), style=style or None, markup=False, soft_wrap=True)
