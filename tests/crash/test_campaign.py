"""A tenant that is killed in all it does: loads, snapshots, truncation, restores, pushes and pulls."""

from pathlib import Path

import pytest

from tests.crash.campaign import Campaign
from tests.crash.nursery import Nursery

KILLS = 40
"""For each seed; `python -m tests.crash --kills 5000` does more."""


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_and_all_goes_on(tmp_path: Path, nursery: Nursery, seed: int) -> None:
    """Whatever is killed, at whatever step: answered calls stay, and the same command comes to its end."""
    campaign = Campaign(tmp_path, nursery, seed=seed)
    campaign.run(KILLS)
    assert campaign.kills.total() >= KILLS
    assert len(campaign.kills) >= 6
