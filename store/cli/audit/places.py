"""Where the parts of a store's trail lie, and how they are opened.

Laws: nothing of it lies in the data directory, which may be copied while it is in use. A key that no note speaks of is
the next one: whoever opens the trail introduces it, at the size that the tree has then, so that no other process needs
to be asked. Secrets are in no error and no output.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from store.audit.objects.layout import Malformed, origin_of
from store.audit.objects.notes import SecretKey, Signer, read_key, read_secret_key
from store.audit.options import WAKE, AuditOptions, audit_folder
from store.audit.recording.rows import Rows
from store.audit.shipping.spans import Spans
from store.audit.signing.cosigning import Cosigner
from store.audit.signing.custody import SEED_SIZE, open_keyring, policy_notes, rotate
from store.audit.signing.keys import Keyring
from store.audit.signing.notary import TrailNotary
from store.audit.signing.policy import policy_of
from store.cli.directories import generation_of
from store.cli.exits import NothingThere
from store.cli.upkeep.acts import noted
from store.env.audit_keys import KeyFolder, load_signer
from store.env.hands import ThreadHands
from store.env.ledger import Ledger
from store.env.lmdb import LmdbLedger
from store.env.posix import PosixDisk
from store.env.subject_folder import LOG_SECRET
from store.env.witness_http import HttpWitness
from store.env.world import Clock
from store.env.worm import WormStore
from store.env.worm_url import open_worm
from store.errors import ConfigError
from store.ids import Timestamp
from store.upkeep import generations
from store.upkeep.lineage import lineage, trail_epoch

EMBEDDED: Final = "the folder beside the data directory"
"""How the store is noted that no option names: it moves with its data directory."""


@dataclass(frozen=True)
class Places:
    """One store's directories."""

    data: Path
    """The data directory: the root."""
    folder: Path
    """The audit folder."""

    @property
    def ledger(self) -> Path:
        """What waits to be shipped."""
        return self.folder / "ledger"

    @property
    def keys(self) -> Path:
        """The signing keys, their notes, and the secret of keyed hashes."""
        return self.folder / "keys"

    @property
    def subjects(self) -> Path:
        """The keys of people whose data is sealed."""
        return self.folder / "subjects"

    @property
    def bucket(self) -> Path:
        """The embedded write-once folder."""
        return self.folder / "bucket"

    @property
    def verified(self) -> Path:
        """What the last verification found."""
        return self.folder / "verified.json"

    @property
    def status(self) -> Path:
        """What the process that ships said last of where the trail stands."""
        return self.folder / "status.json"

    @property
    def store(self) -> Path:
        """Says in which store the trail lies, as the option named it."""
        return self.folder / "store"

    @property
    def wake(self) -> Path:
        """Asks the process that ships, or the server that is about to start it again, to look again now."""
        return self.folder / WAKE


def places_of(data: Path, options: AuditOptions) -> Places:
    """Where they are for a data directory. ConfigError: the audit folder would lie inside it."""
    root = data.absolute()
    folder = audit_folder(data, options)
    if root == folder or root in folder.parents:
        raise ConfigError(
            f"the audit folder {folder} lies in the data directory {root}",
            hint="Name one outside of it (audit.folder): the data directory may be copied while it is in use",
        )
    return Places(root, folder)


def current_disk(places: Places) -> PosixDisk:
    """The generation in force."""
    return PosixDisk(generation_of(places.data), root=places.data)


def previous_disk(places: Places) -> PosixDisk | None:
    """The generation that was in force before, if its files are still there."""
    name = generations.previous(PosixDisk(places.data, read_only=True))
    return None if name is None else PosixDisk(places.data / name, read_only=True, root=places.data)


def log_of(places: Places) -> str:
    """The id of the trail. DirectoryError: the store was never started."""
    return trail_epoch(lineage(current_disk(places))).hex()


