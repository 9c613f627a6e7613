"""`store salvage`: everything that can still be proven of a damaged store, in a new directory, and what is lost.

Laws: the damaged directory is only read. What is written is whole and opens; what it lacks is said, with offsets, times
and keys as far as anything still knows them.
"""

import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from store.cli.arguments import ConfigFile, SetOptions, configure
from store.cli.directories import expect_outside, expect_store, look_at, made_in, same
from store.cli.exits import Exit
from store.cli.moments import show_moment, show_span, to_text
from store.cli.output import JsonFlag, note, print_json, stdout, to_plain
from store.cli.progress import Phases
from store.cli.upkeep.acts import note_made
from store.cli.upkeep.preview import tell_next
from store.engine.directory import RESTORING
from store.env.posix import SystemClock, SystemEntropy
from store.errors import ConfigError
from store.upkeep.salvage import SalvageReport
from store.upkeep.salvage import salvage as carry_out
from store.upkeep.wreck import Extent

SHOWN_MAX: Final = 20
"""Places and key ranges that are listed for people; --json lists all."""


def salvage(  # Options of a command.
    source: Annotated[Path, typer.Argument(help="The damaged data directory; nothing in it is changed.")],
    into: Annotated[Path, typer.Argument(help="A new or empty directory.")],
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Write everything provable of a damaged store into a new directory, and report what is lost.

    Exit code: 0 nothing is lost, 18 transactions are or may be lost, but no row of the last provable moment is, 1 rows
    of it are lost, too, 9 nothing can be proven.
    """
    options = configure(config, set_, tenant__data=source)
    if same(source, into):
        raise ConfigError(f"both are {source}", hint="Name a new directory: a damaged one is never written to")
    expect_outside(into, source)
    disk = look_at(source, half_made=True)
    expect_store(source, disk)
    try:
        with made_in(into) as made, Phases(json=json) as phases:
            report = carry_out(
                disk,
                made,
                clock=SystemClock(),
                entropy=SystemEntropy(),
                options=options.snapshot,
                progress=phases,
                note=lambda made: note_made(into, "salvage", _content(source, made)),
            )
    except BaseException:
        if (into / RESTORING).exists():
            note(f"{into} is half made and says so: the same command begins anew, or delete it")
        raise
    if json:
        print_json(_line(report, into))
    else:
        for line, style in _lines(report):
            stdout.print(line, style=style, markup=False, soft_wrap=True)
        where = shlex.quote(str(into))
        tell_next(
            [
                (f"store snapshot verify {where}", "prove it"),
                (f"store token mint --data {where}", "tokens are not salvaged"),
                (f"store serve --data {where}", "opens a new epoch: clients are told, and take their rows anew"),
            ]
        )
    raise typer.Exit(_code(report))


def _content(source: Path, report: SalvageReport) -> dict[str, Any]:
    """What the log will say of it, beside who did it."""
    lost = None if report.lost is None else [report.lost.first, report.lost.last]
    return {
        "from": str(source),
        "offset": report.offset,
        "timestamp": report.timestamp,
        "parent": report.parent.hex(),
        "base": report.base,
        "rows": report.rows,
        "fingerprint": report.fingerprint,
        "lost": lost,
        "doubtful": report.doubtful,
        "partial": report.partial,
        "lost_answers": report.lost_answers,
    }


def _code(report: SalvageReport) -> Exit:
    """0 is for a store that lost nothing: a script that looks no further may believe it."""
    if report.partial:
        return Exit.CHECK_FAILED
    return Exit.DONE if report.lost is None and not report.doubtful else Exit.LOST


def _lines(report: SalvageReport) -> Iterator[tuple[str, str]]:
    """(line, style): what there is, what is lost, where the damage lies, what to do."""
    whole = "some rows are lost" if report.partial else "all rows of that moment"
    base = f"snapshot {report.base}" if report.base else "the start of the log"
    yield (
        f"salvaged offset {report.offset}, {show_moment(report.timestamp)}: {whole}",
        ("bold yellow" if report.partial else "bold green"),
    )
    yield (
        f"  {report.rows:,} rows, from {base} and {report.replayed:,} transactions since; {show_span(report.seconds)}",
        "",
    )
    yield f"  fingerprint {report.fingerprint}", ""
    yield from ((f"lost: {each}", "red") for each in _losses(report))
    for each in report.damage[:SHOWN_MAX]:
        yield f"damaged: {each.file} at byte {each.position}, {each.size:,} bytes: {each.what}", ""
    if len(report.damage) > SHOWN_MAX:
        yield f"damaged: {len(report.damage) - SHOWN_MAX} more places (--json lists all)", ""
    for name, why in ((each.name, each.reason) for each in report.passed_over):
        yield f"passed over: snapshot {name}: {why}", ""
    yield "keep the damaged directory: a backup, or another copy, may still fill in what is lost", ""


def _losses(report: SalvageReport) -> Iterator[str]:
    if report.lost is not None:
        yield f"transactions {_extent(report.lost)}"
    for each in report.unreachable:
        yield f"  of these {_extent(each)} can be read, but nothing links them to what was salvaged (`store log dump`)"
    if report.doubtful and report.lost is None:
        yield "perhaps what came last: the log's end is damaged, and nothing says whether anybody was told of it"
    for keys in report.lost_keys[:SHOWN_MAX]:
        yield f"rows of {keys.table} with keys from {keys.first!r} to {keys.last!r}: up to {keys.rows:,}"
    if len(report.lost_keys) > SHOWN_MAX:
        yield f"{len(report.lost_keys) - SHOWN_MAX} more key ranges (--json lists all)"
    if report.lost_answers:
        yield "which calls were answered: a retry of a call from before may run it a second time"


def _extent(each: Extent) -> str:
    offsets = f"{each.first} to {each.last}" if each.first != each.last else f"{each.first}"
    if not each.first_time:
        return f"{offsets}, at times nobody knows"
    times = show_moment(each.first_time)
    return f"{offsets}, {times}{f' to {show_moment(each.last_time)}' if each.last_time != each.first_time else ''}"


def _line(report: SalvageReport, into: Path) -> dict[str, Any]:
    found: dict[str, Any] = to_plain(msgspec.to_builtins(asdict(report), builtin_types=(bytes,)))
    found |= {
        "event": "salvaged",
        "into": str(into),
        "at": to_text(report.timestamp),
        "parent_epoch": report.parent.hex(),
        "seconds": round(report.seconds, 3),
    }
    del found["parent"]
    return found
