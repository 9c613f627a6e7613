"""Rows on their way into a write-once store: batch, manifest, checkpoint, one step at a time, whatever goes wrong.

Laws: what was done in the store is written down in the ledger behind it, one commit a step, in the order of the
batches; after a crash between them the act is found done (putting.py). Of a far store the next few batches are on their
way at once (underway.py), as soon as one has gone well alone. A checkpoint stands at the end of a batch whose manifest
was read back. What may pass (no answer, no permission, no witness) is tried again, ever less often; what is wrong with
the store or the clocks stops the shipper until a later look finds it mended; bytes that are not ours stop it for good.
Nothing here sleeps: `step` says when it wants to be called again.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import chain, islice
from typing import Final

from store.audit.objects.checkpoint import Checkpoint, is_signed
from store.audit.objects.layout import checkpoint_name, manifest_name
from store.audit.objects.manifest import NO_MANIFEST, Writer, read_manifest
from store.audit.recording.rows import Rows, State
from store.audit.shipping.behind import AHEAD_MAX, check_not_behind, check_still_there
from store.audit.shipping.bucket import check_bucket, refuses_taken_keys
from store.audit.shipping.putting import Conflict, Retention, Stage, Stored, finish, ship, stages, store_time
from store.audit.shipping.underway import Underway
from store.audit.signing.notary import Notary, Unendorsed
from store.env.hands import Hands
from store.env.world import Clock
from store.env.worm import SECOND, Misconfigured, Protected, WormError, WormStore
from store.errors import ConfigError, StoreError
from store.ids import Timestamp

PAUSE_MIN_S: Final = 1.0
"""Seconds before the first repetition; each further pause is twice as long."""
PAUSE_MAX_S: Final = 300.0
"""Seconds between two attempts, at most; also between looks at a store that cannot be used as it is."""
CHECK_INTERVAL_S: Final = 86_400.0
"""Seconds between looks at what kind of store it is."""
CHECKPOINT_INTERVAL_S: Final = 2.0
"""Seconds between two checkpoints where batches come without a pause."""
CHECKPOINT_ROWS_MAX: Final = 32
"""Batches that one checkpoint covers, at most, while others wait behind them."""
GRACE_S: Final = 3_600
"""Seconds for which a batch's bytes stay in the ledger after all is done."""
FOUND_MAX: Final = 100
"""Strange things that are kept for whoever asks; all are counted."""
IDLE_S: Final = 60.0
"""Seconds after which to look again when nothing waits."""
UNDERWAY_S: Final = 0.005
"""Seconds after which to look again at what is on its way."""


@dataclass(frozen=True)
class ShipStatus:
    """Where the shipper stands."""

    rows: dict[State, int]
    conditional: bool | None
    """Whether the store refuses keys that are taken; None: not known yet."""
    enforced: bool | None
    """Whether anybody but ourselves keeps the locks; None: not known yet."""
    waiting_since: Timestamp | None
    """The moment of the oldest event that is not in the store with all that belongs to it; None: all are."""
    checkpoint_size: int
    """Events under the newest stored checkpoint."""
    checkpoint_at: Timestamp | None
    """When it was stored, since this process began."""
    halted: str
    """Why nothing is shipped until somebody acts, or "". """
    trouble: str
    """What went wrong last, while it does, or ""."""
    attempts: int
    """How often in a row it went wrong."""
    late: str
    """What is waited for while all else goes on: witnesses, whoever signs, an anchor; or ""."""
    found: tuple[str, ...]
    """What was strange in the store, newest last."""
    found_count: int
    attacked: int
    """How often the store said that a lock forbids what was asked: never asked by us."""


