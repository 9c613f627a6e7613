"""Random numbers that a replay draws again: SHA-256 in counter mode, a generator that is ours to keep stable.

Block n of a call's stream is SHA-256(seed ‖ n as 8 bytes, little-endian); the seed is BLAKE2b-256 of the call's offset,
keyed with the 16 secret bytes of its batch. Numbers are taken from the blocks in order.
"""

import hashlib
from collections.abc import MutableSequence, Sequence
from typing import Final, TypeVar

from store.ids import Offset, Timestamp

Item = TypeVar("Item")


def call_seed(batch_seed: bytes, offset: Offset) -> bytes:
    """The seed of one call: unknown to anyone who has not read the log."""
    return hashlib.blake2b(offset.to_bytes(8, "little"), key=batch_seed, digest_size=32).digest()


class Random:
    """One call's dice. The same call draws the same numbers, live and when it is run again."""

    __slots__ = ("_counter", "_left", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed: Final = seed
        self._counter = 0
        self._left = b""

    def bytes(self, count: int) -> bytes:
        """`count` random bytes."""
        while len(self._left) < count:
            self._left += hashlib.sha256(self._seed + self._counter.to_bytes(8, "little")).digest()
            self._counter += 1
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def integer(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included, all equally likely. ValueError if there is none."""
        if low > high:
            raise ValueError(f"expected low <= high, found {low} > {high}")
        span = high - low + 1
        size = (span.bit_length() + 7) // 8
        fair = (1 << 8 * size) // span * span
        while (drawn := int.from_bytes(self.bytes(size), "little")) >= fair:
            pass
        return low + drawn % span

    def random(self) -> float:
        """A float in [0, 1), a multiple of 2^-53."""
        return (int.from_bytes(self.bytes(7), "little") >> 3) / (1 << 53)

    def choice(self, items: Sequence[Item]) -> Item:
        """One of the items. ValueError if there is none."""
        return items[self.integer(0, len(items) - 1)]

    def shuffle(self, items: MutableSequence[Item]) -> None:
        """Bring the items into a random order, in place (Fisher-Yates)."""
        for last in range(len(items) - 1, 0, -1):
            other = self.integer(0, last)
            items[last], items[other] = items[other], items[last]


def new_id(random: Random, timestamp: Timestamp) -> str:
    """A UUID of version 7 (RFC 9562 §5.7): sortable by time, its random bits from the call's dice."""
    number = (timestamp // 1000) << 80 | int.from_bytes(random.bytes(10), "little")
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
