"""The fingerprint of the tables at one offset, taken in time slices while calls go on.

Laws: it equals Database.fingerprint() at the offset where its pass began, whatever is written meanwhile. All who ask
while a pass runs share it. While nobody asks nothing is followed and nothing is kept. A slice ends soon after its time
is up; only where rows come or go while a table's keys are gathered, these are gathered in one go (a few milliseconds
a million rows), because a dict cannot be walked while it grows.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from store.engine.feed import Feed
from store.engine.state import State
from store.env.world import Clock
from store.fingerprint import show_sum, sum_rows
from store.ids import Key, Offset, TableId
from store.tables.table import StoredTable
from store.transaction import Op, Transaction

SLICE_MS: Final = 1.0
"""How long one slice may take, by default."""
KEPT_SIZE_MAX: Final = 256 << 20
"""Bytes of rows as they were that one pass may keep for what is written meanwhile; past it the pass is given up."""
GATHERED_MAX: Final = 8_192
"""Keys gathered between two looks at the clock: well below a millisecond."""
HASHED_SIZE_MAX: Final = 16_384
"""Bytes, each row counted with a little more, hashed between two looks at the clock."""
ENTRY_SIZE: Final = 128
"""What a row that is kept costs beside its bytes."""


@dataclass(frozen=True)
class Fingerprinted:
    """How a pass ended."""

    offset: Offset
    fingerprint: str
    """64 hexadecimal digits; "" where the pass was given up."""
    reason: str
    """Why it was given up, or ""."""
    rows: int
    slices: int
    slice_max_ms: float
    """The longest slice: how long the writer was kept from its calls at most."""
    seconds: float
    """From the first question to the answer."""


Told = Callable[[Fingerprinted], None]


class LiveFingerprint:
    """Takes fingerprints of a live state for those who ask. It belongs to the writer's thread."""

    def __init__(self, state: State, feed: Feed, clock: Clock, *, kept_size_max: int = KEPT_SIZE_MAX) -> None:
        self._state: Final = state
        self._feed: Final = feed
        self._clock: Final = clock
        self._kept_size_max: Final = kept_size_max
        self._pass: _Pass | None = None
        self._askers: list[Told] = []

    @property
    def running(self) -> bool:
        """Whether somebody waits, so that `step` has something to do."""
        return self._pass is not None

    def ask(self, told: Told) -> Offset:
        """Have `told` called by a later `step`; returns the offset that the fingerprint will be of.

        Between two transactions, never while one is evaluated.
        """
        if self._pass is None:
            self._pass = _Pass(self._state, began=self._clock.monotonic())
            self._feed.follow(self._pass)
        self._askers.append(told)
        return self._pass.offset

    def forget(self, told: Told) -> None:
        """This one asks no more; with the last one the pass ends. Nothing where it was told already."""
        if told not in self._askers:
            return
        self._askers.remove(told)
        if not self._askers and self._pass is not None:
            self._feed.unfollow(self._pass)
            self._pass = None

    def step(self, slice_ms: float = SLICE_MS) -> bool:
        """Work for one slice; whether there is more to do. Tells all who asked once it is done."""
        running = self._pass
        if running is None:
            return False
        began = self._clock.monotonic()
        until = began + slice_ms / 1000
        more = running.kept_size <= self._kept_size_max and running.work(lambda: self._clock.monotonic() < until)
        running.slices += 1
        now = self._clock.monotonic()
        running.slice_max_ms = max(running.slice_max_ms, (now - began) * 1000)
        if not more:
            self._end(running, now)
        return more

    def _end(self, running: "_Pass", now: float) -> None:
        self._feed.unfollow(running)
        self._pass = None
        askers, self._askers = self._askers, []
        reason = ""
        if running.kept_size > self._kept_size_max:
            reason = f"more than {self._kept_size_max} bytes of rows were changed meanwhile: ask at a quieter time"
        result = Fingerprinted(
            offset=running.offset,
            fingerprint="" if reason else show_sum(running.total),
            reason=reason,
            rows=running.rows,
            slices=running.slices,
            slice_max_ms=running.slice_max_ms,
            seconds=now - running.began,
        )
        for told in askers:
            told(result)


