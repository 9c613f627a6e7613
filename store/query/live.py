"""A query that is followed: compiled once, asked about every row that changes.

    query = compile_live("SELECT id, balance FROM account WHERE owner = $1 AND balance > $2", ("ada", 10), schema)
    query.matches(row)                 whether a decoded row is in it
    query.project(row, data)           its bytes as the follower gets them
    query.equalities                   where to find it: owner is 'ada'

Laws: the same query with the same parameters has the same id, however it is written, also after a restart. A projection
holds the primary key, so that a follower can tell rows apart. What a followed query cannot be is refused.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NoReturn
from uuid import UUID

from store.ids import QueryId
from store.query.meaning.compiling import Compiler
from store.query.meaning.expressions import Expression
from store.query.meaning.membership import Membership, Share, compile_member
from store.query.meaning.tables import ResultColumn, TableSource, column_expression, find_column, find_sources
from store.query.options import Followed
from store.query.problems import malformed
from store.query.routing import Equality, MemberUse, Range, equalities, member_uses, ranges
from store.query.shaping.grouping import GroupScope, group_scope
from store.query.shaping.projecting import Projected, is_whole, outputs, row_maker
from store.query.shaping.shapes import Shape, shape
from store.query.syntax.lexing import QUERY_LENGTH_MAX
from store.query.syntax.parsing import parse
from store.query.syntax.statement import Aggregate, Column, Member, Statement, Value
from store.schema import Schema, TableSchema
from store.values import encode


@dataclass(frozen=True, eq=False, slots=True)
class LiveQuery:
    """All rows of one table of which a condition is true, whole or projected. Equal ids mean equal queries."""

    id: QueryId
    table: TableSchema
    columns: tuple[ResultColumn, ...]
    key: int
    """The place of the primary key among the columns; -1 where rows are groups."""
    where: Expression | None
    projection: tuple[Projected, ...] | None
    """None where rows go as they are."""
    equalities: tuple[Equality, ...]
    """Each by itself holds for every row of the query: any one may be used to find it."""
    is_equality: bool
    """Whether it holds exactly the rows of which one column has one value, as they are."""
    ranges: tuple[Range, ...]
    """As equalities."""
    uses: tuple[MemberUse, ...]
    """Where subqueries are asked; whoever evaluates keeps their values current."""
    matches: Callable[[Any], bool]
    """Whether a decoded row is in the query. MalformedQuery where the condition has no value for it."""
    project: Callable[[Any, bytes], bytes]
    """From a decoded row and its bytes to the bytes that are sent."""
    shape: Shape | None
    """What it shows where that is not just the rows that match: their groups, or the first in an order."""

    @property
    def is_table(self) -> bool:
        """Whether it holds all rows as they are."""
        return self.where is None and self.projection is None and self.shape is None

    @property
    def members(self) -> tuple[Membership, ...]:
        """The subqueries, each once."""
        return tuple(dict.fromkeys(each.membership for each in self.uses))

    @property
    def never(self) -> bool:
        """Whether no row can ever be in it."""
        return self.where is not None and self.where.is_value and self.where.detail is not True


def _unshared(membership: Membership) -> Membership:
    return membership


class TableScope:
    """The names of one table's query; subqueries are collected."""

    def __init__(
        self,
        sources: Sequence[TableSource],
        schema: Schema,
        params: Sequence[Any],
        *,
        operate: bool,
        share: Share = _unshared,
    ) -> None:
        self._sources: Final = sources
        self._joined = len(sources) > 1
        self._schema: Final = schema
        self._params: Final = params
        self._operate: Final = operate
        self._share: Final = share
        self.members: list[Membership] = []

    def column(self, column: Column) -> Expression:
        """The column of that name."""
        place, found = find_column(column, self._sources)
        return column_expression(place, found, column.position, joined=self._joined)

    def up_to(self, count: int) -> "TableScope":
        """The first tables of this scope alone, as an ON sees them; subqueries are collected here."""
        made = TableScope(self._sources[:count], self._schema, self._params, operate=self._operate, share=self._share)
        made._joined, made.members = self._joined, self.members  # Another of the same.
        return made

    def _inner(self, sources: Sequence[TableSource]) -> "TableScope":
        return TableScope(sources, self._schema, self._params, operate=self._operate, share=self._share)

    def aggregate(self, aggregate: Aggregate) -> NoReturn:
        """None may stand here."""
        malformed(aggregate.position, f"{aggregate.name.upper()} may not stand here")

    def member(self, member: Member, compiler: Compiler) -> Expression:
        """Whether a value is in a subquery."""
        expression, made = compile_member(
            member, compiler, self._inner, self._schema, operate=self._operate, share=self._share
        )
        self.members.append(made)
        return expression

    def known(self, _node: Value) -> None:
        """Nothing is computed before."""


