"""From the log into the ledger: every proven record becomes one event, once, whatever comes in between."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.audit.objects.batches import expand, lines_of
from store.audit.recording.recorder import Recorder
from store.audit.recording.rows import State
from store.audit.recording.trail import Limits
from store.engine.engine import Engine
from store.env.ledger import LedgerDamaged
from store.env.ledger_memory import MemoryLedger
from store.env.memory import MemoryClock, SeededEntropy
from store.env.subjects import MemorySubjectKeys
from store.env.world import Disk
from store.errors import ConfigError, CorruptionError, DirectoryError
from store.ids import Offset, Timestamp
from store.transaction import Kind
from tests.engine.past import a_past, restored, start
from tests.engine.scenes import SMALL_SEGMENTS, committed, logged, memory_disk, open_shop
from tests.engine.snapshots import a_life, drop_log, proven, taken
from tests.upkeep.test_cloning import cloned

KEYS = MemorySubjectKeys(SeededEntropy(5))


def recorder(
    disk: Disk, ledger: MemoryLedger, *, clock: MemoryClock | None = None, events: int = 7, **more: Any
) -> Recorder:
    """A recorder of small batches, as a process has it that just began."""
    limits = Limits(events_max=events)
    return Recorder(disk, ledger=ledger, keys=KEYS, clock=clock or MemoryClock(), limits=limits, age_max_s=5.0, **more)


def run(recording: Recorder) -> None:
    """Until nothing more is to be done, the open batch frozen."""
    while recording.step():
        pass
    recording.finish()


def events(recording: Recorder) -> list[dict[str, Any]]:
    """Every event in the ledger."""
    found: list[dict[str, Any]] = []
    for row in recording.rows:
        found += [msgspec.json.decode(line) for line in lines_of(expand(recording.rows.frozen(row).data))]
    return found


def places(recording: Recorder) -> list[tuple[str, int]]:
    """(epoch, offset) of every event."""
    return [(each["unmapped"]["epoch"], each["unmapped"]["offset"]) for each in events(recording)]


def a_shop(calls: int = 20) -> Engine:
    """A store with calls that went well and calls that did not, in several segments, all of it proven."""
    engine = open_shop(log_options=SMALL_SEGMENTS)
    more(engine, calls)
    return engine


def more(engine: Engine, calls: int) -> None:
    """Further calls, all of them proven."""
    for number in range(calls):
        committed(engine, "add", f"owner {number}")
        committed(engine, "give", 999, "nobody")
    proven(engine)


def test_every_record_is_an_event_in_the_logs_order() -> None:
    """Epoch, schema, start, identities and calls, also those that were refused."""
    engine = a_shop()
    recording = recorder(memory_disk(engine), MemoryLedger())
    run(recording)
    found, records = events(recording), logged(memory_disk(engine))
    assert [each["unmapped"]["offset"] for each in found] == [each.offset for each in records]
    assert [each["metadata"]["sequence"] for each in found] == list(range(len(records)))
    assert Counter(each["status_id"] for each in found)[2] == 20
    assert recording.recorded.offset == recording.recorded.frozen_offset == records[-1].offset


def test_batches_do_not_wait_longer_than_their_age() -> None:
    """A store with little to do has its events in the ledger soon; those of a busy one go in full batches."""
    engine = a_shop(2)
    clock = MemoryClock()
    recording = recorder(memory_disk(engine), MemoryLedger(), clock=clock, events=5)
    while recording.step():
        pass
    total = len(logged(memory_disk(engine)))
    assert recording.recorded.waiting == total % 5
    assert recording.recorded.events == total - total % 5
    assert recording.recorded.waiting_since is not None
    clock.advance(4_900_000)
    recording.step()
    assert recording.recorded.waiting
    clock.advance(200_000)
    recording.step()
    assert recording.recorded.waiting == 0
    assert recording.recorded.events == total
    assert recording.recorded.caught_up


def test_nothing_that_is_not_proven_is_told() -> None:
    """A crash could take it back."""
    engine = a_shop(1)
    committed(engine, "add", "last")
    recording = recorder(memory_disk(engine), MemoryLedger())
    run(recording)
    assert recording.recorded.offset == engine.log.durable_offset - 1
    proven(engine)
    run(recording)
    assert recording.recorded.offset == engine.log.durable_offset


@given(st.lists(st.sampled_from(["call", "step", "again", "wait", "seal"]), max_size=30))
def test_however_often_it_begins_again_the_events_are_the_same(acts: list[str]) -> None:
    """Where batches are cut differs; the lines do not, and each comes once."""
    engine = a_shop(2)
    disk, ledger, clock = memory_disk(engine), MemoryLedger(), MemoryClock()
    recording = recorder(disk, ledger, clock=clock)
    for act in acts:
        if act == "call":
            more(engine, 1)
        elif act == "step":
            recording.step()
        elif act == "again":
            recording = recorder(disk, ledger, clock=clock)
        elif act == "wait":
            clock.advance(6_000_000)
        else:
            engine.housekeeping.seal()
    run(recording)
    whole = recorder(disk, MemoryLedger(), events=1_000)
    run(whole)
    assert events(recording) == events(whole)


def test_a_full_ledger_stops_the_reading_and_loses_nothing() -> None:
    """When there is room again it goes on where it was."""
    engine = a_shop(60)
    ledger = MemoryLedger(size_max=8_000)
    recording = recorder(memory_disk(engine), ledger, events=10)
    while recording.step():
        pass
    assert recording.recorded.full
    assert not recording.step()
    told = recording.recorded.events
    ledger.size_max = 1 << 30
    run(recording)
    assert not recording.recorded.full
    assert [offset for _, offset in places(recording)] == list(range(1, len(logged(memory_disk(engine))) + 1))
    assert recording.recorded.events > told


def test_a_restore_goes_on_in_its_epoch_after_the_branch_that_was_given_up() -> None:
    """What was told stays told; what of the old branch was not told yet is told first, up to its last whole batch."""
    source = a_past().disk
    ledger = MemoryLedger()
    recording = recorder(source, ledger)
    run(recording)
    old = len(logged(source))
    engine = start(source)
    committed(engine, "add", "given up")
    engine.log.close()  # As a crash would: nothing proves the last batch.
    target, _ = restored(source, 50)
    now = start(target)
    more(now, 1)
    recording = recorder(target, ledger, before=source)
    run(recording)
    first, second = (each.epoch.hex() for each in now.state.epochs)
    given_up = [offset for epoch, offset in places(recording) if epoch == first]
    assert given_up == [each.offset for each in logged(source)]
    assert len(given_up) > old
    told = [offset for epoch, offset in places(recording) if epoch == second]
    assert told == list(range(51, now.log.durable_offset + 1))


def test_a_restore_tells_what_of_the_common_history_was_not_told() -> None:
    """Where the old directory is gone, the new one still holds what both have."""
    source = a_past().disk
    ledger = MemoryLedger()
    recording = recorder(source, ledger)
    recording.step()
    told = recording.recorded.frozen_offset
    target, _ = restored(source, told + 3)
    now = start(target)
    proven(now)
    recording = recorder(target, ledger)
    run(recording)
    assert [offset for _, offset in places(recording)] == list(range(1, now.log.durable_offset + 1))


def test_a_clone_has_a_trail_of_its_own() -> None:
    """Its ledger is another one: that of what it was cloned from is refused."""
    source = a_past().disk
    ledger = MemoryLedger()
    run(recorder(source, ledger))
    target, _ = cloned(source, 50)
    engine = start(target)
    proven(engine)
    with pytest.raises(ConfigError, match="the ledger is that of the trail"):
        recorder(target, ledger)
    recording = recorder(target, MemoryLedger())
    run(recording)
    assert places(recording)[-1] == (engine.epoch.hex(), engine.log.durable_offset)


def test_a_trail_that_begins_late_knows_its_callers_from_a_snapshot() -> None:
    """It tells what the log still holds behind the oldest snapshot."""
    engine = a_life()
    disk = memory_disk(engine)
    base = taken(disk).manifest
    drop_log(disk, base.offset)
    committed(engine, "add", "late")
    proven(engine)
    recording = recorder(disk, MemoryLedger())
    run(recording)
    found = [each for each in events(recording) if each["api"]["operation"] == "add"]
    assert found[-1]["actor"]["user"]["uid"] == logged_subject(engine, found[-1]["unmapped"]["identity"])
    assert places(recording)[0][1] > base.offset


def logged_subject(engine: Engine, reference: int) -> str:
    """Who that is."""
    return next(each.subject for offset, each in engine.state.identities.items() if offset == reference)


def test_a_gap_is_refused_and_passed_over_only_when_asked() -> None:
    """The log lets go only what a cursor allows; whoever took that away is told what is missing."""
    engine = a_life()
    disk, ledger = memory_disk(engine), MemoryLedger()
    early = recorder(disk.copy(), ledger)
    early.step()
    told = early.recorded.frozen_offset
    for number in range(40):
        committed(engine, "put", f"more {number}", bytes(200))
        engine.log.rotate_if_due(Timestamp(0))
    proven(engine)
    base = taken(disk).manifest
    engine.housekeeping.seal()
    drop_log(disk, base.offset)
    recording = recorder(disk, ledger)
    with pytest.raises(CorruptionError, match="expected the log behind offset"):
        run(recording)
    assert "expected the log behind" in recording.recorded.gap
    recording = recorder(disk, ledger, skip_missing=True)
    committed(engine, "add", "behind the gap")
    proven(engine)
    run(recording)
    offsets = [offset for _, offset in places(recording)]
    assert offsets[:told] == list(range(1, told + 1))
    assert offsets[told] == base.offset + 1
    assert offsets[-1] == engine.log.durable_offset


def test_another_stores_directory_is_refused() -> None:
    """A ledger goes with one store."""
    ledger = MemoryLedger()
    run(recorder(memory_disk(a_shop(1)), ledger))
    with pytest.raises((ConfigError, DirectoryError)):
        recorder(memory_disk(open_shop(seed=77)), ledger)


@pytest.mark.parametrize("key", [b"trail", b"context/told", b"context/tables"])
def test_a_damaged_ledger_is_refused(key: bytes) -> None:
    """It can be made anew; going on from what is no standing would break the trail."""
    engine = a_shop(2)
    ledger = MemoryLedger()
    run(recorder(memory_disk(engine), ledger))
    ledger.commit({key: b"\xc1"})
    with pytest.raises(LedgerDamaged, match="store audit rebuild"):
        recorder(memory_disk(engine), ledger)


def test_the_log_is_needed_behind_what_is_shipped() -> None:
    """Not behind what is only in the ledger: that can be lost, and is made anew from log and store."""
    engine = a_shop()
    recording = recorder(memory_disk(engine), MemoryLedger())
    run(recording)
    assert recording.cursor == 0
    rows = recording.rows
    for _ in range(2):
        row = rows.first_in(State.FROZEN)
        assert row is not None
        rows.stored(row, version_id="v", retain_until=Timestamp(1), manifest=b"m", digest="d")
        rows.manifested(rows.first_in(State.STORED), version_id="v")  # type: ignore[arg-type]  # It was just stored.
    done = row.size_after
    rows.signed(done, b"note")
    signed = rows.checkpoint
    assert signed is not None
    rows.checkpointed(signed, version_id="v")
    assert recording.cursor == Offset(14)


def test_denials_and_readings_are_events_too() -> None:
    """Whatever kind a record has."""
    engine = a_shop(1)
    engine.write_path.record(Kind.DENIED, "authenticate", b"\x80", source="10.0.0.1:1", outcome="denied")
    engine.write_path.record(Kind.READ, "query", b"\x92\xa1x\x90", value=b"\x91\xa5loans")
    engine.group_commit.commit()
    proven(engine)
    recording = recorder(memory_disk(engine), MemoryLedger())
    run(recording)
    assert [each["unmapped"]["kind"] for each in events(recording)[-2:]] == ["denied", "read"]
