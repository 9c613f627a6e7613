"""How a table's rows are come by: by key, by an index, or all of them; and for a join, by what it must equal.

Laws: what is found holds every row that the condition is true of, in primary-key order; the condition is asked of each
all the same.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from store.ids import Key
from store.query.budget import Budget
from store.query.meaning.expressions import Evaluate, Expression
from store.query.meaning.membership import Membership
from store.query.routing import branches, equalities, member_terms, same_form, terms
from store.schema import ColumnSchema, TableSchema
from store.tables.database import Database
from store.tables.table import StoredTable


class Access(NamedTuple):
    """How the rows of one table are come by."""

    said: str
    """For EXPLAIN."""
    keys: Callable[[StoredTable], Sequence[Key]]


def access(table: TableSchema, source: int, where: Expression | None) -> Access:
    """The best way to the rows that a condition may be true of."""
    if where is not None and where.is_value and where.detail is not True:
        return Access("no row: the condition is never true", lambda _: ())
    best = _best(table, source, where)
    if best is not None:
        said = ", or ".join(dict.fromkeys(_how(table, column) for column, _ in best))
        return Access(f"rows of {table.name} {said}", _looked_up(best))
    return Access(f"all rows of {table.name} in the order of {table.key_name}", StoredTable.ordered_keys)


_Way = tuple[ColumnSchema, Callable[[], Sequence[Any]]]
"""A column that a key or an index leads to, and the values it must have."""


def _best(table: TableSchema, source: int, where: Expression | None) -> list[_Way] | None:
    """The way that leads to the fewest rows of each value; several where an OR has one for each branch."""
    found: list[list[_Way]] = [
        [(each.column, _fixed(each.values))] for each in equalities(where) if each.source == source
    ]
    found += [[(each.column, each.membership.values)] for each in member_terms(where) if each.source == source]
    found = [each for each in found if _rank(table, each[0][0]) < _NO_INDEX]
    found += [ways for each in terms(where) if each.op == "or" and (ways := _either(table, source, each)) is not None]
    return min(found, key=lambda ways: max((_rank(table, column) for column, _ in ways), default=0), default=None)


def _either(table: TableSchema, source: int, term: Expression) -> list[_Way] | None:
    """The best way of each branch of an OR, together; None where one has none."""
    found = [_best(table, source, each) for each in branches(term)]
    return None if None in found else [way for ways in found if ways is not None for way in ways]


_NO_INDEX: Final = 3


def _rank(table: TableSchema, column: ColumnSchema) -> int:
    """How few rows a column's value has: 0 at most one."""
    if column.id == table.primary_key:
        return 0
    for each in table.indexes:
        if each.column == column.id:
            return 1 if each.unique else 2
    return _NO_INDEX


def _how(table: TableSchema, column: ColumnSchema) -> str:
    return f"by {'the primary key' if column.id == table.primary_key else 'the index'} {column.name}"


def _fixed(values: Sequence[Any]) -> Callable[[], Sequence[Any]]:
    return lambda: values


def _looked_up(ways: Sequence[_Way]) -> Callable[[StoredTable], Sequence[Key]]:
    def keys(table: StoredTable) -> Sequence[Key]:
        found = [(column.id, value) for column, values in ways for value in values()]
        if len(found) == 1:
            return table.lookup(*found[0])
        return sorted({key for each in found for key in table.lookup(*each)})

    return keys


def fill(membership: Membership, database: Database, budget: Budget) -> None:
    """Look up a subquery's values, those of its own subqueries first."""
    for each in membership.members:
        fill(each, database, budget)
    membership.clear()
    table = database.tables[membership.table.id]
    decode, matches, value = table.codec.decode, membership.matches, membership.value
    for key in access(membership.table, 0, membership.where).keys(table):
        budget.spend()
        row = decode(table.rows[key])
        if matches(row):
            membership.add(value(row))


def candidates(
    table: TableSchema, where: Expression | None, stored: StoredTable, *, count_max: int
) -> list[Key] | None:
    """The keys of one table among which are those a condition is true of, in no order, where a key or an index leads.

    None where none does, or where more than `count_max` are found before the last value was looked up.
    """
    if where is not None and where.is_value and where.detail is not True:
        return []
    best = _best(table, 0, where)
    if best is None:
        return None
    found: dict[Key, None] = {}
    for column, values in best:
        index = stored.index(column.id)
        for value in values():
            if len(found) > count_max:
                return None
            found.update(dict.fromkeys(stored.lookup(column.id, value) if index is None else index.keys(value)))
    return list(found)


# Joins.


class Join:
    """One joined table: for the rows before it, those of its own that belong to them."""

    def __init__(self, table: TableSchema, source: int, on: Expression, *, outer: bool) -> None:
        self._table: Final = table
        self._on: Final = on.evaluate
        self._outer: Final = outer
        found = _join_terms(source, on)
        found.sort(key=lambda each: _rank(table, each[0]))
        self._column: Final = found[0][0] if found else None
        self._value: Final = found[0][1] if found else None
        self._indexed: Final = self._column is not None and _rank(table, self._column) < _NO_INDEX
        self.said: Final = ("LEFT JOIN " if outer else "JOIN ") + self._how()

    def _how(self) -> str:
        if self._column is None:
            return f"all rows of {self._table.name}, for each row so far"
        if self._indexed:
            return f"rows of {self._table.name} {_how(self._table, self._column)}"
        return f"all rows of {self._table.name}, once, found again by {self._column.name}"

    def rows(self, before: Iterator[tuple[Any, ...]], database: Database, budget: Budget) -> Iterator[tuple[Any, ...]]:
        """The rows before, each with every row that belongs to it; alone where none does and the join is outer."""
        candidates = self._candidates(database.tables[self._table.id], budget)
        on = self._on
        for each in before:
            alone = True
            for row in candidates(each):
                budget.spend()
                joined = (*each, row)
                if on(joined) is True:
                    alone = False
                    yield joined
            if alone and self._outer:
                yield (*each, None)

    def _candidates(self, table: StoredTable, budget: Budget) -> Callable[[tuple[Any, ...]], Sequence[Any]]:
        decode, rows = table.codec.decode, table.rows
        column, value = self._column, self._value
        if column is not None and value is not None and self._indexed:
            get, number = value, column.id

            def looked_up(before: tuple[Any, ...]) -> Sequence[Any]:
                said = get(before)
                return () if said is None else [decode(rows[key]) for key in table.lookup(number, said)]

            return looked_up
        budget.spend(len(rows))
        every = [decode(rows[key]) for key in table.ordered_keys()]
        if column is None or value is None:
            return lambda _: every
        known: dict[Any, list[Any]] = {}
        for row in every:
            known.setdefault(getattr(row, column.name), []).append(row)
        known.pop(None, None)
        wanted = value
        return lambda before: known.get(wanted(before), ())


def _join_terms(source: int, on: Expression) -> list[tuple[ColumnSchema, Evaluate]]:
    """The columns of a source that must equal something of the sources before it, and that."""
    found = []
    for term in terms(on):
        if term.op != "=":
            continue
        for column, other in (term.args, term.args[::-1]):
            mine = column.op == "column" and column.detail[0] == source
            if mine and max(_sources(other), default=0) < source and same_form(column.kind, other):
                found.append((column.detail[1], other.evaluate))
    return found


def _sources(made: Expression) -> set[int]:
    """The tables whose columns a value is made of."""
    if made.op == "column":
        return {made.detail[0]}
    return {source for each in made.args for source in _sources(each)}
