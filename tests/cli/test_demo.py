"""The rules of the demo that need no server."""

import asyncio
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from rich.console import Console
from rich.progress import Progress

from store.cli.demo import (
    DemoOptions,
    History,
    Watcher,
    _all_of,
    _check_history,
    _check_views,
    _find_repository,
    run_demo,
)
from store.cli.demo_report import Check, DemoSummary, Phase, percentile_ms, render_summary
from store.errors import ConfigError, Refused

COMMIT_TEXTS = ("parents", "name", "email", "authored", "committed", "subject")


class Row(msgspec.Struct, frozen=True):
    """A row of any table."""

    id: int
    sha: str = ""
    commits: int = 0


class FakeRows(list[Row]):
    """What a query answers."""

    offset = 5
    table = SimpleNamespace(key=0, columns=[SimpleNamespace(name="id")])


class FakeView(dict[int, Row]):
    """A live view at an offset."""

    offset = 5


class FakeClient:
    """A client whose queries answer these rows, one after the other."""

    def __init__(self, *answers: list[Row]) -> None:
        self.answers = list(answers)

    async def query(self, _sql: str) -> FakeRows:
        """The next rows, or the last ones again."""
        return FakeRows(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    async def synced(self) -> None:
        """Everything is there."""


def watcher(view: dict[int, Row], *answers: list[Row], offset: int = 5) -> Watcher:
    """A subscriber with one view."""
    rows = FakeView(view)
    rows.offset = offset
    return Watcher(
        cast("Any", FakeClient(*answers)), {"rows": ("SELECT", ())}, cast("Any", {"rows": rows}), {"rows": 0}
    )


def test_equal_views_hold() -> None:
    """Views that equal fresh queries pass."""
    check = asyncio.run(_check_views([watcher({1: Row(1)}, [Row(1)]), watcher({}, [])]))
    assert check.holds
    assert check.found == "2 views of 1 rows compared"


@pytest.mark.parametrize("fresh", [[Row(1)], [Row(1), Row(2, sha="other")], [Row(1), Row(2), Row(3)]])
def test_one_differing_row_fails(fresh: list[Row]) -> None:
    """A row that is missing, different or too many in a view fails the check, which names the view."""
    check = asyncio.run(_check_views([watcher({1: Row(1), 2: Row(2)}, fresh)]))
    assert not check.holds
    assert "rows of subscriber 1" in check.found


def test_a_view_that_moved_on_is_compared_again() -> None:
    """Where rows changed between the query and the look at the view, both are looked at anew."""
    assert asyncio.run(_check_views([watcher({1: Row(1)}, [], [Row(1)], offset=6)])).holds


@pytest.mark.parametrize(("there", "counted"), [([1, 2, 3], 3), ([1, 2], 3)])
def test_missing_or_doubled_commits_fail(there: list[int], counted: int) -> None:
    """Every acknowledged commit is in the views, and the repository counts as many as there are."""
    views = {
        "commits": {number: Row(number, sha=str(number)) for number in there},
        "repositories": {"key": Row(0, commits=counted)},
    }
    subscriber = Watcher(cast("Any", FakeClient([])), {}, cast("Any", views), {})
    history = cast("Any", SimpleNamespace(shas={"1", "2", "3"}, key="key"))
    assert asyncio.run(_check_history([subscriber], history)).holds == (there == [1, 2, 3])


def test_the_first_failure_is_raised_as_it_is() -> None:
    """What one agent is refused ends the demo with that refusal."""

    async def fail() -> None:
        raise Refused("commit_differs")

    with pytest.raises(Refused, match="commit_differs"):
        asyncio.run(_all_of(fail(), asyncio.sleep(3600)))


def test_a_failing_agent_ends_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an agent is refused while git is still read, git is ended and the refusal is what is told."""
    ended = threading.Event()

    def endless(_repository: object, *, count_max: int) -> Iterator[SimpleNamespace]:
        try:
            for number in range(count_max):
                yield SimpleNamespace(sha=str(number), changes=(), **dict.fromkeys(COMMIT_TEXTS, ""))
        finally:
            ended.set()

    class Agent:
        async def call(self, reducer: str, *_args: object) -> str:
            if reducer == "import_commits":
                raise Refused("commit_differs")
            return "workspace"

    monkeypatch.setattr("store.cli.demo.read_commits", endless)

    async def scenario() -> None:
        options = DemoOptions("ws://127.0.0.1:1", "token", commits_max=10**9)
        history = History(cast("Any", [Agent()]), "key", cast("Any", SimpleNamespace(commits=1)), options)
        with pytest.raises(Refused, match="commit_differs"):
            await history.import_all(Progress(disable=True))

    asyncio.run(scenario())
    assert ended.is_set()


@pytest.mark.parametrize("wrong", ["agents", "subscribers", "batch", "in_flight", "commits_max"])
def test_options_have_bounds(wrong: str) -> None:
    """An option out of its range is named before anything begins."""
    with pytest.raises(ConfigError, match=wrong.replace("_", "-")):
        DemoOptions(**{"url": "ws://127.0.0.1:1", "token": "token", wrong: cast("Any", 0)})


def test_no_repository_is_told_before_connecting(tmp_path: Path) -> None:
    """A folder without a repository is the first thing told, also where no server runs."""
    with pytest.raises(ConfigError, match="not inside a git repository"):
        asyncio.run(run_demo(DemoOptions("ws://127.0.0.1:1", "token", tmp_path)))


def test_where_nobody_named_a_repository_none_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a repository, or without git, the import is left out and the reason told, unless it is all there is."""
    monkeypatch.chdir(tmp_path)
    assert "not inside a git repository" in _find_repository(DemoOptions("ws://127.0.0.1:1", "token"))[1]
    with pytest.raises(ConfigError, match="not inside a git repository"):
        _find_repository(DemoOptions("ws://127.0.0.1:1", "token", transfers=0))
    monkeypatch.setenv("PATH", str(tmp_path))
    found, why = _find_repository(DemoOptions("ws://127.0.0.1:1", "token"))
    assert found is None
    assert "git is not installed" in why


def test_percentiles() -> None:
    """A percentile is the latency that this share of calls does not pass."""
    assert percentile_ms([number / 1000 for number in range(1, 101)], 0.99) == 100.0
    assert percentile_ms([0.005], 0.5) == 5.0
    assert percentile_ms([], 0.5) == 0.0


def test_summary_for_people() -> None:
    """The summary shows what was done, how fast, and each check with its result."""
    summary = DemoSummary(
        repository="https://example.com/team/[tool]",
        commits=12,
        commits_new=10,
        authors=3,
        agents=8,
        subscribers=4,
        deltas=99,
        phases=(Phase.of("import", latencies=[0.001, 0.002], refused=1, seconds=0.5),),
        checks=(Check("every live view equals a fresh query", holds=False, found="[1] different"),),
        holds=False,
    )
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(render_summary(summary))
    text = console.export_text()
    assert "https://example.com/team/[tool]: 12 commits (10 new), 3 authors" in text
    assert "import" in text
    assert "FAILS every live view equals a fresh query: [1] different" in text
    assert msgspec.json.decode(msgspec.json.encode(summary), type=DemoSummary) == summary
