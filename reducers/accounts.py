"""Accounts and transfers between them: the smallest domain in which a lost or doubled call shows.

Laws: no balance is below zero. A transfer leaves the total as it is; only opening and depositing add to it.
"""

from typing import Final

from store.engine.reducer import Context, reducer
from store.schema import Table, column

ACCOUNTS_PER_CALL_MAX: Final = 25_000
"""Accounts that one `open_accounts` may open: a fifth of what a reducer's time limit lets it."""
BALANCE_MAX: Final = 10**15
"""What one account may hold: far inside 64 bits, so that the total of 9,000 full accounts still fits."""


class Account(Table, name="accounts", public=True):
    """What one owner has."""

    id: int = column(primary_key=True)
    owner: str = column(index=True)
    balance: int = 0


@reducer
def transfer(ctx: Context, source: int, target: int, amount: int) -> None:
    """Move `amount` between two accounts; refuses bad_amount, same_account, unknown_account, overdraft, too_rich."""
    if amount <= 0:
        ctx.refuse("bad_amount", amount=amount)
    if source == target:
        ctx.refuse("same_account", id=source)
    accounts = ctx.table(Account)
    debit = accounts.get(source) or ctx.refuse("unknown_account", id=source)
    credit = accounts.get(target) or ctx.refuse("unknown_account", id=target)
    if debit.balance < amount:
        ctx.refuse("overdraft", id=source, balance=debit.balance, amount=amount)
    if credit.balance + amount > BALANCE_MAX:
        ctx.refuse("too_rich", id=target, balance=credit.balance, amount=amount)
    accounts.update(debit, balance=debit.balance - amount)
    accounts.update(credit, balance=credit.balance + amount)


@reducer
def open_account(ctx: Context, id: int, owner: str, balance: int = 0) -> None:  # noqa: A002  # The column's name.
    """Open an account under a number of the caller's choosing; refuses account_exists, bad_amount."""
    accounts = ctx.table(Account)
    if id in accounts:
        ctx.refuse("account_exists", id=id)
    _check_balance(ctx, balance)
    accounts.insert(Account(id=id, owner=owner, balance=balance))


@reducer
def deposit(ctx: Context, id: int, amount: int) -> int:  # noqa: A002  # The column's name.
    """Add `amount` from outside and return the new balance; refuses unknown_account, bad_amount, too_rich."""
    if amount <= 0:
        ctx.refuse("bad_amount", amount=amount)
    accounts = ctx.table(Account)
    account = accounts.get(id) or ctx.refuse("unknown_account", id=id)
    if account.balance + amount > BALANCE_MAX:
        ctx.refuse("too_rich", id=id, balance=account.balance, amount=amount)
    return accounts.update(account, balance=account.balance + amount).balance


@reducer
def open_accounts(ctx: Context, first: int, count: int, balance: int, owner: str | None = None) -> int:
    """Open accounts `first` to `first + count - 1`, all for `owner` or each for its own; return how many were new.

    An account that exists stays as it is, so a setup may be repeated. Refuses bad_count, bad_amount.
    """
    if not 0 <= count <= ACCOUNTS_PER_CALL_MAX:
        ctx.refuse("bad_count", count=count, max=ACCOUNTS_PER_CALL_MAX)
    _check_balance(ctx, balance)
    accounts = ctx.table(Account)
    opened = 0
    for number in range(first, first + count):
        if number not in accounts:
            accounts.insert(Account(id=number, owner=owner or f"owner {number}", balance=balance))
            opened += 1
    return opened


@reducer
def total(ctx: Context) -> int:
    """The sum of all balances: what transfers must not change."""
    return sum(account.balance for account in ctx.table(Account))


def _check_balance(ctx: Context, balance: int) -> None:
    """An account opens with what it may hold."""
    if not 0 <= balance <= BALANCE_MAX:
        ctx.refuse("bad_amount", amount=balance, max=BALANCE_MAX)
