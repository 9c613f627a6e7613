"""Power loss at every operation, in every way the disk may take it; failed syncs; crashes while recovering."""

from collections.abc import Callable
from contextlib import suppress
from itertools import count

import pytest

from store.env.memory import MemoryDisk, PowerLoss, SeededEntropy
from store.log.commitlog import Commitlog
from tests.log.scenes import NOW, commit, flush, new_log, read, records, reopen, vouch

BATCH_ENDS = {0, 2, 3, 5, 6, 8, 9, 10, 12}
"""Where the batches of `live` end."""

MODES: dict[str, Callable[[MemoryDisk], MemoryDisk]] = {
    "keep all": lambda disk: disk.crash_keep_all(),
    "drop all": lambda disk: disk.crash_drop_all(),
} | {f"seed {seed}": lambda disk, seed=seed: disk.crash(SeededEntropy(seed)) for seed in range(16)}  # type: ignore[misc]


class Life:
    """A small workload that knows what it was told is durable."""

    def __init__(self, disk: MemoryDisk) -> None:
        self.disk = disk
        self.acknowledged = 0

    def acknowledge(self, log: Commitlog) -> None:
        """Tell somebody of everything that is durable."""
        self.acknowledged = log.durable_offset

    def live(self) -> None:
        """Every act of a log: create, commit, several batches under one sync, vouch, rotate, close, recover, go on."""
        log = new_log(self.disk)
        commit(log, 2)
        self.acknowledge(log)
        flush(log, 1)
        flush(log, 2)
        log.sync()
        self.acknowledge(log)
        vouch(log)
        commit(log)
        self.acknowledge(log)
        log.seal(NOW)
        commit(log, 2)
        self.acknowledge(log)
        log.close()
        log, *_ = reopen(self.disk, seed=3)
        self.acknowledge(log)
        commit(log)
        self.acknowledge(log)
        flush(log)
        flush(log, 2)
        log.sync()
        self.acknowledge(log)
        vouch(log)
        log.close()


def operations() -> int:
    """How many operations a whole life takes."""
    life = Life(MemoryDisk())
    life.live()
    return life.disk.operations


OPERATIONS = range(operations() + 1)


def lived(operation: int) -> Life:
    """A life that ends before its n-th operation."""
    life = Life(MemoryDisk())
    life.disk.cut_power(after=operation)
    with suppress(PowerLoss):
        life.live()
    return life


def check(disk: MemoryDisk, acknowledged: int) -> None:
    """The log opens, holds all that was acknowledged, whole batches in order, and goes on."""
    if not Commitlog.exists(disk):
        assert not acknowledged
        new_log(disk)
    log, replayed, _ = reopen(disk)
    assert replayed == records(len(replayed))
    assert len(replayed) >= acknowledged
    assert len(replayed) in BATCH_ENDS
    assert log.durable_offset == len(replayed)
    commit(log)
    assert read(disk.crash_drop_all()) == records(len(replayed) + 1)


@pytest.mark.parametrize("mode", MODES)
def test_power_may_fail_before_any_operation(mode: str) -> None:
    """What was acknowledged is there, and nothing but whole batches in order, whatever became of the rest."""
    for operation in OPERATIONS:
        life = lived(operation)
        check(MODES[mode](life.disk), life.acknowledged)


@pytest.mark.parametrize("mode", MODES)
def test_power_may_fail_again_before_any_operation_of_the_recovery(mode: str) -> None:
    """A recovery that was cut short is done again, with nothing lost by the first."""
    for operation in OPERATIONS:
        life = lived(operation)
        for cut in range(6):
            disk = MODES[mode](life.disk)
            if not Commitlog.exists(disk):
                continue
            disk.cut_power(after=cut)
            with suppress(PowerLoss):
                reopen(disk)
            check(MODES[mode](disk), life.acknowledged)


@pytest.mark.parametrize("mode", MODES)
def test_a_process_restarted_after_a_failed_sync_keeps_what_it_then_acknowledges(mode: str) -> None:
    """Linux holds the failed pages as clean: what reads back well is written again before it is believed."""
    for failing in count():
        life = Life(MemoryDisk())
        life.disk.fail_sync(after=failing)
        try:
            life.live()
        except OSError:
            pass
        else:
            break
        if not Commitlog.exists(life.disk):
            continue
        log, replayed, _ = reopen(life.disk)
        assert len(replayed) >= life.acknowledged
        commit(log)
        vouch(log)
        life.acknowledge(log)
        disk = MODES[mode](life.disk)
        assert reopen(disk)[1] == records(life.acknowledged)


@pytest.mark.parametrize("mode", MODES)
def test_a_disk_that_is_full_at_any_byte_loses_nothing_acknowledged(mode: str) -> None:
    """The log stops, and opens again as soon as it may, also while the disk is still full."""
    life = Life(MemoryDisk())
    life.live()
    size = sum(len(life.disk.content(f"log/{name}")) for name in life.disk.names("log"))
    for capacity in range(1, size, 17):
        life = Life(MemoryDisk(capacity=capacity))
        with suppress(OSError):
            life.live()
        disk = MODES[mode](life.disk)
        if Commitlog.exists(disk):
            assert len(reopen(disk)[1]) >= life.acknowledged
            disk.set_capacity(1 << 30)
        else:
            disk = MemoryDisk()
        check(disk, life.acknowledged)
