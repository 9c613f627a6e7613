"""`store audit reveal`."""

import json
from pathlib import Path

import pytest

from store.audit.recording.context import Context
from store.audit.recording.events import Events
from store.codec import decode_transaction
from store.env.subject_folder import FolderSubjectKeys
from tests.audit.records import beginning, record
from tests.audit.scenes import EPOCH, LOG
from tests.cli.tenant import store


@pytest.fixture(name="event")
def _event(tmp_path: Path) -> Path:
    """A file with an event in which something is sealed for ada, by the keys of the store `data`."""
    (tmp_path / "data").mkdir()
    keys = FolderSubjectKeys(tmp_path / "data.audit" / "keys", tmp_path / "data.audit" / "subjects")
    events = Events(LOG, Context(), keys)
    for raw in (*beginning(), record(5, 1, "enrol", ["ada", "ada@example.com", 1234, "private"])):
        line = events.of(raw, decode_transaction(raw), sequence=0, epoch=EPOCH)
    (tmp_path / "event.json").write_bytes(line + b"\n")
    return tmp_path / "event.json"


def test_an_event_is_shown_with_what_was_sealed(event: Path) -> None:
    """From a file or standard input; and the log is told of it."""
    done = store("audit", "reveal", "data", "--event", str(event), "--json", cwd=event.parent)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["args"]["email"] == "ada@example.com"
    (noted,) = [json.loads(each.read_bytes()) for each in (event.parent / "data" / "acts").iterdir()]
    assert (noted["content"]["what"], noted["content"]["event"]) == ("reveal", f"{LOG}/0")
    done = store("audit", "reveal", "data", cwd=event.parent, stdin=event.read_text())
    assert 'email = "ada@example.com"' in done.stdout


def test_after_a_person_was_forgotten_it_stays_sealed(event: Path) -> None:
    """The command says so, and ends with 1."""
    assert store("audit", "forget", "ada", "data", "--yes", cwd=event.parent).returncode == 0
    done = store("audit", "reveal", "data", "--event", str(event), cwd=event.parent)
    assert done.returncode == 1
    assert "email stays sealed" in done.stderr
    assert "ada@example.com" not in done.stdout + done.stderr


def test_what_is_no_event_is_said(event: Path) -> None:
    """With where one is had."""
    done = store("audit", "reveal", "data", cwd=event.parent, stdin="{}")
    assert done.returncode not in {0, 70}
    assert "store audit prove" in done.stderr
