"""What maintenance has done since the start, for metrics and for those who ask.

Laws: a child's words are not trusted to be what they should; what is no number counts as 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from store.server.child import Event
from store.server.metrics import Measured


@dataclass(frozen=True)
class Failed:
    """How a piece of work failed."""

    problem: str
    at: float
    """In seconds since 1970."""


@dataclass
class Figures:
    """What has happened since the start, for metrics and for those who ask."""

    snapshots: dict[str, int] = field(default_factory=dict)
    """Taken, by reason."""
    failures: dict[str, int] = field(default_factory=dict)
    """By what was tried: snapshot, drill, backup."""
    snapshot: Event = field(default_factory=dict)
    snapshot_at: float = 0.0
    """When the newest snapshot was taken, in seconds since 1970; 0: there is none."""
    removed_segments: int = 0
    removed_snapshots: int = 0
    removed_bytes: int = 0
    retention: Event = field(default_factory=dict)
    drills: dict[str, int] = field(default_factory=dict)
    """By how they ended: same, different, failed."""
    drill: Event = field(default_factory=dict)
    drill_at: float = 0.0
    """When the newest drill that found the same ended."""
    drilled_at: float = 0.0
    """When the newest drill ended, whatever it found."""
    backup: Event = field(default_factory=dict)
    backup_at: float = 0.0
    backup_bytes: int = 0
    failed: dict[str, Failed] = field(default_factory=dict)
    """The last failure, by what was tried."""

    def note_failed(self, what: str, problem: str, *, at: float) -> None:
        """Something was tried in vain; the next time may go well."""
        self.failures[what] = self.failures.get(what, 0) + 1
        self.failed[what] = Failed(problem, at)

    def last(self) -> dict[str, dict[str, object]]:
        """Of each kind of work what was done last and what failed last, where anything was since the start."""
        done = {
            "snapshot": (self.snapshot, self.snapshot_at),
            "retention": (self.retention, 0.0),
            "drill": (self.drill, self.drilled_at),
            "backup": (self.backup, self.backup_at),
        }
        said: dict[str, dict[str, object]] = {}
        for kind, (event, at) in done.items():
            mine: dict[str, object] = {"done": event, **({"done_at": at} if at else {})} if event else {}
            if kind in self.failed:
                mine |= {"failed": self.failed[kind].problem, "failed_at": self.failed[kind].at}
            if mine:
                said[kind] = mine
        return said

    def note_pruned(self, pruned: Event) -> None:
        """Something was let go, or would have been if anything could."""
        self.retention = pruned
        self.removed_segments += _length(pruned, "segments")
        self.removed_snapshots += _length(pruned, "snapshots")
        self.removed_bytes += int(number(pruned, "bytes"))

    def measured(self) -> Measured:
        """What metrics tell of it."""
        taken, drill, pruned = self.snapshot, self.drill, self.retention
        values: dict[str, float] = {
            "store_snapshot_timestamp_seconds": self.snapshot_at,
            "store_snapshot_seconds": number(taken, "seconds"),
            "store_snapshot_written_bytes": number(taken, "bytes_written"),
            "store_retention_floor_offset": number(pruned, "floor"),
            "store_retention_waiting": number(pruned, "waiting"),
            "store_retention_segments_total": self.removed_segments,
            "store_retention_snapshots_total": self.removed_snapshots,
            "store_retention_bytes_total": self.removed_bytes,
            "store_drill_timestamp_seconds": self.drill_at,
            "store_drill_seconds": number(drill, "seconds"),
            "store_backup_timestamp_seconds": self.backup_at,
            "store_backup_bytes_total": self.backup_bytes,
        }
        labelled: dict[str, Mapping[str, int]] = {
            "store_snapshots_total": self.snapshots,
            "store_maintenance_failures_total": self.failures,
            "store_drills_total": self.drills,
        }
        return Measured(values, labelled)


def number(event: Event, name: str) -> float:
    """A number that a child has said; 0 where it said none."""
    value = event.get(name)
    return value if isinstance(value, int | float) else 0


def counts_of(event: Event) -> dict[str, object]:
    """What a child has said, with lists as how many: there may be more names than a record has room for."""
    return {name: len(value) if isinstance(value, list | dict) else value for name, value in event.items()}


def _length(event: Event, name: str) -> int:
    """Of a list that a child has said; 0 where it said none."""
    value = event.get(name)
    return len(value) if isinstance(value, list) else 0
