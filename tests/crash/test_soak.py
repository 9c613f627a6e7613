"""A tenant under load for a while, with small segments and tight retention."""

from pathlib import Path

from tests.crash.nursery import Nursery
from tests.crash.soak import Soak

SECONDS = 6.0
"""`python -m tests.crash --soak 3600` goes on for longer."""


def test_disk_use_is_bounded_and_promises_are_kept(tmp_path: Path, nursery: Nursery) -> None:
    """The directory stays below the bound of what is promised, and each promised moment comes back as it was."""
    found = Soak(tmp_path, nursery, seed=1).run(SECONDS)
    assert found.kept.segments_removed > 0
    assert found.largest < found.written
    assert found.restores > 0
