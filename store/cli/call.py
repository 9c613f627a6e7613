"""`store call` and `store query`: one question, one answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import msgspec
import typer

from store.cli.arguments import (
    Authority,
    ConfigFile,
    Data,
    Timeout,
    Token,
    Url,
    address_of,
    configure,
    run,
    token_of,
    trust,
)
from store.cli.command_line import how_read, read_arguments, read_value
from store.cli.output import (
    JsonFlag,
    by_column,
    note,
    plain_of,
    print_json,
    print_table,
    rows_table,
    show_value,
    stdout,
    tell_json,
)
from store.cli.streams import telling_of
from store.client import Client, connect
from store.errors import MalformedCall

LOST: Final = "connection lost, coming back …"
LOOK_INTERVAL_S: Final = 0.1
"""Seconds between two looks at whether there is a connection still."""
_COMMITTED: Final = "Do not run it again, that would be another call: look with `store query` or `store log dump`"


def call(  # Options of a command.
    reducer: Annotated[str, typer.Argument(help="The reducer's name.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Its arguments, all in order or all as name=value; each as JSON, or as text as it stands."),
    ] = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    ca: Authority = None,
    timeout: Timeout = None,  # An option.
    config: ConfigFile = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Call a reducer and print what it returns, once that is durable."""
    positional, named = read_arguments(arguments or [])
    options = configure(config, tenant__data=data)

    async def ask() -> tuple[Any, int]:
        address, bearer = address_of(options, url), token_of(options, token)
        async with connect(address, bearer, options=options.client, ssl=trust(ca)) as db:
            async with telling_when_lost(db, json=json):
                value = await db.call(reducer, *positional, returns=msgspec.Raw, **named)
            return plain_of(bytes(value)), db.offset

    try:
        value, offset = run(ask(), timeout_s=timeout)
    except MalformedCall as error:
        error.hint = error.hint or how_read(error, positional, named)
        raise
    with telling_of(f"the call was committed at offset {offset}", hint=_COMMITTED):
        if json:
            print_json({"value": value, "offset": offset})
            return
        if value is not None:
            stdout.print(show_value(value), markup=False, soft_wrap=True)
    note(f"committed at offset {offset}")


def query(  # Options of a command.
    sql: Annotated[str, typer.Argument(help="A SELECT with parameters $1 …, or EXPLAIN and one.")],
    params: Annotated[list[str] | None, typer.Argument(help="The parameters, each as JSON or as text.")] = None,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    ca: Authority = None,
    timeout: Timeout = None,  # An option.
    config: ConfigFile = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Read once, and print the rows: a table, or with --json one row a line."""
    options = configure(config, tenant__data=data)

    async def ask() -> Any:
        address, bearer = address_of(options, url), token_of(options, token)
        async with (
            connect(address, bearer, options=options.client, ssl=trust(ca)) as db,
            telling_when_lost(db, json=json),
        ):
            return await db.query(sql, *map(read_value, params or []))

    rows = run(ask(), timeout_s=timeout)
    if json:
        for row in rows:
            print_json(by_column(rows.table.columns, row))
        return
    print_table(rows_table((each.name for each in rows.table.columns), rows))
    note(f"{len(rows)} row{'' if len(rows) == 1 else 's'} at offset {rows.offset}")


@asynccontextmanager
async def telling_when_lost(db: Client, *, json: bool) -> AsyncIterator[None]:
    """While an answer is waited for: say once on stderr that the connection is lost, and is being tried for anew."""
    telling = asyncio.create_task(_tell_when_lost(db, json=json))
    try:
        yield
    finally:
        telling.cancel()


async def _tell_when_lost(db: Client, *, json: bool) -> None:
    connections = db.connections
    while db.connected and db.connections == connections:  # noqa: ASYNC110  # The client has no event for it.
        await asyncio.sleep(LOOK_INTERVAL_S)
    if json:
        tell_json({"event": "connection_lost", "message": LOST})
    else:
        note(LOST)
