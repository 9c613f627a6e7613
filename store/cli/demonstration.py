"""`store demo`: a real repository's history through a running tenant."""

from pathlib import Path
from typing import Annotated

import typer

from store.cli.arguments import ConfigFile, Data, Token, Url, address_of, configure, token_of
from store.cli.demo import DemoOptions
from store.cli.demo import demo as run_demo
from store.cli.output import JsonFlag

_DEFAULTS = DemoOptions(url="", token="")


def demo(  # Options of a command.
    repository: Annotated[
        Path | None,
        typer.Option(help="Any folder inside a git repository.  [default: the current one, if git can read it]"),
    ] = _DEFAULTS.repository,
    agents: Annotated[int, typer.Option(help="Clients that call at the same time.")] = _DEFAULTS.agents,
    subscribers: Annotated[int, typer.Option(help="Clients that keep live views.")] = _DEFAULTS.subscribers,
    batch: Annotated[int, typer.Option(help="Commits per call.")] = _DEFAULTS.batch,
    commits_max: Annotated[int, typer.Option(help="The newest commits are imported.")] = _DEFAULTS.commits_max,
    transfers: Annotated[int, typer.Option(help="Transfers afterwards; 0 for none.")] = _DEFAULTS.transfers,
    in_flight: Annotated[int, typer.Option(help="Unanswered calls of one agent.")] = _DEFAULTS.in_flight,
    url: Url = None,
    token: Token = None,
    data: Data = None,
    config: ConfigFile = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Import a git history through reducers while subscribers watch, then check that everything agrees."""
    options = configure(config, tenant__data=data)
    code = run_demo(
        DemoOptions(
            url=address_of(options, url),
            token=token_of(options, token),
            repository=repository,
            agents=agents,
            subscribers=subscribers,
            batch=batch,
            commits_max=commits_max,
            transfers=transfers,
            in_flight=in_flight,
        ),
        json=json,
    )
    raise typer.Exit(code)
