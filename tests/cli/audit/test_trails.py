"""Where a trail lies: what the auditors' commands take for a URL; a store's own trail needs neither URL nor key."""

import json
import shutil
from pathlib import Path

import pytest

from store.audit.options import AuditOptions
from store.cli.audit.places import places_of, verified_at
from tests.audit.small_trails import FIRST_KEY
from tests.cli.history import deposit, error, events, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stopped store in `data`, its trail shipped."""
    deposit(tmp_path / "data", *range(1, 8))
    run("audit", "ship", "data", cwd=tmp_path)
    return tmp_path


def test_a_stores_own_trail_is_named_by_its_data_directory(folder: Path) -> None:
    """Its key is the one beside the directory; what came out is noted for status and metrics."""
    said = events("audit", "verify", "data", "--against", "data", "--check-locks", cwd=folder)[-1]
    assert (said["verdict"], said["counts"]["log_records"]) == ("VERIFIED", said["counts"]["events"])
    assert not any("whose key" in each for each in said["not_checked"])
    noted = json.loads((folder / "data.audit" / "verified.json").read_text())
    assert (noted["events"], noted["exit"]) == (said["counts"]["events_proven"], 0)
    assert verified_at(places_of(folder / "data", AuditOptions())) == noted["at"] > 0
    run("audit", "verify", "data", "--to-seq", "1", cwd=folder)
    assert verified_at(places_of(folder / "data", AuditOptions())) == noted["at"]


def test_the_folder_beside_the_data_directory_names_it_too(folder: Path) -> None:
    """`data.audit` is the store's in `data`; its `bucket` is a trail like any other."""
    assert events("audit", "verify", "data.audit", cwd=folder)[-1]["exit"] == 0
    assert "--key" in error("audit", "verify", "data.audit/bucket", cwd=folder, exit_code=4)["hint"]
    assert events("audit", "verify", "data.audit/bucket", "--key-from-trail", cwd=folder)[-1]["exit"] == 0


def test_a_trail_is_held_against_a_snapshot_of_its_store(folder: Path) -> None:
    """The newest that was found whole, or the one that is named; of a part of the trail nothing would follow."""
    assert (
        "no snapshot"
        in error("audit", "verify", "data", "--against-snapshot", "data", cwd=folder, exit_code=4)["message"]
    )
    run("snapshot", "take", "data", cwd=folder)
    run("audit", "ship", "data", cwd=folder)
    (name,) = [each.stem for each in (folder / "data").rglob("snapshot/*.json")]
    for said in ("data", f"data:{name}", f"data:{int(name)}", name):
        found = events("audit", "verify", "data", "--against-snapshot", said, cwd=folder)[-1]
        assert (found["verdict"], found["counts"]["snapshot_rows"] > 0) == ("VERIFIED", True)
    assert "snapshot: " in run("audit", "verify", "data", "--against-snapshot", "data", cwd=folder).stdout
    for wrong in (["data:7"], ["elsewhere"], ["data", "--from-seq", "3"]):
        error("audit", "verify", "data", "--against-snapshot", *wrong, cwd=folder, exit_code=4)
    alone = ["audit", "verify", "data.audit/bucket", "--key-from-trail", "--against-snapshot"]
    assert "DIR:NAME" in error(*alone, name, cwd=folder, exit_code=4)["hint"]


@pytest.mark.parametrize("command", [["verify"], ["head"], ["report", "-o", "r"], ["prove", "--seq", "0", "-o", "p"]])
def test_where_no_trail_lies_nothing_is_concluded(command: list[str], tmp_path: Path) -> None:
    """An empty folder is not tampering: it is the wrong folder."""
    (tmp_path / "empty").mkdir()
    key = ["--key", FIRST_KEY.vkey]
    said = error("audit", command[0], "empty", *command[1:], *key, cwd=tmp_path, exit_code=4)
    assert "no object of the trail" in said["message"]


def test_without_a_name_it_is_the_configured_directory(folder: Path) -> None:
    """`tenant.data`, as every command takes it."""
    assert events("audit", "verify", cwd=folder)[-1]["exit"] == 0
    run("audit", "head", "-o", "kept.ckpt", cwd=folder)
    run("audit", "report", "-o", "report.html", cwd=folder)
    run("audit", "prove", "--seq", "3", "-o", "p", "--line", "line", cwd=folder)
    run("audit", "export", "data", "out", cwd=folder)
    assert not (folder / "out" / "verified.json").exists()


def test_damage_to_it_is_noted_too(folder: Path) -> None:
    """With the exit code that it had."""
    batch = next((folder / "data.audit" / "bucket").rglob("*.zst"))
    batch.chmod(0o600)
    batch.write_bytes(b"garbage")
    run("audit", "verify", "data", cwd=folder, exit_code=1)
    assert json.loads((folder / "data.audit" / "verified.json").read_text())["exit"] == 1


def test_a_key_that_is_not_beside_it_is_asked_for(folder: Path) -> None:
    """Its own is believed only where that is said."""
    shutil.rmtree(folder / "data.audit" / "keys")
    assert "--key" in error("audit", "verify", "data", cwd=folder, exit_code=4)["hint"]
    said = events("audit", "verify", "data", "--key-from-trail", cwd=folder)[-1]
    assert any("whose key" in each for each in said["not_checked"])


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """No store where none is named, and a store that has shipped nothing."""
    assert "no store in data" in error("audit", "verify", cwd=tmp_path, exit_code=4)["message"]
    deposit(tmp_path / "data", 1)
    assert "no trail yet" in error("audit", "verify", "data", cwd=tmp_path, exit_code=4)["message"]


def test_a_trail_that_lies_elsewhere_is_not_called_missing(folder: Path) -> None:
    """Where it lies is known beside the data directory; the configuration at hand says another place."""
    (folder / "data.audit" / "store").write_text("s3://somewhere/else")
    found = error("audit", "verify", "data", cwd=folder, exit_code=4)
    assert "s3://somewhere/else" in found["message"]
