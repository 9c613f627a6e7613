"""What the shell hands over: arguments that are text, numbers that begin with a minus, values in JSON or as they stand.

Laws: what is no text is refused by every command before anything is done: neither JSON nor the log could hold it.
Where any number of arguments may follow, a negative number is one of them; all else with a minus is an option.
"""

import os
import re
import shlex
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
import typer
from typer.core import TyperCommand

from store.cli.output import shown
from store.errors import MalformedCall

VARIABLES: Final = "STORE_"
"""How the names of those variables begin that commands read."""
HINT_MINUS: Final = "text that begins with a minus comes behind --"

_NEGATIVE: Final = re.compile(r"-[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
"""A negative number, as JSON has it."""
_NAMED: Final = re.compile(r"([a-z_][a-z0-9_]*)=(.*)", re.DOTALL)
TEXTS_SHOWN: Final = 3
"""Arguments of which a hint says how they are typed as text."""
_AS_JSON: Final = "What is JSON is read as JSON; as text"
_WANTS_TEXT: Final = re.compile(r"(?<!got `)\bstr\b")
"""What an error says of a parameter that takes text."""
_MARK: Final = "\0"
"""Stands before a number while options are looked for: no process can be started with one in its arguments."""


class ArgumentsCommand(TyperCommand):
    """A command behind which any number of values follow, negative numbers too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As its base does, but that a negative number is no option."""
        try:
            rest = super().parse_args(ctx, self._marked(args))
        except Exception as error:
            if type(error).__name__ == "NoSuchOption" and not getattr(error, "possibilities", None):
                error.message += f"; {HINT_MINUS}"  # type: ignore[attr-defined]  # Of whichever click typer brings.
            raise
        ctx.params = {name: _unmarked(value) for name, value in ctx.params.items()}
        return rest

    def _marked(self, args: list[str]) -> list[str]:
        """The arguments, those numbers marked that are no value of an option."""
        takes = {name for each in self.params if not getattr(each, "is_flag", True) for name in each.opts}
        end = args.index("--") if "--" in args else len(args)
        before = ["", *args]
        marked = [
            f"{_MARK}{each}" if _NEGATIVE.fullmatch(each) and before[place] not in takes else each
            for place, each in enumerate(args[:end])
        ]
        return [*marked, *args[end:]]


def _unmarked(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_unmarked, value))
    return value.removeprefix(_MARK) if isinstance(value, str) else value


def expect_text(command: Any) -> None:
    """Have a command, or all commands of a group, refuse arguments that are no text: usage, as it calls wrong usage."""
    inner = getattr(command, "commands", None)
    if inner is None:
        command.parse_args = partial(_parse_text, command.parse_args)
        return
    for each in inner.values():
        expect_text(each)


def _parse_text(parse: Callable[[Any, list[str]], list[str]], ctx: Any, args: list[str]) -> list[str]:
    said = {f"argument {number}, found '{shown(each)}'": each for number, each in enumerate(args, start=1)}
    said |= {f"the variable {name}": value for name, value in os.environ.items() if name.startswith(VARIABLES)}
    for where, text in said.items():  # A variable may be a secret: it is only named.
        try:
            text.encode()
        except UnicodeEncodeError:  # Bytes that are no text in the locale's encoding stand there as lone surrogates.
            encoding = sys.getfilesystemencoding().upper()
            locale = "" if encoding == "UTF-8" else "; set PYTHONUTF8=1, or a locale with UTF-8"
            raise typer.BadParameter(f"expected text in {encoding} as {where}{locale}", ctx=ctx) from None
    return parse(ctx, args)


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


def how_read(error: MalformedCall, positional: list[Any], named: dict[str, Any]) -> str:
    """How what was typed is read, where another reading may have been meant; "" where there is none."""
    name = str(error.details.get("field", ""))
    if name in named:
        value = named[name]
        text = value if isinstance(value, str) else _json(value)
        meant = f"{name}=… names a parameter; text that looks like that is written as JSON: {_typed(f'{name}={text}')}"
        return meant if isinstance(value, str) else f"{meant}. {_AS_JSON} {text} is {name}={_typed(text)}"
    texts = [_json(value) for value in positional if not isinstance(value, str)]
    if name and texts and _WANTS_TEXT.search(error.message):
        return f"{_AS_JSON} {', '.join(f'{text} is {_typed(text)}' for text in texts[:TEXTS_SHOWN])}"
    return ""


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _typed(text: str) -> str:
    """A text as it is typed in a shell so that it is read as one."""
    return shlex.quote(shown(_json(text)))


def read_value(text: str) -> Any:
    """JSON as what it says, anything else as text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
