"""The operators' doors: for operators alone, and nothing leaves before what it rests on is durable."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from store.audit.owing import CURSOR
from store.engine.identity import SCOPE_CALL, SCOPE_READ
from store.engine.options import EngineOptions
from store.env.posix import PosixDisk
from store.ids import Offset
from store.log.survey import proven_end
from store.server.mint import add_token, mint_token
from store.snapshot.repository import Pin, Repository
from store.transaction import Kind
from tests.server.scenes import LIMIT_S, answer_of, serving, unanswered
from tests.server.upkeep import QUIET, TAKEN, RealTenant, kept

Kept = Callable[..., AbstractContextManager[RealTenant]]
ROOT = Path(__file__).parents[2]

DOORS = [
    ("POST", "/v1/snapshot"),
    ("GET", "/v1/snapshots"),
    ("GET", "/v1/operations"),
    ("POST", "/v1/seal"),
    ("POST", "/v1/confirm"),
    ("POST", "/v1/fingerprint"),
    ("POST", "/v1/drill"),
    ("GET", "/v1/audit"),
]


@pytest.fixture(name="tended")
def _tended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A tenant whose children are stand-ins."""
    return functools.partial(kept, tmp_path, monkeypatch=monkeypatch)


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_only_operators_come_in(tmp_path: Path, method: str, path: str) -> None:
    """Who has no token is 401, who has another scope 403; the log says of both that they were denied, and no more."""
    with serving(tmp_path) as tenant:
        before = tenant.on_loop(lambda: tenant.engine.write_path.last_offset)
        token = tenant.add_token("bob", (SCOPE_CALL, SCOPE_READ))
        tenant.on_loop(tenant.service.end_withdrawn)
        said = tenant.request(method, path, token=token)
        assert (said.status, said.body["error"]) == (403, "denied")
        assert f"{path} needs the scope operate" in said.body["message"]
        assert tenant.request(method, path, token="").status == 401
        assert tenant.request("PUT", path).status == 405
        records = tenant.on_loop(lambda: list(tenant.engine.feed.tail(before) or ()))
        assert [(each.kind, each.reducer) for each in records] == [
            (Kind.IDENTITY, "identity"),
            (Kind.DENIED, "operate"),
            (Kind.DENIED, "authenticate"),
        ]


def test_the_page_lists_the_doors() -> None:
    """HTTP.md has each, under its method."""
    page = (ROOT / "store" / "server" / "HTTP.md").read_text().partition("## 8.")[2]
    assert set(re.findall(r"^\| `(GET|POST) (/v1/\w+)`", page, re.MULTILINE)) == set(DOORS)


def test_sealing_closes_the_segment_behind_all_that_was_answered(tended: Kept) -> None:
    """It is recorded; what it answers is proven durable, also to whoever reads the directory alone."""
    with tended() as tenant:
        written = tenant.call("write", 1, "one").body["offset"]
        said = tenant.request("POST", "/v1/seal")
        assert said.status == 200
        assert said.body["offset"] > written
        assert proven_end(tenant.engine.world.disk)[0] == said.body["offset"]
        assert said.body["segment"] == tenant.on_loop(lambda: tenant.engine.log.segment)
        again = tenant.request("POST", "/v1/seal").body
        assert again["offset"] == said.body["offset"] + 1


@pytest.mark.parametrize("path", ["/v1/seal", "/v1/fingerprint"])
def test_nothing_leaves_before_it_is_durable(tmp_path: Path, path: str) -> None:
    """While the disk hangs these doors say nothing: a fingerprint would tell of what may never have been."""
    with serving(tmp_path, engine_options=EngineOptions(fsync_inline_max_ms=-1.0)) as tenant:
        tenant.gate.shut()
        writing = tenant.ask("POST", "/v1/call/write", [1, "one"])
        assert tenant.gate.reached.wait(LIMIT_S)
        asked = tenant.ask("POST", path)
        tenant.wait_until(lambda: tenant.engine.feed.waiting > 0)
        for _ in range(10):
            tenant.on_loop(lambda: None)
        assert unanswered(asked)
        tenant.gate.open()
        said = answer_of(asked)
        assert said.status == 200
        assert said.body["offset"] >= answer_of(writing).body["offset"]
        asked.close()
        writing.close()


def test_the_fingerprint_is_that_of_the_tables(tended: Kept) -> None:
    """With the offset it is of, how many rows, and how long calls were kept waiting at most."""
    with tended() as tenant:
        tenant.call("write", 1, "one")
        said = tenant.request("POST", "/v1/fingerprint").body
        assert said["fingerprint"] == tenant.on_loop(tenant.engine.database.fingerprint)
        assert (said["rows"], said["slices"]) == (1, 1)
        assert said["offset"] <= tenant.on_loop(lambda: tenant.engine.write_path.last_offset)


