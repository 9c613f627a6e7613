"""One trail, kept: from the log into a write-once store, with the log held back until it is there."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from store.audit.keeping import AHEAD_MAX, Keeper
from store.audit.objects.batches import expand, lines_of
from store.audit.objects.checkpoint import Checkpoint
from store.audit.objects.layout import What, folder_of, origin_of, read_name
from store.audit.objects.manifest import read_manifest
from store.audit.objects.notes import SecretKey, Signer, sign
from store.audit.options import AuditOptions
from store.audit.owing import CURSOR
from store.audit.recording.rows import State
from store.audit.signing.keys import introduce_first
from store.engine.engine import Engine
from store.env.hands import OwnHands
from store.env.ledger_memory import MemoryLedger
from store.env.memory import MemoryClock, MemoryDisk, SeededEntropy
from store.env.subjects import MemorySubjectKeys
from store.env.worm_memory import MemoryBucket, MemoryWorm
from store.ids import Offset
from store.snapshot.options import SnapshotOptions
from store.snapshot.repository import Repository
from store.upkeep.lineage import lineage, trail_epoch
from store.upkeep.retention import prune
from tests.engine.scenes import SMALL_SEGMENTS, committed, logged, memory_disk, open_shop
from tests.engine.snapshots import drop_log, proven, taken

OPTIONS = AuditOptions(domain="example.com", batch_events_max=10, retention_days=30)
STEPS_MAX = 5_000


class OneKey:
    """Signs with one key, and introduces it."""

    def __init__(self, log: str) -> None:
        self._signer = SecretKey(origin_of("example.com", log), bytes(32))
        self._notes = dict([introduce_first(log, self._signer, root=None)])

    def notes(self) -> Mapping[str, bytes]:
        """The one note."""
        return self._notes

    def signer(self, size: int) -> Signer:
        """The one key, at any size."""
        assert size > 0
        return self._signer

    def endorse(self, checkpoint: Checkpoint) -> bytes:
        """Signed, without witnesses."""
        return sign(checkpoint.text, [self._signer]).encode()


class Kept:
    """A store and its trail, in memory."""

    def __init__(self, **ledger: Any) -> None:
        self.engine: Engine = open_shop(log_options=SMALL_SEGMENTS)
        self.disk: MemoryDisk = memory_disk(self.engine)
        self.clock = MemoryClock()
        self.bucket = MemoryBucket()
        self.store = MemoryWorm(self.clock, self.bucket)
        self.ledger = MemoryLedger(**ledger)
        self.subjects = MemorySubjectKeys(SeededEntropy(4))
        self.told: list[str] = []
        self.begin()

    def begin(self, **more: Any) -> None:
        """A process begins."""
        log = trail_epoch(lineage(self.disk)).hex()
        self.keeper = Keeper(
            self.disk,
            before=None,
            ledger=self.ledger,
            store=self.store,
            notary=lambda _: OneKey(log),
            key="example.com/audit/key",
            keys=self.subjects,
            clock=self.clock,
            options=OPTIONS,
            version="0.1.0",
            host="here",
            hands=OwnHands(),
            tell=self.told.append,
            **more,
        )

    def live(self, calls: int = 20) -> "Kept":
        """Calls, all of them proven."""
        for number in range(calls):
            committed(self.engine, "add", f"owner {number}")
        proven(self.engine)
        return self

    def run(self) -> "Kept":
        """Until all that is there is shipped."""
        for _ in range(STEPS_MAX):
            pause = self.keeper.step()
            if self.keeper.recorder.recorded.caught_up:
                self.keeper.finish()
                if self.keeper.done:
                    self.clock.advance(6_000_000)
                    self.keeper.step()
                    return self
            self.clock.advance(round(pause * 1e6) + 1)
        raise AssertionError(self.keeper.status())

    def events(self) -> list[dict[str, Any]]:
        """Every event in the store, in the order of the manifests."""
        found: list[dict[str, Any]] = []
        for key in sorted(self.bucket.versions):
            name = read_name(key)
            if name is not None and name.what is What.MANIFEST:
                manifest = read_manifest(self.store.get(key))
                found += map(msgspec.json.decode, lines_of(expand(self.store.get(manifest.key))))
        return found

    @property
    def cursor(self) -> Offset:
        """Behind which the log is held."""
        return Repository(self.disk).pins()[CURSOR].offset


def test_what_happens_is_in_the_store_under_a_checkpoint() -> None:
    """Every record as one event, and the status says so."""
    kept = Kept().live().run()
    records = logged(kept.disk)
    assert [each["unmapped"]["offset"] for each in kept.events()] == [each.offset for each in records]
    status = kept.keeper.status()
    assert status["checkpoint_events"] == status["events"] == len(records)
    assert (status["shipped_offset"], status["lag_s"], status["problem"]) == (records[-1].offset, 0.0, "")
    assert status["batches"]["acked"] == -(-len(records) // 10)
    assert status["shipped"] == [kept.engine.epoch.hex(), records[-1].offset]
    assert status["key"] == "example.com/audit/key"


def test_the_note_of_a_key_is_in_the_store_before_what_it_signs() -> None:
    """Whoever finds a signature finds whose it is."""
    kept = Kept().live().run()
    put = [key for act, key in kept.store.acts if act == "put" and key.startswith(folder_of(kept.keeper.log))]
    assert read_name(put[0]).what is What.KEY  # type: ignore[union-attr]  # It is a trail's object.


def test_nothing_is_shipped_while_that_note_cannot_be() -> None:
    """It is tried again, and said once; the log is recorded meanwhile."""
    kept = Kept().live()
    for _ in range(3):
        kept.store.fail("put")
        kept.keeper.step()
        kept.clock.advance(6_000_000)
    assert not kept.events()
    assert "put failed" in kept.keeper.status()["problem"]
    assert "put failed" in kept.keeper.trouble, "who ships by hand ends here, and does not wait for ever"
    assert kept.keeper.recorder.recorded.events > 0
    kept.run()
    assert not kept.keeper.trouble
    assert len(kept.events()) == len(logged(kept.disk))
    assert sum("note of a key" in each for each in kept.told) == 1


def test_the_log_is_held_back_until_it_is_in_the_store() -> None:
    """From before the first event on, and then behind what a checkpoint covers; retention keeps to it."""
    kept = Kept().live(60)
    assert kept.cursor == 0
    taken(kept.disk)
    kept.live(60)
    taken(kept.disk)
    kept.live(5)
    kept.engine.housekeeping.seal()
    options = SnapshotOptions(keep_for_s=0, grace_s=0, keep_daily=0)
    before = len(kept.disk.names("log"))
    prune(kept.disk, now=kept.clock.wall(), options=options)
    assert len(kept.disk.names("log")) == before
    kept.run()
    assert kept.cursor == kept.keeper.recorder.recorded.offset > 0
    prune(kept.disk, now=kept.clock.wall(), options=options)
    assert len(kept.disk.names("log")) < before


def test_a_process_that_begins_again_ships_the_same() -> None:
    """Whenever the one before ended: no event is missing and none comes twice."""
    kept = Kept().live(30)
    for _ in range(40):
        kept.keeper.step()
        kept.begin()
    kept.live(10).run()
    assert [each["metadata"]["sequence"] for each in kept.events()] == list(range(len(logged(kept.disk))))


def test_an_outage_of_the_store_stops_neither_the_log_nor_the_recorder() -> None:
    """What waits is shipped when it is over; until then the lag grows and the status says why."""
    kept = Kept().live(10).run()
    for _ in range(20):
        kept.live(2)
        for act in ("put", "versions_of", "facts", "now"):
            kept.store.fail(act)
        kept.keeper.step()
        kept.clock.advance(60_000_000)
    status = kept.keeper.status()
    assert status["lag_s"] > 600
    assert status["problem"]
    assert status["events"] > status["checkpoint_events"]
    assert kept.cursor == status["shipped_offset"] < status["offset"]
    for act in ("put", "versions_of", "facts", "now"):
        kept.store.fail(act, after=1 << 60)
    kept.run()
    assert len(kept.events()) == len(logged(kept.disk))


def test_whoever_is_told_that_something_was_mended_looks_at_once() -> None:
    """At a note that could not be put, and at a store that could not be used."""
    kept = Kept().live(5)
    facts, kept.bucket.facts = kept.bucket.facts, None
    kept.store.fail("put")
    kept.keeper.step()
    assert "put failed" in kept.keeper.trouble
    kept.keeper.look_again()
    while not kept.keeper.status()["halted"]:
        kept.keeper.step()
    kept.bucket.facts = facts
    acts = len(kept.store.acts)
    kept.keeper.step()
    assert len(kept.store.acts) == acts, "it waits"
    kept.keeper.look_again()
    kept.keeper.step()
    assert not kept.keeper.status()["halted"]
    assert not kept.keeper.trouble


def test_a_full_ledger_is_said() -> None:
    """With why it is full, so that whoever asks knows what to mend."""
    kept = Kept(size_max=6_000).live(200)
    for _ in range(30):
        kept.store.fail("put")
        kept.keeper.step()
        kept.clock.advance(6_000_000)
    status = kept.keeper.status()
    assert status["full"]
    assert "the ledger is full" in status["problem"]
    assert "put failed" in status["problem"]


def test_a_load_that_never_pauses_does_not_keep_what_is_recorded_from_being_shipped() -> None:
    """While several batches wait, only shipping goes on; where the store does not answer, more is recorded."""
    kept = Kept().live(1).run()
    rows, stood = kept.keeper.recorder.rows, 0
    for number in range(60):
        kept.live(OPTIONS.batch_events_max)
        if number == 40:
            kept.store.fail("put")
        before, waited = kept.keeper.recorder.recorded.offset, rows.counts()[State.FROZEN] > AHEAD_MAX
        kept.keeper.step()
        stands = kept.keeper.recorder.recorded.offset == before
        assert not stands or waited
        stood += stands
    assert 20 < stood <= 42


def test_a_log_that_lost_what_comes_next_is_said_and_what_was_recorded_is_shipped() -> None:
    """Going on without it is for somebody to decide."""
    kept = Kept().live(5)
    while kept.keeper.recorder.step():
        pass
    kept.keeper.finish()
    kept.begin()
    kept.live(80)
    base = taken(kept.disk).manifest
    kept.engine.housekeeping.seal()
    drop_log(kept.disk, base.offset)
    kept.begin()
    for _ in range(200):
        kept.clock.advance(1_000_000)
        kept.keeper.step()
    assert "expected the log behind offset" in kept.keeper.status()["problem"]
    assert sum("cannot be told any further" in each for each in kept.told) == 1
    shipped = len(kept.events())
    assert shipped > 0
    kept.begin(skip_missing=True)
    kept.live(1).run()
    assert len(kept.events()) > shipped


def test_notes_are_looked_at_again_every_day() -> None:
    """So that they stay locked for as long as what they introduce."""
    kept = Kept().live(1).run()
    (key,) = [name for name in kept.bucket.versions if (found := read_name(name)) and found.what is What.KEY]
    first = kept.bucket.versions[key][0].lock.retain_until
    assert first is not None
    kept.clock.advance(5 * 86_400_000_000)
    for _ in range(20):
        kept.keeper.step()
        kept.clock.advance(1_000_000)
    again = kept.bucket.versions[key][0].lock.retain_until
    assert again is not None
    assert again > first


def test_notes_stay_locked_for_longer_than_what_is_shipped_before_they_are_looked_at_again() -> None:
    """A batch of the day's last minute may not outlive the note of the key that signed its manifest."""
    kept = Kept().live(1).run()
    kept.clock.advance(86_400_000_000 - 60_000_000)
    kept.live(1).run()
    ends = {name: versions[0].lock.retain_until for name, versions in kept.bucket.versions.items()}
    notes = [until for name, until in ends.items() if (found := read_name(name)) and found.what is What.KEY]
    assert max(until for until in ends.values() if until) == min(until for until in notes if until)


@pytest.mark.parametrize("rounds", [1, 5])
def test_an_idle_trail_wants_to_be_asked_again_soon(rounds: int) -> None:
    """A tenth of a second later, however long the shipper could wait."""
    kept = Kept().live(1).run()
    for _ in range(rounds):
        pause = kept.keeper.step()
        kept.clock.advance(100_000)
    assert 0 < pause <= 0.1
