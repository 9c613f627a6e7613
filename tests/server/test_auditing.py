"""The audit trail of a server: its process is kept going, listened to and heeded; a caller never waits for it."""

import functools
import json
import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.audit.options import WAKE, AuditOptions
from store.audit.owing import CURSOR, Shipped
from store.cli.exits import Exit
from store.snapshot.repository import Repository
from tests.server.upkeep import QUIET, RealTenant, kept, write

Audited = Callable[..., AbstractContextManager[RealTenant]]
STATUS: dict[str, Any] = {
    "event": "status",
    "shipped_offset": 2,
    "shipped": ["ab" * 16, 2],
    "events": 40,
    "lag_s": 1.5,
    "ledger_bytes": 4096,
    "full": False,
    "batches": {"frozen": 3, "acked": 7},
    "checkpoint_events": 35,
    "checkpoint_at": 1_700_000_000.0,
    "found_count": 1,
    "verified_at": 0.0,
    "problem": "",
}
HANG: list[Any] = ["hang", 600]


@pytest.fixture(name="audited")
def _audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Audited:
    """A tenant whose audit process is a stand-in that does as its script says, from before the first start."""
    monkeypatch.setattr("store.server.auditing.RETRY_MIN_S", 0.01)

    def serve(*acts: list[Any], **options: Any) -> AbstractContextManager[RealTenant]:
        (tmp_path / "script").write_text(json.dumps({"ship": [*acts]}))
        monkeypatch.setattr(RealTenant, "script", lambda *_, **__: None)
        return kept(tmp_path, QUIET, monkeypatch=monkeypatch, audit=AuditOptions(**options))

    return serve


def script(tenant: RealTenant, *acts: list[Any]) -> None:
    """What the process does at its next start."""
    fresh = tenant.folder / "script.new"
    fresh.write_text(json.dumps({"ship": [*acts]}))
    fresh.replace(tenant.folder / "script")


def wait_for_status(tenant: RealTenant) -> None:
    """Come back once the process has said where it stands."""
    tenant.wait_until(lambda: bool(tenant.service.auditing.status))


