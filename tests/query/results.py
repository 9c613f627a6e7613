"""A followed query's result over tables in memory, and what a follower makes of what it is told."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

import msgspec

from store.ids import Key
from store.query.asking import compile_question
from store.query.budget import Budget
from store.query.live import LiveQuery, compile_live
from store.query.options import Followed, Options
from store.query.shaping.results import Move, ResultChange, Room
from store.schema import Table
from store.tables.database import Database
from store.transaction import Op
from store.values import encode
from tests.query.scenes import SCHEMA, database

_KINDS = {(False, True): Op.INSERT, (True, True): Op.UPDATE, (True, False): Op.DELETE}


class Store:
    """Samples that change, and one query's result that is kept current."""

    def __init__(self, sql: str, *rows: Table, room: int = 1_000_000, options: Followed | None = None) -> None:
        self.database: Database = database(*rows)
        self.sql = sql
        self.query: LiveQuery = compile_live(sql, (), SCHEMA, options=options or Followed())
        assert self.query.shape is not None
        self.shape = self.query.shape
        self.room = Room(room)
        self.result = self.shape.begin(self.query.project, self.room, options or Followed())
        self.sources = 0
        self.result.take(self._matched())
        self.view = {self.key(row): row for row in map(msgspec.msgpack.decode, self.result.rows(self._source))}

    def key(self, row: Sequence[Any]) -> Key:
        """What a follower tells this row by."""
        if self.query.key < 0:
            return encode([row[place] for place in self.shape.key])
        key: Key = row[self.query.key]
        return key

    def write(self, changes: dict[int, Table | None]) -> ResultChange:
        """One transaction: rows by key, None where one goes. Returns what it changed, which the view has taken in."""
        table = self.database.table("sample")
        assert table is not None
        moves: list[Move] = []
        for key, row in changes.items():
            before = table.rows.get(key)
            if before is None and row is None:
                continue
            after = None if row is None else table.codec.canonical(row)[1]
            kind = _KINDS[before is not None, after is not None]
            self.database.apply([(table.schema.id, int(kind), key, before, after)])
            old, new = self._image(before), self._image(after)
            if old is not None or new is not None:
                moves.append((key, old, new))
        changed = self.result.apply(moves, self._source)
        self.follow(changed)
        return changed

    def went_back(self, before: dict[Key, bytes]) -> list[Move]:
        """The net moves from what the table's rows were to what they are."""
        table = self.database.table("sample")
        assert table is not None
        moves = [
            (key, self._image(before.get(key)), self._image(table.rows.get(key)))
            for key in {**before, **table.rows}
            if before.get(key) != table.rows.get(key)
        ]
        return [each for each in moves if each[1] is not None or each[2] is not None]

    @property
    def rows(self) -> dict[Key, bytes]:
        """The table's rows as they are."""
        table = self.database.table("sample")
        assert table is not None
        return dict(table.rows)

    def _image(self, data: bytes | None) -> Any:
        """The row's image, where the condition is true of it."""
        table = self.database.table("sample")
        assert table is not None
        row = table.decoded(data)
        return self.result.image(row, data or b"") if row is not None and self.query.matches(row) else None

    def _source(self) -> Iterator[tuple[Key, Any]]:
        self.sources += 1
        return self._matched()

    def _matched(self) -> Iterator[tuple[Key, Any]]:
        table = self.database.table("sample")
        assert table is not None
        for key, data in table.rows.items():
            image = self._image(data)
            if image is not None:
                yield key, image

    def follow(self, changed: ResultChange) -> None:
        """Have the view take in what changed."""
        for key in changed.keys:
            del self.view[key]
        for row in map(msgspec.msgpack.decode, changed.rows):
            assert self.view.get(self.key(row)) != row, "what did not change is not told"
            self.view[self.key(row)] = row

    def asked(self) -> list[Any]:
        """What the query answers when it is asked once."""
        rows = compile_question(self.sql, (), SCHEMA).answer(self.database, Budget(Options(), lambda: 0.0))
        return [msgspec.msgpack.decode(each) for each in rows]

    def ordered(self) -> list[Any]:
        """The view's rows as a follower orders them; what ties, by its key."""
        rows = sorted(self.view.values(), key=self.key)  # type: ignore[arg-type]  # One query, one key type.
        return in_order(rows, self.shape.order, [each.type for each in self.query.columns])


def in_order(rows: Sequence[Any], order: Sequence[tuple[int, bool, bool]], types: Sequence[str]) -> list[Any]:
    """Rows as plain values, in an order of (place, descending, nulls first); what ties stays as it is."""

    def value(row: Any, place: int) -> Any:
        said = row[place]
        return Decimal(said) if said is not None and types[place] == "decimal" else said

    def compare(one: Any, other: Any) -> int:
        for place, descending, nulls_first in order:
            left, right = value(one, place), value(other, place)
            if left == right:
                continue
            if left is None or right is None:
                return -1 if (left is None) is nulls_first else 1
            return -1 if (left > right if descending else left < right) else 1
        return 0

    return sorted(rows, key=cmp_to_key(compare))
