"""Queries said in Python: a table's columns, conditions on them, and the SQL text with parameters they stand for.

    Task.where((Task.status == "open") & col(Task.owner).in_(["ada", "bob"])).order_by(Task.id).limit(10)

Laws: what can be said here is PostgreSQL, and means there what it means there: a comparison with NULL is neither true
nor false. A value is always a parameter, never text. Nothing here changes: every word makes a new selection. Which
types may be compared, the server says.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Generic, NoReturn, TypeVar, cast
from uuid import UUID

from store.values import ColumnType, Json

Row = TypeVar("Row")
Value = TypeVar("Value")

_PLAIN: Final = (bool, int, float, str, bytes, datetime, Decimal, UUID, Json)
"""The types of a parameter's value."""
_HINT_OPERATORS: Final = "Join conditions with & and |, negate with ~, each comparison in parentheses"
_BOOL_FOUND: Final = (
    "expected a condition on columns, found the bool {}: compare the table's column (Task.status), not a row's"
)


class Condition:
    """What rows must meet: true, false, or unknown where NULL is compared; only what is true is in a query."""

    __slots__ = ()

    def __and__(self, other: "Condition | bool") -> "Condition":
        return _Joined("AND", (*_parts("AND", self), *_parts("AND", _condition(other))))

    def __rand__(self, other: "Condition | bool") -> "Condition":
        return _condition(other) & self

    def __or__(self, other: "Condition | bool") -> "Condition":
        return _Joined("OR", (*_parts("OR", self), *_parts("OR", _condition(other))))

    def __ror__(self, other: "Condition | bool") -> "Condition":
        return _condition(other) | self

    def __invert__(self) -> "Condition":
        return _Not(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(f"a condition on columns has no truth of its own. {_HINT_OPERATORS}")

    def columns(self) -> "Iterator[Column[Any]]":
        """The columns it is about, but those inside a selection of its own."""
        raise NotImplementedError

    def render(self, params: list[Any]) -> str:
        """Its text; its values are appended to `params`."""
        raise NotImplementedError


class Column(Condition, Generic[Value]):
    """One column of one table, as conditions, orders and selections name it. A bool column is a condition itself.

    `== None` is IS NULL, `!= None` IS NOT NULL; `!=` is SQL's <>, so NULL is not among what differs from a value:
    `is_distinct_from` is what Python means by it. TypeError, ValueError: the other side cannot be compared.
    """

    __slots__ = ("name", "table", "type")

    def __init__(self, table: str, name: str, type_: ColumnType) -> None:
        self.table: Final = table
        self.name: Final = name
        self.type: Final = type_

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]  # A condition, not an answer.
        return _IsNull(self, "IS NULL") if other is None else self._compare("=", other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]  # A condition, not an answer.
        return _IsNull(self, "IS NOT NULL") if other is None else self._compare("<>", other)

    __hash__ = object.__hash__

    def __lt__(self, other: "Value | Column[Value]") -> Condition:
        return self._compare("<", other)

    def __le__(self, other: "Value | Column[Value]") -> Condition:
        return self._compare("<=", other)

    def __gt__(self, other: "Value | Column[Value]") -> Condition:
        return self._compare(">", other)

    def __ge__(self, other: "Value | Column[Value]") -> Condition:
        return self._compare(">=", other)

    def in_(self, values: "Iterable[Value] | Selection[Any]") -> Condition:
        """Equal to one of these, or to one value of a selection of one column. Among no values is nothing."""
        if isinstance(values, Selection):
            if len(values.columns) != 1 or values.aggregates:
                raise ValueError(f"{self!r}: IN wants a selection of one column, found {len(values.columns) or '*'}")
            return _InSelection(self, values)
        if isinstance(values, str | bytes):
            raise TypeError(f"{self!r}: IN wants several values, found one {type(values).__name__}")
        return _In(self, tuple(self._operand(each) for each in values))

    def between(self, lower: "Value | Column[Value]", upper: "Value | Column[Value]") -> Condition:
        """At least `lower` and at most `upper`."""
        return _Between(self, self._operand(lower), self._operand(upper))

    def like(self, pattern: str) -> Condition:
        r"""Text of this pattern: % is any text, _ any character, and \ takes the next one as it is."""
        return self._compare("LIKE", _pattern(self, pattern))

    def ilike(self, pattern: str) -> Condition:
        """As `like`, in capitals or not."""
        return self._compare("ILIKE", _pattern(self, pattern))

    def is_null(self) -> Condition:
        """There is no value."""
        return _IsNull(self, "IS NULL")

    def is_not_null(self) -> Condition:
        """There is a value."""
        return _IsNull(self, "IS NOT NULL")

    def is_distinct_from(self, other: "Value | Column[Value] | None") -> Condition:
        """Another value, where NULL is a value like any other: true or false, never unknown."""
        return self.is_not_null() if other is None else self._compare("IS DISTINCT FROM", other)

    def is_not_distinct_from(self, other: "Value | Column[Value] | None") -> Condition:
        """The same value, where NULL is a value like any other: true or false, never unknown."""
        return self.is_null() if other is None else self._compare("IS NOT DISTINCT FROM", other)

    def descending(self) -> "Order":
        """For `order_by`: the largest first. NULL counts as larger than every value."""
        return Order(self, descending=True)

    def count(self, *, distinct: bool = False) -> "Aggregate":
        """How many rows of a group have a value here; `distinct`: how many different ones."""
        return Aggregate("count", self, distinct=distinct)

    def sum(self, *, distinct: bool = False) -> "Aggregate":
        """What the values of a group's rows come to; `distinct`: each once."""
        return Aggregate("sum", self, distinct=distinct)

    def avg(self, *, distinct: bool = False) -> "Aggregate":
        """The average of a group's values; `distinct`: of each once."""
        return Aggregate("avg", self, distinct=distinct)

    def min(self) -> "Aggregate":
        """The least value of a group's rows."""
        return Aggregate("min", self)

    def max(self) -> "Aggregate":
        """The greatest value of a group's rows."""
        return Aggregate("max", self)

    def columns(self) -> "Iterator[Column[Any]]":
        """Itself."""
        yield self

    def render(self, params: list[Any]) -> str:
        """As a condition it compares with TRUE, which says the same."""
        return (self == True).render(params)  # noqa: E712  # It makes SQL.

    def _compare(self, operator: str, other: Any) -> Condition:
        return _Comparison(self, operator, self._operand(other))

    def _operand(self, other: Any) -> Any:
        if isinstance(other, (Column, *_PLAIN)) or (isinstance(other, tuple) and self.type.name.endswith("[]")):
            return other
        if other is None:
            raise ValueError(f"{self!r}: a comparison with NULL is never true; is_null() asks for it")
        kinds = ", ".join(each.__name__ for each in _PLAIN)
        raise TypeError(f"{self!r}: expected a column or one of {kinds}, found {type(other).__name__}")

    def __repr__(self) -> str:
        return f"{self.table}.{self.name}"


