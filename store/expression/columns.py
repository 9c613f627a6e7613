"""The columns of tables, as a table's class shows them."""

from collections.abc import Iterator, Sequence
from typing import Final, cast

from store.expression.arithmetic import Value
from store.expression.nodes import Node
from store.expression.rendering import quoted
from store.expression.terms import Condition, Term
from store.values import ColumnType


class Column(Term[Value]):
    """One column of one table, as conditions, orders and selections name it. A bool column is a condition itself."""

    __slots__ = ("name", "table", "type")

    def __init__(self, table: str, name: str, type_: ColumnType) -> None:
        super().__init__([quoted(name)], type_.name)
        self.table: Final = table
        self.name: Final = name
        self.type: Final = type_

    def columns(self) -> Iterator[Node]:
        """Itself."""
        yield self

    def as_condition(self) -> Condition:
        """Compared with TRUE, which says the same, and finds an index."""
        return self._compared("=", other=True)

    def beside(self, names: Sequence[str]) -> Term[Value]:
        """The table's column where an output has its name, too."""
        return Term([quoted(self.table), ".", *self.pieces], self.kind) if self.name in names else self

    def __repr__(self) -> str:
        return f"{self.table}.{self.name}"


def col(column: Value | None) -> Column[Value]:
    """The column that a table's attribute is, said so that type checkers know it: `col(Task.owner).in_([…])`.

    They take `Task.owner` for what a row has there, which is right for comparisons but knows no `in_`.
    """
    if not isinstance(column, Column):
        raise TypeError(f"expected a table's column, such as Task.owner, found {type(column).__name__}")
    return cast("Column[Value]", column)
