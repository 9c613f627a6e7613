"""A query that is asked once: compiled against the schema, answered from the tables, within bounds.

    question = compile_question("SELECT owner, sum(balance) FROM account GROUP BY owner ORDER BY 2 DESC", (), schema)
    rows = question.answer(database, Budget(options, clock))

Laws: the rows are those of PostgreSQL; without ORDER BY they come in primary-key order of the first table. Everything
that is looked at is counted. Keys and indexes are used where a condition fixes their value; EXPLAIN says which.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from store.query.access import Access, Join, access, fill
from store.query.budget import Budget
from store.query.live import TableScope, check_parameters
from store.query.meaning.compiling import Compiler
from store.query.meaning.membership import Membership
from store.query.meaning.tables import ResultColumn, TableSource, find_sources
from store.query.problems import malformed
from store.query.shaping.grouping import GroupScope, group_scope
from store.query.shaping.ordering import SortKey, bound, meaning, sort_keys
from store.query.shaping.projecting import is_whole, outputs, row_maker
from store.query.syntax.lexing import QUERY_LENGTH_MAX
from store.query.syntax.parsing import parse
from store.query.syntax.statement import Select
from store.schema import Schema
from store.tables.database import Database
from store.values import encode

PLAN_COLUMNS: Final = (ResultColumn("plan", "str", nullable=False),)
"""What EXPLAIN's rows are."""


class _Found(NamedTuple):
    """A row on its way: what values are computed from, and its own bytes where it is one table's."""

    row: Any
    data: bytes


@dataclass(frozen=True, eq=False)
class Question:
    """One query, ready to be answered."""

    name: str
    """Of the first table."""
    columns: tuple[ResultColumn, ...]
    key: int
    """The place of the first table's primary key, where rows are one table's and hold it; else -1."""
    plan: tuple[str, ...]
    """How it is answered, for people."""
    answer: Callable[[Database, Budget], list[bytes]]
    """The rows as MessagePack arrays. Overloaded past a bound, MalformedQuery where a value cannot be computed."""


def compile_question(
    sql: str, params: Sequence[Any], schema: Schema, *, operate: bool = False, length_max: int = QUERY_LENGTH_MAX
) -> Question:
    """Read a query's text and its parameters, in order ($1 or ?), against a schema.

    Every private table wants `operate`: Denied. MalformedQuery names the place, what was expected and found.
    """
    statement = parse(sql, length_max=length_max)
    check_parameters(statement, params)
    sources = find_sources(statement.select.sources, schema, operate=operate)
    made = _Plan(statement.select, sources, TableScope(sources, schema, params, operate=operate), params)
    plan = tuple(made.explain())
    if statement.explain:
        lines = [encode([each]) for each in plan]
        return Question("plan", PLAN_COLUMNS, -1, plan, lambda _database, _budget: lines)
    columns = tuple(each.column for each in made.outputs)
    return Question(sources[0].name, columns, made.key(), plan, made.run)


