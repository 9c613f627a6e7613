"""What every term is, whatever its type: its pieces, how tightly it binds; and what may stand beside it.

Laws: a value beside a term is one that a parameter can be, and never None: a comparison with NULL is never true.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from store.expression.rendering import Level, Parameter, Pieces, Rendering, meaning
from store.values import SCALARS, Json

PLAIN: Final = (bool, int, float, str, bytes, datetime, Decimal, UUID, Json)
"""The types of a parameter's value."""
NUMBER: Final = "number"
"""The kind of a number whose type the server finds."""


class Node:
    """A value of each row, or of each group."""

    __slots__ = ("is_aggregate", "kind", "level", "meaning", "pieces")

    def __init__(self, pieces: Pieces, kind: str, level: Level = Level.ALONE, *, is_aggregate: bool = False) -> None:
        self.pieces: Final = tuple(pieces)
        self.kind: Final = kind
        """The type of its values, as a column's type is called; NUMBER where only the server knows which."""
        self.level: Final = level
        self.is_aggregate: Final[bool] = is_aggregate or any(each.is_aggregate for each in self._inner())
        """Whether it is of groups, not of rows."""
        self.meaning: Final = meaning(self.pieces)

    def columns(self) -> "Iterator[Node]":
        """The columns (Column) in it, but those inside a selection of its own."""
        for each in self._inner():
            yield from each.columns()

    def beside(self, names: Sequence[str]) -> "Node":  # noqa: ARG002  # What is no column has no name.
        """Itself where outputs have these names, which stand for outputs there."""
        return self

    def render(self, text: Rendering) -> str:
        """Its text; its values become parameters."""
        return text.join(self.pieces)

    def _inner(self) -> "Iterator[Node]":
        return (each for each in self.pieces if isinstance(each, Node))

    def __repr__(self) -> str:
        return self.meaning


def within(node: Node, level: Level) -> Pieces:
    """A term where what binds less than `level` needs parentheses."""
    return (node,) if node.level >= level else ("(", node, ")")


def operand(asker: object, said: Any, level: Level = Level.OTHER) -> Pieces:
    """What stands beside `asker`: a term, or a value as a parameter. ValueError: it is None; TypeError: neither."""
    if isinstance(said, Node):
        return within(said, level)
    if isinstance(said, PLAIN) or (isinstance(said, tuple) and kind_of(asker).endswith("[]")):
        return (Parameter(said),)
    if said is None:
        raise ValueError(f"{asker!r}: a comparison with NULL is never true; is_null() asks for it")
    kinds = ", ".join(each.__name__ for each in PLAIN)
    raise TypeError(f"{asker!r}: expected a column or one of {kinds}, found {type(said).__name__}")


def integer(asker: object, said: Any) -> Pieces:
    """A count or a place: PostgreSQL's functions take `integer`, which no column is. TypeError: it is none."""
    if isinstance(said, Node):
        return ("CAST(", said, " AS integer)")
    if type(said) is not int:
        raise TypeError(f"{asker!r}: expected an integer, found {type(said).__name__}")
    return (Parameter(said),)


def kind_of(said: object) -> str:
    """The kind of a term or a value."""
    if isinstance(said, Node):
        return said.kind
    return next((name for name, type_ in SCALARS.items() if isinstance(said, type_)), type(said).__name__)


# Operators, between their two sides.


def chain(asker: object, left: Any, sign: str, right: Any, level: Level) -> Pieces:
    """Two sides of an operator: to its left another of its level needs no parentheses."""
    return (*operand(asker, left, level), sign, *operand(asker, right, Level(level + 1)))


def sum_of(asker: object, left: Any, right: Any) -> tuple[Pieces, str, Level]:
    """What + means: texts and bytes are put together, which the language says by ||; with its kind and level."""
    for kind in ("str", "bytes"):
        if kind in {kind_of(left), kind_of(right)}:
            pieces = (*operand(asker, left, Level.OTHER), " || ", *operand(asker, right, Level.ALONE))
            return pieces, kind, Level.OTHER
    return chain(asker, left, " + ", right, Level.ADD), NUMBER, Level.ADD


def of_document(document: Node, sign: str, right: Any) -> Pieces:
    """An operator of JSON: what stands behind it is alone."""
    return (*operand(document, document, Level.OTHER), sign, *operand(document, right, Level.ALONE))


def step(document: Node, sign: str, said: Any) -> Pieces:
    """A step into JSON: a name, or a place."""
    if kind_of(said) == "str":
        return of_document(document, sign, said)
    return (*operand(document, document, Level.OTHER), sign, *integer(document, said))


def path(steps: Sequence[str | int]) -> str:
    """Steps as PostgreSQL writes an array of text."""
    said = [str(each).replace("\\", "\\\\").replace('"', '\\"') for each in steps]
    return "{" + ",".join(f'"{each}"' for each in said) + "}"
