"""What tests of shipping share: a trail of small batches, its ledger and bucket, and crashes wherever one is wanted."""

from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

from store.audit.objects.batches import Frozen, expand, lines_of
from store.audit.objects.checkpoint import Checkpoint, read_checkpoint
from store.audit.objects.layout import What, folder_of, read_name
from store.audit.objects.manifest import NO_MANIFEST, Manifest, read_manifest, read_retain_until
from store.audit.objects.merkle import NOTHING, Span, leaf_hashes, span_of
from store.audit.objects.notes import COSIGNATURE, SecretKey, Signer, sign
from store.audit.recording.rows import Rows, State
from store.audit.shipping.putting import Retention
from store.audit.shipping.shipper import Shipper
from store.audit.signing.notary import Unendorsed
from store.env.hands import Errand, Hands, OwnHands
from store.env.ledger_memory import MemoryLedger
from store.env.memory import MemoryClock
from store.env.worm import COMPLIANCE, SECOND, WormStore
from store.env.worm_memory import MemoryBucket, MemoryWorm
from tests.audit.scenes import KEY, LOG, ORIGIN, WRITER, frozen

RETENTION = Retention(days=30)
STEPS_MAX = 10_000


class Crash(BaseException):
    """The process is gone, in the middle of what it did."""


WITNESS = SecretKey("witness.example", bytes(32), COSIGNATURE)


class Notary:
    """Signs with one key, and as a witness that never says the same twice; fails as often as it is told to."""

    seconds = 0

    def __init__(self) -> None:
        self.failing = 0
        self.endorsed: list[int] = []

    def signer(self, size: int) -> Signer:
        """The one key, at any size."""
        assert size > 0
        return KEY

    def endorse(self, checkpoint: Checkpoint) -> bytes:
        """A note with one witness."""
        if self.failing:
            self.failing -= 1
            raise Unendorsed("no witness answers")
        self.endorsed.append(checkpoint.size)
        Notary.seconds += 1
        return sign(checkpoint.text, [KEY, WITNESS], time=Notary.seconds).encode()


class OtherHands:
    """What is begun is done later, one thing at each look, in an order of the dice (Hands)."""

    apart = True

    def __init__(self, seed: int) -> None:
        self._dice = Random(seed)  # noqa: S311  # The same order each time.
        self._waiting: list[_Later] = []
        self.most = 0
        """How many things were under way at once."""

    def begin(self, work: Callable[[], Any]) -> "_Later":
        """Later."""
        self._waiting.append(_Later(work, self))
        self.most = max(self.most, len(self._waiting))
        return self._waiting[-1]

    def work(self) -> None:
        """Do one of the things that wait, or none."""
        if self._waiting and self._dice.random() < 0.5:
            later = self._waiting.pop(self._dice.randrange(len(self._waiting)))
            later.errand = OwnHands().begin(later.work)


class _Later:
    """An errand that is done at some look."""

    def __init__(self, work: Callable[[], Any], hands: OtherHands) -> None:
        self.work, self._hands = work, hands
        self.errand: Errand[Any] | None = None

    @property
    def done(self) -> bool:
        """Whoever looks lets the hands work."""
        self._hands.work()
        return self.errand is not None

    @property
    def error(self) -> Exception | None:
        """What it raised."""
        return None if self.errand is None else self.errand.error

    def result(self) -> Any:
        """What came of it."""
        assert self.errand is not None
        return self.errand.result()


class Held:
    """What is begun waits until the test lets it be done (Hands)."""

    apart = True

    def __init__(self) -> None:
        self.waiting: list[HeldErrand] = []

    def begin(self, work: Callable[[], Any]) -> "HeldErrand":
        """When it is let go on."""
        self.waiting.append(HeldErrand(work))
        return self.waiting[-1]

    def let(self, place: int) -> None:
        """Do one of those that wait."""
        held = self.waiting.pop(place)
        held.errand = OwnHands().begin(held.work)


