"""The manifests of a trail in their order.

Law: each holds by itself, is signed by the key in force, and follows the one before where that is there. What is not
there or is broken is found, and the reading goes on behind it.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from store.audit.objects.layout import Malformed, What, read_name
from store.audit.objects.manifest import NO_MANIFEST, Manifest, read_manifest, read_retain_until
from store.audit.reading.verifying.evidence import Evidence
from store.audit.reading.verifying.findings import Kind
from store.audit.reading.verifying.listing import by_key
from store.audit.reading.verifying.signatures import Signatures
from store.ids import Timestamp


class Manifests:
    """Passed once, from the first to the last."""

    def __init__(self, evidence: Evidence, signatures: Signatures) -> None:
        self._evidence: Final = evidence
        self._keys: Final = signatures.keys
        self.size = 0
        """Events up to the end of the last manifest that holds."""
        self.retained_until: Timestamp | None = None
        """Until when the last to go of those that hold says that its batch is held."""

    def __iter__(self) -> Iterator[Manifest]:
        """Each manifest that holds by itself, and follows the one before where that is there."""
        before: Manifest | None = None
        expected = 0
        for listed in by_key(self._evidence.store, f"{self._evidence.top}manifest/"):
            name = read_name(listed.key)
            if name is None or name.what is not What.MANIFEST:
                continue
            where = self._evidence.where(listed)
            if name.number != expected:
                missing = f"manifests {expected} to {name.number - 1} are missing before it"
                self._evidence.find(Kind.INCOMPLETE, where, missing)
            try:
                data = self._evidence.read(listed)
                manifest = self._check(data, name.number)
                if before is not None and before.batch == manifest.batch - 1:
                    _check_follows(before, manifest)
            except Malformed as error:
                self._evidence.find(Kind.TAMPER, where, error)
                before, expected = None, name.number + 1
                continue
            until = read_retain_until(manifest.retain_until)
            self.retained_until = max(until, self.retained_until or until)
            self._evidence.look_at_lock(listed, until)
            self._evidence.outcome.counts.manifests += 1
            before, expected = manifest, name.number + 1
            self.size = manifest.size_after
            yield manifest

    def _check(self, data: bytes, number: int) -> Manifest:
        found = read_manifest(data)
        if found.log != self._evidence.request.log or found.origin != self._evidence.outcome.origin:
            raise Malformed(f"expected a manifest of the log {self._evidence.request.log}, found one of {found.log}")
        if found.batch != number:
            raise Malformed(f"expected batch {number}, as its name says, found {found.batch}")
        if found.batch == 0 and found.prev != NO_MANIFEST:
            raise Malformed(f"the first manifest follows {found.prev}")
        if found.span_before.root().hex() != found.root_before:
            raise Malformed("frontier_before does not give root_before")
        key = self._keys.in_force(found.size_after)
        if not found.signed_by(key):
            raise Malformed(f"it is not signed by the key in force, {key}")
        return found


def _check_follows(before: Manifest, manifest: Manifest) -> None:
    if manifest.prev != sha256(before.encode()).hexdigest():
        raise Malformed(f"expected it to follow the manifest {before.digest}, found {manifest.prev}")
    if (manifest.first, manifest.root_before) != (before.size_after, before.root_after):
        raise Malformed(f"expected it to begin with event {before.size_after}, and with the root before it")
