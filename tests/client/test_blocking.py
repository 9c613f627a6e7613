"""The rules of the client for scripts, against a real tenant."""

import threading

import pytest

from reducers.accounts import Account, open_accounts
from store.client import Unreachable, Update, connect_sync
from store.errors import Denied, MalformedQuery, Refused
from tests.cli.tenant import Tenant


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
    """Past timeout_s each wait ends with TimeoutError."""
    with connect_sync(tenant.url, tenant.token, timeout_s=0) as db, pytest.raises(TimeoutError):
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
