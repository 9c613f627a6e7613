"""Blocks of then and changes since become blocks of now."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.env.memory import MemoryDisk
from store.errors import CorruptionError
from store.ids import Key, TableId
from store.snapshot.format import BlockRef, block_file, row_sum
from store.snapshot.merge import SMALL, merge
from store.snapshot.repository import Repository
from tests.snapshot.scenes import BLOCK_SIZE, Rows, row, table_of

TABLE = TableId(1)
Blocks = tuple[BlockRef, ...]


def merged(disk: MemoryDisk, base: Blocks, changes: Mapping[Key, bytes | None], block_size: int = BLOCK_SIZE) -> Blocks:
    """The blocks of now."""
    return merge(Repository(disk), base, changes, TABLE, block_size)


def contents(disk: MemoryDisk, blocks: Blocks) -> list[tuple[Key, bytes]]:
    """All keys and rows in the order of the blocks."""
    return [pair for ref in blocks for pair in zip(*Repository(disk).block(ref), strict=True)]


def sizes(disk: MemoryDisk, blocks: Blocks) -> list[int]:
    """Bytes of the rows in each block."""
    return [sum(map(len, Repository(disk).block(ref)[1])) for ref in blocks]


def shared(before: Blocks, after: Blocks) -> int:
    """How many blocks of before are still used."""
    return len({each.file for each in before} & {each.file for each in after})


KEYS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**63 - 1) | st.integers(0, 200),
    "str": st.text(alphabet=st.characters(codec="utf-8"), max_size=6),
    "bytes": st.binary(max_size=4),
}
VALUES = st.none() | st.sampled_from(["", "short", "x" * 60, "x" * 300])


@pytest.mark.parametrize("kind", KEYS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_merge_is_what_a_dict_would_be(kind: str, data: st.DataObject) -> None:
    """Whatever changes come after each other: same rows, in the order of their keys, same sum."""
    disk, model, blocks = MemoryDisk(), Rows(), Blocks()
    for changes in data.draw(st.lists(st.dictionaries(KEYS[kind], VALUES, max_size=40), max_size=4)):
        rows = {key: None if value is None else row(key, value) for key, value in changes.items()}
        blocks = merged(disk, blocks, rows)
        for key, after in rows.items():
            model.pop(key, None)
            if after is not None:
                model[key] = after
        order: list[Any] = sorted(model)
        assert contents(disk, blocks) == [(key, model[key]) for key in order]
        total = sum(int(each.sum, 16) for each in blocks) % 2**256
        assert f"{total:064x}" == row_sum(TABLE, list(model.values()))


@pytest.mark.parametrize("seed", range(6))
def test_blocks_stay_within_their_bounds_over_a_long_history(seed: int) -> None:
    """From a quarter of the block size to twice of it, but for the last: neither dust nor lumps, whatever goes on."""
    random, disk, model, blocks = Random(seed), MemoryDisk(), Rows(), Blocks()  # noqa: S311  # The same for the same seed.
    for step in range(60):
        changes: dict[Key, bytes | None] = {}
        low = random.randrange(3000)
        for key in random.sample(range(low, low + 400), random.choice((1, 10, 200))):
            went = random.random() < (0.9 if step % 3 else 0.1)
            changes[key] = None if went else row(key, "x" * random.randrange(40))
        changes |= {key: row(key) for key in range(4000 + step * 5, 4000 + step * 5 + random.randrange(6))}
        blocks = merged(disk, blocks, changes)
        model = {key: each for key, each in {**model, **changes}.items() if each is not None}
        assert dict(contents(disk, blocks)) == model
        assert all(BLOCK_SIZE // SMALL <= size <= 2 * BLOCK_SIZE for size in sizes(disk, blocks)[:-1])
    assert sizes(disk, blocks)[-1] <= 2 * BLOCK_SIZE


def test_a_table_that_only_grows_is_in_whole_blocks() -> None:
    """Rows appended a few at a time fill the last block; full ones before it are never written again."""
    disk, blocks = MemoryDisk(), Blocks()
    for step in range(100):
        before = blocks
        blocks = merged(disk, blocks, {key: row(key) for key in range(step * 3, step * 3 + 3)})
        assert shared(before, blocks) >= len(before) - 1
    assert all(size >= BLOCK_SIZE for size in sizes(disk, blocks)[:-1])


def test_what_nothing_touched_is_used_as_it_is() -> None:
    """A change costs the block it lies in; others are named again, and not even read."""
    disk = MemoryDisk()
    before = merged(disk, (), table_of(500))
    for ref in before[1:]:
        disk.replace(block_file(ref.file), b"unreadable")
    after = merged(disk, before, {0: row(0, "other")})
    assert after[1:] == before[1:]
    assert after[0] != before[0]


def test_one_percent_in_one_key_range_changes_a_few_blocks() -> None:
    """What is written follows what changed."""
    disk = MemoryDisk()
    before = merged(disk, (), table_of(5000))
    after = merged(disk, before, {key: row(key, "other") for key in range(20_000, 20_500, 10)})
    assert len(after) == len(before) > 150
    assert shared(before, after) >= len(before) * 97 // 100


def test_changes_that_change_nothing_write_nothing() -> None:
    """A row that became what it was, or came and went, leaves every block as it is."""
    disk = MemoryDisk()
    before = merged(disk, (), table_of(100))
    operations = disk.operations
    assert merged(disk, before, {50: row(50), 51: None, -1: None, 99_999: None}) == before
    assert disk.operations == operations


def test_rows_that_came_and_went_between_blocks_read_nothing() -> None:
    """They lie in no block."""
    disk = MemoryDisk()
    before = merged(disk, (), table_of(100))
    for ref in before:
        disk.replace(block_file(ref.file), b"unreadable")
    between: dict[Key, bytes | None] = {before[0].last + 1: None, 99_999: None}  # type: ignore[operator]  # Integers.
    assert merged(disk, before, between) == before


def test_a_row_larger_than_two_blocks_is_one() -> None:
    """The only block that passes the bound, and its neighbours do not."""
    disk = MemoryDisk()
    rows = table_of(50)
    rows[250] = row(250, "x" * 5000)
    found = sizes(disk, merged(disk, (), rows))
    assert sum(size > 2 * BLOCK_SIZE for size in found) == 1
    assert all(size >= BLOCK_SIZE // SMALL for size in found[:-1])


def test_a_table_that_lost_all_rows_has_no_block() -> None:
    """And gets new ones when rows come again."""
    disk = MemoryDisk()
    before = merged(disk, (), table_of(50))
    empty = merged(disk, before, dict.fromkeys(table_of(50)))
    assert empty == ()
    assert dict(contents(disk, merged(disk, empty, table_of(3)))) == table_of(3)


def test_a_fragment_joins_its_neighbour() -> None:
    """What is left of a block after most of its rows went does not stand alone."""
    disk = MemoryDisk()
    before = merged(disk, (), table_of(200))
    third = [key for key, _ in contents(disk, before[2:3])]
    after = merged(disk, before, dict.fromkeys(third[1:]))
    assert len(after) == len(before) - 1
    assert after[:2] == before[:2]
    assert after[3:] == before[4:]


def test_damage_in_a_block_that_is_needed_is_corruption() -> None:
    """It names the file; nothing is made of what cannot be read."""
    disk = MemoryDisk()
    before = merged(disk, (), table_of(100))
    name = block_file(before[1].file)
    disk.flip(name, 200)
    with pytest.raises(CorruptionError, match=name):
        merged(disk, before, {before[1].first: None})


def test_another_block_size_reads_what_any_other_wrote() -> None:
    """Blocks are what the manifest says, whatever the option is now."""
    disk = MemoryDisk()
    before = merged(disk, (), table_of(300))
    after = merged(disk, before, {10: None}, block_size=10 * BLOCK_SIZE)
    assert dict(contents(disk, after)) == {key: each for key, each in table_of(300).items() if key != 10}
