"""The client against a real tenant, which is killed and comes back."""

import asyncio
from pathlib import Path

import pytest

from reducers.accounts import Account, deposit, open_accounts, transfer
from reducers.accounts import total as total_of
from store.client import ClientOptions, Delete, Insert, Update, connect
from store.errors import Denied, MalformedQuery, Refused, SchemaMismatch, UnknownReducer
from store.expression import col, left, upper
from store.schema import Table, column
from tests.cli.tenant import Tenant, running

QUICK = ClientOptions(backoff_first_ms=10, backoff_max_ms=50)


class Wrong(Table):
    """No row of any table there is."""

    id: int = column(primary_key=True)
    name: str


def test_calls_by_reducer_objects_are_typed(tenant: Tenant) -> None:
    """A reducer object is called as its name would be, and its result has its type."""

    async def work() -> None:
        async with connect(tenant.url, tenant.token) as db:
            assert await db.call(open_accounts, 100, 3, 50) == 3
            balance: int = await db.call(deposit, id=100, amount=5)
            assert balance == 55
            with pytest.raises(Refused) as refused:
                await db.call(transfer, 100, 101, 1_000)
            assert refused.value.reason == "overdraft"
            with pytest.raises(UnknownReducer, match="nope"):
                await db.call("nope")

    asyncio.run(work())


def test_views_are_current_before_the_answer(tenant: Tenant) -> None:
    """A caller's own changes are in its views when its answer comes; another's, once they are synced."""

    async def work() -> None:
        async with connect(tenant.url, tenant.token) as db, connect(tenant.url, tenant.token) as other:
            await db.call("open_account", 200, "bob", 10)
            mine = await db.subscribe("SELECT * FROM accounts WHERE owner = $1", "bob", row_type=Account)
            theirs = await other.subscribe("SELECT * FROM accounts WHERE owner = $1", "bob")
            deltas = mine.deltas()
            await db.call("deposit", 200, 5)
            await db.call("open_account", 201, "bob", 1)
            assert mine[200] == Account(id=200, owner="bob", balance=15)
            assert mine[201].balance == 1
            assert mine.offset == db.offset
            await other.synced(db.offset)
            assert {key: row.balance for key, row in theirs.items()} == {200: 15, 201: 1}
            first, second = await anext(deltas), await anext(deltas)
            assert [type(change) for delta in (first, second) for change in delta.changes] == [Update, Insert]
            await db.call("total")
            assert mine.offset == db.offset, "what changes nothing here moves the offset on all the same"
            await mine.close()

    asyncio.run(work())


def test_queries_answer_with_rows_or_errors(tenant: Tenant) -> None:
    """A query's rows have an offset; a bad one names its place; a bad row type names the columns."""

    async def work() -> None:
        async with connect(tenant.url, tenant.token) as db:
            await db.call("open_account", 300, "cyd", 7)
            rows = await db.query("SELECT * FROM accounts WHERE id = $1", 300, row_type=Account)
            assert rows == [Account(id=300, owner="cyd", balance=7)]
            assert rows.offset == db.offset
            assert [each.name for each in rows.table.columns] == ["id", "owner", "balance"]
            with pytest.raises(MalformedQuery, match="acounts"):
                await db.query("SELECT * FROM acounts")
            with pytest.raises(MalformedQuery):
                await db.subscribe("SELECT * FROM accounts ORDER BY balance")
            totals = await db.query("SELECT count(*), sum(balance) * 2 AS twice, 1 FROM accounts WHERE id = 300")
            assert [(each.count, each.twice, each.column_3) for each in totals] == [(1, 14, 1)]
            with pytest.raises(SchemaMismatch, match="balance"):
                await db.query("SELECT * FROM accounts", row_type=Wrong)

    asyncio.run(work())


def test_the_same_query_by_other_words_is_shared(tenant: Tenant) -> None:
    """Two views of one query, written differently, are both current."""

    async def work() -> None:
        async with connect(tenant.url, tenant.token) as db:
            one = await db.subscribe("SELECT * FROM accounts WHERE owner = 'dan'")
            two = await db.subscribe("select * from accounts where owner = $1", "dan", row_type=Account)
            await db.call("open_account", 400, "dan", 1)
            assert one[400].balance == two[400].balance == 1

    asyncio.run(work())


