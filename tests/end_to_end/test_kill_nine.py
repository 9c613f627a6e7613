"""A real server is killed mid-import, again and again, and what its clients were told is what is there."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

import pytest

from store.cli.git_history import GitCommit, open_repository, read_commits
from store.client import Client, ClientOptions, Rows, Update, View, ViewDelta, connect
from tests.end_to_end.history import make_history
from tests.end_to_end.tenant import Tenant

AGENTS = 6
COMMITS = 1_500
BATCH = 5
KILLS = 4
CALLS_PER_BATCH = 4
IN_FLIGHT = 8
"""Batches one agent has under way at a time."""
QUERIES = {
    "repositories": "SELECT * FROM repositories",
    "commits": "SELECT * FROM commits",
    "authors": "SELECT * FROM authors",
    "workspaces": "SELECT * FROM workspaces",
    "accounts": "SELECT * FROM accounts",
}
PATIENT = ClientOptions(backoff_first_ms=5.0, backoff_max_ms=100.0)


class Oracle:
    """What the world outside the server was told: every answer, noted when it came."""

    def __init__(self, kill_at: Sequence[int]) -> None:
        self.asked = 0
        """Calls that were made."""
        self.answers = 0
        self.imported = 0
        """Commits that answers called new."""
        self.balances: dict[int, list[int]] = {agent: [] for agent in range(AGENTS)}
        """What each agent's deposits were answered."""
        self.moved = dict.fromkeys(range(AGENTS), 0)
        """Transfers answered, by agent."""
        self._kill_at = {answers: asyncio.Event() for answers in kill_at}

    def note(self) -> None:
        """One more answer came."""
        self.answers += 1
        event = self._kill_at.get(self.answers)
        if event is not None:
            event.set()

    async def reached(self, answers: int) -> None:
        """So many answers have come."""
        await self._kill_at[answers].wait()


@pytest.fixture(scope="module")
def commits(tmp_path_factory: pytest.TempPathFactory) -> list[GitCommit]:
    """The commits of a made-up repository, read from git."""
    folder = make_history(tmp_path_factory.mktemp("git") / "history", commits=COMMITS)
    return list(read_commits(open_repository(folder), count_max=COMMITS))


def columns(batch: Sequence[GitCommit]) -> dict[str, Any]:
    """A batch as `import_commits` takes it."""
    return {
        "shas": [each.sha for each in batch],
        "parents": [each.parents for each in batch],
        "names": [each.name for each in batch],
        "emails": [each.email for each in batch],
        "authored": [each.authored for each in batch],
        "committed": [each.committed for each in batch],
        "subjects": [each.subject for each in batch],
        "changes": [count for each in batch for count in each.changes],
    }


async def work(db: Client, agent: int, batches: Sequence[Sequence[GitCommit]], oracle: Oracle) -> None:
    """One agent's share: import each batch, move its workspace there, deposit 3 and transfer 1, several at a time."""
    repository = await db.call("register_repository", "https://example.com/team/history.git")
    workspace = await db.call("open_workspace", repository, f"agent {agent}", "main")
    source, target = 10 * agent, 10 * agent + 1
    await db.call("open_accounts", source, 2, 0)
    left = iter(batches)

    async def go_on() -> None:
        for batch in left:  # Whoever is free takes the next one, and asks at once: calls leave in the batches' order.
            await step(db, agent, repository, workspace, batch, oracle)

    await asyncio.gather(*(go_on() for _ in range(IN_FLIGHT)))
    await db.call("close_workspace", workspace)
    assert (await db.query("SELECT * FROM accounts WHERE id = $1", target))[0].balance == len(batches)


async def step(
    db: Client, agent: int, repository: str, workspace: str, batch: Sequence[GitCommit], oracle: Oracle
) -> None:
    """One batch, all its calls at once; answers are noted in the order of the calls."""
    source, target = 10 * agent, 10 * agent + 1
    calls = (
        db.call("import_commits", repository=repository, **columns(batch)),
        db.call("deposit", source, 3),
        db.call("transfer", source, target, 1),
        db.call("move_workspace", workspace, batch[-1].sha),
    )
    oracle.asked += CALLS_PER_BATCH
    new = await calls[0]
    oracle.imported += new
    oracle.note()
    oracle.balances[agent].append(await calls[1])
    oracle.note()
    await calls[2]
    oracle.moved[agent] += 1
    oracle.note()
    await calls[3]
    oracle.note()


async def kill_and_restart(tenant: Tenant, oracle: Oracle, kill_at: Sequence[int]) -> None:
    """Each time so many answers have come: kill the server, and start it again at the same address."""
    for answers in kill_at:
        await oracle.reached(answers)
        tenant.kill()
        assert oracle.asked > oracle.answers  # Somebody was still waiting.
        await asyncio.to_thread(tenant.start)


async def read_deltas(view: View[Any], deltas: list[ViewDelta[Any]]) -> None:
    """Keep every delta that a view tells."""
    async for delta in view.deltas():
        deltas.append(delta)  # noqa: PERF401  # Those told before an error count, too.


