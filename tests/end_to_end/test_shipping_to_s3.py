"""A trail into Ceph's S3 server, with everything going wrong on the way: it arrives, once, locked, whole."""

import random
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from store.audit.objects.batches import expand, lines_of
from store.audit.objects.checkpoint import read_checkpoint
from store.audit.objects.layout import What, read_name
from store.audit.objects.manifest import NO_MANIFEST, Writer, read_manifest
from store.audit.recording.rows import Rows, State
from store.audit.shipping.bucket import prepare_bucket
from store.audit.shipping.putting import Retention
from store.audit.shipping.shipper import Shipper
from store.env.ledger_memory import MemoryLedger
from store.env.memory import MemoryClock
from store.env.posix import SystemClock
from store.env.worm import COMPLIANCE, SECOND
from store.env.worm_s3 import S3Worm
from tests.audit.scenes import KEY, LOG, ORIGIN, frozen
from tests.audit.shipping_scene import Notary
from tests.env import rgw_server
from tests.env.s3_server import BUSY, DROP, HALF, LOST, Answer, Proxy
from tests.env.worm_servers import BUCKET, credentials

BATCHES = 6
TROUBLES: list[str | Answer | None] = [
    *(DROP, BUSY, HALF, LOST),
    Answer(503, "SlowDown", after=True),
    Answer(500, "InternalError"),
    Answer(409, "ConditionalRequestConflict"),
    Answer(412, "PreconditionFailed"),
    Answer(400, "BadDigest"),
    Answer(403, "AccessDenied"),
    Answer(429, "TooManyRequests"),
]


class RealTime(MemoryClock):
    """A clock that shows the real time, and whose pauses are over at once."""

    def __init__(self) -> None:
        super().__init__(SystemClock().wall())


@pytest.fixture(name="proxy")
def _proxy(rgw: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What stands between the shipper and the server; the library does not wait between attempts."""
    credentials(monkeypatch, rgw_server.ACCESS_KEY, rgw_server.SECRET_KEY)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    made = Proxy(rgw)
    yield made
    made.close()


def shipper_of(store: S3Worm, rows: Rows, clock: MemoryClock) -> Shipper:
    """As a process has it that just began."""
    return Shipper(
        store,
        rows,
        Notary(),
        log=LOG,
        origin=ORIGIN,
        writer=Writer("0", "here", rows.fence),
        retention=Retention(1),
        clock=clock,
        tell=lambda _: None,
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_trail_arrives_through_trouble(proxy: Proxy, seed: int) -> None:
    """Every third request or so goes wrong, and now and then the process does: one version of each, all locked."""
    dice = random.Random(seed)  # noqa: S311  # The same trouble each time.
    store = S3Worm(BUCKET, f"trouble-{seed}", endpoint=proxy.url, region="us-east-1")
    prepare_bucket(store, retention=Retention(1))
    ledger, clock = MemoryLedger(), RealTime()
    rows = Rows(ledger, LOG)
    made = [frozen(0)]
    while len(made) < BATCHES:
        made.append(frozen(len(made), before=made[-1].after))
    for each in made:
        rows.freeze(each, b"", at=clock.wall())
    shipper = shipper_of(store, rows, clock)
    steps = 0
    while rows.waiting is not None:
        steps += 1
        assert steps < 2_000, shipper.status()
        proxy.plans = [dice.choice(TROUBLES) if dice.random() < 0.3 else None for _ in range(12)]
        pause = shipper.step()
        clock._monotonic += pause
        if dice.random() < 0.1:
            rows = Rows(ledger.crash(), LOG)
            shipper = shipper_of(store, rows, clock)
    proxy.plans = []
    assert {row.state for row in rows} == {State.ACKED}
    check(store, [each.data for each in made])
    store.close()


def check(store: S3Worm, expected: list[bytes]) -> None:
    """Everything is there once and proves the rest."""
    found = [each for each in store.versions("audit/v1/") if read_name(each.key)]
    assert len({each.key for each in found}) == len(found)
    now = store.now()
    for each in found:
        lock = store.lock_of(each.key, each.version_id)
        assert lock.mode == COMPLIANCE
        assert (lock.retain_until or 0) > now + 23 * 3_600 * SECOND
    names = {each.key: name for each in found if (name := read_name(each.key)) is not None}
    manifests = sorted(key for key, name in names.items() if name.what is What.MANIFEST)
    previous, bodies = NO_MANIFEST, []
    for key in manifests:
        manifest = read_manifest(store.get(key))
        assert (manifest.prev, manifest.signed_by(KEY.key)) == (previous, True)
        bodies.append(store.get(manifest.key, manifest.version_id))
        previous = manifest.digest
    assert bodies == expected
    newest = max(key for key, name in names.items() if name.what is What.CHECKPOINT)
    assert read_checkpoint(store.get(newest))[0].size == sum(len(lines_of(expand(each))) for each in bodies)
