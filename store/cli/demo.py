"""`store demo`: a real git history goes through a running tenant, is watched live, and is checked at the end.

Agents read `git log` and import it through reducers, each with a connection and a workspace of its own; then they move
money between accounts. Subscribers keep live views meanwhile. In the end every view must equal a fresh query, every
commit must be there, and no money may have come or gone. Where no repository was named and git has no history to
read, only money is moved.
"""

import asyncio
import itertools
import random
import secrets
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from store.cli.demo_report import Check, DemoSummary, Meter, Phase, render_summary
from store.cli.git_history import GitCommit, GitRepository, open_repository, read_commits
from store.client import Client, Rows, View, connect
from store.errors import ConfigError, Refused, UnknownReducer

ACCOUNTS: Final = 1_000
"""Accounts of the demo's own, which the transfers go between."""
FIRST_ACCOUNT: Final = 7_000_000_000
"""The number of the first of them: far from any a tenant would choose by hand."""
OWNER: Final = "store demo"
OPENING_BALANCE: Final = 1_000
AMOUNT_MAX: Final = 400
"""Most that one transfer moves: enough that some are refused, as in life."""
COMPARISONS_MAX: Final = 20
"""Times a view is compared anew while other clients change rows between the view and the query."""


@dataclass(frozen=True)
class DemoOptions:
    """What the demo does, and against which tenant."""

    url: str
    token: str
    repository: Path | None = None
    """Any folder inside a git repository. None: the current one, and no import where git cannot read a history."""
    agents: int = 8
    """Clients that call at the same time."""
    subscribers: int = 4
    """Clients that keep live views meanwhile."""
    batch: int = 20
    """Commits per call."""
    commits_max: int = 20_000
    """The newest commits are imported, at most so many."""
    transfers: int = 20_000
    """Transfers between accounts after the import; 0 leaves them out."""
    in_flight: int = 32
    """Calls that one agent keeps unanswered during the transfers."""

    def __post_init__(self) -> None:
        for name, least in (("agents", 1), ("subscribers", 1), ("batch", 1), ("commits_max", 1), ("transfers", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name.replace('_', '-')} is at least {least}, found {getattr(self, name)}")
        if not 1 <= self.batch <= 1_000 or not 1 <= self.in_flight <= 1_000:
            raise ConfigError(f"batch and in-flight are 1 to 1000, found {self.batch} and {self.in_flight}")


@dataclass(frozen=True)
class Watcher:
    """One subscriber with its live views, by what they are called, and how many deltas each has seen."""

    client: Client
    queries: dict[str, tuple[str, tuple[str, ...]]]
    views: dict[str, View[Any]]
    deltas: dict[str, int]


def demo(options: DemoOptions, *, json: bool) -> int:
    """Run the demo, print its summary, and return the exit code: 0 when every check holds, 1 when one does not.

    With `json` the summary is one JSON object on stdout and nothing else. StoreError where the demo cannot run.
    """
    summary = asyncio.run(run_demo(options, console=None if json else Console(stderr=True)))
    out = Console()
    if json:
        out.print(msgspec.json.encode(summary).decode(), soft_wrap=True, highlight=False, markup=False)
    else:
        out.print(render_summary(summary))
    return 0 if summary.holds else 1


async def run_demo(options: DemoOptions, *, console: Console | None = None) -> DemoSummary:
    """Import, transfer, watch and check; progress goes to `console`, None is silent.

    StoreError where the demo cannot run: no history where one is needed, no such reducers, no connection.
    """
    console = console or Console(quiet=True)
    repository, left_out = await asyncio.to_thread(_find_repository, options)
    _notice(repository, left_out, options, console)
    counting: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_ended, counting)  # Last of all: when the clients are closed, their views end.
        agents = [await stack.enter_async_context(connect(options.url, options.token)) for _ in range(options.agents)]
        key, url = await _register(agents[0], repository) if repository else ("", "")
        watchers = [
            await _watch(await stack.enter_async_context(connect(options.url, options.token)), key)
            for _ in range(options.subscribers)
        ]
        counting += [asyncio.create_task(_count(each, name)) for each in watchers for name in each.views]
        history = History(agents, key, repository, options) if repository else None
        with _progress(console) as progress:
            phases = [await history.import_all(progress)] if history else []
            checks: list[Check] = []
            if options.transfers:
                held = await _open_accounts(agents[0])
                phases.append(await _move_money(agents, options, progress))
                checks.append(await _check_money(agents[0], held))
            if history:
                checks.append(await _check_history(watchers, history))
            checks.append(await _check_views(watchers))
        return DemoSummary(
            repository=url,
            commits=len(watchers[0].views.get("commits", ())),
            commits_new=history.new if history else 0,
            authors=len(watchers[0].views.get("authors", ())),
            agents=len(agents),
            subscribers=len(watchers),
            deltas=sum(sum(watcher.deltas.values()) for watcher in watchers),
            phases=tuple(phases),
            checks=tuple(checks),
            holds=all(check.holds for check in checks),
            import_left_out=left_out,
        )


