"""What a verification finds, and what follows from it.

Laws: what stands in the place of evidence or breaks a proof is TAMPER; what is not there is INCOMPLETE; what the store
may let go too early is UNLOCKED; what lies beside the evidence without touching it is a WARNING. The lowest number is
the verdict. However much is found, only so much is kept; all is counted.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from store.ids import Timestamp

FINDINGS_MAX: Final = 1_000
"""Findings of one kind that are kept."""


class Kind(IntEnum):
    """The kinds of findings; the number is the exit code that goes with it."""

    TAMPER = 1
    INCOMPLETE = 2
    UNLOCKED = 3
    WARNING = 9


class Verdict(IntEnum):
    """What came out."""

    VERIFIED = 0
    TAMPER = 1
    INCOMPLETE = 2
    UNLOCKED = 3


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    kind: Kind
    where: str
    """The object, without the trail's folder; or the event, the tree, the end."""
    what: str


@dataclass
class Findings:
    """All that was found so far."""

    kept: list[Finding] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def add(self, kind: Kind, where: str, what: object) -> None:
        """Note one."""
        self.counts[kind] += 1
        if self.counts[kind] <= FINDINGS_MAX:
            self.kept.append(Finding(kind, where, str(what)))

    def take(self, found: Iterable[Finding]) -> None:
        """Note those that a batch gave."""
        for each in found:
            self.add(each.kind, each.where, each.what)

    @property
    def verdict(self) -> Verdict:
        """The gravest kind but warnings."""
        return Verdict(min((int(kind) for kind in self.counts if kind != Kind.WARNING), default=0))


@dataclass
class Counts:
    """How much was looked at."""

    objects: int = 0
    keys: int = 0
    checkpoints: int = 0
    """Signed as they must be."""
    checkpoints_counted: int = 0
    """Of these, with all cosignatures that were asked for."""
    manifests: int = 0
    batches: int = 0
    """Read to the last event."""
    events: int = 0
    events_proven: int = 0
    """Up to a signed root."""
    locks: int = 0
    log_records: int = 0
    """Of the log that the trail was held against, found in it byte for byte."""
    log_records_hidden: int = 0
    """Of these, known only by their place: an argument is hidden, and so is the record's hash."""
    snapshot_rows: int = 0
    """Of the snapshot that the trail was held against, as the trail's last write left them."""
    snapshot_rows_hidden: int = 0
    """Further ones, known only to be there: the hash of their last write is keyed."""


@dataclass
class Outcome:
    """What a verification says."""

    log: str
    origin: str
    store: str
    """Where the trail lies."""
    findings: Findings = field(default_factory=Findings)
    counts: Counts = field(default_factory=Counts)
    not_checked: list[str] = field(default_factory=list)
    proven_size: int = 0
    """Events of the largest signed tree that was met."""
    proven_root: str = ""
    first_time: Timestamp | None = None
    last_time: Timestamp | None = None
    """Of the events that were read."""
    retained_until: tuple[Timestamp, Timestamp] | None = None
    """The earliest and the latest end of a lock that was looked at."""

    @property
    def verdict(self) -> Verdict:
        """What came out."""
        return self.findings.verdict
