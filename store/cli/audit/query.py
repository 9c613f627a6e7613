"""`store audit query`: SQL over the events of a trail, and Parquet made from them."""

import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table
from rich.text import Text

from store.audit.objects.manifest import Manifest
from store.audit.reading.querying import COLUMNS, parquet, view
from store.audit.reading.verifying.findings import Outcome, Verdict
from store.audit.reading.verifying.request import Request
from store.audit.reading.verifying.trail import Verification
from store.cli.audit.export import version
from store.cli.audit.trails import Endpoint, FromTrail, KeyOption, LogOption, NamedUrl, Opened, Region, open_trail
from store.cli.audit.verify import FromSeq, FromTime, ToSeq, ToTime, part_of, tell_findings
from store.cli.output import JsonFlag, note, print_json, print_table, shown, to_plain
from store.cli.progress import Phases
from store.errors import ConfigError, DirectoryError, MalformedQuery

EXTRA: Final = "audit"
"""The extra of the distribution that brings DuckDB."""


def query(  # Options of a command.
    url: NamedUrl,
    sql: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL", help=f"A SELECT over the table events: {', '.join(COLUMNS)}.", show_default=False
        ),
    ] = None,
    to_parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="FILE", help="Write all events to a new Parquet file instead.")
    ] = None,
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
    """Ask a trail in SQL. It is verified first; whole batches are read, so a part may have a few events more.

    Exit code as of `verify`: an answer from a trail that does not hold is given, and is worth what its findings say.
    """
    duckdb = _duckdb()
    if (sql is None) == (to_parquet is None):
        raise ConfigError(
            "say a SELECT, or --parquet FILE",
            hint='store audit query URL --key VKEY "SELECT kind, count(*) FROM events GROUP BY kind"',
        )
    if to_parquet is not None and to_parquet.exists():
        raise DirectoryError(f"{to_parquet} is there already", hint="Name another: nothing is overwritten")
    trail = open_trail(url, key=key, from_trail=key_from_trail, log=log, endpoint=endpoint, region=region)
    part = part_of(since, until, from_seq, to_seq)
    with _batches(trail, part, json=json) as (files, outcome), duckdb.connect() as connection:
        try:
            connection.execute(view(files))
            if to_parquet is None:
                _show(connection.execute(sql), json=json)
            else:
                connection.execute(parquet(str(to_parquet), _derived(outcome, files)))
                note(f"{to_parquet} holds {outcome.counts.events:,} events; it is derived, and says from what")
        except duckdb.Error as error:
            hint = f"The table is events, with {', '.join(COLUMNS)}"
            raise MalformedQuery(f"DuckDB says: {error}", hint=hint) from None
    if outcome.verdict is not Verdict.VERIFIED:
        raise typer.Exit(int(outcome.verdict))


def _duckdb() -> Any:
    try:
        return importlib.import_module("duckdb")
    except ImportError:
        raise ConfigError(
            "SQL over a trail takes DuckDB, which is not installed",
            hint=f"pip install 'commitstore[{EXTRA}]', or read the batches with `zstdcat FILE | jq`",
        ) from None


@contextmanager
def _batches(trail: Opened, part: dict[str, Any], *, json: bool) -> Iterator[tuple[list[str], Outcome]]:
    """The files of those batches that hold, and what was found. They are copies: nobody changes them meanwhile."""
    with tempfile.TemporaryDirectory(prefix="store-audit-") as folder:
        files = []
        with Phases(json=json) as phases:
            run = Verification(trail.store, Request(trail.log, trail.key, **part), progress=phases)
            for manifest, checked in run.steps():
                if checked.sound:
                    path = Path(folder) / f"{manifest.batch:012d}.jsonl.zst"
                    path.write_bytes(_bytes(trail, manifest))
                    files.append(str(path))
        if json:
            tell_findings(run.outcome, json=True)
        else:
            _note_findings(run.outcome)
        if not files:
            hint = "Ask for another part, or see what `store audit verify` says"
            raise DirectoryError("no batch of what was asked for can be read", hint=hint)
        yield files, run.outcome


def _bytes(trail: Opened, manifest: Manifest) -> bytes:
    """A batch that was read a moment ago, again: the same bytes, or none."""
    versions = [each.version_id for each in trail.store.versions_of(manifest.key) if not each.marker]
    for version_id in reversed(versions):
        data = trail.store.get(manifest.key, version_id)
        if sha256(data).hexdigest() == manifest.sha256:
            return data
    raise DirectoryError(f"{manifest.key} changed while it was read", hint="Verify the trail: somebody writes to it")


def _note_findings(outcome: Outcome) -> None:
    for each in outcome.findings.kept:
        note(shown(f"{each.kind.name} {each.where}: {each.what}"))
    note(f"{outcome.verdict.name}: {outcome.counts.events_proven:,} of {outcome.counts.events:,} events proven")


def _derived(outcome: Outcome, files: list[str]) -> dict[str, str]:
    """What a Parquet file says of itself: it is no evidence, and which is."""
    numbers = [Path(each).name.partition(".")[0] for each in files]
    return {
        "derived_from": f"the audit trail {outcome.origin}",
        "evidence": "the trail's own batches; this file proves nothing",
        "source_batches": f"{numbers[0]} to {numbers[-1]}, {len(numbers)} of them",
        "proven_size": str(outcome.proven_size),
        "proven_root": outcome.proven_root,
        "verdict": outcome.verdict.name,
        "verifier": f"commitstore {version()}",
    }


def _show(answer: Any, *, json: bool) -> None:
    names = [each[0] for each in answer.description or ()]
    rows = answer.fetchall()
    if json:
        for row in rows:
            print_json({"event": "row", **{name: to_plain(each) for name, each in zip(names, row, strict=True)}})
        return
    table = Table(header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if each is None else Text(shown(str(each))) for each in row))
    print_table(table)
