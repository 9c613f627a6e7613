"""Snapshots as an operator looks at them."""

from collections.abc import Iterator
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from store.cli.moments import show_age, show_brief, show_bytes, show_moment
from store.cli.output import WIDE, print_table, stdout
from store.cli.upkeep.catalog import Catalog, Entry
from store.cli.upkeep.preview import show_gap

COLUMNS: Final = ("snapshot", "offset", "time", "age", "rows", "size", "own", "verified", "pinned")
_NUMBERS: Final = frozenset({"offset", "age", "rows", "size", "own"})
_STYLES: Final = {"corrupt": "bold red", "gap": "bold red", "newer": "bold yellow", "unverified": "yellow"}


def print_list(catalog: Catalog) -> None:
    """A line a snapshot, newest first. On a narrow terminal the name is left out, since its offset says the same."""
    width = stdout.width if stdout.is_terminal else WIDE
    columns = COLUMNS if width >= WIDE else COLUMNS[1:]
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for entry in catalog.entries:
        cells = _cells(entry)
        table.add_row(*(cells[name] for name in columns))
    print_table(table)


def _cells(entry: Entry) -> dict[str, Text]:
    manifest = entry.manifest
    style = _STYLES.get(entry.state, "")
    if manifest is None:
        cells = {"snapshot": entry.name, "offset": f"{int(entry.name):,}", "verified": entry.state}
        return {name: Text(cells.get(name, ""), style=style) for name in COLUMNS}
    verified = "never" if entry.verified is None else f"{show_age(entry.verified.at, entry.now)} ago"
    cells = {
        "snapshot": entry.name,
        "offset": f"{manifest.offset:,}",
        "time": show_brief(manifest.timestamp),
        "age": show_age(manifest.timestamp, entry.now),
        "rows": f"{entry.rows:,}",
        "size": show_bytes(entry.bytes),
        "own": show_bytes(entry.own_bytes),
        "verified": f"{verified}{', gap' if entry.misfit else ''}",
        "pinned": ", ".join(sorted(entry.pins)),
    }
    return {name: Text(text, style=style if name == "verified" else "") for name, text in cells.items()}


def restorable_lines(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """(line, style): what can be restored, what is missing, and what is wrong."""
    if not catalog.entries:
        yield "no snapshots: `store snapshot take` takes one", ""
    if catalog.ranges:
        oldest, newest = catalog.ranges[0], catalog.ranges[-1]
        yield f"oldest restorable: offset {oldest.first}, {show_moment(oldest.first_time)}", ""
        age = show_age(newest.last_time, catalog.now)
        yield f"newest restorable: offset {newest.last}, {show_moment(newest.last_time)}, {age} ago", ""
    for first, last in catalog.history.gaps:
        yield f"gap: {show_gap(first, last)}", "yellow"
    if catalog.alarm:
        yield f"alarm: {catalog.alarm}", "bold red"


def print_info(entry: Entry, catalog: Catalog) -> None:
    """Everything about one snapshot."""
    manifest = entry.manifest
    assert manifest is not None
    verified = "never; `store snapshot verify` does" if entry.verified is None else show_moment(entry.verified.at)
    kept = catalog.kept_because(entry.name)
    facts = {
        "snapshot": entry.name,
        "state": f"{entry.state}{f': {entry.misfit}' if entry.misfit else ''}",
        "offset": f"{manifest.offset:,}",
        "time": f"{show_moment(manifest.timestamp)}, {show_age(manifest.timestamp, entry.now)} ago",
        "taken": show_moment(manifest.taken),
        "verified": verified,
        "rows": f"{entry.rows:,}",
        "size": f"{show_bytes(entry.bytes)}, of which {show_bytes(entry.own_bytes)} no other snapshot has",
        "stays": "; ".join(kept) or "goes when its grace is over, unless it is pinned",
        "pinned": "; ".join(_pin(name, entry) for name in sorted(entry.pins)) or "no",
        "store": manifest.store.hex(),
        "epoch": manifest.epoch.hex(),
        "chain": manifest.chain.hex(),
        "fingerprint": manifest.fingerprint,
        "content": manifest.content,
        "manifest": str(catalog.disk.path / "snapshot" / f"{entry.name}.json"),
    }
    for name, value in facts.items():
        stdout.print(f"{name:<12} {value}", markup=False, soft_wrap=True)
    print_table(_tables(entry))


def _tables(entry: Entry) -> Table:
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("table", "id", "rows", "blocks", "size", "next key"):
        table.add_column(name, justify="left" if name == "table" else "right")
    assert entry.manifest is not None
    for each in entry.manifest.tables:
        size = sum(block.size for block in each.blocks)
        cells = (each.name, each.table, f"{each.rows:,}", len(each.blocks), show_bytes(size), each.next_key)
        table.add_row(*map(str, cells))
    return table


def _pin(name: str, entry: Entry) -> str:
    pin = entry.pins[name]
    until = "" if pin.until is None else f", until {show_moment(pin.until)}"
    return f"{name} ({pin.reason}{until})" if pin.reason else f"{name}{until}"
