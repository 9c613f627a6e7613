"""What tests of a lost ledger share: a store that works, and its trail, recorded and shipped."""

from collections.abc import Callable
from typing import Any

from store.audit.objects.batches import expand, lines_of
from store.audit.objects.layout import What, read_name
from store.audit.objects.manifest import NO_MANIFEST, Writer, read_manifest
from store.audit.recording.context import Context
from store.audit.recording.recorder import Recorder
from store.audit.recording.trail import Limits
from store.audit.shipping.rebuilding import Rebuilt, rebuild
from store.audit.shipping.shipper import Shipper
from store.audit.signing.keys import Succession
from store.engine.engine import Engine
from store.env.hands import Hands, OwnHands
from store.env.ledger_memory import MemoryLedger
from store.env.memory import MemoryClock, SeededEntropy
from store.env.subjects import MemorySubjectKeys
from store.env.worm import SECOND
from store.env.worm_memory import MemoryWorm
from tests.audit.scenes import KEY, ORIGIN
from tests.audit.shipping_scene import RETENTION, STEPS_MAX, Crash, Interrupted, Notary
from tests.engine.scenes import SMALL_SEGMENTS, committed, memory_disk, open_shop
from tests.engine.snapshots import proven

SUCCESSION = Succession(((0, KEY.key),), None, {})
KEYS = MemorySubjectKeys(SeededEntropy(5))
EVENTS = 7


class Kept:
    """A store that works, and its trail: recorded, shipped, and now and then without its ledger."""

    def __init__(self) -> None:
        self.engine: Engine = open_shop(log_options=SMALL_SEGMENTS)
        self.clock = MemoryClock()
        self.store = MemoryWorm(self.clock)
        self.ledger = MemoryLedger()
        self.hands: Callable[[], Hands] = OwnHands
        self.moments = 0
        self.crash_at: int | None = None
        self.recorder: Recorder
        self.shipper: Shipper
        self.work(8).start()

    def work(self, calls: int) -> "Kept":
        """Calls that went well and calls that did not, all of them proven."""
        for number in range(calls):
            committed(self.engine, "add", f"owner {number}")
            committed(self.engine, "give", 999, "nobody")
        proven(self.engine)
        return self

    def start(self) -> "Kept":
        """A process begins."""
        ledger = Interrupted(self.ledger, self._moment, ("commit",))
        acts = ("versions_of", "lock_of", "get", "put", "extend")
        self.recorder = Recorder(
            memory_disk(self.engine),
            ledger=ledger,
            keys=KEYS,
            clock=self.clock,
            limits=Limits(events_max=EVENTS),
            age_max_s=5.0,
        )
        self.shipper = Shipper(
            Interrupted(self.store, self._moment, acts),
            self.recorder.rows,
            Notary(),
            log=self.log,
            origin=ORIGIN.rpartition("/")[0] + "/" + self.log,
            writer=Writer("0", "here", ledger.fence),
            retention=RETENTION,
            clock=self.clock,
            hands=self.hands(),
            tell=lambda _: None,
        )
        return self

    @property
    def log(self) -> str:
        """The trail's id."""
        return self.recorder.current.log

    def run(self) -> "Kept":
        """All that is in the log, into the store."""
        for _ in range(STEPS_MAX):
            while self.recorder.step():
                pass
            self.recorder.finish()
            if self.recorder.rows.waiting is None:
                return self
            self.clock.advance(int(self.shipper.step() * SECOND))
        raise AssertionError(self.shipper.status())

    def lose(self) -> "Kept":
        """The ledger is gone, and an empty one in its place."""
        self.ledger = MemoryLedger()
        return self

    def rebuild(self, **more: Any) -> Rebuilt:
        """Make it anew, and start."""
        arguments: dict[str, Any] = {"succession": SUCCESSION, "context": Context(), **more}
        found = rebuild(
            self.store,
            self.ledger,
            self.log,
            current=memory_disk(self.engine),
            before=None,
            keys=KEYS,
            clock=self.clock,
            progress=lambda _: None,
            **arguments,
        )
        self.ledger.crash()
        self.start()
        return found

    def crash_in(self, moments: int) -> bool:
        """Run, with a crash after so many moments; whether it came to that."""
        self.crash_at = self.moments + moments
        try:
            self.run()
        except Crash:
            return True
        finally:
            self.crash_at = None
        return False

    def _moment(self) -> None:
        self.moments += 1
        if self.moments == self.crash_at:
            raise Crash

    def names(self, what: What) -> list[str]:
        """The keys of one kind in the store."""
        return [each for each in sorted(self.store.bucket.versions) if (name := read_name(each)) and name.what is what]

    def lines(self) -> list[bytes]:
        """Every event in the store, of a trail that holds together: one version of each object, no gap, no fork."""
        found: list[bytes] = []
        previous = NO_MANIFEST
        names = self.names(What.MANIFEST)
        for name in names:
            manifest = read_manifest(self.store.get(name))
            assert (manifest.prev, manifest.first, manifest.signed_by(KEY.key)) == (previous, len(found), True)
            found += lines_of(expand(self.store.get(manifest.key, manifest.version_id)))
            previous = manifest.digest
        assert len(self.names(What.BATCH)) == len(names)
        ours = [stored for key, stored in self.store.bucket.versions.items() if read_name(key)]
        assert {len(stored) for stored in ours} == {1}
        assert read_name(self.names(What.CHECKPOINT)[-1]) is not None
        assert self.names(What.CHECKPOINT)[-1].endswith(f"{len(found):020d}.ckpt")
        return found

    def expected(self) -> list[bytes]:
        """Every event as a trail tells it that lost nothing."""
        ledger = MemoryLedger()
        again = Recorder(memory_disk(self.engine), ledger=ledger, keys=KEYS, clock=self.clock, age_max_s=5.0)
        while again.step():
            pass
        again.finish()
        return [line for row in again.rows for line in lines_of(expand(again.rows.frozen(row).data))]
