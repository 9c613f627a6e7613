"""A value of a query, compiled: its type, what it was made of, and how it is computed for a row.

Laws: `evaluate` gives None for SQL's NULL, and True, False or None for a condition. What is made of constants alone is
a constant. What goes wrong with a row is a MalformedQuery that names the place in the text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from store.query.problems import Trouble, malformed
from store.query.types.kinds import Document, Kind
from store.values import normaliser

Evaluate = Callable[[Any], Any]
"""From a row to a value; what a row is, a decoded struct or a tuple of them, is the scope's affair."""


@dataclass(frozen=True, eq=False)
class Expression:
    """One compiled value."""

    kind: Kind
    op: str
    """What it is: "column", "value", "member", "slot" (a key or aggregate of a group), or the operator, function or
    construct."""
    args: tuple["Expression", ...]
    detail: Any
    """Of a column its (source, ColumnSchema), of a value the value, of a member its subquery, of a slot its place."""
    evaluate: Evaluate
    position: int

    @property
    def is_value(self) -> bool:
        """Whether it is the same for every row."""
        return self.op == "value"

    def one_form(self) -> Any:
        """A constant as it is stored: equal ones are the same."""
        if isinstance(self.detail, Document):
            return self.detail.json().text
        if not isinstance(self.detail, Decimal):
            return self.detail
        try:
            return _one_decimal(self.detail)
        except ValueError:  # More digits than a column keeps: it is itself.
            return self.detail

    def canonical(self) -> Any:
        """Plain values that are equal where expressions mean the same."""
        if self.op == "column":
            source, column = self.detail
            return ["column", source, column.id]
        if self.op == "value":
            return ["value", str(self.kind), self.one_form()]
        if self.op == "slot":
            return ["slot", self.detail]
        if self.op == "member":
            return ["member", self.args[0].canonical(), self.detail.canonical()]
        return [self.op, *(each.canonical() for each in self.args)]


_one_decimal: Final = normaliser(Decimal) or Decimal


def value(kind: Kind, said: Any, position: int) -> Expression:
    """A constant."""
    return Expression(kind, "value", (), said, lambda _: said, position)


def strict(op: str, kind: Kind, function: Callable[..., Any], args: Sequence[Expression], position: int) -> Expression:
    """A function of its arguments that is NULL where one of them is."""
    if any(each.is_value and each.detail is None for each in args):
        return value(kind, None, position)
    evaluate = _MAKERS.get(len(args), _strict_many)(function, [each.evaluate for each in args], position)
    return folded(Expression(kind, op, tuple(args), None, evaluate, position))


def folded(made: Expression) -> Expression:
    """A constant where all its arguments are."""
    if all(each.is_value for each in made.args):
        return value(made.kind, made.evaluate(None), made.position)
    return made


def _strict_one(function: Callable[..., Any], args: Sequence[Evaluate], position: int) -> Evaluate:
    (first,) = args

    def evaluate(row: Any) -> Any:
        one = first(row)
        if one is None:
            return None
        try:
            return function(one)
        except Trouble as trouble:
            malformed(position, str(trouble))

    return evaluate


def _strict_two(function: Callable[..., Any], args: Sequence[Evaluate], position: int) -> Evaluate:
    first, second = args

    def evaluate(row: Any) -> Any:
        one, two = first(row), second(row)
        if one is None or two is None:
            return None
        try:
            return function(one, two)
        except Trouble as trouble:
            malformed(position, str(trouble))

    return evaluate


def _strict_many(function: Callable[..., Any], args: Sequence[Evaluate], position: int) -> Evaluate:
    def evaluate(row: Any) -> Any:
        values = [each(row) for each in args]
        if None in values:
            return None
        try:
            return function(*values)
        except Trouble as trouble:
            malformed(position, str(trouble))

    return evaluate


_MAKERS: Final = {1: _strict_one, 2: _strict_two}
