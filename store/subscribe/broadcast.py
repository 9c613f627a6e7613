"""One delta for many sessions, held once.

Laws: a session hears everything in the order in which it was told. So a broadcast takes a delta only while none of its
sessions has anything held for itself, and was told nothing by another broadcast since this one began to hold; else the
delta goes to each session by itself. What is held here is small, and cut from nobody's bound: it is there once.
"""

from collections.abc import Iterable
from typing import Any, Final, Protocol

from store.engine.feed import Receiver
from store.subscribe.frames import Framed, Frames

BROADCAST_MIN: Final = 8
"""Sessions from which a delta is held once for all of them."""
HELD_SIZE_MAX: Final = 256 << 10
"""Bytes that one broadcast holds at most; more is held by each session, within its bounds."""


class Listener(Protocol):
    """A session, as seen from here."""

    held: list[bytes]
    broadcast: "Broadcast | None"
    """The one that told it something last."""

    def send(self, payloads: list[bytes], size: int, count: int) -> None:
        """Let frames out at once: `count` messages of `size` bytes, all durable. Must not raise."""
        ...


class Broadcast:
    """The sessions that follow one query in one subprotocol; a Receiver of the feed for all of them."""

    __slots__ = ("_frames", "_listeners", "_receivers", "_size", "held")

    def __init__(self, listeners: Iterable[Listener], frames: Frames, receivers: list[Receiver]) -> None:
        self.held: list[Any] = []
        self._listeners: Final = tuple(listeners)
        self._frames: Final = frames
        self._receivers: Final = receivers
        self._size = 0

    def take(self, delta: bytes) -> bool:
        """Hold a delta for all; False where each must hold it by itself."""
        if not self.held:
            for each in self._listeners:
                if each.held:
                    return False
            for each in self._listeners:
                each.broadcast = self
            self._receivers.append(self)
            self._size = 0
        else:
            for each in self._listeners:
                if each.held or each.broadcast is not self:
                    return False
        self._size += len(delta)
        if self._size > HELD_SIZE_MAX and self.held:
            return False
        self.held.append(delta)
        return True

    def prepare(self, parts: list[bytes]) -> Framed:
        """What was held, as frames (Receiver)."""
        return self._frames.of(parts)

    def release(self, prepared: Framed) -> None:
        """Let it out to all: it is durable (Receiver)."""
        payloads, size, count = prepared
        for each in self._listeners:
            each.send(payloads, size, count)