@contextmanager
def opened_ledger(places: Places, options: AuditOptions, tell: Callable[[str], None]) -> Iterator[LmdbLedger]:
    """The ledger, for one process at a time. DirectoryError names who has it."""
    ledger = LmdbLedger(places.ledger, size_max=options.ledger_size_max)
    with ExitStack() as stack:
        stack.callback(ledger.close)
        if ledger.damaged:
            tell(ledger.damaged)
        yield ledger


def keyring_of(
    places: Places,
    log: str,
    options: AuditOptions,
    *,
    size: int,
    tell: Callable[[str], None],
    introduce: bool = True,
) -> Keyring:
    """The keys at hand, with their notes. The first one is made where there is none; those that wait are introduced.

    `size`: events that batches hold by now: what is behind it is the next key's. ConfigError: the key in force is not
    at hand, others may read it, or it is another trail's.
    """
    folder = KeyFolder(places.keys)
    origin = origin_of(options.domain, log)
    service: Signer | None = load_signer(options.signer) if options.signer else None
    had = bool(folder.notes())
    if size and not had:
        raise ConfigError(
            f"the trail {log} has events, and {places.keys} holds no note of its keys",
            hint="Bring the folder of its keys back from where it was kept",
        )
    try:
        root = read_key(options.root_key) if options.root_key else None
        keyring = open_keyring(folder, log, origin=origin, random=os.urandom, service=service, root=root)
        if not had:
            tell(f"the trail's first key: {keyring.succession.newest}")
        for each in _waiting(folder, keyring) if introduce else ():
            made = rotate(folder, log, size=size, random=os.urandom, service=service, following=each)
            tell(f"behind event {size} a new key signs: {made}")
            keyring = open_keyring(folder, log, origin=origin, random=os.urandom, service=service)
    except Malformed as error:
        raise ConfigError(
            f"the notes in {places.keys} are not those of the trail {log}: {error}",
            hint="Each trail has a folder of keys of its own; bring back the one that belongs to it",
        ) from None
    if keyring.succession.newest.name != origin:
        raise ConfigError(
            f"the trail is signed as {keyring.succession.newest.name}, and audit.domain makes it {origin}",
            hint="Set audit.domain as it was: the name is part of every signature",
        )
    return keyring


def add_key(places: Places, origin: str) -> SecretKey:
    """Make a key and keep it. Until a note speaks of it, it waits for whoever opens the trail next."""
    made = SecretKey(origin, os.urandom(SEED_SIZE))
    KeyFolder(places.keys).add_secret(made.key.key_id, made.write())
    return made


def notary_of(
    places: Places,
    log: str,
    options: AuditOptions,
    keyring: Keyring,
    rows: Rows,
    ledger: Ledger,
    store: WormStore,
    clock: Clock,
) -> TrailNotary:
    """Who signs, and asks the witnesses that are named; whom it asks is written down beside the keys."""
    cosigner = cosigner_of(options, keyring, ledger, Spans(rows, store, log), clock)
    if cosigner is None:
        return TrailNotary(keyring)
    newest = rows.newest
    signer = keyring.signer(newest.size_after if newest is not None else 1)
    return TrailNotary(keyring, cosigner, policies=policy_notes(KeyFolder(places.keys), log, cosigner.policy, signer))


def cosigner_of(options: AuditOptions, keyring: Keyring, ledger: Ledger, trees: Spans, clock: Clock) -> Cosigner | None:
    """Who asks the witnesses that are named; None where none is. ConfigError: one is not URL=key."""
    if not options.witnesses:
        return None
    said = []
    for each in options.witnesses:
        url, _, key = each.partition("=")
        try:
            said.append((read_key(key), url))
        except Malformed as error:
            raise ConfigError(f"a witness in audit.witnesses is URL=key, found {each!r:.160}: {error}") from None
    policy = policy_of(said, options.witnesses_min, logs=[keyring.succession.newest])
    links = {f"w{number}": HttpWitness(url) for number, (_, url) in enumerate(said, start=1)}
    return Cosigner(policy, links, ledger=ledger, trees=trees, clock=clock, hands=ThreadHands())


