"""What subscribers missed: the newest of it from RAM, the rest from the log, read beside the writer.

Laws: slow work is a value. A LogRead is made here and carried out by whoever has a thread for it; it reads a bounded
piece and changes nothing. A piece is decoded once and evaluated once for all queries that are asked for, however many
subscribers come back. Few pieces are kept, so memory does not follow what was missed. A piece that was read stays until
whoever asked for it took it, and before that nothing else is read: so each reading brings somebody on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Generic, TypeVar

from store.codec import decode_transaction, split_batch
from store.engine.feed import Feed
from store.env.world import Disk
from store.errors import CallError, StoreError
from store.ids import Offset, QueryId
from store.log.commitlog import Commitlog
from store.log.reader import LogReader
from store.subscribe.changes import Change, Past
from store.subscribe.encoding import Encoding
from store.transaction import Transaction

PIECE_COUNT_MAX: Final = 256
"""Transactions of a piece: to decode and evaluate them takes about a millisecond."""
PIECE_SIZE_MAX: Final = 256 << 10
"""Bytes of a piece's records; a larger record has a piece of its own."""
PIECES_MAX: Final = 16
"""Pieces kept for those who come back at nearly the same place."""

ChangesOf = Callable[[Transaction, AbstractSet[QueryId]], Mapping[QueryId, Change | CallError]]
"""What a transaction changed in those of the followed queries that are asked for, or why that has no value."""


class Piece:
    """Transactions in a row, and what they changed in queries."""

    def __init__(self, records: Sequence[bytes]) -> None:
        self.transactions: Final = [decode_transaction(record) for record in records]
        self.first: Final = self.transactions[0].offset
        self.last: Final = self.transactions[-1].offset
        self._evaluated: Final[dict[QueryId, list[Past]]] = {}
        self._errors: Final[dict[QueryId, CallError]] = {}
        self._chunks: Final[dict[tuple[QueryId, Encoding, Offset, bool], bytes]] = {}

    def evaluate(self, wanted: AbstractSet[QueryId], changes_of: ChangesOf) -> None:
        """Find what changed in the queries that are wanted and were not asked for before."""
        fresh = wanted - self._evaluated.keys()
        self._evaluated.update({query: [] for query in fresh})
        for transaction in self.transactions:
            if transaction.writes:
                for query, change in changes_of(transaction, fresh).items():
                    if isinstance(change, Change):
                        self._evaluated[query].append(Past(transaction, change))
                    else:
                        self._errors.setdefault(query, change)

    def knows(self, query: QueryId) -> bool:
        """Whether this query was asked for before."""
        return query in self._evaluated

    def error(self, query: QueryId) -> CallError | None:
        """Why what changed in this query has no value, if so."""
        return self._errors.get(query)

    def chunk(self, query: QueryId, encoding: Encoding, first: Offset, last: Offset, *, more: bool) -> bytes:
        """What changed in a query from `first` through `last`, as a Chunk; b"" where nothing did and more follows."""
        if first <= self.first and last >= self.last:
            made = self._chunks.get((query, encoding, self.first, more))
            if made is None:
                made = self._make(query, encoding, first, last, more=more)
                self._chunks[query, encoding, self.first, more] = made
            return made
        return self._make(query, encoding, first, last, more=more)

    def _make(self, query: QueryId, encoding: Encoding, first: Offset, last: Offset, *, more: bool) -> bytes:
        missed = [past.missed(encoding) for past in self._evaluated[query] if first <= past.offset <= last]
        return encoding.chunk(query, encoding.rows([]), missed, more=more) if missed or not more else b""


class LogRead:
    """One request: read a piece of the log. `run` alone touches the disk, and may run on any thread."""

    def __init__(self, cursor: "_Cursor", first: Offset) -> None:
        self.first: Final = first
        self.records: list[bytes] = []
        self.error: StoreError | OSError | None = None
        """Why the log does not lead on from there: it was let go, or cannot be read."""
        self._cursor: Final = cursor

    def run(self) -> None:
        """Read. Never raises: an error is looked at on the writer's thread."""
        try:
            self.records = self._cursor.read(self.first)
        except (StoreError, OSError) as error:
            self.error = error


