"""A verification as a page for people: one HTML file that needs nothing else, to be read, printed and filed.

Laws: what was verified and what was not stand side by side, and the verdict first. Everything that comes from a trail
is escaped: it may have been written by an attacker for whoever reads it. No script, no link, nothing is loaded.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any, Final, TypeVar

from store.audit.reading.verifying.findings import Kind, Outcome, Verdict
from store.audit.reading.verifying.tally import DENIALS_MAX, Tally

Name = TypeVar("Name")

ROWS_MAX: Final = 100
"""Rows of a table, at most; the others are counted."""
DAYS_MAX: Final = 400
"""Days that the chart shows."""

_SAYS: Final = {
    Verdict.VERIFIED: "Every event that was looked at is as it was signed, in order, and none is missing.",
    Verdict.TAMPER: "Something was changed, forged or reordered: bytes, hashes or signatures do not hold.",
    Verdict.INCOMPLETE: "Something is missing. What is there holds.",
    Verdict.UNLOCKED: "What is there holds, but the store does not hold every object as it should.",
}


@dataclass(frozen=True)
class About:
    """Who made the report, and when."""

    made: str
    version: str
    asked: str
    """Which part was asked for; "" for all of it."""


def page(outcome: Outcome, tally: Tally, about: About) -> str:
    """The whole page."""
    parts = [
        _head(outcome, about),
        _period(outcome, tally),
        _verified(outcome),
        _not_verified(outcome),
        _findings(outcome),
        _actions(tally),
        _actors(tally),
        _operators(tally),
        _denials(tally),
        _running(tally),
        _days(tally),
        _end(about),
    ]
    return "\n".join(parts)


def _head(outcome: Outcome, about: About) -> str:
    verdict = outcome.verdict
    warned = outcome.findings.counts[Kind.WARNING]
    also = (
        f" {warned:,} {'warning' if warned == 1 else 'warnings'}: what lies beside the evidence and does not touch it."
        if warned
        else ""
    )
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>Audit report: {_text(outcome.origin or outcome.log)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>Audit report</h1><p class=sub>{_text(outcome.origin or outcome.log)}<br>in {_text(outcome.store)}"
        f"<br>made {_text(about.made)}{_text(f', of {about.asked}') if about.asked else ''}</p>"
        f"<section class='verdict {verdict.name.lower()}'><strong>{verdict.name}</strong>"
        f"<p>{_SAYS[verdict]}{also}</p></section>"
    )


def _period(outcome: Outcome, tally: Tally) -> str:
    first, last = outcome.first_time, outcome.last_time
    return _section(
        "Period and volume",
        _pairs(
            [
                ("First event", "none" if first is None else _moment(first)),
                ("Last event", "none" if last is None else _moment(last)),
                ("Events read", f"{tally.events:,}"),
                ("Committed", f"{tally.events - tally.failures:,}"),
                ("Refused, failed or denied", f"{tally.failures:,}"),
                ("Denied requests, summaries counted in full", f"{tally.denied:,}"),
            ]
        ),
    )


def _verified(outcome: Outcome) -> str:
    counts, held = outcome.counts, outcome.retained_until
    pairs = [
        ("Events proven", f"{counts.events_proven:,} of {counts.events:,} read"),
        ("Batches read", f"{counts.batches:,} of {counts.manifests:,} manifests"),
        ("Checkpoints", f"{counts.checkpoints:,} signed, of which {counts.checkpoints_counted:,} count"),
        ("Keys in succession", f"{counts.keys:,}"),
        ("Proven tree", f"{outcome.proven_size:,} events, root {outcome.proven_root or 'none'}"),
        ("Objects in the store", f"{counts.objects:,}"),
        ("Locks looked at", f"{counts.locks:,}" if counts.locks else "none"),
    ]
    if held is not None:
        pairs.append(("Held until", f"{_moment(held[0])} (the first to end) to {_moment(held[1])} (the last)"))
    if counts.log_records:
        hidden = f", {counts.log_records_hidden:,} by place alone" if counts.log_records_hidden else ""
        pairs.append(("Records of the log that say the same", f"{counts.log_records:,}{hidden}"))
    return _section("What was verified", _pairs(pairs))


def _not_verified(outcome: Outcome) -> str:
    items = "".join(f"<li>{_text(each)}</li>" for each in outcome.not_checked)
    return _section("What was not verified", f"<ul>{items}</ul>" if items else "<p>Nothing was left out.</p>")


def _findings(outcome: Outcome) -> str:
    found = outcome.findings
    if not found.kept:
        return _section("Findings", "<p>None.</p>")
    rows = [(each.kind.name, each.where, each.what) for each in found.kept]
    return _section(
        "Findings", _table(("Kind", "Where", "What"), rows, total=sum(found.counts.values()), kind_first=True)
    )


def _actions(tally: Tally) -> str:
    rows = [
        (operation or "(none)", kind, f"{number:,}", f"{tally.failed_actions[kind, operation]:,}")
        for (kind, operation), number in _ordered(tally.actions)
    ]
    outcomes = [(code or "(none)", f"{number:,}") for code, number in _ordered(tally.outcomes)]
    more = f"<h3>How failures ended</h3>{_table(('Outcome', 'Events'), outcomes)}" if outcomes else ""
    table = _table(("Action", "Kind", "Events", "Not committed"), rows, total=len(tally.actions))
    return _section("By action", table + more)


def _actors(tally: Tally) -> str:
    rows = [
        (
            actor or "(unknown)",
            f"{number:,}",
            f"{tally.failed_actors[actor]:,}",
            _moment(tally.last_seen[actor]) if tally.last_seen.get(actor) else "",
        )
        for actor, number in _ordered(tally.actors)
    ]
    sources = [(source, f"{number:,}") for source, number in _ordered(tally.sources)]
    more = f"<h3>By address</h3>{_table(('Address', 'Events'), sources, total=len(tally.sources))}" if sources else ""
    table = _table(("Actor", "Events", "Not committed", "Last seen"), rows, total=len(tally.actors))
    return _section("By actor", table + more)


def _operators(tally: Tally) -> str:
    if not tally.done:
        return _section("What operators did", "<p>Nothing in this period.</p>")
    rows = [(f"{each.seq}", _moment(each.timestamp), each.actor, each.action, each.ended) for each in tally.done]
    table = _table(("Event", "When", "Who", "What", "How it ended"), rows, total=tally.done_count)
    return _section("What operators did", table)


def _denials(tally: Tally) -> str:
    if not tally.denied:
        return _section("Denials", "<p>None.</p>")
    rows = [
        (
            f"{each.seq}",
            _moment(each.timestamp),
            each.actor or "(unknown)",
            each.source,
            each.action,
            each.reason,
            f"{each.count:,}",
        )
        for each in tally.denials
    ]
    heads = ("Event", "When", "Actor", "Address", "Asked for", "Why", "Number")
    shown = f"<p>{tally.denied:,} requests were denied; the first {DENIALS_MAX} events that tell of them:</p>"
    return _section("Denials", shown + _table(heads, rows))


def _running(tally: Tally) -> str:
    if not tally.starts:
        return _section("Starts of the store", "<p>None in this period.</p>")
    rows = [(f"{seq}", _moment(at)) for seq, at in tally.starts]
    return _section("Starts of the store", _table(("Event", "When"), rows))


def _days(tally: Tally) -> str:
    days = sorted(day for day in tally.days if day >= 0)[-DAYS_MAX:]
    if not days:
        return ""
    most = max(tally.days[day] for day in days)
    rows = "".join(
        f"<tr><td>{_day(day)}</td><td class=n>{tally.days[day]:,}</td>"
        f"<td class=bar><span style='width:{max(1, round(100 * tally.days[day] / most))}%'></span></td></tr>"
        for day in days
    )
    head = "<thead><tr><th>Day</th><th>Events</th><th></th></tr></thead>"
    return _section("By day (UTC)", f"<table>{head}<tbody>{rows}</tbody></table>")


def _end(about: About) -> str:
    return (
        f"<footer>Made by commitstore {_text(about.version)}. This page is derived: the evidence is the trail, and "
        "tools/verify_audit.py verifies it without the store.</footer></main></body></html>\n"
    )


def _ordered(counted: Counter[Name]) -> list[tuple[Name, int]]:
    """The most frequent first; equals by name, so that the same trail gives the same page."""
    return sorted(counted.items(), key=lambda each: (-each[1], str(each[0])))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th scope=row>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in pairs)
    return f"<table class=pairs><tbody>{rows}</tbody></table>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, total: int = 0, kind_first: bool = False) -> str:
    shown = rows[:ROWS_MAX]
    numbers = [bool(shown) and all(_is_number(row[place]) for row in shown) for place in range(len(heads))]
    head = "".join(f"<th{' class=n' if right else ''}>{each}</th>" for each, right in zip(heads, numbers, strict=True))
    body = "".join(
        f"<tr{_class(row[0]) if kind_first else ''}>{''.join(_cell(each) for each in row)}</tr>" for row in shown
    )
    left = max(total, len(rows)) - len(shown)
    more = f"<p class=sub>and {left:,} more</p>" if left > 0 else ""
    return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{more}"


def _class(kind: str) -> str:
    return f" class={kind.lower()}"


def _cell(text: str) -> str:
    return f"<td{' class=n' if _is_number(text) else ''}>{_text(text)}</td>"


def _is_number(text: str) -> bool:
    plain = text.replace(",", "")
    return plain.isascii() and plain.isdigit()


def _text(value: Any) -> str:
    """Escaped, and without what a page cannot hold: control characters are shown by their numbers."""
    said = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in str(value))
    return escape(said, quote=True)


def _moment(at: int) -> str:
    try:
        return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{at} µs since 1970"


def _day(day: int) -> str:
    return _moment(day * 86_400_000_000)[:10]


_STYLE: Final = """
:root{color-scheme:light dark;--line:#d5d9de;--soft:#667;--bar:#3b6ea5;--good:#1d6b39;--bad:#a32020;--warn:#8a6100}
@media(prefers-color-scheme:dark){
:root{--line:#3a3f46;--soft:#9aa;--bar:#6fa3d8;--good:#5fc483;--bad:#ff7b7b;--warn:#e0b050}}
body{font:15px/1.5 system-ui,sans-serif;margin:0}
main{max-width:62rem;margin:0 auto;padding:2rem 1.25rem}
h1{font-size:1.7rem;margin:0}
h2{font-size:1.15rem;margin:2rem 0 .5rem}
h3{font-size:1rem;margin:1rem 0 .3rem}
.sub,footer{color:var(--soft);overflow-wrap:anywhere}
footer{margin-top:3rem;border-top:1px solid var(--line);padding-top:1rem}
.verdict{border-left:.4rem solid var(--bad);padding:.6rem 1rem;margin:1.2rem 0;
background:color-mix(in srgb,var(--bad) 9%,transparent)}
.verdict strong{font-size:1.3rem;color:var(--bad)}
.verdict p{margin:.2rem 0 0}
.verdict.verified{border-color:var(--good);background:color-mix(in srgb,var(--good) 9%,transparent)}
.verdict.verified strong{color:var(--good)}
table{border-collapse:collapse;width:100%}
.wide{overflow-x:auto}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);vertical-align:top}
.pairs td,td:last-child{overflow-wrap:anywhere}
th{font-weight:600}
.pairs th{width:18rem;font-weight:400;color:var(--soft)}
td.n,th.n{font-variant-numeric:tabular-nums;text-align:right}
tr.tamper td:first-child,tr.incomplete td:first-child,tr.unlocked td:first-child{color:var(--bad);font-weight:600}
tr.warning td:first-child{color:var(--warn);font-weight:600}
td.bar{width:60%}
td.bar span{display:block;height:.8rem;margin-top:.3rem;background:var(--bar);border-radius:2px}
@media print{body{font-size:11px}main{max-width:none;padding:0}section{break-inside:avoid-page}}
"""