class _Pass:
    """One walk over all rows as they were at `offset`: first the keys of every table, then their rows.

    `_kept` holds, for each table still to do, what a row was at `offset` for each key written since (None: no row).
    """

    def __init__(self, state: State, *, began: float) -> None:
        self.offset: Final = state.last_offset
        self.began: Final = began
        self.total = 0
        self.rows = 0
        self.slices = 0
        self.slice_max_ms = 0.0
        self.kept_size = 0
        tables = state.database.tables
        self._kept: Final[dict[TableId, dict[Key, bytes | None]]] = {table_id: {} for table_id in tables}
        self._to_gather: Final = deque(_Gathering(table_id, table) for table_id, table in tables.items())
        self._to_hash: Final[deque[_Hashing]] = deque()

    def evaluate(self, transaction: Transaction) -> None:
        """Keep what a row was before its first change, and see whether a table's keys came or went (Follower)."""
        for table_id, op, key, before, _ in transaction.writes:
            kept = self._kept.get(table_id)
            if kept is None:
                continue
            if key not in kept:
                kept[key] = before
                self.kept_size += ENTRY_SIZE + len(before or b"")
            if op != _UPDATE and self._to_gather and self._to_gather[0].table_id == table_id:
                self._to_gather[0].changed = True

    def work(self, in_time: Callable[[], bool]) -> bool:
        """Go on while there is time, a little at least; whether anything is left."""
        while self._to_gather or self._to_hash:
            if self._to_gather:
                self._gather(self._to_gather[0])
            else:
                self._hash(self._to_hash[0])
            if not in_time():
                break
        return bool(self._to_gather or self._to_hash)

    def _gather(self, gathering: "_Gathering") -> None:
        if gathering.gather():
            return
        self._to_gather.popleft()
        table_id, table = gathering.table_id, gathering.table
        kept = self._kept[table_id]
        gone = [before for key, before in kept.items() if before is not None and key not in table.rows]
        self._to_hash.append(_Hashing(table_id, table, gathering.keys, gone, kept))

    def _hash(self, hashing: "_Hashing") -> None:
        total, rows, more = hashing.hash_some()
        self.total += total
        self.rows += rows
        if not more:
            self._to_hash.popleft()
            del self._kept[hashing.table_id]  # What is written there from now on is of no interest.


class _Gathering:
    """The keys of one table, in pieces as long as none comes or goes; then what is there, in one go."""

    def __init__(self, table_id: TableId, table: StoredTable) -> None:
        self.table_id: Final = table_id
        self.table: Final = table
        self.keys: list[Key] = []
        self.changed = False
        """A key came or went since the first piece. A dict that lost one and won one would not say so itself."""
        self._walk: Iterator[Key] | None = None

    def gather(self) -> bool:
        """One more piece; whether there are more."""
        if self.changed and self._walk is not None:
            self.keys = list(self.table.rows)
            return False
        if self._walk is None:
            self.changed = False
            self._walk = iter(self.table.rows)
        before = len(self.keys)
        self.keys += islice(self._walk, GATHERED_MAX)
        return len(self.keys) - before == GATHERED_MAX


class _Hashing:
    """The rows of one table as they were: those under its keys, and `gone`, which went before the keys were known."""

    def __init__(
        self,
        table_id: TableId,
        table: StoredTable,
        keys: list[Key],
        gone: list[bytes],
        kept: dict[Key, bytes | None],
    ) -> None:
        self.table_id: Final = table_id
        self._rows: Final = self._as_they_were(table.rows, keys, gone, kept)

    def hash_some(self) -> tuple[int, int, bool]:
        """(sum, rows, whether there are more) of the next few rows."""
        rows: list[bytes] = []
        size = 0
        for row in self._rows:
            rows.append(row)
            size += len(row) + ENTRY_SIZE
            if size > HASHED_SIZE_MAX:
                return sum_rows(self.table_id, rows), len(rows), True
        return sum_rows(self.table_id, rows), len(rows), False

    @staticmethod
    def _as_they_were(
        now: dict[Key, bytes], keys: list[Key], gone: list[bytes], kept: dict[Key, bytes | None]
    ) -> Iterator[bytes]:
        """Each row at the pass's offset, once. A key not kept was not written since: its row is what it was."""
        yield from gone
        while keys:  # One by one they go: to free a million at once takes milliseconds.
            key = keys.pop()
            row = kept[key] if key in kept else now[key]
            if row is not None:
                yield row


_UPDATE: Final = int(Op.UPDATE)
