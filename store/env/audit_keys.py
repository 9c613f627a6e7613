"""The keys of an audit trail as files that only their owner may read, from the environment, or from a key service.

Laws: a secret is on disk before the note that introduces it. Nothing is ever written over. What is secret is in no
error. Which key is in force is not said here: the notes say it.
"""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from store.env.subject_folder import make_private_folder, read_private, write_private
from store.errors import ConfigError

VARIABLE: Final = "STORE_AUDIT_KEY"
"""The environment's name for a secret key."""
_SECRET: Final = ".key"  # noqa: S105  # What a file's name ends with.
_NOTE: Final = ".note"
_POLICY: Final = ".policy"
_LOG_SECRET: Final = "hmac.key"  # noqa: S105  # A file's name: the secret of keyed hashes, which signs nothing.


class KeyFolder:
    """One folder: `<key id>.key` for each secret; `<key id>.note` and `<key id>.revoked.note`, what was said of it.

    And `<number>.policy`, what the log asked of witnesses from then on.
    """

    def __init__(self, path: Path) -> None:
        """The folder is made where missing. ConfigError: others than its owner may look into it."""
        make_private_folder(path)
        self.path: Final = path

    def secrets(self, environment: Mapping[str, str] | None = None) -> list[bytes]:
        """All secret keys at hand, each as its line: the environment's first. ConfigError: others may read one."""
        said = (os.environ if environment is None else environment).get(VARIABLE, "")
        files = sorted(each for each in self.path.glob(f"*{_SECRET}") if each.name != _LOG_SECRET)
        return ([said.encode()] if said else []) + [read_private(each) for each in files]

    def add_secret(self, key_id: str, line: bytes) -> Path:
        """Keep a secret key. ConfigError: another one of that id is there."""
        path = self.path / f"{key_id}{_SECRET}"
        write_private(path, line)
        if read_private(path) != line:
            raise ConfigError(f"{path} holds another key already", hint="Make another key")
        return path

    def notes(self) -> dict[str, bytes]:
        """What was said of keys: each file's name and content."""
        return {each.name: read_private(each) for each in sorted(self.path.glob(f"*{_NOTE}"))}

    def policies(self) -> dict[str, bytes]:
        """What the log has asked of witnesses, oldest first: each file's name and content."""
        return {each.name: read_private(each) for each in sorted(self.path.glob(f"*{_POLICY}"))}

    def add_policy(self, number: int, data: bytes) -> None:
        """Keep a policy under its number. ConfigError: another one of that number is there."""
        self.add_note(f"{number:06d}{_POLICY}", data)

    def add_note(self, name: str, data: bytes) -> None:
        """Keep a note under its file name. ConfigError: another one of that name is there."""
        write_private(self.path / name, data)
        if read_private(self.path / name) != data:
            raise ConfigError(f"{self.path / name} says something else already", hint="A note is written once")


def load_signer(text: str) -> Any:
    """What `module:name`, called without arguments, gives: a Signer of a key service. ConfigError where it gives none.

    It has `key`, a VerifierKey, and `sign(bytes) -> 64 bytes`, as in store/audit/objects/notes.py.
    """
    module, _, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)()
    except Exception as error:  # Whatever somebody else's code raises, it gives no signer.
        raise ConfigError(
            f"audit_signer {text!r} gives no signer: {type(error).__name__}: {error}",
            hint="Name it as module:name, where name is called without arguments",
        ) from error
    if not callable(getattr(found, "sign", None)) or not hasattr(found, "key"):
        raise ConfigError(f"audit_signer {text!r} gave something without `key` and `sign`")
    return found
