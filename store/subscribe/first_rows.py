"""All rows of one query at one offset, in chunks, while calls go on.

Laws: a chunk holds rows as they were at `offset`, whenever it is made: what is written since is corrected from the
images before. No step takes long: keys are gathered in pieces, and a chunk is bounded in rows and bytes. The rows are
never copied as a whole: there are the keys, the images of what changed, and the newest chunks. All who read the same
rows share a chunk's bytes; one that is gone is made again, so nobody waits for a slow reader.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from store.ids import Key, Offset
from store.query.access import candidates
from store.query.live import LiveQuery
from store.query.meaning.membership import Membership
from store.subscribe.changes import Past
from store.subscribe.encoding import Encoding
from store.tables.database import Database
from store.tables.table import StoredTable
from store.transaction import Op, Transaction

CHUNK_ROWS_MAX: Final = 1_024
"""Rows of one chunk, or looked at for one: well below 10 ms, also where each becomes JSON."""
ASKED_ROWS_MAX: Final = 256
"""As CHUNK_ROWS_MAX, where a condition is asked of each row, or a projection made of it."""
LOOKED_UP_MAX: Final = 16_384
"""Keys up to which an index is asked about further values: then all rows are looked at, in pieces."""
CHUNK_SIZE_MAX: Final = 64 << 10
"""Bytes of a chunk's rows, as the tables hold them; a larger row has a chunk of its own."""
SHARED_CHUNKS_MAX: Final = 32
"""Chunks kept for those who read close behind."""
SORTED_MAX: Final = 8_192
"""Keys that are put in order, which takes milliseconds; more come as the table holds them."""
GATHERED_MAX: Final = 8_192
"""Keys gathered at a time."""
SINCE_MAX: Final = 256
"""Transactions after `offset` up to which another subscriber may join: they are told to it first."""
ENTRY_SIZE: Final = 128
"""What an image that is kept costs beside its bytes."""

Made = TypeVar("Made")


