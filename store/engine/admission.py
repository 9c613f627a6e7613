"""Whether calls are taken at all right now.

Laws: calls are refused before anything can fail, and taken again when the reason is gone. Reads always go on.
"""

from typing import Final

from store.errors import Overloaded

CLOCK: Final = "clock"
"""The reason while the wall clock is in doubt."""


class Admission:
    """Why calls are refused now, by reason; empty while they are taken."""

    __slots__ = ("allowance", "reasons", "refused")

    def __init__(self, allowance: int) -> None:
        self.allowance = allowance
        """Bytes of records that may wait for one sync: what RAM and the disk's free space can bear."""
        self.reasons: Final[dict[str, str]] = {}
        self.refused: Final[dict[str, int]] = {}
        """How many calls were refused, by reason, since the start."""

    @property
    def doubts_clock(self) -> bool:
        """Whether the wall clock is not to be believed now."""
        return CLOCK in self.reasons

    def close(self, reason: str, message: str) -> None:
        """Refuse calls for this reason from now on."""
        self.reasons[reason] = message

    def open(self, reason: str) -> None:
        """This reason is gone."""
        self.reasons.pop(reason, None)

    def check(self, waiting: int) -> None:
        """Raise Overloaded where there is a reason to. `waiting`: bytes of records that wait for the next sync."""
        for reason, message in self.reasons.items():
            self.refused[reason] = self.refused.get(reason, 0) + 1
            raise Overloaded(message, details={"reason": reason})
        if waiting > self.allowance:
            self.refused["group"] = self.refused.get("group", 0) + 1
            raise Overloaded(
                f"{waiting} bytes of records wait for the disk, at most {self.allowance} may",
                hint="Call again when you have these answers",
                details={"reason": "group"},
            )
