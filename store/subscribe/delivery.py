"""What a delivery is, and whom it is for.

Laws: a delivery is one recipient's share of what a subscription begins with. It goes on in steps, none of which takes
long, and says after each what it waits for.
"""

from enum import Enum
from typing import Protocol

from store.errors import CallError
from store.ids import Offset
from store.query.live import LiveQuery
from store.subscribe.broadcast import Listener
from store.subscribe.encoding import Encoding
from store.subscribe.messages import Anew
from store.subscribe.missed import Piece


class Recipient(Listener, Protocol):
    """A session, as seen from here."""

    encoding: Encoding

    def tell(self, message: bytes) -> None:
        """Take one encoded message, to be let out when all so far is durable. Must not raise."""
        ...

    def has_room(self) -> bool:
        """Whether it has read so much that more may be told."""
        ...

    def begin(
        self, query: LiveQuery, offset: Offset, rows: bytes, *, resumed: bool, more: bool, anew: Anew | None = None
    ) -> None:
        """Say Subscribed; `anew` says why where it has asked to resume and does not. Must not raise."""
        ...

    def refuse(self, query: LiveQuery, error: CallError) -> None:
        """End a subscription with an error. Must not raise."""
        ...


class State(Enum):
    """What a delivery came to in one step."""

    GOING = "there is more to do"
    WAITING = "it must wait for its reader, or for its turn"
    ASKED = "it waits for what it asked of the log"
    DONE = "all was told"


class Delivery(Protocol):
    """One recipient's share."""

    recipient: Recipient
    query: LiveQuery
    ended: bool
    """It is wanted no more."""

    @property
    def started(self) -> bool:
        """Subscribed was said."""
        ...

    def advance(self) -> State:
        """Do a little. A CallError ends the subscription with it."""
        ...

    def close(self) -> None:
        """Let go what it holds."""
        ...


class Asker(Delivery, Protocol):
    """One who waits for a piece of the log."""

    given: Piece | None
    """What it asked for: let go only when it is taken."""
