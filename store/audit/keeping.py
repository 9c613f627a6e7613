"""One trail, kept: the log is recorded, what was recorded is shipped, and the log is held back until it is.

Laws: nothing here sleeps or starts anything: `step` does a piece of work and says when it wants to be called again. The
notes that introduce the keys are in the store before anything that they sign. The cursor in the data directory moves
only behind what is in the store with its checkpoint, so what is in the ledger alone can be made anew.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from store.audit.objects.layout import origin_of
from store.audit.objects.manifest import Writer
from store.audit.options import NOTES_DAYS, AuditOptions
from store.audit.owing import CURSOR
from store.audit.recording.recorder import Recorder, shipped_row
from store.audit.recording.rows import Rows, State
from store.audit.recording.trail import Gap, Limits
from store.audit.shipping.putting import Retention, ship, store_time
from store.audit.shipping.shipper import CHECK_INTERVAL_S, Shipper
from store.audit.shipping.shortfall import kept_shortfall
from store.audit.signing.notary import Notary as Signing
from store.env.hands import Hands
from store.env.ledger import Ledger
from store.env.subjects import SubjectKeys
from store.env.world import Clock, Disk
from store.env.worm import WormStore
from store.errors import CorruptionError, StoreError
from store.ids import Offset, Timestamp
from store.snapshot.repository import Pin, Repository

CURSOR_REASON: Final = "the audit trail has not shipped what is behind this"
CURSOR_INTERVAL_S: Final = 5.0
"""Seconds between two moves of the cursor, at least: each is a synced file."""
NOTES_RETRY_S: Final = 5.0
"""Seconds before the keys' notes are sent again that could not be."""
AHEAD_MAX: Final = 2
"""Batches that wait to be shipped while more is recorded, where nothing but the order of the work keeps them: what is
recorded and not shipped is no safer than what is in the log alone. Where the store does not answer, more are made."""
IDLE_S: Final = 0.1
"""Seconds between two looks at a log in which nothing is new."""
GAP_RETRY_S: Final = 30.0
"""Seconds before a log is read again that could not be."""
FOUND_TOLD: Final = 10
"""Strange things that the status names, the newest ones."""


class Notary(Signing, Protocol):
    """Who signs for a trail, and what introduces them."""

    def notes(self) -> Mapping[str, bytes]:
        """What was said of the keys and of witnesses, by the names of the objects that say it."""
        ...