def _find_repository(options: DemoOptions) -> tuple[GitRepository | None, str]:
    """The history to import, or why there is none. ConfigError where it was asked for, or is all there is to do."""
    try:
        return open_repository(options.repository or Path()), ""
    except ConfigError as error:
        if options.repository is not None or not options.transfers:
            raise
        return None, str(error)


def _progress(console: Console) -> Progress:
    """A bar for each phase, with its calls per second."""
    return Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        console=console,
        disable=console.quiet,
    )


def _notice(repository: GitRepository | None, left_out: str, options: DemoOptions, console: Console) -> None:
    """Say beforehand where the picture will not be whole."""
    if repository is None:
        text = f"notice: no git history is imported, the demo only moves money: {left_out}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        return
    if repository.boundary:
        console.print(
            f"notice: this is a shallow clone of {repository.commits:,} commits; "
            "what came before is not here (git fetch --unshallow gets it)"
        )
    if repository.commits > options.commits_max:
        console.print(f"notice: the newest {options.commits_max:,} of {repository.commits:,} commits are imported")


async def _register(agent: Client, repository: GitRepository) -> tuple[str, str]:
    """The repository's id, and the URL or path it was registered under."""
    path = str(repository.path.resolve())
    for url in filter(None, (repository.url, path)):
        try:
            return await agent.call("register_repository", url), url
        except Refused:
            if url == path:
                raise
        except UnknownReducer as error:
            raise ConfigError(
                "the tenant does not serve the domains that the demo needs",
                hint="Serve reducers.accounts and reducers.repositories",
            ) from error
    raise AssertionError("a repository has a path")


async def _watch(client: Client, repository: str) -> Watcher:
    """Follow everything the demo will touch; without a repository, "", that is its accounts."""
    queries: dict[str, tuple[str, tuple[str, ...]]] = {
        "accounts": ("SELECT * FROM accounts WHERE owner = $1", (OWNER,)),
    }
    if repository:
        queries |= {
            "commits": ("SELECT * FROM commits WHERE repository = $1", (repository,)),
            "authors": ("SELECT * FROM authors", ()),
            "repositories": ("SELECT * FROM repositories", ()),
            "workspaces": ("SELECT * FROM workspaces WHERE repository = $1", (repository,)),
        }
    views: dict[str, View[Any]] = {
        name: await client.subscribe(sql, *params) for name, (sql, params) in queries.items()
    }
    return Watcher(client, queries, views, dict.fromkeys(views, 0))


async def _count(watcher: Watcher, name: str) -> None:
    """Note every delta that one view sees."""
    async for _ in watcher.views[name].deltas():
        watcher.deltas[name] += 1


class History:
    """The import of one repository's commits by several agents."""

    def __init__(self, agents: Sequence[Client], key: str, repository: GitRepository, options: DemoOptions) -> None:
        self.shas: Final[set[str]] = set()
        """What was sent and acknowledged."""
        self.new = 0
        """Commits that were not there before."""
        self.key: Final = key
        """The repository's id."""
        self._agents: Final = agents
        self._repository: Final = repository
        self._options: Final = options
        self._queue: Final[asyncio.Queue[list[GitCommit]]] = asyncio.Queue(2 * options.agents)

    async def import_all(self, progress: Progress) -> Phase:
        """Read git's log while the agents import what is read already."""
        options = self._options
        meter = Meter("import", progress, min(self._repository.commits, options.commits_max))
        run = secrets.token_hex(3)
        await _all_of(
            self._read(),
            *(self._import(agent, meter, f"demo-{run}-{number}") for number, agent in enumerate(self._agents, start=1)),
        )
        return meter.done()

    async def _read(self) -> None:
        """Git's log in batches, then an empty one for each agent; git runs in a thread's time, not the loop's."""
        commits = read_commits(self._repository, count_max=self._options.commits_max)
        taking = None
        try:
            while batch := await asyncio.shield(taking := _take(commits, self._options.batch)):
                await self._queue.put(batch)
        finally:
            if taking is not None:
                await asyncio.wait([taking])  # What is running in a thread cannot be closed yet.
            commits.close()
        for _ in self._agents:
            await self._queue.put([])

    async def _import(self, agent: Client, meter: Meter, workspace: str) -> None:
        """What one agent does: open a workspace, import batch after batch and stand on each, close it."""
        place = await meter.call(agent, "open_workspace", self.key, workspace, "main")
        while batch := await self._queue.get():
            new = await meter.call(agent, "import_commits", self.key, *_columns(batch), steps=len(batch))
            self.new += new
            self.shas.update(commit.sha for commit in batch)
            await meter.call(agent, "move_workspace", place, batch[0].sha)
        await meter.call(agent, "close_workspace", place)


