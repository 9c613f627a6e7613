"""What a followed query shows beyond the rows its condition is true of: groups of them, and the first of an order.

Laws: whoever follows can tell rows apart and put them in order by what they are told: outputs hold the primary key, or
every value of GROUP BY, and every value of ORDER BY. An order without a bound would be every row's: it wants a LIMIT.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from store.ids import Key
from store.query.meaning.compiling import Compiler
from store.query.meaning.expressions import Expression
from store.query.options import Followed
from store.query.problems import malformed
from store.query.shaping.grouping import GroupScope
from store.query.shaping.groups import Grouped, Groups
from store.query.shaping.ordering import SortKey, bound, meaning, rank_maker, sort_keys
from store.query.shaping.projecting import Projected, row_maker
from store.query.shaping.results import Move, Result, ResultChange, Room, Share, Source
from store.query.shaping.topk import TopK
from store.query.syntax.statement import Select


class OrderColumn(NamedTuple):
    """One key of an order, as whoever follows can see it."""

    place: int
    """Of the column."""
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, eq=False)
class Shape:
    """The groups of a followed query, or the first of its rows or groups."""

    grouped: Grouped | None
    key: tuple[int, ...]
    """The places of the columns by which groups are told apart; of no meaning where rows are not grouped."""
    order: tuple[OrderColumn, ...]
    """Empty where LIMIT stands alone: then the first are those with the lowest keys."""
    limit: int | None
    """None where all groups are shown."""
    offset: int
    canonical: Any
    """Plain values that are equal where shapes mean the same."""
    keys: Sequence[SortKey]

    def begin(self, project: Callable[[Any, bytes], bytes], room: Room, options: Followed) -> Result:
        """A result of no rows yet; `project` makes what is told of a row that is not grouped."""
        if self.grouped is None:
            return self._top(project, room)
        groups = Groups(self.grouped, Share(room), groups_max=options.groups_max)
        return groups if self.limit is None else _TopGroups(groups, self._top(_as_it_is, room))

    def _top(self, project: Callable[[Any, bytes], bytes], room: Room) -> TopK:
        assert self.limit is not None
        return TopK(rank_maker(self.keys), project, Share(room), limit=self.limit, offset=self.offset)


class _TopGroups:
    """The first of an order of groups (Result)."""

    def __init__(self, groups: Groups, top: TopK) -> None:
        self._groups: Final = groups
        self._top: Final = top

    @property
    def is_low(self) -> bool:
        """Whether a MIN or MAX may soon not be known (Result); an order of groups is filled from what is held."""
        return self._groups.is_low

    def image(self, row: Any, data: bytes) -> Any:
        """As below (Result)."""
        return self._groups.image(row, data)

    def take(self, images: Iterable[tuple[Key, Any]]) -> None:
        """Take in rows at the beginning (Result)."""
        self._groups.take(images)

    def prepare(self, count: int) -> bool:
        """As below (Result)."""
        return self._groups.prepare(count)

    def rows(self, source: Source) -> list[bytes]:
        """The groups' rows in order (Result)."""
        if not self._groups.is_shown:
            self._groups.rows(source)
            self._top.take(self._groups.shown())
        return self._top.rows(self._groups.shown)

    def apply(self, moves: Sequence[Move], source: Source) -> ResultChange:
        """Take in what changed below (Result)."""
        return self._top.apply(self._groups.change(moves, source), self._groups.shown)

    def missed(self, moves: Sequence[Move]) -> ResultChange:
        """What is shown now beside the first of the groups as they were (Result)."""
        return self._top.missed(self._groups.compare(moves))

    def close(self) -> None:
        """Give back the room (Result)."""
        self._groups.close()
        self._top.close()


def shape(
    select: Select, scope: GroupScope | None, shown: Sequence[Projected], above: Compiler, options: Followed
) -> Shape | None:
    """What a followed query shows; None where that is just its rows. MalformedQuery where it cannot be followed."""
    keys = sort_keys(select, shown, above)
    limit, offset = bound(select.limit, above, "LIMIT"), bound(select.offset, above, "OFFSET") or 0
    _check_limit(select, limit, offset, options)
    if scope is None and limit is None:
        return None
    having = None if select.having is None else above.condition(select.having, "HAVING")
    if scope is not None:
        for made in [*[each.made for each in shown], *([having] if having else [])]:
            _check_above(made)
    asked = None if having is None else having.evaluate
    order = tuple(
        OrderColumn(_place(each, shown, said.value.position), each.descending, each.nulls_first)
        for each, said in zip(keys, select.order, strict=True)
    )
    return Shape(
        grouped=None if scope is None else Grouped(scope, asked, row_maker(shown)),
        key=() if scope is None else _key_places(select, scope, shown),
        order=order,
        limit=limit,
        offset=offset,
        canonical=[scope and _meaning(scope, shown, having), list(map(list, order)), limit, offset],
        keys=keys,
    )


def _check_limit(select: Select, limit: int | None, offset: int, options: Followed) -> None:
    if limit is None:
        if select.order or offset:
            found = select.order[0].value if select.order else select.offset
            assert found is not None
            malformed(
                found.position,
                f"a followed query with {'ORDER BY' if select.order else 'OFFSET'} has a LIMIT",
                hint=f"Add LIMIT, of at most {options.rows_max} with OFFSET; or follow all, and order what you hold",
            )
        return
    if limit + offset > options.rows_max:
        assert select.limit is not None
        malformed(
            select.limit.position,
            f"a followed query's LIMIT and OFFSET come to at most {options.rows_max}, found {limit + offset}",
            hint="Ask once for more",
            limit="followed_rows_max",
        )


def _check_above(made: Expression) -> None:
    """Refuse subqueries that groups are asked about: what comes into them would concern groups, not rows."""
    if made.op == "member":
        malformed(made.position, "a followed query has no subquery above its groups", hint="Ask it in WHERE")
    for each in made.args:
        _check_above(each)


def _place(key: SortKey, shown: Sequence[Projected], position: int) -> int:  # noqa: RET503  # It refuses.
    said = repr(meaning(key.made))
    for place, each in enumerate(shown):
        if repr(meaning(each.made)) == said:
            return place
    malformed(
        position,
        "a followed query is ordered by its outputs only",
        hint="Add this value to them: by it a follower puts rows in order",
    )


def _key_places(select: Select, scope: GroupScope, shown: Sequence[Projected]) -> tuple[int, ...]:
    found = {each.made.detail: place for place, each in reversed(tuple(enumerate(shown))) if each.made.op == "slot"}
    for place, key in enumerate(select.group):
        if place not in found:
            malformed(
                key.position,
                "a followed query's columns hold every value of GROUP BY, which these do not",
                hint="Add this value to them: by it a follower tells groups apart",
            )
    return tuple(found[place] for place in range(len(scope.keys)))


def _meaning(scope: GroupScope, shown: Sequence[Projected], having: Expression | None) -> Any:
    aggregates = [
        [each.name, each.distinct, None if each.argument is None else each.argument.canonical()]
        for each in scope.aggregates
    ]
    outputs = [[each.column.name, each.made.canonical()] for each in shown]
    return [
        [each.canonical() for each in scope.keys],
        aggregates,
        None if having is None else having.canonical(),
        outputs,
    ]


def _as_it_is(_row: Any, data: bytes) -> bytes:
    return data