class Keeper:
    """Everything one process does for one trail."""

    def __init__(
        self,
        current: Disk,
        *,
        before: Disk | None,
        ledger: Ledger,
        store: WormStore,
        anchors: Sequence[WormStore] = (),
        notary: Callable[[Rows], Notary],
        key: str,
        keys: SubjectKeys,
        clock: Clock,
        options: AuditOptions,
        version: str,
        host: str,
        hands: Hands,
        tell: Callable[[str], None],
        skip_missing: bool = False,
    ) -> None:
        """Errors as of Recorder. `notary` is made for the rows; `key` is the newest one, as auditors are told.

        `version` and `host` are told in manifests; `hands` do what may be done side by side; `tell` takes a sentence
        for whoever runs this.
        """
        self._disk, self._ledger, self._store, self._clock = current, ledger, store, clock
        self._key, self._tell = key, tell
        self._notes_retention: Final = Retention(options.retention_days + NOTES_DAYS)
        self.recorder: Final = Recorder(
            current,
            before=before,
            ledger=ledger,
            keys=keys,
            clock=clock,
            limits=Limits(options.batch_events_max, options.batch_size_max),
            age_max_s=options.batch_age_max_s,
            skip_missing=skip_missing,
        )
        self.log: Final = self.recorder.current.log
        self.origin: Final = origin_of(options.domain, self.log)
        self.notary: Final = notary(self.recorder.rows)
        self.shipper: Final = Shipper(
            store,
            self.recorder.rows,
            self.notary,
            log=self.log,
            origin=self.origin,
            writer=Writer(version, host, ledger.fence),
            retention=Retention(options.retention_days),
            clock=clock,
            anchors=anchors,
            hands=hands,
            tell=tell,
        )
        self._shortfall: Final = kept_shortfall(ledger)
        self._unsent: dict[str, bytes] = {}
        """Notes that were not looked for in the store since they were due, by their names."""
        self._notes_due = 0.0
        self._notes_again = 0.0
        self._notes_trouble = ""
        self._read_due = 0.0
        self._shipping = False
        """Whether the shipper had more to do at once."""
        self._cursor: Offset | None = None
        self._cursor_due = 0.0
        self.hold_back()

    def step(self) -> float:
        """A piece of recording and a piece of shipping; the seconds after which to call again, 0 for at once.

        LedgerDamaged and OSError: the ledger or the data directory fails, nothing can be done without them.
        """
        now = self._clock.monotonic()
        more = False
        if not self._shipping or self.recorder.rows.counts()[State.FROZEN] <= AHEAD_MAX:
            more = self._record(now)
        if now >= self._notes_again:  # Again and again: they are locked for longer than what they introduce.
            self._notes_again = now + CHECK_INTERVAL_S
            self._unsent = dict(sorted(self.notary.notes().items()))
        pause = self._send_notes(now) if self._unsent else self.shipper.step()
        self._shipping = not pause
        if now >= self._cursor_due:
            self._cursor_due = now + CURSOR_INTERVAL_S
            self.hold_back()
        return 0.0 if more or not pause else min(pause, IDLE_S)

    def look_again(self) -> None:
        """Try at once what is waited for: something was mended, perhaps."""
        self._read_due = self._notes_due = 0.0
        self.shipper.look_again()

    def finish(self) -> None:
        """Read what is in the log, and freeze all of it: what is left is to be shipped."""
        with suppress(CorruptionError, Gap):
            while self.recorder.step():
                pass
        self.recorder.finish()

    @property
    def done(self) -> bool:
        """Whether all that was recorded is in the store, with its checkpoint and every copy of it."""
        return self.recorder.rows.waiting is None and not self.recorder.recorded.waiting

    @property
    def trouble(self) -> str:
        """Why the last attempt to put anything into the store failed; "" where it did not, or nothing was tried."""
        status = self.shipper.status()
        return self._notes_trouble or status.halted or (status.trouble if status.attempts else "") or status.late

    def status(self) -> dict[str, Any]:
        """Where the trail stands: for people, for metrics, and for the server that started this."""
        recorded, shipped = self.recorder.recorded, self.shipper.status()
        newest = shipped_row(self.recorder.rows)
        problem = recorded.gap or shipped.halted or self._notes_trouble or shipped.trouble or shipped.late
        if recorded.full:
            problem = f"the ledger is full ({self._ledger.size_max} bytes): {problem or 'shipping is too slow'}"
        return {
            "log": self.log,
            "origin": self.origin,
            "key": self._key,
            "url": self._store.url,
            "enforced": shipped.enforced,
            "epoch": recorded.epoch,
            "offset": recorded.offset,
            "frozen_offset": recorded.frozen_offset,
            "shipped_offset": self.recorder.cursor,
            "shipped": None if newest is None else [newest.epoch, newest.offset],
            "events": recorded.events,
            "waiting": recorded.waiting,
            "caught_up": recorded.caught_up,
            "lag_s": self._lag_s(),
            "full": recorded.full,
            "ledger_bytes": self._ledger.size(),
            "ledger_size_max": self._ledger.size_max,
            "batches": {state.value: count for state, count in shipped.rows.items()},
            "checkpoint_events": shipped.checkpoint_size,
            "checkpoint_at": 0 if shipped.checkpoint_at is None else shipped.checkpoint_at / 1e6,
            "found": list(shipped.found[-FOUND_TOLD:]),
            "found_count": shipped.found_count,
            "attacked": shipped.attacked,
            "missing": "" if self._shortfall is None else str(self._shortfall),
            "missing_events": 0 if self._shortfall is None else self._shortfall.missing,
            "missing_at": 0 if self._shortfall is None else self._shortfall.at / 1e6,
            "halted": bool(shipped.halted),
            "problem": problem,
        }

    def _record(self, now: float) -> bool:
        if now < self._read_due:
            return False
        try:
            return self.recorder.step()
        except (CorruptionError, Gap) as error:
            if self._read_due == 0.0:
                self._tell(f"the log cannot be told any further: {error}")
            self._read_due = now + GAP_RETRY_S
            return False

    def _send_notes(self, now: float) -> float:
        """Put what introduces the keys into the store, before anything that they sign."""
        if now < self._notes_due:
            return self._notes_due - now
        name, data = next(iter(self._unsent.items()))
        try:
            at = store_time(self._store, self._clock)
            ship(self._store, name, data, retention=self._notes_retention, now=at, conditional=False)
        except StoreError as error:
            if str(error) != self._notes_trouble:
                self._tell(f"the note of a key cannot be stored: {error}")
            self._notes_trouble = str(error)
            self._notes_due = now + NOTES_RETRY_S
            return NOTES_RETRY_S
        self._notes_trouble = ""
        del self._unsent[name]
        return 0.0

    def hold_back(self) -> None:
        """Move the cursor in the data directory, where what must be kept has moved. `step` does it now and then."""
        cursor = self.recorder.cursor
        if cursor != self._cursor:
            Repository(self._disk).pin(CURSOR, Pin(cursor, CURSOR_REASON, None, "cursor"))
            self._cursor = cursor

    def _lag_s(self) -> float:
        """Seconds since the oldest record that is known and not in the store with its checkpoint; 0: there is none."""
        since = [self.recorder.recorded.waiting_since, self.shipper.status().waiting_since]
        oldest: Timestamp | None = min((each for each in since if each is not None), default=None)
        return 0.0 if oldest is None else max(self._clock.wall() - oldest, 0) / 1e6
