"""Where a write finds those whose condition it may concern: followed queries, and subqueries of them.

Laws: a condition is found by one equality or IN of it, by its primary key where it has one; else by the values that a
subquery of it holds, else by a range; so ten or a hundred thousand of them cost the same. An OR is found by one such
term of each branch. What has none of these is asked about every change of its table, once however many follow it. What
is found may still not concern: it is asked, once, by however many terms it was found.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from store.ids import Key
from store.query.intervals import Intervals
from store.query.meaning.expressions import Expression
from store.query.meaning.membership import Membership
from store.query.routing import Equality, MemberTerm, Range, branches, equalities, member_terms, ranges, terms
from store.schema import TableSchema
from store.subscribe.changes import Change
from store.tables.table import StoredTable

BUCKET_MAX: Final = 8
"""Watchers of one value that are kept in a tuple, which is smaller; more are kept in a dict, which is quicker."""
ROUTED_VALUES_MAX: Final = 32_768
"""Values of a subquery up to which it leads to its watchers; to enter them takes about 10 ms."""


class Watcher:
    """Somebody with a condition on the rows of one table."""

    __slots__ = ("exact", "members", "table", "where")

    def __init__(
        self, table: TableSchema, where: Expression | None, members: tuple[Membership, ...], *, exact: bool
    ) -> None:
        self.table: Final = table
        self.where: Final = where
        self.members: Final = members
        """The subqueries that its condition, or what it takes from a row, asks."""
        self.exact: Final = exact
        """Whether it holds exactly the rows by which it is found, as they are."""


Version = tuple[Any, bytes] | None
"""A row, decoded and as bytes; None where there is none."""
Write = tuple[Version, Version]
"""A row before and after."""


Asked = dict[Any, dict[Key, Write]]
"""Who is to be asked about which rows."""
Changed = dict[Any, Change]
"""What changed, by who is told."""


def ask(asked: Asked, watchers: Iterable[Any], key: Key, write: Write) -> None:
    """These are to be asked about a row."""
    for watcher in watchers:
        about = asked.get(watcher)
        if about is None:
            asked[watcher] = {key: write}
        else:
            about[key] = write


_Way = Equality | MemberTerm | Range
"""A term by which a watcher may be found."""
_Bucket = tuple[Watcher, ...] | dict[Watcher, None]


class Joint:
    """Where one subquery's values lead to watchers of one column."""

    __slots__ = ("_by_value", "_values", "watchers")

    def __init__(self, by_value: dict[Any, Any], values: Iterable[Any]) -> None:
        self._by_value: Final = by_value
        self._values: Final[set[Any]] = set()
        self.watchers: Final[dict[Watcher, None]] = {}
        for value in values:
            self.add(value)

    def add(self, value: Any) -> None:
        """The value came."""
        if value is not None and value not in self._values:
            self._values.add(value)
            _put(self._by_value, value, self)

    def remove(self, value: Any) -> None:
        """The value went."""
        if value is not None:
            self._values.remove(value)
            _take(self._by_value, value, self)

    def close(self) -> None:
        """Lead nowhere any more."""
        for value in self._values:
            _take(self._by_value, value, self)
        self._values.clear()


