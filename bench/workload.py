"""The transfers that every peer gets: drawn from a seed, each with the answer it must have.

Laws: one call in a hundred asks for more than there is and must be refused for overdraft; every other must succeed,
whatever order the connections come in: amounts are so small beside the balances that no account runs dry.
"""

import itertools
import random
from collections.abc import Iterator
from typing import Final, NamedTuple

ACCOUNTS: Final = 100_000
"""Accounts, numbered from 1."""
PATIENT: Final = "engine.reducer_time_max_ms=60000"
"""The option of a server whose millions of rows are added up in one call."""
BALANCE: Final = 1_000_000_000
"""What each account opens with."""
TOTAL: Final = ACCOUNTS * BALANCE
"""What all balances add up to, before and after."""
AMOUNT_MAX: Final = 10
"""The largest amount that must succeed."""
OVERDRAFT: Final = 10 * TOTAL
"""An amount that no account can ever hold."""
REFUSED_EVERY: Final = 100
"""One call in this many is an overdraft."""
ZIPF_EXPONENT: Final = 1.5
KEYS: Final = ("uniform", "zipf")
"""How accounts are drawn: all alike, or the n-th with a weight of n to the power of -1.5."""


class Transfer(NamedTuple):
    """One call."""

    source: int
    target: int
    amount: int

    @property
    def succeeds(self) -> bool:
        """Whether it must be answered with success; if not, with a refusal for overdraft."""
        return self.amount <= AMOUNT_MAX


def transfers(count: int, keys: str, seed: int, accounts: int = ACCOUNTS) -> Iterator[Transfer]:
    """`count` transfers; the same seed draws the same ones."""
    dice = random.Random(seed)  # noqa: S311  # A load, not a secret.
    weights = _cumulative_weights(keys, accounts)
    names = range(1, accounts + 1)
    sources = dice.choices(names, cum_weights=weights, k=count)
    targets = dice.choices(names, cum_weights=weights, k=count)
    for place, (source, target) in enumerate(zip(sources, targets, strict=True)):
        other = target if target != source else target % accounts + 1
        refused = (place + seed) % REFUSED_EVERY == 0
        yield Transfer(source, other, OVERDRAFT if refused else 1 + place % AMOUNT_MAX)


def _cumulative_weights(keys: str, accounts: int) -> list[float] | None:
    if keys == "uniform":
        return None
    assert keys == "zipf", f"keys are one of {KEYS}, not {keys!r}"
    return list(itertools.accumulate(rank**-ZIPF_EXPONENT for rank in range(1, accounts + 1)))
