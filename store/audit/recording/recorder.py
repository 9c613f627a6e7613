"""From the log into the ledger: records that are proven durable become events, events batches, batches rows.

Laws: a batch is frozen in one durable commit, with where the trail goes on behind it and what of its context is new;
a process that begins again goes on from there and makes the same events. While the ledger is full nothing more is read:
the log holds what is to come. A history that was given up is told to its end before the one in force goes on.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from store.audit.recording.context import Context, context_of, load_context
from store.audit.recording.rows import Row, Rows, State
from store.audit.recording.trail import BEGINNING, Closed, Gap, Limits, Trail, decode_standing, encode_standing
from store.codec import split_batch
from store.engine.state import EpochRecord
from store.env.ledger import Ledger, LedgerDamaged, LedgerFull
from store.env.subjects import SubjectKeys
from store.env.world import Clock, Disk
from store.errors import CorruptionError, DirectoryError
from store.ids import Epoch, Offset, Timestamp
from store.log.following import Followed, Follower
from store.log.segment import segment_offsets
from store.upkeep.lineage import beginning, go_on, lineage, trail_epoch

Found = TypeVar("Found")

PIECE_MAX: Final = 1 << 20
"""Bytes of the log in one step, or one batch of it: about a batch of small events."""
TOLD: Final = b"told"
"""The name, among what is kept as context, of the last offset that was told, by epoch."""
CONTEXT: Final = b"context/"
"""What the ledger's keys of the context begin with."""

encode_told: Final = msgspec.msgpack.Encoder(order="deterministic").encode
"""{epoch as hex: last offset told} for the ledger."""
_decode_told: Final = msgspec.msgpack.Decoder(dict[str, int]).decode


class Source:
    """One directory whose log is told, from where the trail left it."""

    def __init__(self, disk: Disk, told: Mapping[str, int], *, ended: bool = False, skip_missing: bool = False) -> None:
        """`ended`: nobody writes it any more, so that its end is told, too, though nothing proves it.

        `skip_missing`: where the log begins behind what was told, go on there.

        DirectoryError: it is another store's, or has not begun. CorruptionError: its headers are damaged.
        """
        self.epochs: Final[tuple[EpochRecord, ...]] = lineage(disk)
        self.log: Final = trail_epoch(self.epochs).hex()
        known = {Epoch(bytes.fromhex(epoch)): Offset(offset) for epoch, offset in told.items()}
        found = go_on(self.epochs, known)
        if found is None and known:
            raise DirectoryError(
                f"the trail tells of another history: it knows none of this directory's {len(self.epochs)} epochs",
                hint="Each store has a ledger of its own beside its data directory; name this one's (--folder)",
            )
        offsets = segment_offsets(disk)
        self.skips: Final = found is not None and skip_missing and bool(offsets) and offsets[0] > found + 1
        """Whether something before its beginning was never told, and is passed over."""
        self.begins: Final = beginning(disk) if found is None or self.skips else None
        self.after: Final = self.begins.after if self.begins is not None else found or Offset(0)
        self.follower: Final = Follower(disk, after=self.after, ended=ended)

    @property
    def epoch(self) -> Epoch:
        """In force at `after`."""
        return next(each.epoch for each in reversed(self.epochs) if each.first_offset <= self.after)

    def context(self, known: Context | None = None) -> Context:
        """What a trail that begins here has to know, beside what is `known`."""
        found = Context()
        if self.begins is not None and self.begins.system is not None:
            found = context_of(self.begins.system, self.begins.schema)
        if known is None:
            return found
        identities = {**known.identities, **found.identities}
        return Context(
            tables=found.tables or known.tables,
            identities=identities,
            declared=known.declared,
            sensitive=known.sensitive,
        )

    def cursor(self, row: Row) -> Offset | None:
        """Behind which offset this log is needed once a row is shipped; None: the row tells nothing of it."""
        return go_on(self.epochs, {Epoch(bytes.fromhex(row.epoch)): Offset(row.offset)})


@dataclass(frozen=True)
class Recorded:
    """Where the recorder stands."""

    epoch: str
    offset: Offset
    """The last record that is an event, in the open batch or a frozen one."""
    frozen_offset: Offset
    """The last record in a frozen batch."""
    events: int
    """Frozen, in all."""
    waiting: int
    """Events in the open batch."""
    waiting_since: Timestamp | None
    """The moment of the oldest event that is not frozen; None: there is none."""
    caught_up: bool
    """Whether nothing more was proven durable at the last look."""
    full: bool
    """Whether the ledger has no room, so that nothing is read."""
    gap: str
    """Why something of the log cannot be told, or ""."""


