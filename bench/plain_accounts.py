"""The transfer workload's accounts without an index: what replay costs where no index is kept. For the bench alone."""

from typing import Final

from store.engine.reducer import Context, reducer
from store.schema import Table, column

ACCOUNTS_PER_CALL_MAX: Final = 25_000


class Account(Table, name="accounts", public=True):
    """What one owner has."""

    id: int = column(primary_key=True)
    owner: str
    balance: int = 0


@reducer
def transfer(ctx: Context, source: int, target: int, amount: int) -> None:
    """Move `amount` between two accounts; refuses unknown_account, overdraft."""
    accounts = ctx.table(Account)
    debit = accounts.get(source) or ctx.refuse("unknown_account", id=source)
    credit = accounts.get(target) or ctx.refuse("unknown_account", id=target)
    if debit.balance < amount:
        ctx.refuse("overdraft", id=source, balance=debit.balance, amount=amount)
    accounts.update(debit, balance=debit.balance - amount)
    accounts.update(credit, balance=credit.balance + amount)


@reducer
def open_accounts(ctx: Context, first: int, count: int, balance: int) -> int:
    """Open accounts `first` to `first + count - 1`; returns how many. Refuses bad_count."""
    if not 0 <= count <= ACCOUNTS_PER_CALL_MAX:
        ctx.refuse("bad_count", count=count, max=ACCOUNTS_PER_CALL_MAX)
    accounts = ctx.table(Account)
    for number in range(first, first + count):
        accounts.insert(Account(id=number, owner=f"owner {number}", balance=balance))
    return count
