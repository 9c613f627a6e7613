"""The rules of `store log`: what is told of a log, sound or damaged, and that nothing is written."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reducers import accounts
from store.cli.exits import Exit
from store.cli.log_verdict import inspect_log
from store.engine.engine import open_engine
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.env.memory import NoDeadline
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.world import World
from store.errors import CallError
from store.ids import ConnectionId
from store.log.commitlog import LogOptions
from store.values import encode
from tests.cli.tenant import store


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a log of several segments: an account, deposits, a refusal."""
    world = World(PosixDisk(tmp_path / "data"), SystemClock(), SystemEntropy(), NoDeadline())
    options = LogOptions(segment_size_max=1_000)
    engine = open_engine(world, Domain.of(accounts), options=EngineOptions(), log_options=options)
    caller = Caller(Identity("tests", "ada", SCOPES), ConnectionId(1), "here")
    calls: list[tuple[str, list[Any]]] = [("open_account", [1, "ada", 5])]
    calls += [("deposit", [1, number]) for number in range(20)]  # The first is refused: no amount.
    for name, args in calls:
        engine.write_path.call(caller, name, encode(args))
        engine.group_commit.commit()
    with pytest.raises(CallError):
        engine.write_path.call(caller, "nope", encode([]))
    engine.close()
    assert len(segments(tmp_path / "data")) >= 3
    return tmp_path / "data"


def segments(data: Path) -> list[Path]:
    """The log's files, in order."""
    return sorted((data / "log").glob("*.log"))


def verify(data: Path, *options: str, exit_code: Exit) -> dict[str, Any]:
    """What is found, which must be this; the directory stays as it is."""
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    ended = store("log", "verify", str(data), "--json", *options, cwd=data.parent)
    assert ended.returncode == exit_code, ended.stdout + ended.stderr
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    found = json.loads(ended.stdout)
    assert found["exit"] == exit_code
    plain = store("log", "verify", str(data), *options, cwd=data.parent)
    assert plain.returncode == exit_code
    assert found["verdict"].replace("_", " ") in plain.stdout
    return dict(found)


def test_a_sound_log_is_sound(data: Path) -> None:
    """A log that was stopped in order is sound, and proven durable to its end."""
    found = verify(data, exit_code=Exit.DONE)
    assert found["verdict"] == "sound"
    assert found["segments"] == len(segments(data))
    assert found["transactions"] == found["last_offset"] == found["proven_offset"]
    assert found["bytes"] == sum(path.stat().st_size for path in segments(data))


def test_a_torn_tail_is_told_with_its_place(data: Path) -> None:
    """An end that is no whole batch is a torn tail: what a crash leaves, and the next start cuts."""
    last = segments(data)[-1]
    with last.open("ab") as file:
        file.write(b"torn")
    found = verify(data, exit_code=Exit.TORN_TAIL)
    assert found["file"].endswith(last.name)
    assert found["position"] + found["torn_bytes"] == last.stat().st_size
    assert "next start" in found["hint"]


def test_corruption_is_told_with_its_place(data: Path) -> None:
    """A flipped bit in what was durable is corruption, with file and position, and how far it could be read."""
    first = segments(data)[0]
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    found = verify(data, exit_code=Exit.CORRUPTION)
    assert found["file"].endswith(first.name)
    assert 0 < found["position"] <= len(content) // 2
    assert found["last_offset"] < 20


def test_what_a_copy_lacks_in_its_last_segment_is_a_torn_tail(data: Path, tmp_path: Path) -> None:
    """A tool that copied blank, and then what was written behind it: the next start cuts that, and it is no damage.

    In a directory that is where it always was, the same bytes are corruption.
    """
    names = [path.name for path in segments(data)]
    for path in segments(data)[2:]:
        path.unlink()
    last = segments(data)[-1]
    content = last.read_bytes()
    second = content.find(content[100:104], 101)  # Each batch begins with the segment's marker.
    last.write_bytes(content[:second] + bytes(60) + content[second + 60 :])
    shutil.copytree(data, tmp_path / "copied")
    verify(data, exit_code=Exit.CORRUPTION)
    found = verify(tmp_path / "copied", exit_code=Exit.TORN_TAIL)
    assert (found["position"], found["file"].endswith(names[1])) == (second, True)
    assert "copied" in found["message"]
    assert "nobody was told" not in found["hint"]
    again = ("--re-execute", "--domain", "reducers.accounts")
    run = verify(tmp_path / "copied", *again, exit_code=Exit.TORN_TAIL)
    assert (run["calls"] > 0, run["different"], run["last_offset"]) == (True, 0, found["last_offset"])
    dumped = store("log", "dump", str(tmp_path / "copied"), cwd=tmp_path)
    assert dumped.returncode == 0
    assert store("log", "dump", str(data), cwd=tmp_path).returncode != 0


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_segment_is_a_gap(data: Path, missing: int) -> None:
    """Where a segment is gone, nothing is damaged, but the offsets do not go on."""
    segments(data)[missing].unlink()
    assert verify(data, exit_code=Exit.GAP)["message"]