class Recorder:
    """Follows a store's log, and the one given up before it, into one ledger."""

    def __init__(
        self,
        current: Disk,
        *,
        ledger: Ledger,
        keys: SubjectKeys,
        clock: Clock,
        before: Disk | None = None,
        limits: Limits | None = None,
        age_max_s: float,
        skip_missing: bool = False,
    ) -> None:
        """`before`: the generation that was in force before `current`, if it is still there.

        `skip_missing`: go on where the log begins though something before it was never told. LedgerDamaged; ConfigError
        where the ledger is another trail's; errors of Source.
        """
        log = trail_epoch(lineage(current)).hex()
        self.rows: Final = Rows(ledger, log)
        kept, standing = self.rows.context, None
        told = _read(_decode_told, kept.get(TOLD, b"\x80"), "what was told")
        if (data := self.rows.trail) is not None:
            standing = _read(decode_standing, data, "where the trail goes on")
        self.current: Final = Source(current, told, skip_missing=skip_missing)
        context = self.current.context() if standing is None else _read(load_context, kept, "the trail's context")
        if self.current.skips:
            context = self.current.context(context)
        self._clock: Final = clock
        self._age_max_s: Final = age_max_s
        self._told: Final = told
        self._sources: Final = deque(_ended(before, told, self.current.log) if standing is not None else [])
        self._sources.append(self.current)
        self._trail: Final = Trail(
            self.current.log, keys=keys, standing=standing or BEGINNING, context=context, limits=limits
        )
        self._closed: Final[deque[Closed]] = deque()
        self._opened_at: float | None = None
        self._frozen_offset = Offset(0 if standing is None else standing.offset)
        self._caught_up = False
        self._full = False
        self._gap = ""
        if self.current.skips:
            self._trail.skip(self.current.epoch, self.current.after)

    def step(self) -> bool:
        """Read a piece of the log and freeze what is full or old enough. Whether there may be more to do at once.

        CorruptionError, Gap: the log is damaged, or does not hold what comes next; `recorded.gap` says so as well.
        OSError and LedgerDamaged where the ledger fails.
        """
        if not self._freeze():
            return False
        source = self._sources[0]
        try:
            found = source.follower.read(PIECE_MAX)
            for each in found:
                self._take(source, each)
        except (CorruptionError, Gap) as error:
            self._gap = str(error)
            raise
        self._gap = ""
        self._caught_up = not found and len(self._sources) == 1
        if not found and len(self._sources) > 1:
            self._sources.popleft()
            return True
        self._look_at_age()
        return self._freeze() and bool(found)

    def finish(self) -> None:
        """Freeze the open batch, however small: nothing more will come, or not soon."""
        if (closed := self._trail.close()) is not None:
            self._closed.append(closed)
        self._freeze()

    @property
    def recorded(self) -> Recorded:
        """Where it stands."""
        epoch, offset = self._trail.place
        since = self._closed[0].frozen.t_first if self._closed else self._trail.waiting_since
        return Recorded(
            epoch=epoch,
            offset=offset,
            frozen_offset=self._frozen_offset,
            events=self.rows.newest.size_after if self.rows.newest is not None else 0,
            waiting=self._trail.waiting + sum(each.frozen.count for each in self._closed),
            waiting_since=since,
            caught_up=self._caught_up,
            full=self._full,
            gap=self._gap,
        )

    @property
    def cursor(self) -> Offset:
        """Behind which offset the current log is needed: what is not in the store with its checkpoint."""
        shipped = shipped_row(self.rows)
        found = None if shipped is None else self.current.cursor(shipped)
        return self.current.after if found is None else found

    def _take(self, source: Source, found: Followed) -> None:
        batch = found.batch
        records = split_batch(batch.body)
        skipped = max(source.after + 1 - batch.first_offset, 0)
        self._closed.extend(self._trail.take(found.epoch, records[skipped:]))
        if self._trail.waiting and self._opened_at is None:
            self._opened_at = self._clock.monotonic()

    def _look_at_age(self) -> None:
        if not self._trail.waiting:
            self._opened_at = None
        elif self._opened_at is not None and self._clock.monotonic() - self._opened_at >= self._age_max_s:
            self._opened_at = None
            closed = self._trail.close()
            assert closed is not None
            self._closed.append(closed)

    def _freeze(self) -> bool:
        """Put what is closed into the ledger; False where it has no room."""
        while self._closed:
            closed = self._closed[0]
            told = dict(self._told)
            for epoch, _, last in closed.frozen.ranges:
                told[epoch] = max(told.get(epoch, 0), last)
            context = {**closed.context, TOLD: encode_told(told)}
            more = {CONTEXT + name: value for name, value in context.items()}
            try:
                self.rows.freeze(closed.frozen, encode_standing(closed.standing), at=self._clock.wall(), more=more)
            except LedgerFull:
                self._full = True
                return False
            self._told.update(told)
            self._frozen_offset = Offset(closed.standing.offset)
            self._closed.popleft()
        self._full = False
        return True


def shipped_row(rows: Rows) -> Row | None:
    """The newest row that is in the store with its checkpoint; None before the first."""
    for state in (State.MANIFESTED, State.STORED, State.FROZEN):
        if (waiting := rows.first_in(state)) is not None:
            return rows.before(waiting) if waiting.batch else None
    return rows.newest


def _ended(before: Disk | None, told: Mapping[str, int], log: str) -> Sequence[Source]:
    """The generation before, where it is of the same trail and has something left to tell."""
    if before is None:
        return []
    try:
        found = Source(before, told, ended=True)
    except (DirectoryError, CorruptionError):
        return []
    return [found] if found.log == log and found.begins is None else []


def _read(decode: Callable[[Any], Found], data: Any, what: str) -> Found:
    """What the ledger holds, decoded; LedgerDamaged where it cannot be."""
    try:
        return decode(data)
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
        raise LedgerDamaged(
            f"{what} in the ledger cannot be read: {error}",
            hint="`store audit rebuild` makes the ledger anew from bucket and log.",
        ) from None
