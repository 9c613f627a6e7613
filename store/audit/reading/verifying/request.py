"""What is to be verified, and against what: an auditor's wishes, in one value.

Law: nothing in it is read from the store that is verified.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from store.audit.objects.notes import Note, VerifierKey
from store.ids import Timestamp

START: Final = Timestamp(0)
FAR: Final = Timestamp(2**62)
"""Moments before and behind all others."""

Cosigned = Callable[[Note], bool]
"""Whether a checkpoint has the cosignatures that were asked for. Malformed: one of them does not hold."""


@dataclass(frozen=True)
class Request:
    """What is to be verified, and against what."""

    log: str
    key: VerifierKey | None
    """A key of the trail, from elsewhere; None: believe the trail's own."""
    root_key: VerifierKey | None = None
    cosigned: Cosigned | None = None
    trusted: bytes | None = None
    """A checkpoint of the same trail that somebody kept."""
    since: Timestamp = START
    until: Timestamp = FAR
    first_seq: int = 0
    last_seq: int = 2**62
    check_locks: bool = False
    heartbeat_s: int = 0
    now: Timestamp | None = None
    """What time it is, where a trail that stands still is to be found; None: it is not asked."""
    with_records: bool = False
    with_tally: bool = False
    with_writes: bool = False