class Route:
    """The watchers of one table. `joints_of` is where a subquery keeps its joints, by table and column."""

    __slots__ = (
        "_by_column", "_by_key", "_by_member", "_by_range", "_decode", "_joints_of", "_key_form", "_key_name", "_more",
        "_others", "_table", "_undo", "_whole",
    )  # fmt: skip

    def __init__(self, table: StoredTable, joints_of: Callable[[Membership], dict[Any, Joint]]) -> None:
        self._table: Final = table.schema.id
        self._decode: Final[Callable[[bytes], Any]] = table.codec.decode
        self._key_form: Final[Callable[[Any], Key]] = table.codec.key_form
        self._key_name: Final = table.schema.key_name
        self._joints_of: Final = joints_of
        self._whole: Final[dict[Watcher, None]] = {}
        self._by_key: Final[dict[Key, _Bucket]] = {}
        self._by_column: Final[dict[str, dict[Any, _Bucket]]] = {}
        self._by_member: Final[dict[str, dict[Any, Any]]] = {}
        self._by_range: Final[dict[str, Intervals[Watcher]]] = {}
        self._others: Final[dict[Watcher, None]] = {}
        self._more = False
        """Whether somebody is found by other than a value of its own."""
        self._undo: Final[dict[Watcher, Callable[[Watcher], None]]] = {}

    def add(self, watcher: Watcher) -> None:
        """Let writes find the watcher, which is new here."""
        assert watcher not in self._undo
        self._undo[watcher] = self._enter(watcher)
        self._more = bool(self._by_member or self._by_range or self._others)

    def remove(self, watcher: Watcher) -> None:
        """Let no write find it any more."""
        self._undo.pop(watcher)(watcher)
        self._more = bool(self._by_member or self._by_range or self._others)

    @property
    def empty(self) -> bool:
        """Nobody can be found here."""
        return not self._undo

    def _enter(self, watcher: Watcher) -> Callable[[Watcher], None]:
        """Put it where writes find it. Returns what takes it away again."""
        where = watcher.where
        if watcher.exact and where is None:
            self._whole[watcher] = None
            return self._leave_whole
        ways = self._ways(where)
        if ways is None:
            self._others[watcher] = None
            return self._leave_others
        undo = [self._enter_values(watcher, name, said) for name, said in _by_column(ways, Equality).items()]
        undo += [self._enter_member(watcher, *place) for place in _members(ways)]
        undo += [self._enter_ranges(watcher, name, said) for name, said in _by_column(ways, Range).items()]
        return undo[0] if len(undo) == 1 else _all_of(undo)

    def _ways(self, where: Expression | None) -> "list[_Way] | None":
        """Terms of which every row that a condition is true of fulfils one at least; None where there are none."""
        found = equalities(where)
        if found:
            return [min(found, key=lambda each: (each.column.name != self._key_name, len(each.values)))]
        for term in member_terms(where):
            if term.membership.count <= ROUTED_VALUES_MAX:
                return [term]
        either = [ways for each in terms(where) if each.op == "or" and (ways := self._ways_of_each(each)) is not None]
        best = min(either, key=_cost, default=None)
        if best is not None and not _cost(best)[0]:
            return best
        for wanted in ranges(where):
            return [wanted]
        return best

    def _ways_of_each(self, term: Expression) -> "list[_Way] | None":
        """Those of each branch of an OR, together."""
        found = [self._ways(each) for each in branches(term)]
        return None if None in found else [way for ways in found if ways is not None for way in ways]

    def _leave_whole(self, watcher: Watcher) -> None:
        del self._whole[watcher]

    def _leave_others(self, watcher: Watcher) -> None:
        del self._others[watcher]

    def _leave_range(self, name: str, watcher: Watcher) -> None:
        self._by_range[name].remove(watcher)
        if not self._by_range[name]:
            del self._by_range[name]

    def _enter_values(self, watcher: Watcher, name: str, said: Iterable[Any]) -> Callable[[Watcher], None]:
        by_key = name == self._key_name
        values = {self._key_form(each) if by_key else each for each in said}
        buckets: dict[Any, _Bucket] = self._by_key if by_key else self._by_column.setdefault(name, {})
        for value in values:
            _put(buckets, value, watcher)

        def leave(watcher: Watcher) -> None:
            for value in values:
                _take(buckets, value, watcher)
            if not buckets and self._by_column.get(name) is buckets:
                del self._by_column[name]

        return leave

    def _enter_ranges(self, watcher: Watcher, name: str, said: Iterable[Range]) -> Callable[[Watcher], None]:
        intervals = self._by_range.setdefault(name, Intervals())
        for each in said:
            intervals.add(each, watcher)
        return lambda watcher: self._leave_range(name, watcher)

    def _enter_member(self, watcher: Watcher, name: str, membership: Membership) -> Callable[[Watcher], None]:
        joints = self._joints_of(membership)
        place = self._table, name
        if place not in joints:
            joints[place] = Joint(self._by_member.setdefault(name, {}), membership.values())
        joints[place].watchers[watcher] = None

        def leave(watcher: Watcher) -> None:
            del joints[place].watchers[watcher]
            if not joints[place].watchers:
                joints[place].close()
                del joints[place]

        return leave

    def collect(  # noqa: C901, PLR0912  # Every change's way: a call for each column would cost a third more.
        self, key: Key, before: bytes | None, after: bytes | None, changed: Changed, asked: Asked
    ) -> None:
        """Find all whom one write may concern: note what changed for those that are exact, and who is to be asked."""
        ask_about = False
        for watcher in self._whole:
            _note(changed, watcher, key, after)
        about = self._by_key.get(key)
        if about is not None:
            for watcher in about:
                if watcher.exact:
                    _note(changed, watcher, key, after)
                else:
                    ask_about = True
        if not (self._by_column or self._more or ask_about):
            return
        was = None if before is None else self._decode(before)
        now = None if after is None else self._decode(after)
        some: list[Watcher] = []
        for name, values in self._by_column.items():
            wants, wanted = values.get(getattr(now, name, None)), values.get(getattr(was, name, None))
            if wants is not None:
                for watcher in wants:
                    if watcher.exact:
                        _note(changed, watcher, key, after)
                    else:
                        some.append(watcher)
            if wanted is not None and wanted is not wants:
                for watcher in wanted:
                    if watcher.exact:
                        _note(changed, watcher, key, None)
                    else:
                        some.append(watcher)
        if ask_about:
            some += [watcher for watcher in about or () if not watcher.exact]
        if self._more:
            self._find_more(was, now, some)
        if some:
            old = None if before is None else (was, before)
            ask(asked, some, key, (old, None if after is None else (now, after)))

    def _find_more(self, was: Any, now: Any, some: list[Watcher]) -> None:
        """Those that are not found by a value of their own."""
        for name, joints in self._by_member.items():
            for value in {getattr(was, name, None), getattr(now, name, None)}:
                for joint in joints.get(value, ()):
                    some += joint.watchers
        for name, intervals in self._by_range.items():
            old, new = getattr(was, name, None), getattr(now, name, None)
            if new is not None:
                some += intervals.at(new)
            if old is not None and old != new:  # What stays where it is is looked for once.
                some += intervals.at(old)
        some += self._others


