"""`value IN (SELECT column FROM other WHERE …)`: a set of values, and the query that says which they are.

Laws: a subquery stands by itself: it knows no column of the query around it. Its values are counted, so that one of two
rows with the same value may go without the value going.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from store.query.meaning.coercion import coerced, matched
from store.query.meaning.compiling import Compiler, Scope
from store.query.meaning.expressions import Expression
from store.query.meaning.tables import TableSource, find_sources
from store.query.problems import SUPPORTED, malformed
from store.query.syntax.statement import Member, Select
from store.query.types.kinds import Kind
from store.schema import Schema, TableSchema


class Membership:
    """One subquery's values, and how a row of its table bears on them.

    `matches` says whether a decoded row of `table` is in the subquery, and `value` which value it brings. `add` and
    `discard` are called for each row that comes and goes; `contains` is what the condition around it asks.
    """

    def __init__(
        self,
        table: TableSchema,
        where: Expression | None,
        column: Expression,
        members: tuple["Membership", ...],
    ) -> None:
        self.table: Final = table
        self.where: Final = where
        self.column: Final = column
        self.value: Final = column.evaluate
        self.members: Final = members
        """The subqueries of this one's own condition."""
        self.pasts: Final[list[dict[Any, bool]]] = []
        """Who looks at a moment that is past keeps here what has come or gone since: a value, and whether it was in."""
        self._counts: Final[dict[Any, int]] = {}
        self._seen: Collection[Any] = self._counts

    def matches(self, row: Any) -> bool:
        """Whether a decoded row of the table is in the subquery."""
        return self.where is None or self.where.evaluate(row) is True

    def add(self, value: Any) -> bool:
        """One row more brings the value; says whether it is the first."""
        count = self._counts[value] = self._counts.get(value, 0) + 1
        return count == 1

    def discard(self, value: Any) -> bool:
        """One row fewer brings the value; says whether it was the last."""
        count = self._counts[value] - 1
        if count:
            self._counts[value] = count
        else:
            del self._counts[value]
        return not count

    def clear(self) -> None:
        """No value is in it."""
        self._counts.clear()

    def move(self, moved: Mapping[Any, int]) -> dict[Any, bool]:
        """So many rows more, or fewer, bring each value. Returns what came or went: a value, and whether it was in."""
        counts, was = self._counts, {}
        for value, more in moved.items():
            before = counts.get(value, 0)
            after = before + more
            assert after >= 0, f"{-more} rows less bring {value!r}, there were {before}"
            if after:
                counts[value] = after
            else:
                counts.pop(value, None)
            if bool(before) is not bool(after):
                was[value] = bool(before)
        for past in self.pasts:
            for value, was_in in was.items():
                past.setdefault(value, was_in)
        return was

    def compare(self, moved: Mapping[Any, int]) -> dict[Any, bool]:
        """What came or went since so many rows fewer, or more, brought each value; nothing is changed."""
        counts = self._counts
        return {
            value: bool(now - more)
            for value, more in moved.items()
            if bool(now := counts.get(value, 0)) is not bool(now - more)
        }

    def look_at(self, past: Mapping[Any, bool] | None) -> None:
        """Answer as of a moment since which these values came or went; None: as of now."""
        self._seen = self._counts if past is None else _Past(self._counts, past)

    @property
    def count(self) -> int:
        """Different values in it."""
        return len(self._counts)

    def values(self) -> Sequence[Any]:
        """The different values in it, without NULL."""
        return [each for each in self._counts if each is not None]

    def contains(self, value: Any) -> bool | None:
        """SQL's IN: None where NULL leaves it open."""
        seen = self._seen
        if not seen:
            return False
        if value is None:
            return None
        return True if value in seen else (None if None in seen else False)

    def canonical(self) -> Any:
        """Plain values that are equal where subqueries mean the same."""
        where = None if self.where is None else self.where.canonical()
        return [self.table.id, self.column.canonical(), where]


class _Past(Collection[Any]):
    """Values as they were."""

    def __init__(self, now: Mapping[Any, int], was: Mapping[Any, bool]) -> None:
        self._now: Final = now
        self._was: Final = was

    def __contains__(self, value: object) -> bool:
        was = self._was.get(value)
        return value in self._now if was is None else was

    def __iter__(self) -> Iterator[Any]:
        yield from (each for each in self._now if each not in self._was)
        yield from (each for each, was in self._was.items() if was)

    def __len__(self) -> int:
        return len(self._now) + sum(was - (value in self._now) for value, was in self._was.items())


Share = Callable[[Membership], Membership]
"""From a subquery to the one that stands for all that mean the same."""


def compile_member(
    member: Member,
    outer: Compiler,
    scope_of: Callable[[Sequence[TableSource]], Scope],
    schema: Schema,
    *,
    operate: bool,
    share: Share,
) -> tuple[Expression, Membership]:
    """The condition, and the membership it asks. MalformedQuery where the subquery is more than a column of a table."""
    select = member.query
    _check(select)
    sources = find_sources(select.sources, schema, operate=operate)
    scope = scope_of(sources)
    inner = Compiler(scope, outer.params)
    (output,) = select.outputs
    assert output.value is not None
    column = inner.value(output.value)
    where = None if select.where is None else inner.condition(select.where, "WHERE")
    operand = outer.value(member.operand)
    operand, column = matched("=", operand, column)
    if column.kind is Kind.FLOAT8 or operand.kind is Kind.FLOAT8:
        operand, column = coerced(operand, Kind.FLOAT8), coerced(column, Kind.FLOAT8)
    made = share(Membership(sources[0].table, where, column, tuple(getattr(scope, "members", ()))))
    return _asked(operand, made, member.position), made


def _asked(operand: Expression, membership: Membership, position: int) -> Expression:
    get, contains = operand.evaluate, membership.contains
    return Expression(Kind.BOOL, "member", (operand,), membership, lambda row: contains(get(row)), position)


def _check(select: Select) -> None:
    """Refuse subqueries that are no column of one table."""
    others = select.distinct or select.group or select.having or select.order or select.limit or select.offset
    if len(select.sources) > 1 or others or len(select.outputs) != 1 or select.outputs[0].value is None:
        malformed(select.position, "a subquery is SELECT column FROM table, with or without WHERE", hint=SUPPORTED)