def noted_act(places: Places, what: str, **more: Any) -> AbstractContextManager[dict[str, Any]]:
    """Around an act by hand on a trail: its store's log will tell who did what, and how it ended."""
    return noted(places.data, "audit", {"what": what, **more})


def expect_secrets(places: Places) -> None:
    """NothingThere where the secret is not here that a trail hashes with: looking for it must not make another one."""
    secret = places.keys / LOG_SECRET
    if not secret.exists():
        hint = "Name the data directory (audit.folder); or bring the folder of its keys back from where it was kept"
        raise NothingThere(f"there is no {secret}, the secret under which a trail hides arguments", hint=hint)


def wake(places: Places) -> None:
    """Ask whoever ships, if anybody does, to try at once what is waited for: something was mended, perhaps."""
    if places.folder.is_dir():
        with suppress(OSError):  # Whoever may only look there need not be able to.
            places.wake.touch()


def woken(places: Places) -> bool:
    """Whether somebody asked for it since the last look."""
    try:
        places.wake.unlink()
    except OSError:
        return False
    return True


def expect_same_store(places: Places, options: AuditOptions) -> None:
    """ConfigError where the trail was begun in another store: going on here would leave it without its beginning."""
    try:
        known = places.store.read_text("utf-8")
    except FileNotFoundError:
        return
    said = options.store or EMBEDDED
    if known != said:
        raise ConfigError(
            f"the trail lies in {known!r:.200}, and audit.store makes it {said!r:.200}",
            hint=f"Set it as it was. Or copy all of the trail there, with its locks, and remove {places.store}",
        )


def note_store(places: Places, options: AuditOptions) -> None:
    """Keep in mind where the trail lies, once something is there."""
    if not places.store.exists():
        fresh = places.store.with_suffix(".new")
        fresh.write_text(options.store or EMBEDDED, "utf-8")
        fresh.replace(places.store)


def set_ledger_aside(places: Places) -> Path | None:
    """Give up the ledger that is there, so that one is made anew; where it lies now. None: there was none."""
    if not places.ledger.exists():
        return None
    aside = places.folder / f"ledger.{time.time_ns():020d}"
    places.ledger.rename(aside)
    return aside


def newest_size(ledger: LmdbLedger, log: str) -> int:
    """Events in batches by now."""
    newest = Rows(ledger, log).newest
    return 0 if newest is None else newest.size_after


def read_signers(folder: KeyFolder) -> list[SecretKey]:
    """The secret keys at hand. ConfigError: one cannot be read."""
    try:
        return [read_secret_key(line) for line in folder.secrets()]
    except Malformed as error:
        raise ConfigError(f"a secret key in {folder.path} cannot be read: {error}") from None


def _waiting(folder: KeyFolder, keyring: Keyring) -> list[SecretKey]:
    """Keys that no note speaks of."""
    known = {key for _, key in keyring.succession.keys}
    return [each for each in read_signers(folder) if each.key not in known]


def store_of(places: Places, options: AuditOptions, clock: Clock) -> WormStore:
    """The store that the trail lies in. ConfigError: there is no such kind of store."""
    return open_worm(options.store or str(places.bucket), clock, endpoint=options.endpoint, region=options.region)


def note_verified(places: Places, *, at: Timestamp, events: int, code: int, part: bool) -> None:
    """Note that the store's own trail, or a part of it, was verified, and what came out, for status and metrics."""
    whole_at = verified_at(places) if code or part else at
    unfinished = places.verified.with_name(f"{places.verified.name}.{os.getpid()}")
    unfinished.write_bytes(msgspec.json.encode({"at": at, "events": events, "exit": int(code), "whole_at": whole_at}))
    unfinished.replace(places.verified)


def verified_at(places: Places) -> Timestamp:
    """When a command here found the trail whole last; 0: never, or nobody noted it."""
    try:
        said = msgspec.json.decode(places.verified.read_bytes())
        return Timestamp(int(said["whole_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Timestamp(0)