class _Cursor:
    """A place in the log, from which reading on costs no search."""

    def __init__(self, disk: Disk, log: Commitlog) -> None:
        self._disk: Final = disk
        self._log: Final = log
        self._next = Offset(0)
        self._rest: Iterator[bytes] = iter(())

    def read(self, first: Offset) -> list[bytes]:
        """A piece from `first` on. CorruptionError, DirectoryError, OSError: the log does not hold it any more."""
        if first != self._next:
            self._open(first)
        found = self._take()
        if not found:  # The end of what was durable when it was opened.
            self._open(first)
            found = self._take()
        self._next = Offset(first + len(found))
        return found

    def _open(self, first: Offset) -> None:
        self._rest = _records(self._disk, first, self._log.durable_offset)

    def _take(self) -> list[bytes]:
        found: list[bytes] = []
        size = 0
        for record in self._rest:
            found.append(record)
            size += len(record)
            if len(found) >= PIECE_COUNT_MAX or size >= PIECE_SIZE_MAX:
                break
        return found


def _records(disk: Disk, first: Offset, through: Offset) -> Iterator[bytes]:
    for batch in LogReader(disk, from_offset=first, through=through):
        for place, record in enumerate(split_batch(batch.body) if batch.count else ()):
            if first <= batch.first_offset + place <= through:
                yield bytes(record)


Asker = TypeVar("Asker")


class Backlog(Generic[Asker]):
    """Pieces of what happened, found by offset. Everything but a LogRead's `run` is the writer's."""

    def __init__(self, feed: Feed, disk: Disk, log: Commitlog) -> None:
        self._feed: Final = feed
        self._log: Final = log
        self._cursor: Final = _Cursor(disk, log)
        self._pieces: Final[dict[Offset, Piece]] = {}
        self._asked: Final[dict[Offset, dict[Asker, None]]] = {}
        """Who waits for which offset of the log."""
        self.lost_through = Offset(0)
        """The log was asked for offsets up to here, and does not hold them any more."""
        self._reading: LogRead | None = None
        self._reached = Offset(0)

    def piece(self, offset: Offset) -> Piece | None:
        """The piece that holds an offset; None where it is not in RAM: then ask for it."""
        for piece in self._pieces.values():
            if piece.first <= offset <= piece.last:
                return piece
        records = self._feed.newest.records(offset, count_max=PIECE_COUNT_MAX, size_max=PIECE_SIZE_MAX)
        return self._keep(Piece(records)) if records else None

    def ask(self, offset: Offset, asker: Asker) -> None:
        """Have this offset read from the log, and be among those that `complete` returns then."""
        self._asked.setdefault(offset, {})[asker] = None

    def forget(self, offset: Offset, asker: Asker) -> None:
        """It asks for this offset no more, if it did."""
        askers = self._asked.get(offset)
        if askers is not None:
            askers.pop(asker, None)
            if not askers:
                del self._asked[offset]

    @property
    def asked(self) -> bool:
        """Whether somebody waits for the log."""
        return bool(self._asked)

    def lost(self, offset: Offset) -> bool:
        """Whether the log was asked for this offset, or one behind it, and does not hold it any more."""
        return offset <= self.lost_through

    def take_request(self) -> LogRead | None:
        """What is to be read next, one at a time: in rising order as far as there is something ahead."""
        due = [offset for offset in self._asked if offset <= self._log.durable_offset]
        if self._reading is not None or not due:
            return None
        self._reading = LogRead(self._cursor, min([each for each in due if each >= self._reached] or due))
        return self._reading

    def complete(self, read: LogRead) -> tuple[Piece | None, list[Asker]]:
        """A request was carried out: returns what it brought, and those who asked for it; None where it is lost."""
        assert read is self._reading
        self._reading = None
        if not read.records:
            self.lost_through = max(self.lost_through, read.first)
            return None, self._take(Offset(0), self.lost_through)
        piece = self._keep(Piece(read.records))
        self._reached = Offset(piece.last + 1)
        return piece, self._take(piece.first, piece.last)

    def _take(self, first: Offset, last: Offset) -> list[Asker]:
        """Those who asked for something between."""
        found = [offset for offset in self._asked if first <= offset <= last]
        return [asker for offset in found for asker in self._asked.pop(offset)]

    def _keep(self, piece: Piece) -> Piece:
        self._pieces.pop(piece.first, None)
        self._pieces[piece.first] = piece
        if len(self._pieces) > PIECES_MAX:
            del self._pieces[next(iter(self._pieces))]
        return piece
