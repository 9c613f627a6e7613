"""Maintenance: what is due is done by a child, one at a time; whatever happens to it, calls go on."""

import functools
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from store.backup.options import BackupOptions
from store.engine.engine import open_engine
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.env.memory import NoDeadline
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.world import World
from store.errors import ConfigError, CorruptionError
from store.ids import Offset
from store.log.commitlog import LogOptions
from store.log.segment import segment_offsets
from store.server import maintenance
from store.server.app import Server
from store.server.auth import AuthOptions
from store.server.maintenance_options import MaintenanceOptions
from store.server.options import ServerOptions
from store.server.works import make_scratch
from store.snapshot.repository import Pin, Repository
from tests.server import notes
from tests.server.scenes import serving
from tests.server.upkeep import PRUNED, QUIET, TAKEN, RealTenant, kept, write

Kept = Callable[..., AbstractContextManager[RealTenant]]


@pytest.fixture(name="tended")
def _tended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A tenant whose children are stand-ins."""
    return functools.partial(kept, tmp_path, monkeypatch=monkeypatch)


@pytest.fixture(name="truly_tended")
def _truly_tended(tmp_path: Path) -> Kept:
    """A tenant whose children are the store's own."""
    return functools.partial(kept, tmp_path, real=True)


# Snapshots that are due.


def test_what_is_due_is_taken_by_a_child(tended: Kept) -> None:
    """Behind a sealed log, with the server's own options, in the background; and its result is recorded."""
    with tended(replace(QUIET, transactions_between=5)) as tenant:
        segments = len(segment_offsets(tenant.engine.world.disk))
        tenant.script(take=[["say", {**TAKEN, "offset": 7}], ["say", PRUNED]])
        write(tenant, 5)
        tenant.wait_until(lambda: tenant.maintenance.figures.snapshots == {"transactions": 1})
        (asked,) = tenant.ran()
        assert asked["words"][:4] == ["snapshot", "take", str(tenant.data), "--prune"]
        assert asked["words"][-2:] == ["--json", "--idle"]
        assert "--set=snapshot.transactions_between=5" in asked["words"]
        assert len(segment_offsets(tenant.engine.world.disk)) == segments + 1
        tenant.wait_until(lambda: not tenant.engine.log.unsynced)
        (name, content, said) = tenant.records()[0]
        assert (name, content["reason"], content["offset"], said) == ("snapshot", "transactions", 7, [])
        assert tenant.maintenance.policy.snapshot_offset == 7


def test_a_quiet_store_does_not_take_one_after_the_other(tended: Kept) -> None:
    """The record of the last one is no change."""
    with tended(replace(QUIET, interval_s=0.01)) as tenant:
        last = tenant.on_loop(lambda: tenant.engine.write_path.last_offset)
        tenant.script(take=[["say", {**TAKEN, "offset": last}], ["say", PRUNED]])
        tenant.wait_until(lambda: tenant.maintenance.figures.snapshots == {"interval": 1})
        for _ in range(5):
            tenant.on_loop(tenant.engine.housekeeping.tick)
        assert tenant.on_loop(lambda: tenant.engine.housekeeping.request) is None
        assert len(tenant.ran()) == 1