def compile_live(
    sql: str,
    params: Sequence[Any],
    schema: Schema,
    *,
    operate: bool = False,
    length_max: int = QUERY_LENGTH_MAX,
    share: Share = _unshared,
    options: Followed | None = None,
) -> LiveQuery:
    """Read a followed query's text and its parameters, in order ($1 or ?), against a schema.

    `share` gives each subquery the one that is kept current for all that mean the same. Without `options` it may show
    nothing but rows: no groups, no order. A private table wants `operate`: Denied. MalformedQuery names the place in
    the text, what was expected and found.
    """
    statement = parse(sql, length_max=length_max)
    check_parameters(statement, params)
    _check_live(statement, shapes=options is not None)
    select = statement.select
    sources = find_sources(select.sources, schema, operate=operate)
    scope = TableScope(sources, schema, params, operate=operate, share=share)
    compiler = Compiler(scope, params)
    table = sources[0].table
    where = None if select.where is None else compiler.condition(select.where, "WHERE")
    if where is not None and where.is_value and where.detail is True:
        where = None
    grouped = None if options is None else group_scope(select, compiler, sources)
    above = compiler if grouped is None else Compiler(grouped, params)
    whole = grouped is None and is_whole(select.outputs, sources)
    plain = whole and not select.order and select.limit is None and select.offset is None
    shown = () if plain else outputs(select.outputs, sources, above, joined=False)
    shaped = None if options is None else shape(select, grouped, shown, above, options)
    projection = None if grouped is not None or whole else shown
    return LiveQuery(
        id=_query_id(table, where, projection, shaped, said=(sql, params)),
        table=table,
        columns=tuple(each.column for each in shown) if shown else _table_columns(table),
        key=-1 if grouped is not None else _key_place(table, shown, select.position) if shown else _table_key(table),
        where=where,
        projection=projection,
        equalities=equalities(where),
        is_equality=shaped is None
        and projection is None
        and where is not None
        and where.op == "="
        and bool(equalities(where)),
        ranges=ranges(where),
        uses=member_uses(where, _values(grouped, projection)),
        matches=_always if where is None else _truly(where),
        project=_as_is if projection is None else _projector(projection),
        shape=shaped,
    )


def _values(grouped: GroupScope | None, projection: tuple[Projected, ...] | None) -> list[Expression]:
    """What is computed of each row."""
    if grouped is None:
        return [each.made for each in projection or ()]
    return [*grouped.keys, *(each.argument for each in grouped.aggregates if each.argument is not None)]


def check_parameters(statement: Statement, params: Sequence[Any]) -> None:
    """Refuse more or fewer values than the text has parameters."""
    if len(params) != statement.parameters:
        malformed(
            statement.length,
            f"the text has {statement.parameters} parameters, found {len(params)} values",
            hint="Give one value for each",
        )


def _check_live(statement: Statement, *, shapes: bool) -> None:
    """Refuse what only one-off queries have, or what has a shape where nobody follows those."""
    select = statement.select
    found = [
        (select.position, "EXPLAIN", statement.explain),
        (select.sources[-1].table.position, "JOIN", len(select.sources) > 1),
        (select.position, "DISTINCT", select.distinct),
    ]
    if not shapes:
        found += [
            (select.group[0].position if select.group else 0, "GROUP BY", bool(select.group)),
            (select.having.position if select.having else 0, "HAVING", select.having is not None),
            (select.order[0].value.position if select.order else 0, "ORDER BY", bool(select.order)),
            (select.limit.position if select.limit else 0, "LIMIT", select.limit is not None),
            (select.offset.position if select.offset else 0, "OFFSET", select.offset is not None),
        ]
    for position, what, is_there in found:
        if is_there:
            malformed(position, f"a followed query has no {what}", hint="Ask it once, or follow it without")


@lru_cache(maxsize=1_024)
def _table_columns(table: TableSchema) -> tuple[ResultColumn, ...]:
    """Made once: as many queries as there are followers may name no column."""
    return tuple(ResultColumn(each.name, each.type, each.nullable) for each in table.columns)


def _table_key(table: TableSchema) -> int:
    return [each.id for each in table.columns].index(table.primary_key)


def _key_place(table: TableSchema, shown: Sequence[Projected], position: int) -> int:  # noqa: RET503  # It refuses.
    for place, each in enumerate(shown):
        if each.made.op == "column" and each.made.detail[1].id == table.primary_key:
            return place
    malformed(
        position,
        f"a followed query's columns hold the primary key, {table.key_name}, which these do not",
        hint=f"Add {table.key_name}: by it a follower tells rows apart",
    )


def _query_id(
    table: TableSchema,
    where: Expression | None,
    projection: tuple[Projected, ...] | None,
    shaped: Shape | None,
    *,
    said: tuple[str, Sequence[Any]],
) -> QueryId:
    """120 bits of a hash over what the query means: nobody finds two that collide."""
    meaning: list[Any]
    if where is not None and where.is_value:  # What is never true means nothing: its text tells such queries apart.
        meaning = [table.id, "never", said[0], repr(said[1])]
    elif shaped is not None:
        condition = None if where is None else where.canonical()
        columns = [[each.column.name, each.made.canonical()] for each in projection or ()]
        meaning = [table.id, columns, condition, shaped.canonical]
    elif projection is not None:
        columns = [[each.column.name, each.made.canonical()] for each in projection]
        meaning = [table.id, columns, None if where is None else where.canonical()]
    elif where is None:
        meaning = [table.id]
    elif where.op == "=" and where.args[0].op == "column" and type(where.args[1].detail) in _PLAIN:
        meaning = [table.id, where.args[0].detail[1].id, where.args[1].one_form()]
    else:
        meaning = [table.id, None, where.canonical()]
    return QueryId(base64.urlsafe_b64encode(hashlib.blake2b(encode(meaning), digest_size=15).digest()).decode())


_PLAIN: Final = frozenset({bool, int, float, str, bytes, datetime, Decimal, UUID})
"""The types of constants whose comparison with a column has the short form of meaning."""


def _always(_row: Any) -> bool:
    return True


def _truly(where: Expression) -> Callable[[Any], bool]:
    evaluate = where.evaluate
    return lambda row: evaluate(row) is True


def _as_is(_row: Any, data: bytes) -> bytes:
    return data


def _projector(projection: tuple[Projected, ...]) -> Callable[[Any, bytes], bytes]:
    make = row_maker(projection)
    return lambda row, _data: make(row)
