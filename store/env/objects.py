"""What every object store of this room shares: which names there are, and how a URL becomes a store."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from store.env.world import OBJECT_SIZE_MAX, ObjectStore
from store.errors import ConfigError

_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", re.ASCII)
_NAME_SIZE_MAX: Final = 512
_ALMOST_A_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
"""A slip of the pen in s3://, which would make a folder here of what was to be far away."""


def is_name(name: str) -> bool:
    """Whether an object may have this name: no way out of a folder, nothing hidden, nothing a shell would mind."""
    return len(name) <= _NAME_SIZE_MAX and _NAME.fullmatch(name) is not None


def check_put(name: str, data: bytes) -> None:
    """What every store asserts before it stores: our own names, and a size that was bounded long before."""
    assert is_name(name), name
    assert len(data) <= OBJECT_SIZE_MAX, (name, len(data))


def open_objects(url: str, *, endpoint: str = "", region: str = "") -> ObjectStore:
    """The store a URL names: a folder (a path, or file://…), or s3://bucket/prefix.

    S3's credentials come from where its tools look for them: AWS_* in the environment, profiles, the machine's role.
    ConfigError: there is no such kind of URL. Nothing is asked of the store yet, and no folder made.
    """
    place = place_of(url, "a backup")
    if isinstance(place, Bucket):
        from store.env.s3 import S3Objects  # noqa: PLC0415  # boto3 takes a third of a second to import.

        return S3Objects(place.name, place.prefix, endpoint=endpoint, region=region)
    from store.env.folder import FolderObjects  # noqa: PLC0415  # It imports this module.

    return FolderObjects(place)


@dataclass(frozen=True)
class Bucket:
    """A bucket, and what the names in it begin with."""

    name: str
    prefix: str


def place_of(url: str, what: str) -> Path | Bucket:
    """The folder or the bucket that a URL names, for `what`, such as "a backup". ConfigError: it names neither."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        if not url:
            raise ConfigError(f"{what[0].upper()}{what[1:]} needs a URL", hint=_HINT)
        if _ALMOST_A_SCHEME.match(url):
            scheme = url.partition(":")[0]
            raise ConfigError(f"{scheme}:… is no URL of {what}", hint=f"{_HINT} A folder of such a name begins with ./")
        return Path(url).expanduser()
    if scheme == "file":
        if not rest.startswith("/"):
            raise ConfigError(f"{_shown(url)} names no absolute path", hint="Write file:///path, or the path alone.")
        return Path(unquote(rest)).expanduser()
    if scheme != "s3":
        raise ConfigError(f"{_shown(url)} is no URL of {what}", hint=_HINT)
    parts = urlsplit(url)
    prefix = parts.path.strip("/")
    if not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment or (prefix and not is_name(prefix)):
        raise ConfigError(
            f"{_shown(url)} is no s3://bucket/prefix",
            hint="A prefix is of letters, digits, '.', '_', '-' and '/'; credentials belong into the environment.",
        )
    return Bucket(parts.netloc, prefix)


def _shown(url: str) -> str:
    """A URL for an error: what stands before an @ may be a secret."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}".partition("?")[0]


_HINT: Final = "Name a folder (a path, or file:///path), or s3://bucket/prefix."