class _Plan:
    """What is done, step by step, to answer one SELECT."""

    def __init__(
        self, select: Select, sources: tuple[TableSource, ...], scope: TableScope, params: Sequence[Any]
    ) -> None:
        self._sources: Final = sources
        self._joined: Final = len(sources) > 1
        self._scope: Final = scope
        below = Compiler(scope, params)
        self._joins: Final = [
            _join(place, sources, select, Compiler(scope.up_to(place + 1), params)) for place in range(1, len(sources))
        ]
        self._where: Final = None if select.where is None else below.condition(select.where, "WHERE")
        self._grouping: Final = group_scope(select, below, sources)
        above = below if self._grouping is None else Compiler(self._grouping, params)
        self.outputs: Final = outputs(select.outputs, sources, above, joined=self._joined)
        self._having: Final = None if select.having is None else above.condition(select.having, "HAVING")
        self._distinct: Final = select.distinct
        self._order: Final = self._sort_keys(select, above)
        self._limit: Final = bound(select.limit, above, "LIMIT")
        self._offset: Final = bound(select.offset, above, "OFFSET") or 0
        self._whole: Final = self._grouping is None and is_whole(select.outputs, sources)
        self._access: Final[Access] = access(sources[0].table, 0, self._where)
        self._backwards: Final = self._is_key_order(descending=True)
        self._sorted: Final = not self._order or self._backwards or self._is_key_order(descending=False)
        self._members: Final[Sequence[Membership]] = tuple(scope.members)

    # Compiling.

    def _sort_keys(self, select: Select, above: Compiler) -> list[SortKey]:
        made = sort_keys(select, self.outputs, above)
        shown = {repr(meaning(each.made)) for each in self.outputs}
        for key in made:
            if self._distinct and repr(meaning(key.made)) not in shown:
                malformed(key.made.position, "with DISTINCT, ORDER BY takes outputs only")
        return made

    def _is_key_order(self, *, descending: bool) -> bool:
        """Whether ORDER BY is the order in which rows are come by, or that backwards."""
        if self._joined or self._grouping is not None or self._distinct or len(self._order) != 1:
            return False
        (key,) = self._order
        primary = self._sources[0].table.primary_key
        return key.descending is descending and key.made.op == "column" and key.made.detail[1].id == primary

    def key(self) -> int:
        """As Question.key."""
        if self._joined or self._grouping is not None:
            return -1
        for place, each in enumerate(self.outputs):
            if each.made.op == "column" and each.made.detail[1].id == self._sources[0].table.primary_key:
                return place
        return -1

    def explain(self) -> Iterator[str]:
        """The steps, as sentences for people."""
        for each in self._members:
            yield f"subquery at first: {access(each.table, 0, each.where).said}"
        yield self._access.said + (", backwards" if self._backwards else "")
        for join in self._joins:
            yield join.said
        if self._where is not None:
            yield "only where the condition is true"
        if self._grouping is not None:
            yield f"grouped by {len(self._grouping.keys)} keys, {len(self._grouping.aggregates)} aggregates"
        if self._distinct:
            yield "each different row once"
        if not self._sorted:
            yield f"sorted by {len(self._order)} keys"
        if self._limit is not None or self._offset:
            yield f"at most {'all' if self._limit is None else self._limit} rows behind the first {self._offset}"

    # Running.

    def run(self, database: Database, budget: Budget) -> list[bytes]:
        """The answer's rows."""
        with budget.running():
            return self._run(database, budget)

    def _run(self, database: Database, budget: Budget) -> list[bytes]:
        end = None if self._limit is None else self._offset + self._limit
        if self._whole and self._sorted and self._where is None and not self._distinct:
            return self._as_they_are(database, budget, end)
        for membership in self._members:
            fill(membership, database, budget)
        found: Iterator[_Found] = self._found(database, budget)
        if self._grouping is not None:
            found = self._groups(found, self._grouping, budget)
        if self._distinct:
            found = self._different(found)
        if self._grouping is not None and (self._offset or end is not None):
            found = self._by_key(found, self._grouping)
        if not self._sorted:
            found = iter(_sorted(list(found), self._order, budget))
        make = row_maker(self.outputs)
        rows: list[bytes] = []
        for each in islice(found, self._offset, end):
            rows.append(each.data if self._whole else make(each.row))
            budget.returned(len(rows))
        return rows

    def _as_they_are(self, database: Database, budget: Budget, end: int | None) -> list[bytes]:
        """Rows of which nothing is asked: none is decoded."""
        table = database.tables[self._sources[0].table.id]
        keys = table.ordered_keys()
        wanted = (keys[::-1] if self._backwards else keys)[self._offset : end]
        budget.spend(len(wanted))
        budget.returned(len(wanted))
        rows = table.rows
        return [rows[key] for key in wanted]

    def _found(self, database: Database, budget: Budget) -> Iterator[_Found]:
        """The rows of all tables that the condition is true of."""
        where = None if self._where is None else self._where.evaluate
        if not self._joins:
            for each in self._first(database, budget):
                if where is None or where(each.row) is True:
                    yield each
            return
        rows: Iterator[tuple[Any, ...]] = ((each.row,) for each in self._first(database, budget))
        for join in self._joins:
            rows = join.rows(rows, database, budget)
        for row in rows:
            if where is None or where(row) is True:
                yield _Found(row, b"")

    def _first(self, database: Database, budget: Budget) -> Iterator[_Found]:
        """The first table's rows."""
        table = database.tables[self._sources[0].table.id]
        decode, rows = table.codec.decode, table.rows
        keys = self._access.keys(table)
        for key in reversed(keys) if self._backwards else keys:
            budget.spend()
            data = rows[key]
            yield _Found(decode(data), data)

    def _groups(self, found: Iterator[_Found], grouping: GroupScope, budget: Budget) -> Iterator[_Found]:
        having = None if self._having is None else self._having.evaluate
        for row in grouping.groups((each.row for each in found), budget):
            if having is None or having(row) is True:
                yield _Found(row, b"")

    @staticmethod
    def _by_key(found: Iterator[_Found], grouping: GroupScope) -> Iterator[_Found]:
        """Groups in the order of their keys' bytes, so that it is certain which are the first of those that tie."""
        return iter(sorted(found, key=lambda each: grouping.encoded_key(each.row)))

    def _different(self, found: Iterator[_Found]) -> Iterator[_Found]:
        """The first of the rows that are shown alike."""
        shown = [each.made.evaluate for each in self.outputs]
        seen: set[Any] = set()
        for each in found:
            values = tuple([get(each.row) for get in shown])
            if values not in seen:
                seen.add(values)
                yield each


def _join(place: int, sources: Sequence[TableSource], select: Select, compiler: Compiler) -> Join:
    source = select.sources[place]
    assert source.on is not None
    return Join(sources[place].table, place, compiler.condition(source.on, "ON"), outer=source.outer)


def _sorted(found: list[_Found], keys: Sequence[SortKey], budget: Budget) -> list[_Found]:
    """In order, by the last key first: a sort keeps what it finds equal as it was."""
    for key in reversed(keys):
        get = key.made.evaluate
        said = [(get(each.row), each) for each in found]
        nulls = [each for value, each in said if value is None]
        others = [pair for pair in said if pair[0] is not None]
        budget.check_time()
        others.sort(key=_value_of, reverse=key.descending)
        rest = [each for _, each in others]
        found = nulls + rest if key.nulls_first else rest + nulls
    budget.check_time()
    return found


def _value_of(pair: tuple[Any, _Found]) -> Any:
    return pair[0]
