"""The rules of `store snapshot`: what is taken, told, checked, kept and let go, of a store that runs or not."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from store.cli.asking import Tenant as HttpTenant
from store.cli.exits import Exit
from store.cli.presence import SERVING
from store.env.posix import PosixDisk
from store.snapshot.repository import Repository
from tests.cli.history import deposit, error, events, files, flip, run, segments
from tests.cli.tenant import Tenant, environment, process, running, store

NAME = "{:020d}".format


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A stopped store with a history and two snapshots in it."""
    folder = tmp_path / "data"
    deposit(folder, *range(1, 10))
    run("snapshot", "take", "data", cwd=tmp_path)
    deposit(folder, *range(10, 20))
    run("snapshot", "take", "data", cwd=tmp_path)
    return folder


def names(data: Path) -> list[str]:
    """The snapshots, oldest first."""
    return sorted(each.stem for each in (data / "snapshot").glob("*.json") if each.stem.isdigit())


def test_take_says_what_it_took(tmp_path: Path) -> None:
    """Offset, time, rows, what was written and shared, and the fingerprint: for people and as JSON."""
    deposit(tmp_path / "data", 1, 2)
    (taken,) = events("snapshot", "take", "data", cwd=tmp_path)
    assert taken["event"] == "taken"
    assert taken["fresh"]
    assert (taken["name"], taken["base"], taken["rows"]) == (NAME(taken["offset"]), None, 1)
    assert taken["replayed"] == taken["offset"]
    assert len(taken["fingerprint"]) == 64
    deposit(tmp_path / "data", 3)
    plain = run("snapshot", "take", "data", cwd=tmp_path).stdout
    assert f"shared with {taken['name']}" in plain
    assert "read back and checked" in plain


def test_nothing_new_is_not_taken_again(data: Path) -> None:
    """Where a whole snapshot of that offset is there, it stays the one, and that is said."""
    before = names(data)
    (taken,) = events("snapshot", "take", "data", cwd=data.parent)
    assert not taken["fresh"]
    assert names(data) == before
    assert "there already" in run("snapshot", "take", "data", cwd=data.parent).stdout


def test_take_of_an_earlier_offset(data: Path) -> None:
    """--through takes the state behind an offset that is past."""
    (taken,) = events("snapshot", "take", "data", "--through", "7", cwd=data.parent)
    assert taken["offset"] <= 7
    assert NAME(taken["offset"]) in names(data)


def test_list_tells_of_every_snapshot_and_what_is_restorable(data: Path) -> None:
    """A line each, newest first, with pins and when it was verified; then the oldest and the newest moment."""
    run("snapshot", "pin", "data", names(data)[0], "--name", "audit", cwd=data.parent)
    *listed, restorable = events("snapshot", "list", "data", cwd=data.parent)
    assert [each["name"] for each in listed] == names(data)[::-1]
    newest, oldest = listed
    assert (newest["state"], newest["rows"], newest["pins"], oldest["pins"]) == ("sound", 1, [], ["audit"])
    assert newest["verified"]
    assert 0 < newest["own_bytes"] <= newest["bytes"]
    (whole,) = restorable["ranges"]
    assert (whole["first"], whole["last"]) == (1, newest["offset"])
    assert (restorable["oldest"], restorable["newest"]) == (whole["first_time"], whole["last_time"])
    assert restorable["alarm"] == ""
    plain = run("snapshot", "list", "data", cwd=data.parent).stdout
    assert "audit" in plain
    assert "oldest restorable: offset 1," in plain
    assert f"newest restorable: offset {newest['offset']}," in plain


def test_list_raises_an_alarm_where_the_newest_is_too_old(data: Path) -> None:
    """Older than wanted, while the log went on: an alarm that says so, and how to mend it."""
    deposit(data, 20)
    options = ("--set", "snapshot.interval_s=0.001")
    *_, restorable = events("snapshot", "list", "data", *options, cwd=data.parent)
    assert "too old" in restorable["alarm"]
    assert "alarm: the newest snapshot is too old" in run("snapshot", "list", "data", *options, cwd=data.parent).stdout


