"""Groups and their aggregates, kept current as rows below them come, change and go.

Laws: a group is there as long as it has rows, or always where there is no GROUP BY. Counts, sums and averages take in
and let go; what MIN and MAX do not know any more is counted again, with everything, from the rows there are.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from store.ids import Key
from store.query.problems import exceeded
from store.query.shaping.aggregates import Retractable, boundless
from store.query.shaping.grouping import GroupScope
from store.query.shaping.ranked import HELD_MAX, Exhausted, Ranked
from store.query.shaping.results import NOTHING, Forgotten, Move, ResultChange, Share, Source
from store.query.types.kinds import Kind


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
        self.shown: _Shown | None = None

    def add(self, values: Sequence[Any]) -> None:
        """Take in a row: what each aggregate takes of it."""
        self.count += 1
        for aggregate, value in zip(self.aggregates, values, strict=True):
            if value is not None:
                aggregate.add(value)

    def remove(self, values: Sequence[Any]) -> None:
        """Let a row go."""
        self.count -= 1
        for aggregate, value in zip(self.aggregates, values, strict=True):
            if value is not None:
                aggregate.remove(value)

    @property
    def is_low(self) -> bool:
        """Whether a MIN or MAX may soon not be known."""
        return any(isinstance(each, Ranked) and each.is_low for each in self.aggregates)


_Shown = tuple[Any, bytes]
"""A group's keys and aggregates, and its row: an image below an order."""