def test_a_segment_that_ends_early_is_a_gap(data: Path) -> None:
    """A middle segment without its last batches is a gap as well."""
    found = verify(data, exit_code=Exit.DONE)
    first = segments(data)[0]
    content = first.read_bytes()
    os.truncate(first, len(content) - 1)
    broken = verify(data, exit_code=Exit.CORRUPTION)
    os.truncate(first, broken["position"])
    assert verify(data, exit_code=Exit.GAP)["last_offset"] < found["last_offset"]


def test_no_log_and_no_access_are_told_apart(data: Path, tmp_path: Path) -> None:
    """An empty or missing directory has nothing there; a file, or a newer format, is unreadable."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    verify(tmp_path / "empty", exit_code=Exit.NOTHING_THERE)
    verify(tmp_path / "missing", exit_code=Exit.NOTHING_THERE)
    ended = store("log", "verify", "file", "--json", cwd=tmp_path)
    assert ended.returncode == Exit.DIRECTORY
    assert json.loads(ended.stdout)["verdict"] == "unreadable"
    assert segments(data)


def test_re_execution_proves_determinism(data: Path) -> None:
    """Run again, every call comes out as it was logged, and the fingerprint is that of the tables."""
    found = verify(data, "--re-execute", "--domain", "reducers.accounts", exit_code=Exit.DONE)
    assert found["calls"] == 21
    assert found["different"] == 0
    assert len(found["fingerprint"]) == 64


def test_re_execution_finds_another_reducer(data: Path, tmp_path: Path) -> None:
    """With reducers that do something else, the calls that differ are listed, and the check fails."""
    source = Path(accounts.__file__).read_text()
    changed = source.replace("balance=account.balance + amount", "balance=account.balance + amount + 1")
    assert changed != source
    (tmp_path / "generous_accounts.py").write_text(changed)
    found = verify(data, "--re-execute", "--domain", "generous_accounts", exit_code=Exit.CHECK_FAILED)
    assert found["different"] == 19
    assert {each["reducer"] for each in found["differences"]} == {"deposit"}


def test_dump_tells_every_transaction(data: Path) -> None:
    """A line each for people; with --json all a record holds, rows by column name."""
    lines = store("log", "dump", str(data), cwd=data.parent).stdout.splitlines()
    told = [json.loads(line) for line in store("log", "dump", str(data), "--json", cwd=data.parent).stdout.splitlines()]
    assert len(lines) == len(told)
    assert [each["offset"] for each in told] == list(range(1, len(told) + 1))
    deposit = next(each for each in told if each["reducer"] == "deposit" and each["outcome"] == "committed")
    assert (deposit["sender"], deposit["args"], deposit["value"], deposit["source"]) == ("ada", [1, 1], 6, "here")
    assert deposit["writes"] == [
        {
            "table": "accounts",
            "op": "update",
            "key": 1,
            "before": {"id": 1, "owner": "ada", "balance": 5},
            "after": {"id": 1, "owner": "ada", "balance": 6},
        }
    ]
    assert sum(each["outcome"] == "refused" for each in told) == 1
    assert "deposit(1, 1): update accounts 1" in lines[deposit["offset"] - 1]
    assert "→ refused" in "\n".join(lines)


def test_dump_is_one_line_whatever_a_caller_wrote(tmp_path: Path) -> None:
    """Nobody forges a line, or moves a terminal's cursor: what is no printable character is shown by its number."""
    world = World(PosixDisk(tmp_path / "data"), SystemClock(), SystemEntropy(), NoDeadline())
    engine = open_engine(world, Domain.of(accounts), options=EngineOptions(), log_options=LogOptions())
    caller = Caller(Identity("tests", "eve\x1b[2J", SCOPES), ConnectionId(1), "here")
    engine.write_path.call(caller, "open_account", encode([1, "a\n    9  forged\x1b[2J\u202e", 5]))
    engine.group_commit.commit()
    engine.close()
    dumped = store("log", "dump", str(tmp_path / "data"), cwd=tmp_path).stdout
    (line,) = [each for each in dumped.splitlines() if "forged" in each]
    assert "open_account" in line
    assert "\\u001b" in line
    assert not set("\x1b\u202e") & set(dumped)