def test_too_much_written_meanwhile_is_told(tended: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a limit: ask again at a quieter time."""
    with tended() as tenant:
        monkeypatch.setattr(tenant.maintenance.live._live, "_kept_size_max", -1)
        said = tenant.request("POST", "/v1/fingerprint")
        assert (said.status, said.body["error"]) == (503, "overloaded")
        said = tenant.request("POST", "/v1/drill")
        assert (said.status, said.body["details"]["reason"]) == (409, "drill_failed")


def test_who_does_not_want_to_wait_is_answered_at_once(tended: Kept) -> None:
    """That it began; anything but true or false is refused before it does."""
    with tended() as tenant:
        tenant.script(take=[["hang", 60]], prune=[])
        said = tenant.request("POST", "/v1/snapshot?wait=false")
        assert (said.status, said.body) == (202, {"begun": True})
        pid = tenant.hanging()
        assert tenant.request("POST", "/v1/drill?wait=maybe").status == 400
        state = tenant.request("GET", "/v1/snapshots").body["maintenance"]
        assert (state["working"], state["process"], state["progress"]["phase"]) == ("snapshot", pid, "hanging")
        assert tenant.metrics()['store_maintenance_working{what="snapshot"}'] == 1
        os.kill(pid, signal.SIGKILL)
        tenant.wait_until(lambda: not tenant.maintenance.working)
        assert [each["verb"] for each in tenant.ran()] == ["take", "prune"]


def test_what_is_being_done_is_told_with_how_far_it_is(tended: Kept) -> None:
    """Kind, reason, process and the child's newest word; what waits behind it; and how each kind last went."""
    with tended() as tenant:
        tenant.script(take=[["hang", 60]], prune=[], drill=[["litter", 0], ["fail", "no space left"]])
        assert tenant.request("GET", "/v1/operations").body["last"] == {}
        tenant.request("POST", "/v1/snapshot?wait=false")
        pid = tenant.hanging()
        tenant.request("POST", "/v1/drill?wait=false")
        said = tenant.request("GET", "/v1/operations").body
        assert {name: said[name] for name in ("working", "reason", "process")} == {
            "working": "snapshot",
            "reason": "by hand",
            "process": pid,
        }
        assert said["progress"] == {"event": "progress", "phase": "hanging", "done": 0, "total": 1}
        assert said["waiting"] == [{"kind": "drill", "reason": "by hand"}]
        os.kill(pid, signal.SIGKILL)
        tenant.wait_until(lambda: "drill" in tenant.maintenance.figures.failed and not tenant.maintenance.working)
        last = tenant.request("GET", "/v1/operations").body["last"]
        assert (last["drill"]["failed"], set(last["drill"])) == ("no space left", {"failed", "failed_at"})
        assert "SIGKILL" in last["snapshot"]["failed"]


def test_what_was_restored_in_place_is_confirmed_while_it_is_served(tmp_path: Path) -> None:
    """The files from before go, it is recorded, and serving goes on; once it is decided there is nothing more to do."""
    with kept(tmp_path, QUIET, real=True) as tenant:
        assert tenant.request("POST", "/v1/confirm").body["details"]["reason"] == "nothing_to_confirm"
        old = f"restored-{7:020d}-00000000"
        (tenant.data / old / "log").mkdir(parents=True)
        (tenant.data / old / "log" / "x.log").write_bytes(bytes(100))
        (tenant.data / "previous").write_text(json.dumps({"generation": old, "current": ""}))
        said = tenant.request("POST", "/v1/confirm")
        assert (said.status, said.body["bytes"]) == (200, 100)
        assert list((tenant.data / old).rglob("*.log")) == []
        assert tenant.records()[-1][0] == "confirm"
        assert tenant.call("write", 1, "one").status == 200
        assert tenant.request("POST", "/v1/confirm").status == 409


def test_files_that_the_trail_still_wants_are_not_let_go(tmp_path: Path) -> None:
    """409 names both offsets, and all stays as it was; whoever gives them up says so, and so does the record."""
    with kept(tmp_path, QUIET, real=True) as tenant:
        old = tenant.data / f"restored-{7:020d}-00000000"
        shutil.copytree(tenant.data / "log", old / "log")
        Repository(PosixDisk(old, root=tenant.data)).pin(CURSOR, Pin(Offset(1), "the trail", None, "cursor"))
        (tenant.data / "previous").write_text(json.dumps({"generation": old.name, "current": ""}))
        said = tenant.request("POST", "/v1/confirm")
        assert (said.status, said.body["details"]["reason"]) == (409, "unshipped")
        assert "up to offset 1, and needs them up to" in said.body["message"]
        assert list((old / "log").glob("*.log"))
        assert tenant.request("POST", "/v1/confirm?give_up_unshipped=maybe").status == 400
        assert tenant.request("POST", "/v1/confirm?give_up_unshipped=true").status == 200
        assert not list(old.rglob("*.log"))
        assert tenant.records()[-1][1]["gave_up_unshipped"] is True


def test_who_asked_is_recorded(tended: Kept) -> None:
    """By issuer and subject, with what was done; the answer says where."""
    with tended() as tenant:
        tenant.script(take=[["say", TAKEN], ["say", {"event": "pruned"}]])
        said = tenant.request("POST", "/v1/snapshot").body
        (record,) = tenant.records()
        assert record[2][1] == "ada"
        assert record[1]["reason"] == "by hand"
        log = tenant.engine.feed.tail(Offset(said["offset"] - 1))
        assert log is not None
        assert (log[0].kind, log[0].reducer) == (Kind.ADMIN, "snapshot")
        assert said["snapshot"]["name"] == TAKEN["name"]


def test_the_list_says_what_there_is_and_what_can_be_restored(tmp_path: Path) -> None:
    """Snapshots with what they hold, those that do not read and why, pins, ranges, and how the next one stands."""
    with kept(tmp_path, QUIET, real=True) as tenant:
        tenant.call("write", 1, "one")
        taken = tenant.request("POST", "/v1/snapshot").body["snapshot"]
        Repository(tenant.engine.world.disk).pin("mine", Pin(offset=Offset(1), reason="a test", until=None, kind="pin"))
        (tenant.data / "snapshot" / "00000000000000000001.json").write_text("{}\n")
        said = tenant.request("GET", "/v1/snapshots").body
        (found,) = said["snapshots"]
        assert {name: found[name] for name in ("name", "offset", "rows", "fingerprint", "verified")} == {
            **{name: taken[name] for name in ("name", "offset", "rows", "fingerprint")},
            "verified": True,
        }
        assert [each["name"] for each in said["refused"]] == ["00000000000000000001"]
        assert said["pins"]["mine"] == {"offset": 1, "reason": "a test", "until": None, "kind": "pin"}
        assert said["restorable"][0]["first"] <= 1
        assert said["restorable"][-1]["last"] >= taken["offset"]
        assert said["maintenance"]["failures"] == 0
        assert said["maintenance"]["restart_estimate_s"] > 0


# A server process of its own, as it is run.


def test_a_server_process_takes_drills_and_ends_its_child(tmp_path: Path) -> None:
    """`store serve` with its options: by trigger and by HTTP; SIGTERM while a child works ends both."""
    data = tmp_path / "data"
    data.mkdir()
    token, line = mint_token("ada", ("call", "read", "operate"))
    add_token(data / "tokens", line)
    options = ("transactions_between=50", "keep_for_s=0", "grace_s=0", "keep_last=2")
    command = [sys.executable, "-m", "store", "serve", "--data", str(data), "--port", "0", "--json"]
    command = [*command, "--domain", "tests.server.notes", *(f"--set=snapshot.{each}" for each in options)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            events = (json.loads(each) for each in process.stdout)
            url = next(each["url"] for each in events if each["event"] == "listening")
            ask = functools.partial(asked, url.replace("ws:", "http:"), token)
            for number in range(1, 120):
                ask("POST", "/v1/call/write", [number, f"note {number}"])
            assert ask("POST", "/v1/snapshot")["snapshot"]["rows"] == 119
            assert ask("POST", "/v1/drill")["drill"]["same"] is True
            assert len(ask("GET", "/v1/snapshots")["snapshots"]) >= 1
            ask("POST", "/v1/drill?wait=false")
            for _ in range(1_000):
                pid = ask("GET", "/v1/snapshots")["maintenance"]["process"]
                if pid:
                    break
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=LIMIT_S)
            assert "Traceback" not in said
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        finally:
            process.kill()


def asked(url: str, token: str, method: str, path: str, body: Any = None) -> Any:
    """What a door answers."""
    request = urllib.request.Request(  # noqa: S310  # Our own server.
        url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:  # noqa: S310  # Our own server.
        return json.load(answer)
