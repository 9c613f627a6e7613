"""What operators do with a trail: look, keys, people forgotten, holds, a ledger that is made anew."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.audit.objects.notes import COSIGNATURE, SecretKey
from store.engine.acts import DONE, FAILED
from store.env.subject_folder import FolderSubjectKeys
from tests.cli.audit.test_ship import status_of, verified
from tests.cli.tenant import Ended, store
from tests.cli.upkeep.test_acts import ME, logged
from tests.env import rgw_server
from tests.env.s3_server import Proxy
from tests.env.worm_servers import credentials
from tests.server.upkeep import QUIET, kept, write


@pytest.fixture(name="stopped")
def _stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a store that ran and is stopped, with its trail shipped."""
    live(tmp_path, monkeypatch)
    assert ship(tmp_path).returncode == 0
    return tmp_path


def live(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store runs for a while, without its trail."""
    with kept(folder, QUIET, monkeypatch=monkeypatch) as tenant:
        write(tenant, 5)


def ship(folder: Path, *more: str) -> Ended:
    """Ship by hand."""
    return store("audit", "ship", "data", "--json", *more, cwd=folder)


def said(done: Ended) -> dict[str, Any]:
    """What a command printed."""
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def keys(folder: Path) -> dict[str, Any]:
    """The keys as they are listed."""
    return said(store("audit", "keys", "show", "data", "--json", cwd=folder))


def test_the_status_is_what_was_said_last(stopped: Path) -> None:
    """Also when nobody ships: how long ago it was, what is not proven, and 0 while nothing keeps the trail."""
    found = said(store("audit", "status", "data", "--json", cwd=stopped))
    assert found["events"] == found["checkpoint_events"] > 0
    assert found["running"] is False
    assert "witness" in found["unproven"][0]
    assert any("COMPLIANCE" in each for each in found["unproven"])
    shown = store("audit", "status", "data", cwd=stopped).stdout
    assert "not proven" in shown
    assert "its owner can change it" in shown


def test_a_problem_ends_the_status_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a script that watches need not read."""
    live(tmp_path, monkeypatch)
    (tmp_path / "elsewhere").mkdir()
    ship(tmp_path, "--set", "audit.store=elsewhere")
    done = store("audit", "status", "data", cwd=tmp_path)
    assert done.returncode == 1
    assert "store audit init" in done.stdout


def test_the_status_says_why_nobody_ships(stopped: Path) -> None:
    """Also where the process could not even begin; and no more once it could."""
    secret = next((stopped / "data.audit" / "keys").glob("*.key"))
    secret.chmod(0o644)
    assert ship(stopped).returncode != 0
    done = store("audit", "status", "data", cwd=stopped)
    assert done.returncode == 1
    assert "chmod 600" in done.stdout
    assert "events" in done.stdout
    secret.chmod(0o600)
    assert ship(stopped).returncode == 0
    assert store("audit", "status", "data", cwd=stopped).returncode == 0


def test_the_silence_of_who_ships_is_a_problem(stopped: Path) -> None:
    """It was killed, or its own disk is full: it could not say so, and the trail does not go on."""
    path = stopped / "data.audit" / "status.json"
    told = json.loads(path.read_bytes())
    path.write_text(json.dumps({**told, "pid": 4242, "at": time.time()}))
    assert store("audit", "status", "data", cwd=stopped).returncode == 0
    path.write_text(json.dumps({**told, "pid": 4242, "at": told["at"] - 60}))
    done = store("audit", "status", "data", cwd=stopped)
    assert done.returncode == 1
    assert "problem       the process that ships (4242) has said nothing for" in done.stdout


def test_a_bucket_that_nobody_reached_is_not_called_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What kind of store it is, is said once it is known."""
    live(tmp_path, monkeypatch)
    ship(tmp_path, "--set", "audit.store=s3://nobody/x", "--set", "audit.endpoint=http://127.0.0.1:9")
    done = store("audit", "status", "data", cwd=tmp_path)
    assert "s3://nobody/x" in done.stdout
    assert "its owner can change it" not in done.stdout


def test_a_trail_stays_in_the_store_in_which_it_began(stopped: Path) -> None:
    """Another one would hold it without its beginning; the error names both."""
    assert store("audit", "init", "data", "--set", "audit.store=worm", cwd=stopped).returncode == 0
    done = ship(stopped, "--set", "audit.store=worm")
    assert done.returncode == 78
    assert "the folder beside the data directory" in done.stderr
    assert "worm" in done.stderr
    assert ship(stopped).returncode == 0


def test_without_a_status_nobody_has_shipped(tmp_path: Path) -> None:
    """Which is said, with what to do."""
    done = store("audit", "status", "data", cwd=tmp_path)
    assert done.returncode == 6
    assert "store audit ship" in done.stderr


def test_a_key_is_rotated_without_asking_whoever_ships(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits until the trail is shipped next; then it signs, introduced by the one before."""
    first = keys(stopped)["keys"][0]["key"]
    made = said(store("audit", "keys", "rotate", "data", "--json", cwd=stopped))["key"]
    assert keys(stopped)["waiting"] == [made]
    events = status_of(ship(stopped).stdout)["events"]
    found = keys(stopped)
    assert [(each["key"], each["from_size"]) for each in found["keys"]] == [(first, 0), (made, events)]
    assert found["waiting"] == []
    live(stopped, monkeypatch)
    assert status_of(ship(stopped).stdout)["key"] == made
    assert verified(stopped, key=first) == verified(stopped, key=made) == 0


def test_a_stolen_key_is_revoked_by_the_root_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which then introduces the next one; the trail goes on, and verifies."""
    root = said(store("audit", "keys", "root", "root.key", "--json", cwd=tmp_path))["key"]
    assert (tmp_path / "root.key").stat().st_mode & 0o77 == 0
    live(tmp_path, monkeypatch)
    option = ("--set", f"audit.root_key={root}")
    assert ship(tmp_path, *option).returncode == 0
    first = keys(tmp_path)["keys"][0]["key"]
    revoked = ("keys", "revoke", first.split("+")[1], "data", "--root", "root.key", "--reason", "a laptop was lost")
    assert said(store("audit", *revoked, "--json", cwd=tmp_path))["key"] == first
    assert keys(tmp_path)["root"] == root
    made = said(store("audit", "keys", "rotate", "data", "--root", "root.key", "--json", cwd=tmp_path))["key"]
    live(tmp_path, monkeypatch)
    assert ship(tmp_path, *option).returncode == 0
    assert verified(tmp_path, key=made) == 0


def test_without_a_root_key_no_key_can_be_revoked(stopped: Path) -> None:
    """The error says what remains to be done."""
    store("audit", "keys", "root", "root.key", cwd=stopped)
    first = keys(stopped)["keys"][0]["key"].split("+")[1]
    done = store("audit", "keys", "revoke", first, "data", "--root", "root.key", "--reason", "x", cwd=stopped)
    assert done.returncode == 78
    assert "root key" in done.stderr


def test_a_person_is_forgotten_once(stopped: Path) -> None:
    """It asks first; a second time there is nothing to destroy."""
    secrets = FolderSubjectKeys(stopped / "data.audit" / "keys", stopped / "data.audit" / "subjects")
    secrets.key_of("ada")
    assert store("audit", "forget", "ada", "data", cwd=stopped).returncode != 0
    assert said(store("audit", "forget", "ada", "data", "--yes", "--json", cwd=stopped))["was_there"] is True
    again = said(store("audit", "forget", "ada", "data", "--yes", "--json", cwd=stopped))
    assert (again["was_there"], again["before"]) == (False, True)


def test_nobody_is_called_forgotten_who_had_no_key(stopped: Path) -> None:
    """A name that was mistyped: the answer says that there was nothing to destroy."""
    done = store("audit", "forget", "adda", "data", "--yes", cwd=stopped)
    assert done.returncode == 0
    assert "there was no key of that name" in done.stdout


def test_nobody_is_forgotten_where_no_trail_is(tmp_path: Path) -> None:
    """A wrong directory: no secrets are made there."""
    done = store("audit", "forget", "ada", "nowhere", "--yes", cwd=tmp_path)
    assert done.returncode == 6
    assert "Name the data directory" in done.stderr
    assert not (tmp_path / "nowhere.audit").exists()


def test_who_did_what_by_hand_to_a_trail_is_in_the_log(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how it ended; the name of who was forgotten is not in it."""
    store("audit", "forget", "olga", "data", "--yes", cwd=stopped)
    store("audit", "keys", "rotate", "data", cwd=stopped)
    store("audit", "hold", "data", cwd=stopped)
    store("audit", "rebuild", "data", "--yes", cwd=stopped)
    store("audit", "keys", "rotate", "data", "--root", "no.key", cwd=stopped)
    live(stopped, monkeypatch)
    args = [each.args for each in logged(stopped / "data") if each.reducer == "audit"]
    acts = [msgspec.msgpack.decode(each) for each in args]
    assert [(act["what"], act["state"]) for act, _ in acts] == [
        ("forget", DONE),
        ("keys rotate", DONE),
        ("hold", DONE),
        ("rebuild", DONE),
        ("keys rotate", FAILED),
    ]
    assert all(who == ME for _, who in acts)
    assert b"olga" not in b"".join(args)


def test_a_hold_is_put_and_lifted(stopped: Path) -> None:
    """On every version of the trail."""
    put = said(store("audit", "hold", "data", "--json", cwd=stopped))
    assert put["changed"] == put["seen"] > 3
    assert said(store("audit", "hold", "data", "--json", cwd=stopped))["changed"] == 0
    assert said(store("audit", "hold", "data", "--off", "--json", cwd=stopped))["changed"] == put["seen"]


def test_a_lost_ledger_is_made_anew_from_the_store(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without being asked; the trail goes on where it was."""
    before = status_of(ship(stopped).stdout)["events"]
    shutil.rmtree(stopped / "data.audit" / "ledger")
    done = ship(stopped)
    assert "the ledger was made anew" in done.stdout
    assert status_of(done.stdout)["events"] == before
    live(stopped, monkeypatch)
    assert ship(stopped).returncode == 0
    assert verified(stopped) == 0


def test_a_trail_of_which_nothing_is_left_does_not_begin_again_by_itself(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk may not be mounted: the log that it still needs would go, and other keys would sign."""
    (stopped / "data.audit").rename(stopped / "unmounted")
    done = ship(stopped)
    assert done.returncode == 78
    assert "was shipped through offset" in done.stderr
    assert "is its disk mounted?" in done.stderr
    assert not list((stopped / "data.audit").glob("keys/*.note"))
    assert said(store("audit", "rebuild", "data", "--yes", "--json", cwd=stopped))["events"] == 0
    assert status_of(ship(stopped).stdout)["events"] > 0
    shutil.rmtree(stopped / "data.audit")
    (stopped / "unmounted").rename(stopped / "data.audit")
    live(stopped, monkeypatch)
    assert verified(stopped) == 0


def test_a_lost_secret_of_a_trail_is_not_made_anew(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal arguments would hash otherwise from there on, and nobody could open what is sealed: it is asked for."""
    keys_folder = stopped / "data.audit" / "keys"
    for lost in (keys_folder / "hmac.key", keys_folder):
        lost.rename(stopped / "kept")
        done = ship(stopped)
        assert done.returncode != 0
        assert "bring the folder of its keys back" in done.stderr.lower()
        assert not (keys_folder / "hmac.key").exists()
        if lost == keys_folder:
            shutil.rmtree(keys_folder)  # Empty: made by looking.
        (stopped / "kept").rename(lost)
    live(stopped, monkeypatch)
    assert ship(stopped).returncode == 0
    assert verified(stopped) == 0


def test_an_old_copy_of_the_ledger_is_set_aside(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going on from it would fork the trail."""
    folder = stopped / "data.audit"
    shutil.copytree(folder / "ledger", stopped / "old")
    live(stopped, monkeypatch)
    ship(stopped)
    shutil.rmtree(folder / "ledger")
    shutil.move(stopped / "old", folder / "ledger")
    live(stopped, monkeypatch)
    done = ship(stopped)
    assert done.returncode == 0, done.stderr
    assert "set aside" in done.stdout
    assert verified(stopped) == 0


def test_a_damaged_ledger_is_made_anew(stopped: Path) -> None:
    """What was there is kept aside, for whoever wants to know."""
    data = stopped / "data.audit" / "ledger" / "data.mdb"
    data.write_bytes(b"\xff" * data.stat().st_size)
    assert ship(stopped).returncode == 0
    assert verified(stopped) == 0


def test_a_ledger_is_rebuilt_by_hand(stopped: Path) -> None:
    """The old one is set aside; without the keys nobody can go on."""
    events = status_of(ship(stopped).stdout)["events"]
    assert said(store("audit", "rebuild", "data", "--yes", "--json", cwd=stopped))["events"] == events
    assert len(list((stopped / "data.audit").glob("ledger.*"))) == 1
    shutil.rmtree(stopped / "data.audit" / "keys")
    done = store("audit", "rebuild", "data", "--yes", cwd=stopped)
    assert done.returncode == 78
    assert "Bring the folder of its keys back" in done.stderr


@pytest.mark.parametrize("gone", ["checkpoint/*.ckpt*", "*"])
def test_a_store_that_lost_its_head_is_not_gone_on_with_in_silence(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """Who rebuilds, who looks, and who reads the trail is told what was there; until the trail was verified."""
    first = status_of(ship(stopped).stdout)["checkpoint_events"]
    for each in (stopped / "data.audit" / "bucket" / "audit" / "v1").glob(f"{'[0-9a-f]' * 32}/{gone}"):
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    (stopped / "data.audit" / "ledger").rename(stopped / "lost")
    done = store("audit", "rebuild", "data", "--yes", cwd=stopped)
    assert f"0 of {first} events under a checkpoint" in done.stderr
    live(stopped, monkeypatch)
    assert ship(stopped).returncode == 0
    shown = store("audit", "status", "data", cwd=stopped)
    assert shown.returncode == 1
    assert f"missing       when the ledger was made anew, the store held less than it had: 0 of {first}" in shown.stdout
    acts = [msgspec.msgpack.decode(each.args)[0] for each in logged(stopped / "data") if each.reducer == "audit"]
    (act,) = (each for each in acts if each["what"] == "shortfall")
    assert (act["expected_events"], act["found_events"]) == (first, 0)
    assert store("audit", "verify", "data", cwd=stopped).returncode == 0
    assert store("audit", "status", "data", cwd=stopped).returncode == 0


def test_init_makes_a_folder_and_says_what_it_is(stopped: Path) -> None:
    """Again and again; a folder's owner can change it, which is said."""
    for _ in range(2):
        done = store(
            "audit", "init", "data", "--set", "audit.store=worm", "--set", "audit.retention_days=9", cwd=stopped
        )
        assert done.returncode == 0
        assert "locks them for 9 days" in done.stdout
        assert "whoever owns it can change it" in done.stderr


def test_a_witness_that_does_not_answer_is_told(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is wanted the trail goes on without it; the status says what went wrong."""
    live(stopped, monkeypatch)
    key = SecretKey("example.com/w1", bytes(32), COSIGNATURE).key
    assert ship(stopped, "--set", f"audit.witnesses=http://127.0.0.1:9={key}").returncode == 0
    (witness,) = said(store("audit", "status", "data", "--json", cwd=stopped))["witnesses"]
    assert (witness["url"], witness["size"]) == ("http://127.0.0.1:9", 0)
    assert witness["problem"]
    assert "http://127.0.0.1:9 has cosigned 0 events: " in store("audit", "status", "data", cwd=stopped).stdout


def of_rgw(url: str, bucket: str) -> list[str]:
    """The options of a trail in a bucket of Ceph's server."""
    return [
        *("--set", f"audit.store=s3://{bucket}/t", "--set", f"audit.endpoint={url}", "--set", "audit.region=us-east-1")
    ]


def test_init_looks_at_the_clock(stopped: Path, rgw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in which nothing could be locked is not called ready."""
    credentials(monkeypatch, rgw_server.ACCESS_KEY, rgw_server.SECRET_KEY)
    proxy = Proxy(rgw)
    try:
        assert store("audit", "init", "data", *of_rgw(proxy.url, "clocks"), cwd=stopped).returncode == 0
        proxy.skew_s = 3_000
        done = store("audit", "init", "data", *of_rgw(proxy.url, "clocks"), cwd=stopped)
    finally:
        proxy.close()
    assert done.returncode == 78
    assert "is NTP running?" in done.stderr


def test_init_prints_the_policies_to_whoever_lacks_them(
    stopped: Path, rgw: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be allowed is of use where it is not, too; the error says that it is not."""
    credentials(monkeypatch, rgw_server.ACCESS_KEY, rgw_server.SECRET_KEY)
    assert store("audit", "init", "data", *of_rgw(rgw, "private"), cwd=stopped).returncode == 0
    credentials(monkeypatch, rgw_server.OTHER_ACCESS_KEY, rgw_server.OTHER_SECRET_KEY)
    done = store("audit", "init", "data", *of_rgw(rgw, "private"), cwd=stopped)
    assert done.returncode == 16
    assert "403 AccessDenied" in done.stderr
    assert "arn:aws:s3:::private/t/audit/v1/" in done.stdout