def test_a_query_said_in_python_is_a_live_view(tenant: Tenant) -> None:
    """Entered, a query is typed rows that stay current, with indexes, callbacks and changes; awaited, it is read."""

    async def work() -> None:
        async with connect(tenant.url, tenant.token) as db, connect(tenant.url, tenant.token) as other:
            mine = Account.where(Account.owner == "hal")
            told: list[int] = []
            async with db.query(mine) as view:
                balances = view.index(Account.balance)
                changes = view.changes()
                view.on_insert(lambda account: told.append(account.id))
                await other.call("open_account", 700, "hal", 3)
                await other.call("open_account", 701, "hal", 3)
                await other.call("deposit", 701, 4)
                await db.synced(other.offset)
                assert told == [700, 701]
                assert [each.id for each in balances[7]] == [701]
                assert [type(await anext(changes)) for _ in range(3)] == [Insert, Insert, Update]
                assert await db.query(mine) == list(view.values())
            await db.call("deposit", 700, 1)
            assert view[700].balance == 3

    asyncio.run(work())


def test_a_view_is_of_any_condition_and_any_columns(tenant: Tenant) -> None:
    """Projected, by range, by membership: rows have a type of their own, and come and go with those of others."""

    async def work() -> None:
        async with connect(tenant.url, tenant.token) as db, connect(tenant.url, tenant.token) as other:
            rich = Account.where(Account.balance >= 900).select(Account.owner)
            with_the_rich = Account.where(col(Account.owner).in_(rich)).select(Account.id, Account.balance)
            middling = Account.where(col(Account.balance).between(70, 79) & (Account.owner != "ivy"))
            even = Account.where(col(Account.owner).like("iv%"), col(Account.balance) % 2 == 0)
            twice = even.select(Account.id, twice=col(Account.balance) * 2, name=upper(Account.owner) + "!")
            async with db.query(with_the_rich) as near, db.query(middling) as some, db.query(twice) as doubled:
                for number, owner, balance in ((850, "ivy", 70), (851, "ivy", 71), (852, "jim", 72)):
                    await other.call("open_account", number, owner, balance)
                await other.call("deposit", 851, 1_000)
                await db.synced(other.offset)
                assert {key: row.balance for key, row in near.items()} == {850: 70, 851: 1071}
                assert list(some) == [852]
                assert {key: (row.twice, row.name) for key, row in doubled.items()} == {850: (140, "IVY!")}
                changes = near.changes()
                await other.call("transfer", 851, 852, 1_000)
                await db.synced(other.offset)
                assert set(near) == {852}
                assert {type(await anext(changes)) for _ in range(3)} == {Insert, Delete}
                assert list(some) == []

    asyncio.run(work())


def test_a_view_is_the_first_of_an_order_or_groups(tenant: Tenant) -> None:
    """In its order, with whoever comes to the top; groups by their values, with whatever they come to."""

    async def work() -> None:
        async with connect(tenant.url, tenant.token) as db, connect(tenant.url, tenant.token) as other:
            for number, owner, balance in ((900, "kim", 5), (901, "kim", 7), (902, "lou", 6)):
                await other.call("open_account", number, owner, balance)
            last = Account.where(Account.id >= 900).order_by(col(Account.balance).descending()).limit(2)
            grouped = Account.where(Account.id >= 900)
            sums = grouped.group_by(owner=left(Account.owner, 3), total=col(Account.balance).sum())
            count = "SELECT count(*) AS many FROM accounts WHERE id >= 900 AND balance > 6"
            async with db.query(last) as top, db.query(sums) as owners, db.query(count) as rich:
                assert [(key, row.balance) for key, row in top.items()] == [(901, 7), (902, 6)]
                assert {key: row.total for key, row in owners.items()} == {"kim": 12, "lou": 6}
                assert rich[()].many == 1
                changes = owners.changes()
                await other.call("transfer", 901, 902, 7)
                await db.synced(other.offset)
                assert [row.id for row in top.values()] == [902, 900]
                assert {type(await anext(changes)).__name__ for _ in range(2)} == {"Update"}
                assert ({key: row.total for key, row in owners.items()}, rich[()].many) == ({"kim": 5, "lou": 13}, 1)

    asyncio.run(work())


