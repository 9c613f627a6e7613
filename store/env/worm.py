"""Objects that nobody can change or remove before their time, as a Protocol: what an audit trail is written to.

Laws: a lock is a version's, not a key's. That a key gives the right bytes proves nothing; that a version does, does.
Whoever puts under a key that is taken is told so, as far as the store knows how (`Occupied`); some stores do not, so
whoever puts looks afterwards what lies there. S3's words are used: Amazon S3 User Guide, "Locking objects".

WormError                what a write-once store says, sorted by what its asker must do
├── Occupied             the key is taken, perhaps by oneself: look what lies there
├── Unreachable          whether it was done is not known: later, the same bytes again
├── Garbled              the bytes did not arrive as they were sent: again, a few times
├── NotAllowed           the credentials do not allow it: tell somebody, then later again
├── Protected            a lock forbids it: somebody tried to remove, or to shorten
├── NoSuchVersion        there is no such version, or it is a delete marker
└── Misconfigured        the store is not one that an audit trail may be written to: stop, tell somebody
    └── Skewed           its clock and this machine's are too far apart
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from store.env.objects import is_name
from store.errors import StoreError
from store.ids import Timestamp

WORM_OBJECT_SIZE_MAX: Final = 64 << 20
"""Bytes of one object, at most: it is put in one request, because the lock of one put in parts may get lost."""
COMPLIANCE: Final = "COMPLIANCE"
"""The mode in which nobody at all can shorten or lift a lock."""
SECOND: Final = 1_000_000
"""Microseconds. Locks end at whole seconds: S3 sends and keeps no more."""


class WormError(StoreError):
    """What a write-once store says instead of doing what it was asked for."""


class Occupied(WormError):
    """The key is taken, or was a moment ago. The bytes there may be the asker's own, whose answer was lost."""


class Unreachable(WormError):
    """No answer, or one that says nothing of the outcome: timeouts, broken connections, 500, 503."""


class Garbled(WormError):
    """The store's hash of what arrived is not the one that was sent."""


class NotAllowed(WormError):
    """The credentials are missing, wrong, or do not allow this."""


class Protected(WormError):
    """A lock or a legal hold forbids it."""


class NoSuchVersion(WormError):
    """There is no such version of that key, or it is a delete marker."""


class Misconfigured(WormError):
    """There is no such store, or it keeps no versions or no locks, or it is asked for what can never be."""


class Skewed(Misconfigured):
    """The clocks are too far apart: a lock would end at a wrong time, for good."""


@dataclass(frozen=True)
class Version:
    """One version of one key, as a listing says it."""

    key: str
    version_id: str
    size: int
    """Bytes; 0 for a delete marker."""
    marker: bool
    """Whether it is a delete marker: no bytes, and it hides those before it from whoever names no version."""
    latest: bool
    stored_at: Timestamp


@dataclass(frozen=True)
class Lock:
    """What the store says of one version without sending it."""

    size: int
    sha256: str | None
    """Of its bytes, 64 hex digits, as the store itself computed or checked it; None where it cannot say."""
    mode: str | None
    """COMPLIANCE, GOVERNANCE, or None: it is not locked."""
    retain_until: Timestamp | None
    legal_hold: bool | None
    """None: it may not be seen."""
    visible: bool
    """Whether the asker may see locks at all: if not, no mode does not mean no lock."""
    event_hold: bool | None
    """Whether the date moves on until somebody releases it; None where the store knows no such thing."""


@dataclass(frozen=True)
class BucketFacts:
    """What kind of store it is."""

    versioning: bool
    lock: bool
    """Whether versions can be locked."""
    default_mode: str | None
    """The mode of what is put without one."""
    default_days: int | None
    enforced: bool
    """Whether anybody but ourselves keeps the locks: of a folder, nobody does."""


class WormStore(Protocol):
    """Versions of bytes under keys such as "audit/v1/…/batch/…", each locked until a date.

    Keys are as ObjectStore's names. No error and no log line holds a secret. Every act raises the WormErrors above.
    """

    @property
    def url(self) -> str:
        """Where this is, for people: without secrets."""
        ...

    def facts(self) -> BucketFacts:
        """Asked anew each time. Misconfigured: there is no such store."""
        ...

    def create(self, *, retention_days: int) -> None:
        """Make the store with versions, locks, and this retention for what is put without one; nothing if it is."""
        ...

    def now(self) -> Timestamp:
        """The store's own clock, by which locks end; at most a minute old, and gone on since."""
        ...

    def put(self, key: str, data: bytes, *, sha256: str, retain_until: Timestamp) -> str:
        """Store all of `data` as a version locked in COMPLIANCE mode until a whole second; its version id.

        `sha256`, 64 hex digits, is checked by the store. Occupied: the key has a current version that is no delete
        marker, and the store looks; nothing was stored then.
        """
        ...

    def versions(self, prefix: str = "") -> Iterator[Version]:
        """Every version and delete marker of the keys that begin with `prefix`, by key, of one key the newest first."""
        ...

    def versions_of(self, key: str) -> Iterator[Version]:
        """Those of exactly this key, the newest first: quick, however many keys there are."""
        ...

    def lock_of(self, key: str, version_id: str) -> Lock:
        """What is known of one version."""
        ...

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """One version's bytes; without an id the latest's."""
        ...

    def extend(self, key: str, version_id: str, until: Timestamp) -> None:
        """Lock one version in COMPLIANCE mode until `until`, a whole second. Protected: it is locked for longer."""
        ...

    def hold(self, key: str, version_id: str, *, on: bool) -> None:
        """Put one version under a legal hold, which has no end but being lifted, or lift it."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def check_worm_put(key: str, data: bytes, sha256: str, retain_until: Timestamp) -> None:
    """What every store asserts before it stores: our own keys, a size bounded long before, a whole second."""
    assert is_key(key), key
    assert len(data) <= WORM_OBJECT_SIZE_MAX, (key, len(data))
    assert len(sha256) == 64, sha256
    assert retain_until % SECOND == 0, retain_until


def is_key(key: str) -> bool:
    """Whether a version may have this key: a name, and none that a folder needs for itself."""
    return is_name(key) and not key.endswith(LOCK_SUFFIX)


LOCK_SUFFIX: Final = ".lock"
"""What a folder's notes on versions are named by, beside the object."""