class Groups:
    """The groups of all rows below (Result); also what stands below the first of them in an order."""

    def __init__(self, grouped: Grouped, share: Share, *, groups_max: int) -> None:
        self._grouped: Final = grouped
        self._share: Final = share
        self._groups_max: Final = groups_max
        self._key_of: Final = grouped.scope.key_of()
        self._values_of: Final = grouped.scope.values_of()
        self._groups: dict[tuple[Any, ...], _Group] = {}
        self._replaceable: Final = all(each.kind is not Kind.JSONB for each in grouped.scope.keys)
        """Whether another result has the same keys: JSON that is equal may be written otherwise in each row of a group,
        and a group is told by what the first one said."""
        self._low: set[tuple[Any, ...]] = set()
        """Groups of which a MIN or MAX may soon not be known."""
        self.is_shown = False
        """Whether it was told what there is: changes are told from then on."""
        self._unmade: dict[tuple[Any, ...], None] = {}
        """Before that, the groups of which it is to be computed what is shown."""
        self._begin()

    @property
    def is_low(self) -> bool:
        """Whether a MIN or MAX may soon not be known, and another result may take this one's place (Result)."""
        return self._replaceable and bool(self._low)

    def image(self, row: Any, _data: bytes) -> tuple[tuple[Any, ...], list[Any]]:
        """The key of a row's group, and what each aggregate takes of it (Result)."""
        return self._key_of(row), self._values_of(row)

    def take(self, images: Iterable[tuple[Key, Any]]) -> None:
        """Take in rows at the beginning (Result)."""
        for _, image in images:
            self._add(*image)

    def prepare(self, count: int) -> bool:
        """Compute some groups' rows (Result); those that change before the first `rows` once more."""
        unmade = self._unmade
        try:
            for key in [*islice(unmade, count)]:
                self._make(key)
                del unmade[key]
        except Exhausted:  # All will be counted again.
            return False
        return bool(unmade)

    def rows(self, source: Source) -> list[bytes]:
        """The groups' rows, in no order (Result)."""
        if not self.is_shown:
            try:
                self._show()
            except Exhausted:
                self._begin_anew(source)
        return [data for _, (_, data) in self.shown()]

    def shown(self) -> list[tuple[Key, _Shown]]:
        """The groups as rows below an order: images are their keys and aggregates, and their rows."""
        return [(each.key, each.shown) for each in self._groups.values() if each.shown is not None]

    def _show(self) -> None:
        """Exhausted: a MIN or MAX is not known any more."""
        for key in self._unmade:
            self._make(key)
        self._unmade = {}
        self.is_shown = True

    def _make(self, key: tuple[Any, ...]) -> None:
        """Compute what is shown of a group, which may have no rows any more."""
        group = self._groups[key]
        group.shown = self._made(group)
        if not group.count and key:
            self._forget(key)

    def apply(self, moves: Sequence[Move], source: Source) -> ResultChange:
        """Take in what changed below (Result)."""
        return _as_told(self.change(moves, source))

    def change(self, moves: Sequence[Move], source: Source) -> list[Move]:
        """Take in what changed below; returns what changed of the groups."""
        touched: dict[tuple[Any, ...], None] = {}
        for _, before, after in moves:
            if before is not None:
                touched[before[0]] = None
                self._remove(*before)
            if after is not None:
                touched[after[0]] = None
                self._add(*after)
        if not self.is_shown:
            return []
        try:
            return list(self._told(touched))
        except Exhausted:
            return self._count_again(source)

    def close(self) -> None:
        """Give back the room (Result)."""
        self._share.close()

    def missed(self, moves: Sequence[Move]) -> ResultChange:
        """What is shown now beside the groups as they were (Result)."""
        return _as_told(self.compare(moves))

    def compare(self, moves: Sequence[Move]) -> list[Move]:
        """What these moves, which were taken in already, changed of the groups. Forgotten, as `missed`.

        Only groups that a row left or came to are looked at: copies of them, from which the moves are taken back.
        """
        if not self._replaceable:
            raise Forgotten(
                "groups by JSON are told as one of their rows wrote it, and which one that was is not known"
            )
        were: dict[tuple[Any, ...], _Group] = {}
        for _, _, after in moves:
            if after is not None:
                self._copied(after[0], were).remove(after[1])
        for _, before, _ in moves:
            if before is not None:
                self._copied(before[0], were).add(before[1])
        try:
            return [
                (group.key, was, now)
                for key, group in were.items()
                if _differ(was := self._made(group), now := self._shown_now(key))
            ]
        except Exhausted:
            raise Forgotten(
                f"which MIN or MAX there was is not known: of {HELD_MAX} values that may be held all are better now"
            ) from None

    def _copied(self, key: tuple[Any, ...], copies: "dict[tuple[Any, ...], _Group]") -> "_Group":
        """A group that may be changed: it counts for nothing."""
        made = copies.get(key)
        if made is None:
            found, scope = self._groups.get(key), self._grouped.scope
            if found is None:
                made = _Group(scope.encoded_key(key), key, [each.follow(boundless) for each in scope.aggregates])
            else:
                made = _Group(found.key, key, [each.copy() for each in found.aggregates])
                made.count = found.count
            copies[key] = made
        return made

    def _shown_now(self, key: tuple[Any, ...]) -> "_Shown | None":
        found = self._groups.get(key)
        return None if found is None else found.shown

    def _begin(self) -> None:
        if not self._grouped.scope.keys:
            self._group(())
            self._unmade[()] = None

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

    def _add(self, key: tuple[Any, ...], values: Sequence[Any]) -> None:
        group = self._group(key)
        if not self.is_shown:
            self._unmade[key] = None
        group.add(values)

    def _remove(self, key: tuple[Any, ...], values: Sequence[Any]) -> None:
        group = self._groups[key]
        if not self.is_shown:
            self._unmade[key] = None
        group.remove(values)
        if group.is_low:
            self._low.add(key)

    def _told(self, touched: Iterable[tuple[Any, ...]]) -> Iterator[Move]:
        """What changed of these groups; those without rows are forgotten. Exhausted: nothing is changed behind it."""
        made = [(key, self._made(self._groups[key])) for key in touched]
        for key, now in made:
            group = self._groups[key]
            was, group.shown = group.shown, now
            if not group.count and key:
                self._forget(key)
            if _differ(was, now):
                yield group.key, was, now

    def _made(self, group: _Group) -> _Shown | None:
        """What is shown of a group. Exhausted, MalformedQuery."""
        if not group.count and self._grouped.scope.keys:
            return None
        scope, having, make = self._grouped
        row = (*group.keys, *scope.results(group.aggregates))
        if having is not None and having(row) is not True:
            return None
        return row, make(row)

    def _forget(self, key: tuple[Any, ...]) -> None:
        del self._groups[key]
        self._low.discard(key)
        self._share.spend(-1 - len(self._grouped.scope.aggregates))

    def _count_again(self, source: Source) -> list[Move]:
        """Count all rows there are. Returns what changed of the groups."""
        was = dict(self.shown())
        self._begin_anew(source)
        now = dict(self.shown())
        moves: list[Move] = [(key, was.get(key), now.get(key)) for key in {**was, **now}]
        return [each for each in moves if _differ(*each[1:])]

    def _begin_anew(self, source: Source) -> None:
        self._share.close()
        self._groups, self._unmade, self.is_shown = {}, {}, False
        self._low.clear()
        self._begin()
        self.take(source())
        self._show()


def _differ(was: _Shown | None, now: _Shown | None) -> bool:
    """Whether another row is shown of a group, or one where there was none, or none any more."""
    return (was and was[1]) != (now and now[1])


def _as_told(changed: Sequence[Move]) -> ResultChange:
    """What changed of the groups, as it is told."""
    if not changed:
        return NOTHING
    rows = [after[1] for _, _, after in changed if after is not None]
    return ResultChange(rows, [key for key, _, after in changed if after is None])
