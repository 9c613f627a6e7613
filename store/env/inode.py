"""The content of one file in memory: what is on disk, what is on its way, and what may become of that in a crash.

Laws: changes are kept in their order and each has its own fate. A write whose sync failed is forgotten as the
Linux page cache forgets it: no later sync saves it, though it may have reached the disk. A cut is not: it is in the
file system's journal, which tries again or gives up for good. A sector that was not
written holds what it held, or, where the file had not been, zeros or what was there before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

SECTOR_SIZE: Final = 512
"""Bytes a disk writes whole or not at all."""


class State(Enum):
    """How far a change has come."""

    DIRTY = 1
    FORGOTTEN = 2
    DURABLE = 3


@dataclass
class Change:
    """A write of `data` at `position`, or, where `data` is None, a cut to `position` bytes."""

    position: int
    data: bytes | None
    state: State = State.DIRTY


@dataclass(frozen=True)
class Outcome:
    """What becomes of one change that was not synced."""

    kept: Callable[[int], bool]
    """Whether the change's n-th sector reached the disk; of a cut, whether the first did."""
    cut: Callable[[int], int]
    """Of so many bytes, how many at most reached the disk."""
    grows: bool = False
    """Whether the size was recorded although the content was not."""
    stale: bytes = b""
    """What sectors that were never written hold then, repeated; zeros if empty."""

    @staticmethod
    def keep() -> "Outcome":
        """All of it reached the disk."""
        return Outcome(lambda _: True, lambda size: size)

    @staticmethod
    def drop() -> "Outcome":
        """Nothing of it did."""
        return Outcome(lambda _: False, lambda _: 0)


def choose(below: Callable[[int], int]) -> Outcome:
    """One of all the fates a change can have, as `below(count)` falls."""
    fate = below(6)
    if fate == 0:
        return Outcome.keep()
    if fate == 1:
        return Outcome.drop()
    if fate == 2:
        return Outcome(lambda _: True, lambda size: below(size + 1))
    mask = below(1 << 30)
    stale = b"" if fate < 5 else mask.to_bytes(8, "little")
    return Outcome(lambda sector: bool(mask >> sector % 30 & 1), lambda size: size, grows=fate > 3, stale=stale)


class Inode:
    """One file's content. `content` is what a read sees; the rest is what a crash may leave of it."""

    def __init__(self, number: int, content: bytes = b"") -> None:
        self.number = number
        self.content = bytearray(content)
        self._base = bytearray(content)
        self._changes: list[Change] = []

    def write(self, position: int, data: bytes) -> None:
        """Change the content; durable after `sync`."""
        self._change(Change(position, bytes(data)))

    def truncate(self, size: int) -> None:
        """Cut, or lengthen with zeros; durable after `sync`."""
        self._change(Change(size, None))

    def flip(self, bit: int) -> None:
        """Turn one bit over, durably."""
        byte = bit // 8
        change = Change(byte, bytes((self.content[byte] ^ 1 << bit % 8,)), State.DURABLE)
        self._change(change)

    def sync(self) -> None:
        """All changes are durable, but for the forgotten."""
        for change in self._changes:
            if change.state is State.DIRTY:
                change.state = State.DURABLE
        while self._changes and self._changes[0].state is State.DURABLE:
            _apply(self._base, self._changes.pop(0), Outcome.keep())

    def forget_dirty(self) -> None:
        """A sync failed: whether these writes are on disk is not known and will not be. Cuts are the journal's."""
        for change in self._changes:
            if change.state is State.DIRTY and change.data is not None:
                change.state = State.FORGOTTEN

    def crashed(self, outcome: Callable[[], Outcome]) -> bytes:
        """The content after a crash; `outcome` is asked once for each change that is not durable."""
        content = bytearray(self._base)
        for change in self._changes:
            _apply(content, change, Outcome.keep() if change.state is State.DURABLE else outcome())
        return bytes(content)

    def _change(self, change: Change) -> None:
        _apply(self.content, change, Outcome.keep())
        self._changes.append(change)


def _apply(content: bytearray, change: Change, outcome: Outcome) -> None:
    if change.data is None:
        if outcome.kept(0) and outcome.cut(1):
            _resize(content, change.position)
        return
    data = change.data[: outcome.cut(len(change.data))]
    position = change.position
    if outcome.grows and len(content) < position + len(data):
        _resize(content, position + len(data), outcome.stale)
    begin = 0
    while begin < len(data):
        sector = (position + begin) // SECTOR_SIZE
        end = min(len(data), (sector + 1) * SECTOR_SIZE - position)
        if outcome.kept(sector):
            if len(content) < position + begin:
                _resize(content, position + begin)
            content[position + begin : position + end] = data[begin:end]
        begin = end


def _resize(content: bytearray, size: int, stale: bytes = b"") -> None:
    if size <= len(content):
        del content[size:]
    elif stale:
        content.extend((stale * ((size - len(content)) // len(stale) + 1))[: size - len(content)])
    else:
        content.extend(bytes(size - len(content)))
