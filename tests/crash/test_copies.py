"""Copying the data directory with everyday tools while it is written, snapshotted and pruned."""

import os
import shutil
from pathlib import Path

import pytest

from tests.crash.copies import INSTALL, TOOLS, copy_under_load
from tests.crash.nursery import Nursery

COPIES = 6


@pytest.mark.parametrize("tool", TOOLS)
def test_a_copy_of_a_working_directory_opens(tmp_path: Path, nursery: Nursery, tool: str) -> None:
    """Each copy opens, in an epoch of its own, at a state that once was, with all that was answered before it."""
    if shutil.which(tool) is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{tool} is not installed: {INSTALL[tool]}")
    seen = copy_under_load(tmp_path, nursery, tool, copies=COPIES)
    assert seen.copies >= COPIES
    assert seen.changed_meanwhile > 0
    assert seen.segments_removed > 0
