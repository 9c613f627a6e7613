"""A query said in Python: of which rows of one table, which values, in which order, how many.

    Task.where(Task.status == "open").select(Task.id, place=col(Task.notes)["at"]).order_by(Task.id).limit(10)

Laws: nothing here changes: every word makes a new selection. Its text and parameters are PostgreSQL's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

from store.expression.columns import Column, col
from store.expression.nodes import Node
from store.expression.orders import Order
from store.expression.rendering import Pieces, Rendering, listed, meaning, quoted
from store.expression.terms import Condition, Subquery, Term, condition, joined

Row = TypeVar("Row")


@dataclass(frozen=True, eq=False)
class Selection(Subquery, Generic[Row]):
    """Rows of one table, or groups of them: those that meet all conditions, whole or not, the first in an order.

    Hand it to a client's `query` or `subscribe`; `sql` and `params` are what it stands for.
    """

    table: str
    row_type: type[Row] | None
    """The table's class; None where values are selected, so that rows have another form."""
    outputs: tuple[tuple[str, Term[Any]], ...] = ()
    """By name. Empty for all columns."""
    condition: Condition | None = None
    keys: tuple[Term[Any], ...] | None = None
    """What rows are grouped by; None where they are not."""
    groups: Condition | None = None
    """The condition on groups."""
    order: tuple[Order, ...] = ()
    count_max: int | None = None
    skipped: int = 0
    is_distinct: bool = False

    def where(self, *conditions: Term[bool] | bool) -> "Selection[Row]":
        """Of these rows those that meet all of these conditions."""
        return replace(self, condition=self._all(self.condition, conditions))

    def having(self, *conditions: Term[bool] | bool) -> "Selection[Row]":
        """Of these groups those that meet all of these conditions, on aggregates and on what they are grouped by."""
        if self.keys is None:
            raise ValueError(f"{self.table}: having is asked of groups; group_by comes before it")
        return replace(self, groups=self._all(self.groups, conditions, of_groups=True))

    def select(self, *columns: Any, **values: Any) -> "Selection[Any]":
        """Of these rows these columns, in this order, and computed values by their names: `double=Task.points * 2`.

        Their rows have a type of their own.
        """
        selected = self._outputs(columns, values)
        if not selected:
            raise ValueError(f"{self.table}: select takes at least one column or value, found none")
        self._check_rows(term for _, term in selected)
        return replace(cast("Selection[Any]", self), outputs=selected, row_type=None, keys=None, groups=None)

    def group_by(self, *columns: Any, **values: Term[Any]) -> "Selection[Any]":
        """Of these rows a row for each different value of these columns, with aggregates by their names.

        `Task.where().group_by(Task.owner, many=count(), points=col(Task.points).sum())`; without columns it is one row.
        A computed value is grouped by as well, and has a name: `group_by(initial=left(Task.owner, 1), many=count())`.
        """
        for name, each in values.items():
            if not isinstance(each, Term) or isinstance(each, Column):
                raise TypeError(f"{self.table}: expected an aggregate for {name}, found {type(each).__name__}")
        outputs = self._outputs(columns, values)
        keys = tuple(term for _, term in outputs if not term.is_aggregate)
        if len(keys) == len(outputs):
            raise ValueError(f"{self.table}: group_by takes at least one aggregate, as in many=count()")
        return replace(cast("Selection[Any]", self), outputs=outputs, keys=keys, row_type=None)

    def distinct(self) -> "Selection[Row]":
        """Of rows that are alike one."""
        return replace(self, is_distinct=True)

    def order_by(self, *columns: Any) -> "Selection[Row]":
        """Sorted by these columns or values, `col(Task.points).descending()` for the largest first.

        Groups may be sorted by aggregates: `count().descending()`. An order that was said before is replaced.
        """
        order = tuple(each if isinstance(each, Order) else Order(_term(each)) for each in columns)
        self._check(each.term for each in order)
        return replace(self, order=order)

    def limit(self, count_max: int) -> "Selection[Row]":
        """At most so many rows, the first in the order."""
        return replace(self, count_max=self._number(count_max, "limit"))

    def offset(self, skipped: int) -> "Selection[Row]":
        """Without so many rows, the first in the order."""
        return replace(self, skipped=self._number(skipped, "offset"))

    @property
    def sql(self) -> str:
        """The text; its parameters are written $1, $2 and so on."""
        return Rendering().join(self._pieces())

    @property
    def params(self) -> tuple[Any, ...]:
        """The values of the parameters, in order."""
        text = Rendering()
        text.join(self._pieces())
        return tuple(text.params)

    @property
    def meaning(self) -> str:
        """Its text with its values in it."""
        return meaning(self._pieces())

    def render(self, text: Rendering) -> str:
        """Its text, as a part of another."""
        return text.join(self._pieces())

    def one_column(self, asker: Node) -> "Selection[Row]":
        """Itself (Subquery)."""
        if len(self.outputs) != 1 or self.keys is not None:
            raise ValueError(f"{asker!r}: IN wants a selection of one column, found {len(self.outputs) or '*'}")
        return self

    def _pieces(self) -> Pieces:
        """Its text, clause by clause."""
        outputs = [_output(name, term) for name, term in self.outputs] or [("*",)]
        clauses: list[tuple[str, list[Pieces]]] = [
            ("SELECT DISTINCT " if self.is_distinct else "SELECT ", outputs),
            (" FROM ", [(quoted(self.table),)]),
            (" WHERE ", [(self.condition,)] if self.condition is not None else []),
            (" GROUP BY ", [(each,) for each in self.keys or ()]),
            (" HAVING ", [(self.groups,)] if self.groups is not None else []),
            (" ORDER BY ", [each.pieces(self._computed) for each in self.order]),
            (" LIMIT ", [] if self.count_max is None else [(str(self.count_max),)]),
            (" OFFSET ", [(str(self.skipped),)] if self.skipped else []),
        ]
        return [piece for word, items in clauses if items for piece in (word, *listed(items))]

    @property
    def _computed(self) -> list[str]:
        """The names of outputs that are no columns of that name."""
        return [name for name, term in self.outputs if not (isinstance(term, Column) and term.name == name)]

    def _outputs(self, columns: Iterable[Any], values: dict[str, Any]) -> tuple[tuple[str, Term[Any]], ...]:
        selected = [col(each) for each in columns]
        outputs = [*((each.name, each) for each in selected), *((name, _term(each)) for name, each in values.items())]
        for name in values:
            if not name.isidentifier():
                raise ValueError(f"{self.table}: expected a name for a value, found {name!r}")
        names = [name for name, _ in outputs]
        if len(set(names)) < len(names):
            raise ValueError(
                f"{self.table}: each value has a name of its own, and each column comes once; found {names}"
            )
        self._check(term for _, term in outputs)
        return tuple(outputs)

    def _all(
        self, said: Condition | None, conditions: Iterable[object], *, of_groups: bool = False
    ) -> Condition | None:
        """What was said before, and these."""
        for each in conditions:
            made = condition(each)
            self._check([made])
            if not of_groups:
                self._check_rows([made])
            said = made if said is None else joined("AND", said, made)
        return said

    def _check(self, terms: Iterable[Node]) -> None:
        for term in terms:
            for each in term.columns():
                if isinstance(each, Column) and each.table != self.table:
                    raise ValueError(f"expected a column of {self.table}, found {each!r}: a query is over one table")

    def _check_rows(self, terms: Iterable[Node]) -> None:
        for each in terms:
            if each.is_aggregate:
                raise ValueError(
                    f"{self.table}: expected a value of rows, found the aggregate {each!r}: group_by and having take it"
                )

    def _number(self, said: int, what: str) -> int:
        if type(said) is not int or said < 0:
            raise ValueError(f"{self.table}: {what} takes a number of rows from 0, found {said!r}")
        return said


def _term(said: Any) -> Term[Any]:
    return said if isinstance(said, Term) else col(said)


def _output(name: str, term: Term[Any]) -> Pieces:
    return (term,) if isinstance(term, Column) and term.name == name else (term, f" AS {quoted(name)}")