def test_synced_asks_of_any_view(tenant: Tenant) -> None:
    """Also where none holds a primary key, or calls it otherwise."""

    async def work() -> None:
        async with connect(tenant.url, tenant.token) as db, connect(tenant.url, tenant.token) as other:
            for sql in ("SELECT count(*) AS many FROM accounts", "SELECT id AS number FROM accounts WHERE id < 0"):
                async with db.query(sql) as view:
                    await other.call("open_account", 950 + len(sql), "max", 1)
                    await db.synced()
                    assert view.offset >= other.offset

    asyncio.run(work())


@pytest.mark.parametrize("token", ["cst_secret\n", "cst_secret\r\nHost: x", "cst_s\u20accret"])
def test_a_token_that_cannot_be_sent_is_not_repeated(tenant: Tenant, token: str) -> None:
    """A line break at its end, perhaps: the error says so, and keeps the token to itself."""

    async def scene() -> None:
        with pytest.raises(Denied, match="line break") as caught:
            async with connect(tenant.url, token):
                pass
        assert "cst_s" not in str(caught.value)

    asyncio.run(scene())


def test_a_wrong_token_is_denied(tenant: Tenant) -> None:
    """A token the tenant does not know does not come in, and the error says what to do."""

    async def work() -> None:
        with pytest.raises(Denied, match="token"):
            async with connect(tenant.url, "wrong"):
                pass

    asyncio.run(work())


def test_a_killed_tenant_loses_nothing_and_runs_nothing_twice(tmp_path: Path) -> None:
    """Through several kills, every call is answered once, views resume, and the sums are right."""
    with running(tmp_path) as tenant:

        async def work() -> None:
            async with connect(tenant.url, tenant.token, options=QUICK) as db:
                await db.call("open_accounts", 1, 2, 0)
                view = await db.subscribe("SELECT * FROM accounts", row_type=Account)
                deltas = view.deltas()
                left = 900
                third, second_third = asyncio.Event(), asyncio.Event()

                async def deposit_some() -> None:
                    nonlocal left
                    while left > 0:
                        left -= 1
                        await db.call("deposit", 1, 1)
                        if left <= 600:
                            third.set()
                        if left <= 300:
                            second_third.set()

                lanes = [asyncio.create_task(deposit_some()) for _ in range(30)]
                for reached in (third, second_third):
                    await reached.wait()
                    await asyncio.to_thread(tenant.kill)
                    await asyncio.to_thread(tenant.start)
                await asyncio.gather(*lanes)
                assert db.connections >= 3
                assert view[1].balance == 900
                assert await db.call(total_of) == 900
                seen = 0
                while seen < 900:
                    for change in (await anext(deltas)).changes:
                        assert isinstance(change, Update)
                        assert change.before.balance == seen
                        seen = change.after.balance
                fresh = await db.query("SELECT * FROM accounts", row_type=Account)
                assert {row.id: row for row in fresh} == dict(view)

        asyncio.run(work())


def test_many_rows_come_while_they_change(tenant: Tenant) -> None:
    """A view of rows in many chunks opens with all of them, and is current, whatever others do meanwhile."""

    async def work() -> None:
        async with connect(tenant.url, tenant.token) as db, connect(tenant.url, tenant.token) as other:
            await db.call("open_accounts", 10_000, 20_000, 1)
            opening = asyncio.create_task(db.subscribe("SELECT * FROM accounts", row_type=Account))
            deposits = [other.call("deposit", 10_000 + number * 19, 5) for number in range(1_000)]
            view = await opening
            await asyncio.gather(*deposits)
            await db.synced(other.offset)
            fresh = await db.query("SELECT * FROM accounts", row_type=Account)
            assert dict(view) == {row.id: row for row in fresh}

    asyncio.run(work())


def test_rows_leave_a_view(tenant: Tenant) -> None:
    """A row that no longer matches leaves the view with a Delete."""

    async def work() -> None:
        async with connect(tenant.url, tenant.token) as db:
            await db.call("register_repository", "https://example.org/a/b")
            repository = (await db.query("SELECT * FROM repositories"))[0].id
            view = await db.subscribe("SELECT * FROM workspaces WHERE state = 'open'")
            deltas = view.deltas()
            names = await db.query("SELECT * FROM workspaces")
            assert names == []
            key = await db.call("open_workspace", repository, "w", "main")
            assert key in view
            await db.call("close_workspace", key)
            assert key not in view
            kinds = [type(change) for _ in range(2) for change in (await anext(deltas)).changes]
            assert kinds == [Insert, Delete]

    asyncio.run(work())
