"""Who did what by hand to a directory is in its log: whatever command it was, however it ended, and once."""

import json
import os
import pwd
import shutil
import socket
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from store.cli.directories import generation_of
from store.cli.upkeep import acts
from store.cli.upkeep.acts import act_of, note_switch, noted, owed_acts, person
from store.codec import decode_batch
from store.engine.acts import ACTS, BEGUN, DONE, FAILED, NOT_IN_FORCE
from store.env.parent import PARENT_VARIABLE
from store.env.posix import PosixDisk, SystemClock
from store.ids import Offset
from store.log.reader import LogReader
from store.log.survey import runs, segments
from store.transaction import Kind, Transaction
from tests.cli import history
from tests.cli.history import deposit, flip, opened, run
from tests.cli.tenant import running, store

ME = [f"host:{socket.gethostname()}", pwd.getpwuid(os.getuid()).pw_name]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A stopped store with a snapshot and log behind it."""
    folder = tmp_path / "data"
    deposit(folder, *range(1, 10))
    with opened(folder):
        pass
    return folder


def told(data: Path) -> list[tuple[str, Any]]:
    """(name, what) of every act the log tells of, once a store was started on it; each was mine."""
    with opened(data):
        pass
    found = [
        (each.reducer, *msgspec.msgpack.decode(each.args))
        for each in logged(data)
        if each.kind == Kind.ADMIN and each.reducer != "heartbeat"
    ]
    assert all(who == ME for _, _, who in found)
    return [(name, what) for name, what, _ in found]


def logged(data: Path) -> list[Transaction]:
    """All that the log has to its end without a gap."""
    disk = PosixDisk(generation_of(data), read_only=True)
    first = runs(segments(disk))[-1][0].first_offset
    return [each for batch in LogReader(disk, from_offset=first) for each in decode_batch(batch.body)]


def test_the_person_is_the_account_on_this_machine() -> None:
    """Not what the environment says."""
    assert list(person()) == ME


def test_whom_somebody_came_in_as_is_said_where_they_took_another_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with sudo: the system remembers. Where it says nothing, or the same, nothing is said."""
    said = tmp_path / "loginuid"
    monkeypatch.setattr(acts, "_LOGIN", said)
    for text, login in (("4242", "4242"), ("4294967295", None), (str(os.getuid()), None), ("?", None)):
        said.write_text(text)
        assert act_of("retention", {}).content.get("login") == login
    said.unlink()
    assert "login" not in act_of("retention", {}).content


def test_acts_on_a_stopped_store(data: Path) -> None:
    """Snapshot, pin, unpin, prune and push: each with what came of it. A dry run is no act."""
    here = data.parent
    run("snapshot", "take", "data", cwd=here)
    run("snapshot", "pin", "data", "newest", "--name", "keep", "--reason", "the audit", cwd=here)
    run("snapshot", "unpin", "data", "keep", cwd=here)
    run("snapshot", "prune", "data", "--dry-run", cwd=here)
    run("snapshot", "prune", "data", "--grace", "0s", cwd=here)
    run("backup", "push", "data", "backup", cwd=here)
    (snapshot, pin, unpin, prune, push) = told(data)
    assert (snapshot[0], snapshot[1]["fresh"], snapshot[1]["state"]) == ("snapshot", True, DONE)
    assert (pin[0], pin[1]["pin"], pin[1]["why"], pin[1]["offset"]) == (
        "pin",
        "keep",
        "the audit",
        snapshot[1]["offset"],
    )
    assert (unpin[0], unpin[1]["pin"]) == ("unpin", "keep")
    assert (prune[0], prune[1]["segments"], prune[1]["state"]) == ("retention", 0, DONE)
    assert (push[0], push[1]["url"].endswith("backup"), push[1]["state"]) == ("backup", True, DONE)
    assert len(told(data)) == 5


def test_what_fails_is_told_with_the_problem(data: Path) -> None:
    """Who tried, what, and what came in between."""
    flip(history.segments(data)[0], 200)
    run("snapshot", "take", "data", cwd=data.parent, exit_code=4)
    notes = [json.loads(each.read_bytes()) for each in (data / ACTS).iterdir()]
    assert [(each["name"], each["state"]) for each in notes] == [("snapshot", FAILED)]
    assert "log/" in notes[0]["content"]["problem"]


@pytest.mark.parametrize("how", ["restore", "clone", "salvage", "pull", "import"])
def test_what_makes_a_directory_is_the_first_thing_its_log_tells(data: Path, how: str) -> None:
    """Right behind the epoch: who made it, from where, of which offset."""
    here = data.parent
    run("snapshot", "take", "data", cwd=here)
    run("snapshot", "export", "data", "--to", "lines", cwd=here)
    run("backup", "push", "data", "backup", cwd=here)
    command, source = {
        "restore": (("restore", "data", "--into", "new"), "data"),
        "clone": (("clone", "data", "new"), "data"),
        "salvage": (("salvage", "data", "new"), "data"),
        "pull": (("backup", "pull", "backup", "new"), "backup"),
        "import": (("snapshot", "import", "lines", "new"), "lines"),
    }[how]
    run(*command, cwd=here)
    ((name, what),) = [each for each in told(here / "new") if each[1].get("from")]
    assert (name, what["state"]) == (how, DONE)
    assert what["from"].endswith(source)
    records = logged(here / "new")
    (at,) = [place for place, each in enumerate(records) if each.reducer == how]
    assert (records[at - 1].kind, records[at - 1].offset - 1) == (Kind.EPOCH, what["offset"])
    assert not any(name == how for name, _ in told(data))


