"""A store of evidence: small objects read out of it, how it holds them, and what is found on the way.

Laws: of each key the oldest version is read. That a store does not show a lock is not the same as that there is none.
What kind of store it is decides what can be said at all: a plain copy keeps neither versions nor locks.
"""

from typing import Final

from store.audit.objects.layout import Malformed, folder_of
from store.audit.objects.manifest import retain_until
from store.audit.reading.verifying.findings import Kind, Outcome
from store.audit.reading.verifying.listing import Listed
from store.audit.reading.verifying.request import Request
from store.env.worm import COMPLIANCE, BucketFacts, Lock, Misconfigured, NoSuchVersion, WormStore
from store.ids import Timestamp

SMALL_SIZE_MAX: Final = 1 << 20
"""Bytes of a note or a manifest, at most."""


class Evidence:
    """One trail's objects, and the outcome of looking at them."""

    def __init__(self, store: WormStore, request: Request) -> None:
        """WormError: what kind of store it is cannot be found out."""
        self.store: Final = store
        self.request: Final = request
        self.top: Final = folder_of(request.log)
        self.outcome: Final = Outcome(request.log, "", store.url)
        self.facts: Final = _facts_of(store)
        """None: a plain copy."""

    def where(self, listed: Listed) -> str:
        """An object's name without the trail's folder."""
        return listed.key.removeprefix(self.top)

    def find(self, kind: Kind, where: str, what: object) -> None:
        """Note a finding."""
        self.outcome.findings.add(kind, where, what)

    def read(self, listed: Listed) -> bytes:
        """A small object. Malformed: it is too large, or only delete markers are left of it."""
        if listed.first is None:
            raise Malformed("only a delete marker is left of it")
        try:
            data = self.store.get(listed.key, listed.first.version_id) if listed.first.size <= SMALL_SIZE_MAX else b""
        except NoSuchVersion as error:
            raise Malformed(error.message) from None
        if not 0 < len(data) <= SMALL_SIZE_MAX:
            raise Malformed(f"expected 1 to {SMALL_SIZE_MAX} bytes, found {listed.first.size}")
        return data

    def look_at_lock(self, listed: Listed, wanted: Timestamp | None) -> None:
        """Where locks are asked for: that of the version that counts, which `wanted` says how long it must be."""
        if not self.request.check_locks or listed.first is None or self.facts is None:
            return
        try:
            self.judge_lock(self.store.lock_of(listed.key, listed.first.version_id), self.where(listed), wanted)
        except NoSuchVersion as error:
            self.find(Kind.TAMPER, self.where(listed), error)

    def judge_lock(self, lock: Lock, where: str, wanted: Timestamp | None) -> None:
        """Hold a lock to COMPLIANCE mode and to a moment; None: to any."""
        if self.facts is None:
            return
        if not lock.visible:
            self.find(Kind.UNLOCKED, where, "whoever asks may not see its lock: allow s3:GetObjectRetention")
            return
        self.outcome.counts.locks += 1
        until = lock.retain_until
        if lock.mode != COMPLIANCE or until is None:
            self.find(Kind.UNLOCKED, where, f"its mode is {lock.mode}, expected {COMPLIANCE}: somebody may remove it")
            return
        if wanted is not None and until < wanted:
            said = f"it is locked until {retain_until(until)}, expected {retain_until(wanted)}, as was signed"
            self.find(Kind.UNLOCKED, where, said)
        if lock.event_hold:
            self.find(Kind.UNLOCKED, where, "an event hold moves the date of its lock")
        least, most = self.outcome.retained_until or (until, until)
        self.outcome.retained_until = min(least, until), max(most, until)


def _facts_of(store: WormStore) -> BucketFacts | None:
    """What kind of store it is; None for a plain copy, which keeps neither versions nor locks."""
    try:
        return store.facts()
    except Misconfigured:
        return None
