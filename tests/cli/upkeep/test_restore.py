"""The rules of `store restore` and `store clone`: what is said before, what there is after, and what never happens."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from store.cli.directories import generation_of
from store.cli.exits import Exit
from store.cli.moments import show_bytes
from store.cli.upkeep.preview import SPARE_BYTES, Preview, check_room
from store.env.posix import PosixDisk
from store.errors import DirectoryError
from store.ids import Epoch, Offset, Timestamp
from store.upkeep.ranges import Moment
from store.upkeep.restore import RestorePlan
from tests.cli.history import balance, deposit, error, events, files, flip, run, segments
from tests.cli.tenant import Tenant, environment, process, running, store


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A stopped store: 100 and deposits of 1 to 9, a snapshot, deposits of 10 to 14."""
    folder = tmp_path / "data"
    deposit(folder, *range(1, 10))
    run("snapshot", "take", "data", cwd=tmp_path)
    deposit(folder, *range(10, 15))
    return folder


def deposits(data: Path) -> dict[int, dict[str, Any]]:
    """Every deposit in the log, by its amount."""
    told = events("log", "dump", "data", cwd=data.parent)
    return {each["args"][1]: each for each in told if each["reducer"] == "deposit"}


@pytest.mark.parametrize("amount", [3, 9, 12])
def test_into_a_directory_of_its_own_to_an_offset(data: Path, amount: int) -> None:
    """Before a snapshot, at one, behind one: the rows are those of that moment, and the source is as it was."""
    before = files(data)
    wanted = deposits(data)[amount]
    plan, restored = events("restore", "data", "--to-offset", str(wanted["offset"]), "--into", "new", cwd=data.parent)
    assert (plan["event"], plan["offset"], plan["in_place"]) == ("plan", wanted["offset"], False)
    assert plan["at"].rstrip("Z") == wanted["timestamp"].removesuffix("+00:00")
    assert (restored["event"], restored["offset"]) == ("restored", wanted["offset"])
    assert files(data) == before
    assert balance(data.parent / "new") == 100 + sum(range(1, amount + 1))


def test_to_a_time_is_the_last_transaction_until_then(data: Path) -> None:
    """A moment between two transactions is the earlier one; its offset and both clocks are said before acting."""
    told = deposits(data)
    at = datetime.fromisoformat(told[5]["timestamp"]) + timedelta(microseconds=1)
    ended = run("restore", "data", "--to-time", at.isoformat(), "--into", "new", cwd=data.parent)
    first, what, *_ = ended.stderr.splitlines()
    assert f"it will be offset {told[5]['offset']}, of {told[5]['timestamp'][:10]}" in first
    assert "UTC" in first
    assert "data is only read" in what
    assert balance(data.parent / "new") == 100 + sum(range(1, 6))


def test_to_a_snapshot_by_name_or_offset_and_to_the_newest(data: Path) -> None:
    """A snapshot is named as it is listed, or by its offset alone; without a target --into takes the newest."""
    (listed, _) = events("snapshot", "list", "data", cwd=data.parent)
    for place, name in enumerate((listed["name"], str(listed["offset"]))):
        _, restored = events("restore", "data", "--snapshot", name, "--into", f"new{place}", cwd=data.parent)
        assert (restored["offset"], restored["replayed"]) == (listed["offset"], 0)
    events("restore", "data", "--into", "newest", cwd=data.parent)
    assert balance(data.parent / "newest") == 100 + sum(range(1, 15))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--to-time", "2026-11-21T14:30:00"), Exit.CONFIG, "no time zone"),
        (("--to-time", "soon"), Exit.CONFIG, "takes a time"),
        (("--to-time", "2001-01-01T00:00:00Z"), Exit.NOT_RESTORABLE, "offsets 1 to"),
        (("--to-time", "2999-01-01T00:00:00Z"), Exit.NOT_RESTORABLE, "offsets 1 to"),
        (("--to-offset", "9999"), Exit.NOT_RESTORABLE, "offsets 1 to"),
        (("--snapshot", "3"), Exit.NOT_RESTORABLE, "00000000000000000003"),
        (("--to-offset", "3", "--newest"), Exit.CONFIG, "one moment"),
        (("--confirm", "--undo"), Exit.CONFIG, "together"),
        (("--newest", "--give-up-unshipped"), Exit.CONFIG, "--confirm"),
    ],
)
@pytest.mark.parametrize("into", [(), ("--into", "new")])
def test_what_means_no_moment_is_refused(
    data: Path, into: tuple[str, ...], arguments: tuple[str, ...], code: Exit, words: str
) -> None:
    """Naive, unreadable, too early, in the future, unknown, or two at once: said, with what is restorable."""
    before = files(data)
    assert words in error("restore", "data", *arguments, *into, cwd=data.parent, exit_code=code)["message"]
    assert files(data) == before
    assert not (data.parent / "new").exists()


