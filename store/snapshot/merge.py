"""One table's blocks and what changed since, made into its blocks of now.

Laws: a block in which nothing changes is used as it is; one whose key range nothing touches is not even read. One block
at a time is in RAM, beside the changes. Blocks have from a quarter of the block size to twice of it, whatever comes and
goes: more only where a single row is as large, less only the last one of a table.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from store.ids import Key, TableId
from store.snapshot.format import BlockRef
from store.snapshot.repository import Repository

SMALL: Final = 4
"""A block below the block size by this factor is joined with its neighbour."""
SLICE: Final = 1 << 12
"""Rows taken at a time from changes that lie behind the last block."""


def merge(
    repository: Repository,
    base: Sequence[BlockRef],
    changes: Mapping[Key, bytes | None],
    table: TableId,
    block_size: int,
) -> tuple[BlockRef, ...]:
    """Write what changed and return the table's blocks; None among the changes is a row that went.

    CorruptionError: a block that is needed does not hold. OSError: the disk failed or is full.
    """
    return tuple(_Merging(repository, table, block_size).blocks(base, changes))


class _Merging:
    """The rows that are not in a block yet, by rising key: fewer than make two blocks, whenever a block is read."""

    def __init__(self, repository: Repository, table: TableId, block_size: int) -> None:
        self._repository: Final = repository
        self._table: Final = table
        self._block_size: Final = block_size
        self._keys: list[Any] = []
        self._rows: list[bytes] = []
        self._size = 0

    def blocks(self, base: Sequence[BlockRef], changes: Mapping[Key, bytes | None]) -> Iterator[BlockRef]:
        """The blocks of now, by rising key."""
        order: list[Any] = sorted(changes)
        begin = 0
        for place, ref in enumerate(base):
            # A change belongs to the block it lies in, or to the one before it: what comes behind all is the last's.
            end = bisect_left(order, base[place + 1].first, begin) if place + 1 < len(base) else len(order)
            touched = order[begin:end]
            begin = end
            merged = None if self._is_untouched(ref, touched, changes) else self._merge(ref, touched, changes)
            if merged is None:
                yield from self._flush()
                yield ref
            else:
                yield from self._append(*merged)
        for at in range(begin, len(order), SLICE):
            yield from self._append(*_present(order[at : at + SLICE], changes))
        yield from self._flush()

    def _must_join(self) -> bool:
        """Whether what is left over is too small to stand alone, so that the next block takes it in."""
        return 0 < self._size < self._block_size // SMALL

    def _is_untouched(self, ref: BlockRef, touched: Sequence[Any], changes: Mapping[Key, bytes | None]) -> bool:
        """Whether a block may stay unread. A row that came and went since lies nowhere, and touches nothing."""
        return not self._must_join() and all(
            changes[key] is None and not ref.first <= key <= ref.last for key in touched
        )

    def _merge(
        self, ref: BlockRef, touched: Sequence[Any], changes: Mapping[Key, bytes | None]
    ) -> tuple[Sequence[Any], Sequence[bytes]] | None:
        """A block's keys and rows with its changes; None where it is as it was after all, and may stay."""
        keys, rows = self._repository.block(ref)
        merged: dict[Any, bytes] = dict(zip(keys, rows, strict=True))
        before = len(merged)
        differs = False
        for key in touched:
            after, found = changes[key], merged.get(key)
            differs = differs or after != found
            if after is not None:
                merged[key] = after
            elif found is not None:
                del merged[key]
                before -= 1
        if not differs and not self._must_join():
            return None
        if len(merged) > before:  # Rows came: they lie behind all others until they are put in their place.
            merged = {key: merged[key] for key in sorted(merged)}
        return list(merged), list(merged.values())

    def _append(self, keys: Sequence[Any], rows: Sequence[bytes]) -> Iterator[BlockRef]:
        """Take in rows behind those there are, and put all but what makes two blocks."""
        self._keys += keys
        self._rows += rows
        self._size += sum(map(len, rows))
        if self._size <= 2 * self._block_size:
            return
        ends = list(accumulate(map(len, self._rows)))  # Behind each row: bytes of all rows up to it.
        begin, done = 0, 0
        while ends[-1] - done > 2 * self._block_size:
            end = bisect_left(ends, done + self._block_size, begin) + 1
            yield self._put(begin, end)
            begin, done = end, ends[end - 1]
        del self._keys[:begin], self._rows[:begin]
        self._size -= done

    def _flush(self) -> Iterator[BlockRef]:
        """What is left over, as a block of its own."""
        if self._rows:
            yield self._put(0, len(self._rows))
            self._keys, self._rows, self._size = [], [], 0

    def _put(self, begin: int, end: int) -> BlockRef:
        return self._repository.put_block(self._keys[begin:end], self._rows[begin:end], self._table)


def _present(keys: Sequence[Any], changes: Mapping[Key, bytes | None]) -> tuple[list[Any], list[bytes]]:
    """The keys under which there is a row, and the rows."""
    there = [(key, row) for key in keys if (row := changes[key]) is not None]
    return [key for key, _ in there], [row for _, row in there]
