"""The subqueries of followed queries: their values, kept current, and the rows that enter and leave by them.

Laws: subqueries that mean the same are one, however many queries ask it. It is filled in pieces, told of every write
from the first piece on, and asked by nobody before the last. A transaction is worked through from the innermost
subquery outwards: what a value that came or went bears on is asked about, by the values of before and of now, and
nothing else is. Past a named limit, or where a row has no value, the queries that rest on it end with an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Any, Final

from store.errors import CallError, Overloaded
from store.ids import Key, TableId
from store.query.access import candidates
from store.query.budget import FOLLOWED_STEPS
from store.query.live import LiveQuery
from store.query.meaning.membership import Membership, Share
from store.query.routing import MemberUse, member_uses
from store.subscribe.followed import Followed
from store.subscribe.lookups import Lookup
from store.subscribe.options import Options
from store.subscribe.routes import Asked, Joint, Route, Version, Watcher, Write, ask
from store.subscribe.subquery import Pasts, Subquery
from store.tables.database import Database
from store.transaction import Write as TableWrite
from store.values import encode

PREPARED_MAX: Final = 1_024
"""Rows that are taken into subqueries at a time: a few milliseconds."""
LOOKED_UP_MAX: Final = 16_384
"""Keys up to which an index is asked for a subquery's rows: then all rows of its table are looked at."""
PROBED_MIN: Final = 16
"""Watchers of one subquery from which a row finds those it may concern, instead of each being asked."""


class _Written:
    """The rows that a transaction wrote, before and after, by table and key."""

    def __init__(self, writes: Sequence[TableWrite]) -> None:
        self._writes: Final = writes

    @cached_property
    def rows(self) -> dict[tuple[TableId, Key], tuple[bytes | None, bytes | None]]:
        """Made when the first one is looked for."""
        return {(table, key): (before, after) for table, _, key, before, after in self._writes}


