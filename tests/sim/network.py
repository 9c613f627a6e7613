"""The network between agents and the store: connections with frames under way, in order, late, or never.

Laws: no frame is changed, or overtakes another: TCP and WebSocket see to that. What was transmitted may arrive even
after the store has died. One end may know that a connection is gone long before the other.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from store.ids import Timestamp
from store.subscribe.session import Session

TAKES: Final = 500
"""Bytes that the network takes before it makes the store wait."""


class Link:
    """One connection. The store's end is a Wire, as its session needs it."""

    def __init__(
        self, name: str, since: Timestamp, told: Callable[["Link", int], None], closed: Callable[[int], None]
    ) -> None:
        self.name: Final = name
        """The agent's."""
        self.since: Final = since
        self.up: Final[deque[bytes]] = deque()
        self.down: Final[deque[bytes]] = deque()
        self.session: Session | None = None
        """None once the store's end is gone."""
        self._told = told
        self._closed = closed

    # The store's end.

    def transmit(self, payload: bytes) -> int:
        """Take a frame; returns the bytes that the network has not taken."""
        assert self.session is not None
        self.down.append(payload)
        self._told(self, len(payload))
        return self.unsent_bytes()

    def unsent_bytes(self) -> int:
        """Bytes transmitted that the network has not taken."""
        return max(sum(map(len, self.down)) - TAKES, 0)

    def close(self, code: int, reason: str) -> None:  # noqa: ARG002  # Nobody reads it here.
        """The session has cut the client off; what it told before may still arrive."""
        assert self.session is not None
        self.session = None
        self.up.clear()
        self._closed(code)

    def arrive(self, count: int) -> None:
        """Let so many frames arrive at the store."""
        for _ in range(count):
            if self.session is None or not self.up:
                return
            self.session.receive(self.up.popleft(), text=False)

    def break_at_store(self, lost: int) -> None:
        """The store has noticed that the client is gone; the last frames to it are lost."""
        if self.session is not None:
            self.session.detach()
        self.die(lost)

    def die(self, lost: int) -> None:
        """The store's end is gone."""
        self.session = None
        self.up.clear()
        for _ in range(min(lost, len(self.down))):
            self.down.pop()