def test_a_process_follows_the_log_with_the_servers_own_options(audited: Audited) -> None:
    """It is started with the server, on its data directory, and ended with it."""
    with audited(["say", STATUS], HANG, retention_days=30, domain="example.com") as tenant:
        wait_for_status(tenant)
        (asked,) = tenant.ran()
        assert asked["words"][:5] == ["audit", "ship", str(tenant.data), "--json", "--follow"]
        assert {"--set=audit.retention_days=30", "--set=audit.domain=example.com"} <= set(asked["words"])
        pid = tenant.on_loop(lambda: tenant.service.auditing.pid)
        assert pid == asked["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_log_is_held_back_from_before_the_process_starts(audited: Audited) -> None:
    """So that nothing goes before it is told; a cursor that is there stays as it is."""
    with audited(HANG) as tenant:
        assert Repository(tenant.engine.world.disk).pins()[CURSOR].offset == 0


def test_what_the_process_says_is_told_by_metrics_and_to_operators(audited: Audited) -> None:
    """Lag, ledger, batches by state, checkpoints; and what it found."""
    with audited(["say", STATUS], HANG) as tenant:
        wait_for_status(tenant)
        write(tenant, 3)
        found = tenant.metrics()
        assert found["store_audit_running"] == found["store_audit_well"] == found["store_audit_starts_total"] == 1
        assert found['store_audit_batches{state="frozen"}'] == 3
        assert found["store_audit_lag_seconds"] >= 1.5
        assert found["store_audit_ledger_bytes"] == 4096
        assert found["store_audit_lag_records"] == tenant.on_loop(lambda: tenant.engine.log.durable_offset) - 2
        assert found["store_audit_checkpoint_events"] == 35
        said = tenant.request("GET", "/v1/audit").body
        assert (said["on"], said["problem"], said["status"]["events"]) == (True, "", 40)
        reads = tenant.add_token("bob", ("read", "call"))
        assert tenant.request("GET", "/v1/audit", token=reads).status == 403


def acts_of(tenant: RealTenant) -> list[dict[str, Any]]:
    """What the log tells of the trail, from the start; all of it the store's own."""
    tail = tenant.on_loop(lambda: [each for each in tenant.engine.feed.tail(0) or () if each.reducer == "audit"])  # type: ignore[arg-type]  # From the start.
    acts = [msgspec.msgpack.decode(each.args) for each in tail]
    assert all(who == [] for _, who in acts)
    return [what for what, _ in acts]


@pytest.mark.parametrize("how", [["fail", "no ledger"], ["say", {"event": "nonsense"}]])
def test_a_process_that_ends_is_started_again_and_calls_go_on(audited: Audited, how: list[Any]) -> None:
    """However it ended; why is said, and forgotten when it is well again."""
    with audited(how) as tenant:
        tenant.wait_until(lambda: tenant.service.auditing.starts >= 3)
        write(tenant)
        assert tenant.metrics()["store_audit_well"] == 0
        assert tenant.request("GET", "/readyz").body["audit"]
        script(tenant, ["say", STATUS], HANG)
        tenant.wait_until(lambda: tenant.service.auditing.problem == "" and bool(tenant.service.auditing.status))
        assert tenant.metrics()["store_audit_well"] == 1
        ready = tenant.request("GET", "/readyz")
        assert (ready.status, "audit" in ready.body) == (200, False)


def test_a_process_that_is_asked_for_is_started_at_once(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever mended what kept it need not wait for the next attempt; each asking is one start."""
    with audited(["fail", "no ledger"]) as tenant:
        monkeypatch.setattr("store.server.auditing.RETRY_MIN_S", 300.0)
        tenant.wait_until(lambda: "no ledger" in tenant.service.auditing.problem)
        folder = tenant.data.with_name("data.audit")
        folder.mkdir(exist_ok=True)
        for _ in range(2):
            starts = tenant.on_loop(lambda: tenant.service.auditing.starts)
            (folder / WAKE).touch()
            tenant.wait_until(functools.partial(lambda before: tenant.service.auditing.starts > before, starts))
            assert not (folder / WAKE).exists()


def test_a_process_that_is_killed_is_started_again(audited: Audited) -> None:
    """As by the system when memory runs out, or by somebody; the log tells it."""
    with audited(["say", STATUS], HANG) as tenant:
        wait_for_status(tenant)
        os.kill(tenant.on_loop(lambda: tenant.service.auditing.pid) or 0, signal.SIGKILL)
        tenant.wait_until(lambda: tenant.service.auditing.starts >= 2)
        write(tenant)
        (act,) = acts_of(tenant)
        assert act["what"].startswith("the process that ships ended: ")
        assert "SIGKILL" in act["what"]


def test_a_process_that_cannot_begin_is_told_once(audited: Audited) -> None:
    """However often it is tried."""
    with audited(["fail", "no ledger"]) as tenant:
        tenant.wait_until(lambda: tenant.service.auditing.starts >= 3)
        assert len(acts_of(tenant)) == 1


def test_a_full_ledger_refuses_calls_and_lets_reads_go_on(audited: Audited) -> None:
    """Where the option says so, naming it; when there is room again calls are taken."""
    full = {**STATUS, "full": True, "problem": "the ledger is full"}
    with audited(["say", full], HANG) as tenant:
        tenant.wait_until(lambda: "audit" in tenant.engine.admission.reasons)
        said = tenant.call("write", 1, "x")
        assert (said.status, said.body["details"]) == (503, {"reason": "audit"})
        assert "audit.full=continue" in said.body["message"]
        assert tenant.request("POST", "/v1/query", {"sql": "SELECT * FROM notes"}).status == 200
        assert tenant.metrics()["store_audit_ledger_full"] == 1
        script(tenant, ["say", STATUS], HANG)
        os.kill(tenant.on_loop(lambda: tenant.service.auditing.pid) or 0, signal.SIGKILL)
        tenant.wait_until(lambda: "audit" not in tenant.engine.admission.reasons)
        write(tenant)


def test_a_process_that_ended_for_want_of_room_refuses_calls_until_there_is_some(audited: Audited) -> None:
    """On a full disk it cannot even say where it stands."""
    with audited(["exit", int(Exit.OVERLOADED)]) as tenant:
        tenant.wait_until(lambda: "audit" in tenant.engine.admission.reasons)
        assert tenant.call("write", 1, "x").status == 503
        script(tenant, ["say", STATUS], HANG)
        tenant.wait_until(lambda: "audit" not in tenant.engine.admission.reasons)
        write(tenant)


def test_a_full_ledger_may_leave_calls_alone(audited: Audited) -> None:
    """Then readiness and metrics say so, and the log is kept for later."""
    full = {**STATUS, "full": True, "problem": "the ledger is full"}
    with audited(["say", full], HANG, full="continue") as tenant:
        wait_for_status(tenant)
        write(tenant)
        ready = tenant.request("GET", "/readyz")
        assert (ready.status, ready.body["audit"]) == (200, "the ledger is full")
        assert tenant.metrics()["store_audit_ledger_full"] == 1


def test_what_the_process_did_is_a_record(audited: Audited) -> None:
    """A key that came, a ledger that was made anew: an administrative act as others."""
    with audited(["say", {"event": "act", "what": "a new key signs"}], ["say", STATUS], HANG) as tenant:
        wait_for_status(tenant)
        assert {"what": "a new key signs"} in acts_of(tenant)


def test_a_heartbeat_is_a_record(audited: Audited) -> None:
    """Every so often while the trail is on, so that silence is evidence."""
    with audited(HANG, heartbeat_s=1.0) as tenant:
        tenant.wait_until(
            lambda: any(each.reducer == "heartbeat" for each in tenant.engine.feed.tail(0) or ())  # type: ignore[arg-type]  # As above.
        )


def test_without_a_trail_nothing_runs(audited: Audited) -> None:
    """No process, no cursor, no heartbeat; what is asked says that it is off."""
    with audited(HANG, on=False) as tenant:
        write(tenant)
        assert tenant.ran() == []
        assert Repository(tenant.engine.world.disk).pins() == {}
        assert tenant.request("GET", "/v1/audit").body["on"] is False
        found = tenant.metrics()
        assert found["store_audit_lag_records"] == found["store_audit_held_records"] == 0


def test_how_far_the_trail_is_is_known_once_the_process_has_said_so(audited: Audited) -> None:
    """By epoch and offset; before that nothing is taken to be shipped."""
    with audited(HANG) as tenant:
        assert tenant.on_loop(tenant.service.auditing.shipped) is None
    with audited(["say", STATUS], HANG) as tenant:
        wait_for_status(tenant)
        assert tenant.on_loop(tenant.service.auditing.shipped) == Shipped("ab" * 16, 2)


def test_a_trail_that_is_turned_off_keeps_what_it_has_not_told(
    audited: Audited, caplog: pytest.LogCaptureFixture
) -> None:
    """The log stays until an operator lets it go; the start, the metrics and the operators' door say so."""
    with audited(HANG) as tenant:
        write(tenant)
    with audited(HANG, on=False) as tenant:
        assert Repository(tenant.engine.world.disk).pins()[CURSOR].offset == 0
        held = tenant.metrics()["store_audit_held_records"]
        assert held == tenant.on_loop(lambda: tenant.engine.log.durable_offset) > 0
        assert "store snapshot unpin audit" in tenant.request("GET", "/v1/audit").body["problem"]
    assert "store snapshot unpin audit" in caplog.text


def test_the_servers_own_process_ships_what_happens(tmp_path: Path) -> None:
    """From the first record on, into the folder beside the data directory; at a stop the stop itself, too."""
    serve = functools.partial(kept, tmp_path, QUIET, real=True, audit=AuditOptions(batch_age_max_s=0.05))
    with serve() as tenant:
        write(tenant, 5)
        durable = tenant.on_loop(lambda: tenant.engine.log.durable_offset)
        tenant.wait_for(lambda: tenant.metrics()["store_audit_offset"] >= durable)
        assert tenant.metrics()["store_audit_well"] == 1
        seen = tenant.request("GET", "/v1/audit").body["status"]
        assert seen["checkpoint_events"] == seen["events"] >= durable
        stopped = tenant
    folder = stopped.data.with_name("data.audit") / "bucket"
    assert len(list(folder.rglob("manifest/*.json"))) >= 1
    cursor = Repository(stopped.engine.world.disk).pins()[CURSOR].offset
    assert cursor == stopped.engine.write_path.last_offset