def test_in_place_needs_a_moment(data: Path) -> None:
    """Without --into nothing is taken for granted."""
    error("restore", "data", cwd=data.parent, exit_code=Exit.CONFIG)
    error("restore", "elsewhere", "--newest", cwd=data.parent, exit_code=Exit.NOTHING_THERE)


def test_an_offset_may_be_of_an_epoch(data: Path) -> None:
    """Asked for in another one than the directory has, it is refused, and the epochs there are listed."""
    (plan,) = events("restore", "data", "--to-offset", "5", "--dry-run", cwd=data.parent)
    same = ("--epoch", plan["epoch"][:6])
    events("restore", "data", "--to-offset", "5", *same, "--dry-run", cwd=data.parent)
    other = ("--epoch", "0" * 32)
    said = error("restore", "data", "--to-offset", "5", *other, cwd=data.parent, exit_code=Exit.NOT_RESTORABLE)
    assert plan["epoch"] in said["hint"]


def test_a_dry_run_says_all_and_does_nothing(data: Path) -> None:
    """Offset, time, epoch, base, files, bytes, time it takes, free space and gaps; nothing is written anywhere."""
    before = files(data)
    for into in ((), ("--into", "new")):
        (plan,) = events("restore", "data", "--newest", "--dry-run", *into, cwd=data.parent)
        assert plan["dry_run"]
        assert plan["in_place"] == (not into)
        assert plan["bytes"] == sum(each["size"] for each in plan["files"]) > 0
        for name in ("offset", "timestamp", "at", "epoch", "base", "replay", "gaps", "eta_s", "free_bytes", "fits"):
            assert name in plan
        plain = run("restore", "data", "--newest", "--dry-run", *into, cwd=data.parent)
        assert f"it will be offset {plan['offset']}" in plain.stdout
    assert files(data) == before
    assert not (data.parent / "new").exists()


def test_nothing_is_ever_overwritten(data: Path) -> None:
    """A directory that holds anything is refused, and stays as it was; so is the source itself."""
    (data.parent / "full").mkdir()
    (data.parent / "full" / "thesis.txt").write_text("mine")
    said = error("restore", "data", "--newest", "--into", "full", cwd=data.parent, exit_code=Exit.DIRECTORY)
    assert "thesis.txt" in said["message"]
    assert files(data.parent / "full") == {"thesis.txt": b"mine"}
    run("restore", "data", "--newest", "--into", "new", cwd=data.parent)
    error("restore", "data", "--newest", "--into", "new", cwd=data.parent, exit_code=Exit.DIRECTORY)
    error("restore", "data", "--newest", "--into", "data", cwd=data.parent, exit_code=Exit.CONFIG)


def test_nothing_is_written_into_the_directory_it_is_made_from(data: Path) -> None:
    """Whoever loses that would lose the copy, too: a restore, a clone, a salvage and a push are refused, before all."""
    before = files(data)
    for command in (
        ("restore", "data", "--newest", "--into", "data/new"),
        ("clone", "data", "data/new"),
        ("salvage", "data", "data/new"),
        ("backup", "push", "data", "data/new"),
    ):
        assert "outside" in error(*command, cwd=data.parent, exit_code=Exit.DIRECTORY)["hint"]
    assert files(data) == before


def test_in_place_keeps_the_old_files_until_confirmed(data: Path) -> None:
    """The restored generation is in force for every command; the old files stay, and go on confirmation."""
    before = files(data)
    wanted = deposits(data)[3]["offset"]
    _, restored = events("restore", "data", "--to-offset", str(wanted), cwd=data.parent)
    assert restored["in_place"]
    assert before.items() <= files(data).items()
    newest = events("snapshot", "list", "data", cwd=data.parent)[-1]["ranges"][-1]["last"]
    assert newest == wanted == events("log", "verify", "data", cwd=data.parent)[0]["last_offset"]
    assert balance(data) == 106
    deposit(data, 1_000)
    (confirmed,) = events("restore", "data", "--confirm", cwd=data.parent)
    assert any(f"offsets {wanted + 1} to" in each for each in confirmed["lost"])
    assert not (data / "log").exists()
    assert balance(data) == 1_106


