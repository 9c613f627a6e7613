"""The power goes while a tenant works, on a file system that then forgets what was not synced."""

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from store.errors import CorruptionError
from tests.crash.campaign import ENDLESS, PAIRS, SEGMENT_SIZE, SMALL
from tests.crash.fuse import why_not
from tests.crash.lossy import Lossy
from tests.crash.nursery import Nursery
from tests.crash.oracle import CLIENTS, Oracle
from tests.crash.worker import Work, open_tenant

CUTS = 8
CUTS_FOR_A_DEFECT = 20
NOT_ALLOWED = {errno.EPERM, errno.EACCES, errno.ENODEV}
"""What a machine says that has the device and lets nobody mount."""


@pytest.fixture
def lossy(tmp_path: Path) -> Iterator[Lossy]:
    """Such a file system at the folder "disk"; skipped where the machine does not allow it."""
    if reason := why_not():
        pytest.skip(f"no file system of our own can be mounted here: {reason}")
    point = tmp_path / "disk"
    point.mkdir()
    file_system = Lossy(point, seed=1)
    try:
        file_system.__enter__()
    except OSError as error:
        if error.errno not in NOT_ALLOWED and os.environ.get("CI") == "true":
            raise  # The machine allows it, so nobody may overlook that it does not work.
        pytest.skip(f"no file system of our own can be mounted here: {error}")
    try:
        yield file_system
    finally:
        file_system.__exit__(None, None, None)


def work_until_the_cut(
    lossy: Lossy, nursery: Nursery, data: Path, oracle: Oracle, dice: random.Random, *, synced: bool = True
) -> None:
    """Calls and snapshots, and the power goes at some moment of them."""
    work = Work(str(data), ENDLESS, oracle.answered, segment_size_max=SEGMENT_SIZE, pairs=PAIRS)
    worker = nursery.work(msgspec.json.encode(work), synced=synced)
    takes = []
    for _ in range(dice.randrange(3) if sum(oracle.answered) else 0):
        worker.lives(dice.uniform(0.0, 0.1))
        takes.append(nursery.store("snapshot", "take", data, *SMALL))
    worker.lives(dice.uniform(0.1, 0.5))
    told_before = worker.told()
    lossy.cut()
    for child in (*takes, worker):
        child.kill()
    oracle.hear_all(told_before)


def check(data: Path, oracle: Oracle) -> None:
    """What was answered is there. Answers given between the last look at them and the cut make the tables newer."""
    engine = open_tenant(str(data), segment_size_max=SEGMENT_SIZE)
    try:
        moved = oracle.check(engine, spare=ENDLESS)
        assert max(moved) - min(moved) <= 1
    finally:
        engine.close()


def test_what_was_answered_outlives_a_power_cut(tmp_path: Path, lossy: Lossy, nursery: Nursery) -> None:
    """Bytes and names that were not synced may be gone in any way: every answered call is still there."""
    dice = random.Random(1)  # noqa: S311  # Nothing secret.
    data, oracle = tmp_path / "disk" / "data", Oracle(pairs=PAIRS)
    for _ in range(CUTS):
        work_until_the_cut(lossy, nursery, data, oracle, dice)
        check(data, oracle)
    assert sum(oracle.answered) > 100 * CLIENTS


def test_a_store_that_does_not_sync_is_found_out(tmp_path: Path, lossy: Lossy, nursery: Nursery) -> None:
    """This file system loses answered calls of a store whose syncs do nothing: the test above would see it."""
    dice = random.Random(2)  # noqa: S311  # Nothing secret.
    data, oracle = tmp_path / "disk" / "data", Oracle(pairs=PAIRS)

    def lose() -> None:
        for _ in range(CUTS_FOR_A_DEFECT):
            work_until_the_cut(lossy, nursery, data, oracle, dice, synced=False)
            check(data, oracle)

    with pytest.raises((AssertionError, CorruptionError), match=r"were answered|expected"):
        lose()
