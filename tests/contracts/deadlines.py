"""A deadline's attributes, as whoever runs a reducer writes them."""

from store.env.world import Deadline


def start(deadline: Deadline) -> None:
    """A run begins."""
    deadline.runs += 1
    deadline.running = True
    if not deadline.armed:
        deadline.arm()


def stop(deadline: Deadline) -> None:
    """It ends."""
    deadline.running = False
