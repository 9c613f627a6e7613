"""What stands above groups: their keys, and aggregates of their rows; nothing else of a row is left there.

Laws: a value is a group's key where it is written as one in GROUP BY, names aside; a column that is no key may only
stand inside an aggregate.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple, NoReturn

from store.query.aggregates import Accumulator, Distinct, Made, aggregate, as_summed
from store.query.budget import Budget
from store.query.compiling import Compiler
from store.query.expressions import Expression, strict
from store.query.kinds import Kind
from store.query.problems import Trouble, malformed
from store.query.statement import Aggregate, Call, Column, Constant, Member, Parameter, Value
from store.query.tables import TableSource, find_column


class Aggregated(NamedTuple):
    """One aggregate of each group."""

    argument: Expression | None
    """None for COUNT(*)."""
    distinct: bool
    made: Made
    position: int


class GroupScope:
    """What names mean above groups: a row is a tuple of the keys' values, then the aggregates'."""

    def __init__(self, keys: Sequence[Value], inner: Compiler, sources: Sequence[TableSource]) -> None:
        self._inner: Final = inner
        self._sources: Final = sources
        self.keys: Final = [inner.value(each) for each in keys]
        for each in self.keys:
            if each.kind is Kind.ARRAY:
                malformed(each.position, "arrays are not compared, so they are no group's key")
        self._places: Final = {self._signature(each): place for place, each in enumerate(keys)}
        self.aggregates: Final[list[Aggregated]] = []
        self._known: Final[dict[Any, Expression]] = {}

    def known(self, node: Value) -> Expression | None:
        """A key's value."""
        place = self._places.get(self._signature(node)) if self._places else None
        if place is None:
            return None
        return self._slot(place, self.keys[place].kind, node.position)

    def column(self, column: Column) -> NoReturn:
        """Not here."""
        find_column(column, self._sources)
        malformed(
            column.position,
            f"the column {column.name} must be in GROUP BY or in an aggregate",
            hint="There is one row for each group",
        )

    def member(self, member: Member, compiler: Compiler) -> Expression:
        """As below."""
        return self._inner.scope.member(member, compiler)

    def aggregate(self, node: Aggregate) -> Expression:
        """The aggregate's value for a group."""
        signature = self._signature(node)
        known = self._known.get(signature)
        if known is not None:
            return known
        argument = None if node.argument is None else self._inner.value(node.argument)
        made = aggregate(node.name, Kind.INT8 if argument is None else argument.kind)
        if made is None:
            assert argument is not None
            malformed(node.position, f"there is no {node.name.upper()} of {argument.kind}")
        summed = None if argument is None else as_summed(node.name, argument.kind)
        if argument is not None and summed is not None:
            argument = strict("as numeric", Kind.NUMERIC, summed, (argument,), argument.position)
        self.aggregates.append(Aggregated(argument, node.distinct, made, node.position))
        slot = self._slot(len(self.keys) + len(self.aggregates) - 1, made.gives, node.position)
        self._known[signature] = slot
        return slot

    @staticmethod
    def _slot(place: int, kind: Kind, position: int) -> Expression:
        return Expression(kind, "slot", (), place, itemgetter(place), position)

    def _signature(self, node: Value) -> Any:
        """What is equal where two values are written alike."""
        if isinstance(node, Column):
            place, column = find_column(node, self._sources)
            return ("column", place, column.id)
        if isinstance(node, Constant):
            return ("constant", type(node.value).__name__, str(node.value))
        if isinstance(node, Parameter):
            return ("parameter", node.number)
        if isinstance(node, Call):
            return (node.name, *map(self._signature, node.args))
        if isinstance(node, Aggregate):
            inner = None if node.argument is None else self._signature(node.argument)
            return ("aggregate", node.name, node.distinct, inner)
        return ("member", node.position)

    def groups(self, rows: Iterable[Any], budget: Budget) -> Iterator[tuple[Any, ...]]:
        """One row for each group, in the order in which they were met; without keys exactly one."""
        keys = [each.evaluate for each in self.keys]
        found: dict[tuple[Any, ...], list[Accumulator]] = {}
        if not keys:
            found[()] = self._begin()
        arguments = [None if each.argument is None else each.argument.evaluate for each in self.aggregates]
        for row in rows:
            group = tuple([key(row) for key in keys])
            accumulators = found.get(group)
            if accumulators is None:
                accumulators = found[group] = self._begin()
            for place, argument in enumerate(arguments):
                said = True if argument is None else argument(row)
                if said is not None:
                    self._add(accumulators[place], said, place)
        for group, accumulators in found.items():
            budget.spend()
            yield (*group, *[each.result() for each in accumulators])

    def _add(self, accumulator: Accumulator, value: Any, place: int) -> None:
        try:
            accumulator.add(value)
        except Trouble as trouble:
            malformed(self.aggregates[place].position, str(trouble))

    def _begin(self) -> list[Accumulator]:
        return [Distinct(each.made.begin()) if each.distinct else each.made.begin() for each in self.aggregates]
