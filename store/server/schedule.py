"""When something is due that comes again and again."""

from typing import Final

RETRY_MIN_S: Final = 60.0
"""Seconds after which a push that failed is tried again; each time twice as long, up to its interval."""


class Schedule:
    """When something is due that comes again and again; never where its interval is 0."""

    def __init__(self, interval_s: float, first_s: float, now: float) -> None:
        self._interval_s: Final = interval_s
        self._at = now + min(interval_s, first_s)
        self._failures = 0
        self._running = False

    def due(self, now: float) -> bool:
        """Whether it is to be done now; then it counts as begun until `done`."""
        if not self._interval_s or self._running or now < self._at:
            return False
        self._running = True
        return True

    def done(self, now: float, *, ok: bool) -> None:
        """It was; after a failure the next time comes sooner, and later again with every further one."""
        self._running = False
        self._failures = 0 if ok else self._failures + 1
        retry = RETRY_MIN_S * 2 ** min(self._failures - 1, 16) if self._failures else self._interval_s
        self._at = now + min(retry, self._interval_s or retry)
