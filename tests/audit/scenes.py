"""What tests of the audit share: keys, and small batches."""

from store.audit.objects.batches import Frozen, freeze
from store.audit.objects.layout import origin_of
from store.audit.objects.manifest import NO_MANIFEST, Manifest, Writer
from store.audit.objects.merkle import NOTHING, Span
from store.audit.objects.notes import SecretKey
from store.ids import Timestamp

LOG = "00112233445566778899aabbccddeeff"
EPOCH = "ffeeddccbbaa99887766554433221100"
ORIGIN = origin_of("example.com", LOG)
KEY = SecretKey(ORIGIN, bytes(range(32)))
NOON = Timestamp(1_800_000_000_000_000)
WRITER = Writer(version="0.1.0", host="somewhere", fence=1)


def lines_of(first: int, count: int) -> list[bytes]:
    """Lines that stand for events."""
    return [b'{"sequence":%d}' % each for each in range(first, first + count)]


def frozen(batch: int = 0, *, before: Span = NOTHING, count: int = 3) -> Frozen:
    """A batch of lines that stand for events."""
    return freeze(
        log=LOG,
        batch=batch,
        before=before,
        lines=lines_of(before.end, count),
        t_first=NOON,
        t_last=Timestamp(NOON + count),
        ranges=((EPOCH, before.end + 1, before.end + count),),
    )


def manifest_of(batch: Frozen, prev: str = NO_MANIFEST) -> Manifest:
    """Its manifest, signed by KEY."""
    return batch.manifest(origin=ORIGIN, prev=prev, version_id="v1", until=NOON, writer=WRITER, signer=KEY)