def test_dump_of_a_part_knows_the_names(data: Path) -> None:
    """A dump from the middle has table and column names all the same, and ends where it is told."""
    ended = store("log", "dump", str(data), "--from", "9", "--to", "11", "--json", cwd=data.parent)
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [each["offset"] for each in told] == [9, 10, 11]
    assert told[0]["writes"][0]["after"]["owner"] == "ada"
    assert store("log", "dump", str(data), "--from", "9", "--to", "3", cwd=data.parent).returncode == Exit.CONFIG


def test_dump_says_where_a_log_is_torn_or_damaged(data: Path) -> None:
    """A torn tail is noted behind the transactions; corruption is an error behind what could be read."""
    last = segments(data)[-1]
    with last.open("ab") as file:
        file.write(b"torn")
    torn = store("log", "dump", str(data), cwd=data.parent)
    assert torn.returncode == Exit.DONE
    assert "torn tail" in torn.stderr
    segments(data)[1].unlink()
    damaged = store("log", "dump", str(data), "--json", cwd=data.parent)
    assert damaged.returncode == Exit.CORRUPTION
    assert json.loads(damaged.stderr)["error"] == "CorruptionError"
    assert msgspec.json.decode(damaged.stdout.splitlines()[0])["offset"] == 1


@pytest.fixture
def pictured(data: Path) -> Path:
    """The same with a snapshot in the middle of its log, from which deposits go on."""
    taken = store("snapshot", "take", str(data), "--through", "18", cwd=data.parent)
    assert taken.returncode == Exit.DONE, taken.stderr
    return data


def base_of(data: Path) -> int:
    """The snapshot's offset."""
    return int(next((data / "snapshot").glob("*.json")).stem)


def test_a_log_that_goes_on_from_a_snapshot_is_sound(pictured: Path) -> None:
    """Segments before a whole snapshot may be gone, at the beginning or in the middle; what is restorable is told."""
    whole = verify(pictured, exit_code=Exit.DONE)
    assert [each["first"] for each in whole["recoverable"]] == [1]
    before = [each for each in segments(pictured) if int(each.stem) < base_of(pictured)][:-1]
    before[1].unlink()
    gap = verify(pictured, exit_code=Exit.DONE)
    assert [each["base"] for each in gap["recoverable"]] == [None, f"{base_of(pictured):020d}"]
    before[0].unlink()
    begun = verify(pictured, exit_code=Exit.DONE)
    assert begun["first_offset"] > 1
    assert f"{base_of(pictured):020d}" in begun["message"]
    (left,) = begun["recoverable"]
    assert (left["first"], left["last"]) == (base_of(pictured), begun["last_offset"])


def test_a_gap_behind_the_snapshot_is_a_gap(pictured: Path) -> None:
    """What no snapshot covers is missing: what is still restorable lies before it."""
    behind = [each for each in segments(pictured) if int(each.stem) > base_of(pictured)]
    behind[0].unlink()
    found = verify(pictured, exit_code=Exit.GAP)
    assert found["recoverable"][0]["first"] == 1
    assert "store salvage" in found["hint"]


