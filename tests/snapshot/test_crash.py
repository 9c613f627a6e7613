"""Power loss at every operation of writing and of removing a snapshot, in every way the disk may take it."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from store.env.memory import MemoryDisk, PowerLoss, SeededEntropy
from store.snapshot.format import Manifest
from store.snapshot.repository import Repository
from tests.snapshot.scenes import row, rows_of, snapshot, table_of

OLD = [table_of(40)]
NEW = [{**table_of(45), 100: row(100, "other")}]

MODES: dict[str, Callable[[MemoryDisk], MemoryDisk]] = {
    "keep all": lambda disk: disk.crash_keep_all(),
    "drop all": lambda disk: disk.crash_drop_all(),
} | {f"seed {seed}": lambda disk, seed=seed: disk.crash(SeededEntropy(seed)) for seed in range(6)}


def begun() -> tuple[MemoryDisk, Manifest]:
    """A disk with the old snapshot, durable."""
    disk = MemoryDisk()
    old = snapshot(disk, OLD)
    return disk.crash_drop_all(), old


def grow(disk: MemoryDisk, old: Manifest) -> Manifest:
    """Write the new one beside it."""
    return snapshot(disk, NEW, offset=9, base=old)


def drop(disk: MemoryDisk, kept: Manifest) -> None:
    """Remove all but one, as retention does: manifests, then what nobody names."""
    repository = Repository(disk)
    repository.remove([name for name in repository.names() if int(name) != kept.offset])
    repository.collect({kept.system.file, *(ref.file for table in kept.tables for ref in table.blocks)})


def hold(disk: MemoryDisk) -> list[int]:
    """Every snapshot there is, holds what it held; their offsets, newest first."""
    repository = Repository(disk)
    found, refused = repository.whole()
    assert refused == []
    for manifest in found:
        repository.check(manifest, deep=True)
        assert rows_of(repository, manifest) == (OLD if manifest.offset == 7 else NEW)
    return [each.offset for each in found]


def operations(act: Callable[[MemoryDisk], object], disk: MemoryDisk) -> int:
    """How many operations an act takes."""
    before = disk.operations
    act(disk)
    return disk.operations - before


@pytest.mark.parametrize("mode", MODES)
def test_power_may_fail_before_any_operation_of_the_first_snapshot(mode: str) -> None:
    """There is none, or a whole one; a second try succeeds."""
    for cut in range(operations(lambda disk: snapshot(disk, OLD), MemoryDisk()) + 1):
        disk = MemoryDisk()
        disk.cut_power(after=cut)
        with suppress(PowerLoss):
            snapshot(disk, OLD)
        after = MODES[mode](disk)
        assert hold(after) in ([], [7])
        snapshot(after, OLD)
        assert hold(after.crash_drop_all()) == [7]


@pytest.mark.parametrize("mode", MODES)
def test_power_may_fail_before_any_operation_of_the_next_snapshot(mode: str) -> None:
    """The old one stays whole; the new one is there whole, or not at all; a second try succeeds."""
    total = operations(lambda disk: grow(disk, begun()[1]), begun()[0])
    for cut in range(total + 1):
        disk, old = begun()
        disk.cut_power(after=cut)
        with suppress(PowerLoss):
            grow(disk, old)
        after = MODES[mode](disk)
        assert hold(after) in ([7], [9, 7])
        grow(after, old)
        survived = after.crash_drop_all()
        assert hold(survived) == [9, 7]
        assert not [name for name in survived.names("block") if name.endswith(".new")]


@pytest.mark.parametrize("mode", MODES)
def test_power_may_fail_before_any_operation_of_a_removal(mode: str) -> None:
    """No manifest that is left names a block that is gone; a second try leaves what it should."""
    disk, old = begun()
    new = grow(disk, old)
    full = disk.crash_drop_all()
    for cut in range(operations(lambda each: drop(each, new), full.copy()) + 1):
        for kept, gone in ((new, old), (old, new)):
            disk = full.copy()
            disk.cut_power(after=cut)
            with suppress(PowerLoss):
                drop(disk, kept)
            after = MODES[mode](disk)
            assert hold(after) in ([9, 7], [kept.offset])
            drop(after, kept)
            survived = after.crash_drop_all()
            assert hold(survived) == [kept.offset]
            assert f"{gone.system.file}.blk" not in survived.names("block")


def test_a_write_or_sync_that_fails_leaves_the_old_snapshot() -> None:
    """The error is passed on; nothing that failed has a name; a second try succeeds."""
    for fail in (MemoryDisk.fail_sync, MemoryDisk.fail_write):
        for after in range(100):
            disk, old = begun()
            fail(disk, after=after)
            try:
                grow(disk, old)
            except OSError:
                pass
            else:
                break
            assert hold(disk) in ([7], [9, 7])
            disk = disk.crash_drop_all()
            grow(disk, old)
            assert hold(disk.crash_drop_all()) == [9, 7]
        else:
            pytest.fail("it never came to an end")