def _by_column(ways: "Iterable[_Way]", kind: type[Any]) -> dict[str, list[Any]]:
    """The values, or the ranges, that each column is wanted in."""
    found: dict[str, list[Any]] = {}
    for each in ways:
        if isinstance(each, kind):
            found.setdefault(each.column.name, []).extend(each.values if isinstance(each, Equality) else [each])
    return found


def _members(ways: "Iterable[_Way]") -> Iterable[tuple[str, Membership]]:
    """The subqueries whose values each column is wanted in, each once."""
    return {(each.column.name, each.membership): None for each in ways if isinstance(each, MemberTerm)}


def _cost(ways: "list[_Way]") -> tuple[int, int]:
    """How much it takes to find a watcher by these: what is no value costs more than to look one up."""
    return sum(isinstance(each, Range) for each in ways), len(ways)


def _all_of(undo: list[Callable[[Watcher], None]]) -> Callable[[Watcher], None]:
    def leave(watcher: Watcher) -> None:
        for each in undo:
            each(watcher)

    return leave


def _note(changed: dict[Any, Change], watcher: Any, key: Key, row: bytes | None) -> None:
    """The row is in an exact watcher's query now, or its key left it."""
    change = changed.get(watcher)
    if change is None:
        change = changed[watcher] = Change(watcher.query.id, [], [])
    if row is None:
        change.keys.append(key)
    else:
        change.rows.append(row)


def _put(buckets: dict[Any, Any], value: Any, item: Any) -> None:
    bucket = buckets.get(value, ())
    if isinstance(bucket, dict):
        bucket[item] = None
    elif len(bucket) < BUCKET_MAX:
        buckets[value] = (*bucket, item)
    else:
        buckets[value] = dict.fromkeys((*bucket, item))


def _take(buckets: dict[Any, Any], value: Any, item: Any) -> None:
    bucket = buckets[value]
    if isinstance(bucket, dict):
        del bucket[item]
        left: Mapping[Any, None] | tuple[Any, ...] = bucket
    else:
        left = buckets[value] = tuple(each for each in bucket if each is not item)
    if not left:
        del buckets[value]
