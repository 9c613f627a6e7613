"""A trail into Ceph's S3 server, with everything going wrong on the way: it arrives, once, locked, whole."""

import random
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TypeVar

import pytest

from store.audit.objects.batches import Frozen, expand, lines_of
from store.audit.objects.checkpoint import read_checkpoint
from store.audit.objects.layout import What, read_name
from store.audit.objects.manifest import NO_MANIFEST, Writer, read_manifest
from store.audit.objects.merkle import NOTHING
from store.audit.recording.rows import Rows, State
from store.audit.shipping.behind import AHEAD_MAX
from store.audit.shipping.bucket import prepare_bucket
from store.audit.shipping.putting import Retention
from store.audit.shipping.shipper import UNDERWAY_S, Shipper
from store.env.hands import Errand, Hands, ThreadHands
from store.env.ledger_memory import MemoryLedger
from store.env.memory import MemoryClock
from store.env.posix import SystemClock
from store.env.worm import COMPLIANCE, SECOND
from store.env.worm_s3 import S3Worm
from tests.audit.scenes import KEY, LOG, ORIGIN, frozen
from tests.audit.shipping_scene import Notary, OtherHands
from tests.env import rgw_server
from tests.env.s3_server import BUSY, DROP, HALF, LOST, Answer, Proxy
from tests.env.worm_servers import BUCKET, credentials

T = TypeVar("T")
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


def shipper_of(store: S3Worm, rows: Rows, clock: MemoryClock, hands: Hands) -> Shipper:
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
        hands=hands,
        tell=lambda _: None,
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_trail_arrives_through_trouble(proxy: Proxy, seed: int) -> None:
    """Every third request or so goes wrong, and now and then the process does: one version of each, all locked.

    What is under way arrives in any order, but nothing once its process is gone: this server takes taken keys.
    """
    dice = random.Random(seed)  # noqa: S311  # The same trouble each time.
    store = S3Worm(BUCKET, f"trouble-{seed}", endpoint=proxy.url, region="us-east-1", read_timeout_s=5)
    prepare_bucket(store, retention=Retention(1))
    ledger, clock = MemoryLedger(), RealTime()
    rows = Rows(ledger, LOG)
    made = freeze(rows, clock, BATCHES)
    shipper = shipper_of(store, rows, clock, OtherHands(seed))
    steps = 0
    while rows.waiting is not None:
        steps += 1
        assert steps < 2_000, shipper.status()
        proxy.plans = [dice.choice(TROUBLES) if dice.random() < 0.3 else None for _ in range(12)]
        pause = shipper.step()
        clock._monotonic += pause
        if dice.random() < 0.1:
            rows = Rows(ledger.crash(), LOG)
            shipper = shipper_of(store, rows, clock, OtherHands(seed))
    proxy.plans = []
    assert {row.state for row in rows} == {State.ACKED}
    check(store, [each.data for each in made])
    store.close()


def freeze(rows: Rows, clock: MemoryClock, count: int) -> list[Frozen]:
    """So many batches wait."""
    made: list[Frozen] = []
    while len(made) < count:
        made.append(frozen(len(made), before=made[-1].after if made else NOTHING))
        rows.freeze(made[-1], b"", at=clock.wall())
    return made


class Woken(ThreadHands):
    """Threads that say when something is done."""

    def __init__(self) -> None:
        self.ended = threading.Semaphore(0)

    def begin(self, work: Callable[[], T]) -> Errand[T]:
        """In a thread, and said."""

        def said() -> T:
            try:
                return work()
            finally:
                self.ended.release()

        return super().begin(said)


def test_a_trail_arrives_on_several_ways_at_once(proxy: Proxy) -> None:
    """Threads put batches side by side, and each answer says whose it is; trouble on one way is not another's."""
    store = S3Worm(BUCKET, "several", endpoint=proxy.url, region="us-east-1", read_timeout_s=5)
    prepare_bucket(store, retention=Retention(1))
    clock, hands = RealTime(), Woken()
    rows = Rows(MemoryLedger(), LOG)
    made = freeze(rows, clock, 4 * AHEAD_MAX)
    shipper = shipper_of(store, rows, clock, hands)
    dice = random.Random(5)  # noqa: S311  # The same trouble each time, though not on the same request.
    # Of the troubles those that any request may meet.
    steps = 0
    while rows.waiting is not None:
        steps += 1
        assert steps < 5_000, shipper.status()
        if not proxy.plans:
            proxy.plans = [dice.choice(TROUBLES[:6]) if dice.random() < 0.1 else None for _ in range(20)]
        pause = shipper.step()
        if pause == UNDERWAY_S:
            hands.ended.acquire(timeout=1)  # It may have been done before anybody looked.
        else:
            clock._monotonic += pause
    proxy.plans = []
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
