"""`store watch`: a query's rows, live: a table that is painted anew on a terminal, a line a change everywhere else.

Laws: lines are words, or JSON with --json, as of every command: a pipe does not change which.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from store.cli.arguments import Authority, ConfigFile, Data, Token, Url, address_of, configure, token_of, trust
from store.cli.command_line import read_value
from store.cli.output import (
    JsonFlag,
    by_column,
    cells,
    header,
    note,
    print_json,
    print_table,
    rows_table,
    show_value,
    shown,
    stdout,
    to_plain,
)
from store.client import Change, Client, Delete, Insert, View, ViewDelta, connect
from store.config import Config
from store.subscribe.messages import ColumnInfo

CHANGES_SHOWN: Final = 20
"""The newest changes that the live table shows."""
REFRESHES_PER_S: Final = 8


def watch(  # Options of a command.
    sql: Annotated[str, typer.Argument(help="SELECT * FROM table, or … WHERE column = $1.")],
    params: Annotated[list[str] | None, typer.Argument(help="The parameters, each as JSON or as text.")] = None,
    count: Annotated[int | None, typer.Option(help="End after so many transactions.  [default: never]")] = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    ca: Authority = None,
    config: ConfigFile = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Follow a query until Ctrl-C: its rows first, then what each transaction changes in them."""
    options = configure(config, tenant__data=data)
    values = [read_value(each) for each in params or []]
    connecting = _Connecting(options, address_of(options, url), token_of(options, token), ca)
    show = _print_json_lines if json else _show_live if stdout.is_terminal else _print_lines
    with contextlib.suppress(KeyboardInterrupt):  # The way it ends.
        asyncio.run(show(connecting, sql, values, count))


class _Connecting:
    """What it takes to open a view."""

    def __init__(self, options: Config, url: str, token: str, ca: Any) -> None:
        self._options: Final = options
        self._url: Final = url
        self._token: Final = token
        self._ca: Final = ca

    @asynccontextmanager
    async def view(self, sql: str, values: list[Any]) -> AsyncIterator[tuple[Client, View[Any]]]:
        async with connect(self._url, self._token, options=self._options.client, ssl=trust(self._ca)) as db:
            yield db, await db.subscribe(sql, *values)


async def _print_lines(connecting: _Connecting, sql: str, values: list[Any], count: int | None) -> None:
    async with connecting.view(sql, values) as (_, view):
        deltas, columns = view.deltas(), view.table.columns
        print_table(rows_table((each.name for each in columns), view.values()))
        note(f"{len(view)} row{'' if len(view) == 1 else 's'} at offset {view.offset}; changes follow, Ctrl-C ends")
        left = count
        while left is None or left > 0:
            delta = await anext(deltas)
            for change in delta.changes:
                stdout.print(_words(columns, delta, change), markup=False, soft_wrap=True)
            left = None if left is None else left - 1


def _words(columns: Sequence[ColumnInfo], delta: ViewDelta[Any], change: Change[Any]) -> str:
    """A change as one line."""
    sign, _, row = _look(change)
    values = (
        (each.name, show_value(to_plain(getattr(row, name))))
        for each, name in zip(columns, row.__struct_fields__, strict=True)
    )
    return f"{delta.offset} {_clock(delta)} {sign} " + ", ".join(shown(f"{name} {text}") for name, text in values)


async def _print_json_lines(connecting: _Connecting, sql: str, values: list[Any], count: int | None) -> None:
    async with connecting.view(sql, values) as (_, view):
        deltas, columns = view.deltas(), view.table.columns
        print_json({"event": "rows", "offset": view.offset, "rows": [by_column(columns, row) for row in view.values()]})
        left = count
        while left is None or left > 0:
            print_json(_line(columns, await anext(deltas)))
            left = None if left is None else left - 1


async def _show_live(connecting: _Connecting, sql: str, values: list[Any], count: int | None) -> None:
    async with connecting.view(sql, values) as (db, view):
        deltas = view.deltas()
        newest: deque[tuple[ViewDelta[Any], Change[Any]]] = deque(maxlen=CHANGES_SHOWN)
        with Live(
            get_renderable=lambda: _picture(db, view, newest), refresh_per_second=REFRESHES_PER_S, console=stdout
        ):
            left = count
            while left is None or left > 0:
                delta = await anext(deltas)
                newest.extend((delta, change) for change in delta.changes)
                left = None if left is None else left - 1


def _picture(db: Client, view: View[Any], newest: deque[tuple[ViewDelta[Any], Change[Any]]]) -> Group:
    """The newest changes above one line that says how things stand."""
    table = Table(title=header(view.sql), title_justify="left", header_style="bold")
    for name in ("offset", "time", "", *(each.name for each in view.table.columns)):
        table.add_column(header(name), overflow="ellipsis", no_wrap=True)
    for delta, change in newest:
        sign, style, row = _look(change)
        table.add_row(Text(str(delta.offset)), Text(_clock(delta)), Text(sign), *cells(row), style=style)
    state = "live" if db.connected else "connection lost, coming back …"
    return Group(table, Text(f"{len(view)} rows at offset {view.offset}, {state}. Ctrl-C ends.", style="dim"))


def _look(change: Change[Any]) -> tuple[str, str, Any]:
    if isinstance(change, Delete):
        return "-", "red", change.before
    return ("+", "green", change.after) if isinstance(change, Insert) else ("~", "yellow", change.after)


def _clock(delta: ViewDelta[Any]) -> str:
    if not delta.timestamp:
        return "anew"
    return datetime.fromtimestamp(delta.timestamp / 1e6, tz=UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _line(columns: Sequence[ColumnInfo], delta: ViewDelta[Any]) -> dict[str, Any]:
    return {
        "event": "delta",
        "offset": delta.offset,
        "timestamp": delta.timestamp,
        "reset": delta.reset,
        "anew": delta.anew and to_plain(delta.anew),
        "changes": [_change(columns, each) for each in delta.changes],
    }


def _change(columns: Sequence[ColumnInfo], change: Change[Any]) -> dict[str, Any]:
    rows = {name: by_column(columns, getattr(change, name)) for name in ("before", "after") if hasattr(change, name)}
    return {"change": type(change).__name__.lower(), "key": to_plain(change.key), **rows}