def test_in_place_can_be_undone(data: Path) -> None:
    """Undone, everything is as before, and any other moment can be restored."""
    told = deposits(data)
    run("restore", "data", "--to-offset", str(told[3]["offset"]), cwd=data.parent)
    deposit(data, 1_000)
    again = error("restore", "data", "--newest", cwd=data.parent, exit_code=Exit.DIRECTORY)
    assert "--undo" in again["hint"]
    (undone,) = events("restore", "data", "--undo", cwd=data.parent)
    assert Path(undone["left"]).name.startswith("restored-")
    assert balance(data) == 100 + sum(range(1, 15))
    run("restore", "data", "--to-offset", str(told[4]["offset"]), cwd=data.parent)
    assert balance(data) == 110


def test_what_the_trail_has_not_taken_is_not_let_go(data: Path) -> None:
    """It names both offsets; once the trail is shipped the files may go, or at once where they are given up."""
    run("audit", "ship", "data", cwd=data.parent)
    deposit(data, 1_000)
    last = events("log", "verify", "data", cwd=data.parent)[0]["last_offset"]
    run("restore", "data", "--to-offset", "5", cwd=data.parent)
    before = files(data)
    refused = error("restore", "data", "--confirm", cwd=data.parent, exit_code=Exit.DIRECTORY)
    assert f"needs them up to {last}" in refused["message"]
    assert "store audit ship" in refused["hint"]
    assert files(data) == before
    copy = data.parent / "copy"
    for each in ("", ".audit"):
        shutil.copytree(f"{data}{each}", f"{copy}{each}")
    run("audit", "ship", "data", cwd=data.parent)
    run("restore", "data", "--confirm", cwd=data.parent)
    assert not (data / "log").exists()
    run("restore", "copy", "--confirm", "--give-up-unshipped", cwd=data.parent)
    assert not (copy / "log").exists()
    assert any('"gave_up_unshipped":true' in each.read_text() for each in (copy / "acts").iterdir())


def test_nothing_waits_to_be_confirmed_or_undone(data: Path) -> None:
    """Without a restore in place both end with 6."""
    error("restore", "data", "--confirm", cwd=data.parent, exit_code=Exit.NOTHING_THERE)
    error("restore", "data", "--undo", cwd=data.parent, exit_code=Exit.NOTHING_THERE)


def test_a_dry_confirmation_says_what_would_be_lost(data: Path) -> None:
    """And does nothing; so does a dry undo."""
    run("restore", "data", "--to-offset", "5", cwd=data.parent)
    before = files(data)
    (would,) = events("restore", "data", "--confirm", "--dry-run", cwd=data.parent)
    assert would["event"] == "would_confirm"
    assert would["lost"]
    assert would["bytes"] > 0
    (would,) = events("restore", "data", "--undo", "--dry-run", cwd=data.parent)
    assert would["event"] == "would_undo"
    assert files(data) == before


def test_on_a_terminal_it_asks_first(data: Path) -> None:
    """No is no: nothing was done. Yes, or --yes, goes on."""
    assert _at_a_terminal(data, b"n\n", "restore", "data", "--to-offset", "5") == Exit.INTERRUPTED
    assert not (data / "current").exists()
    assert _at_a_terminal(data, b"y\n", "restore", "data", "--to-offset", "5") == Exit.DONE
    assert (data / "current").exists()
    assert _at_a_terminal(data, b"", "restore", "data", "--undo", "--yes") == Exit.DONE


def test_damage_on_the_way_is_an_error_that_leaves_nothing_half_made(data: Path) -> None:
    """Exit 4 with file and position and how far it goes; in place the directory is as before, elsewhere it is empty."""
    flip(segments(data)[-3], 150)
    before = files(data)
    for into in ((), ("--into", "new")):
        said = error("restore", "data", "--newest", *into, cwd=data.parent, exit_code=Exit.CORRUPTION)
        assert segments(data)[-3].name in said["message"]
        assert "--to-offset" in said["hint"]
        assert files(data) == before
    assert not (data.parent / "new").exists() or files(data.parent / "new") == {}
    offset = said["hint"].split("--to-offset ")[1].split()[0]
    run("restore", "data", "--to-offset", offset, "--into", "new", cwd=data.parent)


