"""A secret from a file that only its owner may read, or from the environment."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from store.errors import ConfigError

VARIABLE: Final = "STORE_BACKUP_KEY"
_SIZE_MAX: Final = 4_096


def read_secret(
    path: Path | None, *, variable: str = VARIABLE, environment: Mapping[str, str] | None = None
) -> bytes | None:
    """The file's content, else the variable's; None where neither is set.

    ConfigError, without a byte of it: the file cannot be read, or others than its owner may read it.
    """
    if path is None:
        said = (os.environ if environment is None else environment).get(variable, "")
        return said.encode("utf-8") or None
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigError(
                    f"others than its owner may read the key file {path} (mode {stat.S_IMODE(found.st_mode):04o})",
                    hint=f"chmod 600 {path}",
                )
            data = file.read(_SIZE_MAX)
    except OSError as error:
        raise ConfigError(
            f"cannot read the key file {path}: {error.strerror}",
            hint="Name the key's file; `store backup make-key` makes one for a new backup",
        ) from None
    if not data.strip():
        raise ConfigError(f"the key file {path} is empty", hint="`store backup make-key` makes one in a new file")
    return data
