"""What stands above groups: their keys, and aggregates of their rows; nothing else of a row is left there.

Laws: a value is a group's key where it is written as one in GROUP BY, names aside; a column that is no key may only
stand inside an aggregate.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple, NoReturn

from store.query.budget import Budget
from store.query.meaning.compiling import Compiler
from store.query.meaning.expressions import Expression
from store.query.meaning.tables import TableSource, find_column
from store.query.problems import Trouble, malformed
from store.query.shaping.aggregates import Accumulator, Distinct, Made, Retractable, aggregate, boundless
from store.query.shaping.projecting import stored
from store.query.shaping.ranked import Ranked
from store.query.syntax.statement import Aggregate, Call, Column, Constant, Member, Output, Parameter, Select, Value
from store.query.types.kinds import Kind
from store.values import encode


class Aggregated(NamedTuple):
    """One aggregate of each group."""

    argument: Expression | None
    """None for COUNT(*)."""
    distinct: bool
    name: str
    made: Made
    position: int

    def begin(self) -> Accumulator:
        """For the rows of one group."""
        made: Any = self.made.begin()
        return Distinct(made, boundless) if self.distinct else made  # Bounded by the rows it may look at.

    def follow(self, spend: Callable[[int], None]) -> Retractable:
        """For the rows of one group that come and go; `spend` is told of values remembered, and may refuse."""
        if self.name in _BESTS:
            return Ranked(spend, greatest=self.name == "max")
        made: Any = self.made.begin()  # But for the bests, all are Retractable.
        return Distinct(made, spend) if self.distinct else made


_BESTS: Final = frozenset({"min", "max"})


class GroupScope:
    """What names mean above groups: a row is a tuple of the keys' values, then the aggregates'."""

    def __init__(self, keys: Sequence[Value], inner: Compiler, sources: Sequence[TableSource]) -> None:
        self._inner: Final = inner
        self._sources: Final = sources
        self.keys: Final = [inner.value(each) for each in keys]
        for each in self.keys:
            if each.kind is Kind.ARRAY:
                malformed(each.position, "arrays are not compared, so they are no group's key")
        self._forms: Final = [
            stored(self._slot(place, each.kind, each.position)) for place, each in enumerate(self.keys)
        ]
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
        distinct = node.distinct and node.name not in _BESTS
        self.aggregates.append(Aggregated(argument, distinct, node.name, made, node.position))
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
        key_of, values_of = self.key_of(), self.values_of()
        found: dict[tuple[Any, ...], list[Accumulator]] = {}
        if not self.keys:
            found[()] = [each.begin() for each in self.aggregates]
        for row in rows:
            group = key_of(row)
            accumulators = found.get(group)
            if accumulators is None:
                accumulators = found[group] = [each.begin() for each in self.aggregates]
            for accumulator, value in zip(accumulators, values_of(row), strict=True):
                if value is not None:
                    accumulator.add(value)
        for group, accumulators in found.items():
            budget.spend()
            yield (*group, *self.results(accumulators))

    def encoded_key(self, group: Sequence[Any]) -> bytes:
        """A group's key as a MessagePack array, from a tuple that begins with its values."""
        return encode([form(group) for form in self._forms])

    def key_of(self) -> Callable[[Any], tuple[Any, ...]]:
        """From a row to the key of its group."""
        keys = [each.evaluate for each in self.keys]
        return lambda row: tuple([key(row) for key in keys])

    def values_of(self) -> Callable[[Any], list[Any]]:
        """From a row to what each aggregate takes of it; None: nothing."""
        arguments = [_counted if each.argument is None else each.argument.evaluate for each in self.aggregates]
        return lambda row: [argument(row) for argument in arguments]

    def results(self, accumulators: Sequence[Accumulator]) -> list[Any]:
        """What a group's aggregates come to. MalformedQuery where one has no value."""
        return [
            self._result(each, accumulator) for each, accumulator in zip(self.aggregates, accumulators, strict=True)
        ]

    @staticmethod
    def _result(aggregated: Aggregated, accumulator: Accumulator) -> Any:
        try:
            return accumulator.result()
        except Trouble as trouble:
            malformed(aggregated.position, str(trouble))


def _counted(_row: Any) -> bool:
    """What COUNT(*) takes of a row."""
    return True


def group_scope(select: Select, below: Compiler, sources: Sequence[TableSource]) -> GroupScope | None:
    """What names mean above a SELECT's groups; None where it has none. MalformedQuery."""
    values = [each.value for each in select.outputs if each.value is not None]
    values += [each.value for each in select.order]
    if not select.group and select.having is None and not any(map(_has_aggregate, values)):
        return None
    return GroupScope([_grouped_by(each, select.outputs, sources) for each in select.group], below, sources)


def _has_aggregate(node: Value) -> bool:
    if isinstance(node, Call):
        return any(map(_has_aggregate, node.args))
    return isinstance(node, Aggregate)


def _grouped_by(node: Value, shown: Sequence[Output], sources: Sequence[TableSource]) -> Value:
    """A group's key: a column, else an output by its name, an output by its number, or any value."""
    if isinstance(node, Constant):
        number = node.value
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= len(shown):
            malformed(node.position, f"GROUP BY takes an output's number from 1 to {len(shown)}, or a value of columns")
        value = shown[number - 1].value
        if value is None:
            malformed(node.position, "GROUP BY cannot take * by its number", hint="Name its columns")
        return value
    if isinstance(node, Column) and node.source is None and not any(each.table.column(node.name) for each in sources):
        for each in shown:
            if each.alias == node.name and each.value is not None:
                return each.value
    return node
