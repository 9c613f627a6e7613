"""Trails as the store itself makes them: from a real log, by its own events, batches and manifests."""

from hashlib import sha256

from store.audit.objects.checkpoint import Checkpoint
from store.audit.objects.layout import checkpoint_name, manifest_name, origin_of
from store.audit.objects.manifest import NO_MANIFEST, Writer
from store.audit.objects.notes import SecretKey, Signer, sign
from store.audit.recording.context import Context
from store.audit.recording.trail import BEGINNING, Closed, Limits, Trail
from store.audit.signing.keys import introduce_first
from store.codec import split_batch
from store.env.memory import SeededEntropy
from store.env.subjects import MemorySubjectKeys
from store.env.world import Disk
from store.env.worm import WormStore
from store.ids import Offset, Timestamp
from store.log.following import Follower
from store.log.segment import segment_offsets

LOG = "00112233445566778899aabbccddeeff"
ORIGIN = origin_of("commitstore.local", LOG)
KEY = SecretKey(ORIGIN, bytes(range(32)))
UNTIL = Timestamp(2_110_838_400_000_000)
"""Until when every object is locked."""


class Shipping:
    """A trail of one store, shipped batch by batch; further logs of it may follow, as after a restore."""

    def __init__(self, store: WormStore, *, events: int = 7, signer: Signer = KEY) -> None:
        self.store = store
        self.signer = signer
        self.trail = Trail(
            log=LOG, keys=MemorySubjectKeys(SeededEntropy(5)), standing=BEGINNING, context=Context(),
            limits=Limits(events_max=events),
        )  # fmt: skip
        self.prev = NO_MANIFEST
        store.create(retention_days=1)
        self.put(*introduce_first(LOG, signer, root=None))

    def put(self, key: str, data: bytes) -> str:
        """One locked object; its version id."""
        return self.store.put(key, data, sha256=sha256(data).hexdigest(), retain_until=UNTIL)

    def tell(self, disk: Disk, *, after: int = 0) -> "Shipping":
        """All that this log proves behind an offset."""
        offset = Offset(max(after, segment_offsets(disk)[0] - 1))
        follower = Follower(disk, after=offset)
        while found := follower.read():
            for epoch, batch in found:
                raw = split_batch(batch.body)
                for closed in self.trail.take(epoch, raw[max(0, offset + 1 - batch.first_offset) :]):
                    self.ship(closed)
        last = self.trail.close()
        if last is not None:
            self.ship(last)
        return self

    def ship(self, closed: Closed) -> None:
        """Batch, manifest and checkpoint."""
        frozen = closed.frozen
        version = self.put(frozen.name, frozen.data)
        writer = Writer(version="0.1.0", host="test", fence=1)
        manifest = frozen.manifest(
            origin=ORIGIN, prev=self.prev, version_id=version, until=UNTIL, writer=writer, signer=self.signer
        )
        self.put(manifest_name(LOG, frozen.batch), manifest.encode())
        self.prev = manifest.digest
        size = frozen.after.end
        checkpoint = Checkpoint(ORIGIN, size, frozen.after.root())
        self.put(checkpoint_name(LOG, size), sign(checkpoint.text, [self.signer]).encode())
