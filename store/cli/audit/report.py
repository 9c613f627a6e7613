"""`store audit report`: a verification, and what happened, as a page for people."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from store.audit.reading.reporting import About, page
from store.audit.reading.verifying.request import Request
from store.audit.reading.verifying.tally import Tally
from store.audit.reading.verifying.trail import Verification
from store.cli.audit.export import version
from store.cli.audit.prove import write_new
from store.cli.audit.trails import Endpoint, FromTrail, KeyOption, LogOption, Region, TrailUrl, open_trail
from store.cli.audit.verify import (
    CheckLocks,
    FromSeq,
    FromTime,
    Heartbeat,
    Jobs,
    Policies,
    ToSeq,
    ToTime,
    Trusted,
    Witnesses,
    asked_text,
    cosignatures,
    kept_checkpoint,
    part_of,
    tell,
)
from store.cli.audit.workers import batches_by
from store.cli.output import JsonFlag, note
from store.cli.progress import Phases


def report(  # Options of a command.
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page: a new HTML file.")],
    url: TrailUrl = None,
    key: KeyOption = None,
    key_from_trail: FromTrail = False,  # noqa: FBT002  # A flag.
    log: LogOption = None,
    since: FromTime = None,
    until: ToTime = None,
    from_seq: FromSeq = 0,
    to_seq: ToSeq = None,
    trusted: Trusted = None,
    policy: Policies = None,
    witness: Witnesses = None,
    check_locks: CheckLocks = False,  # noqa: FBT002  # A flag.
    heartbeat: Heartbeat = 0,
    jobs: Jobs = None,
    endpoint: Endpoint = "",
    region: Region = "",
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Write a page for people: period, who did what, denials, gaps, locks, what was verified and what was not.

    Exit code as of `verify`: the page is written whatever comes out.
    """
    trail = open_trail(url, key=key, from_trail=key_from_trail, log=log, endpoint=endpoint, region=region)
    request = Request(
        trail.log,
        trail.key,
        cosigned=cosignatures(policy, witness or []),
        trusted=kept_checkpoint(trusted),
        check_locks=check_locks,
        heartbeat_s=heartbeat,
        with_tally=True,
        **part_of(since, until, from_seq, to_seq),
    )
    tally = Tally()
    with Phases(json=json) as phases:
        runner = batches_by(jobs or os.cpu_count() or 1, trail.source, trail.store)
        run = Verification(trail.store, request, run=runner, progress=phases)
        for _, checked in run.steps():
            if checked.tally is not None:
                tally.add(checked.tally)
    asked = asked_text(since, until, from_seq, to_seq)
    about = About(made=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S UTC}", version=version(), asked=asked.strip())
    write_new(output, page(run.outcome, tally, about).encode())
    tell(run.outcome, {}, json=json)
    if not json:
        note(f"{output} says it for people")
    raise typer.Exit(int(run.outcome.verdict))
