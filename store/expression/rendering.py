"""What a term consists of, and how it becomes text with parameters beside it.

Laws: a value is always a parameter, never text. Terms that are made alike have one text, with the same parameters: so
what stands in GROUP BY is found again among the outputs. Parentheses stand wherever a reader would ask which operator
binds first, and nowhere in a chain of one: the server bounds how deep they may go.
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol


class Level(IntEnum):
    """How tightly a term binds (PostgreSQL's gram.y); a higher level binds tighter."""

    JOINED = 0
    """AND, OR."""
    TEST = 1
    """Comparisons, IS, IN, BETWEEN, LIKE, NOT (…)."""
    NEGATIVE = 2
    """-value. It binds tighter than that, and gets its parentheses all the same."""
    OTHER = 3
    """|| and the operators of JSON."""
    ADD = 4
    MULTIPLY = 5
    ALONE = 6
    """Columns, parameters, functions."""


class Parameter(NamedTuple):
    """A value that travels beside the text."""

    value: Any


class Piece(Protocol):
    """A part of a text that is no text itself: a term, or a selection inside parentheses."""

    @property
    def meaning(self) -> str:
        """Its text with its values in it: what is made alike has the same."""
        ...

    def render(self, text: "Rendering") -> str:
        """Its text."""
        ...


Pieces = Sequence["str | Parameter | Piece"]


class Rendering:
    """One text that is being made."""

    def __init__(self) -> None:
        self.params: Final[list[Any]] = []
        """The values of $1, $2 and so on."""
        self._said: Final[dict[str, str]] = {}

    def join(self, pieces: Pieces) -> str:
        """One text of its pieces; the values among them become parameters."""
        return "".join(self._say(each) for each in pieces)

    def _say(self, piece: "str | Parameter | Piece") -> str:
        if isinstance(piece, str):
            return piece
        if isinstance(piece, Parameter):
            self.params.append(piece.value)
            return f"${len(self.params)}"
        known = self._said.get(piece.meaning)
        if known is None:
            known = self._said[piece.meaning] = piece.render(self)
        return known


def meaning(pieces: Pieces) -> str:
    """The text with its values in it, as Python writes them. No value looks like a name: those hold no quote."""
    return "".join(
        each if isinstance(each, str) else repr(each.value) if isinstance(each, Parameter) else each.meaning
        for each in pieces
    )


def listed(items: "Sequence[Pieces]", separator: str = ", ") -> "Iterator[str | Parameter | Piece]":
    """All pieces, with a separator between one item's and the next's."""
    for place, item in enumerate(items):
        if place:
            yield separator
        yield from item


def quoted(name: str) -> str:
    """A name as an identifier, whatever words SQL keeps for itself; by its rule it holds no quote (schema.py)."""
    return f'"{name}"'