async def ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """All tasks have ended, however."""
    await asyncio.gather(*tasks, return_exceptions=True)


def replay(rows: dict[Any, Any], deltas: Sequence[ViewDelta[Any]]) -> dict[Any, Any]:
    """The first rows and the deltas, put together as a reader does; a change must fit what was there before."""
    for delta in deltas:
        for change in delta.changes:
            before, after = getattr(change, "before", None), getattr(change, "after", None)
            assert rows.get(change.key) == before
            if after is None:
                del rows[change.key]
            else:
                rows[change.key] = after
    return rows


async def compare(db: Client, views: dict[str, View[Any]]) -> None:
    """Each live view equals a fresh query, to the row; then it is closed."""
    await db.synced()
    for name, sql in QUERIES.items():
        fresh: Rows[Any] = await db.query(sql)
        assert fresh, f"{name} is empty"
        key = fresh.table.columns[fresh.table.key].name
        assert dict(views[name]) == {getattr(row, key): row for row in fresh}
        await views[name].close()


async def import_all(tenant: Tenant, commits: Sequence[GitCommit], kill_at: Sequence[int]) -> Oracle:
    """All agents import at the same time while two subscribers watch; the server is killed meanwhile."""
    oracle = Oracle(kill_at)
    batches = [commits[start : start + BATCH] for start in range(0, len(commits), BATCH)]
    reading: list[asyncio.Task[None]] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ended, reading)
        dbs = [
            await stack.enter_async_context(connect(tenant.url, tenant.token, options=PATIENT))
            for _ in range(AGENTS + 2)
        ]
        watched: list[tuple[Client, dict[str, View[Any]]]]
        watched = [(db, {name: await db.subscribe(sql) for name, sql in QUERIES.items()}) for db in dbs[AGENTS:]]
        streams = [(view, dict(view), list[ViewDelta[Any]]()) for _, views in watched for view in views.values()]
        reading += [asyncio.create_task(read_deltas(view, deltas)) for view, _, deltas in streams]
        async with asyncio.TaskGroup() as group:
            group.create_task(kill_and_restart(tenant, oracle, kill_at))
            for agent, db in enumerate(dbs[:AGENTS]):
                group.create_task(work(db, agent, batches[agent::AGENTS], oracle))
        for db, views in watched:
            await compare(db, views)
        await asyncio.gather(*reading)
        for view, rows, deltas in streams:
            assert replay(rows, deltas) == dict(view)
            assert all(before.offset < after.offset for before, after in pairwise(deltas))
        assert len(dbs[0].epoch) == 32
        assert {db.connections for db in dbs} <= set(range(1, len(kill_at) + 2))
    return oracle


def run(tenant: Tenant, commits: Sequence[GitCommit], kill_at: Sequence[int]) -> tuple[Oracle, str]:
    """Import everything into a fresh tenant: what was told, and the fingerprint of what is there."""
    tenant.start()
    oracle = asyncio.run(import_all(tenant, commits, kill_at))
    tenant.stop()
    assert tenant.starts == 1 + len(kill_at)
    assert "Traceback" not in tenant.complaint
    found = tenant.verify("--re-execute")
    assert (found["verdict"], found["different"], found["torn_bytes"]) == ("sound", 0, 0)
    return oracle, found["fingerprint"]


def test_kill_nine(make_tenant: Callable[..., Tenant], commits: list[GitCommit]) -> None:
    """An import that is killed several times ends as one that never was: nothing answered is lost, nothing doubled."""
    total = CALLS_PER_BATCH * -(-COMMITS // BATCH)
    kill_at = [total * part // (KILLS + 1) for part in range(1, KILLS + 1)]
    _, expected = run(make_tenant("quiet"), commits, [])
    oracle, fingerprint = run(make_tenant("killed"), commits, kill_at)
    assert fingerprint == expected
    assert oracle.answers == total
    assert oracle.imported == COMMITS
    for agent, balances in oracle.balances.items():  # Each step added 3 and then moved 1 away.
        assert sorted(balances) == [2 * step + 3 for step in range(oracle.moved[agent])]


def test_killed_while_nobody_calls(make_tenant: Callable[..., Tenant]) -> None:
    """A server killed at rest comes back with everything, and a subscriber goes on where it was."""
    tenant = make_tenant("rest")

    async def scenario() -> None:
        async with connect(tenant.url, tenant.token, options=PATIENT) as db:
            view: View[Any] = await db.subscribe("SELECT * FROM accounts")
            deltas = view.deltas()
            await db.call("open_account", 1, "ada", 5)
            assert (await anext(deltas)).changes[0].key == 1
            await asyncio.to_thread(tenant.kill)
            await asyncio.to_thread(tenant.start)
            await db.call("deposit", 1, 7)
            delta = await anext(deltas)
            assert [(type(change), change.key) for change in delta.changes] == [(Update, 1)]
            assert view[1].balance == 12
            assert not delta.reset
            assert db.connections == 2

    tenant.start()
    asyncio.run(scenario())
    tenant.stop()