def test_damage_at_the_end_is_said_before_anything_is_restored(data: Path) -> None:
    """The newest moment is then the last before it; that the log once went further is said, and is an alarm."""
    flip(segments(data)[-1], -160)
    (plan,) = events("restore", "data", "--newest", "--dry-run", cwd=data.parent)
    assert segments(data)[-1].name in plan["damage"][0]
    assert "damaged" in run("restore", "data", "--newest", "--dry-run", cwd=data.parent).stdout
    assert "damaged" in events("snapshot", "list", "data", cwd=data.parent)[-1]["alarm"]


def test_a_damaged_snapshot_is_passed_over(data: Path) -> None:
    """The log leads there as well, so it does; which snapshot was not used is said."""
    for block in (data / "block").glob("*.blk"):
        flip(block, block.stat().st_size // 2)
    _, restored = events("restore", "data", "--newest", "--into", "new", cwd=data.parent)
    assert restored["base"] is None
    assert len(restored["passed_over"]) == 1


def test_what_a_killed_restore_left_is_begun_anew(data: Path) -> None:
    """A half-made directory is no store, and says how to go on; the same command then completes it."""
    new = data.parent / "new"
    new.mkdir()
    (new / "restoring.json").write_text("{}")
    (new / "log").mkdir()
    (new / "log" / "00000000000000000001.log").write_bytes(b"half")
    assert store("token", "mint", "--data", "new", cwd=data.parent).returncode == 0
    refused = process("serve", "--data", "new", "--port", "0", cwd=data.parent)
    assert refused.returncode == Exit.DIRECTORY
    assert "half made" in refused.stderr
    run("restore", "data", "--newest", "--into", "new", cwd=data.parent)
    assert balance(new) == 100 + sum(range(1, 15))
    left = data / f"restored-{5:020d}-00000000"
    left.mkdir()
    (left / "restoring.json").write_text("{}")
    ended = run("restore", "data", "--to-offset", "5", cwd=data.parent)
    assert not left.exists()
    assert "half made" in ended.stderr


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_a_generation_that_is_gone_is_no_fresh_store(data: Path, left: str) -> None:
    """Every command says what `current` names and that it is not there; to serve makes no empty store of it."""
    run("restore", "data", "--to-offset", "5", cwd=data.parent)
    folder = generation_of(data)
    folder.rename(data.parent / "gone")
    if left != "nothing":
        folder.mkdir()
    run("token", "mint", "--data", "data", cwd=data.parent)
    for command in (("serve", "--data", "data", "--port", "0"), ("snapshot", "list", "data")):
        refused = error(*command, cwd=data.parent, exit_code=Exit.DIRECTORY)
        assert folder.name in refused["message"]
        assert "--undo" in refused["hint"]
    assert folder.name in run("log", "verify", "data", cwd=data.parent, exit_code=Exit.DIRECTORY).stdout
    assert not (folder / "log").exists()
    run("restore", "data", "--undo", cwd=data.parent)
    assert balance(data) == 100 + sum(range(1, 15))


def test_a_clone_goes_its_own_way(data: Path) -> None:
    """It has the same rows and an epoch of its own, and says why it opened; the source goes on in its own."""
    _, cloned = events("clone", "data", "copy", cwd=data.parent)
    assert cloned["reason"] == "clone"
    assert balance(data.parent / "copy") == balance(data)
    epochs = [each for each in events("log", "dump", "copy", cwd=data.parent) if each["kind"] == "epoch"]
    assert "clone" in str(epochs[-1])
    run("backup", "push", "data", "backup", cwd=data.parent)
    refused = error("backup", "push", "copy", "backup", cwd=data.parent, exit_code=Exit.DIRECTORY)
    assert cloned["store"] in refused["message"]
    error("clone", "data", "data", cwd=data.parent, exit_code=Exit.CONFIG)


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Tenant]:
    """A tenant that runs, with an account of 100."""
    with running(tmp_path) as made:
        called = store("call", "open_account", "1", "ada", "100", cwd=tmp_path, **made.variables)
        assert called.returncode == Exit.DONE, called.stderr
        yield made


