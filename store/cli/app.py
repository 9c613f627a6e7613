"""The command `store`, put together: its commands, and what becomes of their errors."""

import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from store.cli import exits
from store.cli.audit.app import audit_app
from store.cli.call import call, query
from store.cli.configuration import show_config
from store.cli.demonstration import demo
from store.cli.log import log_app
from store.cli.output import JSON_KEY, report
from store.cli.serve import serve
from store.cli.token import token_app
from store.cli.upkeep.backup import backup_app
from store.cli.upkeep.restore import clone, restore
from store.cli.upkeep.salvage import salvage
from store.cli.upkeep.snapshot import snapshot_app
from store.cli.watch import watch
from store.env.parent import PARENT_VARIABLE, end_with
from store.errors import StoreError

DEBUG_KEY = "store.debug"


class _Group(TyperGroup):
    """Turns errors into one clear message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # Whoever read the output has had enough: typer ends quietly.
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
app.command()(serve)
app.command()(call)
app.command()(query)
app.command()(watch)
app.add_typer(snapshot_app, name="snapshot")
app.command()(restore)
app.command()(clone)
app.add_typer(backup_app, name="backup")
app.command()(salvage)
app.add_typer(log_app, name="log")
app.add_typer(audit_app, name="audit")
app.add_typer(token_app, name="token")
app.command()(demo)
app.command(name="config")(show_config)


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
    try:
        app()
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(report(error, json="--json" in sys.argv))
