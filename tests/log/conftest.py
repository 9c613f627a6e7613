"""The disks a log runs on."""

from pathlib import Path

import pytest

from store.env.memory import MemoryDisk
from store.env.posix import PosixDisk
from store.env.world import Disk


@pytest.fixture(params=["memory", "posix"])
def any_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    """Each of them, empty."""
    return MemoryDisk() if request.param == "memory" else PosixDisk(tmp_path / "data")
