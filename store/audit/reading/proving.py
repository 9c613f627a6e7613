"""That one event is in the trail, in a file of a kilobyte: its place, a path of hashes, and a signed checkpoint.

Laws: a proof is checked before it is given out. It takes the batch of the event and those behind it up to the next
signed root, and nothing before: a batch says how the tree was before it. The file is as c2sp.org/tlog-proof has it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from store.audit.objects.batches import expand, lines_of
from store.audit.objects.checkpoint import Proof
from store.audit.objects.layout import Malformed, What, folder_of, manifest_name, read_name
from store.audit.objects.manifest import Manifest, read_manifest
from store.audit.objects.merkle import Span, inclusion_proof, leaf_hash, leaf_hashes, span_of
from store.audit.reading.verifying.listing import Listed, by_key
from store.env.worm import WormStore
from store.errors import StoreError


class NotProven(StoreError):
    """There is no such event, or no checkpoint signs it yet."""


@dataclass(frozen=True)
class Proven:
    """An event, and what proves it."""

    line: bytes
    """Without its newline."""
    proof: Proof


def prove(store: WormStore, log: str, seq: int) -> Proven:
    """The proof of one event, under the smallest checkpoint that holds it; who signed that is for `verify-proof`.

    NotProven: there is no such event yet, or no checkpoint over it. Malformed: the trail does not hold there.
    """
    top = folder_of(log)
    checkpoint = _first(store, f"{top}checkpoint/", seq)
    batches = list(_batches(store, f"{top}batch/", seq, checkpoint[0]))
    manifest = _manifest(store, log, batches[0][0])
    lines = _lines(store, batches[0][1], manifest)
    place = seq - manifest.first
    leaves = leaf_hashes(lines)
    before = manifest.span_before.then(span_of(manifest.first, leaves[:place]))
    behind = span_of(seq + 1, leaves[place + 1 :])
    for number, listed in batches[1:]:
        further = _manifest(store, log, number)
        behind = behind.then(_span(store, listed, further, behind.end))
    if behind.end != checkpoint[0]:
        raise Malformed(f"expected batches up to event {checkpoint[0]}, found them up to {behind.end}")
    proof = Proof(seq, tuple(inclusion_proof(before, leaves[place], behind)), _get(store, checkpoint[1]))
    if not proof.shows(leaf_hash(lines[place])):
        raise Malformed(f"event {seq} is not under the root that was signed for {checkpoint[0]} events")
    return Proven(lines[place], proof)


def _first(store: WormStore, prefix: str, seq: int) -> tuple[int, Listed]:
    """The smallest checkpoint that is larger than `seq`."""
    largest = 0
    for listed in by_key(store, prefix):
        name = read_name(listed.key)
        if name is not None and name.what is What.CHECKPOINT:
            largest = max(largest, name.number)
            if name.number > seq:
                return name.number, listed
    raise NotProven(
        f"no checkpoint signs event {seq}: the largest is over {largest} events, 0 to {largest - 1}",
        hint="Name an event before that, or wait for the next checkpoint",
    )


def _batches(store: WormStore, prefix: str, seq: int, size: int) -> Iterator[tuple[int, Listed]]:
    """The batch that holds `seq`, and those behind it up to a size."""
    found = False
    for listed in by_key(store, prefix):
        name = read_name(listed.key)
        if name is not None and name.what is What.BATCH and name.last >= seq and name.first < size:
            found = True
            yield name.number, listed
    if not found:
        raise Malformed(f"the batch of event {seq} is missing")


def _manifest(store: WormStore, log: str, number: int) -> Manifest:
    name = manifest_name(log, number)
    listed = next(by_key(store, name), None)
    if listed is None:
        raise Malformed(f"the manifest {name} is missing")
    return read_manifest(_get(store, listed))


def _lines(store: WormStore, listed: Listed, manifest: Manifest) -> list[bytes]:
    lines = lines_of(expand(_get(store, listed)))
    if listed.key != manifest.key or len(lines) != manifest.count:
        raise Malformed(f"expected the {manifest.count} events of {manifest.key}, found {len(lines)} of {listed.key}")
    return lines


def _span(store: WormStore, listed: Listed, manifest: Manifest, start: int) -> Span:
    if manifest.first != start:
        raise Malformed(f"expected the batch that begins with event {start}, found that of event {manifest.first}")
    return span_of(manifest.first, leaf_hashes(_lines(store, listed, manifest)))


def _get(store: WormStore, listed: Listed) -> bytes:
    if listed.first is None:
        raise Malformed(f"only a delete marker is left of {listed.key}")
    return store.get(listed.key, listed.first.version_id)
