"""The rules of `store salvage`: what comes out of a damaged directory, and what is said of the rest."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from store.cli.exits import Exit
from tests.cli.history import balance, deposit, error, events, files, flip, run, segments
from tests.cli.tenant import environment


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A stopped store: deposits of 1 to 9, a snapshot, deposits of 10 to 19."""
    folder = tmp_path / "data"
    deposit(folder, *range(1, 10))
    run("snapshot", "take", "data", cwd=tmp_path)
    deposit(folder, *range(10, 20))
    return folder


def test_of_a_sound_store_everything_comes_out(data: Path) -> None:
    """Nothing is lost, no damage is told, and the new directory opens with all rows."""
    before = files(data)
    (report,) = events("salvage", "data", "new", cwd=data.parent)
    assert not report["partial"]
    assert (report["lost"], report["damage"], report["lost_keys"]) == (None, [], [])
    assert files(data) == before
    run("log", "verify", "new", cwd=data.parent)
    run("snapshot", "verify", "new", cwd=data.parent)
    assert balance(data.parent / "new") == balance(data)


def test_damage_in_the_log_costs_what_lies_behind_it(data: Path) -> None:
    """The damaged place, the lost offsets and their times are told; what lay before it is there whole."""
    damaged = segments(data)[-3]
    flip(damaged, 150)
    before = files(data)
    (report,) = events("salvage", "data", "new", cwd=data.parent, exit_code=Exit.LOST)
    assert files(data) == before
    assert report["damage"][0]["file"].endswith(damaged.name)
    assert report["lost"]["first"] == report["offset"] + 1
    plain = run("salvage", "data", "again", cwd=data.parent, exit_code=Exit.LOST).stdout
    assert f"damaged: log/{damaged.name} at byte" in plain
    assert f"lost: transactions {report['lost']['first']} to" in plain
    assert "store serve --data again" in plain
    assert balance(data.parent / "new") > 100


def test_a_damaged_end_may_have_held_more(data: Path) -> None:
    """Nothing speaks of anything behind it, and nothing proves that there was none: that is no 0, and it is said."""
    last = segments(data)[-1]
    last.write_bytes(last.read_bytes()[:-7])
    (report,) = events("salvage", "data", "new", cwd=data.parent, exit_code=Exit.LOST)
    assert (report["doubtful"], report["partial"], report["lost"]) == (True, False, None)
    assert "perhaps what came last" in run("salvage", "data", "again", cwd=data.parent, exit_code=Exit.LOST).stdout


def test_damage_that_a_snapshot_covers_costs_nothing(data: Path) -> None:
    """In log from before it: all that was ever told is still there."""
    run("snapshot", "take", "data", cwd=data.parent)
    flip(segments(data)[0], 150)
    (report,) = events("salvage", "data", "new", cwd=data.parent)
    assert report["damage"]
    assert (report["lost"], report["doubtful"]) == (None, False)
    assert balance(data.parent / "new") == balance(data)


def test_a_damaged_snapshot_alone_costs_nothing(data: Path) -> None:
    """The log leads there from its start; which block is damaged is told."""
    for block in (data / "block").glob("*.blk"):
        flip(block, block.stat().st_size // 2)
    (report,) = events("salvage", "data", "new", cwd=data.parent)
    assert report["base"] is None
    assert report["damage"][0]["file"].startswith("block/")
    assert report["lost"] is None
    assert balance(data.parent / "new") == balance(data)


def test_what_cannot_be_salvaged_is_refused(data: Path) -> None:
    """Nothing there, a full target, the directory itself, nothing provable: each with its exit code."""
    cwd = data.parent
    error("salvage", "elsewhere", "new", cwd=cwd, exit_code=Exit.NOTHING_THERE)
    error("salvage", "data", "data", cwd=cwd, exit_code=Exit.CONFIG)
    (cwd / "full").mkdir()
    (cwd / "full" / "thesis.txt").write_text("mine")
    assert "thesis.txt" in error("salvage", "data", "full", cwd=cwd, exit_code=Exit.DIRECTORY)["message"]
    for each in [*segments(data), *(data / "snapshot").iterdir(), *(data / "block").iterdir()]:
        each.write_bytes(b"gone")
    error("salvage", "data", "new", cwd=cwd, exit_code=Exit.NOT_RESTORABLE)
    assert not (cwd / "new").exists() or files(cwd / "new") == {}


def test_lost_rows_are_named_by_their_keys(data: Path) -> None:
    """Where no base is whole some rows are lost: exit 1, the key ranges, and still nothing that was not true."""
    segments(data)[0].unlink()
    blocks = sorted((data / "block").glob("*.blk"), key=lambda each: each.stat().st_size)
    flip(blocks[0], blocks[0].stat().st_size // 2)
    ended = run("salvage", "data", "new", "--json", cwd=data.parent, exit_code=Exit.CHECK_FAILED)
    report = json.loads(ended.stdout.splitlines()[-1])
    assert report["partial"]
    assert report["lost_keys"][0]["table"] == "accounts"
    plain = run("salvage", "data", "again", cwd=data.parent, exit_code=Exit.CHECK_FAILED).stdout
    assert "lost: rows of accounts with keys from 1 to 1" in plain


def test_interrupted_it_says_what_is_there(data: Path) -> None:
    """Ctrl-C in the middle ends with 130, the half-made directory is named, and the next run begins anew."""
    script = (
        "from store.upkeep import salvage\n"
        "def stop(*_): raise KeyboardInterrupt\n"
        "salvage._prove = stop\n"
        "from store.cli.app import app; app()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "salvage", "data", "new"],
        cwd=data.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == Exit.INTERRUPTED, ended.stderr
    assert "new is half made" in ended.stderr
    run("salvage", "data", "new", cwd=data.parent)