def col(column: Value) -> Column[Value]:
    """The column that a table's attribute is, said so that type checkers know it: `col(Task.owner).in_([…])`.

    They take `Task.owner` for what a row has there, which is right for comparisons but knows no `in_`.
    """
    if not isinstance(column, Column):
        raise TypeError(f"expected a table's column, such as Task.owner, found {type(column).__name__}")
    return cast("Column[Value]", column)


@dataclass(frozen=True, eq=False)
class Aggregate:
    """One value of a group's rows; without a column it is how many there are."""

    function: str
    column: Column[Any] | None = None
    distinct: bool = False

    def descending(self) -> "Order":
        """For `order_by`: the largest first. NULL counts as larger than every value."""
        return Order(self, descending=True)

    @property
    def sql(self) -> str:
        """Its text."""
        if self.column is None:
            return f"{self.function}(*)"
        return f"{self.function}({'DISTINCT ' if self.distinct else ''}{_quote(self.column)})"


def count() -> Aggregate:
    """How many rows a group has: `Task.where().group_by(Task.owner, many=count())`."""
    return Aggregate("count")


@dataclass(frozen=True)
class Order:
    """A column to sort by, or an aggregate of groups."""

    column: Column[Any] | Aggregate
    descending: bool

    @property
    def sql(self) -> str:
        """Its text."""
        said = self.column.sql if isinstance(self.column, Aggregate) else _quote(self.column)
        return said + (" DESC" if self.descending else "")


