"""Data directories that earlier versions wrote are read by this one, for as long as there is a store."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from store.codec import decode_batch
from store.engine.directory import DIRECTORY_FORMAT
from store.engine.engine import Engine, open_engine
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.engine.reexecution import reexecute, start_of
from store.engine.replay import replay
from store.env.memory import MemoryClock, NoDeadline, SeededEntropy
from store.env.posix import PosixDisk
from store.env.world import World
from store.ids import ClientId, ConnectionId, Offset
from store.log.commitlog import LogOptions
from store.log.reader import LogReader
from store.log.segment import segment_offsets
from store.snapshot.format import SNAPSHOT_VERSION
from store.snapshot.repository import Repository
from store.values import encode
from tests.data import domain

KEPT = sorted(path for path in (Path(__file__).parent / "data").iterdir() if (path / "expected.json").is_file())
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


def test_there_is_one_of_every_version() -> None:
    """What is not kept cannot be tested."""
    assert {path.name for path in KEPT} == {"1-log", "1-snapshots"}
    assert DIRECTORY_FORMAT == SNAPSHOT_VERSION == 1
