"""When a snapshot is due, and when only old log and old snapshots are: the rule, without anyone to carry it out.

Laws: what is due is a value (SnapshotRequest); somebody else carries it out and says how that went. Never two at once.
After a failure the next attempt waits, twice as long each time up to a bound, except by hand. Nothing here fails, and a
store whose snapshots fail goes on.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from store.ids import Offset, Timestamp
from store.snapshot.options import SnapshotOptions

BYTES: Final = "bytes"
TRANSACTIONS: Final = "transactions"
INTERVAL: Final = "interval"
RESTART: Final = "restart"
DISK: Final = "disk"
RETENTION: Final = "retention"
"""Why: so much log since the last one; so many transactions; so long ago; a restart would replay too long; the disk is
nearly full; something that is not needed any more has served its grace."""

RETRY_MIN_S: Final = 60.0
RETRY_MAX_S: Final = 3_600.0
"""Seconds to the next attempt after a first failure, and after many."""
DISK_PAUSE_S: Final = 60.0
"""Seconds between two attempts to win space on a disk that stays nearly full."""
PRUNE_PAUSE_MIN_S: Final = 60.0
"""Seconds between two times that what served its grace is let go: what falls due meanwhile goes with it."""

LOAD_RATE: Final = 1_000_000.0
REPLAY_RATE: Final = 250_000.0
"""Rows loaded and transactions replayed in a second, while this store has not measured its own."""
MEASURED_MIN: Final = 10_000
"""Rows or transactions below which a measurement says nothing."""
REPLAY_SHARE_MIN: Final = 0.1
"""Of the bound of a restart, what replay may always take: where loading alone is near the bound, no snapshot helps."""


@dataclass(frozen=True)
class SnapshotRequest:
    """Something to be carried out now."""

    reason: str
    take: bool
    """Take a snapshot, then let go what is not needed any more; or only the latter."""


@dataclass(frozen=True)
class Situation:
    """What the policy judges by, at one moment."""

    now: float
    """Seconds of the monotonic clock."""
    last_offset: Offset
    log_bytes: int
    """Bytes of log written, counted from anywhere."""
    rows: int
    """In all tables."""
    free_bytes: int
    disk_low: bool
    """Calls are refused for want of space."""


class SnapshotPolicy:
    """Judges what is due. `took`, `pruned` or `failed` answers every request, before there is another."""

    def __init__(self, options: SnapshotOptions, *, now: float, space_min: int) -> None:
        """`space_min`: bytes that a snapshot must leave free on a disk that is nearly full."""
        self._options: Final = options
        self._space_min: Final = space_min
        self.snapshot_offset = Offset(0)
        """Of the newest snapshot; 0 where there is none."""
        self._snapshot_at = now
        self._snapshot_bytes = 0
        self._snapshot_size = 0
        self._own: Final[deque[Offset]] = deque()
        self._running: SnapshotRequest | None = None
        self._bytes_at_request = 0
        self._prune_at: float | None = None
        self._disk_at = now
        self._load_rate = 0.0
        self._replay_rate = 0.0
        self._wanted: str = ""
        self.failures = 0
        """In a row, up to now."""
        self.problem = ""
        """What the last failure said; "" after a success."""
        self.retry_at = now
        """No attempt before this moment of the monotonic clock, except by hand."""

    @property
    def running(self) -> SnapshotRequest | None:
        """What is being carried out."""
        return self._running

    def begin(self, situation: Situation, *, newest: Offset, age_s: float, log_bytes: int, size: int = 0) -> None:
        """What a start found: the newest snapshot (0: none), its age, the bytes of log behind it, its own bytes."""
        self.snapshot_offset = newest
        self._snapshot_at = situation.now - max(age_s, 0.0)
        self._snapshot_bytes = situation.log_bytes - log_bytes
        self._snapshot_size = size

    def measured(self, *, rows: int = 0, load_s: float = 0.0, transactions: int = 0, replay_s: float = 0.0) -> None:
        """What a recovery or a take has measured. The best counts: one in the background is slowed by others."""
        if rows >= MEASURED_MIN and load_s > 0:
            self._load_rate = max(self._load_rate, rows / load_s)
        if transactions >= MEASURED_MIN and replay_s > 0:
            self._replay_rate = max(self._replay_rate, transactions / replay_s)

    def restart_estimate_s(self, situation: Situation) -> float:
        """How long a restart would take now: loading the newest snapshot, and replaying what came after it."""
        return self._load_s(situation) + self._replay_s(situation)

    def ask(self, reason: str) -> None:
        """Somebody wants a snapshot: the next look requests one, whatever failed before."""
        self._wanted = reason

    def recorded(self, offset: Offset) -> None:
        """This record is the policy's own doing: it alone is no change worth a snapshot."""
        self._own.append(offset)

    def look(self, situation: Situation) -> SnapshotRequest | None:
        """What is due now, if anything; it counts as being carried out from here on."""
        if self._running is not None:
            return None
        request = self._due(situation)
        if request is not None:
            self._running, self._wanted = request, ""
            self._bytes_at_request = situation.log_bytes
        return request

    def took(self, offset: Offset, *, now: float, size: int = 0) -> None:
        """A snapshot stands at this offset. One that stood there before is no reason to try again at once."""
        no_newer = offset <= self.snapshot_offset
        self.snapshot_offset = max(self.snapshot_offset, offset)
        self._snapshot_at, self._snapshot_bytes = now, self._bytes_at_request
        self._snapshot_size = size or self._snapshot_size
        while self._own and self._own[0] <= offset:
            self._own.popleft()
        self._succeeded(now)
        if no_newer:
            self.retry_at = now + RETRY_MIN_S

    def pruned(self, *, now: float, wall: Timestamp, due: Timestamp | None) -> None:
        """What is not needed was let go. `due`: when the next thing has served its grace; None: nothing waits."""
        self._prune_at = None if due is None else now + max((due - wall) / 1e6, PRUNE_PAUSE_MIN_S)
        if self._running is not None and not self._running.take:
            self._succeeded(now)

    def failed(self, problem: str, *, now: float) -> None:
        """What was requested did not come to be."""
        self._running = None
        self._disk_at = now + DISK_PAUSE_S
        self.failures += 1
        self.problem = problem
        self.retry_at = now + min(RETRY_MIN_S * 2 ** min(self.failures - 1, 16), RETRY_MAX_S)

    def _succeeded(self, now: float) -> None:
        self._running = None
        self._disk_at = now + DISK_PAUSE_S
        self.failures, self.problem, self.retry_at = 0, "", now

    def _due(self, situation: Situation) -> SnapshotRequest | None:
        if self._wanted:
            return SnapshotRequest(self._wanted, take=True)
        if situation.now < self.retry_at:
            return None
        if situation.disk_low:
            return self._due_on_full_disk(situation)
        reason = self._reason(situation)
        if reason:
            return SnapshotRequest(reason, take=True)
        if self._prune_at is not None and situation.now >= self._prune_at:
            return SnapshotRequest(RETENTION, take=False)
        return None

    def _due_on_full_disk(self, situation: Situation) -> SnapshotRequest | None:
        """A snapshot lets log go; but it must not take the last bytes, which the store's own records need."""
        if situation.now < self._disk_at:
            return None
        needed = self._snapshot_size + self._bytes(situation) + self._space_min
        return SnapshotRequest(DISK, take=self._changed(situation) and situation.free_bytes >= needed)

    def _reason(self, situation: Situation) -> str:
        options = self._options
        if not self._changed(situation):
            return ""
        if options.bytes_between and self._bytes(situation) >= options.bytes_between:
            return BYTES
        if options.transactions_between and self._transactions(situation) >= options.transactions_between:
            return TRANSACTIONS
        if options.restart_time_max_s and self._replay_s(situation) > self._replay_max_s(situation):
            return RESTART
        if options.interval_s and situation.now - self._snapshot_at >= options.interval_s:
            return INTERVAL
        return ""

    def _replay_max_s(self, situation: Situation) -> float:
        """Half of the bound is kept for a slower machine, a torn tail, a snapshot that turns out damaged."""
        bound = self._options.restart_time_max_s
        return max(bound / 2 - self._load_s(situation), bound * REPLAY_SHARE_MIN)

    def _load_s(self, situation: Situation) -> float:
        return situation.rows / (self._load_rate or LOAD_RATE)

    def _replay_s(self, situation: Situation) -> float:
        return self._transactions(situation) / (self._replay_rate or REPLAY_RATE)

    def _transactions(self, situation: Situation) -> int:
        return situation.last_offset - self.snapshot_offset

    def _bytes(self, situation: Situation) -> int:
        return max(situation.log_bytes - self._snapshot_bytes, 0)

    def _changed(self, situation: Situation) -> bool:
        return self._transactions(situation) > len(self._own)
