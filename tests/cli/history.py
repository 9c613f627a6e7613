"""A data directory with a history: made by the real engine on a real disk, without a server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from reducers import accounts, repositories
from store.cli.directories import generation_of
from store.cli.upkeep.acts import owed_acts
from store.engine.acts import ACTS
from store.engine.engine import Engine, open_engine
from store.engine.identity import SCOPES, Caller, Identity
from store.engine.options import EngineOptions
from store.engine.reducer import Domain
from store.env.memory import NoDeadline
from store.env.posix import PosixDisk, SystemClock, SystemEntropy
from store.env.world import World
from store.ids import ConnectionId
from store.log.commitlog import LogOptions
from store.values import encode
from tests.cli.tenant import Ended, store

ADA: Final = Caller(Identity("tests", "ada", SCOPES), ConnectionId(1), "here")
SEGMENT_SIZE: Final = 700


@contextmanager
def opened(data: Path) -> Iterator[Engine]:
    """The store in a directory, as a process would open it; stopped in order in the end."""
    world = World(PosixDisk(generation_of(data), root=data), SystemClock(), SystemEntropy(), NoDeadline())
    engine = open_engine(
        world,
        Domain.of(accounts, repositories),
        options=EngineOptions(),
        log_options=LogOptions(segment_size_max=SEGMENT_SIZE),
        acts=owed_acts(data, generation_of(data)),
    )
    try:
        yield engine
    finally:
        engine.close()


def call(engine: Engine, name: str, *arguments: Any) -> int:
    """Call a reducer, durably; returns its offset."""
    answer = engine.write_path.call(ADA, name, encode(list(arguments)))
    engine.group_commit.commit()
    return answer.offset


def deposit(data: Path, *amounts: int) -> list[int]:
    """Make deposits to account 1, which is opened first where the store is new; returns their offsets."""
    with opened(data) as engine:
        if "accounts" not in {each.schema.name for each in engine.database.tables.values() if each.rows}:
            call(engine, "open_account", 1, "ada", 100)
        return [call(engine, "deposit", 1, amount) for amount in amounts]


def balance(data: Path) -> int:
    """What account 1 holds, in a directory that nobody serves."""
    with opened(data) as engine:
        (table,) = (each for each in engine.database.tables.values() if each.schema.name == "accounts")
        return int(table.decoded(table.get(1)).balance)


def run(*arguments: str, cwd: Path, exit_code: int = 0) -> Ended:
    """A command, which must end so, without a traceback."""
    ended = store(*arguments, cwd=cwd)
    assert ended.returncode == exit_code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


def events(*arguments: str, cwd: Path, exit_code: int = 0) -> list[dict[str, Any]]:
    """What a command with --json says, without its progress."""
    lines = run(*arguments, "--json", cwd=cwd, exit_code=exit_code).stdout.splitlines()
    return [each for each in map(json.loads, lines) if each.get("event") != "progress"]


def error(*arguments: str, cwd: Path, exit_code: int) -> dict[str, Any]:
    """What a command with --json says of its failure; for people it says the same, with what to do next."""
    plain = run(*arguments, cwd=cwd, exit_code=exit_code)
    said: dict[str, Any] = json.loads(run(*arguments, "--json", cwd=cwd, exit_code=exit_code).stderr.splitlines()[-1])
    assert said["exit"] == exit_code
    assert said["hint"], "every failure says what to do next"
    assert said["hint"] in plain.stderr
    return said


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but the notes of who did what."""
    found = (each for each in folder.rglob("*") if each.is_file() and each.parent.name != ACTS)
    return {str(each.relative_to(folder)): each.read_bytes() for each in found}


def segments(data: Path) -> list[Path]:
    """The log's files, in order."""
    return sorted((generation_of(data) / "log").glob("*.log"))


def flip(file: Path, position: int) -> None:
    """Flip a bit."""
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)
