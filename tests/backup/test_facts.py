"""What is said of a segment or snapshot is found by reading all of it."""

import errno
from collections.abc import Callable

import pytest

from store.backup.facts import BytesFile, block_files, epoch_of, refuse_unlike, segment_facts, snapshot_facts
from store.env.memory import MemoryDisk
from store.env.memory_objects import MemoryObjects
from store.errors import CorruptionError
from store.ids import Offset, Position
from store.log.survey import segments
from store.snapshot.repository import Repository
from tests.backup.scenes import Shop, content
from tests.log.scenes import commit, new_log


def test_a_segments_facts_are_its_own() -> None:
    """Offsets, chains, epoch and times."""
    shop = Shop(MemoryObjects()).work(12).seal()
    for each in segments(shop.disk)[:-1]:
        facts = segment_facts(shop.disk.open(each.name), each.first_offset)
        assert (facts.first, facts.last) == (each.first_offset, each.last_offset)
        assert (facts.chain_before, facts.chain_after) == (each.chain_before.hex(), each.chain_after.hex())
        assert epoch_of(facts.epoch) == each.epoch
        assert facts.first_time is not None
        assert facts.last_time is not None
        assert facts.first_time <= facts.last_time


def test_a_segment_with_one_wrong_byte_has_no_facts() -> None:
    """Wherever it is."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 3)
    whole = content(disk, log.segment)
    for at in range(len(whole)):
        damaged = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
        with pytest.raises(Exception, match=r".") as raised:
            segment_facts(BytesFile(damaged), Offset(1))
        assert type(raised.value).__name__ in {"CorruptionError", "DirectoryError"}


def test_records_of_another_kind_have_no_times() -> None:
    """All else is known of them."""
    disk = MemoryDisk()
    log = new_log(disk)
    commit(log, 3)
    facts = segment_facts(disk.open(log.segment), Offset(1))
    assert (facts.last, facts.first_time, facts.last_time) == (3, None, None)


def test_a_snapshots_facts_are_its_manifests() -> None:
    """With every file it needs, each once."""
    shop = Shop(MemoryObjects()).work(12).seal().snapshot()
    (manifest,), _ = Repository(shop.disk).whole()
    facts = snapshot_facts(manifest)
    files = block_files(manifest)
    assert (facts.offset, facts.chain, facts.store) == (manifest.offset, manifest.chain.hex(), manifest.store.hex())
    assert {f"{digest}.blk" for digest, _ in files} == set(shop.disk.names("block"))
    assert all(len(shop.disk.content(f"block/{digest}.blk")) == size for digest, size in files)


def test_a_file_in_ram_is_only_read() -> None:
    """Its content never changes."""
    file = BytesFile(b"hello")
    assert (file.size(), file.read(Position(1), 3), file.read(Position(4), 9)) == (5, b"ell", b"o")
    acts: list[Callable[[], None]] = [lambda: file.write(Position(0), b"x"), lambda: file.truncate(0)]
    for act in acts:
        with pytest.raises(OSError, match="only ever read") as raised:
            act()
        assert raised.value.errno == errno.EROFS
    file.sync()
    file.close()


def test_a_difference_is_corruption() -> None:
    """With both sides in it."""
    refuse_unlike("a", 1, 1)
    with pytest.raises(CorruptionError, match="expected 1, found 2, in a"):
        refuse_unlike("a", 1, 2)