class Shipper:
    """Ships the rows of one trail."""

    def __init__(
        self,
        store: WormStore,
        rows: Rows,
        notary: Notary,
        *,
        log: str,
        origin: str,
        writer: Writer,
        retention: Retention,
        clock: Clock,
        anchors: Sequence[WormStore] = (),
        hands: Hands,
        tell: Callable[[str], None],
    ) -> None:
        """`anchors`: other stores that get a copy of the newest checkpoint. `tell`: a sentence for who runs this.

        `hands` put batches and manifests into the store.
        """
        self._store, self._rows, self._notary = store, rows, notary
        self._log, self._origin, self._writer = log, origin, writer
        self._retention, self._clock, self._anchors, self._tell = retention, clock, tuple(anchors), tell
        self._underway: Final = Underway(hands)
        self._ahead: Final = AHEAD_MAX if hands.apart else 1
        self._went_well = False
        """Whether what was put last into the store went well."""
        self._conditional: bool | None = None
        self._enforced: bool | None = None
        self._check_due = 0.0
        self._due = 0.0
        self._endorse_due, self._endorse_attempts = 0.0, 0
        self._endorsing: Checkpoint | None = None
        """The checkpoint for which witnesses are being asked."""
        self._checkpoint_due = clock.monotonic() + CHECKPOINT_INTERVAL_S
        self._anchor_due, self._anchor_attempts = 0.0, 0
        self._endorse_late, self._anchor_late = "", ""
        self._attempts, self._trouble, self._halted, self._attacked = 0, "", "", 0
        self._final = False
        self._found: deque[str] = deque(maxlen=FOUND_MAX)
        self._found_count = 0
        self._checkpoint_at: Timestamp | None = None

    def step(self) -> float:
        """Do the next thing, if any is due; the seconds after which to call again: 0 if there is more to do.

        LedgerBehind is raised before anything is put, and LedgerDamaged and a failing disk under the ledger whenever
        they are met: nothing can be done without it.
        """
        now = self._clock.monotonic()
        if self._final:
            return PAUSE_MAX_S
        if now < self._due:
            return self._due - now
        try:
            pause = self._next(now)
        except Conflict as error:
            self._final = True
            return self._halt(error)
        except (Misconfigured, ConfigError) as error:
            self._check_due = 0.0
            return self._halt(error)
        except (WormError, Unendorsed) as error:
            self._attacked += isinstance(error, Protected)
            return self._wait(error)
        if not self._underway.busy:  # Else it is not known yet whether what went wrong still does.
            self._attempts, self._trouble, self._halted = 0, "", ""
        return pause

    def look_again(self) -> None:
        """Wait no longer for what may have been mended, but for bytes that are not ours: nobody mends these."""
        self._due = self._check_due = self._endorse_due = self._anchor_due = 0.0

    def status(self) -> ShipStatus:
        """Where it stands."""
        checkpoint = self._rows.checkpoint
        return ShipStatus(
            rows=self._rows.counts(),
            waiting_since=None if (waiting := self._rows.waiting) is None else waiting.t_first,
            conditional=self._conditional,
            enforced=self._enforced,
            checkpoint_size=checkpoint.size if checkpoint is not None and checkpoint.version_id else 0,
            checkpoint_at=self._checkpoint_at,
            halted=self._halted,
            trouble=self._trouble,
            attempts=self._attempts,
            late=self._endorse_late or self._anchor_late,
            found=tuple(self._found),
            found_count=self._found_count,
            attacked=self._attacked,
        )

    def _next(self, now: float) -> float:
        """One step of whatever is next; the pause behind it."""
        if now >= self._check_due:
            self._check()
            self._check_due = now + CHECK_INTERVAL_S
        if self._checkpoint_wanted(now) and self._checkpoint(now):
            return 0.0
        self._send()
        if self._take_manifest() or self._take_batch():
            self._went_well = True
        elif self._rows.first_in(State.CHECKPOINTED) and now >= self._anchor_due:
            self._anchor(now)
        elif not self._tidy():
            return UNDERWAY_S if self._underway.busy or self._endorsing is not None else self._idle(now)
        return 0.0

    def _idle(self, now: float) -> float:
        """Until a witness or an anchor is asked again, or a while."""
        pauses = [IDLE_S]
        if self._rows.first_in(State.MANIFESTED):
            pauses.append(self._endorse_due - now)
        if self._rows.first_in(State.CHECKPOINTED):
            pauses.append(self._anchor_due - now)
        return max(0.0, min(pauses))

    def _check(self) -> None:
        """Whether the store is fit, how it treats keys that are taken, and whether it holds what it should, no more."""
        store_time(self._store, self._clock)
        facts, warnings = check_bucket(self._store)
        self._enforced = facts.enforced
        for each in warnings:
            self._strange(each)
        check_still_there(self._store, self._rows, self._log)
        if self._conditional is None:
            check_not_behind(self._store, self._rows, self._log)
            until = self._retention.wanted(store_time(self._store, self._clock))
            self._conditional = refuses_taken_keys(self._store, until)
            if not self._conditional:
                self._strange(f"{self._store.url} takes a key that is taken: every object is looked at again")

    def _send(self) -> None:
        """Begin what may be on its way: after trouble, and at first, one alone."""
        most = self._ahead if self._went_well else 1
        stored = self._rows.first_in(State.STORED)
        for row in islice(chain(self._rows.all_in(State.STORED), self._rows.all_in(State.FROZEN)), most):
            if row.state is State.FROZEN and not self._underway.has_batch(row.batch):
                frozen = self._rows.frozen(row)
                self._underway.send_batch(row.batch, partial(finish, self._going(frozen.name, frozen.data)))
            elif row.state is State.STORED and not self._underway.has_manifest(row.batch):
                name = manifest_name(self._log, row.batch)
                self._underway.send_manifest(row.batch, self._going(name, self._rows.manifest(row)))
        if stored is not None:
            self._underway.push(stored.batch)

    def _take_manifest(self) -> bool:
        """Write down that the next manifest was read back, where it was."""
        row = self._rows.first_in(State.STORED)
        if row is None or (stored := self._underway.manifest(row.batch)) is None:
            return False
        self._note(stored)
        self._rows.manifested(row, version_id=stored.version_id)
        return True

    def _take_batch(self) -> bool:
        """Write down that the next batch was read back, where it was, with its manifest."""
        row = self._rows.first_in(State.FROZEN)
        if row is None or (stored := self._underway.batch(row.batch)) is None:
            return False
        self._note(stored)
        before = self._rows.before(row)
        try:
            manifest = self._rows.frozen(row).manifest(
                origin=self._origin,
                prev=NO_MANIFEST if before is None else before.manifest_digest,
                version_id=stored.version_id,
                until=stored.retain_until,
                writer=self._writer,
                signer=self._notary.signer(row.size_after),
            )
        except OSError as error:
            raise Unendorsed(f"the manifest of batch {row.batch} cannot be signed: {error}") from None
        data = manifest.encode()
        self._rows.stored(
            row,
            version_id=stored.version_id,
            retain_until=stored.retain_until,
            manifest=data,
            digest=sha256(data).hexdigest(),
        )
        return True

    def _checkpoint_wanted(self, now: float) -> bool:
        """A signed one is finished first; a new one once nothing waits before it, or enough lies behind the last.

        Enough in rows or in time: under a load that never pauses there is always something that waits.
        """
        if self._rows.checkpoint_waits is not None or self._endorsing is not None:
            return True
        counts = self._rows.counts()
        waiting = counts[State.FROZEN] + counts[State.STORED]
        done = counts[State.MANIFESTED]
        enough = done >= CHECKPOINT_ROWS_MAX or now >= self._checkpoint_due
        return done > 0 and now >= self._endorse_due and (waiting == 0 or enough)

    def _checkpoint(self, now: float) -> bool:
        """Sign one, or store the one that is signed. Whether it could be: without its witnesses batches go first.

        While they are asked, it is to be this one, though more could be signed by then.
        """
        if (signed := self._rows.checkpoint_waits) is not None:
            stored = self._ship(checkpoint_name(self._log, signed.size), signed.note)
            self._rows.checkpointed(signed, version_id=stored.version_id)
            self._checkpoint_at = self._clock.wall()
            self._checkpoint_due = now + CHECKPOINT_INTERVAL_S
            return True
        checkpoint = self._endorsing or self._next_checkpoint()
        try:
            note = None if self._endorsing else self._published(checkpoint)
            note = note or self._notary.endorse(checkpoint)
        except (Unendorsed, OSError) as error:
            self._endorsing = None
            self._endorse_attempts += 1
            self._endorse_due = self._clock.monotonic() + _pause(self._endorse_attempts)
            self._endorse_late = self._later(f"no checkpoint at {checkpoint.size}: {error}", self._endorse_late)
            return False
        self._endorsing = checkpoint if note is None else None
        if note is None:
            return False
        self._endorse_attempts, self._endorse_late = 0, ""
        self._rows.signed(checkpoint.size, note)
        return True

    def _next_checkpoint(self) -> Checkpoint:
        """Behind the newest batch whose manifest is stored."""
        *_, last = self._rows.all_in(State.MANIFESTED)
        root = read_manifest(self._rows.manifest(last)).root_after
        return Checkpoint(self._origin, last.size_after, bytes.fromhex(root))

    def _published(self, checkpoint: Checkpoint) -> bytes | None:
        """The very checkpoint, if it is stored already: an older ledger was put back. Signed anew it would differ."""
        key = checkpoint_name(self._log, checkpoint.size)
        for each in self._store.versions_of(key):
            if not each.marker:
                note = self._store.get(key, each.version_id)
                if is_signed(note, checkpoint, self._notary.signer(checkpoint.size).key):
                    return note
        return None

    def _anchor(self, now: float) -> None:
        """Copy the newest checkpoint into the other stores; then there is nothing more to do for what it covers.

        An anchor in trouble is waited for, and holds up nothing else.
        """
        signed = self._rows.checkpoint
        assert signed is not None
        name = checkpoint_name(self._log, signed.size)
        for store in self._anchors:
            try:
                at = store_time(store, self._clock)
                # Nobody has asked this store how it treats taken keys: look again.
                self._note(ship(store, name, signed.note, retention=self._retention, now=at, conditional=False))
            except (WormError, Conflict) as error:
                self._anchor_attempts += 1
                self._anchor_due = now + _pause(self._anchor_attempts)
                said = f"the checkpoint at {signed.size} has no copy in {store.url}: {error}"
                self._anchor_late = self._later(said, self._anchor_late)
                return
        self._anchor_attempts, self._anchor_late = 0, ""
        self._rows.acked(at=self._clock.wall())
        self._tidy()

    def _tidy(self) -> bool:
        """Let go of what was done long ago, or of all that is done where room gets scarce. Whether there was any."""
        grace = 0 if self._rows.crowded else GRACE_S * SECOND
        return self._rows.let_go(before=Timestamp(self._clock.wall() - grace)) > 0

    def _ship(self, key: str, data: bytes) -> Stored:
        stored = finish(self._going(key, data))
        self._note(stored)
        return stored

    def _going(self, key: str, data: bytes) -> Generator[Stage, None, Stored]:
        if not self._enforced:  # A folder may be gone or unmounted by now, and putting would make another in its place.
            self._store.facts()
        now = store_time(self._store, self._clock)
        conditional = self._conditional is True
        return stages(self._store, key, data, retention=self._retention, now=now, conditional=conditional)

    def _note(self, stored: Stored) -> None:
        for each in stored.found:
            self._strange(each)

    def _later(self, what: str, before: str) -> str:
        """What is waited for now. It is told once, until it came: what is told is an event, and waits for the same."""
        if not before:
            self._tell(what)
        return what

    def _strange(self, what: str) -> None:
        self._found_count += 1
        if what not in self._found:
            self._tell(what)
        self._found.append(what)

    def _wait(self, error: StoreError) -> float:
        """Try again, ever later."""
        self._failed()
        pause = _pause(self._attempts)
        if str(error) != self._trouble:
            self._tell(f"{error} (tried again in {pause:.0f} s)")
        self._trouble = str(error)
        self._due = self._clock.monotonic() + pause
        return pause

    def _halt(self, error: StoreError) -> float:
        """Nothing more until somebody acts; what is misconfigured is looked at again now and then."""
        self._failed()
        if str(error) != self._halted:
            self._tell(f"the audit trail is not shipped any more: {error}")
        self._halted = self._trouble = str(error)
        self._due = self._clock.monotonic() + PAUSE_MAX_S
        return PAUSE_MAX_S

    def _failed(self) -> None:
        self._attempts += 1
        self._went_well = False
        self._underway.forget_failed()


def _pause(attempts: int) -> float:
    """Seconds before an attempt after so many that failed."""
    return min(PAUSE_MAX_S, PAUSE_MIN_S * 2.0 ** min(attempts - 1, 30))