class Subqueries:
    """All subqueries of one engine's followed queries. `route_of` gives a table's route, `left` hears of one less."""

    def __init__(
        self,
        database: Database,
        options: Options,
        *,
        route_of: Callable[[TableId], Route],
        left: Callable[[TableId], None],
    ) -> None:
        self._database: Final = database
        self._options: Final = options
        self._route_of: Final = route_of
        self._left: Final = left
        self.nodes: Final[dict[bytes, Subquery]] = {}
        """All that are kept current, by what they mean. To be looked at only."""
        self._of: Final[dict[Membership, Subquery]] = {}
        self._lookups: Final[dict[tuple[TableId, bytes], Lookup]] = {}
        self._kept: Final[dict[TableId, list[Lookup]]] = {}

    def joints_of(self, membership: Membership) -> dict[Any, Joint]:
        """Where its values lead to those who ask it."""
        return self._of[membership].joints

    def sharing(self) -> Share:
        """What gives each subquery of one text the one that stands for all that mean the same."""
        fresh: dict[bytes, Membership] = {}

        def share(made: Membership) -> Membership:
            name = encode(made.canonical())
            known = self.nodes.get(name)
            return fresh.setdefault(name, made) if known is None else known.membership

        return share

    # Who needs which.

    def check(self, query: LiveQuery) -> None:
        """Overloaded where a table is too large to find its rows in without an index."""
        for each in query.uses:
            self._check_size(each, query.table.id)

    def hold(self, query: LiveQuery) -> None:
        """A query is about to rest on its subqueries."""
        for each in query.uses:
            self._hold(each, query.table.id)

    def release(self, query: LiveQuery) -> None:
        """It does no longer."""
        for each in query.uses:
            self._release(each, query.table.id)

    def _hold(self, use: MemberUse, table: TableId) -> int:
        membership = use.membership
        node = self._of.get(membership)
        if node is None:
            inner = member_uses(membership.where, [membership.column])
            height = max((self._hold(each, membership.table.id) for each in inner), default=-1) + 1
            node = self._of[membership] = self.nodes[encode(membership.canonical())] = Subquery(membership, height)
        node.holders += 1
        self._lookup(use, table).holders += 1
        return node.height

    def _release(self, use: MemberUse, table: TableId) -> None:
        name = table, encode(use.operand.canonical())
        lookup = self._lookups[name]
        lookup.holders -= 1
        if not lookup.holders:
            del self._lookups[name]
            if lookup.kept:
                self._kept[table].remove(lookup)
                if not self._kept[table]:
                    del self._kept[table]
        node = self._of[use.membership]
        node.holders -= 1
        if node.holders:
            return
        if node.pending is not None:
            self.leave(node, node.uses)
            self._route_of(node.table.id).remove(node)
            self._left(node.table.id)
        del self._of[use.membership], self.nodes[encode(use.membership.canonical())]
        for each in node.uses:
            self._release(each, node.table.id)

    def _lookup(self, use: MemberUse, table: TableId) -> Lookup:
        name = table, encode(use.operand.canonical())
        lookup = self._lookups.get(name)
        if lookup is None:
            lookup = self._lookups[name] = Lookup(self._database.tables[table], use.operand)
            if lookup.kept:
                self._kept.setdefault(table, []).append(lookup)
        return lookup

    def _check_size(self, use: MemberUse, table: TableId) -> None:
        stored, rows_max = self._database.tables[table], self._options.unindexed_rows_max
        if len(stored) > rows_max and Lookup(stored, use.operand).kept:
            raise _too_large(stored.schema.name, rows_max)
        for each in member_uses(use.membership.where, [use.membership.column]):
            self._check_size(each, use.membership.table.id)

    def join(self, watcher: Watcher, uses: Sequence[MemberUse]) -> None:
        """From now on it is asked about rows that a value which comes or goes bears on."""
        for each in uses:
            place = self._lookup(each, watcher.table.id), each.positive
            self._of[each.membership].dependents.setdefault(place, {})[watcher] = None

    def leave(self, watcher: Watcher, uses: Sequence[MemberUse]) -> None:
        """It is no longer."""
        for each in uses:
            place = self._lookup(each, watcher.table.id), each.positive
            watchers = self._of[each.membership].dependents.get(place)
            if watchers is not None:
                watchers.pop(watcher, None)
                if not watchers:
                    del self._of[each.membership].dependents[place]

    # The values that are there when a query begins.

    def prepare(self, query: LiveQuery) -> bool:
        """Fill what a query rests on, for a piece; whether there is more. CallError where it cannot be."""
        return self._prepare(query.uses, query.table.id, PREPARED_MAX) == 0

    def _prepare(self, uses: Sequence[MemberUse], table: TableId, left: int) -> int:
        """How many rows may still be looked at; 0: not all is there."""
        for each in uses:
            node = self._of[each.membership]
            if node.error is not None:
                raise node.error
            if not node.ready:
                left = self._prepare(node.uses, node.table.id, left)
                if left:
                    left = self._fill(node, left)
            lookup = self._lookup(each, table)
            while left and not lookup.ready:
                left -= lookup.fill(left)
            if not left:
                return 0
        return left

    def _fill(self, node: Subquery, left: int) -> int:
        table = self._database.tables[node.table.id]
        if node.pending is None:
            found = candidates(node.table, node.where, table, count_max=LOOKED_UP_MAX)
            node.pending = iter(list(table.rows) if found is None else found)
            self._route_of(node.table.id).add(node)
            self.join(node, node.uses)
        some = list(islice(node.pending, left))
        decode, rows = table.codec.decode, table.rows
        self._put(node, {key: (None, (decode(rows[key]), rows[key])) for key in some if key in rows})
        if node.error is not None:
            raise node.error
        if len(some) < left:
            node.ready = True
            node.seen = {}
        return left - len(some)

    @staticmethod
    def _put(node: Subquery, about: Mapping[Key, Write]) -> None:
        try:
            with FOLLOWED_STEPS:
                node.membership.move(node.put(about))
        except CallError as error:
            node.error = error

    # What a transaction does.

    def settle(self, writes: Sequence[TableWrite], asked: Asked) -> tuple[Pasts, dict[Followed, CallError]]:
        """Bring all values to where the tables are, and find who is to be asked about which rows by that.

        Subqueries are taken out of `asked`. Returns what came and went, and the queries that have ended by it.
        """
        for table, _, key, before, after in writes if self._kept else ():
            for lookup in self._kept.get(table, ()):
                lookup.take(key, before, after)
        pasts: Pasts = {}
        failed: dict[Followed, CallError] = {}
        written = _Written(writes)
        while due := [each for each in asked if type(each) is Subquery]:
            height = min(map(_height, due))
            for each in due:  # None of one height rests on another.
                if each.height == height:
                    self._take(each, asked, written, pasts, failed)
        return pasts, failed

    def _take(
        self, node: Subquery, asked: Asked, written: "_Written", pasts: Pasts, failed: dict[Followed, CallError]
    ) -> None:
        about = asked.pop(node)
        if node.error is not None:
            return
        if not node.ready:
            self._put(node, about)
            return
        try:
            with FOLLOWED_STEPS:
                was = node.membership.move(node.moved(about, pasts))
            if was:
                pasts[node.membership] = was
                self._spread(node, was, asked, written)
        except CallError as error:
            self._fail(node, error, failed)

    def _fail(self, node: Subquery, error: CallError, failed: dict[Followed, CallError]) -> None:
        """All that rests on it ends."""
        node.error = error
        for watchers in node.dependents.values():
            for each in watchers:
                if isinstance(each, Followed):
                    failed.setdefault(each, error)
                elif isinstance(each, Subquery) and each.error is None:
                    self._fail(each, error, failed)

    def _spread(self, node: Subquery, was: Mapping[Any, bool], asked: Asked, written: "_Written") -> None:
        """Ask those who rest on it about the rows that what came or went bears on."""
        for value, was_in in was.items():
            if not was_in:
                for joint in node.joints.values():
                    joint.add(value)
        for (lookup, positive), watchers in node.dependents.items():
            self._ask_about(
                self._keys(node.membership, was, lookup, positive=positive), lookup, watchers, asked, written
            )

    def _keys(
        self, membership: Membership, was: Mapping[Any, bool], lookup: Lookup, *, positive: bool
    ) -> Sequence[Key]:
        """The rows that what came or went bears on. Overloaded where they are too many."""
        before = membership.count + sum(1 if was_in else -1 for was_in in was.values())
        if not positive and (None in was or not before or not membership.count):
            keys: Iterable[Key] = lookup.table.rows
        else:
            keys = chain.from_iterable(lookup.keys(each) for each in was if each is not None)
        rows_max = self._options.affected_rows_max
        found = list(islice(keys, rows_max + 1))
        if len(found) > rows_max:
            raise _too_many(lookup.table.schema.name, rows_max)
        return found

    def _ask_about(
        self, found: Sequence[Key], lookup: Lookup, watchers: Mapping[Watcher, None], asked: Asked, written: "_Written"
    ) -> None:
        table, decode, rows = lookup.table.schema.id, lookup.table.codec.decode, lookup.table.rows
        for key in found:
            old, new = written.rows.get((table, key)) or (rows[key], rows[key])
            among: Iterable[Watcher] = watchers
            if len(watchers) >= PROBED_MIN:
                probe: Asked = {}
                self._route_of(table).collect(key, old, new, {}, probe)
                among = [each for each in probe if each in watchers]
            if among:
                after: Version = None if new is None else (decode(new), new)
                before = after if old is new else None if old is None else (decode(old), old)
                ask(asked, among, key, (before, after))

    def finish(self, pasts: Pasts) -> None:
        """The transaction is worked through: values that went lead nowhere any more."""
        for membership, was in pasts.items():
            for joint in self._of[membership].joints.values():
                for value, was_in in was.items():
                    if was_in:
                        joint.remove(value)

    # What happened while somebody was away.

    def tables(self, uses: Sequence[MemberUse], table: TableId) -> set[TableId]:
        """All tables that what asks subqueries of a table rests on."""
        return {table}.union(*(self.tables(self._of[each.membership].uses, each.membership.table.id) for each in uses))

    def compared(
        self, uses: Sequence[MemberUse], table: TableId, writes: Sequence[TableWrite], pasts: Pasts
    ) -> dict[Key, Write]:
        """The rows of a table that are another's concern since these writes; what came and went is noted in `pasts`.

        The writes are net, one a row, and all values know them already. CallError: a row has no value, or too many.
        """
        for each in uses:
            membership = each.membership
            if membership not in pasts:
                node = self._of[membership]
                about = self.compared(node.uses, node.table.id, writes, pasts)
                pasts[membership] = membership.compare(node.moved(about, pasts))
        stored = self._database.tables[table]
        decode, rows = stored.codec.decode, stored.rows
        about = {
            key: (None if old is None else (decode(old), old), None if new is None else (decode(new), new))
            for number, _, key, old, new in writes
            if number == table
        }
        for each in uses:
            was = pasts[each.membership]
            for key in (
                self._keys(each.membership, was, self._lookup(each, table), positive=each.positive) if was else ()
            ):
                if key not in about:
                    same = decode(rows[key]), rows[key]
                    about[key] = same, same
        return about


def _height(node: Subquery) -> int:
    return node.height


def _too_many(table: str, rows_max: int) -> Overloaded:
    return Overloaded(
        f"one transaction changed a subquery such that more than {rows_max} rows of {table} may enter or leave",
        hint="Subscribe again, or ask for fewer rows",
        details={"limit": "affected_rows_max"},
    )


def _too_large(table: str, rows_max: int) -> Overloaded:
    return Overloaded(
        f"the column of {table} that a subquery is asked of has no index, and the table more than {rows_max} rows",
        hint="Declare an index on that column",
        details={"limit": "unindexed_rows_max"},
    )
