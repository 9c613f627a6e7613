"""Where a trail lies and whose it is, as the auditors' commands are told.

Laws: these commands change nothing in a trail. What ends them is one of the codes of a verification, so a script can
tell tampering from a wrong path: 0 verified, 1 tamper, 2 incomplete, 3 unlocked, 4 wrong usage, or it cannot be read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from store.audit.objects.layout import LOG_SIZE, ROOT, Malformed, folder_of
from store.audit.objects.notes import VerifierKey, read_key
from store.audit.reading.verifying.listing import logs_in
from store.audit.signing.keys import read_succession
from store.cli.arguments import configure
from store.cli.audit.places import Places, expect_same_store, log_of, places_of
from store.cli.exits import Exit, NothingThere
from store.cli.output import JSON_KEY, report
from store.cli.streams import Left
from store.engine.directory import CURRENT, MARKER
from store.env.audit_keys import KeyFolder
from store.env.posix import SystemClock
from store.env.worm import WormStore
from store.env.worm_url import open_worm
from store.errors import ConfigError, StoreError

CANNOT: Final = 4
"""Exit code: wrong usage, or the trail cannot be read."""

_WITHIN: Final = re.compile(rf"(.*?)/*audit/v1/([0-9a-f]{{{LOG_SIZE}}})/*", re.ASCII)
_NAME_IT: Final = "Name the folder that holds audit/v1/, s3://bucket/prefix, or a store's data directory"
_AUDIT_FOLDER: Final = ".audit"
"""What the name of the folder beside a data directory ends with."""
_NOT_SHIPPED: Final = "`store serve` ships it while it runs, `store audit ship` by hand"
_KEY_HINT: Final = "It is one line, name+8 hex digits+base64; `store audit keys show` prints it where the store runs"

TrailUrl = Annotated[
    str | None,
    typer.Argument(
        metavar="URL",
        help="Where the trail lies: a folder (an export, too), s3://bucket/prefix, or a data directory: then the trail "
        "that its store keeps, and the key beside it.  [default: tenant.data]",
        show_default=False,
    ),
]
NamedUrl = Annotated[
    str,
    typer.Argument(
        metavar="URL",
        help="Where the trail lies: a folder, s3://bucket/prefix, or a data directory, for its store's own trail.",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", metavar="VKEY", help="The trail's verification key, or a file with it; not from the trail."),
]
FromTrail = Annotated[
    bool, typer.Option("--key-from-trail", help="Believe the trail's own key: shows accidents, not forgery.")
]
LogOption = Annotated[str | None, typer.Option("--log", metavar="ID", help="Which trail, where there are several.")]
Endpoint = Annotated[str, typer.Option(help="An S3 server that is not Amazon's.")]
Region = Annotated[str, typer.Option(help="The bucket's region.")]


class AuditorsCommand(TyperCommand):
    """A command whose errors end with 4, whatever they are: 1, 2 and 3 are verdicts."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """What cannot be parsed is wrong usage."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except Exception as error:
            if getattr(error, "exit_code", None) == Exit.USAGE:  # Of whichever click typer brings with it.
                error.exit_code = CANNOT  # type: ignore[attr-defined]  # It has one: it was just read.
            raise

    def invoke(self, ctx: Any) -> Any:
        """What cannot be read, or is not what it must be before anything is verified."""
        try:
            return super().invoke(ctx)
        except (StoreError, OSError) as error:
            if isinstance(error, Left):
                raise
            raise typer.Exit(report(error, json=bool(ctx.meta.get(JSON_KEY)), code=CANNOT)) from None


@dataclass(frozen=True)
class Source:
    """How a trail's store is opened, here and in other processes."""

    url: str
    endpoint: str = ""
    region: str = ""

    def open(self) -> WormStore:
        """The store. ConfigError: there is no such kind."""
        return open_worm(self.url, SystemClock(), endpoint=self.endpoint, region=self.region)


@dataclass(frozen=True)
class Opened:
    """A trail."""

    source: Source
    store: WormStore
    log: str
    key: VerifierKey | None
    """None: the trail's own is believed."""
    places: Places | None = None
    """Of the store whose own trail it is; None where somebody else's is looked at."""


