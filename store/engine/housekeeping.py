"""What is done between calls: looks at the disk and the clock, vouching, a heartbeat, asking for snapshots.

Laws: the caller decides when (`tick`, about ten times a second); nothing here sleeps. Calls are refused before anything
can fail, and taken again when the reason is gone. A snapshot that is due is a value in `request`, for others to carry
out; on a full disk old log is let go all the same.
"""

from collections.abc import Callable
from typing import Final

from store.engine.admission import CLOCK, Admission
from store.engine.options import EngineOptions
from store.engine.snapshot_policy import Situation, SnapshotPolicy, SnapshotRequest
from store.env.world import Disk, World
from store.ids import Timestamp
from store.log.commitlog import Commitlog
from store.log.format import segment_name
from store.log.segment import segment_offsets

SYSTEM_SPACE_MIN: Final = 1 << 16
"""Bytes of free disk space below which not even the store's own records are written: starts, stops and vouches."""

BLANK_SHARE: Final = 16
"""Of the disk's free space above the reserve, blank takes at most this part."""

DISK: Final = "disk"


class Housekeeping:
    """The looks that are taken now and then."""

    def __init__(self, *, world: World, log: Commitlog, admission: Admission, options: EngineOptions) -> None:
        self._world: Final = world
        self._log: Final = log
        self._admission: Final = admission
        self._options: Final = options
        self._last_wall = world.clock.wall()
        self._last_monotonic = world.clock.monotonic()
        self._idle_since = self._last_monotonic
        self._idle_offset = log.last_offset
        self.free_bytes = world.disk.free_bytes()
        self.postponed: Callable[[], object] | None = None
        """What is to be recorded before calls are taken, once there is space."""
        self._written: Final = WrittenLog(log, world.disk)
        self._written_before = 0
        self._rows: Callable[[], int] = lambda: 0
        self.policy: SnapshotPolicy | None = None
        """Judges when a snapshot is due; None where nobody would take one."""
        self.request: SnapshotRequest | None = None
        """What is due, until somebody takes it to carry it out."""
        self._beat: Callable[[], object] = lambda: None
        self._beat_interval_s = float("inf")
        self._beat_at = self._last_monotonic
        self.look_at_disk()

    def tick(self) -> None:
        """Take every look. What it appends (a vouch) is synced by the next group commit."""
        self.look_at_disk()
        self.look_at_clock()
        self.vouch_when_idle()
        self.lay_blank()
        self.look_at_policy()
        self.beat_when_due()

    def follow_policy(self, policy: SnapshotPolicy, rows: Callable[[], int]) -> None:
        """From now on this policy judges; `rows` says how many there are in all tables."""
        self.policy, self._rows = policy, rows

    def beat_every(self, interval_s: float, beat: Callable[[], object]) -> None:
        """From now on do this every so often, first one interval from now: a record, so that silence is evidence."""
        self._beat, self._beat_interval_s = beat, interval_s
        self._beat_at = self._world.clock.monotonic()

    def beat_when_due(self) -> None:
        """Do what is to be done every so often; while there is no room for a record it is left out."""
        now = self._world.clock.monotonic()
        if now - self._beat_at >= self._beat_interval_s and self.has_room:
            self._beat_at = now
            self._beat()

    def situation(self) -> Situation:
        """What a policy judges by, now."""
        return Situation(
            now=self._world.clock.monotonic(),
            last_offset=self._log.last_offset,
            log_bytes=self._written.bytes(),
            rows=self._rows(),
            free_bytes=self.free_bytes,
            disk_low=DISK in self._admission.reasons,
        )

    def look_at_policy(self) -> None:
        """See whether a snapshot is due. Not while the clock is in doubt: what is old is judged by it."""
        if self.policy is not None and self.request is None and not self._admission.doubts_clock:
            self.request = self.policy.look(self.situation())

    def take_request(self) -> SnapshotRequest | None:
        """Take what is due, to carry it out and tell the policy how it went."""
        request, self.request = self.request, None
        return request

    def seal(self) -> bool:
        """Close the open segment, so that a snapshot lets it go; False while it is empty, not durable, or no room.

        OSError: the log has stopped.
        """
        self.look_at_disk()
        return self.has_room and self._log.seal(self._world.clock.wall())

    @property
    def reserve(self) -> int:
        """Bytes of disk below which calls are refused."""
        return self._options.free_space_reserve

    @property
    def has_room(self) -> bool:
        """Whether the store's own records may be written, as of the last look."""
        return self.free_bytes >= SYSTEM_SPACE_MIN

    def look_at_disk(self) -> None:
        """Refuse calls while less than the reserve is free."""
        self.free_bytes = self._world.disk.free_bytes()
        reserve = self.reserve
        self._admission.allowance = min(self._options.group_size_max, max(self.free_bytes - SYSTEM_SPACE_MIN, 0))
        if self.free_bytes < reserve:
            self._admission.close(
                DISK, f"{self.free_bytes} bytes of disk are free, calls are taken from {reserve} on: make space"
            )
            return
        if self.postponed is not None and self.has_room:
            self.postponed()
            self.postponed = None
        self._admission.open(DISK)

    def look_at_clock(self) -> None:
        """Refuse calls once the wall clock has jumped: it moved otherwise than the monotonic one."""
        wall, monotonic = self._world.clock.wall(), self._world.clock.monotonic()
        jump = (wall - self._last_wall) / 1e6 - (monotonic - self._last_monotonic)
        self._last_wall, self._last_monotonic = wall, monotonic
        if abs(jump) > self._options.clock_jump_max_s:
            self.refuse_clock(f"the wall clock jumped by {jump:+.0f} s")

    def check_start(self, last_timestamp: Timestamp) -> None:
        """Refuse calls where the clock stands before the newest record; forward, a start sees no jump."""
        behind = (last_timestamp - self._last_wall) / 1e6
        if behind > self._options.clock_jump_max_s:
            self.refuse_clock(f"the wall clock is {behind:.0f} s behind the newest record")

    def refuse_clock(self, what: str) -> None:
        """Refuse calls until an operator confirms the clock."""
        self._admission.close(CLOCK, f"{what}: set it right and restart, or confirm it (POST /v1/clock/confirm)")

    def confirm_clock(self) -> None:
        """An operator says that the clock is right."""
        self._admission.open(CLOCK)

    def vouch_when_idle(self) -> None:
        """After a short idle, let an empty batch vouch for the last one."""
        now = self._world.clock.monotonic()
        if self._log.last_offset != self._idle_offset:
            self._idle_offset, self._idle_since = self._log.last_offset, now
        elif self._log.unvouched and self.has_room and now - self._idle_since >= self._options.vouch_idle_ms / 1000:
            self._log.vouch()

    def lay_blank(self) -> None:
        """Keep zeros ahead of a log that grows slowly, or not at all. OSError: the log has stopped.

        Whoever waits for one small sync after another waits a quarter less; large groups hide theirs.
        """
        written = self._written.bytes() - self._written_before
        self._written_before += written
        size = self._options.blank_size
        if written <= size // 2 and self._log.blank_bytes < size // 2:
            spare = self.free_bytes - max(self.reserve, SYSTEM_SPACE_MIN)
            self._log.lay_blank(min(size, spare // BLANK_SHARE))


class WrittenLog:
    """Counts the bytes of log as they are written, from outside: the log itself pays nothing for it."""

    def __init__(self, log: Commitlog, disk: Disk) -> None:
        self._log: Final = log
        self._disk: Final = disk
        self._segment = log.segment
        self._position: int = log.position
        self._bytes = 0

    def bytes(self) -> int:
        """Bytes flushed since this began to count."""
        segment, position = self._log.segment, self._log.position
        if segment != self._segment:
            names = [segment_name(first) for first in segment_offsets(self._disk)]
            self._bytes += max(_size(self._disk, self._segment) - self._position, 0)
            self._bytes += sum(_size(self._disk, name) for name in names if self._segment < name < segment)
            self._segment, self._position = segment, 0
        self._bytes += position - self._position
        self._position = position
        return self._bytes


def _size(disk: Disk, name: str) -> int:
    """Bytes of a sealed segment; 0 where it went meanwhile."""
    try:
        file = disk.open(name)
    except FileNotFoundError:
        return 0
    try:
        return file.size()
    finally:
        file.close()
