"""Clients that call without a session, as over HTTP: what each sent, and what it was told.

Laws: a client never gives up: it repeats what it has no answer to under the same sequence or key, and acknowledges what
it has.
"""

from typing import TYPE_CHECKING

from store.engine.identity import SCOPES, Caller, Identity
from store.ids import ClientId, ConnectionId, Offset
from tests.sim.observation import Reply, Sent, Told

if TYPE_CHECKING:
    from tests.sim.target import Target

Part = tuple[Sent | None, Reply | None, Offset]


class Client:
    """One of them; a Receiver of the feed."""

    def __init__(self, target: "Target", number: int) -> None:
        self._target = target
        self.number = number
        self.name = f"c{number}"
        self.held: list[Part] = []
        self.sequence = 0
        self.acknowledged = 0
        self.open: dict[int, Sent] = {}
        """Sent, and not answered."""
        self.answered: dict[int, Sent] = {}
        """Answered under a sequence, and not acknowledged."""
        self.sent_at: dict[int, int] = {}
        """By number: when a call was first sent, by the clock or the newest record, whichever was ahead."""

    def caller(self) -> Caller:
        """A new connection."""
        caller = Caller(Identity("sim", f"client {self.number % 3}", SCOPES), ConnectionId(self.number + 1), "sim")
        caller.client = ClientId(self.name)
        return caller

    def prepare(self, parts: list[Part]) -> list[Part]:
        """As it is."""
        return parts

    def release(self, parts: list[Part]) -> None:
        """Be told."""
        for sent, reply, rests_on in parts:
            self._target.observe(Told(sent, reply, rests_on, self._target.survives()))
            if sent is not None:
                self.open.pop(sent.number, None)
                if sent.sequence and sent.number in self.sent_at:
                    self.answered[sent.number] = sent

    def give_up(self, before: int) -> None:
        """Forget calls that are so old that the store may have forgotten them, too."""
        old = {number for number, moment in self.sent_at.items() if moment < before}
        for each in (self.open, self.answered, self.sent_at):
            for number in old & each.keys():
                del each[number]

    def acknowledge(self) -> int:
        """Up to where every sequence has its answer; now and then, so that windows hold something."""
        unanswered = [each.sequence for each in self.open.values() if each.sequence]
        upto = min(unanswered, default=self.sequence + 1) - 1
        if upto - self.acknowledged > 5:
            self.acknowledged = upto
            self.answered = {number: each for number, each in self.answered.items() if each.sequence > upto}
        return self.acknowledged
