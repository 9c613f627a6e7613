"""`store audit ship`: the process that follows a store's log and ships its trail, beside a server or by hand.

Laws: it needs nothing of a server but the data directory. With --follow it goes on until it is told to end, and then
has a few seconds for what is left; without, it ends when all that is there is shipped. What it cannot do it says, and
tries again; only what keeps the ledger or the keys from being opened ends it.
"""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from store import __version__
from store.audit.bucket import prepare_bucket
from store.audit.keeping import Keeper
from store.audit.notary import TrailNotary
from store.audit.options import AuditOptions
from store.audit.shipping import Retention
from store.audit.spans import Spans
from store.cli.arguments import ConfigFile, SetOptions, configure
from store.cli.audit.places import (
    Places,
    cosigner_of,
    current_disk,
    keyring_of,
    log_of,
    newest_size,
    opened_ledger,
    places_of,
    previous_disk,
    store_of,
    verified_at,
)
from store.cli.directories import Directory
from store.cli.exits import Exit
from store.cli.output import JsonFlag, note, print_json, stdout
from store.env.posix import SystemClock
from store.env.subject_folder import FolderSubjectKeys
from store.env.worm_url import open_worm

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
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())

    def tell(what: str) -> None:
        if json:
            print_json({"event": "act", "what": what})
        else:
            note(what)

    while True:
        with opened_keeper(places, options.audit, tell, skip_missing=accept_gap) as keeper:
            if follow:
                _follow(keeper, places, stop, json=json)
                if not stop.is_set():
                    continue  # A key came.
            done = _ship_the_rest(keeper, stop, LAST_S if follow else None)
            _say(keeper, places, json=json)
            raise typer.Exit(Exit.DONE if done or follow else Exit.CHECK_FAILED)


@contextmanager
def opened_keeper(places: Places, options: AuditOptions, tell: Tell, *, skip_missing: bool = False) -> Iterator[Keeper]:
    """Everything one process has of a trail. DirectoryError: another one has it. ConfigError: keys, options."""
    log = log_of(places)
    clock = SystemClock()
    with opened_ledger(places, options, tell) as ledger:
        keyring = keyring_of(places, log, options, size=newest_size(ledger, log), tell=tell)
        store = store_of(places, options, clock)
        anchor = open_worm(options.anchor, clock) if options.anchor else None
        try:
            if not options.store:  # The folder of our own; any other place is made by `store audit init`, on purpose.
                prepare_bucket(store, retention=Retention(options.retention_days))
            yield Keeper(
                current_disk(places),
                before=previous_disk(places),
                ledger=ledger,
                store=store,
                notary=lambda rows: TrailNotary(
                    keyring, cosigner_of(options, keyring, ledger, Spans(rows, store, log), clock)
                ),
                key=str(keyring.succession.newest),
                anchors=[anchor] if anchor else [],
                keys=FolderSubjectKeys(places.keys, places.subjects),
                clock=clock,
                options=options,
                version=__version__,
                host=socket.gethostname(),
                tell=tell,
                skip_missing=skip_missing,
            )
        finally:
            store.close()
            if anchor is not None:
                anchor.close()


def _follow(keeper: Keeper, places: Places, stop: threading.Event, *, json: bool) -> None:
    """Until it is told to end, or a key came or went."""
    keys, said, looked = _names(places.keys), 0.0, time.monotonic()
    while not stop.is_set():
        pause = keeper.step()
        now = time.monotonic()
        if now - said >= STATUS_INTERVAL_S:
            said = now
            if json:
                print_json({"event": "status", **told(keeper, places)})
        if now - looked >= KEYS_INTERVAL_S:
            looked = now
            if _names(places.keys) != keys:
                return
        if pause:
            stop.wait(pause)


def _ship_the_rest(keeper: Keeper, stop: threading.Event, limit_s: float | None) -> bool:
    """All that is there, within the time there is; whether all of it is shipped. Without a limit, until trouble."""
    began = time.monotonic()
    keeper.finish()
    while not keeper.done:
        pause = keeper.step()
        status = keeper.shipper.status()
        if limit_s is None and (stop.is_set() or (status.attempts and status.trouble)):
            break
        if limit_s is not None and time.monotonic() - began > limit_s:
            break
        time.sleep(min(pause, 0.05))
    keeper.hold_back()
    return keeper.done


def told(keeper: Keeper, places: Places) -> dict[str, Any]:
    """Where the trail stands, with what lies beside it."""
    return {**keeper.status(), "verified_at": verified_at(places) / 1e6}


def _say(keeper: Keeper, places: Places, *, json: bool) -> None:
    status = told(keeper, places)
    if json:
        print_json({"event": "status", **status})
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