def test_info_tells_everything(data: Path) -> None:
    """Of the newest, or of the one that is named by name or offset: tables, sums, epoch, why it stays."""
    (newest,) = events("snapshot", "info", "data", cwd=data.parent)
    (oldest,) = events("snapshot", "info", "data", str(int(names(data)[0])), cwd=data.parent)
    assert (oldest["name"], newest["name"]) == tuple(names(data))
    (accounts,) = (each for each in newest["tables"] if each["name"] == "accounts")
    assert (accounts["rows"], accounts["blocks"]) == (1, 1)
    plain = run("snapshot", "info", "data", cwd=data.parent).stdout
    for value in (newest["fingerprint"], newest["epoch"], newest["chain"], "one of the two newest", "accounts"):
        assert value in plain


def test_what_is_not_there_is_named(data: Path) -> None:
    """No directory, no store, no snapshot, no such one: exit 6, with what there is."""
    (data.parent / "empty").mkdir()
    assert (
        "elsewhere" in error("snapshot", "list", "elsewhere", cwd=data.parent, exit_code=Exit.NOTHING_THERE)["message"]
    )
    error("snapshot", "list", "empty", cwd=data.parent, exit_code=Exit.NOTHING_THERE)
    said = error("snapshot", "info", "data", "3", cwd=data.parent, exit_code=Exit.NOTHING_THERE)
    assert NAME(3) in said["message"]
    assert names(data)[-1] in said["hint"]
    deposit(data.parent / "fresh", 1)
    error("snapshot", "verify", "fresh", cwd=data.parent, exit_code=Exit.NOTHING_THERE)
    assert not (data.parent / "elsewhere").exists(), "looking makes nothing"


def test_looking_changes_nothing(data: Path) -> None:
    """List, info and a dry prune leave every byte as it was."""
    before = files(data)
    for command in (("list",), ("info",), ("prune", "--dry-run")):
        run("snapshot", command[0], "data", *command[1:], cwd=data.parent)
    assert files(data) == before


def test_verify_checks_all_and_notes_it(data: Path) -> None:
    """What holds is said and noted; with --older-than only what was not verified for so long is read."""
    note = data / "snapshot" / f"{names(data)[0]}.verified"
    note.unlink()
    *found, result = events("snapshot", "verify", "data", cwd=data.parent)
    assert [each["verdict"] for each in found] == ["sound", "sound"]
    assert result["exit"] == Exit.DONE
    assert note.exists()
    (only,) = events("snapshot", "verify", "data", "--older-than", "1h", cwd=data.parent)
    assert only["event"] == "result"