def open_trail(
    url: str | None, *, key: str | None, from_trail: bool, log: str | None, endpoint: str = "", region: str = ""
) -> Opened:
    """The trail a URL names. NothingThere: there is none. ConfigError: which of several, or whose key, is not said."""
    own = _own_trail(url, key=key, from_trail=from_trail)
    if own is not None:
        return _expect_trail(own)
    assert url is not None  # Without one it was this store's own.
    if (key is None) != from_trail:
        raise ConfigError(
            "whose trail it is must be known: name its verification key",
            hint="--key VKEY, as the people who run the store gave it to you; or --key-from-trail to believe its own",
        )
    known = None if key is None else key_of(key)
    within = _WITHIN.fullmatch(url)
    if within is not None:
        url, log = within[1] or ("." if not url.startswith("/") else "/"), log or within[2]
    if "://" not in url and not Path(url).is_dir():
        raise NothingThere(f"there is no folder {url}", hint=_NAME_IT)
    source = Source(url, endpoint, region)
    store = source.open()
    return _expect_trail(Opened(source, store, log or _log_of(store, known, url), known))


def _expect_trail(trail: Opened) -> Opened:
    """NothingThere: there is no object of this trail, so there is nothing to verify, and nothing to conclude."""
    if next(iter(trail.store.versions(folder_of(trail.log))), None) is None:
        raise NothingThere(f"no object of the trail {trail.log} lies in {trail.source.url}", hint=_NAME_IT)
    return trail


def _own_trail(url: str | None, *, key: str | None, from_trail: bool) -> Opened | None:
    """The trail of the store in a data directory; None where the URL names something else.

    The key is that of the notes beside the directory, unless another is said. NothingThere: nothing is named, and the
    configured data directory holds no store.
    """
    if url is not None:
        beside = Path(url).with_suffix("") if Path(url).suffix == _AUDIT_FOLDER else Path(url)
        url = str(beside) if is_store(beside) else url
        if not is_store(Path(url)):
            return None
    config = configure(None, None, tenant__data=None if url is None else Path(url))
    if not is_store(config.tenant.data):
        raise NothingThere(f"no trail is named, and there is no store in {config.tenant.data}", hint=_NAME_IT)
    places = places_of(config.tenant.data, config.audit)
    log = log_of(places)
    expect_same_store(places, config.audit)
    source = Source(config.audit.store or str(places.bucket), config.audit.endpoint, config.audit.region)
    if "://" not in source.url and not Path(source.url).is_dir():
        raise NothingThere(f"the store in {places.data} has no trail yet: there is no {source.url}", hint=_NOT_SHIPPED)
    known = None if from_trail else key_of(key) if key is not None else _own_key(places, log)
    return Opened(source, source.open(), log, known, places)


def is_store(root: Path) -> bool:
    """Whether a folder is a store's data directory."""
    return any((root / name).exists() for name in (MARKER, CURRENT, "log"))


def _own_key(places: Places, log: str) -> VerifierKey:
    """The first key of the trail, by the notes beside the data directory."""
    notes = KeyFolder(places.keys).notes() if places.keys.is_dir() else {}
    try:
        return read_succession(log, {f"{folder_of(log)}keys/{name}": data for name, data in notes.items()}).keys[0][1]
    except Malformed as error:
        hint = "Name the trail's key with --key, or believe the trail's own with --key-from-trail"
        raise ConfigError(f"{places.keys} does not say whose the trail is: {error}", hint=hint) from None


def key_of(text: str) -> VerifierKey:
    """A verification key, or a file that holds one. ConfigError says what is wrong with it."""
    try:
        if "+" not in text:
            text = Path(text).read_text("utf-8")
        return read_key(text)
    except (Malformed, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"there is no verification key in {text.strip()!r:.120}: {error}", hint=_KEY_HINT) from None


def keys_of(texts: Sequence[str]) -> list[VerifierKey]:
    """Several of them."""
    return [key_of(each) for each in texts]


def _log_of(store: WormStore, key: VerifierKey | None, url: str) -> str:
    """The log that the key names, or the only one there is."""
    if key is not None and re.fullmatch(rf"[0-9a-f]{{{LOG_SIZE}}}", key.name.rpartition("/audit/")[2]):
        return key.name.rpartition("/audit/")[2]
    found = logs_in(store, ROOT)
    if len(found) == 1:
        return found[0]
    if not found:
        raise NothingThere(f"there is no audit trail in {url}", hint=_NAME_IT)
    raise ConfigError(f"{url} holds {len(found)} trails: {', '.join(found)}", hint="Say which with --log")