def test_beside_a_running_tenant_and_then_in_place(tenant: Tenant) -> None:
    """Running, only --into goes, and the refusal says so; stopped, in place; served, the rows are back."""
    assert tenant.process is not None
    cwd = tenant.directory
    offset = int(events("snapshot", "list", "data", cwd=cwd)[-1]["ranges"][-1]["last"])
    store("call", "deposit", "1", "5", cwd=cwd, **tenant.variables)
    refused = process("restore", "data", "--to-offset", str(offset), cwd=cwd)
    assert refused.returncode == Exit.DIRECTORY
    assert str(tenant.process.pid) in refused.stderr
    assert "--into" in refused.stderr
    assert run("restore", "data", "--to-offset", str(offset), "--dry-run", cwd=cwd).stdout
    beside = process("restore", "data", "--to-offset", str(offset), "--into", "beside", cwd=cwd)
    assert beside.returncode == Exit.DONE, beside.stderr
    tenant.stop()
    in_place = process("restore", "data", "--to-offset", str(offset), cwd=cwd)
    assert in_place.returncode == Exit.DONE, in_place.stderr
    assert "store restore data --confirm" in in_place.stdout
    tenant.start()
    row = store("query", "SELECT * FROM accounts", "--json", cwd=cwd, **tenant.variables).stdout
    assert '"balance":100' in row
    busy = process("restore", "data", "--undo", cwd=cwd)
    assert busy.returncode == Exit.DIRECTORY
    assert "Stop that process first" in busy.stderr
    blind = process("restore", "data", "--confirm", cwd=cwd, STORE_TOKEN="stale")  # Nobody who may confirm.
    assert blind.returncode == Exit.DIRECTORY
    assert "--token" in blind.stderr
    for _ in range(40):  # The trail takes the files from before in its own time.
        confirmed = process("restore", "data", "--confirm", "--json", cwd=cwd, **tenant.variables)
        if '"reason":"unshipped"' not in confirmed.stderr:
            break
    assert confirmed.returncode == Exit.DONE, confirmed.stderr
    assert json.loads(confirmed.stdout)["event"] == "confirmed"
    assert not (tenant.data / "log").exists()
    error("restore", "data", "--confirm", cwd=cwd, exit_code=Exit.NOTHING_THERE)
    assert '"balance":100' in store("query", "SELECT * FROM accounts", "--json", cwd=cwd, **tenant.variables).stdout
    tenant.stop()
    run("log", "verify", "data", cwd=cwd)


