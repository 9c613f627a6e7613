"""The names of a trail's objects, and of the trail itself; FORMAT.md §2 is the same in prose.

Laws: a name says what is in an object. Names sort as their numbers do. Nothing is ever named the newest: one lists.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from store.errors import ConfigError, StoreError
from store.ids import Epoch

ROOT: Final = "audit/v1/"
"""What the name of every object of every trail begins with."""

DOMAIN_DEFAULT: Final = "commitstore.local"

LOG_SIZE: Final = 32
"""Hex digits of a log's id."""

_LOG: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_BATCH: Final = re.compile(r"batch/([0-9]{12})-([0-9]{20})-([0-9]{20})\.jsonl\.zst", re.ASCII)
_NUMBERED: Final = re.compile(r"(manifest/[0-9]{12}\.json|checkpoint/[0-9]{20}\.ckpt|policy/[0-9]{6}\.note)", re.ASCII)
_KEY: Final = re.compile(r"keys/([0-9a-f]{8})(\.revoked)?\.note", re.ASCII)


class Malformed(StoreError):
    """Bytes that are not what FORMAT.md says they are. Says where, what was expected and what was found."""


class What(Enum):
    """The kinds of objects in a trail."""

    BATCH = "batch"
    MANIFEST = "manifest"
    CHECKPOINT = "checkpoint"
    KEY = "keys"
    REVOCATION = "revoked"
    POLICY = "policy"


@dataclass(frozen=True)
class Name:
    """What an object's name says of it."""

    what: What
    log: str
    number: int = 0
    """Of the batch, for a batch and a manifest; the tree's size, for a checkpoint; counted from 1 for a policy."""
    first: int = 0
    last: int = 0
    """The first and last event of a batch."""
    key_id: str = ""
    """8 hex digits, for a key and its revocation."""


def log_id(store: Epoch) -> str:
    """The id of the trail of the store whose first epoch this is."""
    return store.hex()


def check_log_id(text: str) -> str:
    """The same text. Malformed where it is no log's id."""
    if not _LOG.fullmatch(text):
        raise Malformed(f"expected a log's id of {LOG_SIZE} lower-case hex digits, found {text!r:.80}")
    return text


def origin_of(domain: str, log: str) -> str:
    """The trail's own name in checkpoints and of its keys. ConfigError where the domain cannot be part of one."""
    if not _DOMAIN.fullmatch(domain):
        raise ConfigError(
            f"audit_domain is {domain!r:.80}, expected lower-case letters, digits, dots and hyphens",
            hint="Name a domain that is yours, such as example.com",
        )
    return f"{domain}/audit/{check_log_id(log)}"


def folder_of(log: str) -> str:
    """What the names of all objects of one trail begin with."""
    return f"{ROOT}{log}/"


def batch_name(log: str, batch: int, *, first: int, last: int) -> str:
    """The name of the object that holds the events `first` to `last`."""
    return f"{folder_of(log)}batch/{batch:012d}-{first:020d}-{last:020d}.jsonl.zst"


def manifest_name(log: str, batch: int) -> str:
    """The name of a batch's manifest."""
    return f"{folder_of(log)}manifest/{batch:012d}.json"


def checkpoint_name(log: str, size: int) -> str:
    """The name of the checkpoint over the first `size` events."""
    return f"{folder_of(log)}checkpoint/{size:020d}.ckpt"


def key_name(log: str, key_id: str) -> str:
    """The name of the note that introduces a key."""
    return f"{folder_of(log)}keys/{key_id}.note"


def revocation_name(log: str, key_id: str) -> str:
    """The name of the note that revokes a key."""
    return f"{folder_of(log)}keys/{key_id}.revoked.note"


def policy_name(log: str, number: int) -> str:
    """The name of the note that says whose cosignatures are wanted from then on."""
    return f"{folder_of(log)}policy/{number:06d}.note"


def read_name(name: str) -> Name | None:
    """What a name says, or None: no object of a trail has such a name."""
    log, rest = name[len(ROOT) : len(ROOT) + LOG_SIZE], name[len(ROOT) + LOG_SIZE + 1 :]
    if not _LOG.fullmatch(log) or name != f"{folder_of(log)}{rest}":
        return None
    if found := _BATCH.fullmatch(rest):
        batch, first, last = map(int, found.groups())
        return Name(What.BATCH, log, batch, first, last) if first <= last else None
    if found := _KEY.fullmatch(rest):
        return Name(What.REVOCATION if found[2] else What.KEY, log, key_id=found[1])
    if _NUMBERED.fullmatch(rest):
        folder, file = rest.split("/")
        return Name(What(folder), log, int(file.partition(".")[0]))
    return None
