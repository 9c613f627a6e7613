"""`store audit ship`: the process that follows a store's log and ships its trail, beside a server or by hand.

Laws: it needs nothing of a server but the data directory. With --follow it goes on until it is told to end, and then
has a few seconds for what is left; without, it ends when all that is there is shipped. What it cannot do it says, and
tries again: ever later, or within a second where somebody asks for it (the file `wake` in the audit folder, which init,
status and a second ship leave there). Only what keeps the ledger or the keys from being opened ends it.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from store import __version__
from store.audit.keeping import Keeper
from store.audit.objects.layout import folder_of
from store.audit.options import AuditOptions
from store.audit.owing import CURSOR
from store.audit.recording.recorder import Source, shipped_row
from store.audit.recording.rows import Rows, State
from store.audit.shipping.behind import LedgerBehind
from store.audit.shipping.bucket import prepare_bucket
from store.audit.shipping.putting import Retention
from store.audit.shipping.rebuilding import rebuild
from store.audit.shipping.shortfall import Shortfall, keep_shortfall, shortfall_of
from store.audit.signing.cosigning import Cosigner
from store.audit.signing.notary import TrailNotary
from store.cli.arguments import ConfigFile, SetOptions, configure
from store.cli.audit.places import (
    Places,
    current_disk,
    expect_same_store,
    expect_secrets,
    keyring_of,
    log_of,
    newest_size,
    notary_of,
    note_store,
    noted_act,
    opened_ledger,
    places_of,
    previous_disk,
    set_ledger_aside,
    store_of,
    verified_at,
    wake,
    woken,
)
from store.cli.directories import Directory
from store.cli.exits import Exit
from store.cli.output import JsonFlag, note, print_json, stdout
from store.cli.stopping import Stop
from store.env.audit_keys import KeyFolder
from store.env.hands import OwnHands, ThreadHands
from store.env.ledger import Ledger, LedgerDamaged
from store.env.posix import SystemClock
from store.env.subject_folder import FolderSubjectKeys
from store.env.worm import WormError, WormStore
from store.env.worm_folder import FolderWorm
from store.env.worm_url import open_worm
from store.errors import ConfigError, DirectoryError, StoreError
from store.ids import Offset
from store.snapshot.repository import Repository
from store.upkeep.lineage import lineage

STATUS_INTERVAL_S: Final = 1.0
"""Seconds between two words of where the trail stands."""
KEYS_INTERVAL_S: Final = 5.0
"""Seconds between two looks at whether a key came."""
LAST_S: Final = 3.5
"""Seconds for what is left when it is told to end: whoever asked waits a little longer before it kills."""

Tell = Callable[[str], None]
AcceptGap = Annotated[
    bool, typer.Option("--accept-gap", help="Go on though the log no longer holds what comes next; it will show.")
]


def ship(
    directory: Directory = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as the log grows, until SIGTERM or Ctrl-C.")] = False,  # noqa: FBT002  # A flag.
    accept_gap: AcceptGap = False,  # noqa: FBT002  # A flag.
    config: ConfigFile = None,
    set_: SetOptions = None,
    json: JsonFlag = False,  # noqa: FBT002  # A flag.
) -> None:
    """Ship the trail of a data directory, as `store serve` does by itself: by hand, for a store that is stopped."""
    options = configure(config, set_, tenant__data=directory)
    places = places_of(options.tenant.data, options.audit)
    stop = Stop()

    def tell(what: str) -> None:
        if json:
            print_json({"event": "act", "what": what})
        else:
            note(what)

    lost = False
    while True:
        woken(places)  # What was mended before now is looked at anyway.
        try:
            with _ends_told(places), opened_keeper(places, options.audit, tell, skip_missing=accept_gap) as keeper:
                if follow:
                    _follow(keeper, places, options.audit, stop, json=json)
                    if not stop.asked:
                        continue  # A key came.
                done = _ship_the_rest(keeper, stop, LAST_S if follow else None)
                _say(keeper, places, options.audit, json=json)
            raise typer.Exit(Exit.DONE if done or follow else Exit.CHECK_FAILED)
        except DirectoryError:
            wake(places)  # Whoever has it may be waiting for what was mended.
            raise
        except (LedgerBehind, LedgerDamaged) as error:
            if lost:  # It was made anew a moment ago: doing that again would find the same.
                raise
            lost = True
            tell(f"{error} It is set aside as {set_ledger_aside(places)}, and made anew")


@contextmanager
def opened_keeper(
    places: Places, options: AuditOptions, tell: Tell, *, skip_missing: bool = False, anew: bool = False
) -> Iterator[Keeper]:
    """Everything one process has of a trail; a ledger that was lost is made anew where the store can be read.

    `anew`: a trail of which nothing is left begins again. DirectoryError: another process has it. ConfigError: keys,
    options, or nothing is left. NotRebuildable: the store holds no whole trail.
    """
    log, clock = log_of(places), SystemClock()
    with ExitStack() as stack:
        ledger = stack.enter_context(opened_ledger(places, options, tell))
        expect_same_store(places, options)
        store = store_of(places, options, clock)
        stack.callback(store.close)
        anchors = [open_worm(options.anchor, clock)] if options.anchor else []
        for each in anchors:
            stack.callback(each.close)
        if not options.store:  # The folder of our own; any other place is made by `store audit init`, on purpose.
            prepare_bucket(store, retention=Retention(options.retention_days))
        if KeyFolder(places.keys).notes():  # The trail has begun.
            expect_secrets(places)
        if Rows(ledger, log).newest is None:
            _make_anew(places, options, ledger, store, log, tell, anew=anew)
        keyring = keyring_of(places, log, options, size=newest_size(ledger, log), tell=tell)
        subjects = FolderSubjectKeys(places.keys, places.subjects)  # Not before it is known that none were lost.
        yield Keeper(
            current_disk(places),
            before=previous_disk(places),
            ledger=ledger,
            store=store,
            anchors=anchors,
            notary=lambda rows: notary_of(places, log, options, keyring, rows, ledger, store, clock),
            key=str(keyring.succession.newest),
            keys=subjects,
            clock=clock,
            options=options,
            version=__version__,
            host=socket.gethostname(),
            hands=OwnHands() if isinstance(store, FolderWorm) else ThreadHands(),
            tell=tell,
            skip_missing=skip_missing,
        )


def _make_anew(
    places: Places,
    options: AuditOptions,
    ledger: Ledger,
    store: WormStore,
    log: str,
    tell: Tell,
    *,
    anew: bool,
) -> None:
    """Fill an empty ledger from the store, where that holds something of this trail; say what it held and does not.

    ConfigError: it holds nothing, the trail was shipped before, and is not to begin `anew`.
    """
    at, let_go = SystemClock().wall(), Repository(current_disk(places)).pins().get(CURSOR)
    try:
        there = any(
            not each.marker for kind in ("batch", "manifest") for each in store.versions(f"{folder_of(log)}{kind}/")
        )
    except WormError as error:
        tell(f"whether there is a trail already cannot be seen: {error}")
        if not (anew or KeyFolder(places.keys).notes()):
            _expect_none_before(places, store, log)
        return  # The shipper looks again before it puts anything.
    if not there:
        if not anew:
            _expect_none_before(places, store, log)
        shortfall = shortfall_of(None, events=_said_shipped(places, log), offsets=None, at=at)
        _tell_shortfall(places, ledger, shortfall, tell)
        return
    if not KeyFolder(places.keys).notes():
        raise ConfigError(
            f"{store.url} holds the trail {log}, and {places.keys} none of its keys",
            hint="Bring the folder of its keys back from where it was kept; without them nobody can go on with it",
        )
    keyring = keyring_of(places, log, options, size=0, tell=tell, introduce=False)
    current = current_disk(places)
    found = rebuild(
        store,
        ledger,
        log,
        succession=keyring.succession,
        context=Source(current, {}).context(),
        current=current,
        before=previous_disk(places),
        keys=FolderSubjectKeys(places.keys, places.subjects),
        clock=SystemClock(),
        progress=lambda _: None,
    )
    tell(
        f"the ledger was made anew from {store.url}: {found.events:,} events in {found.batches:,} batches,"
        f" {found.checkpoint_size:,} of them under a checkpoint"
    )
    offsets: tuple[Offset, Offset] | None = None
    source, row = Source(current, {}), shipped_row(Rows(ledger, log))
    if let_go is not None and row is not None and (there_now := source.cursor(row)) is not None:
        offsets = let_go.offset, there_now
    _tell_shortfall(
        places, ledger, shortfall_of(found, events=_said_shipped(places, log), offsets=offsets, at=at), tell
    )


def _said_shipped(places: Places, log: str) -> int:
    """Events under a checkpoint, as whoever shipped this trail said last; 0: nobody did."""
    said = _last_said(places)
    events = said.get("checkpoint_events")
    return events if said.get("log") == log and isinstance(events, int) else 0


def _tell_shortfall(places: Places, ledger: Ledger, found: Shortfall | None, tell: Tell) -> None:
    """Say that the store holds less than it had, to everybody, and keep it in mind."""
    if found is None:
        return
    keep_shortfall(ledger, found)
    with noted_act(places, "shortfall", **msgspec.structs.asdict(found)):
        tell(str(found))


def _expect_none_before(places: Places, store: WormStore, log: str) -> None:
    """ConfigError where this trail was shipped before, and nothing of it is at hand.

    It may lie in another folder, or on a disk that is not mounted. Beginning it again would let go the log that the
    lost one still needs, under keys that nobody knows.
    """
    disk = current_disk(places)
    cursor = Repository(disk).pins().get(CURSOR)
    first = next((each.first_offset for each in lineage(disk) if each.epoch.hex() == log), None)
    if cursor is not None and first is not None and cursor.offset >= first:
        raise ConfigError(
            f"the trail {log} was shipped through offset {cursor.offset}, and nothing of it is in {places.folder} or"
            f" {store.url}",
            hint="Is it the right place, and is its disk mounted? Bring it back, or name it (audit.folder). If it is "
            "lost for good: `store audit rebuild` begins a trail anew with what the log still holds",
        )


def _follow(keeper: Keeper, places: Places, options: AuditOptions, stop: Stop, *, json: bool) -> None:
    """Until it is told to end, or a key came or went."""
    keys, said, looked = _names(places.keys), 0.0, time.monotonic()
    while not stop.asked:
        pause = keeper.step()
        now = time.monotonic()
        if now - said >= STATUS_INTERVAL_S:
            said = now
            if woken(places):
                keeper.look_again()
                if (cosigner := _cosigner(keeper)) is not None:
                    cosigner.look_again()
            _note(keeper, places, options, json=json)
        if now - looked >= KEYS_INTERVAL_S:
            looked = now
            if _names(places.keys) != keys:
                return
        if pause:
            stop.wait(pause)


def _ship_the_rest(keeper: Keeper, stop: Stop, limit_s: float | None) -> bool:
    """All that is there, within the time there is; whether all of it is shipped. Without a limit, until trouble."""
    began = time.monotonic()
    keeper.finish()
    while not keeper.done:
        pause = keeper.step()
        if limit_s is None and (stop.asked or keeper.trouble):
            break
        if limit_s is not None and time.monotonic() - began > limit_s:
            break
        time.sleep(min(pause, 0.05))
    keeper.hold_back()
    return keeper.done


def told(keeper: Keeper, places: Places, options: AuditOptions) -> dict[str, Any]:
    """Where the trail stands, with what lies beside it."""
    said = keeper.status()
    more = {"unproven": unproven(options, said), "verified_at": verified_at(places) / 1e6}
    return {**said, **more, "witnesses": witnesses_of(keeper)}


def witnesses_of(keeper: Keeper) -> list[dict[str, Any]]:
    """How far each witness has cosigned the trail, and what went wrong with it last."""
    cosigner = _cosigner(keeper)
    if cosigner is None:
        return []
    urls = {each.name: each.url for each in cosigner.policy.witnesses}
    return [
        {"url": urls.get(name, name), "size": each.size, "cosigned_at": each.cosigned_at, "problem": each.problem}
        for name, each in cosigner.health.items()
    ]


def _cosigner(keeper: Keeper) -> Cosigner | None:
    """Who asks witnesses, where some are named."""
    return keeper.notary.cosigner if isinstance(keeper.notary, TrailNotary) else None


def unproven(options: AuditOptions, said: Mapping[str, Any]) -> list[str]:
    """What nobody could prove with this trail as it is set up."""
    found = []
    if not options.witnesses_min and not options.anchor:
        found.append(
            "that everybody is shown the same trail, and all of it: that takes a witness (audit.witnesses) or a copy of"
            " each checkpoint elsewhere (audit.anchor)"
        )
    if said.get("enforced") is False:
        found.append("that its store's owner cannot remove it: that takes a bucket in COMPLIANCE mode (audit.store)")
    if not options.heartbeat_s:
        found.append("that silence means that nothing happened: that takes heartbeats (audit.heartbeat_s)")
    return found


def _note(keeper: Keeper, places: Places, options: AuditOptions, *, json: bool, ends: bool = False) -> dict[str, Any]:
    """Say where it stands to whoever listens, and to whoever asks later."""
    status = told(keeper, places, options)
    if any(count for state, count in status["batches"].items() if state != State.FROZEN.value):
        note_store(places, options)
    if json:
        print_json({"event": "status", **status})
    with suppress(OSError):  # A full disk, say: nothing rests on it, and what does says so itself.
        _write_status(places, {**status, "at": time.time(), "pid": 0 if ends else os.getpid()})
    return status


@contextmanager
def _ends_told(places: Places) -> Iterator[None]:
    """Add to what was said last why nobody ships now: whoever looks at the status need not look for a log."""
    try:
        yield
    except DirectoryError:  # Another process has it, and says where it stands.
        raise
    except (StoreError, OSError) as error:
        with suppress(OSError):  # The error itself is what counts.
            _write_status(places, {**_last_said(places), "at": time.time(), "pid": 0, "problem": str(error)})
        raise


def _last_said(places: Places) -> dict[str, Any]:
    try:
        return msgspec.json.decode(places.status.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return {}


def _write_status(places: Places, said: Mapping[str, Any]) -> None:
    fresh = places.status.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(said))
    fresh.replace(places.status)


def _say(keeper: Keeper, places: Places, options: AuditOptions, *, json: bool) -> None:
    status = _note(keeper, places, options, json=json, ends=True)
    if json:
        return
    state = "all shipped" if keeper.done else f"not all shipped: {status['problem'] or 'it was told to end'}"
    stdout.print(
        f"{status['events']:,} events to {status['url']}, {status['checkpoint_events']:,} of them under a checkpoint:"
        f" {state}",
        markup=False,
        soft_wrap=True,
    )


def _names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir() if not each.name.endswith(".new")}
