"""What is told, and when: nothing leaves before everything it may rest on is durable.

Laws: whatever a client is told (results, refusals, reads, deltas) is held here and released in the order in which it
was held. Followers see every transaction once, in offset order, with the tables at exactly that offset.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from store.codec import decode_transaction
from store.engine.newest import Newest
from store.ids import Offset
from store.transaction import Transaction


class Receiver(Protocol):
    """Somebody who is told: a session, or a request that waits."""

    held: list[Any]
    """What waits for it; the feed's to empty. A receiver that holds much may do what `Feed.hold` does by itself."""

    def prepare(self, parts: list[Any]) -> Any:
        """Make of `parts` what is let out, while the disk works; nothing leaves yet. Must not raise."""
        ...

    def release(self, prepared: Any) -> None:
        """Everything in what was prepared is durable: let it out, in order. Must not raise."""
        ...


class Follower(Protocol):
    """Somebody who looks at every transaction right after it was applied."""

    def evaluate(self, transaction: Transaction) -> None:
        """See one transaction; what follows from it for others goes through `Feed.hold`. Must not raise."""
        ...


Sealed = list[tuple[Receiver, list[Any]]]
"""What goes with one sync: each receiver and its parts, in the order in which they were first told."""

Prepared = list[tuple[Receiver, Any]]
"""The same, as the receivers made it ready."""


class Feed:
    """Holds what waits for durability, and the newest part of the log for those who come back."""

    def __init__(self, newest: Newest) -> None:
        self.receivers: Final[list[Receiver]] = []
        """Those that something is held for, in the order in which they were first told."""
        self.followers: list[Follower] = []
        """A list that never changes: who comes or goes while a transaction is evaluated disturbs no other."""
        self.newest: Final = newest

    @property
    def waiting(self) -> int:
        """How many receivers something is held for."""
        return len(self.receivers)

    def follow(self, follower: Follower) -> None:
        """From the next transaction on, this follower sees each."""
        self.followers = [*self.followers, follower]

    def unfollow(self, follower: Follower) -> None:
        """The follower sees no more."""
        self.followers = [each for each in self.followers if each is not follower]

    def hold(self, receiver: Receiver, part: Any) -> None:
        """Keep a part for a receiver until all that is appended by now is durable."""
        if not receiver.held:
            self.receivers.append(receiver)
        receiver.held.append(part)

    def forget(self, receiver: Receiver) -> None:
        """The receiver is gone: drop what is held for it and not yet on its way."""
        if receiver.held:
            receiver.held = []
            self.receivers.remove(receiver)

    def seal(self) -> Sealed:
        """Hand out what the sync that begins now will make tellable."""
        sealed: Sealed = []
        for receiver in self.receivers:
            sealed.append((receiver, receiver.held))
            receiver.held = []
        self.receivers.clear()
        return sealed

    def prepare(self, sealed: Sealed) -> Prepared:
        """Make ready what was sealed."""
        return [(receiver, receiver.prepare(parts)) for receiver, parts in sealed]

    def publish(self, prepared: Prepared) -> None:
        """Release what was sealed and prepared: it is durable."""
        for receiver, ready in prepared:
            receiver.release(ready)

    def tail(self, after: Offset) -> Sequence[Transaction] | None:
        """The transactions after an offset, or None where the tail does not reach back, or that offset is to come."""
        records = self.newest.since(Offset(after + 1))
        return None if records is None else [decode_transaction(record) for record in records]
