"""Groups and their aggregates, kept current as rows below them come, change and go.

Laws: a group is there as long as it has rows, or always where there is no GROUP BY. Counts, sums and averages take in
and let go; what MIN and MAX do not know any more is counted again, with everything, from the rows there are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from store.ids import Key
from store.query.aggregates import Retractable
from store.query.grouping import GroupScope
from store.query.problems import exceeded
from store.query.ranked import Exhausted, Ranked
from store.query.results import NOTHING, Matched, ResultChange, RowChange, Share, Source


class Grouped(NamedTuple):
    """What is computed for each group."""

    scope: GroupScope
    having: Callable[[Any], Any] | None
    """From a group's keys and aggregates to whether it is shown: only True is yes."""
    make: Callable[[Any], bytes]
    """From a group's keys and aggregates to its row."""


class _Group:
    """One group: its rows are counted, and what is shown of it is known."""

    __slots__ = ("aggregates", "count", "key", "keys", "shown")

    def __init__(self, key: Key, keys: tuple[Any, ...], aggregates: list[Retractable]) -> None:
        self.key: Final = key
        self.keys: Final = keys
        self.aggregates: Final = aggregates
        self.count = 0
        self.shown: Matched | None = None


class Groups:
    """The groups of all rows below (Result); also what stands below the first of them in an order."""

    def __init__(self, grouped: Grouped, share: Share, *, groups_max: int) -> None:
        self._grouped: Final = grouped
        self._share: Final = share
        self._groups_max: Final = groups_max
        self._key_of: Final = grouped.scope.key_of()
        self._values_of: Final = grouped.scope.values_of()
        self._groups: dict[tuple[Any, ...], _Group] = {}
        self._low: set[tuple[Any, ...]] = set()
        """Groups of which a MIN or MAX may soon not be known."""
        self.is_shown = False
        """Whether it was told what there is: changes are told from then on."""
        self._begin()

    @property
    def is_low(self) -> bool:
        """Whether a MIN or MAX may soon not be known (Result)."""
        return bool(self._low)

    def take(self, rows: Iterable[Matched]) -> None:
        """Take in rows at the beginning (Result)."""
        for each in rows:
            self._add(each.row)

    def rows(self) -> list[bytes]:
        """The groups' rows, in no order (Result)."""
        return [each.data for each in self.shown()]

    def shown(self) -> list[Matched]:
        """The groups as rows below an order."""
        if not self.is_shown:
            self.is_shown = True
            for group in self._groups.values():
                group.shown = self._made(group)
        return [each.shown for each in self._groups.values() if each.shown is not None]

    def apply(self, changes: Sequence[RowChange], source: Source) -> ResultChange:
        """Take in what changed below (Result)."""
        changed = self.change(changes, source)
        if not changed:
            return NOTHING
        rows = [each.data for each in changed if each.after is not None]
        return ResultChange(rows, [each.key for each in changed if each.after is None])

    def change(self, changes: Sequence[RowChange], source: Source) -> list[RowChange]:
        """Take in what changed below; returns what changed of the groups."""
        touched: dict[tuple[Any, ...], None] = {}
        for each in changes:
            if each.before is not None:
                touched[self._remove(each.before)] = None
            if each.after is not None:
                touched[self._add(each.after)] = None
        if not self.is_shown:
            return []
        try:
            return list(self._told(touched))
        except Exhausted:
            return self._count_again(source)

    def close(self) -> None:
        """Give back the room (Result)."""
        self._share.close()

    def _begin(self) -> None:
        if not self._grouped.scope.keys:
            self._group(())

    def _group(self, group: tuple[Any, ...]) -> _Group:
        found = self._groups.get(group)
        if found is None:
            if len(self._groups) >= self._groups_max:
                exceeded(
                    "followed_groups_max",
                    f"the query has more than {self._groups_max} groups",
                    hint="Follow fewer with WHERE, or ask once",
                )
            scope, spend = self._grouped.scope, self._share.spend
            spend(1 + len(scope.aggregates))
            made = _Group(scope.encoded_key(group), group, [each.follow(spend) for each in scope.aggregates])
            found = self._groups[group] = made
        return found

    def _add(self, row: Any) -> tuple[Any, ...]:
        key = self._key_of(row)
        group = self._group(key)
        group.count += 1
        for aggregate, value in zip(group.aggregates, self._values_of(row), strict=True):
            if value is not None:
                aggregate.add(value)
        return key

    def _remove(self, row: Any) -> tuple[Any, ...]:
        key = self._key_of(row)
        group = self._groups[key]
        group.count -= 1
        for aggregate, value in zip(group.aggregates, self._values_of(row), strict=True):
            if value is not None:
                aggregate.remove(value)
                if isinstance(aggregate, Ranked) and aggregate.is_low:
                    self._low.add(key)
        return key

    def _told(self, touched: Iterable[tuple[Any, ...]]) -> Iterator[RowChange]:
        """What changed of these groups; those without rows are forgotten. Exhausted: nothing is changed behind it."""
        made = [(key, self._made(self._groups[key])) for key in touched]
        for key, now in made:
            group = self._groups[key]
            was, group.shown = group.shown, now
            if not group.count and key:
                self._forget(key)
            if was is None and now is None:
                continue
            if was is None or now is None or was.data != now.data:
                yield RowChange(group.key, was and was.row, now and now.row, now.data if now else b"")

    def _made(self, group: _Group) -> Matched | None:
        """What is shown of a group. Exhausted, MalformedQuery."""
        if not group.count and self._grouped.scope.keys:
            return None
        scope, having, make = self._grouped
        row = (*group.keys, *scope.results(group.aggregates))
        if having is not None and having(row) is not True:
            return None
        return Matched(group.key, row, make(row))

    def _forget(self, key: tuple[Any, ...]) -> None:
        del self._groups[key]
        self._low.discard(key)
        self._share.spend(-1 - len(self._grouped.scope.aggregates))

    def _count_again(self, source: Source) -> list[RowChange]:
        """Begin anew with all rows there are. Returns what changed of the groups."""
        was = {group.key: group.shown for group in self._groups.values() if group.shown is not None}
        self._share.close()
        self._groups, self.is_shown = {}, False
        self._low.clear()
        self._begin()
        self.take(source())
        now = {each.key: each for each in self.shown()}
        gone = [RowChange(key, each.row, None, b"") for key, each in was.items() if key not in now]
        return gone + [
            RowChange(key, was[key].row if key in was else None, each.row, each.data)
            for key, each in now.items()
            if key not in was or was[key].data != each.data
        ]
