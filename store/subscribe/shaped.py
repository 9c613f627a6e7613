"""A followed query's groups, or the first of its rows in an order: one result for all who follow it, kept current.

Laws: a result begins with the rows at one offset, taken in pieces while calls go on; what changes meanwhile waits in
line and is taken in behind them, so when the line is empty the result is of now. From then on each transaction says at
once what it changes. Where a result will soon have to look for rows, another one is made in the same way and takes its
place; only where that comes too late are they looked for at once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from store.errors import CallError, MalformedQuery, Overloaded
from store.ids import Key
from store.query.access import candidates
from store.query.live import LiveQuery
from store.query.options import Followed as Bounds
from store.query.shaping.results import Forgotten, Move, Result, ResultChange, Room
from store.subscribe.changes import Told
from store.subscribe.encoding import WireKey
from store.subscribe.first_rows import LOOKED_UP_MAX, FirstRows
from store.tables.table import StoredTable

MOVES_MAX: Final = 256
"""Transactions that waited in line and are taken in at a time."""
PREPARED_MAX: Final = 512
"""Groups whose rows are computed at a time: a few milliseconds."""
MOVE_SIZE: Final = 512
"""What a row that waits in line costs."""


class _Building:
    """A result on its way."""

    def __init__(self, result: Result, stream: FirstRows, leave: Callable[[], None]) -> None:
        self.result: Final = result
        self.stream: Final = stream
        self.line: Final[deque[Sequence[Move]]] = deque()
        """What each transaction changed since the rows were as they are taken in."""
        self.line_size = 0
        self._leave: Final = leave
        self._number = 0
        self._is_taken = False

    def advance(self) -> bool:
        """Take in a piece; whether there is more."""
        stream, line = self.stream, self.line
        if stream.gather():
            return True
        if not self._is_taken:
            self.result.take(stream.images(self._number, self.result.image))
            self._is_taken = stream.ends_with(self._number)
            self._number += 1
            return True
        for _ in range(min(len(line), MOVES_MAX)):
            moves = line.popleft()
            self.line_size -= MOVE_SIZE * len(moves)
            self.result.apply(moves, _nothing)
        return bool(line) or self.result.prepare(PREPARED_MAX)

    def check(self, kept_max: int) -> None:
        """Overloaded where too much has changed meanwhile."""
        if self.stream.kept_size + self.line_size > kept_max:
            raise Overloaded(
                f"while the query's rows were first looked at, {kept_max} bytes of them were changed",
                hint="Ask for fewer rows with WHERE, or at a quieter time",
                details={"limit": "first_rows_kept_max"},
            )

    def note(self, moves: Sequence[Move]) -> None:
        """Put what a transaction changed in line."""
        self.line.append(moves)
        self.line_size += MOVE_SIZE * len(moves)

    def close(self) -> None:
        """Read no more."""
        self._leave()


class Shaped:
    """What one query's followers hold (Telling). `renew` is called where another result is to be made."""

    def __init__(
        self, query: LiveQuery, table: StoredTable, room: Room, bounds: Bounds, renew: Callable[["Shaped"], None]
    ) -> None:
        self.query: Final = query
        self.error: CallError | None = None
        """Why what it shows is not known."""
        self._table: Final = table
        self._room: Final = room
        self._bounds: Final = bounds
        self._renew: Final = renew
        self._result: Result | None = None
        self._building: _Building | None = None
        self._may_renew = True

    @property
    def ready(self) -> bool:
        """Whether what it shows is known."""
        return self._result is not None

    @property
    def is_building(self) -> bool:
        """Whether a result is on its way."""
        return self._building is not None

    def rows(self) -> list[bytes]:
        """What it shows now, as it is told: in its order, where it has one."""
        assert self._result is not None
        return self._result.rows(self._source)

    def image(self, row: Any, data: bytes) -> Any:
        """As its result (Telling)."""
        made = self._result or (self._building.result if self._building is not None else None)
        return None if made is None else made.image(row, data)

    def fold(self, moves: Sequence[Move]) -> Told:
        """What one transaction changes (Telling)."""
        if self._building is not None:
            self._building.note(moves)
        if self._result is None:
            return [], []
        try:
            changed = self._result.apply(moves, self._source)
        except CallError:
            raise
        except Exception as error:  # Whatever it is, it is this query's affair.
            raise _no_value(error) from error
        if self._result.is_low and self._building is None and self._may_renew:
            self._renew(self)
        return self._told(changed)

    def _told(self, changed: ResultChange) -> Told:
        keys: list[WireKey] = [*changed.keys]
        if self.query.key < 0:
            keys = [msgspec.Raw(each) for each in changed.keys if isinstance(each, bytes)]
        return [*changed.rows], keys

    def missed(self, moves: Sequence[Move]) -> Told:
        """What an absence changed of what it shows, by its net moves, up to now. Forgotten where that is not known."""
        assert self._result is not None
        try:
            return self._told(self._result.missed(moves))
        except (CallError, Forgotten):
            raise
        except Exception as error:  # Whatever it is, it is this query's affair.
            raise _no_value(error) from error

    def begin(self, stream: FirstRows, leave: Callable[[], None]) -> None:
        """Make a result: from a stream of the rows at the newest offset, and all that changes from then on."""
        assert self._building is None
        assert self.query.shape is not None
        try:
            result = self.query.shape.begin(self.query.project, self._room, self._bounds)
        except CallError as error:
            leave()
            self._go_without(error)
        else:
            self._building = _Building(result, stream, leave)

    def advance(self, kept_max: int) -> bool:
        """Go on with the result on its way, for a piece; whether there is more. `error` says what went wrong."""
        building = self._building
        if building is None:
            return False
        try:
            building.check(kept_max)
            if building.advance():
                return True
            building.result.rows(self._source)
        except CallError as error:
            self._give_up(error)
        except Exception as error:  # noqa: BLE001  # Whatever it is, it is this query's affair.
            self._give_up(_no_value(error))
        else:
            if self._result is not None:
                self._result.close()
            self._result, self._building = building.result, None
            building.close()
        return False

    def _give_up(self, error: CallError) -> None:
        """The result on its way cannot be."""
        building, self._building = self._building, None
        assert building is not None
        building.close()
        building.result.close()
        self._go_without(error)

    def _go_without(self, error: CallError) -> None:
        """There is no new result: nothing is known without it, but where there is the one from before."""
        self._may_renew = False
        if self._result is None:
            self.error = error

    def close(self) -> None:
        """Nobody follows it any more."""
        if self._building is not None:
            self._building.close()
            self._building.result.close()
            self._building = None
        if self._result is not None:
            self._result.close()
        self.error = self.error or Overloaded("nobody follows this query")

    def _source(self) -> Iterator[tuple[Key, Any]]:
        """Every row that matches, as it is now."""
        query, table = self.query, self._table
        decode, rows, matches, image = table.codec.decode, table.rows, query.matches, self.image
        keys = candidates(query.table, query.where, table, count_max=LOOKED_UP_MAX)
        for key in rows if keys is None else keys:
            row = decode(rows[key])
            if matches(row):
                yield key, image(row, rows[key])


def _nothing() -> tuple[()]:
    """Nothing is looked for before a result is shown."""
    return ()


def _no_value(error: Exception) -> MalformedQuery:
    return MalformedQuery(f"the query has no value for a row: {type(error).__name__}: {error!s:.200}")
