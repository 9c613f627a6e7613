"""The transfers that every peer gets."""

import pytest

from bench.workload import ACCOUNTS, AMOUNT_MAX, BALANCE, KEYS, OVERDRAFT, REFUSED_EVERY, TOTAL, transfers
from reducers.accounts import BALANCE_MAX


@pytest.mark.parametrize("keys", KEYS)
def test_a_seed_draws_the_same_transfers(keys: str) -> None:
    """Equal seeds draw equal transfers, others draw others."""
    assert list(transfers(500, keys, seed=1)) == list(transfers(500, keys, seed=1))
    assert list(transfers(500, keys, seed=1)) != list(transfers(500, keys, seed=2))


@pytest.mark.parametrize("keys", KEYS)
def test_every_answer_is_known_beforehand(keys: str) -> None:
    """One call in a hundred asks for more than there is; the others are between two accounts that exist."""
    drawn = list(transfers(2_000, keys, seed=1))
    assert sum(not call.succeeds for call in drawn) == len(drawn) // REFUSED_EVERY
    assert all(call.source != call.target for call in drawn)
    assert all(1 <= number <= ACCOUNTS for call in drawn for number in call[:2])


def test_no_account_can_run_dry_or_full() -> None:
    """A hundred thousand transfers out of one account leave it with something; an overdraft is above any balance."""
    assert BALANCE >= AMOUNT_MAX * 100_000
    assert TOTAL < OVERDRAFT
    assert TOTAL < BALANCE_MAX


def test_zipf_has_favourites() -> None:
    """Under Zipf 1.5 the first account is a source in more than a third of the transfers; under uniform it is not."""
    counts = {keys: sum(call.source == 1 for call in transfers(2_000, keys, seed=1)) for keys in KEYS}
    assert counts["zipf"] > 2_000 // 3
    assert counts["uniform"] < 10
