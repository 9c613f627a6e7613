"""`store audit witness`: a witness of somebody else's trail, with its own key, in a process of its own."""

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from store.audit.objects.notes import COSIGNATURE, SecretKey, VerifierKey, read_key, read_secret_key
from store.audit.signing.custody import SEED_SIZE
from store.audit.signing.witness import Witness
from store.cli.output import JsonFlag, print_json, stdout
from store.env.subject_folder import make_private_folder, read_private, write_private
from store.env.witness_memory import FileMemory
from store.errors import ConfigError
from store.server.witness import serve_witness

KEY_FILE: Final = "witness.key"
MEMORY_FILE: Final = "seen"
LOGS_FILE: Final = "logs"
"""A public key of a log on each line; lines that begin with # say nothing."""


def witness(
    folder: Annotated[Path, typer.Argument(help="Where its key, its memory and the list of logs lie.")],
    make: Annotated[
        str, typer.Option(metavar="NAME", help="Make a new witness of this name, such as example.com/w1, and end.")
    ] = "",
    log: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="A log's public key to believe, beside those in `logs`.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The TCP port; 0 takes a free one.")] = 8_790,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Cosign the checkpoints of audit trails, each only if it goes on from the one before.

    Run it where whoever writes the trail has no access: what it proves rests on that.
    """
    if make:
        key = make_witness(folder, make)
        print_json({"key": str(key)}) if json else stdout.print(str(key), soft_wrap=True, highlight=False)
        return
    named = [read_key(each) for each in log or ()]
    secret = read_secret_key(read_private(folder / KEY_FILE))
    if secret.key.algorithm != COSIGNATURE:
        raise ConfigError(f"{folder / KEY_FILE} is no witness's key", hint="`--make NAME` makes a witness with a key")

    def ready(at: str, number: int) -> None:
        said = {"event": "ready", "url": f"http://{f'[{at}]' if ':' in at else at}:{number}", "key": str(secret.key)}
        if json:
            print_json(said)
        else:
            stdout.print(f"witness {said['key']} listens at {said['url']}", soft_wrap=True, highlight=False)

    def logs() -> list[VerifierKey]:
        return [*named, *read_logs(folder / LOGS_FILE)]

    if not logs():
        raise ConfigError(
            "this witness knows no log",
            hint=f"Put a log's public key into {folder / LOGS_FILE}, or name it with --log",
        )
    with closing(FileMemory(folder / MEMORY_FILE)) as memory:
        serve_witness(Witness(secret, logs(), memory), logs, host=host, port=port, on_ready=ready)


def make_witness(folder: Path, name: str) -> VerifierKey:
    """A key and an empty memory, in a folder for its owner alone. ConfigError: there is a witness already."""
    make_private_folder(folder)
    secret = SecretKey(name, os.urandom(SEED_SIZE), COSIGNATURE)
    if (folder / KEY_FILE).exists() or (folder / MEMORY_FILE).exists():
        raise ConfigError(f"there is a witness in {folder}", hint="Run it, or name another folder")
    FileMemory.make(folder / MEMORY_FILE)
    write_private(folder / KEY_FILE, secret.write())
    return secret.key


def read_logs(path: Path) -> list[VerifierKey]:
    """The public keys in a file, one a line; none where there is no file. Malformed: a line is none."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [read_key(each) for each in map(str.strip, lines) if each and not each.startswith("#")]
