"""What lies beside the manifests: the batch objects and the checkpoints, passed in step with them.

Laws: both are listed in the order of their names, which is that of the manifests, so none is kept. A checkpoint stands
where a batch ends. One that stands elsewhere was never made by a shipper: nothing is proven by it.
"""

from collections.abc import Iterator
from typing import Final

from store.audit.objects.checkpoint import Checkpoint
from store.audit.objects.layout import What, read_name
from store.audit.objects.manifest import Manifest, read_retain_until
from store.audit.reading.verifying.evidence import Evidence
from store.audit.reading.verifying.findings import Kind
from store.audit.reading.verifying.listing import Listed, by_key
from store.audit.reading.verifying.signatures import Signatures

_UNNAMED: Final = "no manifest names this batch: it proves nothing"


class BatchObjects:
    """The objects that hold events, in the order of their names."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence: Final = evidence
        self._listed: Final = by_key(evidence.store, f"{evidence.top}batch/")
        self._ahead: Listed | None = None

    def version_of(self, manifest: Manifest) -> str | None:
        """The version that a manifest names; where nobody keeps versions, the one there is; None: there is none.

        Those that stand before it are named by none.
        """
        evidence, each = self._evidence, self._ahead or next(self._listed, None)
        while each is not None and each.key < manifest.key:
            evidence.find(Kind.WARNING, evidence.where(each), _UNNAMED)
            each = next(self._listed, None)
        self._ahead = each
        if each is None or each.key != manifest.key:
            return None
        self._ahead = None
        if each.first is None or evidence.facts is None or each.first.version_id == manifest.version_id:
            return None if each.first is None else each.first.version_id
        if manifest.version_id in [known.version_id for known in evidence.store.versions_of(each.key)]:
            return manifest.version_id
        what = f"the version that the manifest names, {manifest.version_id}, is gone"
        evidence.find(Kind.TAMPER, evidence.where(each), what)
        return each.first.version_id

    def rest(self) -> None:
        """Those behind the last manifest."""
        for each in [*([self._ahead] if self._ahead else []), *self._listed]:
            if read_name(each.key) is not None:  # What no trail has was found before.
                self._evidence.find(Kind.WARNING, self._evidence.where(each), _UNNAMED)


class Checkpoints:
    """The checkpoints in the order of their sizes, the auditor's own among them."""

    def __init__(self, evidence: Evidence, signatures: Signatures) -> None:
        self._evidence: Final = evidence
        self._signatures: Final = signatures
        self._read: Final = self._all()
        self._ahead: tuple[Checkpoint, Listed] | None = None
        self._counts: set[int] = set()
        """Sizes of those ahead that count."""
        self.largest = 0
        """The largest size of one that counts."""
        self.seen = 0
        """The largest size that the log signed, cosigned or not."""

    def root_at(self, manifest: Manifest) -> bytes | None:
        """The root that was signed for the end of a batch; None where none was."""
        found = None
        while (each := self._ahead or next(self._read, None)) is not None and each[0].size <= manifest.size_after:
            self._ahead = None
            checkpoint, listed = each
            at_end = checkpoint.size == manifest.size_after
            self._evidence.look_at_lock(listed, read_retain_until(manifest.retain_until) if at_end else None)
            if at_end and checkpoint.size in self._counts:
                found = checkpoint.root
            self._hold_to_end(checkpoint.size, manifest, self._evidence.where(listed))
            self._counts.discard(checkpoint.size)
        self._ahead = each
        trusted = self._signatures.trusted
        if trusted is None:
            return found
        self._hold_to_end(trusted.size, manifest, "the trusted checkpoint")
        return trusted.root if trusted.size == manifest.size_after else found

    def rest(self) -> None:
        """Pass those behind the last manifest."""
        for each in [*([self._ahead] if self._ahead else []), *self._read]:
            self._evidence.look_at_lock(each[1], None)

    def _hold_to_end(self, size: int, manifest: Manifest, where: str) -> None:
        if manifest.first < size < manifest.size_after:
            what = f"no batch ends with {size} events: it is forged, or the trail is rewritten"
            self._evidence.find(Kind.TAMPER, where, what)

    def _all(self) -> Iterator[tuple[Checkpoint, Listed]]:
        """Those that the log signed."""
        for each in by_key(self._evidence.store, f"{self._evidence.top}checkpoint/"):
            name = read_name(each.key)
            if name is None or name.what is not What.CHECKPOINT:
                continue
            found, counts = self._signatures.read_checkpoint(each, name.number)
            if found is None:
                self._evidence.look_at_lock(each, None)
                continue
            self.seen = found.size
            if counts:
                self.largest = found.size
                self._counts.add(found.size)
            yield found, each