def test_interrupted_it_says_what_is_there(data: Path) -> None:
    """Ctrl-C in the middle ends with 130, and the half-made directory is named; the next run completes it."""
    script = (
        "import sys; from store.upkeep import making\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "making.Making._prove = stop\n"
        "from store.cli.app import app; app()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "restore", "data", "--newest", "--into", "new"],
        cwd=data.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == Exit.INTERRUPTED, ended.stderr
    assert "new is half made" in ended.stderr
    run("restore", "data", "--newest", "--into", "new", cwd=data.parent)


@pytest.mark.parametrize("into", [(), ("--into", "new")])
def test_killed_it_is_begun_anew_by_the_same_command(data: Path, into: tuple[str, ...]) -> None:
    """SIGKILL harms nothing that was there; the next run leaves one whole store, and nothing half made."""
    before = files(data)
    script = (
        "import os, signal; from store.upkeep import making\n"
        "def stop(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        "making.Making._prove = stop\n"
        "from store.cli.app import app; app()"
    )
    command = ("restore", "data", "--to-offset", "8", *into)
    killed = subprocess.run([sys.executable, "-c", script, *command], cwd=data.parent, env=environment(), check=False)
    assert killed.returncode == -signal.SIGKILL
    assert before.items() <= files(data).items()
    run("log", "verify", "data", cwd=data.parent)
    _, restored = events(*command, cwd=data.parent)
    assert restored["offset"] == 8
    assert list(data.parent.rglob("restoring.json")) == []
    assert len(list(data.glob("restored-*"))) == (not into)


def _at_a_terminal(data: Path, typed: bytes, *arguments: str) -> int:
    """A command with somebody at both ends of a terminal, who types this."""
    leader, follower = pty.openpty()
    asking = subprocess.Popen(
        [sys.executable, "-m", "store", *arguments],
        cwd=data.parent,
        env=environment(TERM="xterm"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    os.write(leader, typed)
    while _read(leader):
        pass
    os.close(leader)
    try:
        return asking.wait(30)
    except subprocess.TimeoutExpired:
        asking.send_signal(signal.SIGKILL)
        raise


def _read(file: int) -> bytes:
    try:
        return os.read(file, 65_536)
    except OSError:
        return b""


def test_what_does_not_fit_is_told_with_all_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spare room is part of it: nobody is told that little is needed and much is free."""
    needed = RestorePlan(Moment(Offset(1), Timestamp(0), Epoch(bytes(16)), None, 1, 10), (), 10, (), (), Offset(0))
    preview = Preview("data", Path("new"), needed, "restore", in_place=False)
    monkeypatch.setattr(Preview, "free_bytes", SPARE_BYTES)
    with pytest.raises(DirectoryError) as refused:
        check_room(preview)
    assert show_bytes(SPARE_BYTES + 10) in refused.value.message


@pytest.mark.parametrize(
    "command",
    [
        ("snapshot", "list", "half"),
        ("snapshot", "take", "half"),
        ("snapshot", "prune", "half"),
        ("snapshot", "verify", "half"),
        ("snapshot", "drill", "half"),
        ("snapshot", "export", "half"),
        ("snapshot", "pin", "half", "newest"),
        ("backup", "push", "half", "backup"),
        ("clone", "half", "new"),
        ("restore", "half", "--into", "new"),
        ("restore", "half", "--to-offset", "5"),
        ("log", "verify", "half"),
        ("serve", "--data", "half", "--port", "0"),
    ],
)
def test_half_a_store_is_taken_for_none(data: Path, command: tuple[str, ...]) -> None:
    """What a killed restore left is neither read, nor written, nor served, whole as its log may look."""
    half = data.parent / "half"
    run("restore", "data", "--into", "half", cwd=data.parent)
    (half / "store.json").unlink()
    (half / "restoring.json").write_bytes(b'{"reason":"restore","offset":14}')
    before = files(half)
    said = store(*command, "--json", cwd=data.parent)
    assert (said.returncode, "half made: a restore to offset 14" in said.stdout + said.stderr) == (Exit.DIRECTORY, True)
    assert files(half) == before
    assert not (data.parent / "new").exists()
    assert not (data.parent / "backup").exists()


def test_a_place_that_is_taken_is_refused_before_anything_is_read(data: Path) -> None:
    """Also by a dry run; no plan is made of what cannot be."""
    run("restore", "data", "--into", "new", cwd=data.parent)
    flip(segments(data)[0], 200)
    for more in ((), ("--dry-run",)):
        said = error("restore", "data", "--into", "new", *more, cwd=data.parent, exit_code=Exit.DIRECTORY)
        assert "expected an empty directory to write into, found store.json" in said["message"]
        assert "it will be offset" not in run("clone", "data", "new", cwd=data.parent, exit_code=Exit.DIRECTORY).stderr


@pytest.mark.parametrize(
    "command",
    [
        ("restore", "data", "--into", "new"),
        ("clone", "data", "new"),
        ("salvage", "data", "new"),
        ("backup", "pull", "backup", "new"),
        ("restore", "new", "--from", "backup", "--into", "new"),
        ("snapshot", "import", "lines", "new"),
    ],
)
def test_two_never_make_one_directory(data: Path, command: tuple[str, ...]) -> None:
    """While one does the other is refused: each would take the other's files for the rest of its own."""
    run("snapshot", "export", "data", "--to", "lines", cwd=data.parent)
    run("backup", "push", "data", "backup", cwd=data.parent)
    other = PosixDisk(data.parent / "new")
    other.lock()
    said = error(*command, cwd=data.parent, exit_code=Exit.DIRECTORY)
    assert f"is in use by process {os.getpid()}" in said["message"]
    assert files(data.parent / "new").keys() == {"lock"}
    other.unlock()
    run(*command, cwd=data.parent)
    assert not (data.parent / "new" / "lock").exists()
    assert balance(data.parent / "new") >= 100


def test_without_the_file_that_says_what_is_in_force_nothing_is_guessed(data: Path) -> None:
    """No command finds an empty store there, and serving makes none; what to write into it is said."""
    run("restore", "data", "--to-offset", "5", cwd=data.parent)
    run("restore", "data", "--confirm", cwd=data.parent)
    (name,) = [each.name for each in data.glob("restored-*")]
    (data / "current").unlink()
    for command in (("snapshot", "list", "data"), ("serve", "--data", "data", "--port", "0"), ("log", "dump", "data")):
        said = error(*command, cwd=data.parent, exit_code=Exit.DIRECTORY)
        assert "which says what is in force, is gone" in said["message"]
        assert f"there is {name}" in said["hint"]
    (data / "current").write_text(f"{name}\n")
    assert balance(data) > 0
