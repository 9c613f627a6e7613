"""How much one query may still look at, and how long it may take.

Laws: rows are counted before they are looked at; the clock is read once for ROWS_A_LOOK of them, and for STEPS_A_LOOK
that the values of one row take: a row may cost a microsecond or minutes. A query runs on one thread, to its end.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from store.query.options import Options
from store.query.problems import exceeded

ROWS_A_LOOK: Final = 8
"""Rows between two looks at the clock."""
STEPS_A_LOOK: Final = 5_000_000
"""Steps of about a nanosecond between two looks at the clock."""
_HINT: Final = "Ask for less, with WHERE on the key or an indexed column; EXPLAIN says what a query looks at"


_running: "list[Budget]" = []
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