@dataclass(frozen=True, eq=False)
class Selection(Generic[Row]):
    """Rows of one table, or groups of them: those that meet all conditions, whole or not, the first in an order.

    Hand it to a client's `query` or `subscribe`; `sql` and `params` are what it stands for.
    """

    table: str
    row_type: type[Row] | None
    """The table's class; None where columns are selected, so that rows have another form."""
    columns: tuple[Column[Any], ...] = ()
    """Empty for all."""
    condition: Condition | None = None
    order: tuple[Order, ...] = ()
    count_max: int | None = None
    aggregates: tuple[tuple[str, Aggregate], ...] = ()
    """By name. Where there are any, rows are groups by `columns`."""

    def where(self, *conditions: Condition | bool) -> "Selection[Row]":
        """Of these rows those that meet all of these conditions."""
        said = self.condition
        for each in conditions:
            condition = _condition(each)
            self._check(condition.columns())
            said = condition if said is None else said & condition
        return replace(self, condition=said)

    def select(self, *columns: Any) -> "Selection[Any]":
        """Of these rows these columns, in this order; their rows have a type of their own."""
        selected = tuple(col(each) for each in columns)
        if not selected or len({each.name for each in selected}) < len(selected):
            raise ValueError(f"{self.table}: select takes at least one column, and each once; found {selected}")
        self._check(selected)
        return replace(cast("Selection[Any]", self), columns=selected, row_type=None, aggregates=())

    def group_by(self, *columns: Any, **aggregates: Aggregate) -> "Selection[Any]":
        """Of these rows a row for each different value of these columns, with aggregates by their names.

        `Task.where().group_by(Task.owner, many=count(), points=col(Task.points).sum())`; without columns it is one row.
        """
        if not aggregates:
            raise ValueError(f"{self.table}: group_by takes at least one aggregate, as in many=count()")
        for name, each in aggregates.items():
            if not name.isidentifier():
                raise ValueError(f"{self.table}: expected a name for an aggregate, found {name!r}")
            if not isinstance(each, Aggregate):
                raise TypeError(f"{self.table}: expected an aggregate for {name}, found {type(each).__name__}")
        keys = tuple(col(each) for each in columns)
        names = [*(each.name for each in keys), *aggregates]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.table}: each column of groups has a name of its own, found {names}")
        self._check([*keys, *(each.column for each in aggregates.values() if each.column is not None)])
        grouped = cast("Selection[Any]", self)
        return replace(grouped, columns=keys, aggregates=tuple(aggregates.items()), row_type=None)

    def order_by(self, *columns: Any) -> "Selection[Row]":
        """Sorted by these columns, `col(Task.points).descending()` for the largest first; replaces an order before.

        Groups may be sorted by aggregates: `count().descending()`.
        """
        order = tuple(each if isinstance(each, Order) else Order(_ordered(each), descending=False) for each in columns)
        self._check(
            column
            for each in order
            for column in [each.column.column if isinstance(each.column, Aggregate) else each.column]
            if column is not None
        )
        return replace(self, order=order)

    def limit(self, count_max: int) -> "Selection[Row]":
        """At most so many rows, the first in the order."""
        if type(count_max) is not int or count_max < 0:
            raise ValueError(f"{self.table}: a limit is a number of rows from 0, found {count_max!r}")
        return replace(self, count_max=count_max)

    @property
    def sql(self) -> str:
        """The text; its parameters are written $1, $2 and so on."""
        return self.render([])

    @property
    def params(self) -> tuple[Any, ...]:
        """The values of the parameters, in order."""
        params: list[Any] = []
        self.render(params)
        return tuple(params)

    def render(self, params: list[Any]) -> str:
        """The text; its values are appended to `params`, and numbered from there."""
        keys = [_quote(each) for each in self.columns]
        outputs = keys + [f"{each.sql} AS {_quoted(name)}" for name, each in self.aggregates]
        text = f"SELECT {', '.join(outputs) or '*'} FROM {_quoted(self.table)}"  # noqa: S608  # Names.
        if self.condition is not None:
            text += f" WHERE {self.condition.render(params)}"
        if self.aggregates and keys:
            text += f" GROUP BY {', '.join(keys)}"
        if self.order:
            text += f" ORDER BY {', '.join(each.sql for each in self.order)}"
        return text if self.count_max is None else f"{text} LIMIT {self.count_max}"

    def _check(self, columns: Iterable[Column[Any]]) -> None:
        for each in columns:
            if each.table != self.table:
                raise ValueError(f"expected a column of {self.table}, found {each!r}: a query is over one table")


