"""The independent reader says the same as the store."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from store.env.posix import PosixDisk
from store.snapshot.format import Manifest, block_file, manifest_file
from tests.snapshot.scenes import flipped, row, sample, snapshot, table_of

TOOL = Path(__file__).parents[2] / "tools" / "read_snapshot.py"
NAME = f"{7:020d}"


def run(directory: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """The tool's status and lines."""
    done = subprocess.run(
        [sys.executable, TOOL, directory, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(name="manifest")
def _manifest(tmp_path: Path) -> Manifest:
    """A snapshot of three tables, in `tmp_path`."""
    return sample(PosixDisk(tmp_path))


def test_it_prints_what_the_store_wrote(tmp_path: Path, manifest: Manifest) -> None:
    """Head, tables, rows, system part, and the fingerprint it computed by itself."""
    status, lines = run(tmp_path)
    assert status == 0
    assert (lines[0]["offset"], lines[0]["epoch"]) == (7, manifest.epoch.hex())
    assert [each["name"] for each in lines if "table" in each] == [each.name for each in manifest.tables]
    rows = [each["row"] for each in lines if each.get("of") == "table_1"]
    assert rows == [["value", key] for key in table_of(60)]
    assert {"row": ["value", {"$bytes": "01010101"}], "of": "table_3"} in lines
    assert lines[-2] == {"system": {"$bytes": b"the system part of 7".hex()}}
    assert lines[-1] == {"end": "whole", "snapshot": NAME, "rows": 74, "fingerprint": manifest.fingerprint}


def test_it_reads_the_newest_or_the_one_that_is_named(tmp_path: Path, manifest: Manifest) -> None:
    """By name, as the store lists them."""
    newer = snapshot(PosixDisk(tmp_path), [table_of(21)], offset=12)
    assert run(tmp_path, "--verify")[1] == [
        {"end": "whole", "snapshot": f"{12:020d}", "rows": 21, "fingerprint": newer.fingerprint}
    ]
    assert run(tmp_path, NAME, "--verify")[1][0]["fingerprint"] == manifest.fingerprint


def test_it_finds_what_the_store_finds(tmp_path: Path, manifest: Manifest) -> None:
    """A turned bit in the manifest, in a block, in the system part; a cut; a block that is gone."""
    block = block_file(manifest.tables[0].blocks[1].file)
    for name in (manifest_file(NAME), block, block_file(manifest.system.file)):
        path = tmp_path / name
        good = path.read_bytes()
        for bad in (flipped(good, len(good) * 4), flipped(good, len(good) * 8 - 20), good[:-5], good[: len(good) // 2]):
            path.write_bytes(bad)
            status, [ending] = run(tmp_path, "--verify")
            assert (status, ending["end"], ending["file"]) == (2, "corruption", name)
        path.write_bytes(good)
    (tmp_path / block).unlink()
    assert run(tmp_path, "--verify")[0] == 2


def test_it_finds_a_row_under_a_foreign_key(tmp_path: Path) -> None:
    """What every hash holds, and no reader of the store's hot path would see."""
    rows = table_of(20)
    rows[50] = row(51)
    snapshot(PosixDisk(tmp_path), [rows])
    status, [ending] = run(tmp_path, "--verify")
    assert (status, ending["reason"]) == (2, "the row under 50 has another key")


def test_a_directory_without_a_snapshot_is_said_to_be_one(tmp_path: Path) -> None:
    """It is no corruption."""
    assert run(tmp_path)[0] == 3
    assert run(tmp_path, NAME)[0] == 3


def test_it_imports_nothing_of_the_store() -> None:
    """A second opinion shares no code with the first."""
    assert "\nimport store" not in TOOL.read_text()
    assert "\nfrom store" not in TOOL.read_text()
