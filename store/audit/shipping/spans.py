"""The tree at the end of any batch, and the leaves between two of them, from the ledger's rows or else from the store.

Laws: rows that wait are read where they lie; what was shipped long ago is read back by the versions that the manifests
name, and only where somebody lags behind that far.
"""

from bisect import bisect_left
from typing import Final

from store.audit.objects.batches import expand, lines_of
from store.audit.objects.layout import Malformed, batch_name, manifest_name
from store.audit.objects.manifest import Manifest, read_manifest
from store.audit.objects.merkle import Span, leaf_hashes, span_of
from store.audit.recording.rows import Rows
from store.env.worm import WormStore


class Spans:
    """Of one trail. Malformed: what the store holds is none; WormError: it cannot be read."""

    def __init__(self, rows: Rows, store: WormStore, log: str) -> None:
        self._rows: Final = rows
        self._store: Final = store
        self._log: Final = log

    def tree(self, size: int) -> Span:
        """The tree of so many leaves. Malformed: no batch ends there."""
        if size == 0:
            return Span(0, 0, ())
        for row in self._rows:
            if row.first == size:
                return self._rows.frozen(row).before
            if row.size_after == size:
                return self._rows.frozen(row).after
        found = self._manifest(self._number(size))
        if found.first != size:
            raise Malformed(f"no batch of this trail ends at {size} events")
        return found.span_before

    def between(self, start: int, end: int) -> Span:
        """The leaves from one batch's end to another's. Malformed: no batch begins there."""
        found = Span(start, start, ())
        rows = [row for row in self._rows if start <= row.first and row.size_after <= end]
        kept_from = rows[0].first if rows else end
        number = self._number(start) if start < kept_from else 0
        while found.end < kept_from:
            found = found.then(self._stored(number, found.end))
            number += 1
        for row in rows:
            found = found.then(self._rows.frozen(row).span)
        if found.end != end:
            raise Malformed(f"no batch of this trail ends at {end} events")
        return found

    def _stored(self, number: int, start: int) -> Span:
        """The leaves of a batch, read back."""
        found = self._manifest(number)
        name = batch_name(self._log, number, first=found.first, last=found.last)
        if found.first != start:
            raise Malformed(f"expected a batch that begins with event {start}, found {name}")
        leaves = leaf_hashes(lines_of(expand(self._store.get(name, found.version_id or None))))
        return span_of(start, leaves)

    def _number(self, first: int) -> int:
        """The batch that begins with this event, or the one behind it: manifests are looked at as in a dictionary."""
        oldest = next(iter(self._rows), None)
        count = oldest.batch if oldest is not None else 0
        if count == 0:
            raise Malformed(f"no batch of this trail begins with event {first}")
        return min(bisect_left(range(count), first, key=lambda each: self._manifest(each).first), count - 1)

    def _manifest(self, number: int) -> Manifest:
        """The oldest version is ours: nobody's later one counts."""
        name = manifest_name(self._log, number)
        versions = [each for each in self._store.versions_of(name) if not each.marker]
        if not versions:
            raise Malformed(f"{name} is missing in {self._store.url}")
        oldest = min(versions, key=lambda each: each.stored_at)
        return read_manifest(self._store.get(name, oldest.version_id))
