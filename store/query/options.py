"""The bounds of queries. The sessions' options set them, and say what each is for."""

from dataclasses import dataclass
from typing import Final

ROWS_EXAMINED_MAX: Final = 5_000_000
ROWS_RETURNED_MAX: Final = 1_000_000
TIME_MAX_MS: Final = 1_000
FOLLOWED_ROWS_MAX: Final = 10_000
FOLLOWED_GROUPS_MAX: Final = 10_000
FOLLOWED_VALUES_MAX: Final = 4_000_000


@dataclass(frozen=True)
class Options:
    """The bounds of one query that is asked once."""

    rows_examined_max: int = ROWS_EXAMINED_MAX
    """Rows it may look at, those it joins and groups included."""
    rows_returned_max: int = ROWS_RETURNED_MAX
    """Rows it may return."""
    time_max_ms: int = TIME_MAX_MS
    """Milliseconds it may take."""


@dataclass(frozen=True)
class Followed:
    """The bounds of queries that are followed."""

    rows_max: int = FOLLOWED_ROWS_MAX
    """What LIMIT and OFFSET may come to."""
    groups_max: int = FOLLOWED_GROUPS_MAX
    """Groups of one query."""