def _take(commits: Iterator[GitCommit], count: int) -> "asyncio.Task[list[GitCommit]]":
    """The next commits, read in a thread."""
    return asyncio.create_task(asyncio.to_thread(lambda: list(itertools.islice(commits, count))))


def _columns(batch: Sequence[GitCommit]) -> tuple[list[Any], ...]:
    """A batch as `import_commits` takes it: one list per field."""
    return (
        [commit.sha for commit in batch],
        [commit.parents for commit in batch],
        [commit.name for commit in batch],
        [commit.email for commit in batch],
        [commit.authored for commit in batch],
        [commit.committed for commit in batch],
        [commit.subject for commit in batch],
        [count for commit in batch for count in commit.changes],
    )


async def _open_accounts(agent: Client) -> int:
    """Open the demo's accounts where they are missing, and return what they all hold together."""
    await agent.call("open_accounts", FIRST_ACCOUNT, ACCOUNTS, OPENING_BALANCE, OWNER)
    accounts: Rows[Any] = await agent.query("SELECT * FROM accounts WHERE owner = $1", OWNER)
    return sum(account.balance for account in accounts)


async def _move_money(agents: Sequence[Client], options: DemoOptions, progress: Progress) -> Phase:
    """Move money between the demo's accounts from all sides."""
    meter = Meter("transfers", progress, options.transfers)
    left = iter(range(options.transfers))
    workers = [agent for agent in agents for _ in range(options.in_flight)]
    await _all_of(*(_transfer(agent, meter, left, seed) for seed, agent in enumerate(workers)))
    return meter.done()


async def _transfer(agent: Client, meter: Meter, left: Iterator[int], seed: int) -> None:
    """One transfer after the other, between any two accounts."""
    dice = random.Random(seed)  # noqa: S311  # Made up, not secret.
    for _ in left:
        source, target = dice.sample(range(FIRST_ACCOUNT, FIRST_ACCOUNT + ACCOUNTS), 2)
        try:
            await meter.call(agent, "transfer", source, target, dice.randint(1, AMOUNT_MAX), steps=1)
        except Refused as refused:
            if refused.reason != "overdraft":
                raise


async def _check_money(agent: Client, expected: int) -> Check:
    """The demo's accounts hold together what they held before."""
    accounts: Rows[Any] = await agent.query("SELECT * FROM accounts WHERE owner = $1", OWNER)
    found = sum(account.balance for account in accounts)
    return Check(
        name="no money came or went",
        holds=found == expected,
        found=f"{len(accounts):,} accounts hold {found:,} of {expected:,}",
    )


async def _check_history(watchers: Sequence[Watcher], history: History) -> Check:
    """Every commit that was acknowledged is in every subscriber's view, and the repository counts what it has."""
    missing = 0
    for watcher in watchers:
        await watcher.client.synced()
        there = {commit.sha for commit in watcher.views["commits"].values()}
        missing += len(history.shas - there)
        missing += abs(watcher.views["repositories"][history.key].commits - len(there))
    return Check(
        name="every commit is there once",
        holds=missing == 0,
        found=f"{len(history.shas):,} commits acknowledged, {missing:,} missing or doubled",
    )


async def _check_views(watchers: Sequence[Watcher]) -> Check:
    """Every subscriber's live views equal fresh queries."""
    differing = []
    for number, watcher in enumerate(watchers, start=1):
        differing += [
            f"{name} of subscriber {number}" for name in watcher.views if not await _is_current(watcher, name)
        ]
    rows = sum(len(view) for watcher in watchers for view in watcher.views.values())
    count = sum(len(watcher.views) for watcher in watchers)
    found = f"{count} views of {rows:,} rows compared"
    return Check(
        name="every live view equals a fresh query",
        holds=not differing,
        found=f"{found}, different: {', '.join(differing)}" if differing else found,
    )


async def _is_current(watcher: Watcher, name: str) -> bool:
    """Whether a view equals a fresh query; where other clients go on changing rows, at the same offset."""
    view = watcher.views[name]
    sql, params = watcher.queries[name]
    for _ in range(COMPARISONS_MAX):
        fresh: Rows[Any] = await watcher.client.query(sql, *params)
        key = fresh.table.columns[fresh.table.key].name
        if len(fresh) == len(view) and {getattr(row, key): row for row in fresh} == dict(view):
            return True
        if view.offset == fresh.offset:
            return False
    return False


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Every task has ended, well or not."""
    await asyncio.gather(*tasks, return_exceptions=True)


async def _all_of(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of it at once; the first failure ends the rest and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
