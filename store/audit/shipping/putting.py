"""One object into a write-once store: once, locked, and read back before it counts.

Laws: the bytes and the key are settled before; nothing is ever put under another key to get around trouble. What lies
under the key is looked at first, because an earlier attempt whose answer was lost may have stored it. Of several
versions with our bytes the oldest is the one that counts; other bytes are a conflict, which nobody here mends. A lock
ends by the store's own clock, and is judged as it is read back.
"""

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final

from store.env.world import Clock
from store.env.worm import (
    COMPLIANCE,
    SECOND,
    Garbled,
    Misconfigured,
    NoSuchVersion,
    NotAllowed,
    Occupied,
    Skewed,
    Version,
    WormStore,
)
from store.errors import StoreError
from store.ids import Timestamp

DAY: Final = 86_400 * SECOND
"""Microseconds."""
RETENTION_DAYS_MAX: Final = 36_500
"""S3 keeps nothing locked for more than 100 years."""
MARGIN_DAYS: Final = 1
"""Days by which a lock is longer than was asked for, so that an attempt repeated later still finds it long enough."""
SKEW_MAX_S: Final = 60
"""Seconds by which the store's clock and this machine's may differ. A lock at a wrong time is one for good."""
GARBLED_MAX: Final = 3
"""How often bytes are sent again that did not arrive as they were sent."""
ROUNDS_MAX: Final = 5
"""How often a key is looked at again that is taken when we put, and free when we look."""


class Conflict(StoreError):
    """Under the key lie bytes that are not ours. Whoever put them may have a reason; nothing is shipped past them."""


@dataclass(frozen=True)
class Retention:
    """For how long objects are locked."""

    days: int

    def floor(self, now: Timestamp) -> Timestamp:
        """The earliest end of a lock that is long enough."""
        return Timestamp(_whole(now + self.days * DAY))

    def wanted(self, now: Timestamp) -> Timestamp:
        """The end that is asked for."""
        return Timestamp(_whole(now + (self.days + MARGIN_DAYS) * DAY))


@dataclass(frozen=True)
class Stored:
    """An object that lies in the store as it should."""

    version_id: str
    retain_until: Timestamp
    """The end of its lock, as the store says it."""
    found: tuple[str, ...]
    """What was strange under its key, as sentences for people."""


def store_time(store: WormStore, clock: Clock) -> Timestamp:
    """The store's now. Skewed: it is not ours."""
    now, ours = store.now(), clock.wall()
    if abs(now - ours) > SKEW_MAX_S * SECOND:
        raise Skewed(
            f"the clock of {store.url} is {(now - ours) / SECOND:+.0f} s from this machine's, at most {SKEW_MAX_S} s"
            " are allowed",
            hint="Set this machine's clock (is NTP running?): a lock that ends at a wrong time cannot be mended.",
        )
    return now


class Stage(Enum):
    """How far an object is on its way."""

    LOOKED = "looked"
    """What lies under its key is known; if nothing of ours does, it is put next."""
    PUT = "put"
    """It lies there, and is read back next."""


def ship(store: WormStore, key: str, data: bytes, *, retention: Retention, now: Timestamp, conditional: bool) -> Stored:
    """Store the object, unless it is there, and read it back. `conditional`: the store refuses keys that are taken.

    Every WormError, and Conflict. After any of them, and after a crash, the same call is made again.
    """
    return finish(stages(store, key, data, retention=retention, now=now, conditional=conditional))


def stages(
    store: WormStore, key: str, data: bytes, *, retention: Retention, now: Timestamp, conditional: bool
) -> Generator[Stage, None, Stored]:
    """The same in three parts: whoever goes through several at once can have them put in an order."""
    digest = sha256(data).hexdigest()
    found: list[str] = []
    for _ in range(ROUNDS_MAX):
        canonical = _reconcile(store, key, data, digest, found)
        yield Stage.LOOKED
        put = canonical is None
        if put:
            canonical = _put(store, key, data, digest, retention.wanted(now))
        if canonical is not None:
            yield Stage.PUT
            if put and not conditional:
                canonical = _reconcile(store, key, data, digest, found) or canonical
            until = _settle(store, key, canonical, data, digest, retention, now, found)
            return Stored(canonical, until, tuple(dict.fromkeys(found)))
    raise Misconfigured(
        f"{key} is taken whenever it is put in {store.url}, and free whenever one looks",
        hint="Somebody removes what is put there: look at who may delete, and keep it from them.",
    )