class FirstRows:
    """The rows of a query at `offset`; a follower of the feed while `readers` read them (engine/feed.py)."""

    def __init__(self, query: LiveQuery, database: Database, offset: Offset, *, chunk_size_max: int) -> None:
        self.query: Final = query
        self.offset: Final = offset
        self.readers = 0
        self.since: list[Past] | None = []
        """What changed in the query after `offset`, for those who join; None once it is too much."""
        self.kept_size = 0
        """Bytes of images kept."""
        self._table: Final = database.tables[query.table.id]
        self._chunk_size_max: Final = min(chunk_size_max, CHUNK_SIZE_MAX)
        self._kept: Final[dict[Key, bytes | None]] = {}
        self._starts: Final = [0]
        self._made: Final[dict[tuple[int, Encoding], bytes]] = {}
        self._pasts: Final[dict[Membership, dict[Any, bool]]] = {each: {} for each in query.members}
        """What came into subqueries, or went, since `offset`."""
        found = candidates(query.table, query.where, self._table, count_max=LOOKED_UP_MAX)
        self._plain: Final = query.is_table or (found is not None and query.is_equality)
        if found is None and len(self._table) <= SORTED_MAX:
            found = list(self._table.rows)
        self._keys: list[Key] = [] if found is None else sorted(found) if len(found) <= SORTED_MAX else found
        self._gathering: _Gathering | None = _Gathering(self._table) if found is None else None
        self.at_once: Final = found is not None
        """Whether the first chunk can be made right away."""

    def open(self) -> None:
        """From here on what is needed of the past is kept."""
        for membership, past in self._pasts.items():
            membership.pasts.append(past)

    def close(self) -> None:
        """Nobody reads them any more."""
        for membership, past in self._pasts.items():
            membership.pasts[:] = [each for each in membership.pasts if each is not past]

    def evaluate(self, transaction: Transaction) -> None:
        """Keep what a row was before its first change (Follower)."""
        table_id, kept = self._table.schema.id, self._kept
        for table, op, key, before, _ in transaction.writes:
            if table != table_id:
                continue
            if key not in kept:
                kept[key] = before
                self.kept_size += ENTRY_SIZE + len(before or b"")
            if op != _UPDATE and self._gathering is not None:
                self._gathering.changed = True

    def note(self, past: Past) -> None:
        """Remember what changed in the query, for those who join."""
        if self.since is not None:
            self.since.append(past)
            if len(self.since) > SINCE_MAX:
                self.since = None

    def gather(self) -> bool:
        """Gather some keys; False where all are there."""
        gathering = self._gathering
        if gathering is None:
            return False
        if not gathering.gather():
            self._gathering = None
            self._keys = gathering.keys
            rows = self._table.rows
            self._keys += [key for key, image in self._kept.items() if image is not None and key not in rows]
        return True

    def ends_with(self, number: int) -> bool:
        """Whether this chunk, which was made before, is the last one."""
        return self._starts[number + 1] >= len(self._keys)

    def rows(self, number: int, encoding: Encoding) -> bytes:
        """A chunk's rows as an array; all keys are gathered. MalformedQuery where there is no value for one."""
        return encoding.rows(self._take(number))

    def chunk(self, number: int, encoding: Encoding) -> bytes:
        """A Chunk; b"" where it has no rows and is not the last. MalformedQuery where there is no value for a row."""
        made = self._made.get((number, encoding))
        if made is None:
            rows = self._take(number)
            more = not self.ends_with(number)
            made = encoding.chunk(self.query.id, encoding.rows(rows), (), more=more) if rows or not more else b""
            self._made[number, encoding] = made
            if len(self._made) > SHARED_CHUNKS_MAX:
                del self._made[next(iter(self._made))]
        return made

    def images(self, number: int, image: Callable[[Any, bytes], Any]) -> list[tuple[Key, Any]]:
        """A chunk's rows that match: their keys, and what `image` makes of each. MalformedQuery as for `rows`."""
        key_of = self._table.codec.key
        return self._asked(self._cut(number), lambda row, data: (key_of(row), image(row, data)))

    def _take(self, number: int) -> list[bytes]:
        """The rows of a chunk, as they are told."""
        rows = self._cut(number)
        return rows if self._plain else self._asked(rows, self.query.project)

    def _cut(self, number: int) -> list[bytes]:
        """The rows that are looked at for a chunk, which is cut here where it is the next."""
        starts = self._starts
        begin = starts[number]
        known = number + 1 < len(starts)
        rows_max = CHUNK_ROWS_MAX if self._plain else min(CHUNK_ROWS_MAX, ASKED_ROWS_MAX)
        end = starts[number + 1] if known else min(begin + rows_max, len(self._keys))
        images = self._images(self._keys[begin:end])
        if not known:
            end = begin + self._fitting(images)
            starts.append(end)
            del images[end - begin :]
        return [row for row in images if row is not None]

    def _asked(self, rows: Sequence[bytes], made: Callable[[Any, bytes], Made]) -> list[Made]:
        """What is made of those that match. MalformedQuery where there is no value for one."""
        decode, matches = self._table.codec.decode, self.query.matches
        try:
            for membership, past in self._pasts.items():
                membership.look_at(past)
            return [made(row, data) for data in rows if matches(row := decode(data))]
        finally:
            for membership in self._pasts:
                membership.look_at(None)

    def _images(self, keys: Sequence[Key]) -> list[bytes | None]:
        """Rows as they were at `offset`; None where there was none."""
        rows, kept = self._table.rows, self._kept
        if not kept:
            return [rows[key] for key in keys]
        return [kept[key] if key in kept else rows[key] for key in keys]

    def _fitting(self, images: Sequence[bytes | None]) -> int:
        """How many of these one chunk may hold, one at least where there is one."""
        size = 0
        for place, row in enumerate(images):
            size += len(row or b"")
            if size > self._chunk_size_max:
                return max(place, 1)
        return len(images)


def split_rows(rows: Sequence[bytes], size_max: int) -> list[list[bytes]]:
    """Rows in chunks, one at least: within the bounds of one, but for a row that is larger."""
    size_max = min(size_max, CHUNK_SIZE_MAX)
    chunks: list[list[bytes]] = [[]]
    size = 0
    for row in rows:
        size += len(row)
        if chunks[-1] and (size > size_max or len(chunks[-1]) >= CHUNK_ROWS_MAX):
            chunks.append([])
            size = len(row)
        chunks[-1].append(row)
    return chunks


class _Gathering:
    """The keys of a table, in pieces as long as none comes or goes; then what is there, in one go."""

    def __init__(self, table: StoredTable) -> None:
        self.keys: list[Key] = []
        self.changed = False
        """A key came or went since the first piece."""
        self._table: Final = table
        self._walk: Iterator[Key] | None = None

    def gather(self) -> bool:
        """One more piece; whether there are more."""
        if self._walk is None:
            self._walk = iter(self._table.rows)
        elif self.changed:
            self.keys = list(self._table.rows)
            return False
        self.changed = False
        before = len(self.keys)
        self.keys += islice(self._walk, GATHERED_MAX)
        return len(self.keys) - before == GATHERED_MAX


_UPDATE: Final = int(Op.UPDATE)
