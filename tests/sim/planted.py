"""Where a test may plant a defect around the store. By default nothing is planted."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from store.engine.engine import Engine
from store.engine.feed import Feed
from store.env.memory import MemoryDisk
from store.env.world import Disk
from store.subscribe.session import Session
from store.subscribe.subscriptions import Subscriptions
from store.upkeep.making import Restored
from store.upkeep.ranges import Moment

Restoring = Callable[[MemoryDisk, Moment], Restored]


def _same(it: Any) -> Any:
    return it


@dataclass(frozen=True)
class Planted:
    """Each is called with what is there, and gives what is used instead, or does something to it."""

    always: Callable[[], AbstractContextManager[object]] = nullcontext
    """Holds for the whole history."""
    disk: Callable[[MemoryDisk], Disk] = _same
    """Stands between the store and its disk."""
    feed: Callable[[Engine], Feed] = lambda engine: engine.feed
    """What the replies of clients without a session are held in."""
    opened: Callable[[Engine], None] = lambda _: None
    """Done to every engine right after it was opened."""
    session: Callable[[Session], None] = lambda _: None
    """Done to every session before its first frame."""
    subscriptions: Callable[[Subscriptions], None] = lambda _: None
    """Done to the subscriptions of every engine."""
    beside: Callable[[], AbstractContextManager[object]] = nullcontext
    """Holds while another process works on the directory."""
    beside_disk: Callable[[MemoryDisk], Disk] = _same
    """Stands between such a process and its disk."""
    restore: "Callable[[Restoring, MemoryDisk, Moment], Restored]" = lambda restore, into, moment: restore(into, moment)
    """Restores a moment into a disk, by what really does it."""
