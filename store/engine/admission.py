"""Whether calls are taken at all right now.

Laws: calls are refused before anything can fail, and taken again when the reason is gone. Reads always go on.
"""

from typing import Final

from store.errors import Overloaded


class Admission:
    """Why calls are refused now, by reason; empty while they are taken."""

    __slots__ = ("reasons", "refused")

    def __init__(self) -> None:
        self.reasons: Final[dict[str, str]] = {}
        self.refused: Final[dict[str, int]] = {}
        """How many calls were refused, by reason, since the start."""

    def close(self, reason: str, message: str) -> None:
        """Refuse calls for this reason from now on."""
        self.reasons[reason] = message

    def open(self, reason: str) -> None:
        """This reason is gone."""
        self.reasons.pop(reason, None)

    def check(self) -> None:
        """Raise Overloaded where there is a reason to."""
        for reason, message in self.reasons.items():
            self.refused[reason] = self.refused.get(reason, 0) + 1
            raise Overloaded(message, details={"reason": reason})