class HeldErrand:
    """One that waits, or was done."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.errand: Errand[Any] | None = None

    @property
    def done(self) -> bool:
        """Whether it was let."""
        return self.errand is not None

    @property
    def error(self) -> Exception | None:
        """What it raised."""
        return None if self.errand is None else self.errand.error

    def result(self) -> Any:
        """What came of it."""
        assert self.errand is not None
        return self.errand.result()


class Interrupted:
    """An object of which every act counts: `plan` is asked with the act's number before and after each."""

    def __init__(self, inner: Any, plan: Callable[[], None], acts: tuple[str, ...]) -> None:
        self._inner, self._plan, self._acts = inner, plan, acts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._act, found) if name in self._acts else found

    def _act(self, act: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self._plan()
        answer = act(*arguments, **named)
        if isinstance(answer, Iterator):
            answer = iter(list(answer))
        self._plan()
        return answer


class Scene:
    """One trail on its way."""

    def __init__(self, *, conditional: bool = True, says_hash: bool = True, size_max: int = 64 << 20) -> None:
        self.clock = MemoryClock()
        self.bucket = MemoryBucket()
        self.ledger = MemoryLedger(size_max=size_max)
        self.store = MemoryWorm(self.clock, self.bucket, conditional=conditional, says_hash=says_hash)
        self.hands: Callable[[], Hands] = OwnHands
        self.notary = Notary()
        self.anchors: list[WormStore] = []
        self.told: list[str] = []
        self.moments = 0
        self.crash_at: int | None = None
        self.tree: Span = NOTHING
        self.frozen: list[Frozen] = []
        self.rows: Rows
        self.shipper: Shipper
        self.start()

    def start(self) -> None:
        """A process begins."""
        acts = ("versions_of", "lock_of", "get", "put", "extend", "facts", "now")
        self.rows = Rows(Interrupted(self.ledger, self._moment, ("commit",)), LOG)
        self.shipper = Shipper(
            Interrupted(self.store, self._moment, acts),
            self.rows,
            self.notary,
            log=LOG,
            origin=ORIGIN,
            writer=WRITER,
            retention=RETENTION,
            clock=self.clock,
            anchors=self.anchors,
            hands=self.hands(),
            tell=self.told.append,
        )

    def crash(self) -> None:
        """It is gone, and another begins."""
        self.ledger.crash()
        self.start()

    def freeze(self, batches: int = 1, *, count: int = 3) -> "Scene":
        """Batches are settled and wait in the ledger."""
        for _ in range(batches):
            made = frozen(len(self.frozen), before=self.tree, count=count)
            try:
                self.rows.freeze(made, b"trail %d" % made.last, at=self.clock.wall())
            except Crash:  # Whoever follows the log sees what is in the ledger, and freezes the same once more if not.
                self.crash()
                if self.rows.newest is None or self.rows.newest.batch < made.batch:
                    self.rows.freeze(made, b"trail %d" % made.last, at=self.clock.wall())
            self.frozen.append(made)
            self.tree = made.after
        return self

    def step(self) -> float:
        """One step; then as much time is over as it said."""
        pause = self.shipper.step()
        self.clock.advance(int(pause * SECOND))
        return pause

    def ship(self) -> "Scene":
        """Until nothing waits."""
        for _ in range(STEPS_MAX):
            if self.rows.waiting is None:
                return self
            self.step()
        raise AssertionError(self.shipper.status())

    def _moment(self) -> None:
        self.moments += 1
        if self.moments == self.crash_at:
            raise Crash

    def states(self) -> list[State]:
        """Those of all rows that are known, oldest first."""
        return [row.state for row in self.rows]

    def keys(self, what: What) -> list[str]:
        """The keys of this kind in the bucket, sorted."""
        return [key for key in sorted(self.bucket.versions) if (name := read_name(key)) and name.what is what]

    def check(self, *, versions_max: int = 1) -> "Scene":
        """The bucket holds the whole trail: no gap, nothing twice, everything locked, each part proving the other."""
        manifests = [self._manifest(key, versions_max) for key in self.keys(What.MANIFEST)]
        assert [each.batch for each in manifests] == list(range(len(self.frozen)))
        previous, tree = NO_MANIFEST, NOTHING
        for manifest, made in zip(manifests, self.frozen, strict=True):
            assert (manifest.prev, manifest.key, manifest.signed_by(KEY.key)) == (previous, made.name, True)
            data = self._only(manifest.key, versions_max)
            assert data == made.data
            stored = self.bucket.versions[manifest.key][0]
            assert (manifest.version_id, manifest.sha256) == (stored.version_id, sha256(data).hexdigest())
            assert read_retain_until(manifest.retain_until) <= (stored.lock.retain_until or 0)
            tree = tree.then(span_of(tree.end, leaf_hashes(lines_of(expand(data)))))
            assert manifest.root_after == tree.root().hex()
            previous = manifest.digest
        assert len(self.keys(What.BATCH)) == len(self.frozen)
        assert self._checkpoints(versions_max)[-1] == Checkpoint(ORIGIN, tree.end, tree.root())
        return self

    def _manifest(self, key: str, versions_max: int) -> Manifest:
        return read_manifest(self._only(key, versions_max))

    def _checkpoints(self, versions_max: int) -> list[Checkpoint]:
        return [read_checkpoint(self._only(key, versions_max))[0] for key in self.keys(What.CHECKPOINT)]

    def _only(self, key: str, versions_max: int) -> bytes:
        stored = self.bucket.versions[key]
        assert len(stored) <= versions_max
        assert len({each.data for each in stored}) == 1
        assert stored[0].lock.mode == COMPLIANCE
        assert (stored[0].lock.retain_until or 0) > self.clock.wall() + 29 * 86_400 * SECOND
        return stored[0].data or b""

    def under(self, prefix: str = folder_of(LOG)) -> int:
        """How many versions there are below a prefix."""
        return sum(len(stored) for key, stored in self.bucket.versions.items() if key.startswith(prefix))
