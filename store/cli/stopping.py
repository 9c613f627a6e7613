"""How a command that goes on until it is told to end is told: by a signal, at any moment."""

import queue
import signal
from contextlib import suppress
from typing import Final


class Stop:
    """Whether SIGTERM or SIGINT came; made on the main thread, which takes them from then on.

    A handler runs between two steps of the very thread that waits. An Event would hold the lock there that its `set`
    wants, and nobody would ever go on; a SimpleQueue's `put` may be called amid its `get` (library/queue, "reentrant").
    """

    def __init__(self) -> None:
        self.asked = False
        """Whether to end."""
        self._words: Final[queue.SimpleQueue[None]] = queue.SimpleQueue()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: self.ask())

    def ask(self) -> None:
        """End soon."""
        self.asked = True
        self._words.put(None)

    def wait(self, seconds: float) -> None:
        """Wait, but not once it is asked."""
        if not self.asked:
            with suppress(queue.Empty):
                self._words.get(timeout=seconds)
