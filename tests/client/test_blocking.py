"""The rules of the client for scripts, against a real tenant."""

import threading
from collections.abc import Iterator

import pytest

from reducers.accounts import Account, open_accounts
from store.client import Insert, OutcomeUnknown, Unreachable, Update, connect_sync
from store.errors import Denied, MalformedQuery, Refused
from tests.cli.tenant import Tenant, running


@pytest.fixture(scope="module")
def own_tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """A tenant whose rows nobody else counts."""
    with running(tmp_path_factory.mktemp("own")) as made:
        yield made


def test_scripts_need_no_loop(tenant: Tenant) -> None:
    """The blocking client calls, queries and follows without an await."""
    with connect_sync(tenant.url, tenant.token, timeout_s=20) as db:
        assert db.call(open_accounts, 500, 2, 10, "eve") == 2
        view = db.subscribe("SELECT * FROM accounts WHERE owner = $1", "eve", row_type=Account)
        deltas = view.deltas()
        assert db.call("deposit", 500, 5, returns=int) == 15
        delta = next(deltas)
        assert [(type(change), change.key) for change in delta.changes] == [(Update, 500)]
        fresh = db.query("SELECT * FROM accounts WHERE owner = 'eve'", row_type=Account)
        assert view.snapshot() == (view.offset, {each.id: each for each in fresh})
        assert sorted(view) == [500, 501]
        assert view[500].balance == 15
        with pytest.raises(Refused):
            db.call("deposit", 500, -1)
        db.synced()
        view.close()
        assert list(deltas) == []


def test_a_view_has_indexes_callbacks_and_changes(tenant: Tenant) -> None:
    """As the asynchronous one; callbacks run on the client's own thread, which cannot wait for itself."""
    with connect_sync(tenant.url, tenant.token, timeout_s=20) as db:
        mine = Account.where(Account.owner == "gil")
        told: list[object] = []

        def waits(_account: Account) -> None:
            with pytest.raises(RuntimeError, match="own thread"):
                db.query(mine)
            told.append(threading.current_thread().name)
            stop()

        with db.subscribe(mine) as view:
            stop = view.on_insert(waits)
            view.on_update(lambda before, after: told.append((before.balance, after.balance)))
            view.on_delete(told.append)
            view.on_end(told.append)
            view.on_anew(told.append)
            assert view.anew is None
            changes, balances = view.changes(), view.index(Account.balance)
            db.call("open_account", 800, "gil", 1)
            db.call("open_account", 801, "gil", 2)
            db.call("deposit", 800, 4)
            assert [type(next(changes)) for _ in range(3)] == [Insert, Insert, Update]
            assert [each.id for each in balances[5]] == [800]
            assert db.query(mine) == sorted(view.values(), key=lambda each: each.id)
        assert told == ["store-client", (1, 5), None]
        assert list(changes) == []


def test_what_goes_wrong_is_raised_here(tenant: Tenant) -> None:
    """Errors of connecting and of asking come to the thread that asked, and leave no thread behind."""
    before = threading.active_count()
    with pytest.raises(Denied), connect_sync(tenant.url, "wrong"):
        pass
    with pytest.raises(Unreachable), connect_sync("ws://127.0.0.1:1", "t"):
        pass
    with connect_sync(tenant.url, tenant.token) as db:
        with pytest.raises(MalformedQuery):
            db.query("SELECT")
        assert db.client
    assert threading.active_count() == before


def test_a_wait_may_be_limited(tenant: Tenant) -> None:
    """Past timeout_s each wait ends with TimeoutError, which names the limit."""
    with connect_sync(tenant.url, tenant.token, timeout_s=0) as db, pytest.raises(TimeoutError, match="within 0 s"):
        db.call("total")


def test_any_thread_may_ask(tenant: Tenant) -> None:
    """Several threads share one client, and each gets its own answers."""
    with connect_sync(tenant.url, tenant.token) as db:
        db.call("open_account", 600, "fay", 0)
        answers: list[int] = []

        def deposit() -> None:
            answers.extend(db.call("deposit", 600, 1, returns=int) for _ in range(10))

        threads = [threading.Thread(target=deposit) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(answers) == list(range(1, 41))


def test_threads_that_call_when_the_block_ends_are_told(tenant: Tenant) -> None:
    """Whoever calls then, or later, hears OutcomeUnknown; nobody waits for ever."""
    told: list[type[Exception]] = []

    def work() -> None:
        try:
            while True:
                db.call("total")
        except Exception as error:  # noqa: BLE001  # Whatever it is.
            told.append(type(error))

    for timeout_s in [None, 20.0] * 5:
        with connect_sync(tenant.url, tenant.token, timeout_s=timeout_s) as db:
            threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
            for each in threads:
                each.start()
            db.call("total")
        for each in threads:
            each.join(10)
        assert not any(each.is_alive() for each in threads)
    assert set(told) == {OutcomeUnknown}


def test_behind_the_block_all_is_closed(own_tenant: Tenant) -> None:
    """As behind the asynchronous one: views keep their rows, streams end, and whatever is asked is not done."""
    with connect_sync(own_tenant.url, own_tenant.token, timeout_s=20) as db:
        db.call("open_account", 60_000, "hal", 1)
        view = db.subscribe(Account.where(Account.owner == "hal"))
        deltas, changes = view.deltas(), view.changes()
        db.call("deposit", 60_000, 1)
        assert next(deltas).changes
        ended: list[object] = []
        view.on_end(ended.append)
    assert ended == [None]
    assert view.snapshot() == (view.offset, {60_000: Account(id=60_000, owner="hal", balance=2)})
    assert list(view) == [60_000]
    assert list(deltas) == list(view.deltas()) == []
    assert [type(each) for each in changes] == [Update], "what was queued is still read"
    assert view.index("owner")["hal"] == tuple(view.values())
    view.on_insert(print)()
    view.close()
    for ask in (lambda: db.call("total"), lambda: db.query("SELECT 1"), lambda: db.subscribe("SELECT 1"), db.synced):
        with pytest.raises(OutcomeUnknown, match="closed"):
            ask()


def test_a_view_is_read_while_it_changes(own_tenant: Tenant) -> None:
    """Whatever goes over the rows goes over all rows of one offset, in any thread, whatever comes meanwhile."""
    sums: set[int] = set()
    failed: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                rows = [list(view.values()), [row for _, row in view.items()], list(dict(view.items()).values())]
                sums.update(sum(row.balance for row in each) for each in rows)
                assert set(view) | set(view.keys()) <= set(range(70_000, 70_050))
                assert view != {}
        except BaseException as error:
            failed.append(error)
            raise

    with connect_sync(own_tenant.url, own_tenant.token, timeout_s=20) as db:
        db.call(open_accounts, 70_000, 50, 10, "ivy")
        view = db.subscribe(Account.where((Account.owner == "ivy") & (Account.balance > 0)))
        reader = threading.Thread(target=read)
        reader.start()
        for number in range(150):
            source, target = (70_000, 70_001) if number % 2 else (70_001, 70_000)
            db.call("transfer", source, target, view[source].balance)
        stop.set()
        reader.join()
    assert failed == []
    assert sums == {500}
