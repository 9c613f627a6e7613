"""Arguments that several commands share: configuration, where the tenant answers, and with which token."""

import asyncio
import ssl as tls
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from store.cli.presence import served_at
from store.client.errors import HINT_TOKEN
from store.config import Config, find, load
from store.errors import ConfigError

TOKENS_FILE: Final = "tokens"
"""The token file in a data directory: hashes."""
DEVELOPMENT_FOLDER: Final = "development"
"""The folder in a data directory with the development token itself, for its owner's eyes alone."""

Returned = TypeVar("Returned")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="A TOML file with options.  [default: store.toml where there is one]"),
]
SetOptions = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.OPTION=VALUE", help="Set any option; `store config` lists them."),
]
Data = Annotated[Path | None, typer.Option(help="The data directory.  [default: tenant.data]")]
Url = Annotated[
    str | None,
    typer.Option(
        envvar="STORE_URL",
        help="Where the tenant answers.  [default: where the data directory's says; ws://server.host:server.port]",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(envvar="STORE_TOKEN", help="The bearer token.  [default: the data directory's development token]"),
]
Authority = Annotated[
    Path | None, typer.Option("--ca", help="A PEM file of certificate authorities to trust, for wss.")
]
Idle = Annotated[bool, typer.Option("--idle", help="Stand back: run only when nobody else wants processor or disk.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Timeout = Annotated[float | None, typer.Option(help="Seconds to wait for the answer.  [default: for ever]")]


def configure(file: Path | None, said: list[str] | None = None, **flags: Any) -> Config:
    """All options, with flags of this command by option key where "__" stands for the dot; None is not said."""
    given: dict[str, tuple[str, Any]] = {}
    for each in said or []:
        key, equals, value = each.partition("=")
        if not equals:
            raise ConfigError(f"--set takes SECTION.OPTION=VALUE, found {each!r}")
        given[find(key, "--set").key] = ("--set", value)
    for name, value in flags.items():
        if value is not None and value != []:
            given[name.replace("__", ".")] = ("--" + name.partition("__")[2].replace("_", "-"), value)
    return load(given, file=file)


def address_of(config: Config, url: str | None) -> str:
    """Where the tenant answers: as said, else where the one that serves the data directory says to listen."""
    return url or served_at(config.tenant.data) or listens_at(config)


def listens_at(config: Config) -> str:
    """Where `store serve` with this configuration listens, or would."""
    server = config.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104  # Not bound, only named.
    scheme = "ws" if server.tls_certificate is None else "wss"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"


def was_typed(context: typer.Context, name: str) -> bool:
    """Whether an option of this command was said on its command line, not by the environment or a default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def development_token(data: Path) -> Path:
    """Where a data directory keeps its development token."""
    return data / DEVELOPMENT_FOLDER / "token"


def token_of(config: Config, token: str | None) -> str:
    """The token to come in with: as said, or the development token of the data directory."""
    if token:
        return token
    file = development_token(config.tenant.data)
    try:
        return file.read_text("utf-8").strip()
    except FileNotFoundError:
        raise ConfigError(
            f"no token is named, and there is no {file}", hint=f"--token, STORE_TOKEN or --data. {HINT_TOKEN}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the development token {file} cannot be read: {error}") from None


def trust(authority: Path | None) -> tls.SSLContext | None:
    """A TLS context that trusts the authorities in a file, or None for the system's."""
    if authority is None:
        return None
    try:
        return tls.create_default_context(cafile=authority)
    except (OSError, tls.SSLError) as error:
        raise ConfigError(f"the certificate authorities {authority} cannot be read: {error}") from None


def run(work: Coroutine[Any, Any, Returned], *, timeout_s: float | None = None) -> Returned:
    """Run to the end. TimeoutError past the limit."""

    async def limited() -> Returned:
        async with asyncio.timeout(timeout_s):
            return await work

    return asyncio.run(limited())
