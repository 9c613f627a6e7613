"""`store audit ship`: the trail of a stopped store, by hand; what it needs, and what it says where that is missing."""

import json
import shutil
import sys
from pathlib import Path
from subprocess import PIPE, Popen
from subprocess import run as run_process

import pytest

from store.env.lmdb import LmdbLedger
from tests.cli.tenant import ROOT, environment, store
from tests.server.upkeep import QUIET, kept, write

SOON = ("--set", "audit.batch_age_max_s=0.05")
VERIFY = ROOT / "tools" / "verify_audit.py"


@pytest.fixture(name="stopped")
def _stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a store that ran without a trail and is stopped; its data directory is `data`."""
    with kept(tmp_path, QUIET, monkeypatch=monkeypatch) as tenant:
        write(tenant, 20)
    return tmp_path


def status_of(text: str) -> dict[str, object]:
    """The last status among JSON lines."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [each for each in lines if each["event"] == "status"][-1]


def verified(folder: Path, *, key: str = "") -> int:
    """What the independent tool ends with, told a key, or the only one that the store's own folder names."""
    if not key:
        (note,) = (folder / "data.audit" / "keys").glob("*.note")
        key = next(line.partition(" ")[2] for line in note.read_text().splitlines() if line.startswith("new "))
    bucket = str(folder / "data.audit" / "bucket")
    return run_process([sys.executable, str(VERIFY), bucket, "--key", key], capture_output=True, check=False).returncode


def test_everything_that_is_there_is_shipped(stopped: Path) -> None:
    """From the first record on; a second time there is nothing to do; the independent tool finds it whole."""
    done = store("audit", "ship", "data", "--json", cwd=stopped)
    assert done.returncode == 0, done.stderr
    first = status_of(done.stdout)
    assert first["events"] == first["checkpoint_events"] == first["shipped_offset"]
    again = status_of(store("audit", "ship", "data", "--json", cwd=stopped).stdout)
    assert again["events"] == first["events"]
    assert verified(stopped) == 0


def test_people_are_told_in_a_line(stopped: Path) -> None:
    """How many events lie where, and that it is all."""
    done = store("audit", "ship", "data", cwd=stopped)
    assert "data.audit/bucket" in done.stdout
    assert "all shipped" in done.stdout
    assert "the trail's first key: commitstore.local/audit/" in done.stderr


def test_a_store_that_was_never_started_has_no_trail(tmp_path: Path) -> None:
    """It says to start it."""
    (tmp_path / "data").mkdir()
    done = store("audit", "ship", "data", cwd=tmp_path)
    assert done.returncode == 7
    assert "Start it once" in done.stderr


def test_an_audit_folder_inside_the_data_directory_is_refused(stopped: Path) -> None:
    """A data directory may be copied while it is in use; a ledger may not."""
    done = store("audit", "ship", "data", "--set", "audit.folder=data/audit", cwd=stopped)
    assert done.returncode == 78
    assert "lies in the data directory" in done.stderr


def test_a_place_that_is_no_write_once_store_is_not_written_to(stopped: Path) -> None:
    """`store audit init` makes one, on purpose; what was recorded waits in the ledger."""
    done = store("audit", "ship", "data", "--json", "--set", "audit.store=elsewhere", cwd=stopped)
    assert done.returncode == 1
    assert "store audit init" in str(status_of(done.stdout)["problem"])
    assert store("audit", "ship", "data", cwd=stopped).returncode == 0


def test_lost_keys_are_asked_for(stopped: Path) -> None:
    """A trail that has events goes on under its own keys alone."""
    assert store("audit", "ship", "data", cwd=stopped).returncode == 0
    shutil.rmtree(stopped / "data.audit" / "keys")
    done = store("audit", "ship", "data", cwd=stopped)
    assert done.returncode == 78
    assert "Bring the folder of its keys back" in done.stderr


def test_keys_that_others_may_read_are_refused(stopped: Path) -> None:
    """The error names the file's folder and the command that mends it."""
    assert store("audit", "ship", "data", cwd=stopped).returncode == 0
    (stopped / "data.audit" / "keys").chmod(0o755)
    done = store("audit", "ship", "data", cwd=stopped)
    assert done.returncode == 78
    assert "chmod 700" in done.stderr


def test_the_keys_of_another_trail_are_refused(stopped: Path) -> None:
    """Each trail has its own."""
    assert store("audit", "ship", "data", cwd=stopped).returncode == 0
    done = store("audit", "ship", "data", "--set", "audit.domain=example.com", cwd=stopped)
    assert done.returncode != 0


def test_a_witness_that_is_none_is_refused(stopped: Path) -> None:
    """It is a URL and a key."""
    done = store("audit", "ship", "data", "--set", "audit.witnesses=http://localhost:1", cwd=stopped)
    assert done.returncode == 78
    assert "a witness in audit.witnesses is URL=key" in done.stderr


def test_whoever_waits_for_a_store_goes_on_when_init_has_made_it(stopped: Path) -> None:
    """Within a second or so, and not after the minutes that it would wait by itself."""
    wanted = ("--set", "audit.store=elsewhere")
    command = [sys.executable, "-m", "store", "audit", "ship", "data", "--follow", "--json", *wanted, *SOON]
    with Popen(command, cwd=stopped, env=environment(), stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        says = (found for found in map(json.loads, process.stdout) if found["event"] == "status")
        assert any("store audit init" in each["problem"] for each in says)
        assert store("audit", "init", "data", *wanted, cwd=stopped).returncode == 0
        assert any(each["checkpoint_events"] and not each["problem"] for each in says)
        process.terminate()
        process.stdout.read()
    assert process.returncode == 0


@pytest.mark.parametrize("command", ["status", "ship"])
def test_whoever_looks_at_a_problem_has_it_tried_again(stopped: Path, command: str) -> None:
    """The process that ships is asked to; where all is well it is left alone."""
    wake = stopped / "data.audit" / "wake"
    assert store("audit", "ship", "data", cwd=stopped).returncode == 0
    assert store("audit", "status", "data", cwd=stopped).returncode == 0
    assert not wake.exists()
    ledger = LmdbLedger(stopped / "data.audit" / "ledger", size_max=1 << 30)
    (stopped / "data.audit" / "status.json").write_text('{"problem": "no lock", "batches": {}}')
    assert store("audit", command, "data", cwd=stopped).returncode != 0
    assert wake.exists()
    ledger.close()
    assert store("audit", "ship", "data", cwd=stopped).returncode == 0
    assert not wake.exists()


def test_a_status_that_cannot_be_written_keeps_nobody_from_shipping(stopped: Path) -> None:
    """On a full disk, say; the server hears it all the same."""
    (stopped / "data.audit").mkdir(mode=0o700)
    (stopped / "data.audit" / "status.new").mkdir()
    done = store("audit", "ship", "data", "--json", cwd=stopped)
    assert done.returncode == 0, done.stderr
    assert status_of(done.stdout)["checkpoint_events"] > 0
