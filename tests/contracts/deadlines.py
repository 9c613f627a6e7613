"""A deadline's attributes, as whoever runs a reducer writes them."""

from itertools import count
from typing import Final

from store.env.world import Deadline

_NUMBERS: Final = count(1)


def start(deadline: Deadline) -> None:
    """A run begins."""
    deadline.running = next(_NUMBERS)
    if not deadline.armed:
        deadline.arm()


def stop(deadline: Deadline) -> None:
    """It ends."""
    deadline.running = 0
