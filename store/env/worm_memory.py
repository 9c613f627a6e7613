"""A write-once store in memory, with everything that can go wrong at hand: failures, lost answers, attackers."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256 as sha256_of

from store.env.world import Clock
from store.env.worm import (
    COMPLIANCE,
    BucketFacts,
    Garbled,
    Lock,
    Misconfigured,
    NoSuchVersion,
    Occupied,
    Protected,
    Unreachable,
    Version,
    check_worm_put,
)
from store.ids import Timestamp


@dataclass(frozen=True)
class _Stored:
    """One version; data is None for a delete marker."""

    version_id: str
    data: bytes | None
    stored_at: Timestamp
    lock: Lock


@dataclass
class MemoryBucket:
    """What all openers of one store share."""

    facts: BucketFacts | None = field(
        default_factory=lambda: BucketFacts(
            versioning=True, lock=True, default_mode=COMPLIANCE, default_days=1, enforced=True
        )
    )
    """None: it was not made yet."""
    versions: dict[str, list[_Stored]] = field(default_factory=dict)
    """By key, oldest first."""
    count: int = 0


class MemoryWorm:
    """Versions in a dict (WormStore). `conditional=False`: it takes any number under one key, as some servers do."""

    def __init__(
        self,
        clock: Clock,
        bucket: MemoryBucket | None = None,
        *,
        conditional: bool = True,
        says_hash: bool = True,
        shows_locks: bool = True,
    ) -> None:
        self.bucket = MemoryBucket() if bucket is None else bucket
        self.acts: list[tuple[str, str]] = []
        """(act, key) of everything that was asked, in order."""
        self.skew = 0
        """Microseconds by which this store's clock is ahead."""
        self._clock = clock
        self._conditional = conditional
        self._says_hash = says_hash
        self._shows_locks = shows_locks
        self._failing: dict[str, tuple[int, Exception]] = {}

    @property
    def url(self) -> str:
        """Where this is."""
        return "memory:"

    def fail(self, act: str, error: Exception | None = None, *, after: int = 0) -> None:
        """Fail one act ("put", …, or "put answer": stored, but nobody hears of it), after so many that work."""
        self._failing[act] = after, error or Unreachable(f"{act} failed, as was asked for")

    def facts(self) -> BucketFacts:
        """What kind of store it is."""
        self._act("facts", "")
        if self.bucket.facts is None:
            raise Misconfigured("there is no such store", hint="Make it first.")
        return self.bucket.facts

    def create(self, *, retention_days: int) -> None:
        """Make it, with all that is needed."""
        self._act("create", "")
        if self.bucket.facts is None:
            self.bucket.facts = BucketFacts(
                versioning=True, lock=True, default_mode=COMPLIANCE, default_days=retention_days, enforced=True
            )

    def now(self) -> Timestamp:
        """The clock it was given, and its skew."""
        self._act("now", "")
        return self._now()

    def put(self, key: str, data: bytes, *, sha256: str, retain_until: Timestamp) -> str:
        """Keep a locked version."""
        check_worm_put(key, data, sha256, retain_until)
        self._act("put", key)
        if sha256_of(data).hexdigest() != sha256:
            raise Garbled(f"{key} did not arrive as it was sent")
        if retain_until <= self._now():
            raise Misconfigured(f"{key} would be locked until a moment that is past")
        there = self.bucket.versions.get(key)
        if self._conditional and there and there[-1].data is not None:
            raise Occupied(f"{key} is taken")
        version_id = self._add(key, bytes(data), mode=COMPLIANCE, retain_until=retain_until)
        self._act("put answer", key)
        return version_id

    def versions(self, prefix: str = "") -> Iterator[Version]:
        """All of them, by key, the newest first."""
        self._act("versions", prefix)
        for key in sorted(key for key in self.bucket.versions if key.startswith(prefix)):
            yield from self._listed(key)

    def versions_of(self, key: str) -> Iterator[Version]:
        """Those of one key."""
        self._act("versions_of", key)
        yield from self._listed(key)

    def _listed(self, key: str) -> Iterator[Version]:
        stored = self.bucket.versions.get(key, [])
        for each in reversed(stored):
            marker = each.data is None
            size, latest = len(each.data or b""), each is stored[-1]
            yield Version(key, each.version_id, size, marker=marker, latest=latest, stored_at=each.stored_at)

    def lock_of(self, key: str, version_id: str) -> Lock:
        """What is known of one version."""
        self._act("lock_of", key)
        lock = self._find(key, version_id).lock
        if not self._shows_locks:
            lock = replace(lock, mode=None, retain_until=None, legal_hold=None, visible=False)
        return lock if self._says_hash else replace(lock, sha256=None)

    def get(self, key: str, version_id: str | None = None) -> bytes:
        """One version's bytes."""
        self._act("get", key)
        return self._find(key, version_id).data or b""

    def extend(self, key: str, version_id: str, until: Timestamp) -> None:
        """Lock one version for longer."""
        self._act("extend", key)
        lock = self._find(key, version_id).lock
        if lock.mode == COMPLIANCE and lock.retain_until is not None and until < lock.retain_until:
            raise Protected(f"{key} is locked for longer")
        self._relock(key, version_id, replace(lock, mode=COMPLIANCE, retain_until=until))
        self._act("extend answer", key)

    def hold(self, key: str, version_id: str, *, on: bool) -> None:
        """Hold one version, or let it go."""
        self._act("hold", key)
        self._relock(key, version_id, replace(self._find(key, version_id).lock, legal_hold=on))

    def close(self) -> None:
        """There is nothing to let go of."""

    def overwrite(self, key: str, data: bytes, *, mode: str | None = None, retain_until: int | None = None) -> str:
        """What somebody with keys to the bucket can do: one more version, locked or not."""
        return self._add(key, data, mode=mode, retain_until=None if retain_until is None else Timestamp(retain_until))

    def mark_deleted(self, key: str) -> str:
        """The same: a delete marker, which no lock forbids."""
        return self._add(key, None, mode=None, retain_until=None)

    def tamper(self, key: str, version_id: str, data: bytes | None, **lock: object) -> None:
        """What only the keeper of the store itself can do: other bytes in a version, another lock, or None: gone."""
        stored = self.bucket.versions[key]
        for place, each in enumerate(stored):
            if each.version_id == version_id:
                if data is None:
                    del stored[place]
                    break
                known = replace(each.lock, size=len(data), sha256=sha256_of(data).hexdigest())
                stored[place] = replace(each, data=data, lock=replace(known, **lock))  # type: ignore[arg-type]
        if not stored:
            del self.bucket.versions[key]

    def _add(self, key: str, data: bytes | None, *, mode: str | None, retain_until: Timestamp | None) -> str:
        self.bucket.count += 1
        version_id = f"version-{self.bucket.count:06d}"
        lock = Lock(
            size=len(data or b""),
            sha256=sha256_of(data or b"").hexdigest(),
            mode=mode,
            retain_until=retain_until,
            legal_hold=False,
            visible=True,
            event_hold=None,
        )
        self.bucket.versions.setdefault(key, []).append(_Stored(version_id, data, self._now(), lock))
        return version_id

    def _find(self, key: str, version_id: str | None) -> _Stored:
        for each in reversed(self.bucket.versions.get(key, [])):
            if version_id in {None, each.version_id}:
                if each.data is None:
                    break
                return each
        raise NoSuchVersion(f"there is no version {version_id or ''} of {key}")

    def _relock(self, key: str, version_id: str, lock: Lock) -> None:
        stored = self.bucket.versions[key]
        place = next(number for number, each in enumerate(stored) if each.version_id == version_id)
        stored[place] = replace(stored[place], lock=lock)

    def _now(self) -> Timestamp:
        return Timestamp(self._clock.wall() + self.skew)

    def _act(self, act: str, key: str) -> None:
        self.acts.append((act, key))
        after, error = self._failing.get(act, (-1, None))
        if error is not None and after == 0:
            del self._failing[act]
            raise error
        if error is not None:
            self._failing[act] = after - 1, error
