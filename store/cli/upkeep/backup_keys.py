"""`store backup make-key` and `rotate-key`: who can open an encrypted backup.

Laws: a key is written to a file for its owner alone, and never shown.
"""

import re
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from store.backup.bucket import open_bucket
from store.backup.keys import OperatorKey
from store.backup.rotation import rotate
from store.cli.arguments import ConfigFile, SetOptions
from store.cli.output import JsonFlag, note, print_json, stdout
from store.cli.token import write_secret
from store.cli.upkeep.backup_arguments import BackupUrl, configure_backup, url_of
from store.cli.upkeep.preview import tell_next
from store.cli.upkeep.sources import Endpoint, KeyFile, Region, backup_objects, expect_backup, operator_key
from store.env.posix import SystemClock, SystemEntropy
from store.errors import ConfigError

_ADDRESS: Final = re.compile(r"[a-z0-9]+:/")
"""How a path looks that was meant as a URL."""


def make_key(
    file: Annotated[Path, typer.Argument(metavar="KEY_FILE", help="A new file, for its owner alone.")],
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Make an operator's key: with it a first push begins an encrypted backup, and nothing opens that without it."""
    _expect_file(file, "a key is kept in a file", "store backup make-key KEY_FILE")
    key = _make_key(file)
    if json:
        print_json({"event": "key", "file": str(file), "operator_key": key.id})
        return
    stdout.print(f"{file} holds a new operator's key, {key.id}", markup=False, soft_wrap=True)
    tell_next([(f"store backup push DATA URL --key-file {shlex.quote(str(file))}", "to a URL with no backup yet")])


def _expect_file(named: Path, what: str, usage: str) -> None:
    """ConfigError: what is named can be no key's file, but may well be a backup."""
    if _ADDRESS.match(str(named)):
        raise ConfigError(f"{what}, found the address {named}", hint=usage)
    if named.is_dir():
        raise ConfigError(f"{what}, and {named} is a folder", hint=usage)


def _make_key(file: Path) -> OperatorKey:
    key = OperatorKey.new(SystemEntropy())
    write_secret(file, f"{key.text}\n".encode())
    note(f"keep a copy of {file} somewhere else than here and in the backup: without it the backup is lost")
    return key


def rotate_key(  # Options of a command.
    new: Annotated[Path, typer.Argument(metavar="NEW_KEY", help="The new key's file; made where it does not exist.")],
    url: BackupUrl = None,
    key: KeyFile = None,
    endpoint: Endpoint = None,
    region: Region = None,
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Let a new operator's key open an encrypted backup, and the old one no longer. Nothing is sent again."""
    options = configure_backup(config, set_, url, key, endpoint, region)
    _expect_file(new, "the new key's file comes first", "store backup rotate-key NEW_KEY URL")
    objects = backup_objects(url_of(options), options)
    old = operator_key(options)
    if old is None:
        raise ConfigError("the old key is not named", hint="Name its file with --key-file, or set STORE_BACKUP_KEY")
    if not new.exists():  # Else a rotation may have begun with it, and the old key not open all of it any more.
        with expect_backup():
            open_bucket(objects, old)  # Before a key is made that nobody needs.
        _make_key(new)
    fresh = operator_key(options, new)
    assert fresh is not None  # A file was named.
    rotated = rotate(objects, old=old, new=fresh, clock=SystemClock(), entropy=SystemEntropy())
    if json:
        print_json({"event": "rotated", "url": objects.url, **msgspec.to_builtins(asdict(rotated))})
        return
    stdout.print(
        f"{objects.url} opens with {new} (key {rotated.operator_key}), with the old key no longer: {rotated.data_keys} "
        f"data keys wrapped anew, {rotated.removed} old ones removed",
        markup=False,
        soft_wrap=True,
    )
    for name in rotated.retained:
        note(f"retained by the store, so the old key opens it for so long: {name}")
    note("whoever kept the old key and a copy of the old wrapped keys can still read what was stored before")
