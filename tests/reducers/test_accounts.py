"""The rules of accounts and transfers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reducers import accounts
from reducers.accounts import ACCOUNTS_PER_CALL_MAX, BALANCE_MAX, Account
from store.errors import MalformedCall, Refused
from store.testing import Store


@pytest.fixture
def store() -> Store:
    """Two accounts: 1 holds 100, 2 holds 50."""
    store = Store.in_memory(accounts)
    store.call("open_account", 1, "ada", 100)
    store.call("open_account", 2, "bob", 50)
    return store


def balances(store: Store) -> dict[int, int]:
    """Each account's balance by its number."""
    return {account.id: account.balance for account in store.rows(Account)}


def refusal(store: Store, name: str, *args: object) -> str:
    """The code a call is refused with; nothing may have changed."""
    before = store.rows(Account)
    with pytest.raises(Refused) as refused:
        store.call(name, *args)
    assert store.rows(Account) == before
    return refused.value.reason


def test_transfer_moves_the_amount(store: Store) -> None:
    """A transfer takes the amount from one account and gives it to the other."""
    assert store.call("transfer", 1, 2, 30) is None
    assert balances(store) == {1: 70, 2: 80}


def test_transfer_may_empty_an_account(store: Store) -> None:
    """All that an account holds may be moved."""
    store.call("transfer", 1, 2, 100)
    assert balances(store) == {1: 0, 2: 150}


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ((1, 2, 101), "overdraft"),
        ((1, 2, 0), "bad_amount"),
        ((1, 2, -1), "bad_amount"),
        ((1, 1, 10), "same_account"),
        ((3, 1, 10), "unknown_account"),
        ((1, 3, 10), "unknown_account"),
    ],
)
def test_transfer_refuses(store: Store, args: tuple[int, int, int], reason: str) -> None:
    """A transfer that cannot be is refused with its reason, and no balance changes."""
    assert refusal(store, "transfer", *args) == reason


def test_refusal_tells_the_numbers(store: Store) -> None:
    """An overdraft's refusal says which account holds how much."""
    with pytest.raises(Refused) as refused:
        store.call("transfer", 1, 2, 500)
    assert dict(refused.value.details) == {"id": 1, "balance": 100, "amount": 500}


def test_account_holds_no_more_than_its_maximum(store: Store) -> None:
    """What would lift a balance above its maximum is refused as too_rich, whichever way it comes."""
    store.call("deposit", 2, BALANCE_MAX - 50)
    assert refusal(store, "deposit", 2, 1) == "too_rich"
    assert refusal(store, "transfer", 1, 2, 1) == "too_rich"


def test_deposit_returns_the_new_balance(store: Store) -> None:
    """A deposit adds from outside and tells what the account holds now."""
    assert store.call("deposit", 1, 11) == 111


@pytest.mark.parametrize(("args", "reason"), [((9, 5), "unknown_account"), ((1, 0), "bad_amount")])
def test_deposit_refuses(store: Store, args: tuple[int, int], reason: str) -> None:
    """A deposit of nothing, or to nobody, is refused."""
    assert refusal(store, "deposit", *args) == reason


def test_open_account_refuses_a_taken_number(store: Store) -> None:
    """An account's number belongs to one owner for good."""
    assert refusal(store, "open_account", 1, "eve") == "account_exists"


@pytest.mark.parametrize("balance", [-1, BALANCE_MAX + 1])
def test_accounts_open_with_what_they_may_hold(store: Store, balance: int) -> None:
    """Nobody opens an account below zero or above its maximum."""
    assert refusal(store, "open_account", 3, "eve", balance) == "bad_amount"
    assert refusal(store, "open_accounts", 10, 2, balance) == "bad_amount"


def test_open_accounts_may_be_repeated(store: Store) -> None:
    """Opening many accounts leaves those that exist as they are, and counts the new ones."""
    assert store.call("open_accounts", 1, 4, 7) == 2
    assert balances(store) == {1: 100, 2: 50, 3: 7, 4: 7}
    assert store.call("open_accounts", 1, 4, 7) == 0


def test_open_accounts_gives_owners() -> None:
    """Accounts opened together have an owner each, or the one that is named."""
    store = Store.in_memory(accounts)
    store.call("open_accounts", 1, 2, 0)
    store.call("open_accounts", 3, 2, 0, "bank")
    assert [account.owner for account in store.rows(Account)] == ["owner 1", "owner 2", "bank", "bank"]


@pytest.mark.parametrize("count", [-1, ACCOUNTS_PER_CALL_MAX + 1])
def test_open_accounts_has_a_limit(store: Store, count: int) -> None:
    """One call opens no more accounts than its named limit."""
    assert refusal(store, "open_accounts", 10, count, 0) == "bad_count"


def test_total_is_the_sum(store: Store) -> None:
    """The total is the sum of all balances."""
    assert store.call("total") == 150


def test_wrong_argument_is_named(store: Store) -> None:
    """An argument of the wrong type is refused before the reducer runs, by name."""
    with pytest.raises(MalformedCall, match="amount"):
        store.call("transfer", 1, 2, "much")


def test_number_past_64_bits_is_named(store: Store) -> None:
    """A number that no column holds never reaches a row: the call is refused by the argument's name."""
    with pytest.raises(MalformedCall, match="id"):
        store.call("open_account", 2**63, "eve")


@settings(max_examples=30, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(-5, 60)), max_size=40))
def test_transfers_conserve_the_total(transfers: list[tuple[int, int, int]]) -> None:
    """Whatever is transferred, in whatever order: the total stays, and no balance falls below zero."""
    store = Store.in_memory(accounts)
    store.call("open_accounts", 1, 5, 40)
    for transfer in transfers:
        try:
            store.call("transfer", *transfer)
        except Refused:
            continue
    assert store.call("total") == 200
    assert min(balances(store).values()) >= 0
    assert store.crash().rows(Account) == store.rows(Account)
