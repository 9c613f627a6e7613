"""How far back what was missed can be told; and where it cannot, why, in numbers.

Laws: who asks to resume is answered with what it missed, or with rows and the reason for them. A reason names what was
asked, where the store is, from where on it can tell, and the limit that was passed, if it was one.
"""

from typing import Any, Final

from store.engine.engine import Engine
from store.ids import Offset
from store.subscribe.messages import ASKED_EPOCH_MAX, FOREIGN_EPOCH, FUTURE, NOT_RESUMABLE, PAST_HORIZON, Anew
from store.subscribe.missed import Backlog


class Horizon:
    """What one engine can tell of its past. `transactions_max` is how many may have been missed."""

    def __init__(self, engine: Engine, backlog: Backlog[Any], *, transactions_max: int) -> None:
        self._engine: Final = engine
        self._backlog: Final = backlog
        self._transactions_max: Final = transactions_max

    @property
    def newest(self) -> Offset:
        """Where the tables are."""
        return self._engine.write_path.last_offset

    @property
    def oldest(self) -> Offset:
        """From here on what was missed is told, as far as is known."""
        return max(Offset(self.newest - self._transactions_max), self._backlog.lost_through, Offset(0))

    def check(self, epoch: str, after: Offset) -> Anew | None:
        """Why what came after an offset of an epoch cannot be told; None where it can, as far as is known."""
        if epoch != self._engine.epoch.hex():
            why = "that epoch is another history, whose offsets mean nothing here" if epoch else "no epoch was named"
            return self._anew(FOREIGN_EPOCH, why, epoch, after)
        if after > self.newest:
            return self._anew(FUTURE, "that offset is still to come", epoch, after)
        if self.newest - after > self._transactions_max:
            limit = "resume_transactions_max"
            why = f"{self.newest - after} transactions were missed, at most {self._transactions_max} are told ({limit})"
            return self._anew(PAST_HORIZON, why, epoch, after, limit)
        return self.gone(after) if self._backlog.lost(Offset(after + 1)) else None

    def gone(self, after: Offset) -> Anew:
        """The log was let go, or cannot be read, behind an offset."""
        why = "the log that follows it is not there any more"
        return self._anew(PAST_HORIZON, why, self._engine.epoch.hex(), after)

    def unable(self, after: Offset, why: str, limit: str = "") -> Anew:
        """What was missed is known, but cannot be said of this query, or costs too much: a clause that says why."""
        return self._anew(NOT_RESUMABLE, why, self._engine.epoch.hex(), after, limit)

    def _anew(self, reason: str, why: str, epoch: str, after: Offset, limit: str = "") -> Anew:
        here, newest, oldest, epoch = self._engine.epoch.hex(), self.newest, self.oldest, epoch[:ASKED_EPOCH_MAX]
        message = (
            f"{why}: asked for what came after offset {after} of epoch {epoch or '(none)'}; the store is at offset"
            f" {newest} of epoch {here}, and tells what came after offset {oldest} or later. The rows are sent anew"
        )
        return Anew(reason, message, epoch, after, here, newest, oldest, limit)
