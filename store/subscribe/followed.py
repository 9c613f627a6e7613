"""A query that somebody follows: what a transaction changes in it, and who is told.

Laws: what a query makes of rows is decided in one place, its telling: from rows that match, before and after, to what
its followers are told. A condition or an output without a value for a row ends that query with an error, and harms
nobody else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from store.errors import CallError, MalformedQuery
from store.ids import Key
from store.query.live import LiveQuery
from store.query.meaning.membership import Membership
from store.query.shaping.results import Move
from store.subscribe.broadcast import Broadcast
from store.subscribe.changes import Change, Told
from store.subscribe.encoding import Encoding, WireKey
from store.subscribe.messages import ColumnInfo, OrderInfo, TableInfo
from store.subscribe.routes import Watcher, Write
from store.subscribe.shaped import Shaped


class Telling(Protocol):
    """What one kind of query makes of the rows that match."""

    def image(self, row: Any, data: bytes) -> Any:
        """What it needs of a matching row, decoded and as bytes. MalformedQuery where it has no value for it."""
        ...

    def fold(self, moves: Sequence[Move]) -> Told:
        """What one transaction's moves, one a key, change in what followers hold."""
        ...


class Rows:
    """Rows, whole or projected: told where they are new or changed, and where they went."""

    def __init__(self, query: LiveQuery) -> None:
        self.image: Final = query.project

    def fold(self, moves: Sequence[Move]) -> Told:
        """A row whose projection did not change is not told."""
        rows = [after for _, before, after in moves if after is not None and after != before]
        keys: list[WireKey] = [key for key, before, after in moves if after is None and before is not None]
        return rows, keys


class Followed(Watcher):
    """One followed query; its followers by their encoding."""

    __slots__ = ("broadcasts", "query", "shaped", "subscribers", "telling")

    def __init__(self, query: LiveQuery, shaped: Shaped | None = None) -> None:
        """`shaped` holds what it shows where that is not just rows."""
        super().__init__(query.table, query.where, query.members, exact=query.is_equality or query.is_table)
        self.query: Final = query
        self.shaped: Final = shaped
        self.telling: Final[Telling] = shaped or Rows(query)
        self.subscribers: Final[dict[Encoding, dict[Any, None]]] = {}
        self.broadcasts: Final[dict[Encoding, Broadcast]] = {}
        """To the subscribers of each encoding, made when it is needed."""

    def answer(self, asked: Mapping[Key, Write], pasts: Mapping[Membership, Mapping[Any, bool]]) -> Change | None:
        """What a transaction changed, of the rows that it is asked about; None where nothing did.

        MalformedQuery: there is no value for a row.
        """
        return change_of(self.query, self.telling.image, self.telling.fold, asked, pasts)


def change_of(
    query: LiveQuery,
    image: Callable[[Any, bytes], Any],
    fold: Callable[[Sequence[Move]], Told],
    asked: Mapping[Key, Write],
    pasts: Mapping[Membership, Mapping[Any, bool]],
) -> Change | None:
    """What changed in a query, of the rows that it is asked about: `image` and `fold` are as a Telling's."""
    matches = query.matches
    was, now = look(query.members, asked, pasts, lambda row, data: image(row, data) if matches(row) else None)
    moves = [(key, was.get(key), now.get(key)) for key in {**was, **now}]
    rows, keys = fold(moves) if moves else ([], [])
    return Change(query.id, rows, keys) if rows or keys else None


def look(
    members: Sequence[Membership],
    asked: Mapping[Key, Write],
    pasts: Mapping[Membership, Mapping[Any, bool]],
    image: Callable[[Any, bytes], Any],
) -> tuple[dict[Key, Any], dict[Key, Any]]:
    """Each row's image before, by the subqueries' values of before, and after; rows without one are left out.

    MalformedQuery where there is none because something went wrong.
    """
    changed = [each for each in members if each in pasts]
    try:
        for each in changed:
            each.look_at(pasts[each])
        was = {key: made for key, (old, _) in asked.items() if old is not None and (made := image(*old)) is not None}
        for each in changed:
            each.look_at(None)
        now = {key: made for key, (_, new) in asked.items() if new is not None and (made := image(*new)) is not None}
    except CallError:
        raise
    except Exception as error:  # Whatever it is, it is this query's affair.
        raise MalformedQuery(f"the query has no value for a row: {type(error).__name__}: {error!s:.200}") from error
    finally:
        for each in changed:
            each.look_at(None)
    return was, now


def table_info(query: LiveQuery) -> TableInfo:
    """What a client is told of a followed query's rows."""
    columns = tuple(ColumnInfo(name=each.name, type=each.type, nullable=each.nullable) for each in query.columns)
    shape = query.shape
    if shape is None:
        return TableInfo(name=query.table.name, key=query.key, columns=columns)
    order = tuple(OrderInfo(*each) for each in shape.order)
    if not order and shape.grouped is None:  # LIMIT alone: those with the lowest keys.
        order = (OrderInfo(query.key, descending=False, nulls_first=False),)
    return TableInfo(name=query.table.name, key=query.key, columns=columns, group=shape.key, order=order)
