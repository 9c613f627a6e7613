"""What every `store backup` command is told: where the backup lies, and how to come in."""

from pathlib import Path
from typing import Annotated

import typer

from store.cli.arguments import configure
from store.config import Config
from store.errors import ConfigError

BackupUrl = Annotated[
    str | None,
    typer.Argument(
        metavar="URL", help="A folder, file:///path or s3://bucket/prefix.  [backup.url]", show_default=False
    ),
]


def url_of(options: Config) -> str:
    """Where the backup lies. ConfigError: nobody says."""
    if not options.backup.url:
        raise ConfigError("no backup is named", hint="Name its URL: a folder or s3://bucket/prefix, or set backup.url")
    return options.backup.url


def configure_backup(
    config: Path | None,
    set_: list[str] | None,
    url: str | None,
    key: Path | None,
    endpoint: str | None,
    region: str | None,
    *,
    data: Path | None = None,
) -> Config:
    """All options, with those of the backup as they were said."""
    return configure(
        config,
        set_,
        tenant__data=data,
        backup__url=url,
        backup__key_file=key,
        backup__endpoint=endpoint,
        backup__region=region,
    )
