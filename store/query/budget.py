"""How much one query may still look at, and how long it may take.

Laws: rows are counted before they are looked at; the clock is read once for ROWS_A_LOOK of them, and for STEPS_A_LOOK
that the values of one row take: a row may cost a microsecond or minutes. A query runs on one thread, to its end. One
that is followed has steps instead of a time: whether it ends must not hang on how busy the machine is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Protocol

from store.query.options import Options
from store.query.problems import exceeded

ROWS_A_LOOK: Final = 8
"""Rows between two looks at the clock."""
STEPS_A_LOOK: Final = 5_000_000
"""Steps of about a nanosecond between two looks at the clock."""
FOLLOWED_STEPS_MAX: Final = 200_000_000
"""Steps of about a nanosecond that a followed query may take for what one transaction changed in it, or for a piece of
its rows: every call waits for it."""
_HINT: Final = "Ask for less, with WHERE on the key or an indexed column; EXPLAIN says what a query looks at"


class _Worker(Protocol):
    """Who counts steps."""

    def work(self, steps: int) -> None:
        """So many are taken next. Overloaded where they are too many."""
        ...


_running: list[_Worker] = []
"""That of the query that runs now, where one does: functions of values know no query."""


def work(steps: int) -> None:
    """Say that the next function takes so many steps. Overloaded where a query runs and has taken too long."""
    if _running:
        _running[-1].work(steps)


class Budget:
    """The bounds of one run of a query, counted down."""

    __slots__ = ("_clock", "_deadline", "_next_look", "_steps", "examined", "options")

    def __init__(self, options: Options, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that only rise."""
        self.options: Final = options
        self._clock: Final = clock
        self._deadline: Final = clock() + options.time_max_ms / 1_000
        self._next_look = ROWS_A_LOOK
        self._steps = 0
        self.examined = 0
        """Rows looked at so far."""

    def spend(self, rows: int = 1) -> None:
        """Count rows that are about to be looked at. Overloaded where the query is past a bound."""
        self.examined += rows
        if self.examined > self.options.rows_examined_max:
            limit = self.options.rows_examined_max
            exceeded("query_rows_examined_max", f"the query looks at more than {limit} rows", hint=_HINT)
        if self.examined >= self._next_look:
            self._next_look = self.examined + ROWS_A_LOOK
            self.check_time()

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the query runs."""
        _running.append(self)
        try:
            yield
        finally:
            _running.pop()

    def work(self, steps: int) -> None:
        """Count what a value of a row takes. Overloaded where the query has taken too long."""
        self._steps += steps
        if self._steps >= STEPS_A_LOOK:
            self._steps = 0
            self.check_time()

    def check_time(self) -> None:
        """Overloaded where the query has taken too long."""
        if self._clock() > self._deadline:
            limit = self.options.time_max_ms
            exceeded("query_time_max_ms", f"the query took over {limit} ms, for {self.examined} rows", hint=_HINT)

    def returned(self, rows: int) -> None:
        """Overloaded where a query returns too many rows."""
        if rows > self.options.rows_returned_max:
            limit = self.options.rows_returned_max
            exceeded(
                "query_rows_returned_max",
                f"the query returns more than {limit} rows",
                hint="Ask page by page, with LIMIT",
            )


class _FollowedSteps:
    """The steps of a followed query, anew each time it is entered."""

    def __init__(self) -> None:
        self._left = 0

    def __enter__(self) -> None:
        self._left = FOLLOWED_STEPS_MAX
        _running.append(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _running.pop()

    def work(self, steps: int) -> None:
        """Count what a value of a row takes. Overloaded where there are none left."""
        self._left -= steps
        if self._left < 0:
            exceeded(
                "followed_steps_max",
                f"the query takes more than {FOLLOWED_STEPS_MAX} steps for the rows that it is asked about at once",
                hint="Follow less: fewer LIKEs and JSON operations on large values, or an indexed column before them",
            )


FOLLOWED_STEPS: Final = _FollowedSteps()
"""`with FOLLOWED_STEPS:` around what a followed query does at once."""
