"""From a statement's values to compiled ones: names are looked up in a scope, and all else is made of what they are.

Laws: a value is compiled from the inside out. Which types it may have, and become, is another room's (coercion).
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from store.query.meaning.coercion import boolean, cast, coerced, function, settled
from store.query.meaning.constructs import CONSTRUCTS
from store.query.meaning.expressions import Expression, value
from store.query.problems import malformed
from store.query.syntax.statement import Aggregate, Column, Constant, Member, Parameter, Value
from store.query.types import casts
from store.query.types.kinds import NUMBERS, Kind


class Scope(Protocol):
    """What names mean, and what else depends on where a value stands."""

    def column(self, column: Column) -> Expression:
        """The column of that name. MalformedQuery where there is none, or more than one."""
        ...

    def aggregate(self, aggregate: Aggregate) -> Expression:
        """The aggregate's value. MalformedQuery where none may stand."""
        ...

    def member(self, member: Member, compiler: "Compiler") -> Expression:
        """Whether a value is in a subquery. MalformedQuery where none may stand."""
        ...

    def known(self, node: Value) -> Expression | None:
        """The value of a node that is computed already, as a group's key is; else None."""
        ...


class Compiler:
    """Compiles the values of one scope."""

    def __init__(self, scope: Scope, params: Sequence[Any]) -> None:
        self.scope: Final = scope
        self.params: Final = params

    def value(self, node: Value) -> Expression:
        """A value whose type is settled."""
        return settled(self._compile(node))

    def condition(self, node: Value, what: str) -> Expression:
        """A value that is a boolean."""
        return boolean(self._compile(node), what)

    def as_kind(self, node: Value, kind: Kind, what: str) -> Expression:
        """A value of a kind, or one that is widened to it."""
        made = self._compile(node)
        if made.kind is Kind.UNKNOWN or (
            made.kind in NUMBERS and kind in NUMBERS and NUMBERS.index(made.kind) <= NUMBERS.index(kind)
        ):
            return coerced(made, kind)
        if made.kind is not kind:
            malformed(node.position, f"{what} is {kind}, found {made.kind}")
        return made

    def _compile(self, node: Value) -> Expression:  # noqa: PLR0911  # A line a kind of node reads best.
        known = self.scope.known(node)
        if known is not None:
            return known
        if isinstance(node, Column):
            return self.scope.column(node)
        if isinstance(node, Constant):
            return value(casts.literal_kind(node.value), casts.literal_value(node.value), node.position)
        if isinstance(node, Parameter):
            return Expression(Kind.UNKNOWN, "parameter", (), self.params[node.number], _unsettled, node.position)
        if isinstance(node, Aggregate):
            return self.scope.aggregate(node)
        if isinstance(node, Member):
            return self.scope.member(node, self)
        args = [self._compile(each) for each in node.args]
        construct = CONSTRUCTS.get(node.name)
        if construct is not None:
            return construct(node, args)
        if node.name.startswith("cast "):
            return cast(args[0], Kind(node.name.removeprefix("cast ")), node.position)
        return function(node.name, args, node.position)


def _unsettled(_row: Any) -> Any:
    raise AssertionError("a parameter whose type was not settled was evaluated")
