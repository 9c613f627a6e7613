"""The cases of restore and backup: what is promised, with peers and without."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.cases import backup, restore
from bench.peers.redis import Redis
from bench.reopen import Replayed
from bench.results import Result


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started: directories open in no time, and commands answer alike."""
    opened = Replayed(1_000_000, 2.0, 1_000_000, 0.5)

    def reopen(*_: str | Path) -> Replayed:
        return opened

    def command(event: str, *_: str) -> dict[str, Any]:
        return {"bytes_sent": 40, "seconds": 1.0, "bytes": 1_000, "blocks_written": 1}

    for case in (restore, backup):
        monkeypatch.setattr(case, "reopen", reopen)
    monkeypatch.setattr(backup, "_command", command)
    monkeypatch.setattr(restore, "_command", lambda *_: iter(()))
    monkeypatch.setattr(restore.Tenant, "__enter__", lambda self: self)
    monkeypatch.setattr(restore.Tenant, "__exit__", lambda *_: None)
    monkeypatch.setattr(restore, "_restart", lambda *_: 1.5)
    monkeypatch.setattr(restore, "_restart_redis", lambda *_: 1.0)
    monkeypatch.setattr(Redis, "installed", staticmethod(lambda: False))


def found(run: Callable[..., Iterator[Result]], directory: Path) -> dict[str, Result]:
    """What is promised, by metric."""
    directory.mkdir(exist_ok=True)
    return {each.metric: each for each in run(directory / "case", quick=True) if each.target}


def test_rates_are_of_the_snapshot_and_of_the_log(tmp_path: Path) -> None:
    """Rows count against the time of loading, transactions against that of replaying."""
    promised = found(restore.run, tmp_path)
    assert promised["loaded from a snapshot"].value == 2_000_000
    assert promised["replayed behind a snapshot"].value == 500_000


def test_a_restart_is_promised_beside_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart takes at most twice as long as Redis', and where that is missing, the promise does not hold."""
    (missing,) = (each for metric, each in found(restore.run, tmp_path).items() if "restart" in metric)
    assert (missing.target, missing.holds) == ("<= 2 x", False)
    monkeypatch.setattr(restore, "_fill_redis", lambda *_: object())
    (measured,) = (each for metric, each in found(restore.run, tmp_path / "2").items() if "restart" in metric)
    assert (measured.ratio, measured.target, measured.holds) == (1.5, "<= 2 x", True)


def test_a_push_is_promised_where_neighbours_changed(tmp_path: Path) -> None:
    """At most a twentieth of the snapshot leaves the machine; of scattered changes nothing is promised."""
    ((metric, result),) = found(backup.run, tmp_path).items()
    assert "in one key range" in metric
    assert (result.ratio, result.target, result.holds) == (0.04, "<= 0.05 x", True)