@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_a_corrupt_block_is_told_with_its_file(data: Path, quick: list[str]) -> None:
    """Exit 4, the file, and what is still restorable; the others are checked all the same.

    It counts as verified no longer, so that no log goes because a start could rest on it.
    """
    assert (data / "snapshot" / f"{names(data)[0]}.verified").exists()
    for block in (data / "block").glob("*.blk"):
        if block.name[:64] in (data / "snapshot" / f"{names(data)[0]}.json").read_text():
            flip(block, block.stat().st_size // 2)
    *found, result = events("snapshot", "verify", "data", *quick, cwd=data.parent, exit_code=Exit.CORRUPTION)
    assert [each["verdict"] for each in found] == ["corruption", "sound"]
    assert "block/" in found[0]["message"]
    assert result["recoverable"]
    assert result["hint"]
    plain = run("snapshot", "verify", "data", *quick, cwd=data.parent, exit_code=Exit.CORRUPTION).stdout
    assert "still restorable:" in plain
    *listed, _ = events("snapshot", "list", "data", cwd=data.parent)
    assert [each["state"] for each in listed] == ["sound", "unverified"]


def test_a_corrupt_manifest_is_told_everywhere(data: Path) -> None:
    """List shows it as corrupt and raises an alarm; info and verify end with 4."""
    manifest = data / "snapshot" / f"{names(data)[1]}.json"
    flip(manifest, 30)
    newest, _, restorable = events("snapshot", "list", "data", cwd=data.parent)
    assert newest["state"] == "corrupt"
    assert names(data)[1] in restorable["alarm"]
    assert manifest.name in error("snapshot", "info", "data", cwd=data.parent, exit_code=Exit.CORRUPTION)["message"]
    run("snapshot", "verify", "data", names(data)[1], cwd=data.parent, exit_code=Exit.CORRUPTION)
    run("snapshot", "verify", "data", names(data)[0], cwd=data.parent)


def test_a_snapshot_of_a_newer_version_is_left_alone(data: Path) -> None:
    """It is shown as such, is no alarm, and verify ends with 7."""
    manifest = data / "snapshot" / f"{names(data)[0]}.json"
    lines = manifest.read_text().replace('{"snapshot":1,', '{"snapshot":2,', 1)
    *content, end = lines.splitlines(keepends=True)
    digest = hashlib.sha256("".join(content).encode()).hexdigest()
    manifest.write_text("".join(content) + re.sub(r'"sha256":"\w+"', f'"sha256":"{digest}"', end))
    _, oldest, restorable = events("snapshot", "list", "data", cwd=data.parent)
    assert (oldest["state"], restorable["alarm"]) == ("newer", "")
    *_, result = events("snapshot", "verify", "data", cwd=data.parent, exit_code=Exit.DIRECTORY)
    assert "newer version" in result["hint"]


def test_a_log_that_does_not_go_on_from_a_snapshot_is_a_gap(data: Path) -> None:
    """Exit 5: the snapshot holds, but what came behind it is gone."""
    for segment in segments(data)[:-1]:
        segment.unlink()
    oldest, newest, _ = events("snapshot", "verify", "data", cwd=data.parent, exit_code=Exit.GAP)
    assert (oldest["verdict"], newest["verdict"]) == ("gap", "sound")


def test_prune_says_why_each_stays_before_anything_goes(data: Path) -> None:
    """A dry run lists what would go, what waits and what stays with its reasons; nothing changes."""
    plan, pruned = events("snapshot", "prune", "data", "--dry-run", cwd=data.parent)
    assert pruned["dry_run"]
    assert plan["remove"] == []
    kept = plan["kept"][f"snapshot/{names(data)[0]}"]
    assert "one of the two newest" in kept
    plain = run("snapshot", "prune", "data", "--dry-run", cwd=data.parent).stdout
    assert f"stays  snapshot/{names(data)[0]}: one of the two newest" in plain
    assert "is needed by" in plain


def test_prune_lets_go_what_its_flags_and_the_grace_allow(data: Path) -> None:
    """Without window and grace the log before the second-newest snapshot goes, and what is left opens."""
    flags = ("--keep-for", "0s", "--grace", "0s", "--keep-last", "2", "--keep-daily", "0")
    first = segments(data)[0]
    *_, pruned = events("snapshot", "prune", "data", *flags, cwd=data.parent)
    assert f"log/{first.name}" in pruned["segments"]
    assert not first.exists()
    assert run("log", "verify", "data", cwd=data.parent).stdout.startswith("sound")
    (range_,) = events("snapshot", "list", "data", cwd=data.parent)[-1]["ranges"]
    assert range_["first"] == int(names(data)[0])
    plain = run("snapshot", "prune", "data", "--dry-run", cwd=data.parent).stdout
    assert f"every moment from offset {range_['first']} on stays" in plain, "what went before is not promised"
    assert "from offset 1 on" not in plain


def test_what_waits_for_its_grace_is_said(data: Path) -> None:
    """Nothing that is not needed goes at once: it waits, and when that is over is told."""
    *_, pruned = events("snapshot", "prune", "data", "--keep-for", "0s", cwd=data.parent)
    assert pruned["segments"] == []
    assert pruned["waiting"] > 0
    assert pruned["due"]
    assert "go when their grace is over" in run("snapshot", "prune", "data", "--keep-for", "0s", cwd=data.parent).stdout


def test_a_pin_holds_until_it_is_taken_away(data: Path) -> None:
    """What leads to a pinned moment stays whatever the flags say, and goes once it is unpinned."""
    flags = ("--keep-for", "0s", "--grace", "0s", "--keep-last", "2", "--keep-daily", "0")
    (pinned,) = events("snapshot", "pin", "data", "4", "--name", "audit", "--for", "30d", cwd=data.parent)
    assert (pinned["name"], pinned["offset"]) == ("audit", 4)
    assert pinned["until"]
    run("snapshot", "prune", "data", *flags, cwd=data.parent)
    assert segments(data)[0].name == f"{NAME(1)}.log"
    run("snapshot", "unpin", "data", "audit", cwd=data.parent)
    run("snapshot", "prune", "data", *flags, cwd=data.parent)
    assert segments(data)[0].name != f"{NAME(1)}.log"


def test_pins_that_cannot_be_are_refused(data: Path) -> None:
    """A moment that is not restorable, a name of the store's own, a name that is taken, a pin that is not there."""
    cwd = data.parent
    assert "Restorable" in error("snapshot", "pin", "data", "999", cwd=cwd, exit_code=Exit.NOT_RESTORABLE)["message"]
    for name in ("lease-mine", "Upper Case", "a/b"):
        error("snapshot", "pin", "data", "4", "--name", name, cwd=cwd, exit_code=Exit.CONFIG)
    run("snapshot", "pin", "data", "newest", cwd=cwd)
    error("snapshot", "pin", "data", "newest", cwd=cwd, exit_code=Exit.CONFIG)
    error("snapshot", "unpin", "data", "nobody", cwd=cwd, exit_code=Exit.NOTHING_THERE)


def test_take_lets_go_afterwards_if_told(data: Path) -> None:
    """--prune says both, each in an event of its own."""
    deposit(data, 50)
    taken, pruned = events("snapshot", "take", "data", "--prune", cwd=data.parent)
    assert (taken["event"], pruned["event"]) == ("taken", "pruned")


def test_a_snapshot_goes_as_json_lines_and_comes_back(data: Path) -> None:
    """Exported and imported into a new directory it has the same fingerprint, and the store opens with its rows."""
    (exported,) = events("snapshot", "export", "data", "--to", "out.jsonl", cwd=data.parent)
    (imported,) = events("snapshot", "import", "out.jsonl", "new", cwd=data.parent)
    assert exported["fingerprint"] == imported["fingerprint"]
    assert imported["new"]
    assert run("log", "verify", "new", cwd=data.parent).stdout.startswith("sound")
    assert deposit(data.parent / "new", 1)[0] > imported["offset"]
    lines = run("snapshot", "export", "data", cwd=data.parent).stdout
    assert lines == (data.parent / "out.jsonl").read_text()
    error("snapshot", "export", "data", "--to", "out.jsonl", cwd=data.parent, exit_code=Exit.CONFIG)


def test_what_cannot_be_noted_does_not_stop_a_check(data: Path) -> None:
    """While somebody takes a snapshot, or prunes, its folder is theirs: the verdict is the same."""
    taking = PosixDisk(data)
    taking.lock("snapshot")
    try:
        run("snapshot", "verify", "data", cwd=data.parent)
        for block in (data / "block").glob("*.blk"):
            flip(block, block.stat().st_size // 2)
        run("snapshot", "verify", "data", cwd=data.parent, exit_code=Exit.CORRUPTION)
    finally:
        taking.unlock("snapshot")


@pytest.mark.parametrize("find", ["restore", "drill", "start"])
def test_what_is_found_damaged_is_rested_on_no_more(data: Path, find: str) -> None:
    """Passing a damaged snapshot over takes its note back, whoever finds it: else log would go for its sake."""
    newest = names(data)[-1]
    manifest = Repository(PosixDisk(data)).manifest(newest)
    damaged = data / "block" / f"{manifest.tables[0].blocks[-1].file}.blk"
    flip(damaged, damaged.stat().st_size // 2)
    assert Repository(PosixDisk(data)).verified(newest) is not None
    if find == "start":
        deposit(data, 1)
    elif find == "drill":
        run("snapshot", "drill", "data", cwd=data.parent)
    else:
        run("restore", "data", "--newest", "--into", "new", cwd=data.parent)
    assert Repository(PosixDisk(data)).verified(newest) is None


def test_an_import_mends_a_corrupt_snapshot(data: Path) -> None:
    """It takes its own place in the store it came from; in another it is refused before anything is written."""
    run("snapshot", "export", "data", "--to", "out.jsonl", cwd=data.parent)
    for block in (data / "block").glob("*.blk"):
        flip(block, block.stat().st_size // 2)
    (imported,) = events("snapshot", "import", "out.jsonl", "data", cwd=data.parent)
    assert not imported["new"]
    run("snapshot", "verify", "data", imported["name"], cwd=data.parent)
    deposit(data.parent / "another", *range(30))
    before = files(data.parent / "another")
    error("snapshot", "import", "out.jsonl", "another", cwd=data.parent, exit_code=Exit.DIRECTORY)
    assert files(data.parent / "another") == before


def forged(lines: list[bytes], **head: object) -> bytes:
    """Lines that add up, whatever they say: the head with other fields, and the end anew."""
    first, end = json.loads(lines[0]), json.loads(lines[-1])["end"]
    before = b"".join([json.dumps({**first, **head}).encode() + b"\n", *lines[1:-1]])
    end |= {"lines": len(lines) - 1, "sha256": hashlib.sha256(before).hexdigest()}
    return before + json.dumps({"end": end}).encode() + b"\n"


@pytest.mark.parametrize(
    "forge",
    [
        lambda lines: forged([each for each in lines if not each.startswith(b'{"system"')]),
        lambda lines: forged([*lines[:-2], b'{"system":"AAAA"}\n', lines[-1]]),
        lambda lines: forged(lines, offset=2**63 - 1),
        lambda lines: forged(lines, timestamp=2**62),
        lambda lines: forged(lines, taken=2**62),
    ],
    ids=["no system", "other system", "other offset", "no moment", "taken at no moment"],
)
def test_a_file_that_adds_up_and_makes_no_store_is_not_imported(
    data: Path, forge: Callable[[list[bytes]], bytes]
) -> None:
    """Neither into a new directory, which would not open, nor beside the log, which would be rested on it."""
    run("snapshot", "export", "data", "--to", "out.jsonl", cwd=data.parent)
    lines = (data.parent / "out.jsonl").read_bytes().splitlines(keepends=True)
    (data.parent / "forged.jsonl").write_bytes(forge(lines))
    error("snapshot", "import", "forged.jsonl", "new", cwd=data.parent, exit_code=Exit.CORRUPTION)
    assert not files(data.parent / "new")
    before = {name: held for name, held in files(data).items() if "block/" not in str(name)}
    ended = store("snapshot", "import", "forged.jsonl", "data", "--json", cwd=data.parent)
    assert ended.returncode in {Exit.CORRUPTION, Exit.DIRECTORY}
    assert {name: held for name, held in files(data).items() if "block/" not in str(name)} == before


def without_rows(lines: list[bytes]) -> bytes:
    """The same snapshot with no row in it; it adds up."""
    head, end = json.loads(lines[0]), json.loads(lines[-1])["end"]
    rest = [each for each in lines[1:-1] if not each.startswith(b'{"table"')]
    ending = json.dumps({"end": {**end, "rows": 0, "fingerprint": "0" * 64}}).encode() + b"\n"
    return forged([lines[0], *rest, ending], tables=[{**each, "rows": 0} for each in head["tables"]])


def test_what_is_imported_beside_a_log_has_the_rows_of_then(data: Path) -> None:
    """A file that adds up by itself is held against what snapshots before and after it and the log add up to."""
    for deposits in (1, 2):
        deposit(data, deposits)
        run("snapshot", "take", "data", cwd=data.parent)
    for name in names(data):
        run("snapshot", "export", "data", name, "--to", f"{name}.jsonl", cwd=data.parent)
        lines = (data.parent / f"{name}.jsonl").read_bytes().splitlines(keepends=True)
        (data.parent / "forged.jsonl").write_bytes(without_rows(lines))
        (data / "snapshot" / f"{name}.json").unlink()
        said = error("snapshot", "import", "forged.jsonl", "data", cwd=data.parent, exit_code=Exit.DIRECTORY)
        assert "add up to the fingerprint" in said["message"]
        run("snapshot", "import", "forged.jsonl", "data", "--trust", cwd=data.parent, exit_code=Exit.DIRECTORY)
        run("snapshot", "import", f"{name}.jsonl", "data", cwd=data.parent)


def test_where_nothing_can_tell_an_import_wants_to_be_trusted(data: Path) -> None:
    """The log from then is gone: without --trust it is refused, and with it the snapshot stands for its own offset."""
    first = names(data)[0]
    run("snapshot", "export", "data", first, "--to", "first.jsonl", cwd=data.parent)
    for deposits in (1, 2, 3):
        deposit(data, deposits)
        run("snapshot", "take", "data", cwd=data.parent)
    rules = ("--keep-last", "0", "--keep-daily", "0", "--keep-for", "0s", "--grace", "0s")
    run("snapshot", "prune", "data", *rules, cwd=data.parent)
    assert first not in names(data)
    said = error("snapshot", "import", "first.jsonl", "data", cwd=data.parent, exit_code=Exit.DIRECTORY)
    assert "--trust" in said["hint"]
    run("snapshot", "import", "first.jsonl", "data", "--trust", cwd=data.parent)
    _, restored = events("restore", "data", "--snapshot", first, "--into", "then", cwd=data.parent)
    assert restored["offset"] == int(first)


def test_an_import_never_replaces_a_whole_snapshot_by_other_rows(data: Path) -> None:
    """Its file claims the same offset of the same history, and says that the system part was another."""
    run("snapshot", "export", "data", "--to", "out.jsonl", cwd=data.parent)
    lines = (data.parent / "out.jsonl").read_bytes().splitlines(keepends=True)
    place = next(at for at, each in enumerate(lines) if each.startswith(b'{"table"'))
    table = json.loads(lines[place])["table"]
    head, end = json.loads(lines[0]), json.loads(lines[-1])["end"]
    rows = [each for each in lines[1:-1] if json.loads(each).get("table") != table]
    tables = [{**each, "rows": 0} if each["name"] == table else each for each in head["tables"]]
    end |= {"rows": sum(each.startswith(b'{"table"') for each in rows), "fingerprint": "0" * 64}
    ending = json.dumps({"end": end}).encode() + b"\n"
    (data.parent / "forged.jsonl").write_bytes(forged([lines[0], *rows, ending], tables=tables))
    before = files(data)
    said = error("snapshot", "import", "forged.jsonl", "data", cwd=data.parent, exit_code=Exit.DIRECTORY)
    assert "other content" in said["message"]
    after = files(data)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("span", ["99999999999d", "9" * 400 + "s"])
def test_a_pin_that_would_end_at_no_moment_is_refused(data: Path, span: str) -> None:
    """Before it is written, not behind it."""
    error("snapshot", "pin", "data", "newest", "--for", span, cwd=data.parent, exit_code=Exit.CONFIG)
    assert not [name for name in files(data) if "pin/" in str(name)]


@pytest.mark.parametrize(
    "words",
    [
        ("snapshot", "take", "data", "--idle"),
        ("snapshot", "list", "data"),
        ("snapshot", "prune", "data"),
        ("restore", "data", "--newest"),
        ("clone", "data", "new"),
        ("backup", "push", "data", "there", "--idle"),
        ("log", "verify", "data"),
        ("salvage", "data", "new"),
    ],
)
def test_a_newer_store_s_directory_is_left_to_it(data: Path, words: tuple[str, ...]) -> None:
    """What it needs and how it is read is not known here, so nothing of it is read, pushed or let go."""
    (data / "store.json").write_text('{"format": 2, "what": "is new"}')
    before = files(data)
    ended = store(*words, "--json", cwd=data.parent)
    assert ended.returncode == Exit.DIRECTORY, ended.stdout
    assert "newer version" in ended.stdout + ended.stderr
    assert files(data) == before


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_cut_file_is_not_imported(data: Path, keep: float) -> None:
    """Nothing opens what was not whole; the same directory takes the whole file afterwards."""
    run("snapshot", "export", "data", "--to", "out.jsonl", cwd=data.parent)
    whole = (data.parent / "out.jsonl").read_bytes()
    (data.parent / "cut.jsonl").write_bytes(whole[: int(len(whole) * keep)])
    error("snapshot", "import", "cut.jsonl", "new", cwd=data.parent, exit_code=Exit.CORRUPTION)
    error("snapshot", "import", "missing.jsonl", "new", cwd=data.parent, exit_code=Exit.NOTHING_THERE)
    run("snapshot", "import", "out.jsonl", "new", cwd=data.parent)


def test_a_drill_restores_and_leaves_nothing(data: Path) -> None:
    """Of a stopped store it compares with what snapshot and log add up to; the scratch space is empty afterwards."""
    scratch = data.parent / "scratch"
    scratch.mkdir()
    before = files(data)
    (drilled,) = events("snapshot", "drill", "data", "--scratch", "scratch", cwd=data.parent)
    assert drilled["same"]
    assert drilled["expected"] is None
    assert drilled["base"] == names(data)[-1]
    assert list(scratch.iterdir()) == []
    assert files(data) == before
    assert run("snapshot", "drill", "data", cwd=data.parent).stdout.startswith("holds")


def test_a_drill_that_finds_other_rows_fails(data: Path) -> None:
    """Exit 1, both fingerprints, and what to do."""
    where = ("--through", "8", "--fingerprint", "ab" * 32)
    (drilled,) = events("snapshot", "drill", "data", *where, cwd=data.parent, exit_code=Exit.CHECK_FAILED)
    assert not drilled["same"]
    assert drilled["offset"] == 8
    plain = run("snapshot", "drill", "data", *where, cwd=data.parent, exit_code=Exit.CHECK_FAILED).stdout
    assert plain.startswith("FAILS")
    assert "store log verify --re-execute" in plain
    error("snapshot", "drill", "data", "--fingerprint", "ab", cwd=data.parent, exit_code=Exit.CONFIG)
    (data.parent / "full").mkdir()
    (data.parent / "full" / "thesis").write_text("mine")
    error("snapshot", "drill", "data", "--scratch", "full", cwd=data.parent, exit_code=Exit.DIRECTORY)
    assert (data.parent / "full" / "thesis").read_text() == "mine"


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """A tenant that runs."""
    with running(tmp_path_factory.mktemp("tenant")) as made:
        called = store("call", "open_account", "1", "ada", "100", cwd=made.directory, **made.variables)
        assert called.returncode == Exit.DONE, called.stderr
        yield made


def test_beside_a_running_tenant_all_until_now_is_taken(tenant: Tenant) -> None:
    """By hand, in another process: the tenant seals first, so the call that was just answered is in it."""
    called = store("call", "deposit", "1", "7", "--json", cwd=tenant.directory, **tenant.variables)
    ended = process("snapshot", "take", "data", "--json", cwd=tenant.directory, **tenant.variables)
    assert ended.returncode == Exit.DONE, ended.stderr
    taken = json.loads(ended.stdout.splitlines()[-1])
    assert taken["offset"] >= json.loads(called.stdout)["offset"]
    assert taken["fresh"]


def test_a_drill_is_held_by_the_running_tenant(tenant: Tenant) -> None:
    """It compares with its own fingerprint; its metric and its log know of it, as of one asked for over HTTP."""
    for arguments in ((), ("--url", tenant.url)):
        ended = process("snapshot", "drill", "data", "--json", *arguments, cwd=tenant.directory, **tenant.variables)
        assert ended.returncode == Exit.DONE, ended.stderr
        drilled = json.loads(ended.stdout.splitlines()[-1])
        assert drilled["same"]
        assert drilled["expected"] == drilled["fingerprint"]
        last = last_drill(tenant)
        assert (last["done"]["offset"], last["done"]["fingerprint"]) == (drilled["offset"], drilled["fingerprint"])
        dumped = run("log", "dump", "data", "--from", str(drilled["recorded"]), cwd=tenant.directory).stdout
        assert "drill" in dumped


def test_a_drill_that_fails_in_the_tenant_ends_as_it_failed_there(tmp_path: Path) -> None:
    """With its words and its exit code, so that a gap is told from a full disk; it is not tried again here."""
    with running(tmp_path) as tenant:
        called = store("call", "open_account", "1", "ada", "100", cwd=tmp_path, **tenant.variables)
        assert called.returncode == Exit.DONE, called.stderr
        (first, *_) = segments(tenant.data)
        flip(first, first.stat().st_size // 2)
        ended = store("snapshot", "drill", "data", "--json", cwd=tmp_path, **tenant.variables)
        said = json.loads(ended.stderr.splitlines()[-1])
        assert (ended.returncode, said["exit"]) == (Exit.NOT_RESTORABLE, Exit.NOT_RESTORABLE), ended.stderr
        assert last_drill(tenant)["failed"] in said["message"]


def test_a_copy_beside_is_compared_with_the_named_tenant(tenant: Tenant) -> None:
    """Nobody serves the copy, so the drill is held here; the tenant is only asked what it holds."""
    HttpTenant(tenant.url, tenant.token, ssl=None, timeout_s=30).post("/v1/seal")
    shutil.copytree(tenant.data, tenant.directory / "copy")
    before = last_drill(tenant)
    arguments = ("snapshot", "drill", "copy", "--url", tenant.url, "--json")
    ended = store(*arguments, cwd=tenant.directory, STORE_TOKEN=tenant.token)
    assert ended.returncode == Exit.DONE, ended.stderr
    drilled = json.loads(ended.stdout.splitlines()[-1])
    assert drilled["expected"] == drilled["fingerprint"]
    assert "recorded" not in drilled
    assert last_drill(tenant) == before


def last_drill(tenant: Tenant) -> dict[str, Any]:
    """What a tenant knows of its drills."""
    asking = HttpTenant(tenant.url, tenant.token, ssl=None, timeout_s=30)
    said: dict[str, Any] = asking.get("/v1/operations")["last"].get("drill", {})
    return said


def test_another_store_at_that_address_is_not_asked(tenant: Tenant, tmp_path: Path) -> None:
    """A tenant that serves another directory's history would practise the wrong restore, and say that all is well."""
    with running(tmp_path) as other:
        (other.data / SERVING).unlink()
        found = ("--set", f"server.port={tenant.port}")
        alone = store("snapshot", "drill", "data", *found, cwd=tmp_path, STORE_TOKEN=tenant.token)
        assert alone.returncode == Exit.DONE, alone.stderr
        assert "serves another store" in alone.stderr
        named = store("snapshot", "drill", "data", "--url", tenant.url, cwd=tmp_path, STORE_TOKEN=tenant.token)
        assert named.returncode == Exit.DIRECTORY


def test_a_tenant_that_does_not_answer_is_an_error_only_where_it_was_named(tenant: Tenant) -> None:
    """Found by itself it may be gone, and that is said; named with --url it must be there."""
    cwd = tenant.directory
    (tenant.data / SERVING).unlink()
    alone = store("snapshot", "drill", "data", "--set", "server.port=1", cwd=cwd)
    assert alone.returncode == Exit.DONE
    assert "no running tenant is asked" in alone.stderr
    named = store("snapshot", "drill", "data", "--url", "ws://127.0.0.1:1", cwd=cwd)
    assert named.returncode == Exit.UNREACHABLE
    taken = store("snapshot", "take", "data", "--set", "server.port=1", cwd=cwd)
    assert taken.returncode == Exit.DONE
    assert "was not asked to seal" in taken.stderr


def test_the_environment_names_nobody(data: Path) -> None:
    """An address in STORE_URL is where to look, no claim that somebody serves this directory."""
    elsewhere = {"STORE_URL": "ws://127.0.0.1:1", "STORE_TOKEN": "stale"}
    for command in ("take", "drill"):
        ended = store("snapshot", command, "data", cwd=data.parent, **elsewhere)
        assert ended.returncode == Exit.DONE, ended.stderr


def test_idle_stands_back(tenant: Tenant) -> None:
    """With --idle the process lowers its own priority, and asks the tenant nothing."""
    script = (
        "import os, sys; from store.cli.app import app; app(['snapshot', 'take', 'data', '--idle'], "
        "standalone_mode=False); print(os.sched_getscheduler(0) == os.SCHED_IDLE)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tenant.directory,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "seal" not in ended.stderr
    if hasattr(os, "SCHED_IDLE"):
        assert ended.stdout.splitlines()[-1] == "True", ended.stderr


def test_before_the_tables_change_a_snapshot_is_taken(tmp_path: Path) -> None:
    """A start with another domain takes one of what was there, and says how to go back to it."""
    before = Tenant(tmp_path, "--domain", "reducers.accounts")
    before.start()
    called = store("call", "open_account", "1", "ada", "100", cwd=tmp_path, **before.variables)
    assert called.returncode == Exit.DONE, called.stderr
    before.stop()
    assert names(tmp_path / "data") == []
    after = Tenant(tmp_path)
    after.start()
    after.kill()
    (name,) = names(tmp_path / "data")
    assert f"store restore data --snapshot {int(name)}" in (tmp_path / "stderr").read_text()
    _, restored = events("restore", "data", "--snapshot", name, "--into", "back", cwd=tmp_path)
    assert restored["offset"] == int(name)


def test_a_pin_that_does_not_read_can_be_taken_away(data: Path) -> None:
    """Until then nothing is pruned: it may hold anything."""
    run("snapshot", "pin", "data", "newest", "--name", "keep", cwd=data.parent)
    for name in ("odd", "other"):
        (data / "pin" / f"{name}.json").write_bytes(b"junk")
    said = error("snapshot", "prune", "data", cwd=data.parent, exit_code=Exit.CORRUPTION)
    assert "store snapshot unpin" in said["hint"]
    error("snapshot", "unpin", "data", "keep", cwd=data.parent, exit_code=Exit.CORRUPTION)
    (unpinned,) = events("snapshot", "unpin", "data", "odd", cwd=data.parent)
    assert unpinned["offset"] is None
    assert "which did not read" in run("snapshot", "unpin", "data", "other", cwd=data.parent).stdout
    run("snapshot", "unpin", "data", "keep", cwd=data.parent)
    run("snapshot", "prune", "data", cwd=data.parent)
