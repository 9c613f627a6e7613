"""The command `store`, put together: its commands, and what becomes of their errors."""

import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from store.cli import exits
from store.cli.command_line import ArgumentsCommand, expect_text
from store.cli.output import JSON_KEY, report
from store.cli.streams import guard_streams
from store.env.parent import PARENT_VARIABLE, end_with
from store.errors import StoreError

DEBUG_KEY = "store.debug"

COMMANDS: Final[Mapping[str, str]] = {
    "serve": "serve:serve",
    "call": "call:call",
    "query": "call:query",
    "watch": "watch:watch",
    "restore": "upkeep.restore:restore",
    "clone": "upkeep.restore:clone",
    "salvage": "upkeep.salvage:salvage",
    "demo": "demonstration:demo",
    "config": "configuration:show_config",
    "snapshot": "upkeep.snapshot:snapshot_app",
    "backup": "upkeep.backup:backup_app",
    "log": "log:log_app",
    "audit": "audit.app:audit_app",
    "token": "token:token_app",
}
"""Each command's module below this one, and what in it is the command; in the order of help, groups last."""

TAKE_VALUES: Final = frozenset({"call", "query", "watch"})
"""Commands behind which any number of values follow."""


class _Commands(Mapping[str, Any]):
    """The commands by name; each is imported when it is asked for, since all of them take most of a second."""

    def __init__(self) -> None:
        self._loaded: Final[dict[str, Any]] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            module, _, attribute = COMMANDS[name].partition(":")
            found = getattr(importlib.import_module(f"store.cli.{module}"), attribute)
            if isinstance(found, typer.Typer):
                command: Any = typer.main.get_group(found)
            else:
                alone = typer.Typer(add_completion=False, rich_markup_mode=None)
                alone.command(cls=ArgumentsCommand if name in TAKE_VALUES else None)(found)
                command = typer.main.get_command(alone)
            command.name = name
            expect_text(command)
            self._loaded[name] = command
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(TyperGroup):
    """Turns errors into one clear message and an exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands = _Commands()  # type: ignore[assignment]  # It is only ever read.

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  # As its base is called.
        """The command of that name, or None: an error of its import is not taken for that."""
        return self.commands[cmd_name] if cmd_name in COMMANDS else None

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  # As its base is called.
        """Their names, in the order in which help shows them."""
        return list(self.commands)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (StoreError, OSError, KeyboardInterrupt, TimeoutError) as error:
            if ctx.meta.get(DEBUG_KEY):
                traceback.print_exc()
            raise typer.Exit(report(error, json=bool(ctx.meta.get(JSON_KEY)))) from None


app = typer.Typer(
    cls=_Group,
    name="store",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="An in-memory commitlog store with subscriptions: one process serves one tenant.",
    epilog="Exit codes:\n\n\b\n" + (exits.__doc__ or "").split("\n\n", 1)[1],
)


@app.callback()
def _root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.", envvar="STORE_DEBUG")] = False,  # noqa: FBT002  # A flag.
) -> None:
    context.meta[DEBUG_KEY] = debug


def main() -> None:
    """Run `store` with the process's arguments."""
    parent = os.environ.get(PARENT_VARIABLE, "")
    if parent.isdecimal():
        end_with(int(parent))
    guard_streams()
    try:
        app()
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(report(error, json="--json" in sys.argv))