def _ordered(said: Any) -> Column[Any] | Aggregate:
    return said if isinstance(said, Aggregate) else col(said)


# What conditions consist of.


@dataclass(frozen=True, eq=False, slots=True)
class _Comparison(Condition):
    left: Column[Any]
    operator: str
    right: Any

    def columns(self) -> Iterator[Column[Any]]:
        return _columns(self.left, self.right)

    def render(self, params: list[Any]) -> str:
        return f"{_quote(self.left)} {self.operator} {_said(self.right, params)}"


@dataclass(frozen=True, eq=False, slots=True)
class _IsNull(Condition):
    column: Column[Any]
    test: str

    def columns(self) -> Iterator[Column[Any]]:
        return _columns(self.column)

    def render(self, params: list[Any]) -> str:  # noqa: ARG002  # It has no values.
        return f"{_quote(self.column)} {self.test}"


@dataclass(frozen=True, eq=False, slots=True)
class _Between(Condition):
    column: Column[Any]
    lower: Any
    upper: Any

    def columns(self) -> Iterator[Column[Any]]:
        return _columns(self.column, self.lower, self.upper)

    def render(self, params: list[Any]) -> str:
        return f"{_quote(self.column)} BETWEEN {_said(self.lower, params)} AND {_said(self.upper, params)}"


@dataclass(frozen=True, eq=False, slots=True)
class _In(Condition):
    column: Column[Any]
    values: tuple[Any, ...]

    def columns(self) -> Iterator[Column[Any]]:
        return _columns(self.column, *self.values)

    def render(self, params: list[Any]) -> str:
        if not self.values:
            return "FALSE"  # SQL has no empty list.
        return f"{_quote(self.column)} IN ({', '.join(_said(each, params) for each in self.values)})"


@dataclass(frozen=True, eq=False, slots=True)
class _InSelection(Condition):
    column: Column[Any]
    selection: Selection[Any]

    def columns(self) -> Iterator[Column[Any]]:
        return _columns(self.column)

    def render(self, params: list[Any]) -> str:
        return f"{_quote(self.column)} IN ({self.selection.render(params)})"


@dataclass(frozen=True, eq=False, slots=True)
class _Joined(Condition):
    word: str
    parts: tuple[Condition, ...]

    def columns(self) -> Iterator[Column[Any]]:
        return (column for each in self.parts for column in each.columns())

    def render(self, params: list[Any]) -> str:
        said = [f"({text})" if type(each) is _Joined else text for each in self.parts for text in [each.render(params)]]
        return f" {self.word} ".join(said)


@dataclass(frozen=True, eq=False, slots=True)
class _Not(Condition):
    inner: Condition

    def columns(self) -> Iterator[Column[Any]]:
        return self.inner.columns()

    def render(self, params: list[Any]) -> str:
        return f"NOT ({self.inner.render(params)})"


def _condition(said: object) -> Condition:
    """What stands where a condition is wanted. A bool is what comparing a row's values gives: never meant."""
    if isinstance(said, Column) and said.type.name != "bool":
        raise TypeError(f"expected a condition, found the {said.type} column {said!r}: compare it with something")
    if not isinstance(said, Condition):
        if isinstance(said, bool):
            raise TypeError(_BOOL_FOUND.format(said))
        raise TypeError(f"expected a condition on columns, found {type(said).__name__}")
    return said


def _parts(word: str, said: Condition) -> tuple[Condition, ...]:
    """What it joins, where it does so with the same word: the server bounds how deep parentheses may go."""
    said = _condition(said)
    return said.parts if isinstance(said, _Joined) and said.word == word else (said,)


def _columns(*operands: Any) -> Iterator[Column[Any]]:
    return (each for each in operands if isinstance(each, Column))


def _said(operand: Any, params: list[Any]) -> str:
    if isinstance(operand, Column):
        return _quote(operand)
    params.append(operand)
    return f"${len(params)}"


def _pattern(column: Column[Any], pattern: str) -> str:
    if not isinstance(pattern, str):
        raise TypeError(f"{column!r}: a pattern is text, found {type(pattern).__name__}")
    return pattern


def _quote(column: Column[Any]) -> str:
    return _quoted(column.name)


def _quoted(name: str) -> str:
    """A name as an identifier, whatever words SQL keeps for itself; by its rule it holds no quote (schema.py)."""
    return f'"{name}"'
