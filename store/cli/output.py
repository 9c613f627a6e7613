"""What `store` writes: results on stdout, for people or as JSON; everything else on stderr.

Laws: stdout carries nothing but results. With --json a result is one JSON object a line, and so is an error on stderr.
The form of a result is what was asked for, never what stdout happens to be: a script reads what its author saw.
An error is one line that says what is wrong, and one that says what to do; a traceback only with --debug.
"""

import errno
import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from store.cli.exits import exit_of
from store.cli.streams import Left
from store.errors import Refused, StoreError
from store.subscribe.encoding import plain
from store.subscribe.messages import ColumnInfo
from store.values import Json

JSON_KEY: Final = "store.json"
LINES: Final = "\n\t"
"""What parts a text of several lines, and does a terminal no harm."""
DIGITS_SHOWN: Final = 40
"""Digits up to which a number is written without an exponent."""
WIDE: Final = 140
"""Characters a line that any table fits in."""

_HINTS: Final = {
    errno.ENOSPC: "Make room, and run it again: what was half written is never taken for whole",
    errno.EDQUOT: "Make room in the quota, and run it again: what was half written is never taken for whole",
    errno.EACCES: "Check who owns it, and its permissions",
    errno.EPERM: "Check who owns it, and its permissions",
    errno.EROFS: "It is mounted for reading: name another place, or mount it for writing",
    errno.ENOENT: "Check the path; if it went away meanwhile, run it again",
    errno.EEXIST: "Name another, or see what it is: nothing is overwritten",
    errno.EIO: "The disk fails: copy what is left of it, and look into the system's log",
}
_HINT_OTHER: Final = "See to what the system says, and run it again"
"""What to do about a failure of the system, by its number."""
_HINT_FAR: Final = "Check the network and the address (--endpoint), and run it again: it goes on where it stopped"
"""What to do where a machine far away, such as an object store, is not reached."""

_decode: Final = msgspec.msgpack.Decoder().decode

stdout: Final = Console(highlight=False)
stderr: Final = Console(stderr=True, highlight=False)


def _note_json(context: typer.Context, value: bool) -> bool:  # noqa: FBT001  # How typer calls it.
    context.meta[JSON_KEY] = value
    return value


JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print JSON, one object a line, errors too.", callback=_note_json)
]
"""The --json of every command."""


def to_plain(value: Any) -> Any:
    """A value as JSON has it: rows by column name, times as RFC 3339, bytes as base64, large integers as text."""
    if isinstance(value, msgspec.Struct):
        return {name: to_plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(name): to_plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(each) for each in value]
    return value.value if isinstance(value, Json) else plain(value)


def plain_of(data: bytes) -> Any:
    """MessagePack as JSON has it."""
    return plain(_decode(data))


def print_json(value: Any) -> None:
    """One object on one line, at once."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def tell_json(value: Any) -> None:
    """The same on stderr: for what is no result."""
    sys.stderr.write(msgspec.json.encode(value).decode() + "\n")
    sys.stderr.flush()


def shown(text: str, *, keep: str = "") -> str:
    """A text that may be an attacker's, for a terminal: what is no printable character is shown by its number."""
    return "".join(each if each.isprintable() or each in keep else f"\\u{ord(each):04x}" for each in text)


def show_value(value: Any) -> str:
    """A plain value for people: text as it is, in all its lines, numbers in digits, all else as JSON."""
    if isinstance(value, Decimal) and abs(value.adjusted()) < DIGITS_SHOWN:
        return f"{value:f}"
    text = msgspec.json.encode(value).decode()
    return shown(str(msgspec.json.decode(text)) if text.startswith('"') else text, keep=LINES)


def header(text: str) -> str:
    """What stands above a table or a column of one, as rich takes it: none of it is markup."""
    return escape(shown(text))


def cells(row: msgspec.Struct) -> list[Text]:
    """A row's values, by their places: a column may have a name that no attribute can have."""
    return [Text(show_value(to_plain(getattr(row, name)))) for name in row.__struct_fields__]


def by_column(columns: Iterable[ColumnInfo], row: msgspec.Struct) -> dict[str, Any]:
    """A row as a JSON object, by the names the query gives its columns; a repeated one has its place for a name."""
    found: dict[str, Any] = {}
    for column, attribute in zip(columns, row.__struct_fields__, strict=True):
        found[attribute if column.name in found else column.name] = to_plain(getattr(row, attribute))
    return found


def rows_table(columns: Iterable[str], rows: Iterable[Any], *, title: str = "") -> Table:
    """Rows as a table for people."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name in columns:
        table.add_column(header(name), overflow="fold")
    for row in rows:
        table.add_row(*cells(row))
    return table


def print_table(table: Table) -> None:
    """A table on stdout: as wide as the terminal, or where there is none, wide enough to be read by programs."""
    if stdout.is_terminal:
        stdout.print(table)
    else:
        Console(file=stdout.file, width=max(stdout.width, WIDE), highlight=False).print(table)


def note(message: str) -> None:
    """A line for whoever watches, on stderr; never a result."""
    stderr.print(message, markup=False, soft_wrap=True)


def report(error: BaseException, *, json: bool, code: int | None = None) -> int:
    """Say what went wrong, and return the exit code: `code`, or by default that of the error."""
    code = exit_of(error) if code is None else code
    if isinstance(error, KeyboardInterrupt | Left):
        return code  # Who pressed the keys or closed the pipe knows.
    message, hint = _message(error)
    if json:
        line = {"error": getattr(error, "code", type(error).__name__), "message": message, "hint": hint, "exit": code}
        if isinstance(error, Refused):
            line["reason"] = error.reason
        if getattr(error, "details", None):
            line["details"] = to_plain(dict(error.details))  # type: ignore[attr-defined]  # A CallError has them.
        sys.stderr.write(msgspec.json.encode(line).decode() + "\n")
        return code
    kind = f"refused: {error.reason}" if isinstance(error, Refused) else _words(_name(error))
    said = "" if isinstance(error, Refused) and message == error.reason else f": {message}"
    stderr.print(f"[bold red]{escape(kind)}[/]{escape(shown(said, keep=LINES))}", soft_wrap=True)
    details = getattr(error, "details", None)
    if details:
        text = ", ".join(f"{name} {show_value(to_plain(value))}" for name, value in details.items())
        stderr.print(f"  {escape(text)}", soft_wrap=True)
    if hint:
        stderr.print(f"  [dim]→[/] {escape(hint)}", soft_wrap=True)
    return code


def _message(error: BaseException) -> tuple[str, str]:
    if isinstance(error, StoreError):
        return error.message, error.hint
    if isinstance(error, ConnectionError | TimeoutError) and error.strerror:
        return error.strerror, _HINT_FAR
    if isinstance(error, TimeoutError):
        return str(error) or "no answer in time", "A call may have run all the same: look before calling again"
    if isinstance(error, OSError):
        return f"{_name(error)}: {error}" if type(error) is not OSError else str(error), _HINTS.get(
            error.errno or 0, _HINT_OTHER
        )
    return f"{type(error).__name__}: {error}", "Run it with --debug to see where"


def _name(error: BaseException) -> str:
    """Its class; OSError itself is what the system says of a disk or of anything else."""
    return "SystemError" if type(error) is OSError else type(error).__name__


def _words(name: str) -> str:
    """MalformedCall → malformed call."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
