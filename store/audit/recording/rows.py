"""What waits to be shipped, row by row, in the ledger: one durable commit for each step.

Laws: a batch's bytes are in the ledger before anybody sends them, and leave it only when the checkpoint over them was
stored and read back, and a grace is over. A row goes one state further at a time, and never back. What is computed from
another object's answer (the manifest, which holds a version id; the checkpoint, which is cosigned) is written down in
the same commit as that answer, before it is sent: sent again it is the same bytes.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import islice, takewhile
from types import MappingProxyType
from typing import Final

import msgspec

from store.audit.objects.batches import Frozen, decode_frozen, encode_frozen
from store.audit.objects.layout import check_log_id
from store.env.ledger import Ledger, LedgerDamaged
from store.errors import ConfigError
from store.ids import Timestamp

LET_GO_MAX: Final = 64
"""Rows that are removed in one commit, at most."""


NO_MORE: Final[Mapping[bytes, bytes]] = MappingProxyType({})


class State(Enum):
    """How far a batch is, in this order."""

    FROZEN = "frozen"
    """Its bytes are settled."""
    STORED = "stored"
    """Its object was read back; its manifest is settled."""
    MANIFESTED = "manifested"
    """Its manifest was read back."""
    CHECKPOINTED = "checkpointed"
    """A checkpoint over it was read back."""
    ACKED = "acked"
    """And so was that checkpoint's copy in every anchor: its bytes here may go after a grace."""


_RANK: Final = {state: number for number, state in enumerate(State)}


class Row(msgspec.Struct, frozen=True):
    """One batch on its way."""

    batch: int
    first: int
    count: int
    t_first: Timestamp
    t_last: Timestamp
    epoch: str
    """The epoch of its last record, 32 hex digits."""
    offset: int
    """The offset of its last record."""
    size: int
    """Bytes of its object."""
    frozen_at: Timestamp
    state: State = State.FROZEN
    version_id: str = ""
    retain_until: Timestamp = Timestamp(0)
    manifest_digest: str = ""
    manifest_version_id: str = ""
    checkpoint_version_id: str = ""
    acked_at: Timestamp = Timestamp(0)

    @property
    def size_after(self) -> int:
        """Of the tree behind it."""
        return self.first + self.count


class SignedCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint that was signed, and waits to be stored."""

    size: int
    note: bytes
    version_id: str = ""
    """Once it was read back."""


_LOG: Final = b"log"
_TRAIL: Final = b"trail"
_CHECKPOINT: Final = b"checkpoint"
_CONTEXT: Final = b"context/"
_ROW, _BATCH, _MANIFEST = b"row/", b"batch/", b"manifest/"
_encode = msgspec.msgpack.Encoder().encode
_decode_row: Final = msgspec.msgpack.Decoder(Row).decode
_decode_checkpoint: Final = msgspec.msgpack.Decoder(SignedCheckpoint).decode


class Rows:
    """The rows of one trail in one ledger, oldest first; those that are known are kept in RAM as well."""

    def __init__(self, ledger: Ledger, log: str) -> None:
        """ConfigError: it is another trail's. LedgerDamaged: what it holds is no rows."""
        self._ledger = ledger
        there = ledger.get(_LOG)
        if there is None:
            ledger.commit({_LOG: check_log_id(log).encode("ascii")}, reserve=True)
        elif there != log.encode("ascii"):
            raise ConfigError(
                f"the ledger is that of the trail {there.decode('ascii', 'replace')}, not of {log}",
                hint="Each store has a ledger of its own. If the data directory is a copy, move the audit folder that"
                " came with it away, or name another (audit.folder): the copy then has a trail of its own.",
            )
        self._rows = {row.batch: row for row in self._read()}
        self._low = next(iter(self._rows), 0)

    @property
    def fence(self) -> int:
        """The number of this opening of the ledger."""
        return self._ledger.fence

    @property
    def trail(self) -> bytes | None:
        """Where the trail goes on, as it was told with the newest row; None before the first."""
        return self._ledger.get(_TRAIL)

    @property
    def newest(self) -> Row | None:
        """The newest row."""
        return self._rows.get(self._high - 1)

    def __iter__(self) -> Iterator[Row]:
        """All rows, oldest first."""
        return iter(tuple(self._rows.values()))

    def counts(self) -> dict[State, int]:
        """How many there are in each state."""
        begins = [self._from(state) for state in State]
        return {
            state: (begins[number - 1] if number else self._high) - begins[number] for state, number in _RANK.items()
        }

    def before(self, row: Row) -> Row | None:
        """The row before this one; None before the first. LedgerDamaged: it is gone."""
        found = self._rows.get(row.batch - 1)
        if found is None and row.batch > 0:
            raise LedgerDamaged(f"the ledger has no row before batch {row.batch}", hint=_REBUILD)
        return found

    def at(self, batch: int) -> Row | None:
        """The row of this batch, if it is known."""
        return self._rows.get(batch)

    @property
    def checkpoint_waits(self) -> SignedCheckpoint | None:
        """The checkpoint that was signed and is not stored yet."""
        signed = self.checkpoint
        return signed if signed is not None and not signed.version_id else None

    @property
    def waiting(self) -> Row | None:
        """The oldest row that something is still to be done for."""
        return self._rows.get(self._from(State.CHECKPOINTED))

    @property
    def crowded(self) -> bool:
        """Whether the ledger is more than half full."""
        return 2 * self._ledger.size() > self._ledger.size_max

    def first_in(self, state: State) -> Row | None:
        """The oldest row in this state."""
        return next(self.all_in(state), None)

    def all_in(self, state: State) -> Iterator[Row]:
        """The rows in this state, oldest first."""
        for batch in range(self._from(state), self._high):
            row = self._rows[batch]
            if row.state is not state:
                return
            yield row

    def _from(self, state: State) -> int:
        """The oldest batch that is not further than this state: what is older is as far or further."""
        batches = range(self._low, self._high)
        return self._low + bisect_left(batches, 1, key=lambda batch: _RANK[self._rows[batch].state] <= _RANK[state])

    @property
    def _high(self) -> int:
        return self._low + len(self._rows)

    @property
    def context(self) -> dict[bytes, bytes]:
        """What the trail has to know of the log to go on: everything that was given with any batch, by its name."""
        return {key.removeprefix(_CONTEXT): value for key, value in self._ledger.items(_CONTEXT)}

    def freeze(self, frozen: Frozen, trail: bytes, *, at: Timestamp, more: Mapping[bytes, bytes] = NO_MORE) -> Row:
        """Take a new batch in, with where the trail goes on behind it, and `more` that goes with it, in one commit.

        `more` is context/… and other keys that are none of a row's. LedgerFull: there is no room, nothing was.
        """
        newest = self.newest
        assert newest is None or (frozen.batch, frozen.first) == (newest.batch + 1, newest.size_after)
        row = row_of(frozen, at=at)
        self._ledger.commit({**more, **self._puts(row), _batch_key(row): encode_frozen(frozen), _TRAIL: trail})
        if newest is None:
            self._low = row.batch
        self._rows[row.batch] = row
        return row

    def begin(
        self,
        known: Sequence[tuple[Row, Frozen, bytes]],
        trail: bytes,
        *,
        checkpoint: SignedCheckpoint | None = None,
        more: Mapping[bytes, bytes] = NO_MORE,
    ) -> None:
        """Take over what a bucket holds, into a ledger without rows: each row with its batch and its manifest."""
        assert not self._rows
        puts: dict[bytes, bytes | None] = {**more, _TRAIL: trail}
        if checkpoint is not None:
            puts[_CHECKPOINT] = _encode(checkpoint)
        for row, frozen, manifest in known:
            puts |= {**self._puts(row), _batch_key(row): encode_frozen(frozen)}
            if manifest:
                puts[_manifest_key(row)] = manifest
        self._ledger.commit(puts)
        self._rows = {row.batch: row for row, _, _ in known}
        self._low = next(iter(self._rows), 0)

    def frozen(self, row: Row) -> Frozen:
        """A row's batch."""
        data = self._ledger.get(_batch_key(row))
        if data is None:
            raise LedgerDamaged(f"the ledger has no bytes of batch {row.batch}", hint=_REBUILD)
        try:
            return decode_frozen(data)
        except (msgspec.ValidationError, msgspec.DecodeError):
            raise LedgerDamaged(f"the bytes of batch {row.batch} in the ledger are no batch", hint=_REBUILD) from None

    def manifest(self, row: Row) -> bytes:
        """A row's manifest."""
        data = self._ledger.get(_manifest_key(row))
        if data is None:
            raise LedgerDamaged(f"the ledger has no manifest of batch {row.batch}", hint=_REBUILD)
        return data

    def stored(self, row: Row, *, version_id: str, retain_until: Timestamp, manifest: bytes, digest: str) -> None:
        """FROZEN to STORED: the batch's object was read back; its manifest is settled."""
        assert row.state is State.FROZEN
        self._change(
            [
                msgspec.structs.replace(
                    row,
                    state=State.STORED,
                    version_id=version_id,
                    retain_until=retain_until,
                    manifest_digest=digest,
                )
            ],
            {_manifest_key(row): manifest},
        )

    def manifested(self, row: Row, *, version_id: str) -> None:
        """STORED to MANIFESTED: its manifest was read back."""
        assert row.state is State.STORED
        self._change([msgspec.structs.replace(row, state=State.MANIFESTED, manifest_version_id=version_id)])

    @property
    def checkpoint(self) -> SignedCheckpoint | None:
        """The checkpoint that was signed last, whether it is stored yet or not."""
        data = self._ledger.get(_CHECKPOINT)
        try:
            return None if data is None else _decode_checkpoint(data)
        except (msgspec.ValidationError, msgspec.DecodeError):
            raise LedgerDamaged("the checkpoint in the ledger is none", hint=_REBUILD) from None

    def signed(self, size: int, note: bytes) -> None:
        """A checkpoint is settled."""
        self._change([], {_CHECKPOINT: _encode(SignedCheckpoint(size, note))})

    def checkpointed(self, checkpoint: SignedCheckpoint, *, version_id: str) -> None:
        """MANIFESTED to CHECKPOINTED, all that it covers: it was read back."""
        rows = [
            msgspec.structs.replace(row, state=State.CHECKPOINTED, checkpoint_version_id=version_id)
            for row in self.all_in(State.MANIFESTED)
            if row.size_after <= checkpoint.size
        ]
        done = msgspec.structs.replace(checkpoint, version_id=version_id)
        self._change(rows, {_CHECKPOINT: _encode(done)})

    def acked(self, *, at: Timestamp) -> None:
        """CHECKPOINTED to ACKED: nothing more is to be done for them."""
        self._change(
            [msgspec.structs.replace(row, state=State.ACKED, acked_at=at) for row in self.all_in(State.CHECKPOINTED)]
        )

    def let_go(self, *, before: Timestamp) -> int:
        """Remove what was acked before that moment, a few at a time; how many rows went.

        The newest that was acked stays: the manifest of the row behind it names its manifest.
        """
        done = takewhile(lambda row: row.acked_at < before and self._is_acked(row.batch + 1), self.all_in(State.ACKED))
        gone = list(islice(done, LET_GO_MAX))
        puts: dict[bytes, bytes | None] = {}
        for row in gone:
            puts |= dict.fromkeys((_row_key(row), _batch_key(row), _manifest_key(row)))
        if puts:
            self._ledger.commit(puts, reserve=True)
        for row in gone:
            del self._rows[row.batch]
        self._low += len(gone)
        return len(gone)

    def _is_acked(self, batch: int) -> bool:
        row = self._rows.get(batch)
        return row is not None and row.state is State.ACKED

    def _change(self, rows: list[Row], more: dict[bytes, bytes | None] | None = None) -> None:
        puts = dict(more or {})
        for row in rows:
            puts |= self._puts(row)
        if puts:
            self._ledger.commit(puts, reserve=True)
        self._rows |= {row.batch: row for row in rows}

    def _puts(self, row: Row) -> dict[bytes, bytes | None]:
        return {_row_key(row): _encode(row)}

    def _read(self) -> Iterator[Row]:
        before: Row | None = None
        for key, value in self._ledger.items(_ROW):
            try:
                row = _decode_row(value)
            except (msgspec.ValidationError, msgspec.DecodeError):
                raise LedgerDamaged(
                    f"{key.decode('ascii', 'replace')} in the ledger is no row", hint=_REBUILD
                ) from None
            if key != _row_key(row) or (before is not None and row.batch != before.batch + 1):
                raise LedgerDamaged(
                    f"{key.decode('ascii', 'replace')} in the ledger is not the row behind"
                    f" {before.batch if before else 'none'}",
                    hint=_REBUILD,
                )
            before = row
            yield row


def row_of(frozen: Frozen, *, at: Timestamp) -> Row:
    """A new row of a batch."""
    epoch, _, offset = frozen.ranges[-1]
    return Row(
        batch=frozen.batch,
        first=frozen.first,
        count=frozen.count,
        t_first=frozen.t_first,
        t_last=frozen.t_last,
        epoch=epoch,
        offset=offset,
        size=len(frozen.data),
        frozen_at=at,
    )


def _row_key(row: Row) -> bytes:
    return b"%s%012d" % (_ROW, row.batch)


def _batch_key(row: Row) -> bytes:
    return b"%s%012d" % (_BATCH, row.batch)


def _manifest_key(row: Row) -> bytes:
    return b"%s%012d" % (_MANIFEST, row.batch)


_REBUILD: Final = "`store audit rebuild` makes the ledger anew from bucket and log."
