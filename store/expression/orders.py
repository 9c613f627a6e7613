"""ORDER BY, said in Python: a term, in which direction, and where NULLs come."""

from collections.abc import Sequence
from typing import Final

from store.expression.nodes import Node
from store.expression.rendering import Pieces


class Order:
    """A term to sort by, or an aggregate of groups. NULL counts as larger than every value, unless it is said."""

    __slots__ = ("_ending", "term")

    def __init__(self, term: Node, ending: str = "") -> None:
        self.term: Final = term
        self._ending: Final = ending

    def nulls_first(self) -> "Order":
        """NULL before every value."""
        return Order(self.term, self._ending.partition(" NULLS")[0] + " NULLS FIRST")

    def nulls_last(self) -> "Order":
        """NULL behind every value."""
        return Order(self.term, self._ending.partition(" NULLS")[0] + " NULLS LAST")

    def pieces(self, names: Sequence[str]) -> Pieces:
        """Its text, where outputs have these names, which stand for outputs there."""
        return (self.term.beside(names), self._ending)
