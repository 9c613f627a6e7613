"""The rules of leases: what a command reads stays while it reads it, and not longer."""

import time
from pathlib import Path

import pytest

from store.cli.directories import look_at
from store.cli.upkeep.lease import leased
from store.env.posix import PosixDisk
from store.ids import Offset
from store.snapshot.repository import Repository
from tests.cli.history import deposit, events, run, segments

PRUNE = ("--keep-for", "0s", "--grace", "0s", "--keep-last", "2", "--keep-daily", "0")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A store whose first segment nothing needs."""
    folder = tmp_path / "data"
    for amounts in (range(1, 10), range(10, 20), range(20, 25)):
        deposit(folder, *amounts)
        run("snapshot", "take", "data", cwd=tmp_path)
    return folder


def nobody(_phase: str, _done: int, _total: int) -> None:
    """Tells nobody."""


def test_nothing_is_pruned_under_a_lease(data: Path) -> None:
    """While it lies there all stays; once it is gone, what nothing needs goes."""
    before = segments(data)
    with leased(look_at(data), "a test", nobody, lease_s=60):
        *_, pruned = events("snapshot", "prune", "data", *PRUNE, cwd=data.parent)
        assert pruned["segments"] == pruned["snapshots"] == []
        assert segments(data) == before
    run("snapshot", "prune", "data", *PRUNE, cwd=data.parent)
    assert len(segments(data)) < len(before)
    assert Repository(look_at(data)).pins() == {}


def test_what_is_not_read_goes_while_the_rest_is_held(data: Path) -> None:
    """Once it is known what is read: the snapshot before that offset, and all behind it, for as long as it takes."""
    *_, newest = Repository(look_at(data)).names()
    with leased(look_at(data), "a test", nobody, lease_s=60) as lease:
        lease.hold_from(Offset(int(newest)))
        *_, pruned = events("snapshot", "prune", "data", *PRUNE, cwd=data.parent)
        assert pruned["segments"]
        assert newest not in pruned["snapshots"]
    deposit(data, 30)
    run("snapshot", "take", "data", cwd=data.parent)
    deposit(data, 31)
    run("snapshot", "take", "data", cwd=data.parent)
    with leased(look_at(data), "a test", nobody, lease_s=60) as lease:
        lease.hold_from(Offset(int(newest) + 1))
        events("snapshot", "prune", "data", *PRUNE, cwd=data.parent)
        assert newest in Repository(look_at(data)).names()
    events("snapshot", "prune", "data", *PRUNE, cwd=data.parent)
    assert newest not in Repository(look_at(data)).names()


def test_progress_renews_it(data: Path) -> None:
    """When half of it is over, the next word of progress holds it for another while; the word is handed on."""
    told: list[tuple[str, int, int]] = []
    repository = Repository(look_at(data))

    with leased(look_at(data), "a test", lambda *said: told.append(said), lease_s=0.0) as progress:
        (before,) = repository.pins().values()
        time.sleep(0)  # The clock of a lease is the wall's, in microseconds.
        progress("copying", 1, 2)
        (after,) = repository.pins().values()
    assert told == [("copying", 1, 2)]
    assert (before.kind, before.offset, before.reason) == ("lease", 0, "a test")
    assert before.until is not None
    assert after.until is not None
    assert after.until > before.until


def test_a_directory_that_cannot_be_written_is_read_without_one(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a disk that is mounted for reading: it says so, and goes on."""

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(PosixDisk, "create", refuse)
    with leased(look_at(data), "a test", nobody, lease_s=60) as progress:
        progress("copying", 1, 2)
    assert "no lease could be left" in capsys.readouterr().err