def test_a_log_without_its_beginning_needs_a_whole_snapshot(pictured: Path) -> None:
    """Where its blocks are damaged, the log that goes on from it is a gap."""
    segments(pictured)[0].unlink()
    verify(pictured, exit_code=Exit.DONE)
    for block in (pictured / "block").glob("*.blk"):
        content = bytearray(block.read_bytes())
        content[len(content) // 2] ^= 1
        block.write_bytes(content)
    found = verify(pictured, exit_code=Exit.GAP)
    assert found["recoverable"] == []


def test_damage_before_a_snapshot_is_damage_that_a_start_does_not_need(pictured: Path) -> None:
    """Exit 4 with its place; the hint says with which snapshot a start begins, and what is lost is not listed."""
    first = segments(pictured)[0]
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    found = verify(pictured, exit_code=Exit.CORRUPTION)
    assert found["file"].endswith(first.name)
    assert f"{base_of(pictured):020d}" in found["hint"]
    ranges = [(each["first"], each["last"]) for each in found["recoverable"]]
    assert ranges[-1] == (base_of(pictured), found["last_offset"])


def test_re_execution_begins_with_the_snapshot(pictured: Path) -> None:
    """Where the log's beginning is gone, calls are run again from the snapshot on, to the same fingerprint."""
    options = ("--re-execute", "--domain", "reducers.accounts")
    whole = verify(pictured, *options, exit_code=Exit.DONE)
    segments(pictured)[0].unlink()
    found = verify(pictured, *options, exit_code=Exit.DONE)
    assert 0 < found["calls"] < whole["calls"]
    assert found["fingerprint"] == whole["fingerprint"]


def test_dump_learns_the_names_from_a_snapshot(pictured: Path) -> None:
    """It begins with the segment it needs, and tables, columns and senders have their names all the same."""
    for each in [each for each in segments(pictured) if int(each.stem) < base_of(pictured)][:-1]:
        each.write_bytes(b"unreadable")
    start = str(base_of(pictured) + 1)
    ended = store("log", "dump", str(pictured), "--from", start, "--json", cwd=pictured.parent)
    assert ended.returncode == Exit.DONE, ended.stderr
    first = json.loads(ended.stdout.splitlines()[0])
    assert (first["offset"], first["sender"]) == (int(start), "ada")
    assert first["writes"][0]["table"] == "accounts"
    assert first["writes"][0]["after"]["owner"] == "ada"


def test_dump_of_a_log_that_begins_later_says_so(pictured: Path) -> None:
    """What came before is in snapshots alone."""
    segments(pictured)[0].unlink()
    ended = store("log", "dump", str(pictured), cwd=pictured.parent)
    assert ended.returncode == Exit.DONE, ended.stderr
    assert f"the log begins at offset {int(segments(pictured)[0].stem)}" in ended.stderr


def test_after_a_restore_in_place_the_log_in_force_is_read(pictured: Path) -> None:
    """Verify and dump mean the same files as the store does."""
    restored = store("restore", str(pictured), "--to-offset", "9", cwd=pictured.parent)
    assert restored.returncode == Exit.DONE, restored.stderr
    assert json.loads(store("log", "verify", str(pictured), "--json", cwd=pictured.parent).stdout)["last_offset"] == 9
    assert len(store("log", "dump", str(pictured), cwd=pictured.parent).stdout.splitlines()) == 9


def test_a_log_that_lost_its_end_is_a_gap(pictured: Path) -> None:
    """A snapshot shows that the log went further: a start refuses it; in a copy it goes on from there."""
    base = base_of(pictured)
    copy = pictured.parent / "copy"
    copied = [each for each in segments(pictured) if int(each.stem) + 2 < base]
    for each in segments(pictured):
        if each not in copied[:-1]:
            each.unlink()
    found = verify(pictured, exit_code=Exit.GAP)
    assert str(base) in found["message"]
    shutil.copytree(pictured, copy)
    verify(copy, exit_code=Exit.DONE)


@pytest.mark.parametrize("gone", [1, 2])
def test_log_that_is_let_go_while_it_is_read_is_no_damage(data: Path, gone: int) -> None:
    """A store that runs lets old segments go once a snapshot does instead; what is left is verified, and told."""
    assert store("snapshot", "take", str(data), cwd=data.parent).returncode == Exit.DONE
    doomed = segments(data)[: gone + 1]

    def told(_done: int, _total: int) -> None:
        for each in doomed:
            each.unlink(missing_ok=True)

    verdict = inspect_log(data, told)
    assert (verdict.exit, verdict.verdict) == (Exit.DONE, "sound"), verdict.message
    assert {each.base for each in verdict.recoverable} != {None}
