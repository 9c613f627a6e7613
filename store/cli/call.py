"""`store call` and `store query`: one question, one answer."""

import re
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
)
from store.cli.streams import telling_of
from store.client import connect
from store.errors import MalformedCall

_NAMED: Final = re.compile(r"([a-z_][a-z0-9_]*)=(.*)", re.DOTALL)

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
            value = await db.call(reducer, *positional, returns=msgspec.Raw, **named)
            return plain_of(bytes(value)), db.offset

    value, offset = run(ask(), timeout_s=timeout)
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
        async with connect(address, bearer, options=options.client, ssl=trust(ca)) as db:
            return await db.query(sql, *map(read_value, params or []))

    rows = run(ask(), timeout_s=timeout)
    if json:
        for row in rows:
            print_json(by_column(rows.table.columns, row))
        return
    print_table(rows_table((each.name for each in rows.table.columns), rows))
    note(f"{len(rows)} row{'' if len(rows) == 1 else 's'} at offset {rows.offset}")


def read_arguments(arguments: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """Positional or named arguments. MalformedCall where they are mixed."""
    matches = [_NAMED.fullmatch(each) for each in arguments]
    named = {match[1]: read_value(match[2]) for match in matches if match}
    if not named:
        return [read_value(each) for each in arguments], {}
    if not all(matches):
        raise MalformedCall(
            "arguments are all in order or all as name=value, these are mixed",
            hint="Text that looks like name=value is written as JSON: '\"a=b\"'",
        )
    return [], named


def read_value(text: str) -> Any:
    """JSON as what it says, anything else as text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
