"""One subquery of followed queries: its values, how a row of its table moves them, and who asks it.

Laws: it counts the rows that bring each value. Until all rows were looked at it remembers what each brought, for a row
may come twice meanwhile; from then on rows as they were and are say what moves.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from store.errors import CallError
from store.ids import Key
from store.query.meaning.membership import Membership
from store.query.routing import MemberUse, member_uses
from store.subscribe.followed import look
from store.subscribe.lookups import Lookup
from store.subscribe.routes import Joint, Watcher, Write

Pasts = dict[Membership, dict[Any, bool]]
"""What came or went in subqueries: a value, and whether it was in."""
Place = tuple[Lookup, bool]
"""Where rows are found that ask of a value, and whether it bears on rows with just that value."""


class Subquery(Watcher):
    """One subquery that followed queries, or other subqueries, rest on."""

    __slots__ = ("dependents", "error", "height", "holders", "joints", "membership", "pending", "ready", "seen", "uses")

    def __init__(self, membership: Membership, height: int) -> None:
        self.uses: Final[tuple[MemberUse, ...]] = member_uses(membership.where, [membership.column])
        members = tuple(dict.fromkeys(each.membership for each in self.uses))
        super().__init__(membership.table, membership.where, members, exact=False)
        self.membership: Final = membership
        self.height: Final = height
        """0 where it rests on no other."""
        self.holders = 0
        """Queries and subqueries that rest on it, or are about to."""
        self.dependents: Final[dict[Place, dict[Watcher, None]]] = {}
        """Who asks it, by where the rows are found that ask of a value."""
        self.joints: Final[dict[Any, Joint]] = {}
        self.pending: Iterator[Key] | None = None
        """Rows that are still to be looked at; None before it has begun."""
        self.seen: dict[Key, tuple[Any]] = {}
        """What each row brought, until all were looked at: a row may come twice meanwhile."""
        self.ready = False
        self.error: CallError | None = None
        """Why its values are not known any more."""

    def put(self, about: Mapping[Key, Write]) -> Mapping[Any, int]:
        """As `moved` while it is filled: take in rows as they are now, those that were seen before again."""
        seen = self.seen
        _, now = look((), {key: (None, new) for key, (_, new) in about.items()}, {}, self._image)
        moved: dict[Any, int] = {}
        for key in about:
            before = seen.pop(key, None)
            if before is not None:
                moved[before[0]] = moved.get(before[0], 0) - 1
        for key, after in now.items():
            seen[key] = after
            moved[after[0]] = moved.get(after[0], 0) + 1
        return moved

    def moved(self, about: Mapping[Key, Write], pasts: Pasts) -> Mapping[Any, int]:
        """How many rows more or fewer bring each value, of rows as they were and are. CallError: one has none."""
        was, now = look(self.members, about, pasts, self._image)
        moved: dict[Any, int] = {}
        for (each,) in was.values():
            moved[each] = moved.get(each, 0) - 1
        for (each,) in now.values():
            moved[each] = moved.get(each, 0) + 1
        return moved

    def _image(self, row: Any, _data: bytes) -> tuple[Any] | None:
        """What a row brings: a value, which may be NULL; None where it does not match."""
        return (self.membership.value(row),) if self.membership.matches(row) else None