def test_one_that_fails_is_told_counted_recorded_and_tried_later(
    tended: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    """And calls go on; what is not needed is let go all the same."""
    with tended(replace(QUIET, transactions_between=5)) as tenant:
        tenant.script(take=[["fail", "no space left"]], prune=[["say", PRUNED]])
        write(tenant, 5)
        tenant.wait_until(lambda: tenant.maintenance.figures.failures == {"snapshot": 1})
        write(tenant)
        assert [each["verb"] for each in tenant.ran()] == ["take", "prune"]
        found = tenant.metrics()
        assert 0 < found["store_snapshot_retry_seconds"] <= 60
        assert found['store_maintenance_failures_total{what="snapshot"}'] == 1
        assert found["store_retention_floor_offset"] == 3
        assert found["store_retention_waiting"] == 2
        (record,) = tenant.records()
        assert record == ("snapshot", {"reason": "transactions", "failed": "no space left"}, [])
        assert "snapshot failed: no space left; calls go on" in caplog.text
        assert tenant.on_loop(lambda: tenant.maintenance.policy.problem) == "no space left"


def test_one_that_ends_well_and_says_nothing_has_failed(tended: Kept) -> None:
    """What is not said is not believed."""
    with tended(replace(QUIET, transactions_between=5)) as tenant:
        tenant.script(take=[], prune=[])
        write(tenant, 5)
        tenant.wait_until(lambda: bool(tenant.maintenance.policy.problem))
        assert tenant.maintenance.policy.problem == "it said nothing of how it ended"


def test_one_that_hangs_is_ended_and_calls_go_on(tended: Kept) -> None:
    """After the named silence; and the next one may come."""
    options = MaintenanceOptions(child_silence_max_s=1.0)
    with tended(maintenance=options) as tenant:
        tenant.script(take=[["hang", 60]], prune=[["say", PRUNED]])
        asked = tenant.ask_aside("/v1/snapshot")
        pid = tenant.hanging()
        write(tenant)
        assert asked.answer.status == 409
        assert "it said nothing for 1 s" in asked.answer.body["message"]
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        tenant.script(take=[["say", TAKEN], ["say", PRUNED]])
        assert tenant.request("POST", "/v1/snapshot").status == 200


def test_one_that_is_killed_has_failed_and_the_store_has_not(tended: Kept) -> None:
    """By whoever: the next one is taken as ever."""
    with tended() as tenant:
        tenant.script(take=[["hang", 60]], prune=[["say", PRUNED]])
        asked = tenant.ask_aside("/v1/snapshot")
        os.kill(tenant.hanging(), signal.SIGKILL)
        assert asked.answer.status == 409
        assert asked.answer.body["details"]["reason"] == "snapshot_failed"
        assert "was killed by SIGKILL" in asked.answer.body["message"]
        tenant.script(take=[["say", TAKEN], ["say", PRUNED]])
        assert tenant.request("POST", "/v1/snapshot").status == 200
        write(tenant)


def test_stopping_the_server_ends_the_child_by_its_process_id(tended: Kept) -> None:
    """At once; who waits is answered, and nothing is counted as a failure."""
    with tended() as tenant:
        tenant.script(take=[["hang", 60]])
        asked = tenant.ask_aside("/v1/snapshot")
        pid = tenant.hanging()
        tenant.server.stop()
        assert asked.answer.status == 409
        assert "the server stops" in asked.answer.body["message"]
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert [each["verb"] for each in tenant.ran()] == ["take"]
        assert tenant.maintenance.figures.failures == {}


def test_on_a_nearly_full_disk_one_that_writes_is_ended_and_old_log_goes(
    tended: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the store's own records lack room."""
    with tended() as tenant:
        tenant.script(take=[["hang", 60]], prune=[["say", PRUNED]])
        asked = tenant.ask_aside("/v1/snapshot")
        tenant.hanging()
        monkeypatch.setattr(maintenance, "SPACE_MIN", 1 << 62)
        assert "bytes of disk are free" in asked.answer.body["message"]
        assert [each["verb"] for each in tenant.ran()] == ["take", "prune"]
        write(tenant)


def test_below_the_reserve_old_log_is_let_go(tended: Kept) -> None:
    """Calls are refused meanwhile, and nothing is taken that may not fit."""
    with tended(engine=EngineOptions(free_space_reserve=1 << 62)) as tenant:
        tenant.script(prune=[["say", {**PRUNED, "segments": ["log/1"], "bytes": 7}]], take=[["say", TAKEN]])
        tenant.wait_until(lambda: tenant.maintenance.figures.removed_segments >= 1)
        assert tenant.call("write", 1, "x").status == 503
        assert {each["verb"] for each in tenant.ran()} <= {"prune", "take"}


def test_what_was_let_go_is_counted_and_recorded_and_what_waits_is_due_later(tended: Kept) -> None:
    """Where nothing went there is nothing to record."""
    with tended() as tenant:
        gone = {**PRUNED, "snapshots": ["a"], "segments": ["log/b", "log/c"], "bytes": 99, "due": 0}
        tenant.script(take=[["say", TAKEN], ["say", gone]], prune=[["say", PRUNED]])
        assert tenant.request("POST", "/v1/snapshot").status == 200
        found = tenant.metrics()
        assert found["store_retention_segments_total"] == 2
        assert found["store_retention_snapshots_total"] == 1
        assert found["store_retention_bytes_total"] == 99
        assert [(name, content["reason"]) for name, content, _ in tenant.records()] == [
            ("retention", "by hand"),
            ("snapshot", "by hand"),
        ]
        policy = tenant.maintenance.policy
        assert tenant.on_loop(lambda: policy._prune_at) is not None
        tenant.on_loop(lambda: setattr(policy, "_prune_at", 0.0))
        tenant.wait_for(lambda: [each["verb"] for each in tenant.ran("end")] == ["take", "prune"])
        tenant.wait_until(lambda: policy.running is None)
        assert len(tenant.records()) == 2


def test_while_the_clock_is_in_doubt_no_snapshot_is_taken(tended: Kept) -> None:
    """By itself or by hand; once it is confirmed they go on."""
    with tended() as tenant:
        tenant.on_loop(lambda: tenant.engine.housekeeping.refuse_clock("a test"))
        refused = tenant.request("POST", "/v1/snapshot")
        assert (refused.status, refused.body["details"]["reason"]) == (409, "clock_in_doubt")
        tenant.request("POST", "/v1/clock/confirm")
        assert tenant.request("POST", "/v1/snapshot").status == 200


def test_who_waits_when_the_clock_comes_into_doubt_is_told(tended: Kept) -> None:
    """They would wait for an operator otherwise."""
    with tended() as tenant:
        tenant.script(take=[["hang", 60]], prune=[["say", PRUNED]])
        first = tenant.ask_aside("/v1/snapshot")
        pid = tenant.hanging()
        later = tenant.ask_aside("/v1/snapshot")
        tenant.wait_until(lambda: tenant.maintenance._asked is not None)
        tenant.on_loop(lambda: tenant.engine.housekeeping.refuse_clock("a test"))
        assert later.answer.status == 409
        assert "the clock came into doubt" in later.answer.body["message"]
        os.kill(pid, signal.SIGKILL)
        assert first.answer.status == 409


# Who asks by hand.


def test_those_who_ask_while_one_waits_share_it(tended: Kept) -> None:
    """And who asks while one is being taken waits for the next: it began before they asked."""
    with tended() as tenant:
        tenant.script(take=[["hang", 60]], prune=[["say", PRUNED]])
        first = tenant.ask_aside("/v1/snapshot")
        pid = tenant.hanging()
        later = [tenant.ask_aside("/v1/snapshot") for _ in range(3)]
        tenant.wait_until(lambda: tenant.maintenance._asked is not None and len(tenant.maintenance._asked.waiting) == 3)
        tenant.script(take=[["say", TAKEN], ["say", PRUNED]], prune=[["say", PRUNED]])
        os.kill(pid, signal.SIGKILL)
        assert first.answer.status == 409
        assert {each.answer.body["offset"] for each in later} == {later[0].answer.body["offset"]}
        assert [each["verb"] for each in tenant.ran()] == ["take", "prune", "take"]


def test_no_more_wait_than_may(tended: Kept) -> None:
    """The next one is told to come back."""
    with tended(maintenance=MaintenanceOptions(waiting_max=1)) as tenant:
        tenant.script(take=[["hang", 60]], prune=[["say", PRUNED]])
        first = tenant.ask_aside("/v1/snapshot")
        pid = tenant.hanging()
        said = tenant.request("POST", "/v1/drill")
        assert (said.status, said.body["error"]) == (503, "overloaded")
        assert "1 requests wait already" in said.body["message"]
        assert tenant.request("POST", "/v1/snapshot").status == 503
        os.kill(pid, signal.SIGKILL)
        assert first.answer.status == 409
        tenant.wait_until(lambda: not tenant.maintenance.working)
        assert [each["verb"] for each in tenant.ran()] == ["take", "prune"]


def test_one_child_at_a_time(tended: Kept) -> None:
    """Whatever is asked for: each begins when the one before has ended."""
    with tended() as tenant:
        say = ["say", {"event": "drilled", "same": True}]
        tenant.script(take=[["hang", 0.2], ["say", TAKEN], ["say", PRUNED]], drill=[["hang", 0.2], say])
        asked = [tenant.ask_aside(path) for path in ("/v1/snapshot", "/v1/drill", "/v1/snapshot")]
        assert [each.answer.status for each in asked] == [200, 200, 200]
        lines = [(each["what"], each["pid"]) for each in tenant_lines(tenant)]
        for begin, end in zip(lines[::2], lines[1::2], strict=True):
            assert (begin[0], end[0], begin[1]) == ("begin", "end", end[1])


def tenant_lines(tenant: RealTenant) -> list[dict[str, Any]]:
    """Begins and ends of children, in order."""
    import json  # noqa: PLC0415  # Here alone.

    return [json.loads(line) for line in (tenant.folder / "ran").read_text().splitlines()]


def test_without_a_directory_there_are_no_children(tmp_path: Path) -> None:
    """A store in memory says so; sealing and fingerprints need none."""
    with serving(tmp_path) as tenant:
        for path in ("/v1/snapshot", "/v1/drill"):
            said = tenant.request("POST", path)
            assert (said.status, said.body["details"]["reason"]) == (409, "no_directory")
        assert tenant.request("POST", "/v1/seal").status == 200
        assert tenant.request("POST", "/v1/fingerprint").status == 200
        assert tenant.engine.housekeeping.policy is None


# Drills.

SAME = [
    "say",
    {"event": "drilled", "same": True, "offset": "--through", "fingerprint": "--fingerprint", "seconds": 2.5},
]
OTHER = ["say", {"event": "drilled", "same": False, "offset": 4, "fingerprint": "00", "expected": "--fingerprint"}]


def test_a_drill_compares_with_the_live_fingerprint_at_a_sealed_offset(tended: Kept) -> None:
    """The child is told both; its result is a metric and a record; its scratch folder is gone."""
    with tended() as tenant:
        write(tenant, 3)
        tenant.script(drill=[["litter", 0], SAME])
        offset = tenant.on_loop(lambda: tenant.engine.write_path.last_offset)
        expected = tenant.on_loop(tenant.engine.database.fingerprint)
        said = tenant.request("POST", "/v1/drill")
        assert said.status == 200
        assert said.body["drill"] == {"same": True, "offset": offset, "fingerprint": expected, "seconds": 2.5}
        assert tenant.on_loop(lambda: segment_offsets(tenant.engine.world.disk))[-1] > offset
        assert list((tenant.folder / "drills").iterdir()) == []
        found = tenant.metrics()
        assert found['store_drills_total{result="same"}'] == 1
        assert found["store_drill_seconds"] == 2.5
        assert found["store_drill_timestamp_seconds"] > 1e9
        (record,) = tenant.records()
        assert (record[0], record[1]["same"], record[2][1]) == ("drill", True, "ada")


def test_a_drill_that_restores_other_rows_is_told_loudly(tended: Kept, caplog: pytest.LogCaptureFixture) -> None:
    """As an error in the server's log, a count of its own, and a record; calls go on."""
    with tended() as tenant:
        tenant.script(drill=[OTHER])
        said = tenant.request("POST", "/v1/drill")
        assert (said.status, said.body["drill"]["same"]) == (200, False)
        found = tenant.metrics()
        assert found['store_drills_total{result="different"}'] == 1
        assert found["store_drill_timestamp_seconds"] == 0
        assert "the drill restored other rows than the live ones at offset 4" in caplog.text
        write(tenant)


def test_a_drill_that_cannot_be_held_says_why(tended: Kept) -> None:
    """Its folder is removed, also where the child was killed."""
    with tended() as tenant:
        tenant.script(drill=[["litter", 0], ["fail", "no space left"]])
        said = tenant.request("POST", "/v1/drill")
        assert (said.status, said.body["details"]["reason"]) == (409, "drill_failed")
        assert said.body["message"] == "no space left"
        tenant.script(drill=[["litter", 0], ["hang", 60]])
        asked = tenant.ask_aside("/v1/drill")
        os.kill(tenant.hanging(), signal.SIGKILL)
        assert asked.answer.status == 409
        assert list((tenant.folder / "drills").iterdir()) == []
        assert tenant.metrics()['store_drills_total{result="failed"}'] == 2


def test_what_a_drill_left_behind_is_removed_by_the_next(tended: Kept) -> None:
    """Its folder has the name of this data directory; a link in its place is nobody's to follow."""
    with tended() as tenant:
        tenant.script(drill=[SAME])
        scratch = make_scratch(tenant.maintenance._shop)
        (scratch / "left").touch()
        assert tenant.request("POST", "/v1/drill").status == 200
        assert not scratch.exists()
        (tenant.folder / "other").mkdir()
        scratch.symlink_to(tenant.folder / "other")
        said = tenant.request("POST", "/v1/drill")
        assert said.status == 409
        assert "is a link that somebody made" in said.body["message"]


def test_drills_come_by_themselves_at_their_interval(tended: Kept) -> None:
    """Again and again, also after one that failed."""
    with tended(replace(QUIET, drill_interval_s=0.2)) as tenant:
        tenant.script(drill=[["fail", "a test"]])
        tenant.wait_until(lambda: tenant.maintenance.figures.drills.get("failed", 0) >= 1)
        tenant.script(drill=[SAME])
        tenant.wait_until(lambda: tenant.maintenance.figures.drills.get("same", 0) >= 2)
        assert {content["reason"] for _, content, _ in tenant.records()} == {"interval"}


@pytest.mark.parametrize("inside", ["", "drills"])
def test_a_drill_folder_in_the_data_directory_is_refused(tmp_path: Path, inside: str) -> None:
    """It would be part of every copy, and of itself."""
    (tmp_path / "tokens").touch()
    with pytest.raises(ConfigError, match="lies in the data directory"):
        Server(
            ServerOptions(port=0),
            AuthOptions(token_file=tmp_path / "tokens"),
            data=tmp_path / "data",
            maintenance=MaintenanceOptions(drill_folder=tmp_path / "data" / inside),
        )


# Backups.


def test_pushes_come_by_themselves_where_there_is_a_place_for_them(tended: Kept) -> None:
    """With the server's options, behind a sealed log; what was sent is counted and recorded."""
    backup = BackupOptions(url="/somewhere", interval_s=0.2)
    with tended(backup=backup) as tenant:
        tenant.script(push=[["say", {"event": "pushed", "bytes_sent": 10}]])
        tenant.wait_until(lambda: tenant.maintenance.figures.backup_bytes >= 20)
        words = tenant.ran()[0]["words"]
        assert words[:3] == ["backup", "push", str(tenant.data)]
        assert "--set=backup.url=/somewhere" in words
        assert tenant.metrics()["store_backup_timestamp_seconds"] > 1e9
        tenant.script(push=[["fail", "unreachable"]])
        tenant.wait_until(lambda: tenant.maintenance.figures.failures == {"backup": 1})
        assert {name for name, _, _ in tenant.records()} == {"backup"}


def test_a_push_prunes_where_that_is_wanted(tended: Kept) -> None:
    """Afterwards, in the same child; the record says how much went."""
    with tended(backup=BackupOptions(url="/somewhere", interval_s=0.2, prune=True)) as tenant:
        pruned = {"event": "backup_pruned", "snapshots": ["a", "b"], "blocks": 7}
        tenant.script(push=[["say", {"event": "pushed", "bytes_sent": 10}], ["say", pruned]])
        tenant.wait_until(lambda: tenant.maintenance.figures.backup_bytes >= 10)
        assert "--prune" in tenant.ran()[0]["words"]
        assert tenant.records()[0][1]["pruned"] == {"snapshots": 2, "blocks": 7}


def test_a_backup_is_not_pruned_while_the_clock_is_in_doubt(tended: Kept) -> None:
    """What is old is judged by it: a year's leap would let go of all but two snapshots. It is pushed all the same."""
    with tended(backup=BackupOptions(url="/somewhere", interval_s=0.2, prune=True)) as tenant:
        tenant.on_loop(lambda: tenant.engine.housekeeping.refuse_clock("a test"))
        tenant.script(push=[["say", {"event": "pushed", "bytes_sent": 10}]])
        tenant.wait_until(lambda: tenant.maintenance.figures.backup_bytes >= 10)
        before = len(tenant.ran())
        tenant.wait_until(lambda: len(tenant.ran()) > before)
        assert "--prune" not in tenant.ran()[before]["words"]
        tenant.on_loop(tenant.engine.housekeeping.confirm_clock)
        tenant.wait_until(lambda: "--prune" in tenant.ran()[-1]["words"])


@pytest.mark.parametrize("name", ["child_silence_max_s", "child_time_max_s", "waiting_max"])
def test_an_option_that_cannot_be_is_named(name: str) -> None:
    """Before anything is served."""
    with pytest.raises(ConfigError, match=name):
        MaintenanceOptions(**dict[str, Any]({name: 0}))


def test_where_the_log_cannot_be_sealed_what_was_sealed_before_is_taken(
    tended: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for a better moment."""
    with tended() as tenant:
        monkeypatch.setattr("store.server.live.SEAL_ATTEMPTS_MAX", 0)
        assert tenant.request("POST", "/v1/snapshot").status == 200
        assert tenant.request("POST", "/v1/seal").status == 503


def test_what_does_not_read_is_no_reason_not_to_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told and counted; snapshots are tried later, by hand at once."""
    with kept(tmp_path, monkeypatch=monkeypatch) as tenant:
        write(tenant, 3)
        (tenant.data / "pin").mkdir()

    def fail(*_: Any) -> None:
        raise CorruptionError("expected a header, found none", file="log/1", position=0)

    monkeypatch.setattr(maintenance, "segments", fail)
    with kept(tmp_path, monkeypatch=monkeypatch) as tenant:
        found = tenant.metrics()
        assert found['store_maintenance_failures_total{what="snapshot"}'] == 1
        assert found["store_snapshot_retry_seconds"] > 0
        assert tenant.request("POST", "/v1/snapshot").status == 200


def test_what_a_child_says_is_not_trusted_to_be_a_number(tended: Kept) -> None:
    """Metrics are told all the same."""
    with tended() as tenant:
        odd = dict.fromkeys(("seconds", "bytes_written", "floor", "waiting"), "odd")
        tenant.script(take=[["say", {**TAKEN, **odd}], ["say", {**PRUNED, **odd}]])
        assert tenant.request("POST", "/v1/snapshot").status == 200
        assert tenant.metrics()["store_snapshot_written_bytes"] == 0
        tenant.script(take=[["say", {"event": "taken", "offset": "odd"}]], prune=[["say", PRUNED]])
        said = tenant.request("POST", "/v1/snapshot")
        assert said.status == 409
        assert "ValueError" in said.body["message"]
        tenant.script(take=[["say", TAKEN], ["say", PRUNED]])
        assert tenant.request("POST", "/v1/snapshot").status == 200


# The whole of it, with the store's own children.


def test_under_load_snapshots_are_taken_old_log_goes_and_a_drill_finds_the_same(truly_tended: Kept) -> None:
    """By trigger and by hand, with real processes; and what is left opens with every call that was answered."""
    snapshots = replace(QUIET, transactions_between=40, keep_for_s=0, grace_s=0, keep_last=2)
    with truly_tended(snapshots) as tenant:
        written = 0
        while tenant.maintenance.figures.removed_segments == 0 or written < 200:
            write(tenant, 20, written + 1)
            written += 20
            assert written < 20_000
        said = tenant.request("POST", "/v1/snapshot")
        assert said.status == 200, said.body
        drilled = tenant.request("POST", "/v1/drill")
        assert drilled.status == 200, drilled.body
        assert drilled.body["drill"]["same"] is True
        assert tenant.on_loop(lambda: segment_offsets(tenant.engine.world.disk))[0] > 1
        found = tenant.metrics()
        assert found["store_snapshot_offset"] >= written
        assert found['store_drills_total{result="same"}'] == 1
        assert "store_maintenance_failures_total{" not in "".join(found)
        expected = tenant.on_loop(tenant.engine.database.fingerprint)
        listed = tenant.request("GET", "/v1/snapshots").body
        assert [each["verified"] for each in listed["snapshots"]] == [True] * len(listed["snapshots"])
        assert len(listed["snapshots"]) >= 2
    world = World(PosixDisk(tenant.data), SystemClock(), SystemEntropy(), NoDeadline())
    engine = open_engine(world, Domain.of(notes), options=EngineOptions(), log_options=LogOptions())
    assert engine.report.snapshot_offset > 0
    assert engine.database.fingerprint() == expected
    engine.close()


def test_on_a_full_disk_the_stores_own_children_win_space(truly_tended: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old log that has served its grace goes while calls are refused, and calls are taken again."""
    monkeypatch.setattr("store.engine.snapshot_policy.DISK_PAUSE_S", 0.1)
    snapshots = replace(QUIET, keep_for_s=0, grace_s=1, keep_last=2)
    with truly_tended(snapshots, engine=EngineOptions(free_space_reserve=1 << 20)) as tenant:
        disk = tenant.engine.world.disk
        tenant.on_loop(lambda: Repository(disk).pin("held", Pin(Offset(0), "so that nothing goes yet", None, "pin")))
        for number in range(3):
            write(tenant, 10, 10 * number + 1)
            assert tenant.request("POST", "/v1/snapshot").status == 200
        assert tenant.on_loop(lambda: segment_offsets(disk))[0] == 1
        begin = tenant.on_loop(lambda: len(segment_offsets(disk)))

        def free_bytes() -> int:
            return 1 << 30 if len(segment_offsets(disk)) < begin else 1 << 17

        tenant.on_loop(lambda: setattr(disk, "free_bytes", free_bytes))
        tenant.wait_until(lambda: "disk" in tenant.engine.admission.reasons)
        assert tenant.call("write", 99, "note 99").status == 503
        tenant.on_loop(lambda: Repository(disk).unpin("held"))
        tenant.wait_until(lambda: not tenant.engine.admission.reasons)
        assert tenant.on_loop(lambda: segment_offsets(disk))[0] > 1
        write(tenant, 1, 99)


def test_a_real_child_that_is_killed_at_any_moment_harms_nothing(truly_tended: Kept) -> None:
    """The next one clears up behind it, and what it takes is whole."""
    snapshots = replace(QUIET, keep_for_s=0, grace_s=0, keep_last=2)
    with truly_tended(snapshots) as tenant:
        write(tenant, 50)
        for delay in (0.0, 0.1, 0.3):
            asked = tenant.ask_aside("/v1/snapshot")
            tenant.wait_until(lambda: tenant.maintenance.child_pid is not None)
            threading.Event().wait(delay)
            pid = tenant.on_loop(lambda: tenant.maintenance.child_pid)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            assert asked.answer.status in {200, 409}
        said = tenant.request("POST", "/v1/snapshot")
        assert said.status == 200, said.body
        assert tenant.request("POST", "/v1/drill").body["drill"]["same"] is True


def test_a_start_takes_up_where_the_last_run_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest snapshot, its age and the log behind it are known at once."""
    with kept(tmp_path, real=True) as tenant:
        write(tenant, 10)
        said = tenant.request("POST", "/v1/snapshot").body
        taken = tenant.maintenance.figures.snapshot_at
    with kept(tmp_path, monkeypatch=monkeypatch) as tenant:
        assert tenant.maintenance.policy.snapshot_offset == said["snapshot"]["offset"]
        assert tenant.maintenance.figures.snapshot_at == pytest.approx(taken, abs=60)
        assert tenant.metrics()["store_snapshot_offset"] == said["snapshot"]["offset"]