def finish(going: Generator[Stage, None, Stored]) -> Stored:
    """All parts that are left, one after the other."""
    while not isinstance(reached := advance(going), Stored):
        pass
    return reached


def advance(going: Generator[Stage, None, Stored]) -> Stage | Stored:
    """The next part; Stored behind the last."""
    try:
        return next(going)
    except StopIteration as end:
        stored: Stored = end.value
        return stored


def _reconcile(store: WormStore, key: str, data: bytes, digest: str, found: list[str]) -> str | None:
    """The oldest version with our bytes, or None: nothing lies there but delete markers."""
    ours: list[str] = []
    strange: list[str] = []
    for each in store.versions_of(key):
        if each.marker:
            found.append(f"somebody put a delete marker on {key} (version {each.version_id})")
        elif _is_ours(store, each, data, digest):
            ours.append(each.version_id)
        else:
            strange.append(each.version_id)
    if strange:
        versions = ", ".join(strange)
        raise Conflict(
            f"other bytes than this trail's lie under {key} in {store.url} (version {versions})",
            hint="Find out who writes there: does another store have the same log-id? Nothing is shipped until then.",
        )
    if len(ours) > 1:
        found.append(f"{key} lies there {len(ours)} times, version {ours[-1]} counts")
    return ours[-1] if ours else None


def _is_ours(store: WormStore, version: Version, data: bytes, digest: str) -> bool:
    if version.size != len(data):
        return False
    try:
        said = store.lock_of(version.key, version.version_id).sha256
        if said is None:
            return store.get(version.key, version.version_id) == data
    except NoSuchVersion:  # Listed, and its bytes are gone: nothing that we could go on from.
        return False
    return said == digest


def _put(store: WormStore, key: str, data: bytes, digest: str, until: Timestamp) -> str | None:
    """The new version, or None: the key is taken, perhaps by ourselves."""
    for attempt in range(GARBLED_MAX):
        try:
            return store.put(key, data, sha256=digest, retain_until=until)
        except Occupied:
            return None
        except Garbled:
            if attempt == GARBLED_MAX - 1:
                raise
    raise AssertionError("unreachable")


def _settle(
    store: WormStore,
    key: str,
    version_id: str,
    data: bytes,
    digest: str,
    retention: Retention,
    now: Timestamp,
    found: list[str],
) -> Timestamp:
    """Read the version back: our bytes, locked for long enough; lengthen what is not. The end of its lock."""
    floor = retention.floor(now)
    for attempt in range(2):
        lock = store.lock_of(key, version_id)
        bytes_hold = lock.size == len(data) and lock.sha256 in {None, digest}
        if bytes_hold and lock.sha256 is None:
            bytes_hold = store.get(key, version_id) == data
        if not bytes_hold:
            raise Garbled(f"version {version_id} of {key} is read back from {store.url} as other bytes than were put")
        if not lock.visible:
            raise NotAllowed(
                f"{store.url} does not show us how {key} is locked",
                hint="Whoever ships needs s3:GetObjectRetention: `store audit init` prints the policy.",
            )
        until = lock.retain_until
        if lock.mode == COMPLIANCE and until is not None and until >= floor:
            return until
        if attempt == 0:
            if lock.mode is None:
                found.append(f"{key} lay there without a lock, and was locked")
            store.extend(key, version_id, max(retention.wanted(now), until or retention.wanted(now)))
    raise Misconfigured(
        f"{key} is stored in {store.url}, and not locked as it was asked for: mode {lock.mode or 'none'}",
        hint="The store does not keep locks: is Object Lock on, and does this server implement it?",
    )


def _whole(moment: int) -> int:
    """The whole second at or behind a moment."""
    return -(-moment // SECOND) * SECOND
