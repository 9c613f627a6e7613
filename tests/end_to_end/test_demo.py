"""`store demo` against a real server: a repository goes in, live views agree, and the exit status says so."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.history import make_history
from tests.end_to_end.tenant import Tenant, run


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A repository of 400 commits."""
    return make_history(tmp_path / "history", commits=400)


@pytest.fixture
def tenant(make_tenant: Callable[..., Tenant]) -> Tenant:
    """A running tenant."""
    tenant = make_tenant("tenant")
    tenant.start()
    return tenant


def demo(tenant: Tenant, repository: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the demo on a repository."""
    words = ("demo", "--url", tenant.url, "--token", tenant.token, "--repository", str(repository))
    return run(*words, *options, folder=tenant.data.parent)


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the demo found; it must have ended well."""
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_history_goes_in(tenant: Tenant, history: Path) -> None:
    """Every commit is imported, every view agrees, and the numbers are told as one JSON object."""
    found = summary(demo(tenant, history, "--transfers", "500", "--agents", "3", "--subscribers", "2"))
    assert found["repository"] == "https://example.com/team/history.git"
    assert found["commits"] == found["commits_new"] == 400
    assert found["authors"] == 6
    assert (found["agents"], found["subscribers"]) == (3, 2)
    assert [phase["name"] for phase in found["phases"]] == ["import", "transfers"]
    assert found["phases"][1]["calls"] == 500
    assert all(check["holds"] for check in found["checks"])
    assert len(found["checks"]) == 3
    assert found["deltas"] > 500


def test_a_second_demo_imports_nothing_twice(tenant: Tenant, history: Path) -> None:
    """The demo may be run again, also after a deposit: commits count once, and its money is still all there."""
    options = ("--transfers", "100", "--agents", "2", "--subscribers", "1")
    summary(demo(tenant, history, *options))
    deposit = ("call", "deposit", "7000000000", "100", "--url", tenant.url, "--token", tenant.token)
    assert run(*deposit, folder=tenant.data.parent).returncode == 0
    found = summary(demo(tenant, history, *options))
    assert (found["commits"], found["commits_new"]) == (400, 0)
    assert found["holds"]


def test_it_works_on_a_small_history(tenant: Tenant, tmp_path: Path) -> None:
    """A single commit is enough, also with more agents than commits; transfers show what the store does."""
    small = make_history(tmp_path / "small", commits=1)
    assert summary(demo(tenant, small, "--transfers", "50"))["commits"] == 1


def test_what_cannot_be_imported_is_told(tenant: Tenant, tmp_path: Path) -> None:
    """A folder without a repository ends with a clear error and no traceback."""
    done = demo(tenant, tmp_path)
    assert done.returncode == 78
    assert "not inside a git repository" in json.loads(done.stderr)["message"]
    assert done.stdout == ""


def test_without_a_history_money_is_moved(tenant: Tenant) -> None:
    """Outside a repository, where none was named, the transfers and their checks are run, and the summary says why."""
    options = ("--url", tenant.url, "--token", tenant.token, "--transfers", "300", "--agents", "2")
    found = summary(run("demo", *options, folder=tenant.data.parent))
    assert "not inside a git repository" in found["import_left_out"]
    assert (found["repository"], found["commits"], found["holds"]) == ("", 0, True)
    assert [(phase["name"], phase["calls"]) for phase in found["phases"]] == [("transfers", 300)]
    assert len(found["checks"]) == 2
    assert found["deltas"] > 0


def test_no_server_is_told(tenant: Tenant, history: Path) -> None:
    """Where no server answers, that is what is said."""
    tenant.stop()
    done = demo(tenant, history)
    assert done.returncode == 20
    assert "Traceback" not in done.stderr


def test_missing_domains_are_told(make_tenant: Callable[..., Tenant], history: Path) -> None:
    """A tenant that serves other domains is told which ones the demo needs."""
    tenant = make_tenant("other", "--domain", "reducers.accounts")
    tenant.start()
    done = demo(tenant, history)
    assert done.returncode == 78
    assert "reducers.repositories" in done.stderr
