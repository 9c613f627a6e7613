"""A trail and the log it tells of: the same records, none left out, also after restores and when old log is gone."""

from pathlib import Path
from typing import Any

import pytest

from store.audit.objects.batches import expand, lines_of
from store.audit.reading.verifying.findings import Kind, Outcome, Verdict
from store.audit.reading.verifying.log import AgainstLog
from store.audit.reading.verifying.request import Request
from store.audit.reading.verifying.trail import Verification
from store.env.memory import MemoryClock, MemoryDisk
from store.env.worm import WormStore
from store.env.worm_folder import FolderWorm
from store.env.worm_memory import MemoryWorm
from store.ids import Offset
from store.log.segment import segment_offsets
from store.log.survey import read_header
from tests.audit.real_trails import KEY, LOG, Shipping
from tests.engine.past import a_past, restored, start
from tests.engine.scenes import committed, memory_disk, open_shop
from tests.engine.snapshots import a_life, drop_log, proven
from tests.subscribe.scenes import Shelf
from tests.tools.test_verify_audit import tool


def against(store: WormStore, disk: MemoryDisk, **more: Any) -> tuple[Outcome, AgainstLog, int]:
    """What comes out, the comparison, and how many records the trail does not tell of yet."""
    log = AgainstLog(disk)
    run = Verification(store, Request(LOG, KEY.key, with_records=True, **more))
    for manifest, checked in run.steps():
        log.take(manifest, checked, run.outcome.findings, run.outcome.counts)
    return run.outcome, log, log.rest(run.outcome.findings)


def shipping() -> Shipping:
    """A trail that begins, in a bucket in memory."""
    return Shipping(MemoryWorm(MemoryClock()))


def test_a_trail_tells_of_every_record_of_its_log() -> None:
    """Byte for byte, and nothing is left."""
    disk = memory_disk(a_life())
    outcome, log, left = against(shipping().tell(disk).store, disk)
    assert (outcome.verdict, outcome.findings.kept, left, log.older) == (Verdict.VERIFIED, [], 0, 0)
    assert outcome.counts.log_records == outcome.counts.events_proven > 36


def test_a_real_trail_is_verified_by_the_auditors_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the store writes, the tool reads, written from the same page."""
    made = Shipping(FolderWorm(tmp_path, MemoryClock())).tell(memory_disk(a_life()))
    assert tool.main([str(tmp_path), "--key", str(KEY.key)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("checked: ")
    assert f", {made.trail.standing.size} events proven\n" in said


def test_what_sensitive_tables_hold_is_nowhere_in_a_real_trail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a row, nor its key, nor what it was asked with; and both verifiers find the trail whole."""
    shelf = Shelf()
    client = shelf.client()
    client.asks(["call", 1, "put", [4711, "ann", 2]], ["call", 2, "lend", [4711, "eve"]])
    client.asks(["query", 3, "SELECT * FROM loans WHERE book = 4711 AND reader = $1", ["eve"]])
    shelf.engine.close()
    disk, store = memory_disk(shelf.engine), FolderWorm(tmp_path, MemoryClock())
    Shipping(store).tell(disk)
    outcome, _, left = against(store, disk)
    assert (outcome.verdict, outcome.findings.kept, left) == (Verdict.VERIFIED, [], 0)
    assert outcome.counts.log_records_hidden == 2
    assert tool.main([str(tmp_path), "--key", str(KEY.key)]) == 0
    batches = sorted(tmp_path.rglob("*.zst"))
    lines = [line for each in batches for line in lines_of(expand(each.read_bytes()))]
    (lent,) = [each for each in lines if b'"operation":"lend"' in each]
    (read,) = [each for each in lines if b'"kind":"read"' in each]
    assert b"4711" not in lent.partition(b'"writes":')[2]
    assert b"4711" not in read
    assert b"eve" not in read.partition(b'"unmapped":')[2]


def test_records_behind_the_trail_are_counted() -> None:
    """A trail may lag: that is said, and is no finding."""
    engine = a_life()
    made = shipping().tell(memory_disk(engine))
    for number in range(3):
        committed(engine, "add", "ada", f"late {number}", "n")
    proven(engine)
    outcome, _, left = against(made.store, memory_disk(engine))
    assert (outcome.verdict, left) == (Verdict.VERIFIED, 3)


def test_another_record_in_the_log_is_found() -> None:
    """A log that was written again says something else at the same offsets."""
    made = shipping().tell(memory_disk(a_life()))
    outcome, _, _ = against(made.store, memory_disk(a_life(calls=11, seed=2)))
    assert outcome.verdict == Verdict.VERIFIED  # Another epoch: another history altogether.
    engine = open_shop(seed=1)  # The same dice, so the same epoch; other calls.
    for number in range(12):
        committed(engine, "add", "ada", f"s{number}", "m" * 40)
    proven(engine)
    outcome, _, _ = against(made.store, memory_disk(engine))
    assert outcome.verdict == Verdict.TAMPER
    assert "other bytes" in outcome.findings.kept[0].what


def test_log_that_the_trail_leaves_out_is_found() -> None:
    """A trail that begins late, or was written past some records."""
    disk = memory_disk(a_life())
    made = shipping()
    made.trail.skip(read_header(disk, segment_offsets(disk)[0]).epoch, Offset(5))
    outcome, _, _ = against(made.tell(disk, after=5).store, disk)
    assert [each.kind for each in outcome.findings.kept] == [Kind.WARNING]
    assert "begins at offset 6" in outcome.findings.kept[0].what


def test_log_that_was_let_go_cannot_be_compared() -> None:
    """Events older than the log are counted, and are no finding."""
    disk = memory_disk(a_life())
    made = shipping().tell(disk)
    drop_log(disk, 20)
    outcome, log, _ = against(made.store, disk)
    assert outcome.verdict == Verdict.VERIFIED
    assert log.older > 0
    assert log.older + outcome.counts.log_records == outcome.counts.events


def test_after_a_restore_the_given_up_history_is_passed_over() -> None:
    """The trail tells of both; the log holds the one in force."""
    past = a_past()
    made = shipping().tell(past.disk)
    disk, _ = restored(past.disk, 40)
    engine = start(disk)
    for number in range(5):
        committed(engine, "add", "ada", f"after {number}", "n")
    proven(engine)
    made.tell(memory_disk(engine), after=40)
    outcome, log, left = against(made.store, memory_disk(engine))
    assert (outcome.verdict, left) == (Verdict.VERIFIED, 0), outcome.findings.kept
    assert log.older > 0


def test_a_part_is_compared_with_its_part() -> None:
    """What was not asked for is not missed."""
    disk = memory_disk(a_life())
    outcome, _, _ = against(shipping().tell(disk).store, disk, first_seq=10, last_seq=20)
    assert outcome.verdict == Verdict.VERIFIED
    assert 0 < outcome.counts.log_records < 36


def test_a_log_that_was_cut_is_found() -> None:
    """The trail tells of records that the log does not have."""
    engine = a_life(calls=6)
    before = memory_disk(engine).crash_keep_all()
    for number in range(3):
        committed(engine, "add", "ada", f"late {number}", "n")
    proven(engine)
    outcome, _, _ = against(shipping().tell(memory_disk(engine)).store, before)
    assert outcome.verdict == Verdict.TAMPER
    assert "no record of offset" in outcome.findings.kept[0].what
