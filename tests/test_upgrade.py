"""Data directories that earlier versions wrote are read by this one, for as long as there is a store."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from store.backup.bucket import FORMAT as BACKUP_FORMAT
from store.backup.checking import check
from store.backup.index import INDEX_FORMAT
from store.backup.keys import OperatorKey
from store.backup.push import push
from store.backup.view import BackupDisk
from store.codec import decode_batch
from store.engine.directory import DIRECTORY_FORMAT
from store.engine.engine import Engine, open_engine
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.engine.reexecution import reexecute, start_of
from store.engine.replay import replay
from store.env.folder import FolderObjects
from store.env.memory import MemoryClock, NoDeadline, SeededEntropy
from store.env.posix import PosixDisk
from store.env.world import World
from store.ids import ClientId, ConnectionId, Offset
from store.log.commitlog import LogOptions
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.snapshot.format import SNAPSHOT_VERSION
from store.snapshot.repository import Repository
from store.upkeep.ranges import AtOffset, resolve
from store.upkeep.restore import restore
from store.values import encode
from tests.data import domain

KEPT = sorted(path for path in (Path(__file__).parent / "data").iterdir() if (path / "expected.json").is_file())
BACKUPS = sorted((Path(__file__).parent / "data").glob("*-*backup.json"))
DOMAIN = Domain.of(domain)


@pytest.fixture(params=KEPT, ids=lambda path: path.name)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """One of them, copied, with what it must hold."""
    folder = shutil.copytree(request.param, tmp_path / "data")
    expected: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    (folder / "expected.json").unlink()
    return folder, expected


def opened(folder: Path) -> Engine:
    """The directory as a store of today opens it."""
    world = World(PosixDisk(folder), MemoryClock(), SeededEntropy(2), NoDeadline())
    return open_engine(world, DOMAIN, options=EngineOptions(), log_options=LogOptions())


def first_offset(folder: Path) -> Offset:
    """Where the log that is left begins."""
    return segment_offsets(PosixDisk(folder, read_only=True))[0]


def test_a_kept_directory_opens_with_all_it_held(kept: tuple[Path, dict[str, Any]]) -> None:
    """The same rows, byte for byte, and every transaction that there was."""
    folder, expected = kept
    engine = opened(folder)
    found = {
        "fingerprint": engine.database.fingerprint(),
        "rows": {each.schema.name: len(each) for each in engine.database.tables.values()},
    }
    assert {**found, "last_offset": expected["last_offset"]} == expected
    assert engine.state.last_offset >= expected["last_offset"]
    engine.close()


def test_a_kept_directory_takes_calls_and_answers_its_own_again(kept: tuple[Path, dict[str, Any]]) -> None:
    """A retry across the upgrade is answered with the first answer; then life goes on, and is there after a restart."""
    folder, _ = kept
    engine = opened(folder)
    calls = [
        each
        for batch in LogReader(PosixDisk(folder, read_only=True), from_offset=first_offset(folder))
        if batch.count
        for each in decode_batch(batch.body)
        if each.call_key is not None
    ]
    last = calls[-1]
    assert last.call_key is not None
    caller = Caller(Identity("tests", "ada", SCOPES), ConnectionId(1), "127.0.0.1:4000")
    caller.client = ClientId(last.call_key[0])
    before = engine.state.last_offset
    again = engine.write_path.call(caller, last.reducer, last.args, sequence=last.call_key[1])
    assert (again.offset, again.outcome, again.value) == (last.offset, last.outcome, last.value)
    assert engine.state.last_offset == before
    made = engine.write_path.call(caller, "make", encode(["new", None]), sequence=last.call_key[1] + 1)
    engine.group_commit.commit()
    fingerprint = engine.database.fingerprint()
    engine.close()
    engine = opened(folder)
    assert engine.database.fingerprint() == fingerprint
    assert engine.state.last_offset > Offset(made.offset)
    engine.close()


def test_a_kept_directory_runs_again_to_the_same_rows(kept: tuple[Path, dict[str, Any]]) -> None:
    """Reducers that were not changed come out as they did then: arguments, dice and moments are read as they were."""
    folder, expected = kept
    disk = PosixDisk(folder, read_only=True)
    state = start_of(disk, DOMAIN)
    report = reexecute(LogReader(disk, from_offset=state.next_offset), DOMAIN, NoDeadline(), state)
    assert (report.different, report.fingerprint) == (0, expected["fingerprint"])


def test_a_kept_snapshot_is_whole_and_leads_to_the_same_rows(kept: tuple[Path, dict[str, Any]]) -> None:
    """Every block, every sum; and each with the log behind it."""
    folder, expected = kept
    disk = PosixDisk(folder, read_only=True)
    found, refused = Repository(disk).whole()
    assert refused == []
    for manifest in found:
        Repository(disk).check(manifest, deep=True)
    assert replay(disk).state.database.fingerprint() == expected["fingerprint"]


@pytest.fixture(params=BACKUPS, ids=lambda path: path.stem)
def backup(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[FolderObjects, OperatorKey | None, dict[int, str]]:
    """One that an earlier version pushed, copied, with its key and the fingerprints at two of its moments."""
    folder = shutil.copytree(request.param.with_suffix(""), tmp_path / "backup")
    expected: dict[str, Any] = json.loads(request.param.read_text())
    key = OperatorKey(bytes.fromhex(expected["key"])) if expected["key"] else None
    return FolderObjects(folder), key, {int(offset): each for offset, each in expected["moments"].items()}


def test_a_kept_backup_is_whole_and_brings_its_moments_back(
    backup: tuple[FolderObjects, OperatorKey | None, dict[int, str]], tmp_path: Path
) -> None:
    """Every object checks, and a middle moment and the last are restored to the rows they had, and open."""
    objects, key, moments = backup
    assert check(objects, key=key) == []
    disk = BackupDisk(objects, key=key)
    for offset, fingerprint in moments.items():
        into = tmp_path / f"restored-{offset}"
        moment = resolve(disk, AtOffset(Offset(offset)))
        report = restore(disk, PosixDisk(into), moment, clock=MemoryClock(), entropy=SeededEntropy(3))
        assert (report.offset, report.fingerprint) == (offset, fingerprint)
        engine = opened(into)
        assert engine.database.fingerprint() == fingerprint
        engine.close()


def test_a_kept_backup_is_pushed_to_again(
    backup: tuple[FolderObjects, OperatorKey | None, dict[int, str]], tmp_path: Path
) -> None:
    """By the store that was restored from it: only what is new is sent, and all of it is still whole."""
    objects, key, moments = backup
    disk = BackupDisk(objects, key=key)
    moment = resolve(disk, AtOffset(Offset(max(moments))))
    restore(disk, PosixDisk(tmp_path / "data"), moment, clock=MemoryClock(), entropy=SeededEntropy(3))
    engine = opened(tmp_path / "data")
    engine.log.seal(engine.world.clock.wall())
    before = set(objects.names())
    pushed = push(PosixDisk(tmp_path / "data"), objects, clock=MemoryClock(), entropy=SeededEntropy(5), key=key)
    engine.close()
    assert pushed.last_offset > max(moments)
    assert before < set(objects.names())
    assert check(objects, key=key) == []


def test_there_is_one_of_every_version() -> None:
    """What is not kept cannot be tested."""
    assert {path.name for path in KEPT} == {"1-log", "1-snapshots"}
    assert {path.stem for path in BACKUPS} == {"1-backup", "1-sealed-backup"}
    assert DIRECTORY_FORMAT == SNAPSHOT_VERSION == BACKUP_FORMAT == INDEX_FORMAT == 1