def test_a_restore_in_place_its_undo_and_its_confirmation(data: Path) -> None:
    """Each is told by whichever generation is started next, with whether it is in force."""
    here = data.parent
    run("restore", "data", "--to-offset", "6", cwd=here)
    ((name, what),) = told(data)
    assert (name, what["offset"], what["state"]) == ("restore", 6, DONE)
    left = logged(data)[-1].offset
    run("restore", "data", "--undo", cwd=here)
    ((name, what),) = told(data)
    assert (name, what["state"], what["last_offset"]) == ("undo", DONE, left)
    assert len(what["epoch"]) == 32
    run("restore", "data", "--to-offset", "7", cwd=here)
    run("restore", "data", "--undo", cwd=here)
    found = [(name, what["state"]) for name, what in told(data)]
    assert found == [("undo", DONE), ("restore", NOT_IN_FORCE), ("undo", DONE)]
    run("restore", "data", "--to-offset", "8", cwd=here)
    run("restore", "data", "--confirm", cwd=here)
    assert [(name, what["state"]) for name, what in told(data)] == [("restore", DONE), ("confirm", DONE)]


@pytest.mark.parametrize("gone", ["log", ""])
def test_what_is_damaged_or_gone_can_be_left_all_the_same(data: Path, gone: str) -> None:
    """An undo says how far that history had come only where something tells it."""
    here = data.parent
    run("restore", "data", "--to-offset", "6", cwd=here)
    shutil.rmtree(generation_of(data) / gone)
    run("restore", "data", "--undo", cwd=here)
    (*_, (name, what)) = told(data)
    assert (name, what["state"], "last_offset" in what) == ("undo", DONE, False)


def test_what_was_being_logged_is_settled_before_another_generation_comes_into_force(data: Path) -> None:
    """A start that crashed behind its record: the note goes, though that generation is never started again."""
    here = data.parent
    run("snapshot", "pin", "data", "newest", cwd=here)
    with opened(data) as engine:
        last = engine.state.last_offset
    note_switch(data, "undo", "", {})
    owed = owed_acts(data, data)
    owed.log(owed.due(starting=True), Offset(last), lambda *_: None)
    run("restore", "data", "--to-offset", "6", cwd=here)
    assert generation_of(data) != data
    assert [name for name, _ in told(data)] == ["restore"]


def test_the_servers_own_processes_leave_no_notes(data: Path) -> None:
    """What they do the server records."""
    ended = store("snapshot", "take", "data", cwd=data.parent, **{PARENT_VARIABLE: str(os.getpid())})
    assert ended.returncode == 0
    assert PosixDisk(data).names(ACTS) == []


def test_an_act_that_nobody_can_note_is_done_all_the_same(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As on a full disk, where letting go is what helps; it is said."""
    (data / ACTS).write_bytes(b"no folder")
    with noted(data, "retention", {}) as more:
        more["segments"] = 3
    assert "the log will not say who did this" in capsys.readouterr().err


def test_an_act_beside_a_store_that_runs_is_logged_while_it_runs(tmp_path: Path) -> None:
    """Nobody has to stop anything."""
    with running(tmp_path) as tenant:
        assert store("snapshot", "pin", "data", "newest", cwd=tmp_path).returncode == 0
        for _ in range(1_000):
            if not list((tmp_path / "data" / ACTS).glob("*.json")):
                break
            threading.Event().wait(0.02)
        tenant.stop()
        pins = [each for each in logged(tmp_path / "data") if each.reducer == "pin"]
    assert [msgspec.msgpack.decode(each.args)[1] for each in pins] == [ME]


def test_a_killed_act_is_told_as_begun(data: Path) -> None:
    """Nobody knows how far it came."""
    with pytest.raises(SystemExit), noted(data, "retention", {}):
        raise SystemExit(3)
    acts.note(PosixDisk(data), act_of("import", {}), acts.SystemEntropy())
    assert [(name, what["state"]) for name, what in told(data)] == [("retention", FAILED), ("import", BEGUN)]
    assert SystemClock().wall() >= told(data)[0][1]["at"]


def test_a_dump_names_who_did_what(data: Path) -> None:
    """In the line for people, too."""
    run("snapshot", "pin", "data", "newest", "--name", "keep", cwd=data.parent)
    with opened(data):
        pass
    line = run("log", "dump", "data", cwd=data.parent).stdout.splitlines()[-3]
    assert f"  {ME[1]}  admin pin(offset " in line
    assert ", pin keep, state done)" in line
