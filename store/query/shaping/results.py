"""What a followed query shows where that is more than the rows its condition is true of: the first of them, or groups.

Laws: a result is kept current by what changes in the rows below it, and says what changes in its own; nothing here
looks at a table, but for the rows that `source` gives when what is kept does not suffice. What is kept is counted, for
all queries together.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from store.ids import Key
from store.query.problems import exceeded

Move = tuple[Key, Any, Any]
"""A row below a result: its key, and its image before and after a transaction; None where it is not there."""


class ResultChange(NamedTuple):
    """What one transaction did to a result."""

    rows: Sequence[bytes]
    """Rows that are in it now, as they are told: new ones and changed ones."""
    keys: Sequence[Key]
    """Of rows that left it. A group's key is a MessagePack array of its values."""


Source = Callable[[], Iterable[tuple[Key, Any]]]
"""Gives the key and image of every row below a result, as it is now."""
NOTHING: Final = ResultChange((), ())


class Forgotten(Exception):  # It is no error: whoever asks is shown all there is.
    """What a result showed at some moment is not known any more, or not worth finding out. The text is a clause."""


class Result(Protocol):
    """One query's result. Not to be used any more after an error."""

    def image(self, row: Any, data: bytes) -> Any:
        """What it needs of a row below it, decoded and as bytes. MalformedQuery where there is no value for it."""
        ...

    def take(self, images: Iterable[tuple[Key, Any]]) -> None:
        """At the beginning: take in rows below it, some at a time. Overloaded, MalformedQuery."""
        ...

    def prepare(self, count: int) -> bool:
        """Before the first `rows`: compute so much of what will be shown; whether there is more. MalformedQuery."""
        ...

    def rows(self, source: Source) -> list[bytes]:
        """What it shows, as it is told: in its order, where it has one. From the first time on it is shown.

        CallError as `apply`.
        """
        ...

    def apply(self, moves: Sequence[Move], source: Source) -> ResultChange:
        """Take in what one transaction changed, one move a key, behind the last `take`. Overloaded, MalformedQuery.

        Returns what changed of what is shown. Only then is `source` asked, so it may be later where nothing is shown.
        """
        ...

    def missed(self, moves: Sequence[Move]) -> ResultChange:
        """What these moves changed of what is shown: they are net, one a key, and it has taken them in already.

        Nothing is changed here. Forgotten; MalformedQuery where there was no value.
        """
        ...

    @property
    def is_low(self) -> bool:
        """Whether it will soon need `source`: better to make another now, a little at a time, and use that."""
        ...

    def close(self) -> None:
        """Give back what it holds of the room."""
        ...


class Room:
    """How much all results together may hold: rows, groups and values."""

    def __init__(self, size_max: int) -> None:
        self.size_max: Final = size_max
        self.used = 0


class Share:
    """What one result holds of the room."""

    __slots__ = ("_room", "_used")

    def __init__(self, room: Room) -> None:
        self._room: Final = room
        self._used = 0

    def spend(self, more: int) -> None:
        """Hold more, or less. Overloaded where there is no room for it."""
        room = self._room
        if more > 0 and room.used + more > room.size_max:
            exceeded(
                "followed_values_max",
                f"followed queries with LIMIT or aggregates hold {room.size_max} rows, groups and values, as many as"
                " they may together",
                hint="Follow fewer of them, group by less, or count DISTINCT values when you ask once",
            )
        self._used += more
        room.used += more

    def close(self) -> None:
        """Give all of it back."""
        self._room.used -= self._used
        self._used = 0
